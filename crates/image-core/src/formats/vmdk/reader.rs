//! The raw disk in a sparse extent, stream-optimised or not.

use super::{
    FORMAT, SECTOR, TABLE, TABLE_LEN,
    header::{AT_END, Header},
};
use crate::{
    blob::{Blob, Spool},
    formats::{Error, Result, deflate},
};
use std::{collections::BTreeSet, io::Write};

/// The longest directory that is read, in bytes: 64 TiB in grains of 64 KiB.
const MAX_DIRECTORY: u64 = 8 << 20;

/// The most pieces a disk may lie scattered in.
const MAX_PIECES: usize = 1 << 20;

/// The raw disk in `file`: ranges of it, and what was compressed, which is kept in `spool` and
/// may have `limit` bytes.
///
/// # Errors
/// `Corrupt` where something breaks the format's rules, `Unsupported` for disks of other kinds,
/// `TooLarge` past `limit`; I/O.
pub fn read(file: &Blob, spool: &mut Spool, limit: u64) -> Result<Blob> {
    let sector = |at: u64| {
        Header::parse(&file.array(at).map_err(|_| Error::corrupt(FORMAT, at, "no header"))?, at)
    };
    let mut header = sector(0)?;
    if header.directory == AT_END {
        // The footer, and behind it the marker of the end.
        header = sector(file.len().saturating_sub(2 * SECTOR))?;
    }
    let size = header.size()?;
    let directory_len = header.tables() * 4;
    if directory_len > MAX_DIRECTORY {
        let what = "a disk's grain directory";
        return Err(Error::too_large(FORMAT, what, directory_len, MAX_DIRECTORY));
    }
    let mut disk = Disk { file, header: &header, spool, left: limit, parts: Vec::new(), zeros: 0 };
    let mut seen = BTreeSet::new();
    let grain = header.grain * SECTOR;
    let directory = entries(file, header.directory, directory_len)?;
    for (table, number) in directory.into_iter().zip(0u64..) {
        let first = number * TABLE;
        let covered = (size - first * grain).min(TABLE * grain);
        if table == 0 {
            disk.zeros += covered;
            continue;
        }
        if !seen.insert(table) {
            let at = u64::from(table) * SECTOR;
            return Err(Error::corrupt(FORMAT, at, "a grain table is used twice"));
        }
        let table = entries(file, table.into(), TABLE_LEN)?;
        for (entry, nth) in table.into_iter().zip(0..covered.div_ceil(grain)) {
            disk.grain(first + nth, entry.into(), (covered - nth * grain).min(grain))?;
        }
    }
    disk.end()
}

/// How large the grains of `file` are, in bytes.
///
/// # Errors
/// As [`read`], of the header.
pub fn grain_size(file: &Blob) -> Result<u64> {
    let sector = file.array(0).map_err(|_| Error::corrupt(FORMAT, 0, "no header"))?;
    Ok(Header::parse(&sector, 0)?.grain * SECTOR)
}

/// The disk as far as it is put together: the parts, then what the spool holds or zeros.
struct Disk<'a> {
    file: &'a Blob,
    header: &'a Header,
    spool: &'a mut Spool,
    /// What may still be decompressed, in bytes.
    left: u64,
    parts: Vec<Blob>,
    zeros: u64,
}

impl Disk<'_> {
    /// Grain `number`, of which the disk has `len` bytes, stands where `entry` says.
    fn grain(&mut self, number: u64, entry: u64, len: u64) -> Result<()> {
        let at = entry * SECTOR;
        let corrupt = |what: &str| Err(Error::corrupt(FORMAT, at, format!("a grain {what}")));
        if entry == 0 || (entry == 1 && self.header.zero_grains) {
            self.unpacked()?;
            self.zeros += len;
            return Ok(());
        }
        if !self.header.compressed {
            let grain = self.file.slice(at..at + len);
            if grain.len() < len {
                return corrupt("is cut off");
            }
            self.unpacked()?;
            self.zeros()?;
            return self.add(grain);
        }
        let Ok(marker) = self.file.array::<12>(at) else { return corrupt("is cut off") };
        let (lba, packed_len) = marker.split_at(8);
        let packed_len = little_endian(packed_len);
        if little_endian(lba) != number * self.header.grain {
            return corrupt("has the marker of another");
        }
        let mut grain = vec![0; usize::try_from(self.header.grain * SECTOR).unwrap_or(0)];
        // Deflate adds some bytes to what it cannot make shorter.
        if packed_len > 2 * grain.len() as u64 || at + 12 + packed_len > self.file.len() {
            return corrupt("is cut off");
        }
        let Some(left) = self.left.checked_sub(len) else {
            return Err(Error::too_large(FORMAT, "what is compressed", len, self.left));
        };
        self.left = left;
        let io = |source| Error::io(FORMAT, source);
        let packed =
            self.file.slice(at + 12..at + 12 + packed_len).to_vec(packed_len).map_err(io)?;
        // The last grain may be as short as the disk has it.
        match deflate::inflate(true, &packed, &mut grain) {
            Ok(there) if there as u64 >= len => {}
            Ok(_) => return corrupt("is too short"),
            Err(what) => return corrupt(&format!("is damaged: {what}")),
        }
        self.zeros()?;
        grain.truncate(usize::try_from(len).unwrap_or(usize::MAX));
        self.spool.write_all(&grain).map_err(io)
    }

    /// Adds the zeros that are pending.
    fn zeros(&mut self) -> Result<()> {
        match std::mem::take(&mut self.zeros) {
            0 => Ok(()),
            len => self.add(Blob::zeros(len)),
        }
    }

    /// Adds what the spool holds.
    fn unpacked(&mut self) -> Result<()> {
        if self.spool.is_empty() {
            return Ok(());
        }
        let part = self.spool.take().map_err(|source| Error::io(FORMAT, source))?;
        self.add(part)
    }

    fn add(&mut self, part: Blob) -> Result<()> {
        if self.parts.len() == MAX_PIECES {
            return Err(Error::unsupported(FORMAT, format!("a disk in over {MAX_PIECES} pieces")));
        }
        self.parts.push(part);
        Ok(())
    }

    fn end(mut self) -> Result<Blob> {
        self.unpacked()?;
        self.zeros()?;
        Ok(Blob::concat(self.parts))
    }
}

/// The table of `len` bytes at a sector.
fn entries(file: &Blob, sector: u64, len: u64) -> Result<Vec<u32>> {
    let at = sector.saturating_mul(SECTOR);
    let table = file.slice(at..at.saturating_add(len));
    if table.len() < len {
        return Err(Error::corrupt(FORMAT, at, "a table of grains is cut off"));
    }
    let table = table.to_vec(len).map_err(|source| Error::io(FORMAT, source))?;
    Ok(table.chunks_exact(4).map(|it| u32::from_le_bytes([it[0], it[1], it[2], it[3]])).collect())
}

/// A number of up to eight bytes.
fn little_endian(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte))
}

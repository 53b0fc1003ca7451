//! The raw disk in an image.

use super::{
    CLUSTER_BITS, COMPRESSED, COMPRESSION_TYPE, ENTRY, FORMAT, MAX_L1, SECTOR, is_image,
    offset_bits,
};
use crate::{
    blob::{Blob, Spool},
    formats::{
        Error, Result,
        compress::{Codec, Decoder},
        deflate,
    },
};
use std::{
    collections::BTreeSet,
    io::{Read, Write},
};

/// The most pieces a disk may lie scattered in.
const MAX_PIECES: usize = 1 << 20;

/// "L2 table entry": the offset of a cluster, and the bit of one that reads as zeros.
const OFFSET: u64 = 0x00ff_ffff_ffff_fe00;
const ZERO: u64 = 1;

/// Incompatible feature bits that change nothing for a reader: refcounts may be stale.
const DIRTY: u64 = 1;

/// The raw disk in `file`: ranges of it, and what was compressed, which is kept in `spool` and
/// may have `limit` bytes.
///
/// # Errors
/// `Corrupt` where a table breaks the format's rules, `Unsupported` for images that need another
/// file, a key or something later than version 3, `TooLarge` past `limit`; I/O.
pub fn read(file: &Blob, spool: &mut Spool, limit: u64) -> Result<Blob> {
    let header = Header::read(file)?;
    let cluster = 1u64 << header.bits;
    let entries = cluster / ENTRY;
    let mut disk =
        Disk { file, header: &header, spool, left: limit, parts: Vec::new(), run: Run::Zeros(0) };
    let mut seen = BTreeSet::new();
    let tables = header.size.div_ceil(entries * cluster);
    let first_level = bytes(file, header.l1, tables * ENTRY)?;
    for (entry, table) in first_level.chunks_exact(8).map(number).zip(0..) {
        let start = table * entries * cluster;
        let covered = (header.size - start).min(entries * cluster);
        let at = entry & OFFSET;
        if at == 0 {
            disk.zeros(covered)?;
            continue;
        }
        if !seen.insert(at) {
            return Err(Error::corrupt(FORMAT, at, "a table is used twice"));
        }
        let second_level = bytes(file, at, covered.div_ceil(cluster) * ENTRY)?;
        for (entry, cluster_start) in
            second_level.chunks_exact(8).map(number).zip((0..).step_by(1 << header.bits))
        {
            disk.cluster(entry, (covered - cluster_start).min(cluster))?;
        }
    }
    disk.start(Run::Zeros(0))?;
    Ok(Blob::concat(disk.parts))
}

/// How large the clusters of `file` are, in bytes.
///
/// # Errors
/// As [`read`], of the header.
pub fn cluster_size(file: &Blob) -> Result<u64> {
    Ok(1 << Header::read(file)?.bits)
}

/// What is needed of a header.
struct Header {
    bits: u32,
    size: u64,
    l1: u64,
    zstd: bool,
    /// Entries can say that they are zeros.
    zero_flag: bool,
}

impl Header {
    fn read(file: &Blob) -> Result<Self> {
        let corrupt = |at, what: &str| Err(Error::corrupt(FORMAT, at, what));
        let unsupported = |what: &str| Err(Error::unsupported(FORMAT, what));
        let head = bytes(file, 0, 72)?;
        let u32_at = |at: usize| u32::from_be_bytes([0, 1, 2, 3].map(|i| head[at + i]));
        let u64_at = |at: usize| number(&head[at..at + 8]);
        if !is_image(&head) {
            return corrupt(0, "no header");
        }
        let version = u32_at(4);
        if !matches!(version, 2 | 3) {
            return unsupported(&format!("version {version}"));
        }
        if u64_at(8) != 0 {
            return unsupported("an image on top of another one");
        }
        if u32_at(32) != 0 {
            return unsupported("an encrypted image");
        }
        let bits = u32_at(20);
        if !CLUSTER_BITS.contains(&bits) {
            return corrupt(20, "there are no such clusters");
        }
        let (size, l1_entries) = (u64_at(24), u64::from(u32_at(36)));
        let (mut incompatible, mut zstd) = (0, false);
        if version == 3 {
            incompatible = number(&bytes(file, 72, 8)?) & !DIRTY;
        }
        if incompatible & COMPRESSION_TYPE != 0 {
            incompatible &= !COMPRESSION_TYPE;
            zstd = match bytes(file, 104, 1)?[..] {
                [1] => true,
                _ => return unsupported("a compression other than zlib and zstd"),
            };
        }
        if incompatible != 0 {
            return unsupported(&format!("the set of features {incompatible:#x}"));
        }
        let covered = u128::from(l1_entries) << (2 * bits - ENTRY.ilog2());
        if l1_entries * ENTRY > MAX_L1 || covered < u128::from(size) {
            return corrupt(36, "the first-level table is too long or too short");
        }
        Ok(Self { bits, size, l1: u64_at(40), zstd, zero_flag: version == 3 })
    }
}

/// Neighbouring clusters that stand side by side, or nowhere.
enum Run {
    /// So many zeros.
    Zeros(u64),
    /// So many bytes from a byte of the file on.
    Data { at: u64, len: u64 },
    /// What the spool holds.
    Unpacked,
}

/// The disk as far as it is put together.
struct Disk<'a> {
    file: &'a Blob,
    header: &'a Header,
    spool: &'a mut Spool,
    /// What may still be decompressed, in bytes.
    left: u64,
    parts: Vec<Blob>,
    /// What comes behind the parts and may grow.
    run: Run,
}

impl Disk<'_> {
    /// The next `len` bytes of the disk stand where the second level's `entry` says.
    fn cluster(&mut self, entry: u64, len: u64) -> Result<()> {
        if entry & COMPRESSED != 0 {
            return self.compressed(entry & !COMPRESSED, len);
        }
        let at = entry & OFFSET;
        if at == 0 || (self.header.zero_flag && entry & ZERO != 0) {
            return self.zeros(len);
        }
        match &mut self.run {
            Run::Data { at: start, len: run } if *start + *run == at => *run += len,
            _ => self.start(Run::Data { at, len })?,
        }
        Ok(())
    }

    fn zeros(&mut self, len: u64) -> Result<()> {
        match &mut self.run {
            Run::Zeros(run) => *run += len,
            _ => self.start(Run::Zeros(len))?,
        }
        Ok(())
    }

    fn compressed(&mut self, descriptor: u64, len: u64) -> Result<()> {
        let bits = offset_bits(self.header.bits);
        let at = descriptor & ((1 << bits) - 1);
        let packed_len = ((descriptor >> bits) + 1) * SECTOR - at % SECTOR;
        let corrupt =
            |what: &str| Error::corrupt(FORMAT, at, format!("a compressed cluster {what}"));
        if at >= self.file.len() {
            return Err(corrupt("is cut off"));
        }
        let Some(left) = self.left.checked_sub(len) else {
            return Err(Error::too_large(FORMAT, "what is compressed", len, self.left));
        };
        self.left = left;
        let packed = self.file.slice(at..at + packed_len);
        let mut cluster = vec![0; 1 << self.header.bits];
        if self.header.zstd {
            Decoder::new(Codec::Zstd, packed.reader(), cluster.len() as u64)?
                .read_exact(&mut cluster)
                .map_err(|source| Error::io(FORMAT, source).within("a compressed cluster"))?;
        } else {
            let packed = packed.to_vec(packed_len).map_err(|source| Error::io(FORMAT, source))?;
            match deflate::inflate(false, &packed, &mut cluster) {
                Ok(len) if len == cluster.len() => {}
                Ok(_) => return Err(corrupt("is too short")),
                Err(what) => return Err(corrupt(&format!("is damaged: {what}"))),
            }
        }
        if !matches!(self.run, Run::Unpacked) {
            self.start(Run::Unpacked)?;
        }
        cluster.truncate(usize::try_from(len).unwrap_or(usize::MAX));
        self.spool.write_all(&cluster).map_err(|source| Error::io(FORMAT, source))
    }

    /// Ends the run there is, and starts another.
    fn start(&mut self, next: Run) -> Result<()> {
        let part = match std::mem::replace(&mut self.run, next) {
            Run::Zeros(len) => Blob::zeros(len),
            Run::Unpacked => self.spool.take().map_err(|source| Error::io(FORMAT, source))?,
            Run::Data { at, len } => {
                let there = self.file.slice(at..at.saturating_add(len));
                let missing = len - there.len();
                // A file may end within its last cluster.
                if missing >= 1 << self.header.bits {
                    return Err(Error::corrupt(FORMAT, at, "a cluster is cut off"));
                }
                Blob::concat([there, Blob::zeros(missing)])
            }
        };
        if self.parts.len() == MAX_PIECES {
            return Err(Error::unsupported(FORMAT, format!("a disk in over {MAX_PIECES} pieces")));
        }
        self.parts.push(part);
        Ok(())
    }
}

/// `len` bytes from `at` on, which have to be there.
fn bytes(file: &Blob, at: u64, len: u64) -> Result<Vec<u8>> {
    let found = file.slice(at..at.saturating_add(len));
    if found.len() < len {
        return Err(Error::corrupt(FORMAT, at, "the file is cut off"));
    }
    found.to_vec(MAX_L1.max(1 << 21)).map_err(|source| Error::io(FORMAT, source))
}

/// A number of eight bytes.
fn number(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |number, &byte| number << 8 | u64::from(byte))
}

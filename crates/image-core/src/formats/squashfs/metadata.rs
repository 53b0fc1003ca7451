//! Metadata blocks: 8 KiB of a table each, compressed on their own behind a 16-bit length.

use super::{
    Error, FORMAT, Result,
    codec::{Packer, Unpacker},
};
use crate::blob::Blob;
use std::collections::BTreeMap;

/// What a metadata block holds, uncompressed, in bytes.
pub(super) const BLOCK: usize = 8192;

/// Set in the length of a metadata block that is stored as it is.
const STORED: u16 = 0x8000;

/// Where something stands in a table: the offset of its metadata block from the table's start,
/// and its own offset in the uncompressed block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) block: u64,
    pub(super) offset: u16,
}

impl Place {
    /// The 64-bit form in which tables name places.
    pub(super) fn to_reference(self) -> u64 {
        self.block << 16 | u64::from(self.offset)
    }

    pub(super) fn from_reference(reference: u64) -> Self {
        let [low, high, ..] = reference.to_le_bytes();
        Self { block: reference >> 16, offset: u16::from_le_bytes([low, high]) }
    }
}

/// A table being cut into metadata blocks.
#[derive(Default)]
pub(super) struct TableWriter {
    pending: Vec<u8>,
    bytes: Vec<u8>,
    /// Where each block starts in `bytes`; the last one is `pending`.
    starts: Vec<u64>,
}

impl TableWriter {
    /// Where the next byte goes.
    pub(super) fn place(&self) -> Place {
        // `write` leaves less than a block pending, so the offset has 13 bits.
        let offset = u16::try_from(self.pending.len()).unwrap_or_default();
        Place { block: self.bytes.len() as u64, offset }
    }

    /// How many blocks are full.
    pub(super) fn full_blocks(&self) -> usize {
        self.starts.len()
    }

    /// Where block `index` starts, as bytes from the table's start.
    pub(super) fn start(&self, index: usize) -> u64 {
        self.starts.get(index).copied().unwrap_or(self.bytes.len() as u64)
    }

    pub(super) fn write(&mut self, packer: &mut Packer, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(BLOCK - self.pending.len()));
            self.pending.extend_from_slice(now);
            bytes = later;
            if self.pending.len() == BLOCK {
                self.flush(packer)?;
            }
        }
        Ok(())
    }

    fn flush(&mut self, packer: &mut Packer) -> Result<()> {
        self.starts.push(self.bytes.len() as u64);
        let shorter = packer.pack(&self.pending)?;
        let (block, flag) = match &shorter {
            Some(shorter) => (shorter, 0),
            None => (&self.pending, STORED),
        };
        // At most BLOCK bytes.
        let len = u16::try_from(block.len()).unwrap_or_default();
        self.bytes.extend_from_slice(&(len | flag).to_le_bytes());
        self.bytes.extend_from_slice(block);
        self.pending.clear();
        Ok(())
    }

    /// The table's blocks, and where each starts.
    pub(super) fn finish(mut self, packer: &mut Packer) -> Result<(Vec<u8>, Vec<u64>)> {
        if !self.pending.is_empty() {
            self.flush(packer)?;
        }
        Ok((self.bytes, self.starts))
    }
}

/// A lookup table (the format's description, "Storing Lookup Tables") for offset `at` of the
/// image: its blocks, then `header`, then the offsets of the blocks. Says where `header` stands.
pub(super) fn lookup_table(
    packer: &mut Packer,
    at: u64,
    entries: &[u8],
    header: &[u8],
) -> Result<(Vec<u8>, u64)> {
    let mut table = TableWriter::default();
    table.write(packer, entries)?;
    let (mut bytes, starts) = table.finish(packer)?;
    let header_at = at + bytes.len() as u64;
    bytes.extend_from_slice(header);
    for start in starts {
        bytes.extend_from_slice(&(at + start).to_le_bytes());
    }
    Ok((bytes, header_at))
}

/// How many decompressed blocks are kept for the next reader of them.
const KEPT: usize = 64;

/// The metadata blocks of an image.
pub(super) struct Metadata {
    /// The bytes the image uses.
    image: Blob,
    unpacker: Unpacker,
    /// Decompressed blocks by their offset in the image, and where each ends.
    kept: BTreeMap<u64, (Vec<u8>, u64)>,
}

impl Metadata {
    pub(super) fn new(image: Blob, unpacker: Unpacker) -> Self {
        Self { image, unpacker, kept: BTreeMap::new() }
    }

    /// The block at offset `at` of the image, and where it ends.
    fn block(&mut self, at: u64) -> Result<&(Vec<u8>, u64)> {
        if !self.kept.contains_key(&at) {
            let block = self.unpack(at)?;
            if self.kept.len() >= KEPT {
                self.kept.clear();
            }
            self.kept.insert(at, block);
        }
        self.kept.get(&at).ok_or_else(|| Error::corrupt(FORMAT, at, "no metadata block"))
    }

    fn unpack(&mut self, at: u64) -> Result<(Vec<u8>, u64)> {
        let corrupt = |what: String| Error::corrupt(FORMAT, at, format!("metadata block {what}"));
        let cut = |error: std::io::Error| corrupt(format!("is cut: {error}"));
        let header = u16::from_le_bytes(self.image.array(at).map_err(cut)?);
        let mut bytes = vec![0; usize::from(header & !STORED)];
        if bytes.is_empty() || bytes.len() > BLOCK {
            return Err(corrupt(format!("has {} bytes", bytes.len())));
        }
        let end = at + 2 + bytes.len() as u64;
        self.image.read_at(at + 2, &mut bytes).map_err(cut)?;
        if header & STORED == 0 {
            bytes = self.unpacker.unpack(&bytes, BLOCK).map_err(corrupt)?;
            if bytes.is_empty() {
                return Err(corrupt("is empty".into()));
            }
        }
        Ok((bytes, end))
    }

    /// Reads on from `place` of the table at offset `table` of the image.
    pub(super) fn cursor(&mut self, table: u64, place: Place) -> Cursor<'_> {
        let block = table.saturating_add(place.block);
        Cursor { metadata: self, block, offset: usize::from(place.offset) }
    }

    /// Reads entry `index` of the lookup table whose block offsets stand at `locations`; entries
    /// have `len` bytes each, a divisor of [`BLOCK`].
    pub(super) fn entry(&mut self, locations: u64, index: u32, len: u16) -> Result<Cursor<'_>> {
        let at = u64::from(index) * u64::from(len);
        let location = locations.saturating_add(at / BLOCK as u64 * 8);
        let block = self
            .image
            .array(location)
            .map_err(|error| Error::corrupt(FORMAT, location, format!("lookup table: {error}")))?;
        let offset = u16::try_from(at % BLOCK as u64).unwrap_or_default();
        Ok(self.cursor(0, Place { block: u64::from_le_bytes(block), offset }))
    }
}

/// Reads a table from some place on, over the ends of its blocks.
pub(super) struct Cursor<'m> {
    metadata: &'m mut Metadata,
    block: u64,
    offset: usize,
}

impl Cursor<'_> {
    pub(super) fn read(&mut self, mut buf: &mut [u8]) -> Result<()> {
        while !buf.is_empty() {
            let (bytes, end) = self.metadata.block(self.block)?;
            if self.offset > bytes.len() {
                return Err(self.corrupt("a reference points past the metadata block"));
            }
            let rest = &bytes[self.offset..];
            if rest.is_empty() {
                self.block = *end;
                self.offset = 0;
                continue;
            }
            let n = rest.len().min(buf.len());
            buf[..n].copy_from_slice(&rest[..n]);
            self.offset += n;
            buf = &mut buf[n..];
        }
        Ok(())
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        self.read(&mut bytes)?;
        Ok(bytes)
    }

    pub(super) fn bytes(&mut self, len: usize) -> Result<Vec<u8>> {
        let mut bytes = vec![0; len];
        self.read(&mut bytes)?;
        Ok(bytes)
    }

    pub(super) fn u16(&mut self) -> Result<u16> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    pub(super) fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub(super) fn u64(&mut self) -> Result<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// The metadata block read from now is wrong.
    pub(super) fn corrupt(&self, what: impl Into<String>) -> Error {
        Error::corrupt(FORMAT, self.block, what)
    }
}

//! The header of a sparse extent, which is its footer too ("Hosted Sparse Extent Header").

use super::{FORMAT, MAGIC, SECTOR, TABLE};
use crate::formats::{Error, Result};

/// Flag bits: the newlines can be checked; grains are compressed; markers stand between them; an
/// entry of 1 is a grain of zeros.
const NEWLINES: u32 = 1;
const ZERO_GRAINS: u32 = 1 << 2;
const COMPRESSED: u32 = 1 << 16;
const MARKERS: u32 = 1 << 17;
/// The compression: deflate.
const DEFLATE: u16 = 1;
/// The directory's place in a header whose footer knows it.
pub(super) const AT_END: u64 = u64::MAX;

/// What a header says. All in sectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// The disk's length.
    pub(super) capacity: u64,
    /// A grain's length.
    pub(super) grain: u64,
    /// Where the grain directory starts, or [`AT_END`].
    pub(super) directory: u64,
    /// How many sectors header and descriptor take.
    pub(super) overhead: u64,
    /// Where the descriptor starts and how long it is.
    pub(super) descriptor: (u64, u64),
    /// Grains are compressed.
    pub(super) compressed: bool,
    /// An entry of 1 is a grain of zeros.
    pub(super) zero_grains: bool,
}

impl Header {
    /// As a sector. Always that of a stream-optimised disk.
    pub(super) fn to_sector(self) -> [u8; 512] {
        let mut sector = [0; 512];
        let mut put = |at: usize, bytes: &[u8]| sector[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, &MAGIC);
        // Version 3 is what ESXi asks of disks with markers.
        put(4, &3u32.to_le_bytes());
        put(8, &(NEWLINES | COMPRESSED | MARKERS).to_le_bytes());
        put(12, &self.capacity.to_le_bytes());
        put(20, &self.grain.to_le_bytes());
        put(28, &self.descriptor.0.to_le_bytes());
        put(36, &self.descriptor.1.to_le_bytes());
        put(44, &TABLE.to_le_bytes()[..4]);
        // No redundant directory, at 48.
        put(56, &self.directory.to_le_bytes());
        put(64, &self.overhead.to_le_bytes());
        // A clean shutdown, at 72; what shows that nobody converted the line ends.
        put(73, b"\n \r\n");
        put(77, &DEFLATE.to_le_bytes());
        sector
    }

    /// Reads one that stands at byte `at`.
    pub(super) fn parse(sector: &[u8; 512], at: u64) -> Result<Self> {
        let u64_at =
            |at: usize| u64::from_le_bytes([0, 1, 2, 3, 4, 5, 6, 7].map(|i| sector[at + i]));
        let u32_at = |at: usize| u32::from_le_bytes([0, 1, 2, 3].map(|i| sector[at + i]));
        let corrupt = |field: u64, what: &str| Err(Error::corrupt(FORMAT, at + field, what));
        if sector[..4] != MAGIC {
            return corrupt(0, "no header");
        }
        let (version, flags) = (u32_at(4), u32_at(8));
        if !(1..=3).contains(&version) {
            return Err(Error::unsupported(FORMAT, format!("version {version}")));
        }
        let grain = u64_at(20);
        if !grain.is_power_of_two() || !(8..=128).contains(&grain) {
            return corrupt(20, "there are no such grains");
        }
        if u64::from(u32_at(44)) != TABLE {
            return corrupt(44, "a grain table has 512 entries");
        }
        let compressed = flags & COMPRESSED != 0;
        if compressed && sector[77..79] != DEFLATE.to_le_bytes() {
            return Err(Error::unsupported(FORMAT, "a compression other than deflate"));
        }
        if compressed && flags & MARKERS == 0 {
            return Err(Error::unsupported(FORMAT, "compression without markers"));
        }
        Ok(Self {
            capacity: u64_at(12),
            grain,
            directory: u64_at(56),
            overhead: u64_at(64),
            descriptor: (u64_at(28), u64_at(36)),
            compressed,
            zero_grains: flags & ZERO_GRAINS != 0,
        })
    }

    /// How many grain tables the disk has.
    pub(super) fn tables(&self) -> u64 {
        self.capacity.div_ceil(self.grain * TABLE)
    }

    /// The disk's length in bytes.
    pub(super) fn size(&self) -> Result<u64> {
        self.capacity
            .checked_mul(SECTOR)
            .ok_or_else(|| Error::corrupt(FORMAT, 12, "there are no disks that large"))
    }
}

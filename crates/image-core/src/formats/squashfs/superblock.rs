//! The first 96 bytes of an image.

use super::{Algorithm, Error, FORMAT, Result};
use crate::blob::Blob;

const MAGIC: &[u8; 4] = b"hsqs";

/// The superblock's length in bytes.
const LEN: usize = 96;

/// Flags: the ends of long files are in fragments too, duplicates were looked for, the export
/// table is there, compressor options are.
const ALL_ENDS: u16 = 0x0020;
const DEDUPLICATED: u16 = 0x0040;
const EXPORTABLE: u16 = 0x0080;
const COMPRESSOR_OPTIONS: u16 = 0x0400;

/// The superblock (the format's description, "The Superblock"). Offsets are bytes from the
/// image's start; a table that is not there has none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Superblock {
    /// How many inodes there are.
    pub inodes: u32,
    /// When the image was made, in seconds since 1970.
    pub mkfs_time: u32,
    /// Bytes of a data block: a power of two from 4 KiB to 1 MiB.
    pub block_size: u32,
    /// How many fragment blocks there are.
    pub fragments: u32,
    /// The compressor.
    pub algorithm: Algorithm,
    /// The zstd level, where the image names one.
    pub zstd_level: Option<u32>,
    /// How many different user and group ids there are.
    pub ids: u16,
    /// How many bytes the image uses; zeros follow.
    pub bytes_used: u64,
    /// The root directory: its inode's metadata block and, in the low 16 bits, offset.
    pub(super) root: u64,
    pub(super) id_table: u64,
    pub(super) attribute_table: Option<u64>,
    pub(super) inode_table: u64,
    pub(super) directory_table: u64,
    pub(super) fragment_table: u64,
    pub(super) export_table: Option<u64>,
}

impl Superblock {
    /// Reads the superblock of `image`.
    ///
    /// # Errors
    /// There is no SquashFS 4.0 superblock, its fields contradict each other, or reading fails.
    pub fn parse(image: &Blob) -> Result<Self> {
        let corrupt = |at: u64, what: &str| Err(Error::corrupt(FORMAT, at, what));
        if image.len() < LEN as u64 {
            return corrupt(0, "the image is shorter than a superblock");
        }
        let io = |error| Error::io(FORMAT, error);
        let bytes: [u8; LEN] = image.array(0).map_err(io)?;
        if bytes[..4] != *MAGIC {
            return corrupt(0, "the magic is not \"hsqs\"");
        }
        let u16_at = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        let u32_at = |at: usize| u32::from(u16_at(at)) | u32::from(u16_at(at + 2)) << 16;
        let u64_at = |at: usize| u64::from(u32_at(at)) | u64::from(u32_at(at + 4)) << 32;
        let optional = |at: usize| Some(u64_at(at)).filter(|&offset| offset != u64::MAX);

        let block_size = u32_at(12);
        if !is_block_size(block_size) || block_size != 1 << u16_at(22).min(31) {
            return corrupt(12, "the block size is no power of two from 4 KiB to 1 MiB");
        }
        let Some(algorithm) = Algorithm::from_id(u16_at(20)) else {
            return corrupt(20, "the compressor is not known");
        };
        if (u16_at(28), u16_at(30)) != (4, 0) {
            return Err(Error::unsupported(
                FORMAT,
                format!("version {}.{}", u16_at(28), u16_at(30)),
            ));
        }
        let bytes_used = u64_at(40);
        if bytes_used < LEN as u64 || bytes_used > image.len() {
            return corrupt(40, "the bytes used are not the image's");
        }
        let zstd_level = if algorithm == Algorithm::Zstd && u16_at(24) & COMPRESSOR_OPTIONS != 0 {
            let level = image.array(LEN as u64 + 2).map_err(io)?;
            Some(u32::from_le_bytes(level))
        } else {
            None
        };
        let superblock = Self {
            inodes: u32_at(4),
            mkfs_time: u32_at(8),
            block_size,
            fragments: u32_at(16),
            algorithm,
            zstd_level,
            ids: u16_at(26),
            root: u64_at(32),
            bytes_used,
            id_table: u64_at(48),
            attribute_table: optional(56),
            inode_table: u64_at(64),
            directory_table: u64_at(72),
            fragment_table: u64_at(80),
            export_table: optional(88),
        };
        let tables = [
            Some(superblock.id_table),
            superblock.attribute_table,
            Some(superblock.inode_table),
            Some(superblock.directory_table),
            Some(superblock.fragment_table).filter(|_| superblock.fragments > 0),
            superblock.export_table,
        ];
        for (at, table) in (48..).step_by(8).zip(tables) {
            if table.is_some_and(|table| table < LEN as u64 || table >= bytes_used) {
                return corrupt(at, "the table lies outside the image");
            }
        }
        Ok(superblock)
    }

    /// Its bytes, and the compressor options' after them if a level is named.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut flags = ALL_ENDS | DEDUPLICATED;
        if self.export_table.is_some() {
            flags |= EXPORTABLE;
        }
        if self.zstd_level.is_some() {
            flags |= COMPRESSOR_OPTIONS;
        }
        let mut bytes = Vec::with_capacity(LEN + 6);
        bytes.extend_from_slice(MAGIC);
        for field in [self.inodes, self.mkfs_time, self.block_size, self.fragments] {
            bytes.extend_from_slice(&field.to_le_bytes());
        }
        // The logarithm is at most 20; the version is 4.0.
        let block_log = u16::try_from(self.block_size.trailing_zeros()).unwrap_or_default();
        for field in [self.algorithm.id(), block_log, flags, self.ids, 4, 0] {
            bytes.extend_from_slice(&field.to_le_bytes());
        }
        for field in [
            self.root,
            self.bytes_used,
            self.id_table,
            self.attribute_table.unwrap_or(u64::MAX),
            self.inode_table,
            self.directory_table,
            self.fragment_table,
            self.export_table.unwrap_or(u64::MAX),
        ] {
            bytes.extend_from_slice(&field.to_le_bytes());
        }
        if let Some(level) = self.zstd_level {
            // One metadata block of four bytes, stored as it is.
            bytes.extend_from_slice(&0x8004u16.to_le_bytes());
            bytes.extend_from_slice(&level.to_le_bytes());
        }
        bytes
    }
}

/// Where data blocks start in an image that names this level, in bytes.
pub(super) fn data_start(zstd_level: Option<u32>) -> u64 {
    LEN as u64 + if zstd_level.is_some() { 6 } else { 0 }
}

/// Whether data blocks may be `size` bytes long.
pub(super) fn is_block_size(size: u32) -> bool {
    size.is_power_of_two() && (4 << 10..=1 << 20).contains(&size)
}

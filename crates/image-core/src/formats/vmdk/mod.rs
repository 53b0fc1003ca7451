//! VMware's virtual disks in one file (VMware, *Virtual Disk Format* 1.1, sections "Hosted Sparse
//! Extents" and "Stream-Optimized Compressed Sparse Extents"). Numbers are little-endian, offsets
//! count sectors of 512 bytes.
//!
//! Written are stream-optimised disks, laid out in the order in which they can be streamed:
//! grains, each table behind the grains it lists, the directory, the footer. Grains of zeros are
//! not there, tables of none neither.

mod header;
mod reader;
mod writer;

pub use reader::{grain_size, read};
pub use writer::{Options, check, image};

const FORMAT: &str = "VMDK";
/// What a file starts with.
const MAGIC: [u8; 4] = *b"KDMV";
const SECTOR: u64 = 512;
/// Bytes of a grain, as every maker of these disks has them.
const GRAIN: u64 = 64 << 10;
/// 62 TiB, the largest disk of a machine of VMware's.
const MAX_SIZE: u64 = 62 << 40;
/// Entries of a grain table; there is no other number.
const TABLE: u64 = 512;
/// Bytes of a grain table.
const TABLE_LEN: u64 = TABLE * 4;

/// Whether `start`, a file's first bytes, is a sparse extent's.
pub fn is_image(start: &[u8]) -> bool {
    start.starts_with(&MAGIC)
}

#[cfg(test)]
mod tests;

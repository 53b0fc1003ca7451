//! QEMU's copy-on-write disks, versions 2 and 3 (QEMU, *docs/interop/qcow2.txt*; sections named
//! below). Numbers are big-endian.
//!
//! What is written has tables in front and data behind, each cluster once: what a disk has as a
//! hole is not there. Zeros that stand in data are written as they are, for to find them all data
//! would have to be read, and an uncompressed disk is made without reading any. A compressed one
//! leaves them out.

mod options;
mod reader;
mod writer;

pub use options::{Compression, Options};
pub use reader::{cluster_size, read};
pub use writer::{check, image};

const FORMAT: &str = "qcow2";
/// What a file starts with.
const MAGIC: [u8; 4] = *b"QFI\xfb";
/// Disks are counted in sectors of 512 bytes.
const SECTOR: u64 = 512;
/// Bytes of an entry of L1, L2 and refcount table.
const ENTRY: u64 = 8;
/// Bytes of a reference count.
const REFCOUNT: u64 = 2;
/// A cluster's number of bits ("Header", `cluster_bits`; the upper end is QEMU's).
const CLUSTER_BITS: std::ops::RangeInclusive<u32> = 9..=21;
/// The longest first-level table that QEMU takes, in bytes.
const MAX_L1: u64 = 32 << 20;
/// The longest refcount table that QEMU takes, in bytes.
const MAX_REFCOUNT_TABLE: u64 = 8 << 20;
/// "Cluster mapping": the cluster is in use once, so it may be written in place.
const COPIED: u64 = 1 << 63;
/// "Cluster mapping": the cluster is compressed.
const COMPRESSED: u64 = 1 << 62;
/// "Header": incompatible feature bit of another compression than zlib.
const COMPRESSION_TYPE: u64 = 1 << 3;
/// zlib's window for compressed clusters, as its power of two: what QEMU's decoder looks back.
const WINDOW_BITS: u8 = 12;

/// Whether `start`, a file's first bytes, is a qcow2 file's.
pub fn is_image(start: &[u8]) -> bool {
    start.starts_with(&MAGIC)
}

/// How the offset and the length in sectors share a compressed cluster's descriptor
/// ("Compressed Clusters Descriptor"): bits of the offset.
fn offset_bits(cluster_bits: u32) -> u32 {
    62 - (cluster_bits - 8)
}

#[cfg(test)]
mod tests;

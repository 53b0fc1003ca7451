//! SquashFS 4.0: a compressed read-only file system, as Linux mounts it.
//!
//! Written by the public description of the format ("Squashfs Binary Format" by Z. Dremann and
//! D. Oberhollenzer, in the following: the format's description) and by
//! Documentation/filesystems/squashfs.rst of Linux. An image is, in this order:
//!
//! superblock · compressor options · data and fragment blocks · inode table · directory table ·
//! fragment table · export table · id table · attribute tables
//!
//! Data blocks are compressed by several threads, but each on its own and written in order, so
//! the bytes do not depend on the number of threads.

mod attributes;
mod codec;
mod data;
mod directory;
mod inode;
mod metadata;
mod pipeline;
mod reader;
mod superblock;
mod writer;

pub use codec::{Algorithm, Compression};
pub use reader::read;
pub use superblock::Superblock;
pub use writer::{Options, image};

use super::{Error, Result};

/// The name errors carry.
const FORMAT: &str = "squashfs";

/// What stands for "none" in the 32-bit indices of fragments and attributes.
const NONE: u32 = u32::MAX;

/// Set in the size of a data or fragment block that is stored as it is.
const STORED: u32 = 1 << 24;

/// `value` as a narrower number; `what` has outgrown its field otherwise.
fn narrow<T: TryFrom<u64>>(value: u64, what: &str) -> Result<T> {
    T::try_from(value).map_err(|_| {
        let have = u64::MAX >> (64 - 8 * size_of::<T>().min(8));
        Error::too_large(FORMAT, what, value, have)
    })
}

//! Disks divided by a GUID partition table (UEFI specification 2.10, section 5).

mod reader;
mod writer;

pub use reader::{Found, read};
pub use writer::disk;
pub(super) use writer::tables;

use crate::blob::Blob;
use uuid::Uuid;

const FORMAT: &str = "GPT";
/// Bytes of the usual entry, and how many of them a new table has.
const ENTRY: usize = 128;
const ENTRIES: usize = 128;
/// UTF-16 units of a partition's name.
const NAME_UNITS: usize = 36;

/// A disk and what stands on it.
#[derive(Clone, Debug)]
pub struct Disk {
    /// The disk's own GUID.
    pub guid: Uuid,
    /// Bytes of a logical block: 512 or 4096.
    pub sector_size: u32,
    /// Length in bytes, a multiple of the sector size.
    pub size: u64,
    /// The partitions, numbered from 1 in this order.
    pub partitions: Vec<Partition>,
}

/// One partition.
#[derive(Clone, Debug)]
pub struct Partition {
    /// What it is for.
    pub type_guid: Uuid,
    /// Its own GUID.
    pub guid: Uuid,
    /// Its name, up to 36 UTF-16 units.
    pub name: String,
    /// Attribute bits: 0 required by the platform, 1 not for firmware, 2 legacy BIOS boots it.
    pub attributes: u64,
    /// Where it starts, in bytes. None: at the next multiple of 1 MiB after the one before.
    pub start: Option<u64>,
    /// Its length in bytes, a multiple of the sector size.
    pub size: u64,
    /// What stands at its start; zeros after that.
    pub content: Blob,
}

#[cfg(test)]
mod tests;

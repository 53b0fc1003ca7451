//! FAT32 and FAT16 volumes: what firmware reads a boot loader from.
//!
//! By Microsoft's *FAT File System Specification* (1.03), sections named below. A file's clusters
//! are one run, so its content is placed as it is and the volume costs only its metadata.

mod entry;
mod geometry;
mod reader;
mod writer;

pub use reader::{Volume, read};
pub use writer::{Options, min_size, volume};

const FORMAT: &str = "FAT";

/// Which of the two layouts a volume has. Readers tell them apart by the number of clusters
/// alone (section 3.5), so the writer cannot choose: the size decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// 16-bit cluster numbers, the root directory outside the clusters.
    Fat16,
    /// 32-bit cluster numbers, of which 28 count.
    Fat32,
}

impl Kind {
    /// Bytes of one entry of the file allocation table.
    fn entry_size(self) -> u64 {
        match self {
            Self::Fat16 => 2,
            Self::Fat32 => 4,
        }
    }
}

#[cfg(test)]
mod tests;

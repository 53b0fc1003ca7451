//! XFS, version 5: the file system that GRUB reads a kernel from.
//!
//! By *XFS Algorithms & Data Structures* (3rd edition), sections named below; what that edition
//! leaves open (large timestamps, large extent counters, how `mkfs.xfs` divides a device) is
//! said where it is used. Numbers are big-endian, checksums little-endian.
//!
//! Nothing but metadata is made: the contents of files are placed as they are, in as few runs as
//! the allocation groups allow, and free space is a hole. Memory and time follow from the tree,
//! not from the size.
//!
//! | feature | in `lts_*.conf` from | GRUB 2.06 | GRUB 2.12 |
//! |---|---|---|---|
//! | checksums, file types, sparse inodes, `finobt`, `reflink`, `rmapbt`, `inobtcount` | 6.1 | yes | yes |
//! | `bigtime` | 6.1 | yes | yes |
//! | `nrext64` | 6.6 | Debian's 2.06 | yes |
//! | `exchange`, `parent` | 6.18 | no | no |

mod block;
mod btree;
mod content;
mod directory;
mod extent;
mod features;
mod geometry;
mod group;
mod inode;
mod log;
mod reader;
mod space;
mod superblock;
mod symlink;
mod writer;

pub use features::Kernel;
pub use reader::{Volume, read};
pub use writer::{Options, volume};

const FORMAT: &str = "XFS";

#[cfg(test)]
mod tests;

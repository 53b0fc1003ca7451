//! How a device is divided, by the rules of `mkfs.xfs` for one disk without stripes.

use super::{FORMAT, features::Features};
use crate::formats::{Error, Result};

/// Bytes of a block: the default of `mkfs.xfs`, and as much as a kernel with 4 KiB pages mounts.
pub(super) const BLOCK: u64 = 4096;
/// Bytes of an inode, the default.
pub(super) const INODE: u64 = 512;
/// Inodes are allocated by this many, the bits of a word.
pub(super) const CHUNK_INODES: u64 = 64;
pub(super) const CHUNK_BLOCKS: u64 = CHUNK_INODES * INODE / BLOCK;
/// Inodes in a block, as a power of two.
pub(super) const INODES_LOG2: u32 = (BLOCK / INODE).ilog2();

const MIB: u64 = 1 << 20;
const TIB: u64 = 1 << 40;
/// What `mkfs.xfs` makes at least since 5.19.
const MIN_SIZE: u64 = 300 * MIB;
/// Not a limit of the format; what is larger was never tried.
const MAX_SIZE: u64 = 16 * TIB;
/// An allocation group has less than a TiB.
const MAX_GROUP: u64 = (TIB - 1) / BLOCK;
/// A shorter one at the end is left out.
const MIN_GROUP: u64 = 16 * MIB / BLOCK;
const MIN_LOG: u64 = 64 * MIB / BLOCK;
/// 2 GiB less the least log.
const MAX_LOG: u64 = (2048 - 10) * MIB / BLOCK;

/// How a file system is divided. All in blocks, unless it says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Geometry {
    /// Bytes: 512 or 4096.
    pub(super) sector_size: u64,
    /// Of the whole, at most the size asked for.
    pub(super) blocks: u64,
    /// Of each allocation group but the last, which may be shorter.
    pub(super) group_blocks: u64,
    /// How many there are.
    pub(super) groups: u64,
    pub(super) log_blocks: u64,
    pub(super) features: Features,
}

/// A block by its group and its number in there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) group: u64,
    pub(super) block: u64,
}

impl Geometry {
    /// Divides `size` bytes: four groups up to 4 TiB, then groups of just under a TiB. The log
    /// has a 2048th of the whole, at least 64 MiB, at most 2038 MiB.
    pub(super) fn new(size: u64, sector_size: u32, features: Features) -> Result<Self> {
        if !matches!(sector_size, 512 | 4096) {
            let what = format!("sectors of {sector_size} bytes; there are 512 and 4096");
            return Err(Error::invalid(FORMAT, what));
        }
        let sector_size = u64::from(sector_size);
        if !(MIN_SIZE..=MAX_SIZE).contains(&size) || !size.is_multiple_of(sector_size) {
            let what = format!(
                "a file system of {size} bytes; give {MIN_SIZE} (300 MiB) to {MAX_SIZE} (16 TiB), \
                 a multiple of {sector_size}"
            );
            return Err(Error::invalid(FORMAT, what));
        }
        let mut blocks = size / BLOCK;
        let group_blocks = if size / BLOCK >= 4 * TIB / BLOCK {
            MAX_GROUP
        } else {
            blocks.div_ceil(4).min(MAX_GROUP)
        };
        let mut groups = blocks.div_ceil(group_blocks);
        let last = blocks - (groups - 1) * group_blocks;
        if last < MIN_GROUP {
            groups -= 1;
            blocks = groups * group_blocks;
        }
        let log_blocks = (blocks / 2048).clamp(MIN_LOG, MAX_LOG);
        Ok(Self { sector_size, blocks, group_blocks, groups, log_blocks, features })
    }

    /// Blocks of group `group`.
    pub(super) fn group_len(&self, group: u64) -> u64 {
        self.group_blocks.min(self.blocks - group * self.group_blocks)
    }

    /// Bits of a block's number within its group.
    pub(super) fn group_log2(&self) -> u32 {
        self.group_blocks.next_power_of_two().ilog2()
    }

    /// Blocks of the four headers in front of a group, a sector each.
    pub(super) fn header_blocks(&self) -> u64 {
        (4 * self.sector_size).div_ceil(BLOCK)
    }

    /// What stands in front of every group: the headers and the roots of the B+trees.
    pub(super) fn front_blocks(&self) -> u64 {
        self.header_blocks() + if self.features.has_rmapbt() { 6 } else { 5 }
    }

    /// Blocks that wait in a group's free list for its B+trees to grow.
    pub(super) fn free_list_blocks(&self) -> u64 {
        if self.features.has_rmapbt() { 6 } else { 4 }
    }

    /// Where the log starts: in the middle group, behind what stands in front of every group.
    pub(super) fn log(&self) -> Place {
        Place { group: self.groups / 2, block: self.front_blocks() }
    }

    /// Bytes from the start of the volume.
    pub(super) fn offset(&self, place: Place) -> u64 {
        (place.group * self.group_blocks + place.block) * BLOCK
    }

    /// The number by which pointers name a block of the file system.
    pub(super) fn number(&self, place: Place) -> u64 {
        place.group << self.group_log2() | place.block
    }

    /// The inode number of the first inode in this block.
    pub(super) fn first_inode(&self, place: Place) -> u64 {
        self.number(place) << INODES_LOG2
    }

    /// Where an inode stands, in bytes.
    pub(super) fn inode_offset(&self, inode: u64) -> u64 {
        let number = inode >> INODES_LOG2;
        let block = number & ((1 << self.group_log2()) - 1);
        let place = Place { group: number >> self.group_log2(), block };
        self.offset(place) + inode % (1 << INODES_LOG2) * INODE
    }

    /// How much of the whole inodes may take, in percent.
    pub(super) fn inode_percent(&self) -> u64 {
        if self.blocks < TIB / BLOCK { 25 } else { 5 }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::features::Kernel, *};

    /// As `mkfs.xfs` 6.1 and 6.13 say with `-N`.
    #[test]
    fn devices_are_divided_as_mkfs_does() {
        let features = Features::of(Kernel::Linux6_12);
        let divide = |mib: u64| {
            let geometry = Geometry::new(mib * MIB, 512, features).unwrap();
            (geometry.groups, geometry.group_blocks, geometry.blocks, geometry.log_blocks)
        };
        assert_eq!(divide(300), (4, 19_200, 76_800, 16_384));
        assert_eq!(divide(301), (4, 19_264, 77_056, 16_384));
        assert_eq!(divide(2000), (4, 128_000, 512_000, 16_384));
        assert_eq!(divide(64 << 10), (4, 4_194_304, 16_777_216, 16_384));
        assert_eq!(divide(129 << 10), (4, 8_454_144, 33_816_576, 16_512));
        assert_eq!(divide(3 << 20), (4, 201_326_592, 805_306_368, 393_216));
        assert_eq!(divide(4 << 20), (4, 268_435_455, 1_073_741_820, 521_728));
        assert_eq!(divide(5 << 20), (5, 268_435_455, 1_342_177_275, 521_728));
        assert_eq!(divide(16 << 20).0, 16);
        assert_eq!(Geometry::new(300 * MIB + 8704, 512, features).unwrap().group_blocks, 19_201);
        for (size, sector) in [(300 * MIB - 4096, 512), (301 * MIB, 1024), (301 * MIB + 1, 512)] {
            assert!(Geometry::new(size, sector, features).is_err(), "{size} {sector}");
        }
        assert!(Geometry::new(16 * TIB + 4096, 4096, features).is_err());
    }
}

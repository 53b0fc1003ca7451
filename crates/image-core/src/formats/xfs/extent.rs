//! Where a run of a file's blocks stands ("Data Extents").

use super::{
    block::{Block, View},
    geometry::{Geometry, Place},
};

/// Bytes of one packed extent.
pub(super) const EXTENT: usize = 16;
/// The length has 21 bits.
const MAX_LEN: u64 = (1 << 21) - 1;

/// Blocks of the device that are one run, also in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    /// The first.
    pub(super) place: Place,
    pub(super) blocks: u64,
}

/// An extent as an inode or a B+tree has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    /// The first block in the file.
    pub(super) offset: u64,
    /// The number of the first block in the file system.
    pub(super) start: u64,
    pub(super) blocks: u64,
    /// Allocated, never written: reads as zeros.
    pub(super) unwritten: bool,
}

impl Extent {
    /// The extents that say: from block `offset` on, the file stands in `runs`.
    pub(super) fn list(geometry: &Geometry, mut offset: u64, runs: &[Run]) -> Vec<Self> {
        let mut extents = Vec::new();
        for run in runs {
            let mut start = geometry.number(run.place);
            let mut left = run.blocks;
            while left > 0 {
                let blocks = left.min(MAX_LEN);
                extents.push(Self { offset, start, blocks, unwritten: false });
                (offset, start, left) = (offset + blocks, start + blocks, left - blocks);
            }
        }
        extents
    }

    /// One bit, 54 of the offset, 52 of the start, 21 of the length.
    pub(super) fn to_bytes(self) -> Vec<u8> {
        let mut bytes = Block::new(EXTENT);
        bytes.set::<8>(0, u64::from(self.unwritten) << 63 | self.offset << 9 | self.start >> 43);
        bytes.set::<8>(8, self.start << 21 | self.blocks);
        bytes.into_bytes()
    }

    pub(super) fn parse(bytes: &[u8]) -> Self {
        let (high, low) = (View(bytes).get::<8>(0), View(bytes).get::<8>(8));
        Self {
            offset: high << 1 >> 10,
            start: (high & 0x1ff) << 43 | low >> 21,
            blocks: low & MAX_LEN,
            unwritten: high >> 63 == 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn packed_and_unpacked_it_is_the_same(
            offset in 0..1u64 << 54, start in 0..1u64 << 52, blocks in 0..=MAX_LEN, unwritten: bool,
        ) {
            let extent = Extent { offset, start, blocks, unwritten };
            prop_assert_eq!(Extent::parse(&extent.to_bytes()), extent);
        }
    }
}

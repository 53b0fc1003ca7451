//! The free space of a file system, given out.

use super::{
    extent::Run,
    geometry::{BLOCK, CHUNK_BLOCKS, Geometry, Place},
    group::{Group, Keep},
};
use std::ops::Range;

/// All groups, being filled from the first on.
pub(super) struct Space {
    pub(super) geometry: Geometry,
    pub(super) groups: Vec<Group>,
}

impl Space {
    pub(super) fn new(geometry: Geometry) -> Self {
        let groups = (0..geometry.groups).map(|number| Group::new(&geometry, number)).collect();
        Self { geometry, groups }
    }

    /// Bytes that can still be taken.
    pub(super) fn room(&self) -> u64 {
        let room = |group: &Group| group.room(&self.geometry, Keep::Nothing);
        self.groups.iter().map(room).sum::<u64>() * BLOCK
    }

    /// Takes a chunk of inodes of which `used` are in use.
    pub(super) fn take_chunk(&mut self, used: u64) -> Option<Place> {
        for keep in [Keep::Reserve, Keep::Nothing] {
            for (number, group) in (0..).zip(&mut self.groups) {
                if group.room(&self.geometry, keep) < CHUNK_BLOCKS {
                    continue;
                }
                let aligned = |run: &Range<u64>| {
                    let start = run.start.next_multiple_of(CHUNK_BLOCKS);
                    (start + CHUNK_BLOCKS <= run.end).then_some(start)
                };
                if let Some(block) = group.free().iter().find_map(aligned) {
                    group.take_chunk(block, used);
                    return Some(Place { group: number, block });
                }
            }
        }
        None
    }

    /// Takes blocks for an inode, whose block `offset` is the first of them: in one run if some
    /// group has one, else in the order of the groups.
    pub(super) fn take(&mut self, blocks: u64, inode: u64, offset: u64) -> Option<Vec<Run>> {
        let geometry = self.geometry;
        for (number, group) in (0..).zip(&mut self.groups) {
            let whole = group.free().iter().find(|run| run.end - run.start >= blocks);
            if let Some(block) = whole.map(|run| run.start)
                && blocks > 0
                && group.room(&geometry, Keep::Reserve) >= blocks
            {
                group.take(block, blocks, inode, offset);
                return Some(vec![Run { place: Place { group: number, block }, blocks }]);
            }
        }
        let mut runs = Vec::new();
        let mut taken = 0;
        for keep in [Keep::Reserve, Keep::Nothing] {
            for (number, group) in (0..).zip(&mut self.groups) {
                while taken < blocks {
                    let room = group.room(&geometry, keep);
                    let Some(run) = group.free().first().filter(|_| room > 0).cloned() else {
                        break;
                    };
                    let count = (run.end - run.start).min(room).min(blocks - taken);
                    group.take(run.start, count, inode, offset + taken);
                    let place = Place { group: number, block: run.start };
                    runs.push(Run { place, blocks: count });
                    taken += count;
                }
            }
        }
        (taken == blocks).then_some(runs)
    }
}

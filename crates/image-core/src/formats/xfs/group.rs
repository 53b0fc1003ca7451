//! One allocation group: who has its blocks, and the headers and B+trees that say so.

use super::{
    block::Block,
    btree::{self, Built, Kind, NULL, Record},
    geometry::{BLOCK, CHUNK_BLOCKS, CHUNK_INODES, Geometry, INODES_LOG2, Place},
};
use std::ops::Range;

/// Who has a run of blocks ("Reverse-Mapping B+tree"): an inode, or one of these.
pub(super) const OWNER_HEADERS: u64 = 3u64.wrapping_neg();
pub(super) const OWNER_LOG: u64 = 4u64.wrapping_neg();
pub(super) const OWNER_GROUP: u64 = 5u64.wrapping_neg();
pub(super) const OWNER_INODE_TREES: u64 = 6u64.wrapping_neg();
pub(super) const OWNER_INODES: u64 = 7u64.wrapping_neg();
pub(super) const OWNER_SHARED_TREE: u64 = 8u64.wrapping_neg();

/// Blocks with one owner.
#[derive(Clone, Copy, Debug)]
struct Owned {
    start: u64,
    blocks: u64,
    owner: u64,
    /// In the file, for an inode's.
    offset: u64,
}

impl Owned {
    fn is_of_inode(&self) -> bool {
        self.owner < OWNER_SHARED_TREE
    }
}

/// A chunk of inodes and how many of them are in use, from the first on.
#[derive(Clone, Copy, Debug)]
struct Chunk {
    block: u64,
    used: u64,
}

/// A group that is being filled. Blocks count from its start.
#[derive(Clone, Debug)]
pub(super) struct Group {
    number: u64,
    len: u64,
    free: Vec<Range<u64>>,
    owned: Vec<Owned>,
    chunks: Vec<Chunk>,
    free_list: u64,
}

/// Blocks of a group's B+trees beside their roots.
fn more_blocks(geometry: &Geometry, owned: usize, chunks: usize) -> u64 {
    let owners = if geometry.features.has_rmapbt() { Kind::Owners.blocks(owned) - 1 } else { 0 };
    // Every chunk but the last is full, so the tree of free inodes is always just its root.
    owners + Kind::Inodes.blocks(chunks) - 1
}

/// Metadata by its offset in the volume, in bytes.
pub(super) type Placed = Vec<(u64, Vec<u8>)>;

/// What a group is to keep free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keep {
    /// What a kernel that may write reserves for the growth of B+trees. It mounts without that
    /// too, but complains.
    Reserve,
    Nothing,
}

/// The figures of a group that its superblock adds up.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    /// Blocks that are free, or that the group's B+trees could give back.
    pub(super) free: u64,
    /// Inodes.
    pub(super) inodes: u64,
    /// Inodes not in use.
    pub(super) free_inodes: u64,
}

impl Group {
    /// Just the metadata that every group has, and the log in the group it belongs to.
    pub(super) fn new(geometry: &Geometry, number: u64) -> Self {
        let len = geometry.group_len(number);
        let mut group = Self {
            number,
            len,
            free: Vec::new(),
            owned: Vec::new(),
            chunks: Vec::new(),
            free_list: 0,
        };
        let mut next = 0;
        let mut own = |blocks, owner| {
            group.owned.push(Owned { start: next, blocks, owner, offset: 0 });
            next += blocks;
            next
        };
        own(geometry.header_blocks(), OWNER_HEADERS);
        own(2, OWNER_GROUP);
        own(2, OWNER_INODE_TREES);
        if geometry.features.has_rmapbt() {
            own(1, OWNER_GROUP);
        }
        let front = own(1, OWNER_SHARED_TREE);
        let mut end = front;
        if geometry.log().group == number {
            end = own(geometry.log_blocks, OWNER_LOG);
        }
        group.free_list = end;
        let end = own(geometry.free_list_blocks(), OWNER_GROUP);
        group.free.push(end..len);
        group
    }

    /// The free runs, in order.
    pub(super) fn free(&self) -> &[Range<u64>] {
        &self.free
    }

    /// How many blocks may be taken now: what is free, less what the B+trees still need and what
    /// is to be kept.
    pub(super) fn room(&self, geometry: &Geometry, keep: Keep) -> u64 {
        // One more for what is taken, two for the trees' own blocks, each in two pieces.
        let more = more_blocks(geometry, self.owned.len() + 5, self.chunks.len() + 1);
        let kept = match keep {
            // In the worst case there is a block of the tree of inodes for 1008 blocks, one of
            // the shared for 168, one of the owners for 84, and nodes above them: 1.9 %.
            Keep::Reserve => self.len / 50,
            Keep::Nothing => 0,
        };
        let free: u64 = self.free.iter().map(|run| run.end - run.start).sum();
        free.saturating_sub(more + kept)
    }

    /// Takes `blocks` of them at `start`, which are free, for `owner`.
    pub(super) fn take(&mut self, start: u64, blocks: u64, owner: u64, offset: u64) {
        let end = start + blocks;
        let parts = std::mem::take(&mut self.free).into_iter().flat_map(|run| {
            if run.start <= start && end <= run.end {
                [run.start..start, end..run.end]
            } else {
                [run, 0..0]
            }
        });
        self.free = parts.filter(|run| !run.is_empty()).collect();
        self.owned.push(Owned { start, blocks, owner, offset });
    }

    /// Takes a chunk of inodes at `block`.
    pub(super) fn take_chunk(&mut self, block: u64, used: u64) {
        self.take(block, CHUNK_BLOCKS, OWNER_INODES, 0);
        self.chunks.push(Chunk { block, used });
    }

    /// The blocks of the B+trees beside their roots, which are taken now.
    fn take_more(&mut self, blocks: u64, owner: u64) -> Option<Vec<u64>> {
        let mut numbers = Vec::new();
        while (numbers.len() as u64) < blocks {
            let run = self.free.first()?.clone();
            let count = (blocks - numbers.len() as u64).min(run.end - run.start);
            self.take(run.start, count, owner, 0);
            numbers.extend(run.start..run.start + count);
        }
        Some(numbers)
    }

    /// The blocks of the tree of owners. They are in it themselves, so it may take more of them.
    fn take_owner_blocks(&mut self, geometry: &Geometry) -> Option<Vec<u64>> {
        let mut need = 0;
        loop {
            let mut filled = self.clone();
            let blocks = filled.take_more(need, OWNER_GROUP)?;
            let records = filled.joined().len();
            match Kind::Owners.blocks(records) - 1 {
                more if more > need && geometry.features.has_rmapbt() => need = more,
                _ => {
                    *self = filled;
                    return Some(blocks);
                }
            }
        }
    }

    /// The metadata of the group, by byte offset in the volume, but for the superblock. None if
    /// there was no room left for it.
    pub(super) fn finish(
        mut self,
        geometry: &Geometry,
        uuid: &[u8; 16],
    ) -> Option<(Counts, Placed)> {
        let inode_blocks =
            self.take_more(Kind::Inodes.blocks(self.chunks.len()) - 1, OWNER_INODE_TREES)?;
        let owner_blocks = self.take_owner_blocks(geometry)?;
        let counts = self.counts(owner_blocks.len() as u64, geometry);
        let build = |kind, records, root, more: &[u64]| {
            btree::build(geometry, uuid, self.number, kind, records, (root, more))
        };
        let root = geometry.header_blocks();
        let by_place = build(Kind::FreeByPlace, self.by_place(), root, &[]);
        let by_length = build(Kind::FreeByLength, self.by_length(), root + 1, &[]);
        let inodes = build(Kind::Inodes, self.inodes(|_| true), root + 2, &inode_blocks);
        let has_free = |chunk: &Chunk| chunk.used < CHUNK_INODES;
        let free_inodes = build(Kind::FreeInodes, self.inodes(has_free), root + 3, &[]);
        let owners = geometry
            .features
            .has_rmapbt()
            .then(|| build(Kind::Owners, self.owners(), root + 4, &owner_blocks));
        let shared_root = root + if owners.is_some() { 5 } else { 4 };
        let shared = build(Kind::Shared, Vec::new(), shared_root, &[]);

        let sector = usize::try_from(geometry.sector_size).unwrap_or(0);
        let header = |magic: &[u8; 4]| {
            let mut header = Block::new(sector);
            header.put(0, magic);
            header.set::<4>(4, 1);
            header.set::<4>(8, self.number);
            header.set::<4>(12, self.len);
            header
        };
        let mut space = header(b"XAGF");
        space.set::<4>(16, root);
        space.set::<4>(20, root + 1);
        space.set::<4>(28, by_place.levels);
        space.set::<4>(32, by_length.levels);
        if let Some(owners) = &owners {
            space.set::<4>(24, root + 4);
            space.set::<4>(36, owners.levels);
            space.set::<4>(80, owners.blocks.len() as u64);
        }
        let listed = geometry.free_list_blocks();
        space.set::<4>(40, 1);
        space.set::<4>(44, listed);
        space.set::<4>(48, listed);
        let lengths = || self.free.iter().map(|run| run.end - run.start);
        space.set::<4>(52, lengths().sum());
        space.set::<4>(56, lengths().max().unwrap_or(0));
        space.set::<4>(60, owner_blocks.len() as u64);
        space.put(64, uuid);
        space.set::<4>(84, 1);
        space.set::<4>(88, shared_root);
        space.set::<4>(92, shared.levels);

        let mut table = header(b"XAGI");
        table.set::<4>(16, counts.inodes);
        table.set::<4>(20, root + 2);
        table.set::<4>(24, inodes.levels);
        table.set::<4>(28, counts.free_inodes);
        let newest = self.chunks.last().map_or(NULL, |chunk| chunk.block << INODES_LOG2);
        table.set::<4>(32, newest);
        // No directory is preferred, and no inode is unlinked but open.
        table.put(36, &[0xff; 4 + 64 * 4]);
        table.put(296, uuid);
        table.set::<4>(328, root + 3);
        table.set::<4>(332, free_inodes.levels);
        table.set::<4>(336, inodes.blocks.len() as u64);
        table.set::<4>(340, free_inodes.blocks.len() as u64);

        let mut list = Block::new(sector);
        list.put(0, b"XAFL");
        list.set::<4>(4, self.number);
        list.put(8, uuid);
        list.put(36, &vec![0xff; (sector - 36) / 4 * 4]);
        for (index, block) in (self.free_list..self.free_list + listed).enumerate() {
            list.set::<4>(40 + 4 * index, block);
        }

        let start = geometry.offset(Place { group: self.number, block: 0 });
        let mut placed = vec![
            (start + geometry.sector_size, space.seal(216)),
            (start + 2 * geometry.sector_size, table.seal(312)),
            (start + 3 * geometry.sector_size, list.seal(32)),
        ];
        for Built { blocks, .. } in
            [Some(by_place), Some(by_length), Some(inodes), Some(free_inodes), owners, Some(shared)]
                .into_iter()
                .flatten()
        {
            placed
                .extend(blocks.into_iter().map(|(number, block)| (start + number * BLOCK, block)));
        }
        Some((counts, placed))
    }

    fn counts(&self, owner_blocks: u64, geometry: &Geometry) -> Counts {
        let free: u64 = self.free.iter().map(|run| run.end - run.start).sum();
        let inodes = self.chunks.len() as u64 * CHUNK_INODES;
        Counts {
            free: free + geometry.free_list_blocks() + owner_blocks,
            inodes,
            free_inodes: inodes - self.chunks.iter().map(|chunk| chunk.used).sum::<u64>(),
        }
    }

    fn free_record(run: &Range<u64>) -> Record {
        let mut record = Block::new(8);
        record.set::<4>(0, run.start);
        record.set::<4>(4, run.end - run.start);
        Record::new(record.into_bytes(), 8)
    }

    fn by_place(&self) -> Vec<Record> {
        self.free.iter().map(Self::free_record).collect()
    }

    fn by_length(&self) -> Vec<Record> {
        let mut free = self.free.clone();
        free.sort_by_key(|run| (run.end - run.start, run.start));
        free.iter().map(Self::free_record).collect()
    }

    fn inodes(&self, wanted: impl Fn(&Chunk) -> bool) -> Vec<Record> {
        let mut chunks: Vec<_> = self.chunks.iter().filter(|chunk| wanted(chunk)).collect();
        chunks.sort_by_key(|chunk| chunk.block);
        let record = |chunk: &&Chunk| {
            let mut record = Block::new(16);
            record.set::<4>(0, chunk.block << INODES_LOG2);
            record.set::<1>(6, CHUNK_INODES);
            record.set::<1>(7, CHUNK_INODES - chunk.used);
            record.set::<8>(
                8,
                u64::MAX.checked_shl(u32::try_from(chunk.used).unwrap_or(64)).unwrap_or(0),
            );
            Record::new(record.into_bytes(), 4)
        };
        chunks.iter().map(record).collect()
    }

    /// What is owned, in order. Runs of one owner that meet are one.
    fn joined(&self) -> Vec<Owned> {
        let mut owned = self.owned.clone();
        owned.sort_by_key(|run| run.start);
        let mut joined: Vec<Owned> = Vec::new();
        for run in owned {
            match joined.last_mut() {
                Some(last)
                    if last.owner == run.owner
                        && last.start + last.blocks == run.start
                        && (!run.is_of_inode() || last.offset + last.blocks == run.offset) =>
                {
                    last.blocks += run.blocks;
                }
                _ => joined.push(run),
            }
        }
        joined
    }

    fn owners(&self) -> Vec<Record> {
        let key = |start, owner, offset| {
            let mut key = Block::new(20);
            key.set::<4>(0, start);
            key.set::<8>(4, owner);
            key.set::<8>(12, offset);
            key.into_bytes()
        };
        let record = |run: &Owned| {
            let mut record = Block::new(24);
            record.set::<4>(0, run.start);
            record.set::<4>(4, run.blocks);
            record.set::<8>(8, run.owner);
            record.set::<8>(16, run.offset);
            let by = run.blocks - 1;
            let last_offset = run.offset + if run.is_of_inode() { by } else { 0 };
            Record {
                key: key(run.start, run.owner, run.offset),
                last_key: key(run.start + by, run.owner, last_offset),
                bytes: record.into_bytes(),
            }
        };
        self.joined().iter().map(record).collect()
    }
}

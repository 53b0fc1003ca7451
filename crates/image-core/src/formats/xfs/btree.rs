//! The B+trees of an allocation group, built whole from sorted records ("Short Format B+trees").

use super::{
    block::Block,
    geometry::{BLOCK, Geometry, Place},
};

/// Bytes in front of the records of each block.
const HEADER: usize = 56;
const CHECKSUM: usize = 52;
/// No block.
pub(super) const NULL: u64 = 0xffff_ffff;

/// What kind of records a tree has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Free space by place.
    FreeByPlace,
    /// Free space by length.
    FreeByLength,
    /// Chunks of inodes.
    Inodes,
    /// Chunks with free inodes.
    FreeInodes,
    /// Who has which blocks.
    Owners,
    /// Blocks that several files share.
    Shared,
}

impl Kind {
    fn magic(self) -> &'static [u8; 4] {
        match self {
            Self::FreeByPlace => b"AB3B",
            Self::FreeByLength => b"AB3C",
            Self::Inodes => b"IAB3",
            Self::FreeInodes => b"FIB3",
            Self::Owners => b"RMB3",
            Self::Shared => b"R3FC",
        }
    }

    /// Bytes of a record.
    fn record(self) -> usize {
        match self {
            Self::FreeByPlace | Self::FreeByLength => 8,
            Self::Inodes | Self::FreeInodes => 16,
            Self::Owners => 24,
            Self::Shared => 12,
        }
    }

    /// Bytes of a key. Records of owners may overlap, so their keys say from where to where.
    fn key(self) -> usize {
        match self {
            Self::FreeByPlace | Self::FreeByLength => 8,
            Self::Inodes | Self::FreeInodes | Self::Shared => 4,
            Self::Owners => 40,
        }
    }

    /// How many records a leaf has room for.
    fn leaf_room(self) -> usize {
        (size() - HEADER) / self.record()
    }

    /// How many children a node has room for.
    fn node_room(self) -> usize {
        (size() - HEADER) / (self.key() + 4)
    }

    /// How many blocks a tree of this many records takes, the root among them.
    pub(super) fn blocks(self, records: usize) -> u64 {
        let mut level = records.div_ceil(self.leaf_room()).max(1);
        let mut blocks = level;
        while level > 1 {
            level = level.div_ceil(self.node_room());
            blocks += level;
        }
        blocks as u64
    }
}

fn size() -> usize {
    usize::try_from(BLOCK).unwrap_or(0)
}

/// A record with its key; for owners also the last key it covers.
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub(super) key: Vec<u8>,
    pub(super) last_key: Vec<u8>,
    pub(super) bytes: Vec<u8>,
}

impl Record {
    /// A record that begins with its key of `key` bytes.
    pub(super) fn new(bytes: Vec<u8>, key: usize) -> Self {
        Self { key: bytes[..key].to_vec(), last_key: Vec::new(), bytes }
    }
}

/// A tree that was built.
pub(super) struct Built {
    /// How many levels it has; one is just the root.
    pub(super) levels: u64,
    /// Its blocks, with their numbers in the group.
    pub(super) blocks: Vec<(u64, Vec<u8>)>,
}

/// Builds a tree with its root in block `root` of group `group` and the others in `more`, which
/// has as many as [`Kind::blocks`] says. Blocks of a level are filled evenly, so all but the
/// root are at least half full.
pub(super) fn build(
    geometry: &Geometry,
    uuid: &[u8; 16],
    group: u64,
    kind: Kind,
    records: Vec<Record>,
    (root, more): (u64, &[u64]),
) -> Built {
    let mut more = more.iter().copied();
    let mut built = Built { levels: 0, blocks: Vec::new() };
    let mut records = records;
    loop {
        let is_leaf = built.levels == 0;
        let most = if is_leaf { kind.leaf_room() } else { kind.node_room() };
        let count = records.len().div_ceil(most).max(1);
        let numbers: Vec<u64> = match count {
            1 => vec![root],
            _ => more.by_ref().take(count).collect(),
        };
        let mut above = Vec::new();
        for (index, &number) in numbers.iter().enumerate() {
            let share = records.len() * index / count..records.len() * (index + 1) / count;
            let share = &records[share];
            let beside = |index: Option<usize>| {
                index.and_then(|index| numbers.get(index)).copied().unwrap_or(NULL)
            };
            let mut block = Block::new(size());
            block.put(0, kind.magic());
            block.set::<2>(4, built.levels);
            block.set::<2>(6, share.len() as u64);
            block.set::<4>(8, beside(index.checked_sub(1)));
            block.set::<4>(12, beside(Some(index + 1)));
            block.set::<8>(16, geometry.offset(Place { group, block: number }) / 512);
            block.put(32, uuid);
            block.set::<4>(48, group);
            for (row, record) in share.iter().enumerate() {
                if is_leaf {
                    block.put(HEADER + row * kind.record(), &record.bytes);
                } else {
                    let key = HEADER + row * kind.key();
                    block.put(key, &record.key);
                    block.put(key + record.key.len(), &record.last_key);
                    block.put(HEADER + most * kind.key() + row * 4, &record.bytes);
                }
            }
            built.blocks.push((number, block.seal(CHECKSUM)));
            if let (Some(first), Some(last)) = (share.first(), share.last()) {
                let mut pointer = Block::new(4);
                pointer.set::<4>(0, number);
                above.push(Record {
                    key: first.key.clone(),
                    last_key: last.last_key.clone(),
                    bytes: pointer.into_bytes(),
                });
            }
        }
        built.levels += 1;
        if count == 1 {
            return built;
        }
        records = above;
    }
}

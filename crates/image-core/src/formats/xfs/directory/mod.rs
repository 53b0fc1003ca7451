//! Directories: in their inode, in one block, or in blocks with an index ("Directories").
//!
//! To read one, the index is not needed.

mod data;
mod index;
mod short;

pub(super) use data::parse as parse_data;
pub(super) use short::parse as parse_short;

use super::{
    geometry::{BLOCK, Geometry},
    inode::{BLOCK_DEVICE, CHARACTER, DIRECTORY, FIFO, FILE, FORK_LEN, SYMLINK},
};

/// Where in a directory's file the index starts, in bytes, and where the list of free space.
pub(super) const INDEX: u64 = 32 << 30;
pub(super) const FREE: u64 = 64 << 30;

/// One name in a directory.
#[derive(Clone, Debug)]
pub(super) struct Entry<'a> {
    pub(super) name: &'a str,
    pub(super) inode: u64,
    /// The type in `st_mode`.
    pub(super) kind: u64,
}

impl Entry<'_> {
    /// How an entry tells the type.
    fn type_code(&self) -> u64 {
        match self.kind {
            FILE => 1,
            DIRECTORY => 2,
            CHARACTER => 3,
            BLOCK_DEVICE => 4,
            FIFO => 5,
            SYMLINK => 7,
            _ => 0,
        }
    }
}

/// A directory with its names, in the form it will have.
pub(super) struct Directory<'a> {
    /// Its own inode and its parent's.
    pub(super) inode: u64,
    pub(super) parent: u64,
    entries: Vec<Entry<'a>>,
    form: Form,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Short,
    Block,
    /// In data blocks, with an index and a list of free space of so many blocks. An index of one
    /// block has the list in it.
    Indexed {
        data: u64,
        index: u64,
        free: u64,
    },
}

/// The three parts of a directory's file: where each starts and how many blocks it has.
pub(super) type Part = (u64, u64);

impl<'a> Directory<'a> {
    pub(super) fn new(inode: u64, parent: u64, entries: Vec<Entry<'a>>) -> Self {
        let mut directory = Self { inode, parent, entries, form: Form::Short };
        if short::len(&directory) > FORK_LEN {
            let all = directory.all();
            let data = data::blocks(&all);
            directory.form = if data::fits_one(&all) {
                Form::Block
            } else {
                let (index, free) = index::blocks(all.len(), data);
                Form::Indexed { data, index, free }
            };
        }
        directory
    }

    /// Blocks of each part, with the block in the file where it starts. None are in an inode.
    pub(super) fn parts(&self) -> Vec<Part> {
        let parts = match self.form {
            Form::Short => return Vec::new(),
            Form::Block => [(0, 1), (INDEX / BLOCK, 0), (FREE / BLOCK, 0)],
            Form::Indexed { data, index, free } => {
                [(0, data), (INDEX / BLOCK, index), (FREE / BLOCK, free)]
            }
        };
        parts.into_iter().filter(|&(_, blocks)| blocks > 0).collect()
    }

    /// The length that its inode says.
    pub(super) fn size(&self) -> u64 {
        match self.form {
            Form::Short => short::len(self) as u64,
            Form::Block => BLOCK,
            Form::Indexed { data, .. } => data * BLOCK,
        }
    }

    /// What stands in its inode, if it stands there.
    pub(super) fn short(&self) -> Option<Vec<u8>> {
        (self.form == Form::Short).then(|| short::bytes(self))
    }

    /// The blocks of all parts, in order. `addresses` says where each stands, in 512 bytes.
    pub(super) fn blocks(&self, uuid: &[u8; 16], addresses: &[u64]) -> Vec<Vec<u8>> {
        let all = self.all();
        let stamp = |index: usize| Stamp {
            uuid: *uuid,
            owner: self.inode,
            address: addresses.get(index).copied().unwrap_or(0),
        };
        match self.form {
            Form::Short => Vec::new(),
            Form::Block => vec![data::single(&all, &stamp(0))],
            Form::Indexed { .. } => {
                let (mut blocks, hashes, room) = data::many(&all, &stamp);
                let first = blocks.len();
                blocks.extend(index::build(hashes, &room, &|index| stamp(first + index)));
                blocks
            }
        }
    }

    /// The names with the two that every directory has.
    fn all(&self) -> Vec<Entry<'a>> {
        let own = [(".", self.inode), ("..", self.parent)];
        let own = own.map(|(name, inode)| Entry { name, inode, kind: DIRECTORY });
        own.into_iter().chain(self.entries.iter().cloned()).collect()
    }
}

/// Whose block it is and where it stands, in 512 bytes.
struct Stamp {
    uuid: [u8; 16],
    owner: u64,
    address: u64,
}

/// The number by which names are looked up.
fn hash(name: &str) -> u64 {
    let mut hash: u32 = 0;
    for chunk in name.as_bytes().chunks(4) {
        let folded = chunk.iter().fold(0, |sum: u32, &byte| sum << 7 ^ u32::from(byte));
        hash = folded ^ hash.rotate_left(7 * u32::try_from(chunk.len()).unwrap_or(0));
    }
    hash.into()
}

/// Where each block of `parts` stands, in 512 bytes.
pub(super) fn addresses(geometry: &Geometry, runs: &[super::extent::Run]) -> Vec<u64> {
    runs.iter()
        .flat_map(|run| {
            let start = geometry.offset(run.place);
            (0..run.blocks).map(move |block| (start + block * BLOCK) / 512)
        })
        .collect()
}

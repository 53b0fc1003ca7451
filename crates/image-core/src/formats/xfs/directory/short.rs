//! A directory within its inode ("Short Form Directories").

use super::{Directory, data};
use crate::formats::xfs::block::{Block, View};

/// Bytes of inode numbers: 8 if one of them needs it.
fn width(directory: &Directory<'_>) -> usize {
    let is_large = |inode: u64| inode > u64::from(u32::MAX);
    let large =
        is_large(directory.parent) || directory.entries.iter().any(|entry| is_large(entry.inode));
    if large { 8 } else { 4 }
}

/// How many bytes it takes.
pub(super) fn len(directory: &Directory<'_>) -> usize {
    let width = width(directory);
    let entries = directory.entries.iter().map(|entry| 4 + entry.name.len() + width);
    2 + width + entries.sum::<usize>()
}

pub(super) fn bytes(directory: &Directory<'_>) -> Vec<u8> {
    let width = width(directory);
    let mut block = Block::new(len(directory));
    let count = directory.entries.len() as u64;
    let number = |block: &mut Block, at, inode| {
        if width == 8 { block.set::<8>(at, inode) } else { block.set::<4>(at, inode) }
    };
    block.set::<1>(0, count);
    block.set::<1>(1, if width == 8 { count } else { 0 });
    number(&mut block, 2, directory.parent);
    let mut at = 2 + width;
    // Where the entry would stand if the directory were a block: a cookie for whoever lists it.
    let mut offset = data::HEADER + data::len(".") + data::len("..");
    for entry in &directory.entries {
        block.set::<1>(at, entry.name.len() as u64);
        block.set::<2>(at + 1, offset as u64);
        block.put(at + 3, entry.name.as_bytes());
        at += 3 + entry.name.len();
        block.set::<1>(at, entry.type_code());
        number(&mut block, at + 1, entry.inode);
        at += 1 + width;
        offset += data::len(entry.name);
    }
    block.into_bytes()
}

/// The names and inodes in the fork of an inode, whose length is `fork`'s; none if they do not
/// end where they should.
pub(in crate::formats::xfs) fn parse(fork: &[u8]) -> Option<Vec<(Vec<u8>, u64)>> {
    let view = View(fork);
    let width = if view.get::<1>(1) == 0 { 4 } else { 8 };
    let mut at = 2 + width;
    let mut entries = Vec::new();
    for _ in 0..view.get::<1>(0) {
        let len = usize::try_from(view.get::<1>(at)).ok()?;
        let name = view.bytes(at + 3, len)?.to_vec();
        at += 4 + len;
        let number = view.bytes(at, width)?;
        entries.push((name, number.iter().fold(0, |sum, &byte| sum << 8 | u64::from(byte))));
        at += width;
    }
    Some(entries)
}

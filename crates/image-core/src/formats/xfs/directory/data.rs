//! The blocks of a directory that hold its names ("Block Directories", "Leaf Directories").

use super::{BLOCK, Entry, Stamp, hash};
use crate::formats::xfs::block::{Block, View};

/// Bytes in front of the entries.
pub(super) const HEADER: usize = 64;
const CHECKSUM: usize = 4;
/// Bytes of a hash with the place of its entry, and of what stands after them in a block that
/// has both.
const HASH: usize = 8;
const TAIL: usize = 8;
const SINGLE: &[u8] = b"XDB3";
const MANY: &[u8] = b"XDD3";
/// Marks unused space; no inode number starts with it.
const UNUSED: u64 = 0xffff;

/// A hash and where its entry stands, in 8 bytes from the start of the directory.
pub(super) type Hashed = (u64, u64);

fn size() -> usize {
    usize::try_from(BLOCK).unwrap_or(0)
}

/// Bytes of an entry: inode, length, name, type and its own offset, to a multiple of 8.
pub(super) fn len(name: &str) -> usize {
    (8 + 1 + name.len() + 1 + 2).next_multiple_of(8)
}

/// Whether all entries fit one block, with their hashes.
pub(super) fn fits_one(entries: &[Entry<'_>]) -> bool {
    let bytes: usize = entries.iter().map(|entry| len(entry.name) + HASH).sum();
    HEADER + bytes + TAIL <= size()
}

/// How the entries are spread over blocks without hashes.
fn spread<'a, 'n>(entries: &'a [Entry<'n>]) -> Vec<&'a [Entry<'n>]> {
    let mut blocks = Vec::new();
    let (mut start, mut end) = (0, HEADER);
    for (index, entry) in entries.iter().enumerate() {
        let len = len(entry.name);
        if end + len > size() {
            blocks.push(&entries[start..index]);
            (start, end) = (index, HEADER);
        }
        end += len;
    }
    blocks.push(&entries[start..]);
    blocks
}

/// How many blocks the entries take.
pub(super) fn blocks(entries: &[Entry<'_>]) -> u64 {
    spread(entries).len() as u64
}

/// Fills a block up to `end`; gives back it, the hashes, and how much is left.
fn fill(
    entries: &[Entry<'_>],
    magic: &[u8],
    number: usize,
    end: usize,
    stamp: &Stamp,
) -> (Block, Vec<Hashed>, usize) {
    let mut block = Block::new(size());
    block.put(0, magic);
    block.set::<8>(8, stamp.address);
    block.put(24, &stamp.uuid);
    block.set::<8>(40, stamp.owner);
    let mut hashes = Vec::new();
    let mut at = HEADER;
    for entry in entries {
        let len = len(entry.name);
        block.set::<8>(at, entry.inode);
        block.set::<1>(at + 8, entry.name.len() as u64);
        block.put(at + 9, entry.name.as_bytes());
        block.set::<1>(at + 9 + entry.name.len(), entry.type_code());
        block.set::<2>(at + len - 2, at as u64);
        hashes.push((hash(entry.name), ((number * size() + at) / 8) as u64));
        at += len;
    }
    let left = end - at;
    if left > 0 {
        block.set::<2>(at, UNUSED);
        block.set::<2>(at + 2, left as u64);
        block.set::<2>(end - 2, at as u64);
        // The longest free run, of which there is one.
        block.set::<2>(48, at as u64);
        block.set::<2>(50, left as u64);
    }
    (block, hashes, left)
}

/// The one block of a directory, with its hashes.
pub(super) fn single(entries: &[Entry<'_>], stamp: &Stamp) -> Vec<u8> {
    let end = size() - TAIL - HASH * entries.len();
    let (mut block, mut hashes, _) = fill(entries, SINGLE, 0, end, stamp);
    hashes.sort_unstable();
    for (row, (hash, place)) in hashes.iter().enumerate() {
        block.set::<4>(end + row * HASH, *hash);
        block.set::<4>(end + row * HASH + 4, *place);
    }
    block.set::<4>(size() - TAIL, hashes.len() as u64);
    block.seal(CHECKSUM)
}

/// The blocks of a directory whose hashes stand elsewhere: with them, and with how much is left
/// in each.
pub(super) fn many(
    entries: &[Entry<'_>],
    stamp: &dyn Fn(usize) -> Stamp,
) -> (Vec<Vec<u8>>, Vec<Hashed>, Vec<u64>) {
    let (mut blocks, mut hashes, mut room) = (Vec::new(), Vec::new(), Vec::new());
    for (number, entries) in spread(entries).into_iter().enumerate() {
        let (block, more, left) = fill(entries, MANY, number, size(), &stamp(number));
        blocks.push(block.seal(CHECKSUM));
        hashes.extend(more);
        room.push(left as u64);
    }
    hashes.sort_unstable();
    (blocks, hashes, room)
}

/// The names and inodes in a block of either kind; else what is wrong with it.
pub(in crate::formats::xfs) fn parse(
    block: &[u8],
    verify: bool,
) -> Result<Vec<(Vec<u8>, u64)>, &'static str> {
    let view = View(block);
    let end = if block.starts_with(MANY) {
        block.len()
    } else if block.starts_with(SINGLE) {
        let tail = block.len().saturating_sub(TAIL);
        let hashes = usize::try_from(view.get::<4>(tail)).unwrap_or(usize::MAX);
        let end = tail.checked_sub(hashes.saturating_mul(HASH));
        end.ok_or("has more hashes than it has room for")?
    } else {
        return Err("is no block of names");
    };
    if verify && !view.is_sealed(CHECKSUM) {
        return Err("has a wrong checksum");
    }
    let mut entries = Vec::new();
    let mut at = HEADER;
    while at < end {
        let len = if view.get::<2>(at) == UNUSED {
            usize::try_from(view.get::<2>(at + 2)).unwrap_or(0)
        } else {
            let name = usize::try_from(view.get::<1>(at + 8)).unwrap_or(0);
            let name = view.bytes(at + 9, name).ok_or("has a name that is too long")?;
            entries.push((name.to_vec(), view.get::<8>(at)));
            (8 + 1 + name.len() + 1 + 2).next_multiple_of(8)
        };
        if len < 8 || len % 8 != 0 || len > end - at || view.get::<2>(at + len - 2) != at as u64 {
            return Err("has an entry that does not end where it should");
        }
        at += len;
    }
    Ok(entries)
}

//! The index of a directory: a B+tree of hashes, and how much room each block of names has
//! ("Leaf Directories", "Node Directories").

use super::{BLOCK, INDEX, Stamp, data::Hashed};
use crate::formats::xfs::block::Block;

/// Bytes in front of the rows of a leaf or node, and of a list of free space.
const HEADER: usize = 64;
/// Bytes of a row: a hash, and the place of an entry or the number of a block.
const ROW: usize = 8;
const LONE_LEAF: u64 = 0x3df1;
const LEAF: u64 = 0x3dff;
const NODE: u64 = 0x3ebe;
const CHECKSUM: usize = 12;
const FREE_CHECKSUM: usize = 4;

fn size() -> usize {
    usize::try_from(BLOCK).unwrap_or(0)
}

fn rows() -> usize {
    (size() - HEADER) / ROW
}

/// Figures in a list of free space, 2 bytes each.
fn figures() -> usize {
    (size() - HEADER) / 2
}

/// Whether one leaf takes the hashes and the free space of so many blocks.
fn is_lone(hashes: usize, data: usize) -> bool {
    HEADER + hashes * ROW + data * 2 + 4 <= size()
}

/// How many blocks the index and the list of free space take.
pub(super) fn blocks(hashes: usize, data: u64) -> (u64, u64) {
    let data = usize::try_from(data).unwrap_or(usize::MAX);
    if is_lone(hashes, data) {
        return (1, 0);
    }
    let mut level = hashes.div_ceil(rows());
    let mut blocks = level;
    while level > 1 {
        level = level.div_ceil(rows());
        blocks += level;
    }
    (blocks as u64, data.div_ceil(figures()) as u64)
}

/// The blocks of the index, the root first, and of the list of free space. `room` says what is
/// left in each block of names.
pub(super) fn build(
    hashes: Vec<Hashed>,
    room: &[u64],
    stamp: &dyn Fn(usize) -> Stamp,
) -> Vec<Vec<u8>> {
    let first = usize::try_from(INDEX / BLOCK).unwrap_or(0);
    if is_lone(hashes.len(), room.len()) {
        let mut leaf = block(LONE_LEAF, 0, [0, 0], &hashes, &stamp(0));
        let rooms = size() - 4 - room.len() * 2;
        for (index, &left) in room.iter().enumerate() {
            leaf.set::<2>(rooms + index * 2, left);
        }
        leaf.set::<4>(size() - 4, room.len() as u64);
        return vec![leaf.seal(CHECKSUM)];
    }
    // The root has to be the first; the others follow level by level, from the leaves up.
    let mut next = 1;
    let (mut top, mut others) = (Vec::new(), Vec::new());
    let (mut level, mut below) = (0, hashes);
    loop {
        let count = below.len().div_ceil(rows());
        let is_root = count == 1;
        let number = |index: usize| if is_root { 0 } else { next + index };
        let magic = if level == 0 { LEAF } else { NODE };
        let mut above = Vec::new();
        for index in 0..count {
            let share = &below[below.len() * index / count..below.len() * (index + 1) / count];
            let place = |index: usize| (first + number(index)) as u64;
            let after = if index + 1 < count { place(index + 1) } else { 0 };
            let before = index.checked_sub(1).map_or(0, place);
            let made = block(magic, level, [after, before], share, &stamp(number(index)));
            let made = made.seal(CHECKSUM);
            if is_root { &mut top } else { &mut others }.push(made);
            above.extend(share.last().map(|(hash, _)| (*hash, place(index))));
        }
        if is_root {
            break;
        }
        next += count;
        (level, below) = (level + 1, above);
    }
    let free = room.chunks(figures()).enumerate().map(|(index, figures)| {
        let stamp = stamp(next + index);
        let mut list = Block::new(size());
        list.put(0, b"XDF3");
        list.set::<8>(8, stamp.address);
        list.put(24, &stamp.uuid);
        list.set::<8>(40, stamp.owner);
        list.set::<4>(48, (index * self::figures()) as u64);
        list.set::<4>(52, figures.len() as u64);
        list.set::<4>(56, figures.len() as u64);
        for (index, &left) in figures.iter().enumerate() {
            list.set::<2>(HEADER + index * 2, left);
        }
        list.seal(FREE_CHECKSUM)
    });
    top.into_iter().chain(others).chain(free).collect()
}

/// A leaf or node between its neighbours.
fn block(magic: u64, level: u64, beside: [u64; 2], rows: &[Hashed], stamp: &Stamp) -> Block {
    let mut block = Block::new(size());
    block.set::<4>(0, beside[0]);
    block.set::<4>(4, beside[1]);
    block.set::<2>(8, magic);
    block.set::<8>(16, stamp.address);
    block.put(32, &stamp.uuid);
    block.set::<8>(48, stamp.owner);
    block.set::<2>(56, rows.len() as u64);
    // A leaf has the number of stale rows here, of which it has none.
    block.set::<2>(58, level);
    for (row, (hash, place)) in rows.iter().enumerate() {
        block.set::<4>(HEADER + row * ROW, *hash);
        block.set::<4>(HEADER + row * ROW + 4, *place);
    }
    block
}

#[cfg(test)]
mod tests {
    use super::{super::FREE, *};

    #[test]
    fn an_index_has_as_many_blocks_as_was_said() {
        assert_eq!(FREE, 2 * INDEX);
        for count in [500, 504, 505, 5_000, 254_016, 254_017, 600_000] {
            let hashes: Vec<_> = (0..count as u64).map(|hash| (hash, hash)).collect();
            let room = vec![8; count / 90];
            let stamp = |_| Stamp { uuid: [7; 16], owner: 1, address: 2 };
            let built = build(hashes, &room, &stamp);
            let (index, free) = blocks(count, room.len() as u64);
            assert_eq!(built.len() as u64, index + free, "{count}");
        }
    }
}

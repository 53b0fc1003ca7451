//! The target of a symbolic link that is too long for its inode ("Symbolic Links").

use super::{
    block::{Block, View},
    geometry::BLOCK,
};

const MAGIC: &[u8] = b"XSLM";
const HEADER: usize = 56;
const CHECKSUM: usize = 12;
/// The longest target in bytes that the format stores, and that Linux reads.
pub(super) const MAX_STORED: usize = 1024;
pub(super) const MAX_TARGET: usize = MAX_STORED - 1;

/// The one block of a target; `owner` is its inode, `address` where it stands, in 512 bytes.
pub(super) fn block(target: &str, uuid: &[u8; 16], owner: u64, address: u64) -> Vec<u8> {
    let mut block = Block::new(usize::try_from(BLOCK).unwrap_or(0));
    block.put(0, MAGIC);
    block.set::<4>(8, target.len() as u64);
    block.put(16, uuid);
    block.set::<8>(32, owner);
    block.set::<8>(40, address);
    block.put(HEADER, target.as_bytes());
    block.seal(CHECKSUM)
}

/// The piece of a target that a block holds, with where in the target it belongs.
pub(super) fn piece(block: &[u8], verify: bool) -> Option<(u64, &[u8])> {
    let view = View(block);
    if !block.starts_with(MAGIC) || (verify && !view.is_sealed(CHECKSUM)) {
        return None;
    }
    let len = usize::try_from(view.get::<4>(8)).ok()?;
    Some((view.get::<4>(4), view.bytes(HEADER, len)?))
}

//! Where the content of an inode stands, and the content.

use super::{
    FORMAT,
    block::View,
    extent::{EXTENT, Extent},
    inode::{FORMAT_BTREE, FORMAT_EXTENTS, FORMAT_LOCAL, Found, REALTIME},
    superblock::Superblock,
    symlink,
};
use crate::{
    blob::Blob,
    formats::{Error, Result},
    tree::TreePath,
};

/// What of a file system's tree may be held in memory, in bytes: paths, extents, directories.
const MEMORY: u64 = 256 << 20;
/// Bytes of memory for each byte of a packed extent: unpacked, and with the hole before it as
/// parts of a blob.
const MEMORY_PER_BYTE: u64 = 10;
/// The longest file Linux has.
const MAX_FILE: u64 = u64::MAX >> 1;
/// The longest extent of a link's target: one block of the largest size.
const MAX_TARGET_PIECE: u64 = 64 << 10;
/// Levels of a B+tree; 2^54 blocks need fewer.
const MAX_LEVELS: u64 = 12;
/// Bytes in front of the rows of a B+tree's root in an inode, and of its blocks; where in those
/// the checksum is.
const ROOT_HEADER: usize = 4;
const HEADER: usize = 72;
const CHECKSUM: usize = 64;

/// The inode at hand, for errors.
#[derive(Clone, Copy)]
pub(super) struct Subject<'a> {
    pub(super) path: &'a TreePath,
    pub(super) inode: u64,
}

/// Reads contents, and keeps account of what has been read.
pub(super) struct Contents<'a> {
    blob: &'a Blob,
    pub(super) superblock: &'a Superblock,
    pub(super) verify: bool,
    /// Bytes of memory that may still be used.
    left: u64,
}

impl<'a> Contents<'a> {
    pub(super) fn new(blob: &'a Blob, superblock: &'a Superblock, verify: bool) -> Self {
        Self { blob, superblock, verify, left: MEMORY }
    }

    pub(super) fn inode(&self, of: Subject<'_>) -> Result<Found> {
        let Some(offset) = self.superblock.inode_offset(of.inode) else {
            return Err(self.corrupt(of, "has an inode that is not there"));
        };
        let bytes = self.bytes(offset, self.superblock.inode_size)?;
        Found::parse(&bytes, of.inode, self.verify).map_err(|what| self.corrupt(of, what))
    }

    /// The target of a symbolic link.
    pub(super) fn target(&mut self, found: &Found, of: Subject<'_>) -> Result<String> {
        let sound = match usize::try_from(found.size) {
            Ok(len @ 1..=symlink::MAX_STORED) if found.format == FORMAT_LOCAL => {
                found.fork.get(..len).map(<[u8]>::to_vec)
            }
            Ok(len @ 1..=symlink::MAX_STORED) => self.remote_target(found, len, of)?,
            _ => None,
        };
        sound
            .and_then(|target| String::from_utf8(target).ok())
            .filter(|target| !target.contains('\0'))
            .ok_or_else(|| self.corrupt(of, "is a link whose target is not sound"))
    }

    /// A target of `len` bytes that is not in its inode; none if it is not sound.
    fn remote_target(
        &mut self,
        found: &Found,
        len: usize,
        of: Subject<'_>,
    ) -> Result<Option<Vec<u8>>> {
        let mut target = Vec::new();
        for extent in self.extents(found, of)? {
            // Every extent has one header and one checksum, however many blocks it has.
            let size = extent.blocks * self.superblock.block_size;
            if size > MAX_TARGET_PIECE || target.len() >= len {
                return Ok(None);
            }
            let piece = self.bytes(self.offset(extent.start, of)?, size)?;
            match symlink::piece(&piece, self.verify) {
                Some((at, piece)) if at == target.len() as u64 => target.extend_from_slice(piece),
                _ => return Ok(None),
            }
        }
        Ok((target.len() == len).then_some(target))
    }

    /// The extents of an inode, in order and without overlaps.
    pub(super) fn extents(&mut self, found: &Found, of: Subject<'_>) -> Result<Vec<Extent>> {
        if found.flags & REALTIME != 0 {
            return Err(Error::unsupported(FORMAT, format!("{}, a real-time file,", of.path)));
        }
        let mut packed = Vec::new();
        match found.format {
            FORMAT_EXTENTS => {
                let len = usize::try_from(found.extents).ok().and_then(|n| n.checked_mul(EXTENT));
                let list = len.and_then(|len| found.fork.get(..len));
                let list = list.ok_or_else(|| self.corrupt(of, "has too many extents"))?;
                packed.extend_from_slice(list);
            }
            FORMAT_BTREE => {
                let view = View(&found.fork);
                let children = children(view, view.get::<2>(2), ROOT_HEADER);
                let children = children.ok_or_else(|| self.corrupt(of, TOO_MANY))?;
                self.descend(view.get::<2>(0), &children, of, &mut packed)?;
            }
            _ => return Err(self.corrupt(of, "has its content in no known form")),
        }
        self.spend(packed.len() as u64 * MEMORY_PER_BYTE)?;
        let extents: Vec<_> = packed.chunks_exact(EXTENT).map(Extent::parse).collect();
        let mut end = 0;
        for extent in &extents {
            if extent.offset < end || extent.blocks == 0 {
                return Err(self.corrupt(of, "has extents that overlap"));
            }
            let by = extent.blocks - 1;
            let last = self.offset(extent.start + by, of)?;
            if last.checked_sub(self.offset(extent.start, of)?)
                != Some(by * self.superblock.block_size)
            {
                return Err(self.corrupt(of, "has an extent over the end of a group"));
            }
            end = extent.offset + extent.blocks;
        }
        Ok(extents)
    }

    /// Collects the packed extents below `children`, whose parent is at `level`.
    fn descend(
        &mut self,
        level: u64,
        numbers: &[u64],
        of: Subject<'_>,
        packed: &mut Vec<u8>,
    ) -> Result<()> {
        let Some(level) = level.checked_sub(1).filter(|&level| level < MAX_LEVELS) else {
            return Err(self.corrupt(of, "has a B+tree of no possible height"));
        };
        for &number in numbers {
            self.spend(self.superblock.block_size)?;
            let offset = self.offset(number, of)?;
            let block = self.bytes(offset, self.superblock.block_size)?;
            let view = View(&block);
            let is_sealed = !self.verify || view.is_sealed(CHECKSUM);
            if !block.starts_with(b"BMA3") || view.get::<2>(4) != level || !is_sealed {
                let what = format!("has a B+tree whose block at byte {offset} is not sound");
                return Err(self.corrupt(of, &what));
            }
            let rows = view.get::<2>(6);
            if level > 0 {
                let children = children(view, rows, HEADER);
                let children = children.ok_or_else(|| self.corrupt(of, TOO_MANY))?;
                self.descend(level, &children, of, packed)?;
            } else {
                let len = usize::try_from(rows).unwrap_or(0) * EXTENT;
                let rows = view.bytes(HEADER, len).ok_or_else(|| self.corrupt(of, TOO_MANY))?;
                packed.extend_from_slice(rows);
            }
        }
        Ok(())
    }

    /// `size` bytes that stand in `extents`, zeros elsewhere.
    pub(super) fn join(&mut self, extents: &[Extent], size: u64, of: Subject<'_>) -> Result<Blob> {
        if size > MAX_FILE {
            return Err(self.corrupt(of, &format!("has {size} bytes")));
        }
        let block = self.superblock.block_size;
        let (mut parts, mut end) = (Vec::new(), 0);
        for extent in extents {
            // There may be blocks past the end, kept for growing.
            let from = extent.offset.saturating_mul(block).min(size);
            let len = (extent.blocks * block).min(size - from);
            parts.push(Blob::zeros(from - end));
            parts.push(if extent.unwritten {
                Blob::zeros(len)
            } else {
                let start = self.offset(extent.start, of)?;
                self.blob.slice(start..start + len)
            });
            end = from + len;
        }
        parts.push(Blob::zeros(size - end));
        Ok(Blob::concat(parts))
    }

    fn offset(&self, block: u64, of: Subject<'_>) -> Result<u64> {
        let offset = self.superblock.offset(block);
        offset.ok_or_else(|| self.corrupt(of, &format!("has block {block}, which is not there")))
    }

    fn bytes(&self, offset: u64, len: u64) -> Result<Vec<u8>> {
        let bytes = self.blob.slice(offset..offset + len).to_vec(len);
        bytes.map_err(|error| Error::io(FORMAT, error))
    }

    /// Takes `bytes` of the memory there is.
    pub(super) fn spend(&mut self, bytes: u64) -> Result<()> {
        let Some(left) = self.left.checked_sub(bytes) else {
            let need = (MEMORY - self.left).saturating_add(bytes);
            return Err(Error::too_large(FORMAT, "the file tree", need, MEMORY));
        };
        self.left = left;
        Ok(())
    }

    pub(super) fn corrupt(&self, of: Subject<'_>, what: &str) -> Error {
        let at = self.superblock.inode_offset(of.inode).unwrap_or(0);
        Error::corrupt(FORMAT, at, format!("{} (inode {}) {what}", of.path, of.inode))
    }
}

const TOO_MANY: &str = "has a B+tree with more rows than it has room for";

/// The numbers of a node's children, which stand behind the room for all its keys; none if they
/// are more than that.
fn children(node: View<'_>, rows: u64, header: usize) -> Option<Vec<u64>> {
    let room = node.0.len().checked_sub(header)? / 16;
    let rows = usize::try_from(rows).ok().filter(|&rows| rows <= room)?;
    Some((0..rows).map(|row| node.get::<8>(header + 8 * room + 8 * row)).collect())
}

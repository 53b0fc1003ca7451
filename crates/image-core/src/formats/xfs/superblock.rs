//! The superblock: what kind of file system this is and how it is divided ("Superblocks").

use super::{
    FORMAT,
    block::{Block, View},
    features::{FTYPE, READABLE},
    geometry::{BLOCK, CHUNK_BLOCKS, Geometry, INODE, INODES_LOG2},
    group::Counts,
};
use crate::{
    blob::Blob,
    formats::{Error, Result},
};

const MAGIC: &[u8] = b"XFSB";
const CHECKSUM: usize = 224;
/// The longest label.
pub(super) const LABEL: usize = 12;
/// Version 5 with link counters of 32 bits, aligned inodes, a log of version 2, second features,
/// directories of version 2, unwritten extents.
const VERSION: u64 = 0xb4a5;
/// Sectors are not 512 bytes.
const VERSION_SECTOR: u64 = 0x0800;
/// Counters that are written lazily, attributes of version 2, 32-bit projects, checksums.
const FEATURES2: u64 = 0x18a;
/// Sparse inodes come in this many blocks.
const SPARSE_BLOCKS: u64 = CHUNK_BLOCKS / 2;

/// The bytes of the sector; the same in front of every group. The root directory and the two
/// inodes of the (absent) real-time device are the first three inodes.
pub(super) fn bytes(
    geometry: &Geometry,
    label: &str,
    uuid: &[u8; 16],
    root: u64,
    counts: &Counts,
) -> Vec<u8> {
    let has_large_sectors = geometry.sector_size > 512;
    let mut block = Block::new(usize::try_from(geometry.sector_size).unwrap_or(0));
    block.put(0, MAGIC);
    block.set::<4>(4, BLOCK);
    block.set::<8>(8, geometry.blocks);
    block.put(32, uuid);
    block.set::<8>(48, geometry.number(geometry.log()));
    block.set::<8>(56, root);
    block.set::<8>(64, root + 1);
    block.set::<8>(72, root + 2);
    block.set::<4>(80, 1);
    block.set::<4>(84, geometry.group_blocks);
    block.set::<4>(88, geometry.groups);
    block.set::<4>(96, geometry.log_blocks);
    block.set::<2>(100, VERSION | if has_large_sectors { VERSION_SECTOR } else { 0 });
    block.set::<2>(102, geometry.sector_size);
    block.set::<2>(104, INODE);
    block.set::<2>(106, BLOCK / INODE);
    block.put(108, label.as_bytes());
    block.set::<1>(120, BLOCK.ilog2().into());
    block.set::<1>(121, geometry.sector_size.ilog2().into());
    block.set::<1>(122, INODE.ilog2().into());
    block.set::<1>(123, INODES_LOG2.into());
    block.set::<1>(124, geometry.group_log2().into());
    block.set::<1>(127, geometry.inode_percent());
    block.set::<8>(128, counts.inodes);
    block.set::<8>(136, counts.free_inodes);
    block.set::<8>(144, counts.free);
    block.set::<4>(180, CHUNK_BLOCKS);
    // A log of version 2 writes in units of the sector; 1 stands for "no unit".
    block.set::<4>(196, if has_large_sectors { geometry.sector_size } else { 1 });
    if has_large_sectors {
        block.set::<1>(193, geometry.sector_size.ilog2().into());
        block.set::<2>(194, geometry.sector_size);
    }
    // The second copy is for a kernel of old that read it there.
    block.set::<4>(200, FEATURES2);
    block.set::<4>(204, FEATURES2);
    block.set::<4>(212, geometry.features.ro_compat);
    block.set::<4>(216, geometry.features.incompat);
    block.set::<4>(228, SPARSE_BLOCKS);
    block.seal(CHECKSUM)
}

/// A superblock as it was found. Sizes in bytes unless it says otherwise.
#[derive(Clone, Debug)]
pub(super) struct Superblock {
    pub(super) label: String,
    pub(super) uuid: [u8; 16],
    pub(super) sector_size: u64,
    pub(super) block_size: u64,
    pub(super) inode_size: u64,
    pub(super) directory_block_size: u64,
    /// In blocks.
    pub(super) blocks: u64,
    /// In blocks.
    pub(super) group_blocks: u64,
    pub(super) groups: u64,
    pub(super) group_log2: u32,
    pub(super) inodes_log2: u32,
    pub(super) root: u64,
}

impl Superblock {
    /// Reads the superblock at the start of `volume` and checks what the reader goes by.
    pub(super) fn read(volume: &Blob, verify: bool) -> Result<Self> {
        let corrupt = |at, what: String| Error::corrupt(FORMAT, at, what);
        let read = |len| volume.slice(0..len).to_vec(len).map_err(|error| Error::io(FORMAT, error));
        let sector = read(512)?;
        if sector.len() < 512 || !sector.starts_with(MAGIC) {
            return Err(corrupt(0, "no superblock".into()));
        }
        let view = View(&sector);
        let version = view.get::<2>(100) & 0xf;
        if version != 5 {
            return Err(Error::unsupported(FORMAT, format!("version {version}")));
        }
        let sector_size = view.get::<2>(102);
        if !sector_size.is_power_of_two() || !(512..=32_768).contains(&sector_size) {
            return Err(corrupt(102, format!("sectors of {sector_size} bytes")));
        }
        if verify && !View(&read(sector_size)?).is_sealed(CHECKSUM) {
            return Err(corrupt(CHECKSUM as u64, "the superblock has a wrong checksum".into()));
        }
        let incompat = view.get::<4>(216);
        if incompat & !READABLE != 0 || incompat & FTYPE == 0 {
            let what = format!("a file system with the incompatible features {incompat:#x}");
            return Err(Error::unsupported(FORMAT, what));
        }
        let power = |at: usize, least: u32, most: u32| {
            let log2 = u32::try_from(view.get::<1>(at)).unwrap_or(u32::MAX);
            if (least..=most).contains(&log2) {
                return Ok(log2);
            }
            Err(corrupt(at as u64, format!("a size of 2^{log2}, not 2^{least} to 2^{most}")))
        };
        let block_log2 = power(120, 9, 16)?;
        let inode_log2 = power(122, 9, 11.min(block_log2))?;
        let group_log2 = power(124, 1, 31)?;
        let directory_log2 = power(192, 0, 16 - block_log2)?;
        let superblock = Self {
            label: String::from_utf8_lossy(view.bytes(108, LABEL).unwrap_or(&[]))
                .trim_end_matches('\0')
                .to_owned(),
            uuid: volume.array(32).map_err(|error| Error::io(FORMAT, error))?,
            sector_size,
            block_size: 1 << block_log2,
            inode_size: 1 << inode_log2,
            directory_block_size: 1 << (block_log2 + directory_log2),
            blocks: view.get::<8>(8),
            group_blocks: view.get::<4>(84),
            groups: view.get::<4>(88),
            group_log2,
            inodes_log2: block_log2 - inode_log2,
            root: view.get::<8>(56),
        };
        let Self { block_size, blocks, groups, group_blocks, .. } = superblock;
        if group_blocks > 1 << group_log2 || groups * group_blocks < blocks || groups == 0 {
            let what = format!("{groups} groups of {group_blocks} blocks for {blocks}");
            return Err(corrupt(84, what));
        }
        if blocks.saturating_mul(block_size) > volume.len() {
            let have = volume.len();
            let what = format!("{blocks} blocks of {block_size} bytes in {have}: it is cut off");
            return Err(corrupt(8, what));
        }
        Ok(superblock)
    }

    /// Where a block stands, in bytes; none if there is no such block.
    pub(super) fn offset(&self, number: u64) -> Option<u64> {
        let (group, block) = (number >> self.group_log2, number & ((1 << self.group_log2) - 1));
        let absolute = group.checked_mul(self.group_blocks)?.checked_add(block)?;
        let is_there = block < self.group_blocks && absolute < self.blocks;
        is_there.then(|| absolute * self.block_size)
    }

    /// Where an inode stands, in bytes; none if there is no such place.
    pub(super) fn inode_offset(&self, inode: u64) -> Option<u64> {
        let within = inode & ((1 << self.inodes_log2) - 1);
        Some(self.offset(inode >> self.inodes_log2)? + within * self.inode_size)
    }
}

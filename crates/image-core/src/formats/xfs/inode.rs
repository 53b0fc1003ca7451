//! Inodes: who may use a file, how long it is, where it stands ("On-disk Inode").

use super::{
    block::{Block, View},
    extent::{EXTENT, Extent},
    geometry::INODE,
};

const MAGIC: &[u8] = b"IN";
const CHECKSUM: usize = 100;
/// Where in an inode its data fork starts.
const FORK: usize = 176;
/// Bytes of the data fork of our inodes, which have no attributes.
pub(super) const FORK_LEN: usize = 512 - FORK;
/// How many extents a data fork has room for.
pub(super) const MAX_EXTENTS: usize = FORK_LEN / EXTENT;

pub(super) const FORMAT_DEVICE: u64 = 0;
pub(super) const FORMAT_LOCAL: u64 = 1;
pub(super) const FORMAT_EXTENTS: u64 = 2;
pub(super) const FORMAT_BTREE: u64 = 3;

/// The file types of `st_mode`.
pub(super) const TYPE: u64 = 0o170_000;
pub(super) const FIFO: u64 = 0o010_000;
pub(super) const CHARACTER: u64 = 0o020_000;
pub(super) const DIRECTORY: u64 = 0o040_000;
pub(super) const BLOCK_DEVICE: u64 = 0o060_000;
pub(super) const FILE: u64 = 0o100_000;
pub(super) const SYMLINK: u64 = 0o120_000;

/// Flags: on the real-time device; the bitmap of that device is in its new form.
pub(super) const REALTIME: u64 = 1;
pub(super) const NEW_BITMAP: u64 = 1 << 2;
const FLAG2_BIGTIME: u64 = 1 << 3;
const FLAG2_NREXT64: u64 = 1 << 4;

/// What is the same in all inodes of a file system.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stamp {
    pub(super) uuid: [u8; 16],
    /// The date of everything, in the form of `bigtime`.
    pub(super) time: u64,
    /// Whether extent counters have 64 bits.
    pub(super) nrext64: bool,
}

/// Seconds since 1970 in the form of `bigtime`: nanoseconds since December 1901, the earliest
/// date of a signed 32-bit counter. None after the year 2486.
pub(super) fn big_time(epoch: u64) -> Option<u64> {
    epoch.checked_add(1 << 31)?.checked_mul(1_000_000_000)
}

/// Where the content of an inode is.
#[derive(Clone, Debug)]
pub(super) enum Fork {
    /// In the inode.
    Local(Vec<u8>),
    Extents(Vec<Extent>),
    /// There is none; the number of a device.
    Device(u64),
}

/// An inode being made.
#[derive(Clone, Debug)]
pub(super) struct Inode {
    /// Type and permissions.
    pub(super) mode: u64,
    pub(super) uid: u64,
    pub(super) gid: u64,
    pub(super) links: u64,
    /// Bytes.
    pub(super) size: u64,
    pub(super) flags: u64,
    pub(super) fork: Fork,
}

/// The bytes of an inode; one that is not in use has only its number and its checksum.
pub(super) fn bytes(stamp: &Stamp, number: u64, inode: Option<&Inode>) -> Vec<u8> {
    let mut block = Block::new(usize::try_from(INODE).unwrap_or(0));
    block.put(0, MAGIC);
    block.set::<1>(4, 3);
    block.set::<4>(96, u64::MAX);
    block.set::<8>(152, number);
    block.put(160, &stamp.uuid);
    let Some(inode) = inode else {
        return block.seal(CHECKSUM);
    };
    block.set::<2>(2, inode.mode);
    block.set::<4>(8, inode.uid);
    block.set::<4>(12, inode.gid);
    block.set::<4>(16, inode.links);
    for time in [32, 40, 48, 144] {
        block.set::<8>(time, stamp.time);
    }
    block.set::<8>(56, inode.size);
    block.set::<1>(83, FORMAT_EXTENTS);
    block.set::<2>(90, inode.flags);
    block.set::<8>(104, 1);
    let mut flags2 = FLAG2_BIGTIME;
    if stamp.nrext64 {
        flags2 |= FLAG2_NREXT64;
    }
    block.set::<8>(120, flags2);
    let format = match &inode.fork {
        Fork::Device(number) => {
            block.set::<4>(FORK, *number);
            FORMAT_DEVICE
        }
        Fork::Local(content) => {
            block.put(FORK, content);
            FORMAT_LOCAL
        }
        Fork::Extents(extents) => {
            for (row, extent) in extents.iter().enumerate() {
                block.put(FORK + row * EXTENT, &extent.to_bytes());
            }
            block.set::<8>(64, extents.iter().map(|extent| extent.blocks).sum());
            let count = extents.len() as u64;
            if stamp.nrext64 {
                block.set::<8>(24, count);
            } else {
                block.set::<4>(76, count);
            }
            FORMAT_EXTENTS
        }
    };
    block.set::<1>(5, format);
    block.seal(CHECKSUM)
}

/// An inode as it was found.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) mode: u64,
    pub(super) uid: u64,
    pub(super) gid: u64,
    pub(super) size: u64,
    pub(super) flags: u64,
    pub(super) format: u64,
    /// How many extents there are.
    pub(super) extents: u64,
    /// The data fork.
    pub(super) fork: Vec<u8>,
}

impl Found {
    /// Reads the inode `number`; else says what is wrong with it.
    pub(super) fn parse(bytes: &[u8], number: u64, verify: bool) -> Result<Self, &'static str> {
        let view = View(bytes);
        if !bytes.starts_with(MAGIC) || view.get::<1>(4) != 3 {
            return Err("is no inode of version 3");
        }
        if verify && !view.is_sealed(CHECKSUM) {
            return Err("has a wrong checksum");
        }
        if view.get::<8>(152) != number {
            return Err("is another inode");
        }
        let mode = view.get::<2>(2);
        if mode == 0 {
            return Err("is not in use");
        }
        let fork_end = match view.get::<1>(82) {
            0 => bytes.len(),
            eighths => FORK + usize::try_from(eighths).unwrap_or(0) * 8,
        };
        let fork = bytes.get(FORK..fork_end).ok_or("has a fork that is too long")?;
        let counts_64 = view.get::<8>(120) & FLAG2_NREXT64 != 0;
        Ok(Self {
            mode,
            uid: view.get::<4>(8),
            gid: view.get::<4>(12),
            size: view.get::<8>(56),
            flags: view.get::<2>(90),
            format: view.get::<1>(5),
            extents: if counts_64 { view.get::<8>(24) } else { view.get::<4>(76) },
            fork: fork.to_vec(),
        })
    }
}

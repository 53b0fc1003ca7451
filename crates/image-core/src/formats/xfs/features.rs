//! What a file system may have beyond the basic format.

use std::fmt;

/// The long-term kernel whose `mkfs.xfs` configuration (`lts_*.conf`) a new file system follows.
///
/// Two features of `lts_6.18` are left out, `exchange` and `parent`: GRUB 2.06 and 2.12 refuse a
/// file system that has them, and no kernel needs them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kernel {
    /// `lts_6.1.conf`: no reverse mappings, 32-bit extent counters.
    Linux6_1,
    /// `lts_6.6.conf`: reverse mappings (`rmapbt`), 64-bit extent counters (`nrext64`).
    Linux6_6,
    /// `lts_6.12.conf`: as 6.6.
    Linux6_12,
    /// `lts_6.18.conf`, without `exchange` and `parent`.
    Linux6_18,
}

impl fmt::Display for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Linux6_1 => "Linux 6.1",
            Self::Linux6_6 => "Linux 6.6",
            Self::Linux6_12 => "Linux 6.12",
            Self::Linux6_18 => "Linux 6.18",
        })
    }
}

/// The feature fields of a superblock: which older kernels may still read, and which not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Features {
    pub(super) ro_compat: u64,
    pub(super) incompat: u64,
}

const FINOBT: u64 = 1;
const RMAPBT: u64 = 1 << 1;
const REFLINK: u64 = 1 << 2;
const INOBTCOUNT: u64 = 1 << 3;

pub(super) const FTYPE: u64 = 1;
const SPARSE_INODES: u64 = 1 << 1;
const META_UUID: u64 = 1 << 2;
const BIGTIME: u64 = 1 << 3;
const NREXT64: u64 = 1 << 5;
const EXCHANGE: u64 = 1 << 6;
const PARENT: u64 = 1 << 7;

/// What a reader has to know; the rest of the features it may pass over. Not among them are a
/// file system that needs repair, metadata directories and zones.
pub(super) const READABLE: u64 =
    FTYPE | SPARSE_INODES | META_UUID | BIGTIME | NREXT64 | EXCHANGE | PARENT;

impl Features {
    pub(super) fn of(kernel: Kernel) -> Self {
        let mut features = Self {
            ro_compat: FINOBT | REFLINK | INOBTCOUNT,
            incompat: FTYPE | SPARSE_INODES | BIGTIME,
        };
        if kernel >= Kernel::Linux6_6 {
            features.ro_compat |= RMAPBT;
            features.incompat |= NREXT64;
        }
        features
    }

    pub(super) fn has_rmapbt(self) -> bool {
        self.ro_compat & RMAPBT != 0
    }

    pub(super) fn has_nrext64(self) -> bool {
        self.incompat & NREXT64 != 0
    }
}

//! What one member of an archive is.

use crate::{
    blob::Blob,
    tree::{Node, NodeKind},
};
use std::collections::BTreeMap;

/// One member's header, extensions applied.
#[derive(Clone, Debug)]
pub struct Member {
    /// The path as it stands in the archive; it may be hostile.
    pub path: String,
    /// What it is.
    pub kind: MemberKind,
    /// Bytes of content; 0 for all but files.
    pub size: u64,
    /// Where its content starts, in bytes from the archive's start.
    pub offset: u64,
    /// Permission bits (0o7777).
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Extended attributes by full name.
    pub xattrs: BTreeMap<String, Vec<u8>>,
}

/// What a member is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MemberKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// Another name of an earlier member, by that one's path.
    HardLink(String),
    /// A symbolic link and its target.
    Symlink(String),
    /// A block or character device.
    Device {
        /// Block device, else character device.
        block: bool,
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A named pipe.
    Fifo,
}

impl Member {
    /// The tree node this member stands for, with `content` if it is a file; none for a hard
    /// link, which is no node of its own.
    pub fn node(self, content: Blob) -> Option<Node> {
        let kind = match self.kind {
            MemberKind::File => NodeKind::File(content),
            MemberKind::Directory => NodeKind::Directory,
            MemberKind::Symlink(target) => NodeKind::Symlink(target),
            MemberKind::Device { block, major, minor } => NodeKind::Device { block, major, minor },
            MemberKind::Fifo => NodeKind::Fifo,
            MemberKind::HardLink(_) => return None,
        };
        let Self { mode, uid, gid, xattrs, .. } = self;
        Some(Node { kind, mode, uid, gid, xattrs })
    }
}

impl MemberKind {
    pub(super) fn target(&self) -> &str {
        match self {
            Self::HardLink(target) | Self::Symlink(target) => target,
            _ => "",
        }
    }
}

//! Reads a file system back.

use super::{
    FORMAT,
    block::View,
    content::{Contents, Subject},
    directory::{self, INDEX},
    inode::{
        BLOCK_DEVICE, CHARACTER, DIRECTORY, FIFO, FILE, FORMAT_DEVICE, FORMAT_LOCAL, Found,
        SYMLINK, TYPE,
    },
    superblock::Superblock,
};
use crate::{
    blob::Blob,
    formats::{Error, Result},
    tree::{Node, NodeKind, Tree, TreePath},
};
use std::collections::{BTreeMap, BTreeSet};

/// Directories within directories; deeper ones are not meant.
const MAX_DEPTH: usize = 64;

/// A file system as it was found.
#[derive(Clone, Debug)]
pub struct Volume {
    /// The label; may be empty.
    pub label: String,
    /// The UUID, in the order in which it is written.
    pub uuid: [u8; 16],
    /// Bytes of a sector.
    pub sector_size: u64,
    /// Bytes of a block.
    pub block_size: u64,
    /// Length of the file system in bytes; the blob may be longer.
    pub size: u64,
    /// The files. Their contents are slices of the blob. Extended attributes are passed over.
    pub tree: Tree,
}

/// Reads an XFS of version 5 that starts at the start of `blob`.
///
/// What is only in the log of a file system that was not unmounted is not seen.
///
/// # Errors
/// `Corrupt` if it is not sound: wrong checksums, blocks that are not there, directories in
/// several places, names no path can have. `Unsupported` for other versions, features a reader
/// may not pass over, real-time files, sockets, names that are not UTF-8. `TooLarge` for more
/// names and extents than fit 256 MiB.
pub fn read(blob: &Blob) -> Result<Volume> {
    read_with(blob, true)
}

/// Reads with or without looking at checksums: hostile bytes have right ones.
pub(super) fn read_with(blob: &Blob, verify: bool) -> Result<Volume> {
    let superblock = Superblock::read(blob, verify)?;
    let tree = Reader { contents: Contents::new(blob, &superblock, verify) }.tree()?;
    Ok(Volume {
        tree,
        uuid: superblock.uuid,
        sector_size: superblock.sector_size,
        block_size: superblock.block_size,
        size: superblock.blocks * superblock.block_size,
        label: superblock.label,
    })
}

struct Reader<'a> {
    contents: Contents<'a>,
}

impl Reader<'_> {
    fn tree(&mut self) -> Result<Tree> {
        let mut tree = Tree::new();
        let mut directories = BTreeSet::new();
        let mut files: BTreeMap<u64, TreePath> = BTreeMap::new();
        let mut pending = vec![(TreePath::ROOT, 0, self.contents.superblock.root)];
        while let Some((path, depth, inode)) = pending.pop() {
            let of = Subject { path: &path, inode };
            if !path.is_root() && tree.get(&path).is_some() {
                return Err(self.contents.corrupt(of, "stands there twice"));
            }
            if let Some(first) = files.get(&inode) {
                tree.link(path, first)
                    .map_err(|error| Error::invalid(FORMAT, error.to_string()))?;
                continue;
            }
            let found = self.contents.inode(of)?;
            let kind = if found.mode & TYPE == DIRECTORY {
                if !directories.insert(inode) {
                    return Err(self.contents.corrupt(of, "stands in several places"));
                }
                if depth == MAX_DEPTH {
                    return Err(self.contents.corrupt(of, "is too deep"));
                }
                for (name, inode) in self.names(&found, of)? {
                    let child =
                        if name.contains('/') { TreePath::new("/") } else { path.join(&name) };
                    match child {
                        Ok(child) if child != path => pending.push((child, depth + 1, inode)),
                        _ => {
                            let what = format!("has {name:?}, which is no name");
                            return Err(self.contents.corrupt(of, &what));
                        }
                    }
                }
                NodeKind::Directory
            } else if path.is_root() {
                return Err(self.contents.corrupt(of, "is no directory"));
            } else {
                files.insert(inode, path.clone());
                self.file(&found, of)?
            };
            // These fields have 32 bits or less.
            let small = |field| u32::try_from(field).unwrap_or(0);
            let (mode, uid, gid) = (small(found.mode & 0o7777), small(found.uid), small(found.gid));
            tree.insert(path, Node { kind, mode, uid, gid, xattrs: BTreeMap::new() });
        }
        Ok(tree)
    }

    /// What is not a directory.
    fn file(&mut self, found: &Found, of: Subject<'_>) -> Result<NodeKind> {
        let number = View(&found.fork).get::<4>(0);
        let device = |block| NodeKind::Device {
            block,
            major: u32::try_from(number >> 18).unwrap_or(0),
            minor: u32::try_from(number & 0x3_ffff).unwrap_or(0),
        };
        Ok(match found.mode & TYPE {
            FILE => {
                let extents = self.contents.extents(found, of)?;
                NodeKind::File(self.contents.join(&extents, found.size, of)?)
            }
            SYMLINK => NodeKind::Symlink(self.contents.target(found, of)?),
            BLOCK_DEVICE if found.format == FORMAT_DEVICE => device(true),
            CHARACTER if found.format == FORMAT_DEVICE => device(false),
            FIFO => NodeKind::Fifo,
            kind => {
                let what = format!("{}, of type {kind:#o},", of.path);
                return Err(Error::unsupported(FORMAT, what));
            }
        })
    }

    /// The names in a directory with their inodes, without `.` and `..`.
    fn names(&mut self, found: &Found, of: Subject<'_>) -> Result<Vec<(String, u64)>> {
        let entries = if found.format == FORMAT_LOCAL {
            let fork = usize::try_from(found.size).ok().and_then(|len| found.fork.get(..len));
            let entries = fork.and_then(directory::parse_short);
            entries.ok_or_else(|| self.contents.corrupt(of, "is a directory that is cut off"))?
        } else {
            self.entries(found, of)?
        };
        let mut names = Vec::new();
        for (name, inode) in entries {
            if matches!(name.as_slice(), b"." | b"..") {
                continue;
            }
            self.contents.spend((name.len() + of.path.as_str().len() + 64) as u64)?;
            let name = String::from_utf8(name).map_err(|_| {
                Error::unsupported(FORMAT, format!("a name in {} that is not UTF-8", of.path))
            })?;
            names.push((name, inode));
        }
        Ok(names)
    }

    /// The names in the blocks of a directory, with their inodes.
    fn entries(&mut self, found: &Found, of: Subject<'_>) -> Result<Vec<(Vec<u8>, u64)>> {
        let block_size = self.contents.superblock.block_size;
        let size = self.contents.superblock.directory_block_size;
        let mut extents = self.contents.extents(found, of)?;
        extents.retain(|extent| extent.offset < INDEX / block_size);
        let content = self.contents.join(&extents, INDEX, of)?;
        let (mut entries, mut next) = (Vec::new(), 0);
        for extent in extents {
            // A block of the directory may be in several extents.
            next = (extent.offset * block_size / size * size).max(next);
            while next < (extent.offset + extent.blocks) * block_size {
                self.contents.spend(size)?;
                let block = content.slice(next..next + size).to_vec(size);
                let block = block.map_err(|error| Error::io(FORMAT, error))?;
                let parsed = directory::parse_data(&block, self.contents.verify);
                entries.extend(parsed.map_err(|what| {
                    let what = format!("has a block at byte {next} that {what}");
                    self.contents.corrupt(of, &what)
                })?);
                next += size;
            }
        }
        Ok(entries)
    }
}

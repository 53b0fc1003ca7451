//! From an image back to a file tree.

use super::{
    Error, FORMAT, Result, STORED, Superblock,
    attributes::Table,
    codec::Unpacker,
    directory,
    inode::{Body, Inode},
    metadata::{Metadata, Place},
};
use crate::{
    blob::{Blob, Scratch, Spool},
    tree::{Node, NodeKind, Tree, TreePath},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write,
};

/// What of an image's tree may be held in memory, in bytes: names, inodes, block lists.
const MEMORY: u64 = 256 << 20;

/// How many decompressed fragment blocks are kept for the next file in them.
const KEPT_FRAGMENTS: usize = 8;

/// What may still be used up by what is read.
pub(super) struct Budget {
    what: &'static str,
    limit: u64,
    left: u64,
}

impl Budget {
    pub(super) fn new(what: &'static str, limit: u64) -> Self {
        Self { what, limit, left: limit }
    }

    pub(super) fn spend(&mut self, bytes: u64) -> Result<()> {
        let Some(left) = self.left.checked_sub(bytes) else {
            let need = (self.limit - self.left).saturating_add(bytes);
            return Err(Error::too_large(FORMAT, self.what, need, self.limit));
        };
        self.left = left;
        Ok(())
    }
}

/// Reads the tree of a SquashFS 4.0 image compressed with gzip, xz or zstd.
///
/// Only what `wanted` says yes to is read; a directory it refuses takes all inside with it. The
/// content of files goes to `scratch`, each once however many names and copies the image has,
/// and at most `limit` bytes of it.
///
/// # Errors
/// The image is corrupt, uses what this crate does not read (names that are not UTF-8, other
/// compressors, sockets), needs more than `limit` bytes or 256 MiB of memory, or reading or
/// writing failed.
pub fn read(
    image: &Blob,
    scratch: &Scratch,
    limit: u64,
    wanted: &dyn Fn(&TreePath) -> bool,
) -> Result<Tree> {
    let superblock = Superblock::parse(image)?;
    let image = image.slice(0..superblock.bytes_used);
    let attributes = superblock.attribute_table.map(|at| Table::open(&image, at)).transpose()?;
    let mut reader = Reader {
        metadata: Metadata::new(image.clone(), Unpacker::new(superblock.algorithm)?),
        attributes,
        memory: Budget::new("the file tree", MEMORY),
        contents: Contents {
            unpacker: Unpacker::new(superblock.algorithm)?,
            image,
            spool: Spool::new(scratch),
            limit: Budget::new("the files' content", limit),
            known: BTreeMap::new(),
            fragments: BTreeMap::new(),
        },
        superblock,
    };
    reader.tree(wanted)
}

struct Reader {
    superblock: Superblock,
    metadata: Metadata,
    attributes: Option<Table>,
    memory: Budget,
    contents: Contents,
}

impl Reader {
    fn tree(&mut self, wanted: &dyn Fn(&TreePath) -> bool) -> Result<Tree> {
        let root = Place::from_reference(self.superblock.root);
        let mut tree = Tree::new();
        let mut directories = BTreeSet::new();
        let mut files: BTreeMap<Place, TreePath> = BTreeMap::new();
        let mut to_read = vec![(TreePath::ROOT, root)];
        while let Some((path, place)) = to_read.pop() {
            if let Some(first) = files.get(&place) {
                tree.link(path, first)
                    .map_err(|error| Error::invalid(FORMAT, error.to_string()))?;
                continue;
            }
            let table = self.superblock.inode_table;
            let at = table.saturating_add(place.block);
            let mut cursor = self.metadata.cursor(table, place);
            let inode = Inode::parse(&mut cursor, self.superblock.block_size, &mut self.memory)?;
            let is_directory = matches!(inode.body, Body::Directory { .. });
            if path.is_root() && !is_directory {
                return Err(Error::corrupt(FORMAT, at, "the root is no directory"));
            }
            if let Body::Directory { place: listing, len, .. } = inode.body {
                if !directories.insert(place) {
                    let what = format!("the directory {path} stands in several places");
                    return Err(Error::corrupt(FORMAT, at, what));
                }
                self.list(&path, listing, len, wanted, &mut to_read)?;
            } else {
                files.insert(place, path.clone());
            }
            let node = self.node(inode)?;
            if path.is_root() {
                tree.get_mut(&path).into_iter().for_each(|root| *root = node.clone());
            } else {
                tree.insert(path, node);
            }
        }
        Ok(tree)
    }

    /// Puts what is in a directory on the stack, so that the first name comes off it first.
    fn list(
        &mut self,
        directory: &TreePath,
        listing: Place,
        len: u32,
        wanted: &dyn Fn(&TreePath) -> bool,
        to_read: &mut Vec<(TreePath, Place)>,
    ) -> Result<()> {
        let mut cursor = self.metadata.cursor(self.superblock.directory_table, listing);
        let entries = directory::parse(&mut cursor, len, &mut self.memory)?;
        for entry in entries.into_iter().rev() {
            let path = directory
                .join(&entry.name)
                .map_err(|error| Error::unsupported(FORMAT, error.to_string()))?;
            self.memory.spend(path.as_str().len() as u64)?;
            if wanted(&path) {
                to_read.push((path, entry.place));
            }
        }
        Ok(())
    }

    fn node(&mut self, inode: Inode<'_>) -> Result<Node> {
        let xattrs = match (inode.attributes, &self.attributes) {
            (Some(index), Some(table)) => {
                table.read(&mut self.metadata, index, &mut self.memory)?
            }
            _ => BTreeMap::new(),
        };
        let kind = match inode.body {
            Body::Directory { .. } => NodeKind::Directory,
            Body::Symlink(target) => NodeKind::Symlink(target.into_owned()),
            Body::Device { block, major, minor } => NodeKind::Device { block, major, minor },
            Body::Fifo => NodeKind::Fifo,
            Body::File { start, len, fragment, blocks, .. } => {
                let end = match fragment {
                    Some((index, offset)) => Some(self.fragment_end(index, offset)?),
                    None => None,
                };
                let layout = Layout { start, len, end, blocks: blocks.into_owned() };
                NodeKind::File(self.contents.read(layout, self.superblock.block_size)?)
            }
        };
        let (uid, gid) = (self.id(inode.uid)?, self.id(inode.gid)?);
        Ok(Node { kind, mode: u32::from(inode.mode) & 0o7777, uid, gid, xattrs })
    }

    fn id(&mut self, index: u16) -> Result<u32> {
        let at = self.superblock.id_table;
        if index >= self.superblock.ids {
            let what = format!("owner {index} of {}", self.superblock.ids);
            return Err(Error::corrupt(FORMAT, at, what));
        }
        self.metadata.entry(at, index.into(), 4)?.u32()
    }

    fn fragment_end(&mut self, index: u32, offset: u32) -> Result<FragmentEnd> {
        let at = self.superblock.fragment_table;
        if index >= self.superblock.fragments {
            let what = format!("fragment {index} of {}", self.superblock.fragments);
            return Err(Error::corrupt(FORMAT, at, what));
        }
        let mut entry = self.metadata.entry(at, index, 16)?;
        let (block, size) = (entry.u64()?, entry.u32()?);
        Ok(FragmentEnd { block, size, offset })
    }
}

/// Where a file's content lies. Files that lie in the same place have the same content.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Layout {
    start: u64,
    len: u64,
    end: Option<FragmentEnd>,
    blocks: Vec<u32>,
}

/// The end of a file in a fragment block.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct FragmentEnd {
    /// Where the block starts in the image, and its length there, as data blocks have it.
    block: u64,
    size: u32,
    /// Where the end starts in the uncompressed block.
    offset: u32,
}

struct Contents {
    image: Blob,
    unpacker: Unpacker,
    spool: Spool,
    limit: Budget,
    known: BTreeMap<Layout, Blob>,
    /// Some decompressed fragment blocks, by their offset in the image.
    fragments: BTreeMap<(u64, u32), Vec<u8>>,
}

impl Contents {
    fn read(&mut self, layout: Layout, block_size: u32) -> Result<Blob> {
        if let Some(blob) = self.known.get(&layout) {
            return Ok(blob.clone());
        }
        let io = |error| Error::io(FORMAT, error);
        let mut parts = Vec::new();
        let (mut at, mut left) = (layout.start, layout.len);
        for &size in &layout.blocks {
            let len = left.min(block_size.into());
            left -= len;
            if size == 0 {
                parts.push(self.spool.take().map_err(io)?);
                parts.push(Blob::zeros(len));
                continue;
            }
            self.limit.spend(len)?;
            let mut bytes = self.block(at, size, block_size)?;
            at = at.saturating_add((size & !STORED).into());
            // What a block is short of its length are zeros.
            bytes.resize(usize::try_from(len).unwrap_or_default(), 0);
            self.spool.write_all(&bytes).map_err(io)?;
        }
        if let Some(end) = layout.end {
            self.limit.spend(left)?;
            let key = (end.block, end.size);
            if !self.fragments.contains_key(&key) {
                let block = self.block(end.block, end.size, block_size)?;
                if self.fragments.len() >= KEPT_FRAGMENTS {
                    self.fragments.clear();
                }
                self.fragments.insert(key, block);
            }
            let from = end.offset as usize;
            let bytes = self
                .fragments
                .get(&key)
                .and_then(|block| block.get(from..from.checked_add(usize::try_from(left).ok()?)?))
                .ok_or_else(|| {
                    Error::corrupt(FORMAT, end.block, "a fragment block is too short")
                })?;
            self.spool.write_all(bytes).map_err(io)?;
        }
        parts.push(self.spool.take().map_err(io)?);
        let blob = Blob::concat(parts);
        self.known.insert(layout, blob.clone());
        Ok(blob)
    }

    /// The data or fragment block of this `size` field at offset `at` of the image.
    fn block(&mut self, at: u64, size: u32, block_size: u32) -> Result<Vec<u8>> {
        let corrupt = |what: String| Error::corrupt(FORMAT, at, format!("data block {what}"));
        let len = size & !STORED;
        if len > block_size {
            return Err(corrupt(format!("has {len} bytes")));
        }
        let bytes = self
            .image
            .slice(at..at.saturating_add(len.into()))
            .to_vec(len.into())
            .map_err(|error| Error::io(FORMAT, error))?;
        if bytes.len() != len as usize {
            return Err(corrupt("reaches past the end".into()));
        }
        if size & STORED != 0 {
            return Ok(bytes);
        }
        self.unpacker.unpack(&bytes, block_size as usize).map_err(corrupt)
    }
}

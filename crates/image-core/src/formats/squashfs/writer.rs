//! From a file tree to an image.

use super::{
    Compression, Error, FORMAT, Result, Superblock,
    attributes::Sets,
    codec::Packer,
    data::{self, Data},
    directory::{self, Entry, Listing},
    inode::{Body, Inode},
    metadata::{Place, TableWriter, lookup_table},
    narrow,
    superblock::{self, is_block_size},
};
use crate::{
    blob::{Blob, Scratch},
    tree::{Ino, Node, NodeKind, Tree},
};
use std::{borrow::Cow, collections::BTreeMap, num::NonZeroUsize};

/// How an image is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// How blocks are compressed.
    pub compression: Compression,
    /// Bytes of a data block: a power of two from 4 KiB to 1 MiB.
    pub block_size: u32,
    /// How many threads compress. The image does not depend on it.
    pub threads: NonZeroUsize,
    /// The time of the image and of every inode, in seconds since 1970.
    pub epoch: u32,
    /// Whether everything belongs to root, whoever owns it in the tree.
    pub all_root: bool,
}

impl Default for Options {
    /// Zstd 18, blocks of 128 KiB, one thread, 1970, all root's.
    fn default() -> Self {
        Self {
            compression: Compression::Zstd { level: 18 },
            block_size: 128 << 10,
            threads: NonZeroUsize::MIN,
            epoch: 0,
            all_root: true,
        }
    }
}

/// Images are padded to a multiple of this many bytes, so that they fill device blocks.
const DEVICE_BLOCK: u64 = 4096;

/// Writes `tree` as a SquashFS 4.0 image.
///
/// Files with the same bytes are stored once; blocks of zeros are holes; what hard links the
/// tree has, the image has. Of the extended attributes those under `user.`, `trusted.` and
/// `security.` are kept; the format has no form for others. `on_bytes` hears of every byte of
/// file content (hard links and duplicates counted once each inode) as it is done with.
///
/// # Errors
/// The options or a node have no form in the format, something outgrows it (2^32 inodes,
/// 2^16 owners, 4 GiB of inodes), reading content failed, or writing to `scratch` did.
pub fn image(
    tree: &Tree,
    options: &Options,
    scratch: &Scratch,
    on_bytes: &(dyn Fn(u64) + Sync),
) -> Result<Blob> {
    let Options { compression, block_size, .. } = *options;
    if !is_block_size(block_size) {
        let what = format!("block size {block_size} is no power of two from 4 KiB to 1 MiB");
        return Err(Error::invalid(FORMAT, what));
    }
    let zstd_level = compression.level();
    let data_start = superblock::data_start(zstd_level);
    let shape = Shape::of(tree)?;
    let data = data::write(&shape.contents, data_start, options, scratch, on_bytes)?;
    let packer = &mut Packer::new(compression, block_size)?;
    let tables = Tables::of(&shape, &data, options, packer)?;

    let mut end = data_start + data.blob.len();
    let mut parts = vec![data.blob];
    let mut append = |bytes: Vec<u8>| {
        let at = end;
        end += bytes.len() as u64;
        parts.push(bytes.into());
        at
    };
    let inode_table = append(tables.inodes.finish(packer)?.0);
    let directory_table = append(tables.directories.finish(packer)?.0);
    let fragments = data.fragments.len() as u64 / 16;
    let mut lookup = |entries: &[u8]| {
        let at = append(Vec::new());
        let (bytes, header_at) = lookup_table(packer, at, entries, &[])?;
        append(bytes);
        Ok(header_at)
    };
    let fragment_table = lookup(&data.fragments)?;
    let references: Vec<u8> = tables
        .places
        .iter()
        .flat_map(|place| place.unwrap_or_default().to_reference().to_le_bytes())
        .collect();
    let export_table = Some(lookup(&references)?);
    let id_table = lookup(&tables.ids.bytes)?;
    let attributes = tables.attributes.finish(packer, append(Vec::new()))?;
    let attribute_table = attributes.map(|(bytes, header_at)| {
        append(bytes);
        header_at
    });
    let superblock = Superblock {
        inodes: narrow(shape.items.len() as u64, "the number of inodes")?,
        mkfs_time: options.epoch,
        block_size,
        fragments: narrow(fragments, "the number of fragments")?,
        algorithm: compression.algorithm(),
        zstd_level,
        ids: narrow(tables.ids.indices.len() as u64, "the number of owners")?,
        bytes_used: end,
        root: tables.places.last().copied().flatten().unwrap_or_default().to_reference(),
        id_table,
        attribute_table,
        inode_table,
        directory_table,
        fragment_table,
        export_table,
    };
    parts.insert(0, superblock.to_bytes().into());
    Ok(Blob::concat(parts).padded_to(DEVICE_BLOCK))
}

/// The tree as the image needs it: inodes in the order of their paths, each once.
struct Shape<'t> {
    items: Vec<Item<'t>>,
    /// Each before those inside it; the root's first.
    directories: Vec<Directory<'t>>,
    /// The content of all regular files, as [`Item::content`] counts them.
    contents: Vec<&'t Blob>,
}

struct Item<'t> {
    node: &'t Node,
    number: u32,
    links: u32,
    /// A regular file's place in [`Shape::contents`].
    content: usize,
    /// The item of the directory it was found in first; none for the root.
    parent: Option<usize>,
}

struct Directory<'t> {
    item: usize,
    /// Names, in byte order, and items.
    children: Vec<(&'t str, usize)>,
}

impl<'t> Shape<'t> {
    fn of(tree: &'t Tree) -> Result<Self> {
        let mut shape = Self { items: Vec::new(), directories: Vec::new(), contents: Vec::new() };
        let mut items: BTreeMap<Ino, usize> = BTreeMap::new();
        // The directories on the way to the current path, by depth.
        let mut above: Vec<usize> = Vec::new();
        for (path, ino, node) in tree.iter() {
            above.truncate(path.components().count());
            let parent = above.last().copied();
            let item = *items.entry(ino).or_insert_with(|| {
                let parent = parent.map(|parent| shape.directories[parent].item);
                let content = shape.contents.len();
                shape.contents.extend(node.content());
                shape.items.push(Item { node, number: 0, links: 0, content, parent });
                shape.items.len() - 1
            });
            if let Some(parent) = parent {
                shape.directories[parent].children.push((path.file_name(), item));
                if node.is_directory() {
                    let parent = shape.directories[parent].item;
                    shape.items[parent].links += 1;
                }
            }
            // Of a directory: its name and its own ".".
            shape.items[item].links += if node.is_directory() { 2 } else { 1 };
            if node.is_directory() {
                above.push(shape.directories.len());
                shape.directories.push(Directory { item, children: Vec::new() });
            }
        }
        shape.number()?;
        Ok(shape)
    }

    /// Numbers the inodes in the order in which [`Tables::of`] writes them, so that the
    /// names of a directory stand for neighbours.
    fn number(&mut self) -> Result<()> {
        let mut next = 1u64;
        let children = self.directories.iter().rev().flat_map(|directory| &directory.children);
        for item in children.map(|&(_, item)| item).chain([0]) {
            if self.items[item].number == 0 {
                self.items[item].number = narrow(next, "the number of inodes")?;
                next += 1;
            }
        }
        Ok(())
    }
}

/// The tables that hold the tree, as they grow.
#[derive(Default)]
struct Tables {
    inodes: TableWriter,
    directories: TableWriter,
    attributes: Sets,
    ids: Ids,
    /// Where each inode stands, by its number less one.
    places: Vec<Option<Place>>,
}

impl Tables {
    /// Writes the listings and inodes of all of `shape`, what is inside a directory before the
    /// directory; the last inode is the root's.
    fn of(shape: &Shape<'_>, data: &Data, options: &Options, packer: &mut Packer) -> Result<Self> {
        let mut tables = Self { places: vec![None; shape.items.len()], ..Self::default() };
        // The listings of directories whose inodes are not written yet, by item.
        let mut listings: BTreeMap<usize, Listing> = BTreeMap::new();
        for directory in shape.directories.iter().rev() {
            let mut entries = Vec::with_capacity(directory.children.len());
            for &(name, child) in &directory.children {
                let item = &shape.items[child];
                let slot = item.number as usize - 1;
                let body = body(shape, item, data, listings.remove(&child));
                let kind = body.kind();
                let place = if let Some(place) = tables.places[slot] {
                    place
                } else {
                    let place = tables.write(item, body, options, packer)?;
                    tables.places[slot] = Some(place);
                    place
                };
                entries.push(Entry { name: name.to_owned(), place, number: item.number, kind });
            }
            let listing = directory::write(&mut tables.directories, packer, &entries)?;
            listings.insert(directory.item, listing);
        }
        let root = &shape.items[0];
        let body = body(shape, root, data, listings.remove(&0));
        let place = tables.write(root, body, options, packer)?;
        tables.places[root.number as usize - 1] = Some(place);
        Ok(tables)
    }

    fn write(
        &mut self,
        item: &Item<'_>,
        body: Body<'_>,
        options: &Options,
        packer: &mut Packer,
    ) -> Result<Place> {
        let node = item.node;
        let owner = |id| if options.all_root { 0 } else { id };
        let inode = Inode {
            mode: narrow((node.mode & 0o7777).into(), "a mode")?,
            uid: self.ids.index(owner(node.uid))?,
            gid: self.ids.index(owner(node.gid))?,
            mtime: options.epoch,
            number: item.number,
            links: item.links,
            attributes: self.attributes.index(packer, &node.xattrs)?,
            body,
        };
        let place = self.inodes.place();
        self.inodes.write(packer, &inode.encode()?)?;
        Ok(place)
    }
}

/// What the inode of `item` says of it; `listing` is what is inside, if it is a directory.
fn body<'a>(
    shape: &Shape<'a>,
    item: &Item<'a>,
    data: &'a Data,
    listing: Option<Listing>,
) -> Body<'a> {
    match &item.node.kind {
        NodeKind::Directory => {
            let Listing { place, len, index } = listing.unwrap_or_default();
            let parent = match item.parent {
                Some(parent) => shape.items[parent].number,
                // As mksquashfs has it for the root: a number no inode has.
                None => item.number.saturating_add(1),
            };
            Body::Directory { place, len, parent, index: Cow::Owned(index) }
        }
        NodeKind::File(blob) => {
            let (head, end) = data.content(item.content);
            Body::File {
                start: head.start,
                len: blob.len(),
                sparse: head.sparse,
                fragment: end,
                blocks: Cow::Borrowed(&head.blocks),
            }
        }
        NodeKind::Symlink(target) => Body::Symlink(Cow::Borrowed(target)),
        &NodeKind::Device { block, major, minor } => Body::Device { block, major, minor },
        NodeKind::Fifo => Body::Fifo,
    }
}

/// The user and group ids of an image, each once.
#[derive(Default)]
struct Ids {
    indices: BTreeMap<u32, u16>,
    bytes: Vec<u8>,
}

impl Ids {
    fn index(&mut self, id: u32) -> Result<u16> {
        if let Some(&index) = self.indices.get(&id) {
            return Ok(index);
        }
        let index = narrow(self.indices.len() as u64, "the number of owners")?;
        self.indices.insert(id, index);
        self.bytes.extend_from_slice(&id.to_le_bytes());
        Ok(index)
    }
}

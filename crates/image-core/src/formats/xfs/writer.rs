//! Lays a tree out as a file system.

use super::{
    FORMAT,
    directory::{self, Directory, Entry},
    extent::{Extent, Run},
    features::{Features, Kernel},
    geometry::{BLOCK, CHUNK_INODES, Geometry, INODE, Place},
    group::{Counts, Placed},
    inode::{
        self, BLOCK_DEVICE, CHARACTER, DIRECTORY, FIFO, FILE, FORK_LEN, Fork, Inode, MAX_EXTENTS,
        NEW_BITMAP, SYMLINK, Stamp,
    },
    log,
    space::Space,
    superblock, symlink,
};
use crate::{
    blob::{Blob, Layout},
    formats::{Error, Result},
    tree::{Ino, Node, NodeKind, Tree, TreePath},
};
use std::collections::BTreeMap;

/// Subject of the error that it is too much.
const WHAT: &str = "what the file system is to hold";
/// Inodes that every file system has: the root, and two of the real-time device, which is absent.
const OWN_INODES: u64 = 3;

/// What a new file system is to be.
#[derive(Clone, Debug)]
pub struct Options<'a> {
    /// Length in bytes, a multiple of the sector size, 300 MiB to 16 TiB.
    pub size: u64,
    /// 512 or 4096 bytes.
    pub sector_size: u32,
    /// Up to 12 bytes of UTF-8, or none.
    pub label: &'a str,
    /// The UUID, in the order in which it is written.
    pub uuid: [u8; 16],
    /// The date of everything, in seconds since 1970 (UTC), up to the year 2486.
    pub epoch: u64,
    /// Which features it has.
    pub kernel: Kernel,
}

/// Lays `tree` out as a file system that was cleanly unmounted. Contents are placed, not copied,
/// each in as few runs as the allocation groups allow; space no file takes is a hole.
///
/// Hard links, owners and modes are kept.
///
/// # Errors
/// `TooLarge` if the tree does not fit, with what it needs; `Invalid` for a size, label or date
/// that cannot be, for link targets over 1023 bytes, for device numbers XFS has no room for;
/// `Unsupported` for extended attributes, and for files over 168 GiB, which need more extents
/// than an inode holds.
pub fn volume(tree: &Tree, options: &Options<'_>) -> Result<Blob> {
    if options.label.len() > superblock::LABEL || options.label.contains('\0') {
        let what = format!(
            "the label {:?} has {} bytes; there is room for {}",
            options.label,
            options.label.len(),
            superblock::LABEL
        );
        return Err(Error::invalid(FORMAT, what));
    }
    let Some(time) = inode::big_time(options.epoch) else {
        let what = format!("the date {} is after the year 2486", options.epoch);
        return Err(Error::invalid(FORMAT, what));
    };
    let features = Features::of(options.kernel);
    let geometry = Geometry::new(options.size, options.sector_size, features)?;
    let stamp = Stamp { uuid: options.uuid, time, nrext64: features.has_nrext64() };
    let space = Space::new(geometry);
    let mut writer = Writer { geometry, stamp, space, layout: Layout::new(), metadata: Vec::new() };
    let have = writer.space.room();
    let placed = match writer.place(tree)? {
        Some(root) => writer.finish(root, options.label),
        None => None,
    };
    let Some(layout) = placed else {
        let need = needed(tree, &geometry).max(have + BLOCK);
        return Err(Error::too_large(FORMAT, WHAT, need, have));
    };
    layout.seal(options.size).map_err(|overlap| Error::overlap(FORMAT, overlap))
}

/// Bytes that inodes and contents take. What directories and long links take is not counted: it
/// is little beside them.
fn needed(tree: &Tree, geometry: &Geometry) -> u64 {
    let contents: BTreeMap<Ino, u64> =
        tree.iter().map(|(_, ino, node)| (ino, node.content().map_or(0, Blob::len))).collect();
    let inodes = (contents.len() as u64 + OWN_INODES).next_multiple_of(CHUNK_INODES) * INODE;
    let blocks = contents.values().map(|len| len.next_multiple_of(BLOCK));
    blocks.fold(inodes, u64::saturating_add).min(u64::MAX - geometry.blocks)
}

/// A node of the tree with what its names say of it.
struct Named<'a> {
    path: &'a TreePath,
    ino: Ino,
    node: &'a Node,
    /// How many names it has; a directory is also `.` in itself and `..` below.
    links: u64,
    /// Where it stands; the root stands in itself.
    parent: Ino,
    /// What stands in it.
    children: Vec<(&'a str, Ino, u64)>,
}

/// All nodes, each once, in the order of their first names.
fn named(tree: &Tree) -> Vec<Named<'_>> {
    let mut all: Vec<Named<'_>> = Vec::new();
    let mut known: BTreeMap<Ino, usize> = BTreeMap::new();
    // The directories above the path at hand.
    let mut above: Vec<usize> = Vec::new();
    for (path, ino, node) in tree.iter() {
        above.truncate(path.components().count());
        let parent = above.last().copied();
        let index = *known.entry(ino).or_insert_with(|| {
            let parent = parent.map_or(ino, |parent| all[parent].ino);
            let links = u64::from(node.is_directory());
            all.push(Named { path, ino, node, links, parent, children: Vec::new() });
            all.len() - 1
        });
        all[index].links += 1;
        if node.is_directory() {
            above.push(index);
        }
        if let Some(parent) = parent {
            all[parent].links += u64::from(node.is_directory());
            all[parent].children.push((path.file_name(), ino, kind(node)));
        }
    }
    all
}

struct Writer {
    geometry: Geometry,
    stamp: Stamp,
    space: Space,
    /// Contents.
    layout: Layout,
    metadata: Placed,
}

impl Writer {
    /// Places all inodes and what they hold; gives back the root's number, or none if there is
    /// no room.
    fn place(&mut self, tree: &Tree) -> Result<Option<u64>> {
        let all = named(tree);
        let Some(numbers) = self.number(&all) else { return Ok(None) };
        let root = numbers.root;
        for named in &all {
            let number = numbers.of[&named.ino];
            let Some(inode) = self.inode(named, number, &numbers)? else { return Ok(None) };
            self.place_inode(number, Some(&inode));
        }
        for (number, flags) in [(root + 1, NEW_BITMAP), (root + 2, 0)] {
            let fork = Fork::Extents(Vec::new());
            let inode = Inode { mode: FILE, uid: 0, gid: 0, links: 1, size: 0, flags, fork };
            self.place_inode(number, Some(&inode));
        }
        for number in numbers.unused {
            self.place_inode(number, None);
        }
        Ok(Some(root))
    }

    /// Gives every inode its number, the root the first one of all.
    fn number(&mut self, all: &[Named<'_>]) -> Option<Numbers> {
        let mut left = all.len() as u64 + OWN_INODES - 1;
        let mut numbers = Vec::new();
        let mut unused = Vec::new();
        while left > 0 {
            let used = left.min(CHUNK_INODES);
            let first = self.geometry.first_inode(self.space.take_chunk(used)?);
            numbers.extend(first..first + used);
            unused.extend(first + used..first + CHUNK_INODES);
            left -= used;
        }
        let root = *numbers.first()?;
        // The two inodes after the root's are not of the tree.
        numbers.drain(1..usize::try_from(OWN_INODES).ok()?);
        let of = all.iter().zip(numbers).map(|(named, number)| (named.ino, number)).collect();
        Some(Numbers { root, of, unused })
    }

    fn place_inode(&mut self, number: u64, inode: Option<&Inode>) {
        let bytes = inode::bytes(&self.stamp, number, inode);
        self.metadata.push((self.geometry.inode_offset(number), bytes));
    }

    /// Makes an inode and places what does not fit in it; none if there is no room.
    fn inode(
        &mut self,
        named: &Named<'_>,
        number: u64,
        numbers: &Numbers,
    ) -> Result<Option<Inode>> {
        let Named { path, node, links, .. } = named;
        if let Some(name) = node.xattrs.keys().next() {
            let what = format!("{path} has the extended attribute {name}, which");
            return Err(Error::unsupported(FORMAT, what));
        }
        let (kind, size, fork) = match &node.kind {
            NodeKind::Directory => {
                let directory = named.directory(numbers);
                let Some(fork) = self.directory(&directory) else { return Ok(None) };
                (DIRECTORY, directory.size(), fork)
            }
            NodeKind::File(content) => {
                let Some(runs) = self.space.take(content.len().div_ceil(BLOCK), number, 0) else {
                    return Ok(None);
                };
                self.spread(content, &runs);
                let extents = Extent::list(&self.geometry, 0, &runs);
                if extents.len() > MAX_EXTENTS {
                    let what = format!("{path}, a file in {} pieces,", extents.len());
                    return Err(Error::unsupported(FORMAT, what));
                }
                (FILE, content.len(), Fork::Extents(extents))
            }
            NodeKind::Symlink(target) => {
                if !(1..=symlink::MAX_TARGET).contains(&target.len()) {
                    let what = format!(
                        "{path} links to a target of {} bytes; there are 1 to {}",
                        target.len(),
                        symlink::MAX_TARGET
                    );
                    return Err(Error::invalid(FORMAT, what));
                }
                let Some(fork) = self.symlink(target, number) else { return Ok(None) };
                (SYMLINK, target.len() as u64, fork)
            }
            NodeKind::Device { block, major, minor } => {
                if *major >= 1 << 14 || *minor >= 1 << 18 {
                    let what = format!("{path} is the device {major}:{minor}, out of range");
                    return Err(Error::invalid(FORMAT, what));
                }
                let kind = if *block { BLOCK_DEVICE } else { CHARACTER };
                (kind, 0, Fork::Device(u64::from(*major) << 18 | u64::from(*minor)))
            }
            NodeKind::Fifo => (FIFO, 0, Fork::Device(0)),
        };
        Ok(Some(Inode {
            mode: kind | u64::from(node.mode & 0o7777),
            uid: node.uid.into(),
            gid: node.gid.into(),
            links: *links,
            size,
            flags: 0,
            fork,
        }))
    }

    fn directory(&mut self, directory: &Directory<'_>) -> Option<Fork> {
        if let Some(content) = directory.short() {
            return Some(Fork::Local(content));
        }
        let (mut extents, mut all) = (Vec::new(), Vec::new());
        for (offset, blocks) in directory.parts() {
            let runs = self.space.take(blocks, directory.inode, offset)?;
            extents.extend(Extent::list(&self.geometry, offset, &runs));
            all.extend(runs);
        }
        let addresses = directory::addresses(&self.geometry, &all);
        let blocks = directory.blocks(&self.stamp.uuid, &addresses);
        for (block, address) in blocks.into_iter().zip(addresses) {
            self.metadata.push((address * 512, block));
        }
        (extents.len() <= MAX_EXTENTS).then_some(Fork::Extents(extents))
    }

    fn symlink(&mut self, target: &str, number: u64) -> Option<Fork> {
        if target.len() <= FORK_LEN {
            return Some(Fork::Local(target.as_bytes().to_vec()));
        }
        let runs = self.space.take(1, number, 0)?;
        for address in directory::addresses(&self.geometry, &runs) {
            let block = symlink::block(target, &self.stamp.uuid, number, address);
            self.metadata.push((address * 512, block));
        }
        Some(Fork::Extents(Extent::list(&self.geometry, 0, &runs)))
    }

    /// Places `content` in `runs`.
    fn spread(&mut self, content: &Blob, runs: &[Run]) {
        let mut from = 0;
        for run in runs {
            let to = from + run.blocks * BLOCK;
            self.layout.place(self.geometry.offset(run.place), content.slice(from..to));
            from = to;
        }
    }

    /// Places the metadata, that of all groups, the superblocks and the log with it.
    fn finish(self, root: u64, label: &str) -> Option<Layout> {
        let Self { geometry, stamp, space, mut layout, mut metadata } = self;
        let mut total = Counts::default();
        for group in space.groups {
            let (counts, placed) = group.finish(&geometry, &stamp.uuid)?;
            total.free += counts.free;
            total.inodes += counts.inodes;
            total.free_inodes += counts.free_inodes;
            metadata.extend(placed);
        }
        let superblock = superblock::bytes(&geometry, label, &stamp.uuid, root, &total);
        for group in 0..geometry.groups {
            metadata.push((geometry.offset(Place { group, block: 0 }), superblock.clone()));
        }
        let log = log::clean(&stamp.uuid, geometry.sector_size);
        metadata.push((geometry.offset(geometry.log()), log));
        // What meets is written at once: an inode is small.
        metadata.sort_by_key(|&(offset, _)| offset);
        let mut joined: Placed = Vec::new();
        for (offset, bytes) in metadata {
            match joined.last_mut() {
                Some((start, before)) if *start + before.len() as u64 == offset => {
                    before.extend(bytes);
                }
                _ => joined.push((offset, bytes)),
            }
        }
        for (offset, bytes) in joined {
            layout.place(offset, bytes.into());
        }
        Some(layout)
    }
}

/// The inode numbers, and those of a chunk that nobody has.
struct Numbers {
    root: u64,
    of: BTreeMap<Ino, u64>,
    unused: Vec<u64>,
}

impl Named<'_> {
    fn directory(&self, numbers: &Numbers) -> Directory<'_> {
        let entry =
            |&(name, ino, kind): &(_, Ino, _)| Entry { name, inode: numbers.of[&ino], kind };
        let entries = self.children.iter().map(entry).collect();
        Directory::new(numbers.of[&self.ino], numbers.of[&self.parent], entries)
    }
}

fn kind(node: &Node) -> u64 {
    match &node.kind {
        NodeKind::Directory => DIRECTORY,
        NodeKind::File(_) => FILE,
        NodeKind::Symlink(_) => SYMLINK,
        NodeKind::Device { block: true, .. } => BLOCK_DEVICE,
        NodeKind::Device { .. } => CHARACTER,
        NodeKind::Fifo => FIFO,
    }
}

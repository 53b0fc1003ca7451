//! One hierarchy of directories: its records, its path tables.

use super::{
    BLOCK, FORMAT,
    name::{Identifiers, Naming, identifier},
    record::{IS_DIRECTORY, MAX_RECORD, MORE_EXTENTS, date, length, path_record, record},
    rock_ridge::{self, S_IFDIR, S_IFLNK, S_IFREG},
};
use crate::{
    blob::Blob,
    formats::{Error, Result},
    tree::{Ino, Node, NodeKind, Tree, TreePath},
};
use std::collections::BTreeMap;

/// Bytes of one extent: the most a record can say in whole blocks.
const MAX_EXTENT: u64 = u32::MAX as u64 / BLOCK * BLOCK;
/// Directories a path table can number.
const MAX_DIRECTORIES: usize = u16::MAX as usize;

/// The directories of a tree, in the order of the path table: level by level.
pub(super) struct Hierarchy<'a> {
    naming: Naming,
    date: [u8; 7],
    directories: Vec<Directory<'a>>,
    /// How many names each inode has.
    links: BTreeMap<Ino, u32>,
    /// Bytes of each directory, and of all fields that do not fit into records.
    lengths: Vec<u64>,
    rest_length: u64,
}

struct Directory<'a> {
    node: &'a Node,
    /// Its place in the list; the root is its own parent.
    parent: usize,
    identifier: Vec<u8>,
    children: Vec<Child<'a>>,
}

struct Child<'a> {
    path: &'a TreePath,
    ino: Ino,
    node: &'a Node,
    identifier: Vec<u8>,
    /// Its place in the list, if it is a directory.
    directory: Option<usize>,
}

/// A hierarchy as it stands on the volume. Blocks count from the volume's base.
pub(super) struct Written {
    pub(super) bytes: Vec<u8>,
    pub(super) path_table_length: u32,
    pub(super) path_table_l: u32,
    pub(super) path_table_m: u32,
    /// The record of the root directory.
    pub(super) root: Vec<u8>,
}

/// Where what records point to stands; empty while only lengths matter.
#[derive(Clone, Copy, Default)]
struct Places<'a> {
    /// Block of each directory.
    directories: &'a [u32],
    /// Block of the fields that do not fit into records.
    rest: u32,
    /// Block of each file's content, from the start of the image.
    files: Option<&'a BTreeMap<Ino, u32>>,
    /// What to take off those.
    base: u32,
}

impl<'a> Hierarchy<'a> {
    pub(super) fn new(tree: &'a Tree, naming: Naming, epoch: u64) -> Result<Self> {
        let mut in_directory: BTreeMap<TreePath, Vec<_>> = BTreeMap::new();
        let mut links = BTreeMap::new();
        let mut directories = Vec::new();
        let mut paths = Vec::new();
        for (path, ino, node) in tree.iter() {
            *links.entry(ino).or_default() += 1;
            if let Some(parent) = path.parent() {
                in_directory.entry(parent).or_default().push((path, ino, node));
            } else {
                let identifier = vec![0];
                directories.push(Directory { node, parent: 0, identifier, children: vec![] });
                paths.push(path);
            }
        }
        let mut number = 0;
        while let Some(path) = paths.get(number).copied() {
            let mut identifiers = Identifiers::new(naming);
            let mut named: Vec<_> = in_directory
                .remove(path)
                .unwrap_or_default()
                .into_iter()
                // Joliet has no links.
                .filter(|(_, _, node)| {
                    naming == Naming::RockRidge || !matches!(node.kind, NodeKind::Symlink(_))
                })
                .map(|(path, ino, node)| {
                    (identifiers.take(path.file_name(), node.is_directory()), path, ino, node)
                })
                .collect();
            named.sort_by(|(a, ..), (b, ..)| a.cmp(b));
            let mut children = Vec::new();
            for (units, path, ino, node) in named {
                let identifier = identifier(naming, &units, node.is_directory());
                let directory = match node.kind {
                    NodeKind::Directory => {
                        paths.push(path);
                        directories.push(Directory {
                            node,
                            parent: number,
                            identifier: identifier.clone(),
                            children: Vec::new(),
                        });
                        Some(directories.len() - 1)
                    }
                    NodeKind::File(_) | NodeKind::Symlink(_) => None,
                    _ => {
                        let what = format!("{path} is neither file, directory nor link");
                        return Err(Error::invalid(FORMAT, what));
                    }
                };
                children.push(Child { path, ino, node, identifier, directory });
            }
            directories[number].children = children;
            number += 1;
        }
        if directories.len() > MAX_DIRECTORIES {
            let what = format!("{} directories, over {MAX_DIRECTORIES}", directories.len());
            return Err(Error::invalid(FORMAT, what));
        }
        let mut hierarchy = Self {
            naming,
            date: date(epoch),
            directories,
            links,
            lengths: Vec::new(),
            rest_length: 0,
        };
        let (contents, rest) = hierarchy.contents(Places::default())?;
        hierarchy.lengths = contents.iter().map(|content| content.len() as u64).collect();
        hierarchy.rest_length = rest.len() as u64;
        Ok(hierarchy)
    }

    pub(super) fn naming(&self) -> Naming {
        self.naming
    }

    /// Bytes it takes, a multiple of the block size.
    pub(super) fn length(&self) -> u64 {
        2 * self.path_table_length().next_multiple_of(BLOCK)
            + self.lengths.iter().sum::<u64>()
            + self.rest_length
    }

    fn path_table_length(&self) -> u64 {
        let records = self.directories.iter();
        records.map(|dir| path_record(&dir.identifier, 0, 0, false).len() as u64).sum()
    }

    /// Writes it for block `at` of a volume that starts at block `base`; `files` says where the
    /// contents are. All blocks count from the start of the image and fit 32 bits.
    pub(super) fn write(&self, at: u32, base: u32, files: &BTreeMap<Ino, u32>) -> Result<Written> {
        let blocks = |bytes: u64| u32::try_from(bytes.div_ceil(BLOCK)).unwrap_or(u32::MAX);
        let length = self.path_table_length();
        let path_table_l = at - base;
        let path_table_m = path_table_l + blocks(length);
        let mut next = path_table_m + blocks(length);
        let mut places = Vec::new();
        for &length in &self.lengths {
            places.push(next);
            next += blocks(length);
        }
        let places = Places { directories: &places, rest: next, files: Some(files), base };
        let mut bytes = Vec::new();
        for is_type_m in [false, true] {
            for (directory, &block) in self.directories.iter().zip(places.directories) {
                let parent = u16::try_from(directory.parent + 1).unwrap_or(0);
                bytes.extend(path_record(&directory.identifier, block, parent, is_type_m));
            }
            pad(&mut bytes);
        }
        let (contents, rest) = self.contents(places)?;
        bytes.extend(contents.concat());
        bytes.extend(rest);
        Ok(Written {
            bytes,
            path_table_length: u32::try_from(length).unwrap_or(u32::MAX),
            path_table_l,
            path_table_m,
            root: self.record(&[0], IS_DIRECTORY, self.directory(0, places), &[]),
        })
    }

    fn record(&self, identifier: &[u8], flags: u8, extent: (u32, u32), fields: &[u8]) -> Vec<u8> {
        record(identifier, flags, extent, self.date, fields)
    }

    /// Block and length of a directory.
    fn directory(&self, number: usize, places: Places<'_>) -> (u32, u32) {
        let block = places.directories.get(number).copied().unwrap_or(0);
        let length = self.lengths.get(number).copied().unwrap_or(0);
        (block, u32::try_from(length).unwrap_or(u32::MAX))
    }

    /// The records of each directory, and the fields that did not fit into them.
    fn contents(&self, places: Places<'_>) -> Result<(Vec<Vec<u8>>, Vec<u8>)> {
        let mut rest = Rest { block: places.rest, bytes: Vec::new() };
        let mut contents = Vec::new();
        for (number, directory) in self.directories.iter().enumerate() {
            let mut records = Vec::new();
            for (identifier, number) in [([0], number), ([1], directory.parent)] {
                let mut fields = self.directory_fields(number);
                if self.naming == Naming::RockRidge && contents.is_empty() && identifier == [0] {
                    fields.insert(0, rock_ridge::present());
                    fields.push(rock_ridge::extension());
                }
                let fields = rest.fit(&identifier, fields)?;
                let place = self.directory(number, places);
                push(&mut records, &self.record(&identifier, IS_DIRECTORY, place, &fields));
            }
            for child in &directory.children {
                let fields = rest.fit(&child.identifier, self.fields(child)?)?;
                let (flags, extents) = match child.directory {
                    Some(number) => (IS_DIRECTORY, vec![self.directory(number, places)]),
                    None => (0, child.extents(places)),
                };
                let last = extents.len();
                for (extent, number) in extents.into_iter().zip(1..) {
                    let flags = if number == last { flags } else { flags | MORE_EXTENTS };
                    push(&mut records, &self.record(&child.identifier, flags, extent, &fields));
                }
            }
            pad(&mut records);
            contents.push(records);
        }
        pad(&mut rest.bytes);
        Ok((contents, rest.bytes))
    }

    fn directory_fields(&self, number: usize) -> Vec<Vec<u8>> {
        if self.naming == Naming::Joliet {
            return Vec::new();
        }
        let Directory { node, children, .. } = &self.directories[number];
        let below = children.iter().filter(|child| child.directory.is_some()).count();
        let links = u32::try_from(below + 2).unwrap_or(u32::MAX);
        self.common_fields(node, S_IFDIR, links)
    }

    fn common_fields(&self, node: &Node, file_type: u32, links: u32) -> Vec<Vec<u8>> {
        let mode = file_type | (node.mode & 0o7777);
        vec![rock_ridge::attributes(mode, links, node.uid, node.gid), rock_ridge::times(self.date)]
    }

    fn fields(&self, child: &Child<'_>) -> Result<Vec<Vec<u8>>> {
        if self.naming == Naming::Joliet {
            return Ok(Vec::new());
        }
        let mut fields = match (child.directory, &child.node.kind) {
            (Some(number), _) => self.directory_fields(number),
            (None, kind) => {
                let is_link = matches!(kind, NodeKind::Symlink(_));
                let file_type = if is_link { S_IFLNK } else { S_IFREG };
                let links = self.links.get(&child.ino).copied().unwrap_or(1);
                self.common_fields(child.node, file_type, links)
            }
        };
        fields.extend(rock_ridge::name(child.path.file_name()));
        if let NodeKind::Symlink(target) = &child.node.kind {
            fields.extend(rock_ridge::link(target)?);
        }
        Ok(fields)
    }
}

impl Child<'_> {
    /// Where a file's content stands, in pieces a record can say.
    fn extents(&self, places: Places<'_>) -> Vec<(u32, u32)> {
        let length = self.node.content().map_or(0, Blob::len);
        let first = places.files.and_then(|files| files.get(&self.ino));
        let first = first.map_or(0, |block| u64::from(block - places.base));
        let piece = |at: u64| {
            let block = u32::try_from(first + at / BLOCK).unwrap_or(u32::MAX);
            (block, u32::try_from((length - at).min(MAX_EXTENT)).unwrap_or(u32::MAX))
        };
        let pieces = length.div_ceil(MAX_EXTENT).max(1);
        (0..pieces).map(|number| piece(number * MAX_EXTENT)).collect()
    }
}

/// Fields that did not fit into their record.
struct Rest {
    block: u32,
    bytes: Vec<u8>,
}

impl Rest {
    /// The fields that stand in the record of `identifier`; what does not fit goes here, in one
    /// piece that stays within a block.
    fn fit(&mut self, identifier: &[u8], fields: Vec<Vec<u8>>) -> Result<Vec<u8>> {
        let room = MAX_RECORD - length(identifier.len());
        if fields.iter().map(Vec::len).sum::<usize>() <= room {
            return Ok(fields.concat());
        }
        let mut inside = Vec::new();
        let mut fields = fields.into_iter().peekable();
        while let Some(field) =
            fields.next_if(|field| inside.len() + field.len() + rock_ridge::CONTINUATION <= room)
        {
            inside.extend(field);
        }
        let outside = fields.collect::<Vec<_>>().concat();
        if outside.len() as u64 > BLOCK {
            let what = "a link target is too long for a volume";
            return Err(Error::invalid(FORMAT, what));
        }
        if self.bytes.len() as u64 % BLOCK + outside.len() as u64 > BLOCK {
            pad(&mut self.bytes);
        }
        let number = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
        let (at, len) = (self.bytes.len() as u64, outside.len() as u64);
        let block = self.block.saturating_add(number(at / BLOCK));
        inside.extend(rock_ridge::continuation(block, number(at % BLOCK), number(len)));
        self.bytes.extend(outside);
        Ok(inside)
    }
}

/// Adds a record, which must not cross the end of a block (section 6.8.1.1).
fn push(records: &mut Vec<u8>, record: &[u8]) {
    if records.len() as u64 % BLOCK + record.len() as u64 > BLOCK {
        pad(records);
    }
    records.extend(record);
}

fn pad(bytes: &mut Vec<u8>) {
    let block = usize::try_from(BLOCK).unwrap_or(1);
    bytes.resize(bytes.len().next_multiple_of(block), 0);
}

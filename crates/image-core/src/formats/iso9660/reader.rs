//! Reads a volume back.

use super::{
    BLOCK, DESCRIPTORS, FORMAT,
    el_torito::{self, BootEntry},
    record::{IS_DIRECTORY, MORE_EXTENTS, length},
    rock_ridge::{self, Fields},
};
use crate::{
    blob::Blob,
    formats::{Error, Result},
    tree::{Node, Tree, TreePath},
};
use std::collections::BTreeSet;

/// Descriptors before the terminator; more are not meant.
const MAX_DESCRIPTORS: u64 = 64;
/// Directories within directories.
const MAX_DEPTH: usize = 64;
/// Bytes of all directories together.
const MAX_DIRECTORIES: u64 = 64 << 20;
/// Modes where no Rock Ridge says others.
const DIRECTORY_MODE: u32 = 0o555;
const FILE_MODE: u32 = 0o444;

/// A volume as it was found.
#[derive(Clone, Debug)]
pub struct Found {
    /// The label.
    pub volume_id: String,
    /// The set it is from.
    pub volume_set_id: String,
    /// Who prepared the content.
    pub preparer_id: String,
    /// What wrote it.
    pub application_id: String,
    /// Length in bytes by its own account; the blob may be longer.
    pub size: u64,
    /// The boot catalogue, in order.
    pub boot: Vec<BootEntry>,
    /// The files by their Rock Ridge names, else by Joliet's, else by ECMA-119's. Their
    /// contents are slices of the blob.
    pub tree: Tree,
}

/// Reads the volume that starts at the start of `blob`.
///
/// # Errors
/// `Corrupt` if it is not sound: extents past the end, directories in a loop, names no path can
/// have. `Unsupported` for other blocks than 2048 bytes, relocated directories, interleaved
/// files, and over 64 MiB of directories.
pub fn read(blob: &Blob) -> Result<Found> {
    let mut primary = None;
    let mut joliet = None;
    let mut boot_record = None;
    for number in DESCRIPTORS..DESCRIPTORS + MAX_DESCRIPTORS {
        let at = number * BLOCK;
        let descriptor: Descriptor =
            blob.array(at).map_err(|_| Error::corrupt(FORMAT, at, "no volume descriptor"))?;
        if descriptor[1..6] != *b"CD001" {
            return Err(Error::corrupt(FORMAT, at, "no volume descriptor"));
        }
        let slot = match descriptor[0] {
            0 => &mut boot_record,
            1 => &mut primary,
            2 if matches!(&descriptor[88..91], b"%/@" | b"%/C" | b"%/E") => &mut joliet,
            255 => break,
            _ => continue,
        };
        slot.get_or_insert(descriptor);
    }
    let at = DESCRIPTORS * BLOCK;
    let primary = primary.ok_or_else(|| Error::corrupt(FORMAT, at, "no primary descriptor"))?;
    if u64::from(u16::from_le_bytes([primary[128], primary[129]])) != BLOCK {
        return Err(Error::unsupported(FORMAT, "another block size than 2048 bytes"));
    }
    let size = u64::from(long(&primary, 80)) * BLOCK;
    let boot = match boot_record {
        Some(record) => el_torito::read(blob, &record, size.min(blob.len()))?,
        None => Vec::new(),
    };
    let text = |at: usize, len: usize| {
        String::from_utf8_lossy(&primary[at..at + len]).trim_end_matches([' ', '\0']).to_owned()
    };
    Ok(Found {
        volume_id: text(40, 32),
        volume_set_id: text(190, 128),
        preparer_id: text(446, 128),
        application_id: text(574, 128),
        size,
        boot,
        tree: tree(blob, &primary, joliet.as_ref())?,
    })
}

type Descriptor = [u8; 2048];

/// A number of 32 bits in both byte orders; the little-endian half counts.
pub(super) fn long(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

/// Where a directory or a piece of a file stands.
#[derive(Clone, Copy, Debug)]
struct Place {
    /// Bytes from the start of the volume.
    start: u64,
    length: u64,
}

impl Place {
    /// What a directory record says; its extended attribute record is skipped.
    fn new(record: &[u8]) -> Self {
        let attributes = record.get(1).copied().unwrap_or(0);
        let start = (u64::from(long(record, 2)) + u64::from(attributes)) * BLOCK;
        Self { start, length: long(record, 10).into() }
    }

    fn content(self, blob: &Blob) -> Result<Blob> {
        let end = self.start + self.length;
        if self.length > 0 && end > blob.len() {
            let what = format!("an extent of {} bytes past the end", self.length);
            return Err(Error::corrupt(FORMAT, self.start, what));
        }
        Ok(blob.slice(self.start..end))
    }
}

/// Whose names are read.
#[derive(Clone, Copy, Debug)]
enum Names {
    Plain,
    Joliet,
    /// `skip` bytes come before the fields of every record but the first.
    RockRidge {
        skip: usize,
    },
}

fn tree(blob: &Blob, primary: &Descriptor, joliet: Option<&Descriptor>) -> Result<Tree> {
    let root = Place::new(&primary[156..190]);
    let mut directories = Directories::new(blob);
    // The first record of the root says whether there is Rock Ridge.
    let first = directories.read(root)?;
    let (names, root) = match (records(&first).next().and_then(rock_ridge::skip), joliet) {
        (Some(skip), _) => (Names::RockRidge { skip }, root),
        (None, Some(joliet)) => (Names::Joliet, Place::new(&joliet[156..190])),
        (None, None) => (Names::Plain, root),
    };

    let mut directories = Directories::new(blob);
    let mut tree = Tree::new();
    let mut pending = vec![(TreePath::ROOT, 0, root)];
    while let Some((directory, depth, place)) = pending.pop() {
        let content = directories.read(place)?;
        // A file in several extents has as many records, one after the other.
        let mut parts = Vec::new();
        for record in records(&content) {
            if matches!(identifier(record), [0 | 1]) {
                continue;
            }
            let file = File::new(blob, record, names)?;
            let corrupt = |what: &str| {
                let what = format!("{:?} in directory {directory}: {what}", file.name);
                Error::corrupt(FORMAT, place.start, what)
            };
            if file.name.contains('/') || matches!(file.name.as_str(), "" | "." | "..") {
                return Err(corrupt("is no name"));
            }
            let path = directory.join(&file.name).map_err(|error| corrupt(error.why))?;
            let place = Place::new(record);
            let flags = record[25];
            let mut node = if flags & IS_DIRECTORY != 0 {
                if depth == MAX_DEPTH {
                    return Err(corrupt("is too deep"));
                }
                pending.push((path.clone(), depth + 1, place));
                Node::directory(DIRECTORY_MODE)
            } else if let Some(target) = file.link {
                Node::symlink(target)
            } else {
                parts.push(place.content(blob)?);
                if flags & MORE_EXTENTS != 0 {
                    continue;
                }
                Node::file(Blob::concat(parts.drain(..)), FILE_MODE)
            };
            if let Some((mode, uid, gid)) = file.attributes {
                (node.mode, node.uid, node.gid) = (mode & 0o7777, uid, gid);
            }
            if tree.get(&path).is_some() {
                return Err(corrupt("stands there twice"));
            }
            tree.insert(path, node);
        }
    }
    Ok(tree)
}

/// Reads directories, each at most once, which ends every loop.
struct Directories<'a> {
    blob: &'a Blob,
    seen: BTreeSet<u64>,
    /// Bytes that may yet be read.
    left: u64,
}

impl<'a> Directories<'a> {
    fn new(blob: &'a Blob) -> Self {
        Self { blob, seen: BTreeSet::new(), left: MAX_DIRECTORIES }
    }

    fn read(&mut self, place: Place) -> Result<Vec<u8>> {
        if !self.seen.insert(place.start) {
            return Err(Error::corrupt(FORMAT, place.start, "a directory has two places"));
        }
        self.left = self
            .left
            .checked_sub(place.length)
            .ok_or_else(|| Error::unsupported(FORMAT, "over 64 MiB of directories"))?;
        let content = place.content(self.blob)?;
        content.to_vec(MAX_DIRECTORIES).map_err(|error| Error::io(FORMAT, error))
    }
}

/// The records of a directory that are whole, none of which crosses the end of a block.
fn records(directory: &[u8]) -> impl Iterator<Item = &[u8]> {
    directory.chunks(2048).flat_map(|block| {
        let mut rest = block;
        std::iter::from_fn(move || {
            let len = usize::from(*rest.first()?);
            let (record, after) = rest.split_at_checked(len)?;
            rest = after;
            let is_whole = len >= length(1) && length(usize::from(record[32])) <= len;
            is_whole.then_some(record)
        })
    })
}

fn identifier(record: &[u8]) -> &[u8] {
    &record[33..33 + usize::from(record[32])]
}

/// What a record says of a file besides its place.
struct File {
    name: String,
    /// Mode, owner, group.
    attributes: Option<(u32, u32, u32)>,
    link: Option<String>,
}

impl File {
    fn new(blob: &Blob, record: &[u8], names: Names) -> Result<Self> {
        if record[26] != 0 || record[27] != 0 {
            return Err(Error::unsupported(FORMAT, "an interleaved file"));
        }
        let identifier = identifier(record);
        let units = identifier.chunks_exact(2).map(|unit| u16::from_be_bytes([unit[0], unit[1]]));
        let whole: String = match names {
            Names::Joliet => char::decode_utf16(units).map(|c| c.unwrap_or('\u{fffd}')).collect(),
            Names::Plain | Names::RockRidge { .. } => String::from_utf8_lossy(identifier).into(),
        };
        // Without version and, where there is no extension, without the dot.
        let name: &str = whole.rsplit_once(';').map_or(whole.as_str(), |(name, _)| name);
        let name = name.strip_suffix('.').unwrap_or(name).to_owned();
        let Names::RockRidge { skip } = names else {
            return Ok(Self { name, attributes: None, link: None });
        };
        let Fields { name: posix, attributes, link } = rock_ridge::read(blob, record, skip)?;
        Ok(Self { name: posix.unwrap_or(name), attributes, link })
    }
}

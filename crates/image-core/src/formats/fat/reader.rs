//! Reads a volume back.

use super::{
    FORMAT, Kind,
    entry::{DIRECTORY, ENTRY, Entry, READ_ONLY, VOLUME_ID, read_directory},
    geometry::Geometry,
};
use crate::{
    blob::Blob,
    formats::{Error, Result},
    tree::{Node, Tree, TreePath},
};

/// Directories within directories; deeper ones are not meant.
const MAX_DEPTH: usize = 64;
/// The longest directory in bytes, by the specification.
const MAX_DIRECTORY: u64 = 65_536 * ENTRY as u64;
/// Pieces all files together may be in: caps memory where every cluster stands alone.
const MAX_EXTENTS: usize = 1 << 20;
/// Bytes of the table read at a time.
const WINDOW: usize = 4096;

/// A volume as it was found.
#[derive(Clone, Debug)]
pub struct Volume {
    /// FAT16 or FAT32.
    pub kind: Kind,
    /// The label in the root directory, else in the boot sector; may be empty.
    pub label: String,
    /// The serial number.
    pub volume_id: u32,
    /// Bytes of a sector.
    pub sector_size: u64,
    /// Bytes of a cluster.
    pub cluster_size: u64,
    /// Length of the volume in bytes; the blob may be longer.
    pub size: u64,
    /// The files. Their contents are slices of the blob. Mode 0444 for what is read-only, else
    /// 0644; 0755 for directories.
    pub tree: Tree,
}

/// Reads a FAT16 or FAT32 volume that starts at the start of `blob`.
///
/// # Errors
/// `Corrupt` if it is not sound: clusters out of range, shared or in a loop, files shorter than
/// they say, names no path can have. `Unsupported` for FAT12 and for more than a million pieces.
pub fn read(blob: &Blob) -> Result<Volume> {
    let geometry = Geometry::read(blob)?;
    let id: [u8; 15] = bytes(blob, geometry.volume_id_offset())?;
    let [a, b, c, d, boot_label @ ..] = id;
    let mut chains = Chains::new(blob, &geometry);
    let mut tree = Tree::new();
    let mut label = None;

    let root = match geometry.kind {
        Kind::Fat32 => chains.follow(geometry.root_cluster, MAX_DIRECTORY, false)?,
        Kind::Fat16 => {
            let start = geometry.root_offset();
            blob.slice(start..start + geometry.root_sectors * geometry.sector_size)
        }
    };
    let mut pending = vec![(TreePath::ROOT, 0, root)];
    while let Some((directory, depth, content)) = pending.pop() {
        let content = content.to_vec(MAX_DIRECTORY).map_err(|error| Error::io(FORMAT, error))?;
        for (name, entry) in read_directory(&content) {
            if entry.attributes & VOLUME_ID != 0 {
                if directory.is_root() {
                    label.get_or_insert(name);
                }
                continue;
            }
            if matches!(entry.short, Entry::DOT | Entry::DOT_DOT) {
                continue;
            }
            let at = geometry.root_offset();
            let corrupt = |what: &str| {
                Error::corrupt(FORMAT, at, format!("{name:?} in directory {directory}: {what}"))
            };
            if name.contains('/') || matches!(name.as_str(), "" | "." | "..") {
                return Err(corrupt("is no name"));
            }
            let path = directory.join(&name).map_err(|error| corrupt(error.why))?;
            if tree.get(&path).is_some() {
                return Err(corrupt("stands there twice"));
            }
            if entry.attributes & DIRECTORY != 0 {
                if depth == MAX_DEPTH {
                    return Err(corrupt("is too deep"));
                }
                let content = chains.follow(entry.cluster, MAX_DIRECTORY, false)?;
                pending.push((path.clone(), depth + 1, content));
                tree.insert(path, Node::directory(0o755));
            } else {
                let content = match entry.size {
                    0 => Blob::empty(),
                    size => chains.follow(entry.cluster, size.into(), true)?,
                };
                let mode = if entry.attributes & READ_ONLY == 0 { 0o644 } else { 0o444 };
                tree.insert(path, Node::file(content, mode));
            }
        }
    }
    Ok(Volume {
        kind: geometry.kind,
        label: label.unwrap_or_else(|| match &boot_label {
            b"NO NAME    " => String::new(),
            label => String::from_utf8_lossy(label).trim_end().to_owned(),
        }),
        volume_id: u32::from_le_bytes([a, b, c, d]),
        sector_size: geometry.sector_size,
        cluster_size: geometry.cluster_size(),
        size: geometry.total_sectors * geometry.sector_size,
        tree,
    })
}

fn bytes<const N: usize>(blob: &Blob, offset: u64) -> Result<[u8; N]> {
    blob.array(offset).map_err(|error| Error::io(FORMAT, error))
}

/// Follows cluster chains, each cluster at most once, which ends every loop.
struct Chains<'a> {
    blob: &'a Blob,
    geometry: &'a Geometry,
    /// One bit a cluster: whether some file has it.
    seen: Vec<u64>,
    extents: usize,
    /// A piece of the table and where in the volume it starts.
    window: (u64, Vec<u8>),
}

impl<'a> Chains<'a> {
    fn new(blob: &'a Blob, geometry: &'a Geometry) -> Self {
        // No more than an eighth of a byte for 512 bytes of the volume.
        let words = usize::try_from((geometry.clusters + 2).div_ceil(64)).unwrap_or(0);
        Self { blob, geometry, seen: vec![0; words], extents: 0, window: (0, Vec::new()) }
    }

    /// The content that starts in cluster `first`: `len` bytes if `exact`, else to the end of
    /// the chain but not over `len`.
    fn follow(&mut self, first: u32, len: u64, exact: bool) -> Result<Blob> {
        let size = self.geometry.cluster_size();
        let mut parts = Vec::new();
        // The piece that still grows, in bytes from the start of the volume.
        let mut piece: Option<(u64, u64)> = None;
        let (mut left, mut cluster) = (len, first);
        loop {
            self.claim(cluster)?;
            let start = self.geometry.cluster_offset(cluster);
            let end = start + size.min(left);
            left -= end - start;
            piece = match piece {
                Some((from, to)) if to == start => Some((from, end)),
                Some((from, to)) => {
                    self.count_extent()?;
                    parts.push(self.blob.slice(from..to));
                    Some((start, end))
                }
                None => Some((start, end)),
            };
            if left == 0 && exact {
                break;
            }
            match self.next(cluster)? {
                Some(_) if left == 0 => return Err(self.corrupt(cluster, "a directory too long")),
                Some(next) => cluster = next,
                None if exact => return Err(self.corrupt(cluster, "a file ends before its size")),
                None => break,
            }
        }
        self.count_extent()?;
        parts.extend(piece.map(|(from, to)| self.blob.slice(from..to)));
        Ok(Blob::concat(parts))
    }

    fn claim(&mut self, cluster: u32) -> Result<()> {
        if !self.geometry.has_cluster(cluster) {
            return Err(self.corrupt(cluster, "there is no such cluster"));
        }
        let (word, bit) = ((cluster / 64) as usize, 1 << (cluster % 64));
        match self.seen.get_mut(word) {
            Some(word) if *word & bit == 0 => *word |= bit,
            _ => return Err(self.corrupt(cluster, "the cluster has two places")),
        }
        Ok(())
    }

    fn count_extent(&mut self) -> Result<()> {
        self.extents += 1;
        if self.extents > MAX_EXTENTS {
            return Err(Error::unsupported(FORMAT, format!("files in over {MAX_EXTENTS} pieces")));
        }
        Ok(())
    }

    /// The cluster after `cluster`; none at the end of a chain.
    fn next(&mut self, cluster: u32) -> Result<Option<u32>> {
        let at = self.entry_offset(cluster);
        let (start, window) = &mut self.window;
        if at < *start || at >= *start + window.len() as u64 {
            *start = at - at % WINDOW as u64;
            let piece = self.blob.slice(*start..*start + WINDOW as u64);
            *window = piece.to_vec(WINDOW as u64).map_err(|error| Error::io(FORMAT, error))?;
        }
        let within = usize::try_from(at - *start).unwrap_or(usize::MAX);
        let entry = match (self.geometry.kind, window.get(within..)) {
            (Kind::Fat16, Some(&[a, b, ..])) => u32::from(u16::from_le_bytes([a, b])),
            (Kind::Fat32, Some(&[a, b, c, d, ..])) => {
                u32::from_le_bytes([a, b, c, d]) & 0x0fff_ffff
            }
            _ => return Err(self.corrupt(cluster, "its place in the table is not there")),
        };
        let last = match self.geometry.kind {
            Kind::Fat16 => 0xfff8,
            Kind::Fat32 => 0x0fff_fff8,
        };
        Ok((entry < last).then_some(entry))
    }

    fn entry_offset(&self, cluster: u32) -> u64 {
        self.geometry.fat_offset(0) + u64::from(cluster) * self.geometry.kind.entry_size()
    }

    fn corrupt(&self, cluster: u32, what: &str) -> Error {
        Error::corrupt(FORMAT, self.entry_offset(cluster), format!("cluster {cluster}: {what}"))
    }
}

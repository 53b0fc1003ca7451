//! Lays a tree out as a volume.

use super::{
    FORMAT, Kind,
    entry::{
        ARCHIVE, DIRECTORY, ENTRY, Entry, Name, READ_ONLY, ShortName, Stamp, VOLUME_ID, names,
    },
    geometry::{
        BACKUP_BOOT_SECTOR, DATA_ALIGN_SECTORS, FS_INFO_SECTOR, Geometry, ROOT_BYTES_FAT16,
    },
};
use crate::{
    blob::{Blob, Layout},
    formats::{Error, Result},
    tree::{Node, NodeKind, Tree, TreePath},
};
use std::collections::BTreeMap;

/// The longest directory: 65536 entries.
const MAX_DIRECTORY: u64 = 65_536 * ENTRY as u64;
/// Subject of the error that it is too much.
const WHAT: &str = "what the volume is to hold";
const NO_LABEL: ShortName = *b"NO NAME    ";

/// What a new volume is to be.
#[derive(Clone, Debug)]
pub struct Options<'a> {
    /// Length in bytes, a multiple of the sector size. It decides between FAT16 and FAT32 and
    /// the size of clusters: the largest of 1, 2, 4, 8 sectors that leaves FAT32 enough of them.
    pub size: u64,
    /// 512 or 4096 bytes.
    pub sector_size: u32,
    /// Up to 11 upper-case characters, or none.
    pub label: &'a str,
    /// The serial number.
    pub volume_id: u32,
    /// The date of everything, in seconds since 1970 (UTC). FAT's dates start in 1980.
    pub epoch: u64,
    /// What is to stand at a multiple of 8 sectors from the volume's start: a file, and a
    /// multiple of the sector size in it, in bytes. With none, the clusters do.
    pub aligned: Option<(&'a TreePath, u64)>,
}

impl Options<'_> {
    /// The most that the data are moved back for [`Options::aligned`], in bytes.
    fn shift(&self) -> u64 {
        self.aligned.map_or(0, |_| DATA_ALIGN_SECTORS * u64::from(self.sector_size))
    }
}

/// Lays `tree` out as a volume. Contents are placed, not copied; space no file takes is a hole.
///
/// FAT keeps no owners, extended attributes or modes, save that a file nobody may write is
/// read-only; a hard link becomes a copy.
///
/// # Errors
/// `TooLarge` if the tree does not fit, with what it needs; `Invalid` for what FAT has no form
/// for: other nodes than files and directories, names it does not allow or cannot tell apart.
pub fn volume(tree: &Tree, options: &Options<'_>) -> Result<Blob> {
    let label = label(options.label)?;
    let geometry = Geometry::for_size(options.size, options.sector_size)?;
    let contents = Contents::new(tree, label.is_some())?;
    let too_large = || match min_size(tree, options.sector_size) {
        Ok(need) => Error::too_large(FORMAT, WHAT, need + options.shift(), options.size),
        Err(error) => error,
    };
    let runs = contents.runs(&geometry).ok_or_else(too_large)?;
    let shift = options.aligned.map_or(0, |(path, at)| {
        let sector = (start(&geometry, &runs, path) + at) / geometry.sector_size;
        sector.next_multiple_of(DATA_ALIGN_SECTORS) - sector
    });
    let geometry = geometry.shifted(shift).ok_or_else(too_large)?;
    let runs = contents.runs(&geometry).ok_or_else(too_large)?;

    let mut layout = Layout::new();
    let sector = |number: u64| number * geometry.sector_size;
    let boot =
        Blob::from(geometry.boot_sector(options.volume_id, label.unwrap_or(NO_LABEL)).to_vec());
    layout.place(0, boot.clone());
    let table = table(&geometry, &runs);
    if geometry.kind == Kind::Fat32 {
        let info = fs_info(&geometry, &runs);
        layout.place(sector(FS_INFO_SECTOR), info.clone());
        layout.place(sector(BACKUP_BOOT_SECTOR), boot);
        layout.place(sector(BACKUP_BOOT_SECTOR + FS_INFO_SECTOR), info);
    }
    for copy in 0..geometry.fats {
        layout.place(geometry.fat_offset(copy), table.clone());
    }
    let stamp = Stamp::new(options.epoch);
    for (path, files) in &contents.directories {
        let bytes = directory(path, files, &runs, label, stamp);
        if geometry.kind == Kind::Fat16 && path.is_root() && bytes.len() > ROOT_BYTES_FAT16 {
            return Err(Error::invalid(FORMAT, "the root directory has too many names for FAT16"));
        }
        layout.place(start(&geometry, &runs, path), bytes.into());
    }
    for (path, _, node) in tree.iter() {
        if let Some(content) = node.content() {
            layout.place(start(&geometry, &runs, path), content.clone());
        }
    }
    layout.seal(options.size).map_err(|overlap| Error::overlap(FORMAT, overlap))
}

/// The bytes of the smallest volume that holds `tree` and a label, its clusters aligned: 8 sectors
/// more are enough for any other [alignment](Options::aligned).
///
/// # Errors
/// As [`volume`]; `TooLarge` if no volume holds it.
pub fn min_size(tree: &Tree, sector_size: u32) -> Result<u64> {
    let contents = Contents::new(tree, true)?;
    let least = Geometry::least(sector_size, |kind, size| contents.clusters(kind, size));
    let most = u64::from(u32::MAX) * u64::from(sector_size);
    least
        .map(|geometry| geometry.total_sectors * geometry.sector_size)
        .ok_or_else(|| Error::too_large(FORMAT, WHAT, contents.clusters(Kind::Fat32, 1), most))
}

/// A file or directory in its parent.
struct Child<'a> {
    path: &'a TreePath,
    node: &'a Node,
    name: Name,
}

/// The clusters of one file or directory: `first` and those after it.
#[derive(Clone, Copy, Debug)]
struct Run {
    first: u32,
    clusters: u32,
}

/// What the volume is to hold, in order.
struct Contents<'a> {
    directories: BTreeMap<&'a TreePath, Vec<Child<'a>>>,
    /// Bytes of each directory and file, in the order they come on the volume.
    lengths: Vec<(&'a TreePath, u64)>,
}

impl<'a> Contents<'a> {
    fn new(tree: &'a Tree, has_label: bool) -> Result<Self> {
        let invalid =
            |path: &TreePath, what: &str| Err(Error::invalid(FORMAT, format!("{path} is {what}")));
        let mut children: BTreeMap<TreePath, Vec<(&TreePath, &Node)>> = BTreeMap::new();
        let mut directories = BTreeMap::new();
        for (path, _, node) in tree.iter() {
            if let Some(parent) = path.parent() {
                children.entry(parent).or_default().push((path, node));
            }
        }
        let mut lengths = Vec::new();
        for (path, _, node) in tree.iter() {
            let length = match &node.kind {
                NodeKind::Directory => {
                    let files = children.remove(path).unwrap_or_default();
                    let names = names(files.iter().map(|(path, _)| path.file_name()))?;
                    let entries: usize = names.iter().map(Name::entries).sum();
                    let extra = if path.is_root() { usize::from(has_label) } else { 2 };
                    let files = files.into_iter().zip(names);
                    let files = files.map(|((path, node), name)| Child { path, node, name });
                    directories.insert(path, files.collect());
                    let length = ((entries + extra) * ENTRY) as u64;
                    if length > MAX_DIRECTORY {
                        return invalid(path, "a directory of too many names");
                    }
                    // FAT32's root has a cluster even if nothing is in it.
                    length.max(1)
                }
                NodeKind::File(content) if content.len() > u64::from(u32::MAX) => {
                    let what = format!("{path}");
                    return Err(Error::too_large(FORMAT, what, content.len(), u32::MAX.into()));
                }
                NodeKind::File(content) => content.len(),
                _ => return invalid(path, "neither a file nor a directory"),
            };
            lengths.push((path, length));
        }
        Ok(Self { directories, lengths })
    }

    /// The files and directories that stand in clusters, with how many of them.
    fn in_clusters(
        &self,
        kind: Kind,
        cluster_size: u64,
    ) -> impl Iterator<Item = (&'a TreePath, u64)> {
        self.lengths
            .iter()
            .filter(move |(path, _)| kind == Kind::Fat32 || !path.is_root())
            .map(move |&(path, length)| (path, length.div_ceil(cluster_size)))
    }

    fn clusters(&self, kind: Kind, cluster_size: u64) -> u64 {
        self.in_clusters(kind, cluster_size).map(|(_, clusters)| clusters).sum()
    }

    /// Gives each file and directory its clusters, one after the other; none if they are too few.
    fn runs(&self, geometry: &Geometry) -> Option<BTreeMap<&'a TreePath, Run>> {
        let mut next = 2;
        let mut runs = BTreeMap::new();
        for (path, clusters) in self.in_clusters(geometry.kind, geometry.cluster_size()) {
            let run = Run { first: next, clusters: u32::try_from(clusters).ok()? };
            next = next.checked_add(run.clusters)?;
            if clusters > 0 {
                runs.insert(path, run);
            }
        }
        (u64::from(next) <= geometry.clusters + 2).then_some(runs)
    }
}

/// Where the content of `path` starts, in bytes; FAT16's root stands outside the clusters.
fn start(geometry: &Geometry, runs: &BTreeMap<&TreePath, Run>, path: &TreePath) -> u64 {
    match runs.get(path) {
        Some(run) => geometry.cluster_offset(run.first),
        None => geometry.root_offset(),
    }
}

/// The used part of the file allocation table (section 4): each run counts on to its end.
fn table(geometry: &Geometry, runs: &BTreeMap<&TreePath, Run>) -> Blob {
    const END: u32 = 0x0fff_ffff;
    let mut ordered: Vec<_> = runs.values().collect();
    ordered.sort_by_key(|run| run.first);
    let links = ordered.into_iter().flat_map(|run| {
        let end = run.first + run.clusters;
        (run.first + 1..end).chain([END])
    });
    // The media byte, then "cleanly unmounted, no errors".
    let entries = [0x0fff_fff8, END].into_iter().chain(links);
    let size = usize::try_from(geometry.kind.entry_size()).unwrap_or(4);
    let mut bytes = Vec::new();
    for entry in entries {
        bytes.extend_from_slice(&entry.to_le_bytes()[..size]);
    }
    bytes.into()
}

/// The free clusters of a volume and the first of them (section 5).
fn fs_info(geometry: &Geometry, runs: &BTreeMap<&TreePath, Run>) -> Blob {
    let used: u32 = runs.values().map(|run| run.clusters).sum();
    let free = u32::try_from(geometry.clusters).unwrap_or(u32::MAX) - used;
    let mut sector = vec![0; 512];
    let mut put = |at: usize, value: u32| sector[at..at + 4].copy_from_slice(&value.to_le_bytes());
    put(0, 0x4161_5252);
    put(484, 0x6141_7272);
    put(488, free);
    put(492, if free == 0 { u32::MAX } else { used + 2 });
    put(508, 0xaa55_0000);
    sector.into()
}

fn directory(
    path: &TreePath,
    files: &[Child<'_>],
    runs: &BTreeMap<&TreePath, Run>,
    label: Option<ShortName>,
    stamp: Stamp,
) -> Vec<u8> {
    let first = |path: &TreePath| runs.get(path).map_or(0, |run| run.first);
    let entry = |short, attributes, cluster, size| {
        Entry { short, attributes, cluster, size }.to_bytes(stamp)
    };
    let mut bytes = Vec::new();
    if let Some(parent) = path.parent() {
        // The root is written as cluster 0, wherever it stands (section 6.5).
        let above = if parent.is_root() { 0 } else { first(&parent) };
        bytes.extend(entry(Entry::DOT, DIRECTORY, first(path), 0));
        bytes.extend(entry(Entry::DOT_DOT, DIRECTORY, above, 0));
    } else if let Some(label) = label {
        bytes.extend(entry(label, VOLUME_ID, 0, 0));
    }
    for Child { path, node, name } in files {
        let (attributes, size) = match node.content() {
            Some(content) if node.mode & 0o222 == 0 => (ARCHIVE | READ_ONLY, content.len()),
            Some(content) => (ARCHIVE, content.len()),
            None => (DIRECTORY, 0),
        };
        name.write_long(&mut bytes);
        let size = u32::try_from(size).unwrap_or(u32::MAX);
        bytes.extend(entry(name.short, attributes, first(path), size));
    }
    bytes
}

fn label(text: &str) -> Result<Option<ShortName>> {
    let is_allowed = |byte: u8| {
        matches!(byte, b' '..=b'~')
            && !byte.is_ascii_lowercase()
            && !b"\"*+,./:;<=>?[\\]|".contains(&byte)
    };
    if text.is_empty() {
        return Ok(None);
    }
    if text.len() > 11 || text.starts_with(' ') || !text.bytes().all(is_allowed) {
        let what = format!("the label {text:?} is not 1 to 11 upper-case characters");
        return Err(Error::invalid(FORMAT, what));
    }
    let mut label = [b' '; 11];
    label[..text.len()].copy_from_slice(text.as_bytes());
    Ok(Some(label))
}

//! Where the parts of a volume lie, and the boot sector that says so (section 3).

use super::{FORMAT, Kind};
use crate::{
    blob::Blob,
    formats::{Error, Result},
};

/// The least number of clusters of a FAT16 and of a FAT32 volume (section 3.5).
const FAT16_CLUSTERS: u64 = 4_085;
const FAT32_CLUSTERS: u64 = 65_525;
/// The specification advises to keep this far from those numbers: many readers are off by some.
const MARGIN: u64 = 16;
/// Clusters taken off for the reserved sectors and the tables when the cluster size is chosen.
const OVERHEAD_CLUSTERS: u64 = 2_048;
/// Copies of the file allocation table.
const FATS: u64 = 2;
const RESERVED_SECTORS: u64 = 32;
/// The data start on a multiple of this many sectors, so that clusters are aligned as well as
/// their size allows; or as many sectors behind as a file's content asks.
pub(super) const DATA_ALIGN_SECTORS: u64 = 8;
/// FAT16's root directory has room for 512 entries.
pub(super) const ROOT_BYTES_FAT16: usize = 512 * 32;

/// Sectors of the parts other than the boot sector itself, in FAT32's reserved area.
pub(super) const FS_INFO_SECTOR: u64 = 1;
pub(super) const BACKUP_BOOT_SECTOR: u64 = 6;

/// How a volume is divided. All offsets are bytes from its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Geometry {
    pub(super) kind: Kind,
    /// Bytes.
    pub(super) sector_size: u64,
    pub(super) cluster_sectors: u64,
    pub(super) reserved_sectors: u64,
    pub(super) fats: u64,
    pub(super) fat_sectors: u64,
    /// Sectors of FAT16's root directory; none for FAT32.
    pub(super) root_sectors: u64,
    pub(super) total_sectors: u64,
    /// Data clusters. They are numbered from 2.
    pub(super) clusters: u64,
    /// FAT32's first cluster of the root directory.
    pub(super) root_cluster: u32,
}

impl Geometry {
    /// The geometry of a new volume of `size` bytes.
    pub(super) fn for_size(size: u64, sector_size: u32) -> Result<Self> {
        if !matches!(sector_size, 512 | 4096) {
            return Err(Error::invalid(FORMAT, format!("sectors of {sector_size} bytes")));
        }
        let sector_size = u64::from(sector_size);
        let sectors = size / sector_size;
        if !size.is_multiple_of(sector_size) || sectors > u64::from(u32::MAX) {
            let what = format!("a volume of {size} bytes in sectors of {sector_size}");
            return Err(Error::invalid(FORMAT, what));
        }
        // Large clusters keep the chains short that firmware walks on every boot.
        let cluster_sectors = [8, 4, 2]
            .into_iter()
            .find(|by| sectors / by >= FAT32_CLUSTERS + OVERHEAD_CLUSTERS)
            .unwrap_or(1);
        [(Kind::Fat32, cluster_sectors), (Kind::Fat16, 1), (Kind::Fat16, 2)]
            .into_iter()
            .filter_map(|(kind, by)| Self::divide(kind, sectors, sector_size, by))
            .find(Self::is_told_right)
            .ok_or_else(|| Error::invalid(FORMAT, format!("{size} bytes are too few for a volume")))
    }

    /// The same volume with its data `sectors` further back, one cluster less if need be; none if
    /// that makes another volume of it.
    pub(super) fn shifted(self, sectors: u64) -> Option<Self> {
        let reserved_sectors = self.reserved_sectors + sectors;
        let data = self.root_offset() / self.sector_size + self.root_sectors + sectors;
        let clusters = self.total_sectors.checked_sub(data)? / self.cluster_sectors;
        Some(Self { reserved_sectors, clusters, ..self }).filter(Self::is_told_right)
    }

    /// The smallest geometry that [`Geometry::for_size`] chooses for some size and that has
    /// `clusters(kind, cluster size in bytes)`; none if no volume has as many.
    pub(super) fn least(sector_size: u32, clusters: impl Fn(Kind, u64) -> u64) -> Option<Self> {
        use Kind::{Fat16, Fat32};
        let size = u64::from(sector_size);
        for (kind, by) in [(Fat16, 1), (Fat16, 2), (Fat32, 1), (Fat32, 2), (Fat32, 4), (Fat32, 8)] {
            let least = match kind {
                Fat16 => FAT16_CLUSTERS + MARGIN,
                Fat32 => FAT32_CLUSTERS + MARGIN,
            };
            let need = clusters(kind, by * size).max(least);
            // Below this, `for_size` takes smaller clusters.
            let mut sectors = match (kind, by) {
                (Fat32, 2..) => by * need.max(FAT32_CLUSTERS + OVERHEAD_CLUSTERS),
                _ => by * need,
            };
            // The tables take less than a 32nd of the data, so this ends after a few steps.
            let geometry = loop {
                match Self::divide(kind, sectors, size, by) {
                    Some(geometry) if geometry.clusters >= need => break geometry,
                    Some(geometry) => sectors += (need - geometry.clusters) * by,
                    None => sectors += DATA_ALIGN_SECTORS,
                }
            };
            if sectors > u64::from(u32::MAX) {
                break;
            }
            if Self::for_size(sectors * size, sector_size).ok() == Some(geometry) {
                return Some(geometry);
            }
        }
        None
    }

    fn divide(kind: Kind, sectors: u64, sector_size: u64, cluster_sectors: u64) -> Option<Self> {
        let entry = kind.entry_size();
        let root_sectors = match kind {
            Kind::Fat16 => ROOT_BYTES_FAT16 as u64 / sector_size,
            Kind::Fat32 => 0,
        };
        let left = sectors.checked_sub(RESERVED_SECTORS + root_sectors)?;
        // Solves fat_sectors * sector_size >= entry * (clusters + 2), where the tables
        // themselves take sectors away from the clusters.
        let fat_sectors = (entry * (left + 2 * cluster_sectors))
            .div_ceil(cluster_sectors * sector_size + FATS * entry);
        let before_data = RESERVED_SECTORS + FATS * fat_sectors + root_sectors;
        let data_start = before_data.next_multiple_of(DATA_ALIGN_SECTORS);
        Some(Self {
            kind,
            sector_size,
            cluster_sectors,
            reserved_sectors: RESERVED_SECTORS + data_start - before_data,
            fats: FATS,
            fat_sectors,
            root_sectors,
            total_sectors: sectors,
            clusters: sectors.checked_sub(data_start)? / cluster_sectors,
            root_cluster: if kind == Kind::Fat32 { 2 } else { 0 },
        })
    }

    /// Whether every reader takes the volume for what it is.
    fn is_told_right(&self) -> bool {
        match self.kind {
            Kind::Fat16 => {
                (FAT16_CLUSTERS + MARGIN..FAT32_CLUSTERS - MARGIN).contains(&self.clusters)
            }
            Kind::Fat32 => self.clusters >= FAT32_CLUSTERS + MARGIN,
        }
    }

    pub(super) fn cluster_size(&self) -> u64 {
        self.cluster_sectors * self.sector_size
    }

    /// Where the `copy`th file allocation table starts.
    pub(super) fn fat_offset(&self, copy: u64) -> u64 {
        (self.reserved_sectors + copy * self.fat_sectors) * self.sector_size
    }

    /// Where FAT16's root directory starts.
    pub(super) fn root_offset(&self) -> u64 {
        self.fat_offset(self.fats)
    }

    /// Where a cluster starts. `cluster` is at least 2.
    pub(super) fn cluster_offset(&self, cluster: u32) -> u64 {
        let data = self.root_offset() + self.root_sectors * self.sector_size;
        data + (u64::from(cluster) - 2) * self.cluster_size()
    }

    /// Whether `cluster` is the number of a data cluster.
    pub(super) fn has_cluster(&self, cluster: u32) -> bool {
        (2..self.clusters + 2).contains(&u64::from(cluster))
    }

    /// The first 512 bytes of the volume (sections 3.1 to 3.4).
    pub(super) fn boot_sector(&self, volume_id: u32, label: [u8; 11]) -> [u8; 512] {
        let mut sector = [0; 512];
        let mut put = |at: usize, bytes: &[u8]| sector[at..at + bytes.len()].copy_from_slice(bytes);
        // All fit: `divide` and the cap on sectors see to it.
        let word = |value: u64| u16::try_from(value).unwrap_or(0).to_le_bytes();
        let long = |value: u64| u32::try_from(value).unwrap_or(0).to_le_bytes();
        put(3, b"MSWIN4.1");
        put(11, &word(self.sector_size));
        put(13, &word(self.cluster_sectors)[..1]);
        put(14, &word(self.reserved_sectors));
        put(16, &word(self.fats)[..1]);
        put(17, &word(self.root_sectors * self.sector_size / 32));
        put(19, &word(if self.kind == Kind::Fat16 { self.total_sectors } else { 0 }));
        put(21, &[0xf8]);
        put(24, &word(63));
        put(26, &word(255));
        if self.kind == Kind::Fat32 || self.total_sectors > u64::from(u16::MAX) {
            put(32, &long(self.total_sectors));
        }
        // What follows stands 28 bytes later in FAT32.
        let (tail, name) = match self.kind {
            Kind::Fat16 => {
                put(22, &word(self.fat_sectors));
                (36, b"FAT16   ")
            }
            Kind::Fat32 => {
                put(36, &long(self.fat_sectors));
                put(44, &self.root_cluster.to_le_bytes());
                put(48, &word(FS_INFO_SECTOR));
                put(50, &word(BACKUP_BOOT_SECTOR));
                (64, b"FAT32   ")
            }
        };
        put(tail, &[0x80, 0, 0x29]);
        put(tail + 3, &volume_id.to_le_bytes());
        put(tail + 7, &label);
        put(tail + 18, name);
        // A jump over the fields to: INT 18h (try the next boot device), then HLT for ever.
        let code = tail + 26;
        put(0, &[0xeb, word(code as u64 - 2)[0], 0x90]);
        put(code, &[0xcd, 0x18, 0xf4, 0xeb, 0xfd]);
        put(510, &[0x55, 0xaa]);
        sector
    }

    /// Reads and checks a boot sector.
    pub(super) fn read(volume: &Blob) -> Result<Self> {
        let corrupt = |at, what: String| Error::corrupt(FORMAT, at, what);
        let sector: [u8; 512] = volume.array(0).map_err(|error| Error::io(FORMAT, error))?;
        let byte = |at: usize| u64::from(sector[at]);
        let word = |at: usize| byte(at) | byte(at + 1) << 8;
        let long = |at: usize| word(at) | word(at + 2) << 16;
        if sector[510..] != [0x55, 0xaa] || !matches!(sector[0], 0xeb | 0xe9) {
            return Err(corrupt(0, "no boot sector".into()));
        }
        let sector_size = word(11);
        if !matches!(sector_size, 512 | 1024 | 2048 | 4096) {
            return Err(corrupt(11, format!("sectors of {sector_size} bytes")));
        }
        let cluster_sectors = byte(13);
        if !cluster_sectors.is_power_of_two() {
            return Err(corrupt(13, format!("clusters of {cluster_sectors} sectors")));
        }
        let (reserved_sectors, fats) = (word(14), byte(16));
        if reserved_sectors == 0 || !matches!(fats, 1 | 2) {
            return Err(corrupt(14, format!("{reserved_sectors} sectors before {fats} tables")));
        }
        let root_sectors = (word(17) * 32).div_ceil(sector_size);
        let total_sectors = if word(19) == 0 { long(32) } else { word(19) };
        if total_sectors * sector_size > volume.len() {
            let what = format!(
                "{total_sectors} sectors of {sector_size} bytes in {} bytes: it is cut off",
                volume.len()
            );
            return Err(corrupt(32, what));
        }
        let (fat_sectors, is_fat32) =
            if word(22) == 0 { (long(36), true) } else { (word(22), false) };
        let before_data = reserved_sectors + fats * fat_sectors + root_sectors;
        let Some(data) = total_sectors.checked_sub(before_data) else {
            return Err(corrupt(32, format!("{total_sectors} sectors, {before_data} before data")));
        };
        let clusters = data / cluster_sectors;
        let kind = match (is_fat32, clusters) {
            (true, _) if root_sectors == 0 => Kind::Fat32,
            (false, FAT16_CLUSTERS..FAT32_CLUSTERS) => Kind::Fat16,
            (false, 0..FAT16_CLUSTERS) => return Err(Error::unsupported(FORMAT, "FAT12")),
            _ => return Err(corrupt(22, "neither FAT16 nor FAT32".into())),
        };
        if (clusters + 2) * kind.entry_size() > fat_sectors * sector_size || clusters > 0x0fff_fff4
        {
            return Err(corrupt(
                22,
                format!("{clusters} clusters, tables of {fat_sectors} sectors"),
            ));
        }
        let root_cluster = match kind {
            Kind::Fat32 => u32::try_from(long(44)).unwrap_or(0),
            Kind::Fat16 => 0,
        };
        let geometry = Self {
            kind,
            sector_size,
            cluster_sectors,
            reserved_sectors,
            fats,
            fat_sectors,
            root_sectors,
            total_sectors,
            clusters,
            root_cluster,
        };
        if kind == Kind::Fat32 && !geometry.has_cluster(root_cluster) {
            return Err(corrupt(44, format!("the root directory in cluster {root_cluster}")));
        }
        Ok(geometry)
    }

    /// Where in the boot sector the volume ID and after it the label stand.
    pub(super) fn volume_id_offset(&self) -> u64 {
        match self.kind {
            Kind::Fat16 => 39,
            Kind::Fat32 => 67,
        }
    }
}

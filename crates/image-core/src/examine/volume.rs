//! Disks, ISOs and the file systems in them.

use super::{report, uki};
use crate::{
    blob::{Blob, Extent},
    error::{During, Result},
    formats::{self, fat, gpt, grub, iso9660, xfs},
    talos::{
        self,
        meta::{self, MetaValue},
    },
    tree::{Tree, TreePath},
};
use uuid::Uuid;

/// The longest file that is shown as text, in bytes.
const TEXT_LIMIT: u64 = 16 << 10;

pub(super) fn disk(found: &gpt::Found) -> Result<report::Disk> {
    let mut flaws = found.flaws.clone();
    let meta = match meta_values(found)? {
        Ok(values) => values,
        Err(damaged) => {
            flaws.push(damaged.to_string());
            Vec::new()
        }
    };
    Ok(report::Disk {
        guid: found.disk.guid.to_string(),
        sector_size: found.disk.sector_size,
        partitions: partitions(found, true)?,
        meta: meta.into_iter().map(meta_value).collect(),
        flaws,
    })
}

/// What the partition META holds, if there is one.
fn meta_values(found: &gpt::Found) -> Result<talos::Result<Vec<MetaValue>>> {
    let label = talos::partitions::Partition::Meta.label();
    let Some(partition) = found.disk.partitions.iter().find(|it| it.name == label) else {
        return Ok(Ok(Vec::new()));
    };
    let content = &partition.content;
    let start = content.slice(0..content.len().min(meta::LEN));
    Ok(meta::read(&start.to_vec(meta::LEN)?))
}

fn meta_value(MetaValue { key, value }: MetaValue) -> report::Meta {
    report::Meta {
        key,
        name: meta::name(key),
        size: value.len() as u64,
        value: Some(value).filter(|_| !meta::is_secret(key)),
    }
}

pub(super) fn iso(file: &Blob, found: &iso9660::Found) -> Result<report::Iso> {
    let mut boot_entries = Vec::new();
    for entry in &found.boot {
        boot_entries.push(report::BootEntry {
            platform: match entry.platform {
                iso9660::Platform::Bios => "BIOS".to_owned(),
                iso9660::Platform::Uefi => "UEFI".to_owned(),
                other => format!("{other:?}"),
            },
            offset: u64::from(entry.block) * 2048,
            size: entry.content.len(),
        });
    }
    // An ISO need not be a disk as well.
    let partitions = match gpt::read(file) {
        Ok(found) => partitions(&found, false)?,
        Err(_) => Vec::new(),
    };
    let esp = match esp_of_iso(file, found) {
        Some(content) => fat_volume(&content)?,
        None => None,
    };
    Ok(report::Iso {
        volume_id: found.volume_id.clone(),
        volume_set_id: found.volume_set_id.clone(),
        boot_entries,
        partitions,
        files: files(&found.tree)?,
        esp,
    })
}

/// What firmware of a UEFI machine boots of an ISO.
pub(super) fn esp_of_iso(file: &Blob, found: &iso9660::Found) -> Option<Blob> {
    let uefi = |entry: &&iso9660::BootEntry| entry.platform == iso9660::Platform::Uefi;
    let entry = found.boot.iter().find(uefi)?;
    // El Torito counts to 32 MiB and no further; a partition that starts there knows its end.
    let start = Some(u64::from(entry.block) * 2048);
    let partitions = gpt::read(file).map_or_else(|_| Vec::new(), |found| found.disk.partitions);
    let partition = partitions.into_iter().find(|partition| partition.start == start);
    Some(partition.map_or_else(|| entry.content.clone(), |partition| partition.content))
}

fn partitions(found: &gpt::Found, look_inside: bool) -> Result<Vec<report::Partition>> {
    let mut partitions = Vec::new();
    for (&number, partition) in found.numbers.iter().zip(&found.disk.partitions) {
        let content = &partition.content;
        let (volume, grub) = if look_inside {
            let of = || format!("partition {number} {}", partition.name);
            (volume(partition).during(of)?, grub_core(content).during(of)?)
        } else {
            (None, None)
        };
        partitions.push(report::Partition {
            number,
            label: partition.name.clone(),
            type_guid: partition.type_guid.to_string(),
            guid: partition.guid.to_string(),
            offset: partition.start.unwrap_or(0),
            size: partition.size,
            volume,
            grub,
        });
    }
    Ok(partitions)
}

/// The volume in `partition` that a machine boots from; none if there is none.
fn volume(partition: &gpt::Partition) -> Result<Option<report::Volume>> {
    let Some(volume) = open_boot(partition)? else { return fat_volume(&partition.content) };
    Ok(Some(report::Volume {
        format: "XFS".to_owned(),
        label: volume.label.clone(),
        serial: Uuid::from_bytes(volume.uuid).to_string(),
        files: files(&volume.tree)?,
    }))
}

/// Reads the XFS volume of BOOT. Others, of a disk that was in use, hold what is the machine's.
pub(super) fn open_boot(partition: &gpt::Partition) -> Result<Option<xfs::Volume>> {
    let content = &partition.content;
    let mut magic = [0; 4];
    let is_xfs = content.read_at(0, &mut magic).is_ok() && magic == *b"XFSB";
    if !is_xfs || partition.name != talos::partitions::Partition::Boot.label() {
        return Ok(None);
    }
    Ok(Some(xfs::read(content)?))
}

/// The GRUB core image that `content` is; none if it is none.
fn grub_core(content: &Blob) -> Result<Option<report::Grub>> {
    if !grub::is_core(content) {
        return Ok(None);
    }
    let grub::Core { platform, modules, config, prefix, version, .. } = grub::read(content)?;
    let modules = modules.into_iter().map(|module| module.name).collect();
    Ok(Some(report::Grub { platform: platform.to_string(), version, prefix, modules, config }))
}

/// The FAT volume that `content` is; none if it is none.
pub(super) fn fat_volume(content: &Blob) -> Result<Option<report::Volume>> {
    let Some(volume) = open_fat(content)? else { return Ok(None) };
    let serial = volume.volume_id;
    Ok(Some(report::Volume {
        format: match volume.kind {
            fat::Kind::Fat16 => "FAT16".to_owned(),
            fat::Kind::Fat32 => "FAT32".to_owned(),
        },
        label: volume.label.clone(),
        serial: format!("{:04X}-{:04X}", serial >> 16, serial & 0xffff),
        files: files(&volume.tree)?,
    }))
}

/// Reads a FAT volume where there is one.
pub(super) fn open_fat(content: &Blob) -> Result<Option<fat::Volume>> {
    let mut signature = [0; 2];
    let boots = content.read_at(510, &mut signature).is_ok() && signature == [0x55, 0xaa];
    let hole = matches!(content.extents().next(), None | Some(Extent::Hole { .. }));
    if hole || !boots {
        return Ok(None);
    }
    match fat::read(content) {
        Ok(volume) => Ok(Some(volume)),
        // Another boot sector than FAT's.
        Err(error) if matches!(error.fault(), formats::Fault::Unsupported(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn files(tree: &Tree) -> Result<Vec<report::File>> {
    let mut files = Vec::new();
    for (path, _, node) in tree.iter() {
        if let Some(content) = node.content() {
            files.push(file(path, content).during(|| path.to_string())?);
        }
    }
    Ok(files)
}

fn file(path: &TreePath, content: &Blob) -> Result<report::File> {
    let uki = match uki::open(content) {
        Some(contents) => Some(Box::new(uki::describe(&contents)?)),
        None => None,
    };
    let name = path.as_str().to_ascii_lowercase();
    let text = if [".conf", ".cfg"].iter().any(|end| name.ends_with(end)) {
        content.to_vec(TEXT_LIMIT).ok().and_then(|bytes| String::from_utf8(bytes).ok())
    } else {
        None
    };
    Ok(report::File {
        path: path.to_string(),
        size: content.len(),
        digest: content.digest()?,
        uki,
        grub: grub_core(content)?,
        text,
    })
}

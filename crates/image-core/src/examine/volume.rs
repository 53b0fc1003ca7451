//! Disks, ISOs and the file systems in them.

use super::{report, signatures, uki};
use crate::{
    blob::{Blob, Extent},
    error::{During, ErrorKind, Result},
    formats::{self, fat, gpt, grub, iso9660, mbr, xfs},
    talos::{
        self, esp,
        meta::{self, MetaValue},
    },
    tree::{Tree, TreePath},
};
use uuid::Uuid;

/// The longest file that is shown as text, in bytes.
const TEXT_LIMIT: u64 = 16 << 10;

pub(super) fn disk(file: &Blob, found: &gpt::Found) -> Result<report::Disk> {
    let mut flaws = found.flaws.clone();
    let partitions = partitions(found, true, &mut flaws)?;
    flaws.extend(boot_record(file, partition_cores(found))?);
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
        partitions,
        meta: meta.into_iter().map(meta_value).collect(),
        flaws,
    })
}

/// Takes what is damaged for a flaw, so that the rest can be shown. What the system does not
/// read stays a failure.
pub(super) fn sound<T>(read: Result<T>, flaws: &mut Vec<String>) -> Result<Option<T>> {
    match read {
        Ok(found) => Ok(Some(found)),
        Err(error) if matches!(error.kind(), ErrorKind::Io | ErrorKind::Bug) => Err(error),
        Err(error) => {
            flaws.push(error.to_string());
            Ok(None)
        }
    }
}

/// GRUB's core image for a BIOS, somewhere on a disk.
struct Core {
    of: String,
    /// Its first sector, on a CD the one behind `cdboot.img`.
    start: u64,
    /// What it takes that to be.
    told: Option<u64>,
}

/// What keeps a BIOS from starting GRUB: the first sector of a disk has to name the sector in
/// which the core image is, and so has the core image.
fn boot_record(file: &Blob, cores: impl IntoIterator<Item = Core>) -> Result<Option<String>> {
    let named = grub::core_sector(&file.array(0)?);
    let Some(Core { of, start, told }) = cores.into_iter().next() else {
        let what = "the boot record is GRUB's, and its core image is nowhere";
        return Ok(named.map(|_| what.to_owned()));
    };
    Ok(match named {
        None => Some(format!("{of}: the boot record is not GRUB's: no BIOS starts it")),
        Some(at) if at != start => {
            Some(format!("{of}: the boot record starts GRUB in sector {at}, not {start}"))
        }
        Some(_) if told != Some(start) => {
            Some(format!("{of}: the GRUB core image takes itself to be elsewhere than in {start}"))
        }
        Some(_) => None,
    })
}

/// Those in a disk's partitions.
fn partition_cores(found: &gpt::Found) -> impl Iterator<Item = Core> {
    let sector_size = u64::from(found.disk.sector_size);
    found.numbers.iter().zip(&found.disk.partitions).filter_map(move |(number, it)| {
        Some(Core {
            of: format!("partition {number} {}", it.name),
            start: it.start? / sector_size,
            told: grub::bios_sector(&it.content)?,
        })
    })
}

/// Those a BIOS starts of an ISO.
fn boot_entry_cores(file: &Blob, found: &iso9660::Found) -> impl Iterator<Item = Core> {
    let bios = found.boot.iter().filter(|entry| entry.platform == iso9660::Platform::Bios);
    bios.filter_map(|entry| {
        let block = u64::from(entry.block);
        Some(Core {
            of: "El Torito BIOS entry".to_owned(),
            start: (block + 1) * 4,
            // The entry says how much a BIOS loads, not how much there is.
            told: grub::bios_sector(&file.slice(block * 2048..file.len()))?,
        })
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
    let mut flaws = Vec::new();
    // An ISO need not be a disk as well.
    let partitions = match gpt::read(file) {
        Ok(found) => {
            flaws.extend(found.flaws.iter().cloned());
            partitions(&found, false, &mut flaws)?
        }
        // What the boot record protects is not there.
        Err(error) if is_protected(file) => {
            flaws.push(error.to_string());
            Vec::new()
        }
        Err(_) => Vec::new(),
    };
    flaws.extend(boot_record(file, boot_entry_cores(file, found))?);
    flaws.extend(menu(&found.tree, &talos::grub::ISO, "ISO 9660"));
    let esp = match esp_of_iso(file, found) {
        Some(content) => esp_volume(&content, "EFI system partition", &mut flaws)?,
        None => None,
    };
    Ok(report::Iso {
        volume_id: found.volume_id.clone(),
        volume_set_id: found.volume_set_id.clone(),
        boot_entries,
        partitions,
        files: files(&found.tree, "ISO 9660", &mut flaws)?,
        esp,
        flaws,
    })
}

/// Whether the boot record says that there is a GUID partition table.
fn is_protected(file: &Blob) -> bool {
    let entries = mbr::read(file).unwrap_or_default();
    entries.iter().any(|entry| entry.kind == mbr::PROTECTIVE)
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

fn partitions(
    found: &gpt::Found,
    look_inside: bool,
    flaws: &mut Vec<String>,
) -> Result<Vec<report::Partition>> {
    let mut partitions = Vec::new();
    for (&number, partition) in found.numbers.iter().zip(&found.disk.partitions) {
        let content = &partition.content;
        let (volume, grub) = if look_inside {
            let of = format!("partition {number} {}", partition.name);
            let grub = grub_core(content).during(|| of.clone());
            (volume(partition, &of, flaws)?, sound(grub, flaws)?.flatten())
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

/// The volume in `partition`, called `of`, that a machine boots from; none if there is none.
fn volume(
    partition: &gpt::Partition,
    of: &str,
    flaws: &mut Vec<String>,
) -> Result<Option<report::Volume>> {
    if !is_boot(partition) {
        let read = if is_esp(partition) { esp_volume } else { fat_volume };
        return read(&partition.content, of, flaws);
    }
    let read = xfs::read(&partition.content).during(|| of.to_owned());
    let Some(volume) = sound(read, flaws)? else { return Ok(None) };
    flaws.extend(menu(&volume.tree, &talos::grub::DISK, of));
    Ok(Some(report::Volume {
        format: "XFS".to_owned(),
        label: volume.label.clone(),
        serial: Uuid::from_bytes(volume.uuid).to_string(),
        files: files(&volume.tree, of, flaws)?,
    }))
}

/// What is wrong with GRUB's menu in `tree`, called `of`.
fn menu(tree: &Tree, files: &talos::grub::Files, of: &str) -> Option<String> {
    let wrong = |what: String| Some(format!("{of}: {}: {what}", files.config));
    let config = tree.file(files.config)?;
    let Some(text) = text(config) else { return wrong("it is no text (UTF-8)".to_owned()) };
    let mut loads = talos::grub::loads(&text).peekable();
    if loads.peek().is_none() {
        return wrong("it starts no kernel".to_owned());
    }
    let missing = loads.find(|path| tree.file(path.trim_start_matches('/')).is_none())?;
    wrong(format!("it loads {missing}, which is not there"))
}

/// Whether firmware looks for a FAT volume in it.
pub(super) fn is_esp(partition: &gpt::Partition) -> bool {
    partition.type_guid == talos::partitions::Partition::Efi.type_guid()
}

/// What is wrong with an EFI system partition in which there is no volume.
pub(super) fn no_volume(of: &str) -> String {
    format!("{of}: there is no FAT volume, and firmware starts nothing from it")
}

/// The FAT volume that an EFI system partition, called `of`, has to be.
fn esp_volume(content: &Blob, of: &str, flaws: &mut Vec<String>) -> Result<Option<report::Volume>> {
    let before = flaws.len();
    let volume = fat_volume(content, of, flaws)?;
    if volume.is_none() && flaws.len() == before {
        flaws.push(no_volume(of));
    }
    Ok(volume)
}

/// Whether it is the XFS volume BOOT. Others, of a disk that was in use, hold what is the
/// machine's.
pub(super) fn is_boot(partition: &gpt::Partition) -> bool {
    let mut magic = [0; 4];
    let is_xfs = partition.content.read_at(0, &mut magic).is_ok() && magic == *b"XFSB";
    is_xfs && partition.name == talos::partitions::Partition::Boot.label()
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

/// The FAT volume that `content`, called `of`, is; none if it is none.
fn fat_volume(content: &Blob, of: &str, flaws: &mut Vec<String>) -> Result<Option<report::Volume>> {
    let read = open_fat(content).during(|| of.to_owned());
    let Some(volume) = sound(read, flaws)?.flatten() else { return Ok(None) };
    let serial = volume.volume_id;
    Ok(Some(report::Volume {
        format: match volume.kind {
            fat::Kind::Fat16 => "FAT16".to_owned(),
            fat::Kind::Fat32 => "FAT32".to_owned(),
        },
        label: volume.label.clone(),
        serial: format!("{:04X}-{:04X}", serial >> 16, serial & 0xffff),
        files: files(&volume.tree, of, flaws)?,
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

fn files(tree: &Tree, of: &str, flaws: &mut Vec<String>) -> Result<Vec<report::File>> {
    let mut files = Vec::new();
    for (path, _, node) in tree.iter() {
        if let Some(content) = node.content() {
            files.push(file(path, content, of, flaws)?);
        }
    }
    Ok(files)
}

fn file(
    path: &TreePath,
    content: &Blob,
    of: &str,
    flaws: &mut Vec<String>,
) -> Result<report::File> {
    let named = || format!("{of}: {path}");
    let uki = uki::open(content)
        .map(|contents| uki::describe(&contents).during(named))
        .map(|described| sound(described, flaws));
    let name = path.as_str().to_ascii_lowercase();
    let ends = |ends: &[&str]| ends.iter().any(|end| name.ends_with(end));
    let signatures = if signatures::is_program(path) {
        let found = signatures::of_program(content).during(named);
        sound(found, flaws)?
    } else {
        None
    };
    let signatures = signatures.map(|(signatures, wrong)| {
        flaws.extend(wrong.into_iter().map(|wrong| format!("{}: {wrong}", named())));
        signatures
    });
    let variable = esp::variable_at(path.as_str())
        .map(|variable| signatures::of_variable(variable, content).during(named))
        .map(|described| sound(described, flaws));
    let variable = variable.transpose()?.flatten().map(|(variable, wrong)| {
        flaws.extend(wrong.map(|wrong| format!("{}: {wrong}", named())));
        variable
    });
    Ok(report::File {
        signatures,
        variable,
        path: path.to_string(),
        size: content.len(),
        digest: content.digest().during(named)?,
        uki: uki.transpose()?.flatten().map(Box::new),
        grub: sound(grub_core(content).during(named), flaws)?.flatten(),
        text: if ends(&[".conf", ".cfg"]) { text(content) } else { None },
    })
}

fn text(content: &Blob) -> Option<String> {
    content.to_vec(TEXT_LIMIT).ok().and_then(|bytes| String::from_utf8(bytes).ok())
}

//! Lays a tree and an ESP out as a volume.

use super::{
    BLOCK, DESCRIPTORS, FORMAT, both_16, both_32,
    el_torito::{self, BootEntry, Platform},
    hierarchy::Hierarchy,
    name::Naming,
};
use crate::{
    blob::{Blob, Layout},
    formats::{
        Error, Result,
        calendar::Utc,
        gpt::{self, Disk, Partition},
    },
    tree::{Ino, Node, Tree},
};
use std::collections::{BTreeMap, btree_map::Entry};
use uuid::{Uuid, uuid};

/// Where the ESP is aligned, in bytes: fits the blocks of a USB stick.
const ESP_ALIGN: u64 = 64 << 10;
/// Where the image for a BIOS stands, in blocks of 2048 bytes: behind the system area, the
/// descriptors of two volumes and the boot catalogue.
pub const BIOS_BLOCK: u32 = 49;
/// Blocks after the end: drives read ahead past the end of a track, and fail.
const PADDING: u64 = 150;
/// Sectors of the partition table.
const SECTOR: u32 = 512;

const ESP_TYPE: Uuid = uuid!("c12a7328-f81f-11d2-ba4b-00a0c93ec93b");
const DATA_TYPE: Uuid = uuid!("ebd0a0a2-b9e5-4433-87c0-68b6b72699c7");
/// Partition attribute: read only.
const READ_ONLY: u64 = 1 << 60;

/// What a new volume is to be.
#[derive(Clone, Debug)]
pub struct Volume<'a> {
    /// The label, up to 32 characters. Joliet keeps the first 16.
    pub volume_id: &'a str,
    /// The set the volume is from, up to 128 characters.
    pub volume_set_id: &'a str,
    /// Who prepared the content, up to 128 characters.
    pub preparer_id: &'a str,
    /// What wrote it, up to 128 characters.
    pub application_id: &'a str,
    /// The files. Modes, owners and links are kept; extended attributes are not.
    pub tree: &'a Tree,
    /// What a BIOS boots: it loads the first 2048 bytes, which load the rest. The image stands at
    /// block [`BIOS_BLOCK`], should it have to know.
    pub bios: Option<Blob>,
    /// What UEFI boots; none for a volume of data.
    pub esp: Option<Esp>,
    /// The date of everything, in seconds since 1970 (UTC).
    pub epoch: u64,
}

/// An EFI system partition inside a volume: the boot image of the CD, a partition of the USB
/// stick.
#[derive(Clone, Debug)]
pub struct Esp {
    /// A FAT volume with sectors of 512 bytes.
    pub content: Blob,
    /// Its GUID as a partition.
    pub guid: Uuid,
    /// The GUID of the partition with the ISO 9660 volume.
    pub volume_guid: Uuid,
    /// The GUID of the disk.
    pub disk_guid: Uuid,
}

/// Lays the volume out. Contents are placed, not copied. Two names of one inode share theirs, and
/// a file whose content [stands](Blob::position_of) in a boot image at a block's start shares that.
///
/// With an ESP the first partition of the USB stick starts at block 16 and is a volume too, with
/// descriptors and directories of its own, so that it can be mounted as such. It ends where the
/// ESP starts, and has no file that stands there.
///
/// # Errors
/// `Invalid` for identifiers that are too long or not printable ASCII and for devices and pipes
/// in the tree; `TooLarge` for over 8 TiB.
pub fn volume(volume: &Volume<'_>) -> Result<Blob> {
    let mut layout = Layout::new();
    layout.reserve(DESCRIPTORS * BLOCK, BLOCK);
    let descriptors = [0, 1].map(|_| layout.reserve(DESCRIPTORS * BLOCK, BLOCK));
    let catalogue = layout.reserve(BLOCK, BLOCK);
    let mut boot = Vec::new();
    let mut files = BTreeMap::new();
    if let Some(image) = &volume.bios {
        let at = layout.append(image.clone(), BLOCK);
        boot.push(BootEntry::loader(block(at)?, image));
        for (ino, position) in shared(volume.tree, image) {
            files.insert(ino, block(at + position)?);
        }
    }

    let shared = volume.esp.as_ref().map(|esp| shared(volume.tree, &esp.content));
    let shared = shared.unwrap_or_default();
    let mut own = volume.tree.clone();
    for (path, ino, _) in volume.tree.iter() {
        if shared.contains_key(&ino) {
            own.remove(path);
        }
    }
    // A volume starts at each of these blocks and counts from there.
    let volumes: &[_] = &[(0, volume.tree), (DESCRIPTORS, &own)];
    let volumes = if volume.esp.is_some() { volumes } else { &volumes[..1] };
    let mut hierarchies = Vec::new();
    for naming in [Naming::RockRidge, Naming::Joliet] {
        for &(base, tree) in volumes {
            let hierarchy = Hierarchy::new(tree, naming, volume.epoch)?;
            let at = layout.reserve(hierarchy.length(), BLOCK);
            hierarchies.push((base, hierarchy, at));
        }
    }
    place_files(&own, &mut files, &mut layout)?;
    let mut end = layout.reserve(0, BLOCK);
    if let Some(esp) = &volume.esp {
        let at = layout.append(esp.content.padded_to(BLOCK), ESP_ALIGN);
        boot.push(BootEntry::whole(Platform::Uefi, block(at)?, &esp.content));
        for (ino, position) in shared {
            files.insert(ino, block(at + position)?);
        }
        end = layout.reserve(PADDING * BLOCK, BLOCK) + PADDING * BLOCK;
        let tables = gpt::tables(&disk(esp, at, end))?;
        layout.place(0, tables.head.into());
        layout.place(end - tables.tail.len() as u64, tables.tail.into());
    }
    block(end)?;
    if !boot.is_empty() {
        layout.place(catalogue, el_torito::catalogue(&boot).into());
    }

    let mut sets = descriptors.map(|_| Vec::new());
    for (base, hierarchy, at) in &hierarchies {
        let written = hierarchy.write(block(*at)?, block(base * BLOCK)?, &files)?;
        layout.place(*at, written.bytes.into());
        let mut descriptor = descriptor(volume, hierarchy.naming(), block(end - base * BLOCK)?)?;
        let mut put =
            |at: usize, bytes: &[u8]| descriptor[at..at + bytes.len()].copy_from_slice(bytes);
        put(132, &both_32(written.path_table_length));
        put(140, &written.path_table_l.to_le_bytes());
        put(148, &written.path_table_m.to_be_bytes());
        put(156, &written.root);
        sets[usize::from(*base > 0)].push(descriptor);
    }
    for ((mut set, at), &(base, _)) in sets.into_iter().zip(descriptors).zip(volumes) {
        // El Torito wants its record second.
        if base == 0 && !boot.is_empty() {
            set.insert(1, el_torito::boot_record(block(catalogue)?));
        }
        set.push(b"\xffCD001\x01".to_vec());
        for (descriptor, number) in set.into_iter().zip(0..) {
            layout.place(at + number * BLOCK, descriptor.into());
        }
    }
    layout.seal(end).map_err(|overlap| Error::overlap(FORMAT, overlap))
}

/// The files whose content stands at a block's start in `image`: where, in bytes.
fn shared(tree: &Tree, image: &Blob) -> BTreeMap<Ino, u64> {
    let position = |node: &Node| image.position_of(node.content()?);
    tree.iter()
        .filter_map(|(_, ino, node)| Some((ino, position(node)?)))
        .filter(|(_, position)| position.is_multiple_of(BLOCK))
        .collect()
}

/// A multiple of the block size as a number of blocks.
fn block(offset: u64) -> Result<u32> {
    u32::try_from(offset / BLOCK).map_err(|_| {
        Error::too_large(FORMAT, "the volume", offset, (u64::from(u32::MAX) + 1) * BLOCK)
    })
}

/// Places each inode's content that is not on the volume yet; empty ones have no block.
fn place_files(tree: &Tree, files: &mut BTreeMap<Ino, u32>, layout: &mut Layout) -> Result<()> {
    for (_, ino, node) in tree.iter() {
        if let Some(content) = node.content().filter(|content| !content.is_empty())
            && let Entry::Vacant(entry) = files.entry(ino)
        {
            entry.insert(block(layout.append(content.clone(), BLOCK))?);
        }
    }
    Ok(())
}

/// How the image looks to whom it is a disk.
fn disk(esp: &Esp, at: u64, size: u64) -> Disk {
    let start = DESCRIPTORS * BLOCK;
    let partition = |name: &str, type_guid, guid, start, size, attributes| Partition {
        type_guid,
        guid,
        name: name.to_owned(),
        attributes,
        start: Some(start),
        size,
        content: Blob::empty(),
    };
    let esp_size = esp.content.len().next_multiple_of(BLOCK);
    Disk {
        guid: esp.disk_guid,
        sector_size: SECTOR,
        size,
        partitions: vec![
            partition("ISO9660", DATA_TYPE, esp.volume_guid, start, at - start, READ_ONLY),
            partition("EFI", ESP_TYPE, esp.guid, at, esp_size, 0),
        ],
    }
}

/// A primary or supplementary volume descriptor (sections 8.4 and 8.5), the tables left out.
fn descriptor(volume: &Volume<'_>, naming: Naming, blocks: u32) -> Result<Vec<u8>> {
    let is_joliet = naming == Naming::Joliet;
    let mut descriptor = vec![0; 2048];
    let mut put = |at: usize, bytes: &[u8]| descriptor[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, if is_joliet { b"\x02CD001\x01" } else { b"\x01CD001\x01" });
    // UCS-2 level 3.
    put(88, if is_joliet { b"%/E" } else { b"\0\0\0" });
    put(80, &both_32(blocks));
    for at in [120, 124] {
        put(at, &both_16(1));
    }
    put(128, &both_16(2048));
    for (at, len, what, value) in [
        (8, 32, "system", ""),
        (40, 32, "volume", volume.volume_id),
        (190, 128, "volume set", volume.volume_set_id),
        (318, 128, "publisher", ""),
        (446, 128, "preparer", volume.preparer_id),
        (574, 128, "application", volume.application_id),
        (702, 37, "copyright file", ""),
        (739, 37, "abstract file", ""),
        (776, 37, "bibliographic file", ""),
    ] {
        if value.len() > len || !value.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            let what = format!("the {what} identifier {value:?} is not {len} characters of ASCII");
            return Err(Error::invalid(FORMAT, what));
        }
        let chars = value.bytes().chain(std::iter::repeat(b' '));
        let text: Vec<u8> = if is_joliet {
            chars.flat_map(|byte| [0, byte]).take(len / 2 * 2).collect()
        } else {
            chars.take(len).collect()
        };
        put(at, &text);
    }
    let Utc { year, month, day, hour, minute, second } = Utc::new(volume.epoch);
    let year = year.min(9999);
    let date = format!("{year:04}{month:02}{day:02}{hour:02}{minute:02}{second:02}00\0");
    // Created and modified; neither expires nor takes effect later.
    for (at, date) in [(813, &*date), (830, &date), (847, NO_DATE), (864, NO_DATE)] {
        put(at, date.as_bytes());
    }
    put(881, &[1]);
    Ok(descriptor)
}

/// A date that says nothing (section 8.4.26.1).
const NO_DATE: &str = "0000000000000000\0";

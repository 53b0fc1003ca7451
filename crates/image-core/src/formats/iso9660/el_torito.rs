//! The boot catalogue (El Torito 1.0, section 2; UEFI specification 2.10, section 13.3.2).

use super::{BLOCK, FORMAT};
use crate::{
    blob::Blob,
    formats::{Error, Result},
};

const ENTRY: usize = 32;
/// Bytes of the sectors a load size is counted in.
const SECTOR: u64 = 512;
const BOOTABLE: u8 = 0x88;

/// What starts a boot image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Platform {
    /// An 80x86 BIOS, which runs the image.
    Bios,
    /// UEFI firmware, which reads the image as a FAT volume.
    Uefi,
    /// Another, by its number.
    Other(u8),
}

impl Platform {
    fn id(self) -> u8 {
        match self {
            Self::Bios => 0,
            Self::Uefi => 0xef,
            Self::Other(id) => id,
        }
    }

    fn new(id: u8) -> Self {
        match id {
            0 => Self::Bios,
            0xef => Self::Uefi,
            id => Self::Other(id),
        }
    }
}

/// One boot image, without emulation of a drive.
#[derive(Clone, Debug)]
pub struct BootEntry {
    /// What starts it.
    pub platform: Platform,
    /// Where it starts, in blocks of 2048 bytes.
    pub block: u32,
    /// How many sectors of 512 bytes to load. For UEFI 0 or 1 means: up to the volume's end,
    /// since an ESP is often longer than 16 bits can say.
    pub sectors: u16,
    /// The image: as long as the entry says, or up to the volume's end.
    pub content: Blob,
}

impl BootEntry {
    /// The entry for `content` that stands at `block` and is loaded whole.
    pub(super) fn whole(platform: Platform, block: u32, content: &Blob) -> Self {
        let sectors = u16::try_from(content.len().div_ceil(SECTOR)).unwrap_or(0);
        Self { platform, block, sectors, content: content.clone() }
    }

    /// The entry for `image` of a BIOS, of which the first block is loaded.
    pub(super) fn loader(block: u32, image: &Blob) -> Self {
        let sectors = u16::try_from(BLOCK / SECTOR).unwrap_or(0);
        Self { platform: Platform::Bios, block, sectors, content: image.clone() }
    }

    fn to_bytes(&self) -> [u8; ENTRY] {
        let mut entry = [0; ENTRY];
        entry[0] = BOOTABLE;
        entry[6..8].copy_from_slice(&self.sectors.to_le_bytes());
        entry[8..12].copy_from_slice(&self.block.to_le_bytes());
        entry
    }
}

/// The boot record that stands in block 17 and points to the catalogue.
pub(super) fn boot_record(catalogue: u32) -> Vec<u8> {
    let mut record = b"\0CD001\x01EL TORITO SPECIFICATION".to_vec();
    record.resize(71, 0);
    record.extend(catalogue.to_le_bytes());
    record
}

/// The catalogue: the first entry is the default, each other a section of its own.
pub(super) fn catalogue(entries: &[BootEntry]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (entry, left) in entries.iter().zip((0..entries.len()).rev()) {
        let mut header = [0; ENTRY];
        header[1] = entry.platform.id();
        if bytes.is_empty() {
            header[0] = 1;
            header[30..].copy_from_slice(&[0x55, 0xaa]);
            let sum = words(&header).fold(0, u16::wrapping_sub);
            header[28..30].copy_from_slice(&sum.to_le_bytes());
        } else {
            header[0] = if left == 0 { 0x91 } else { 0x90 };
            header[2] = 1;
        }
        bytes.extend(header);
        bytes.extend(entry.to_bytes());
    }
    bytes
}

fn words(bytes: &[u8]) -> impl Iterator<Item = u16> {
    bytes.chunks_exact(2).map(|word| u16::from_le_bytes([word[0], word[1]]))
}

/// Reads the catalogue that `boot_record` points to; `end` is the volume's end in bytes.
/// Nothing if it is another kind of boot record.
pub(super) fn read(blob: &Blob, boot_record: &[u8], end: u64) -> Result<Vec<BootEntry>> {
    if !boot_record[7..].starts_with(b"EL TORITO SPECIFICATION") {
        return Ok(Vec::new());
    }
    let [a, b, c, d] = [71, 72, 73, 74].map(|at| boot_record[at]);
    let at = u64::from(u32::from_le_bytes([a, b, c, d])) * BLOCK;
    let corrupt = |what: &str| Error::corrupt(FORMAT, at, format!("boot catalogue: {what}"));
    let bytes: [u8; 2048] = blob.array(at).map_err(|_| corrupt("past the end of the volume"))?;
    let mut entries = bytes.chunks_exact(ENTRY);
    let validation = entries.next().unwrap_or_default();
    if validation.first() != Some(&1) || words(validation).fold(0, u16::wrapping_add) != 0 {
        return Err(corrupt("its first entry is not valid"));
    }
    let mut platform = Platform::new(validation[1]);
    // After the default entry, sections say how many follow.
    let mut expected = 1_u16;
    let mut found = Vec::new();
    let mut last = false;
    for entry in entries {
        if expected == 0 {
            if last || !matches!(entry[0], 0x90 | 0x91) {
                break;
            }
            last = entry[0] == 0x91;
            platform = Platform::new(entry[1]);
            expected = u16::from_le_bytes([entry[2], entry[3]]);
            continue;
        }
        // Extensions of an entry belong to the one before.
        if entry[0] == 0x44 {
            continue;
        }
        expected -= 1;
        if entry[0] != BOOTABLE || entry[1] & 0x0f != 0 {
            continue;
        }
        let sectors = u16::from_le_bytes([entry[6], entry[7]]);
        let block = u32::from_le_bytes([entry[8], entry[9], entry[10], entry[11]]);
        let start = u64::from(block) * BLOCK;
        let end = match (platform, sectors) {
            (Platform::Uefi, 0 | 1) => end,
            _ => start + u64::from(sectors) * SECTOR,
        };
        if start >= blob.len() {
            return Err(corrupt("an image past the end of the volume"));
        }
        found.push(BootEntry { platform, block, sectors, content: blob.slice(start..end) });
    }
    Ok(found)
}

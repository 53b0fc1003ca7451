//! Core images a BIOS starts, from a disk or from a CD, and where they are put.
//!
//! From a disk: `diskboot.img`, one sector, which loads the rest by a list of runs of sectors;
//! `lzma_decompress.img`, which unpacks what follows; kernel and modules, compressed. For a CD
//! `cdboot.img` comes first, which is told by the ISO's writer where the image lies.

use super::{
    Contents, Directory, GRUB, Platform,
    elf::{self, Elf, u32_at},
    lzma, module_area,
};
use crate::{
    blob::Blob,
    formats::{Error, Result},
};

/// Bytes of the sectors a BIOS counts in, and of an ISO's blocks.
pub(super) const SECTOR: usize = 512;
pub(super) const BLOCK: usize = 2048;
/// Where the kernel is linked to, and `lzma_decompress.img` loaded.
const KERNEL_ADDRESS: u64 = 0x9000;
const LOADER_ADDRESS: u32 = 0x8200;
/// The most a core image may have, in bytes: above is the BIOS's memory.
pub(super) const CORE_LIMIT: usize = 0x78000;
/// The most a kernel takes in memory, in bytes; real ones have 30 KiB.
const KERNEL_LIMIT: u64 = 4 << 20;

/// In `diskboot.img`: the only run of sectors, as its first sector (64 bits) and then its
/// length (16 bits).
pub(super) const RUN_START: usize = 0x1f4;
const RUN_LEN: usize = 0x1fc;
/// Behind the run's length: where it is loaded, in units of 16 bytes. The template says so too.
const SEGMENT: [u8; 2] = 0x820u16.to_le_bytes();

/// In `lzma_decompress.img`, 32 bits each: lengths of what follows, compressed and unpacked,
/// and how many bytes of Reed-Solomon codes there are behind it.
pub(super) const PACKED_LEN: usize = 0x08;
pub(super) const UNPACKED_LEN: usize = 0x0c;
const CODES_LEN: usize = 0x10;
/// How much of a loader is looked at, in bytes; real ones have less than 3 KiB.
const LOADER_LIMIT: usize = 64 << 10;
/// `mov edi, 0x100000; mov esi, ?`: it sets out to unpack what lies right behind it.
const UNPACK: [u8; 6] = [0xbf, 0, 0, 0x10, 0, 0xbe];

/// A core image for a disk, `core.img`, as it is before [`bios_partition`] places it.
///
/// # Errors
/// `Invalid` or `Corrupt`, naming the file, for a directory in which something is missing or
/// that is of several versions; `TooLarge` if the image does not fit below 640 KiB.
pub fn disk_image(directory: &Directory, contents: &Contents<'_>) -> Result<Blob> {
    if directory.platform() != Platform::I386Pc {
        let what = format!("the files for {} start from no BIOS", directory.platform());
        return Err(Error::invalid(GRUB, what));
    }
    let kernel = directory.kernel()?;
    let elf = directory.parse_kernel(&kernel, elf::EXECUTABLE)?;
    let mut payload = flatten(&elf).map_err(|what| directory.corrupt_kernel(what))?;
    let modules = directory.load(contents, &payload)?;
    payload.extend(module_area::write(modules, contents, false)?);
    let packed = lzma::compress(&payload)?;

    let mut diskboot = directory.file("diskboot.img")?;
    if diskboot.len() != SECTOR || !diskboot.ends_with(&SEGMENT) {
        return Err(directory.corrupt("diskboot.img", "it is not the sector of code it should be"));
    }
    let mut loader = directory.file("lzma_decompress.img")?;
    if unpacks_behind(&loader) != Some(loader.len()) {
        let what = "it is no loader, or one that unpacks another place than behind itself";
        return Err(directory.corrupt("lzma_decompress.img", what));
    }
    let len = diskboot.len() + loader.len() + packed.len();
    if len > CORE_LIMIT {
        return Err(Error::too_large(GRUB, "core.img", len as u64, CORE_LIMIT as u64));
    }
    put(&mut loader, PACKED_LEN, short(packed.len()));
    put(&mut loader, UNPACKED_LEN, short(payload.len()));
    put(&mut loader, CODES_LEN, 0);
    let sectors = (len - SECTOR).div_ceil(SECTOR);
    diskboot[RUN_LEN..RUN_LEN + 2].copy_from_slice(&short(sectors).to_le_bytes()[..2]);
    Ok(Blob::concat([diskboot.into(), loader.into(), packed.into()]))
}

/// A core image for a CD, `eltorito.img`, as it is before [`cd_image_at`] places it. An El
/// Torito entry loads its first four sectors, which load the rest.
///
/// # Errors
/// As [`disk_image`].
pub fn cd_image(directory: &Directory, contents: &Contents<'_>) -> Result<Blob> {
    let core = disk_image(directory, contents)?;
    let cdboot = directory.file("cdboot.img")?;
    if cdboot.len() != BLOCK {
        return Err(directory.corrupt("cdboot.img", "it is not the block of code it should be"));
    }
    Ok(Blob::concat([cdboot.into(), core]))
}

/// The content of a BIOS boot partition of `len` bytes that starts at the disk's sector `start`
/// (of 512 bytes): a core image from [`disk_image`], told where it lies.
///
/// # Errors
/// `TooLarge` if the image is longer than the partition.
pub fn bios_partition(core: &Blob, start: u64, len: u64) -> Result<Blob> {
    if core.len() > len {
        return Err(Error::too_large(GRUB, "core.img in its partition", core.len(), len));
    }
    let run = RUN_START as u64..RUN_START as u64 + 8;
    Ok(Blob::concat([
        core.slice(0..run.start),
        start.saturating_add(1).to_le_bytes().to_vec().into(),
        core.slice(run.end..core.len()),
        Blob::zeros(len - core.len()),
    ]))
}

/// A core image from [`cd_image`] that lies at `block` (of 2048 bytes) of an ISO, told so: by
/// El Torito's boot information table, and in `diskboot.img`'s list for a BIOS that takes the
/// ISO as a disk.
///
/// # Errors
/// I/O.
pub fn cd_image_at(image: &Blob, block: u32) -> Result<Blob> {
    let limit = (CORE_LIMIT + BLOCK) as u64;
    let mut bytes = image.to_vec(limit).map_err(|error| Error::io(GRUB, error))?;
    let run = BLOCK + RUN_START;
    let Some(field) = bytes.get_mut(run..run + 8) else {
        return Err(Error::invalid(GRUB, "this is no core image for a CD"));
    };
    // The sector behind `cdboot.img` and `diskboot.img`.
    let per_block = (BLOCK / SECTOR) as u64;
    field.copy_from_slice(&((u64::from(block) + 1) * per_block + 1).to_le_bytes());
    let words = bytes[64..].chunks(4).map(|word| {
        let mut padded = [0; 4];
        padded[..word.len()].copy_from_slice(word);
        u32::from_le_bytes(padded)
    });
    let sum = words.fold(0, u32::wrapping_add);
    // The volume descriptor's block, the image's, its length, the sum of what follows the table.
    for (word, at) in [16, block, short(bytes.len()), sum].into_iter().zip((8..).step_by(4)) {
        put(&mut bytes, at, word);
    }
    Ok(bytes.into())
}

/// The kernel as it lies in memory, without the zeros at its end.
fn flatten(elf: &Elf<'_>) -> Result<Vec<u8>, String> {
    let mut image = Vec::new();
    for section in elf.sections.iter().filter(|section| section.is_loaded() && !section.is_zeros())
    {
        let start = section.address.checked_sub(KERNEL_ADDRESS);
        let end = start.and_then(|start| start.checked_add(section.size));
        let (Some(start), Some(end)) = (start, end.filter(|&end| end <= KERNEL_LIMIT)) else {
            return Err(format!("section {} is linked to {:#x}", section.name, section.address));
        };
        // Both are below the limit.
        let [start, end] = [start, end].map(|at| usize::try_from(at).unwrap_or(usize::MAX));
        if image.len() < end {
            image.resize(end, 0);
        }
        let data = elf.data(section);
        image[start..start + data.len()].copy_from_slice(data);
    }
    Ok(image)
}

/// Where a loader, `lzma_decompress.img`, finds what it unpacks: in bytes from its start.
pub(super) fn unpacks_behind(loader: &[u8]) -> Option<usize> {
    let code = &loader[..loader.len().min(LOADER_LIMIT)];
    let at = code.windows(UNPACK.len()).position(|window| window == UNPACK)?;
    let address = u32_at(loader, at + UNPACK.len())?;
    usize::try_from(address.checked_sub(LOADER_ADDRESS)?).ok().filter(|&len| len > CODES_LEN + 4)
}

/// Everything here is far below 4 GiB.
fn short(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

fn put(bytes: &mut [u8], at: usize, value: u32) {
    bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
}

//! Core images UEFI firmware starts: a program whose section `mods` holds the modules.
//!
//! Specification: Microsoft, "PE Format", as UEFI programs use it.

use super::{Contents, Directory, GRUB, elf, link::link, module_area};
use crate::{
    blob::Blob,
    formats::{Error, Result},
};
use std::collections::{BTreeMap, BTreeSet};

/// Alignment in memory and in the file, in bytes; the header takes as much.
const ALIGN: usize = 0x1000;
const DOS_LEN: usize = 0x80;
const OPTIONAL_LEN: u16 = 240;
const DIRECTORIES: usize = 16;
/// The place of the base relocation table among the data directories.
const RELOCATIONS: usize = 5;
/// `Characteristics`: executable, without line numbers, symbols and debugging information.
const EXECUTABLE: u16 = 0x20e;
/// `Subsystem`: a UEFI application.
const UEFI_APPLICATION: u16 = 10;
/// `DllCharacteristics`: data need not be executable (`IMAGE_DLLCHARACTERISTICS_NX_COMPAT`).
const NO_EXECUTE: u16 = 0x100;
/// The first version that runs so.
const NO_EXECUTE_SINCE: (u32, u32) = (2, 14);
/// What GRUB asks for stack and heap, in bytes, reserved and committed.
const STACK_AND_HEAP: [u64; 4] = [0x10000; 4];
/// `IMAGE_REL_BASED_DIR64`.
const DIR64: u16 = 10;
/// `IMAGE_SCN_…`.
const CODE: u32 = 0x6000_0020;
const DATA: u32 = 0xc000_0040;
const READ_ONLY: u32 = 0x4000_0040;
const DISCARDABLE: u32 = 0x4200_0040;

/// A core image as a UEFI program. `sbat` is the text by which Secure Boot revokes boot loaders;
/// `timestamp` (seconds since 1970) goes into the header.
///
/// # Errors
/// `Invalid` or `Corrupt`, naming the file, for a directory in which something is missing or
/// that is of several versions; `Invalid` for one that is not for UEFI.
pub fn efi_image(
    directory: &Directory,
    contents: &Contents<'_>,
    sbat: Option<&str>,
    timestamp: u32,
) -> Result<Blob> {
    let Some(machine) = directory.platform().machine() else {
        let what = format!("the files for {} do not start from UEFI", directory.platform());
        return Err(Error::invalid(GRUB, what));
    };
    let kernel = directory.kernel()?;
    let elf = directory.parse_kernel(&kernel, elf::RELOCATABLE)?;
    let mut linked =
        link(&elf, ALIGN as u64, ALIGN as u64).map_err(|what| directory.corrupt_kernel(what))?;
    let modules = directory.load(contents, &linked.image)?;
    let area = module_area::write(modules, contents, true)?;
    let data = linked.image.split_off(linked.code_len);

    let mut sections =
        vec![(".text", CODE, linked.image), (".data", DATA, data), ("mods", DATA, area)];
    sections.extend(sbat.map(|sbat| (".sbat", READ_ONLY, sbat.as_bytes().to_vec())));
    sections.push((".reloc", DISCARDABLE, relocations(&linked.absolute)));
    for (_, _, content) in &mut sections {
        content.resize(content.len().next_multiple_of(ALIGN), 0);
    }

    let mut table = Vec::new();
    let (mut end, mut reloc) = (ALIGN, [0; 2]);
    for (name, flags, content) in &sections {
        let mut padded = [0; 8];
        padded[..name.len()].copy_from_slice(name.as_bytes());
        table.extend(padded);
        // Length and place in memory, then in the file, which are the same.
        for field in [content.len(), end, content.len(), end, 0, 0, 0] {
            table.extend(fit(field)?.to_le_bytes());
        }
        table.extend(flags.to_le_bytes());
        reloc = [end, content.len()];
        end += content.len();
    }

    let mut head = b"MZ".to_vec();
    head.resize(DOS_LEN, 0);
    head[0x3c..0x40].copy_from_slice(&fit(DOS_LEN)?.to_le_bytes());
    head.extend(b"PE\0\0");
    head.extend(u16::from(machine).to_le_bytes());
    head.extend(fit(sections.len())?.to_le_bytes()[..2].iter());
    head.extend(timestamp.to_le_bytes());
    head.extend([0; 8]); // symbols
    head.extend(OPTIONAL_LEN.to_le_bytes());
    head.extend(EXECUTABLE.to_le_bytes());

    let code_len = sections[0].2.len();
    head.extend([0x0b, 0x02, 0, 0]); // PE32+, no linker
    // Code, initialised data, other data; entry point, start of code; image base.
    let data_len = end - reloc[1] - code_len - ALIGN;
    let entry = usize::try_from(linked.entry).unwrap_or(usize::MAX);
    for field in [code_len, data_len, 0, entry, ALIGN, 0, 0, ALIGN, ALIGN] {
        head.extend(fit(field)?.to_le_bytes());
    }
    head.extend([0; 16]); // versions
    for field in [end, ALIGN, 0] {
        head.extend(fit(field)?.to_le_bytes());
    }
    head.extend(UEFI_APPLICATION.to_le_bytes());
    let no_execute = directory.release().is_some_and(|release| release >= NO_EXECUTE_SINCE);
    head.extend(if no_execute { NO_EXECUTE } else { 0 }.to_le_bytes());
    head.extend(STACK_AND_HEAP.map(u64::to_le_bytes).as_flattened());
    head.extend([0; 4]);
    head.extend(fit(DIRECTORIES)?.to_le_bytes());
    let mut directories = [0; DIRECTORIES * 8];
    for (field, bytes) in reloc.into_iter().zip(directories[RELOCATIONS * 8..].chunks_exact_mut(4))
    {
        bytes.copy_from_slice(&fit(field)?.to_le_bytes());
    }
    head.extend(directories);
    head.extend(table);
    head.resize(ALIGN, 0);
    let contents = sections.into_iter().map(|(_, _, content)| content.into());
    Ok(Blob::concat([Blob::from(head)].into_iter().chain(contents)))
}

/// The base relocation table ("The .reloc Section"): a block for each page, its entries filled
/// up to a multiple of four; the last reaches to the end of the section.
fn relocations(absolute: &BTreeSet<u64>) -> Vec<u8> {
    let mut pages: BTreeMap<u64, Vec<u8>> = BTreeMap::new();
    for address in absolute {
        let [page, offset] = [address & !0xfff, address & 0xfff];
        #[expect(clippy::cast_possible_truncation, reason = "twelve bits")]
        let entry = DIR64 << 12 | offset as u16;
        pages.entry(page).or_default().extend(entry.to_le_bytes());
    }
    // Firmware takes a program without a table for one that cannot be moved.
    if pages.is_empty() {
        pages.insert(ALIGN as u64, Vec::new());
    }
    let count = pages.len();
    let mut table = Vec::new();
    for ((page, mut entries), number) in pages.into_iter().zip(1..) {
        let align = if number == count { ALIGN } else { 8 };
        let len = (table.len() + 8 + entries.len()).next_multiple_of(align) - table.len();
        entries.resize(len - 8, 0);
        for field in [page, len as u64] {
            table.extend(&field.to_le_bytes()[..4]);
        }
        table.extend(entries);
    }
    table
}

/// Every length and address in the header has 32 bits.
fn fit(value: usize) -> Result<u32> {
    let limit = u64::from(u32::MAX);
    u32::try_from(value).map_err(|_| Error::too_large(GRUB, "the image", value as u64, limit))
}

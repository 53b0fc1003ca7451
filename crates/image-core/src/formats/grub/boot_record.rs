//! The first sector of a disk: `boot.img`, or `boot_hybrid.img` for an ISO that is a disk too.

use super::{Directory, bios::SECTOR};
use crate::formats::Result;

/// Where the code ends; the disk's signature and partition table follow.
const CODE_LEN: usize = 0x1b8;
/// The first sector of the core image, 64 bits.
const CORE: usize = 0x5c;
const HYBRID_CORE: usize = 0x1b0;
/// A jump over what takes a drive number below a hard disk's for a mistake of the BIOS.
const DRIVE_TEST: usize = 0x66;
const JUMP: [u8; 2] = [0xeb, 0x05];
const NO_OPERATION: [u8; 2] = [0x90, 0x90];

/// `record`, a disk's first sector, with GRUB's code in it, which starts the core image that a
/// BIOS boot partition at the disk's sector `start` (of 512 bytes) holds. The disk's signature
/// and its partition table stay.
///
/// # Errors
/// `Invalid` or `Corrupt`, naming the file.
pub fn boot_record(
    directory: &Directory,
    start: u64,
    record: &[u8; SECTOR],
) -> Result<[u8; SECTOR]> {
    let mut code = template(directory, "boot.img", CORE)?;
    if code[DRIVE_TEST..DRIVE_TEST + 2] == JUMP {
        code[DRIVE_TEST..DRIVE_TEST + 2].copy_from_slice(&NO_OPERATION);
    }
    Ok(with_code(code, CORE, start, record))
}

/// `record`, the first sector of an ISO that is a disk too, with GRUB's code in it, which starts
/// the core image for a CD that lies at `block` (of 2048 bytes). The signature and the partition
/// table stay.
///
/// # Errors
/// `Invalid` or `Corrupt`, naming the file.
pub fn hybrid_boot_record(
    directory: &Directory,
    block: u32,
    record: &[u8; SECTOR],
) -> Result<[u8; SECTOR]> {
    let code = template(directory, "boot_hybrid.img", HYBRID_CORE)?;
    // It passes over `cdboot.img`, one block.
    Ok(with_code(code, HYBRID_CORE, (u64::from(block) + 1) * 4, record))
}

/// The sector at which GRUB's code in a disk's first sector looks for a core image; none if
/// other code is there.
pub fn core_sector(record: &[u8; SECTOR]) -> Option<u64> {
    // What it prints first, at the same place in both.
    if record[0x180..0x185] != *b"GRUB " {
        return None;
    }
    let at = if record[CORE..CORE + 8] == [0; 8] { HYBRID_CORE } else { CORE };
    record[at..].first_chunk().map(|sector| u64::from_le_bytes(*sector))
}

/// A boot sector's code as GRUB ships it, with 1 where the core's sector goes.
fn template(directory: &Directory, name: &str, field: usize) -> Result<[u8; SECTOR]> {
    <[u8; SECTOR]>::try_from(directory.file(name)?)
        .ok()
        .filter(|code| code[SECTOR - 2..] == [0x55, 0xaa])
        .filter(|code| code[field..field + 8] == 1u64.to_le_bytes())
        .ok_or_else(|| directory.corrupt(name, "it is not the boot sector it should be"))
}

fn with_code(mut code: [u8; SECTOR], at: usize, start: u64, record: &[u8; SECTOR]) -> [u8; SECTOR] {
    code[at..at + 8].copy_from_slice(&start.to_le_bytes());
    code[CODE_LEN..SECTOR - 2].copy_from_slice(&record[CODE_LEN..SECTOR - 2]);
    code
}

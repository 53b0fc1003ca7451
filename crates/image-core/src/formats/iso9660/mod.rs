//! ISO 9660 volumes that boot as a CD and, the same bytes, as a USB stick.
//!
//! By ECMA-119 (4th edition, sections named below), with Rock Ridge (RRIP 1.10 over SUSP 1.10)
//! for POSIX names and modes, Joliet for Windows, El Torito (1.0) and a GUID partition table for
//! booting. Directories may be nested deeper than ECMA-119's eight levels, as all of today's
//! readers allow.

mod el_torito;
mod hierarchy;
mod name;
mod reader;
mod record;
mod rock_ridge;
mod writer;

pub use el_torito::{BootEntry, Platform};
pub use reader::{Found, read};
pub use writer::{BIOS_BLOCK, Esp, Volume, volume};

const FORMAT: &str = "ISO 9660";
/// Bytes of a logical block. Other sizes are allowed but nowhere to be seen.
pub const BLOCK: u64 = 2048;
/// Where the volume descriptors start, in blocks.
const DESCRIPTORS: u64 = 16;

/// A number in both byte orders (sections 7.2.3 and 7.3.3).
fn both_16(value: u16) -> [u8; 4] {
    let mut bytes = [0; 4];
    bytes[..2].copy_from_slice(&value.to_le_bytes());
    bytes[2..].copy_from_slice(&value.to_be_bytes());
    bytes
}

fn both_32(value: u32) -> [u8; 8] {
    let mut bytes = [0; 8];
    bytes[..4].copy_from_slice(&value.to_le_bytes());
    bytes[4..].copy_from_slice(&value.to_be_bytes());
    bytes
}

#[cfg(test)]
mod tests;

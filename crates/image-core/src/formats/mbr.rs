//! The partition table of a master boot record, as hybrid ISO images and old disks have it.

use super::{Error, Result};
use crate::blob::Blob;

const FORMAT: &str = "MBR";
/// The table counts in sectors of 512 bytes.
const SECTOR: u64 = 512;
/// The type that protects the disk of a GUID partition table from who does not know it.
pub const PROTECTIVE: u8 = 0xee;

/// One of the four entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Which of the four, from 1.
    pub number: u8,
    /// What it is for: 0xef an EFI system partition, 0x83 Linux, [`PROTECTIVE`].
    pub kind: u8,
    /// Whether a BIOS is to start from it.
    pub active: bool,
    /// Where it starts, in bytes.
    pub start: u64,
    /// Its length in bytes, which may reach past the end.
    pub size: u64,
}

/// Reads the entries in use. Extended partitions are not followed.
///
/// # Errors
/// `Corrupt` if there is no table.
pub fn read(blob: &Blob) -> Result<Vec<Entry>> {
    let corrupt = |at, what: &str| Error::corrupt(FORMAT, at, what);
    let sector: [u8; 512] = blob.array(0).map_err(|_| corrupt(0, "no boot record"))?;
    if sector[510..] != [0x55, 0xaa] {
        return Err(corrupt(510, "no boot record"));
    }
    let mut entries = Vec::new();
    for (entry, number) in sector[446..510].chunks_exact(16).zip(1..) {
        // What ends like a boot record is often the boot sector of a volume.
        if entry[0] & 0x7f != 0 {
            return Err(corrupt(446, "no partition table"));
        }
        let long = |at: usize| {
            u32::from_le_bytes([entry[at], entry[at + 1], entry[at + 2], entry[at + 3]])
        };
        if entry[4] != 0 {
            entries.push(Entry {
                number,
                kind: entry[4],
                active: entry[0] == 0x80,
                start: u64::from(long(8)) * SECTOR,
                size: u64::from(long(12)) * SECTOR,
            });
        }
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_in_use_are_read() {
        let mut sector = vec![0; 512];
        sector[510..].copy_from_slice(&[0x55, 0xaa]);
        assert_eq!(read(&sector.clone().into()).unwrap(), []);
        sector[462..466].copy_from_slice(&[0x80, 0, 2, 0]);
        sector[466..478].copy_from_slice(&[0xef, 0, 0, 0, 0, 8, 0, 0, 1, 0, 0, 0x80]);
        let entry =
            Entry { number: 2, kind: 0xef, active: true, start: 1 << 20, size: (1 << 40) + 512 };
        assert_eq!(read(&sector.clone().into()).unwrap(), [entry]);
        sector[446] = 1;
        assert!(read(&sector.clone().into()).is_err());
        assert!(read(&sector[..511].to_vec().into()).is_err());
    }
}

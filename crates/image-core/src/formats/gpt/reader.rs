//! Reads a disk back. The `gpt` crate's reader is not used here: it panics on entries of another
//! size than 128 bytes and allocates whatever a header asks for.

use super::{Disk, ENTRY, FORMAT, NAME_UNITS, Partition};
use crate::{
    blob::Blob,
    formats::{Error, Result},
};
use flate2::Crc;
use uuid::Uuid;

/// The longest table read, in bytes: 8192 entries of the usual size.
const MAX_TABLE: u64 = 1 << 20;
/// Bytes of a header that mean something.
const HEADER: usize = 92;

/// A disk as it was found.
#[derive(Clone, Debug)]
pub struct Found {
    /// The disk. Partitions have their start, and contents that are slices of the blob.
    pub disk: Disk,
    /// The number of each partition: there may be gaps.
    pub numbers: Vec<u32>,
    /// What is wrong with it, as sentences, though it could be read: one of the two tables is
    /// damaged, they differ, partitions overlap.
    pub flaws: Vec<String>,
}

/// Reads the disk that is `blob`, with sectors of 512 or else of 4096 bytes.
///
/// # Errors
/// `Corrupt` if neither the primary nor the backup table is sound, or a partition reaches past
/// the end of the blob.
pub fn read(blob: &Blob) -> Result<Found> {
    let mut failed = None;
    for sector_size in [512, 4096] {
        let last = (blob.len() / u64::from(sector_size)).saturating_sub(1);
        let primary = Table::read(blob, 1, sector_size);
        let backup_lba = primary.as_ref().map_or(last, |table| table.alternate_lba);
        let backup = Table::read(blob, backup_lba, sector_size);
        let mut flaws = Vec::new();
        let table = match (primary, backup) {
            (Ok(primary), Ok(backup)) => {
                if (primary.guid, primary.crc) != (backup.guid, backup.crc) {
                    flaws.push("the backup table differs from the primary".to_owned());
                }
                if backup_lba != last {
                    flaws.push("the backup table is not at the end of the disk".to_owned());
                }
                primary
            }
            (Ok(primary), Err(error)) => {
                flaws.push(format!("the backup table is damaged: {error}"));
                primary
            }
            (Err(error), Ok(backup)) => {
                flaws.push(format!("the primary table is damaged: {error}"));
                backup
            }
            (Err(error), Err(_)) => {
                // What stands where a header belongs says more than that none does elsewhere.
                if failed.is_none() || error.has_header {
                    failed = Some(error);
                }
                continue;
            }
        };
        let (disk, numbers) = table.disk(blob, sector_size)?;
        let mut spans: Vec<_> =
            disk.partitions.iter().map(|part| (part.start, part.size, &part.name)).collect();
        spans.sort();
        for pair in spans.windows(2) {
            if let [(Some(start), size, before), (after, _, name)] = pair
                && Some(start + size) > *after
            {
                flaws.push(format!("partitions {before:?} and {name:?} overlap"));
            }
        }
        return Ok(Found { disk, numbers, flaws });
    }
    let Damage { at, what, .. } = failed.unwrap_or_else(|| Damage::none_at(0));
    Err(Error::corrupt(FORMAT, at, what))
}

/// Why one of the tables cannot be read.
struct Damage {
    at: u64,
    what: String,
    /// Whether there is a header at all.
    has_header: bool,
}

impl Damage {
    fn none_at(at: u64) -> Self {
        Self { at, what: "no partition table".to_owned(), has_header: false }
    }
}

impl std::fmt::Display for Damage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "at byte {}: {}", self.at, self.what)
    }
}

/// One of the two tables, its checksums checked.
struct Table {
    guid: Uuid,
    alternate_lba: u64,
    /// Of the entries.
    crc: u32,
    entries: Vec<u8>,
    entry_size: usize,
}

impl Table {
    fn read(blob: &Blob, lba: u64, sector_size: u32) -> Result<Self, Damage> {
        let sector = u64::from(sector_size);
        let at = lba.saturating_mul(sector);
        let damage = |what: String| Damage { at, what, has_header: true };
        let header: [u8; HEADER] = blob.array(at).map_err(|_| Damage::none_at(at))?;
        let long = |at: usize| {
            u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
        };
        let quad = |at: usize| u64::from(long(at)) | (u64::from(long(at + 4)) << 32);
        if header[..8] != *b"EFI PART" {
            return Err(Damage::none_at(at));
        }
        let len = u64::from(long(12));
        if len < HEADER as u64 || len > sector {
            return Err(damage(format!("a header of {len} bytes")));
        }
        let io = |error: std::io::Error| damage(error.to_string());
        let mut whole = blob.slice(at..at + len).to_vec(sector).map_err(io)?;
        whole[16..20].fill(0);
        if crc(&whole) != long(16) {
            return Err(damage("the header's checksum is wrong".to_owned()));
        }
        if quad(24) != lba {
            return Err(damage(format!("the header of sector {} in {lba}", quad(24))));
        }
        let (start, count, size) = (quad(72), u64::from(long(80)), u64::from(long(84)));
        let len = count * size;
        if size < ENTRY as u64 || size % 8 != 0 || len > MAX_TABLE {
            return Err(damage(format!("{count} entries of {size} bytes")));
        }
        let start = start.saturating_mul(sector);
        let entries = blob.slice(start..start.saturating_add(len)).to_vec(MAX_TABLE).map_err(io)?;
        if entries.len() as u64 != len || crc(&entries) != long(88) {
            return Err(damage("the entries' checksum is wrong".to_owned()));
        }
        let mut guid = [0; 16];
        guid.copy_from_slice(&header[56..72]);
        Ok(Self {
            guid: Uuid::from_bytes_le(guid),
            alternate_lba: quad(32),
            crc: long(88),
            entries,
            entry_size: usize::try_from(size).unwrap_or(usize::MAX),
        })
    }

    fn disk(&self, blob: &Blob, sector_size: u32) -> Result<(Disk, Vec<u32>)> {
        let sector = u64::from(sector_size);
        let mut partitions = Vec::new();
        let mut numbers = Vec::new();
        for (entry, number) in self.entries.chunks_exact(self.entry_size).zip(1..) {
            let Some((entry, _)) = entry.split_first_chunk::<ENTRY>() else { break };
            let quad = |at: usize| entry[at..].first_chunk().map_or(0, |b| u64::from_le_bytes(*b));
            let guid = |at: usize| {
                entry[at..].first_chunk().map_or(Uuid::nil(), |b| Uuid::from_bytes_le(*b))
            };
            if guid(0).is_nil() {
                continue;
            }
            let (first, last) = (quad(32), quad(40));
            let end = last.checked_add(1).and_then(|end| end.checked_mul(sector));
            let (start, end) = match (first.checked_mul(sector), end) {
                (Some(start), Some(end)) if start < end && end <= blob.len() => (start, end),
                _ => {
                    let what = format!(
                        "partition {number} is sectors {first} to {last} of a disk of {}: it is \
                         cut off, or the table is damaged",
                        blob.len() / sector
                    );
                    return Err(Error::corrupt(FORMAT, 2 * sector, what));
                }
            };
            let units: Vec<u16> = entry[56..]
                .chunks_exact(2)
                .take(NAME_UNITS)
                .map(|unit| u16::from_le_bytes([unit[0], unit[1]]))
                .take_while(|&unit| unit != 0)
                .collect();
            numbers.push(number);
            partitions.push(Partition {
                type_guid: guid(0),
                guid: guid(16),
                name: String::from_utf16_lossy(&units),
                attributes: quad(48),
                start: Some(start),
                size: end - start,
                content: blob.slice(start..end),
            });
        }
        let disk = Disk { guid: self.guid, sector_size, size: blob.len(), partitions };
        Ok((disk, numbers))
    }
}

fn crc(bytes: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc.sum()
}

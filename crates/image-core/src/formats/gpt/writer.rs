//! Lays a disk out. The tables are made by the `gpt` crate, which writes to devices: it gets one
//! of which only the two ends exist.

use super::{Disk, ENTRIES, ENTRY, FORMAT, NAME_UNITS, Partition};
use crate::{
    blob::{Blob, Layout},
    formats::{Error, Result},
};
use ::gpt::{GptConfig, disk::LogicalBlockSize, mbr::ProtectiveMBR, partition::Partition as Entry};
use std::{
    collections::BTreeMap,
    io::{self, Read, Seek, SeekFrom, Write},
};

/// Where partitions are aligned, in bytes: fits every kind of drive.
const ALIGN: u64 = 1 << 20;

/// Lays `disk` out: protective MBR, primary and backup table, partitions. Contents are placed,
/// not copied.
///
/// # Errors
/// `TooLarge` if the partitions do not fit on the disk or a content not in its partition;
/// `Invalid` for what no table can say.
pub fn disk(disk: &Disk) -> Result<Blob> {
    let Tables { head, tail, starts } = tables(disk)?;
    let mut layout = Layout::new();
    layout.place(disk.size - tail.len() as u64, tail.into());
    layout.place(0, head.into());
    for (partition, start) in disk.partitions.iter().zip(starts) {
        layout.place(start, partition.content.clone());
    }
    layout.seal(disk.size).map_err(|overlap| Error::overlap(FORMAT, overlap))
}

/// What describes a disk.
pub(in crate::formats) struct Tables {
    /// Protective MBR and primary table, from byte 0.
    pub(in crate::formats) head: Vec<u8>,
    /// Backup table, up to the disk's end.
    pub(in crate::formats) tail: Vec<u8>,
    /// Where each partition starts, in bytes.
    starts: Vec<u64>,
}

/// The tables of `disk`; errors as [`disk`].
pub(in crate::formats) fn tables(disk: &Disk) -> Result<Tables> {
    let sector = u64::from(disk.sector_size);
    let sector_size = LogicalBlockSize::try_from(sector)
        .map_err(|_| Error::invalid(FORMAT, format!("sectors of {sector} bytes")))?;
    if !disk.size.is_multiple_of(sector) {
        let what = format!("a disk of {} bytes in sectors of {sector}", disk.size);
        return Err(Error::invalid(FORMAT, what));
    }
    let (starts, entries) = entries(disk, sector)?;

    let mut device = Ends::new(disk.size, sector);
    let protected = u32::try_from(disk.size / sector - 1).unwrap_or(u32::MAX);
    let refused = |error: &dyn std::fmt::Display| Error::invalid(FORMAT, error.to_string());
    ProtectiveMBR::with_lb_size(protected)
        .overwrite_lba0(&mut device)
        .map_err(|error| refused(&error))?;
    // All GUIDs are given: the random ones the crate draws to begin with are overwritten.
    let device = GptConfig::new()
        .writable(true)
        .logical_block_size(sector_size)
        .create_from_device(device, Some(disk.guid))
        .and_then(|mut table| {
            table.update_partitions(entries)?;
            table.write()
        })
        .map_err(|error| refused(&error))?;
    Ok(Tables { head: device.head, tail: device.tail, starts })
}

/// Where each partition starts in bytes, and its entry, by number.
fn entries(disk: &Disk, sector: u64) -> Result<(Vec<u64>, BTreeMap<u32, Entry>)> {
    let invalid = |partition: &Partition, what: String| {
        Error::invalid(FORMAT, format!("partition {:?} {what}", partition.name))
    };
    let (head, tail) = Ends::lengths(sector);
    if disk.partitions.len() > ENTRIES {
        let what = format!("{} partitions, more than {ENTRIES}", disk.partitions.len());
        return Err(Error::invalid(FORMAT, what));
    }
    let mut starts = Vec::new();
    let mut entries = BTreeMap::new();
    let mut end = head;
    for (partition, number) in disk.partitions.iter().zip(1..) {
        let Partition { type_guid, guid, name, size, .. } = partition;
        if type_guid.is_nil() || name.encode_utf16().count() > NAME_UNITS {
            return Err(invalid(partition, "has no type or too long a name".into()));
        }
        let start = match partition.start {
            Some(start) => start,
            None => end.checked_next_multiple_of(ALIGN).unwrap_or(u64::MAX),
        };
        if start < end || start % sector != 0 || *size == 0 || size % sector != 0 {
            let what = format!("of {size} bytes cannot start at byte {start}");
            return Err(invalid(partition, what));
        }
        if partition.content.len() > *size {
            let what = format!("the content of partition {name:?}");
            return Err(Error::too_large(FORMAT, what, partition.content.len(), *size));
        }
        end = start.checked_add(*size).ok_or_else(|| invalid(partition, "has no end".into()))?;
        starts.push(start);
        let entry = Entry {
            part_type_guid: (*type_guid).into(),
            part_guid: *guid,
            first_lba: start / sector,
            last_lba: end / sector - 1,
            flags: partition.attributes,
            name: name.clone(),
        };
        entries.insert(number, entry);
    }
    let need = end.saturating_add(tail);
    if need > disk.size {
        return Err(Error::too_large(FORMAT, "what the disk is to hold", need, disk.size));
    }
    Ok((starts, entries))
}

/// A device of which only the parts with the tables exist.
#[derive(Debug)]
struct Ends {
    head: Vec<u8>,
    tail: Vec<u8>,
    size: u64,
    at: u64,
}

impl Ends {
    /// Bytes before the first and after the last usable sector.
    fn lengths(sector: u64) -> (u64, u64) {
        let table = (ENTRIES * ENTRY) as u64;
        (2 * sector + table, table + sector)
    }

    fn new(size: u64, sector: u64) -> Self {
        let (head, tail) = Self::lengths(sector);
        let zeros = |len| vec![0; usize::try_from(len).unwrap_or(0)];
        Self { head: zeros(head), tail: zeros(tail), size, at: 0 }
    }

    /// The next `len` bytes, which lie in one of the parts.
    fn next(&mut self, len: usize) -> io::Result<&mut [u8]> {
        let at = self.at;
        self.at += len as u64;
        let tail_start = self.size - self.tail.len() as u64;
        let (part, start) = match at.checked_sub(tail_start) {
            Some(start) => (&mut self.tail, start),
            None => (&mut self.head, at),
        };
        let start = usize::try_from(start).unwrap_or(usize::MAX);
        part.get_mut(start..start.saturating_add(len))
            .ok_or_else(|| io::Error::other("a table reaches into the partitions"))
    }
}

impl Read for Ends {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        buf.copy_from_slice(self.next(buf.len())?);
        Ok(buf.len())
    }
}

impl Write for Ends {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.next(buf.len())?.copy_from_slice(buf);
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Ends {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.size.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = at.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

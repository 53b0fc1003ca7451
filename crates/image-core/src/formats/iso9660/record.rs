//! Directory and path table records (sections 9.1 and 9.4).

use super::{both_16, both_32};
use crate::formats::calendar::Utc;

/// Flags of a directory record (section 9.1.6).
pub(super) const IS_DIRECTORY: u8 = 0x02;
/// More of the same file follows in the next record.
pub(super) const MORE_EXTENTS: u8 = 0x80;

/// The longest record there can be: its length is one byte and even.
pub(super) const MAX_RECORD: usize = 254;

/// Bytes of a record up to and with an identifier of `len` bytes and its padding.
pub(super) fn length(len: usize) -> usize {
    (33 + len).next_multiple_of(2)
}

/// A date of 7 bytes (section 9.1.5), in UTC.
pub(super) fn date(epoch: u64) -> [u8; 7] {
    let Utc { year, month, day, hour, minute, second } = Utc::new(epoch);
    let year = u8::try_from(year - 1900).unwrap_or(u8::MAX);
    [year, month, day, hour, minute, second, 0]
}

/// A directory record; `system_use` is what Rock Ridge adds.
pub(super) fn record(
    identifier: &[u8],
    flags: u8,
    (block, len): (u32, u32),
    date: [u8; 7],
    system_use: &[u8],
) -> Vec<u8> {
    let size = (length(identifier.len()) + system_use.len()).next_multiple_of(2);
    let byte = |value: usize| u8::try_from(value).unwrap_or(0);
    let mut record = Vec::with_capacity(size);
    record.extend([byte(size), 0]);
    record.extend(both_32(block));
    record.extend(both_32(len));
    record.extend(date);
    record.extend([flags, 0, 0]);
    record.extend(both_16(1));
    record.push(byte(identifier.len()));
    record.extend(identifier);
    record.resize(length(identifier.len()), 0);
    record.extend(system_use);
    record.resize(size, 0);
    record
}

/// A record of a path table, in the byte order of type L or type M.
pub(super) fn path_record(identifier: &[u8], block: u32, parent: u16, is_type_m: bool) -> Vec<u8> {
    let mut record = vec![u8::try_from(identifier.len()).unwrap_or(0), 0];
    if is_type_m {
        record.extend(block.to_be_bytes());
        record.extend(parent.to_be_bytes());
    } else {
        record.extend(block.to_le_bytes());
        record.extend(parent.to_le_bytes());
    }
    record.extend(identifier);
    record.resize(record.len().next_multiple_of(2), 0);
    record
}

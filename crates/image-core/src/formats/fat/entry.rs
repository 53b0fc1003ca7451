//! Directory entries and the two names of a file (sections 6 and 7).

use super::FORMAT;
use crate::formats::{Error, Result, calendar::Utc};
use std::collections::BTreeSet;

/// Bytes of one directory entry.
pub(super) const ENTRY: usize = 32;
/// UTF-16 units of a long name in one entry, and where they stand in it.
const LONG_UNITS: [usize; 13] = [1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30];
/// UTF-16 units of the longest long name.
const MAX_UNITS: usize = 255;

pub(super) const READ_ONLY: u8 = 0x01;
pub(super) const VOLUME_ID: u8 = 0x08;
pub(super) const DIRECTORY: u8 = 0x10;
pub(super) const ARCHIVE: u8 = 0x20;
pub(super) const LONG_NAME: u8 = 0x0f;
/// Bits of byte 12, after Windows NT: an upper-case short name is meant in lower case.
const LOWER_BASE: u8 = 0x08;
const LOWER_EXTENSION: u8 = 0x10;

/// Base and extension, upper case, padded with spaces.
pub(super) type ShortName = [u8; 11];

/// The names one file has in its directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) short: ShortName,
    /// UTF-16; empty if the short name says it all.
    long: Vec<u16>,
}

/// The names of all files of one directory, in the order given.
///
/// A name that is not exactly an upper-case short name gets a long name, so that every reader
/// shows the letter case it was given.
pub(super) fn names<'a>(files: impl Iterator<Item = &'a str> + Clone) -> Result<Vec<Name>> {
    let mut folded = BTreeSet::new();
    let mut taken = BTreeSet::new();
    for file in files.clone() {
        if !folded.insert(file.to_uppercase()) {
            let what = format!("{file:?} differs from another name of its directory only in case");
            return Err(Error::invalid(FORMAT, what));
        }
        // Names that are short as they stand have the first right to them.
        taken.extend(exact_short(&file.to_ascii_uppercase()));
    }
    files
        .map(|file| {
            check(file)?;
            if let Some(short) = exact_short(file) {
                return Ok(Name { short, long: Vec::new() });
            }
            let short = match exact_short(&file.to_ascii_uppercase()) {
                Some(short) => short,
                None => alias(file, &mut taken)?,
            };
            Ok(Name { short, long: file.encode_utf16().collect() })
        })
        .collect()
}

fn check(name: &str) -> Result<()> {
    let fail = |why: &str| Err(Error::invalid(FORMAT, format!("the name {name:?} {why}")));
    if name.chars().any(|c| c < ' ' || "\"*/:<>?\\|\u{7f}".contains(c)) {
        return fail("has a character that FAT does not allow");
    }
    if name.is_empty() || name.ends_with(['.', ' ']) {
        return fail("is empty or ends in a dot or a space");
    }
    if name.encode_utf16().count() > MAX_UNITS {
        return fail("is longer than 255 UTF-16 units");
    }
    Ok(())
}

fn is_short_byte(byte: u8) -> bool {
    byte.is_ascii_uppercase() || byte.is_ascii_digit() || b"$%'-_@~`!(){}^#&".contains(&byte)
}

/// The name as a short name, if it is one without any change.
fn exact_short(name: &str) -> Option<ShortName> {
    let (base, extension) = name.split_once('.').unwrap_or((name, ""));
    let fits = |part: &str, max| part.len() <= max && part.bytes().all(is_short_byte);
    let has_extension = name.contains('.') != extension.is_empty();
    (!base.is_empty() && has_extension && fits(base, 8) && fits(extension, 3))
        .then(|| padded(base.bytes(), extension.bytes()))
}

fn padded(base: impl Iterator<Item = u8>, extension: impl Iterator<Item = u8>) -> ShortName {
    let mut short = [b' '; 11];
    for (to, from) in short[..8].iter_mut().zip(base) {
        *to = from;
    }
    for (to, from) in short[8..].iter_mut().zip(extension) {
        *to = from;
    }
    short
}

/// A short name made of a long one, with a numeric tail, not yet in `taken` (section 7.4).
fn alias(name: &str, taken: &mut BTreeSet<ShortName>) -> Result<ShortName> {
    let (base, extension) = match name.rsplit_once('.') {
        Some((base, extension)) if !base.trim_start_matches('.').is_empty() => (base, extension),
        _ => (name, ""),
    };
    let mapped = |part: &str| -> Vec<u8> {
        let kept = part.chars().filter(|c| !matches!(c, ' ' | '.'));
        kept.map(|c| match u8::try_from(c.to_ascii_uppercase()) {
            Ok(byte) if is_short_byte(byte) => byte,
            _ => b'_',
        })
        .collect()
    };
    let (base, extension) = (mapped(base), mapped(extension));
    for number in 1..1_000_000 {
        let tail = format!("~{number}");
        let start = base.iter().copied().take(8 - tail.len());
        let short = padded(start.chain(tail.bytes()), extension.iter().copied());
        if taken.insert(short) {
            return Ok(short);
        }
    }
    Err(Error::invalid(FORMAT, format!("{name:?} is one of too many names that look alike")))
}

fn checksum(short: ShortName) -> u8 {
    short.iter().fold(0, |sum: u8, &byte| sum.rotate_right(1).wrapping_add(byte))
}

impl Name {
    /// How many directory entries the name takes.
    pub(super) fn entries(&self) -> usize {
        self.long.len().div_ceil(LONG_UNITS.len()) + 1
    }

    /// Writes the entries of a long name, last part first, as they come before the file's own.
    pub(super) fn write_long(&self, to: &mut Vec<u8>) {
        let parts = self.long.chunks(LONG_UNITS.len());
        let last = parts.len();
        for (part, number) in parts.zip(1u8..).collect::<Vec<_>>().into_iter().rev() {
            let mut entry = [0; ENTRY];
            entry[0] = number | if usize::from(number) == last { 0x40 } else { 0 };
            entry[11] = LONG_NAME;
            entry[13] = checksum(self.short);
            // One NUL ends the name unless it fills the entry; then all ones.
            let fill = [0].into_iter().chain(std::iter::repeat(0xffff));
            for (at, unit) in LONG_UNITS.into_iter().zip(part.iter().copied().chain(fill)) {
                entry[at..at + 2].copy_from_slice(&unit.to_le_bytes());
            }
            to.extend(entry);
        }
    }
}

/// A date and time as two 16-bit words, in steps of two seconds, from 1980 to 2107.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stamp {
    date: u16,
    time: u16,
}

impl Stamp {
    /// `epoch` seconds after 1970 in UTC; what FAT cannot say becomes the nearest it can.
    pub(super) fn new(epoch: u64) -> Self {
        const FIRST: u64 = 315_532_800;
        const LAST: u64 = 4_354_819_198;
        let utc = Utc::new(epoch.clamp(FIRST, LAST));
        let year = u16::try_from(utc.year).unwrap_or(1980) - 1980;
        Self {
            date: (year << 9) | (u16::from(utc.month) << 5) | u16::from(utc.day),
            time: (u16::from(utc.hour) << 11)
                | (u16::from(utc.minute) << 5)
                | (u16::from(utc.second) / 2),
        }
    }
}

/// The entry that stands for a file itself (section 6).
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) short: ShortName,
    pub(super) attributes: u8,
    /// Zero for an empty file and for `..` where that is the root.
    pub(super) cluster: u32,
    /// Bytes; zero for directories.
    pub(super) size: u32,
}

impl Entry {
    /// The name a directory has in itself.
    pub(super) const DOT: ShortName = *b".          ";
    /// The name of the directory above.
    pub(super) const DOT_DOT: ShortName = *b"..         ";

    pub(super) fn to_bytes(self, stamp: Stamp) -> [u8; ENTRY] {
        let mut entry = [0; ENTRY];
        let mut put = |at: usize, bytes: &[u8]| entry[at..at + bytes.len()].copy_from_slice(bytes);
        let cluster = self.cluster.to_le_bytes();
        put(0, &self.short);
        put(11, &[self.attributes]);
        // Created, accessed, written.
        put(14, &stamp.time.to_le_bytes());
        put(16, &stamp.date.to_le_bytes());
        put(18, &stamp.date.to_le_bytes());
        put(20, &cluster[2..]);
        put(22, &stamp.time.to_le_bytes());
        put(24, &stamp.date.to_le_bytes());
        put(26, &cluster[..2]);
        put(28, &self.size.to_le_bytes());
        entry
    }

    fn read(bytes: &[u8; ENTRY]) -> Self {
        let mut short: ShortName = [0; 11];
        short.copy_from_slice(&bytes[..11]);
        let [.., a, b, c, d] = *bytes;
        Self {
            short,
            attributes: bytes[11],
            cluster: u32::from_le_bytes([bytes[26], bytes[27], bytes[20], bytes[21]]),
            size: u32::from_le_bytes([a, b, c, d]),
        }
    }

    /// The short name as text, with the letter case that byte 12 asks for.
    fn short_text(self, case: u8) -> String {
        let text = |part: &[u8], lower: bool| -> String {
            let part = part.trim_ascii_end();
            let chars = part.iter().map(|&byte| match byte {
                // What 0xE5 would otherwise mean: a deleted entry.
                0x05 => '\u{fffd}',
                byte if byte.is_ascii() => char::from(byte),
                // The code page is not known.
                _ => '\u{fffd}',
            });
            chars.map(|c| if lower { c.to_ascii_lowercase() } else { c }).collect()
        };
        let base = text(&self.short[..8], case & LOWER_BASE != 0);
        let extension = text(&self.short[8..], case & LOWER_EXTENSION != 0);
        if extension.is_empty() { base } else { format!("{base}.{extension}") }
    }
}

/// The parts of a long name read so far: they come last part first.
struct LongName {
    units: Vec<u16>,
    checksum: u8,
    /// The number of the part that came last; 1 when the name is whole.
    number: u8,
}

impl LongName {
    fn with(before: Option<Self>, part: &[u8; ENTRY]) -> Option<Self> {
        let number = part[0] & 0x3f;
        let units = LONG_UNITS.iter().map(|&at| u16::from_le_bytes([part[at], part[at + 1]]));
        if part[0] & 0x40 != 0 {
            let fits = (1..=20).contains(&number);
            return fits.then(|| Self { units: units.collect(), checksum: part[13], number });
        }
        let before = before?;
        let follows = number != 0 && number + 1 == before.number && part[13] == before.checksum;
        follows.then(|| Self { units: units.chain(before.units).collect(), number, ..before })
    }

    fn text_for(self, short: ShortName) -> Option<String> {
        if self.number != 1 || self.checksum != checksum(short) {
            return None;
        }
        let end = self.units.iter().position(|&unit| unit == 0).unwrap_or(self.units.len());
        String::from_utf16(&self.units[..end]).ok()
    }
}

/// Reads a directory up to its end mark: each entry with its name. Long names that do not
/// belong to the entry after them are ignored, as the specification asks.
pub(super) fn read_directory(bytes: &[u8]) -> Vec<(String, Entry)> {
    let mut found = Vec::new();
    let mut long = None;
    for bytes in bytes.chunks_exact(ENTRY).filter_map(|chunk| chunk.try_into().ok()) {
        let bytes: &[u8; ENTRY] = bytes;
        match (bytes[0], bytes[11] & 0x3f) {
            (0, _) => break,
            (0xe5, _) => long = None,
            (_, LONG_NAME) => long = LongName::with(long, bytes),
            _ => {
                let entry = Entry::read(bytes);
                let name = long.take().and_then(|long| long.text_for(entry.short));
                found.push((name.unwrap_or_else(|| entry.short_text(bytes[12])), entry));
            }
        }
    }
    found
}

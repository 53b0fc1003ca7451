//! The area behind GRUB's kernel: modules, the embedded configuration, the prefix.
//!
//! A header (magic, then offset of the first entry and length of all of it, as wide as the
//! platform's addresses), then entries: 32-bit kind and length with these eight bytes, and data
//! padded to the width of an address.

use super::{
    Contents, GRUB,
    elf::{u32_at, word_at},
};
use crate::formats::{Error, Result};

const MAGIC: [u8; 4] = *b"mimg";
/// Kinds of entry.
pub(super) const ELF: u32 = 0;
pub(super) const CONFIG: u32 = 2;
pub(super) const PREFIX: u32 = 3;
const ENTRY_HEADER: usize = 8;

/// The length of the area's header, in bytes.
pub(super) fn header_len(wide: bool) -> usize {
    if wide { 24 } else { 12 }
}

/// The area's bytes; `wide` for a 64-bit platform.
pub(super) fn write(modules: Vec<Vec<u8>>, contents: &Contents<'_>, wide: bool) -> Result<Vec<u8>> {
    let mut entries: Vec<(u32, Vec<u8>)> =
        modules.into_iter().map(|module| (ELF, module)).collect();
    let texts =
        [("configuration", CONFIG, contents.config), ("prefix", PREFIX, Some(contents.prefix))];
    for (name, kind, text) in texts {
        let Some(text) = text else { continue };
        if text.is_empty() || text.contains('\0') {
            let what = format!("the {name} {text:?}: it is empty or has a NUL");
            return Err(Error::invalid(GRUB, what));
        }
        entries.push((kind, [text.as_bytes(), b"\0"].concat()));
    }

    let mut area = vec![0; header_len(wide)];
    for (kind, mut data) in entries {
        data.resize(data.len().next_multiple_of(if wide { 8 } else { 4 }), 0);
        area.extend(kind.to_le_bytes());
        area.extend(fit(ENTRY_HEADER + data.len())?.to_le_bytes());
        area.extend(data);
    }
    let (len, start) = (fit(area.len())?, fit(header_len(wide))?);
    area[..4].copy_from_slice(&MAGIC);
    let [start_at, len_at] = if wide { [8, 16] } else { [4, 8] };
    area[start_at..start_at + 4].copy_from_slice(&start.to_le_bytes());
    area[len_at..len_at + 4].copy_from_slice(&len.to_le_bytes());
    Ok(area)
}

fn fit(len: usize) -> Result<u32> {
    u32::try_from(len)
        .map_err(|_| Error::too_large(GRUB, "the modules", len as u64, u32::MAX.into()))
}

/// One entry as it was read.
pub(super) struct Entry<'a> {
    /// Where it starts, in bytes from the area's start.
    pub(super) at: usize,
    pub(super) kind: u32,
    /// Padding included.
    pub(super) data: &'a [u8],
}

/// The area's start in what is unpacked of a BIOS core image, which ends with it. GRUB's kernel
/// has the magic in its code too.
pub(super) fn find(payload: &[u8]) -> Option<usize> {
    let magics = payload.windows(MAGIC.len()).enumerate().filter(|(_, window)| *window == MAGIC);
    let is_area = |at: usize| {
        let start = word_at(payload, at + 4, false)?;
        let len = usize::try_from(word_at(payload, at + 8, false)?).ok()?;
        Some(start == 12 && len == payload.len() - at)
    };
    magics.map(|(at, _)| at).find(|&at| is_area(at) == Some(true))
}

/// The entries of the area that `bytes` start with.
///
/// # Errors
/// What is wrong, and where in `bytes`.
pub(super) fn read(bytes: &[u8], wide: bool) -> Result<Vec<Entry<'_>>, (usize, &'static str)> {
    if !bytes.starts_with(&MAGIC) {
        return Err((0, "the module area does not start with its magic"));
    }
    let [start_at, len_at] = if wide { [8, 16] } else { [4, 8] };
    let number = |at| word_at(bytes, at, wide).and_then(|number| usize::try_from(number).ok());
    let (Some(mut at), Some(end)) = (number(start_at), number(len_at)) else {
        return Err((0, "the module area's header is cut short"));
    };
    if at < header_len(wide) || at > end {
        return Err((start_at, "the modules do not start inside the module area"));
    }
    let Some(area) = bytes.get(..end) else {
        return Err((len_at, "the module area is longer than what holds it"));
    };
    let mut entries = Vec::new();
    while at < end {
        let header = u32_at(area, at).zip(u32_at(area, at.saturating_add(4)));
        let entry = header.and_then(|(kind, len)| {
            let data = area.get(at..)?.get(..len as usize)?.get(ENTRY_HEADER..)?;
            Some(Entry { at, kind, data })
        });
        let entry = entry.ok_or((at, "the module's entry does not lie inside the module area"))?;
        at += ENTRY_HEADER + entry.data.len();
        entries.push(entry);
    }
    Ok(entries)
}

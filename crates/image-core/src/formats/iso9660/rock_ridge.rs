//! Rock Ridge fields: what POSIX knows of a file (RRIP 1.10, section 4.1; SUSP 1.10, section 5).

use super::{FORMAT, both_32};
use crate::formats::{Error, Result};

/// The longest field.
const MAX_FIELD: usize = 255;
/// Flag of a name or a link target: goes on in the next field of the kind.
const CONTINUES: u8 = 0x01;

pub(super) const S_IFDIR: u32 = 0o040_000;
pub(super) const S_IFREG: u32 = 0o100_000;
pub(super) const S_IFLNK: u32 = 0o120_000;

/// Bytes of the field that says where the rest of the fields stands.
pub(super) const CONTINUATION: usize = 28;

fn field(signature: [u8; 2], data: &[u8]) -> Vec<u8> {
    let len = u8::try_from(data.len() + 4).unwrap_or(0);
    let mut field = vec![signature[0], signature[1], len, 1];
    field.extend(data);
    field
}

/// Marks the root directory: from here on there are fields.
pub(super) fn present() -> Vec<u8> {
    field(*b"SP", &[0xbe, 0xef, 0])
}

/// Names the specification, as it wants to be named.
pub(super) fn extension() -> Vec<u8> {
    let id = b"RRIP_1991A";
    let text =
        b"THE ROCK RIDGE INTERCHANGE PROTOCOL PROVIDES SUPPORT FOR POSIX FILE SYSTEM SEMANTICS";
    let source =
        b"PLEASE CONTACT DISC PUBLISHER FOR SPECIFICATION SOURCE.  SEE PUBLISHER IDENTIFIER IN \
        PRIMARY VOLUME DESCRIPTOR FOR CONTACT INFORMATION.";
    let len = |text: &[u8]| u8::try_from(text.len()).unwrap_or(0);
    let mut data = vec![len(id), len(text), len(source), 1];
    data.extend(id);
    data.extend(text);
    data.extend(source);
    field(*b"ER", &data)
}

/// Where the rest of the fields stands.
pub(super) fn continuation(block: u32, offset: u32, len: u32) -> Vec<u8> {
    field(*b"CE", &[block, offset, len].map(both_32).concat())
}

/// Mode with file type, number of links, owner and group.
pub(super) fn attributes(mode: u32, links: u32, uid: u32, gid: u32) -> Vec<u8> {
    field(*b"PX", &[mode, links, uid, gid].map(both_32).concat())
}

/// Times of change, access and of the attributes: all the same.
pub(super) fn times(date: [u8; 7]) -> Vec<u8> {
    let mut data = vec![0x0e];
    data.extend([date; 3].concat());
    field(*b"TF", &data)
}

/// The file's name, in as many fields as it takes.
pub(super) fn name(name: &str) -> Vec<Vec<u8>> {
    let pieces = name.as_bytes().chunks(MAX_FIELD - 5);
    let last = pieces.len();
    pieces
        .zip(1..)
        .map(|(piece, number)| {
            let flags = if number == last { 0 } else { CONTINUES };
            field(*b"NM", &[&[flags], piece].concat())
        })
        .collect()
}

/// The target of a symbolic link, in as many fields as it takes.
pub(super) fn link(target: &str) -> Result<Vec<Vec<u8>>> {
    let mut parts: Vec<Vec<u8>> = Vec::new();
    if target.starts_with('/') {
        parts.push(vec![0x08, 0]);
    }
    for part in target.split('/').filter(|part| !part.is_empty()) {
        parts.push(match part {
            "." => vec![0x02, 0],
            ".." => vec![0x04, 0],
            _ if part.len() > MAX_FIELD - 7 => {
                let what = format!("a link target has {} bytes between slashes", part.len());
                return Err(Error::invalid(FORMAT, what));
            }
            _ => [&[0, u8::try_from(part.len()).unwrap_or(0)], part.as_bytes()].concat(),
        });
    }
    let mut data = vec![vec![0]];
    for part in parts {
        match data.last_mut() {
            Some(last) if last.len() + 4 + part.len() <= MAX_FIELD => last.extend(part),
            Some(last) => {
                last[0] = CONTINUES;
                data.push([&[0], part.as_slice()].concat());
            }
            None => {}
        }
    }
    Ok(data.into_iter().map(|data| field(*b"SL", &data)).collect())
}

//! Rock Ridge fields: what POSIX knows of a file (RRIP 1.10, section 4.1; SUSP 1.10, section 5).

use super::{BLOCK, FORMAT, both_32, record};
use crate::{
    blob::Blob,
    formats::{Error, Result},
};

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
    field(*b"TF", &[[0x0e].as_slice(), &date, &date, &date].concat())
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

/// What the fields of one record say.
#[derive(Clone, Debug, Default)]
pub(super) struct Fields {
    pub(super) name: Option<String>,
    /// Mode with file type, owner, group.
    pub(super) attributes: Option<(u32, u32, u32)>,
    /// The target of a symbolic link.
    pub(super) link: Option<String>,
}

/// Pieces a record's fields may be in.
const MAX_PIECES: usize = 64;

/// The part of a record that the standard leaves to systems.
fn system_use(directory_record: &[u8]) -> &[u8] {
    let start = directory_record.get(32).map_or(0, |&len| record::length(len.into()));
    directory_record.get(start..).unwrap_or_default()
}

/// How many bytes come before the fields of the other records, if the root's own record says
/// that there are fields.
pub(super) fn skip(root: &[u8]) -> Option<usize> {
    match system_use(root) {
        [b'S', b'P', 7, 1, 0xbe, 0xef, skip, ..] => Some(usize::from(*skip)),
        _ => None,
    }
}

/// Reads the fields of a directory record of the volume `blob`.
pub(super) fn read(blob: &Blob, directory_record: &[u8], skip: usize) -> Result<Fields> {
    let mut found = Fields::default();
    let (mut name, mut link) = (Vec::new(), Link::default());
    let mut piece = system_use(directory_record).get(skip..).unwrap_or_default().to_vec();
    for _ in 0..MAX_PIECES {
        let mut next = None;
        let mut rest = piece.as_slice();
        while let [a, b, len, _, ..] = *rest {
            let Some((field, after)) = rest.split_at_checked(usize::from(len)) else { break };
            rest = after;
            let Some(data) = field.get(4..) else { break };
            let long = |at: usize| super::reader::long(data, at);
            match (&[a, b], data) {
                (b"CE", _) if data.len() >= 24 => next = Some((long(0), long(8), long(16))),
                (b"PX", _) if data.len() >= 32 => {
                    found.attributes = Some((long(0), long(16), long(24)));
                }
                // Names of the directory itself and the one above have other flags and no text.
                (b"NM", [0 | CONTINUES, text @ ..]) => name.extend_from_slice(text),
                (b"SL", [_, parts @ ..]) => link.extend(parts),
                (b"CL", _) => return Err(Error::unsupported(FORMAT, "a relocated directory")),
                (b"ST", _) => break,
                _ => {}
            }
        }
        let Some((block, offset, len)) = next else { break };
        let at = u64::from(block) * BLOCK + u64::from(offset);
        piece = blob
            .slice(at..at + u64::from(len))
            .to_vec(BLOCK)
            .map_err(|error| Error::corrupt(FORMAT, at, format!("Rock Ridge fields: {error}")))?;
    }
    if !name.is_empty() {
        found.name = Some(String::from_utf8_lossy(&name).into_owned());
    }
    let is_link = found.attributes.is_some_and(|(mode, ..)| mode & 0o170_000 == S_IFLNK);
    found.link = is_link.then(|| String::from_utf8_lossy(&link.target).into_owned());
    Ok(found)
}

/// A link's target as its parts come.
#[derive(Debug, Default)]
struct Link {
    target: Vec<u8>,
    /// The last part goes on in the next.
    continues: bool,
}

impl Link {
    fn extend(&mut self, mut parts: &[u8]) {
        while let [flags, len, rest @ ..] = parts {
            let Some((text, after)) = rest.split_at_checked(usize::from(*len)) else { break };
            parts = after;
            if !(self.target.is_empty() || self.target == b"/" || self.continues) {
                self.target.push(b'/');
            }
            self.target.extend_from_slice(match flags & 0x0e {
                0x02 => b".",
                0x04 => b"..",
                0x08 => b"/",
                _ => text,
            });
            self.continues = flags & CONTINUES != 0;
        }
    }
}

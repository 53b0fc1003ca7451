//! Inodes: what a file is, in its short or its extended form.

use super::{
    Error, FORMAT, NONE, Result,
    metadata::{Cursor, Place},
    narrow,
    reader::Budget,
};
use std::borrow::Cow;

/// The types of inodes, in their short form; the extended ones are [`EXTENDED`] higher.
const DIRECTORY: u16 = 1;
const FILE: u16 = 2;
const SYMLINK: u16 = 3;
const BLOCK_DEVICE: u16 = 4;
const CHARACTER_DEVICE: u16 = 5;
const FIFO: u16 = 6;
const EXTENDED: u16 = 7;

/// The longest symbolic link, in bytes (`PATH_MAX`).
const LONGEST_TARGET: u32 = 4096;

/// An inode (the format's description, "Inode Table").
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Inode<'a> {
    /// Permission bits, 0o7777.
    pub(super) mode: u16,
    /// Indices into the id table.
    pub(super) uid: u16,
    pub(super) gid: u16,
    /// Seconds since 1970.
    pub(super) mtime: u32,
    /// From 1 on.
    pub(super) number: u32,
    pub(super) links: u32,
    /// Index of its set of attributes.
    pub(super) attributes: Option<u32>,
    pub(super) body: Body<'a>,
}

/// What an inode is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Body<'a> {
    Directory {
        /// Where its listing starts in the directory table.
        place: Place,
        /// The listing's length in bytes.
        len: u32,
        /// The inode number of the directory it stands in.
        parent: u32,
        index: Cow<'a, [IndexEntry]>,
    },
    File {
        /// Where its first block stands in the image.
        start: u64,
        len: u64,
        /// How many of its bytes are in holes.
        sparse: u64,
        /// The fragment block with its end, and where in the uncompressed block.
        fragment: Option<(u32, u32)>,
        /// Each block's length in the image; 0 for a hole, [`super::STORED`] if not compressed.
        blocks: Cow<'a, [u32]>,
    },
    Symlink(Cow<'a, str>),
    Device {
        block: bool,
        major: u32,
        minor: u32,
    },
    Fifo,
}

/// Says which names of a long listing stand from where on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct IndexEntry {
    /// Where the run starts, in bytes from the listing's start.
    pub(super) at: u32,
    /// The start of its metadata block, from the directory table's.
    pub(super) block: u32,
    /// The first name in it.
    pub(super) name: String,
}

impl Body<'_> {
    /// The type in a directory's entries: the short one.
    pub(super) fn kind(&self) -> u16 {
        match self {
            Self::Directory { .. } => DIRECTORY,
            Self::File { .. } => FILE,
            Self::Symlink(_) => SYMLINK,
            Self::Device { block: true, .. } => BLOCK_DEVICE,
            Self::Device { block: false, .. } => CHARACTER_DEVICE,
            Self::Fifo => FIFO,
        }
    }
}

/// What a listing's length is given as: readers count two entries that are not stored as 3.
const LISTING_EXTRA: u32 = 3;

impl Inode<'_> {
    pub(super) fn encode(&self) -> Result<Vec<u8>> {
        let extended = self.attributes.is_some()
            || match &self.body {
                Body::Directory { len, index, .. } => {
                    !index.is_empty() || *len > u32::from(u16::MAX) - LISTING_EXTRA
                }
                Body::File { start, len, sparse, .. } => {
                    self.links != 1 || *sparse > 0 || (*start).max(*len) > u64::from(u32::MAX)
                }
                _ => false,
            };
        let attributes = self.attributes.unwrap_or(NONE);
        let mut out = Fields(Vec::with_capacity(64));
        out.u16(self.body.kind() + if extended { EXTENDED } else { 0 });
        for field in [self.mode, self.uid, self.gid] {
            out.u16(field);
        }
        out.u32(self.mtime);
        out.u32(self.number);
        match &self.body {
            Body::Directory { place, len, parent, index } => {
                let block = narrow(place.block, "the directory table")?;
                let len = u64::from(*len) + u64::from(LISTING_EXTRA);
                if extended {
                    out.u32(self.links);
                    out.u32(narrow(len, "a directory's listing")?);
                    out.u32(block);
                    out.u32(*parent);
                    out.u16(narrow(index.len() as u64, "a directory's index")?);
                    out.u16(place.offset);
                    out.u32(attributes);
                    for entry in index.iter() {
                        out.u32(entry.at);
                        out.u32(entry.block);
                        out.u32(narrow((entry.name.len() as u64).saturating_sub(1), "a name")?);
                        out.0.extend_from_slice(entry.name.as_bytes());
                    }
                } else {
                    out.u32(block);
                    out.u32(self.links);
                    out.u16(narrow(len, "a directory's listing")?);
                    out.u16(place.offset);
                    out.u32(*parent);
                }
            }
            Body::File { start, len, sparse, fragment, blocks } => {
                let (fragment, offset) = fragment.unwrap_or((NONE, 0));
                if extended {
                    out.u64(*start);
                    out.u64(*len);
                    out.u64(*sparse);
                    for field in [self.links, fragment, offset, attributes] {
                        out.u32(field);
                    }
                } else {
                    out.u32(narrow(*start, "the image")?);
                    out.u32(fragment);
                    out.u32(offset);
                    out.u32(narrow(*len, "a file")?);
                }
                for &block in blocks.iter() {
                    out.u32(block);
                }
            }
            Body::Symlink(target) => {
                let len: u32 = narrow(target.len() as u64, "a symbolic link")?;
                if len > LONGEST_TARGET {
                    let have = u64::from(LONGEST_TARGET);
                    return Err(Error::too_large(FORMAT, "a symbolic link", len.into(), have));
                }
                out.u32(self.links);
                out.u32(len);
                out.0.extend_from_slice(target.as_bytes());
            }
            Body::Device { major, minor, .. } => {
                if *major > 0xFFF || *minor > 0xF_FFFF {
                    let what = format!("device {major}:{minor} has no 32-bit number");
                    return Err(Error::invalid(FORMAT, what));
                }
                out.u32(self.links);
                out.u32((minor & 0xFF) | (major << 8) | ((minor & 0xF_FF00) << 12));
            }
            Body::Fifo => out.u32(self.links),
        }
        let at_end = !matches!(self.body, Body::Directory { .. } | Body::File { .. });
        if extended && at_end {
            out.u32(attributes);
        }
        Ok(out.0)
    }

    /// The inode under `cursor`, of an image with blocks of `block_size` bytes.
    pub(super) fn parse(
        cursor: &mut Cursor<'_>,
        block_size: u32,
        budget: &mut Budget,
    ) -> Result<Inode<'static>> {
        let kind = cursor.u16()?;
        let extended = kind > EXTENDED;
        let [mode, uid, gid] = [cursor.u16()?, cursor.u16()?, cursor.u16()?];
        let (mtime, number) = (cursor.u32()?, cursor.u32()?);
        let mut links = 1;
        let mut attributes = NONE;
        let body = match if extended { kind - EXTENDED } else { kind } {
            DIRECTORY => {
                let (len, block, parent, offset);
                if extended {
                    links = cursor.u32()?;
                    len = cursor.u32()?;
                    block = cursor.u32()?;
                    parent = cursor.u32()?;
                    // The index behind it only speeds up searches.
                    cursor.u16()?;
                    offset = cursor.u16()?;
                    attributes = cursor.u32()?;
                } else {
                    block = cursor.u32()?;
                    links = cursor.u32()?;
                    len = cursor.u16()?.into();
                    offset = cursor.u16()?;
                    parent = cursor.u32()?;
                }
                let place = Place { block: block.into(), offset };
                let len = len.saturating_sub(LISTING_EXTRA);
                Body::Directory { place, len, parent, index: Cow::Borrowed(&[]) }
            }
            FILE => {
                let (start, len, sparse, fragment, offset);
                if extended {
                    start = cursor.u64()?;
                    len = cursor.u64()?;
                    sparse = cursor.u64()?;
                    links = cursor.u32()?;
                    fragment = cursor.u32()?;
                    offset = cursor.u32()?;
                    attributes = cursor.u32()?;
                } else {
                    start = cursor.u32()?.into();
                    fragment = cursor.u32()?;
                    offset = cursor.u32()?;
                    len = cursor.u32()?.into();
                    sparse = 0;
                }
                let fragment = (fragment != NONE).then_some((fragment, offset));
                let count = match fragment {
                    Some(_) => len / u64::from(block_size),
                    None => len.div_ceil(u64::from(block_size)),
                };
                budget.spend(count.saturating_mul(4))?;
                let blocks = (0..count).map(|_| cursor.u32()).collect::<Result<Vec<_>>>()?;
                Body::File { start, len, sparse, fragment, blocks: blocks.into() }
            }
            SYMLINK => {
                links = cursor.u32()?;
                let len = cursor.u32()?;
                if len > LONGEST_TARGET {
                    return Err(cursor.corrupt(format!("a symbolic link has {len} bytes")));
                }
                budget.spend(len.into())?;
                let target = String::from_utf8(cursor.bytes(len as usize)?)
                    .map_err(|_| Error::unsupported(FORMAT, "a symbolic link that is not UTF-8"))?;
                Body::Symlink(target.into())
            }
            kind @ (BLOCK_DEVICE | CHARACTER_DEVICE) => {
                links = cursor.u32()?;
                let device = cursor.u32()?;
                Body::Device {
                    block: kind == BLOCK_DEVICE,
                    major: (device >> 8) & 0xFFF,
                    minor: (device & 0xFF) | ((device >> 12) & 0xF_FF00),
                }
            }
            FIFO => {
                links = cursor.u32()?;
                Body::Fifo
            }
            _ => return Err(Error::unsupported(FORMAT, format!("an inode of type {kind}"))),
        };
        if extended && !matches!(body, Body::Directory { .. } | Body::File { .. }) {
            attributes = cursor.u32()?;
        }
        let attributes = (attributes != NONE).then_some(attributes);
        Ok(Inode { mode, uid, gid, mtime, number, links, attributes, body })
    }
}

/// Little-endian fields, one after another.
struct Fields(Vec<u8>);

impl Fields {
    fn u16(&mut self, field: u16) {
        self.0.extend_from_slice(&field.to_le_bytes());
    }

    fn u32(&mut self, field: u32) {
        self.0.extend_from_slice(&field.to_le_bytes());
    }

    fn u64(&mut self, field: u64) {
        self.0.extend_from_slice(&field.to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            Compression,
            codec::{Packer, Unpacker},
            metadata::{Metadata, TableWriter},
        },
        *,
    };

    #[test]
    fn what_outgrows_the_short_form_reads_back() {
        let packer = &mut Packer::new(Compression::Xz, 4096).unwrap();
        let file = |start, len, sparse, fragment, blocks: &'static [u32]| Body::File {
            start,
            len,
            sparse,
            fragment,
            blocks: Cow::Borrowed(blocks),
        };
        let directory = |len| Body::Directory {
            place: Place { block: 70_000, offset: 8191 },
            len,
            parent: 9,
            index: Cow::Borrowed(&[]),
        };
        let bodies = [
            (file(96, 8192, 0, None, &[5, 4096 | 1 << 24]), 1, 32 + 8),
            (file(96, 8192, 0, None, &[5, 0]), 2, 56 + 8),
            (file(96, 8192, 4096, None, &[5, 0]), 1, 56 + 8),
            (file(1 << 32, 5000, 0, Some((7, 9)), &[5]), 1, 56 + 4),
            (directory(65_532), 2, 32),
            (directory(65_533), 2, 40),
            (Body::Symlink("to".into()), 3, 26),
        ];
        for (body, links, len) in bodies {
            let inode = Inode {
                mode: 0o4755,
                uid: 1,
                gid: 2,
                mtime: 3,
                number: 4,
                links,
                attributes: None,
                body,
            };
            let bytes = inode.encode().unwrap();
            assert_eq!(bytes.len(), len, "{inode:?}");
            let mut table = TableWriter::default();
            table.write(packer, &bytes).unwrap();
            let (bytes, _) = table.finish(packer).unwrap();
            let unpacker = Unpacker::new(super::super::Algorithm::Xz).unwrap();
            let mut metadata = Metadata::new(bytes.into(), unpacker);
            let mut cursor = metadata.cursor(0, Place::default());
            let read = Inode::parse(&mut cursor, 4096, &mut Budget::new("test", 1 << 20)).unwrap();
            assert_eq!(read, inode);
        }
    }
}

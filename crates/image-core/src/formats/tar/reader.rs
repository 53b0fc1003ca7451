//! Walks the members of an archive, front to back.

use super::{BLOCK, FORMAT, MAX_EXTENSION, MAX_PATH, Member, MemberKind, XATTR};
use crate::{
    blob::{Blob, BlobReader},
    formats::{Error, Result},
};
use std::{
    collections::BTreeMap,
    io::{self, Read, Seek, SeekFrom},
};
use tar::{EntryType, Header};

/// Walks an archive front to back: [`next_member`](Reader::next_member), then
/// [`read`](Read::read) that member's content, as much of it as is wanted.
///
/// Memory is bounded whatever the archive holds. The walk ends at the first block of zeros or
/// at the end of the source between two members.
#[derive(Debug)]
pub struct Reader<R> {
    source: R,
    skip: fn(&mut R, u64) -> io::Result<()>,
    /// Bytes of the archive that are behind.
    at: u64,
    /// Bytes of the member's content, and of the padding after it, that are ahead.
    left: u64,
    padding: u64,
}

/// What extension headers said of the member that follows them.
#[derive(Default)]
struct Extensions {
    path: Option<String>,
    link: Option<String>,
    size: Option<u64>,
    uid: Option<u32>,
    gid: Option<u32>,
    xattrs: BTreeMap<String, Vec<u8>>,
}

impl Reader<BlobReader> {
    /// Walks an archive at hand; content nobody reads is jumped over.
    pub(in crate::formats) fn over(archive: &Blob) -> Self {
        Self { source: archive.reader(), skip: seek_past, at: 0, left: 0, padding: 0 }
    }
}

impl<R: Read> Reader<R> {
    /// Walks what `source` gives; content nobody reads is read past.
    pub fn new(source: R) -> Self {
        Self { source, skip: read_past, at: 0, left: 0, padding: 0 }
    }

    /// The next member; none at the end.
    ///
    /// # Errors
    /// `Corrupt` where the bytes break the rules or end within a member, `Unsupported` for
    /// sparse files and unknown types, `Io` if the source failed otherwise.
    pub fn next_member(&mut self) -> Result<Option<Member>> {
        let rest = self.left + self.padding;
        self.pass(rest)?;
        (self.left, self.padding) = (0, 0);
        let mut extensions = Extensions::default();
        let mut extended = false;
        loop {
            let at = self.at;
            let Some(block) = self.block()? else {
                if extended {
                    return Err(Error::corrupt(FORMAT, at, "the archive ends within a member"));
                }
                return Ok(None);
            };
            if block.iter().all(|&byte| byte == 0) {
                return Ok(None);
            }
            let header = checked(&block, at)?;
            let size = number(at, "size", &header.as_old().size, header.entry_size())?;
            match header.entry_type() {
                EntryType::XHeader => {
                    let records = self.extension(at, size)?;
                    extensions.read_pax(&records, at)?;
                }
                EntryType::GNULongName => {
                    extensions.path = Some(c_text(&self.extension(at, size)?, at, "long name")?);
                }
                EntryType::GNULongLink => {
                    extensions.link = Some(c_text(&self.extension(at, size)?, at, "long link")?);
                }
                // Defaults for all that follow; git keeps its commit there. No layer needs them.
                EntryType::XGlobalHeader => {
                    drop(self.extension(at, size)?);
                    continue;
                }
                _ => return self.member(header, extensions, at, size).map(Some),
            }
            extended = true;
        }
    }

    fn member(
        &mut self,
        header: &Header,
        extensions: Extensions,
        at: u64,
        size: u64,
    ) -> Result<Member> {
        let Extensions { path, link, size: pax_size, uid, gid, xattrs } = extensions;
        let path = match path {
            Some(path) => path,
            None => text(&header.path_bytes(), at, "path")?,
        };
        let target = || match link {
            Some(link) => Ok(link),
            None => text(&header.link_name_bytes().unwrap_or_default(), at, "link target"),
        };
        let device = |block| -> Result<MemberKind> {
            let field = |name, raw: std::ops::Range<usize>, value: io::Result<Option<u32>>| {
                number(at, name, &header.as_bytes()[raw], value).map(Option::unwrap_or_default)
            };
            let major = field("major number", 329..337, header.device_major())?;
            let minor = field("minor number", 337..345, header.device_minor())?;
            Ok(MemberKind::Device { block, major, minor })
        };
        let kind = match header.entry_type() {
            // Archives from before POSIX have no other way to say directory.
            EntryType::Regular if path.ends_with('/') => MemberKind::Directory,
            EntryType::Regular | EntryType::Continuous => MemberKind::File,
            EntryType::Directory => MemberKind::Directory,
            EntryType::Link => MemberKind::HardLink(target()?),
            EntryType::Symlink => MemberKind::Symlink(target()?),
            EntryType::Char => device(false)?,
            EntryType::Block => device(true)?,
            EntryType::Fifo => MemberKind::Fifo,
            EntryType::GNUSparse => {
                return Err(Error::unsupported(FORMAT, format!("the sparse file {path:?}")));
            }
            other => {
                let kind = char::from(other.as_byte()).escape_default().to_string();
                return Err(Error::unsupported(
                    FORMAT,
                    format!("member {path:?} of type '{kind}' at byte {at}"),
                ));
            }
        };
        for (what, text) in [("path", path.as_str()), ("link target", kind.target())] {
            if text.len() > MAX_PATH {
                let what = format!("{what} of {} bytes, over {MAX_PATH}", text.len());
                return Err(Error::corrupt(FORMAT, at, what));
            }
        }
        let old = header.as_old();
        let id = |pax: Option<u32>, name, raw: &[u8], value: io::Result<u64>| match pax {
            Some(id) => Ok(id),
            None => u32::try_from(number(at, name, raw, value)?)
                .map_err(|_| Error::corrupt(FORMAT, at, format!("{name} over 32 bits"))),
        };
        let mode = number(at, "mode", &old.mode, header.mode())? & 0o7777;
        let uid = id(uid, "owner", &old.uid, header.uid())?;
        let gid = id(gid, "group", &old.gid, header.gid())?;
        // Of all others the size says nothing about bytes that follow (as pax has it).
        let size = if kind == MemberKind::File { pax_size.unwrap_or(size) } else { 0 };
        self.enter(at, size)?;
        Ok(Member { path, kind, size, offset: self.at, mode, uid, gid, xattrs })
    }

    /// Makes `size` bytes of content readable.
    fn enter(&mut self, at: u64, size: u64) -> Result<()> {
        if size > u64::MAX / 4 || self.at.checked_add(size).is_none() {
            return Err(Error::corrupt(FORMAT, at, format!("size {size} cannot be")));
        }
        self.left = size;
        self.padding = size.next_multiple_of(BLOCK) - size;
        Ok(())
    }

    /// The whole content of an extension header's member.
    fn extension(&mut self, at: u64, size: u64) -> Result<Vec<u8>> {
        if size > MAX_EXTENSION {
            let what = format!("an extension header of {size} bytes, over {MAX_EXTENSION}");
            return Err(Error::corrupt(FORMAT, at, what));
        }
        self.enter(at, size)?;
        let mut bytes = Vec::new();
        self.read_to_end(&mut bytes).map_err(|error| fault(self.at, error))?;
        self.pass(self.padding)?;
        self.padding = 0;
        Ok(bytes)
    }

    fn pass(&mut self, len: u64) -> Result<()> {
        if len > 0 {
            (self.skip)(&mut self.source, len).map_err(|error| fault(self.at, error))?;
            self.at += len;
        }
        Ok(())
    }

    /// The next block; none where the source ends before it.
    fn block(&mut self) -> Result<Option<[u8; 512]>> {
        let mut block = [0; 512];
        let mut have = 0;
        while have < block.len() {
            match self.source.read(&mut block[have..]) {
                Ok(0) if have == 0 => return Ok(None),
                Ok(0) => return Err(fault(self.at, io::ErrorKind::UnexpectedEof.into())),
                Ok(n) => have += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(fault(self.at, error)),
            }
        }
        self.at += BLOCK;
        Ok(Some(block))
    }

    /// What it read from, to go on after the archive's end.
    pub fn into_inner(self) -> R {
        self.source
    }
}

impl<R: Read> Read for Reader<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = usize::try_from(self.left).unwrap_or(usize::MAX).min(buf.len());
        if n == 0 {
            return Ok(0);
        }
        let n = self.source.read(&mut buf[..n])?;
        if n == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.at += n as u64;
        self.left -= n as u64;
        Ok(n)
    }
}

impl Extensions {
    /// Reads records of the form `<length> <key>=<value>\n`, the length being that of the whole
    /// record (POSIX.1-2017, "pax Extended Header").
    fn read_pax(&mut self, mut records: &[u8], at: u64) -> Result<()> {
        let broken = || Error::corrupt(FORMAT, at, "a pax record is malformed");
        while !records.is_empty() {
            let space = records.iter().take(20).position(|&byte| byte == b' ');
            let space = space.ok_or_else(broken)?;
            let len = std::str::from_utf8(&records[..space]).ok();
            let len: usize = len.and_then(|len| len.parse().ok()).ok_or_else(broken)?;
            if len <= space + 1 || len > records.len() {
                return Err(broken());
            }
            let (record, rest) = records.split_at(len);
            records = rest;
            let record = record[space + 1..].strip_suffix(b"\n").ok_or_else(broken)?;
            let equals = record.iter().position(|&byte| byte == b'=').ok_or_else(broken)?;
            let (key, value) = (text(&record[..equals], at, "pax key")?, &record[equals + 1..]);
            self.set(&key, value, at)?;
        }
        Ok(())
    }

    fn set(&mut self, key: &str, value: &[u8], at: u64) -> Result<()> {
        fn parsed<T: std::str::FromStr>(key: &str, value: &[u8], at: u64) -> Result<T> {
            let number = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
            number.ok_or_else(|| Error::corrupt(FORMAT, at, format!("pax {key} is no number")))
        }
        match key {
            "path" => self.path = Some(text(value, at, "pax path")?),
            "linkpath" => self.link = Some(text(value, at, "pax linkpath")?),
            "size" => self.size = Some(parsed(key, value, at)?),
            "uid" => self.uid = Some(parsed(key, value, at)?),
            "gid" => self.gid = Some(parsed(key, value, at)?),
            key if key.starts_with("GNU.sparse.") => {
                return Err(Error::unsupported(FORMAT, format!("a sparse file at byte {at}")));
            }
            key => {
                if let Some(name) = key.strip_prefix(XATTR) {
                    self.xattrs.insert(name.to_owned(), value.to_owned());
                }
            }
        }
        Ok(())
    }
}

fn read_past<R: Read>(source: &mut R, len: u64) -> io::Result<()> {
    let passed = io::copy(&mut source.by_ref().take(len), &mut io::sink())?;
    if passed < len { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
}

fn seek_past(source: &mut BlobReader, len: u64) -> io::Result<()> {
    let to = source.position().saturating_add(len);
    if to > source.seek(SeekFrom::End(0))? {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    source.seek(SeekFrom::Start(to)).map(drop)
}

/// The header in `block`, whose checksum is held against it.
fn checked(block: &[u8; 512], at: u64) -> Result<&Header> {
    let header = Header::from_byte_slice(block);
    // The sum counts its own field as spaces.
    let bytes = |bytes: &[u8]| bytes.iter().map(|&byte| u32::from(byte)).sum::<u32>();
    let sum = bytes(block) + 8 * 32 - bytes(&block[148..156]);
    match header.cksum() {
        Ok(told) if told == sum => Ok(header),
        _ => Err(Error::corrupt(
            FORMAT,
            at,
            "a header's checksum is wrong: no tar archive, or a damaged one",
        )),
    }
}

/// The number in a header's field, whose bytes are `raw`; a blank one is 0, as some writers have it.
fn number<T: Default>(at: u64, field: &str, raw: &[u8], value: io::Result<T>) -> Result<T> {
    if raw.iter().all(|byte| matches!(byte, 0 | b' ')) {
        return Ok(T::default());
    }
    value.map_err(|_| Error::corrupt(FORMAT, at, format!("the {field} is no number")))
}

fn text(bytes: &[u8], at: u64, field: &str) -> Result<String> {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.contains('\0') => Ok(text.to_owned()),
        _ => Err(Error::corrupt(FORMAT, at, format!("the {field} is no UTF-8 text, or has a NUL"))),
    }
}

/// Text up to its NUL.
fn c_text(bytes: &[u8], at: u64, field: &str) -> Result<String> {
    text(bytes.split(|&byte| byte == 0).next().unwrap_or_default(), at, field)
}

/// What a failing source says about the archive: bytes that end early or do not decode are the
/// archive's fault, the rest is the machine's.
pub(in crate::formats) fn fault(at: u64, error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => {
            Error::corrupt(FORMAT, at, "the archive ends within a member: it is truncated")
        }
        io::ErrorKind::InvalidData => Error::corrupt(FORMAT, at, error.to_string()),
        _ => Error::io(FORMAT, error),
    }
}

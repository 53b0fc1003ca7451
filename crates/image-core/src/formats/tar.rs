//! Tar archives: ustar and pax as in POSIX.1-2017 (`pax`, "pax Interchange Format" and "ustar
//! Interchange Format"), read with GNU's long names and large numbers as well.
//!
//! The fields of a header are the `tar` crate's. Members and pax records are walked here: its
//! reader takes extension headers of any length into memory, and splits pax records at newlines,
//! which binary extended attributes may contain.

use super::{Error, Result};
use crate::{
    blob::{Blob, BlobReader},
    tree::{Node, NodeKind, Tree, TreePath},
};
use std::{
    collections::BTreeMap,
    io::{self, Read, Seek, SeekFrom},
};
use tar::{EntryType, Header};

const FORMAT: &str = "tar";

/// Bytes in a block: what headers fill and contents are padded to.
const BLOCK: u64 = 512;

/// The most bytes of pax records or of a long name that one member may bring.
const MAX_EXTENSION: u64 = 1 << 20;

/// The longest path or link target, in bytes (Linux's `PATH_MAX`).
const MAX_PATH: usize = 4096;

/// The prefix of pax records that carry extended attributes, as star, GNU tar and Go write them.
const XATTR: &str = "SCHILY.xattr.";

/// One member's header, extensions applied.
#[derive(Clone, Debug)]
pub struct Member {
    /// The path as it stands in the archive; it may be hostile.
    pub path: String,
    /// What it is.
    pub kind: MemberKind,
    /// Bytes of content; 0 for all but files.
    pub size: u64,
    /// Where its content starts, in bytes from the archive's start.
    pub offset: u64,
    /// Permission bits (0o7777).
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Extended attributes by full name.
    pub xattrs: BTreeMap<String, Vec<u8>>,
}

/// What a member is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MemberKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// Another name of an earlier member, by that one's path.
    HardLink(String),
    /// A symbolic link and its target.
    Symlink(String),
    /// A block or character device.
    Device {
        /// Block device, else character device.
        block: bool,
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A named pipe.
    Fifo,
}

impl Member {
    /// The tree node this member stands for, with `content` if it is a file; none for a hard
    /// link, which is no node of its own.
    pub fn node(self, content: Blob) -> Option<Node> {
        let kind = match self.kind {
            MemberKind::File => NodeKind::File(content),
            MemberKind::Directory => NodeKind::Directory,
            MemberKind::Symlink(target) => NodeKind::Symlink(target),
            MemberKind::Device { block, major, minor } => NodeKind::Device { block, major, minor },
            MemberKind::Fifo => NodeKind::Fifo,
            MemberKind::HardLink(_) => return None,
        };
        let Self { mode, uid, gid, xattrs, .. } = self;
        Some(Node { kind, mode, uid, gid, xattrs })
    }
}

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

impl MemberKind {
    fn target(&self) -> &str {
        match self {
            Self::HardLink(target) | Self::Symlink(target) => target,
            _ => "",
        }
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
pub(super) fn fault(at: u64, error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => {
            Error::corrupt(FORMAT, at, "the archive ends within a member: it is truncated")
        }
        io::ErrorKind::InvalidData => Error::corrupt(FORMAT, at, error.to_string()),
        _ => Error::io(FORMAT, error),
    }
}

/// What an archive at hand holds, as a tree whose files are ranges of the archive: only headers
/// are read.
///
/// # Errors
/// As [`Reader::next_member`]; `Corrupt` also for a path that leads out of the tree or through
/// what is no directory, and for a hard link to what is not there.
pub fn tree(archive: &Blob) -> Result<Tree> {
    let mut reader =
        Reader { source: archive.reader(), skip: seek_past, at: 0, left: 0, padding: 0 };
    let mut tree = Tree::new();
    while let Some(member) = reader.next_member()? {
        let at = member.offset;
        let bad = |what: String| Error::corrupt(FORMAT, at, what);
        let path = TreePath::new(&member.path).map_err(|error| bad(error.to_string()))?;
        if path.is_root() {
            continue;
        }
        if let Some(above) = obstacle(&tree, &path) {
            return Err(bad(format!("{path} would be written through {above}, no directory")));
        }
        if let MemberKind::HardLink(target) = &member.kind {
            let target = TreePath::new(target).map_err(|error| bad(error.to_string()))?;
            tree.link(path, &target).map_err(|error| bad(error.to_string()))?;
            continue;
        }
        let content = archive.slice(at..at + member.size);
        if let Some(node) = member.node(content) {
            tree.insert(path, node);
        }
    }
    Ok(tree)
}

/// What stands in `tree` above `path` and is no directory.
pub(super) fn obstacle(tree: &Tree, path: &TreePath) -> Option<TreePath> {
    let mut above = path.parent();
    while let Some(parent) = above {
        if tree.get(&parent).is_some_and(|node| !node.is_directory()) {
            return Some(parent);
        }
        above = parent.parent();
    }
    None
}

/// `tree` as an archive: ustar headers, pax records where those fall short, every time `epoch`
/// (seconds since 1970). Contents are not copied.
///
/// The root is a member only if it differs from [`Tree::new`]'s.
///
/// # Errors
/// `Invalid` for a path or link target over 4096 bytes.
pub fn archive(tree: &Tree, epoch: u64) -> Result<Blob> {
    let mut parts = Vec::new();
    let mut headers = Vec::new();
    let mut first_names = BTreeMap::new();
    for (path, ino, node) in tree.iter() {
        if path.is_root()
            && node.mode == 0o755
            && node.uid == 0
            && node.gid == 0
            && node.xattrs.is_empty()
        {
            continue;
        }
        let name = match (path.is_root(), node.is_directory()) {
            (true, _) => "./".to_owned(),
            (_, true) => format!("{}/", path.as_str()),
            _ => path.as_str().to_owned(),
        };
        let mut content = None;
        let mut link = None;
        let mut device = None;
        let mut kind = match &node.kind {
            NodeKind::Directory => EntryType::Directory,
            NodeKind::Symlink(target) => {
                link = Some(target.clone());
                EntryType::Symlink
            }
            NodeKind::Device { block, major, minor } => {
                device = Some((*major, *minor));
                if *block { EntryType::Block } else { EntryType::Char }
            }
            NodeKind::Fifo => EntryType::Fifo,
            NodeKind::File(blob) => {
                content = Some(blob.clone());
                EntryType::Regular
            }
        };
        if !node.is_directory()
            && let Some(first) = first_names.insert(ino, path)
        {
            first_names.insert(ino, first);
            kind = EntryType::Link;
            (link, content, device) = (Some(first.as_str().to_owned()), None, None);
        }
        let size = content.as_ref().map_or(0, Blob::len);
        let mut header = Header::new_ustar();
        header.set_entry_type(kind);
        header.set_size(size);
        header.set_mode(node.mode);
        header.set_uid(node.uid.into());
        header.set_gid(node.gid.into());
        header.set_mtime(epoch);
        if let Some(ustar) = header.as_ustar_mut() {
            let (major, minor) = device.unwrap_or_default();
            ustar.set_device_major(major);
            ustar.set_device_minor(minor);
        }
        let link = link.unwrap_or_default();
        let mut records = Vec::new();
        for (key, value) in [("path", &name), ("linkpath", &link)] {
            if value.len() > MAX_PATH {
                let what = format!("{key} of {} bytes, over {MAX_PATH}", value.len());
                return Err(Error::invalid(FORMAT, what));
            }
            let field = match key {
                "path" => &mut header.as_old_mut().name,
                _ => &mut header.as_old_mut().linkname,
            };
            let n = value.len().min(field.len());
            field[..n].copy_from_slice(&value.as_bytes()[..n]);
            if n < value.len() {
                // The cut name is only for readers that know no pax.
                push_record(&mut records, key, value.as_bytes());
            }
        }
        if kind != EntryType::Link {
            for (name, value) in &node.xattrs {
                push_record(&mut records, &format!("{XATTR}{name}"), value);
            }
        }
        push_extension(&mut headers, &records, epoch);
        header.set_cksum();
        headers.extend_from_slice(header.as_bytes());
        if let Some(content) = content.filter(|content| !content.is_empty()) {
            parts.push(Blob::from(std::mem::take(&mut headers)));
            parts.push(content.padded_to(BLOCK));
        }
    }
    parts.push(Blob::from(headers));
    parts.push(Blob::zeros(2 * BLOCK));
    Ok(Blob::concat(parts))
}

/// Adds the extension header that brings `records`, if there are any.
fn push_extension(headers: &mut Vec<u8>, records: &[u8], epoch: u64) {
    if records.is_empty() {
        return;
    }
    let mut header = Header::new_ustar();
    header.as_old_mut().name[..10].copy_from_slice(b"PaxHeaders");
    header.set_entry_type(EntryType::XHeader);
    header.set_size(records.len() as u64);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(epoch);
    header.set_cksum();
    headers.extend_from_slice(header.as_bytes());
    headers.extend_from_slice(records);
    headers.resize(headers.len().next_multiple_of(512), 0);
}

fn push_record(records: &mut Vec<u8>, key: &str, value: &[u8]) {
    // The length counts its own digits: one more digit may make it longer once more.
    let rest = key.len() + value.len() + 3;
    let mut len = rest + 1;
    while rest + len.to_string().len() != len {
        len = rest + len.to_string().len();
    }
    records.extend_from_slice(format!("{len} {key}=").as_bytes());
    records.extend_from_slice(value);
    records.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn path(text: &str) -> TreePath {
        TreePath::new(text).unwrap()
    }

    /// Everything an archive has a form for.
    fn sample() -> Tree {
        let mut tree = Tree::new();
        let mut file = Node::file("content", 0o4755);
        (file.uid, file.gid) = (3_000_000, 7);
        // A pax reader that splits at newlines loses this one.
        file.xattrs.insert("security.capability".into(), b"\0a\n12 b=c\n\xff".to_vec());
        file.xattrs.insert("security.selinux".into(), b"system_u:object_r:t:s0\0".to_vec());
        tree.insert(path("usr/bin/tool"), file);
        tree.link(path("usr/bin/alias"), &path("usr/bin/tool")).unwrap();
        let long = format!("usr/{}/{}", "d".repeat(90), "ü".repeat(120));
        tree.insert(path(&long), Node::file(vec![7; 1000], 0o644));
        tree.insert(path("usr/link"), Node::symlink(format!("../{}", "t".repeat(120))));
        tree.insert(path("usr/empty"), Node::file("", 0o600));
        tree.insert(path("usr/exact"), Node::file(vec![1; 512], 0o600));
        let mut pipe = Node::directory(0o600);
        pipe.kind = NodeKind::Fifo;
        tree.insert(path("run/pipe"), pipe.clone());
        pipe.kind = NodeKind::Device { block: true, major: 8, minor: 17 };
        tree.insert(path("run/disk"), pipe);
        tree
    }

    fn listing(tree: &Tree) -> Vec<String> {
        tree.iter()
            .map(|(path, ino, node)| {
                let content = node.content().map(|blob| blob.digest().unwrap());
                let kind = match &node.kind {
                    NodeKind::File(_) => "file".to_owned(),
                    other => format!("{other:?}"),
                };
                let links = tree.iter().filter(|(_, other, _)| *other == ino).count();
                let Node { mode, uid, gid, xattrs, .. } = node;
                format!("{path} {kind} {mode:o} {uid} {gid} {xattrs:?} {content:?} {links}")
            })
            .collect()
    }

    #[test]
    fn what_is_written_reads_back() {
        let archive = archive(&sample(), 1).unwrap();
        assert_eq!(listing(&tree(&archive).unwrap()), listing(&sample()));
        let mut reader = Reader::new(archive.reader());
        let mut members = 0;
        while let Some(member) = reader.next_member().unwrap() {
            let mut content = Vec::new();
            reader.read_to_end(&mut content).unwrap();
            let offset = member.offset;
            assert!(archive.slice(offset..offset + member.size).to_vec(4096).unwrap() == content);
            members += 1;
        }
        assert_eq!(members, listing(&sample()).len() - 1);
    }

    #[test]
    fn the_tar_crate_agrees_with_what_is_written() {
        let archive = archive(&sample(), 1_700_000_000).unwrap();
        let mut reader = tar::Archive::new(archive.reader());
        let names: Vec<_> = reader
            .entries()
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                assert_eq!(entry.header().mtime().unwrap(), 1_700_000_000);
                entry.path().unwrap().display().to_string().trim_end_matches('/').to_owned()
            })
            .collect();
        let tree = sample();
        let expected: Vec<_> = tree.iter().skip(1).map(|(path, ..)| path.to_string()).collect();
        assert_eq!(names, expected);
    }

    #[test]
    fn gnu_long_names_are_read() {
        let name = format!("{}/{}", "a".repeat(120), "b".repeat(120));
        let mut builder = tar::Builder::new(Vec::new());
        let mut header = Header::new_gnu();
        header.set_size(2);
        header.set_mode(0o644);
        builder.append_data(&mut header, &name, b"hi".as_slice()).unwrap();
        header.set_entry_type(EntryType::Symlink);
        header.set_size(0);
        builder.append_link(&mut header, "l", &name).unwrap();
        let tree = tree(&Blob::from(builder.into_inner().unwrap())).unwrap();
        assert_eq!(tree.file(&name).unwrap().to_vec(9).unwrap(), b"hi");
        let link = &tree.get(&path("l")).unwrap().kind;
        assert!(matches!(link, NodeKind::Symlink(target) if *target == name), "{link:?}");
    }

    #[test]
    fn an_archive_cut_short_is_refused_wherever_it_is_cut() {
        let whole = archive(&sample(), 0).unwrap();
        let end = whole.len() - 2 * BLOCK;
        let mut starts = vec![0];
        let mut reader = Reader::new(whole.reader());
        while let Some(member) = reader.next_member().unwrap() {
            starts.push((member.offset + member.size).next_multiple_of(BLOCK));
        }
        for len in (0..end).filter(|len| len % 5 == 0 || starts.contains(len)) {
            let cut = whole.slice(0..len);
            // Between two members nothing shows that more was meant to come.
            assert_eq!(tree(&cut).is_ok(), starts.contains(&len), "{len}");
        }
        for len in (0..end).step_by(61) {
            let mut reader = Reader::new(whole.slice(0..len).reader());
            while let Ok(Some(_)) = reader.next_member() {}
        }
    }

    #[test]
    fn hostile_headers_are_refused() {
        let header = |kind: u8, size: u64, edit: &dyn Fn(&mut Header)| {
            let mut header = Header::new_ustar();
            header.as_old_mut().name[0] = b'x';
            header.set_entry_type(EntryType::new(kind));
            header.set_size(size);
            header.set_mode(0o644);
            header.set_uid(0);
            header.set_gid(0);
            edit(&mut header);
            header.set_cksum();
            header.as_bytes().to_vec()
        };
        let pax = |records: &[u8]| {
            let mut bytes = header(b'x', records.len() as u64, &|_| {});
            bytes.extend_from_slice(records);
            bytes.resize(bytes.len().next_multiple_of(512), 0);
            bytes.extend(header(b'0', 0, &|_| {}));
            bytes
        };
        for (what, bytes) in [
            ("an extension of 1 TiB", header(b'x', 1 << 40, &|_| {})),
            ("a long name of 1 TiB", header(b'L', 1 << 40, &|_| {})),
            ("a size past all bounds", header(b'0', u64::MAX, &|_| {})),
            ("a size that is no number", header(b'0', 0, &|h| h.as_old_mut().size.fill(b'z'))),
            ("a sparse file", header(b'S', 0, &|_| {})),
            ("an unknown type", header(b'V', 0, &|_| {})),
            ("a name that is not UTF-8", header(b'0', 0, &|h| h.as_old_mut().name[0] = 0xff)),
            ("an absolute name", header(b'0', 0, &|h| h.as_old_mut().name[0] = b'/')),
            ("a wrong checksum", vec![b'x'; 512]),
            ("pax without length", pax(b"path=a\n")),
            ("pax length zero", pax(b"0 path=a\n")),
            ("pax length past the end", pax(b"99 path=a\n")),
            ("pax length past all bounds", pax(b"99999999999999999999 path=a\n")),
            ("pax that is cut", pax(b"11 path=abcd")),
            ("pax sparse", pax(b"22 GNU.sparse.major=1\n")),
            ("pax path out of the tree", pax(b"14 path=../ab\n")),
            ("pax size that is no number", pax(b"10 size=x\n")),
            ("pax size past the end", pax(b"18 size=999999999\n")),
        ] {
            let error = tree(&Blob::from(bytes)).expect_err(what);
            assert!(!error.to_string().contains('\n'), "{what}: {error}");
        }
    }

    proptest! {
        #[test]
        fn flipped_bytes_never_panic(flips in proptest::collection::vec((0usize..9000, any::<u8>()), 1..8)) {
            let mut bytes = archive(&sample(), 0).unwrap().to_vec(1 << 20).unwrap();
            for (at, value) in flips {
                let at = at % bytes.len();
                bytes[at] = value;
            }
            let _ = tree(&Blob::from(bytes));
        }
    }
}

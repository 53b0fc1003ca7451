//! cpio archives in the "newc" format, the one Linux unpacks its initramfs from
//! (Linux, Documentation/driver-api/early-userspace/buffer-format.rst).

use super::{Error, Result};
use crate::{
    blob::Blob,
    tree::{Node, NodeKind, Tree},
};
use std::{
    collections::BTreeMap,
    io::{self, Read, Write},
};

const FORMAT: &str = "cpio";

/// Magics of "newc" and of its variant with checksums, which Linux takes alike.
const MAGICS: [&[u8; 6]; 2] = [b"070701", b"070702"];

/// A header's length in bytes: the magic and 13 numbers of 8 hexadecimal digits.
const HEADER: u32 = 110;

/// The name that ends an archive.
const TRAILER: &str = "TRAILER!!!";

/// The longest name in bytes, its NUL included: Linux's `PATH_MAX`.
const NAME_MAX: u32 = 4096;

/// Blocks that cpio programs write; the last is filled with zeros.
const BLOCK: u64 = 512;

/// `st_mode`'s file types.
const DIRECTORY: u32 = 0o040_000;
const REGULAR: u32 = 0o100_000;
const SYMLINK: u32 = 0o120_000;
const CHARACTER: u32 = 0o020_000;
const BLOCK_DEVICE: u32 = 0o060_000;
const FIFO: u32 = 0o010_000;
const TYPE: u32 = 0o170_000;

/// Whether `start` begins as an archive's header does; six bytes suffice.
pub fn is_archive(start: &[u8]) -> bool {
    MAGICS.iter().any(|magic| start.starts_with(*magic))
}

/// One member of an archive, as its header has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The path, as it stands: it may be absolute or lead out of the tree.
    pub name: String,
    /// File type and permission bits, as `st_mode`.
    pub mode: u32,
    /// The content's length in bytes.
    pub size: u64,
    /// Inode number: regular members of a number and `links` over one are hard links.
    pub ino: u32,
    /// How many names the inode has.
    pub links: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Seconds since 1970.
    pub mtime: u32,
    /// Major and minor number of a device.
    pub device: (u32, u32),
}

impl Entry {
    /// Whether this is a regular file.
    pub fn is_file(&self) -> bool {
        self.mode & TYPE == REGULAR
    }

    /// Whether this is a directory.
    pub fn is_directory(&self) -> bool {
        self.mode & TYPE == DIRECTORY
    }

    /// Whether this is a symbolic link, whose content is its target.
    pub fn is_symlink(&self) -> bool {
        self.mode & TYPE == SYMLINK
    }

    /// The header and the name up to where the content starts.
    fn to_bytes(&self) -> Vec<u8> {
        let name_len = u32::try_from(self.name.len() + 1).unwrap_or(u32::MAX);
        let size = u32::try_from(self.size).unwrap_or(u32::MAX);
        let (major, minor) = self.device;
        let mut bytes = MAGICS[0].to_vec();
        let Self { ino, mode, uid, gid, links, mtime, .. } = *self;
        // Zero are the device that holds the inode, which would differ between machines, and
        // the checksum, which "newc" leaves out.
        let numbers = [ino, mode, uid, gid, links, mtime, size, 0, 0, major, minor, name_len, 0];
        for number in numbers {
            // Writing to a Vec cannot fail.
            let _ = write!(bytes, "{number:08X}");
        }
        bytes.extend_from_slice(self.name.as_bytes());
        bytes.push(0);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }
}

/// The archive of all that is in `tree`, without its root: every directory right before its
/// content, all owned by root, all times `epoch` (seconds since 1970), inodes numbered in
/// order. The content of hard links stands with the last of them. Nothing is copied.
///
/// The format has no room for extended attributes: they are left out.
///
/// # Errors
/// [`Fault::Invalid`](super::Fault::Invalid) or `TooLarge` for what the format cannot hold: a
/// file of 4 GiB, a path of 4096 bytes.
pub fn archive(tree: &Tree, epoch: u32) -> Result<Blob> {
    let mut links = BTreeMap::<_, u32>::new();
    for (_, ino, _) in tree.iter() {
        *links.entry(ino).or_default() += 1;
    }
    let mut left = links.clone();
    let mut numbers = BTreeMap::new();
    let mut parts = Vec::new();
    // Headers and padding since the last content.
    let mut pending = Vec::new();
    for (path, ino, node) in tree.iter().filter(|(path, ..)| !path.is_root()) {
        let next = u32::try_from(numbers.len())
            .map_err(|_| Error::invalid(FORMAT, "more than 2^32 inodes"))?;
        if path.as_str().len() + 1 > NAME_MAX as usize {
            return Err(Error::invalid(FORMAT, format!("the path {path} is over 4095 bytes")));
        }
        if path.as_str() == TRAILER {
            return Err(Error::invalid(FORMAT, format!("the name {TRAILER} ends an archive")));
        }
        let is_last = left.get_mut(&ino).is_some_and(|left| {
            *left -= 1;
            *left == 0
        });
        let (kind, device, content) = parts_of(node);
        let content = content.filter(|_| is_last).unwrap_or_else(Blob::empty);
        if content.len() > u64::from(u32::MAX) {
            let what = format!("the file {path}");
            return Err(Error::too_large(FORMAT, what, content.len(), u32::MAX.into()));
        }
        let entry = Entry {
            name: path.as_str().to_owned(),
            mode: kind | node.mode & 0o7777,
            size: content.len(),
            ino: *numbers.entry(ino).or_insert(next),
            links: if node.is_directory() { 2 } else { links[&ino] },
            uid: 0,
            gid: 0,
            mtime: epoch,
            device,
        };
        pending.extend(entry.to_bytes());
        if !content.is_empty() {
            let padding = content.len().next_multiple_of(4) - content.len();
            parts.push(Blob::from(std::mem::take(&mut pending)));
            parts.push(content);
            pending.extend(std::iter::repeat_n(0, usize::try_from(padding).unwrap_or(0)));
        }
    }
    let trailer = Entry {
        name: TRAILER.to_owned(),
        mode: 0,
        size: 0,
        ino: 0,
        links: 1,
        uid: 0,
        gid: 0,
        mtime: 0,
        device: (0, 0),
    };
    pending.extend(trailer.to_bytes());
    parts.push(Blob::from(pending));
    Ok(Blob::concat(parts).padded_to(BLOCK))
}

/// File type, device numbers and content.
fn parts_of(node: &Node) -> (u32, (u32, u32), Option<Blob>) {
    match &node.kind {
        NodeKind::Directory => (DIRECTORY, (0, 0), None),
        NodeKind::File(content) => (REGULAR, (0, 0), Some(content.clone())),
        NodeKind::Symlink(target) => (SYMLINK, (0, 0), Some(Blob::from(target.clone()))),
        &NodeKind::Device { block, major, minor } => {
            (if block { BLOCK_DEVICE } else { CHARACTER }, (major, minor), None)
        }
        NodeKind::Fifo => (FIFO, (0, 0), None),
    }
}

/// Reads an archive member by member. After [`next_entry`](Reader::next_entry), reading gives
/// that member's content.
#[derive(Debug)]
pub struct Reader<R> {
    input: R,
    /// Bytes from the archive's start.
    at: u64,
    /// Bytes of the member's content not yet read.
    content: u64,
    /// Zeros after it.
    padding: u64,
    ended: bool,
}

impl<R: Read> Reader<R> {
    /// Reads the archive that `input` stands at.
    pub fn new(input: R) -> Self {
        Self { input, at: 0, content: 0, padding: 0, ended: false }
    }

    /// The next member; none after the trailer. What is left of the last one is skipped.
    ///
    /// # Errors
    /// [`Fault::Corrupt`](super::Fault::Corrupt) with the offset in the archive, `Unsupported`
    /// for a name that is not UTF-8, or I/O.
    pub fn next_entry(&mut self) -> Result<Option<Entry>> {
        if self.ended {
            return Ok(None);
        }
        let rest = self.content + self.padding;
        let skipped = io::copy(&mut self.input.by_ref().take(rest), &mut io::sink())
            .map_err(|source| Error::io(FORMAT, source))?;
        self.at += skipped;
        if skipped < rest {
            return Err(self.ends_early("a member's content"));
        }
        let start = self.at;
        let mut header = [0; HEADER as usize];
        self.fill(&mut header, "a header")?;
        let fields = Fields::parse(&header, start)?;
        let mut name = vec![0; fields.padded_name()];
        self.fill(&mut name, "a name")?;
        let entry = fields.entry(&name, start)?;
        (self.content, self.padding) = (entry.size, padding(entry.size));
        self.ended = entry.name == TRAILER;
        Ok(Some(entry).filter(|_| !self.ended))
    }

    /// How many bytes of the archive were read: its length, once all members were.
    pub fn position(&self) -> u64 {
        self.at
    }

    /// The reader underneath.
    pub fn into_inner(self) -> R {
        self.input
    }

    fn fill(&mut self, buf: &mut [u8], what: &str) -> Result<()> {
        match self.input.read_exact(buf) {
            Ok(()) => {
                self.at += buf.len() as u64;
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Err(self.ends_early(what))
            }
            Err(error) => Err(Error::io(FORMAT, error)),
        }
    }

    fn ends_early(&self, what: &str) -> Error {
        Error::corrupt(FORMAT, self.at, format!("the archive ends inside {what}"))
    }
}

impl<R: Read> Read for Reader<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = usize::try_from(self.content).unwrap_or(usize::MAX).min(buf.len());
        let n = self.input.read(&mut buf[..n])?;
        if n == 0 && self.content > 0 && !buf.is_empty() {
            let error = self.ends_early("a member's content");
            return Err(io::Error::new(io::ErrorKind::InvalidData, error));
        }
        self.content -= n as u64;
        self.at += n as u64;
        Ok(n)
    }
}

/// Where the archive that starts at byte `start` of `blob` ends: behind its trailer. Reads the
/// headers only.
///
/// # Errors
/// As [`Reader::next_entry`]; offsets are the blob's.
pub(super) fn end(blob: &Blob, start: u64) -> Result<u64> {
    let mut at = start;
    let short = |at| Error::corrupt(FORMAT, at, "the archive ends without its trailer");
    loop {
        let after = blob.len().saturating_sub(at);
        if after < u64::from(HEADER) {
            return Err(short(at));
        }
        let header = blob.array(at).map_err(|source| Error::io(FORMAT, source))?;
        let fields = Fields::parse(&header, at)?;
        let mut name = vec![0; fields.padded_name()];
        let content = u64::from(HEADER) + name.len() as u64;
        let size = u64::from(fields.size);
        if after < content + size {
            return Err(short(at));
        }
        blob.read_at(at + u64::from(HEADER), &mut name)
            .map_err(|source| Error::io(FORMAT, source))?;
        let entry = fields.entry(&name, at)?;
        // The padding after a trailer's content, absurd but allowed, may be cut off.
        at = blob.len().min(at + content + size + padding(size));
        if entry.name == TRAILER {
            return Ok(at);
        }
    }
}

/// Zeros after `size` bytes of content. All offsets are from the archive's start, which is a
/// multiple of 4 itself.
fn padding(size: u64) -> u64 {
    size.next_multiple_of(4) - size
}

/// The numbers of a header, in their order.
struct Fields {
    ino: u32,
    mode: u32,
    uid: u32,
    gid: u32,
    links: u32,
    mtime: u32,
    size: u32,
    device: (u32, u32),
    name_len: u32,
}

impl Fields {
    /// Reads the header that stands at byte `at`.
    fn parse(header: &[u8; HEADER as usize], at: u64) -> Result<Self> {
        let (magic, digits) = header.split_at(6);
        if !is_archive(magic) {
            let what = format!("{:?} is no newc magic", magic.escape_ascii().to_string());
            return Err(Error::corrupt(FORMAT, at, what));
        }
        let mut numbers = [0u32; 13];
        for (i, (number, digits)) in numbers.iter_mut().zip(digits.chunks_exact(8)).enumerate() {
            *number = std::str::from_utf8(digits)
                .ok()
                // from_str_radix would take a sign.
                .filter(|text| text.bytes().all(|digit| digit.is_ascii_hexdigit()))
                .and_then(|text| u32::from_str_radix(text, 16).ok())
                .ok_or_else(|| {
                    let at = at + 6 + 8 * i as u64;
                    Error::corrupt(FORMAT, at, "a header's number is not hexadecimal")
                })?;
        }
        let [ino, mode, uid, gid, links, mtime, size, _, _, major, minor, name_len, _] = numbers;
        if !(1..=NAME_MAX).contains(&name_len) {
            let what = format!("a name of {name_len} bytes is not one of 1 to {NAME_MAX}");
            return Err(Error::corrupt(FORMAT, at + 94, what));
        }
        Ok(Self { ino, mode, uid, gid, links, mtime, size, device: (major, minor), name_len })
    }

    /// The name's length in bytes with its NUL and the padding behind it.
    fn padded_name(&self) -> usize {
        ((HEADER + self.name_len).next_multiple_of(4) - HEADER) as usize
    }

    /// The member, from the header at byte `at` and the padded name behind it.
    fn entry(&self, name: &[u8], at: u64) -> Result<Entry> {
        let name = name.get(..self.name_len as usize).unwrap_or(name);
        let Some(len) = name.iter().position(|&byte| byte == 0) else {
            return Err(Error::corrupt(FORMAT, at + 110, "a name does not end with a NUL"));
        };
        // More NULs are how some writers align the content. Of anything else Linux would take
        // what stands before it as the whole name, and others would not.
        let (name, rest) = name.split_at(len);
        if rest.iter().any(|&byte| byte != 0) {
            return Err(Error::corrupt(FORMAT, at + 110, "a name has a NUL inside"));
        }
        let name = std::str::from_utf8(name).map_err(|_| {
            let name = name.escape_ascii();
            Error::unsupported(FORMAT, format!("the name \"{name}\", which is not UTF-8,"))
        })?;
        let Self { mode, ino, links, uid, gid, mtime, device, .. } = *self;
        let (name, size) = (name.to_owned(), self.size.into());
        Ok(Entry { name, mode, size, ino, links, uid, gid, mtime, device })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{formats::Fault, tree::TreePath};
    use proptest::prelude::*;

    fn path(text: &str) -> TreePath {
        TreePath::new(text).unwrap()
    }

    fn tree() -> Tree {
        let mut tree = Tree::new();
        tree.insert(path("d"), Node::directory(0o750));
        tree.insert(path("d/a"), Node::file("hello", 0o644));
        tree.insert(path("d/l"), Node::symlink("../a"));
        tree.insert(path("e"), Node::file("", 0o4755));
        let mut null = Node::file("", 0o666);
        null.kind = NodeKind::Device { block: false, major: 1, minor: 3 };
        tree.insert(path("null"), null);
        tree.link(path("z"), &path("d/a")).unwrap();
        tree
    }

    type Member = (String, u32, u32, Vec<u8>);

    fn members(bytes: &[u8]) -> Result<Vec<Member>> {
        let mut reader = Reader::new(bytes);
        let mut members = Vec::new();
        while let Some(entry) = reader.next_entry()? {
            let mut content = Vec::new();
            reader.read_to_end(&mut content).map_err(|source| Error::io(FORMAT, source))?;
            members.push((entry.name, entry.mode, entry.links, content));
        }
        Ok(members)
    }

    #[test]
    fn a_tree_comes_back_member_by_member() {
        let blob = archive(&tree(), 0x1234).unwrap();
        assert_eq!(blob.len(), 1024);
        let bytes = blob.to_vec(4096).unwrap();
        let member = |name: &str, mode, links, content: &str| {
            (name.to_owned(), mode, links, content.as_bytes().to_vec())
        };
        let expected = [
            member("d", 0o040_750, 2, ""),
            member("d/a", 0o100_644, 2, ""),
            member("d/l", 0o120_777, 1, "../a"),
            member("e", 0o104_755, 1, ""),
            member("null", 0o020_666, 1, ""),
            member("z", 0o100_644, 2, "hello"),
        ];
        assert_eq!(members(&bytes).unwrap(), expected);
        let mut reader = Reader::new(&bytes[..]);
        let mut last = None;
        while let Some(entry) = reader.next_entry().unwrap() {
            assert_eq!((entry.uid, entry.gid, entry.mtime), (0, 0, 0x1234));
            if entry.name == "null" {
                assert_eq!(entry.device, (1, 3));
            }
            last = Some(entry.ino);
        }
        // The same number as "d/a", the second member, has.
        assert_eq!(last, Some(1));
        assert_eq!(end(&blob, 0).unwrap(), reader.position());
    }

    #[test]
    fn headers_are_as_the_specification_has_them() {
        let mut tree = Tree::new();
        tree.insert(path("abc"), Node::file("12345", 0o600));
        let bytes = archive(&tree, 1).unwrap().to_vec(4096).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        let expected = [
            "070701",
            "00000000",
            "00008180",
            "00000000",
            "00000000",
            "00000001",
            "00000001",
            "00000005",
            "00000000",
            "00000000",
            "00000000",
            "00000000",
            "00000004",
            "00000000",
            "abc\x00\x00\x0012345\x00\x00\x00070701",
            "00000000",
            "00000000",
            "00000000",
            "00000000",
            "00000001",
            "00000000",
            "00000000",
            "00000000",
            "00000000",
            "00000000",
            "00000000",
            "0000000B",
            "00000000",
            "TRAILER!!!\0",
        ];
        let expected = expected.concat();
        assert_eq!(text.trim_end_matches('\0'), expected.trim_end_matches('\0'));
    }

    #[test]
    fn what_the_format_cannot_hold_is_refused() {
        let refused = |name: &str, content: Blob| {
            let mut tree = Tree::new();
            tree.insert(path(name), Node::file(content, 0o644));
            archive(&tree, 0).is_err()
        };
        assert!(refused("big", Blob::zeros(1 << 32)));
        assert!(!refused("big", Blob::zeros((1 << 32) - 1)));
        assert!(refused(TRAILER, Blob::empty()));
        assert!(refused(&vec!["x".repeat(255); 17].join("/"), Blob::empty()));
    }

    #[test]
    fn truncated_archives_are_corrupt_at_their_end() {
        let bytes = archive(&tree(), 0).unwrap().to_vec(4096).unwrap();
        let whole = usize::try_from(end(&Blob::from(bytes.clone()), 0).unwrap()).unwrap();
        for len in 0..whole {
            let error = members(&bytes[..len]).unwrap_err();
            assert!(matches!(error.fault(), Fault::Corrupt { .. }), "{len}: {error}");
            assert!(end(&Blob::from(bytes[..len].to_vec()), 0).is_err(), "{len}");
        }
        assert!(members(&bytes[..whole]).is_ok());
    }

    proptest! {
        #[test]
        fn damaged_archives_never_panic(
            flips in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..4),
        ) {
            let mut bytes = archive(&tree(), 0).unwrap().to_vec(4096).unwrap();
            for (at, byte) in flips {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            let _ = members(&bytes);
            let _ = end(&Blob::from(bytes), 0);
        }
    }
}

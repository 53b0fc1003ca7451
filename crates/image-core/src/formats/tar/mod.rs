//! Tar archives: ustar and pax as in POSIX.1-2017 (`pax`, "pax Interchange Format" and "ustar
//! Interchange Format"), read with GNU's long names and large numbers as well.
//!
//! The fields of a header are the `tar` crate's. Members and pax records are walked here: its
//! reader takes extension headers of any length into memory, and splits pax records at newlines,
//! which binary extended attributes may contain.

mod member;
mod reader;
mod sparse;
mod writer;

pub use member::{Member, MemberKind};
pub use reader::Reader;
pub(super) use reader::fault;
pub use sparse::sparse;
pub use writer::archive;

use super::{Error, Result};
use crate::{
    blob::Blob,
    tree::{Tree, TreePath},
};

const FORMAT: &str = "tar";

/// Bytes in a block: what headers fill and contents are padded to.
const BLOCK: u64 = 512;

/// The most bytes of pax records or of a long name that one member may bring.
const MAX_EXTENSION: u64 = 1 << 20;

/// The longest path or link target, in bytes (Linux's `PATH_MAX`).
const MAX_PATH: usize = 4096;

/// The prefix of pax records that carry extended attributes, as star, GNU tar and Go write them.
const XATTR: &str = "SCHILY.xattr.";

/// What an archive at hand holds, as a tree whose files are ranges of the archive: only headers
/// are read.
///
/// # Errors
/// As [`Reader::next_member`]; `Corrupt` also for a path that leads out of the tree or through
/// what is no directory, and for a hard link to what is not there.
pub fn tree(archive: &Blob) -> Result<Tree> {
    let mut reader = Reader::over(archive);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::{Node, NodeKind};
    use ::tar::{EntryType, Header};
    use proptest::prelude::*;
    use std::io::Read;

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

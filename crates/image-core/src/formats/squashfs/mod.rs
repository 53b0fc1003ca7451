//! SquashFS 4.0: a compressed read-only file system, as Linux mounts it.
//!
//! Written by the public description of the format ("Squashfs Binary Format" by Z. Dremann and
//! D. Oberhollenzer, in the following: the format's description) and by
//! Documentation/filesystems/squashfs.rst of Linux. An image is, in this order:
//!
//! superblock · compressor options · data and fragment blocks · inode table · directory table ·
//! fragment table · export table · id table · attribute tables
//!
//! Data blocks are compressed by several threads, but each on its own and written in order, so
//! the bytes do not depend on the number of threads.

mod attributes;
mod codec;
mod data;
mod directory;
mod inode;
mod metadata;
mod reader;
mod superblock;
mod writer;

pub use codec::{Algorithm, Compression};
pub use reader::read;
pub use superblock::Superblock;
pub use writer::{Options, image};

use super::{Error, Result};

/// The name errors carry.
const FORMAT: &str = "squashfs";

/// What stands for "none" in the 32-bit indices of fragments and attributes.
const NONE: u32 = u32::MAX;

/// Set in the size of a data or fragment block that is stored as it is.
const STORED: u32 = 1 << 24;

/// `value` as a narrower number; `what` has outgrown its field otherwise.
fn narrow<T: TryFrom<u64>>(value: u64, what: &str) -> Result<T> {
    T::try_from(value).map_err(|_| {
        let have = u64::MAX >> (64 - 8 * size_of::<T>().min(8));
        Error::too_large(FORMAT, what, value, have)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        blob::{Blob, Extent, Scratch},
        formats::Fault,
        tree::{Node, NodeKind, Tree, TreePath},
    };
    use proptest::prelude::*;
    use std::{
        num::NonZeroUsize,
        sync::atomic::{AtomicU64, Ordering},
    };

    const SMALL: Options = Options {
        compression: Compression::Zstd { level: 3 },
        block_size: 4096,
        threads: NonZeroUsize::MIN,
        epoch: 1_700_000_000,
        all_root: false,
    };

    fn path(text: &str) -> TreePath {
        TreePath::new(text).unwrap()
    }

    fn scratch() -> Scratch {
        Scratch::new(tempfile::env::temp_dir())
    }

    fn noise(len: usize, seed: u64) -> Vec<u8> {
        let mut state = seed | 1;
        let step = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[3]
        };
        std::iter::repeat_with(step).take(len).collect()
    }

    fn write(tree: &Tree, options: &Options) -> Blob {
        image(tree, options, &scratch(), &|_| ()).unwrap()
    }

    fn read_all(image: &Blob) -> Result<Tree> {
        read(image, &scratch(), 64 << 20, &|_| true)
    }

    /// All that an image keeps of a tree, as text, with hard links by their first name.
    fn listing(tree: &Tree) -> Vec<String> {
        let mut first = std::collections::BTreeMap::new();
        tree.iter()
            .map(|(path, ino, node)| {
                let first = first.entry(ino).or_insert_with(|| path.clone()).clone();
                let what = match &node.kind {
                    NodeKind::File(content) => {
                        format!("{} bytes {}", content.len(), content.digest().unwrap())
                    }
                    other => format!("{other:?}"),
                };
                let Node { mode, uid, gid, xattrs, .. } = node;
                format!("{path} = {first}: {mode:o} {uid}:{gid} {xattrs:?} {what}")
            })
            .collect()
    }

    /// Something of everything.
    fn zoo() -> Tree {
        let mut tree = Tree::new();
        let mut put = |name: &str, node: Node| {
            tree.insert(path(name), node);
        };
        put("empty", Node::directory(0o1777));
        put("usr/empty", Node::file("", 0o644));
        put("usr/small", Node::file("small", 0o4755));
        put("usr/block", Node::file(noise(4096, 1), 0o600));
        put("usr/more", Node::file(noise(9000, 2), 0o600));
        put("usr/again", Node::file(noise(9000, 2), 0o644));
        put("usr/same-head", Node::file([noise(8192, 2), vec![7; 5]].concat(), 0o644));
        put("usr/text", Node::file("all work and no play ".repeat(4000), 0));
        let holes = [Blob::zeros(8192), noise(100, 3).into(), Blob::zeros(12_000)];
        put("usr/holes", Node::file(Blob::concat(holes), 0o644));
        put("usr/zeros", Node::file(Blob::zeros(12_288), 0o644));
        put("usr/link", Node::symlink("../somewhere/else"));
        let device = |block, major, minor| Node {
            kind: NodeKind::Device { block, major, minor },
            ..Node::file("", 0o660)
        };
        put("dev/null", device(false, 1, 3));
        put("dev/disk", device(true, 0xFFF, 0xF_FFFF));
        put("dev/pipe", Node { kind: NodeKind::Fifo, ..Node::file("", 0o600) });
        let mut owned = Node::file("mine", 0o640);
        (owned.uid, owned.gid) = (1000, 70_000);
        put("home/owned", owned);
        for (name, value) in [("a", "same"), ("b", "same"), ("c", "other")] {
            let mut node = Node::file(name.to_owned(), 0o644);
            node.xattrs.insert("security.selinux".into(), value.into());
            node.xattrs.insert("user.empty".into(), Vec::new());
            put(&format!("labelled/{name}"), node);
        }
        put(&format!("labelled/{}", "x".repeat(255)), Node::file("long", 0o644));
        for name in ["", "empty", "dev/null", "dev/pipe", "usr/link"] {
            let node = tree.get_mut(&path(name)).unwrap();
            node.xattrs.insert("trusted.of".into(), name.into());
        }
        tree.link(path("home/hard"), &path("usr/more")).unwrap();
        tree.link(path("home/hard-link"), &path("usr/link")).unwrap();
        tree
    }

    #[test]
    fn what_is_written_reads_back() {
        let tree = zoo();
        for compression in [SMALL.compression, Compression::Zstd { level: 15 }, Compression::Xz] {
            let done = AtomicU64::new(0);
            let options = Options { compression, ..SMALL };
            let image = image(&tree, &options, &scratch(), &|bytes| {
                done.fetch_add(bytes, Ordering::Relaxed);
            })
            .unwrap();
            assert_eq!(listing(&read_all(&image).unwrap()), listing(&tree));
            let mut content = tree.iter().filter_map(|(_, ino, node)| Some((ino, node.content()?)));
            let inodes: std::collections::BTreeMap<_, _> = content.by_ref().collect();
            let total: u64 = inodes.values().map(|blob| blob.len()).sum();
            assert_eq!(done.into_inner(), total);
        }
    }

    #[test]
    fn the_superblock_says_how_it_was_made() {
        let tree = zoo();
        let image = write(&tree, &Options { block_size: 1 << 20, ..SMALL });
        let superblock = Superblock::parse(&image).unwrap();
        assert_eq!(image.len(), superblock.bytes_used.next_multiple_of(4096));
        assert_eq!(superblock.algorithm, Algorithm::Zstd);
        assert_eq!(superblock.zstd_level, Some(3));
        assert_eq!((superblock.mkfs_time, superblock.block_size), (1_700_000_000, 1 << 20));
        let inodes: std::collections::BTreeSet<_> = tree.iter().map(|(_, ino, _)| ino).collect();
        assert_eq!(superblock.inodes as usize, inodes.len());
        assert_eq!(superblock.ids, 3);
    }

    #[test]
    fn threads_do_not_change_a_byte_and_all_can_be_roots() {
        let tree = zoo();
        let digest = |threads| {
            let threads = NonZeroUsize::new(threads).unwrap();
            write(&tree, &Options { threads, all_root: true, ..SMALL }).digest().unwrap()
        };
        assert_eq!(digest(1), digest(2));
        assert_eq!(digest(1), digest(9));
        let read = read_all(&write(&tree, &Options { all_root: true, ..SMALL })).unwrap();
        assert!(read.iter().all(|(_, _, node)| (node.uid, node.gid) == (0, 0)));
    }

    #[test]
    fn holes_and_copies_take_no_room() {
        let mut tree = Tree::new();
        let sparse = [Blob::zeros(5 << 30), "end".into()];
        tree.insert(path("sparse"), Node::file(Blob::concat(sparse), 0o644));
        for name in ["a", "b", "c"] {
            tree.insert(path(name), Node::file(noise(500_000, 5), 0o644));
        }
        let image = write(&tree, &Options { block_size: 1 << 20, ..SMALL });
        assert!(image.len() < 520_000, "{}", image.len());
        let read = read_all(&image).unwrap();
        assert_eq!(read.file("c").unwrap().to_vec(1 << 20).unwrap(), noise(500_000, 5));
        let sparse = read.file("sparse").unwrap();
        assert_eq!(sparse.extents().next(), Some(Extent::Hole { offset: 0, len: 5 << 30 }));
        assert_eq!(sparse.slice(5 << 30..u64::MAX).to_vec(9).unwrap(), b"end");
    }

    #[test]
    fn only_what_is_wanted_is_read_and_no_more_than_allowed() {
        let image = write(&zoo(), &SMALL);
        let wanted = |path: &TreePath| path.as_str() != "usr";
        let read = read(&image, &scratch(), 20_000, &wanted).unwrap();
        assert!(read.file("home/owned").is_some() && read.get(&path("usr")).is_none());
        let error = super::read(&image, &scratch(), 10_000, &|_| true).unwrap_err();
        assert!(matches!(error.fault(), Fault::TooLarge { have: 10_000, .. }), "{error}");
    }

    #[test]
    fn what_the_format_cannot_hold_is_refused() {
        let refuse = |tree: &Tree, options: &Options| {
            image(tree, options, &scratch(), &|_| ()).unwrap_err().to_string()
        };
        let none = Tree::new();
        assert!(refuse(&none, &Options { block_size: 5000, ..SMALL }).contains("5000"));
        let compression = Compression::Zstd { level: 23 };
        assert!(refuse(&none, &Options { compression, ..SMALL }).contains("23"));
        let mut tree = Tree::new();
        let kind = NodeKind::Device { block: false, major: 4096, minor: 0 };
        tree.insert(path("dev"), Node { kind, ..Node::file("", 0) });
        assert!(refuse(&tree, &SMALL).contains("4096:0"));
    }

    #[test]
    fn a_cut_image_is_an_error_at_every_length() {
        let image = write(&zoo(), &SMALL);
        let used = Superblock::parse(&image).unwrap().bytes_used;
        for len in (0..used).step_by(7) {
            assert!(read_all(&image.slice(0..len)).is_err(), "{len}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(600))]
        #[test]
        fn flipped_bytes_never_panic(
            flips in proptest::collection::vec((any::<prop::sample::Index>(), 1u8..), 1..4),
            header in any::<bool>(),
        ) {
            use std::sync::OnceLock;
            static IMAGE: OnceLock<Vec<u8>> = OnceLock::new();
            // Stored blocks, so that flips reach what is inside.
            let bytes = IMAGE.get_or_init(|| {
                let mut tree = Tree::new();
                for name in ["a", "d/b", "d/c"] {
                    let mut node = Node::file(noise(5000, 3), 0o644);
                    node.xattrs.insert("user.x".into(), noise(9, 1));
                    tree.insert(path(name), node);
                }
                tree.insert(path("l"), Node::symlink("a"));
                write(&tree, &SMALL).to_vec(1 << 20).unwrap()
            });
            let mut bytes = bytes.clone();
            let used = usize::try_from(Superblock::parse(&bytes.clone().into()).unwrap().bytes_used);
            let used = if header { 96 } else { used.unwrap() };
            for (index, flip) in flips {
                // The data blocks in front are noise; the tables are what is read.
                let at = if header { index.index(used) } else { used - 1 - index.index(700) };
                bytes[at] ^= flip;
            }
            let _ = read_all(&bytes.into()).map(|tree| listing(&tree));
        }

    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn any_files_read_back(
            files in proptest::collection::btree_map("[a-z]{1,3}(/[a-z]{1,20}){0,3}", 0usize..20_000, 0..60),
        ) {
            let mut tree = Tree::new();
            for (name, len) in &files {
                // Every third is zeros in parts.
                let mut content = noise(*len, *len as u64 / 3);
                if len % 3 == 0 {
                    content.iter_mut().take(len / 2).for_each(|byte| *byte = 0);
                }
                tree.insert(path(name), Node::file(content, 0o644));
            }
            prop_assert_eq!(listing(&read_all(&write(&tree, &SMALL)).unwrap()), listing(&tree));
        }
    }
}

use super::{
    block::{Block, View, checksum},
    features::Features,
    geometry::{BLOCK, Geometry, Place},
    reader::read_with,
    *,
};
use crate::{
    blob::{Blob, Extent},
    formats::Fault,
    tree::{Node, NodeKind, Tree, TreePath},
};
use proptest::prelude::*;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::OnceLock,
};

const MIB: u64 = 1 << 20;

fn path(text: &str) -> TreePath {
    TreePath::new(text).unwrap()
}

fn options(mib: u64) -> Options<'static> {
    Options {
        size: mib * MIB,
        sector_size: 512,
        label: "BOOT",
        uuid: *b"0123456789abcdef",
        epoch: 1_700_000_000,
        kernel: Kernel::Linux6_12,
    }
}

fn noise(len: usize, seed: usize) -> Vec<u8> {
    (0..=u8::MAX).cycle().skip(seed % 256).step_by(7).take(len).collect()
}

/// All kinds of nodes, directories of all forms.
fn zoo() -> Tree {
    let mut tree = Tree::new();
    tree.insert(path("A/vmlinuz"), Node::file(noise(700_001, 1), 0o644));
    tree.insert(path("A/initramfs.xz"), Node::file(Blob::zeros(9 * MIB), 0o600));
    tree.insert(path("grub/grub.cfg"), Node::file("set timeout=3\n", 0o444));
    tree.insert(path("empty"), Node::file("", 0o4755));
    tree.insert(path("none"), Node::directory(0o1777));
    tree.insert(path("inline"), Node::symlink("A/vmlinuz"));
    tree.insert(path("336"), Node::symlink("x".repeat(336)));
    tree.insert(path("337"), Node::symlink("y".repeat(337)));
    tree.insert(path("remote"), Node::symlink("é".repeat(511)));
    tree.insert(path(&"n".repeat(255)), Node::file("long", 0o644));
    let device = NodeKind::Device { block: true, major: 259, minor: 1_000 };
    tree.insert(path("dev/disk"), Node { kind: device, uid: 1, gid: 6, ..Node::file("", 0o660) });
    let device = NodeKind::Device { block: false, major: 1, minor: 3 };
    tree.insert(path("dev/null"), Node { kind: device, ..Node::file("", 0o666) });
    tree.insert(path("dev/pipe"), Node { kind: NodeKind::Fifo, ..Node::file("", 0o600) });
    for (directory, count) in [("short", 10), ("block", 90), ("leaf", 400), ("node", 5_000)] {
        for number in 0..count {
            let name = format!("{directory}/a-name-{number}");
            tree.insert(path(&name), Node::file(noise(number % 50, number), 0o644));
        }
    }
    tree.link(path("short/hard"), &path("A/vmlinuz")).unwrap();
    tree.link(path("hard"), &path("leaf/a-name-7")).unwrap();
    tree
}

/// What a tree holds, in a form to compare; hard links by the first name of the inode.
fn listing(tree: &Tree) -> BTreeMap<String, String> {
    let mut first = BTreeMap::new();
    // Zeros need not be read.
    let data = |content: &Blob| {
        let data = content.extents().filter_map(|extent| match extent {
            Extent::Data { offset, len } => Some(content.slice(offset..offset + len)),
            Extent::Hole { .. } => None,
        });
        Blob::concat(data).digest().unwrap()
    };
    tree.iter()
        .map(|(path, ino, node)| {
            let same = first.entry(ino).or_insert_with(|| path.to_string()).clone();
            let kind = match &node.kind {
                NodeKind::File(content) => format!("{} {}", content.len(), data(content)),
                kind => format!("{kind:?}"),
            };
            let owner = (node.mode, node.uid, node.gid);
            (path.to_string(), format!("{owner:?} {same} {kind}"))
        })
        .collect()
}

#[test]
fn what_is_written_reads_back() {
    let tree = zoo();
    let expected = listing(&tree);
    for (mib, sector_size, kernel) in [
        (300, 512, Kernel::Linux6_1),
        (1000, 4096, Kernel::Linux6_6),
        (2000, 512, Kernel::Linux6_18),
        (16 << 20, 4096, Kernel::Linux6_12),
    ] {
        let blob = volume(&tree, &Options { sector_size, kernel, ..options(mib) }).unwrap();
        assert_eq!(blob.len(), mib * MIB);
        let read = read(&blob).unwrap();
        assert!(listing(&read.tree) == expected, "{mib} {sector_size}");
        assert_eq!((read.label.as_str(), &read.uuid), ("BOOT", b"0123456789abcdef"));
        assert_eq!((read.sector_size, read.block_size), (u64::from(sector_size), 4096));
    }
}

/// The figures are those of what `mkfs.xfs` 6.1 makes with the same options.
#[test]
fn bytes_stand_where_the_specification_says() {
    let mut tree = Tree::new();
    tree.insert(path("grub/grub.cfg"), Node::file("set timeout=3\n", 0o644));
    let blob = volume(&tree, &options(1000)).unwrap();
    let bytes = |at| blob.array::<4096>(at).unwrap();
    let sector = blob.array::<512>(0).unwrap();
    let view = View(&sector);
    assert_eq!(&sector[..8], b"XFSB\0\0\x10\0");
    assert_eq!((view.get::<8>(8), view.get::<8>(48), view.get::<8>(56)), (256_000, 131_079, 128));
    assert_eq!((view.get::<4>(84), view.get::<4>(88), view.get::<4>(96)), (64_000, 4, 16_384));
    assert_eq!((view.get::<2>(100), view.get::<1>(124)), (0xb4a5, 16));
    assert_eq!(&sector[108..120], b"BOOT\0\0\0\0\0\0\0\0");
    // mkfs.xfs has 61 inodes and 239,580 blocks free; the configuration takes one block.
    assert_eq!((view.get::<8>(136), view.get::<8>(144)), (59, 239_579));
    assert_eq!((view.get::<4>(212), view.get::<4>(216)), (0xf, 0x2b));
    assert!(view.is_sealed(224));
    for group in 0..4 {
        let at = group * 64_000 * BLOCK;
        assert_eq!(blob.array::<512>(at).unwrap(), sector);
        for (header, magic, sum) in [(1, b"XAGF", 216), (2, b"XAGI", 312), (3, b"XAFL", 32)] {
            let header = blob.array::<512>(at + header * 512).unwrap();
            assert_eq!(&header[..4], magic);
            assert!(View(&header).is_sealed(sum));
        }
        for (block, magic) in
            [b"AB3B", b"AB3C", b"IAB3", b"FIB3", b"RMB3", b"R3FC"].iter().enumerate()
        {
            let block = bytes(at + (1 + block as u64) * BLOCK);
            assert_eq!(&block[..4], *magic);
            assert!(View(&block).is_sealed(52));
        }
    }
    // Groups' free space, then a chunk of inodes, with a gap for its alignment.
    let free = bytes(BLOCK);
    assert_eq!((View(&free).get::<2>(6), View(&free).get::<8>(56)), (2, 14 << 32 | 2));
    assert_eq!(View(&free).get::<8>(64), 24 << 32 | (64_000 - 24));
    let content = bytes(13 * BLOCK);
    assert!(content.starts_with(b"set timeout=3\n\0"));
    let root = bytes(16 * BLOCK);
    let view = View(&root[..512]);
    assert!(view.is_sealed(100));
    assert_eq!(&root[..6], b"IN\x41\xed\x03\x01");
    assert_eq!((view.get::<4>(16), view.get::<8>(56), view.get::<8>(152)), (3, 18, 128));
    assert_eq!(view.get::<8>(32), (1_700_000_000 + (1 << 31)) * 1_000_000_000);
    assert_eq!(&root[176..194], b"\x01\0\0\0\0\x80\x04\0\x60grub\x02\0\0\0\x83");
    // The log of a file system that was unmounted.
    let log = bytes((2 * 64_000 + 7) * BLOCK);
    assert_eq!(log[..16], [0xfe, 0xed, 0xba, 0xbe, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 2, 0]);
    assert_eq!(log[512..522], [0, 0, 0, 1, 0, 0, 0, 8, 0xaa, 0x20]);
}

/// Whatever is taken: every block of every group has one owner or is free.
fn check_tiling(blob: &Blob, geometry: &Geometry) {
    for group in 0..geometry.groups {
        let at = |block| geometry.offset(Place { group, block });
        let block = |number| blob.array::<4096>(at(number)).unwrap();
        let root = geometry.header_blocks();
        let mut runs: Vec<(u64, u64)> = Vec::new();
        for (tree, record) in [(root, 8), (root + 4, 24)] {
            let mut pending = vec![tree];
            while let Some(number) = pending.pop() {
                let block = block(number);
                let view = View(&block);
                assert!(view.is_sealed(52));
                assert_eq!(view.get::<8>(16) * 512, at(number));
                let rows = usize::try_from(view.get::<2>(6)).unwrap();
                if view.get::<2>(4) > 0 {
                    pending.extend((0..rows).map(|row| view.get::<4>(56 + 91 * 40 + row * 4)));
                } else {
                    let run = |row| 56 + row * record;
                    runs.extend(
                        (0..rows).map(|row| (view.get::<4>(run(row)), view.get::<4>(run(row) + 4))),
                    );
                }
            }
        }
        runs.sort_unstable();
        let end = runs.iter().fold(0, |end, &(start, blocks)| {
            assert_eq!(start, end, "group {group}");
            start + blocks
        });
        assert_eq!(end, geometry.group_len(group));
    }
}

#[test]
fn every_block_has_one_owner_or_is_free() {
    let mut tree = zoo();
    // So many owners that their tree has several levels, in several groups.
    for number in 0..9_000 {
        tree.insert(path(&format!("more/{number}")), Node::file(noise(4_097, number), 0o644));
    }
    tree.insert(path("large"), Node::file(Blob::zeros(100 * MIB), 0o644));
    let blob = volume(&tree, &options(300)).unwrap();
    check_tiling(&blob, &Geometry::new(300 * MIB, 512, Features::of(Kernel::Linux6_12)).unwrap());
    assert_eq!(read(&blob).unwrap().tree.iter().count(), tree.iter().count());
}

#[test]
fn what_fits_is_taken_to_the_last_block_and_no_more() {
    let with = |len: u64| {
        let mut tree = Tree::new();
        tree.insert(path("big"), Node::file(Blob::zeros(len), 0o644));
        volume(&tree, &options(300))
    };
    let error = with(400 * MIB).unwrap_err();
    let Fault::TooLarge { need, have, .. } = error.fault() else { panic!("{error}") };
    assert!(*need >= 400 * MIB && *have < 236 * MIB, "{error}");
    let (mut fits, mut too_much) = (200 * MIB / BLOCK, 300 * MIB / BLOCK);
    while fits + 1 < too_much {
        let middle = fits.midpoint(too_much);
        if with(middle * BLOCK).is_ok() { fits = middle } else { too_much = middle }
    }
    assert!(fits * BLOCK > have - 64 * BLOCK, "{fits} of {}", have / BLOCK);
    let full = with(fits * BLOCK).unwrap();
    check_tiling(&full, &Geometry::new(300 * MIB, 512, Features::of(Kernel::Linux6_12)).unwrap());
    assert_eq!(read(&full).unwrap().tree.file("big").unwrap().len(), fits * BLOCK);
}

#[test]
fn what_xfs_has_no_form_for_is_refused() {
    let refused = |node: Node, options: &Options<'_>| {
        let mut tree = Tree::new();
        tree.insert(path("d/x"), node);
        volume(&tree, options).err().unwrap().to_string()
    };
    let (file, ok) = (|| Node::file("", 0o644), options(300));
    let said = refused(file(), &Options { label: "thirteen char", ..ok.clone() });
    assert!(said.contains("\"thirteen char\" has 13 bytes; there is room for 12"), "{said}");
    let said = refused(Node::symlink("x".repeat(1024)), &ok);
    assert!(said.contains("d/x links to a target of 1024 bytes; there are 1 to 1023"), "{said}");
    assert!(refused(file(), &options(299)).contains("314572800 (300 MiB) to"));
    assert!(refused(file(), &Options { sector_size: 2048, ..ok.clone() }).contains("512 and 4096"));
    assert!(refused(file(), &Options { epoch: u64::MAX, ..ok.clone() }).contains("2486"));
    let mut labelled = file();
    labelled.xattrs.insert("security.selinux".into(), b"x".to_vec());
    assert!(refused(labelled, &ok).contains("security.selinux"));
    let huge = Node::file(Blob::zeros(200 << 30), 0o644);
    assert!(refused(huge, &options(1 << 20)).contains("26 pieces"));
}

/// `blob` with these bytes in it.
fn patched(blob: &Blob, at: u64, bytes: &[u8]) -> Blob {
    let end = at + bytes.len() as u64;
    Blob::concat([blob.slice(0..at), bytes.to_vec().into(), blob.slice(end..u64::MAX)])
}

/// What a kernel writes and we do not: a file in so many pieces that they are in a B+tree.
#[test]
fn extents_in_a_tree_and_unwritten_ones_are_read() {
    let mut tree = Tree::new();
    tree.insert(path("file"), Node::file(noise(3 * 4096, 0), 0o644));
    let blob = volume(&tree, &options(300)).unwrap();
    // The content is at block 13; a leaf goes to the free block 1000.
    let extent = |offset, start, unwritten| {
        extent::Extent { offset, start, blocks: 1, unwritten }.to_bytes()
    };
    let mut leaf = Block::new(4096);
    leaf.put(0, b"BMA3");
    leaf.set::<2>(6, 3);
    leaf.put(72, &[extent(0, 14, false), extent(2, 13, false), extent(3, 15, true)].concat());
    let mut inode = blob.array::<512>(16 * BLOCK + 3 * 512).unwrap();
    inode[5] = 3;
    inode[56..64].copy_from_slice(&(5 * BLOCK - 1).to_be_bytes());
    inode[176..180].copy_from_slice(&[0, 1, 0, 1]);
    inode[180 + 20 * 8..][..8].copy_from_slice(&1000_u64.to_be_bytes());
    let sum = checksum(&inode, 100);
    inode[100..104].copy_from_slice(&sum);
    let blob = patched(&blob, 1000 * BLOCK, &leaf.seal(64));
    let blob = patched(&blob, 16 * BLOCK + 3 * 512, &inode);
    let found = read(&blob).unwrap().tree.file("file").unwrap().to_vec(MIB).unwrap();
    let (content, zeros) = (noise(3 * 4096, 0), [0; 4096]);
    assert!(found[..4096] == content[4096..8192] && found[4096..8192] == zeros);
    assert!(found[8192..12_288] == content[..4096]);
    assert!(found[12_288..] == [0; 8191]);
    let cut = patched(&blob, 1000 * BLOCK + 7, &[255]);
    assert!(read(&cut).unwrap_err().to_string().contains("is not sound"));
    assert!(read_with(&cut, false).unwrap_err().to_string().contains("more rows than"));
}

#[test]
fn a_cut_volume_and_every_flipped_bit_of_metadata_are_noticed() {
    let mut tree = Tree::new();
    for number in 0..100 {
        tree.insert(path(&format!("block/{number}")), Node::file("", 0o644));
    }
    tree.insert(path("link"), Node::symlink("x".repeat(400)));
    let blob = volume(&tree, &options(300)).unwrap();
    for len in [0, 3, 511, 512, 4096, 70_000, 300 * MIB - 1] {
        let error = read(&blob.slice(0..len)).unwrap_err().to_string();
        assert!(len < 512 || error.contains("cut off"), "{error}");
    }
    // The superblock; the root and the inodes after it that are in use; their blocks.
    let inodes = (0..105).filter(|inode| !(1..3).contains(inode)).map(|inode| 65_536 + inode * 512);
    for start in inodes.chain([0, 13 * BLOCK, 14 * BLOCK]) {
        for at in (start..start + 512).step_by(61) {
            let [byte] = blob.array(at).unwrap();
            assert!(read(&patched(&blob, at, &[byte ^ 4])).is_err(), "byte {at}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]
    /// Checksums are not looked at: whoever makes hostile bytes makes right ones.
    #[test]
    fn hostile_bytes_never_panic(
        flips in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        header in any::<bool>(),
        len in 0..400 * MIB,
    ) {
        static SOUND: OnceLock<(Blob, Vec<u64>)> = OnceLock::new();
        let (sound, places) = SOUND.get_or_init(|| {
            let mut tree = Tree::new();
            for name in (0..60).map(|number| format!("d/{number}")) {
                tree.insert(path(&name), Node::file("x", 0o644));
            }
            tree.insert(path("d/e/f/file"), Node::file(noise(20_000, 1), 0o644));
            tree.insert(path("d/remote"), Node::symlink("x".repeat(400)));
            tree.insert(path("d/link"), Node::symlink("x"));
            let blob = volume(&tree, &options(300)).unwrap();
            let places = blob.extents().filter_map(|extent| match extent {
                Extent::Data { offset, len } if offset > 12 * BLOCK => Some(offset..offset + len.min(512)),
                _ => None,
            });
            let places = places.take_while(|range| range.start < 40 * BLOCK).flatten().collect();
            (blob, places)
        });
        let mut blob = sound.clone();
        for (index, byte) in flips {
            let at = if header { index.index(264) as u64 } else { places[index.index(places.len())] };
            blob = patched(&blob, at, &[byte]);
        }
        let _ = read_with(&blob, false).map(|volume| volume.tree.iter().count());
        let _ = read_with(&blob.slice(0..len), false);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn any_files_read_back(
        files in proptest::collection::btree_map("[a-zé]{1,3}(/[a-z]{1,60}){0,3}", 0usize..20_000, 0..120),
        sector_size in prop_oneof![Just(512), Just(4096)],
    ) {
        let mut tree = Tree::new();
        for (name, len) in &files {
            let node = if len % 9 == 0 {
                Node::symlink("t".repeat(1 + len / 20))
            } else {
                Node::file(noise(*len, *len), 0o644)
            };
            tree.insert(path(name), node);
        }
        let blob = volume(&tree, &Options { sector_size, ..options(300) }).unwrap();
        prop_assert_eq!(listing(&read(&blob).unwrap().tree), listing(&tree));
    }
}

/// Not a test of speed but of the promise that nothing touches the payload, or the free space.
#[test]
fn a_payload_of_gigabytes_is_only_placed() {
    let mut tree = Tree::new();
    for name in ["a", "b", "c"] {
        tree.insert(path(name), Node::file(Blob::zeros(100 << 30), 0o644));
    }
    let blob = volume(&tree, &options(16 << 20)).unwrap();
    assert_eq!(read(&blob).unwrap().tree.file("c").unwrap().len(), 100 << 30);
    let data = blob.extents().filter_map(|extent| match extent {
        Extent::Data { len, .. } => Some(len),
        Extent::Hole { .. } => None,
    });
    assert!(data.sum::<u64>() < MIB);
}

/// The order in which a tree was made is not in the bytes.
#[test]
fn same_files_same_bytes() {
    let names = ["b/x", "a", "c/d/e", "b/a"];
    let made = |names: &mut dyn Iterator<Item = &&str>| {
        let mut tree = Tree::new();
        for name in names {
            tree.insert(path(name), Node::file(name.to_string(), 0o644));
        }
        let blob = volume(&tree, &options(300)).unwrap();
        blob.slice(0..100 * BLOCK).digest().unwrap()
    };
    let digests = [made(&mut names.iter()), made(&mut names.iter().rev())];
    assert_eq!(BTreeSet::from(digests).len(), 1);
}

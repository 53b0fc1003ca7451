use super::*;
use crate::{
    blob::Blob,
    formats::Fault,
    tree::{Node, Tree, TreePath},
};
use proptest::prelude::*;
use std::{
    collections::BTreeMap,
    io::{Read, Seek, SeekFrom, Write},
    sync::OnceLock,
};

const MIB: u64 = 1 << 20;

fn path(text: &str) -> TreePath {
    TreePath::new(text).unwrap()
}

fn options(size: u64, sector_size: u32) -> Options<'static> {
    Options {
        size,
        sector_size,
        label: "EFI",
        volume_id: 0x1234_abcd,
        epoch: 1_700_000_001,
        aligned: None,
    }
}

/// What an ESP holds, and the names that are hard.
fn esp() -> Tree {
    let mut tree = Tree::new();
    let mut file = |name: &str, len: usize, mode| {
        let content: Vec<u8> = (0..=u8::MAX).cycle().step_by(7).take(len).collect();
        tree.insert(path(name), Node::file(content, mode));
    };
    file("EFI/BOOT/BOOTX64.EFI", 9_000, 0o644);
    file("EFI/boot2/BOOTX64.efi", 1, 0o644);
    file("EFI/Linux/Talos-v1.11.0.efi", 700_001, 0o644);
    file("EFI/Linux/Talos-v1.11.1.efi", 4096, 0o644);
    file("EFI/Linux/TALOS-~1.EFI", 12, 0o644);
    file("loader/loader.conf", 23, 0o644);
    file("loader/random-seed", 32, 0o444);
    file("loader/keys/auto/PK.auth", 0, 0o644);
    file("loader/thirteen.chr", 5, 0o644);
    file(".hidden", 6, 0o644);
    file("Grüße 🌍.tar.gz", 7, 0o644);
    file(&"x".repeat(255), 8, 0o644);
    tree.insert(path("empty"), Node::directory(0o755));
    tree
}

fn files(tree: &Tree) -> BTreeMap<String, Option<Vec<u8>>> {
    let content = |node: &Node| node.content().map(|blob| blob.to_vec(MIB).unwrap());
    tree.iter().map(|(path, _, node)| (path.to_string(), content(node))).collect()
}

/// Read-only for `fatfs`, which is written against devices.
#[derive(Clone)]
struct Device(crate::blob::BlobReader);

impl Read for Device {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(buf)
    }
}

impl Seek for Device {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        self.0.seek(to)
    }
}

impl Write for Device {
    fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
        Err(std::io::ErrorKind::Unsupported.into())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn walk(
    directory: &fatfs::Dir<'_, Device>,
    at: &TreePath,
    found: &mut BTreeMap<String, Option<Vec<u8>>>,
) {
    for entry in directory.iter().map(Result::unwrap) {
        let name = entry.file_name();
        if matches!(name.as_str(), "." | "..") {
            continue;
        }
        let path = at.join(&name).unwrap();
        if entry.is_dir() {
            walk(&entry.to_dir(), &path, found);
            found.insert(path.to_string(), None);
        } else {
            let mut content = Vec::new();
            entry.to_file().read_to_end(&mut content).unwrap();
            found.insert(path.to_string(), Some(content));
        }
    }
}

#[test]
fn another_reader_and_ours_find_what_was_written() {
    let tree = esp();
    // Both kinds, all cluster sizes, both sector sizes.
    for (size, sector, kind, cluster) in [
        (8 * MIB, 512, Kind::Fat16, 512),
        (66_304 * 512, 512, Kind::Fat16, 1024),
        (34 * MIB, 512, Kind::Fat32, 512),
        (100 * MIB, 512, Kind::Fat32, 1024),
        (200 * MIB, 512, Kind::Fat32, 2048),
        (2101 * MIB, 512, Kind::Fat32, 4096),
        (100 * MIB, 4096, Kind::Fat16, 4096),
        (2101 * MIB, 4096, Kind::Fat32, 16_384),
    ] {
        let blob = volume(&tree, &options(size, sector)).unwrap();
        assert_eq!(blob.len(), size);
        let read = read(&blob).unwrap();
        assert_eq!((read.kind, read.sector_size), (kind, sector.into()), "{size}");
        assert_eq!(read.cluster_size, cluster, "{size}");
        assert_eq!((read.label.as_str(), read.volume_id, read.size), ("EFI", 0x1234_abcd, size));
        assert_eq!(files(&read.tree), files(&tree));
        assert_eq!(read.tree.get(&path("loader/random-seed")).unwrap().mode, 0o444);

        let other = fatfs::FileSystem::new(Device(blob.reader()), fatfs::FsOptions::new()).unwrap();
        let mut found = BTreeMap::from([("/".to_owned(), None)]);
        walk(&other.root_dir(), &TreePath::ROOT, &mut found);
        assert_eq!(found, files(&tree));
        assert_eq!(other.volume_label(), "EFI");
        assert_eq!(other.volume_id(), 0x1234_abcd);
    }
}

#[test]
fn bytes_stand_where_the_specification_says() {
    let mut tree = Tree::new();
    tree.insert(path("EFI/BOOT/BOOTX64.EFI"), Node::file("MZ", 0o444));
    tree.insert(path("loader.conf"), Node::file("timeout 10\n", 0o644));
    let blob = volume(&tree, &options(100 * MIB, 512)).unwrap();
    let sector = |number: u64| blob.array::<512>(number * 512).unwrap();
    let boot = sector(0);
    assert_eq!(boot, sector(6));
    assert_eq!(boot[..3], [0xeb, 0x58, 0x90]);
    assert_eq!(boot[11..14], [0, 2, 2]);
    assert_eq!(boot[67..71], [0xcd, 0xab, 0x34, 0x12]);
    assert_eq!(&boot[71..90], b"EFI        FAT32   ");
    assert_eq!(sector(1), sector(7));
    assert_eq!(sector(1)[..4], *b"RRaA");
    let long = |at: usize| u64::from(u32::from_le_bytes(boot[at..at + 4].try_into().unwrap()));
    let reserved = u64::from(u16::from_le_bytes([boot[14], boot[15]]));
    assert_eq!((reserved + 2 * long(36)) % 8, 0);
    // Root, EFI, BOOT, the loader, its configuration: one cluster each.
    let table = sector(reserved);
    assert_eq!(table[..8], [0xf8, 0xff, 0xff, 0x0f, 0xff, 0xff, 0xff, 0x0f]);
    assert!(table[8..28].chunks(4).all(|entry| entry == [0xff, 0xff, 0xff, 0x0f]));
    assert!(table[28..].iter().all(|&byte| byte == 0));
    assert_eq!(table, sector(reserved + long(36)));

    let root = sector(reserved + 2 * long(36));
    assert_eq!(root[..12], *b"EFI        \x08");
    assert_eq!(root[32..44], *b"EFI        \x10");
    assert_eq!(root[64], 0x41);
    assert_eq!(root[75], 0x0f);
    assert_eq!(root[96..108], *b"LOADER~1CON\x20");
    // 2023-11-14 22:13:20, and cluster 6.
    assert_eq!(root[118..124], [0xaa, 0xb1, 0x6e, 0x57, 6, 0]);
    // `..` of a directory in the root is cluster 0, of one below it the real one.
    let efi = sector(reserved + 2 * long(36) + 2);
    assert_eq!((&efi[..11], efi[26]), (&b".          "[..], 3));
    assert_eq!((&efi[32..43], efi[58]), (&b"..         "[..], 0));
    let boot_dir = sector(reserved + 2 * long(36) + 4);
    assert_eq!((boot_dir[26], boot_dir[58]), (4, 3));
    assert_eq!(boot_dir[64..76], *b"BOOTX64 EFI\x21");
}

#[test]
fn the_least_size_fits_and_one_sector_less_does_not() {
    for len in [0, 3 * MIB, 31 * MIB, 32 * MIB, 33 * MIB, 66 * MIB, 100 * MIB, 500 * MIB] {
        for sector in [512, 4096] {
            let mut tree = esp();
            tree.insert(path("big"), Node::file(Blob::zeros(len), 0o644));
            let size = min_size(&tree, sector).unwrap();
            let blob = volume(&tree, &options(size, sector)).unwrap();
            assert_eq!(read(&blob).unwrap().tree.file("big").unwrap().len(), len);
            let less = volume(&tree, &options(size - u64::from(sector), sector)).err().unwrap();
            match less.fault() {
                Fault::TooLarge { need, have, .. } => {
                    assert_eq!((*need, *have), (size, size - u64::from(sector)));
                }
                Fault::Invalid(_) => assert!(len == 0 || sector == 4096, "{less}"),
                _ => panic!("{less}"),
            }
        }
    }
}

#[test]
fn what_fat_has_no_form_for_is_refused() {
    let refused = |names: &[&str], options: &Options<'_>| {
        let mut tree = Tree::new();
        for name in names {
            tree.insert(path(name), Node::file("", 0o644));
        }
        volume(&tree, options).err().unwrap().to_string()
    };
    let ok = options(40 * MIB, 512);
    assert!(refused(&["d/a:b"], &ok).contains("\"a:b\""));
    assert!(refused(&["dot."], &ok).contains("ends in a dot"));
    assert!(refused(&["efi/x", "EFI/y"], &ok).contains("only in case"));
    assert!(refused(&["Ä", "ä"], &ok).contains("only in case"));
    assert!(refused(&[], &Options { label: "efi", ..ok.clone() }).contains("\"efi\""));
    assert!(refused(&[], &options(40 * MIB + 1, 512)).contains("sectors"));
    assert!(refused(&[], &options(MIB, 512)).contains("too few"));
    let mut tree = Tree::new();
    tree.insert(path("l"), Node::symlink("x"));
    assert!(volume(&tree, &ok).is_err());
    tree.insert(path("l"), Node::file(Blob::zeros(1 << 32), 0o644));
    assert!(matches!(volume(&tree, &ok).err().unwrap().fault(), Fault::TooLarge { .. }));
}

#[test]
fn chains_that_loop_or_meet_are_refused() {
    let mut tree = Tree::new();
    tree.insert(path("A"), Node::file(vec![1; 600], 0o644));
    tree.insert(path("B"), Node::file(vec![2; 600], 0o644));
    let bytes = volume(&tree, &options(3 * MIB, 512)).unwrap().to_vec(3 * MIB).unwrap();
    let geometry = geometry::Geometry::read(&bytes.clone().into()).unwrap();
    let table = usize::try_from(geometry.fat_offset(0)).unwrap();
    let with = |cluster: usize, next: u16| {
        let mut bytes = bytes.clone();
        bytes[table + 2 * cluster..][..2].copy_from_slice(&next.to_le_bytes());
        read(&bytes.into()).map(|_| ()).map_err(|error| error.to_string())
    };
    assert_eq!(with(2, 3), Ok(()));
    assert!(with(2, 2).unwrap_err().contains("two places"));
    assert!(with(2, 4).unwrap_err().contains("two places"));
    assert!(with(2, 0).unwrap_err().contains("no such cluster"));
    assert!(with(2, 0xfff0).unwrap_err().contains("no such cluster"));
    assert!(with(2, 0xffff).unwrap_err().contains("ends before its size"));
}

proptest! {
    #[test]
    fn hostile_bytes_never_panic(
        flips in proptest::collection::vec((0usize..40_000, any::<u8>()), 1..12),
        len in 0usize..300_000,
    ) {
        static SOUND: OnceLock<Vec<u8>> = OnceLock::new();
        let sound = SOUND.get_or_init(|| {
            volume(&esp(), &options(3 * MIB, 512)).unwrap().to_vec(3 * MIB).unwrap()
        });
        let mut bytes = sound.clone();
        // The boot sector, the first table and the root directory are where it can hurt.
        for (at, byte) in flips {
            let at = match at {
                0..600 => at,
                600..2_000 => 32 * 512 + at - 600,
                _ => at * 4,
            };
            bytes[at] = byte;
        }
        let _ = read(&bytes.clone().into());
        bytes.truncate(len);
        let _ = read(&bytes.into());
    }
}

/// Not a test of speed but of the promise that nothing touches the payload.
#[test]
fn a_payload_of_gigabytes_is_only_placed() {
    let mut tree = Tree::new();
    for name in ["a", "b", "c"] {
        tree.insert(path(name), Node::file(Blob::zeros((1 << 32) - 1), 0o644));
    }
    let size = min_size(&tree, 512).unwrap();
    let blob = volume(&tree, &options(size, 512)).unwrap();
    assert_eq!(read(&blob).unwrap().tree.file("c").unwrap().len(), (1 << 32) - 1);
}

#[test]
fn a_place_in_a_file_is_aligned_where_asked() {
    let tree = esp();
    let uki = path("EFI/Linux/Talos-v1.11.0.efi");
    let content = tree.file(uki.as_str()).unwrap();
    for (size, sector_size) in [(4 * MIB, 512), (40 * MIB, 512), (300 * MIB, 4096)] {
        let plain = volume(&tree, &options(size, sector_size)).unwrap();
        for at in [0, 1, 3, 7, 8].map(|sectors| sectors * u64::from(sector_size)) {
            let asked = Options { aligned: Some((&uki, at)), ..options(size, sector_size) };
            let aligned = volume(&tree, &asked).unwrap();
            let place = aligned.position_of(content).unwrap() + at;
            assert!(place.is_multiple_of(8 * u64::from(sector_size)), "{size} {at}: {place}");
            let [found, expected] = [&aligned, &plain].map(|it| read(it).unwrap());
            assert_eq!(found.kind, expected.kind);
            assert_eq!(files(&found.tree), files(&expected.tree));
        }
    }
}

use super::*;
use crate::{
    blob::Blob,
    formats::{Fault, gpt},
    tree::{Node, Tree, TreePath},
};
use proptest::prelude::*;
use std::{collections::BTreeMap, sync::OnceLock};
use uuid::Uuid;

const MIB: u64 = 1 << 20;

fn path(text: &str) -> TreePath {
    TreePath::new(text).unwrap()
}

/// What is hard: long names, deep directories, links, many files.
fn example() -> Tree {
    let mut tree = Tree::new();
    let long = "n".repeat(255);
    for (name, mode) in [
        ("boot/vmlinuz", 0o644),
        ("boot/grub/grub.cfg", 0o600),
        ("a/b/c/d/e/f/g/h/i/j/deep", 0o644),
        ("dir/A long name with, punctuation.txt", 0o444),
        ("dir/A long name with; punctuation.txt", 0o444),
        ("Grüße 🌍.tar.gz", 0o755),
        (".hidden", 0o644),
        (long.as_str(), 0o4755),
    ] {
        tree.insert(path(name), Node::file(name.as_bytes().to_vec(), mode));
    }
    for number in 0..100 {
        let name = format!("imagecache/blob/sha256-{number:064}");
        tree.insert(path(&name), Node::file(vec![number; usize::from(number) * 50], 0o644));
    }
    tree.insert(path("dir/link"), Node::symlink("../boot/./vmlinuz"));
    tree.insert(path("dir/absolute"), Node::symlink("/"));
    let target = format!("/{}/../{}end", "x".repeat(200), "y/".repeat(150));
    tree.insert(path(&format!("l{}", "l".repeat(200))), Node::symlink(target));
    tree.insert(path("empty"), Node { uid: 50, gid: 60, ..Node::directory(0o1777) });
    tree.link(path("hard"), &path("boot/vmlinuz")).unwrap();
    tree
}

fn options(tree: &Tree, esp: Option<Blob>) -> Volume<'_> {
    Volume {
        volume_id: "TALOS_V1_11_0",
        volume_set_id: "Talos-v1.11.0",
        preparer_id: "",
        application_id: "test",
        tree,
        bios: None,
        esp: esp.map(|content| Esp {
            content,
            guid: Uuid::from_u128(1),
            volume_guid: Uuid::from_u128(2),
            disk_guid: Uuid::from_u128(3),
        }),
        epoch: 1_700_000_000,
    }
}

type Listing = BTreeMap<String, (u32, u32, u32, String)>;

fn listing(tree: &Tree) -> Listing {
    let what = |node: &Node| match &node.kind {
        crate::tree::NodeKind::File(content) => content.digest().unwrap().to_string(),
        kind => format!("{kind:?}"),
    };
    tree.iter()
        .map(|(path, _, node)| (path.to_string(), (node.mode, node.uid, node.gid, what(node))))
        .collect()
}

#[test]
fn what_was_laid_out_is_found_again_on_the_cd_and_in_the_partition() {
    let tree = example();
    let esp = Blob::concat([Blob::from("esp"), Blob::zeros(3 * MIB), Blob::from("end")]);
    let blob = volume(&options(&tree, Some(esp.clone()))).unwrap();
    let found = read(&blob).unwrap();
    assert_eq!(listing(&found.tree), listing(&tree));
    assert_eq!(found.volume_id, "TALOS_V1_11_0");
    assert_eq!(found.volume_set_id, "Talos-v1.11.0");
    assert_eq!((found.application_id.as_str(), found.size), ("test", blob.len()));
    let [entry] = found.boot.as_slice() else { panic!("{:?}", found.boot.len()) };
    assert_eq!((entry.platform, entry.sectors), (Platform::Uefi, 6145));
    assert_eq!(entry.content.slice(0..esp.len()).digest().unwrap(), esp.digest().unwrap());

    let disk = gpt::read(&blob).unwrap();
    assert_eq!(disk.flaws, [""; 0]);
    let [iso, system] = disk.disk.partitions.as_slice() else { panic!() };
    assert_eq!((iso.name.as_str(), system.name.as_str()), ("ISO9660", "EFI"));
    assert_eq!(system.start.unwrap(), u64::from(entry.block) * BLOCK);
    assert_eq!(system.start.unwrap() % (64 << 10), 0);
    assert_eq!(system.content.slice(0..esp.len()).digest().unwrap(), esp.digest().unwrap());
    let mounted = read(&iso.content).unwrap();
    assert_eq!(listing(&mounted.tree), listing(&tree));
    assert_eq!(mounted.volume_id, found.volume_id);
    assert!(mounted.boot.is_empty());

    let data = read(&volume(&options(&tree, None)).unwrap()).unwrap();
    assert_eq!(listing(&data.tree), listing(&tree));
    assert!(data.boot.is_empty());
}

#[test]
fn a_bios_has_its_image_and_what_the_esp_holds_is_not_stored_again() {
    let (kernel, initramfs) = (Blob::from(vec![1; 5000]), Blob::from(vec![2; 7000]));
    let pad = |blob: &Blob| blob.padded_to(4096);
    let esp = [Blob::zeros(2048), pad(&kernel), Blob::zeros(512), pad(&initramfs)];
    let mut tree = Tree::new();
    tree.insert(path("boot/vmlinuz"), Node::file(kernel.clone(), 0o644));
    tree.insert(path("boot/initramfs.xz"), Node::file(initramfs.clone(), 0o644));
    tree.insert(path("boot/grub/grub.cfg"), Node::file("menu", 0o644));
    tree.link(path("hard"), &path("boot/vmlinuz")).unwrap();
    let core = Blob::from(vec![3; 100_000]);
    tree.insert(path("boot/eltorito.img"), Node::file(core.clone(), 0o644));
    let options = Volume { bios: Some(core.clone()), ..options(&tree, Some(Blob::concat(esp))) };
    let blob = volume(&options).unwrap();
    let found = read(&blob).unwrap();
    assert_eq!(listing(&found.tree), listing(&tree));

    let [bios, uefi] = found.boot.as_slice() else { panic!("{:?}", found.boot) };
    assert_eq!((bios.platform, bios.block, bios.sectors), (Platform::Bios, BIOS_BLOCK, 4));
    assert_eq!(blob.position_of(&core), Some(u64::from(BIOS_BLOCK) * BLOCK));
    assert_eq!(uefi.platform, Platform::Uefi);
    let listed = found.tree.file("boot/eltorito.img").unwrap();
    assert_eq!(blob.position_of(listed), Some(u64::from(BIOS_BLOCK) * BLOCK));
    let start = u64::from(uefi.block) * BLOCK;
    let place = |name: &str| blob.position_of(found.tree.file(name).unwrap()).unwrap();
    assert_eq!((place("boot/vmlinuz"), place("hard")), (start + 2048, start + 2048));
    // It stands off a block in the ESP, and so once more before it.
    assert!(place("boot/initramfs.xz") < start);

    let disk = gpt::read(&blob).unwrap();
    assert_eq!(disk.flaws, [""; 0]);
    let mounted = read(&disk.disk.partitions[0].content).unwrap();
    let files: Vec<_> = mounted.tree.iter().filter(|(.., node)| node.content().is_some()).collect();
    let names: Vec<_> = files.iter().map(|(path, ..)| path.as_str()).collect();
    assert_eq!(names, ["boot/eltorito.img", "boot/grub/grub.cfg", "boot/initramfs.xz"]);
}

#[test]
fn joliet_and_plain_names_are_read_where_there_is_no_rock_ridge() {
    let mut tree = Tree::new();
    for name in ["d/A long name; of 2.txt", "d/Grüße", "README", "d/x.c"] {
        tree.insert(path(name), Node::file(name, 0o644));
    }
    let mut bytes = volume(&options(&tree, None)).unwrap().to_vec(MIB).unwrap();
    // Unmakes the mark of Rock Ridge in the root's first record.
    let start = bytes.windows(4).position(|at| at == b"SP\x07\x01").unwrap();
    bytes[start] = 0;
    let names = |bytes: &[u8]| {
        let found = read(&bytes.to_vec().into()).unwrap();
        found.tree.iter().skip(1).map(|(path, ..)| path.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(names(&bytes), ["README", "d", "d/A long name_ of 2.txt", "d/Grüße", "d/x.c"]);
    bytes[17 * 2048 + 88] = b'-';
    assert_eq!(names(&bytes), ["D", "D/A_LONG_NAME__OF_2.TXT", "D/GR__E", "D/X.C", "README"]);
}

#[test]
fn bytes_stand_where_the_specifications_say() {
    let mut tree = Tree::new();
    tree.insert(path("hello.txt"), Node::file("hi\n", 0o640));
    let blob = volume(&options(&tree, Some(Blob::zeros(40 * MIB)))).unwrap();
    assert_eq!(blob.len(), (128 << 10) + 40 * MIB + 150 * BLOCK);
    let block = |number: u64| blob.array::<2048>(number * BLOCK).unwrap();
    let primary = block(16);
    assert_eq!(primary[..8], *b"\x01CD001\x01\0");
    assert_eq!(primary[40..72], *b"TALOS_V1_11_0                   ");
    assert_eq!(primary[80..88], both_32(u32::try_from(blob.len() / BLOCK).unwrap()));
    assert_eq!(primary[813..830], *b"2023111422132000\0");
    assert_eq!(block(17)[..30], *b"\0CD001\x01EL TORITO SPECIFICATION");
    assert_eq!(block(18)[88..91], *b"%/E");
    assert_eq!(block(18)[40..46], *b"\0T\0A\0L");
    assert_eq!(block(19)[..7], *b"\xffCD001\x01");
    // 40 MiB are more sectors than 16 bits can say.
    let catalogue = block(48);
    assert_eq!(catalogue[..4], [1, 0xef, 0, 0]);
    assert_eq!(catalogue[28..40], [0xaa, 0x66, 0x55, 0xaa, 0x88, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(catalogue[40..44], 64u32.to_le_bytes());
    let root = u64::from(u32::from_le_bytes(primary[158..162].try_into().unwrap()));
    let directory = block(root);
    // Its own record says that there is Rock Ridge; the record above says less.
    let (first, second) = (usize::from(directory[0]), 34 + 36 + 26);
    assert_eq!(directory[34..41], *b"SP\x07\x01\xbe\xef\0");
    assert_eq!(usize::from(directory[first]), second);
    let file = &directory[first + second..];
    assert_eq!(file[10..18], both_32(3));
    assert_eq!(file[18..25], [123, 11, 14, 22, 13, 20, 0]);
    assert_eq!(file[32..44], *b"\x0bHELLO.TXT;1");
    assert_eq!(file[44..48], *b"PX\x24\x01");
    assert_eq!(file[48..56], both_32(0o100_640));
    let at = u64::from(u32::from_le_bytes(file[2..6].try_into().unwrap()));
    assert_eq!(block(at)[..3], *b"hi\n");
}

#[test]
fn a_catalogue_of_several_platforms_is_read_back() {
    let image = Blob::zeros(4 * BLOCK);
    let entries = [(Platform::Bios, 2), (Platform::Uefi, 3), (Platform::Other(1), 4)]
        .map(|(platform, block)| BootEntry::whole(platform, block, &image));
    let volume = Blob::concat([
        Blob::from(el_torito::catalogue(&entries)).padded_to(BLOCK),
        Blob::zeros(7 * BLOCK),
    ]);
    let found = el_torito::read(&volume, &el_torito::boot_record(0), volume.len()).unwrap();
    let read: Vec<_> = found.iter().map(|e| (e.platform, e.block, e.sectors)).collect();
    let written: Vec<_> = entries.iter().map(|e| (e.platform, e.block, e.sectors)).collect();
    assert_eq!(read, written);
    assert_eq!(found[1].content.len(), 4 * BLOCK);
}

#[test]
fn files_over_4_gib_have_several_extents_and_links_one_place() {
    let mut tree = Tree::new();
    let content = Blob::concat([Blob::from("start"), Blob::zeros(9 << 30), Blob::from("end")]);
    tree.insert(path("big"), Node::file(content.clone(), 0o644));
    tree.link(path("same"), &path("big")).unwrap();
    let blob = volume(&options(&tree, None)).unwrap();
    assert!(blob.len() < content.len() + MIB);
    let found = read(&blob).unwrap();
    for name in ["big", "same"] {
        let file = found.tree.file(name).unwrap();
        assert_eq!(file.len(), content.len());
        assert_eq!(file.array::<3>(content.len() - 3).unwrap(), *b"end");
    }
}

#[test]
fn what_a_volume_has_no_form_for_is_refused() {
    let tree = Tree::new();
    let refused = |volume_: &Volume<'_>| match volume(volume_).err().unwrap().fault() {
        Fault::Invalid(what) => what.clone(),
        fault => panic!("{fault:?}"),
    };
    let sound = options(&tree, None);
    assert!(refused(&Volume { volume_id: "é", ..sound.clone() }).contains("\"é\""));
    let long = "x".repeat(129);
    assert!(refused(&Volume { volume_set_id: &long, ..sound.clone() }).contains("volume set"));
    let mut tree = Tree::new();
    tree.insert(path("d/pipe"), Node { kind: crate::tree::NodeKind::Fifo, ..Node::symlink("") });
    assert!(refused(&Volume { tree: &tree, ..sound.clone() }).contains("d/pipe"));
    tree.insert(path("d/pipe"), Node::symlink("y/".repeat(2000)));
    assert!(refused(&Volume { tree: &tree, ..sound }).contains("link target"));
}

proptest! {
    #[test]
    fn hostile_bytes_never_panic(
        flips in proptest::collection::vec(
            // Descriptors, catalogue, tables, directories and what did not fit into them.
            (16usize..100, prop_oneof![0usize..256, 0usize..2048], any::<u8>()),
            1..12,
        ),
        len in 0usize..200_000,
    ) {
        static SOUND: OnceLock<Vec<u8>> = OnceLock::new();
        let sound = SOUND.get_or_init(|| {
            volume(&options(&example(), Some("esp".into()))).unwrap().to_vec(4 * MIB).unwrap()
        });
        let mut bytes = sound.clone();
        for (block, at, byte) in flips {
            bytes[block * 2048 + at] = byte;
        }
        let _ = read(&bytes.clone().into());
        bytes.truncate(len);
        let _ = read(&bytes.into());
    }
}

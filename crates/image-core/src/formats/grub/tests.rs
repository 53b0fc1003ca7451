//! Core images of fake files: bytes at the places that count, errors, hostile input.

use super::*;
use crate::{
    blob::Blob,
    formats::pe,
    tree::{Node, Tree, TreePath},
};
use object::{LittleEndian as LE, Object, ObjectSection, read::pe::PeFile64};
use proptest::prelude::*;

/// `normal` needs `crypto` twice over.
const MODULES: [(&str, &str); 5] = [
    ("part_gpt", ""),
    ("xfs", "fshelp"),
    ("fshelp", ""),
    ("normal", "crypto extcmd"),
    ("extcmd", "crypto"),
];
const CONTENTS: Contents<'_> = Contents {
    modules: &["part_gpt", "xfs", "normal"],
    prefix: "(hd0,gpt3)/grub",
    config: Some("set timeout=0\n"),
};

fn tree(platform: Platform) -> Tree {
    let modules = [&MODULES[..], &[("crypto", "")]].concat();
    fake::directory(platform, &modules).unwrap()
}

fn open(tree: &Tree, platform: Platform) -> crate::formats::Result<Directory> {
    let mut root = Tree::new();
    let path = TreePath::new("usr/lib/grub").unwrap();
    root.graft(&path, tree);
    Directory::read(&root, &path, platform)
}

fn image(tree: &Tree, platform: Platform) -> crate::formats::Result<Blob> {
    let directory = open(tree, platform)?;
    match platform {
        Platform::I386Pc => disk_image(&directory, &CONTENTS),
        _ => efi_image(&directory, &CONTENTS, Some("sbat,1,x\n"), 7),
    }
}

fn bytes(blob: &Blob) -> Vec<u8> {
    blob.to_vec(1 << 20).unwrap()
}

#[test]
fn what_is_put_in_is_read_back_on_every_platform() {
    for platform in Platform::ALL {
        let tree = tree(platform);
        let made = image(&tree, platform).unwrap();
        assert_eq!(bytes(&made), bytes(&image(&tree, platform).unwrap()));
        assert!(is_core(&made));
        let core = read(&made).unwrap();
        let names: Vec<_> = core.modules.iter().map(|module| &*module.name).collect();
        // What a module needs comes before it, the last of the list first.
        assert_eq!(names, ["part_gpt", "fshelp", "xfs", "crypto", "extcmd", "normal"]);
        assert_eq!(core.platform, platform);
        assert_eq!(core.prefix.as_deref(), Some("(hd0,gpt3)/grub"));
        assert_eq!(core.config.as_deref(), Some("set timeout=0\n"));
        assert_eq!(core.version.as_deref(), Some(fake::VERSION));
    }
}

#[test]
fn a_bios_core_image_has_its_lengths_and_places_where_its_code_reads_them() {
    let directory = open(&tree(Platform::I386Pc), Platform::I386Pc).unwrap();
    let core = disk_image(&directory, &CONTENTS).unwrap();
    let file = bytes(&core);
    let (head, loader) = (&file[..512], &file[512..]);
    let sectors = u16::try_from((file.len() - 512).div_ceil(512)).unwrap();
    assert_eq!(
        head[0x1f4..],
        [&2u64.to_le_bytes()[..], &sectors.to_le_bytes(), &[0x20, 8]].concat()
    );
    let packed = u32::try_from(loader.len() - 0x100).unwrap();
    assert_eq!(loader[8..12], packed.to_le_bytes());
    let len = u32::from_le_bytes(*loader[12..].first_chunk().unwrap());
    let payload = lzma::decompress(&loader[0x100..], len.try_into().unwrap()).unwrap();
    assert_eq!(loader[16..20], [0; 4], "no Reed-Solomon codes");
    // The kernel from 0x9000 on, without its zeros, then the modules.
    assert_eq!(payload[..4], [0xf4, 0xeb, 0xfd, 0]);
    let area = 0x10 + "mimg\0grub_register_command\0".len();
    let rest = u32::try_from(payload.len() - area).unwrap();
    assert_eq!(
        payload[area..][..12],
        *[*b"mimg", [12, 0, 0, 0], rest.to_le_bytes()].as_flattened()
    );
    assert_eq!(payload[area + 12..][..4], [0; 4]);
    assert_eq!(payload[payload.len() - 24..][..8], [3, 0, 0, 0, 24, 0, 0, 0]);

    let partition = bytes(&bios_partition(&core, 0x1_0000_0000, 1 << 20).unwrap());
    assert_eq!(partition.len(), 1 << 20);
    assert_eq!(partition[0x1f4..0x1fc], 0x1_0000_0001u64.to_le_bytes());
    assert_eq!(partition[..0x1f4], file[..0x1f4]);
    assert_eq!(partition[0x1fc..file.len()], file[0x1fc..]);
    assert_eq!(read(&partition.into()).unwrap().sector, Some(0x1_0000_0000));
    let error = bios_partition(&core, 1, core.len() - 1).unwrap_err().to_string();
    assert!(error.contains("core.img in its partition"), "{error}");

    let mut record = [0xee; 512];
    record[510..].copy_from_slice(&[0x55, 0xaa]);
    let new = boot_record(&directory, 2048, &record).unwrap();
    assert_eq!(new[0x5c..0x64], 2048u64.to_le_bytes());
    assert_eq!(new[0x66..0x68], [0x90; 2]);
    assert_eq!(new[0x1b8..], record[0x1b8..]);
    assert_eq!(new[0x68..0x180], [0; 0x118]);
    assert_eq!(core_sector(&new), Some(2048));
    assert_eq!(core_sector(&record), None);
}

#[test]
fn a_cd_core_image_is_told_its_block() {
    let directory = open(&tree(Platform::I386Pc), Platform::I386Pc).unwrap();
    let image = cd_image(&directory, &CONTENTS).unwrap();
    let placed = bytes(&cd_image_at(&image, 59).unwrap());
    let word = |at: usize| u32::from_le_bytes(*placed[at..].first_chunk().unwrap());
    assert_eq!([word(8), word(12), word(16)], [16, 59, u32::try_from(placed.len()).unwrap()]);
    let mut padded = placed[64..].to_vec();
    padded.resize(padded.len().next_multiple_of(4), 0);
    let words = padded.chunks_exact(4).map(|word| u32::from_le_bytes(*word.first_chunk().unwrap()));
    assert_eq!(word(20), words.fold(0, u32::wrapping_add));
    assert_eq!(placed[0x9f4..0x9fc], (60u64 * 4 + 1).to_le_bytes());
    let core = read(&placed.into()).unwrap();
    assert_eq!((core.is_for_cd, core.sector), (true, Some(240)));

    let record = hybrid_boot_record(&directory, 59, &[9; 512]).unwrap();
    assert_eq!(record[0x1b0..0x1b9], [240, 0, 0, 0, 0, 0, 0, 0, 9]);
    assert_eq!(core_sector(&record), Some(240));
}

#[test]
fn an_independent_reader_sees_a_uefi_program() {
    for platform in [Platform::X86_64Efi, Platform::Arm64Efi] {
        let file = bytes(&image(&tree(platform), platform).unwrap());
        let foreign = PeFile64::parse(&*file).unwrap();
        let header = foreign.nt_headers();
        assert_eq!(header.file_header.time_date_stamp.get(LE), 7);
        let machine = u16::from(platform.machine().unwrap());
        assert_eq!(header.file_header.machine.get(LE), machine);
        assert_eq!(header.optional_header.size_of_image.get(LE) as usize, file.len());
        assert_eq!(header.optional_header.dll_characteristics.get(LE), 0x100);
        assert_eq!(foreign.entry(), 0x1000);
        let names: Vec<_> = foreign.sections().map(|s| s.name().unwrap().to_owned()).collect();
        assert_eq!(names, [".text", ".data", "mods", ".sbat", ".reloc"]);
        assert!(foreign.section_by_name("mods").unwrap().data().unwrap().starts_with(b"mimg"));
        let text = foreign.section_by_name(".text").unwrap().data().unwrap();
        let code = pe::fake::return_success(platform.machine().unwrap());
        assert!(text.starts_with(code));
        // `.rodata`, then `.data` at 0x201b with the address of `_start` in it.
        let mut blocks = foreign
            .data_directories()
            .relocation_blocks(&*file, &foreign.section_table())
            .unwrap()
            .unwrap();
        let block = blocks.next().unwrap().unwrap();
        let found: Vec<_> = block.filter(|place| place.typ == 10).collect();
        assert_eq!(found.len(), 1);
        let at = found[0].virtual_address as usize;
        assert_eq!(at, 0x2000 + "mimg\0grub_register_command\0".len() + 8);
        assert_eq!(file[at..at + 8], 0x1000u64.to_le_bytes());
        assert!(blocks.next().unwrap().is_none());
    }
}

type Change<'a> = &'a dyn Fn(&mut Tree);

#[test]
fn whatever_is_wrong_with_a_directory_is_told_with_the_file() {
    let pc = Platform::I386Pc;
    let path = |name: &str| TreePath::new(name).unwrap();
    let cases: [(&str, Change<'_>, &str); 16] = [
        ("kernel.img", &|tree| tree.remove(&path("kernel.img")), "it is missing"),
        ("moddep.lst", &|tree| tree.remove(&path("moddep.lst")), "it is missing"),
        ("diskboot.img", &|tree| tree.remove(&path("diskboot.img")), "it is missing"),
        ("crypto.mod", &|tree| tree.remove(&path("crypto.mod")), "missing, and extcmd needs it"),
        ("moddep.lst", &|tree| put(tree, "moddep.lst", b"xfs:\nnormal\n"), "line 2 has no colon"),
        ("moddep.lst", &|tree| put(tree, "moddep.lst", b"part_gpt:\n"), "not know the module xfs"),
        (
            "moddep.lst",
            &|tree| put(tree, "moddep.lst", b"part_gpt:\nxfs: fshelp\nfshelp: xfs\n"),
            "xfs needs fshelp, which needs xfs",
        ),
        ("xfs.mod", &|tree| put(tree, "xfs.mod", b"MZ"), "no little-endian ELF"),
        (
            "kernel.img",
            &|tree| copy(tree, "kernel.img", &fake::directory(Platform::Arm64Efi, &[]).unwrap()),
            "it is not for i386-pc",
        ),
        (
            "xfs.mod",
            &|tree| put(tree, "xfs.mod", &fake::module(pc, "ext2", "fshelp")),
            "it is not the module xfs",
        ),
        (
            "xfs.mod",
            &|tree| put(tree, "xfs.mod", &fake::module(pc, "xfs", "fshelp extcmd")),
            "it needs other modules than moddep.lst says",
        ),
        (
            "fshelp.mod",
            &|tree| {
                let mut module = fake::module(pc, "fshelp", "");
                let at = module.windows(8).position(|name| name == b"_command").unwrap();
                module[at..at + 8].copy_from_slice(b"_newness");
                put(tree, "fshelp.mod", &module);
            },
            "no module it needs has grub_register_newness, nor has kernel.img",
        ),
        (
            "xfs.mod",
            &|tree| put(tree, "xfs.mod", &fake::module_of(pc, "xfs", "fshelp", fake::VARIABLES)),
            "most other modules were built otherwise; is it of another GRUB than",
        ),
        (
            "xfs.mod",
            &|tree| copy(tree, "xfs.mod", &self::tree(Platform::X86_64Efi)),
            "it is not for i386-pc",
        ),
        (
            "normal.mod",
            &|tree| put(tree, "modinfo.sh", b"grub_package_version=\"2.06\"\n"),
            "modinfo.sh says 2.06, which it is not",
        ),
        (
            "lzma_decompress.img",
            &|tree| put(tree, "lzma_decompress.img", b"\xbf\0\0\x10\0\xbe\0\x83\0\0 "),
            "it is no loader",
        ),
    ];
    for (file, change, expected) in cases {
        let mut tree = tree(pc);
        change(&mut tree);
        let error = image(&tree, pc).unwrap_err().to_string();
        assert!(error.starts_with(&format!("GRUB: usr/lib/grub/{file}: ")), "{error}");
        assert!(error.contains(expected), "{expected}: {error}");
    }
    let error = Directory::read(&Tree::new(), &path("usr"), pc).unwrap_err().to_string();
    assert_eq!(error, "GRUB: usr: there is no such directory");
    let directory = open(&tree(pc), pc).unwrap();
    let refuse =
        |contents: Contents<'_>| disk_image(&directory, &contents).unwrap_err().to_string();
    let error = refuse(Contents { modules: &["part_gtp"], ..CONTENTS });
    assert!(error.ends_with("part_gtp.mod: there is no such module"));
    assert!(refuse(Contents { prefix: "", ..CONTENTS }).contains("prefix"));
    assert!(refuse(Contents { config: Some("a\0"), ..CONTENTS }).contains("configuration"));
    assert!(efi_image(&directory, &CONTENTS, None, 0).is_err());
    let mut noise = 1u32;
    let random = std::iter::repeat_with(|| {
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        char::from(33 + u8::try_from(noise >> 26).unwrap())
    });
    let config: String = random.take(700_000).collect();
    let error = refuse(Contents { config: Some(&config), ..CONTENTS });
    assert!(error.contains("core.img needs") && error.contains("room for 491520"), "{error}");
}

fn put(tree: &mut Tree, name: &str, content: &[u8]) {
    tree.insert(TreePath::new(name).unwrap(), Node::file(content.to_vec(), 0o644));
}

fn copy(tree: &mut Tree, name: &str, from: &Tree) {
    tree.insert(
        TreePath::new(name).unwrap(),
        from.get(&TreePath::new(name).unwrap()).unwrap().clone(),
    );
}

#[test]
fn what_is_no_core_image_is_none() {
    let others = [
        Blob::empty(),
        Blob::zeros(1 << 20),
        Blob::from(vec![0x90; 3000]),
        pe::fake::stub(pe::Machine::Amd64).into(),
    ];
    for other in others {
        assert!(!is_core(&other));
        let error = read(&other).unwrap_err().to_string();
        assert_eq!(error, "GRUB: this is no core image");
    }
}

proptest! {
    #[test]
    fn hostile_core_images_never_panic(
        which in 0usize..3, at in 0usize..0x4000, new: [u8; 4], cut in 0u64..0x7000,
    ) {
        let platform = Platform::ALL[which];
        let made = image(&tree(platform), platform).unwrap();
        let mut file = bytes(&made);
        let at = at % (file.len() - 4);
        file[at..at + 4].copy_from_slice(&new);
        let _ = read(&file.into());
        let _ = read(&made.slice(0..cut));
    }

    #[test]
    fn hostile_directories_never_panic(
        which in 0usize..3, file in 0usize..3, at in 0usize..0x400, new: [u8; 4], cut in 0u64..0x400,
    ) {
        let platform = Platform::ALL[which];
        let name = TreePath::new(["kernel.img", "xfs.mod", "normal.mod"][file]).unwrap();
        let whole = tree(platform).get(&name).unwrap().content().unwrap().clone();
        let mut changed = bytes(&whole);
        let at = at % (changed.len() - 4);
        changed[at..at + 4].copy_from_slice(&new);
        for content in [changed.into(), whole.slice(0..cut)] {
            let mut tree = tree(platform);
            tree.insert(name.clone(), Node::file(content, 0o644));
            let _ = image(&tree, platform);
        }
    }
}

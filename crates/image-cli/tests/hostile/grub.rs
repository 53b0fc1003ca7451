//! Releases whose GRUB files are not what they should be, and disks that GRUB has to start.

use super::*;
use image_core::formats::grub::{self, Platform};

/// What is done to a release.
type Edit<'a> = &'a dyn Fn(&mut Tree);

#[test]
fn releases_whose_grub_starts_nothing() {
    let rig = Rig::new();
    let pc = |file: &str| path(&format!("usr/lib/grub/i386-pc/{file}"));
    let content =
        |tree: &Tree, name: &str| tree.file(pc(name).as_str()).unwrap().to_vec(1 << 22).unwrap();
    let put = |tree: &mut Tree, name: &str, content: Vec<u8>| {
        tree.insert(pc(name), Node::file(content, 0o644));
    };
    let noise = || {
        let mut state = 1u32;
        std::iter::repeat_with(move || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_be_bytes()[0]
        })
    };
    let rows: [(&str, Edit<'_>, i32, &[&str]); 11] = [
        ("kernel", &|tree| tree.remove(&pc("kernel.img")), 5, &["/kernel.img: it is missing"]),
        ("list", &|tree| tree.remove(&pc("moddep.lst")), 5, &["/moddep.lst: it is missing"]),
        ("boot", &|tree| tree.remove(&pc("boot.img")), 5, &["/boot.img: it is missing"]),
        ("loader", &|tree| tree.remove(&pc("lzma_decompress.img")), 5, &["decompress.img: it is"]),
        ("module", &|tree| tree.remove(&pc("xfs.mod")), 5, &["/xfs.mod: there is no such module"]),
        (
            "needs",
            &|tree| {
                let list = String::from_utf8(content(tree, "moddep.lst")).unwrap();
                let list = list.replace("xfs: ", "xfs: fshelp") + "fshelp: \n";
                put(tree, "moddep.lst", list.into_bytes());
            },
            5,
            &["/fshelp.mod: it is missing, and xfs needs it"],
        ),
        (
            "version",
            &|tree| put(tree, "modinfo.sh", b"grub_package_version=\"2.06-13\"\n".to_vec()),
            5,
            &["/normal.mod: modinfo.sh says 2.06-13, which it is not; is it of another GRUB"],
        ),
        (
            "platform",
            &|tree| {
                let other = grub::fake::directory(Platform::X86_64Efi, &[("xfs", "")]).unwrap();
                let other = other.file("xfs.mod").unwrap().to_vec(1 << 20).unwrap();
                put(tree, "xfs.mod", other);
            },
            5,
            &["/xfs.mod: it is not for i386-pc; is it of another GRUB"],
        ),
        (
            "symbol",
            &|tree| {
                let mut module = content(tree, "xfs.mod");
                let at = module.windows(8).position(|name| name == b"_command").unwrap();
                module[at..at + 8].copy_from_slice(b"_newness");
                put(tree, "xfs.mod", module);
            },
            5,
            &["/xfs.mod: no module it needs has grub_register_newness, nor has kernel.img"],
        ),
        (
            "cut",
            &|tree| {
                let cut = content(tree, "xfs.mod")[..100].to_vec();
                put(tree, "xfs.mod", cut);
            },
            5,
            &["/xfs.mod: its section"],
        ),
        (
            "huge",
            &|tree| {
                let module = content(tree, "xfs.mod").into_iter().chain(noise().take(700_000));
                put(tree, "xfs.mod", module.collect());
            },
            5,
            &["core.img needs ", " bytes, there is room for 491520"],
        ),
    ];
    for (name, edit, code, says) in rows {
        let mut release = fake::release().unwrap();
        edit(&mut release);
        let imager = format!("siderolabs/imager:{VERSION}");
        rig.layout(
            name,
            &[fake::image(&imager, &release, &Arch::ALL, Encoding::Gzip).unwrap()],
            |_| {},
        );
        let line = format!("build metal --bootloader dual-boot --source oci:{{dir}}/{name}");
        let says = [&["release siderolabs/imager", "--bootloader sd-boot"], says].concat();
        rig.refuses(&[(&line, code, &says)]);
    }
    // As large as you like: it is a hole.
    let mut tree = Tree::new();
    tree.insert(path("big"), Node::file(Blob::zeros(3 << 30), 0o644));
    rig.put("big", cpio::archive(&tree, 0).unwrap());
    rig.refuses(&[(
        "build metal --bootloader grub --initramfs {dir}/big",
        7,
        &["the partition BOOT, which has", "too many: leave out extensions"],
    )]);
}

/// A disk that was damaged is still shown; what is wrong with it is in the report.
#[test]
fn a_damaged_disk_is_shown_with_its_flaws() {
    let rig = Rig::new();
    let (name, _) = rig.built("build metal --bootloader grub");
    let file = rig.out().join(&name);
    let whole = Blob::open(&file).unwrap();
    let boot = image_core::formats::gpt::read(&whole).unwrap().disk.partitions.remove(2);
    let disk = fs::File::options().write(true).open(&file).unwrap();
    disk.write_all_at(&[7], boot.start.unwrap() + 8).unwrap();
    let flaw = "partition 3 BOOT: XFS";

    let seen = rig.command("inspect {dir}/out/metal-amd64.raw --json").output().unwrap();
    assert_eq!(seen.status.code(), Some(0), "{seen:?}");
    let report = String::from_utf8(seen.stdout).unwrap();
    assert!(report.contains(&format!("\"flaws\":[\"{flaw}")), "{report}");
    assert!(report.contains("\"label\":\"META\"") && !report.contains("vmlinuz"));

    let listed = rig.command("extract {dir}/out/metal-amd64.raw").output().unwrap();
    assert_eq!(listed.status.code(), Some(0), "{listed:?}");
    let (parts, said) = (String::from_utf8(listed.stdout), String::from_utf8(listed.stderr));
    assert!(parts.unwrap().contains("partitions/BOOT"));
    let said = said.unwrap();
    assert!(said.starts_with("warning: ") && said.contains(flaw), "{said}");
    let refused = rig.command("extract {dir}/out/metal-amd64.raw boot/A/vmlinuz").output().unwrap();
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
}

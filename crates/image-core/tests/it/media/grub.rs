//! Media that GRUB starts, whole and damaged.

use super::*;

/// ISOs that boot through GRUB: on a BIOS beside systemd-boot, or on both.
#[test]
fn isos_with_grub() {
    const FILES: [&str; 3] = ["boot/grub/grub.cfg", "boot/initramfs.xz", "boot/vmlinuz"];
    const IMAGE: &str = "boot/grub/i386-pc/eltorito.img";
    for (arch, version) in
        [(Arch::Amd64, VERSION), (Arch::Amd64, "v1.9.0"), (Arch::Arm64, "v1.9.0")]
    {
        let request = format!(
            "baseProfileName: iso\narch: {arch}\n\
             customization: {{extraKernelArgs: ['u=http://x/?m=${{mac}}&s=1']}}"
        );
        let medium = build_of(version, &request, &Choices::default());
        let Medium::Iso(iso) = examine::inspect(&medium, &Scratch::new("")).unwrap().medium else {
            panic!()
        };
        assert_eq!(iso.flaws, [""; 0]);
        let platforms: Vec<_> = iso.boot_entries.iter().map(|it| it.platform.as_str()).collect();
        let esp = iso.esp.as_ref().unwrap();
        let record = medium.array(0).unwrap();
        let mut expected = FILES.to_vec();
        if arch == Arch::Amd64 {
            expected.insert(1, IMAGE);
            assert_eq!(platforms, ["BIOS", "UEFI"]);
            let core = formats::grub::read(&medium.slice(iso.boot_entries[0].offset..medium.len()));
            let core = core.unwrap();
            assert!(core.is_for_cd && core.config.is_none());
            assert_eq!(core.prefix.as_deref(), Some("/boot/grub"));
            assert!(core.modules.iter().any(|it| it.name == "iso9660"));
            let sector = formats::grub::core_sector(&record);
            assert_eq!(sector, Some(iso.boot_entries[0].offset / 512 + 4));
            assert_eq!(core.sector, sector);
            let table = mbr::read(&medium).unwrap();
            assert_eq!(table.iter().map(|it| it.kind).collect::<Vec<_>>(), [mbr::PROTECTIVE]);
        } else {
            assert_eq!(platforms, ["UEFI"]);
            assert_eq!(formats::grub::core_sector(&record), None);
        }
        let uefi = iso.boot_entries.last().unwrap().offset;
        let parts = parts(&medium);
        let position = |name: &str| {
            let part = examine::parts(&medium, &Scratch::new("")).unwrap().parts.into_iter();
            medium.position_of(&part.into_iter().find(|part| part.name == name).unwrap().blob)
        };
        if version == VERSION {
            let files = vec!["loader/loader.conf", "loader/random-seed"];
            check_esp(esp, arch, files, &medium);
            // Both bootloaders start the same bytes.
            for (file, part) in
                [("iso/boot/vmlinuz", "kernel"), ("iso/boot/initramfs.xz", "initramfs")]
            {
                assert_eq!(position(file), position(part));
                assert!(position(file).unwrap() > uefi);
            }
        } else {
            let [program] = &esp.files[..] else { panic!("{esp:?}") };
            let grub = program.grub.as_ref().unwrap();
            let marker = iso.files[0].path.clone();
            assert!(marker.starts_with(".disk/"), "{marker}");
            let expected_config = format!(
                "search --no-floppy --file --set=root /{marker}\nset prefix=($root)/boot/grub\n"
            );
            assert_eq!(grub.config.as_deref(), Some(expected_config.as_str()));
            assert!(position("kernel").unwrap() < uefi);
            expected.insert(0, &marker);
            let found: Vec<_> = iso.files.iter().map(|it| it.path.as_str()).collect();
            assert_eq!(found, expected);
        }
        assert_eq!(parts["kernel"], asset(arch, "vmlinuz"));
        assert_eq!(parts["iso/boot/vmlinuz"], parts["kernel"]);
        assert_eq!(parts["iso/boot/initramfs.xz"], parts["initramfs"]);
        assert!(parts["cmdline"].ends_with(b"u=http://x/?m=${mac}&s=1"));
        let config = String::from_utf8(parts["iso/boot/grub/grub.cfg"].clone()).unwrap();
        assert!(config.contains(r"u=http://x/?m=\$\{mac\}\&s=1 talos.experimental.wipe=system"));
    }
}

/// An ISO no BIOS starts is said to be so, and all else of it is shown.
#[test]
fn an_iso_whose_grub_is_damaged_is_told_so() {
    let medium = build("baseProfileName: iso\narch: amd64");
    let whole = bytes(&medium);
    let (core, config) = (49 * 2048, whole.windows(9).position(|it| it == b"Talos ISO").unwrap());
    for (at, said) in [
        (0x1b0, "El Torito BIOS entry: the boot record starts GRUB in sector "),
        (0x180, "El Torito BIOS entry: the boot record is not GRUB's: no BIOS starts it"),
        (
            core + 2048 + 0x1f4,
            "El Torito BIOS entry: the GRUB core image takes itself to be elsewhere",
        ),
        (core + 2048 + 512, "the boot record is GRUB's, and its core image is nowhere"),
        (config, "ISO 9660: boot/grub/grub.cfg: it is no text (UTF-8)"),
    ] {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x80;
        let Medium::Iso(iso) = examine::inspect(&damaged.into(), &Scratch::new("")).unwrap().medium
        else {
            panic!()
        };
        assert!(iso.flaws.iter().any(|flaw| flaw.starts_with(said)), "{said}: {:?}", iso.flaws);
        assert!(iso.esp.is_some() && iso.files.len() == 4);
    }
    // Nor is it passed over that there is nothing for UEFI, or no table.
    let Medium::Iso(iso) = examine::describe(&medium).unwrap() else { panic!() };
    let esp = usize::try_from(iso.boot_entries[1].offset).unwrap();
    for (at, said) in [
        (esp, "EFI system partition: there is no FAT volume"),
        (1024, "the primary table is damaged"),
    ] {
        let mut damaged = whole.clone();
        damaged[at..at + 512].fill(0xa5);
        let Medium::Iso(iso) = examine::describe(&damaged.into()).unwrap() else { panic!() };
        assert!(iso.flaws.iter().any(|flaw| flaw.contains(said)), "{said}: {:?}", iso.flaws);
    }
}

/// Disks that boot through GRUB, on a BIOS or on UEFI.
#[test]
fn disks_with_grub() {
    const MODULES: [&str; 3] = ["normal", "linux", "xfs"];
    let metal = |arch: Arch, version, options: &str| {
        let request = format!(
            "baseProfileName: metal\narch: {arch}\noutput: {{outFormat: raw{options}}}\n\
             customization: {{extraKernelArgs: ['u=http://x/?m=${{mac}}&s=1']}}"
        );
        build_of(version, &request, &Choices::default())
    };
    let sectors = ", imageOptions: {diskSectorSize: 4096, bootloader: dual-boot}";
    for (arch, version, options, labels) in [
        (Arch::Amd64, VERSION, "", &["EFI", "BIOS", "BOOT", "META"][..]),
        (Arch::Amd64, "v1.9.0", sectors, &["EFI", "BIOS", "BOOT", "META"]),
        (Arch::Amd64, "v1.9.0", "", &["EFI", "BIOS", "BOOT", "META"]),
        (Arch::Amd64, "v1.2.0", "", &["EFI", "BIOS", "BOOT", "META", "STATE", "EPHEMERAL"]),
        (Arch::Arm64, "v1.9.0", "", &["EFI", "BIOS", "BOOT", "META"]),
    ] {
        let medium = metal(arch, version, options);
        let Medium::Disk(disk) = examine::describe(&medium).unwrap() else { panic!() };
        assert_eq!(disk.flaws, [""; 0]);
        let found: Vec<_> = disk.partitions.iter().map(|it| it.label.as_str()).collect();
        assert_eq!(found, labels, "{version}");
        let [efi, bios, boot, ..] = &disk.partitions[..] else { panic!() };

        let has_modules = |grub: &Grub, platform: &str| {
            assert_eq!(grub.platform, platform);
            assert_eq!(grub.prefix.as_deref(), Some("(hd0,gpt3)/grub"));
            assert_eq!(grub.version.as_deref(), Some(formats::grub::fake::VERSION));
            assert!(MODULES.iter().all(|name| grub.modules.iter().any(|it| it == name)));
        };
        let record = medium.array(0).unwrap();
        if arch == Arch::Amd64 {
            has_modules(bios.grub.as_ref().unwrap(), "i386-pc");
            let sector = bios.offset / u64::from(disk.sector_size);
            assert_eq!(formats::grub::core_sector(&record), Some(sector));
            let core = formats::grub::read(&medium.slice(bios.offset..bios.offset + bios.size));
            assert_eq!(core.unwrap().sector, Some(sector));
            let table = mbr::read(&medium).unwrap();
            assert_eq!(table.iter().map(|it| it.kind).collect::<Vec<_>>(), [mbr::PROTECTIVE]);
        } else {
            assert!(bios.grub.is_none());
            assert_eq!(formats::grub::core_sector(&record), None);
        }
        let esp = &efi.volume.as_ref().unwrap().files;
        if version == VERSION || options == sectors {
            assert!(esp.iter().any(|file| file.uki.is_some()), "{esp:?}");
        } else {
            let [program] = &esp[..] else { panic!("{esp:?}") };
            let platform = if arch == Arch::Amd64 { "x86_64-efi" } else { "arm64-efi" };
            has_modules(program.grub.as_ref().unwrap(), platform);
        }
        let shown: Vec<_> = disk.meta.iter().map(|it| (it.key, it.value.as_deref())).collect();
        let expected = (version == VERSION).then_some((17, Some("dual-boot")));
        assert_eq!(shown, Vec::from_iter(expected));

        let volume = boot.volume.as_ref().unwrap();
        assert_eq!((volume.format.as_str(), volume.label.as_str()), ("XFS", "BOOT"));
        assert_eq!(volume.serial, "24c73076-4092-85dd-9d98-686a2dbf6d81");
        let files: Vec<_> = volume.files.iter().map(|it| it.path.as_str()).collect();
        assert_eq!(files, ["A/initramfs.xz", "A/vmlinuz", "grub/grub.cfg"]);
        let config = volume.files[2].text.as_ref().unwrap();
        assert!(config.contains(&format!("set default=\"A - Talos {version}\"\n")), "{config}");
        let linux = config.lines().find(|line| line.starts_with("  linux /A/vmlinuz ")).unwrap();
        assert!(linux.ends_with(r"u=http://x/?m=\$\{mac\}\&s=1"), "{linux}");

        let parts = parts(&medium);
        assert_eq!(parts["kernel"], asset(arch, "vmlinuz"));
        assert_eq!(parts["boot/A/vmlinuz"], parts["kernel"]);
        assert_eq!(parts["boot/A/initramfs.xz"], parts["initramfs"]);
        assert!(parts["cmdline"].ends_with(b"u=http://x/?m=${mac}&s=1"));
        assert!(asset(arch, "initramfs.xz").starts_with(&parts["segments/1.cpio"]));
    }
}

/// What of a disk is damaged is told, and all else is shown.
#[test]
fn damage_to_grub_hides_nothing_else() {
    let request = "baseProfileName: metal\narch: amd64\noutput: {outFormat: raw}";
    let whole = build_of("v1.9.0", request, &Choices::default());
    let Medium::Disk(sound) = examine::describe(&whole).unwrap() else { panic!() };
    assert_eq!(sound.flaws, [""; 0]);
    let [efi, bios, boot, ..] = &sound.partitions[..] else { panic!() };
    let find = |from: u64, text: &[u8]| {
        let bytes = whole.slice(from..from + (32 << 20)).to_vec(32 << 20).unwrap();
        from + bytes.windows(text.len()).position(|found| found == text).unwrap() as u64
    };
    let (menu, program) =
        (find(boot.offset, b"  linux /A/vmlinuz "), find(efi.offset, b"mimg\0\0\0\0"));
    let image = find(efi.offset, b"MZ");
    let word = |at: u64| u32::from_le_bytes(whole.array(at).unwrap());
    let unpacked = word(bios.offset + 512 + 12);
    let cases: [(u64, &[u8], &str); 14] = [
        (0x5c, &[9], "partition 2 BIOS: the boot record starts GRUB in sector"),
        (0x180, b"BURG", "partition 2 BIOS: the boot record is not GRUB's"),
        (bios.offset + 512, &[0; 5], "the boot record is GRUB's, and its core image is nowhere"),
        (bios.offset + 0x1f4, &[9], "partition 2 BIOS: the GRUB core image takes itself to be"),
        (bios.offset + 524, &[0xff; 4], "partition 2 BIOS: GRUB: at byte 524: it unpacks to more"),
        (bios.offset + 524, &(unpacked + 9999).to_le_bytes(), "does not unpack to"),
        (bios.offset + 520, &[0; 500], "partition 2 BIOS: GRUB: at byte"),
        (program + 8, &[0xff; 4], "partition 1 EFI: EFI/boot/BOOTX64.efi: GRUB: at byte"),
        (image + 0x3c, &[0xff; 4], "partition 1 EFI: EFI/boot/BOOTX64.efi: PE"),
        (efi.offset + 11, &[0xff; 2], "partition 1 EFI: FAT"),
        (boot.offset + 8, &[7], "partition 3 BOOT: XFS"),
        (boot.offset + 4, &[0xff; 4], "partition 3 BOOT: XFS"),
        (menu, &[0xff], "partition 3 BOOT: grub/grub.cfg: it is no text"),
        (menu + 9, b"B", "partition 3 BOOT: grub/grub.cfg: it loads /B/vmlinuz, which is not"),
    ];
    for (at, new, says) in cases {
        let disk = with_bytes(&whole, at, new);
        let Medium::Disk(found) = examine::describe(&disk).unwrap() else { panic!() };
        assert!(
            matches!(&found.flaws[..], [flaw] if flaw.contains(says)),
            "{says}: {:?}",
            found.flaws
        );
        for (before, after) in sound.partitions.iter().zip(&found.partitions) {
            assert_eq!((&before.label, before.offset), (&after.label, after.offset));
            if !says.contains(&before.label) {
                let [before, after] = [before, after].map(|it| it.volume.as_ref());
                assert_eq!(before.map(|it| it.files.len()), after.map(|it| it.files.len()));
            }
        }
        let taken = examine::parts(&disk, &Scratch::new("")).unwrap();
        assert!(taken.parts.iter().any(|part| part.name == "partitions/BOOT"));
        assert_eq!(taken.flaws.is_empty(), !["FAT", "XFS"].iter().any(|it| says.contains(it)));
    }
    // Anywhere in what GRUB reads, bits that flip.
    let mut seed = 1u64;
    let mut random = |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below
    };
    for round in 0..32 {
        let (start, len) = [
            (0, 446),
            (bios.offset, 32 << 10),
            (efi.offset, 2 << 20),
            (boot.offset, [4 << 10, 64 << 10, 1 << 20][round / 4 % 3]),
        ][round % 4];
        let mut disk = whole.clone();
        for _ in 0..=random(4) {
            let at = start + random(len);
            let [byte] = disk.array(at).unwrap();
            disk = with_bytes(&disk, at, &[byte ^ 1 << random(8)]);
        }
        let taken = examine::parts(&disk, &Scratch::new("")).unwrap();
        for label in ["EFI", "BIOS", "BOOT", "META"] {
            assert!(taken.parts.iter().any(|it| it.name == format!("partitions/{label}")));
        }
        if round < 4 {
            let Medium::Disk(found) = examine::describe(&disk).unwrap() else { panic!() };
            assert_eq!(found.partitions.len(), 4);
        }
    }
}

fn with_bytes(whole: &Blob, at: u64, new: &[u8]) -> Blob {
    let end = at + new.len() as u64;
    Blob::concat([whole.slice(0..at), new.to_vec().into(), whole.slice(end..whole.len())])
}

#[test]
fn a_release_without_grub_is_named_with_what_needs_none() {
    let directory = TreePath::new("usr/lib/grub/i386-pc").unwrap();
    let mut release = fake::release().unwrap();
    release.remove(&directory.join("xfs.mod").unwrap());
    let error = refused(&release);
    assert!(
        error.ends_with(
            ": GRUB: usr/lib/grub/i386-pc/xfs.mod: there is no such module: name another by \
             --release-image, or ask for --bootloader sd-boot, which needs no GRUB"
        ),
        "{error}"
    );
    release.clear(&directory);
    release.remove(&directory);
    let error = refused(&release);
    assert!(error.starts_with("release siderolabs/imager:v1.11.0@sha256:"), "{error}");
    assert!(
        error.ends_with(
            " has no directory usr/lib/grub/i386-pc with GRUB's files: name another by \
             --release-image, or ask for --bootloader sd-boot, which needs none"
        ),
        "{error}"
    );
}

/// Why no disk with two bootloaders is made of `release`.
fn refused(release: &Tree) -> String {
    let image = fake::image("siderolabs/imager:v1.11.0", release, &Arch::ALL, Encoding::Plain);
    let layout = Layout::tree("oci:fake", oci::layout(&[image.unwrap()]).unwrap()).unwrap();
    let sources = Set::new(vec![Arc::new(layout)]);
    let request = "baseProfileName: metal\narch: amd64\nversion: v1.11.0\n\
                   output: {outFormat: raw}";
    let profile = Profile::from_yaml(request).unwrap();
    let choices = Choices::default();
    let plan = Plan::new(plan::resolve(&profile, &choices, &sources).unwrap(), &choices).unwrap();
    let (scratch, threads) = (Scratch::new(""), NonZeroUsize::MIN);
    let cx = Context {
        sources: &sources,
        scratch: &scratch,
        threads,
        observer: &Silent,
        signers: Signers::default(),
    };
    let error = assemble::execute(&plan, &cx).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Source);
    error.to_string()
}

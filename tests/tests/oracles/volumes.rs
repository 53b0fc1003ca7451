//! Disks, EFI system partitions and ISOs.

use super::*;
use std::ffi::OsStr;

#[test]
fn disks_have_talos_s_partitions() {
    for (disk, arch, sector) in &media().disks {
        assert_eq!(fs::metadata(disk).unwrap().len(), 2246 * MIB, "{arch}");
        let (guid, rows) = partitions(disk, *sector);
        assert_eq!(guid, "D92D45B3-CDE9-8760-BE9F-A2A71FAC8D11");
        let row = |start: u64, size: u64, kind: &str, guid: &str, name: &str| {
            (start * MIB, size * MIB, kind.to_owned(), guid.to_owned(), name.to_owned())
        };
        let esp = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B";
        let data = "0FC63DAF-8483-4772-8E79-3D69D8477DE4";
        let expected = [
            row(1, 2101, esp, "BCA5174B-0118-8A6A-AF0B-2C6E1585ACAE", "EFI"),
            row(2102, 1, data, "CF04F137-101E-8EC6-9627-FA3F51CDABB8", "META"),
        ];
        assert_eq!(rows, expected, "{arch}, sectors of {sector} bytes");
    }
    let disks = [&media().disks[0].0, &media().disks[2].0];
    for disk in disks.into_iter().chain(&media().isos) {
        let said = text("sgdisk", &["-v".as_ref(), disk.as_os_str()]);
        assert!(said.contains("No problems found"), "{said}");
        let said = text("sfdisk", &["-V".as_ref(), disk.as_os_str()]);
        assert!(said.contains("No errors detected"), "{said}");
    }
}

#[test]
fn efi_system_partitions_hold_what_talos_looks_for() {
    let dir = tempfile::tempdir().unwrap();
    let media = media();
    let disks = media.disks.iter().map(|(disk, arch, sector)| (disk, *arch, *sector, "boot"));
    let isos = media.isos[..2].iter().map(|iso| (iso, "amd64", 512, "BOOT"));
    for (medium, arch, sector, boot) in disks.chain(isos) {
        let (_, rows) = partitions(medium, sector);
        let (offset, len, ..) = rows.iter().find(|row| row.4 == "EFI").unwrap();
        let esp = cut(medium, *offset, *len, &dir.path().join("esp"));
        let esp = esp.to_str().unwrap();
        let said = text("fsck.vfat", &["-n", "-v", esp]);
        assert!(said.contains("32 bit entries"), "no FAT32: {said}");
        assert!(said.contains(&format!("{sector} bytes per logical sector")), "{said}");
        assert!(text("mlabel", &["-s", "-i", esp, "::"]).contains("Volume label is EFI"));

        let (loader, extension) = match (arch, boot) {
            ("amd64", "BOOT") => ("BOOTX64", "EFI"),
            ("amd64", _) => ("BOOTX64", "efi"),
            _ => ("BOOTAA64", "efi"),
        };
        let loader = format!("::/EFI/{boot}/{loader}.{extension}");
        let uki = "::/EFI/Linux/Talos-v1.12.0.efi";
        let mut expected = vec!["::/EFI/", "::/EFI/Linux/", "::/loader/", "::/loader/loader.conf"];
        let directory = format!("::/EFI/{boot}/");
        expected.extend([uki, &loader, &directory]);
        let mut conf = "timeout 10\n".to_owned();
        if boot == "BOOT" {
            expected.push("::/loader/random-seed");
            conf += "secure-boot-enroll off\n";
            let said = text("mattrib", &["-i", esp, "::/loader/random-seed"]);
            assert!(said.split_whitespace().any(|word| word == "R"), "not read-only: {said}");
            let seed = tool("mtype", &["-i", esp, "::/loader/random-seed"]).stdout;
            assert_eq!(seed, [0; 32]);
        }
        let listing = text("mdir", &["-b", "-a", "-/", "-i", esp, "::"]);
        let mut listing: Vec<_> = listing.lines().filter(|line| !line.is_empty()).collect();
        listing.sort_unstable();
        expected.sort_unstable();
        assert_eq!(listing, expected);
        assert_eq!(text("mtype", &["-i", esp, "::/loader/loader.conf"]), conf);
        let loader = tool("mtype", &["-i", esp, &loader]).stdout;
        let release = fs::read(part(&format!("{arch}/systemd-boot.efi"))).unwrap();
        assert!(loader == release, "systemd-boot is changed");
        let uki = tool("mtype", &["-i", esp, uki]).stdout;
        stored_once(medium, &uki, loader.len());
    }
}

/// The UKI lies in the medium as one run of bytes, once, and little else does.
fn stored_once(medium: &Path, uki: &[u8], loader: usize) {
    let blob = Blob::open(medium).unwrap();
    // Whatever holds files holds them by the sector.
    let mut found = Vec::new();
    for extent in blob.extents() {
        let Extent::Data { offset, len } = extent else { continue };
        let bytes = blob.slice(offset..offset + len).to_vec(len).unwrap();
        let starts = (offset..).step_by(512).zip(bytes.chunks(512));
        found.extend(starts.filter(|(_, sector)| uki.starts_with(sector)).map(|(at, _)| at));
    }
    let [at] = found[..] else { panic!("the UKI starts at {found:?}") };
    let stored = blob.slice(at..at + uki.len() as u64);
    assert_eq!(stored.digest().unwrap(), Digest::of(uki), "the UKI is not in one piece");
    let meta = fs::metadata(medium).unwrap();
    let payload = (uki.len() + loader) as u64;
    let (on_disk, limit) = (meta.blocks() * 512, payload + 2 * MIB);
    assert!(on_disk < limit, "{} takes {on_disk} bytes for {payload}", medium.display());
    if meta.len() < 1 << 30 {
        assert!(meta.len() * 20 < payload * 21, "{} is too large", medium.display());
    }
}

#[test]
fn an_iso_is_one_to_xorriso() {
    for (iso, has_bios) in media().isos.iter().zip([false, true, true]) {
        let (_, rows) = partitions(iso, 512);
        let (offset, size, kind, ..) = &rows[1];
        assert_eq!(kind, "C12A7328-F81F-11D2-BA4B-00A0C93EC93B");
        let mut arguments = vec!["-indev", iso.to_str().unwrap(), "-pvd_info"];
        arguments.extend(["-report_el_torito", "plain", "-report_system_area", "plain"]);
        let said = text("xorriso", &arguments);
        let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        let lines: Vec<_> = said.lines().map(words).collect();
        let has =
            |line: &str| assert!(lines.iter().any(|found| found == line), "no {line:?}:\n{said}");
        has("Volume Id : TALOS_V1_12_0");
        has("Volume Set Id: Talos-v1.12.0");
        let sectors = fs::metadata(iso).unwrap().len() / 512;
        has(&format!("ISO image size/512 : {sectors}"));
        has(&format!("MBR partition : 1 0x00 0xee 1 {}", sectors - 1));
        has(&format!("GPT start and size : 1 64 {}", offset / 512 - 64));
        has(&format!("GPT start and size : 2 {} {}", offset / 512, size / 512));
        let loaded = if *size / 512 > u64::from(u16::MAX) { 0 } else { *size / 512 };
        let (number, entries) = if has_bios { (2, 2) } else { (1, 1) };
        let uefi = format!("UEFI y none 0x0000 0x00 {loaded} {}", offset / 2048);
        has(&format!("El Torito boot img : {number} {uefi}"));
        assert_eq!(said.matches("El Torito boot img").count(), entries);
        if has_bios {
            has("El Torito boot img : 1 BIOS y none 0x0000 0x00 4 49");
            has("El Torito img path : 1 /boot/grub/i386-pc/eltorito.img");
            // It finds both patches of the image, and the boot record's.
            has("El Torito img opts : 1 boot-info-table grub2-boot-info");
            has("System area summary: MBR protective-msdos-label grub2-mbr cyl-align-off GPT");
        }
        // Its dates are the epoch's, not the clock's.
        assert!(said.contains("1970010100000000"), "{said}");
    }
}

/// What the files of an ISO are to who mounts it is what GRUB and the UKI start.
#[test]
fn an_iso_s_files_are_read_by_xorriso_and_lie_in_the_uki() {
    let dir = tempfile::tempdir().unwrap();
    for iso in &media().isos[1..] {
        let out = dir.path().join(iso.parent().unwrap().file_name().unwrap());
        let arguments: [&OsStr; 6] = [
            "-osirrox".as_ref(),
            "on".as_ref(),
            "-indev".as_ref(),
            iso.as_os_str(),
            "-extract".as_ref(),
            "/".as_ref(),
        ];
        finish(Command::new("xorriso").args(arguments).arg(&out));
        let kernel = fs::read(out.join("boot/vmlinuz")).unwrap();
        assert!(kernel == fs::read(part("amd64/vmlinuz")).unwrap(), "the kernel is changed");
        let initramfs = fs::read(out.join("boot/initramfs.xz")).unwrap();
        assert!(initramfs == fs::read(&media().initramfs).unwrap(), "not the initramfs");
        let config = fs::read_to_string(out.join("boot/grub/grub.cfg")).unwrap();
        assert_eq!(config.matches("menuentry").count(), 2);
        // GRUB, the ESP's own structures and systemd-boot take about the same whatever is started.
        let (len, payload) =
            (fs::metadata(iso).unwrap().len(), (kernel.len() + initramfs.len()) as u64);
        assert!(len < payload + 3 * MIB, "{} has {len} bytes for {payload}", iso.display());
    }
    let [_, dual, _] = &media().isos;
    let lines = text(
        "xorriso",
        &["-indev", dual.to_str().unwrap(), "-find", "/boot", "-exec", "report_lba"],
    );
    let (_, rows) = partitions(dual, 512);
    for name in ["vmlinuz", "initramfs.xz"] {
        let line = lines.lines().find(|line| line.contains(name)).unwrap();
        let block: u64 = line.split([',', ':']).nth(2).unwrap().trim().parse().unwrap();
        assert!(block * 2048 > rows[1].0, "{name} does not lie in the ESP: {line}");
    }
}

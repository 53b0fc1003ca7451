//! Disks, EFI system partitions and ISOs.

use super::*;

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
    let whole = [&media().iso, &media().disks[0].0, &media().disks[2].0];
    for disk in whole {
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
    for (medium, arch, sector, boot) in disks.chain([(&media.iso, "amd64", 512, "BOOT")]) {
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
        // An ISO's partition has 10 MiB to spare.
        assert!(meta.len() < payload + 14 * MIB, "{} is too large", medium.display());
    }
}

#[test]
fn an_iso_is_one_to_xorriso() {
    let iso = &media().iso;
    let (_, rows) = partitions(iso, 512);
    let (offset, size, kind, ..) = &rows[1];
    assert_eq!(kind, "C12A7328-F81F-11D2-BA4B-00A0C93EC93B");
    let mut arguments = vec!["-indev", iso.to_str().unwrap(), "-pvd_info"];
    arguments.extend(["-report_el_torito", "plain", "-report_system_area", "plain"]);
    let said = text("xorriso", &arguments);
    let lines: Vec<String> =
        said.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    let has = |line: &str| assert!(lines.iter().any(|found| found == line), "no {line:?}:\n{said}");
    has("Volume Id : TALOS_V1_12_0");
    has("Volume Set Id: Talos-v1.12.0");
    has(&format!("El Torito boot img : 1 UEFI y none 0x0000 0x00 0 {}", offset / 2048));
    has(&format!("GPT start and size : 2 {} {}", offset / 512, size / 512));
    assert_eq!(said.matches("El Torito boot img").count(), 1);
    let blocks = lines.iter().find_map(|line| line.strip_prefix("El Torito img blks : 1 "));
    assert!(blocks.unwrap().parse::<u64>().unwrap() * 2048 >= *size);
    // Its dates are the epoch's, not the clock's.
    assert!(said.contains("1970010100000000"), "{said}");
}

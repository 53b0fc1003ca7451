//! Every kind of medium, made of the fake release, opened again and held against what went in.

use image_core::{
    assemble::{self, Context},
    blob::{Blob, Scratch},
    events::Silent,
    examine::{
        self,
        report::{Initramfs, Medium, Uki, Volume},
    },
    fake,
    plan::{self, Choices, Plan},
    talos::{Arch, Profile},
};
use std::{collections::BTreeMap, num::NonZeroUsize};

const VERSION: &str = "v1.11.0";
const UKI: &str = "EFI/Linux/Talos-v1.11.0.efi";

fn build(request: &str) -> Blob {
    let request = format!(
        "{request}\nversion: {VERSION}\ninput:\n  systemExtensions:\n  \
         - imageRef: siderolabs/intel-ucode:20251111\n  - imageRef: siderolabs/hello:1.0.0\n"
    );
    let profile = Profile::from_yaml(&request).unwrap();
    let sources = fake::sources(&VERSION.parse().unwrap()).unwrap();
    let choices = Choices::default();
    let plan = Plan::new(plan::resolve(&profile, &choices, &sources).unwrap(), &choices).unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let scratch = Scratch::new(scratch.path());
    let threads = NonZeroUsize::MIN;
    let cx = Context { sources: &sources, scratch: &scratch, threads, observer: &Silent };
    assemble::execute(&plan, &cx).unwrap().blob
}

fn disk(arch: Arch, sector: u32) -> Blob {
    build(&format!(
        "baseProfileName: metal\narch: {arch}\noutput: {{outFormat: raw, imageOptions: \
         {{bootloader: sd-boot, diskSectorSize: {sector}}}}}\n\
         customization: {{metaContents: [{{key: 0xa, value: text}}]}}"
    ))
}

fn iso(arch: Arch) -> Blob {
    build(&format!(
        "baseProfileName: iso\narch: {arch}\noutput: {{isoOptions: {{bootloader: sd-boot}}}}"
    ))
}

fn of_kind(kind: &str) -> Blob {
    build(&format!("baseProfileName: iso\narch: amd64\noutput: {{kind: {kind}}}"))
}

fn bytes(blob: &Blob) -> Vec<u8> {
    blob.to_vec(1 << 26).unwrap()
}

fn parts(medium: &Blob) -> BTreeMap<String, Vec<u8>> {
    let parts = examine::parts(medium).unwrap().into_iter();
    // A partition may be gibibytes of nothing.
    parts
        .filter(|part| part.blob.len() < 1 << 26)
        .map(|part| (part.name, bytes(&part.blob)))
        .collect()
}

/// A file of the release.
fn asset(arch: Arch, name: &str) -> Vec<u8> {
    bytes(fake::release().unwrap().file(&format!("usr/install/{arch}/{name}")).unwrap())
}

fn check_initramfs(initramfs: &Initramfs) {
    let listed: Vec<_> = initramfs
        .extensions
        .iter()
        .map(|it| (it.image.as_str(), it.name.as_str(), it.version.as_str()))
        .collect();
    assert_eq!(listed, [("0.sqsh", "intel-ucode", "20251111"), ("1.sqsh", "hello", "1.0.0")]);
    let [update] = &initramfs.microcode[..] else { panic!("{initramfs:?}") };
    assert_eq!((update.vendor.as_str(), update.revision.as_str()), ("intel", "0x02007006"));
    assert_eq!((update.date.as_deref(), update.checksum_ok), (Some("2025-11-11"), Some(true)));
    assert_eq!(update.processors[0].name, "06-55-04");
    let compressions: Vec<_> =
        initramfs.segments.iter().map(|it| it.compression.as_str()).collect();
    assert_eq!(compressions, ["none", "none", "zstd"]);
    assert!(initramfs.segments[1].entries.iter().any(|entry| entry.path == "init"));
}

fn check_uki(uki: &Uki, arch: Arch) {
    assert_eq!(uki.architecture, arch.name());
    assert_eq!(uki.os_release["PRETTY_NAME"], format!("Talos ({VERSION})"));
    assert_eq!(uki.uname.as_deref(), Some(fake::KERNEL_RELEASE));
    assert_eq!(uki.kernel.as_ref().unwrap().version.as_deref(), Some(fake::KERNEL_RELEASE));
    let main = &uki.profiles[0];
    assert!(main.cmdline.contains("talos.platform=metal"), "{main:?}");
    check_initramfs(uki.initramfs.as_ref().unwrap());
}

/// The EFI system partition holds just what boots, and the same bytes come out again.
fn check_esp<'a>(esp: &'a Volume, arch: Arch, mut files: Vec<&'a str>, medium: &Blob) {
    assert_eq!((esp.format.as_str(), esp.label.as_str()), ("FAT32", "EFI"));
    let boot = match arch {
        Arch::Amd64 => "BOOTX64.EFI",
        Arch::Arm64 => "BOOTAA64.EFI",
    };
    let boot = esp.files.iter().find(|it| it.path.to_uppercase().ends_with(boot)).unwrap();
    files.push(&boot.path);
    files.push(UKI);
    files.sort_unstable();
    let mut found: Vec<_> = esp.files.iter().map(|file| file.path.as_str()).collect();
    found.sort_unstable();
    assert_eq!(found, files);
    let uki = esp.files.iter().find(|file| file.path == UKI).unwrap();
    check_uki(uki.uki.as_ref().unwrap(), arch);

    let parts = parts(medium);
    assert_eq!(parts["kernel"], asset(arch, "vmlinuz"));
    assert_eq!(parts[&format!("esp/{}", boot.path)], asset(arch, "systemd-boot.efi"));
    assert_eq!(parts["uki"], parts[&format!("esp/{UKI}")]);
    // The release's own initramfs, but for the padding behind it.
    assert!(asset(arch, "initramfs.xz").starts_with(&parts["segments/1.cpio"]));
}

#[test]
fn isos() {
    for arch in Arch::ALL {
        let medium = iso(arch);
        let Medium::Iso(iso) = examine::inspect(&medium).unwrap().medium else { panic!() };
        assert_eq!(iso.volume_id, "TALOS_V1_11_0");
        let [entry] = &iso.boot_entries[..] else { panic!("{iso:?}") };
        assert_eq!(entry.platform, "UEFI");
        let esp = iso.partitions.iter().find(|partition| partition.label == "EFI").unwrap();
        assert_eq!(esp.offset, entry.offset);
        assert_eq!(parts(&medium)["esp.img"].len() as u64, esp.size);
        let files = vec!["loader/loader.conf", "loader/random-seed"];
        check_esp(&iso.esp.unwrap(), arch, files, &medium);
    }
}

#[test]
fn disks() {
    for (arch, sector) in [(Arch::Amd64, 512), (Arch::Arm64, 4096)] {
        let medium = disk(arch, sector);
        let Medium::Disk(disk) = examine::inspect(&medium).unwrap().medium else { panic!() };
        assert_eq!((disk.sector_size, disk.flaws.len()), (sector, 0));
        let labels: Vec<_> = disk.partitions.iter().map(|it| it.label.as_str()).collect();
        assert_eq!(labels, ["EFI", "META"]);
        let esp = disk.partitions[0].volume.as_ref().unwrap();
        check_esp(esp, arch, vec!["loader/loader.conf"], &medium);
        let meta = &parts(&medium)["partitions/META"];
        assert!(meta.windows(4).any(|text| text == b"text"));
    }
}

#[test]
fn kernels_initramfs_command_lines_and_ukis() {
    let medium = build("baseProfileName: metal-uki\narch: amd64");
    let Medium::Uki(uki) = examine::inspect(&medium).unwrap().medium else { panic!() };
    check_uki(&uki, Arch::Amd64);
    let cmdline = uki.profiles[0].cmdline.clone();
    assert_eq!(parts(&medium)["cmdline"], cmdline.as_bytes());

    let medium = of_kind("initramfs");
    let Medium::Initramfs(initramfs) = examine::inspect(&medium).unwrap().medium else { panic!() };
    check_initramfs(&initramfs);

    let medium = of_kind("kernel");
    let Medium::Kernel(kernel) = examine::inspect(&medium).unwrap().medium else { panic!() };
    assert_eq!(kernel.version.as_deref(), Some(fake::KERNEL_RELEASE));
    assert_eq!(bytes(&medium), asset(Arch::Amd64, "vmlinuz"));

    let medium = of_kind("cmdline");
    let Medium::Cmdline { cmdline } = examine::inspect(&medium).unwrap().medium else { panic!() };
    assert!(cmdline.contains("talos.platform=metal"), "{cmdline}");
}

#[test]
fn garbage_behind_a_medium_does_not_hide_it() {
    let garbage = Blob::from(vec![0x5a; 5000]);
    for medium in [
        iso(Arch::Amd64),
        build("baseProfileName: metal-uki\narch: amd64"),
        of_kind("kernel"),
        disk(Arch::Amd64, 512),
    ] {
        let longer = Blob::concat([medium.clone(), garbage.clone()]);
        let list = |medium: &Blob| -> Vec<_> {
            examine::parts(medium).unwrap().into_iter().map(|part| part.name).collect()
        };
        assert_eq!(list(&longer), list(&medium));
    }
    // The first table gone, the second still says what was there.
    let whole = disk(Arch::Amd64, 512);
    let headless = Blob::concat([Blob::zeros(2048), whole.slice(2048..whole.len())]);
    assert_eq!(examine::parts(&headless).unwrap().len(), examine::parts(&whole).unwrap().len());
}

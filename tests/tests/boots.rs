//! Every medium boots on the firmware it is made for, with its extensions in place.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use image_core::{
    blob::{Blob, Digest},
    fake,
    formats::{
        compress::{Codec, Decoder},
        tar,
    },
};
use std::{
    fs,
    io::Read as _,
    path::{Path, PathBuf},
};
use system_tests::{
    OLD_VERSION, VERSION, build, build_of, image, part,
    qemu::{Arch, Boot, Firmware, Medium},
    run,
    tools::tool,
};

/// Builds with two extensions and a kernel argument of ours; gives the medium back.
fn media(output: &Path, arguments: &[&str], console: &str) -> PathBuf {
    media_of(VERSION, output, arguments, console)
}

fn media_of(version: &str, output: &Path, arguments: &[&str], console: &str) -> PathBuf {
    let mut all = arguments.to_vec();
    let (microcode, hello) = (image("intel-ucode"), image("hello"));
    let console = format!("console={console}");
    all.extend(["--system-extension-image", &microcode, "--system-extension-image", &hello]);
    all.extend(["--extra-kernel-arg", &console, "--extra-kernel-arg", "talos.image.test=a.b"]);
    build_of(version, output, &all)
}

fn boots(arch: Arch, medium: Medium) {
    boots_on(Firmware::uefi(arch), arch, medium);
}

fn boots_on(firmware: Firmware, arch: Arch, medium: Medium) {
    shows_all(&Boot::new(arch, firmware, medium).run().unwrap());
}

/// The guest has both extensions, the firmware of one, and the command line.
fn shows_all(said: &str) {
    let expect = |text: &str| assert!(said.contains(text), "no {text:?} in:\n{said}");
    for name in ["intel-ucode", "hello"] {
        let reference = image(name);
        let version = reference.rsplit_once(':').unwrap().1;
        expect(&format!("EXT {name} {version} ok\n"));
    }
    // What the extension has for the kernel's firmware loader lies in the initramfs itself.
    let firmware = Digest::of(&fs::read(part("hello/firmware.bin")).unwrap());
    expect(&format!("FILE {} /usr/lib/firmware/hello/firmware.bin\n", firmware.hex()));
    let line = said.lines().find(|line| line.starts_with("CMDLINE ")).unwrap();
    assert!(line.contains("talos.platform=metal"), "{line}");
    assert!(line.split(' ').any(|word| word == "talos.image.test=a.b"), "{line}");
}

/// Every core image of the medium is of this version.
fn has_grub(medium: &Path, version: &str) {
    let report = run(&["inspect".as_ref(), "--json".as_ref(), medium.as_os_str()]).stdout;
    let report = String::from_utf8(report).unwrap();
    let mut platforms = report.split("\"platform\":\"").skip(1).peekable();
    assert!(platforms.peek().is_some(), "{report}");
    for core in platforms {
        assert!(core.contains(&format!("\"version\":\"{version}")), "{core}");
    }
}

const DISK: [&str; 5] = ["metal", "--bootloader", "sd-boot", "--out-format", "raw"];

#[test]
fn one_iso_boots_as_cd_as_disk_and_as_usb_stick_on_a_bios_and_on_uefi() {
    let dir = tempfile::tempdir().unwrap();
    let iso = media(dir.path(), &["iso", "--arch", "amd64"], "ttyS0");
    for firmware in [Firmware::Bios, Firmware::uefi(Arch::Amd64)] {
        boots_on(firmware.clone(), Arch::Amd64, Medium::Cd(iso.clone()));
        boots_on(firmware.clone(), Arch::Amd64, Medium::Disk(iso.clone(), 512));
        boots_on(firmware, Arch::Amd64, Medium::Usb(iso.clone()));
    }
}

#[test]
fn an_iso_with_systemd_boot_alone_boots_as_cd_and_as_usb_stick() {
    let dir = tempfile::tempdir().unwrap();
    let iso = media(dir.path(), &["iso", "--arch", "amd64", "--bootloader", "sd-boot"], "ttyS0");
    boots(Arch::Amd64, Medium::Cd(iso.clone()));
    boots(Arch::Amd64, Medium::Usb(iso));
}

#[test]
fn an_iso_of_a_version_that_has_grub_only_boots_on_a_bios_and_on_uefi() {
    let dir = tempfile::tempdir().unwrap();
    let iso = media_of(OLD_VERSION, dir.path(), &["iso", "--arch", "amd64"], "ttyS0");
    for firmware in [Firmware::Bios, Firmware::uefi(Arch::Amd64)] {
        boots_on(firmware.clone(), Arch::Amd64, Medium::Cd(iso.clone()));
        boots_on(firmware, Arch::Amd64, Medium::Usb(iso.clone()));
    }
}

#[test]
fn an_iso_with_grub_for_arm64_boots() {
    let dir = tempfile::tempdir().unwrap();
    let iso = media_of(OLD_VERSION, dir.path(), &["iso", "--arch", "arm64"], "ttyAMA0");
    boots(Arch::Arm64, Medium::Cd(iso));
}

#[test]
fn a_disk_with_sectors_of_512_bytes_boots() {
    let dir = tempfile::tempdir().unwrap();
    let disk = media(dir.path(), &[&DISK[..], &["--arch", "amd64"]].concat(), "ttyS0");
    boots(Arch::Amd64, Medium::Disk(disk, 512));
}

#[test]
fn virtual_disks_boot() {
    let dir = tempfile::tempdir().unwrap();
    for (name, format) in [
        ("plain", &["--disk-format=qcow2", "--disk-format-options=cluster_size=8k"][..]),
        ("packed", &["--disk-format=qcow2", "--disk-format-options=compression_type=zstd"]),
        ("vhd", &["--disk-format=vhd", "--disk-format-options=subformat=fixed,force_size"]),
        ("ova", &["--disk-format=ova"]),
    ] {
        let arguments = [&DISK[..], &["--arch", "amd64"], format].concat();
        let mut disk = media(&dir.path().join(name), &arguments, "ttyS0");
        if name == "ova" {
            let folder = dir.path().to_str().unwrap();
            tool("tar", &["xf", disk.to_str().unwrap(), "-C", folder, "disk.vmdk"]);
            disk = dir.path().join("disk.vmdk");
        }
        boots(Arch::Amd64, Medium::Disk(disk, 512));
    }
}

#[test]
fn the_menu_s_second_entry_boots_with_its_own_command_line() {
    let dir = tempfile::tempdir().unwrap();
    let disk = media(dir.path(), &[&DISK[..], &["--arch", "amd64"]].concat(), "ttyS0");
    let said = Boot {
        // As in vi: one down.
        answers: vec![("Boot in".to_owned(), "j\r".to_owned())],
        ..Boot::new(Arch::Amd64, Firmware::uefi(Arch::Amd64), Medium::Disk(disk, 512))
    }
    .run()
    .unwrap();
    shows_all(&said);
    assert!(said.contains("EFI LoaderEntrySelected talos-v1.12.0.efi@reset-maintenance"), "{said}");
    assert!(said.contains("talos.experimental.wipe=system:EPHEMERAL,STATE"), "{said}");
}

#[test]
fn a_disk_with_sectors_of_4096_bytes_boots() {
    let dir = tempfile::tempdir().unwrap();
    let arguments = [&DISK[..], &["--arch", "amd64", "--disk-sector-size", "4096"]].concat();
    let disk = media(dir.path(), &arguments, "ttyS0");
    boots(Arch::Amd64, Medium::Disk(disk, 4096));
}

#[test]
fn a_disk_with_two_bootloaders_boots_on_a_bios_and_on_uefi() {
    let dir = tempfile::tempdir().unwrap();
    let disk = media(dir.path(), &["metal", "--arch", "amd64", "--out-format", "raw"], "ttyS0");
    boots_on(Firmware::Bios, Arch::Amd64, Medium::Disk(disk.clone(), 512));
    boots_on(Firmware::Bios, Arch::Amd64, Medium::Ahci(disk.clone()));
    boots_on(Firmware::Bios, Arch::Amd64, Medium::Usb(disk.clone()));
    has_grub(&disk, "2.12");
    let medium = Medium::Disk(disk, 512);
    let said = Boot::new(Arch::Amd64, Firmware::uefi(Arch::Amd64), medium).run().unwrap();
    shows_all(&said);
    assert!(said.contains("EFI LoaderEntrySelected talos-v1.12.0.efi\n"), "{said}");
}

#[test]
fn a_disk_of_a_version_that_has_grub_only_boots_on_a_bios_and_on_uefi() {
    let dir = tempfile::tempdir().unwrap();
    let arguments = ["metal", "--arch", "amd64", "--out-format", "raw"];
    let disk = media_of(OLD_VERSION, dir.path(), &arguments, "ttyS0");
    has_grub(&disk, "2.06");
    boots_on(Firmware::Bios, Arch::Amd64, Medium::Disk(disk.clone(), 512));
    boots(Arch::Amd64, Medium::Disk(disk, 512));
}

#[test]
fn a_disk_with_grub_and_sectors_of_4096_bytes_boots_on_uefi() {
    let dir = tempfile::tempdir().unwrap();
    let arguments = [
        "metal",
        "--arch=amd64",
        "--bootloader=grub",
        "--out-format=raw",
        "--disk-sector-size=4096",
    ];
    let disk = media(dir.path(), &arguments, "ttyS0");
    boots(Arch::Amd64, Medium::Disk(disk, 4096));
}

#[test]
fn a_disk_with_grub_for_arm64_boots() {
    let dir = tempfile::tempdir().unwrap();
    let arguments = ["metal", "--arch", "arm64", "--out-format", "raw"];
    let disk = media_of(OLD_VERSION, dir.path(), &arguments, "ttyAMA0");
    has_grub(&disk, "2.06");
    boots(Arch::Arm64, Medium::Disk(disk, 512));
}

#[test]
fn a_disk_for_arm64_boots() {
    let dir = tempfile::tempdir().unwrap();
    let disk = media(dir.path(), &[&DISK[..], &["--arch", "arm64"]].concat(), "ttyAMA0");
    boots(Arch::Arm64, Medium::Disk(disk, 512));
}

#[test]
fn kernel_initramfs_and_command_line_boot_as_from_the_network() {
    let dir = tempfile::tempdir().unwrap();
    let (microcode, hello) = (image("intel-ucode"), image("hello"));
    let asset = |kind: &str, more: &[&str]| {
        let base = ["metal", "--arch", "amd64", "--out-format", "raw", "--output-kind", kind];
        build(&dir.path().join(kind), &[&base, more].concat())
    };
    let extensions = ["--system-extension-image", &microcode, "--system-extension-image", &hello];
    let arguments =
        ["--extra-kernel-arg", "console=ttyS0", "--extra-kernel-arg", "talos.image.test=a.b"];
    let medium = Medium::Kernel(
        asset("kernel", &[]),
        asset("initramfs", &extensions),
        fs::read_to_string(asset("cmdline", &arguments)).unwrap(),
    );
    shows_all(&Boot::new(Arch::Amd64, Firmware::Bios, medium).run().unwrap());
}

/// Modules that need each other, in an extension, are loaded by the name of one.
#[test]
fn modprobe_loads_modules_of_an_extension() {
    let dir = tempfile::tempdir().unwrap();
    let kernel = fs::read_dir(part("amd64/modules")).unwrap().next().unwrap().unwrap();
    let release = kernel.file_name().into_string().unwrap();
    let files = ["macvlan", "macvtap", "tap"].map(|name| {
        let packed = kernel.path().join(format!("kernel/drivers/net/{name}.ko.xz"));
        let packed = Blob::open(&packed).unwrap();
        // busybox's modprobe does not unpack.
        let mut plain = Vec::new();
        let mut decoder = Decoder::new(Codec::Xz, packed.reader(), 1 << 30).unwrap();
        decoder.read_to_end(&mut plain).unwrap();
        (format!("usr/lib/modules/{release}/extras/{name}.ko"), Blob::from(plain))
    });
    let files = files.each_ref().map(|(path, content)| (path.as_str(), content.clone()));
    let extension = fake::extension("taps", "1.0.0", ">= v1.5.0", &files).unwrap();
    let tarball = dir.path().join("taps.tar");
    tar::archive(&extension, 0).unwrap().persist(&tarball, &mut |_| ()).unwrap();
    let profile = dir.path().join("profile.yaml");
    let request = format!(
        "baseProfileName: metal\narch: amd64\noutput: {{kind: initramfs, outFormat: raw}}\n\
         input: {{systemExtensions: [{{tarballPath: {}}}]}}\n",
        tarball.display()
    );
    fs::write(&profile, request).unwrap();
    let medium = Medium::Kernel(
        part("amd64/vmlinuz"),
        build(&dir.path().join("initramfs"), &[profile]),
        "console=ttyS0 talos.image.modprobe=macvtap".to_owned(),
    );
    let said = Boot::new(Arch::Amd64, Firmware::Bios, medium).run().unwrap();
    for expected in ["EXT taps 1.0.0 ok\n", &format!("EXT modules.dep {release} ok\n")] {
        assert!(said.contains(expected), "no {expected:?} in:\n{said}");
    }
    let loaded = said.lines().find_map(|line| line.strip_prefix("MODULES ")).unwrap();
    for name in ["macvlan", "macvtap", "tap"] {
        assert!(loaded.split(' ').any(|word| word == name), "no {name} in {loaded}");
    }
}

#[test]
fn what_a_schematic_says_is_there_and_so_is_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let config = "apiVersion: v1alpha1\nkind: HostnameConfig\nhostname: rack-1\n";
    let schematic = dir.path().join("schematic.yaml");
    let text = format!(
        "customization:\n  systemExtensions:\n    officialExtensions: [siderolabs/intel-ucode, \
         siderolabs/hello]\n  extraKernelArgs: [console=ttyS0, talos.image.test=a.b]\n  \
         embeddedMachineConfiguration: |\n    {}\n",
        config.trim_end().replace('\n', "\n    ")
    );
    fs::write(&schematic, text).unwrap();
    let id = run(&["schematic".as_ref(), "id".as_ref(), schematic.as_os_str()]).stdout;
    let id = String::from_utf8(id).unwrap();
    let schematic = schematic.to_str().unwrap();
    let arguments = ["--arch", "amd64", "--bootloader", "sd-boot", "--schematic", schematic];
    let iso = build(&dir.path().join("iso"), &[&["iso"], &arguments[..]].concat());
    let firmware = Firmware::uefi(Arch::Amd64);
    let said = Boot::new(Arch::Amd64, firmware, Medium::Cd(iso)).run().unwrap();
    shows_all(&said);
    let config = Digest::of(config.as_bytes()).hex();
    for line in [
        format!("EXT schematic {} ok\n", id.trim_end()),
        format!("EXT embedded-config {config} ok\n"),
        format!("FILE {config} /usr/local/etc/talos/config.yaml\n"),
    ] {
        assert!(said.contains(&line), "no {line:?} in:\n{said}");
    }
}

#[test]
fn an_iso_for_arm64_boots() {
    let dir = tempfile::tempdir().unwrap();
    let iso = media(dir.path(), &["iso", "--arch", "arm64"], "ttyAMA0");
    boots(Arch::Arm64, Medium::Cd(iso));
}

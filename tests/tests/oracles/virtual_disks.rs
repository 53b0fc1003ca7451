//! qcow2, VHD, VMDK and OVA against qemu-img, tar and sha256sum.

use super::*;
use image_core::formats::{ova, qcow2, vhd, vmdk};
use system_tests::sparse;

fn persisted(blob: &Blob, to: &Path) -> String {
    blob.persist(to, &mut |_| ()).unwrap();
    to.to_str().unwrap().to_owned()
}

/// qemu-img finds nothing wrong and the same content as in `raw`; gives its description back.
fn held_against(raw: &Path, format: &str, file: &str) -> Value {
    if format != "vpc" {
        text("qemu-img", &["check", "-q", "-f", format, file]);
    }
    let said =
        text("qemu-img", &["compare", "-f", "raw", "-F", format, raw.to_str().unwrap(), file]);
    assert_eq!(said, "Images are identical.\n", "{file}");
    let info = text("qemu-img", &["info", "--output=json", "-f", format, file]);
    serde_json::from_str(&info).unwrap()
}

fn spool(dir: &Path) -> Spool {
    Spool::new(&Scratch::new(dir))
}

fn vmdk(disk: &Blob, dir: &Path) -> Blob {
    let options = vmdk::Options { name: "disk.vmdk", adapter: "lsilogic", threads: 2 };
    vmdk::image(disk, &options, &mut spool(dir), &mut |_| ()).unwrap()
}

#[test]
fn qcow2_disks_are_sound_and_hold_the_raw_disk() {
    let dir = tempfile::tempdir().unwrap();
    let (raw, ..) = &media().disks[0];
    let disk = sparse(raw);
    for (options, cluster, compression) in [
        ("", 64 << 10, "zlib"),
        ("cluster_size=8k", 8 << 10, "zlib"),
        ("cluster_size=512", 512, "zlib"),
        ("cluster_size=2M", 2 << 20, "zlib"),
        ("cluster_size=8k,compression_type=zlib", 8 << 10, "zlib"),
        ("compression_type=zstd", 64 << 10, "zstd"),
        ("cluster_size=2M,compression_type=zstd", 2 << 20, "zstd"),
    ] {
        let parsed = qcow2::Options::parse(options).unwrap();
        let mut spool = spool(dir.path());
        let image = qcow2::image(&disk, &parsed, &mut spool, 2, &mut |_| ()).unwrap();
        let file = persisted(&image, &dir.path().join("disk.qcow2"));
        let info = held_against(raw, "qcow2", &file);
        assert_eq!(info["virtual-size"], disk.len(), "{options}");
        assert_eq!(info["cluster-size"], cluster, "{options}");
        let more = &info["format-specific"]["data"];
        assert_eq!(more["compression-type"], compression, "{options}");
        assert_eq!(more["corrupt"], false, "{options}");
        assert_eq!(more["refcount-bits"], 16, "{options}");
    }
}

#[test]
fn fixed_vhds_are_qemu_img_s_but_for_time_and_identifier() {
    let dir = tempfile::tempdir().unwrap();
    let (raw, ..) = &media().disks[0];
    let disk = sparse(raw);
    for options in ["subformat=fixed,force_size", "subformat=fixed"] {
        let size = vhd::Size::parse(options).unwrap();
        let ours = vhd::Options {
            size,
            id: "b81f7a43-0c5e-8d26-9f11-6a4be2c0d357".parse().unwrap(),
            epoch: 1_700_000_000,
        };
        let image = vhd::image(&disk, &ours).unwrap();
        let file = persisted(&image, &dir.path().join("disk.vhd"));
        let theirs = dir.path().join("theirs.vhd");
        let convert = ["convert", "-f", "raw", "-O", "vpc", "-o", options];
        let files = [raw.to_str().unwrap(), theirs.to_str().unwrap()];
        text("qemu-img", &[&convert[..], &files].concat());
        let theirs = Blob::open(&theirs).unwrap();
        assert_eq!(image.len(), theirs.len(), "{options}");
        let footer = |blob: &Blob| {
            let mut footer = blob.slice(blob.len() - 512..blob.len()).to_vec(512).unwrap();
            // Time; checksum and identifier.
            footer[24..28].fill(0);
            footer[64..84].fill(0);
            footer
        };
        assert_eq!(footer(&image), footer(&theirs), "{options}");
        if size == vhd::Size::Exact {
            let info = held_against(raw, "vpc", &file);
            assert_eq!(info["virtual-size"], disk.len());
        }
    }
}

#[test]
fn appliances_hold_a_sound_disk_under_a_true_manifest() {
    let dir = tempfile::tempdir().unwrap();
    let (raw, ..) = &media().disks[0];
    let raw_disk = sparse(raw);
    let disk = vmdk(&raw_disk, dir.path());
    let appliance = ova::Appliance {
        name: "talos",
        product: "Talos",
        properties: &[],
        os: (101, "other3xLinux64Guest"),
        hardware: "vmx-15",
        uefi: false,
        cpus: 2,
        memory_mib: 2048,
        network: "VM Network",
        settings: &[],
    };
    let package = ova::Package {
        name: "disk",
        disk: &disk,
        capacity: raw_disk.len(),
        appliance: &appliance,
        epoch: 1_700_000_000,
    };
    let made = ova::archive(&package).unwrap();
    let file = persisted(&made, &dir.path().join("disk.ova"));
    assert_eq!(text("tar", &["tf", &file]), "disk.ovf\ndisk.mf\ndisk.vmdk\n");
    let said = text("tar", &["tvf", &file, "--utc"]);
    assert!(said.lines().all(|line| line.starts_with("-rw-r--r-- 0/0 ")), "{said}");
    assert!(said.lines().all(|line| line.contains("2023-11-14 22:13")), "{said}");
    tool("tar", &["xf", &file, "-C", dir.path().to_str().unwrap()]);
    let sums =
        Command::new("sha256sum").args(["-c", "--strict", "disk.mf"]).current_dir(&dir).output();
    assert!(sums.unwrap().status.success(), "the manifest is not true");
    let python = "import sys, xml.dom.minidom as dom; dom.parse(sys.argv[1])";
    tool("/usr/bin/python3", &["-c", python, dir.path().join("disk.ovf").to_str().unwrap()]);
    let info = held_against(raw, "vmdk", dir.path().join("disk.vmdk").to_str().unwrap());
    assert_eq!(info["virtual-size"], raw_disk.len());
    assert_eq!(info["format-specific"]["data"]["create-type"], "streamOptimized");
}

#[test]
fn disks_of_qemu_img_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let (raw, ..) = &media().disks[0];
    let expected = Blob::open(raw).unwrap().digest().unwrap();
    for (format, arguments) in [
        ("qcow2", &["-o", "compat=0.10"][..]),
        ("qcow2", &["-c", "-o", "cluster_size=8k"]),
        ("qcow2", &["-c", "-o", "compression_type=zstd"]),
        ("vpc", &["-o", "subformat=fixed,force_size"]),
        ("vmdk", &["-o", "subformat=streamOptimized"]),
        ("vmdk", &["-o", "subformat=monolithicSparse"]),
    ] {
        let file = dir.path().join("disk");
        let convert = ["convert", "-f", "raw", "-O", format];
        let files = [raw.to_str().unwrap(), file.to_str().unwrap()];
        text("qemu-img", &[&convert[..], arguments, &files].concat());
        let file = Blob::open(&file).unwrap();
        let mut spool = spool(dir.path());
        let disk = match format {
            "qcow2" => qcow2::read(&file, &mut spool, 1 << 30).unwrap(),
            "vmdk" => vmdk::read(&file, &mut spool, 1 << 30).unwrap(),
            _ => vhd::read(&file).unwrap(),
        };
        assert_eq!(disk.digest().unwrap(), expected, "{format} {arguments:?}");
    }
}

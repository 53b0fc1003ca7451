//! qcow2, VHD, VMDK and OVA against qemu-img, tar and sha256sum.

use super::*;
use image_core::formats::{qcow2, vhd, vmdk};
use system_tests::OLD_VERSION;

/// A disk, built in the format and with the options of `more`.
fn disk(dir: &Path, more: &[&str]) -> PathBuf {
    let mut all = vec!["metal", "--arch=amd64", "--out-format=raw", "--epoch=1700000000"];
    let extensions = [image("intel-ucode"), image("hello")];
    all.extend(extensions.iter().flat_map(|name| ["--system-extension-image", name]));
    all.extend(more);
    // It has GRUB and systemd-boot as well, and is a third as long.
    all.push("--bootloader=dual-boot");
    build_of(OLD_VERSION, dir, &all)
}

/// The raw disk, built once.
fn raw() -> &'static Path {
    &seen_raw().0
}

/// The raw disk, and what is seen of it.
fn seen_raw() -> &'static (PathBuf, Value) {
    static RAW: OnceLock<(PathBuf, Value)> = OnceLock::new();
    RAW.get_or_init(|| {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("virtual-disks");
        if dir.exists() {
            fs::remove_dir_all(&dir).unwrap();
        }
        let raw = disk(&dir, &[]);
        let seen = inspect(&raw);
        (raw, seen)
    })
}

/// qemu-img finds nothing wrong and the same content as in the raw disk, and so do we; gives its
/// description back.
fn held_against_raw(format: &str, file: &Path) -> Value {
    let seen = inspect(file);
    let size = fs::metadata(raw()).unwrap().len();
    assert_eq!(seen["container"]["virtual_size"], size);
    assert_eq!(seen["partitions"], seen_raw().1["partitions"]);
    let (file, raw) = (file.to_str().unwrap(), raw().to_str().unwrap());
    if format != "vpc" {
        text("qemu-img", &["check", "-q", "-f", format, file]);
    }
    let said = text("qemu-img", &["compare", "-f", "raw", "-F", format, raw, file]);
    assert_eq!(said, "Images are identical.\n", "{file}");
    let info = text("qemu-img", &["info", "--output=json", "-f", format, file]);
    let info: Value = serde_json::from_str(&info).unwrap();
    assert_eq!(info["virtual-size"], size);
    info
}

fn spool(dir: &Path) -> Spool {
    Spool::new(&Scratch::new(dir))
}

#[test]
fn qcow2_disks_are_sound_and_hold_the_raw_disk() {
    for (options, cluster, compression) in [
        ("", 64 << 10, "zlib"),
        ("cluster_size=8k", 8 << 10, "zlib"),
        ("cluster_size=512", 512, "zlib"),
        ("cluster_size=2M", 2 << 20, "zlib"),
        ("cluster_size=8k,compression_type=zlib", 8 << 10, "zlib"),
        ("compression_type=zstd", 64 << 10, "zstd"),
        ("cluster_size=2M,compression_type=zstd", 2 << 20, "zstd"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let format = ["--disk-format=qcow2", "--disk-format-options", options];
        let file = disk(&dir.path().join("ours"), &format);
        let info = held_against_raw("qcow2", &file);
        assert_eq!(info["cluster-size"], cluster, "{options}");
        let more = &info["format-specific"]["data"];
        assert_eq!(more["compression-type"], compression, "{options}");
        assert_eq!(more["corrupt"], false, "{options}");
        assert_eq!(more["refcount-bits"], 16, "{options}");
        if !options.contains("compression") {
            // Zeros of the metadata are holes here too; those inside of files are not looked for.
            let theirs = dir.path().join("theirs.qcow2");
            let options = format!("cluster_size={cluster}");
            let convert = ["convert", "-f", "raw", "-O", "qcow2", "-o", &options];
            let files = [raw().to_str().unwrap(), theirs.to_str().unwrap()];
            text("qemu-img", &[&convert[..], &files].concat());
            let [ours, theirs] = [&file, &theirs].map(|file| fs::metadata(file).unwrap().len());
            assert!(ours <= theirs + theirs / 50 + 8 * cluster, "{cluster}: {ours} {theirs}");
        }
    }
}

#[test]
fn fixed_vhds_are_qemu_img_s_but_for_time_and_identifier() {
    for options in ["subformat=fixed,force_size", "subformat=fixed"] {
        let dir = tempfile::tempdir().unwrap();
        let format = ["--disk-format=vhd", "--disk-format-options", options];
        let file = disk(&dir.path().join("ours"), &format);
        let image = Blob::open(&file).unwrap();
        // What it has in front of its footer.
        let raw_part = dir.path().join("raw");
        cut(&file, 0, image.len() - 512, &raw_part);
        let theirs = dir.path().join("theirs.vhd");
        let convert = ["convert", "-f", "raw", "-O", "vpc", "-o", options];
        let files = [raw_part.to_str().unwrap(), theirs.to_str().unwrap()];
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
        if options.ends_with("force_size") {
            held_against_raw("vpc", &file);
        } else {
            // The disk was made as long as the cylinders are.
            text("sgdisk", &["--verify", raw_part.to_str().unwrap()]);
            let flaws = &inspect(&file)["flaws"];
            assert!(flaws.is_null(), "{flaws}");
        }
    }
}

#[test]
fn appliances_hold_a_sound_disk_under_a_true_manifest() {
    let dir = tempfile::tempdir().unwrap();
    let file = disk(&dir.path().join("ours"), &["--disk-format=ova"]);
    let path = file.to_str().unwrap();
    assert_eq!(text("tar", &["tf", path]), "disk.ovf\ndisk.mf\ndisk.vmdk\n");
    let said = text("tar", &["tvf", path, "--utc"]);
    assert!(said.lines().all(|line| line.starts_with("-rw-r--r-- 0/0 ")), "{said}");
    assert!(said.lines().all(|line| line.contains("2023-11-14 22:13")), "{said}");
    tool("tar", &["xf", path, "-C", dir.path().to_str().unwrap()]);
    let sums =
        Command::new("sha256sum").args(["-c", "--strict", "disk.mf"]).current_dir(&dir).output();
    assert!(sums.unwrap().status.success(), "the manifest is not true");
    let python = "import sys, xml.dom.minidom as dom; dom.parse(sys.argv[1])";
    tool("/usr/bin/python3", &["-c", python, dir.path().join("disk.ovf").to_str().unwrap()]);
    let info = held_against_raw("vmdk", &dir.path().join("disk.vmdk"));
    assert_eq!(info["format-specific"]["data"]["create-type"], "streamOptimized");
    assert_eq!(inspect(&file)["partitions"], seen_raw().1["partitions"]);
}

#[test]
fn disks_of_qemu_img_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let expected = Blob::open(raw()).unwrap().digest().unwrap();
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
        let files = [raw().to_str().unwrap(), file.to_str().unwrap()];
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

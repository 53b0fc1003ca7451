//! Foreign tools find what this project built to be what it should be.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod archives;
mod grub;
mod installer;
mod keys;
mod modules;
mod packing;
mod sections;
mod secure_boot;
mod signatures;
mod virtual_disks;
mod volumes;
mod volumes_xfs;

use image_core::{
    blob::{Blob, Digest, Extent, Scratch, Spool},
    formats::{cpio, initramfs, oci, pcr, squashfs, tar, uki},
    signature::{HashFunction, Signer as _},
    signers::PrivateKey,
    tree::{Node, NodeKind, Tree, TreePath},
};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};
use system_tests::{
    build, build_of, image, linux, part, run,
    tools::{feed, finish, text, tool},
};

const MIB: u64 = 1 << 20;
const LABEL: &str = "system_u:object_r:bin_t:s0";
const SHAPES: &str = "registry.example/shapes:1.0.0";

/// Built once for all tests of this file.
struct Media {
    /// With systemd-boot alone, with GRUB for a BIOS beside it, and of 1.9, with GRUB alone.
    isos: [PathBuf; 3],
    /// Of amd64 and arm64.
    ukis: [PathBuf; 2],
    /// With its architecture and sector size.
    disks: [(PathBuf, &'static str, u64); 3],
    initramfs: PathBuf,
}

fn media() -> &'static Media {
    static MEDIA: OnceLock<Media> = OnceLock::new();
    MEDIA.get_or_init(|| {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("oracles");
        if dir.exists() {
            fs::remove_dir_all(&dir).unwrap();
        }
        fs::create_dir_all(&dir).unwrap();
        let shapes = dir.join("shapes.tar");
        save_shapes(&shapes);
        let source = format!("docker-archive:{}", shapes.display());
        let made = |name: &str, arguments: &[&str]| {
            let extensions = [image("intel-ucode"), image("amd-ucode"), image("hello")];
            let mut all = arguments.to_vec();
            all.extend(extensions.iter().flat_map(|name| ["--system-extension-image", name]));
            if name.contains("amd64") {
                all.extend(["--system-extension-image", SHAPES, "--source", &source]);
            }
            build(&dir.join(name), &all)
        };
        let disk = |arch, sector| {
            let sector_size = format!("--disk-sector-size={sector}");
            let arguments =
                ["metal", "--arch", arch, "--bootloader=sd-boot", "--out-format=raw", &sector_size];
            (made(&format!("disk-{arch}-{sector}"), &arguments), arch, sector)
        };
        Media {
            isos: [
                made("iso-amd64", &["iso", "--arch=amd64", "--bootloader=sd-boot"]),
                made("iso-dual-amd64", &["iso", "--arch=amd64"]),
                made("iso-grub-amd64", &["iso", "--arch=amd64", "--bootloader=grub"]),
            ],
            ukis: ["amd64", "arm64"]
                .map(|arch| made(&format!("uki-{arch}"), &["metal-uki", "--arch", arch])),
            disks: [disk("amd64", 512), disk("amd64", 4096), disk("arm64", 512)],
            initramfs: made(
                "initramfs-amd64",
                &["metal", "--arch=amd64", "--output-kind=initramfs", "--out-format=raw"],
            ),
        }
    })
}

fn path(path: &str) -> TreePath {
    TreePath::new(path).unwrap()
}

/// A tree with all an extension may hold: labels, links, empty and large files, zeros, copies.
fn shapes() -> Tree {
    let mut tree = Tree::new();
    let noise: Vec<u8> =
        (0..600_000_u64).map(|i| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect();
    let mut labelled = Node::file(noise.clone(), 0o755);
    labelled.xattrs.insert("security.selinux".to_owned(), LABEL.into());
    tree.insert(path("usr/local/bin/first"), labelled);
    tree.link(path("usr/local/bin/second"), &path("usr/local/bin/first")).unwrap();
    tree.insert(path("usr/local/bin/copy"), Node::file(noise.clone(), 0o700));
    tree.insert(path("usr/local/bin/link"), Node::symlink("../lib/two-blocks"));
    let blocks = noise[..2 * (128 << 10)].to_vec();
    tree.insert(path("usr/local/lib/two-blocks"), Node::file(blocks, 0o644));
    tree.insert(path("usr/local/lib/empty"), Node::file(Blob::empty(), 0o600));
    tree.insert(path("usr/local/lib/zeros"), Node::file(Blob::zeros(3 * MIB + 17), 0o444));
    tree.insert(path("usr/local/lib/nothing"), Node::directory(0o750));
    for number in 0..400 {
        let content = format!("file {number}\n").repeat(number);
        let name = format!("usr/local/share/many/{number}");
        tree.insert(path(&name), Node::file(content.into_bytes(), 0o644));
    }
    tree
}

/// The extension `shapes` as `docker save` would write it.
fn save_shapes(archive: &Path) {
    let manifest = "version: v1alpha1\nmetadata:\n  name: shapes\n  version: 1.0.0\n  \
                    author: tests\n  description: All shapes\n  compatibility:\n    talos:\n      \
                    version: '>= v1.5.0'\n";
    let mut tree = Tree::new();
    tree.graft(&path("rootfs"), &shapes());
    tree.insert(path("manifest.yaml"), Node::file(manifest, 0o644));
    let scratch = tempfile::tempdir().unwrap();
    let mut spool = Spool::new(&Scratch::new(scratch.path()));
    let layer = oci::layer(&tree, oci::Encoding::Plain, 0, &mut spool).unwrap();
    let platform =
        oci::Platform { os: "linux".to_owned(), architecture: "amd64".to_owned(), variant: None };
    let layers = vec![layer];
    let image = oci::image(&platform, &serde_json::Map::new(), layers, BTreeMap::new()).unwrap();
    let named = oci::Named { names: vec![SHAPES.to_owned()], images: vec![image] };
    let saved = tar::archive(&oci::docker_archive(&[named]).unwrap(), 0).unwrap();
    saved.persist(archive, &mut |_| ()).unwrap();
}

fn inspect(file: &Path) -> Value {
    let arguments = ["inspect".as_ref(), "--json".as_ref(), file.as_os_str()];
    serde_json::from_slice(&run(&arguments).stdout).unwrap()
}

fn cut(file: &Path, offset: u64, len: u64, to: &Path) -> PathBuf {
    Blob::open(file).unwrap().slice(offset..offset + len).persist(to, &mut |_| ()).unwrap();
    to.to_owned()
}

/// A partition as `fdisk` sees it: first byte, length, type, GUID, name.
type Row = (u64, u64, String, String, String);

fn partitions(disk: &Path, sector: u64) -> (String, Vec<Row>) {
    let sector_size = sector.to_string();
    let arguments = ["-b", &sector_size, "--bytes", "-l", "-o", "Start,Size,Type-UUID,UUID,Name"];
    let output = finish(Command::new("fdisk").args(arguments).arg(disk).env("LC_ALL", "C"));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "fdisk warns");
    let listing = String::from_utf8(output.stdout).unwrap();
    let guid = listing.lines().find_map(|line| line.strip_prefix("Disk identifier: ")).unwrap();
    let rows = listing.lines().skip_while(|line| !line.trim_start().starts_with("Start")).skip(1);
    let rows = rows.map(|row| {
        let words: Vec<_> = row.split_whitespace().collect();
        let start = words[0].parse::<u64>().unwrap() * sector;
        let (size, words) = (words[1].parse().unwrap(), &words[2..]);
        (start, size, words[0].to_owned(), words[1].to_owned(), words[2..].join(" "))
    });
    (guid.to_owned(), rows.collect())
}

/// Unpacks a cpio archive with cpio; gives back the names in it.
fn unpack(archive: &[u8], to: &Path) -> Vec<String> {
    fs::create_dir_all(to).unwrap();
    let feed = |arguments: &[&str]| {
        let mut command = Command::new("cpio");
        let output = feed(command.args(arguments).arg("--quiet").current_dir(to), archive);
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "cpio warns");
        String::from_utf8(output.stdout).unwrap()
    };
    feed(&["-i", "--make-directories", "--no-absolute-filenames"]);
    feed(&["-t"]).lines().map(str::to_owned).collect()
}

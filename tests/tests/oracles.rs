//! Foreign tools find what this project built to be what it should be.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use image_core::{
    blob::{Blob, Digest, Extent, Scratch, Spool},
    formats::{cpio, initramfs, oci, pcr, squashfs, tar, uki},
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
    build, image, linux, part, run,
    tools::{feed, finish, text, tool},
};

const MIB: u64 = 1 << 20;
const LABEL: &str = "system_u:object_r:bin_t:s0";
const SHAPES: &str = "registry.example/shapes:1.0.0";

/// Built once for all tests of this file.
struct Media {
    iso: PathBuf,
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
            iso: made("iso-amd64", &["iso", "--arch=amd64", "--bootloader=sd-boot"]),
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
        let uki = "::/EFI/Linux/Talos-v1.11.0.efi";
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
    has("Volume Id : TALOS_V1_11_0");
    has("Volume Set Id: Talos-v1.11.0");
    has(&format!("El Torito boot img : 1 UEFI y none 0x0000 0x00 0 {}", offset / 2048));
    has(&format!("GPT start and size : 2 {} {}", offset / 512, size / 512));
    assert_eq!(said.matches("El Torito boot img").count(), 1);
    let blocks = lines.iter().find_map(|line| line.strip_prefix("El Torito img blks : 1 "));
    assert!(blocks.unwrap().parse::<u64>().unwrap() * 2048 >= *size);
    // Its dates are the epoch's, not the clock's.
    assert!(said.contains("1970010100000000"), "{said}");
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

#[test]
fn an_initramfs_is_what_cpio_zstd_and_unsquashfs_say() {
    let dir = tempfile::tempdir().unwrap();
    let file = &media().initramfs;
    let report = inspect(file);
    let segments = report["segments"].as_array().unwrap();
    let cut = |number: usize| {
        let number_of = |key: &str| segments[number][key].as_u64().unwrap();
        cut(file, number_of("offset"), number_of("size"), &dir.path().join(number.to_string()))
    };
    let names = |number: usize| -> Vec<&str> {
        let entries = segments[number]["entries"].as_array().unwrap();
        entries.iter().map(|entry| entry["path"].as_str().unwrap()).collect()
    };
    assert_eq!(segments.len(), 3);

    let early = dir.path().join("early");
    assert_eq!(unpack(&fs::read(cut(0)).unwrap(), &early), names(0));
    for (vendor, folder) in [("GenuineIntel", "intel-ucode"), ("AuthenticAMD", "amd-ucode")] {
        let mut parts: Vec<_> =
            fs::read_dir(part(folder)).unwrap().map(|entry| entry.unwrap().path()).collect();
        parts.sort_unstable();
        let parts: Vec<u8> = parts.iter().flat_map(|part| fs::read(part).unwrap()).collect();
        let joined = fs::read(early.join(format!("kernel/x86/microcode/{vendor}.bin"))).unwrap();
        assert!(joined == parts, "{vendor}.bin is not all of {folder}");
    }

    let release = fs::read(part("amd64/initramfs.xz")).unwrap();
    assert!(fs::read(cut(1)).unwrap() == release, "the release's initramfs is changed");

    let late = dir.path().join("late");
    let archive = tool("zstd", &["-dc".as_ref(), cut(2).as_os_str()]).stdout;
    assert_eq!(unpack(&archive, &late), names(2));
    let moved = fs::read(late.join("usr/lib/firmware/hello/firmware.bin")).unwrap();
    assert_eq!(moved, fs::read(part("hello/firmware.bin")).unwrap());
    let config = fs::read_to_string(late.join("extensions.yaml")).unwrap();
    assert_eq!(config, extensions_yaml());

    for number in 0..4 {
        let image = late.join(format!("{number}.sqsh"));
        let said = text("unsquashfs", &["-s".as_ref(), image.as_os_str()]);
        assert!(said.contains("Compression zstd\n\tcompression-level 18\n"), "{said}");
        assert!(said.contains("Block size 131072"), "{said}");
        let listing = text("unsquashfs", &["-lls".as_ref(), image.as_os_str()]);
        let foreign = listing.lines().find(|line| !line.contains(" root/root "));
        assert_eq!(foreign, None);
    }
    same_as(&shapes(), &late.join("3.sqsh"), dir.path());
}

/// The text, as the Talos imager writes it.
fn extensions_yaml() -> String {
    let mut text = "layers:\n".to_owned();
    let extension = |name: &str, description: &str| {
        let reference = image(name);
        let version = reference.rsplit_once(':').unwrap().1.to_owned();
        // What reads as a number or a date is quoted.
        let version = if version.contains('.') { version } else { format!("\"{version}\"") };
        let description = format!("|\n            {description}");
        (name.to_owned(), version, "talos-image", description)
    };
    let shapes = ("shapes".to_owned(), "1.0.0".to_owned(), "tests", "All shapes".to_owned());
    let all = [
        extension("intel-ucode", "Intel CPU microcode, out of Debian's intel-microcode"),
        extension("amd-ucode", "AMD CPU microcode, out of Debian's amd64-microcode"),
        extension("hello", "A file to mount, and firmware for the initramfs"),
        shapes,
    ];
    for (number, (name, version, author, description)) in all.iter().enumerate() {
        let _ = write!(
            text,
            "    - image: {number}.sqsh
      metadata:
        name: {name}
        version: {version}
        author: {author}
        description: {description}
        compatibility:
            talos:
                version: '>= v1.5.0'
"
        );
    }
    text
}

/// Two foreign readers see a squashfs image hold just this tree.
fn same_as(tree: &Tree, image: &Path, dir: &Path) {
    let root = dir.join("unpacked");
    let to = ["-no-progress", "-no-xattrs", "-d"].map(AsRef::as_ref);
    tool("unsquashfs", &[&to[..], &[root.as_os_str(), image.as_os_str()]].concat());
    let mut inodes = BTreeMap::new();
    let mut count = 0;
    for (path, ino, node) in tree.iter() {
        count += 1;
        let place = root.join(path.as_str());
        let meta = fs::symlink_metadata(&place).unwrap();
        assert_eq!(*inodes.entry(ino).or_insert(meta.ino()), meta.ino(), "{path:?} is no link");
        match &node.kind {
            NodeKind::Directory => assert!(meta.is_dir(), "{path:?}"),
            NodeKind::File(content) => {
                let same = content.to_vec(content.len()).unwrap() == fs::read(&place).unwrap();
                assert!(same, "{path:?} has other bytes");
            }
            NodeKind::Symlink(target) => {
                assert_eq!(fs::read_link(&place).unwrap(), Path::new(target));
                continue;
            }
            other => panic!("{path:?}: {other:?}"),
        }
        assert_eq!(meta.permissions().mode() & 0o7777, node.mode, "{path:?}");
        if node.is_directory() {
            continue;
        }
        let arguments = ["-x".as_ref(), path.as_str().as_ref(), image.as_os_str()];
        let mut expected = String::new();
        for (name, value) in &node.xattrs {
            let _ = writeln!(expected, "{name}={}", String::from_utf8_lossy(value));
        }
        if !node.xattrs.is_empty() || count % 20 == 0 {
            assert_eq!(text("rdsquashfs", &arguments), expected, "{path:?}");
        }
    }
    let links: BTreeSet<_> = inodes.values().collect();
    assert_eq!(links.len(), inodes.len(), "files are linked that were not");
    let found = text("find", &[&root]).lines().count();
    assert_eq!(found, count, "files that were not there");
}

#[test]
fn squashfs_images_are_as_small_as_mksquashfs_makes_them() {
    let dir = tempfile::tempdir().unwrap();
    let scratch = Scratch::new(dir.path());
    // The release's own root file system: busybox, its links, kernel modules.
    let release = Blob::open(&part("amd64/initramfs.xz")).unwrap();
    let segments = initramfs::segments(&release, 1 << 30).unwrap();
    let root = initramfs::file(&segments, "rootfs.sqsh", 1 << 30, 1 << 30).unwrap().unwrap();
    let root = squashfs::read(&root.into(), &scratch, 1 << 30, &|_| true).unwrap();
    // Microcode hardly compresses; a kernel's code does.
    let mut binaries = Tree::new();
    for name in ["intel-ucode/06-55-04", "intel-ucode/06-8f-04", "amd64/initramfs.xz"] {
        let content = Blob::open(&part(name)).unwrap();
        binaries.insert(path(name), Node::file(content, 0o644));
    }
    let kernel = linux::vmlinux(&fs::read(part("amd64/vmlinuz")).unwrap());
    binaries.insert(path("vmlinux"), Node::file(kernel[..16 << 20].to_vec(), 0o755));
    let shapes = shapes();

    for (name, tree) in [("root", &root), ("binaries", &binaries), ("shapes", &shapes)] {
        let mut plain = Tree::new();
        for (path, _, node) in tree.iter() {
            plain.insert(path.clone(), Node { xattrs: BTreeMap::new(), ..node.clone() });
        }
        let archive = cpio::archive(&plain, 0).unwrap();
        let folder = dir.path().join(name);
        unpack(&archive.to_vec(archive.len()).unwrap(), &folder);
        let theirs = dir.path().join(format!("{name}.theirs"));
        let mut command = Command::new("mksquashfs");
        command.arg(&folder).arg(&theirs).args(["-comp", "zstd", "-Xcompression-level", "18"]);
        finish(command.args(["-all-root", "-no-progress", "-no-xattrs"]));
        let options = squashfs::Options::default();
        let ours = squashfs::image(&plain, &options, &scratch, &|_| ()).unwrap();
        let (ours, theirs) = (ours.len(), fs::metadata(&theirs).unwrap().len());
        // Four kilobytes for the padding, whole blocks of which either side may just need.
        let limit = theirs + theirs / 100 + 4096;
        assert!(ours <= limit, "{name}: {ours} bytes, mksquashfs {theirs}");
    }
}

/// The sections' names, sizes and digests that `inspect --json` tells.
fn sections(report: &Value) -> Vec<(String, u64, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let sections = report["sections"].as_array().unwrap();
    let row = |section: &Value| {
        let digest = text(&section["digest"]);
        let digest = digest.strip_prefix("sha256:").unwrap().to_owned();
        (text(&section["name"]), section["size"].as_u64().unwrap(), digest)
    };
    sections.iter().map(row).collect()
}

#[test]
fn ukify_and_objdump_see_the_sections_that_inspect_sees() {
    let dir = tempfile::tempdir().unwrap();
    let path = std::env::var("PATH").unwrap();
    let path = format!("{}:{path}", part("bin").display());
    let kernels = [
        linux::vmlinux(&fs::read(part("amd64/vmlinuz")).unwrap()),
        fs::read(part("arm64/vmlinuz")).unwrap(),
    ];
    for (file, kernel) in media().ukis.iter().zip(kernels) {
        let mut command = Command::new("ukify");
        command.arg("inspect").arg(file).args(["--all", "--json=short"]).env("PATH", &path);
        let theirs: BTreeMap<String, Value> =
            serde_json::from_slice(&finish(&mut command).stdout).unwrap();
        let report = inspect(file);
        let ours = sections(&report);
        assert_eq!(ours.len(), theirs.len());
        for (name, size, digest) in ours {
            let section = &theirs[&name];
            assert_eq!(section["size"], size, "{name}");
            assert_eq!(section["sha256"], digest, "{name}");
        }
        let uname = theirs[".uname"]["text"].as_str().unwrap();
        assert_eq!(report["uname"], uname);
        let banner = format!("Linux version {uname} (");
        let runs = kernel.windows(banner.len()).any(|window| window == banner.as_bytes());
        assert!(runs, "the kernel is not {uname}");
    }

    // With profiles names repeat, which only objdump tells apart.
    let (_, rows) = partitions(&media().iso, 512);
    let esp = cut(&media().iso, rows[1].0, rows[1].1, &dir.path().join("esp"));
    let uki = dir.path().join("uki");
    let mut command = Command::new("mcopy");
    finish(command.arg("-i").arg(esp).arg("::/EFI/Linux/Talos-v1.11.0.efi").arg(&uki));
    let listing = text("objdump", &["-h".as_ref(), uki.as_os_str()]);
    let theirs: Vec<_> = listing
        .lines()
        .filter_map(|line| {
            let words: Vec<_> = line.split_whitespace().collect();
            words.first()?.parse::<u32>().ok()?;
            Some((words[1].to_owned(), u64::from_str_radix(words[2], 16).unwrap()))
        })
        .collect();
    let ours: Vec<_> =
        sections(&inspect(&uki)).into_iter().map(|(name, size, _)| (name, size)).collect();
    assert_eq!(ours, theirs);
    assert_eq!(ours.iter().filter(|(name, _)| name == ".profile").count(), 2);
}

/// A microcode update of Intel's.
#[derive(Debug, PartialEq)]
struct Update {
    /// Signature and mask of platforms.
    processors: BTreeSet<(u64, u64)>,
    date: String,
    revision: u64,
    size: u64,
}

#[test]
fn iucode_tool_lists_the_microcode_that_inspect_lists() {
    let dir = tempfile::tempdir().unwrap();
    let report = inspect(&media().initramfs);
    let early = report["segments"][0]["size"].as_u64().unwrap();
    let early = cut(&media().initramfs, 0, early, &dir.path().join("early"));
    unpack(&fs::read(early).unwrap(), dir.path());
    let bundle = dir.path().join("kernel/x86/microcode/GenuineIntel.bin");
    let number = |text: &str| u64::from_str_radix(text.trim_start_matches("0x"), 16).unwrap();
    // An update is a line with its size; lines without follow for more processors.
    let mut theirs: Vec<Update> = Vec::new();
    for line in text("iucode_tool", &["-L".as_ref(), bundle.as_os_str()]).lines() {
        let Some((_, line)) = line.split_once(" sig ") else { continue };
        let words: Vec<_> = line.split(", ").collect();
        let after = |at: usize, key: &str| words[at].strip_prefix(key).unwrap();
        let processor = (number(words[0]), number(after(1, "pf_mask ")));
        if words.len() == 4 {
            theirs.last_mut().unwrap().processors.insert(processor);
        } else {
            theirs.push(Update {
                processors: BTreeSet::from([processor]),
                date: words[2].to_owned(),
                revision: number(after(3, "rev ")),
                size: after(4, "size ").parse().unwrap(),
            });
        }
    }
    let hex = |value: &Value| number(value.as_str().unwrap());
    let updates = report["microcode"].as_array().unwrap().iter();
    let ours: Vec<_> = updates
        .filter(|update| update["vendor"] == "intel")
        .map(|update| {
            assert_eq!(update["checksum_ok"], true);
            let processors = update["processors"].as_array().unwrap().iter();
            Update {
                processors: processors
                    .map(|processor| (hex(&processor["signature"]), hex(&processor["platforms"])))
                    .collect(),
                date: update["date"].as_str().unwrap().to_owned(),
                revision: hex(&update["revision"]),
                size: update["size"].as_u64().unwrap(),
            }
        })
        .collect();
    assert!(theirs.len() > 100, "only {} updates", theirs.len());
    assert_eq!(ours.len(), theirs.len());
    for (ours, theirs) in ours.iter().zip(&theirs) {
        assert_eq!(ours, theirs);
    }
}

#[test]
fn systemd_measure_predicts_the_same_pcr_11() {
    let phases = ["enter-initrd", "leave-initrd", "enter-machined"];
    let (_, rows) = partitions(&media().iso, 512);
    let dir = tempfile::tempdir().unwrap();
    let esp = cut(&media().iso, rows[1].0, rows[1].1, &dir.path().join("esp"));
    let with_profiles = dir.path().join("uki");
    let mut command = Command::new("mcopy");
    finish(command.arg("-i").arg(esp).arg("::/EFI/Linux/Talos-v1.11.0.efi").arg(&with_profiles));
    for file in [&media().ukis[0], &media().ukis[1], &with_profiles] {
        let contents = uki::read(&Blob::open(file).unwrap()).unwrap();
        let ours = pcr::predict(&contents, &pcr::Bank::ALL, &phases).unwrap();
        let boots = contents.boots();
        assert_eq!(ours.len(), boots.len());
        for (ours, sections) in ours.iter().zip(boots) {
            let mut command = Command::new(part("bin/systemd-measure"));
            command.args(["calculate", "--json=short"]);
            for (section, content) in sections {
                let name = section.name().trim_start_matches('.');
                let file = dir.path().join(name);
                content.persist(&file, &mut |_| ()).unwrap();
                command.arg(format!("--{name}={}", file.display()));
            }
            command.args(pcr::Bank::ALL.map(|bank| format!("--bank={bank}")));
            command.args(ours.iter().skip(1).map(|at| format!("--phase={}", at.phase)));
            let theirs: Value = serde_json::from_slice(&finish(&mut command).stdout).unwrap();
            for (at, ours) in ours.iter().skip(1).enumerate() {
                for (bank, value) in &ours.values {
                    let theirs = &theirs[bank.name()][at];
                    assert_eq!(theirs["phase"], ours.phase);
                    let mut hex = String::new();
                    value.iter().for_each(|byte| write!(hex, "{byte:02x}").unwrap());
                    assert_eq!(theirs["hash"], hex, "{bank} at {}", ours.phase);
                }
            }
        }
    }
}

//! XFS: what its own tools and GRUB's driver find, and that we read what they write.

use super::*;
use image_core::formats::xfs;

const UUID: &str = "30313233-3435-3637-3839-616263646566";

fn options(mib: u64, sector_size: u32, kernel: xfs::Kernel) -> xfs::Options<'static> {
    let (size, uuid, epoch) = (mib * MIB, *b"0123456789abcdef", 1_700_000_000);
    xfs::Options { size, sector_size, label: "BOOT", uuid, epoch, kernel }
}

fn noise(len: usize, seed: u64) -> Vec<u8> {
    (seed..).take(len).map(|i| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect()
}

/// As large as a partition that boots: a kernel, an initramfs, a configuration.
fn boot() -> Tree {
    let mut tree = Tree::new();
    tree.insert(path("A/vmlinuz"), Node::file(noise(10 << 20, 1), 0o644));
    tree.insert(path("A/initramfs.xz"), Node::file(noise(100 << 20, 2), 0o644));
    tree.insert(path("grub/grub.cfg"), Node::file("set timeout=3\n", 0o644));
    tree
}

/// Directories of all forms, links, and so many files that B+trees have levels.
fn many() -> Tree {
    let mut tree = Tree::new();
    for (directory, count) in [("short", 9), ("block", 80), ("leaf", 400), ("node", 5_000)] {
        for number in 0..count {
            let name = format!("{directory}/{number}-{}", "n".repeat(number % 40));
            let content = noise(number * 37 % 9_000, number as u64);
            tree.insert(path(&name), Node::file(content, 0o644));
        }
    }
    let target = format!("{}/{}/{}", "d".repeat(200), "e".repeat(200), "file");
    tree.insert(path(&target), Node::file("far away\n", 0o600));
    tree.insert(path("remote"), Node::symlink(target));
    tree.insert(path("inline"), Node::symlink("short/8-nnnnnnnn"));
    tree.insert(path("zeros"), Node::file(Blob::zeros(3 * MIB + 17), 0o444));
    tree.link(path("hard"), &path("leaf/7-nnnnnnn")).unwrap();
    tree
}

fn made(tree: &Tree, options: &xfs::Options<'_>, at: &Path) -> String {
    if at.exists() {
        fs::remove_file(at).unwrap();
    }
    xfs::volume(tree, options).unwrap().persist(at, &mut |_| ()).unwrap();
    at.to_str().unwrap().to_owned()
}

#[test]
fn xfs_repair_finds_nothing_to_repair() {
    use xfs::Kernel::{Linux6_1, Linux6_6, Linux6_12, Linux6_18};
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("xfs");
    let trees = [boot(), many()];
    for (index, mib, sector, kernel) in [
        (0, 300, 512, Linux6_1),
        (0, 1000, 512, Linux6_6),
        (0, 2000, 4096, Linux6_12),
        (0, 64 << 10, 512, Linux6_18),
        (1, 300, 4096, Linux6_1),
        (1, 2000, 512, Linux6_12),
        (1, 64 << 10, 4096, Linux6_6),
    ] {
        let file = made(&trees[index], &options(mib, sector, kernel), &file);
        // It succeeds only if there is nothing to do.
        tool("xfs_repair", &["-n", &file]);
    }
}

#[test]
fn an_empty_xfs_is_the_one_that_mkfs_makes() {
    let dir = tempfile::tempdir().unwrap();
    let (ours, theirs) = (dir.path().join("ours"), dir.path().join("theirs"));
    for (mib, sector) in [(300, 512), (1000, 4096), (2000, 512), (64 << 10, 4096)] {
        let ours = made(&Tree::new(), &options(mib, sector, xfs::Kernel::Linux6_12), &ours);
        fs::File::create(&theirs).unwrap().set_len(mib * MIB).unwrap();
        let theirs = theirs.to_str().unwrap();
        let sector = format!("size={sector}");
        let features = "finobt=1,rmapbt=1,reflink=1,bigtime=1,inobtcount=1";
        let metadata = format!("{features},uuid={UUID}");
        let mut arguments = vec!["-q", "-f", "-L", "BOOT", "-s", &sector, "-m", &metadata];
        arguments.extend(["-i", "sparse=1,nrext64=1", theirs]);
        tool("mkfs.xfs", &arguments);
        let mut commands: Vec<String> =
            ["sb 0", "p", "inode 128", "p", "inode 129", "p"].map(str::to_owned).to_vec();
        for group in 0..4 {
            for header in ["agf", "agi", "agfl"] {
                commands.extend([format!("{header} {group}"), "p".to_owned()]);
            }
            for tree in ["bnoroot", "cntroot", "rmaproot", "refcntroot"] {
                commands.extend([format!("agf {group}"), format!("addr {tree}"), "p".to_owned()]);
            }
            for tree in ["root", "free_root"] {
                commands.extend([format!("agi {group}"), format!("addr {tree}"), "p".to_owned()]);
            }
        }
        let said = |file: &str| {
            let mut arguments = vec!["-r"];
            arguments.extend(commands.iter().flat_map(|command| ["-c", command]));
            arguments.push(file);
            let said = text("xfs_db", &arguments);
            // Checksums and dates differ, how often an inode was changed, its random generation.
            let other = ["crc", "sec = ", "change_count", "core.gen"];
            let is_same = |line: &&str| !other.iter().any(|word| line.contains(word));
            said.lines().filter(is_same).map(str::to_owned).collect::<Vec<_>>()
        };
        let (ours, theirs) = (said(&ours), said(theirs));
        assert!(ours.len() > 400, "xfs_db says only {ours:#?}");
        for (ours, theirs) in ours.iter().zip(&theirs) {
            assert_eq!(ours, theirs, "{mib} MiB, {sector}");
        }
        assert_eq!(ours.len(), theirs.len());
    }
}

#[test]
fn grub_reads_xfs() {
    let dir = tempfile::tempdir().unwrap();
    let (file, content) = (dir.path().join("xfs"), dir.path().join("content"));
    for (sector, kernel) in [(512, xfs::Kernel::Linux6_1), (4096, xfs::Kernel::Linux6_18)] {
        let tree = many();
        let file = made(&tree, &options(300, sector, kernel), &file);
        // One in so many, of every directory.
        let files = tree.iter().filter(|(.., node)| node.content().is_some());
        for (path, _, node) in files.step_by(70) {
            fs::write(&content, node.content().unwrap().to_vec(u64::MAX).unwrap()).unwrap();
            let path = format!("(loop0)/{path}");
            tool("grub-fstest", &[&file, "cmp", &path, content.to_str().unwrap()]);
        }
        assert_eq!(text("grub-fstest", &[&file, "cat", "(loop0)/remote"]), "far away\n");
        let listed = text("grub-fstest", &[&file, "ls", "(loop0)/node/"]);
        assert_eq!(listed.split_whitespace().count(), 5_000);
    }
}

/// `mkfs.xfs` fills a file system from a list of files, by the kernel's own code.
#[test]
fn what_mkfs_writes_we_read() {
    let dir = tempfile::tempdir().unwrap();
    let mut list = "name\n0 0\nd--755 0 0\n".to_owned();
    let mut expected = Tree::new();
    for (directory, count) in [("short", 9), ("block", 80), ("leaf", 400), ("node", 1_200)] {
        writeln!(list, "{directory} d--755 0 0").unwrap();
        for number in 0..count {
            let content = noise(number * 101, 3);
            let file = dir.path().join(format!("{directory}-{number}"));
            fs::write(&file, &content).unwrap();
            writeln!(list, "name-{number} ---640 0 0 {}", file.display()).unwrap();
            let node = Node::file(content, 0o640);
            expected.insert(path(&format!("{directory}/name-{number}")), node);
        }
        list += "$\n";
    }
    let target = "t".repeat(300);
    writeln!(list, "link l--777 0 0 {target}\n$").unwrap();
    expected.insert(path("link"), Node::symlink(target));
    let (proto, file) = (dir.path().join("list"), dir.path().join("xfs"));
    fs::write(&proto, list).unwrap();
    fs::File::create(&file).unwrap().set_len(300 * MIB).unwrap();
    let (proto, name) = (proto.to_str().unwrap(), file.to_str().unwrap());
    finish(Command::new("mkfs.xfs").args(["-q", "-L", "THEIRS", "-p", proto, name]));
    let found = xfs::read(&Blob::open(&file).unwrap()).unwrap();
    assert_eq!((found.label.as_str(), found.size), ("THEIRS", 300 * MIB));
    let listing = |tree: &Tree| {
        let content = |node: &Node| match &node.kind {
            NodeKind::File(content) => content.digest().unwrap().to_string(),
            kind => format!("{kind:?}"),
        };
        let row =
            |(path, _, node): (&TreePath, _, &Node)| (path.to_string(), (node.mode, content(node)));
        tree.iter().map(row).collect::<BTreeMap<_, _>>()
    };
    assert_eq!(listing(&found.tree), listing(&expected));
}

#[test]
fn boot_partitions_of_disks_are_sound() {
    let dir = tempfile::tempdir().unwrap();
    for (version, size) in [("v1.7.0", 1000), ("v1.9.0", 1000), ("v1.12.0", 2000)] {
        let arguments = ["metal", "--arch=amd64", "--out-format=raw"];
        let disk = build_of(version, &dir.path().join(version), &arguments);
        let said = text("sgdisk", &["-v".as_ref(), disk.as_os_str()]);
        assert!(said.contains("No problems found"), "{said}");
        let (_, rows) = partitions(&disk, 512);
        let names: Vec<_> = rows.iter().map(|row| row.4.as_str()).collect();
        assert_eq!(names[..4], ["EFI", "BIOS", "BOOT", "META"]);
        let (offset, len, ..) = &rows[2];
        assert_eq!(*len, size * MIB);
        let boot = cut(&disk, *offset, *len, &dir.path().join("boot"));
        tool("xfs_repair", &["-n", boot.to_str().unwrap()]);
    }
}

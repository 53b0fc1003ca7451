//! The initramfs and the squashfs images in it.

use super::*;

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

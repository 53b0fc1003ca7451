//! The stand-in release's initramfs, in Talos's shape: `/init` and a `rootfs.sqsh`.

use anyhow::{Context as _, Result};
use image_core::{
    blob::{Blob, Scratch},
    formats::{cpio, squashfs},
    tree::{Node, Tree, TreePath},
};
use std::{
    fs,
    io::{Read as _, Write as _},
    num::NonZeroUsize,
    path::Path,
};

/// The first program.
pub(crate) const INIT: &str = include_str!("../../../fixtures/guest/init");

/// What the first program needs and Debian's kernel does not have built in, in loading order.
const MODULES: [&str; 5] = [
    "drivers/block/loop",
    "drivers/block/virtio_blk",
    "fs/efivarfs/efivarfs",
    "fs/overlayfs/overlay",
    "fs/squashfs/squashfs",
];

/// Files about the modules that depmod wants to see beside them.
const LISTS: [&str; 3] = ["modules.builtin", "modules.builtin.modinfo", "modules.order"];

/// Writes an initramfs out of a static busybox and a kernel's folder of modules.
pub(crate) fn write(busybox: &Path, modules: &Path, to: &Path) -> Result<()> {
    let scratch = tempfile::tempdir()?;
    let busybox = Blob::open(busybox).with_context(|| busybox.display().to_string())?;
    let kernel = modules.file_name().unwrap_or_default().to_string_lossy().into_owned();

    let mut root = Tree::new();
    for folder in ["dev", "etc", "proc", "run", "sys", "usr/local"] {
        root.insert(TreePath::new(folder)?, Node::directory(0o755));
    }
    root.insert(TreePath::new("bin/busybox")?, Node::file(busybox.clone(), 0o755));
    let inside = TreePath::new("usr/lib/modules")?.join(&kernel)?;
    for list in LISTS {
        root.insert(inside.join(list)?, Node::file(Blob::open(&modules.join(list))?, 0o644));
    }

    let mut initramfs = Tree::new();
    initramfs
        .insert(TreePath::new("init")?, Node::file(Blob::from(INIT.as_bytes().to_vec()), 0o755));
    initramfs.insert(TreePath::new("bin/busybox")?, Node::file(busybox, 0o755));
    for (number, module) in MODULES.iter().enumerate() {
        let file = format!("kernel/{module}.ko.xz");
        let Ok(packed) = Blob::open(&modules.join(&file)) else {
            // Built into this architecture's kernel.
            continue;
        };
        root.insert(inside.join(&file)?, Node::file(packed.clone(), 0o644));
        // busybox's insmod does not unpack.
        let mut plain = Vec::new();
        liblzma::read::XzDecoder::new(packed.reader()).read_to_end(&mut plain)?;
        let name = module.rsplit('/').next().unwrap_or(module);
        let path = TreePath::new(&format!("modules/{number}-{name}.ko"))?;
        initramfs.insert(path, Node::file(Blob::from(plain), 0o644));
    }
    let options = squashfs::Options {
        threads: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
        ..squashfs::Options::default()
    };
    let image = squashfs::image(&root, &options, &Scratch::new(scratch.path()), &|_| {})?;
    initramfs.insert(TreePath::new("rootfs.sqsh")?, Node::file(image, 0o644));

    let mut file = zstd::Encoder::new(fs::File::create(to)?, 18)?;
    cpio::archive(&initramfs, 0)?.write_to(&mut file, &mut |_| {})?;
    Ok(file.finish()?.flush()?)
}

//! What is built from: made up, the same in every run, as large as the real thing.

use anyhow::{Context as _, Result};
use image_core::{
    blob::{Blob, Scratch, Spool},
    fake,
    formats::{
        cpio, linux,
        oci::{self, Encoding, Named, Platform},
        pe,
    },
    talos::{Arch, release::BootAsset},
    tree::{Node, Tree, TreePath},
};
use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs::{self, File},
    io::{BufWriter, Write},
    path::{Path, PathBuf},
};
use tempfile::TempDir;

use crate::measure::shell;

/// The Talos version that is built: its EFI system partition holds an initramfs of 1 GB.
pub(crate) const VERSION: &str = "v1.11.0";
/// One whose partition BOOT has 1000 MiB, not 2000.
pub(crate) const SMALL_BOOT: &str = "v1.9.0";

/// Bytes of a kernel.
const KERNEL: u64 = 20 << 20;

/// The images of a layout.
const IMAGER: &str = "registry.example/siderolabs/imager:v1.11.0";
const RELEASE: &str = "siderolabs/imager:v1.11.0";
pub(crate) const EXTENSION: &str = "registry.example/siderolabs/programs:1.0.0";
pub(crate) const FIRMWARE: &str = "registry.example/siderolabs/firmware:1.0.0";

/// A folder for all that is made; it vanishes with this.
pub(crate) struct Inputs(TempDir);

/// Boot assets as files.
pub(crate) struct Files(BTreeMap<BootAsset, PathBuf>);

impl Files {
    /// The flags that name them.
    pub(crate) fn args(&self) -> Vec<OsString> {
        self.0
            .iter()
            .flat_map(|(asset, path)| {
                let flag = match asset {
                    BootAsset::Kernel => "--kernel",
                    BootAsset::Initramfs => "--initramfs",
                    BootAsset::SdBoot => "--sd-boot",
                    BootAsset::SdStub => "--sd-stub",
                };
                [flag.into(), path.into()]
            })
            .collect()
    }
}

/// An OCI layout with a release and two extensions.
pub(crate) struct Layout {
    pub(crate) dir: PathBuf,
    /// The files of the release's layer and of [`EXTENSION`]'s.
    pub(crate) layers: [PathBuf; 2],
}

impl Layout {
    /// The flags that name it and extensions.
    pub(crate) fn args(&self, extensions: &[&str]) -> Vec<OsString> {
        let mut source = OsString::from("oci:");
        source.push(&self.dir);
        let mut args = vec!["--source".into(), source];
        for extension in extensions {
            args.extend(["--system-extension-image".into(), extension.into()]);
        }
        args
    }
}

impl Inputs {
    /// Makes its folder in `dir`.
    pub(crate) fn new(dir: &Path) -> Result<Self> {
        fs::create_dir_all(dir)?;
        Ok(Self(TempDir::with_prefix_in("ratios-", dir)?))
    }

    pub(crate) fn dir(&self) -> &Path {
        self.0.path()
    }

    /// Where media go.
    pub(crate) fn output(&self) -> PathBuf {
        self.dir().join("output")
    }

    /// The medium that was built last.
    pub(crate) fn made(&self) -> Result<PathBuf> {
        let entry = fs::read_dir(self.output())?.next().context("nothing was built")?;
        Ok(entry?.path())
    }

    /// Boot assets whose initramfs has about `size` bytes that do not compress any more.
    pub(crate) fn files(&self, size: u64) -> Result<Files> {
        let dir = self.dir().join(format!("files-{size}"));
        let path = |asset: BootAsset| dir.join(asset.file_name());
        let assets =
            [BootAsset::Kernel, BootAsset::Initramfs, BootAsset::SdBoot, BootAsset::SdStub];
        let files = Files(assets.map(|asset| (asset, path(asset))).into());
        if dir.exists() {
            return Ok(files);
        }
        fs::create_dir(&dir)?;
        let mut noise = Noise(1);
        let mut kernel = File::create(path(BootAsset::Kernel))?;
        kernel.write_all(&linux::fake::bz_image("6.12.1-talos"))?;
        noise.write(KERNEL, &mut kernel)?;
        let machine = pe::Machine::Amd64;
        fs::write(path(BootAsset::SdBoot), pe::fake::boot_loader(machine))?;
        fs::write(path(BootAsset::SdStub), pe::fake::stub(machine))?;

        let rootfs = dir.join("rootfs");
        noise.write(size, &mut File::create(&rootfs)?)?;
        let mut tree = Tree::new();
        tree.insert(TreePath::new("init")?, Node::file("#!/bin/sh\n", 0o755));
        tree.insert(TreePath::new("rootfs.sqsh")?, Node::file(Blob::open(&rootfs)?, 0o644));
        let archive = dir.join("archive");
        cpio::archive(&tree, 0)?.persist(&archive, &mut |_| ())?;
        // The window of level 18, by which Talos compresses, without taking its time.
        let (from, to) = (archive.display(), path(BootAsset::Initramfs));
        shell(&format!("zstd -q -3 --zstd=wlog=23 '{from}' -o '{}'", to.display()))?;
        fs::remove_file(archive)?;
        fs::remove_file(rootfs)?;
        Ok(files)
    }

    /// Kernel and initramfs in one file, so many times.
    pub(crate) fn payload(&self, files: &Files, times: usize) -> Result<PathBuf> {
        let path = self.dir().join("payload");
        let parts = [BootAsset::Kernel, BootAsset::Initramfs]
            .map(|asset| Blob::open(&files.0[&asset]))
            .into_iter()
            .collect::<Result<Vec<_>, _>>()?;
        let len = parts.len();
        let parts = parts.into_iter().cycle().take(len * times);
        Blob::concat(parts).persist(&path, &mut |_| ())?;
        Ok(path)
    }

    /// The flags that name a release of GRUB's files only, about as large as the real ones.
    pub(crate) fn grub(&self) -> Result<Vec<OsString>> {
        let dir = self.dir().join("grub");
        let mut args: Vec<OsString> = vec!["--source".into(), "oci:".into()];
        args[1].push(&dir);
        args.extend(["--release-image".into(), RELEASE.into()]);
        if dir.exists() {
            return Ok(args);
        }
        let mut noise = Noise(4);
        let mut release = Tree::new();
        for (path, _, node) in fake::release()?.iter() {
            let Some(content) = node.content().filter(|_| path.as_str().contains("grub")) else {
                continue;
            };
            // What follows an ELF file's end does no harm.
            let is_module = path.as_str().strip_suffix(".mod").is_some();
            let more = noise.program(if is_module { 10_000 } else { 0 });
            let content = Blob::concat([content.clone(), more.into()]);
            release.insert(path.clone(), Node::file(content, 0o644));
        }
        let image = fake::image(RELEASE, &release, &[Arch::Amd64], Encoding::Gzip)?;
        fake::write(&oci::layout(&[image])?, &dir)?;
        Ok(args)
    }

    /// A layout whose release holds [`files`](Self::files) of `size` and, as the real one, as
    /// much again that an amd64 medium has no use for.
    pub(crate) fn layout(&self, size: u64, encoding: Encoding) -> Result<Layout> {
        let files = self.files(size)?;
        let dir = self.dir().join("layout");
        let mut spool = Spool::new(&Scratch::new(self.dir()));
        let mut release = Tree::new();
        for arch in Arch::ALL {
            for (asset, path) in &files.0 {
                let node = Node::file(Blob::open(path)?, 0o644);
                release.insert(TreePath::new(&asset.path(arch))?, node);
            }
        }
        let root = TreePath::new("rootfs")?;
        let mut programs = manifest("programs")?;
        programs.graft(&root, &tree(&self.extension()?)?);
        let mut firmware = manifest("firmware")?;
        firmware.graft(&root, &tree(&self.firmware()?)?);

        let platform = Platform::new("linux", "amd64");
        let mut layer = |tree| oci::layer(tree, encoding, 0, &mut spool);
        let images = [
            (IMAGER, layer(&release)?),
            (EXTENSION, layer(&programs)?),
            (FIRMWARE, layer(&firmware)?),
        ];
        let [release, programs, _] =
            images.each_ref().map(|(_, layer)| layer.descriptor.digest.hex());
        let layers = [release, programs].map(|digest| dir.join("blobs/sha256").join(digest));
        let mut named = Vec::new();
        for (name, layer) in images {
            let image =
                oci::image(&platform, &serde_json::Map::new(), vec![layer], BTreeMap::new())?;
            named.push(Named { names: vec![name.to_owned()], images: vec![image] });
        }
        for (path, _, node) in oci::layout(&named)?.iter() {
            let path = dir.join(path.as_str());
            match node.content() {
                Some(content) => content.persist(&path, &mut |_| ())?,
                None => fs::create_dir_all(path)?,
            }
        }
        Ok(Layout { dir, layers })
    }

    /// The folder of an extension with 40 MB of firmware, which stays outside its squashfs.
    fn firmware(&self) -> Result<PathBuf> {
        let dir = self.dir().join("firmware");
        let inside = dir.join("usr/lib/firmware/bench");
        if !dir.exists() {
            fs::create_dir_all(&inside)?;
            let mut noise = Noise(3);
            for number in 0..10 {
                fs::write(inside.join(number.to_string()), noise.program(4_000_000))?;
            }
        }
        Ok(dir)
    }

    /// The folder of an extension's files: programs, as far as compression goes, and small
    /// texts, 20 MB in all.
    pub(crate) fn extension(&self) -> Result<PathBuf> {
        let dir = self.dir().join("extension");
        if dir.exists() {
            return Ok(dir);
        }
        let mut noise = Noise(2);
        let programs = (0..5).map(|number| (format!("usr/local/bin/program-{number}"), 3_700_000));
        let texts = (0..100).map(|number| (format!("usr/local/share/bench/{number}"), 10_007));
        for (path, len) in programs.chain(texts) {
            let path = dir.join(path);
            fs::create_dir_all(path.parent().context("a path of a file")?)?;
            fs::write(path, noise.program(len))?;
        }
        Ok(dir)
    }
}

/// The image of an extension before there is anything in it.
fn manifest(name: &str) -> Result<Tree> {
    let text = format!(
        "version: v1alpha1\nmetadata:\n  name: {name}\n  version: 1.0.0\n  author: bench\n  \
         description: bench\n  compatibility:\n    talos:\n      version: \">= v1.5.0\"\n"
    );
    let mut tree = Tree::new();
    tree.insert(TreePath::new("manifest.yaml")?, Node::file(text, 0o644));
    Ok(tree)
}

/// A folder as a tree.
pub(crate) fn tree(dir: &Path) -> Result<Tree> {
    let mut tree = Tree::new();
    add(&mut tree, dir, &TreePath::ROOT)?;
    Ok(tree)
}

fn add(tree: &mut Tree, dir: &Path, to: &TreePath) -> Result<()> {
    for entry in fs::read_dir(dir)? {
        let (path, name) = entry.map(|entry| (entry.path(), entry.file_name()))?;
        let to = to.join(&name.to_string_lossy())?;
        let kind = fs::symlink_metadata(&path)?.file_type();
        if kind.is_dir() {
            tree.insert(to.clone(), Node::directory(0o755));
            add(tree, &path, &to)?;
        } else if kind.is_symlink() {
            let target = fs::read_link(&path)?;
            tree.insert(to, Node::symlink(target.to_string_lossy()));
        } else {
            tree.insert(to, Node::file(Blob::open(&path)?, 0o644));
        }
    }
    Ok(())
}

/// Bytes without end that look random (Marsaglia's xorshift).
struct Noise(u64);

impl Noise {
    fn number(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Writes `len` bytes, a multiple of 8.
    fn write(&mut self, len: u64, to: &mut File) -> Result<()> {
        let mut to = BufWriter::new(to);
        for _ in 0..len / 8 {
            to.write_all(&self.number().to_le_bytes())?;
        }
        Ok(to.flush()?)
    }

    /// Bytes that compress about as machine code does: words, most of them of a few, and what
    /// was there before.
    fn program(&mut self, len: usize) -> Vec<u8> {
        let words: Vec<_> = (0..4096).map(|_| self.number().to_le_bytes()).collect();
        let mut bytes: Vec<u8> = Vec::with_capacity(len + 64);
        while bytes.len() < len {
            let number = self.number();
            let [choice, at, more, ..] = number.to_be_bytes();
            if choice < 64 && bytes.len() > (1 << 16) + 64 {
                let back = usize::from(at) << 8 | usize::from(more);
                let start = bytes.len() - back - 64;
                bytes.extend_from_within(start..start + usize::from(choice / 2) + 4);
            } else {
                // The smaller of two choices comes more often.
                let index = usize::from(at.min(more)) * 16 + usize::from(choice & 15);
                bytes.extend(&words[index][..2 + usize::from(choice >> 5) % 6]);
                bytes.push(choice);
            }
        }
        bytes.truncate(len);
        bytes
    }
}

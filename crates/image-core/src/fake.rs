//! A small valid Talos release, extensions and an OCI layout with them, made in code: for tests,
//! examples, and a demonstration where no real parts are at hand.
//!
//! Headers and structure are real, so every step of a build runs on them; what would run on a
//! machine does nothing.

use crate::{
    blob::{Blob, Scratch, Spool},
    error::Result,
    formats::{
        cpio, grub,
        kernel_module::fake::{Module, module},
        linux::fake::{arm64_image, bz_image},
        oci::{self, Encoding, Platform},
        pe::{Machine, fake},
        squashfs,
    },
    sources::{Layout, Set},
    talos::{
        Arch, TalosVersion, catalogue,
        extension::{MANIFEST, Metadata, ROOTFS, firmware_dir},
        grub as talos_grub,
        release::{self, BootAsset},
    },
    tree::{Node, Tree, TreePath},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
};

/// What the fake kernel says it is.
pub const KERNEL_RELEASE: &str = "6.12.48-fake";
/// The registry the fake images come from.
const REGISTRY: &str = "registry.example";

/// The tree of the release image: boot assets of both architectures, GRUB, depmod's configuration.
pub fn release() -> Result<Tree> {
    let mut tree = Tree::new();
    for arch in Arch::ALL {
        let (machine, kernel) = match arch {
            Arch::Amd64 => (Machine::Amd64, bz_image(KERNEL_RELEASE)),
            Arch::Arm64 => (Machine::Arm64, arm64_image(KERNEL_RELEASE)),
        };
        for (asset, content) in [
            (BootAsset::Kernel, Blob::from(kernel)),
            (BootAsset::Initramfs, initramfs()?),
            (BootAsset::SdStub, fake::stub(machine).into()),
            (BootAsset::SdBoot, fake::boot_loader(machine).into()),
        ] {
            tree.insert(TreePath::new(&asset.path(arch))?, Node::file(content, 0o644));
        }
    }
    for platform in grub::Platform::ALL {
        let modules: BTreeSet<_> = [talos_grub::DISK, talos_grub::ISO]
            .iter()
            .flat_map(|files| files.modules(platform))
            .collect();
        let modules: Vec<_> = modules.into_iter().map(|name| (name, "")).collect();
        let directory = TreePath::new(&talos_grub::directory(platform))?;
        tree.graft(&directory, &grub::fake::directory(platform, &modules)?);
    }
    let config = Node::file(release::DEPMOD_DEFAULT, 0o644);
    tree.insert(TreePath::new(release::DEPMOD_CONFIG)?, config);
    Ok(tree)
}

/// An initramfs with an `init` that is no program, and a root file system with one kernel module.
pub fn initramfs() -> Result<Blob> {
    let mut root = Tree::new();
    let modules = TreePath::new("usr/lib/modules")?.join(KERNEL_RELEASE)?;
    let base = module(&Module { exports: &["fake_base"], ..Module::default() });
    for (path, content) in
        [("kernel/base.ko", base.into()), ("modules.order", Blob::from("kernel/base.ko\n"))]
    {
        root.insert(modules.join(path)?, Node::file(content, 0o644));
    }
    // Everything is small: nothing is written to the scratch directory.
    let root = squashfs::image(&root, &squashfs::Options::default(), &Scratch::new(""), &|_| ())?;
    let mut tree = Tree::new();
    tree.insert(TreePath::new("init")?, Node::file("not a program\n", 0o755));
    tree.insert(TreePath::new(release::ROOTFS)?, Node::file(root, 0o644));
    Ok(cpio::archive(&tree, 0)?)
}

/// The tree of an extension's image: its manifest, and `files` under its root file system.
pub fn extension(name: &str, version: &str, talos: &str, files: &[(&str, Blob)]) -> Result<Tree> {
    let manifest = Metadata {
        name: name.to_owned(),
        version: version.to_owned(),
        author: "The talos-image authors".to_owned(),
        description: format!("The fake extension {name}"),
        talos: talos.to_owned(),
        extra_info: String::new(),
    };
    let mut tree = Tree::new();
    tree.insert(TreePath::new(MANIFEST)?, Node::file(manifest.to_manifest(), 0o644));
    let root = TreePath::new(ROOTFS)?;
    tree.insert(root.clone(), Node::directory(0o755));
    for (path, content) in files {
        tree.insert(root.join(path)?, Node::file(content.clone(), 0o644));
    }
    Ok(tree)
}

/// An Intel microcode update of 2 KiB for `signature` (CPUID leaf 1, EAX), its sums right and
/// its date 2025-11-11 (Intel SDM volume 3, 11.11.1).
pub fn microcode(signature: u32, revision: u32) -> Blob {
    let mut words = vec![0u32; 512];
    words[..9].copy_from_slice(&[1, revision, 0x1111_2025, signature, 0, 1, 0x01, 2000, 2048]);
    words[12..].fill(revision ^ signature);
    let sum = words.iter().fold(0u32, |sum, word| sum.wrapping_add(*word));
    words[4] = sum.wrapping_neg();
    words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>().into()
}

/// An image of one layer for each architecture of `archs`, under `name` (repository and tag).
pub fn image(name: &str, tree: &Tree, archs: &[Arch], encoding: Encoding) -> Result<oci::Named> {
    // Everything is small: the spool stays in memory and needs no directory.
    let mut spool = Spool::new(&Scratch::new(""));
    let mut images = Vec::new();
    for arch in archs {
        let layer = oci::layer(tree, encoding, 0, &mut spool)?;
        let platform = Platform::new("linux", arch.name());
        let config = serde_json::Map::new();
        images.push(oci::image(&platform, &config, vec![layer], BTreeMap::new())?);
    }
    Ok(oci::Named { names: vec![format!("{REGISTRY}/{name}")], images })
}

/// A base installer of two layers: a program, and below what it installs, which an installer
/// image replaces.
fn base_installer(name: &str) -> Result<oci::Named> {
    let mut spool = Spool::new(&Scratch::new(""));
    let mut images = Vec::new();
    for arch in Arch::ALL {
        let layers =
            [("usr/bin/installer".to_owned(), 0o755), (BootAsset::Kernel.path(arch), 0o644)].map(
                |(path, mode)| {
                    let mut tree = Tree::new();
                    tree.insert(TreePath::new(&path)?, Node::file("an old one\n", mode));
                    Ok(oci::layer(&tree, Encoding::Gzip, 0, &mut spool)?)
                },
            );
        let layers = layers.into_iter().collect::<Result<_>>()?;
        let config = serde_json::json!({ "config": { "Entrypoint": ["/usr/bin/installer"] } });
        let config = config.as_object().cloned().unwrap_or_default();
        let platform = Platform::new("linux", arch.name());
        images.push(oci::image(&platform, &config, layers, BTreeMap::new())?);
    }
    Ok(oci::Named { names: vec![format!("{REGISTRY}/{name}")], images })
}

/// The tree of a catalogue's image that lists `extensions`, each with its description.
pub fn catalogue(extensions: &[oci::Named]) -> Result<Tree> {
    let layout = oci::layout(extensions)?;
    let index =
        layout.file("index.json").cloned().unwrap_or_else(Blob::empty).to_vec(oci::MAX_JSON)?;
    let (mut digests, mut descriptions) = (String::new(), String::new());
    for entry in oci::Index::read(&index)?.manifests {
        let Some(name) = entry.annotations.get("org.opencontainers.image.ref.name") else {
            continue;
        };
        let line = format!("{name}@{}", entry.digest);
        let said = "author: The talos-image authors\n  description: \"[core] A fake extension\"";
        digests.extend([&line, "\n"]);
        descriptions.extend([&line, ":\n  ", said, "\n"]);
    }
    let mut tree = Tree::new();
    for (path, text) in [(catalogue::DIGESTS, digests), (catalogue::DESCRIPTIONS, descriptions)] {
        tree.insert(TreePath::new(path)?, Node::file(text, 0o644));
    }
    Ok(tree)
}

/// What a site would have mirrored: the release of `version`, the base of its installers,
/// `siderolabs/intel-ucode:20251111` and `siderolabs/hello:1.0.0`, for both architectures, and the
/// catalogue of these two.
pub fn images(version: &TalosVersion) -> Result<Vec<oci::Named>> {
    let update = format!("{}/intel-ucode/06-55-04", firmware_dir(version));
    let update = [(update.as_str(), microcode(0x0005_0654, 0x0200_7006))];
    let hello = [("usr/local/share/hello/greeting", Blob::from("hello\n"))];
    let any = ">= v1.0.0";
    let extensions = [
        image(
            "siderolabs/intel-ucode:20251111",
            &extension("intel-ucode", "20251111", any, &update)?,
            &Arch::ALL,
            Encoding::Zstd,
        )?,
        image(
            "siderolabs/hello:1.0.0",
            &extension("hello", "1.0.0", any, &hello)?,
            &Arch::ALL,
            Encoding::Gzip,
        )?,
    ];
    let named = |repository| release::reference(repository, version);
    let mut images = vec![image(&named(release::IMAGER), &release()?, &Arch::ALL, Encoding::Gzip)?];
    // Of what is for no machine in particular a mirror may keep one platform's.
    let listing = catalogue(&extensions)?;
    images.push(image(&named(release::EXTENSIONS), &listing, &[Arch::Amd64], Encoding::Gzip)?);
    images.push(base_installer(&named(release::installer_repository(version)))?);
    images.extend(extensions);
    Ok(images)
}

/// [`images`] as a source in memory.
pub fn sources(version: &TalosVersion) -> Result<Set> {
    let layout = Layout::tree("oci:fake", oci::layout(&images(version)?)?)?;
    Ok(Set::new(vec![Arc::new(layout)]))
}

/// Writes a tree's directories and files under `directory`, which is made if need be: an OCI
/// layout, say.
pub fn write(tree: &Tree, directory: &Path) -> Result<()> {
    for (path, _, node) in tree.iter() {
        let place = directory.join(path.as_str());
        match node.content() {
            Some(content) => content.persist(&place, &mut |_| ())?,
            None => std::fs::create_dir_all(&place)?,
        }
    }
    Ok(())
}

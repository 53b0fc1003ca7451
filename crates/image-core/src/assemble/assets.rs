//! Boot assets: kernel, initramfs, systemd-stub and systemd-boot, out of the release or files.

use super::Context;
use crate::{
    blob::Blob,
    error::{During, Error, ErrorKind, Result},
    events::{Event, Step},
    formats::{self, grub::Directory, linux::Kernel, oci, pe},
    plan::{Asset, GrubCore, Image, Plan},
    sources::{self, Set},
    talos::Arch,
    tree::{Node, Tree, TreePath},
};
use std::collections::BTreeSet;

/// The boot assets of a plan, at hand.
#[derive(Debug)]
pub(super) struct Assets {
    arch: Arch,
    /// As much of the release image as the plan needs.
    release: Tree,
    /// How the release image is called, for messages.
    release_name: String,
}

impl Assets {
    /// Reads what the plan needs out of the release image, in one pass over its layers.
    pub(super) fn gather(plan: &Plan, cx: &Context<'_>) -> Result<Self> {
        let mut release = Tree::new();
        let mut release_name = String::new();
        if let Some(image) = &plan.release {
            let wanted: BTreeSet<TreePath> = plan
                .assets()
                .into_iter()
                .filter_map(|asset| match asset {
                    Asset::Release(path) => Some(TreePath::new(path)),
                    Asset::File(_) => None,
                })
                .collect::<Result<_, _>>()?;
            release_name = image.reference.to_string();
            let cores = plan.grub_cores().into_iter();
            let directories: Vec<_> =
                cores.map(|core| TreePath::new(&core.directory)).collect::<Result<_, _>>()?;
            let select = |path: &TreePath| {
                wanted.contains(path) || directories.iter().any(|it| path.strip(it).is_some())
            };
            let rules = oci::Rules::only(&select);
            release = unpack(image, Step::Release, &rules, cx.sources, cx)
                .during(|| "reading the boot assets of the release".to_owned())?;
        }
        Ok(Self { arch: plan.arch, release, release_name })
    }

    /// The bytes of an asset.
    pub(super) fn open(&self, asset: &Asset) -> Result<Blob> {
        match asset {
            Asset::File(path) => Ok(Blob::open(path)?),
            Asset::Release(path) => self.release.file(path).cloned().ok_or_else(|| {
                let what = format!(
                    "release {} has no file {path}: name another by --release-image, or the \
                     boot assets as files",
                    self.release_name
                );
                Error::new(ErrorKind::Source, what)
            }),
        }
    }

    /// The bytes of an asset that the release need not have.
    pub(super) fn find(&self, asset: &Asset) -> Result<Option<Blob>> {
        match asset {
            Asset::Release(path) if self.release.file(path).is_none() => Ok(None),
            there => self.open(there).map(Some),
        }
    }

    /// GRUB's files of which `core` is made.
    pub(super) fn grub(&self, core: &GrubCore) -> Result<Directory> {
        let path = TreePath::new(&core.directory)?;
        if !self.release.get(&path).is_some_and(Node::is_directory) {
            let what = format!(
                "release {} has no directory {path} with GRUB's files: name another by \
                 --release-image, or ask for --bootloader sd-boot, which needs none",
                self.release_name
            );
            return Err(Error::new(ErrorKind::Source, what));
        }
        Directory::read(&self.release, &path, core.platform).map_err(|error| self.bad_grub(&error))
    }

    /// What is wrong with GRUB's files, and what to do.
    pub(super) fn bad_grub(&self, error: &formats::Error) -> Error {
        let what = format!(
            "release {}: {error}: name another by --release-image, or ask for --bootloader \
             sd-boot, which needs no GRUB",
            self.release_name
        );
        Error::new(ErrorKind::Source, what)
    }

    /// A kernel, and what its headers say. It has to be one for the machine.
    pub(super) fn kernel(&self, asset: &Asset) -> Result<(Blob, Kernel)> {
        let blob = self.open(asset)?;
        let kernel = Kernel::parse(&blob).during(|| name("Linux kernel", asset))?;
        self.check_machine("Linux kernel", asset, kernel.machine)?;
        Ok((blob, kernel))
    }

    /// The UEFI program `what`, which has to be for the machine.
    pub(super) fn program(&self, what: &str, asset: &Asset) -> Result<Blob> {
        let blob = self.open(asset)?;
        let image = pe::Image::parse(&blob)
            .during(|| format!("{} is no UEFI program", name(what, asset)))?;
        self.check_machine(what, asset, image.machine)?;
        Ok(blob)
    }

    fn check_machine(&self, what: &str, asset: &Asset, machine: pe::Machine) -> Result<()> {
        if u16::from(machine) == self.arch.pe_machine() {
            return Ok(());
        }
        let what = format!(
            "{} is for {machine}, not for {}: take the one made for it, or ask for another --arch",
            name(what, asset),
            self.arch
        );
        Err(Error::new(ErrorKind::Input, what))
    }
}

/// How an asset is called in messages.
pub(super) fn name(what: &str, asset: &Asset) -> String {
    match asset {
        Asset::File(path) => format!("{what} {}", path.display()),
        Asset::Release(path) => format!("{what} {path} of the release"),
    }
}

/// Reads an image's layers one over the other, as far as `rules` want them.
pub(super) fn unpack(
    image: &Image,
    step: Step,
    rules: &oci::Rules<'_>,
    sources: &Set,
    cx: &Context<'_>,
) -> Result<Tree> {
    let subject = image.reference.to_string();
    let total = Some(image.layers.iter().map(|layer| layer.size).sum());
    cx.observer.on(&Event::Started { step, subject: &subject, total });
    let mut on_bytes = |bytes| cx.observer.on(&Event::Advanced { step, subject: &subject, bytes });
    let layers = &image.layers;
    let tree =
        sources::unpack(sources, &image.reference, layers, rules, cx.scratch, &mut on_bytes)?;
    cx.observer.on(&Event::Finished { step, subject: &subject });
    Ok(tree)
}

//! The installer: a base image with one more layer.

use super::{
    Context,
    assets::Assets,
    initramfs,
    secure_boot::{self, Round},
    uki,
};
use crate::{
    blob::{Blob, Spool},
    error::{During, Error, ErrorKind, Result},
    formats::{
        calendar::Utc,
        oci::{self, Encoding, Layer, Named, Platform},
        tar,
    },
    plan::{BaseInstaller, ContainerFormat, Installer, InstallerBoot, Plan},
    sources::{self, Set, Source},
    tree::{Node, Tree, TreePath},
};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

pub(super) fn assemble(
    installer: &Installer,
    plan: &Plan,
    assets: &Assets,
    cx: &Context<'_>,
) -> Result<Blob> {
    let base = &installer.base;
    let (config, mut layers) =
        below(base, cx).during(|| format!("reading the base installer {}", base.name))?;
    let entrypoint = config.get("config").and_then(|config| config.get("Entrypoint"));
    if entrypoint.is_none_or(Value::is_null) {
        let what = format!(
            "the base image {} has no program to run (Entrypoint), and so is no installer: take \
             siderolabs/installer-base of the version, before 1.10 siderolabs/installer",
            base.name
        );
        return Err(Error::new(ErrorKind::Input, what));
    }
    let files = files(&installer.boot, plan, assets, cx)?;
    let mut spool = Spool::new(cx.scratch);
    let packing = || "packing the installer's layer".to_owned();
    layers.push(oci::layer(&files, Encoding::Gzip, plan.epoch, &mut spool).during(packing)?);
    let mut kept = Map::new();
    kept.extend(config.get("config").map(|config| ("config".to_owned(), config.clone())));
    kept.insert("created".to_owned(), Value::String(moment(plan.epoch)));
    let platform = Platform::new("linux", plan.arch.name());
    let image = oci::image(&platform, &kept, layers, BTreeMap::new())?;
    let named = [Named { names: vec![base.name.clone()], images: vec![image] }];
    let tree = match installer.format {
        ContainerFormat::DockerArchive => oci::docker_archive(&named)?,
        ContainerFormat::OciArchive => oci::layout(&named)?,
    };
    Ok(tar::archive(&tree, plan.epoch)?)
}

/// The configuration of the base image, and its layers as they are.
fn below(base: &BaseInstaller, cx: &Context<'_>) -> Result<(Map<String, Value>, Vec<Layer>)> {
    let own = match &base.layout {
        Some(path) => Some(Set::new(vec![sources::open(&format!("oci:{}", path.display()))?])),
        None => None,
    };
    let source: &dyn Source = own.as_ref().unwrap_or(cx.sources);
    let of = &base.image.reference;
    let config = oci::Config::read(&sources::document(source, of, &base.config)?)?;
    let mut layers = Vec::new();
    for (descriptor, diff_id) in base.image.layers.iter().zip(&config.diff_ids) {
        let blob = source.blob(of, descriptor)?;
        // It is not unpacked, where its digest would be checked.
        let found = blob.digest()?;
        if found != descriptor.digest {
            let what = format!(
                "its layer {} has the digest {found}: it is damaged, copy it anew",
                descriptor.digest
            );
            return Err(Error::new(ErrorKind::Source, what));
        }
        layers.push(Layer { descriptor: descriptor.clone(), blob, diff_id: *diff_id });
    }
    if layers.len() != base.image.layers.len() {
        let what = "its configuration names fewer layers than its manifest: copy it anew";
        return Err(Error::new(ErrorKind::Source, what));
    }
    Ok((config.json, layers))
}

/// What it installs, as a tree.
fn files(boot: &InstallerBoot, plan: &Plan, assets: &Assets, cx: &Context<'_>) -> Result<Tree> {
    let contents = match boot {
        InstallerBoot::SdBoot { uki, uki_path, boot_manager, boot_manager_path } => {
            let manager = assets.program("systemd-boot", boot_manager)?;
            let mut round = Round::default();
            let manager = round.take(match &uki.signed_by {
                Some(by) => secure_boot::signed("systemd-boot", &manager, by, cx),
                None => Ok(manager),
            })?;
            let uki = round.take(uki::assemble(uki, 1, plan, assets, cx))?;
            let (manager, uki) = round.end(manager.zip(uki))?;
            [(boot_manager_path, manager), (uki_path, uki.blob)]
        }
        InstallerBoot::Grub { kernel, kernel_path, initramfs, initramfs_path } => {
            let (kernel, _) = assets.kernel(kernel)?;
            let initramfs = initramfs::assemble(initramfs, plan, assets, cx)?;
            [(kernel_path, kernel), (initramfs_path, initramfs)]
        }
    };
    let mut tree = Tree::new();
    for (path, content) in contents {
        tree.insert(TreePath::new(path)?, Node::file(content, 0o644));
    }
    Ok(tree)
}

/// A moment as RFC 3339 writes it.
fn moment(epoch: u64) -> String {
    let Utc { year, month, day, hour, minute, second } = Utc::new(epoch);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

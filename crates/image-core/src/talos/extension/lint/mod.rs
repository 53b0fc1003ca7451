//! What in an extension will not work, or should not be there: said before a machine shows it.
//!
//! Nothing here stops Talos from mounting the extension. Where Talos has a rule of its own, its
//! makers hold the official extensions against it, and so is this: an extension may add files
//! under certain paths only, and nobody but root may write to them.

mod finding;
#[cfg(test)]
mod tests;

pub use finding::{Finding, Paths};

use super::{Metadata, Microcode, firmware_dir, microcode, modules_dir};
use crate::{
    formats::microcode as updates,
    talos::{Quirk, TalosVersion},
    tree::{Node, NodeKind, Tree, TreePath},
};
use std::collections::BTreeSet;

/// How the paths start under which an extension may add files, from 1.10 on.
const ALLOWED: &[&str] = &[
    "etc/cri/conf.d",
    "etc/ld.so.cache",
    "etc/ld.so.conf",
    "etc/vulkan",
    "usr/bin/ldconfig",
    "usr/bin/nvidia-cdi-hook",
    "usr/bin/nvidia-ctk",
    "usr/bin/nvidia-modprobe",
    "usr/bin/nvidia-pcc",
    "usr/bin/nvidia-smi",
    "usr/bin/nvme",
    "usr/lib/firmware",
    "usr/lib/ld-linux-aarch64.so.1",
    "usr/lib/ld-linux-x86-64.so.2",
    "usr/lib/modules",
    "usr/lib/udev/rules.d",
    "usr/local",
    "usr/share/egl",
    "usr/share/glvnd",
];

/// How they start before, while `/lib` and `/sbin` were directories of their own.
const ALLOWED_BEFORE_MERGE: &[&str] = &[
    "etc/cri/conf.d",
    "etc/vulkan",
    "lib/firmware",
    "lib/modules",
    "lib64/ld-linux-x86-64.so.2",
    "sbin/ldconfig",
    "usr/etc/udev/rules.d",
    "usr/lib/udev/rules.d",
    "usr/local",
    "usr/share/egl",
    "usr/share/glvnd",
];

/// The links at Talos's root from 1.10 on, and where they lead.
const MERGED: &[(&str, &str)] = &[
    ("bin", "usr/bin"),
    ("lib", "usr/lib"),
    ("lib64", "usr/lib"),
    ("sbin", "usr/bin"),
    ("usr/lib64", "usr/lib"),
    ("usr/sbin", "usr/bin"),
];

/// Where firmware or modules stand that somebody put one directory off.
const LIBRARIES: &[&str] = &["lib", "usr/lib", "usr/local/lib"];

/// Looks through an extension: what its manifest says, and its whole root file system, firmware
/// included, for one Talos and, where that is known, the release of its kernel.
///
/// Special files are not looked for: no image of an extension can be made with them.
pub fn lint(
    metadata: &Metadata,
    rootfs: &Tree,
    version: &TalosVersion,
    kernel: Option<&str>,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    if metadata.talos.is_empty() {
        findings.push(Finding::ForAnyTalos);
    }
    let files: Vec<(&TreePath, &Node)> = rootfs
        .iter()
        .filter(|(.., node)| !node.is_directory())
        .map(|(path, _, node)| (path, node))
        .collect();
    if files.is_empty() {
        findings.push(Finding::Empty);
    }
    places(&mut findings, rootfs, &files, version);
    modules(&mut findings, metadata, &files, version, kernel);
    firmware(&mut findings, metadata, &files, version);
    let writable = rootfs.iter().filter(|(.., node)| anybody_may_write(node));
    findings.extend(Paths::of(writable.map(|(path, ..)| path)).map(Finding::WorldWritable));
    findings
}

/// Whether anybody may write. Nobody minds a link's mode, nor a directory like /tmp.
fn anybody_may_write(node: &Node) -> bool {
    const STICKY: u32 = 0o1000;
    let shared = node.is_directory() && node.mode & STICKY != 0;
    node.mode & 0o002 != 0 && !shared && !matches!(node.kind, NodeKind::Symlink(_))
}

/// Holds where files stand against where they may and where they would be found.
fn places(
    findings: &mut Vec<Finding>,
    rootfs: &Tree,
    files: &[(&TreePath, &Node)],
    version: &TalosVersion,
) {
    let merged = version.has(Quirk::UsrMerge);
    let hidden: Vec<_> = MERGED
        .iter()
        .filter(|_| merged)
        .filter_map(|(link, target)| Some((TreePath::new(link).ok()?, *target)))
        .filter(|(link, _)| rootfs.get(link).is_some_and(Node::is_directory))
        .collect();
    let misplaced = |place: &'static str| {
        let name = place.rsplit('/').next().unwrap_or_default();
        let elsewhere = LIBRARIES.iter().map(move |library| format!("{library}/{name}"));
        elsewhere.filter(move |other| other != place).filter_map(|it| TreePath::new(&it).ok())
    };
    let misplaced: Vec<_> = [firmware_dir(version), modules_dir(version)]
        .into_iter()
        .map(|place| (place, misplaced(place).collect::<Vec<_>>()))
        .collect();
    let allowed = if merged { ALLOWED } else { ALLOWED_BEFORE_MERGE };

    let rest = files.iter().map(|(path, _)| *path);
    let rest: Vec<_> =
        rest.filter(|path| !hidden.iter().any(|(link, _)| path.strip(link).is_some())).collect();
    let below = |path: &TreePath, any: &[TreePath]| any.iter().any(|it| path.strip(it).is_some());
    findings.extend(hidden.into_iter().map(|(path, target)| Finding::HidesLink { path, target }));
    for (place, elsewhere) in &misplaced {
        let files = Paths::of(rest.iter().copied().filter(|path| below(path, elsewhere)));
        findings.extend(files.map(|files| Finding::Misplaced { files, place }));
    }
    let outside = rest.into_iter().filter(|path| {
        // As text, as Talos's own rule has it: etc/vulkansc is meant by etc/vulkan.
        !allowed.iter().any(|start| path.as_str().starts_with(start))
            && !misplaced.iter().any(|(_, elsewhere)| below(path, elsewhere))
    });
    findings.extend(Paths::of(outside).map(Finding::Outside));
}

/// Holds kernel modules against the Talos and the kernel they are to go with.
fn modules(
    findings: &mut Vec<Finding>,
    metadata: &Metadata,
    files: &[(&TreePath, &Node)],
    version: &TalosVersion,
    kernel: Option<&str>,
) {
    let Ok(directory) = TreePath::new(modules_dir(version)) else { return };
    let modules: Vec<(&TreePath, TreePath)> =
        files.iter().filter_map(|(path, _)| Some((*path, path.strip(&directory)?))).collect();
    if modules.is_empty() {
        return;
    }
    // Extensions of modules are versioned v1.11.0 or 2.3.4-v1.11.0; others may end like that too.
    let named = named_talos(&metadata.version)
        .filter(|named| named.release()[0] == version.release()[0])
        .filter(|named| named.release()[1] != version.release()[1]);
    findings.extend(named.map(|named| Finding::ForOtherTalos {
        version: metadata.version.clone(),
        named,
        wanted: version.clone(),
    }));
    let stray = modules.iter().filter(|(_, below)| below.components().count() < 2);
    findings.extend(Paths::of(stray.map(|(path, _)| *path)).map(Finding::StrayModules));
    let Some(kernel) = kernel else { return };
    let releases: BTreeSet<&str> = modules
        .iter()
        .filter(|(_, below)| below.components().count() > 1)
        .filter_map(|(_, below)| below.components().next())
        .filter(|release| *release != kernel)
        .collect();
    for release in releases {
        let Ok(path) = directory.join(release) else { continue };
        findings.push(Finding::ForOtherKernel { path, wanted: kernel.to_owned() });
    }
}

/// The version of Talos that an extension's version is, or ends with.
fn named_talos(version: &str) -> Option<TalosVersion> {
    let ends = version.match_indices("-v").map(|(at, _)| at + 1);
    let starts = version.starts_with('v').then_some(0).into_iter();
    starts.chain(ends).find_map(|at| version.get(at..)?.parse().ok())
}

/// Holds firmware against what the extension is named for, and microcode against its makers' rules.
fn firmware(
    findings: &mut Vec<Finding>,
    metadata: &Metadata,
    files: &[(&TreePath, &Node)],
    version: &TalosVersion,
) {
    let place = firmware_dir(version);
    let Ok(directory) = TreePath::new(place) else { return };
    let firmware: Vec<_> = files
        .iter()
        .filter_map(|(path, node)| Some((*path, *node, path.strip(&directory)?)))
        .collect();
    // An extension for the tools of a firmware may be named so too, but says so.
    let Metadata { name, description, .. } = metadata;
    let named =
        name.ends_with("-ucode") || name.ends_with("-firmware") && description.contains("firmware");
    let explained = findings.iter().any(|it| match it {
        Finding::Empty | Finding::HidesLink { .. } => true,
        Finding::Misplaced { place: belongs, .. } => *belongs == place,
        _ => false,
    });
    if named && firmware.is_empty() && !explained {
        findings.push(Finding::NoFirmware { place });
    }
    for (path, node, below) in firmware {
        let Some(content) = node.content() else { continue };
        let read = match microcode(below.as_str()) {
            Some(Microcode::Intel) => updates::intel(content),
            Some(Microcode::Amd) => updates::amd(content),
            None => continue,
        };
        let flaw = match read {
            Ok(updates) if updates.iter().any(|update| update.checksum_ok == Some(false)) => {
                "an update's checksum is wrong".to_owned()
            }
            Ok(updates) if updates.is_empty() => "there is no update in it".to_owned(),
            Ok(_) => continue,
            Err(error) => error.to_string(),
        };
        findings.push(Finding::Microcode { path: path.clone(), flaw });
    }
}

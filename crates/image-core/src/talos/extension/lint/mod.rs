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

/// The directories that somebody may have taken for the one with firmware and modules.
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
    let files = || rootfs.iter().filter(|(.., node)| !node.is_directory());
    let paths: Vec<&TreePath> = files().map(|(path, ..)| path).collect();
    let writable = rootfs.iter().filter(|(.., node)| anybody_may_write(node));

    let mut findings = Vec::new();
    findings.extend(metadata.talos.is_empty().then_some(Finding::ForAnyTalos));
    findings.extend(paths.is_empty().then_some(Finding::Empty));
    findings.extend(places(rootfs, &paths, version));
    findings.extend(modules(metadata, &paths, version, kernel));
    let place = firmware_dir(version);
    let lacks_firmware = lacks_firmware(metadata, &paths, version);
    findings.extend(lacks_firmware.then_some(Finding::NoFirmware { place }));
    findings.extend(files().filter_map(|(path, _, node)| damaged(path, node, version)));
    findings.extend(Paths::of(writable.map(|(path, ..)| path)).map(Finding::WorldWritable));
    findings
}

/// The path from `directory` to what stands below it.
fn below<'a>(directory: &str, path: &'a str) -> Option<&'a str> {
    path.strip_prefix(directory)?.strip_prefix('/')
}

/// Where files stand that may not, or that would not be found there.
fn places(rootfs: &Tree, files: &[&TreePath], version: &TalosVersion) -> Vec<Finding> {
    let merged = version.has(Quirk::UsrMerge);
    let allowed = if merged { ALLOWED } else { ALLOWED_BEFORE_MERGE };
    let links = if merged { MERGED } else { &[] };
    let hidden =
        |path: &TreePath| links.iter().any(|(link, _)| below(link, path.as_str()).is_some());
    let rest = || files.iter().copied().filter(|path| !hidden(path));
    // As text, as Talos's own rule has it: etc/vulkansc is meant by etc/vulkan.
    let may_stand = |path: &TreePath| allowed.iter().any(|start| path.as_str().starts_with(start));

    let directories = rootfs.iter().filter(|(.., node)| node.is_directory());
    let mut findings: Vec<_> = directories
        .filter_map(|(path, ..)| {
            let (_, target) = links.iter().find(|(link, _)| *link == path.as_str())?;
            Some(Finding::HidesLink { path: path.clone(), target })
        })
        .collect();
    for place in [firmware_dir(version), modules_dir(version)] {
        let misplaced = rest().filter(|path| belongs(path, version) == Some(place));
        let files = Paths::of(misplaced);
        findings.extend(files.map(|files| Finding::Misplaced { files, place }));
    }
    let outside = rest().filter(|path| belongs(path, version).is_none() && !may_stand(path));
    findings.extend(Paths::of(outside).map(Finding::Outside));
    findings
}

/// Where a file belongs that stands where another version of Talos, or none, would look for it.
fn belongs(path: &TreePath, version: &TalosVersion) -> Option<&'static str> {
    let path = path.as_str();
    let in_library = LIBRARIES.iter().find_map(|library| below(library, path))?;
    let place = match in_library.split_once('/')?.0 {
        "firmware" => firmware_dir(version),
        "modules" => modules_dir(version),
        _ => return None,
    };
    below(place, path).is_none().then_some(place)
}

/// What is wrong with kernel modules for the Talos and the kernel they are to go with.
fn modules(
    metadata: &Metadata,
    files: &[&TreePath],
    version: &TalosVersion,
    kernel: Option<&str>,
) -> Vec<Finding> {
    let directory = modules_dir(version);
    let modules: Vec<_> =
        files.iter().filter_map(|path| Some((*path, below(directory, path.as_str())?))).collect();
    let mut findings = Vec::new();
    if modules.is_empty() {
        return findings;
    }
    // Extensions of modules are versioned v1.11.0 or 2.3.4-v1.11.0; others may end like that too.
    let [major, minor, _] = version.release();
    let other = named_talos(&metadata.version)
        .filter(|named| named.release()[0] == major && named.release()[1] != minor);
    findings.extend(other.map(|named| Finding::ForOtherTalos {
        version: metadata.version.clone(),
        named,
        wanted: version.clone(),
    }));
    let stray = modules.iter().filter(|(_, rest)| !rest.contains('/'));
    findings.extend(Paths::of(stray.map(|(path, _)| *path)).map(Finding::StrayModules));
    let releases: BTreeSet<_> =
        modules.iter().filter_map(|(_, rest)| Some(rest.split_once('/')?.0)).collect();
    let wrong = |release: &&str| kernel.is_some_and(|kernel| kernel != *release);
    findings.extend(releases.into_iter().filter(wrong).map(|release| Finding::ForOtherKernel {
        path: format!("{directory}/{release}"),
        wanted: kernel.unwrap_or_default().to_owned(),
    }));
    findings
}

/// The version of Talos that an extension's version is, or ends with.
fn named_talos(version: &str) -> Option<TalosVersion> {
    let ends = version.match_indices("-v").map(|(at, _)| at + 1);
    let starts = version.starts_with('v').then_some(0).into_iter();
    starts.chain(ends).find_map(|at| version.get(at..)?.parse().ok())
}

/// Whether firmware is lacking that the extension is named for. One that says nothing of firmware
/// may have its tools.
fn lacks_firmware(metadata: &Metadata, files: &[&TreePath], version: &TalosVersion) -> bool {
    let Metadata { name, description, .. } = metadata;
    let named =
        name.ends_with("-ucode") || name.ends_with("-firmware") && description.contains("firmware");
    let place = firmware_dir(version);
    // What stands in the wrong place is told of already.
    let is_firmware = |path: &&TreePath| {
        below(place, path.as_str()).is_some() || belongs(path, version) == Some(place)
    };
    named && !files.is_empty() && !files.iter().any(is_firmware)
}

/// What is wrong with the file at `path` if it is CPU microcode.
fn damaged(path: &TreePath, node: &Node, version: &TalosVersion) -> Option<Finding> {
    let content = node.content()?;
    let read = match microcode(below(firmware_dir(version), path.as_str())?)? {
        Microcode::Intel => updates::intel(content),
        Microcode::Amd => updates::amd(content),
    };
    let flaw = match read {
        Ok(updates) if updates.iter().any(|update| update.checksum_ok == Some(false)) => {
            "an update's checksum is wrong".to_owned()
        }
        Ok(updates) if updates.is_empty() => "there is no update in it".to_owned(),
        Ok(_) => return None,
        Err(error) => error.to_string(),
    };
    Some(Finding::Microcode { path: path.clone(), flaw })
}

/// Whether anybody may write. Nobody minds a link's mode, nor a directory like /tmp.
fn anybody_may_write(node: &Node) -> bool {
    const STICKY: u32 = 0o1000;
    let shared = node.is_directory() && node.mode & STICKY != 0;
    node.mode & 0o002 != 0 && !shared && !matches!(node.kind, NodeKind::Symlink(_))
}

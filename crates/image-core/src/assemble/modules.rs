//! Kernel modules in extensions: what `modprobe` needs to find them beside the release's own.

use super::{
    Context,
    assets::{Assets, name},
    extensions::Extension,
};
use crate::{
    blob::{Blob, Spool},
    error::{During, Error, ErrorKind, Result},
    events::{Event, Step},
    formats::{
        depmod::{self, Config},
        initramfs, squashfs,
    },
    plan::{Initramfs, Plan},
    talos::{
        extension::{self as rules, Finding},
        release::{DEPMOD_DEFAULT, ROOTFS},
    },
    tree::{Node, Tree, TreePath},
};

/// What a segment of the release's initramfs may decompress to, in bytes.
const SEGMENT_LIMIT: u64 = 8 << 30;
/// What the modules in its root file system may have, in bytes.
const MODULES_LIMIT: u64 = 4 << 30;
/// depmod's longest configuration, in bytes.
const CONFIG_LIMIT: u64 = 1 << 20;

/// The extension with the dependencies of all modules, the release's (in its initramfs `base`)
/// and the extensions'. None if no extension has modules.
pub(super) fn dependencies(
    base: &Blob,
    plan: &Initramfs,
    whole: &Plan,
    extensions: &[Extension],
    assets: &Assets,
    cx: &Context<'_>,
) -> Result<Option<Extension>> {
    let directory = TreePath::new(rules::modules_dir(&whole.talos_version))?;
    let ordered = rules::order(extensions.len()).into_iter().map(|index| &extensions[index]);
    let with_modules: Vec<_> = ordered
        .map(|extension| (extension, kernels(&extension.rootfs, &directory)))
        .filter(|(_, kernels)| !kernels.is_empty())
        .collect();
    if with_modules.is_empty() {
        return Ok(None);
    }
    let (step, subject) = (Step::Modules, "kernel modules");
    cx.observer.on(&Event::Started { step, subject, total: None });
    let (kernel, mut modules) =
        of_release(base, &directory, cx).during(|| name("initramfs", &plan.base))?;
    let of_kernel = directory.join(&kernel)?;
    for (Extension { metadata, rootfs, .. }, kernels) in with_modules {
        if !kernels.contains(&kernel) {
            let what = format!(
                "extension {}: its kernel modules are for Linux {}, and this release's kernel is \
                 {kernel}: take the extension made for Talos {}",
                metadata.name,
                kernels.join(", "),
                whole.talos_version
            );
            return Err(Error::new(ErrorKind::Input, what));
        }
        for other in kernels.iter().filter(|other| **other != kernel) {
            let path = format!("{directory}/{other}");
            let message = Finding::ForOtherKernel { path, wanted: kernel.clone() }.to_string();
            cx.observer.on(&Event::Warning { subject: &metadata.name, message: &message });
        }
        modules.graft(&TreePath::ROOT, &rootfs.subtree(&of_kernel));
    }

    let config = config(plan, assets)?;
    let made = depmod::depmod(&modules, &kernel, &config, cx.threads)
        .during(|| format!("listing the modules of Linux {kernel} and of the extensions"))?;
    // What these were made from comes along, as the imager has it.
    let root = TreePath::ROOT;
    let lists = modules
        .children(&root)
        .filter(|(path, ..)| path.as_str().starts_with("modules."))
        .filter_map(|(path, _, node)| Some((path.as_str(), node.content()?.clone())));
    let mut rootfs = Tree::new();
    for (name, content) in lists.chain(made) {
        rootfs.insert(of_kernel.join(name)?, Node::file(content, 0o644));
    }
    cx.observer.on(&Event::Finished { step, subject });
    let metadata = rules::module_dependencies(&kernel);
    Ok(Some(Extension { metadata, rootfs, firmware: Tree::new() }))
}

/// The kernels that a root file system has modules for.
fn kernels(root: &Tree, directory: &TreePath) -> Vec<String> {
    let found = root.children(directory).filter(|(.., node)| node.is_directory());
    found.map(|(path, ..)| path.file_name().to_owned()).collect()
}

/// The release's kernel, and what stands in the directory of its modules.
fn of_release(base: &Blob, directory: &TreePath, cx: &Context<'_>) -> Result<(String, Tree)> {
    let segments = initramfs::segments(base, SEGMENT_LIMIT)?;
    let mut spool = Spool::new(cx.scratch);
    let Some(image) = initramfs::spooled(&segments, ROOTFS, &mut spool, SEGMENT_LIMIT)? else {
        let what = format!(
            "it has no {ROOTFS}, and without the release's kernel modules those of extensions \
             cannot be listed: name the initramfs of a Talos release"
        );
        return Err(Error::new(ErrorKind::Input, what));
    };
    let wanted =
        |path: &TreePath| path.strip(directory).is_some() || directory.strip(path).is_some();
    let root =
        squashfs::read(&image, cx.scratch, MODULES_LIMIT, &wanted).during(|| ROOTFS.to_owned())?;
    let kernels = kernels(&root, directory);
    if let [kernel] = &kernels[..] {
        return Ok((kernel.clone(), root.subtree(&directory.join(kernel)?)));
    }
    let found = if kernels.is_empty() { "none".to_owned() } else { kernels.join(", ") };
    let what = format!(
        "{ROOTFS} should have the modules of one kernel in {directory}, and has {found}: name the \
         initramfs of a Talos release"
    );
    Err(Error::new(ErrorKind::Input, what))
}

/// depmod's configuration: the release's, else what all releases have said.
fn config(plan: &Initramfs, assets: &Assets) -> Result<Config> {
    let default = || Ok(Config::parse(DEPMOD_DEFAULT)?);
    let Some(asset) = &plan.depmod_config else { return default() };
    let Some(file) = assets.find(asset)? else { return default() };
    let name = || name("depmod configuration", asset);
    let text = file.to_vec(CONFIG_LIMIT).during(name)?;
    Config::parse(&String::from_utf8_lossy(&text)).during(name)
}

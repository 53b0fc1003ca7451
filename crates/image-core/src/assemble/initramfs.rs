//! The initramfs: microcode in front, the release's own as it is, extensions behind.

use super::{
    Context,
    assets::{Assets, name},
    extensions::{self, Extension},
    modules,
};
use crate::{
    blob::{Blob, Spool},
    error::{During, Error, ErrorKind, Result},
    events::{Event, Step},
    formats::{
        compress::{self, Method},
        cpio, initramfs, microcode, squashfs,
    },
    plan::{Initramfs, Plan},
    talos::{Quirk, TalosVersion, extension as rules},
    tree::{Node, Tree, TreePath},
};

/// How Talos has extensions compressed: each squashfs, and what joins them.
fn compressions(version: &TalosVersion) -> (squashfs::Compression, Method) {
    if version.has(Quirk::Zstd) {
        (squashfs::Compression::Zstd { level: 18 }, Method::Zstd { level: 18 })
    } else {
        (squashfs::Compression::Xz, Method::Xz { preset: 0, extreme: true })
    }
}

pub(super) fn assemble(
    plan: &Initramfs,
    whole: &Plan,
    assets: &Assets,
    cx: &Context<'_>,
) -> Result<Blob> {
    let base = assets.open(&plan.base)?;
    initramfs::check(&base).during(|| name("initramfs", &plan.base))?;
    if plan.extensions.is_empty() {
        return Ok(base);
    }
    let mut loaded = extensions::load(&plan.extensions, whole, cx)?;
    let modules = modules::dependencies(&base, plan, whole, &loaded, assets, cx)?;
    let early = take_microcode(&mut loaded)?;
    let epoch = u32::try_from(whole.epoch).map_err(|_| {
        let what = format!("epoch {} is past 2106, the last year a cpio can hold", whole.epoch);
        Error::new(ErrorKind::Input, what)
    })?;

    let (squashfs, joined) = compressions(&whole.talos_version);
    let options = squashfs::Options {
        compression: squashfs,
        threads: cx.threads,
        epoch,
        ..squashfs::Options::default()
    };
    let order = rules::order(loaded.len());
    let mut listed: Vec<_> =
        order.into_iter().map(|index| (rules::image_name(index), &loaded[index])).collect();
    listed.extend(modules.iter().map(|it| (rules::MODULE_DEPENDENCIES_IMAGE.to_owned(), it)));
    let layers = layers(&listed, &whole.talos_version, &options, cx)?;
    let archive = cpio::archive(&layers, epoch).during(|| "archiving the extensions".to_owned())?;
    let late = compressed(&archive, joined, cx)?;
    let early = match early {
        Some(tree) => cpio::archive(&tree, epoch)?,
        None => Blob::empty(),
    };
    Ok(initramfs::join([early, base, late]))
}

/// Takes CPU microcode out of the extensions' firmware, into the archive the kernel looks at
/// before all else.
fn take_microcode(extensions: &mut [Extension]) -> Result<Option<Tree>> {
    let (mut intel, mut amd) = (Vec::new(), Vec::new());
    for index in rules::order(extensions.len()) {
        let firmware = &mut extensions[index].firmware;
        let files: Vec<_> = firmware
            .iter()
            .filter_map(|(path, _, node)| Some((path.clone(), node.content()?.clone())))
            .collect();
        for (path, content) in files {
            match rules::microcode(path.as_str()) {
                Some(rules::Microcode::Intel) => intel.push(content),
                Some(rules::Microcode::Amd) => amd.push(content),
                None => continue,
            }
            firmware.remove(&path);
        }
    }
    Ok(microcode::early_tree(&intel, &amd)?)
}

/// What stands behind the release's initramfs: a squashfs for each extension, by its name there,
/// their list, and the firmware that drivers ask for before the root file system is there.
fn layers(
    extensions: &[(String, &Extension)],
    version: &TalosVersion,
    options: &squashfs::Options,
    cx: &Context<'_>,
) -> Result<Tree> {
    let firmware_dir = TreePath::new(rules::firmware_dir(version))?;
    let mut tree = Tree::new();
    for (image, extension) in extensions {
        let squashfs = squashfs(extension, options, cx)
            .during(|| format!("compressing the extension {}", extension.metadata.name))?;
        tree.insert(TreePath::new(image)?, Node::file(squashfs, 0o644));
        tree.graft(&firmware_dir, &extension.firmware);
    }
    let listed = extensions.iter().map(|(image, extension)| (image.as_str(), &extension.metadata));
    let list = rules::config(listed);
    tree.insert(TreePath::new(rules::CONFIG)?, Node::file(list, 0o644));
    Ok(tree)
}

fn squashfs(extension: &Extension, options: &squashfs::Options, cx: &Context<'_>) -> Result<Blob> {
    let (step, subject) = (Step::Squashfs, extension.metadata.name.as_str());
    let contents = extension.rootfs.iter().filter_map(|(.., node)| node.content());
    let total = Some(contents.map(Blob::len).sum());
    cx.observer.on(&Event::Started { step, subject, total });
    let on_bytes = |bytes| cx.observer.on(&Event::Advanced { step, subject, bytes });
    let image = squashfs::image(&extension.rootfs, options, cx.scratch, &on_bytes)?;
    cx.observer.on(&Event::Finished { step, subject });
    Ok(image)
}

fn compressed(archive: &Blob, method: Method, cx: &Context<'_>) -> Result<Blob> {
    let (step, subject) = (Step::Initramfs, "initramfs");
    cx.observer.on(&Event::Started { step, subject, total: Some(archive.len()) });
    let blob = compress::compress(
        method,
        archive,
        &mut Spool::new(cx.scratch),
        cx.threads.get(),
        &mut |bytes| cx.observer.on(&Event::Advanced { step, subject, bytes }),
    )
    .during(|| "compressing the extensions".to_owned())?;
    cx.observer.on(&Event::Finished { step, subject });
    Ok(blob)
}

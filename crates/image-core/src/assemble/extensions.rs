//! System extensions: read, held against Talos's rules, taken apart.

use super::{Context, assets::unpack};
use crate::{
    blob::Blob,
    error::{During, Error, ErrorKind, Result},
    events::{Event, Step},
    formats::{oci, tar},
    plan::{self, ExtensionSource, Plan},
    sources::{self, Set},
    talos::extension::{self, LABEL_XATTR, MANIFEST, Metadata, ROOTFS, VirtualExtension},
    tree::{Node, NodeKind, Tree, TreePath},
};
use std::collections::BTreeMap;

/// The longest manifest, in bytes.
const MANIFEST_LIMIT: u64 = 1 << 20;

/// An extension, taken apart.
#[derive(Debug)]
pub(super) struct Extension {
    /// What its manifest says.
    pub(super) metadata: Metadata,
    /// What comes over Talos's root: all of it but firmware.
    pub(super) rootfs: Tree,
    /// Its firmware directory's content.
    pub(super) firmware: Tree,
}

/// Reads the plan's extensions, in its order.
pub(super) fn load(
    extensions: &[plan::Extension],
    plan: &Plan,
    cx: &Context<'_>,
) -> Result<Vec<Extension>> {
    let mut names = BTreeMap::new();
    let mut loaded = Vec::with_capacity(extensions.len());
    for extension in extensions {
        let one =
            load_one(extension, plan, cx).during(|| format!("extension {}", extension.name))?;
        if let Some(other) = names.insert(one.metadata.name.clone(), &extension.name) {
            let what = format!(
                "extensions {other} and {} are both named {:?}: leave one out",
                extension.name, one.metadata.name
            );
            return Err(Error::new(ErrorKind::Input, what));
        }
        loaded.push(one);
    }
    Ok(loaded)
}

fn load_one(extension: &plan::Extension, plan: &Plan, cx: &Context<'_>) -> Result<Extension> {
    let image = match &extension.source {
        ExtensionSource::Virtual(extension) => return made(extension, plan),
        ExtensionSource::Image(image) => {
            unpack(image, Step::Extension, &oci::Rules::all(), cx.sources, cx)?
        }
        ExtensionSource::Layout { path, image } => {
            let layout = sources::open(&format!("oci:{}", path.display()))?;
            unpack(image, Step::Extension, &oci::Rules::all(), &Set::new(vec![layout]), cx)?
        }
        ExtensionSource::Tarball(path) => tar::tree(&Blob::open(path)?)?,
    };
    let root = TreePath::ROOT;
    extension::check_root(image.children(&root).map(|(path, ..)| path.file_name()))?;
    let manifest = image
        .file(MANIFEST)
        .ok_or_else(|| Error::new(ErrorKind::Input, format!("{MANIFEST} is no regular file")))?;
    let manifest = manifest.to_vec(MANIFEST_LIMIT).during(|| MANIFEST.to_owned())?;
    let manifest = String::from_utf8(manifest)
        .map_err(|_| Error::new(ErrorKind::Input, format!("{MANIFEST} is no UTF-8 text")))?;
    let metadata = Metadata::from_manifest(&manifest)?;
    if metadata.name.is_empty() {
        return Err(Error::new(ErrorKind::Input, format!("{MANIFEST}: metadata.name is empty")));
    }
    metadata.check(&plan.talos_version)?;

    let special = |node: &Node| matches!(node.kind, NodeKind::Device { .. } | NodeKind::Fifo);
    if let Some((path, ..)) = image.iter().find(|(.., node)| special(node)) {
        let what = format!(
            "{path} is a device or a named pipe: an extension holds directories, files and \
             symbolic links only, rebuild it without"
        );
        return Err(Error::new(ErrorKind::Input, what));
    }

    let mut rootfs = image.subtree(&TreePath::new(ROOTFS)?);
    for finding in extension::lint(&metadata, &rootfs, &plan.talos_version, None) {
        let message = finding.to_string();
        cx.observer.on(&Event::Warning { subject: &metadata.name, message: &message });
    }
    let firmware_dir = TreePath::new(extension::firmware_dir(&plan.talos_version))?;
    let firmware = rootfs.subtree(&firmware_dir);
    rootfs.remove(&firmware_dir);
    keep_labels_only(&mut rootfs);
    Ok(Extension { metadata, rootfs, firmware })
}

/// An extension that is made for this image.
fn made(extension: &VirtualExtension, plan: &Plan) -> Result<Extension> {
    let VirtualExtension { metadata, path, content, mode, label } = extension;
    metadata.check(&plan.talos_version)?;
    let mut file = Node::file(content.clone(), u32::from(*mode));
    file.xattrs.extend(label.map(|label| (LABEL_XATTR.to_owned(), label.into())));
    let mut rootfs = Tree::new();
    rootfs.insert(TreePath::new(path)?, file);
    Ok(Extension { metadata: metadata.clone(), rootfs, firmware: Tree::new() })
}

/// Talos takes over the SELinux label and no other extended attribute.
fn keep_labels_only(tree: &mut Tree) {
    let paths: Vec<TreePath> = tree.iter().map(|(path, ..)| path.clone()).collect();
    for path in paths {
        if let Some(node) = tree.get_mut(&path) {
            node.xattrs.retain(|name, _| name == LABEL_XATTR);
        }
    }
}

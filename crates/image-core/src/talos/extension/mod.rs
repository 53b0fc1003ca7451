//! System extensions: what an extension's image holds, and how the initramfs lists them.

mod range;

pub use range::VersionRange;

use super::{Error, Quirk, Result, TalosVersion};
use serde::{Deserialize, Deserializer, Serialize};

/// The file at the root of an extension's image that says what it is.
pub const MANIFEST: &str = "manifest.yaml";
/// The directory beside [`MANIFEST`] with what comes over Talos's root. There is nothing else.
pub const ROOTFS: &str = "rootfs";
/// The file in the initramfs that lists the extensions, in the order they are mounted.
pub const CONFIG: &str = "extensions.yaml";
/// The only extended attribute of an extension's files that is kept.
pub const LABEL_XATTR: &str = "security.selinux";

/// What an extension's `manifest.yaml` says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Metadata {
    /// Its name.
    pub name: String,
    /// Its own version.
    pub version: String,
    /// Who made it.
    pub author: String,
    /// What it is for.
    pub description: String,
    /// The Talos versions it is for, as written: see [`VersionRange`]. Empty for all.
    pub talos: String,
    /// Anything else; Image Factory keeps the schematic here.
    pub extra_info: String,
}

#[derive(Deserialize)]
struct Manifest {
    #[serde(default, deserialize_with = "text")]
    version: String,
    #[serde(default)]
    metadata: Option<ManifestMetadata>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ManifestMetadata {
    #[serde(deserialize_with = "text")]
    name: String,
    #[serde(deserialize_with = "text")]
    version: String,
    #[serde(deserialize_with = "text")]
    author: String,
    #[serde(deserialize_with = "text")]
    description: String,
    compatibility: Option<Compatibility>,
    #[serde(deserialize_with = "text")]
    extra_info: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Compatibility {
    talos: Option<Constraint>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Constraint {
    #[serde(deserialize_with = "text")]
    version: String,
}

/// A key without a value is an empty text.
fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

impl Metadata {
    /// Reads a `manifest.yaml`. Keys it does not know it passes over, as Talos does.
    ///
    /// # Errors
    /// It is no YAML, or a manifest of another version than `v1alpha1`.
    pub fn from_manifest(manifest: &str) -> Result<Self> {
        let Manifest { version, metadata } = serde_saphyr::from_str(manifest)
            .map_err(|error| Error::input(format!("{MANIFEST}: {}", error.without_snippet())))?;
        if version != "v1alpha1" {
            return Err(Error::unsupported(format!(
                "{MANIFEST}: version {version:?} is not known, only \"v1alpha1\""
            )));
        }
        let ManifestMetadata { name, version, author, description, compatibility, extra_info } =
            metadata.unwrap_or_default();
        let talos = compatibility.and_then(|on| on.talos).unwrap_or_default().version;
        Ok(Self { name, version, author, description, talos, extra_info })
    }

    /// Whether the extension is for this version of Talos.
    ///
    /// # Errors
    /// It is not, or its range of versions cannot be read.
    pub fn check(&self, version: &TalosVersion) -> Result<()> {
        let Self { name, talos, .. } = self;
        if talos.is_empty() {
            return Ok(());
        }
        let range: VersionRange = talos.parse().map_err(|error| {
            Error::input(format!(
                "extension {name}: {MANIFEST}: metadata.compatibility.talos.version: {error}"
            ))
        })?;
        if range.contains(version) {
            return Ok(());
        }
        Err(Error::input(format!(
            "extension {name} is for Talos {talos}, not {version}: take the one made for {version}"
        )))
    }
}

/// Checks what stands at the root of an extension's image, by name.
///
/// # Errors
/// Something is missing, or there is something else.
pub fn check_root<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<()> {
    let (mut manifest, mut rootfs) = (false, false);
    for name in names {
        match name {
            MANIFEST => manifest = true,
            ROOTFS => rootfs = true,
            other => {
                return Err(Error::input(format!(
                    "unexpected {other:?} at the root of the extension: only {MANIFEST} and \
                     {ROOTFS}/ stand there"
                )));
            }
        }
    }
    match (manifest, rootfs) {
        (true, true) => Ok(()),
        (false, _) => Err(Error::input(format!("the extension has no {MANIFEST}"))),
        (true, false) => Err(Error::input(format!("the extension has no {ROOTFS}/"))),
    }
}

/// The order in which extensions are stacked and their microcode joined, as indices into the
/// list of the request: by their numbers *as text*, so 0, 1, 10, 11, 2 with twelve of them.
/// It is the imager's order; media must not differ from its in which file wins.
pub fn order(count: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_by_key(ToString::to_string);
    order
}

/// The file in the initramfs with the extension at `index` of the request.
pub fn image_name(index: usize) -> String {
    format!("{index}.sqsh")
}

/// Where firmware stands, below the root.
pub fn firmware_dir(version: &TalosVersion) -> &'static str {
    if version.has(Quirk::UsrMerge) { "usr/lib/firmware" } else { "lib/firmware" }
}

/// Where kernel modules stand, below the root.
pub fn modules_dir(version: &TalosVersion) -> &'static str {
    if version.has(Quirk::UsrMerge) { "usr/lib/modules" } else { "lib/modules" }
}

//! System extensions: what an extension's image holds, and how the initramfs lists them.

mod lint;
mod microcode;
mod range;
mod virtual_extension;

pub use lint::{Finding, Paths, lint};
pub use microcode::{Microcode, microcode};
pub use range::VersionRange;
pub use virtual_extension::{VirtualExtension, embedded_config};

use super::{Error, Quirk, Result, TalosVersion, yaml, yaml::Yaml};
use serde::{Deserialize, Deserializer};
use std::fmt;

/// The file at the root of an extension's image that says what it is.
pub const MANIFEST: &str = "manifest.yaml";
/// The directory beside [`MANIFEST`] with what comes over Talos's root. There is nothing else.
pub const ROOTFS: &str = "rootfs";
/// The file in the initramfs that lists the extensions, in the order they are mounted.
pub const CONFIG: &str = "extensions.yaml";
/// The only extended attribute of an extension's files that is kept.
pub const LABEL_XATTR: &str = "security.selinux";

/// What an extension's `manifest.yaml` says. A schematic in `extra_info` may hold a machine
/// configuration, and with it secrets: printed for debugging, it is left out.
#[derive(Clone, PartialEq, Eq)]
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

impl fmt::Debug for Metadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metadata")
            .field("name", &self.name)
            .field("version", &self.version)
            .field("author", &self.author)
            .field("description", &self.description)
            .field("talos", &self.talos)
            .finish_non_exhaustive()
    }
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

impl From<ManifestMetadata> for Metadata {
    fn from(written: ManifestMetadata) -> Self {
        let ManifestMetadata { name, version, author, description, compatibility, extra_info } =
            written;
        let talos = compatibility.and_then(|on| on.talos).unwrap_or_default().version;
        Self { name, version, author, description, talos, extra_info }
    }
}

impl Metadata {
    /// Reads a `manifest.yaml`. Keys it does not know it passes over, as Talos does.
    ///
    /// # Errors
    /// It is no YAML, or a manifest of another version than `v1alpha1`.
    pub fn from_manifest(manifest: &str) -> Result<Self> {
        let Manifest { version, metadata } = yaml::read(MANIFEST, manifest)?;
        if version != "v1alpha1" {
            return Err(Error::unsupported(format!(
                "{MANIFEST}: version {version:?} is not known, only \"v1alpha1\""
            )));
        }
        Ok(metadata.unwrap_or_default().into())
    }

    /// The manifest, as [`Metadata::from_manifest`] reads it.
    pub fn to_manifest(&self) -> String {
        let version = Some(Yaml::text("v1alpha1"));
        Yaml::map([("version", version), ("metadata", Some(self.yaml()))]).document(4)
    }

    fn yaml(&self) -> Yaml {
        let text = |text: &str| Some(Yaml::text(text));
        let constraint = Yaml::map([("version", text(&self.talos))]);
        Yaml::map([
            ("name", text(&self.name)),
            ("version", text(&self.version)),
            ("author", text(&self.author)),
            ("description", text(&self.description)),
            ("compatibility", Some(Yaml::map([("talos", Some(constraint))]))),
            ("extraInfo", text(&self.extra_info).filter(|_| !self.extra_info.is_empty())),
        ])
    }

    /// Whether the extension is for this version of Talos.
    ///
    /// # Errors
    /// It is not, or its range of versions cannot be read.
    pub fn check(&self, version: &TalosVersion) -> Result<()> {
        let talos = &self.talos;
        if talos.is_empty() {
            return Ok(());
        }
        let range: VersionRange = talos.parse().map_err(|error| {
            Error::input(format!("{MANIFEST}: metadata.compatibility.talos.version: {error}"))
        })?;
        if range.contains(version) {
            return Ok(());
        }
        Err(Error::input(format!(
            "it is for Talos {talos}, not {version}: take the one made for it"
        )))
    }
}

/// The text of [`CONFIG`]: each image's file name with what is in it, in the order in which
/// they are mounted.
pub fn config<'a>(layers: impl IntoIterator<Item = (&'a str, &'a Metadata)>) -> String {
    let layer = |(image, metadata): (&str, &Metadata)| {
        Yaml::map([("image", Some(Yaml::text(image))), ("metadata", Some(metadata.yaml()))])
    };
    let layers = Yaml::List(layers.into_iter().map(layer).collect());
    Yaml::map([("layers", Some(layers))]).document(4)
}

#[derive(Deserialize)]
struct Config {
    #[serde(default)]
    layers: Vec<ConfigLayer>,
}

#[derive(Deserialize)]
struct ConfigLayer {
    image: String,
    #[serde(default)]
    metadata: ManifestMetadata,
}

/// Reads the text of [`CONFIG`]: each image's file name with what is in it.
///
/// # Errors
/// It is no YAML, or no list of extensions.
pub fn read_config(text: &str) -> Result<Vec<(String, Metadata)>> {
    let config: Config = yaml::read(CONFIG, text)?;
    Ok(config.layers.into_iter().map(|layer| (layer.image, layer.metadata.into())).collect())
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

/// The extension with the module dependencies of all others, for the kernel of this release:
/// what depmod wrote, under [`modules_dir`]. It comes last.
pub fn module_dependencies(kernel_release: &str) -> Metadata {
    Metadata {
        name: "modules.dep".to_owned(),
        version: kernel_release.to_owned(),
        author: "Talos Machinery".to_owned(),
        description: "Combined modules.dep for all extensions".to_owned(),
        talos: String::new(),
        extra_info: String::new(),
    }
}

/// The file in the initramfs with the extension of [`module_dependencies`].
pub const MODULE_DEPENDENCIES_IMAGE: &str = "modules.dep.sqsh";

#[cfg(test)]
mod tests {
    use super::*;

    const YAML: &str = "
version: v1alpha1
metadata:
  name: intel-ucode
  version: 20250512
  author:
  description: |
    Two
    lines.
  compatibility:
    talos:
      version: \">= v1.10.0\"
  somethingNew: 1
";

    #[test]
    fn manifests() {
        let metadata = Metadata::from_manifest(YAML).unwrap();
        assert_eq!((metadata.version.as_str(), metadata.author.as_str()), ("20250512", ""));
        assert_eq!(Metadata::from_manifest(&metadata.to_manifest()).unwrap(), metadata);
        assert!(metadata.check(&"1.11.0".parse().unwrap()).is_ok());
        assert!(metadata.check(&"1.10.0-alpha.0".parse().unwrap()).is_ok());
        let error = metadata.check(&"1.9.5".parse().unwrap()).unwrap_err().to_string();
        let expected = "it is for Talos >= v1.10.0, not v1.9.5: take the one made for it";
        assert_eq!(error, expected);
        let broken = Metadata { talos: "~> 1".into(), ..metadata };
        assert!(broken.check(&"1.9.5".parse().unwrap()).is_err());
        for (from, to) in
            [("v1alpha1", "v1alpha2"), ("version: v1alpha1", ""), ("metadata:", "metadata")]
        {
            assert!(Metadata::from_manifest(&YAML.replacen(from, to, 1)).is_err(), "{to}");
        }
    }

    #[test]
    fn config_is_what_the_imager_writes() {
        let mut metadata = Metadata::from_manifest(YAML).unwrap();
        metadata.author = "Sidero Labs".to_owned();
        let mut plain = metadata.clone();
        plain.description = "[intel] one: line".to_owned();
        plain.extra_info = "customization: {}\n".to_owned();
        let modules = module_dependencies("6.12.0-talos");
        let layers =
            [("0.sqsh", &metadata), ("1.sqsh", &plain), (MODULE_DEPENDENCIES_IMAGE, &modules)];
        assert_eq!(config(layers), include_str!("../../../tests/golden/extensions.yaml"));
        assert_eq!(config([]), "layers: []\n");
    }

    #[test]
    fn roots_and_order() {
        assert_eq!(order(12), [0, 1, 10, 11, 2, 3, 4, 5, 6, 7, 8, 9]);
        assert!(check_root(["manifest.yaml", "rootfs"]).is_ok());
        for bad in [&["manifest.yaml"][..], &["rootfs"], &["manifest.yaml", "rootfs", "bin"]] {
            assert!(check_root(bad.iter().copied()).is_err());
        }
    }
}

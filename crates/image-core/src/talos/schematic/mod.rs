//! Image Factory's schematics: what is to differ from a plain Talos, for any version and any
//! medium, named by the SHA-256 of its YAML.

#[cfg(test)]
mod corpus;
mod describe;
mod lay_over;
mod read;
#[cfg(test)]
mod tests;
mod value;

pub use describe::{Description, Part};
pub use value::Value;

use super::{
    MachineConfig, Quirk, TalosVersion,
    extension::{Metadata, VirtualExtension},
    meta::MetaValue,
    profile::Bootloader,
    yaml::{Words, Yaml},
};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;

/// The public Image Factory, as it writes its own address into the images it makes.
pub const FACTORY_URL: &str = "https://factory.talos.dev/";

/// What is to differ from a plain Talos: Image Factory's schematic, key by key.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Schematic {
    /// The user it belongs to, in the Enterprise edition of Image Factory.
    pub owner: String,
    /// The overlay of a single-board computer.
    pub overlay: Overlay,
    /// Everything else.
    pub customization: Customization,
}

/// An overlay of a single-board computer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Overlay {
    /// Its image. Image Factory looks at the name only.
    pub image: String,
    /// Its installer's name.
    pub name: String,
    /// What its installer is told.
    pub options: BTreeMap<String, Value>,
}

/// What differs from a plain Talos.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Customization {
    /// A machine configuration to build in, as YAML text.
    pub embedded_machine_configuration: MachineConfig,
    /// Kernel arguments: added to the defaults; `-key` and `-key=value` take one away.
    pub extra_kernel_args: Vec<String>,
    /// What the META partition holds.
    pub meta: Vec<MetaValue>,
    /// System extensions.
    pub system_extensions: SystemExtensions,
    /// What firmware starts.
    pub bootloader: Option<Bootloader>,
    /// What differs where an image is signed for Secure Boot.
    pub secure_boot: SecureBoot,
    /// What differs on a disk image.
    pub disk_image: DiskImage,
}

/// System extensions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SystemExtensions {
    /// Repositories of official extensions, such as `siderolabs/gvisor`, in order. The catalogue
    /// of the Talos version knows their tags.
    pub official_extensions: Vec<String>,
}

/// What differs where an image is signed for Secure Boot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SecureBoot {
    /// When the keys are enrolled, a word of [`EnrollKeys`](super::profile::EnrollKeys). It is
    /// part of the identifier as it is written, and read where an image is made.
    pub enroll_keys: String,
    /// Enrol Microsoft's certificates too.
    pub include_well_known_certificates: bool,
}

/// What differs on a disk image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DiskImage {
    /// Bytes in a sector: 512, also if 0, or 4096.
    pub sector_size: u64,
}

impl Schematic {
    /// The YAML Image Factory stores, to the byte.
    pub fn to_yaml(&self) -> String {
        Yaml::map([
            ("owner", text(&self.owner)),
            ("overlay", self.overlay.yaml()),
            ("customization", Some(self.customization.yaml())),
        ])
        .document_with(4, Words::Double)
    }

    /// The identifier: the SHA-256 of [`Schematic::to_yaml`], in hexadecimal digits.
    pub fn id(&self) -> String {
        format!("{:x}", Sha256::digest(self.to_yaml()))
    }

    /// The extension Image Factory puts last into what it makes, for a machine to know its
    /// schematic by; `factory_url` is that of the factory, such as [`FACTORY_URL`].
    pub fn virtual_extension(&self, factory_url: &str, version: &TalosVersion) -> VirtualExtension {
        const NAME: &str = "schematic";

        let id = self.id();
        VirtualExtension {
            path: format!("usr/local/share/schematic/{id}"),
            metadata: Metadata {
                name: NAME.to_owned(),
                version: id,
                author: format!("Image Factory ({factory_url})"),
                description: format!(
                    "Virtual extension which specifies the schematic of the image built with {NAME}."
                ),
                talos: ">= 1.0.0".to_owned(),
                extra_info: if version.has(Quirk::Overlays) {
                    self.to_yaml()
                } else {
                    String::new()
                },
            },
            content: String::new(),
            mode: 0o644,
            label: None,
        }
    }
}

impl Overlay {
    fn yaml(&self) -> Option<Yaml> {
        let entries = self.options.iter();
        let entries: Vec<_> =
            entries.map(|(key, value)| (Value::Text(key.clone()), value.clone())).collect();
        let options = (!entries.is_empty()).then(|| Value::Map(entries).yaml());
        (*self != Self::default()).then(|| {
            Yaml::map([
                ("image", Some(Yaml::text(&self.image))),
                ("name", Some(Yaml::text(&self.name))),
                ("options", options),
            ])
        })
    }
}

impl Customization {
    fn yaml(&self) -> Yaml {
        let Self { meta, system_extensions, secure_boot, disk_image, .. } = self;
        let meta = meta.iter().map(|MetaValue { key, value }| {
            Yaml::map([("key", number(*key)), ("value", Some(Yaml::text(value)))])
        });
        let certificates = secure_boot.include_well_known_certificates;
        Yaml::map([
            ("embeddedMachineConfiguration", text(self.embedded_machine_configuration.as_str())),
            ("extraKernelArgs", list(self.extra_kernel_args.iter().map(Yaml::text))),
            ("meta", list(meta)),
            (
                "systemExtensions",
                within([(
                    "officialExtensions",
                    list(system_extensions.official_extensions.iter().map(Yaml::text)),
                )]),
            ),
            ("bootloader", self.bootloader.map(|word| Yaml::text(word.name()))),
            (
                "secureboot",
                within([
                    ("enrollKeys", text(&secure_boot.enroll_keys)),
                    (
                        "includeWellKnownCertificates",
                        certificates.then(|| Yaml::Bare("true".to_owned())),
                    ),
                ]),
            ),
            (
                "diskImage",
                within([(
                    "sectorSize",
                    number(disk_image.sector_size).filter(|_| disk_image.sector_size > 0),
                )]),
            ),
        ])
    }
}

fn text(text: &str) -> Option<Yaml> {
    (!text.is_empty()).then(|| Yaml::text(text))
}

#[expect(clippy::unnecessary_wraps, reason = "it stands among entries that may be missing")]
fn number(number: impl Into<u64>) -> Option<Yaml> {
    Some(Yaml::Bare(number.into().to_string()))
}

fn list(items: impl Iterator<Item = Yaml>) -> Option<Yaml> {
    let items: Vec<_> = items.collect();
    (!items.is_empty()).then_some(Yaml::List(items))
}

/// A mapping that is left out where it has no entry.
fn within<const N: usize>(entries: [(&str, Option<Yaml>); N]) -> Option<Yaml> {
    entries.iter().any(|(_, value)| value.is_some()).then(|| Yaml::map(entries))
}

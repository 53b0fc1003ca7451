//! A schematic in words.

use super::{Customization, Overlay, Schematic, SecureBoot};
use crate::talos::{
    Quirk,
    meta::MetaValue,
    profile::{Bootloader, EnrollKeys, OutputKind},
};
use OutputKind::{Cmdline, Image, Initramfs, Installer, Iso, Uki};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

/// What a schematic does, for people. It holds no secret: a machine configuration and META values
/// are named by their sizes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Description {
    /// The schematic's identifier.
    pub id: String,
    /// What it changes, in the order of its YAML.
    pub parts: Vec<Part>,
    /// What may surprise.
    pub notes: Vec<String>,
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Part {
    /// The key in the schematic.
    pub key: &'static str,
    /// What it does.
    pub does: String,
    /// The outputs that take it up.
    pub outputs: Vec<OutputKind>,
    /// Where it counts only for some: from a version on, or with Secure Boot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub only: Option<String>,
}

/// What has an initramfs.
const WITH_INITRAMFS: &[OutputKind] = &[Iso, Image, Installer, Initramfs, Uki];

impl Schematic {
    /// What this schematic does, for people.
    pub fn describe(&self) -> Description {
        let mut parts = Vec::new();
        let mut notes = Vec::new();
        if !self.owner.is_empty() {
            parts.push(part("owner", format!("belongs to {:?}", self.owner), &[]));
            notes.push(
                "owner is for the Enterprise edition of Image Factory: the public one refuses it"
                    .to_owned(),
            );
        }
        self.overlay.describe(&mut parts, &mut notes);
        self.customization.describe(&mut parts, &mut notes);
        if parts.is_empty() {
            notes.push("nothing is changed: this is a plain Talos".to_owned());
        }
        Description { id: self.id(), parts, notes }
    }
}

impl Overlay {
    fn describe(&self, parts: &mut Vec<Part>, notes: &mut Vec<String>) {
        let Self { image, name, options } = self;
        if name.is_empty() {
            if *self != Self::default() {
                notes.push("overlay has no effect: it has no name".to_owned());
            }
            return;
        }
        let told = match options.len() {
            0 => String::new(),
            1 => ", with 1 option".to_owned(),
            count => format!(", with {count} options"),
        };
        let does = format!("adds the boot files of {name:?} from {image:?}{told}");
        parts.push(part("overlay", does, WITH_INITRAMFS).since(Quirk::Overlays));
        notes.push(
            "Image Factory finds an overlay by its name alone; the image is part of the identifier \
             all the same"
                .to_owned(),
        );
    }
}

impl Customization {
    fn describe(&self, parts: &mut Vec<Part>, notes: &mut Vec<String>) {
        let config = self.embedded_machine_configuration.as_str();
        if !config.is_empty() {
            let does = format!(
                "builds in a machine configuration: {}, SHA-256 {:x}",
                bytes(config),
                Sha256::digest(config)
            );
            parts.push(
                part("customization.embeddedMachineConfiguration", does, WITH_INITRAMFS)
                    .since(Quirk::EmbeddedConfig),
            );
        }
        for argument in &self.extra_kernel_args {
            let does = match (argument.strip_prefix('-'), argument.split_once('=')) {
                (Some(taken), _) => format!("takes the kernel argument {taken:?} away"),
                (None, Some(("console" | "talos.platform", _))) => {
                    format!("sets the kernel argument {argument:?}, instead of Talos's own")
                }
                _ => format!("adds the kernel argument {argument:?}"),
            };
            let outputs = &[Iso, Image, Installer, Uki, Cmdline];
            let mut part = part("customization.extraKernelArgs", does, outputs);
            part.only = Some(format!(
                "installer and uki: from Talos {} on, or with Secure Boot",
                version(Quirk::UnifiedInstaller)
            ));
            parts.push(part);
        }
        for MetaValue { key, value } in &self.meta {
            let does = format!("sets META {key:#x} ({}): {}", meta_name(*key), bytes(value));
            parts.push(part("customization.meta", does, &[Iso, Image, Cmdline]));
        }
        let extensions = &self.system_extensions.official_extensions;
        for (nth, name) in extensions.iter().enumerate() {
            let does = format!("adds the system extension {name}");
            let key = "customization.systemExtensions.officialExtensions";
            parts.push(part(key, does, WITH_INITRAMFS));
            if extensions[..nth].contains(name) {
                notes.push(format!("system extension {name} stands twice: take one out"));
            }
        }
        if extensions.len() > 1 {
            notes.push(
                "the identifier depends on the order of the system extensions: in another order \
                 they are another schematic"
                    .to_owned(),
            );
        }
        if let Some(bootloader) = self.bootloader {
            let does = format!("has firmware start {bootloader}");
            parts.push(part("customization.bootloader", does, &[Iso, Image]));
            if bootloader != Bootloader::SdBoot {
                notes.push("with Secure Boot, firmware starts sd-boot all the same".to_owned());
            }
        }
        self.secure_boot.describe(parts, notes);
        let size = self.disk_image.sector_size;
        if size > 0 {
            let does = format!("gives the disk sectors of {size} bytes");
            parts.push(part("customization.diskImage.sectorSize", does, &[Image]));
            if size != 512 && size != 4096 {
                notes.push(format!("no disk has sectors of {size} bytes: write 512 or 4096"));
            }
        }
    }
}

impl SecureBoot {
    fn describe(&self, parts: &mut Vec<Part>, notes: &mut Vec<String>) {
        let signed = |mut part: Part| {
            part.only = Some("with Secure Boot".to_owned());
            part
        };
        if !self.enroll_keys.is_empty() {
            let when = match self.enroll_keys.parse::<EnrollKeys>() {
                Ok(EnrollKeys::IfSafe) => "in virtual machines",
                Ok(EnrollKeys::Manual) => "when chosen in the boot menu",
                Ok(EnrollKeys::Force) => "at the first start, without asking",
                Ok(EnrollKeys::Off) => "never",
                Err(error) => {
                    notes.push(format!("customization.secureboot.enrollKeys: {error}"));
                    "in a way that is unknown"
                }
            };
            let does = format!("enrols the Secure Boot keys {when}");
            parts.push(signed(part("customization.secureboot.enrollKeys", does, &[Iso, Image])));
        }
        if self.include_well_known_certificates {
            let key = "customization.secureboot.includeWellKnownCertificates";
            let does = "enrols Microsoft's certificates too".to_owned();
            parts.push(signed(part(key, does, &[Iso, Image])));
        }
    }
}

impl Part {
    fn since(mut self, quirk: Quirk) -> Self {
        self.only = Some(format!("from Talos {} on", version(quirk)));
        self
    }
}

fn part(key: &'static str, does: String, outputs: &[OutputKind]) -> Part {
    Part { key, does, outputs: outputs.to_vec(), only: None }
}

fn version(quirk: Quirk) -> String {
    let [major, minor, _] = quirk.since();
    format!("{major}.{minor}")
}

fn bytes(text: &str) -> String {
    match text.len() {
        1 => "1 byte".to_owned(),
        count => format!("{count} bytes"),
    }
}

/// What Talos keeps under a key.
fn meta_name(key: u8) -> &'static str {
    match key {
        6 => "upgrade",
        7 => "image of a staged upgrade",
        8 => "options of a staged upgrade",
        9 => "encryption of STATE",
        10 => "network configuration of metal machines",
        11 => "code in the configuration's URL",
        12 => "yours, 1",
        13 => "yours, 2",
        14 => "yours, 3",
        15 => "UUID instead of the hardware's",
        16 => "unique token of the machine",
        17 => "bootloader of the disk image",
        _ => "unknown to Talos",
    }
}

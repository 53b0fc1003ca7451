//! The imager's profiles: what to make, for what machine, out of what.
//!
//! A [`Profile`] is what was asked, with gaps. [`Profile::target`] lays it over its base
//! profile, fills the gaps as the imager does and gives a [`Target`], which has none.

mod base;
mod dump;
mod fill;
mod input;
mod target;
mod words;

pub use input::{
    ContainerAsset, FileAsset, Input, SecureBootAssets, SigningKey, SigningKeyAndCertificate,
};
pub use target::{DiskImage, Iso, Output, Target};
pub use words::{Bootloader, DiskFormat, EnrollKeys, OutFormat, OutputKind};

use super::{Arch, Error, MachineConfig, Platform, Result, TalosVersion, meta::MetaValue, yaml};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use words::{choice, is_default};

/// What was asked: the imager's profile, key by key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Profile {
    /// The built-in profile this one is laid over.
    #[serde(skip_serializing_if = "is_default")]
    pub base_profile_name: String,
    /// The machine's architecture.
    #[serde(deserialize_with = "choice", skip_serializing_if = "Option::is_none")]
    pub arch: Option<Arch>,
    /// Where the machine runs.
    #[serde(deserialize_with = "choice", skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// Sign for Secure Boot.
    #[serde(rename = "secureboot", skip_serializing_if = "Option::is_none")]
    pub secure_boot: Option<bool>,
    /// The system's name, if not `Talos`.
    #[serde(skip_serializing_if = "is_default")]
    pub name: String,
    /// The version of Talos.
    #[serde(deserialize_with = "choice", skip_serializing_if = "Option::is_none")]
    pub version: Option<TalosVersion>,
    /// What differs from a plain Talos.
    #[serde(skip_serializing_if = "is_default")]
    pub customization: Customization,
    /// The parts.
    #[serde(skip_serializing_if = "is_default")]
    pub input: Input,
    /// The overlay of a single-board computer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overlay: Option<Overlay>,
    /// What is made.
    pub output: OutputOptions,
}

/// What differs from a plain Talos.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Customization {
    /// Kernel arguments: added to the defaults; `-key` and `-key=value` take one away.
    #[serde(skip_serializing_if = "is_default")]
    pub extra_kernel_args: Vec<String>,
    /// What the META partition holds.
    #[serde(skip_serializing_if = "is_default")]
    pub meta_contents: Vec<MetaValue>,
    /// A machine configuration to build in, as YAML text.
    #[serde(skip_serializing_if = "is_default")]
    pub embedded_machine_configuration: MachineConfig,
}

/// An overlay of a single-board computer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Overlay {
    /// Its installer's name.
    pub name: String,
    /// Its image.
    pub image: ContainerAsset,
    /// What its installer is told.
    #[serde(skip_serializing_if = "is_default")]
    pub options: BTreeMap<String, serde_json::Value>,
}

/// What is made, and how it is packed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct OutputOptions {
    /// What is made.
    #[serde(deserialize_with = "choice", skip_serializing_if = "Option::is_none")]
    pub kind: Option<OutputKind>,
    /// For a disk image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_options: Option<ImageOptions>,
    /// For an ISO.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iso_options: Option<IsoOptions>,
    /// How it is packed.
    #[serde(deserialize_with = "choice", skip_serializing_if = "Option::is_none")]
    pub out_format: Option<OutFormat>,
}

/// What can be said about a disk image.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ImageOptions {
    /// Bytes, before what newer versions and a second bootloader add.
    #[serde(skip_serializing_if = "is_default")]
    pub disk_size: u64,
    /// The file's format.
    #[serde(deserialize_with = "choice", skip_serializing_if = "Option::is_none")]
    pub disk_format: Option<DiskFormat>,
    /// Options of that format, as qemu-img(1) takes them after `-o`.
    #[serde(skip_serializing_if = "is_default")]
    pub disk_format_options: String,
    /// Bytes in a sector: 512, also if 0, or 4096.
    #[serde(skip_serializing_if = "is_default")]
    pub disk_sector_size: u32,
    /// What firmware starts.
    #[serde(deserialize_with = "choice", skip_serializing_if = "Option::is_none")]
    pub bootloader: Option<Bootloader>,
    /// When Secure Boot keys are enrolled.
    #[serde(
        rename = "sdBootEnrollKeys",
        deserialize_with = "choice",
        skip_serializing_if = "Option::is_none"
    )]
    pub enroll_keys: Option<EnrollKeys>,
}

/// What can be said about an ISO.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct IsoOptions {
    /// When Secure Boot keys are enrolled.
    #[serde(
        rename = "sdBootEnrollKeys",
        deserialize_with = "choice",
        skip_serializing_if = "Option::is_none"
    )]
    pub enroll_keys: Option<EnrollKeys>,
    /// What firmware starts.
    #[serde(deserialize_with = "choice", skip_serializing_if = "Option::is_none")]
    pub bootloader: Option<Bootloader>,
}

impl Profile {
    /// Reads a profile's YAML.
    ///
    /// # Errors
    /// It is no YAML, has a key no profile has (the message names the nearest that exists
    /// there), or a value that cannot be.
    pub fn from_yaml(text: &str) -> Result<Self> {
        yaml::read("profile", text)
    }

    /// The built-in profile of this name.
    ///
    /// # Errors
    /// There is none; the message names the nearest.
    pub fn base(name: &str) -> Result<Self> {
        base::find(name)
    }

    /// The names of the built-in profiles, sorted.
    pub fn base_names() -> impl Iterator<Item = &'static str> {
        base::names()
    }
}

fn missing(key: &str) -> Error {
    Error::input(format!("profile: {key} is not given"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blob::Blob;

    #[test]
    fn base_profiles_are_filled_as_the_imager_fills_them() {
        let table = include_str!("../../../tests/golden/profiles.tsv");
        let rows = table.lines().filter(|row| !row.starts_with('#'));
        let mut names = Vec::new();
        for row in rows {
            let columns: Vec<_> = row.split('\t').collect();
            let [name, arch, version, file, sum] = columns[..] else { panic!("{row}") };
            let profile = Profile {
                base_profile_name: name.to_owned(),
                arch: Some(arch.parse().unwrap()),
                version: Some(version.parse().unwrap()),
                ..Profile::default()
            };
            let text = profile.clone().filled().unwrap().to_yaml();
            let digest = Blob::from(text.clone()).digest().unwrap().to_string();
            assert!(digest.contains(sum), "{row}\n{text}");
            assert_eq!(profile.target().unwrap().packed_file_name(), file, "{row}");
            names.push(name);
        }
        names.dedup();
        assert!(Profile::base_names().eq(names));
    }

    #[test]
    fn a_whole_profile() {
        let profile =
            Profile::from_yaml(include_str!("../../../tests/golden/profile.yaml")).unwrap();
        let filled = profile.filled().unwrap().to_yaml();
        assert_eq!(filled, include_str!("../../../tests/golden/profile-filled.yaml"));
        assert_eq!(Profile::from_yaml(&filled).unwrap().to_yaml(), filled);
    }

    #[test]
    fn refusals_name_the_place_and_the_mend() {
        let base = "baseProfileName: iso\narch: amd64\nversion: v1.11.0\n";
        let target = |yaml: &str| Profile::from_yaml(&format!("{base}{yaml}"))?.target();
        for (yaml, expected) in [
            (
                "outptu: {}",
                "profile: line 4 column 1: key \"outptu\" is unknown: did you mean \"output\"?",
            ),
            (
                "output:\n  imageOptions:\n    disksize: 1",
                "profile: line 6 column 5: key \"disksize\" is unknown: did you mean \"diskSize\"?",
            ),
            ("output: {kind: isoo}", "output kind \"isoo\" is unknown: did you mean \"iso\"?"),
            ("platform: matal", "platform \"matal\" is unknown: did you mean \"metal\"?"),
            ("customization: {metaContents: [{key: 256, value: x}]}", "line 4"),
            ("name: a\nname: b", "profile: line 5 column 1: key \"name\" stands twice"),
            ("name: a\n---\n", "a second document starts"),
            (
                "output: {kind: kernel}\ncustomization: {extraKernelArgs: [a]}",
                "output kind kernel has no kernel arguments: leave it out",
            ),
            ("output: {kind: image, outFormat: raw}", "output.imageOptions.diskSize is not given"),
            (
                "output: {kind: image, imageOptions: {diskSize: 1, diskFormat: raw, diskSectorSize: 520}}",
                "520 is neither 512 nor 4096",
            ),
            ("output: {kind: image, imageOptions: {diskSize: -1}}", "line 4"),
        ] {
            let error = target(yaml).unwrap_err().to_string();
            assert!(error.contains(expected), "{yaml}\n{error}");
            assert!(!error.contains('\n'), "{error}");
        }
        let error = Profile::base("metal-ukki").unwrap_err().to_string();
        assert_eq!(error, "there is no base profile \"metal-ukki\": did you mean \"metal-uki\"?");
    }

    #[test]
    fn what_is_said_goes_before_the_base_and_the_defaults() {
        let yaml = "
baseProfileName: metal
arch: amd64
version: 1.10.0
output:
  kind: ISO
  isoOptions: {bootloader: grub}
";
        let target = Profile::from_yaml(yaml).unwrap().target().unwrap();
        assert_eq!(target.packed_file_name(), "metal-amd64.iso.zst");
        let iso = Iso { bootloader: Bootloader::Grub, enroll_keys: EnrollKeys::IfSafe };
        assert_eq!(target.output, Output::Iso(iso));
        let secure = Profile { secure_boot: Some(true), ..Profile::from_yaml(yaml).unwrap() };
        let Output::Iso(iso) = secure.target().unwrap().output else { panic!() };
        assert_eq!(iso.bootloader, Bootloader::SdBoot);
    }
}

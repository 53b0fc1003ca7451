//! The imager's profiles: what to make, for what machine, out of what.
//!
//! A [`Profile`] is what was asked, with gaps. [`Profile::target`] lays it over its base
//! profile, fills the gaps as the imager does and gives a [`Target`], which has none.

mod base;
mod dump;
mod fill;
mod input;
mod target;
#[cfg(test)]
mod tests;
mod words;

pub use input::{
    ContainerAsset, FileAsset, Input, SecureBootAssets, SigningKey, SigningKeyAndCertificate,
};
pub use target::{DiskImage, Iso, Output, Target};
pub use words::{Bootloader, DiskFormat, EnrollKeys, OutFormat, OutputKind};

use super::{Arch, Error, MachineConfig, Platform, Result, TalosVersion, meta::MetaValue, yaml};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use words::{choice, flag, is_default, or_default, sector_size, size};

/// What was asked: the imager's profile, key by key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Profile {
    /// The built-in profile this one is laid over.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub base_profile_name: String,
    /// The machine's architecture.
    #[serde(deserialize_with = "choice", skip_serializing_if = "Option::is_none")]
    pub arch: Option<Arch>,
    /// Where the machine runs.
    #[serde(deserialize_with = "choice", skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// Sign for Secure Boot.
    #[serde(
        rename = "secureboot",
        deserialize_with = "flag",
        skip_serializing_if = "Option::is_none"
    )]
    pub secure_boot: Option<bool>,
    /// The system's name, if not `Talos`.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub name: String,
    /// The version of Talos.
    #[serde(deserialize_with = "choice", skip_serializing_if = "Option::is_none")]
    pub version: Option<TalosVersion>,
    /// What differs from a plain Talos.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub customization: Customization,
    /// The parts.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub input: Input,
    /// The overlay of a single-board computer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overlay: Option<Overlay>,
    /// What is made.
    #[serde(deserialize_with = "or_default")]
    pub output: OutputOptions,
}

/// What differs from a plain Talos.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Customization {
    /// Kernel arguments: added to the defaults; `-key` and `-key=value` take one away.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub extra_kernel_args: Vec<String>,
    /// What the META partition holds.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub meta_contents: Vec<MetaValue>,
    /// A machine configuration to build in, as YAML text.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub embedded_machine_configuration: MachineConfig,
}

/// An overlay of a single-board computer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Overlay {
    /// Its installer's name, if not `default`.
    pub name: String,
    /// Its image.
    pub image: ContainerAsset,
    /// What its installer is told.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub options: BTreeMap<String, serde_json::Value>,
}

impl Overlay {
    /// Reads what an overlay's installer is told, as YAML.
    ///
    /// # Errors
    /// It is no YAML mapping with texts as keys.
    pub fn options_from_yaml(text: &str) -> Result<BTreeMap<String, serde_json::Value>> {
        yaml::read("overlay options", text)
    }
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
    #[serde(deserialize_with = "size", skip_serializing_if = "is_default")]
    pub disk_size: u64,
    /// The file's format.
    #[serde(deserialize_with = "choice", skip_serializing_if = "Option::is_none")]
    pub disk_format: Option<DiskFormat>,
    /// Options of that format, as qemu-img(1) takes them after `-o`.
    #[serde(skip_serializing_if = "is_default")]
    pub disk_format_options: String,
    /// Bytes in a sector: 512, also if 0, or 4096.
    #[serde(deserialize_with = "sector_size", skip_serializing_if = "is_default")]
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
        let profile: Self = yaml::read(WHAT, text)?;
        // An overlay brings base profiles of its own.
        if profile.overlay.is_none() && !profile.base_profile_name.is_empty() {
            let unknown = |error: Error| {
                let base = yaml::read(WHAT, text).ok().map(|Base { name }| name.referenced);
                let place = base.map(|it| (it.line(), it.column()));
                yaml::at(WHAT, place, &error.to_string())
            };
            Self::base(&profile.base_profile_name).map_err(unknown)?;
        }
        Ok(profile)
    }

    /// What is made: what this profile says, or else its base profile.
    pub fn kind(&self) -> Option<OutputKind> {
        let base = || Self::base(&self.base_profile_name).ok()?.output.kind;
        self.output.kind.or_else(base)
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

/// What the text is called in messages.
const WHAT: &str = "profile";

/// A profile's first key, with its place.
#[derive(Deserialize)]
struct Base {
    #[serde(rename = "baseProfileName")]
    name: serde_saphyr::Spanned<String>,
}

pub(super) fn missing(key: &str) -> Error {
    Error::input(format!("{WHAT}: {key} is not given: add it, or a base profile that has it"))
}

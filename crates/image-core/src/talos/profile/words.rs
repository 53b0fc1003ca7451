//! The words a profile chooses from.

use crate::{
    formats::oci::Reference,
    nearest::nearest,
    talos::{Arch, Error, Platform, Result, TalosVersion, integer},
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::{fmt, str::FromStr};

macro_rules! words {
    (
        $(#[$doc:meta])* $name:ident as $what:literal or $none:literal {
            $($(#[$word_doc:meta])* $word:ident = $text:literal,)+
        }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$word_doc])* $word,)+
        }

        impl $name {
            /// Every choice.
            pub const ALL: &[Self] = &[$(Self::$word),+];

            /// The word in a profile.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$word => $text,)+
                }
            }
        }

        impl FromStr for $name {
            type Err = Error;

            /// Reads the word, in upper or lower case.
            fn from_str(text: &str) -> Result<Self> {
                pick($what, text, Self::ALL, Self::name)
            }
        }

        impl Choice for $name {
            const NONE: &'static str = $none;
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name())
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.name())
            }
        }
    };
}

words! {
    /// What is made.
    OutputKind as "output kind" or "unknown" {
        /// An ISO 9660 image to boot from.
        Iso = "iso",
        /// A disk image with Talos installed.
        Image = "image",
        /// A container image that installs and upgrades Talos.
        Installer = "installer",
        /// The Linux kernel.
        Kernel = "kernel",
        /// The initramfs with the extensions.
        Initramfs = "initramfs",
        /// The unified kernel image.
        Uki = "uki",
        /// The kernel command line, as text.
        Cmdline = "cmdline",
    }
}

words! {
    /// How the artifact is packed.
    OutFormat as "output format" or "unknown" {
        /// Not at all.
        Raw = "raw",
        /// A gzipped tar archive with the artifact in it.
        TarGz = ".tar.gz",
        /// XZ.
        Xz = ".xz",
        /// gzip.
        Gz = ".gz",
        /// Zstandard.
        Zst = ".zst",
    }
}

words! {
    /// The format of a disk image.
    DiskFormat as "disk format" or "unknown" {
        /// The disk's bytes.
        Raw = "raw",
        /// QEMU's copy-on-write format, version 2 or 3.
        Qcow2 = "qcow2",
        /// Microsoft's virtual hard disk (VPC).
        Vhd = "vhd",
        /// An Open Virtualization archive with a stream-optimised VMDK.
        Ova = "ova",
    }
}

words! {
    /// What firmware starts.
    Bootloader as "bootloader" or "none" {
        /// GRUB for BIOS, systemd-boot for UEFI.
        DualBoot = "dual-boot",
        /// systemd-boot; UEFI only.
        SdBoot = "sd-boot",
        /// GRUB.
        Grub = "grub",
    }
}

words! {
    /// When systemd-boot enrols the Secure Boot keys: `secure-boot-enroll` in loader.conf(5).
    EnrollKeys as "key enrolment" or "" {
        /// In virtual machines, where a mistake can be mended.
        IfSafe = "if-safe",
        /// When chosen in its menu.
        Manual = "manual",
        /// At once, where the firmware is in setup mode.
        Force = "force",
        /// Never.
        Off = "off",
    }
}

fn pick<T: Copy>(what: &str, text: &str, all: &[T], name: fn(T) -> &'static str) -> Result<T> {
    let known = all.iter().copied().find(|&word| name(word).eq_ignore_ascii_case(text));
    known.ok_or_else(|| {
        let names: Vec<_> = all.iter().map(|&word| name(word)).collect();
        Error::input(match nearest(text, names.iter().copied()) {
            Some(meant) => format!("{what} {text:?} is unknown: did you mean {meant:?}?"),
            None => format!("{what} {text:?} is unknown: one of {}", names.join(", ")),
        })
    })
}

/// A word that may be left open.
pub(super) trait Choice: FromStr<Err = Error> {
    /// What stands for no choice, beside the empty text: the imager's name for its zero value,
    /// which it prints.
    const NONE: &'static str = "";
}

impl Choice for Arch {}
impl Choice for Platform {}
impl Choice for TalosVersion {}

/// Reads a word, or that there is no choice.
pub(super) fn choice<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Choice,
{
    match Option::<String>::deserialize(deserializer)?.as_deref() {
        None | Some("") => Ok(None),
        Some(none) if none.eq_ignore_ascii_case(T::NONE) => Ok(None),
        Some(text) => text.parse().map(Some).map_err(de::Error::custom),
    }
}

/// Reads true or false, also by their names in YAML 1.1.
pub(super) fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<bool>, D::Error> {
    const YES: &[&str] = &["true", "yes", "y", "on"];
    const NO: &[&str] = &["false", "no", "n", "off"];

    let Some(text) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
    let word = text.to_ascii_lowercase();
    match (YES.contains(&word.as_str()), NO.contains(&word.as_str())) {
        (false, false) => Err(de::Error::custom(format!("{text:?} is neither true nor false"))),
        (yes, _) => Ok(Some(yes)),
    }
}

/// Reads true or false; nothing is false.
pub(super) fn set<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    flag(deserializer).map(Option::unwrap_or_default)
}

/// Reads what may stand there without a value.
pub(super) fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// Reads a size in bytes, written as Go's integer literals are.
pub(super) fn size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let text = String::deserialize(deserializer)?;
    integer::parse(&text).ok_or_else(|| {
        de::Error::custom(format!("{text:?} is no size: write it in bytes, such as 1306525696"))
    })
}

/// Reads the size of a sector.
pub(super) fn sector_size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let size = u32::try_from(size(deserializer)?).unwrap_or(u32::MAX);
    check_sector_size(size).map_err(de::Error::custom)
}

/// The size of a sector, in bytes; 0 leaves it open.
pub(super) fn check_sector_size(size: u32) -> Result<u32> {
    match size {
        0 | 512 | 4096 => Ok(size),
        other => Err(Error::input(format!("diskSectorSize {other} is neither 512 nor 4096"))),
    }
}

/// Reads a container image's reference, or an empty text.
pub(super) fn reference<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    if !text.is_empty() {
        text.parse::<Reference>().map_err(de::Error::custom)?;
    }
    Ok(text)
}

/// Leaves out what equals its default, as an empty profile has it.
pub(super) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

//! Talos versions, and what each brought.

use super::{Error, Result};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::{
    fmt,
    hash::{Hash, Hasher},
    str::FromStr,
};

/// A Talos version by Semantic Versioning 2.0.0, such as `v1.11.0` or `v1.12.0-alpha.1`.
/// Prints with the `v` that tags of Talos images carry, however it was written.
#[derive(Clone, Debug)]
pub struct TalosVersion {
    number: semver::Version,
    /// Whether it was written with a `v`.
    prefixed: bool,
}

impl TalosVersion {
    /// Major, minor and patch: the release, or the release a pre-release is for.
    pub fn release(&self) -> [u64; 3] {
        [self.number.major, self.number.minor, self.number.patch]
    }

    /// The text it was read from, with or without the `v`.
    pub fn as_written(&self) -> String {
        let prefix = if self.prefixed { "v" } else { "" };
        format!("{prefix}{}", self.number)
    }

    /// Whether media of this version have `quirk`. A pre-release counts as its release.
    pub fn has(&self, quirk: Quirk) -> bool {
        self.release() >= quirk.since()
    }
}

impl FromStr for TalosVersion {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let number = text.strip_prefix('v').unwrap_or(text);
        let prefixed = number.len() < text.len();
        let number = semver::Version::parse(number).map_err(|error| {
            Error::input(format!(
                "{text:?} is no Talos version ({error}): write it in full, such as v1.11.0"
            ))
        })?;
        Ok(Self { number, prefixed })
    }
}

/// The `v` makes no difference.
impl PartialEq for TalosVersion {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for TalosVersion {}

impl Hash for TalosVersion {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.number.hash(state);
    }
}

impl fmt::Display for TalosVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{}", self.number)
    }
}

impl Serialize for TalosVersion {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TalosVersion {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// Something that is so from one version on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Quirk {
    /// GRUB's menu offers to reset the machine.
    ResetMenuEntry,
    /// Unified kernel images, and with them Secure Boot.
    Uki,
    /// A machine configuration may have several YAML documents.
    MultiDocumentConfig,
    /// META values on the kernel command line may be compressed.
    GzippedMetaEnvironment,
    /// Overlays for single-board computers.
    Overlays,
    /// The initramfs and the extensions in it are compressed by Zstandard, not by XZ.
    Zstd,
    /// ISOs have a volume identifier that names the version.
    IsoLabel,
    /// An ISO stops when it finds Talos installed.
    HaltIfInstalled,
    /// The metal platform on amd64 has no console on the first serial port.
    NoSerialConsoleOnMetal,
    /// Disk images have no STATE and EPHEMERAL partitions; Talos makes them at first boot.
    NoDataPartitions,
    /// BOOT is made with the XFS features of Linux 6.6; before, of 6.1.
    XfsOfLinux6_6,
    /// SELinux is on.
    Selinux,
    /// systemd-boot, not GRUB, where the firmware is UEFI.
    SdBootForUefi,
    /// `/lib` is a link to `/usr/lib`.
    UsrMerge,
    /// A unified kernel image has profiles, such as for a reset.
    UkiProfiles,
    /// Installers are made from `installer-base`; one image serves Secure Boot too.
    UnifiedInstaller,
    /// BOOT is made with the XFS features of Linux 6.12.
    XfsOfLinux6_12,
    /// The Integrity Measurement Architecture is gone, and its kernel arguments with it.
    NoIma,
    /// BOOT has 2000 MiB; before, 1000 MiB.
    LargeBoot,
    /// A machine configuration can be built into the image.
    EmbeddedConfig,
    /// Only signed kernel modules load.
    ModuleSignatures,
    /// The profile chooses an ISO's bootloader.
    IsoBootloaderChoice,
    /// `/proc/<pid>/mem` does not override memory permissions.
    NoProcMemOverride,
    /// BOOT is made with the XFS features of Linux 6.18.
    XfsOfLinux6_18,
    /// `init_on_alloc` is the kernel's own default, not an argument.
    NoInitOnAllocArgument,
    /// The long NVMe timeout is set on AWS only.
    NvmeTimeoutOnAwsOnly,
    /// Secure Boot does not force the kernel into confidentiality lockdown.
    NoForcedLockdown,
}

impl Quirk {
    /// The first release with it.
    pub fn since(self) -> [u64; 3] {
        match self {
            Self::ResetMenuEntry => [1, 4, 0],
            Self::Uki | Self::MultiDocumentConfig => [1, 5, 0],
            Self::GzippedMetaEnvironment => [1, 6, 3],
            Self::Overlays => [1, 7, 0],
            Self::Zstd
            | Self::IsoLabel
            | Self::HaltIfInstalled
            | Self::NoSerialConsoleOnMetal
            | Self::NoDataPartitions
            | Self::XfsOfLinux6_6 => [1, 8, 0],
            Self::Selinux
            | Self::SdBootForUefi
            | Self::UsrMerge
            | Self::UkiProfiles
            | Self::UnifiedInstaller
            | Self::XfsOfLinux6_12 => [1, 10, 0],
            Self::NoIma | Self::LargeBoot => [1, 11, 0],
            Self::EmbeddedConfig | Self::ModuleSignatures | Self::IsoBootloaderChoice => [1, 12, 0],
            Self::NoProcMemOverride | Self::XfsOfLinux6_18 => [1, 13, 0],
            Self::NoInitOnAllocArgument | Self::NvmeTimeoutOnAwsOnly | Self::NoForcedLockdown => {
                [1, 14, 0]
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> TalosVersion {
        text.parse().unwrap()
    }

    #[test]
    fn prints_with_v_and_keeps_the_pre_release() {
        for (written, printed) in [
            ("1.11.0", "v1.11.0"),
            ("v1.11.0-alpha.1", "v1.11.0-alpha.1"),
            ("v1.7.0-alpha.0-75-gff08e2821", "v1.7.0-alpha.0-75-gff08e2821"),
        ] {
            assert_eq!(version(written).to_string(), printed);
            assert_eq!(version(written).as_written(), written);
            assert_eq!(version(written), version(printed));
        }
        for bad in ["", "v", "1.11", "latest", "vv1.11.0", "1.11.0 ", "01.11.0"] {
            assert!(bad.parse::<TalosVersion>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_pre_release_counts_as_its_release() {
        assert!(version("1.10.0-alpha.0").has(Quirk::UsrMerge));
        assert!(!version("1.9.5").has(Quirk::UsrMerge));
        assert!(version("1.6.3").has(Quirk::GzippedMetaEnvironment));
        assert!(!version("1.6.2").has(Quirk::GzippedMetaEnvironment));
        assert!(version("2.0.0").has(Quirk::NoForcedLockdown));
    }
}

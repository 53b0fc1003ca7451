//! A Talos release: the images it is published as, and what is where in them.

use super::{Arch, Quirk, TalosVersion};
use crate::formats::os_release;
use std::ops::RangeInclusive;

/// The lines of Talos 1 whose media are known here, by their minor version.
pub const LINES: RangeInclusive<u64> = 2..=15;

/// The registry Talos is published in. Only printed: sources match images by repository.
pub const REGISTRY: &str = "ghcr.io";

/// The repository of the release image: boot assets of both architectures, and GRUB.
pub const IMAGER: &str = "siderolabs/imager";
/// The repository of the catalogue of official extensions.
pub const EXTENSIONS: &str = "siderolabs/extensions";
/// The repository of the catalogue of overlays.
pub const OVERLAYS: &str = "siderolabs/overlays";

/// The file in the initramfs that holds the root file system.
pub const ROOTFS: &str = "rootfs.sqsh";
/// depmod's configuration in the release image.
pub const DEPMOD_CONFIG: &str = "etc/modules.d/10-extra-modules.conf";
/// What that file has said in every release so far, for where it is not at hand.
pub const DEPMOD_DEFAULT: &str = "search extras built-in\n";

/// A boot asset in the release image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum BootAsset {
    /// The Linux kernel.
    Kernel,
    /// The initramfs without extensions.
    Initramfs,
    /// systemd-boot.
    SdBoot,
    /// systemd-stub.
    SdStub,
}

impl BootAsset {
    /// Its file name.
    pub fn file_name(self) -> &'static str {
        match self {
            Self::Kernel => "vmlinuz",
            // Also where it is not XZ: from 1.8 on it is Zstandard.
            Self::Initramfs => "initramfs.xz",
            Self::SdBoot => "systemd-boot.efi",
            Self::SdStub => "systemd-stub.efi",
        }
    }

    /// Its key among a profile's inputs.
    pub fn key(self) -> &'static str {
        match self {
            Self::Kernel => "kernel",
            Self::Initramfs => "initramfs",
            Self::SdBoot => "sdBoot",
            Self::SdStub => "sdStub",
        }
    }

    /// Its path in the release image.
    pub fn path(self, arch: Arch) -> String {
        format!("usr/install/{arch}/{}", self.file_name())
    }
}

/// The path of the bill of materials (SPDX) in the release image.
pub fn sbom_path(arch: Arch) -> String {
    format!("usr/install/{arch}/talos.spdx.json")
}

/// The path of the unified kernel image in an installer image.
pub fn installer_uki_path(arch: Arch) -> String {
    format!("usr/install/{arch}/vmlinuz.efi")
}

/// The reference of `repository` at `version`, without a registry.
pub fn reference(repository: &str, version: &TalosVersion) -> String {
    format!("{repository}:{version}")
}

/// The repository of the image installers of this version are made from.
pub fn installer_repository(version: &TalosVersion) -> &'static str {
    if version.has(Quirk::UnifiedInstaller) {
        "siderolabs/installer-base"
    } else {
        "siderolabs/installer"
    }
}

/// The os-release in a unified kernel image; boot menus show its `PRETTY_NAME`.
pub fn os_release(name: &str, version: &TalosVersion) -> String {
    let version = version.to_string();
    os_release::write([
        ("NAME", name),
        ("ID", &name.replace(' ', "_").to_lowercase()),
        ("VERSION_ID", &version),
        ("PRETTY_NAME", &format!("{name} ({version})")),
        ("HOME_URL", "https://www.talos.dev/"),
        ("BUG_REPORT_URL", "https://github.com/siderolabs/talos/issues"),
        ("VENDOR_NAME", "Sidero Labs"),
        ("VENDOR_URL", "https://www.siderolabs.com/"),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn os_release_of_a_derivative() {
        let expected = "NAME=\"Talos New\"\nID=talos_new\nVERSION_ID=v1.11.0-alpha.1\n\
            PRETTY_NAME=\"Talos New (v1.11.0-alpha.1)\"\nHOME_URL=\"https://www.talos.dev/\"\n\
            BUG_REPORT_URL=\"https://github.com/siderolabs/talos/issues\"\n\
            VENDOR_NAME=\"Sidero Labs\"\nVENDOR_URL=\"https://www.siderolabs.com/\"\n";
        assert_eq!(os_release("Talos New", &"1.11.0-alpha.1".parse().unwrap()), expected);
    }

    #[test]
    fn where_parts_lie() {
        let version = "1.9.0".parse().unwrap();
        assert_eq!(BootAsset::Initramfs.path(Arch::Arm64), "usr/install/arm64/initramfs.xz");
        assert_eq!(reference(IMAGER, &version), "siderolabs/imager:v1.9.0");
        assert_eq!(installer_repository(&version), "siderolabs/installer");
    }
}

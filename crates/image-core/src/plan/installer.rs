//! An installer, and what it installs.

use super::{Asset, BaseInstaller, ContainerFormat, Installer, InstallerBoot, boot::Parts};
use crate::talos::{
    Quirk,
    release::{self, BootAsset},
};

/// The installer made of `base`.
pub(super) fn installer(
    parts: Parts<'_>,
    base: BaseInstaller,
    format: ContainerFormat,
) -> Installer {
    let target = parts.target;
    let (arch, version) = (target.arch, &target.version);
    let sd_boot = version.has(Quirk::SdBootForUefi);
    let boot = if sd_boot || target.secure_boot {
        let boot_manager: Asset = parts.sd_boot.clone();
        let unsigned = release::installer_uki_path(arch);
        InstallerBoot::SdBoot {
            uki: parts.uki(),
            // Such installers chose by the name whether what they installed was signed.
            uki_path: if sd_boot { unsigned } else { format!("{unsigned}.signed") },
            boot_manager,
            boot_manager_path: BootAsset::SdBoot.path(arch),
        }
    } else {
        InstallerBoot::Grub {
            kernel: parts.kernel,
            kernel_path: BootAsset::Kernel.path(arch),
            initramfs: parts.initramfs,
            initramfs_path: BootAsset::Initramfs.path(arch),
        }
    };
    Installer { base, boot, format }
}

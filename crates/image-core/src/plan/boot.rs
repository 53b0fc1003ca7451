//! What boots a medium, and what it starts.

use super::{
    Asset, Boot, Esp, Grub, GrubCore, GrubEsp, Initramfs, Profile, SecureBoot, Uki,
    secure_boot::Signing,
};
use crate::{
    formats::{cmdline::Cmdline, grub::Platform},
    talos::{
        esp, grub, menu,
        profile::{Bootloader, Target},
        release,
    },
};
use std::path::PathBuf;

/// What there is to start, and to start it with.
pub(super) struct Parts<'a> {
    pub(super) target: &'a Target,
    pub(super) arguments: &'a Cmdline,
    pub(super) kernel: Asset,
    pub(super) initramfs: Initramfs,
    pub(super) sd_stub: Asset,
    pub(super) sd_boot: Asset,
    pub(super) splash: Option<PathBuf>,
    pub(super) signing: Option<Signing>,
}

/// What is one medium's own in how it boots.
pub(super) struct Medium {
    /// Where firmware looks for a UEFI program.
    pub(super) boot_path: String,
    /// systemd-boot's configuration.
    pub(super) loader_conf: String,
    /// What the EFI system partition has for Secure Boot.
    pub(super) secure_boot: Option<SecureBoot>,
    /// Whether systemd-boot finds a random seed.
    pub(super) random_seed: bool,
    /// The EFI system partition's serial number and its size in bytes; none if that is as large
    /// as its content.
    pub(super) volume_id: u32,
    pub(super) esp_size: Option<u64>,
    /// Where GRUB's files lie.
    pub(super) files: &'static grub::Files,
    /// GRUB's configuration.
    pub(super) grub_config: String,
    /// What GRUB for UEFI does first.
    pub(super) efi_config: Option<String>,
}

impl Parts<'_> {
    /// The unified kernel image.
    pub(super) fn uki(self) -> Uki {
        let Target { name, version, output, .. } = self.target;
        let profiles = menu::entries(output.kind(), version).iter().map(|entry| Profile {
            id: entry.id.to_owned(),
            title: entry.title.to_owned(),
            cmdline: entry.cmdline(self.arguments),
        });
        Uki {
            stub: self.sd_stub,
            kernel: self.kernel,
            initramfs: self.initramfs,
            os_release: release::os_release(name, version),
            splash: self.splash,
            profiles: profiles.collect(),
            cmdline: self.arguments.to_string(),
            pcr_key: self.signing.as_ref().map(|signing| signing.pcr_key),
            signed_by: self.signing.map(|signing| signing.signed_by),
        }
    }

    /// What boots `medium` by `bootloader`.
    pub(super) fn boot(self, bootloader: Bootloader, medium: Medium) -> Boot {
        let Target { arch, version, .. } = self.target;
        let core = |platform, config| grub_core(platform, medium.files, config);
        let bios = grub::bios_platform(*arch);
        let grub = Grub {
            bios: bios.map(|platform| core(platform, None)),
            kernel_path: medium.files.kernel.to_owned(),
            initramfs_path: medium.files.initramfs.to_owned(),
            config_path: medium.files.config.to_owned(),
            config: medium.grub_config,
        };
        if bootloader == Bootloader::Grub {
            let esp = GrubEsp {
                core: core(grub::efi_platform(*arch), medium.efi_config),
                boot_path: medium.boot_path,
                volume_id: medium.volume_id,
                size: medium.esp_size,
            };
            return Boot::Grub { kernel: self.kernel, initramfs: self.initramfs, esp, grub };
        }
        let esp = Esp {
            boot_manager: self.sd_boot.clone(),
            boot_path: medium.boot_path,
            uki_path: esp::uki_path(version),
            loader_conf: medium.loader_conf,
            random_seed: medium.random_seed,
            secure_boot: medium.secure_boot,
            volume_id: medium.volume_id,
            size: medium.esp_size,
        };
        let uki = self.uki();
        match bootloader {
            Bootloader::DualBoot => Boot::DualBoot { uki, esp, grub },
            _ => Boot::SdBoot { uki, esp },
        }
    }
}

/// GRUB for `platform`, on a medium with these files.
fn grub_core(platform: Platform, files: &grub::Files, config: Option<String>) -> GrubCore {
    GrubCore {
        platform,
        directory: grub::directory(platform),
        modules: files.modules(platform).into_iter().map(str::to_owned).collect(),
        prefix: files.prefix.to_owned(),
        config,
    }
}

//! What a profile leaves open, filled as the imager fills it.

use super::{
    Bootloader, ContainerAsset, FileAsset, ImageOptions, Input, IsoOptions, OutputKind,
    OutputOptions, Profile, SecureBootAssets, SigningKey, SigningKeyAndCertificate, missing,
    words::is_default,
};
use crate::talos::{
    Arch, Error, Quirk, Result, TalosVersion,
    partitions::Sizes,
    release::{self, BootAsset},
};

impl Profile {
    /// This profile laid over its base profile, with the imager's defaults where nothing is
    /// said, as the imager prints it. The paths it then has for boot assets are those in the
    /// release image; [`Profile::target`] does without them.
    ///
    /// # Errors
    /// There is no such base profile, or the architecture or the version is not given.
    pub fn filled(self) -> Result<Self> {
        let mut filled = self.over_base()?.fill()?;
        let (Some(arch), Some(version)) = (filled.arch, &filled.version) else {
            return Err(missing("arch"));
        };
        filled.input.fill(arch, version, filled.secure_boot.unwrap_or(false));
        Ok(filled)
    }

    /// This profile with the gaps filled from its base profile.
    ///
    /// # Errors
    /// There is no such base profile; the message names the nearest.
    pub fn over_base(self) -> Result<Self> {
        if self.base_profile_name.is_empty() {
            return Ok(self);
        }
        let base = Self::base(&self.base_profile_name)?;
        Ok(Self {
            base_profile_name: String::new(),
            platform: self.platform.or(base.platform),
            secure_boot: self.secure_boot.or(base.secure_boot),
            output: self.output.over(base.output),
            // The built-in profiles say nothing of the rest.
            ..self
        })
    }

    /// This profile with everything but the input filled.
    pub(super) fn fill(mut self) -> Result<Self> {
        let arch = self.arch.ok_or_else(|| missing("arch"))?;
        let version = self.version.as_ref().ok_or_else(|| missing("version"))?;
        self.output.fill(arch, version, self.secure_boot.unwrap_or(false))?;
        if self.name.is_empty() {
            "Talos".clone_into(&mut self.name);
        }
        if let Some(overlay) = &mut self.overlay
            && overlay.name.is_empty()
        {
            "default".clone_into(&mut overlay.name);
        }
        Ok(self)
    }
}

impl OutputOptions {
    fn over(self, base: Self) -> Self {
        Self {
            kind: self.kind.or(base.kind),
            image_options: match (self.image_options, base.image_options) {
                (Some(asked), Some(base)) => Some(asked.over(base)),
                (asked, base) => asked.or(base),
            },
            iso_options: match (self.iso_options, base.iso_options) {
                (Some(asked), Some(base)) => Some(IsoOptions {
                    enroll_keys: asked.enroll_keys.or(base.enroll_keys),
                    bootloader: asked.bootloader.or(base.bootloader),
                }),
                (asked, base) => asked.or(base),
            },
            out_format: self.out_format.or(base.out_format),
        }
    }

    fn fill(&mut self, arch: Arch, version: &TalosVersion, secure_boot: bool) -> Result<()> {
        let bootloader = |choice| bootloader(choice, arch, version, secure_boot);
        match self.kind {
            Some(OutputKind::Image) => {
                let options = self.image_options.get_or_insert_default();
                if options.disk_size == 0 {
                    return Err(missing("output.imageOptions.diskSize"));
                }
                let chosen = bootloader(options.bootloader);
                options.bootloader = Some(chosen);
                options.disk_size =
                    Sizes::of(version).grown(options.disk_size, chosen).ok_or_else(|| {
                        Error::input("profile: output.imageOptions.diskSize: too large")
                    })?;
            }
            Some(OutputKind::Iso) if version.has(Quirk::IsoBootloaderChoice) => {
                let options = self.iso_options.get_or_insert_default();
                options.bootloader = Some(bootloader(options.bootloader));
            }
            _ => {}
        }
        Ok(())
    }
}

impl ImageOptions {
    fn over(self, base: Self) -> Self {
        Self {
            disk_size: unless_default(self.disk_size, base.disk_size),
            disk_format: self.disk_format.or(base.disk_format),
            disk_format_options: unless_default(self.disk_format_options, base.disk_format_options),
            disk_sector_size: unless_default(self.disk_sector_size, base.disk_sector_size),
            bootloader: self.bootloader.or(base.bootloader),
            enroll_keys: self.enroll_keys.or(base.enroll_keys),
        }
    }
}

fn unless_default<T: Default + PartialEq>(asked: T, base: T) -> T {
    if is_default(&asked) { base } else { asked }
}

/// What firmware starts. Secure Boot leaves no choice.
pub(super) fn bootloader(
    choice: Option<Bootloader>,
    arch: Arch,
    version: &TalosVersion,
    secure_boot: bool,
) -> Bootloader {
    match (choice, arch) {
        _ if secure_boot => Bootloader::SdBoot,
        (Some(chosen), _) => chosen,
        (None, _) if !version.has(Quirk::SdBootForUefi) => Bootloader::Grub,
        (None, Arch::Arm64) => Bootloader::SdBoot,
        (None, Arch::Amd64) => Bootloader::DualBoot,
    }
}

impl Input {
    fn fill(&mut self, arch: Arch, version: &TalosVersion, secure_boot: bool) {
        let asset = |file: &mut FileAsset, asset: BootAsset| {
            if is_default(file) {
                file.path = format!("/{}", asset.path(arch));
            }
        };
        asset(&mut self.kernel, BootAsset::Kernel);
        asset(&mut self.initramfs, BootAsset::Initramfs);
        asset(&mut self.sd_stub, BootAsset::SdStub);
        asset(&mut self.sd_boot, BootAsset::SdBoot);
        if self.base_installer.is_unset() {
            let repository = release::installer_repository(version);
            let (registry, tag) = (release::REGISTRY, version.as_written());
            self.base_installer =
                ContainerAsset::reference(format!("{registry}/{repository}:{tag}"));
        }
        if secure_boot {
            self.secure_boot.get_or_insert_default().fill();
        }
    }
}

impl SecureBootAssets {
    /// The folder of the keys, by the names `talosctl gen secureboot` gives them.
    fn fill(&mut self) {
        if is_default(&self.secure_boot_signer) {
            self.secure_boot_signer = SigningKeyAndCertificate {
                key_path: "/secureboot/uki-signing-key.pem".to_owned(),
                cert_path: "/secureboot/uki-signing-cert.pem".to_owned(),
                ..SigningKeyAndCertificate::default()
            };
        }
        if is_default(&self.pcr_signer) {
            self.pcr_signer = SigningKey {
                key_path: "/secureboot/pcr-signing-key.pem".to_owned(),
                ..SigningKey::default()
            };
        }
    }
}

//! What a schematic changes in a profile.

use super::Schematic;
use crate::talos::{
    Error, Profile, Quirk, Result,
    profile::{self, ContainerAsset, EnrollKeys, ImageOptions, IsoOptions, OutputKind},
};

impl Schematic {
    /// Adds this schematic to a profile, as far as what the profile makes takes it up: kernel
    /// arguments, META values and extensions behind those the profile has, the rest instead.
    /// The [virtual extension](Schematic::virtual_extension) is not among them.
    ///
    /// `extension` finds the image of an official extension by its repository; it is asked for
    /// each in order, and not at all where the output has none. An overlay comes by the image
    /// the schematic names.
    ///
    /// # Errors
    /// The profile does not say what is made of which version, the version does not have what
    /// the schematic wants, both have a machine configuration, or `extension` failed.
    pub fn lay_over<E: From<Error>>(
        &self,
        profile: &mut Profile,
        mut extension: impl FnMut(&str) -> Result<ContainerAsset, E>,
    ) -> Result<(), E> {
        let asked = profile.clone().over_base()?;
        let kind = asked.output.kind.ok_or_else(|| profile::missing("output.kind"))?;
        let version = asked.version.ok_or_else(|| profile::missing("version"))?;
        let secure_boot = asked.secure_boot.unwrap_or(false);
        let needed = |what, quirk: Quirk| {
            let [major, minor, _] = quirk.since();
            let mend = format!("leave it out of the schematic, or take Talos {major}.{minor}");
            Error::unsupported(format!("Talos {version} has no {what}: {mend}"))
        };

        let Self { overlay, customization, .. } = self;
        if !overlay.name.is_empty() && !version.has(Quirk::Overlays) {
            return Err(needed("overlay", Quirk::Overlays).into());
        }
        if !matches!(kind, OutputKind::Kernel | OutputKind::Cmdline) {
            let config = &customization.embedded_machine_configuration;
            if !config.is_empty() {
                if !version.has(Quirk::EmbeddedConfig) {
                    return Err(
                        needed("embedded machine configuration", Quirk::EmbeddedConfig).into()
                    );
                }
                let target = &mut profile.customization.embedded_machine_configuration;
                if !target.is_empty() {
                    return Err(Error::input(
                        "the profile and the schematic both embed a machine configuration: \
                         leave one out",
                    )
                    .into());
                }
                target.clone_from(config);
            }
            for name in &customization.system_extensions.official_extensions {
                profile.input.system_extensions.push(extension(name)?);
            }
            if !overlay.name.is_empty() {
                let image = ContainerAsset::reference(&overlay.image);
                profile.input.overlay_installer = image.clone();
                let options = overlay.options.iter();
                profile.overlay = Some(profile::Overlay {
                    name: overlay.name.clone(),
                    image,
                    options: options.map(|(key, value)| (key.clone(), value.json())).collect(),
                });
            }
        }
        if secure_boot {
            self.secure(profile, kind)?;
        }
        let in_uki = secure_boot || version.has(Quirk::UnifiedInstaller);
        let target = &mut profile.customization;
        if match kind {
            OutputKind::Kernel | OutputKind::Initramfs => false,
            OutputKind::Installer | OutputKind::Uki => in_uki,
            OutputKind::Iso | OutputKind::Image | OutputKind::Cmdline => true,
        } {
            target.extra_kernel_args.extend_from_slice(&customization.extra_kernel_args);
        }
        if matches!(kind, OutputKind::Iso | OutputKind::Image | OutputKind::Cmdline) {
            target.meta_contents.extend_from_slice(&customization.meta);
        }
        Ok(self.shape(profile, kind)?)
    }

    /// What counts for a signed image only.
    fn secure(&self, profile: &mut Profile, kind: OutputKind) -> Result<()> {
        let wanted = &self.customization.secure_boot;
        if wanted.include_well_known_certificates {
            let assets = profile.input.secure_boot.get_or_insert_default();
            assets.include_well_known_certs = true;
        }
        if wanted.enroll_keys.is_empty() {
            return Ok(());
        }
        let keys: EnrollKeys = wanted.enroll_keys.parse().map_err(|error| {
            Error::input(format!("schematic: customization.secureboot.enrollKeys: {error}"))
        })?;
        match kind {
            OutputKind::Iso => iso(profile).enroll_keys = Some(keys),
            OutputKind::Image => image(profile).enroll_keys = Some(keys),
            _ => {}
        }
        Ok(())
    }

    /// What counts for an ISO or a disk image only.
    fn shape(&self, profile: &mut Profile, kind: OutputKind) -> Result<()> {
        if let Some(bootloader) = self.customization.bootloader {
            match kind {
                OutputKind::Iso => iso(profile).bootloader = Some(bootloader),
                OutputKind::Image => image(profile).bootloader = Some(bootloader),
                _ => {}
            }
        }
        let size = self.customization.disk_image.sector_size;
        if kind == OutputKind::Image && size > 0 {
            image(profile).disk_sector_size = u32::try_from(size).map_err(|_| {
                Error::input(format!(
                    "schematic: customization.diskImage.sectorSize: {size} is neither 512 nor 4096"
                ))
            })?;
        }
        Ok(())
    }
}

fn iso(profile: &mut Profile) -> &mut IsoOptions {
    profile.output.iso_options.get_or_insert_default()
}

fn image(profile: &mut Profile) -> &mut ImageOptions {
    profile.output.image_options.get_or_insert_default()
}

//! What is made of a request, all its gaps filled; and what is not made.

use super::disk_format;
use crate::{
    error::{Error, ErrorKind, Result},
    talos::{
        Arch, Profile, Quirk, meta,
        profile::{self, Bootloader, DiskImage, Iso, SecureBootAssets, Target},
        release,
    },
};

/// A request with nothing left open.
#[derive(Clone, Debug)]
pub(super) struct Decision {
    pub(super) target: Target,
    pub(super) warnings: Vec<String>,
}

/// Fills the gaps of `profile` and refuses what this version does not make.
pub(super) fn decide(profile: &Profile) -> Result<Decision> {
    let asked = profile.clone().over_base()?;
    let bootloaders = [
        asked.output.iso_options.as_ref().and_then(|iso| iso.bootloader),
        asked.output.image_options.as_ref().and_then(|image| image.bootloader),
    ];
    let target = asked.target()?;
    let other = bootloaders.into_iter().flatten().find(|it| *it != Bootloader::SdBoot);
    if let Some(other) = other.filter(|_| target.secure_boot) {
        let what = format!(
            "bootloader {other}: with Secure Boot systemd-boot alone boots: leave --bootloader out"
        );
        return Err(Error::new(ErrorKind::Input, what));
    }
    check_parts(&target)?;
    check_bootloader(&target)?;
    let mut warnings = Vec::from_iter(check_line(&target)?);
    let config = &target.customization.embedded_machine_configuration;
    if !config.is_empty() {
        warnings.extend(config.check(&target.version)?);
    }
    warnings.extend(bared_secrets(&target));
    if let profile::Output::Image(image) = &target.output {
        // Not the base profile's, which are for its own format.
        let asked = profile.output.image_options.as_ref();
        let options = asked.map_or("", |asked| asked.disk_format_options.as_str());
        warnings.extend(disk_format::warnings(image, options));
    }
    Ok(Decision { target, warnings })
}

fn unsupported<T>(what: impl Into<String>) -> Result<T> {
    Err(Error::new(ErrorKind::Unsupported, what))
}

/// Refuses a version older than the lines that are known; a newer one is made as the newest.
fn check_line(target: &Target) -> Result<Option<String>> {
    let version = &target.version;
    let [major, minor, _] = version.release();
    let (oldest, newest) = (release::LINES.start(), release::LINES.end());
    if (major, minor) < (1, *oldest) {
        return unsupported(format!(
            "Talos {version} is not supported, only v1.{oldest}.0 and later"
        ));
    }
    Ok(((major, minor) > (1, *newest)).then(|| {
        format!(
            "Talos {version} is newer than v1.{newest}, the newest line known here, and is made \
             as that is"
        )
    }))
}

/// META values that are secret, where they go onto the kernel command line.
fn bared_secrets(target: &Target) -> impl Iterator<Item = String> {
    let values = match &target.output {
        // A disk has a partition for them.
        profile::Output::Image(_) => &[][..],
        _ => &target.customization.meta_contents,
    };
    let secret = values.iter().filter(|value| meta::is_secret(value.key));
    secret.map(|value| {
        format!(
            "META value {:#x} ({}) is secret, and stands on the kernel command line for all to read",
            value.key,
            meta::name(value.key).unwrap_or_default()
        )
    })
}

/// Refuses what nothing is made of yet.
fn check_parts(target: &Target) -> Result<()> {
    if let Some(assets) = target.input.secure_boot.as_ref().filter(|_| target.secure_boot) {
        check_signers(assets)?;
    }
    if target.overlay.is_some() || !target.input.overlay_installer.is_unset() {
        return unsupported("overlays are not supported yet");
    }
    if !target.input.image_cache.is_unset() {
        return unsupported("an image cache (input.imageCache) is not supported yet");
    }
    Ok(())
}

/// Refuses key services: a program that speaks with one can sign.
fn check_signers(assets: &SecureBootAssets) -> Result<()> {
    let SecureBootAssets { secure_boot_signer: uki, pcr_signer: pcr, .. } = assets;
    let services = [
        (&uki.azure_vault_url, "secureBootSigner.azureVaultURL"),
        (&uki.aws_kms_key_id, "secureBootSigner.awsKMSKeyID"),
        (&uki.signer_address, "secureBootSigner.signerAddress"),
        (&pcr.azure_vault_url, "pcrSigner.azureVaultURL"),
        (&pcr.aws_kms_key_id, "pcrSigner.awsKMSKeyID"),
        (&pcr.signer_address, "pcrSigner.signerAddress"),
    ];
    match services.into_iter().find(|(value, _)| !value.is_empty()) {
        None => Ok(()),
        Some((_, key)) => unsupported(format!(
            "input.secureboot.{key} is not supported: a program that speaks with the service can \
             sign (--signer-command), or sign elsewhere (--unsigned-requests)"
        )),
    }
}

/// Refuses a bootloader that cannot start what is made, or that the machine cannot start.
fn check_bootloader(target: &Target) -> Result<()> {
    let (profile::Output::Iso(Iso { bootloader, .. })
    | profile::Output::Image(DiskImage { bootloader, .. })) = target.output
    else {
        return Ok(());
    };
    let version = &target.version;
    if bootloader != Bootloader::Grub && !version.has(Quirk::Uki) {
        return unsupported(format!(
            "bootloader {bootloader}: Talos {version} has no unified kernel image to boot: ask \
             for --bootloader grub, or for Talos v1.5.0 or later"
        ));
    }
    if bootloader == Bootloader::DualBoot && target.arch != Arch::Amd64 {
        return unsupported(format!(
            "bootloader dual-boot: {} machines have no BIOS for the second one: ask for \
             --bootloader sd-boot or grub",
            target.arch
        ));
    }
    Ok(())
}

//! Flags, laid over a profile.

use super::{input_error, named, set};
use crate::cli::{Customization, Later, Medium, Origins, Request, SecureBoot};
use anyhow::Context;
use image_core::{
    error::Error,
    plan::{Choices, ContainerFormat},
    talos::{
        Arch, MachineConfig, Profile,
        profile::{ContainerAsset, OutputKind, Overlay},
    },
};
use std::path::Path;

/// What the flags say that a profile has no place for.
pub(super) fn choices(request: &Request, origins: &Origins) -> anyhow::Result<Choices> {
    let mut release_image = None;
    set(&mut release_image, "--release-image", origins.release_image.as_ref())?;
    let Customization { splash, epoch, .. } = &request.customization;
    splash.as_deref().map(|path| utf8("--splash", path)).transpose()?;
    let level = request.medium.compression_level.as_deref();
    let effort = level.map(str::parse).transpose();
    let effort = effort.map_err(|error| input_error(format!("--compression-level: {error}")))?;
    let container = request.later.container_format.as_deref();
    let container = ContainerFormat::ALL.into_iter().find(|it| Some(it.name()) == container);
    Ok(Choices {
        release_image,
        splash: splash.clone(),
        epoch: epoch.unwrap_or(0),
        container_format: container,
        effort: effort.unwrap_or_default(),
        ..Choices::default()
    })
}

/// Which medium, all but what belongs to a disk or an ISO: a schematic has a say in that.
pub(super) fn medium(profile: &mut Profile, flags: &Medium) -> anyhow::Result<()> {
    set(&mut profile.version, "--talos-version", flags.talos_version.as_ref())?;
    set(&mut profile.arch, "--arch", flags.arch.as_ref())?;
    set(&mut profile.platform, "--platform", flags.platform.as_ref())?;
    set(&mut profile.output.kind, "--output-kind", flags.output_kind.as_ref())?;
    set(&mut profile.output.out_format, "--out-format", flags.out_format.as_ref())?;
    profile.arch = profile.arch.or_else(host);
    Ok(())
}

/// What differs from a plain Talos, all but extensions by name.
pub(super) fn customization(profile: &mut Profile, flags: &Customization) -> anyhow::Result<()> {
    let customization = &mut profile.customization;
    customization.extra_kernel_args.extend_from_slice(&flags.extra_kernel_arg);
    for text in &flags.meta {
        let mut value = None;
        set(&mut value, "--meta", Some(text))?;
        customization.meta_contents.extend(value);
    }
    if let Some(path) = &flags.embedded_config_path {
        let (name, text) = named::text(path)?;
        if text.is_empty() {
            // Which is what a profile says where it has none.
            let what = format!("{name}: the machine configuration is empty: leave it out");
            return Err(input_error(what).into());
        }
        let config = MachineConfig::from(text);
        if let Some(version) = &profile.version {
            // Its warnings come with the plan.
            config.check(version).map_err(Error::from).context(name)?;
        }
        customization.embedded_machine_configuration = config;
    }
    let extensions = flags.system_extension_image.iter().map(ContainerAsset::reference);
    profile.input.system_extensions.extend(extensions);
    Ok(())
}

/// The boot loader, and what is said of a disk image.
pub(super) fn disk(profile: &mut Profile, flags: &Medium) -> anyhow::Result<()> {
    bootloader(profile, flags)?;
    let given = [
        ("--disk-size", flags.disk_size.is_some()),
        ("--disk-format", flags.disk_format.is_some()),
        ("--disk-format-options", flags.disk_format_options.is_some()),
        ("--disk-sector-size", flags.disk_sector_size.is_some()),
    ];
    let Some((flag, _)) = given.into_iter().find(|(_, given)| *given) else { return Ok(()) };
    if let Some(kind) = profile.kind().filter(|kind| *kind != OutputKind::Image) {
        return Err(senseless(flag, kind));
    }
    let disk = profile.output.image_options.get_or_insert_default();
    set(&mut disk.disk_format, "--disk-format", flags.disk_format.as_ref())?;
    if let Some(size) = &flags.disk_size {
        disk.disk_size = bytes(size)?;
    }
    if let Some(options) = &flags.disk_format_options {
        disk.disk_format_options.clone_from(options);
    }
    if let Some(size) = flags.disk_sector_size {
        disk.disk_sector_size = size;
    }
    Ok(())
}

/// The boot loader, which disk images and ISOs have each for themselves.
fn bootloader(profile: &mut Profile, flags: &Medium) -> anyhow::Result<()> {
    const FLAG: &str = "--bootloader";
    let Some(asked) = &flags.bootloader else { return Ok(()) };
    let kind = profile.kind();
    let output = &mut profile.output;
    let place = match kind {
        Some(OutputKind::Iso) => &mut output.iso_options.get_or_insert_default().bootloader,
        Some(OutputKind::Image) | None => {
            &mut output.image_options.get_or_insert_default().bootloader
        }
        Some(kind) => return Err(senseless(FLAG, kind)),
    };
    set(place, FLAG, Some(asked))
}

/// Boot assets that are files.
pub(super) fn boot_assets(profile: &mut Profile, flags: &Origins) -> anyhow::Result<()> {
    let input = &mut profile.input;
    for (asset, flag, file) in [
        (&mut input.kernel, "--kernel", &flags.kernel),
        (&mut input.initramfs, "--initramfs", &flags.initramfs),
        (&mut input.sd_stub, "--sd-stub", &flags.sd_stub),
        (&mut input.sd_boot, "--sd-boot", &flags.sd_boot),
    ] {
        let Some(file) = file else { continue };
        utf8(flag, file)?.clone_into(&mut asset.path);
    }
    Ok(())
}

/// A path that stands in a plan, which is text.
fn utf8<'a>(flag: &str, path: &'a Path) -> anyhow::Result<&'a str> {
    let what = || format!("{flag}: the path {} is not UTF-8", path.display());
    Ok(path.to_str().ok_or_else(|| input_error(what()))?)
}

/// The imager's flags for installers and overlays.
pub(super) fn later(profile: &mut Profile, flags: &Later) -> anyhow::Result<()> {
    let force_insecure = flags.insecure;
    let image =
        |reference: &str| ContainerAsset { force_insecure, ..ContainerAsset::reference(reference) };
    let input = &mut profile.input;
    if let Some(reference) = &flags.base_installer_image {
        input.base_installer = image(reference);
    }
    if let Some(cache) = &flags.image_cache {
        input.image_cache = ContainerAsset::reference_or_path(cache);
        input.image_cache.force_insecure = flags.insecure && input.image_cache.oci_path.is_empty();
    }
    if force_insecure {
        for extension in &mut input.system_extensions {
            extension.force_insecure = !extension.image_ref.is_empty();
        }
    }
    overlay(profile, flags)
}

/// The imager's flags for Secure Boot.
pub(super) fn secure_boot(profile: &mut Profile, flags: &SecureBoot) -> anyhow::Result<()> {
    let input = &mut profile.input;
    if flags.secureboot_include_well_known_certs {
        input.secure_boot.get_or_insert_default().include_well_known_certs = true;
    }
    if let Some(address) = &flags.secureboot_signer_address {
        let signer = &mut input.secure_boot.get_or_insert_default().secure_boot_signer;
        signer.signer_address.clone_from(address);
    }
    if let Some(address) = &flags.pcr_signer_address {
        let signer = &mut input.secure_boot.get_or_insert_default().pcr_signer;
        signer.signer_address.clone_from(address);
    }
    if let Some(keys) = &flags.secureboot_enroll_keys {
        // Of both, as in the imager: which of them counts follows from the kind of output.
        let output = &mut profile.output;
        for place in [
            &mut output.image_options.get_or_insert_default().enroll_keys,
            &mut output.iso_options.get_or_insert_default().enroll_keys,
        ] {
            set(place, "--secureboot-enroll-keys", Some(keys))?;
        }
    }
    Ok(())
}

/// The overlay of a single-board computer, and what its installer is told.
fn overlay(profile: &mut Profile, flags: &Later) -> anyhow::Result<()> {
    const OPTION: &str = "--overlay-option";
    let named = flags.overlay_name.is_some() || flags.overlay_image.is_some();
    if !named && flags.overlay_option.is_empty() {
        return Ok(());
    }
    if !named && profile.overlay.is_none() {
        let what = format!("{OPTION} without an overlay: add --overlay-name and --overlay-image");
        return Err(input_error(what).into());
    }
    let Overlay { name, image, options } = profile.overlay.get_or_insert_default();
    if let Some(asked) = &flags.overlay_name {
        name.clone_from(asked);
    }
    if let Some(asked) = &flags.overlay_image {
        *image = ContainerAsset::reference(asked);
        profile.input.overlay_installer = image.clone();
    }
    for option in &flags.overlay_option {
        if let Some(file) = option.strip_prefix('@') {
            let (name, text) = named::text(Path::new(file))?;
            let more = Overlay::options_from_yaml(&text).map_err(Error::from).context(name)?;
            options.extend(more);
            continue;
        }
        let (key, value) = option.split_once('=').unwrap_or((option, ""));
        let value = match value.strip_prefix('@') {
            Some(file) => named::text(Path::new(file))?.1,
            None => value.to_owned(),
        };
        options.insert(key.to_owned(), value.into());
    }
    Ok(())
}

/// The architecture of this machine, if Talos has it.
fn host() -> Option<Arch> {
    match std::env::consts::ARCH {
        "x86_64" => Some(Arch::Amd64),
        "aarch64" => Some(Arch::Arm64),
        _ => None,
    }
}

/// Reads a number of bytes: `1306525696`, `1246MiB`, `10 GiB`.
fn bytes(text: &str) -> anyhow::Result<u64> {
    let (number, unit) =
        text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let unit = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => Some(1),
        "kib" => Some(1 << 10),
        "mib" => Some(1 << 20),
        "gib" => Some(1 << 30),
        "tib" => Some(1 << 40),
        _ => None,
    };
    let number: Option<u64> = number.parse().ok();
    number.zip(unit).and_then(|(number, unit)| number.checked_mul(unit)).ok_or_else(|| {
        input_error(format!("--disk-size: {text:?} is no size: write bytes, or such as 8GiB"))
            .into()
    })
}

fn senseless(flag: &str, kind: OutputKind) -> anyhow::Error {
    input_error(format!("{flag}: output kind {kind} has no such thing: leave it out")).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_and_without_a_unit() {
        for (text, size) in [
            ("512", Some(512)),
            ("1246MiB", Some(1246 << 20)),
            ("10 gib", Some(10 << 30)),
            ("GiB", None),
            ("-1", None),
            ("8G", None),
            ("99999999999TiB", None),
        ] {
            assert_eq!(bytes(text).ok(), size, "{text}");
        }
    }
}

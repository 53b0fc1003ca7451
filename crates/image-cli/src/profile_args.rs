//! What was typed, as a profile.

use crate::cli::{Build, Sources, What};
use anyhow::Context;
use image_core::{
    error::{Error, ErrorKind},
    plan::Choices,
    talos::{
        Arch, Profile,
        profile::{ContainerAsset, OutputKind},
    },
};
use std::{
    fmt::Display,
    fs::File,
    io::{self, Read},
    path::Path,
    str::FromStr,
};

/// Bytes a profile may have. One with a machine configuration inside has some kilobytes.
const PROFILE: u64 = 4 << 20;

/// The profile `args` name, with the flags on top of it.
pub(crate) fn profile(args: &Build) -> anyhow::Result<Profile> {
    let mut profile = named(&args.profile)?;
    lay_over(&mut profile, &args.what)?;
    files(&mut profile, &args.sources)?;
    if profile.version.is_none() {
        let what = "no Talos version is given: add --talos-version, such as v1.11.2";
        return Err(input_error(what.to_owned()).into());
    }
    Ok(profile)
}

/// What the flags say that a profile has no place for.
pub(crate) fn choices(args: &Build) -> anyhow::Result<Choices> {
    let mut release_image = None;
    set(&mut release_image, "--release-image", args.sources.release_image.as_ref())?;
    let What { splash, epoch, .. } = &args.what;
    Ok(Choices {
        release_image,
        splash: splash.clone(),
        epoch: epoch.unwrap_or(0),
        ..Choices::default()
    })
}

/// A base profile, or the content of a file or of stdin.
fn named(name: &str) -> anyhow::Result<Profile> {
    let path = Path::new(name);
    let is_file = path.extension().is_some_and(|it| it == "yaml" || it == "yml")
        || path.components().count() > 1;
    if name == "-" {
        read(io::stdin().lock(), "stdin")
    } else if is_file {
        let file = File::open(path).map_err(Error::from).with_context(|| name.to_owned())?;
        read(file, name)
    } else {
        // Asked for now so that a mistyped name is told of before anything else.
        Profile::base(name).map_err(Error::from)?;
        Ok(Profile { base_profile_name: name.to_owned(), ..Profile::default() })
    }
}

fn read(from: impl Read, name: &str) -> anyhow::Result<Profile> {
    let mut text = String::new();
    from.take(PROFILE + 1).read_to_string(&mut text).with_context(|| name.to_owned())?;
    if text.len() as u64 > PROFILE {
        let what = format!("{name}: more than {PROFILE} bytes, which no profile has");
        return Err(input_error(what).into());
    }
    Profile::from_yaml(&text).map_err(Error::from).with_context(|| name.to_owned())
}

fn lay_over(profile: &mut Profile, flags: &What) -> anyhow::Result<()> {
    set(&mut profile.version, "--talos-version", flags.talos_version.as_ref())?;
    set(&mut profile.arch, "--arch", flags.arch.as_ref())?;
    set(&mut profile.platform, "--platform", flags.platform.as_ref())?;
    set(&mut profile.output.kind, "--output-kind", flags.output_kind.as_ref())?;
    set(&mut profile.output.out_format, "--out-format", flags.out_format.as_ref())?;
    profile.arch = profile.arch.or_else(host);
    profile.customization.extra_kernel_args.extend_from_slice(&flags.extra_kernel_arg);
    let extensions = flags.system_extension_image.iter().map(ContainerAsset::reference);
    profile.input.system_extensions.extend(extensions);
    for text in &flags.meta {
        let mut value = None;
        set(&mut value, "--meta", Some(text))?;
        profile.customization.meta_contents.extend(value);
    }
    disk(profile, flags)?;
    bootloader(profile, flags)
}

/// The flags of a disk image, if any is given.
fn disk(profile: &mut Profile, flags: &What) -> anyhow::Result<()> {
    let given = [
        ("--disk-size", flags.disk_size.is_some()),
        ("--disk-format", flags.disk_format.is_some()),
        ("--disk-format-options", flags.disk_format_options.is_some()),
        ("--disk-sector-size", flags.disk_sector_size.is_some()),
    ];
    let Some((flag, _)) = given.into_iter().find(|(_, given)| *given) else { return Ok(()) };
    if let Some(kind) = kind(profile).filter(|kind| *kind != OutputKind::Image) {
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
fn bootloader(profile: &mut Profile, flags: &What) -> anyhow::Result<()> {
    const FLAG: &str = "--bootloader";
    let Some(asked) = &flags.bootloader else { return Ok(()) };
    let kind = kind(profile);
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

fn files(profile: &mut Profile, flags: &Sources) -> anyhow::Result<()> {
    let input = &mut profile.input;
    for (asset, flag, file) in [
        (&mut input.kernel, "--kernel", &flags.kernel),
        (&mut input.initramfs, "--initramfs", &flags.initramfs),
        (&mut input.sd_stub, "--sd-stub", &flags.sd_stub),
        (&mut input.sd_boot, "--sd-boot", &flags.sd_boot),
    ] {
        let Some(file) = file else { continue };
        let path = file.to_str().ok_or_else(|| {
            input_error(format!("{flag}: the path {} is not UTF-8", file.display()))
        })?;
        path.clone_into(&mut asset.path);
    }
    Ok(())
}

/// What will be made, as far as the profile says so.
fn kind(profile: &Profile) -> Option<OutputKind> {
    let base = || Profile::base(&profile.base_profile_name).ok()?.output.kind;
    profile.output.kind.or_else(base)
}

/// Puts what a flag says, if it is given, in `place`.
fn set<T>(place: &mut Option<T>, flag: &str, text: Option<&String>) -> anyhow::Result<()>
where
    T: FromStr<Err: Display>,
{
    if let Some(text) = text {
        *place = Some(text.parse().map_err(|error| input_error(format!("{flag}: {error}")))?);
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

fn input_error(what: String) -> Error {
    Error::new(ErrorKind::Input, what)
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

//! Looking the inputs up: beside the catalogue the only place that sees a tag.

use super::{
    Asset, BaseInstaller, Choices, Extension, ExtensionSource, Image,
    decide::{self, Decision},
};
use crate::{
    blob::Blob,
    error::{During, Error, ErrorKind, Result},
    formats::oci::{Platform, Reference},
    sources::{self, Set},
    talos::{
        Arch, Profile, Quirk,
        extension::{VirtualExtension, embedded_config},
        profile::{Bootloader, ContainerAsset, Output, Target},
        release::{self, BootAsset},
    },
};
use std::{
    io,
    path::{Path, PathBuf},
};

/// All that a plan is made of: the request, decided, and its inputs, pinned.
#[derive(Clone, Debug)]
pub struct Inputs {
    pub(super) decision: Decision,
    pub(super) release: Option<Image>,
    pub(super) kernel: Asset,
    pub(super) initramfs: Asset,
    pub(super) sd_stub: Asset,
    pub(super) sd_boot: Asset,
    pub(super) extensions: Vec<Extension>,
    pub(super) splash: Option<PathBuf>,
    pub(super) base_installer: Option<BaseInstaller>,
}

/// Decides what `profile` leaves open and finds the images it names.
///
/// # Errors
/// The request cannot be met ([`ErrorKind::Input`], [`ErrorKind::Unsupported`]), or an image or
/// a file it names is not there.
pub fn resolve(profile: &Profile, choices: &Choices, sources: &Set) -> Result<Inputs> {
    let decision = decide::decide(profile)?;
    let target = &decision.target;
    let needed =
        needed(&target.output, target.secure_boot || target.version.has(Quirk::SdBootForUefi));
    let platform = Platform::new("linux", target.arch.name());

    let mut from_release = false;
    let mut asset = |asset: BootAsset| -> Result<Asset> {
        let Some(path) = target.input.path(asset, target.arch) else {
            from_release |= needed.contains(&asset);
            return Ok(Asset::Release(asset.path(target.arch)));
        };
        if needed.contains(&asset) {
            present(path, &format!("the {}", asset.key()))?;
        }
        Ok(Asset::File(path.into()))
    };
    let kernel = asset(BootAsset::Kernel)?;
    let initramfs = asset(BootAsset::Initramfs)?;
    let sd_stub = asset(BootAsset::SdStub)?;
    let sd_boot = asset(BootAsset::SdBoot)?;
    // GRUB's files are nowhere else.
    let has_grub = bootloader(&target.output).is_some_and(|it| it != Bootloader::SdBoot);
    let release = (from_release || has_grub)
        .then(|| release_image(target, choices, sources))
        .transpose()
        .during(|| {
            let what = if from_release {
                "the boot assets"
            } else {
                "GRUB's files, which --bootloader sd-boot does without"
            };
            format!("looking for the release image with {what}")
        })?;

    let mut extensions = Vec::new();
    if needed.contains(&BootAsset::Initramfs) {
        for asset in &target.input.system_extensions {
            extensions.push(extension(asset, &platform, sources)?);
        }
        let config = &target.customization.embedded_machine_configuration;
        let config = (!config.is_empty()).then(|| embedded_config(config));
        extensions.extend(choices.schematic.clone().into_iter().chain(config).map(virtual_one));
    }
    let base_installer = matches!(target.output, Output::Installer)
        .then(|| base_installer(target, &platform, sources))
        .transpose()
        .during(|| "looking for the installer image to start from".to_owned())?;
    if let Some(splash) = &choices.splash {
        present(&splash.to_string_lossy(), "the splash picture")?;
    }
    Ok(Inputs {
        release,
        kernel,
        initramfs,
        sd_stub,
        sd_boot,
        extensions,
        splash: choices.splash.clone(),
        base_installer,
        decision,
    })
}

/// The boot assets an output is made of; an installer of a unified kernel image if it `has_uki`.
fn needed(output: &Output, has_uki: bool) -> &'static [BootAsset] {
    use BootAsset::{Initramfs, Kernel, SdBoot, SdStub};
    match output {
        Output::Kernel => &[Kernel],
        Output::Cmdline => &[],
        Output::Initramfs => &[Initramfs],
        Output::Uki => &[Kernel, Initramfs, SdStub],
        Output::Image(_) | Output::Iso(_) if bootloader(output) == Some(Bootloader::Grub) => {
            &[Kernel, Initramfs]
        }
        Output::Installer if !has_uki => &[Kernel, Initramfs],
        Output::Iso(_) | Output::Image(_) | Output::Installer => {
            &[Kernel, Initramfs, SdStub, SdBoot]
        }
    }
}

/// What boots a medium.
fn bootloader(output: &Output) -> Option<Bootloader> {
    match output {
        Output::Iso(iso) => Some(iso.bootloader),
        Output::Image(disk) => Some(disk.bootloader),
        _ => None,
    }
}

fn release_image(target: &Target, choices: &Choices, sources: &Set) -> Result<Image> {
    let reference = match &choices.release_image {
        Some(reference) => reference.clone(),
        None => release::reference(release::IMAGER, &target.version)
            .parse()
            .map_err(|error| Error::new(ErrorKind::Bug, format!("{error}")))?,
    };
    let get = |arch: Arch| sources.get(&reference, &Platform::new("linux", arch.name()));
    // The image of either architecture has the boot assets of both: the other's will do.
    let image = match get(target.arch) {
        Err(error @ sources::Error::WrongPlatform { .. }) => {
            Arch::ALL.into_iter().find_map(|arch| get(arch).ok()).ok_or(error)
        }
        found => found,
    };
    Ok(pinned(image?))
}

fn extension(asset: &ContainerAsset, platform: &Platform, sources: &Set) -> Result<Extension> {
    let ContainerAsset { image_ref, tarball_path, oci_path, .. } = asset;
    if !tarball_path.is_empty() {
        present(tarball_path, "the extension")?;
        return Ok(Extension {
            name: tarball_path.clone(),
            source: ExtensionSource::Tarball(tarball_path.into()),
        });
    }
    if !oci_path.is_empty() {
        return extension_layout(oci_path, platform)
            .during(|| format!("looking for the extension {oci_path}"));
    }
    let reference: Reference = image_ref
        .parse()
        .map_err(|error| Error::new(ErrorKind::Input, format!("system extension: {error}")))?;
    let image = sources
        .get(&reference, platform)
        .during(|| format!("looking for the extension {image_ref}"))?;
    Ok(Extension { name: image_ref.clone(), source: ExtensionSource::Image(pinned(image)) })
}

/// The image an installer starts from. Installers of Talos 1.5 and later have two layers, of which
/// the upper one is what they install, so that it can be replaced.
fn base_installer(target: &Target, platform: &Platform, sources: &Set) -> Result<BaseInstaller> {
    let repository = release::installer_repository(&target.version);
    let usual = ContainerAsset::reference(release::reference(repository, &target.version));
    let asked = &target.input.base_installer;
    let ContainerAsset { image_ref, tarball_path, oci_path, .. } =
        if asked.is_unset() { &usual } else { asked };
    if !tarball_path.is_empty() {
        let what = "a base installer as a tarball of its files has no configuration: give the \
                    image by imageRef or ociPath";
        return Err(Error::new(ErrorKind::Input, what));
    }
    let (name, found) = if oci_path.is_empty() {
        let reference: Reference =
            image_ref.parse().map_err(|error| Error::new(ErrorKind::Input, format!("{error}")))?;
        (image_ref, sources.get(&reference, platform)?)
    } else {
        (oci_path, only_image(oci_path, platform)?)
    };
    if found.platform.as_ref().is_some_and(|found| !found.serves(platform)) {
        let what = format!("{name} is not for {platform}: take the image that is");
        return Err(Error::new(ErrorKind::Input, what));
    }
    let config = found.manifest.config.clone();
    let mut image = pinned(found);
    if image.layers.len() == 2 {
        image.layers.truncate(1);
    }
    let layout = (!oci_path.is_empty()).then(|| oci_path.into());
    let name = if image_ref.is_empty() { image.reference.to_string() } else { image_ref.clone() };
    Ok(BaseInstaller { name, image, config, layout })
}

fn virtual_one(extension: VirtualExtension) -> Extension {
    let name = extension.metadata.name.clone();
    Extension { name, source: ExtensionSource::Virtual(extension) }
}

/// An OCI layout that holds one image, which needs no name.
fn extension_layout(path: &str, platform: &Platform) -> Result<Extension> {
    let image = only_image(path, platform)?;
    let source = ExtensionSource::Layout { path: path.into(), image: pinned(image) };
    Ok(Extension { name: path.to_owned(), source })
}

/// The one image of an OCI layout.
fn only_image(path: &str, platform: &Platform) -> Result<sources::Image> {
    let layout = sources::open(&format!("oci:{path}"))?;
    let mut names = layout.names();
    let name = match (names.pop(), names.as_slice()) {
        (Some(name), []) => name,
        (None, _) => return Err(Error::new(ErrorKind::Source, "the layout holds no image")),
        (Some(last), _) => {
            let what = format!(
                "the layout holds several images ({}, {last}): give the one that is meant by \
                 imageRef and the layout as a source",
                names.join(", ")
            );
            return Err(Error::new(ErrorKind::Input, what));
        }
    };
    let reference: Reference =
        name.parse().map_err(|error| Error::new(ErrorKind::Source, format!("{error}")))?;
    Ok(Set::new(vec![layout]).get(&reference, platform)?)
}

fn pinned(image: sources::Image) -> Image {
    Image {
        reference: image.reference,
        digest: image.descriptor.digest,
        layers: image.manifest.layers,
    }
}

/// Refuses a file that is not there before anything is done.
fn present(path: &str, what: &str) -> Result<()> {
    use io::ErrorKind::{InvalidInput, NotFound};
    let refused = |error: io::Error| match error.kind() {
        NotFound | InvalidInput => {
            Error::new(ErrorKind::Input, format!("{what}: {error}: mend the path"))
        }
        _ => Error::from(error).during(what),
    };
    Blob::open(Path::new(path)).map(drop).map_err(refused)
}

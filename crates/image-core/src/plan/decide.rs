//! What is made of a request, all its gaps filled.

use super::{
    Asset, Boot, Choices, Disk, DiskBoot, Esp, Extension, ExtensionSource, GrubCore, Initramfs,
    Inputs, Iso, Output, Plan, Profile as UkiProfile, Uki, disk, seed,
};
use crate::{
    error::{Error, ErrorKind, Result},
    talos::{
        Arch, Profile, Quirk, esp, grub,
        kernel_args::{kernel_args, overlong},
        menu, meta,
        profile::{self, Bootloader, DiskFormat, OutFormat, Target},
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
    // Of an ISO's two bootloaders one is left out where none is named.
    let bootloader = asked.output.iso_options.as_ref().and_then(|iso| iso.bootloader);
    let target = asked.target()?;
    check_parts(&target)?;
    check_form(&target)?;
    let mut warnings = Vec::from_iter(check_line(&target)?);
    let config = &target.customization.embedded_machine_configuration;
    if !config.is_empty() {
        warnings.extend(config.check(&target.version)?);
    }
    warnings.extend(check_boot(&target, bootloader)?);
    warnings.extend(bared_secrets(&target));
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
    if target.secure_boot {
        return unsupported("Secure Boot is not supported yet");
    }
    if target.overlay.is_some() || !target.input.overlay_installer.is_unset() {
        return unsupported("overlays are not supported yet");
    }
    if !target.input.image_cache.is_unset() {
        return unsupported("an image cache (input.imageCache) is not supported yet");
    }
    Ok(())
}

/// Refuses what nothing is written as yet.
fn check_form(target: &Target) -> Result<()> {
    let packing = target.out_format;
    let disk = match &target.output {
        profile::Output::Installer => {
            return unsupported("the installer image is not supported yet");
        }
        profile::Output::Image(disk) if disk.format != DiskFormat::Raw => Some(disk.format),
        _ => None,
    };
    match (disk, packing) {
        (None, OutFormat::Raw) => Ok(()),
        (None, _) => unsupported(format!(
            "packing as {packing} is not supported yet: ask for --out-format raw"
        )),
        (Some(disk), OutFormat::Raw) => unsupported(format!(
            "disk format {disk} is not supported yet: ask for --disk-format raw"
        )),
        (Some(disk), _) => unsupported(format!(
            "disk format {disk} packed as {packing} is not supported yet: ask for \
             --disk-format raw --out-format raw"
        )),
    }
}

/// Refuses what boots by nothing that is made here; `asked` is the bootloader the request names.
/// What comes back is what a user should know of the others.
fn check_boot(target: &Target, asked: Option<Bootloader>) -> Result<Option<String>> {
    match &target.output {
        profile::Output::Iso(_) => check_iso(target, asked),
        profile::Output::Image(disk) => check_disk(target, disk.bootloader).map(|()| None),
        _ => Ok(None),
    }
}

/// Refuses a disk for a machine that cannot start it.
fn check_disk(target: &Target, bootloader: Bootloader) -> Result<()> {
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

/// Refuses an ISO that boots through GRUB.
fn check_iso(target: &Target, asked: Option<Bootloader>) -> Result<Option<String>> {
    let version = &target.version;
    if version.has(Quirk::SdBootForUefi) && matches!(asked, None | Some(Bootloader::SdBoot)) {
        let half = asked.is_none() && target.arch == Arch::Amd64;
        return Ok(half.then(|| {
            "boots on UEFI only: GRUB, by which amd64 ISOs also boot on BIOS, is not supported \
             yet (--bootloader sd-boot says the same and warns of nothing)"
                .to_owned()
        }));
    }
    let instead = match (version.has(Quirk::SdBootForUefi), version.has(Quirk::Uki)) {
        (true, _) => "--bootloader sd-boot, which boots on UEFI",
        (_, true) => "--output-kind uki, or for Talos v1.10.0 or later",
        _ => "--output-kind kernel, initramfs and cmdline, or for Talos v1.10.0 or later",
    };
    let asked = match asked {
        Some(Bootloader::SdBoot) | None => String::new(),
        Some(other) => format!("bootloader {other}: "),
    };
    unsupported(format!(
        "{asked}the ISO of Talos {version} boots through GRUB, which is not supported yet: ask \
         for {instead}"
    ))
}

impl Plan {
    /// The plan for `inputs`. Pure: nothing is read, and the same inputs give the same plan.
    ///
    /// # Errors
    /// The request has no form on a disk: its partitions do not fit, say.
    pub fn new(inputs: Inputs, choices: &Choices) -> Result<Self> {
        let Inputs { decision, release, kernel, initramfs, sd_stub, sd_boot, extensions, splash } =
            inputs;
        let Decision { target, mut warnings } = decision;
        let arguments = kernel_args(&target, &[]);
        let cmdline = arguments.to_string();
        let made = |extension: &Extension| matches!(extension.source, ExtensionSource::Virtual(_));
        let depmod_config = release.as_ref().filter(|_| !extensions.iter().all(made));
        let depmod_config =
            depmod_config.map(|_| Asset::Release(release::DEPMOD_CONFIG.to_owned()));
        let initramfs = Initramfs { base: initramfs, extensions, depmod_config };
        let uki = |initramfs: Initramfs, kernel: Asset| Uki {
            stub: sd_stub,
            kernel,
            initramfs,
            os_release: release::os_release(&target.name, &target.version),
            splash,
            profiles: menu::entries(target.output.kind(), &target.version)
                .iter()
                .map(|entry| UkiProfile {
                    id: entry.id.to_owned(),
                    title: entry.title.to_owned(),
                    cmdline: entry.cmdline(&arguments),
                })
                .collect(),
            cmdline: cmdline.clone(),
        };
        let file_name = target.packed_file_name();
        // Not the inputs: their digests differ between kinds of source that hold the same bytes.
        let subject = format!("{file_name}\n{}\n{}", target.version, choices.epoch);
        let output =
            match &target.output {
                profile::Output::Kernel => Output::Kernel(kernel),
                profile::Output::Cmdline => Output::Cmdline(cmdline),
                profile::Output::Initramfs => Output::Initramfs(initramfs),
                profile::Output::Uki => Output::Uki(uki(initramfs, kernel)),
                profile::Output::Iso(_) => Output::Iso(Iso {
                    uki: uki(initramfs, kernel),
                    esp: Esp {
                        boot_manager: sd_boot,
                        boot_path: esp::iso_boot_path(target.arch),
                        uki_path: esp::uki_path(&target.version),
                        loader_conf: esp::loader_conf(Some(profile::EnrollKeys::Off)),
                        random_seed: true,
                        volume_id: seed::volume_id(&subject, "esp"),
                        size: None,
                    },
                    volume_id: esp::iso_volume_id(&target.version),
                    volume_set_id: esp::iso_volume_set_id(&target.version),
                    disk_guid: seed::uuid(&subject, "iso disk"),
                    esp_guid: seed::uuid(&subject, "iso esp"),
                    volume_guid: seed::uuid(&subject, "iso volume"),
                }),
                profile::Output::Image(image) => {
                    let volume_id = seed::volume_id(&subject, "esp");
                    let disk = disk::disk(&target, image, &arguments, volume_id)?;
                    Output::Disk(disk.of(kernel, initramfs, |kernel, initramfs| {
                        (uki(initramfs, kernel), sd_boot)
                    }))
                }
                profile::Output::Installer => {
                    return Err(Error::new(ErrorKind::Bug, "an installer was not refused"));
                }
            };
        let mut lines = output.cmdlines();
        let menu = grub::cmdlines(&target.version, &arguments);
        if matches!(&output, Output::Disk(disk) if disk.boot.boot_volume().is_some()) {
            warnings.extend(grub::altered(&arguments.to_string()));
            lines.extend(menu.iter().map(String::as_str));
        }
        let longest = lines.into_iter().max_by_key(|line| line.len());
        let overlong = longest.and_then(|line| overlong(line, target.arch));
        warnings.extend(overlong.map(|overlong| overlong.to_string()));
        Ok(Self {
            file_name,
            talos_version: target.version,
            arch: target.arch,
            epoch: choices.epoch,
            release,
            output,
            warnings,
        })
    }

    /// The boot assets the output is made of.
    pub fn assets(&self) -> Vec<&Asset> {
        fn of_initramfs(initramfs: &Initramfs) -> Vec<&Asset> {
            std::iter::once(&initramfs.base).chain(&initramfs.depmod_config).collect()
        }
        fn of_uki(uki: &Uki) -> Vec<&Asset> {
            let mut assets = vec![&uki.stub, &uki.kernel];
            assets.extend(of_initramfs(&uki.initramfs));
            assets
        }
        match &self.output {
            Output::Kernel(kernel) => vec![kernel],
            Output::Cmdline(_) => vec![],
            Output::Initramfs(initramfs) => of_initramfs(initramfs),
            Output::Uki(uki) => of_uki(uki),
            Output::Iso(Iso { uki, esp, .. })
            | Output::Disk(Disk {
                boot: DiskBoot::SdBoot { uki, esp } | DiskBoot::DualBoot { uki, esp, .. },
                ..
            }) => {
                let mut assets = of_uki(uki);
                assets.push(&esp.boot_manager);
                assets
            }
            Output::Disk(Disk { boot: DiskBoot::Grub { kernel, initramfs, .. }, .. }) => {
                let mut assets = of_initramfs(initramfs);
                assets.push(kernel);
                assets
            }
        }
    }

    /// The GRUB core images the output has, each made of a directory of the release.
    pub fn grub_cores(&self) -> Vec<&GrubCore> {
        match &self.output {
            Output::Disk(Disk { boot: DiskBoot::DualBoot { bios, .. }, .. }) => vec![bios],
            Output::Disk(Disk { boot: DiskBoot::Grub { esp, bios, .. }, .. }) => {
                std::iter::once(&esp.core).chain(bios).collect()
            }
            _ => Vec::new(),
        }
    }
}

impl DiskBoot {
    /// The partition BOOT, where there is one.
    pub fn boot_volume(&self) -> Option<&Boot> {
        match self {
            Self::SdBoot { .. } => None,
            Self::DualBoot { boot, .. } | Self::Grub { boot, .. } => Some(boot),
        }
    }
}

impl Output {
    /// Every kernel command line in it.
    fn cmdlines(&self) -> Vec<&str> {
        match self {
            // GRUB's stand in its configuration.
            Self::Kernel(_)
            | Self::Initramfs(_)
            | Self::Disk(Disk { boot: DiskBoot::Grub { .. }, .. }) => Vec::new(),
            Self::Cmdline(cmdline) => vec![cmdline],
            Self::Uki(uki)
            | Self::Iso(Iso { uki, .. })
            | Self::Disk(Disk {
                boot: DiskBoot::SdBoot { uki, .. } | DiskBoot::DualBoot { uki, .. },
                ..
            }) => {
                let more = uki.profiles.iter().map(|profile| profile.cmdline.as_str());
                more.chain([uki.cmdline.as_str()]).collect()
            }
        }
    }
}

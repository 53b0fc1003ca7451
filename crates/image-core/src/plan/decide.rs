//! What is made of a request, all its gaps filled.

use super::{
    Asset, Choices, Content, Disk, Esp, Extension, ExtensionSource, Initramfs, Inputs, Iso, Output,
    Partition, Plan, Profile as UkiProfile, Uki, seed,
};
use crate::{
    error::{Error, ErrorKind, Result},
    talos::{
        Arch, Profile, Quirk, esp,
        kernel_args::{kernel_args, overlong},
        menu, meta,
        partitions::{self, MIB, Partition as TalosPartition, Sizes},
        profile::{self, Bootloader, DiskFormat, OutFormat, OutputKind, Target},
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
    let mut asked = profile.clone().over_base()?;
    let bootloader = asked_bootloader(&asked);
    if bootloader.is_none() {
        // Decided here, before sizes follow from it: without GRUB a disk needs no BOOT.
        let image = asked.output.image_options.get_or_insert_default();
        image.bootloader = Some(Bootloader::SdBoot);
    }
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

/// Refuses media that boot through GRUB; `asked` is the bootloader the request names. What comes
/// back is what a user should know of the others.
fn check_boot(target: &Target, asked: Option<Bootloader>) -> Result<Option<String>> {
    let version = &target.version;
    let (medium, is_disk) = match &target.output {
        profile::Output::Iso(_) => ("ISO", false),
        profile::Output::Image(_) => ("disk image", true),
        _ => return Ok(None),
    };
    let ready = match asked {
        // The imager gives older disks systemd-boot where it is asked for, older ISOs never.
        Some(Bootloader::SdBoot) if is_disk => version.has(Quirk::Uki),
        Some(Bootloader::SdBoot) | None => version.has(Quirk::SdBootForUefi),
        Some(_) => false,
    };
    if ready {
        let half = asked.is_none() && target.arch == Arch::Amd64;
        return Ok(half.then(|| {
            "boots on UEFI only: GRUB, by which amd64 media also boot on BIOS, is not supported \
             yet (--bootloader sd-boot says the same and warns of nothing)"
                .to_owned()
        }));
    }
    let sd_boot = "--bootloader sd-boot, which boots on UEFI";
    let instead = if version.has(Quirk::SdBootForUefi) {
        sd_boot.to_owned()
    } else {
        let instead = match (version.has(Quirk::Uki), is_disk) {
            (false, _) => "--output-kind kernel, initramfs and cmdline",
            (true, false) => "--output-kind uki",
            (true, true) => sd_boot,
        };
        format!("{instead}, or for Talos v1.10.0 or later")
    };
    let asked = match asked {
        Some(Bootloader::SdBoot) | None => String::new(),
        Some(other) => format!("bootloader {other}: "),
    };
    unsupported(format!(
        "{asked}the {medium} of Talos {version} boots through GRUB, which is not supported yet: \
         ask for {instead}"
    ))
}

/// The bootloader the request names itself.
fn asked_bootloader(profile: &Profile) -> Option<Bootloader> {
    let output = &profile.output;
    match output.kind {
        Some(OutputKind::Iso) => output.iso_options.as_ref()?.bootloader,
        Some(OutputKind::Image) => output.image_options.as_ref()?.bootloader,
        _ => None,
    }
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
        let output = match &target.output {
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
            profile::Output::Image(disk) => {
                let partitions = partitions(&target, disk)?;
                Output::Disk(Disk {
                    uki: uki(initramfs, kernel),
                    esp: Esp {
                        boot_manager: sd_boot,
                        boot_path: esp::disk_boot_path(target.arch),
                        uki_path: esp::uki_path(&target.version),
                        loader_conf: esp::loader_conf(None),
                        random_seed: false,
                        volume_id: seed::volume_id(&subject, "esp"),
                        size: partitions
                            .iter()
                            .find(|partition| partition.content == Content::Esp)
                            .map(|partition| partition.size),
                    },
                    size: disk.size,
                    sector_size: disk.sector_size,
                    guid: partitions::disk_guid(),
                    partitions,
                })
            }
            profile::Output::Installer => {
                return Err(Error::new(ErrorKind::Bug, "an installer was not refused"));
            }
        };
        let longest = output.cmdlines().into_iter().max_by_key(|line| line.len());
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
            Output::Iso(Iso { uki, esp, .. }) | Output::Disk(Disk { uki, esp, .. }) => {
                let mut assets = of_uki(uki);
                assets.push(&esp.boot_manager);
                assets
            }
        }
    }
}

impl Output {
    /// Every kernel command line in it.
    fn cmdlines(&self) -> Vec<&str> {
        match self {
            Self::Kernel(_) | Self::Initramfs(_) => Vec::new(),
            Self::Cmdline(cmdline) => vec![cmdline],
            Self::Uki(uki) | Self::Iso(Iso { uki, .. }) | Self::Disk(Disk { uki, .. }) => {
                let more = uki.profiles.iter().map(|profile| profile.cmdline.as_str());
                more.chain([uki.cmdline.as_str()]).collect()
            }
        }
    }
}

/// The partitions of `disk`: the tables take a mebibyte at either end.
fn partitions(target: &Target, disk: &profile::DiskImage) -> Result<Vec<Partition>> {
    let (size, sector) = (disk.size, disk.sector_size);
    if !size.is_multiple_of(sector.into()) {
        let what = format!(
            "a disk of {size} bytes has no whole sectors of {sector}: ask for a --disk-size that \
             is a multiple of {sector}"
        );
        return Err(Error::new(ErrorKind::Input, what));
    }
    let layout = partitions::layout(&target.version, Bootloader::SdBoot);
    // One that takes what is left needs something at least.
    let need = layout.iter().map(|(_, size)| size.unwrap_or(MIB)).sum::<u64>() + 2 * MIB;
    if size < need {
        // What a profile says is made larger by this.
        let grown = Sizes::of(&target.version).grown(0, Bootloader::SdBoot).unwrap_or(0);
        return Err(Error::new(
            ErrorKind::Input,
            format!(
                "the partitions need {need} bytes and the disk has {size}: ask for --disk-size {} \
                 or more",
                need.saturating_sub(grown)
            ),
        ));
    }
    let rest = MIB + (size - need) / MIB * MIB;
    let meta_values = &target.customization.meta_contents;
    let partition = |(partition, size): (TalosPartition, Option<u64>)| Partition {
        label: partition.label().to_owned(),
        type_guid: partition.type_guid(),
        guid: partition.guid(),
        size: size.unwrap_or(rest),
        content: match partition {
            TalosPartition::Efi => Content::Esp,
            TalosPartition::Meta if !meta_values.is_empty() => Content::Meta(meta_values.clone()),
            _ => Content::Zeros,
        },
    };
    Ok(layout.into_iter().map(partition).collect())
}

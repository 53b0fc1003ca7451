//! What is made of a request, all its gaps filled.

use super::{
    Asset, Choices, Content, Disk, Esp, Initramfs, Inputs, Iso, Output, Partition, Plan,
    Profile as UkiProfile, Uki, seed,
};
use crate::{
    error::{Error, ErrorKind, Result},
    talos::{
        Arch, Platform, Profile, Quirk, esp,
        kernel_args::kernel_args,
        menu,
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
    let mut warnings = Vec::new();
    let mut asked = profile.clone().over_base()?;
    let firmware = asked_bootloader(&asked);
    if firmware.is_none() {
        // Decided here, before sizes follow from it: without GRUB a disk needs no BOOT.
        let image = asked.output.image_options.get_or_insert_default();
        image.bootloader = Some(Bootloader::SdBoot);
    }
    let target = asked.target()?;
    let unsupported = |what: String| Err(Error::new(ErrorKind::Unsupported, what));
    let version = &target.version;

    if target.secure_boot {
        return unsupported("Secure Boot is not supported yet".to_owned());
    }
    if target.overlay.is_some() || !target.input.overlay_installer.is_unset() {
        return unsupported("overlays are not supported yet".to_owned());
    }
    if target.platform != Platform::Metal {
        let platform = target.platform;
        return unsupported(format!("platform {platform} is not supported yet, only metal"));
    }
    if !target.input.image_cache.is_unset() {
        return unsupported("an image cache (input.imageCache) is not supported yet".to_owned());
    }
    if !target.customization.embedded_machine_configuration.is_empty() {
        return unsupported(
            "customization.embeddedMachineConfiguration is not supported yet".to_owned(),
        );
    }
    if !version.has(Quirk::SdBootForUefi) {
        return unsupported(format!(
            "Talos {version} is not supported yet, only v1.10.0 and later: versions before boot \
             through GRUB"
        ));
    }
    if target.out_format != OutFormat::Raw {
        let packing = target.out_format;
        return unsupported(format!(
            "packing as {packing} is not supported yet: ask for --out-format raw"
        ));
    }
    match &target.output {
        profile::Output::Installer => {
            return unsupported("the installer image is not supported yet".to_owned());
        }
        profile::Output::Image(disk) if disk.format != DiskFormat::Raw => {
            return unsupported(format!(
                "disk format {} is not supported yet, only raw",
                disk.format
            ));
        }
        profile::Output::Image(_) | profile::Output::Iso(_) => match firmware {
            Some(Bootloader::SdBoot) => {}
            Some(other) => {
                return unsupported(format!(
                    "bootloader {other} is not supported yet: ask for --bootloader sd-boot, \
                     which boots on UEFI"
                ));
            }
            None if target.arch == Arch::Amd64 => warnings.push(
                "boots on UEFI only: GRUB, by which amd64 media also boot on BIOS, is not \
                 supported yet (--bootloader sd-boot says the same and warns of nothing)"
                    .to_owned(),
            ),
            None => {}
        },
        profile::Output::Kernel
        | profile::Output::Initramfs
        | profile::Output::Uki
        | profile::Output::Cmdline => {}
    }
    Ok(Decision { target, warnings })
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
        let Decision { target, warnings } = decision;
        let arguments = kernel_args(&target, &[]);
        let cmdline = arguments.to_string();
        let initramfs = Initramfs { base: initramfs, extensions };
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
                let partitions = partitions(&target, disk.size)?;
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
        fn of_uki(uki: &Uki) -> Vec<&Asset> {
            vec![&uki.stub, &uki.kernel, &uki.initramfs.base]
        }
        match &self.output {
            Output::Kernel(kernel) => vec![kernel],
            Output::Cmdline(_) => vec![],
            Output::Initramfs(initramfs) => vec![&initramfs.base],
            Output::Uki(uki) => of_uki(uki),
            Output::Iso(Iso { uki, esp, .. }) | Output::Disk(Disk { uki, esp, .. }) => {
                let mut assets = of_uki(uki);
                assets.push(&esp.boot_manager);
                assets
            }
        }
    }
}

/// The partitions of a disk of `size` bytes: the tables take a mebibyte at either end.
fn partitions(target: &Target, size: u64) -> Result<Vec<Partition>> {
    let layout = partitions::layout(&target.version, Bootloader::SdBoot);
    let fixed: u64 = layout.iter().filter_map(|(_, size)| *size).sum();
    let need = fixed + 2 * MIB;
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
    let rest = size - need;
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

//! A disk: its partitions, and what boots it.

use super::{
    Asset, Boot, Content, Disk, DiskBoot, Esp, GrubCore, GrubEsp, Initramfs, Partition, Uki,
};
use crate::{
    error::{Error, ErrorKind, Result},
    formats::{cmdline::Cmdline, grub::Platform},
    talos::{
        Arch, Quirk, esp, grub,
        meta::{self, MetaValue},
        partitions::{self, MIB, Partition as TalosPartition, Sizes},
        profile::{Bootloader, DiskImage, Target},
    },
};

/// A disk of which all is decided but what kernel and initramfs it starts.
pub(super) struct Layout<'a> {
    target: &'a Target,
    image: &'a DiskImage,
    arguments: &'a Cmdline,
    volume_id: u32,
    partitions: Vec<Partition>,
}

/// The disk `image`, that starts its kernel with `arguments`; `volume_id` is the FAT volume's.
pub(super) fn disk<'a>(
    target: &'a Target,
    image: &'a DiskImage,
    arguments: &'a Cmdline,
    volume_id: u32,
) -> Result<Layout<'a>> {
    let partitions = partitions(target, image)?;
    Ok(Layout { target, image, arguments, volume_id, partitions })
}

impl Layout<'_> {
    /// The disk that starts `kernel`; `uki` makes the unified kernel image of it where there is
    /// one, beside systemd-boot.
    pub(super) fn of(
        self,
        kernel: Asset,
        initramfs: Initramfs,
        uki: impl FnOnce(Asset, Initramfs) -> (Uki, Asset),
    ) -> Disk {
        let Target { arch, version, .. } = self.target;
        let (volume_id, boot_path) = (self.volume_id, esp::disk_boot_path(*arch));
        let size = self.size_of(&Content::Esp);
        let sd_boot = |(uki, boot_manager)| {
            let esp = Esp {
                boot_manager,
                boot_path: boot_path.clone(),
                uki_path: esp::uki_path(version),
                loader_conf: esp::loader_conf(None),
                random_seed: false,
                volume_id,
                size: Some(size),
            };
            (uki, esp)
        };
        let boot = match self.image.bootloader {
            Bootloader::SdBoot => {
                let (uki, esp) = sd_boot(uki(kernel, initramfs));
                DiskBoot::SdBoot { uki, esp }
            }
            Bootloader::DualBoot => {
                let (uki, esp) = sd_boot(uki(kernel, initramfs));
                let bios = grub_core(Platform::I386Pc);
                DiskBoot::DualBoot { uki, esp, bios, boot: self.boot() }
            }
            Bootloader::Grub => {
                let core = grub_core(grub::efi_platform(*arch));
                DiskBoot::Grub {
                    kernel,
                    initramfs,
                    esp: GrubEsp { core, boot_path, volume_id, size },
                    bios: grub::bios_platform(*arch).map(grub_core),
                    boot: self.boot(),
                }
            }
        };
        Disk {
            boot,
            size: self.image.size,
            sector_size: self.image.sector_size,
            guid: partitions::disk_guid(),
            partitions: self.partitions,
        }
    }

    fn boot(&self) -> Boot {
        Boot {
            kernel_path: grub::KERNEL.to_owned(),
            initramfs_path: grub::INITRAMFS.to_owned(),
            config_path: grub::CONFIG.to_owned(),
            config: grub::disk_config(&self.target.version, self.arguments),
            label: TalosPartition::Boot.label().to_owned(),
            uuid: TalosPartition::Boot.guid(),
            features: grub::boot_features(&self.target.version),
            size: self.size_of(&Content::Boot),
        }
    }

    /// The size of the partition with this content.
    fn size_of(&self, content: &Content) -> u64 {
        let found = self.partitions.iter().find(|partition| partition.content == *content);
        found.map_or(0, |partition| partition.size)
    }
}

/// The partitions of `disk`: the tables take a mebibyte at either end.
fn partitions(target: &Target, disk: &DiskImage) -> Result<Vec<Partition>> {
    let (size, sector) = (disk.size, disk.sector_size);
    if !size.is_multiple_of(sector.into()) {
        let what = format!(
            "a disk of {size} bytes has no whole sectors of {sector}: ask for a --disk-size that \
             is a multiple of {sector}"
        );
        return Err(Error::new(ErrorKind::Input, what));
    }
    let layout = partitions::layout(&target.version, disk.bootloader);
    // One that takes what is left needs something at least.
    let need = layout.iter().map(|(_, size)| size.unwrap_or(MIB)).sum::<u64>() + 2 * MIB;
    if size < need {
        // What a profile says is made larger by this.
        let grown = Sizes::of(&target.version).grown(0, disk.bootloader).unwrap_or(0);
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
    let mut meta_values = target.customization.meta_contents.clone();
    if disk.bootloader == Bootloader::DualBoot && target.version.has(Quirk::SdBootForUefi) {
        // Talos removes the one it did not boot by.
        let value = disk.bootloader.to_string();
        meta_values.push(MetaValue { key: meta::DISK_IMAGE_BOOTLOADER, value });
    }
    // All sizes are whole mebibytes.
    let mut start = MIB;
    let partition = |(partition, size): (TalosPartition, Option<u64>)| {
        let size = size.unwrap_or(rest);
        let made = Partition {
            label: partition.label().to_owned(),
            type_guid: partition.type_guid(),
            guid: partition.guid(),
            attributes: partition.attributes(),
            start,
            size,
            content: match partition {
                TalosPartition::Efi => Content::Esp,
                TalosPartition::Bios if target.arch == Arch::Amd64 => Content::Bios,
                TalosPartition::Boot => Content::Boot,
                TalosPartition::Meta if !meta_values.is_empty() => {
                    Content::Meta(meta_values.clone())
                }
                _ => Content::Zeros,
            },
        };
        start += size;
        made
    };
    Ok(layout.into_iter().map(partition).collect())
}

/// GRUB for `platform`, as all media have it.
fn grub_core(platform: Platform) -> GrubCore {
    GrubCore {
        platform,
        directory: grub::directory(platform),
        modules: grub::modules(platform).into_iter().map(str::to_owned).collect(),
        prefix: grub::PREFIX.to_owned(),
    }
}

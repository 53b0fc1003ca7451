//! A disk: its partitions, and what boots it.

use super::{
    BootVolume, Content, Disk, Partition,
    boot::{Medium, Parts},
    disk_format, seed,
};
use crate::{
    error::{Error, ErrorKind, Result},
    talos::{
        Arch, Quirk, esp, grub,
        meta::{self, MetaValue},
        partitions::{self, MIB, Partition as TalosPartition, Sizes},
        profile::{Bootloader, DiskImage, EnrollKeys, Target},
    },
};

/// The disk `image`; its numbers are `subject`'s.
///
/// # Errors
/// `Input` if the partitions do not fit, or the format cannot hold the disk.
pub(super) fn disk(parts: Parts<'_>, image: &DiskImage, subject: &str) -> Result<Disk> {
    let Target { arch, version, .. } = parts.target;
    let (format, disk_size) = disk_format::decide(parts.target, image, subject)?;
    let partitions = partitions(parts.target, image, disk_size)?;
    let size = |content: &Content| {
        let found = partitions.iter().find(|partition| partition.content == *content);
        found.map(|partition| partition.size)
    };
    let boot_volume = size(&Content::Boot).map(|size| BootVolume {
        label: TalosPartition::Boot.label().to_owned(),
        uuid: TalosPartition::Boot.guid(),
        features: grub::boot_features(version),
        size,
    });
    // A disk without keys to enrol says nothing of them.
    let when = parts.signing.as_ref().map(|_| image.enroll_keys);
    let when = when.filter(|when| *when != EnrollKeys::Off);
    let medium = Medium {
        boot_path: esp::disk_boot_path(*arch),
        loader_conf: esp::loader_conf(when),
        secure_boot: parts.signing.as_ref().map(|signing| signing.of_esp(when, None)),
        random_seed: false,
        volume_id: seed::volume_id(subject, "esp"),
        esp_size: size(&Content::Esp),
        files: &grub::DISK,
        grub_config: grub::disk_config(version, parts.arguments),
        efi_config: None,
    };
    Ok(Disk {
        format,
        boot: parts.boot(image.bootloader, medium),
        boot_volume,
        size: disk_size,
        sector_size: image.sector_size,
        guid: partitions::disk_guid(),
        partitions,
    })
}

/// The partitions of `disk`, which has `size` bytes: the tables take a mebibyte at either end.
fn partitions(target: &Target, disk: &DiskImage, size: u64) -> Result<Vec<Partition>> {
    let sector = disk.sector_size;
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

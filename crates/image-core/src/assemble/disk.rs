//! The GPT disk.

use super::{Context, assets::Assets, boot, grub};
use crate::{
    blob::Blob,
    error::{During, Error, ErrorKind, Result},
    formats::{self, gpt},
    plan::{Content, Disk, Plan},
    talos::meta,
};

pub(super) fn assemble(
    disk: &Disk,
    plan: &Plan,
    assets: &Assets,
    cx: &Context<'_>,
) -> Result<Blob> {
    let sector = disk.sector_size;
    let medium = boot::Medium { image: formats::grub::disk_image, sector, block: 1 };
    let parts = boot::assemble(&disk.boot, medium, plan, assets, cx)?;
    let boot = disk.boot_volume.as_ref().zip(parts.files.as_ref());
    let boot = boot.map(|(volume, files)| grub::volume(volume, files, sector, plan)).transpose()?;
    let lacking = || Error::new(ErrorKind::Bug, "a partition nothing was made for");
    let mut partitions = Vec::new();
    let mut record = None;
    for partition in &disk.partitions {
        let content = match &partition.content {
            Content::Esp => parts.esp.clone(),
            Content::Bios => {
                let bios = parts.bios.as_ref().ok_or_else(lacking)?;
                let start = partition.start / u64::from(disk.sector_size);
                record = Some((bios, start));
                bios.partition(start, partition.size)?
            }
            Content::Boot => boot.clone().ok_or_else(lacking)?,
            Content::Meta(values) => meta::partition(values)?,
            Content::Zeros => Blob::zeros(partition.size),
        };
        partitions.push(gpt::Partition {
            type_guid: partition.type_guid,
            guid: partition.guid,
            name: partition.label.clone(),
            attributes: partition.attributes,
            start: Some(partition.start),
            size: partition.size,
            content,
        });
    }
    let disk =
        gpt::Disk { guid: disk.guid, sector_size: disk.sector_size, size: disk.size, partitions };
    let blob = gpt::disk(&disk).during(|| "laying out the disk".to_owned())?;
    match record {
        Some((bios, start)) => bios.on_disk(&blob, start, assets),
        None => Ok(blob),
    }
}

//! The GPT disk.

use super::{
    Context,
    assets::Assets,
    esp,
    grub::{self, Bios},
    initramfs, uki,
};
use crate::{
    blob::Blob,
    error::{During, Error, ErrorKind, Result},
    formats::gpt,
    plan::{Content, Disk, DiskBoot, Plan},
    talos::meta,
};

/// What boots a disk, made.
struct Parts {
    esp: Blob,
    bios: Option<Bios>,
    boot: Option<Blob>,
}

fn parts(disk: &Disk, plan: &Plan, assets: &Assets, cx: &Context<'_>) -> Result<Parts> {
    let sector = disk.sector_size;
    // What is cheap to check comes before anything is compressed.
    Ok(match &disk.boot {
        DiskBoot::SdBoot { uki, esp } => {
            let boot_manager = assets.program("systemd-boot", &esp.boot_manager)?;
            let uki = uki::assemble(uki, plan, assets, cx)?;
            let esp = esp::volume(esp, &boot_manager, &uki.blob, sector, plan)?;
            Parts { esp, bios: None, boot: None }
        }
        DiskBoot::DualBoot { uki, esp, bios, boot } => {
            let boot_manager = assets.program("systemd-boot", &esp.boot_manager)?;
            let bios = Some(Bios::new(bios, assets)?);
            let uki = uki::assemble(uki, plan, assets, cx)?;
            let esp = esp::volume(esp, &boot_manager, &uki.blob, sector, plan)?;
            let boot = grub::volume(boot, uki.kernel, uki.initramfs, sector, plan)?;
            Parts { esp, bios, boot: Some(boot) }
        }
        DiskBoot::Grub { kernel, initramfs, esp, bios, boot } => {
            let program = grub::program(&esp.core, plan, assets)?;
            let bios = bios.as_ref().map(|bios| Bios::new(bios, assets)).transpose()?;
            let (kernel, _) = assets.kernel(kernel)?;
            let initramfs = initramfs::assemble(initramfs, plan, assets, cx)?;
            let esp = esp::grub_volume(esp, program, sector, plan)?;
            let boot = grub::volume(boot, kernel, initramfs, sector, plan)?;
            Parts { esp, bios, boot: Some(boot) }
        }
    })
}

pub(super) fn assemble(
    disk: &Disk,
    plan: &Plan,
    assets: &Assets,
    cx: &Context<'_>,
) -> Result<Blob> {
    let parts = parts(disk, plan, assets, cx)?;
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
            Content::Boot => parts.boot.clone().ok_or_else(lacking)?,
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
        Some((bios, start)) => bios.with_boot_record(&blob, start, assets),
        None => Ok(blob),
    }
}

//! The GPT disk.

use super::{Context, assets::Assets, esp, uki};
use crate::{
    blob::Blob,
    error::{During, Result},
    formats::gpt,
    plan::{Content, Disk, Plan},
    talos::meta,
};

pub(super) fn assemble(
    disk: &Disk,
    plan: &Plan,
    assets: &Assets,
    cx: &Context<'_>,
) -> Result<Blob> {
    let boot_manager = assets.program("systemd-boot", &disk.esp.boot_manager)?;
    let uki = uki::assemble(&disk.uki, plan, assets, cx)?;
    let esp = esp::volume(&disk.esp, &boot_manager, &uki, disk.sector_size, plan)?;
    let mut partitions = Vec::new();
    for partition in &disk.partitions {
        partitions.push(gpt::Partition {
            type_guid: partition.type_guid,
            guid: partition.guid,
            name: partition.label.clone(),
            attributes: 0,
            start: None,
            size: partition.size,
            content: match &partition.content {
                Content::Esp => esp.clone(),
                Content::Meta(values) => meta::partition(values)?,
                Content::Zeros => Blob::zeros(partition.size),
            },
        });
    }
    let disk =
        gpt::Disk { guid: disk.guid, sector_size: disk.sector_size, size: disk.size, partitions };
    gpt::disk(&disk).during(|| "laying out the disk".to_owned())
}

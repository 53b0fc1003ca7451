//! The ISO: an EFI system partition that firmware finds as a CD's boot image and as a stick's
//! partition, stored once.

use super::{Context, assets::Assets, esp, uki};
use crate::{
    blob::Blob,
    error::{During, Result},
    formats::iso9660,
    plan::{Iso, Plan},
    tree::Tree,
};

/// FAT counts in sectors of 512 bytes on a CD too: firmware reads it through El Torito as a
/// disk of such sectors.
const SECTOR_SIZE: u32 = 512;

pub(super) fn assemble(iso: &Iso, plan: &Plan, assets: &Assets, cx: &Context<'_>) -> Result<Blob> {
    let boot_manager = assets.program("systemd-boot", &iso.esp.boot_manager)?;
    let uki = uki::assemble(&iso.uki, plan, assets, cx)?.blob;
    let esp = esp::volume(&iso.esp, &boot_manager, &uki, SECTOR_SIZE, plan)?;
    let volume = iso9660::Volume {
        volume_id: &iso.volume_id,
        volume_set_id: &iso.volume_set_id,
        preparer_id: "",
        application_id: "TALOS-IMAGE",
        // All that boots stands in the EFI system partition; nothing is stored twice.
        tree: &Tree::new(),
        bios: None,
        esp: Some(iso9660::Esp {
            content: esp,
            guid: iso.esp_guid,
            volume_guid: iso.volume_guid,
            disk_guid: iso.disk_guid,
        }),
        epoch: plan.epoch,
    };
    iso9660::volume(&volume).during(|| "laying out the ISO".to_owned())
}

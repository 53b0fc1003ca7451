//! The ISO: an EFI system partition that firmware finds as a CD's boot image and as a stick's
//! partition, and GRUB for a BIOS, which does likewise. What both start is stored once.

use super::{Context, assets::Assets, boot};
use crate::{
    blob::Blob,
    error::{During, Result},
    formats::{grub, iso9660},
    plan::{self, Iso, Plan},
    talos,
    tree::{Node, TreePath},
};

/// FAT counts in sectors of 512 bytes on a CD too: firmware reads it through El Torito as a
/// disk of such sectors.
const SECTOR_SIZE: u32 = 512;

pub(super) fn assemble(iso: &Iso, plan: &Plan, assets: &Assets, cx: &Context<'_>) -> Result<Blob> {
    let shares = matches!(iso.boot, plan::Boot::DualBoot { .. });
    let block = if shares { iso9660::BLOCK } else { 1 };
    let medium = boot::Medium { image: grub::cd_image, sector: SECTOR_SIZE, block };
    let parts = boot::assemble(&iso.boot, medium, plan, assets, cx)?;
    let bios = parts.bios.as_ref();
    let image = bios.map(|bios| bios.cd_image(iso9660::BIOS_BLOCK)).transpose()?;
    let mut tree = parts.files.unwrap_or_default();
    for (path, content) in [
        (iso.marker_path.as_deref(), Some(Blob::empty())),
        (Some(talos::grub::ISO_BIOS_IMAGE), image.clone()),
    ] {
        if let Some((path, content)) = path.zip(content) {
            tree.insert(TreePath::new(path)?, Node::file(content, 0o644));
        }
    }
    // A disk's are the machine's alone; an ISO is for whoever has it.
    let paths: Vec<_> = tree.iter().map(|(path, ..)| path.clone()).collect();
    for path in paths {
        if let Some(node) = tree.get_mut(&path) {
            node.mode |= if node.is_directory() { 0o055 } else { 0o044 };
        }
    }
    let volume = iso9660::Volume {
        volume_id: &iso.volume_id,
        volume_set_id: &iso.volume_set_id,
        preparer_id: "",
        application_id: "TALOS-IMAGE",
        tree: &tree,
        bios: image,
        esp: Some(iso9660::Esp {
            content: parts.esp,
            guid: iso.esp_guid,
            volume_guid: iso.volume_guid,
            disk_guid: iso.disk_guid,
        }),
        epoch: plan.epoch,
    };
    let blob = iso9660::volume(&volume).during(|| "laying out the ISO".to_owned())?;
    match bios {
        Some(bios) => bios.on_iso(&blob, iso9660::BIOS_BLOCK, assets),
        None => Ok(blob),
    }
}

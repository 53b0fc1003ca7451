//! The EFI system partition: systemd-boot, its configuration, the unified kernel image; or GRUB.

use crate::{
    blob::Blob,
    error::{Error, ErrorKind, Result},
    formats::{Fault, fat},
    plan::{Esp, GrubEsp, Plan},
    talos::{esp, partitions::MIB},
    tree::{Node, Tree, TreePath},
};

/// What the partition holds, as a file tree.
fn tree(esp: &Esp, boot_manager: &Blob, uki: &Blob) -> Result<Tree> {
    let mut tree = Tree::new();
    let mut put = |path: &str, content: Blob, mode: u32| -> Result<()> {
        tree.insert(TreePath::new(path)?, Node::file(content, mode));
        Ok(())
    };
    put(&esp.boot_path, boot_manager.clone(), 0o644)?;
    put(&esp.uki_path, uki.clone(), 0o644)?;
    put(esp::LOADER_CONF, esp.loader_conf.clone().into(), 0o644)?;
    if esp.random_seed {
        put(esp::RANDOM_SEED, Blob::zeros(esp::RANDOM_SEED_LEN), 0o444)?;
    }
    Ok(tree)
}

/// The partition as a FAT32 volume with sectors of `sector_size` bytes.
pub(super) fn volume(
    esp: &Esp,
    boot_manager: &Blob,
    uki: &Blob,
    sector_size: u32,
    plan: &Plan,
) -> Result<Blob> {
    /// Smaller ones would be FAT16, of which Talos and some firmware know nothing.
    const LEAST: u64 = 36 * MIB;
    let size = match esp.size {
        Some(size) => size,
        None => esp::iso_size([boot_manager.len(), uki.len()])
            .ok_or_else(|| Error::new(ErrorKind::Assembly, "the UKI is over all bounds"))?
            .max(LEAST),
    };
    fat(&tree(esp, boot_manager, uki)?, size, sector_size, esp.volume_id, plan)
}

/// The partition with GRUB alone.
pub(super) fn grub_volume(
    esp: &GrubEsp,
    program: Blob,
    sector_size: u32,
    plan: &Plan,
) -> Result<Blob> {
    let mut tree = Tree::new();
    tree.insert(TreePath::new(&esp.boot_path)?, Node::file(program, 0o644));
    fat(&tree, esp.size, sector_size, esp.volume_id, plan)
}

fn fat(tree: &Tree, size: u64, sector_size: u32, volume_id: u32, plan: &Plan) -> Result<Blob> {
    let options = fat::Options {
        size,
        sector_size,
        label: esp::LABEL,
        volume_id,
        epoch: plan.epoch,
        aligned: None,
    };
    fat::volume(tree, &options).map_err(|error| match error.fault() {
        &Fault::TooLarge { need, have, .. } => {
            let what = format!(
                "systemd-boot and the UKI need {need} bytes of the EFI system partition, which has {have} for \
                 files on every disk of Talos {}: {} too many: leave out extensions, or take a \
                 smaller initramfs",
                plan.talos_version,
                need.saturating_sub(have)
            );
            Error::new(ErrorKind::Assembly, what)
        }
        _ => Error::from(error).during("laying out the EFI system partition"),
    })
}

//! The EFI system partition: systemd-boot, its configuration, the unified kernel image; or GRUB.

use super::{
    Context,
    assets::Assets,
    secure_boot::{self, Round},
    uki::Assembled,
};
use crate::{
    blob::Blob,
    error::{Error, ErrorKind, Result},
    formats::{Fault, fat},
    plan::{Esp, GrubEsp, Plan},
    talos::{esp, partitions::MIB},
    tree::{Node, Tree, TreePath},
};

/// What firmware starts, and by what it trusts it, made.
pub(super) struct Manager {
    program: Blob,
    /// The files for Secure Boot, by their paths.
    files: Vec<(String, Blob)>,
}

/// Makes systemd-boot, signed if it is to be, and what goes with it.
pub(super) fn manager(
    esp: &Esp,
    plan: &Plan,
    assets: &Assets,
    cx: &Context<'_>,
) -> Result<Manager> {
    let program = assets.program("systemd-boot", &esp.boot_manager)?;
    let Some(secure_boot) = &esp.secure_boot else {
        return Ok(Manager { program, files: Vec::new() });
    };
    let mut round = Round::default();
    let signed = secure_boot::signed("systemd-boot", &program, &secure_boot.signed_by, cx);
    let program = round.take(signed)?;
    let files = round.take(secure_boot::files(secure_boot, plan, cx))?;
    let (program, files) = round.end(program.zip(files))?;
    Ok(Manager { program, files })
}

/// What the partition holds, as a file tree.
fn tree(esp: &Esp, manager: Manager, uki: &Blob) -> Result<Tree> {
    let mut tree = Tree::new();
    let mut put = |path: &str, content: Blob, mode: u32| -> Result<()> {
        tree.insert(TreePath::new(path)?, Node::file(content, mode));
        Ok(())
    };
    put(&esp.boot_path, manager.program, 0o644)?;
    put(&esp.uki_path, uki.clone(), 0o644)?;
    put(esp::LOADER_CONF, esp.loader_conf.clone().into(), 0o644)?;
    for (path, content) in manager.files {
        put(&path, content, 0o644)?;
    }
    if esp.random_seed {
        put(esp::RANDOM_SEED, Blob::zeros(esp::RANDOM_SEED_LEN), 0o444)?;
    }
    Ok(tree)
}

/// The partition as a FAT32 volume with sectors of `sector_size` bytes.
pub(super) fn volume(
    esp: &Esp,
    manager: Manager,
    uki: &Assembled,
    sector_size: u32,
    plan: &Plan,
) -> Result<Blob> {
    /// Smaller ones would be FAT16, of which Talos and some firmware know nothing.
    const LEAST: u64 = 33 * MIB;
    let tree = tree(esp, manager, &uki.blob)?;
    let path = TreePath::new(&esp.uki_path)?;
    let fitting = || fitting(&tree, sector_size).map(|size| size.max(LEAST));
    let size = esp.size.map_or_else(fitting, Ok)?;
    // An ISO's other files share what stands at a block's start.
    let kernel = uki.blob.position_of(&uki.kernel);
    let aligned = kernel.filter(|_| esp.size.is_none()).map(|at| (&path, at));
    let options = options(size, sector_size, esp.volume_id, plan);
    fat(&tree, &fat::Options { aligned, ..options }, plan)
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
    let size = esp.size.map_or_else(|| fitting(&tree, sector_size), Ok)?;
    fat(&tree, &options(size, sector_size, esp.volume_id, plan), plan)
}

/// The size of a partition that is written once and never again: as large as its content.
fn fitting(tree: &Tree, sector_size: u32) -> Result<u64> {
    /// Room to align a file in it.
    const ALIGN: u64 = 32 << 10;
    Ok((fat::min_size(tree, sector_size)? + ALIGN).next_multiple_of(ALIGN))
}

fn options(size: u64, sector_size: u32, volume_id: u32, plan: &Plan) -> fat::Options<'static> {
    let (label, epoch) = (esp::LABEL, plan.epoch);
    fat::Options { size, sector_size, label, volume_id, epoch, aligned: None }
}

fn fat(tree: &Tree, options: &fat::Options<'_>, plan: &Plan) -> Result<Blob> {
    fat::volume(tree, options).map_err(|error| match error.fault() {
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

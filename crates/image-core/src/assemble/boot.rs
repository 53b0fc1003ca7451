//! What boots a medium, made: its EFI system partition, and GRUB.

use super::{Context, assets::Assets, esp, grub, grub::Bios, initramfs, secure_boot::Round, uki};
use crate::{
    blob::Blob,
    error::Result,
    plan::{self, Boot, Plan},
    tree::Tree,
};

/// What boots a medium.
pub(super) struct Parts {
    /// The EFI system partition.
    pub(super) esp: Blob,
    /// GRUB for a BIOS.
    pub(super) bios: Option<Bios>,
    /// GRUB's files; none without GRUB.
    pub(super) files: Option<Tree>,
}

/// What is one kind of medium's own.
#[derive(Clone, Copy)]
pub(super) struct Medium {
    /// Makes GRUB's image for a BIOS.
    pub(super) image: grub::Image,
    /// Bytes of a sector.
    pub(super) sector: u32,
    /// Bytes of the blocks in which the kernel and the initramfs are shared with the UKI; 1 if
    /// they are not.
    pub(super) block: u64,
}

/// Makes what `boot` says.
pub(super) fn assemble(
    boot: &Boot,
    medium: Medium,
    plan: &Plan,
    assets: &Assets,
    cx: &Context<'_>,
) -> Result<Parts> {
    let Medium { image, sector, block } = medium;
    let bios = |grub: &plan::Grub| {
        grub.bios.as_ref().map(|core| Bios::new(core, image, assets)).transpose()
    };
    // What is cheap to check comes before anything is compressed.
    Ok(match boot {
        Boot::SdBoot { uki, esp } => {
            let mut round = Round::default();
            let manager = round.take(esp::manager(esp, plan, assets, cx))?;
            let uki = round.take(uki::assemble(uki, block, plan, assets, cx))?;
            let (manager, uki) = round.end(manager.zip(uki))?;
            let esp = esp::volume(esp, manager, &uki, sector, plan)?;
            Parts { esp, bios: None, files: None }
        }
        Boot::DualBoot { uki, esp, grub } => {
            let manager = esp::manager(esp, plan, assets, cx)?;
            let bios = bios(grub)?;
            let uki = uki::assemble(uki, block, plan, assets, cx)?;
            let esp = esp::volume(esp, manager, &uki, sector, plan)?;
            let files = grub::files(grub, uki.kernel, uki.initramfs)?;
            Parts { esp, bios, files: Some(files) }
        }
        Boot::Grub { kernel, initramfs, esp, grub } => {
            let program = grub::program(&esp.core, plan, assets)?;
            let bios = bios(grub)?;
            let (kernel, _) = assets.kernel(kernel)?;
            let initramfs = initramfs::assemble(initramfs, plan, assets, cx)?;
            let esp = esp::grub_volume(esp, program, sector, plan)?;
            let files = grub::files(grub, kernel, initramfs)?;
            Parts { esp, bios, files: Some(files) }
        }
    })
}

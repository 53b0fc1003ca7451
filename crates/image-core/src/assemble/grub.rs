//! GRUB: its core images, and the partition BOOT it starts the kernel from.

use super::{assets::Assets, uki};
use crate::{
    blob::Blob,
    error::{During, Error, ErrorKind, Result},
    formats::{
        Fault,
        grub::{self, Contents, Directory},
        xfs,
    },
    plan::{Boot, GrubCore, Plan},
    tree::{Node, Tree, TreePath},
};

/// Reads the directory a core image is made of, and makes it.
fn core(
    core: &GrubCore,
    assets: &Assets,
    image: impl Fn(&Directory, &Contents<'_>) -> crate::formats::Result<Blob>,
) -> Result<(Directory, Blob)> {
    let directory = assets.grub(core)?;
    let modules: Vec<_> = core.modules.iter().map(String::as_str).collect();
    let contents = Contents { modules: &modules, prefix: &core.prefix, config: None };
    let blob = image(&directory, &contents).map_err(|error| assets.bad_grub(&error))?;
    Ok((directory, blob))
}

/// GRUB as a UEFI program.
pub(super) fn program(efi: &GrubCore, plan: &Plan, assets: &Assets) -> Result<Blob> {
    let timestamp = uki::timestamp(plan)?;
    let image = |directory: &Directory, contents: &Contents<'_>| {
        grub::efi_image(directory, contents, None, timestamp)
    };
    Ok(core(efi, assets, image)?.1)
}

/// GRUB for a BIOS, from a disk.
#[derive(Debug)]
pub(super) struct Bios {
    directory: Directory,
    core: Blob,
}

impl Bios {
    pub(super) fn new(bios: &GrubCore, assets: &Assets) -> Result<Self> {
        let (directory, core) = core(bios, assets, grub::disk_image)?;
        Ok(Self { directory, core })
    }

    /// The content of the partition of `size` bytes that starts at the disk's sector `start`.
    pub(super) fn partition(&self, start: u64, size: u64) -> Result<Blob> {
        grub::bios_partition(&self.core, start, size)
            .during(|| "laying out the partition BIOS".to_owned())
    }

    /// `disk` with GRUB's code in its first sector, which starts the partition at the sector
    /// `start`.
    pub(super) fn with_boot_record(
        &self,
        disk: &Blob,
        start: u64,
        assets: &Assets,
    ) -> Result<Blob> {
        let record: [u8; 512] = disk.array(0)?;
        let record = grub::boot_record(&self.directory, start, &record)
            .map_err(|error| assets.bad_grub(&error))?;
        Ok(Blob::concat([record.to_vec().into(), disk.slice(512..disk.len())]))
    }
}

/// The partition BOOT. The kernel and the initramfs are placed, not copied.
pub(super) fn volume(
    boot: &Boot,
    kernel: Blob,
    initramfs: Blob,
    sector_size: u32,
    plan: &Plan,
) -> Result<Blob> {
    let mut tree = Tree::new();
    for (path, content, mode, directory_mode) in [
        (&boot.kernel_path, kernel, 0o644, 0o755),
        (&boot.initramfs_path, initramfs, 0o644, 0o755),
        // A command line may hold what is for no one but the machine.
        (&boot.config_path, boot.config.clone().into(), 0o600, 0o700),
    ] {
        let path = TreePath::new(path)?;
        if let Some(directory) = path.parent().filter(|directory| !directory.is_root()) {
            tree.insert(directory, Node::directory(directory_mode));
        }
        tree.insert(path, Node::file(content, mode));
    }
    let options = xfs::Options {
        size: boot.size,
        sector_size,
        label: &boot.label,
        uuid: boot.uuid.into_bytes(),
        epoch: plan.epoch,
        kernel: boot.features,
    };
    xfs::volume(&tree, &options).map_err(|error| match error.fault() {
        &Fault::TooLarge { need, have, .. } => {
            let what = format!(
                "the kernel and the initramfs need {need} bytes of the partition BOOT, which has \
                 {have} on every disk of Talos {}: {} too many: leave out extensions, or take a \
                 smaller initramfs",
                plan.talos_version,
                need.saturating_sub(have)
            );
            Error::new(ErrorKind::Assembly, what)
        }
        _ => Error::from(error).during("laying out the partition BOOT"),
    })
}

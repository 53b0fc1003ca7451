//! GRUB: its core images, its files, and the partition BOOT they stand in on a disk.

use super::{assets::Assets, uki};
use crate::{
    blob::Blob,
    error::{During, Error, ErrorKind, Result},
    formats::{
        self, Fault,
        grub::{self, Contents, Directory},
        xfs,
    },
    plan::{self, BootVolume, GrubCore, Plan},
    tree::{Node, Tree, TreePath},
};

/// Makes a core image of a directory.
pub(super) type Image = fn(&Directory, &Contents<'_>) -> formats::Result<Blob>;

/// Reads the directory a core image is made of, and makes it.
fn core(
    core: &GrubCore,
    assets: &Assets,
    image: impl Fn(&Directory, &Contents<'_>) -> formats::Result<Blob>,
) -> Result<(Directory, Blob)> {
    let directory = assets.grub(core)?;
    let modules: Vec<_> = core.modules.iter().map(String::as_str).collect();
    let contents =
        Contents { modules: &modules, prefix: &core.prefix, config: core.config.as_deref() };
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

/// GRUB for a BIOS.
#[derive(Debug)]
pub(super) struct Bios {
    directory: Directory,
    core: Blob,
}

impl Bios {
    pub(super) fn new(bios: &GrubCore, image: Image, assets: &Assets) -> Result<Self> {
        let (directory, core) = core(bios, assets, image)?;
        Ok(Self { directory, core })
    }

    /// The content of a disk's partition of `size` bytes that starts at the sector `start`.
    pub(super) fn partition(&self, start: u64, size: u64) -> Result<Blob> {
        grub::bios_partition(&self.core, start, size)
            .during(|| "laying out the partition BIOS".to_owned())
    }

    /// What a BIOS boots of an ISO, at `block` of it.
    pub(super) fn cd_image(&self, block: u32) -> Result<Blob> {
        grub::cd_image_at(&self.core, block).during(|| "laying out GRUB for a BIOS".to_owned())
    }

    /// `disk` with GRUB's code in its first sector, which starts the partition at the sector
    /// `start`.
    pub(super) fn on_disk(&self, disk: &Blob, start: u64, assets: &Assets) -> Result<Blob> {
        let record = |record: &[u8; 512]| grub::boot_record(&self.directory, start, record);
        with_boot_record(disk, record, assets)
    }

    /// `iso` with GRUB's code in its first sector, which starts what lies at `block`.
    pub(super) fn on_iso(&self, iso: &Blob, block: u32, assets: &Assets) -> Result<Blob> {
        let record = |record: &[u8; 512]| grub::hybrid_boot_record(&self.directory, block, record);
        with_boot_record(iso, record, assets)
    }
}

fn with_boot_record(
    disk: &Blob,
    record: impl Fn(&[u8; 512]) -> formats::Result<[u8; 512]>,
    assets: &Assets,
) -> Result<Blob> {
    let record = record(&disk.array(0)?).map_err(|error| assets.bad_grub(&error))?;
    Ok(Blob::concat([record.to_vec().into(), disk.slice(512..disk.len())]))
}

/// GRUB's files. The kernel and the initramfs are placed, not copied.
pub(super) fn files(grub: &plan::Grub, kernel: Blob, initramfs: Blob) -> Result<Tree> {
    let mut tree = Tree::new();
    for (path, content, mode, directory_mode) in [
        (&grub.kernel_path, kernel, 0o644, 0o755),
        (&grub.initramfs_path, initramfs, 0o644, 0o755),
        // A command line may hold what is for no one but the machine.
        (&grub.config_path, grub.config.clone().into(), 0o600, 0o700),
    ] {
        let path = TreePath::new(path)?;
        if let Some(directory) = path.parent().filter(|directory| !directory.is_root()) {
            tree.insert(directory, Node::directory(directory_mode));
        }
        tree.insert(path, Node::file(content, mode));
    }
    Ok(tree)
}

/// The partition BOOT with GRUB's files.
pub(super) fn volume(
    boot: &BootVolume,
    files: &Tree,
    sector_size: u32,
    plan: &Plan,
) -> Result<Blob> {
    let options = xfs::Options {
        size: boot.size,
        sector_size,
        label: &boot.label,
        uuid: boot.uuid.into_bytes(),
        epoch: plan.epoch,
        kernel: boot.features,
    };
    xfs::volume(files, &options).map_err(|error| match error.fault() {
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

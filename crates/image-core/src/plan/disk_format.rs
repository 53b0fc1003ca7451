//! The format of a disk's file, and what it asks of the disk's size.

use super::seed;
use crate::{
    error::{Error, ErrorKind, Result},
    formats::{self, Fault, ova::Appliance, qcow2, vhd, vmdk},
    talos::{
        appliance, grub,
        profile::{self, Bootloader, DiskImage, Target},
    },
};
use serde::Serialize;
use uuid::Uuid;

/// The format of a disk's file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase", rename_all_fields = "camelCase", tag = "name")]
pub enum DiskFormat {
    /// The disk's bytes.
    Raw,
    /// QEMU's copy-on-write format.
    Qcow2(qcow2::Options),
    /// A fixed virtual hard disk.
    Vhd {
        /// How it says how long it is.
        size: vhd::Size,
        /// Its unique identifier.
        id: Uuid,
    },
    /// A virtual appliance with a stream-optimised VMDK.
    Ova {
        /// The name of the files inside, before the dot.
        file_stem: &'static str,
        /// The controller that the VMDK names.
        adapter: &'static str,
        /// The machine around the disk.
        appliance: Appliance<'static>,
    },
}

impl DiskFormat {
    /// Whether the file is the disk.
    pub fn is_raw(&self) -> bool {
        *self == Self::Raw
    }
}

/// The format that `image` asks for, and how large the disk in it is, in bytes: what the format
/// rounds up is the disk's own, or its second partition table would not stand at its end.
///
/// # Errors
/// The format has no such options, or cannot hold the disk.
pub(super) fn decide(
    target: &Target,
    image: &DiskImage,
    subject: &str,
) -> Result<(DiskFormat, u64)> {
    let (size, options) = (image.size, image.format_options.as_str());
    let of_options = |error| refused(&format!("--disk-format-options {options:?}"), &error);
    let of_size = |error| refused(&format!("--disk-size {size}"), &error);
    Ok(match image.format {
        profile::DiskFormat::Raw => (DiskFormat::Raw, size),
        profile::DiskFormat::Qcow2 => {
            let options = qcow2::Options::parse(options).map_err(of_options)?;
            qcow2::check(size, &options).map_err(of_size)?;
            (DiskFormat::Qcow2(options), size)
        }
        profile::DiskFormat::Vhd => {
            let rule = vhd::Size::parse(options).map_err(of_options)?;
            let whole = rule.of(size).map_err(of_size)?;
            (DiskFormat::Vhd { size: rule, id: seed::uuid(subject, "vhd") }, whole)
        }
        profile::DiskFormat::Ova => {
            vmdk::check(size).map_err(of_size)?;
            let on_bios = image.bootloader != Bootloader::SdBoot
                && grub::bios_platform(target.arch).is_some();
            let format = DiskFormat::Ova {
                file_stem: appliance::FILE_STEM,
                adapter: appliance::ADAPTER,
                appliance: appliance::appliance(!on_bios),
            };
            (format, size)
        }
    })
}

/// What was asked for, here by the name of its flag, has no form.
fn refused(asked: &str, error: &formats::Error) -> Error {
    let kind = match error.fault() {
        Fault::Unsupported(_) => ErrorKind::Unsupported,
        _ => ErrorKind::Input,
    };
    Error::new(kind, format!("{asked}: {error}"))
}

/// What of the request may disappoint in a file of this format.
pub(super) fn warnings(image: &DiskImage, asked_options: &str) -> Vec<String> {
    let DiskImage { format, sector_size, .. } = image;
    let optionless = matches!(format, profile::DiskFormat::Raw | profile::DiskFormat::Ova);
    let unused = (optionless && !asked_options.is_empty())
        .then(|| format!("disk format {format} has no options: {asked_options:?} changes nothing"));
    let sectors = (*format != profile::DiskFormat::Raw && *sector_size != 512).then(|| {
        format!(
            "a machine gives a disk in the format {format} sectors of 512 bytes unless it is told otherwise, and \
             does not boot it then: this one is laid out for sectors of {sector_size}"
        )
    });
    unused.into_iter().chain(sectors).collect()
}

//! The built-in profiles.

use super::{
    DiskFormat, EnrollKeys, ImageOptions, IsoOptions, OutFormat, OutputKind, OutputOptions, Profile,
};
use crate::{
    nearest::nearest,
    talos::{Error, Platform, Result, partitions::MIB},
};

/// What the partitions of versions before 1.11 need.
const SMALL: u64 = 1246 * MIB;
/// What clouds expect.
const LARGE: u64 = 8192 * MIB;
/// What Exoscale expects.
const HUGE: u64 = 10240 * MIB;

enum Made {
    Iso,
    Uki,
    Installer,
    /// Size and sector size in bytes (0: the default), format and its options.
    Disk(u64, u32, DiskFormat, &'static str),
}

const fn raw(size: u64) -> Made {
    Made::Disk(size, 0, DiskFormat::Raw, "")
}

const fn qcow2(size: u64) -> Made {
    Made::Disk(size, 0, DiskFormat::Qcow2, "cluster_size=8k")
}

const VHD: Made = Made::Disk(LARGE, 0, DiskFormat::Vhd, "subformat=fixed,force_size");
const OVA: Made = Made::Disk(LARGE, 0, DiskFormat::Ova, "");
const RAW_4K: Made = Made::Disk(SMALL, 4096, DiskFormat::Raw, "");

/// Name, platform, Secure Boot, what is made, how it is packed. Sorted by name.
const BASES: &[(&str, Platform, bool, Made, OutFormat)] = &[
    ("akamai", Platform::Akamai, false, raw(SMALL), OutFormat::Gz),
    ("alibabacloud", Platform::AlibabaCloud, false, qcow2(SMALL), OutFormat::Raw),
    ("aws", Platform::Aws, false, raw(LARGE), OutFormat::Zst),
    ("azure", Platform::Azure, false, VHD, OutFormat::Zst),
    ("cloudstack", Platform::CloudStack, false, raw(LARGE), OutFormat::Zst),
    ("digital-ocean", Platform::DigitalOcean, false, raw(LARGE), OutFormat::Gz),
    ("exoscale", Platform::Exoscale, false, qcow2(HUGE), OutFormat::Zst),
    ("gcp", Platform::Gcp, false, raw(LARGE), OutFormat::TarGz),
    ("hcloud", Platform::Hcloud, false, raw(SMALL), OutFormat::Zst),
    ("installer", Platform::Metal, false, Made::Installer, OutFormat::Raw),
    ("iso", Platform::Metal, false, Made::Iso, OutFormat::Raw),
    ("metal", Platform::Metal, false, raw(SMALL), OutFormat::Zst),
    ("metal-4k", Platform::Metal, false, RAW_4K, OutFormat::Zst),
    ("metal-uki", Platform::Metal, false, Made::Uki, OutFormat::Raw),
    ("nocloud", Platform::NoCloud, false, raw(SMALL), OutFormat::Zst),
    ("opennebula", Platform::OpenNebula, false, raw(SMALL), OutFormat::Zst),
    ("openstack", Platform::OpenStack, false, raw(SMALL), OutFormat::Zst),
    ("oracle", Platform::Oracle, false, qcow2(LARGE), OutFormat::Zst),
    ("scaleway", Platform::Scaleway, false, raw(SMALL), OutFormat::Zst),
    ("secureboot-azure", Platform::Azure, true, VHD, OutFormat::Zst),
    ("secureboot-cloudstack", Platform::CloudStack, true, raw(LARGE), OutFormat::Zst),
    ("secureboot-installer", Platform::Metal, true, Made::Installer, OutFormat::Raw),
    ("secureboot-iso", Platform::Metal, true, Made::Iso, OutFormat::Raw),
    ("secureboot-metal", Platform::Metal, true, raw(SMALL), OutFormat::Zst),
    ("secureboot-metal-uki", Platform::Metal, true, Made::Uki, OutFormat::Raw),
    ("secureboot-nocloud", Platform::NoCloud, true, raw(SMALL), OutFormat::Zst),
    ("secureboot-opennebula", Platform::OpenNebula, true, raw(SMALL), OutFormat::Zst),
    ("secureboot-openstack", Platform::OpenStack, true, raw(SMALL), OutFormat::Zst),
    ("secureboot-vmware", Platform::VMware, true, OVA, OutFormat::Raw),
    ("upcloud", Platform::UpCloud, false, raw(LARGE), OutFormat::Zst),
    ("vmware", Platform::VMware, false, OVA, OutFormat::Raw),
    ("vultr", Platform::Vultr, false, raw(LARGE), OutFormat::Zst),
];

pub(super) fn names() -> impl Iterator<Item = &'static str> {
    BASES.iter().map(|base| base.0)
}

pub(super) fn find(name: &str) -> Result<Profile> {
    let Some((_, platform, secure_boot, made, packing)) = BASES.iter().find(|base| base.0 == name)
    else {
        return Err(Error::input(match nearest(name, names()) {
            Some(meant) => format!("there is no base profile {name:?}: did you mean {meant:?}?"),
            None => format!(
                "there is no base profile {name:?}: one of {}",
                names().collect::<Vec<_>>().join(", ")
            ),
        }));
    };
    let mut output = OutputOptions { out_format: Some(*packing), ..OutputOptions::default() };
    output.kind = Some(match made {
        Made::Uki => OutputKind::Uki,
        Made::Installer => OutputKind::Installer,
        Made::Iso => {
            let enroll_keys = Some(EnrollKeys::IfSafe);
            output.iso_options =
                secure_boot.then_some(IsoOptions { enroll_keys, bootloader: None });
            OutputKind::Iso
        }
        Made::Disk(size, sector, format, options) => {
            output.image_options = Some(ImageOptions {
                disk_size: *size,
                disk_format: Some(*format),
                disk_format_options: (*options).to_owned(),
                disk_sector_size: *sector,
                ..ImageOptions::default()
            });
            OutputKind::Image
        }
    });
    Ok(Profile {
        platform: Some(*platform),
        secure_boot: Some(*secure_boot),
        output,
        ..Profile::default()
    })
}

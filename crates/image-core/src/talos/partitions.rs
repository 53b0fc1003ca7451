//! The partitions of a Talos disk.

use super::{Quirk, TalosVersion, profile::Bootloader};
use sha2::{Digest as _, Sha256};
use uuid::{Uuid, uuid};

/// Bytes in a mebibyte; partitions start and end on one.
pub const MIB: u64 = 1 << 20;

/// What names a Talos disk: its GUID is made of this.
const DISK: &str = "talos-image-disk";

/// A partition. Its name is what Talos finds it by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Partition {
    /// The EFI system partition: systemd-boot and unified kernel images, or GRUB.
    Efi,
    /// GRUB's core image, for BIOS.
    Bios,
    /// GRUB's configuration, kernels and initramfs.
    Boot,
    /// META values.
    Meta,
    /// The machine's configuration and identity; made at first boot from 1.8 on.
    State,
    /// What pods and etcd write; made at first boot from 1.8 on.
    Ephemeral,
    /// Container images carried along.
    ImageCache,
}

impl Partition {
    /// The name in the partition table, and the label of the file system in it.
    pub fn label(self) -> &'static str {
        match self {
            Self::Efi => "EFI",
            Self::Bios => "BIOS",
            Self::Boot => "BOOT",
            Self::Meta => "META",
            Self::State => "STATE",
            Self::Ephemeral => "EPHEMERAL",
            Self::ImageCache => "IMAGECACHE",
        }
    }

    /// The partition type GUID (UEFI 2.10, 5.3.3; Discoverable Partitions Specification).
    pub fn type_guid(self) -> Uuid {
        match self {
            Self::Efi => uuid!("c12a7328-f81f-11d2-ba4b-00a0c93ec93b"),
            Self::Bios => uuid!("21686148-6449-6e6f-744e-656564454649"),
            Self::Boot | Self::Meta | Self::State | Self::Ephemeral | Self::ImageCache => {
                uuid!("0fc63daf-8483-4772-8e79-3d69d8477de4")
            }
        }
    }

    /// The unique partition GUID, the same on every disk; also the UUID of its file system.
    pub fn guid(self) -> Uuid {
        guid(self.label())
    }

    /// The attribute bits (UEFI 2.10, 5.3.3): BIOS is legacy BIOS bootable.
    pub fn attributes(self) -> u64 {
        if self == Self::Bios { 1 << 2 } else { 0 }
    }
}

/// The disk GUID, the same on every disk.
pub fn disk_guid() -> Uuid {
    guid(DISK)
}

/// A UUID of version 8 (RFC 9562, 5.8): the nil UUID and the label, hashed by SHA-256.
fn guid(label: &str) -> Uuid {
    let hash = Sha256::new().chain_update(Uuid::nil()).chain_update(label).finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

/// How large the partitions are, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// BOOT.
    pub boot: u64,
}

impl Sizes {
    /// BIOS.
    pub const BIOS: u64 = MIB;
    /// META.
    pub const META: u64 = MIB;
    /// STATE.
    pub const STATE: u64 = 100 * MIB;
    /// EFI, where it holds only GRUB.
    pub const GRUB_EFI: u64 = 100 * MIB;

    /// The sizes this version has.
    pub fn of(version: &TalosVersion) -> Self {
        Self { boot: if version.has(Quirk::LargeBoot) { 2000 * MIB } else { 1000 * MIB } }
    }

    /// EFI, where it holds unified kernel images: as large as the three partitions it stands for.
    pub fn uki_efi(self) -> u64 {
        Self::GRUB_EFI + Self::BIOS + self.boot
    }

    /// The size of a disk for which a profile says `asked`: profiles count with a BOOT of 1000
    /// MiB and with one bootloader. None if it is over all bounds.
    pub fn grown(self, asked: u64, bootloader: Bootloader) -> Option<u64> {
        let second = match bootloader {
            Bootloader::DualBoot => Self::BIOS + self.boot,
            Bootloader::SdBoot | Bootloader::Grub => 0,
        };
        asked.checked_add(self.boot - 1000 * MIB)?.checked_add(second)
    }
}

/// The partitions of a disk image in their order, each with its size in bytes; none for one that
/// takes what is left. IMAGECACHE, as large as its content, would come last.
pub fn layout(version: &TalosVersion, bootloader: Bootloader) -> Vec<(Partition, Option<u64>)> {
    let sizes = Sizes::of(version);
    let efi = match bootloader {
        Bootloader::SdBoot | Bootloader::DualBoot => sizes.uki_efi(),
        Bootloader::Grub => Sizes::GRUB_EFI,
    };
    let mut layout = vec![(Partition::Efi, Some(efi))];
    if bootloader != Bootloader::SdBoot {
        layout.push((Partition::Bios, Some(Sizes::BIOS)));
        layout.push((Partition::Boot, Some(sizes.boot)));
    }
    layout.push((Partition::Meta, Some(Sizes::META)));
    if !version.has(Quirk::NoDataPartitions) {
        layout.push((Partition::State, Some(Sizes::STATE)));
        layout.push((Partition::Ephemeral, None));
    }
    layout
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guids() {
        for (guid, expected) in [
            (disk_guid(), "d92d45b3-cde9-8760-be9f-a2a71fac8d11"),
            (Partition::Efi.guid(), "bca5174b-0118-8a6a-af0b-2c6e1585acae"),
            (Partition::Bios.guid(), "a2a02ff5-d88d-8e6e-9c95-26b9b6c80bc3"),
            (Partition::Boot.guid(), "24c73076-4092-85dd-9d98-686a2dbf6d81"),
            (Partition::Meta.guid(), "cf04f137-101e-8ec6-9627-fa3f51cdabb8"),
            (Partition::State.guid(), "f7f88648-df7c-8acb-b4d2-6f124659d923"),
            (Partition::Ephemeral.guid(), "c5e02400-0e5e-80bc-99ec-53b3e45ad6c4"),
            (Partition::ImageCache.guid(), "3b5449bc-c21f-8009-8b51-18945967f8df"),
        ] {
            assert_eq!(guid.to_string(), expected);
        }
    }

    #[test]
    fn layouts() {
        let mib = |version: &str, bootloader| {
            layout(&version.parse().unwrap(), bootloader)
                .into_iter()
                .map(|(partition, size)| (partition.label(), size.map(|size| size / MIB)))
                .collect::<Vec<_>>()
        };
        let (efi, meta) = (("EFI", Some(2101)), ("META", Some(1)));
        let (bios, boot) = (("BIOS", Some(1)), ("BOOT", Some(2000)));
        assert_eq!(mib("1.11.0", Bootloader::SdBoot), [efi, meta]);
        assert_eq!(mib("1.11.0", Bootloader::DualBoot), [efi, bios, boot, meta]);
        assert_eq!(mib("1.10.0", Bootloader::SdBoot), [("EFI", Some(1101)), meta]);
        let data = [("STATE", Some(100)), ("EPHEMERAL", None)];
        let old = [("EFI", Some(100)), bios, ("BOOT", Some(1000)), meta];
        assert_eq!(mib("1.7.0", Bootloader::Grub), [&old[..], &data].concat());
    }
}

//! The partitions of a Talos disk.

use super::{Quirk, TalosVersion, profile::Bootloader};

/// Bytes in a mebibyte.
pub const MIB: u64 = 1 << 20;

/// How large the partitions are, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// BOOT, with GRUB's kernel and initramfs.
    pub boot: u64,
}

impl Sizes {
    /// The sizes this version has.
    pub fn of(version: &TalosVersion) -> Self {
        Self { boot: if version.has(Quirk::LargeBoot) { 2000 * MIB } else { 1000 * MIB } }
    }

    /// BIOS, with GRUB's core image.
    pub const BIOS: u64 = MIB;
    /// META.
    pub const META: u64 = MIB;
    /// STATE, of versions before 1.8.
    pub const STATE: u64 = 100 * MIB;
    /// EFI, where GRUB starts Talos.
    pub const GRUB_EFI: u64 = 100 * MIB;

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

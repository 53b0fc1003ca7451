//! The EFI system partition of a Talos disk or ISO: which files, under which names.

use super::{Arch, TalosVersion, partitions::MIB, profile::EnrollKeys};

/// The volume label.
pub const LABEL: &str = "EFI";
/// The configuration of systemd-boot, loader.conf(5).
pub const LOADER_CONF: &str = "loader/loader.conf";
/// The random seed of systemd-boot. An ISO has one, [`RANDOM_SEED_LEN`] zeros, read-only:
/// without it systemd-boot 261 writes one, and on a medium that cannot be written to some
/// firmware dies of it.
pub const RANDOM_SEED: &str = "loader/random-seed";
/// Bytes of [`RANDOM_SEED`].
pub const RANDOM_SEED_LEN: u64 = 32;
/// The certificate the unified kernel image is signed for, in DER; on a Secure Boot ISO.
pub const SIGNING_CERTIFICATE: &str = "EFI/keys/uki-signing-cert.der";

/// The program firmware starts on a disk. Talos looks for it as `EFI/boot/BOOT*.efi`.
pub fn disk_boot_path(arch: Arch) -> String {
    format!("EFI/boot/{}.efi", arch.efi_boot_stem())
}

/// The program firmware starts on an ISO.
pub fn iso_boot_path(arch: Arch) -> String {
    format!("EFI/BOOT/{}.EFI", arch.efi_boot_stem())
}

/// The unified kernel image. Talos looks for it as `EFI/Linux/Talos-*.efi`.
pub fn uki_path(version: &TalosVersion) -> String {
    format!("EFI/Linux/Talos-{version}.efi")
}

/// Where systemd-boot looks for a key to enrol: `PK`, `KEK` or `db`.
pub fn enrolment_path(variable: &str) -> String {
    format!("loader/keys/auto/{variable}.auth")
}

/// loader.conf: how long the menu stays, in seconds, and when keys are enrolled. An ISO always
/// says so, `off` if it is not signed; a disk only if it carries keys.
pub fn loader_conf(enroll_keys: Option<EnrollKeys>) -> String {
    match enroll_keys {
        None => "timeout 10\n".to_owned(),
        Some(when) => format!("timeout 10\nsecure-boot-enroll {when}\n"),
    }
}

/// Bytes of an ISO's EFI system partition with these files: each rounded up to a mebibyte, and
/// 10 MiB more. None if it is over all bounds.
pub fn iso_size(files: impl IntoIterator<Item = u64>) -> Option<u64> {
    files
        .into_iter()
        .try_fold(10 * MIB, |sum, file| sum.checked_add(file.checked_next_multiple_of(MIB)?))
}

/// Sectors of 512 bytes in a cluster of an ISO's EFI system partition of `size` bytes: the
/// largest power of two up to 8 that leaves room for the clusters FAT32 needs at least. Firmware
/// follows the chain of clusters on every boot, which takes its time on slow media.
pub fn iso_cluster_sectors(size: u64) -> u8 {
    /// FAT32 needs 65525; the rest stands for the reserved sectors and the tables.
    const CLUSTERS: u64 = 65525 + 2048;
    [8, 4, 2].into_iter().find(|&sectors| size / 512 / u64::from(sectors) >= CLUSTERS).unwrap_or(1)
}

/// An ISO's volume set identifier, which names the version.
pub fn iso_volume_set_id(version: &TalosVersion) -> String {
    format!("Talos-{version}")
}

/// An ISO's volume identifier: as [`iso_volume_set_id`], in the letters ISO 9660 allows, 32 at
/// most. Talos finds its image cache by the first six, `TALOS_`.
pub fn iso_volume_id(version: &TalosVersion) -> String {
    iso_volume_set_id(version)
        .to_uppercase()
        .chars()
        .filter_map(|letter| match letter {
            'A'..='Z' | '0'..='9' => Some(letter),
            '-' | '.' => Some('_'),
            _ => None,
        })
        .take(32)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn iso() {
        for (version, id) in [
            ("1.11.0", "TALOS_V1_11_0"),
            ("1.12.0-alpha.1-34-gabcdef-dirty", "TALOS_V1_12_0_ALPHA_1_34_GABCDEF"),
            ("1.11.0+b", "TALOS_V1_11_0B"),
        ] {
            assert_eq!(iso_volume_id(&version.parse().unwrap()), id);
        }
        assert_eq!(iso_size([1, MIB, MIB + 1]), Some(14 * MIB));
        assert_eq!(iso_size([u64::MAX]), None);
        let clusters =
            [33, 65, 66, 131, 132, 263, 264, 2000].map(|mib| iso_cluster_sectors(mib * MIB));
        assert_eq!(clusters, [1, 1, 2, 2, 4, 4, 8, 8]);
    }
}

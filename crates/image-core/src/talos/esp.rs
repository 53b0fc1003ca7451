//! The EFI system partition of a Talos disk or ISO: which files, under which names.

use super::{Arch, TalosVersion, profile::EnrollKeys};
use crate::formats::efi_variable::Variable;

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

/// The variable that a file is a signed order to set, by its path: `loader/keys/NAME/PK.auth` and
/// so on, in letters of either case. systemd-boot offers every `NAME` in its menu.
pub fn variable_at(path: &str) -> Option<Variable> {
    use Variable::{Database, ForbiddenDatabase, KeyExchangeKey, PlatformKey};
    let path = path.to_ascii_lowercase();
    let (_, file) = path.strip_prefix("loader/keys/")?.split_once('/')?;
    let name = file.strip_suffix(".auth")?;
    let all = [PlatformKey, KeyExchangeKey, Database, ForbiddenDatabase];
    all.into_iter().find(|variable| variable.name().eq_ignore_ascii_case(name))
}

/// loader.conf: how long the menu stays, in seconds, and when keys are enrolled. An ISO always
/// says so, `off` if it is not signed; a disk only if it carries keys.
pub fn loader_conf(enroll_keys: Option<EnrollKeys>) -> String {
    match enroll_keys {
        None => "timeout 10\n".to_owned(),
        Some(when) => format!("timeout 10\nsecure-boot-enroll {when}\n"),
    }
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
    fn keys_to_enrol_are_known_by_their_paths() {
        assert_eq!(variable_at(&enrolment_path("db")), Some(Variable::Database));
        assert_eq!(variable_at("LOADER/KEYS/MINE/PK.AUTH"), Some(Variable::PlatformKey));
        for other in ["loader/keys/db.auth", "loader/keys/auto/db.esl", "keys/auto/db.auth"] {
            assert_eq!(variable_at(other), None, "{other}");
        }
    }

    #[test]
    fn iso() {
        for (version, id) in [
            ("1.11.0", "TALOS_V1_11_0"),
            ("1.12.0-alpha.1-34-gabcdef-dirty", "TALOS_V1_12_0_ALPHA_1_34_GABCDEF"),
            ("1.11.0+b", "TALOS_V1_11_0B"),
        ] {
            assert_eq!(iso_volume_id(&version.parse().unwrap()), id);
        }
    }
}

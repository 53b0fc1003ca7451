//! An ISO, and what boots it.

use super::{
    Boot, Iso,
    boot::{Medium, Parts},
    seed,
};
use crate::talos::{
    esp, grub,
    profile::{self, EnrollKeys},
};

/// The ISO `asked` for; names and numbers are `subject`'s.
pub(super) fn iso(parts: Parts<'_>, asked: &profile::Iso, subject: &str) -> Iso {
    let version = &parts.target.version;
    let marker = grub::marker(seed::uuid(subject, "iso marker"));
    let when = parts.signing.as_ref().map(|_| asked.enroll_keys);
    let medium = Medium {
        boot_path: esp::iso_boot_path(parts.target.arch),
        loader_conf: esp::loader_conf(Some(when.unwrap_or(EnrollKeys::Off))),
        secure_boot: parts
            .signing
            .as_ref()
            .map(|signing| signing.of_esp(when, Some(esp::SIGNING_CERTIFICATE))),
        random_seed: true,
        volume_id: seed::volume_id(subject, "esp"),
        esp_size: None,
        files: &grub::ISO,
        grub_config: grub::iso_config(version, parts.arguments),
        efi_config: Some(grub::find_iso(&marker)),
    };
    let (volume_id, volume_set_id) = (esp::iso_volume_id(version), esp::iso_volume_set_id(version));
    let boot = parts.boot(asked.bootloader, medium);
    Iso {
        marker_path: matches!(boot, Boot::Grub { .. }).then_some(marker),
        boot,
        volume_id,
        volume_set_id,
        disk_guid: seed::uuid(subject, "iso disk"),
        esp_guid: seed::uuid(subject, "iso esp"),
        volume_guid: seed::uuid(subject, "iso volume"),
    }
}

//! The identifiers a plan gives out. Each follows from the plan and the role it plays, so the
//! same request always gives the same, and two roles never share one.

use crate::blob::Digest;
use uuid::Uuid;

/// A UUID of version 8 (RFC 9562, 5.8) for `role` under `subject`.
pub(super) fn uuid(subject: &str, role: &str) -> Uuid {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest(subject, role).as_bytes()[..16]);
    Uuid::new_v8(bytes)
}

/// A FAT volume serial number for `role` under `subject`.
pub(super) fn volume_id(subject: &str, role: &str) -> u32 {
    let digest = digest(subject, role);
    let [a, b, c, d, ..] = *digest.as_bytes();
    u32::from_le_bytes([a, b, c, d])
}

fn digest(subject: &str, role: &str) -> Digest {
    Digest::of(format!("{role}\n{subject}").as_bytes())
}

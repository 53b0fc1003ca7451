//! What Talos extends PCR 11 by while it boots, one word after another.

/// All of them, in their order. A disk is unsealed after the last: only what the register holds
/// then is signed.
pub const ALL: [&str; 3] = ["enter-initrd", "leave-initrd", "enter-machined"];

//! File formats, one noun a file, each by its public specification. Nothing here knows Talos.

pub(crate) mod base64;
pub(crate) mod calendar;
mod clusters;
mod deflate;
mod der;
mod error;
mod format_options;
mod pipeline;
#[cfg(test)]
mod sample;
mod signed_data;

pub mod authenticode;
pub mod certificate;
pub mod cmdline;
pub mod compress;
pub mod cpio;
pub mod depmod;
pub mod efi_variable;
pub mod fat;
pub mod gpt;
pub mod grub;
pub mod initramfs;
pub mod iso9660;
pub mod kernel_module;
pub mod linux;
pub mod mbr;
pub mod microcode;
pub mod oci;
pub mod os_release;
pub mod ova;
pub mod pcr;
pub mod pe;
pub mod qcow2;
pub mod squashfs;
pub mod tar;
pub mod uki;
pub mod vhd;
pub mod vmdk;
pub mod xfs;

pub use error::{Error, Fault, Result};

//! Talos Linux boot media, assembled offline: the ISO, the disk image, the UKI, the initramfs that
//! a machine boots from, out of OCI artifacts at hand.
//!
//! ```text
//!  Profile ──resolve──▶ Inputs ──Plan::new──▶ Plan ──execute──▶ Artifact ──persist──▶ a file
//!  what is asked        pinned by digest     plain data        name + Blob           or a stream
//! ```
//!
//! Everything is a [`Blob`](blob::Blob), immutable bytes described but not yet read, or a
//! [`Tree`](tree::Tree), a file tree as a value. An image is laid out first and written once.
//! Nothing here opens a socket, starts a program, reads a clock or prints.
//!
//! ```
//! use image_core::{assemble, blob::Scratch, events::Silent, plan, talos::Profile};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let dir = tempfile::tempdir()?;
//! # let out = dir.path();
//! # let version = "v1.11.0".parse()?;
//! # let sources = image_core::fake::sources(&version)?;
//! // In earnest: `Set::new(vec![sources::open("oci:/srv/mirror")?])`.
//! let profile = Profile::from_yaml(
//!     "baseProfileName: iso\narch: amd64\nversion: v1.11.0\n\
//!      output: {isoOptions: {bootloader: sd-boot}}\n\
//!      input: {systemExtensions: [{imageRef: 'siderolabs/intel-ucode:20251111'}]}",
//! )?;
//! let choices = plan::Choices::default();
//! let plan = plan::Plan::new(plan::resolve(&profile, &choices, &sources)?, &choices)?;
//! let scratch = Scratch::new(out);
//! let threads = std::num::NonZeroUsize::MIN;
//! let context = assemble::Context { sources: &sources, scratch: &scratch, threads, observer: &Silent };
//! let iso = assemble::execute(&plan, &context)?;
//! iso.blob.persist(&out.join(&iso.file_name), &mut |_| ())?;
//! # assert!(out.join("metal-amd64.iso").exists());
//! # Ok(())
//! # }
//! ```

pub mod assemble;
pub mod blob;
pub mod error;
pub mod events;
pub mod examine;
#[cfg(any(test, feature = "fake"))]
pub mod fake;
pub mod formats;
pub mod nearest;
pub mod plan;
pub mod signature;
pub mod signers;
pub mod sources;
pub mod talos;
pub mod tree;

//! The way back: opens any medium and says what is in it.

pub mod report;

use crate::{blob::Blob, error::Result};

/// Says what `file` is and what is in it. Reads all of it, once for the digests and once to
/// look inside; memory does not grow with its size.
///
/// # Errors
/// It is none of the media this crate writes, or it is damaged: where and how.
pub fn inspect(file: &Blob) -> Result<report::Report> {
    let _ = file;
    Err(crate::error::Error::new(crate::error::ErrorKind::Unsupported, "not written yet"))
}

/// A named piece of a medium, for extraction.
#[derive(Clone, Debug)]
pub struct Part {
    /// Slash-separated name: `kernel`, `initramfs`, `cmdline`, `uki`, `esp/EFI/Linux/…`.
    pub name: String,
    /// Its bytes.
    pub blob: Blob,
}

/// Every piece of a medium that can be extracted.
///
/// # Errors
/// As [`inspect`].
pub fn parts(file: &Blob) -> Result<Vec<Part>> {
    let _ = file;
    Err(crate::error::Error::new(crate::error::ErrorKind::Unsupported, "not written yet"))
}

//! The way back: opens any medium and says what is in it.
//!
//! [`Medium::open`] tells what a file is and reads its structure; [`inspect`] and [`describe`]
//! say what is in it as plain data, [`measured`] says what a TPM holds after it booted, [`verify`]
//! whether firmware starts it, [`parts`] gives its pieces. Nothing is unpacked; pieces are ranges
//! of the file, but for those of virtual disks that are compressed.

mod identify;
mod initramfs;
mod measured;
mod parts;
pub mod report;
mod signatures;
mod uki;
mod verified;
mod virtual_disk;
mod volume;

pub use identify::Medium;
pub use measured::measured;
pub use parts::{Part, Parts, parts};
pub use verified::{Trust, own_database, verify};

use crate::{
    blob::{Blob, Scratch},
    error::{During, Result},
};
use report::Report;

/// Says what `file` is and what is in it. Reads all of it, for the digests and to look inside;
/// memory does not grow with its size. A virtual machine's disk is shown as the machine sees it;
/// what of it is compressed waits in `scratch`.
///
/// # Errors
/// It is none of the media this crate writes, or it is damaged where its structure begins: where
/// and how. What is damaged inside a disk or an ISO is among its flaws.
pub fn inspect(file: &Blob, scratch: &Scratch) -> Result<Report> {
    let (container, raw) = virtual_disk::open(file, scratch)?;
    let mut medium = named(container.as_ref(), describe(&raw))?;
    let mut signatures = None;
    if let report::Medium::Uki(uki) = &mut medium {
        let found = volume::sound(signatures::of_program(file), &mut uki.flaws)?;
        signatures = found.map(|(found, wrong)| {
            uki.flaws.extend(wrong);
            found
        });
    }
    Ok(Report { size: file.len(), digest: file.digest()?, container, signatures, medium })
}

/// The same of a medium as it stands, in no virtual disk, and without the digest of the whole,
/// which for a disk is mostly one of nothing, and without the signatures of an image that is no
/// file of a medium.
///
/// # Errors
/// As [`inspect`].
pub fn describe(file: &Blob) -> Result<report::Medium> {
    Ok(match Medium::open(file)? {
        Medium::Disk(disk) => report::Medium::Disk(volume::disk(file, &disk)?),
        Medium::Iso(iso) => report::Medium::Iso(volume::iso(file, &iso)?),
        Medium::Uki(contents) => report::Medium::Uki(Box::new(uki::describe(&contents)?)),
        Medium::Kernel(kernel) => report::Medium::Kernel(uki::kernel(&kernel, file.len())),
        Medium::Initramfs => report::Medium::Initramfs(initramfs::describe(file)?),
        Medium::Cmdline(cmdline) => report::Medium::Cmdline { cmdline },
    })
}

/// What was seen of a medium; an error says what it stands in.
fn named<T>(container: Option<&report::Container>, seen: Result<T>) -> Result<T> {
    match container {
        None => seen,
        Some(it) => seen.during(|| format!("what is in the {}", it.format)),
    }
}

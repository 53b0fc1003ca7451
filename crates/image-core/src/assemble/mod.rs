//! Carrying a plan out. What comes back is a name and a [`Blob`]: laid out, not yet written.

mod assets;
mod boot;
mod disk;
mod esp;
mod extensions;
mod grub;
mod initramfs;
mod installer;
mod iso;
mod modules;
mod packing;
mod secure_boot;
mod uki;
mod virtual_disk;

use crate::{
    blob::{Blob, Scratch},
    error::Result,
    events::{Event, Observer},
    formats::certificate::Certificate,
    plan::{Output, Plan},
    signature::Signer,
    sources::Set,
};
use assets::Assets;
use std::num::NonZeroUsize;

/// What carrying out is given from outside.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// Where the images of the plan are.
    pub sources: &'a Set,
    /// Where bytes wait that had to be decompressed or compressed.
    pub scratch: &'a Scratch,
    /// How many threads compress. No byte depends on it.
    pub threads: NonZeroUsize,
    /// Hears how far it is.
    pub observer: &'a dyn Observer,
    /// Who signs what the plan has signed.
    pub signers: Signers<'a>,
}

/// Who signs. The keys themselves stay with them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Signers<'a> {
    /// Signs what PCR 11 will hold.
    pub pcr: Option<&'a dyn Signer>,
    /// Signs systemd-boot, the unified kernel image, and the orders to enrol its certificate.
    pub uki: Option<UkiSigner<'a>>,
}

/// A signer, and the certificate for its key.
#[derive(Clone, Copy, Debug)]
pub struct UkiSigner<'a> {
    /// Goes with every signature.
    pub certificate: &'a Certificate,
    /// Has the key.
    pub signer: &'a dyn Signer,
}

/// What was made: a name, and bytes that are not written anywhere yet.
#[derive(Clone, Debug)]
pub struct Artifact {
    /// The file name.
    pub file_name: String,
    /// The bytes. They read from the inputs and from scratch space while they are written.
    pub blob: Blob,
}

/// Makes what `plan` says.
///
/// # Errors
/// An input is damaged or is not what it should be, something does not fit, or reading or
/// writing failed: what, where, and how to mend it. [`Awaited`](crate::error::ErrorKind::Awaited)
/// if a signature is made elsewhere; by then all were asked for that can be.
pub fn execute(plan: &Plan, cx: &Context<'_>) -> Result<Artifact> {
    for message in &plan.warnings {
        cx.observer.on(&Event::Warning { subject: &plan.file_name, message });
    }
    let assets = Assets::gather(plan, cx)?;
    let blob = match &plan.output {
        Output::Kernel(kernel) => assets.kernel(kernel)?.0,
        Output::Cmdline(cmdline) => cmdline.clone().into(),
        Output::Initramfs(initramfs) => initramfs::assemble(initramfs, plan, &assets, cx)?,
        Output::Uki(uki) => uki::assemble(uki, 1, plan, &assets, cx)?.blob,
        Output::Iso(iso) => iso::assemble(iso, plan, &assets, cx)?,
        Output::Installer(installer) => installer::assemble(installer, plan, &assets, cx)?,
        Output::Disk(disk) => {
            let raw = disk::assemble(disk, plan, &assets, cx)?;
            virtual_disk::file(raw, &disk.format, plan, cx)?
        }
    };
    let blob = match &plan.packing {
        Some(packing) => packing::pack(packing, plan, blob, cx)?,
        None => blob,
    };
    Ok(Artifact { file_name: plan.file_name.clone(), blob })
}

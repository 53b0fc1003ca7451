//! A disk as the file a virtual machine takes.

use super::Context;
use crate::{
    blob::{Blob, Spool},
    error::Result,
    events::{Event, Step},
    formats::{ova, qcow2, vhd, vmdk},
    plan::{DiskFormat, Plan},
};

/// `disk` in the format `format`.
pub(super) fn file(disk: Blob, format: &DiskFormat, plan: &Plan, cx: &Context<'_>) -> Result<Blob> {
    match format {
        DiskFormat::Raw => Ok(disk),
        DiskFormat::Qcow2(options) => {
            let mut spool = Spool::new(cx.scratch);
            if options.compression.is_none() {
                return Ok(qcow2::image(&disk, options, &mut spool, 1, &mut |_| ())?);
            }
            let threads = cx.threads.get();
            observed(&disk, plan, cx, |on_bytes| {
                Ok(qcow2::image(&disk, options, &mut spool, threads, on_bytes)?)
            })
        }
        DiskFormat::Vhd { size, id } => {
            Ok(vhd::image(&disk, &vhd::Options { size: *size, id: *id, epoch: plan.epoch })?)
        }
        DiskFormat::Ova { file_stem, adapter, appliance } => {
            let name = format!("{file_stem}.vmdk");
            let options = vmdk::Options { name: &name, adapter, threads: cx.threads.get() };
            let vmdk = observed(&disk, plan, cx, |on_bytes| {
                Ok(vmdk::image(&disk, &options, &mut Spool::new(cx.scratch), on_bytes)?)
            })?;
            Ok(ova::archive(&ova::Package {
                name: file_stem,
                disk: &vmdk,
                capacity: disk.len(),
                appliance,
                epoch: plan.epoch,
            })?)
        }
    }
}

/// Tells how far `work` on `disk` is.
fn observed(
    disk: &Blob,
    plan: &Plan,
    cx: &Context<'_>,
    work: impl FnOnce(&mut dyn FnMut(u64)) -> Result<Blob>,
) -> Result<Blob> {
    let (step, subject) = (Step::VirtualDisk, plan.file_name.as_str());
    cx.observer.on(&Event::Started { step, subject, total: Some(disk.len()) });
    let done = work(&mut |bytes| cx.observer.on(&Event::Advanced { step, subject, bytes }))?;
    cx.observer.on(&Event::Finished { step, subject });
    Ok(done)
}

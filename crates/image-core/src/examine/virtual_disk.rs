//! Disks of virtual machines: what a machine sees of them is looked at.

use super::report::Container;
use crate::{
    blob::{Blob, Scratch, Spool},
    error::Result,
    formats::{ova, qcow2, vhd, vmdk},
};

/// What is compressed may become so many times as long as the file, within these bounds in bytes:
/// it is kept, and a small file must not fill the machine's disk.
const GROWTH: u64 = 32;
const LIMITS: (u64, u64) = (1 << 30, 64 << 30);

/// The raw disk in `file`, if it is a virtual machine's, and what it is in; else `file` itself.
/// What has to be decompressed is kept in `scratch`.
pub(super) fn open(file: &Blob, scratch: &Scratch) -> Result<(Option<Container>, Blob)> {
    let head = file.slice(0..512).to_vec(512)?;
    let mut spool = Spool::new(scratch);
    let limit = file.len().saturating_mul(GROWTH).clamp(LIMITS.0, LIMITS.1);
    let (format, cluster_size, disk) = if qcow2::is_image(&head) {
        ("qcow2", Some(qcow2::cluster_size(file)?), qcow2::read(file, &mut spool, limit)?)
    } else if vmdk::is_image(&head) {
        ("vmdk", Some(vmdk::grain_size(file)?), vmdk::read(file, &mut spool, limit)?)
    } else if ova::is_archive(&head) {
        let vmdk = ova::disk(file)?;
        ("ova", Some(vmdk::grain_size(&vmdk)?), vmdk::read(&vmdk, &mut spool, limit)?)
    } else if vhd::is_image(file) {
        ("vhd", None, vhd::read(file)?)
    } else {
        return Ok((None, file.clone()));
    };
    Ok((Some(Container { format, virtual_size: disk.len(), cluster_size }), disk))
}

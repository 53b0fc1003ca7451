//! Virtual appliances in one file (DMTF DSP0243, *Open Virtualization Format Specification* 1.1,
//! sections named where they are used): a tar archive of descriptor, manifest and disk.

mod descriptor;

pub use descriptor::{Appliance, Property};

use super::{Error, Result, tar};
use crate::blob::{Blob, Digest};
use ::tar::{EntryType, Header};

const FORMAT: &str = "OVA";
/// Bytes in a block of a tar archive.
const BLOCK: u64 = 512;
/// What eleven octal digits of a ustar header count up to, in bytes.
const MAX_MEMBER: u64 = (8 << 30) - 1;
/// The longest name a ustar header holds, with `.vmdk` behind it, in bytes.
const MAX_NAME: usize = 100 - ".vmdk".len();

/// What is packed.
#[derive(Clone, Copy, Debug)]
pub struct Package<'a> {
    /// The name of the files inside, without what follows the dot: letters, digits, `-`, `_`, `.`.
    pub name: &'a str,
    /// The disk, stream-optimised; see [`vmdk::image`](super::vmdk::image).
    pub disk: &'a Blob,
    /// The disk's length as a guest sees it, in bytes.
    pub capacity: u64,
    /// The machine around the disk.
    pub appliance: &'a Appliance<'a>,
    /// The date of all files, in seconds since 1970.
    pub epoch: u64,
}

/// Packs an appliance. Reads the disk once, for the manifest's digest, and copies nothing.
///
/// # Errors
/// `Invalid` for a name that cannot be one; `TooLarge` for a disk of 8 GiB, which no ustar header
/// holds; I/O.
pub fn archive(package: &Package<'_>) -> Result<Blob> {
    let &Package { name, disk, capacity, appliance, epoch } = package;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if name.is_empty() || name.len() > MAX_NAME || !name.bytes().all(plain) {
        let what = format!("the name {name:?}: it can have up to {MAX_NAME} of A-Z a-z 0-9 - _ .");
        return Err(Error::invalid(FORMAT, what));
    }
    let disk_name = format!("{name}.vmdk");
    let descriptor_name = format!("{name}.ovf");
    let descriptor = descriptor::descriptor(&disk_name, disk.len(), capacity, appliance);
    // Section 5.1: a line for each file but the manifest itself.
    let digest = disk.digest().map_err(|source| Error::io(FORMAT, source))?;
    let manifest = format!(
        "SHA256({descriptor_name})= {}\nSHA256({disk_name})= {}\n",
        Digest::of(descriptor.as_bytes()).hex(),
        digest.hex()
    );
    // Section 5.3: the descriptor first, the manifest next, then what the descriptor refers to.
    let mut parts = Vec::new();
    for (name, content) in [
        (descriptor_name, descriptor.into()),
        (format!("{name}.mf"), manifest.into()),
        (disk_name, disk.clone()),
    ] {
        parts.push(header(&name, content.len(), epoch)?);
        parts.push(content.padded_to(BLOCK));
    }
    parts.push(Blob::zeros(2 * BLOCK));
    Ok(Blob::concat(parts))
}

/// A member's header: plain ustar, as section 5.3 asks.
fn header(name: &str, size: u64, epoch: u64) -> Result<Blob> {
    if size > MAX_MEMBER {
        return Err(Error::too_large(FORMAT, name, size, MAX_MEMBER));
    }
    let mut header = Header::new_ustar();
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_entry_type(EntryType::Regular);
    header.set_size(size);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(epoch);
    header.set_cksum();
    Ok(header.as_bytes().to_vec().into())
}

/// Whether `start`, a file's first kilobyte, is that of an archive whose first member is a
/// descriptor.
pub fn is_archive(start: &[u8]) -> bool {
    let name = start.get(..100).unwrap_or_default();
    let name = name.split(|&byte| byte == 0).next().unwrap_or_default();
    name.ends_with(b".ovf") && start.get(257..262) == Some(b"ustar")
}

/// The first disk in an appliance, as its file stands there.
///
/// # Errors
/// `Corrupt` for a damaged archive; `Unsupported` for one without a `.vmdk` file.
pub fn disk(archive: &Blob) -> Result<Blob> {
    let mut reader = tar::Reader::over(archive);
    while let Some(member) = reader.next_member()? {
        if member.path.as_bytes().ends_with(b".vmdk") {
            return Ok(archive.slice(member.offset..member.offset.saturating_add(member.size)));
        }
    }
    Err(Error::unsupported(FORMAT, "an appliance without a .vmdk file"))
}

#[cfg(test)]
mod tests;

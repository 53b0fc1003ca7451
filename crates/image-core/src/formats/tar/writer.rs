//! Lays a tree out as an archive.

use super::{BLOCK, FORMAT, MAX_PATH, XATTR};
use crate::{
    blob::Blob,
    formats::{Error, Result},
    tree::{NodeKind, Tree},
};
use std::collections::BTreeMap;
use tar::{EntryType, Header};

/// `tree` as an archive: ustar headers, pax records where those fall short, every time `epoch`
/// (seconds since 1970). Contents are not copied.
///
/// The root is a member only if it differs from [`Tree::new`]'s.
///
/// # Errors
/// `Invalid` for a path or link target over 4096 bytes.
pub fn archive(tree: &Tree, epoch: u64) -> Result<Blob> {
    let mut parts = Vec::new();
    let mut headers = Vec::new();
    let mut first_names = BTreeMap::new();
    for (path, ino, node) in tree.iter() {
        if path.is_root()
            && node.mode == 0o755
            && node.uid == 0
            && node.gid == 0
            && node.xattrs.is_empty()
        {
            continue;
        }
        let name = match (path.is_root(), node.is_directory()) {
            (true, _) => "./".to_owned(),
            (_, true) => format!("{}/", path.as_str()),
            _ => path.as_str().to_owned(),
        };
        let mut content = None;
        let mut link = None;
        let mut device = None;
        let mut kind = match &node.kind {
            NodeKind::Directory => EntryType::Directory,
            NodeKind::Symlink(target) => {
                link = Some(target.clone());
                EntryType::Symlink
            }
            NodeKind::Device { block, major, minor } => {
                device = Some((*major, *minor));
                if *block { EntryType::Block } else { EntryType::Char }
            }
            NodeKind::Fifo => EntryType::Fifo,
            NodeKind::File(blob) => {
                content = Some(blob.clone());
                EntryType::Regular
            }
        };
        if !node.is_directory()
            && let Some(first) = first_names.insert(ino, path)
        {
            first_names.insert(ino, first);
            kind = EntryType::Link;
            (link, content, device) = (Some(first.as_str().to_owned()), None, None);
        }
        let size = content.as_ref().map_or(0, Blob::len);
        let mut header = Header::new_ustar();
        header.set_entry_type(kind);
        header.set_size(size);
        header.set_mode(node.mode);
        header.set_uid(node.uid.into());
        header.set_gid(node.gid.into());
        header.set_mtime(epoch);
        if let Some(ustar) = header.as_ustar_mut() {
            let (major, minor) = device.unwrap_or_default();
            ustar.set_device_major(major);
            ustar.set_device_minor(minor);
        }
        let link = link.unwrap_or_default();
        let mut records = Vec::new();
        for (key, value) in [("path", &name), ("linkpath", &link)] {
            if value.len() > MAX_PATH {
                let what = format!("{key} of {} bytes, over {MAX_PATH}", value.len());
                return Err(Error::invalid(FORMAT, what));
            }
            let field = match key {
                "path" => &mut header.as_old_mut().name,
                _ => &mut header.as_old_mut().linkname,
            };
            let n = value.len().min(field.len());
            field[..n].copy_from_slice(&value.as_bytes()[..n]);
            if n < value.len() {
                // The cut name is only for readers that know no pax.
                push_record(&mut records, key, value.as_bytes());
            }
        }
        if kind != EntryType::Link {
            for (name, value) in &node.xattrs {
                push_record(&mut records, &format!("{XATTR}{name}"), value);
            }
        }
        push_extension(&mut headers, &records, epoch);
        header.set_cksum();
        headers.extend_from_slice(header.as_bytes());
        if let Some(content) = content.filter(|content| !content.is_empty()) {
            parts.push(Blob::from(std::mem::take(&mut headers)));
            parts.push(content.padded_to(BLOCK));
        }
    }
    parts.push(Blob::from(headers));
    parts.push(Blob::zeros(2 * BLOCK));
    Ok(Blob::concat(parts))
}

/// Adds the extension header that brings `records`, if there are any.
fn push_extension(headers: &mut Vec<u8>, records: &[u8], epoch: u64) {
    if records.is_empty() {
        return;
    }
    let mut header = Header::new_ustar();
    header.as_old_mut().name[..10].copy_from_slice(b"PaxHeaders");
    header.set_entry_type(EntryType::XHeader);
    header.set_size(records.len() as u64);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(epoch);
    header.set_cksum();
    headers.extend_from_slice(header.as_bytes());
    headers.extend_from_slice(records);
    headers.resize(headers.len().next_multiple_of(512), 0);
}

fn push_record(records: &mut Vec<u8>, key: &str, value: &[u8]) {
    // The length counts its own digits: one more digit may make it longer once more.
    let rest = key.len() + value.len() + 3;
    let mut len = rest + 1;
    while rest + len.to_string().len() != len {
        len = rest + len.to_string().len();
    }
    records.extend_from_slice(format!("{len} {key}=").as_bytes());
    records.extend_from_slice(value);
    records.push(b'\n');
}

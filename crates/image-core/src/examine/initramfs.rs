//! Initramfs: its segments, the extensions they list, the microcode in front.

use super::report;
use crate::{
    blob::Blob,
    error::{During, ErrorKind, Result},
    formats::{
        self, compress, cpio,
        initramfs::{self, Segment},
        microcode,
    },
    talos::extension,
};
use std::ops::ControlFlow;

/// What one segment may decompress to, in bytes. Decompressed bytes are not kept.
const SEGMENT_LIMIT: u64 = 64 << 30;
/// The longest list of extensions, in bytes.
const LIST_LIMIT: u64 = 16 << 20;
/// The members that are listed of one segment, and the bytes their names may have.
const MEMBERS_LIMIT: usize = 1 << 20;
const NAMES_LIMIT: usize = 64 << 20;

/// Where the kernel looks for microcode, and whose it is.
const MICROCODE: [(&str, &str); 2] = [
    ("kernel/x86/microcode/GenuineIntel.bin", "intel"),
    ("kernel/x86/microcode/AuthenticAMD.bin", "amd"),
];

pub(super) fn describe(file: &Blob) -> Result<report::Initramfs> {
    let mut described = report::Initramfs::default();
    let mut list = None;
    for segment in initramfs::segments(file, SEGMENT_LIMIT)? {
        described.segments.push(describe_segment(&segment, &mut list)?);
        for (vendor, content) in microcode_files(&segment)? {
            match updates(vendor, &content) {
                Ok(updates) => described.microcode.extend(updates),
                Err(error) if error.kind() == ErrorKind::Input => {
                    described.flaws.push(error.to_string());
                }
                Err(error) => return Err(error),
            }
        }
    }
    if let Some(list) = list {
        described.extensions = extensions(&list)?;
    }
    Ok(described)
}

fn describe_segment(segment: &Segment, list: &mut Option<Vec<u8>>) -> Result<report::Segment> {
    let mut entries = Vec::new();
    let mut unpacked = 0;
    let mut names = 0;
    initramfs::members(segment, SEGMENT_LIMIT, &mut |entry, content| {
        names += entry.name.len();
        if entries.len() == MEMBERS_LIMIT || names > NAMES_LIMIT {
            let what = format!("a list of over {MEMBERS_LIMIT} files or {NAMES_LIMIT} bytes");
            return Err(formats::Error::unsupported("initramfs", what));
        }
        unpacked += entry.size;
        if entry.name == extension::CONFIG && entry.size <= LIST_LIMIT {
            let mut text = Vec::new();
            content
                .read_to_end(&mut text)
                .map_err(|error| formats::Error::io("initramfs", error))?;
            *list = Some(text);
        }
        entries.push(report::Entry {
            path: entry.name.clone(),
            mode: format!("{:o}", entry.mode),
            size: entry.size,
        });
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(report::Segment {
        offset: segment.offset,
        size: segment.blob.len(),
        compression: segment.codec.map_or("none", compress::Codec::name).to_owned(),
        unpacked,
        entries,
    })
}

fn extensions(list: &[u8]) -> Result<Vec<report::Extension>> {
    let text = String::from_utf8_lossy(list);
    let listed = extension::read_config(&text)?;
    Ok(listed
        .into_iter()
        .map(|(image, metadata)| report::Extension {
            image,
            name: metadata.name,
            version: metadata.version,
            author: metadata.author,
            description: metadata.description,
        })
        .collect())
}

/// The microcode in a segment, as ranges of it: only a plain archive can hold any, since the
/// kernel looks for it before it can decompress.
pub(super) fn microcode_files(segment: &Segment) -> Result<Vec<(&'static str, Blob)>> {
    let mut files = Vec::new();
    if segment.codec.is_some() {
        return Ok(files);
    }
    let mut archive = cpio::Reader::new(segment.blob.reader());
    while let Some(entry) = archive.next_entry()? {
        if let Some((_, vendor)) = MICROCODE.iter().find(|(path, _)| *path == entry.name) {
            let start = archive.position();
            files.push((*vendor, segment.blob.slice(start..start + entry.size)));
        }
    }
    Ok(files)
}

fn updates(vendor: &str, content: &Blob) -> Result<Vec<report::Microcode>> {
    let updates = match vendor {
        "intel" => microcode::intel(content),
        _ => microcode::amd(content),
    }
    .during(|| format!("{vendor} microcode"))?;
    let describe = |update: microcode::Update| report::Microcode {
        vendor: vendor.to_owned(),
        processors: update.processors.iter().map(|kind| processor(vendor, *kind)).collect(),
        revision: format!("{:#010x}", update.revision),
        date: update.date,
        size: update.len,
        checksum_ok: update.checksum_ok,
    };
    Ok(updates.into_iter().map(describe).collect())
}

fn processor(vendor: &str, kind: microcode::Processor) -> report::Processor {
    report::Processor {
        name: kind.name(),
        signature: format!("{:#010x}", kind.signature),
        platforms: (vendor == "intel").then(|| format!("{:#04x}", kind.platforms)),
    }
}

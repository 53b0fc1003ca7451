//! Unified kernel images and kernels.

use super::{initramfs, report};
use crate::{
    blob::{Blob, Digest},
    error::{During, Result},
    formats::{
        linux::Kernel,
        os_release, pcr,
        uki::{self, Contents, Section},
    },
};

use std::collections::BTreeSet;

/// The longest section that is read as text, in bytes.
const TEXT_LIMIT: u64 = 64 << 10;

/// The unified kernel image that `file` is; none if it is none.
pub(super) fn open(file: &Blob) -> Option<Contents> {
    let mut magic = [0; 2];
    file.read_at(0, &mut magic).ok()?;
    if magic != *b"MZ" {
        return None;
    }
    uki::read(file).ok().filter(Contents::is_uki)
}

pub(super) fn describe(contents: &Contents) -> Result<report::Uki> {
    let mut profile = None;
    let mut sections = Vec::new();
    for section in &contents.image.sections {
        if section.name == Section::Profile.name() {
            profile = Some(profile.map_or(0, |number| number + 1));
        }
        let content = contents.image.content(section);
        sections.push(report::Section {
            name: section.name.clone(),
            size: content.len(),
            digest: content.digest()?,
            profile,
        });
    }
    let base = &contents.base;
    let os_release = match base.get(&Section::OsRelease) {
        Some(content) => os_release::parse(&text(content, Section::OsRelease)?)?,
        None => std::collections::BTreeMap::new(),
    };
    let uname = base.get(&Section::Uname).map(|content| text(content, Section::Uname));
    let kernel = base.get(&Section::Linux).map(|content| -> Result<_> {
        let parsed = Kernel::parse(content).during(|| Section::Linux.to_string())?;
        Ok(kernel(&parsed, content.len()))
    });
    let initramfs = base
        .get(&Section::Initrd)
        .map(|content| initramfs::describe(content).during(|| Section::Initrd.to_string()));
    let mut flaws = Vec::new();
    let (pcr_key, pcr_signers) = pcr_keys(contents, &mut flaws);
    Ok(report::Uki {
        pcr_key,
        pcr_signers,
        flaws,
        architecture: contents.image.machine.to_string(),
        stub: contents.systemd_program()?,
        os_release,
        uname: uname.transpose()?,
        sections,
        profiles: profiles(contents)?,
        kernel: kernel.transpose()?,
        initramfs: initramfs.transpose()?,
    })
}

/// The fingerprints of the key that signatures of PCR 11 are checked by, and of those they say
/// they are by.
fn pcr_keys(contents: &Contents, flaws: &mut Vec<String>) -> (Option<Digest>, BTreeSet<String>) {
    let key = contents.base.get(&Section::PcrPublicKey).map(pcr::read_public_key);
    let key = key.transpose().unwrap_or_else(|error| {
        flaws.push(error.to_string());
        None
    });
    let key = key.as_ref().map(pcr::fingerprint);
    let mut signers = BTreeSet::new();
    for section in contents.boots().iter().filter_map(|it| it.get(&Section::PcrSignature)) {
        match pcr::Signatures::read(section) {
            Ok(signatures) => signers.extend(signatures.keys().into_iter().map(str::to_owned)),
            Err(error) => flaws.push(error.to_string()),
        }
    }
    if let Some(other) = signers.iter().find(|&it| key.is_none_or(|key| key.hex() != *it)) {
        let (signed, held) = (Section::PcrSignature, Section::PcrPublicKey);
        flaws.push(format!("{signed}: it is by the key {other}, which is not the one in {held}"));
    }
    (key, signers)
}

fn profiles(contents: &Contents) -> Result<Vec<report::Profile>> {
    let boots = contents.boots();
    let mut profiles = Vec::new();
    for (number, sections) in boots.iter().enumerate() {
        let named = contents.profiles.get(number);
        let cmdline =
            sections.get(&Section::Cmdline).map(|content| text(content, Section::Cmdline));
        profiles.push(report::Profile {
            id: named.and_then(|profile| profile.id.clone()).unwrap_or_default(),
            title: named.and_then(|profile| profile.title.clone()).unwrap_or_default(),
            cmdline: cmdline.transpose()?.unwrap_or_default(),
        });
    }
    Ok(profiles)
}

/// A section's text, without the NULs some writers end it with.
pub(super) fn text(content: &Blob, section: Section) -> Result<String> {
    let bytes = content.to_vec(TEXT_LIMIT).during(|| section.to_string())?;
    Ok(String::from_utf8_lossy(&bytes).trim_end_matches('\0').to_owned())
}

pub(super) fn kernel(kernel: &Kernel, size: u64) -> report::Kernel {
    report::Kernel {
        architecture: kernel.machine.to_string(),
        version: kernel.release.clone(),
        size,
    }
}

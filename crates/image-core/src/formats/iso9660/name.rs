//! File identifiers: what is left of a name in ECMA-119 and in Joliet.

use std::collections::BTreeSet;

/// Which directory hierarchy a name is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Naming {
    /// ECMA-119 identifiers; the names themselves stand in Rock Ridge fields.
    RockRidge,
    /// UCS-2, up to 64 characters.
    Joliet,
}

/// Most characters of a file's name and extension together (section 7.5.1).
const MAX_PRIMARY: usize = 30;
/// Most characters of an extension that are kept.
const MAX_EXTENSION: usize = 8;
/// Most UCS-2 characters of a Joliet name.
const MAX_JOLIET: usize = 64;

/// Identifiers of one directory's files, no two of them the same.
#[derive(Debug)]
pub(super) struct Identifiers {
    naming: Naming,
    taken: BTreeSet<Vec<u16>>,
}

impl Identifiers {
    pub(super) fn new(naming: Naming) -> Self {
        Self { naming, taken: BTreeSet::new() }
    }

    /// The identifier of `name`, without version. Compares as the standard sorts (section 9.3).
    pub(super) fn take(&mut self, name: &str, is_directory: bool) -> Vec<u16> {
        let (base, extension) = match name.rsplit_once('.') {
            Some((base, extension)) if !is_directory && !base.is_empty() => (base, extension),
            _ => (name, ""),
        };
        let (mut base, mut extension) = (self.mapped(base), self.mapped(extension));
        let max = match self.naming {
            Naming::RockRidge => MAX_PRIMARY,
            Naming::Joliet => MAX_JOLIET - 1,
        };
        if base.len() + extension.len() > max {
            extension.truncate(MAX_EXTENSION);
        }
        base.truncate(max - extension.len());
        // A file of ECMA-119 always has the dot.
        let dot = match self.naming {
            Naming::RockRidge => !is_directory,
            Naming::Joliet => !extension.is_empty(),
        };
        for number in 0_u64.. {
            let mut whole = base.clone();
            if number > 0 {
                let tail: Vec<u16> = format!("{number:03}").encode_utf16().collect();
                whole.truncate(max - extension.len() - tail.len());
                whole.extend(tail);
            }
            if dot {
                whole.push(u16::from(b'.'));
            }
            whole.extend(&extension);
            if self.taken.insert(whole.clone()) {
                return whole;
            }
        }
        base
    }

    fn mapped(&self, part: &str) -> Vec<u16> {
        match self.naming {
            Naming::RockRidge => part
                .chars()
                .map(|c| match c.to_ascii_uppercase() {
                    c @ ('A'..='Z' | '0'..='9') => c as u16,
                    _ => u16::from(b'_'),
                })
                .collect(),
            Naming::Joliet => part
                .chars()
                .map(|c| if c < ' ' || "*/:;?\\".contains(c) { '_' } else { c })
                .flat_map(|c| c.encode_utf16(&mut [0; 2]).to_vec())
                .collect(),
        }
    }
}

/// The identifier as it stands in a directory record; files have a version.
pub(super) fn identifier(naming: Naming, name: &[u16], is_directory: bool) -> Vec<u8> {
    let version = if is_directory { "" } else { ";1" };
    let units = name.iter().copied().chain(version.encode_utf16());
    match naming {
        Naming::RockRidge => units.map(|unit| unit.to_le_bytes()[0]).collect(),
        Naming::Joliet => units.flat_map(u16::to_be_bytes).collect(),
    }
}

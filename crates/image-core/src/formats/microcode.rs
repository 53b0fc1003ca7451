//! Processor microcode for Linux's early loader: Intel update files (Intel SDM volume 3A,
//! section "Microcode Update Facilities") and AMD containers (as Linux,
//! arch/x86/kernel/cpu/microcode/amd.c, reads them).

use super::{Error, Result};
use crate::{
    blob::Blob,
    tree::{Node, Tree, TreePath},
};
use std::io::{self, Read};

const INTEL: &str = "Intel microcode";
const AMD: &str = "AMD microcode";

/// An Intel update's header in bytes.
const INTEL_HEADER: u32 = 48;
/// The header of an Intel update's table of further signatures, and one entry of it.
const INTEL_TABLE_HEADER: u32 = 20;
const INTEL_TABLE_ENTRY: u32 = 12;
/// What an Intel update is long that does not say so.
const INTEL_DEFAULT_SIZE: u32 = 2048;

/// "DMA\0": what an AMD container starts with.
const AMD_MAGIC: [u8; 4] = 0x0041_4d44u32.to_le_bytes();
/// Kinds of an AMD container's sections.
const AMD_TABLE: u32 = 0;
const AMD_PATCH: u32 = 1;
/// One entry of the table of equivalent processors, and a patch's header, in bytes.
const AMD_TABLE_ENTRY: usize = 16;
const AMD_PATCH_HEADER: u32 = 64;
/// The largest table and patch taken for real, in bytes; Linux's own limits are below.
const AMD_SECTION_MAX: u32 = 1 << 20;

/// One update of one or more processors.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Update {
    /// Where it starts, in bytes.
    pub offset: u64,
    /// How long it is with its header, in bytes.
    pub len: u64,
    /// The microcode's version: what the processor reports once it is loaded.
    pub revision: u32,
    /// The day it was made, as `2025-11-11`; none if the header has no date there.
    pub date: Option<String>,
    /// The processors it is for, each once, in order.
    pub processors: Vec<Processor>,
    /// Whether the sum over the update is right; none for AMD, whose updates carry none.
    pub checksum_ok: Option<bool>,
}

/// A kind of processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Processor {
    /// What CPUID leaf 1 gives in EAX.
    pub signature: u32,
    /// Intel: one bit for each platform (socket) it may sit in; zero is any. AMD: zero.
    pub platforms: u32,
}

impl Processor {
    /// Family, model and stepping as Intel names its update files: `06-55-04`.
    pub fn name(self) -> String {
        let field = |shift: u32, mask: u32| (self.signature >> shift) & mask;
        let (family, model) = (field(8, 0xf), field(4, 0xf));
        let model = if matches!(family, 6 | 0xf) { model | field(16, 0xf) << 4 } else { model };
        let family = if family == 0xf { family + field(20, 0xff) } else { family };
        format!("{family:02x}-{model:02x}-{:02x}", field(0, 0xf))
    }
}

/// The updates in an Intel file, or several of them end to end.
///
/// # Errors
/// [`Fault::Corrupt`](super::Fault::Corrupt) where a header is impossible or an update cut off;
/// a wrong checksum is told in [`Update::checksum_ok`] instead.
pub fn intel(blob: &Blob) -> Result<Vec<Update>> {
    let io = |source| Error::io(INTEL, source);
    let mut updates = Vec::new();
    let mut offset = 0;
    while offset < blob.len() {
        let corrupt = |at: u64, what: &str| Err(Error::corrupt(INTEL, offset + at, what));
        let left = blob.len() - offset;
        if left < u64::from(INTEL_HEADER) {
            return corrupt(0, "the file ends inside an update's header");
        }
        let header: [u8; INTEL_HEADER as usize] = blob.array(offset).map_err(io)?;
        let [version, revision, made_on, signature, _, loader, platforms, data, total, ..] =
            words::<12>(&header);
        if (version, loader) != (1, 1) {
            return corrupt(0, "header version and loader revision are not 1");
        }
        let (data, total) = match (data, total) {
            (0, _) => (INTEL_DEFAULT_SIZE - INTEL_HEADER, INTEL_DEFAULT_SIZE),
            (data, total) => (data, total),
        };
        let Some(table) = total.checked_sub(INTEL_HEADER).and_then(|rest| rest.checked_sub(data))
        else {
            return corrupt(32, "the update is shorter than the data in it");
        };
        if data % 4 != 0 || total % 4 != 0 {
            return corrupt(28, "the update's length is no multiple of 4");
        }
        if u64::from(total) > left {
            return corrupt(32, "the file ends inside an update");
        }
        let update = blob.slice(offset..offset + u64::from(total));
        let mut checksum_ok = sum(&update).map_err(io)? == 0;
        let mut processors = vec![Processor { signature, platforms }];
        if table >= INTEL_TABLE_HEADER {
            let table_at = INTEL_HEADER + data;
            let [count] = words(&update.array::<4>(table_at.into()).map_err(io)?);
            let room = (table - INTEL_TABLE_HEADER) / INTEL_TABLE_ENTRY;
            if count > room {
                return corrupt(table_at.into(), "more signatures than there is room for");
            }
            let end = table_at + INTEL_TABLE_HEADER + count * INTEL_TABLE_ENTRY;
            checksum_ok &= sum(&update.slice(table_at.into()..end.into())).map_err(io)? == 0;
            for i in 0..count {
                let at = table_at + INTEL_TABLE_HEADER + i * INTEL_TABLE_ENTRY;
                let [signature, platforms] = words(&update.array::<8>(at.into()).map_err(io)?);
                processors.push(Processor { signature, platforms });
            }
        }
        // The table may name the header's processor again.
        processors.sort_unstable();
        processors.dedup();
        updates.push(Update {
            offset,
            len: total.into(),
            revision,
            date: day(made_on),
            processors,
            checksum_ok: Some(checksum_ok),
        });
        offset += u64::from(total);
    }
    Ok(updates)
}

/// The patches in an AMD container, or several of them end to end.
///
/// # Errors
/// [`Fault::Corrupt`](super::Fault::Corrupt) where a container's structure is broken.
pub fn amd(blob: &Blob) -> Result<Vec<Update>> {
    let io = |source| Error::io(AMD, source);
    let corrupt = |at: u64, what: &str| Error::corrupt(AMD, at, what);
    let mut updates = Vec::new();
    // Signature and equivalent number of the container's table.
    let mut table: Vec<(u32, u32)> = Vec::new();
    let mut at = 0;
    while at < blob.len() {
        let left = blob.len() - at;
        let start = blob.slice(at..at + 4);
        if at == 0 || start.to_vec(4).map_err(io)? == AMD_MAGIC {
            if left < 12 || start.to_vec(4).map_err(io)? != AMD_MAGIC {
                return Err(corrupt(at, "no container starts here"));
            }
            let [kind, len] = words(&blob.array::<8>(at + 4).map_err(io)?);
            if kind != AMD_TABLE || len > AMD_SECTION_MAX || u64::from(len) > left - 12 {
                return Err(corrupt(at + 4, "no whole table of processors"));
            }
            let bytes = blob.slice(at + 12..at + 12 + u64::from(len)).to_vec(len.into());
            table = bytes
                .map_err(io)?
                .chunks_exact(AMD_TABLE_ENTRY)
                .map(|entry| {
                    let [signature, _, _, equivalent] = words(entry);
                    (signature, equivalent & 0xffff)
                })
                .take_while(|&(signature, _)| signature != 0)
                .collect();
            at += 12 + u64::from(len);
            continue;
        }
        if left < 8 + u64::from(AMD_PATCH_HEADER) {
            return Err(corrupt(at, "the file ends inside a patch's header"));
        }
        let header: [u8; 8 + AMD_PATCH_HEADER as usize] = blob.array(at).map_err(io)?;
        let [kind, len, date, revision, _, _, _, _, equivalent, ..] = words::<18>(&header);
        if kind != AMD_PATCH {
            return Err(corrupt(at, "neither a patch nor a container starts here"));
        }
        if !(AMD_PATCH_HEADER..=AMD_SECTION_MAX).contains(&len) || u64::from(len) > left - 8 {
            return Err(corrupt(at + 4, "a patch's length is impossible"));
        }
        let equals = table.iter().filter(|&&(_, number)| number == equivalent & 0xffff);
        let mut processors: Vec<_> =
            equals.map(|&(signature, _)| Processor { signature, platforms: 0 }).collect();
        processors.sort_unstable();
        processors.dedup();
        updates.push(Update {
            offset: at + 8,
            len: len.into(),
            revision,
            date: day(date),
            processors,
            checksum_ok: None,
        });
        at += 8 + u64::from(len);
    }
    Ok(updates)
}

/// The tree of the early archive that Linux looks for microcode in
/// (Documentation/arch/x86/microcode.rst): each vendor's files end to end. None without any.
pub fn early_tree(intel: &[Blob], amd: &[Blob]) -> Result<Option<Tree>> {
    let mut tree = Tree::new();
    for (name, blobs) in [("AuthenticAMD.bin", amd), ("GenuineIntel.bin", intel)] {
        if !blobs.is_empty() {
            let path = TreePath::new(&format!("kernel/x86/microcode/{name}"))
                .map_err(|error| Error::invalid("microcode", error.to_string()))?;
            tree.insert(path, Node::file(Blob::concat(blobs.iter().cloned()), 0o644));
        }
    }
    Ok(Some(tree).filter(|_| !intel.is_empty() || !amd.is_empty()))
}

/// The first `N` little-endian words; zeros where `bytes` ends.
fn words<const N: usize>(bytes: &[u8]) -> [u32; N] {
    let mut words = [0; N];
    for (word, bytes) in words.iter_mut().zip(bytes.chunks_exact(4)) {
        *word = bytes.iter().rev().fold(0, |word, &byte| word << 8 | u32::from(byte));
    }
    words
}

/// The sum of the words of `blob`, whose length is a multiple of 4.
fn sum(blob: &Blob) -> io::Result<u32> {
    let mut reader = io::BufReader::with_capacity(64 << 10, blob.reader());
    let mut sum = 0u32;
    for _ in 0..blob.len() / 4 {
        let mut word = [0; 4];
        reader.read_exact(&mut word)?;
        sum = sum.wrapping_add(u32::from_le_bytes(word));
    }
    Ok(sum)
}

/// A date of binary-coded decimals, 0xMMDDYYYY, as `YYYY-MM-DD`.
fn day(date: u32) -> Option<String> {
    let (month, day, year) = (date >> 24, date >> 16 & 0xff, date & 0xffff);
    let decimal = format!("{date:08x}").bytes().all(|digit| digit.is_ascii_digit());
    let real = (1..=0x12).contains(&month) && (1..=0x31).contains(&day);
    (decimal && real).then(|| format!("{year:04x}-{month:02x}-{day:02x}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bytes_of(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    /// An update of 2 KiB and one with a table of one further signature.
    fn intel_file() -> Vec<u8> {
        let mut plain =
            vec![1, 0x0200_7006, 0x1111_2025, 0x0005_0654, 0, 1, 0xb7, 0, 0, 0, 0, 0, 7, 8, 9];
        plain.resize(512, 0);
        plain[4] =
            0u32.wrapping_sub(plain.iter().fold(0, |sum: u32, word| sum.wrapping_add(*word)));
        let mut table = vec![1, 0, 0, 0, 0, 0x0005_0655, 1, 77];
        table[1] = 0u32.wrapping_sub(table.iter().sum());
        let mut tabled =
            vec![1, 3, 0x0229_2024, 0x0005_0653, 0, 1, 2, 16, 48 + 16 + 32, 0, 0, 0, 1, 2, 3, 4];
        tabled.extend(table);
        tabled[4] =
            0u32.wrapping_sub(tabled.iter().fold(0, |sum: u32, word| sum.wrapping_add(*word)));
        bytes_of(&[plain, tabled].concat())
    }

    fn amd_file() -> Vec<u8> {
        let table = [0x0080_0f12, 0, 0, 0x8012, 0x0080_0f82, 0, 0, 0x8082, 0, 0, 0, 0];
        let mut patch = vec![1, 68, 0x0315_2024, 0x0800_126e, 0, 0, 0, 0, 0x8012];
        patch.resize(2 + 17, 0);
        let container = [&[0x0041_4d44, 0, 48][..], &table, &patch].concat();
        bytes_of(&[&container[..], &container].concat())
    }

    #[test]
    fn intel_updates_are_listed() {
        let updates = intel(&intel_file().into()).unwrap();
        let processor = |signature, platforms| Processor { signature, platforms };
        assert_eq!(updates.len(), 2);
        assert_eq!((updates[0].offset, updates[0].len), (0, 2048));
        assert_eq!(updates[0].revision, 0x0200_7006);
        assert_eq!(updates[0].date.as_deref(), Some("2025-11-11"));
        assert_eq!(updates[0].processors, [processor(0x0005_0654, 0xb7)]);
        assert_eq!(updates[0].processors[0].name(), "06-55-04");
        assert_eq!((updates[1].offset, updates[1].len), (2048, 96));
        let both = [processor(0x0005_0653, 2), processor(0x0005_0655, 1)];
        assert_eq!(updates[1].processors, both);
        assert!(updates.iter().all(|update| update.checksum_ok == Some(true)));
    }

    #[test]
    fn amd_patches_are_listed() {
        let updates = amd(&amd_file().into()).unwrap();
        assert_eq!(updates.len(), 2);
        assert_eq!((updates[0].offset, updates[0].len), (12 + 48 + 8, 68));
        assert_eq!(updates[0].revision, 0x0800_126e);
        assert_eq!(updates[0].date.as_deref(), Some("2024-03-15"));
        let zen = Processor { signature: 0x0080_0f12, platforms: 0 };
        assert_eq!(updates[0].processors, [zen]);
        assert_eq!(zen.name(), "17-01-02");
    }

    #[test]
    fn a_flipped_bit_shows_in_the_checksum() {
        let mut bytes = intel_file();
        bytes[100] ^= 1;
        bytes[2048 + 64 + 28] ^= 1;
        let updates = intel(&bytes.into()).unwrap();
        assert!(updates.iter().all(|update| update.checksum_ok == Some(false)));
    }

    #[test]
    fn truncated_files_are_refused() {
        let (intel_file, amd_file) = (intel_file(), amd_file());
        for len in (1..intel_file.len()).filter(|&len| len != 2048) {
            assert!(intel(&intel_file[..len].to_vec().into()).is_err(), "{len}");
        }
        for len in 1..amd_file.len() {
            let whole = [60, 136, 136 + 60].contains(&len);
            assert_eq!(amd(&amd_file[..len].to_vec().into()).is_ok(), whole, "{len}");
        }
    }

    #[test]
    fn the_early_tree_has_only_what_was_given() {
        let listing = |intel: &[Blob], amd: &[Blob]| {
            let tree = early_tree(intel, amd).unwrap()?;
            Some(tree.iter().skip(1).map(|(path, ..)| path.to_string()).collect::<Vec<_>>())
        };
        assert_eq!(listing(&[], &[]), None);
        let dir = ["kernel", "kernel/x86", "kernel/x86/microcode"];
        let with = |name: &str| {
            let mut paths: Vec<_> = dir.iter().map(ToString::to_string).collect();
            paths.push(format!("{}/{name}", dir[2]));
            paths
        };
        assert_eq!(listing(&["a".into(), "b".into()], &[]), Some(with("GenuineIntel.bin")));
        assert_eq!(listing(&[], &["a".into()]), Some(with("AuthenticAMD.bin")));
        let tree = early_tree(&["a".into(), "b".into()], &[]).unwrap().unwrap();
        let joined = tree.file("kernel/x86/microcode/GenuineIntel.bin").unwrap();
        assert_eq!(joined.to_vec(9).unwrap(), b"ab");
    }

    proptest! {
        #[test]
        fn damaged_files_never_panic(
            flips in proptest::collection::vec((0usize..160, any::<u8>()), 1..6),
        ) {
            let (mut one, mut other) = (intel_file().split_off(2048), amd_file());
            for (at, byte) in flips {
                let (one_at, other_at) = (at % one.len(), at % other.len());
                one[one_at] = byte;
                other[other_at] = byte;
            }
            let _ = intel(&one.into());
            let _ = amd(&other.into());
        }
    }
}

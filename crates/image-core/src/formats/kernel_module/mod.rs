//! Linux kernel modules, as far as their dependencies go: what a module says of itself, the
//! symbols it gives, and those it needs.
//!
//! Specification: "System V Application Binary Interface", chapters 4 and 5 (ELF), its 64-bit
//! form ("ELF-64 Object File Format"), and Linux's include/linux/{module,moduleparam,export}.h
//! for `.modinfo`, `__ksymtab_strings` and the `__crc_` symbols.

#[cfg(any(test, feature = "fake"))]
pub mod fake;

use super::{
    Error, Result,
    compress::{Codec, Decoder},
};
use crate::blob::Blob;
use std::io::Read;

const FORMAT: &str = "kernel module";

/// How a module's file name ends: as it is, or compressed as a whole.
const ENDINGS: [&str; 4] = [".ko", ".ko.gz", ".ko.xz", ".ko.zst"];

/// The most a compressed module may decode to, in bytes.
const DECODED_LIMIT: u64 = 256 << 20;

/// The longest section that is read, in bytes. The largest graphics drivers have symbol tables
/// of some megabytes.
const SECTION_LIMIT: u64 = 32 << 20;

/// The most entries of one kind that a module may have; the largest have some thousands.
const LIMIT: usize = 1 << 16;

/// The longest name of a symbol, in bytes (`KSYM_NAME_LEN` with the NUL).
const SYMBOL_LIMIT: usize = 511;

const HEADER_LEN: usize = 64;
const SECTION_LEN: usize = 64;
const SYMBOL_LEN: usize = 24;

/// Where the fields are that are read, in bytes from the start of their structure.
const E_SHOFF: usize = 0x28;
const E_SHENTSIZE: usize = 0x3a;
const E_SHNUM: usize = 0x3c;
const E_SHSTRNDX: usize = 0x3e;
const SH_OFFSET: usize = 0x18;
const SH_SIZE: usize = 0x20;
const ST_SHNDX: usize = 6;

/// How the symbol of another symbol's version sum is called.
const SUM: &[u8] = b"__crc_";

/// A section that has no bytes in the file.
const SHT_NOBITS: u32 = 8;
/// The section of a symbol that is defined elsewhere.
const SHN_UNDEF: u16 = 0;

/// What a module says of itself, and its symbols.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KernelModule {
    /// `.modinfo`, as keys and values in its order; what is no `key=value` is left out.
    pub info: Vec<(String, String)>,
    /// The symbols other modules may use.
    pub exports: Vec<String>,
    /// The symbols that are to come from the kernel or from other modules.
    pub needs: Vec<String>,
}

/// The module's name that a file of this name holds: up to the first dot, `-` as `_`. None if
/// the file is no module.
pub fn name(file_name: &str) -> Option<String> {
    uncompressed(file_name)?;
    file_name.split('.').next().map(|name| name.replace('-', "_"))
}

/// The path of a module's file without what its compression adds. None if it is no module.
pub fn uncompressed(path: &str) -> Option<&str> {
    let ending = ENDINGS.into_iter().find(|ending| path.ends_with(ending))?;
    Some(&path[..path.len() - ending.len() + ENDINGS[0].len()])
}

impl KernelModule {
    /// Reads a 64-bit little-endian module; one that is compressed is decoded into memory.
    ///
    /// # Errors
    /// It is no such ELF file, is corrupt, or reading failed.
    pub fn read(file: &Blob) -> Result<Self> {
        let start = file.slice(0..6).to_vec(6).map_err(|e| Error::io(FORMAT, e))?;
        let Some(codec) = Codec::detect(&start) else { return Self::parse(file) };
        let mut decoded = Vec::new();
        Decoder::new(codec, file.reader(), DECODED_LIMIT)?
            .read_to_end(&mut decoded)
            .map_err(|error| Error::io(codec.name(), error))?;
        Self::parse(&decoded.into())
    }

    fn parse(file: &Blob) -> Result<Self> {
        let elf = Elf::parse(file)?;
        let info = elf.section(".modinfo")?;
        let info = strings(&info).filter_map(|(_, entry)| {
            // An author's name may be in any encoding.
            let entry = String::from_utf8_lossy(entry);
            entry.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned()))
        });
        let info = limited(info.map(Ok), "entries in .modinfo")?;
        let symbols = elf.section(".symtab")?;
        let names = elf.section(".strtab")?;
        // The first symbol is none.
        let symbols = symbols.as_chunks::<SYMBOL_LEN>().0.iter().skip(1).map(|symbol| {
            let at = u32::from_le_bytes(part(symbol, 0)) as usize;
            let needed = u16::from_le_bytes(part(symbol, ST_SHNDX)) == SHN_UNDEF;
            let name = names.get(at..).unwrap_or_default();
            // As far as it matters whether it is too long.
            let name = &name[..name.len().min(SUM.len() + SYMBOL_LIMIT + 1)];
            (at, name.split(|&byte| byte == 0).next().unwrap_or_default(), needed)
        });
        let needs = symbols.clone().filter(|&(_, name, needed)| needed && !name.is_empty());
        let needs = needs.map(|(at, name, _)| symbol_name(at, name, ".strtab"));
        let needs = limited(needs, "undefined symbols")?;
        let sums = symbols.filter(|(.., needed)| !needed);
        let sums = sums.filter_map(|(at, name, _)| Some((at, name.strip_prefix(SUM)?)));
        let sums = sums.map(|(at, name)| symbol_name(at, name, ".strtab"));
        let mut exports = limited(sums, "exported symbols")?;
        // A kernel without symbol versions has no sums; the names stand among namespaces then.
        if exports.is_empty() {
            let names = elf.section("__ksymtab_strings")?;
            let names = strings(&names).map(|(at, it)| symbol_name(at, it, "__ksymtab_strings"));
            exports = limited(names, "exported symbols")?;
        }
        Ok(Self { info, exports, needs })
    }

    /// The values of a key of `.modinfo`, in their order.
    pub fn values<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.info.iter().filter(move |(had, _)| had == key).map(|(_, value)| value.as_str())
    }
}

/// An ELF file's sections.
struct Elf<'a> {
    file: &'a Blob,
    /// The section header table.
    table: Vec<[u8; SECTION_LEN]>,
    /// The names of sections.
    names: Vec<u8>,
}

impl<'a> Elf<'a> {
    fn parse(file: &'a Blob) -> Result<Self> {
        let Ok(header) = file.array::<HEADER_LEN>(0) else {
            return Err(corrupt(0, format!("{} bytes are too few for an ELF file", file.len())));
        };
        match &header[..6] {
            // 64-bit, little-endian
            b"\x7fELF\x02\x01" => {}
            [0x7f, b'E', b'L', b'F', ..] => {
                return Err(Error::unsupported(FORMAT, "other than 64-bit little-endian ELF"));
            }
            _ => return Err(corrupt(0, "no ELF file")),
        }
        let u16_at = |at| u16::from_le_bytes(part(&header, at));
        if usize::from(u16_at(E_SHENTSIZE)) != SECTION_LEN {
            return Err(corrupt(E_SHENTSIZE as u64, "the size of a section's header"));
        }
        let at = u64::from_le_bytes(part(&header, E_SHOFF));
        let len = u64::from(u16_at(E_SHNUM)) * SECTION_LEN as u64;
        let table = read(file, at, len, "the section headers")?.as_chunks().0.to_vec();
        let mut elf = Self { file, table, names: Vec::new() };
        let Some(names) = elf.table.get(usize::from(u16_at(E_SHSTRNDX))) else {
            return Err(corrupt(E_SHSTRNDX as u64, "the section of names is not there"));
        };
        elf.names = elf.content(names, "the names of sections")?;
        Ok(elf)
    }

    /// The content of the first section of this name; empty if there is none.
    fn section(&self, name: &str) -> Result<Vec<u8>> {
        let found = self.table.iter().find(|section| {
            let at = u32::from_le_bytes(part(section, 0)) as usize;
            let rest = self.names.get(at..).and_then(|rest| rest.strip_prefix(name.as_bytes()));
            rest.is_some_and(|rest| rest.first() == Some(&0))
        });
        found.map_or(Ok(Vec::new()), |section| self.content(section, name))
    }

    fn content(&self, section: &[u8; SECTION_LEN], name: &str) -> Result<Vec<u8>> {
        if u32::from_le_bytes(part(section, 4)) == SHT_NOBITS {
            return Ok(Vec::new());
        }
        let at = u64::from_le_bytes(part(section, SH_OFFSET));
        read(self.file, at, u64::from_le_bytes(part(section, SH_SIZE)), name)
    }
}

fn read(file: &Blob, at: u64, len: u64, what: &str) -> Result<Vec<u8>> {
    if len > SECTION_LIMIT {
        return Err(Error::too_large(FORMAT, what, len, SECTION_LIMIT));
    }
    if at.checked_add(len).is_none_or(|end| end > file.len()) {
        return Err(corrupt(at, format!("{what} reaches past the end of the file")));
    }
    file.slice(at..at + len).to_vec(len).map_err(|error| Error::io(FORMAT, error))
}

/// The strings in a section, each with where it starts there; runs of NUL part them.
fn strings(section: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut at = 0;
    section
        .split(|&byte| byte == 0)
        .map(move |string| {
            let start = at;
            at += string.len() + 1;
            (start, string)
        })
        .filter(|(_, string)| !string.is_empty())
}

fn limited<T>(entries: impl Iterator<Item = Result<T>>, what: &str) -> Result<Vec<T>> {
    let entries = entries.take(LIMIT + 1).collect::<Result<Vec<_>>>()?;
    if entries.len() > LIMIT {
        return Err(corrupt(0, format!("more than {LIMIT} {what}")));
    }
    Ok(entries)
}

/// A symbol's name; `at` is where it starts in `section`.
fn symbol_name(at: usize, name: &[u8], section: &str) -> Result<String> {
    let name = (name.len() <= SYMBOL_LIMIT).then(|| str::from_utf8(name).ok()).flatten();
    name.map(ToOwned::to_owned)
        .ok_or_else(|| corrupt(0, format!("{section}: what is at byte {at} names no symbol")))
}

/// `N` bytes from `at` on, which lie inside `structure`.
fn part<const N: usize, const M: usize>(structure: &[u8; M], at: usize) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.copy_from_slice(&structure[at..at + N]);
    bytes
}

fn corrupt(at: u64, what: impl Into<String>) -> Error {
    Error::corrupt(FORMAT, at, what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        blob::{Scratch, Spool},
        formats::{
            Fault,
            compress::{Method, compress},
        },
    };
    use proptest::prelude::*;

    fn sample() -> Vec<u8> {
        fake::module(&fake::Module {
            info: &["license=GPL", "alias=pci:v*", "parm=no value", "novalue", "alias=net-pf-1"],
            exports: &["give", "NAMESPACE"],
            needs: &["take", "printk"],
            ..fake::Module::default()
        })
    }

    #[test]
    fn information_and_symbols() {
        let module = KernelModule::read(&sample().into()).unwrap();
        assert_eq!(module.values("alias").collect::<Vec<_>>(), ["pci:v*", "net-pf-1"]);
        assert_eq!(module.info.len(), 4);
        assert_eq!(
            (module.exports.join(" "), module.needs.join(" ")),
            ("give NAMESPACE".to_owned(), "take printk".to_owned())
        );
        let versioned = fake::Module { exports: &["a", "b"], sums: &["a"], ..Default::default() };
        let versioned = KernelModule::read(&fake::module(&versioned).into()).unwrap();
        assert_eq!(versioned.exports, ["a"]);
    }

    #[test]
    fn compressed_ones_are_the_same() {
        let plain = KernelModule::read(&sample().into()).unwrap();
        let methods = [
            Method::Gzip { level: 6 },
            Method::Xz { preset: 0, extreme: false },
            Method::Zstd { level: 3 },
        ];
        let dir = tempfile::tempdir().unwrap();
        for method in methods {
            let mut spool = Spool::new(&Scratch::new(dir.path()));
            let packed = compress(method, &sample().into(), &mut spool, 1, &mut |_| ()).unwrap();
            assert_eq!(KernelModule::read(&packed).unwrap(), plain);
        }
    }

    #[test]
    fn names() {
        let names = ["a-b.ko", "snd.x.ko.zst", "x.ko.xz", "x.ko.bz2", "modules.order"].map(name);
        assert_eq!(names, [Some("a_b".into()), Some("snd".into()), Some("x".into()), None, None]);
        assert_eq!(uncompressed("kernel/x.ko.gz"), Some("kernel/x.ko"));
    }

    #[test]
    fn what_is_no_module_is_refused() {
        let error = |bytes: Vec<u8>| KernelModule::read(&bytes.into()).unwrap_err();
        assert_eq!(
            error(b"MZ".to_vec()).to_string(),
            "kernel module: 2 bytes are too few for an ELF file"
        );
        assert!(error(vec![1; 100]).to_string().ends_with("no ELF file"));
        let mut other = sample();
        other[4] = 1; // 32-bit
        assert!(matches!(error(other).fault(), Fault::Unsupported(_)));
        let mut cut = sample();
        cut.pop();
        assert!(error(cut).to_string().contains("the section headers reaches past the end"));
    }

    proptest! {
        #[test]
        fn damaged_ones_never_panic(
            changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..6),
            cut in any::<proptest::sample::Index>(),
        ) {
            let mut bytes = sample();
            for (at, byte) in changes {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            let _ = KernelModule::read(&bytes.clone().into());
            bytes.truncate(cut.index(bytes.len()));
            let _ = KernelModule::read(&bytes.into());
        }
    }
}

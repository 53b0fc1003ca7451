//! Portable executables, the format of UEFI programs: read, and grown by sections.
//!
//! Specification: Microsoft, "PE Format" (headings are quoted below), as the UEFI specification
//! 2.10, section 2.1.1 "UEFI Images" uses it. Only PE32+ is read: no 32-bit UEFI is served.

mod append;
mod certificates;
#[cfg(any(test, feature = "fake"))]
pub mod fake;

pub use append::{NewSection, append_sections};
pub(super) use certificates::{CERTIFICATE_ALIGN, Places, certificate_table, patched};

use super::{Error, Result};
use crate::blob::Blob;
use std::fmt;

const PE: &str = "PE";

/// Where the DOS header says the PE header lies (`e_lfanew`), in bytes.
const LFANEW: usize = 0x3c;
/// Lengths of the DOS header, the signature, the COFF header, the PE32+ optional header without
/// its data directories, one data directory, one section header.
const DOS_LEN: usize = 0x40;
const SIGNATURE: [u8; 4] = *b"PE\0\0";
const COFF_LEN: usize = 20;
const OPTIONAL_LEN: usize = 112;
const DIRECTORY_LEN: usize = 8;
const SECTION_LEN: usize = 40;
/// `Magic` of a PE32+ optional header.
const PE32_PLUS: u16 = 0x20b;

/// The section holds initialised data (`IMAGE_SCN_CNT_INITIALIZED_DATA`).
pub const INITIALIZED_DATA: u32 = 0x0000_0040;
/// The section can be read (`IMAGE_SCN_MEM_READ`).
pub const MEM_READ: u32 = 0x4000_0000;

/// The processor a program is for ("Machine Types").
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Machine {
    /// x86-64.
    Amd64,
    /// 64-bit ARM, little endian.
    Arm64,
    /// Any other, by its number.
    Other(u16),
}

impl From<u16> for Machine {
    fn from(number: u16) -> Self {
        match number {
            0x8664 => Self::Amd64,
            0xaa64 => Self::Arm64,
            other => Self::Other(other),
        }
    }
}

impl From<Machine> for u16 {
    fn from(machine: Machine) -> Self {
        match machine {
            Machine::Amd64 => 0x8664,
            Machine::Arm64 => 0xaa64,
            Machine::Other(other) => other,
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Amd64 => f.write_str("amd64"),
            Self::Arm64 => f.write_str("arm64"),
            Self::Other(number) => write!(f, "machine {number:#06x}"),
        }
    }
}

/// One row of the section table ("Section Table (Section Headers)").
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// At most 8 bytes, without the padding.
    pub name: String,
    /// Where it is loaded, in bytes from the image base.
    pub virtual_address: u32,
    /// Its length once loaded, in bytes.
    pub virtual_size: u32,
    /// Where its data starts in the file, in bytes.
    pub raw_offset: u32,
    /// How many bytes of data the file has; inside the file.
    pub raw_size: u32,
    /// `IMAGE_SCN_…` flags.
    pub characteristics: u32,
}

impl Section {
    fn parse(row: &[u8], at: u64) -> Result<Self> {
        let name = row[..8].split(|&byte| byte == 0).next().unwrap_or_default();
        let name = std::str::from_utf8(name)
            .map_err(|_| Error::corrupt(PE, at, "section name: it is no UTF-8"))?;
        Ok(Self {
            name: name.to_owned(),
            virtual_size: u32_at(row, 8),
            virtual_address: u32_at(row, 12),
            raw_size: u32_at(row, 16),
            raw_offset: u32_at(row, 20),
            characteristics: u32_at(row, 36),
        })
    }

    fn raw(&self, file: &Blob) -> Blob {
        let start = u64::from(self.raw_offset);
        file.slice(start..start + u64::from(self.raw_size))
    }
}

/// A program's headers, and the file they were read from.
#[derive(Clone, Debug)]
pub struct Image {
    /// The processor it is for.
    pub machine: Machine,
    /// `TimeDateStamp`: seconds since 1970.
    pub timestamp: u32,
    /// The address it would like to be loaded at.
    pub image_base: u64,
    /// Sections are loaded at multiples of this many bytes, a power of two.
    pub section_alignment: u32,
    /// Sections lie in the file at multiples of this many bytes, a power of two.
    pub file_alignment: u32,
    /// In table order; names can repeat.
    pub sections: Vec<Section>,
    file: Blob,
    /// The headers as they stand, for those who write or hash them.
    dos: [u8; DOS_LEN],
    coff: [u8; COFF_LEN],
    optional: Vec<u8>,
}

impl Image {
    /// Reads the headers of a PE32+ file.
    ///
    /// # Errors
    /// `Corrupt` where a header is cut short, lies outside the file or contradicts itself;
    /// `Unsupported` for PE32.
    pub fn parse(file: &Blob) -> Result<Self> {
        let dos: [u8; DOS_LEN] = header(file, 0, "DOS header")?;
        if !dos.starts_with(b"MZ") {
            return Err(Error::corrupt(PE, 0, "DOS header: it does not start with MZ"));
        }
        let signature_at = u64::from(u32_at(&dos, LFANEW));
        if header::<4>(file, signature_at, "PE signature")? != SIGNATURE {
            return Err(Error::corrupt(PE, signature_at, "PE signature: it is not PE\\0\\0"));
        }
        let coff_at = signature_at + SIGNATURE.len() as u64;
        let coff: [u8; COFF_LEN] = header(file, coff_at, "COFF header")?;
        let section_count = u16_at(&coff, 2);
        let optional_len = u16_at(&coff, 16);

        let optional_at = coff_at + COFF_LEN as u64;
        let magic = u16::from_le_bytes(header(file, optional_at, "optional header")?);
        if magic == 0x10b {
            return Err(Error::unsupported(PE, "a 32-bit program (PE32)"));
        }
        if magic != PE32_PLUS {
            return Err(Error::corrupt(
                PE,
                optional_at,
                format!("optional header: magic {magic:#x} is neither 0x10b nor 0x20b"),
            ));
        }
        let optional = bytes(file, optional_at, u64::from(optional_len), "optional header")?;
        let directories = optional
            .get(OPTIONAL_LEN - 4..OPTIONAL_LEN)
            .map(|count| u32_at(count, 0) as usize)
            .filter(|&count| count <= (optional.len() - OPTIONAL_LEN) / DIRECTORY_LEN);
        if directories.is_none() {
            return Err(Error::corrupt(
                PE,
                optional_at,
                format!("optional header: {optional_len} bytes do not hold its data directories"),
            ));
        }
        let alignment = |at: usize, field: &str| {
            let align = u32_at(&optional, at);
            if align.is_power_of_two() {
                return Ok(align);
            }
            let what = format!("{field}: {align} is no power of two");
            Err(Error::corrupt(PE, optional_at + at as u64, what))
        };

        let table_at = optional_at + u64::from(optional_len);
        let table_len = u64::from(section_count) * SECTION_LEN as u64;
        let table = bytes(file, table_at, table_len, "section table")?;
        let mut sections = Vec::with_capacity(usize::from(section_count));
        let mut at = table_at;
        for row in table.chunks_exact(SECTION_LEN) {
            let section = Section::parse(row, at)?;
            let end = u64::from(section.raw_offset) + u64::from(section.raw_size);
            if section.raw_size > 0 && end > file.len() {
                return Err(Error::corrupt(
                    PE,
                    at,
                    format!(
                        "section {}: its data ends at byte {end}, the file at {}",
                        section.name,
                        file.len()
                    ),
                ));
            }
            sections.push(section);
            at += SECTION_LEN as u64;
        }
        Ok(Self {
            machine: u16_at(&coff, 0).into(),
            timestamp: u32_at(&coff, 4),
            image_base: u64::from(u32_at(&optional, 24)) | u64::from(u32_at(&optional, 28)) << 32,
            section_alignment: alignment(32, "SectionAlignment")?,
            file_alignment: alignment(36, "FileAlignment")?,
            sections,
            file: file.clone(),
            dos,
            coff,
            optional,
        })
    }

    /// A section of this image as the firmware loads it: its data cut to `virtual_size`, or with
    /// zeros up to it.
    pub fn content(&self, section: &Section) -> Blob {
        let len = u64::from(section.virtual_size);
        let data = section.raw(&self.file).slice(0..len);
        let missing = len - data.len();
        Blob::concat([data, Blob::zeros(missing)])
    }

    /// The first section of this name, as [`Image::content`].
    pub fn find(&self, name: &str) -> Option<Blob> {
        self.sections.iter().find(|section| section.name == name).map(|found| self.content(found))
    }
}

/// `N` bytes of the file, or what is cut short.
fn header<const N: usize>(file: &Blob, at: u64, what: &str) -> Result<[u8; N]> {
    inside(file, at, N as u64, what)?;
    file.array(at).map_err(|error| Error::io(PE, error))
}

/// `len` bytes of the file, or what is cut short. The lengths are 16-bit counts of small rows.
fn bytes(file: &Blob, at: u64, len: u64, what: &str) -> Result<Vec<u8>> {
    inside(file, at, len, what)?;
    file.slice(at..at + len).to_vec(len).map_err(|error| Error::io(PE, error))
}

fn inside(file: &Blob, at: u64, len: u64, what: &str) -> Result<()> {
    if at + len <= file.len() {
        return Ok(());
    }
    let what = format!("{what}: it needs {len} bytes, the file ends at {}", file.len());
    Err(Error::corrupt(PE, at, what))
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16_at(bytes, at)) | u32::from(u16_at(bytes, at + 2)) << 16
}

#[cfg(test)]
mod tests {
    use super::*;
    use object::{Object, ObjectSection, read::pe::PeFile64};
    use proptest::prelude::*;

    #[test]
    fn an_independent_reader_sees_the_same_sections() {
        let bytes = fake::stub(Machine::Amd64);
        let foreign = PeFile64::parse(&*bytes).unwrap();
        let image = Image::parse(&Blob::from(bytes.clone())).unwrap();
        assert_eq!(foreign.sections().count(), image.sections.len());
        for (theirs, ours) in foreign.sections().zip(&image.sections) {
            assert_eq!(theirs.name().unwrap(), ours.name);
            assert_eq!(theirs.address(), image.image_base + u64::from(ours.virtual_address));
            assert_eq!(theirs.data().unwrap(), image.content(ours).to_vec(1 << 20).unwrap());
        }
    }

    #[test]
    fn a_section_longer_in_memory_than_in_the_file_reads_zeros() {
        let mut bytes = fake::image(Machine::Arm64, &[(".text", b"code")]);
        let row = bytes.windows(5).position(|name| name == b".text").unwrap();
        bytes[row + 8..row + 12].copy_from_slice(&0x300u32.to_le_bytes());
        let text = Image::parse(&bytes.into()).unwrap().find(".text").unwrap();
        let text = text.to_vec(0x300).unwrap();
        assert_eq!(&text[..4], b"code");
        assert_eq!(text[4..], [0; 0x2fc]);
    }

    #[test]
    fn every_cut_names_what_is_missing() {
        let whole = Blob::from(fake::stub(Machine::Amd64));
        for len in 0..whole.len() {
            let error = Image::parse(&whole.slice(0..len)).unwrap_err();
            assert!(error.to_string().contains("ends at"), "{len}: {error}");
        }
    }

    proptest! {
        #[test]
        fn flipped_bytes_never_panic(at in 0usize..0x400, byte: u8, other in 0usize..0x400) {
            let mut bytes = fake::stub(Machine::Amd64);
            bytes[at] = byte;
            bytes[other] ^= byte;
            let file = Blob::from(bytes);
            if let Ok(image) = Image::parse(&file) {
                for section in &image.sections {
                    prop_assert_eq!(image.content(section).len(), u64::from(section.virtual_size));
                }
                let new = NewSection { name: ".new", content: "new".into(), align: 1 };
                let _ = append_sections(&file, &[new], 0);
            }
        }
    }
}

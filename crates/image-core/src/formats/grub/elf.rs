//! ELF files as GRUB's kernel and modules are: little endian, 32 or 64 bits.
//!
//! Specification: System V ABI, "Object Files" (ELF header, sections, symbol table, relocation).
//! What is wrong is told as text, for the caller to name the file.

use std::ops::Range;

/// `e_type`: a file to be linked, and a program.
pub(super) const RELOCATABLE: u16 = 1;
pub(super) const EXECUTABLE: u16 = 2;
/// `sh_type`.
const SYMBOLS: u32 = 2;
const WITH_ADDENDS: u32 = 4;
const NO_BITS: u32 = 8;
const WITHOUT_ADDENDS: u32 = 9;
/// `sh_flags`.
const WRITABLE: u64 = 1;
const ALLOCATED: u64 = 2;
const CODE: u64 = 4;
/// The longest name that is read, in bytes.
const NAME_LIMIT: usize = 1024;
/// `st_shndx` from which on numbers name no section.
const RESERVED: u16 = 0xff00;

/// A file's sections.
#[derive(Debug)]
pub(super) struct Elf<'a> {
    bytes: &'a [u8],
    wide: bool,
    /// `e_type` and `e_machine`.
    pub(super) kind: u16,
    pub(super) machine: u16,
    pub(super) sections: Vec<Section<'a>>,
}

/// One row of the section table.
#[derive(Debug)]
pub(super) struct Section<'a> {
    pub(super) name: &'a str,
    kind: u32,
    flags: u64,
    /// Where it is to lie in memory; 0 in a file to be linked.
    pub(super) address: u64,
    /// Its length in memory, in bytes.
    pub(super) size: u64,
    /// A power of two.
    pub(super) align: u64,
    link: u32,
    info: u32,
    /// Its bytes in the file; none if it is all zeros.
    data: Range<usize>,
}

impl Section<'_> {
    /// Whether it takes room in memory.
    pub(super) fn is_loaded(&self) -> bool {
        self.flags & ALLOCATED != 0
    }

    /// Whether what runs may change it.
    pub(super) fn is_writable(&self) -> bool {
        self.flags & WRITABLE != 0
    }

    /// Whether it is machine code.
    pub(super) fn is_code(&self) -> bool {
        self.flags & CODE != 0
    }

    /// Whether it is zeros the file does not hold.
    pub(super) fn is_zeros(&self) -> bool {
        self.kind == NO_BITS
    }
}

/// Where a symbol is defined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Elsewhere.
    Undefined,
    /// In the section of this number.
    Section(usize),
    /// Somewhere a kernel or module has no symbols: absolute, common.
    Other,
}

/// One row of the symbol table.
#[derive(Debug)]
pub(super) struct Symbol<'a> {
    pub(super) name: &'a str,
    pub(super) place: Place,
    /// From the start of its section.
    pub(super) value: u64,
    /// Whether other files see it.
    pub(super) is_global: bool,
}

/// One place to be filled in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Relocation {
    /// From the start of the section it is in.
    pub(super) offset: u64,
    pub(super) kind: u32,
    /// The symbol's row.
    pub(super) symbol: usize,
    pub(super) addend: i64,
}

impl<'a> Elf<'a> {
    /// Reads the headers.
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, String> {
        let wide = match bytes.get(..6) {
            Some([0x7f, b'E', b'L', b'F', 1, 1]) => false,
            Some([0x7f, b'E', b'L', b'F', 2, 1]) => true,
            _ => return Err("it is no little-endian ELF file".to_owned()),
        };
        let cut = || "its ELF header is cut short".to_owned();
        let field = |narrow: usize, at_wide: usize| {
            u16_at(bytes, if wide { at_wide } else { narrow }).ok_or_else(cut)
        };
        let table = word_at(bytes, if wide { 40 } else { 32 }, wide).ok_or_else(cut)?;
        let (row_len, least) = (field(46, 58)?, if wide { 64 } else { 40 });
        if row_len < least {
            return Err(format!("its section headers have {row_len} bytes, not {least}"));
        }
        let (count, names) = (field(48, 60)?, usize::from(field(50, 62)?));
        let mut elf = Self {
            bytes,
            wide,
            kind: field(16, 16)?,
            machine: field(18, 18)?,
            sections: Vec::with_capacity(usize::from(count)),
        };
        let mut name_offsets = Vec::with_capacity(usize::from(count));
        for number in 0..u64::from(count) {
            let row = table
                .checked_add(number * u64::from(row_len))
                .and_then(|at| bytes.get(usize::try_from(at).ok()?..)?.get(..usize::from(least)))
                .ok_or_else(|| format!("its section header {number} lies behind its end"))?;
            let (name, section) = section(row, wide, bytes.len())
                .ok_or_else(|| format!("its section {number} does not lie inside it"))?;
            name_offsets.push(name);
            elf.sections.push(section);
        }
        let table = elf.sections.get(names).map_or(0..0, |section| section.data.clone());
        for (section, offset) in elf.sections.iter_mut().zip(name_offsets) {
            section.name = text(&bytes[table.clone()], offset)
                .ok_or_else(|| "a section's name lies outside its table".to_owned())?;
        }
        Ok(elf)
    }

    /// Whether it is a 64-bit file.
    pub(super) fn is_wide(&self) -> bool {
        self.wide
    }

    /// A section's bytes, as far as the file holds them.
    pub(super) fn data(&self, section: &Section<'_>) -> &'a [u8] {
        &self.bytes[section.data.clone()]
    }

    /// The first section of this name.
    pub(super) fn find(&self, name: &str) -> Option<&'a [u8]> {
        self.sections.iter().find(|section| section.name == name).map(|found| self.data(found))
    }

    /// The symbols, numbered from 0; the first is a blank.
    pub(super) fn symbols(&self) -> Result<Vec<Symbol<'a>>, String> {
        let Some(table) = self.sections.iter().find(|section| section.kind == SYMBOLS) else {
            return Ok(Vec::new());
        };
        let names =
            self.sections.get(table.link as usize).map_or(&[][..], |names| self.data(names));
        let wide = self.wide;
        let symbol = |row: &[u8]| {
            let (name, info) = (u32_at(row, 0)?, *row.get(if wide { 4 } else { 12 })?);
            let place = match u16_at(row, if wide { 6 } else { 14 })? {
                0 => Place::Undefined,
                RESERVED.. => Place::Other,
                number => Place::Section(usize::from(number)),
            };
            let value = word_at(row, if wide { 8 } else { 4 }, wide)?;
            Some(Symbol { name: text(names, name)?, place, value, is_global: info >> 4 != 0 })
        };
        let rows = self.data(table).chunks_exact(if wide { 24 } else { 16 });
        rows.map(symbol)
            .collect::<Option<_>>()
            .ok_or_else(|| "a symbol's name lies outside its table".to_owned())
    }

    /// The places to be filled in by section number.
    pub(super) fn relocations(&self) -> Result<Vec<(usize, Vec<Relocation>)>, String> {
        let mut all = Vec::new();
        for table in &self.sections {
            let target = table.info as usize;
            let is_loaded = self.sections.get(target).is_some_and(Section::is_loaded);
            if table.kind == WITHOUT_ADDENDS && is_loaded
                || table.kind == WITH_ADDENDS && !self.wide
            {
                return Err(format!("its relocations {} are of an unknown shape", table.name));
            }
            if table.kind != WITH_ADDENDS || !is_loaded {
                continue;
            }
            let relocation = |row: &[u8]| {
                Some(Relocation {
                    offset: word_at(row, 0, true)?,
                    kind: u32_at(row, 8)?,
                    symbol: u32_at(row, 12)? as usize,
                    addend: word_at(row, 16, true)?.cast_signed(),
                })
            };
            all.push((target, self.data(table).chunks_exact(24).filter_map(relocation).collect()));
        }
        Ok(all)
    }
}

/// A section header; its name's offset beside it.
fn section(row: &[u8], wide: bool, file_len: usize) -> Option<(u32, Section<'static>)> {
    let [flags, address, offset, size, link, align] =
        if wide { [8, 16, 24, 32, 40, 48] } else { [8, 12, 16, 20, 24, 32] };
    let kind = u32_at(row, 4)?;
    let (offset, size) = (word_at(row, offset, wide)?, word_at(row, size, wide)?);
    let data = if kind == NO_BITS || kind == 0 {
        0..0
    } else {
        let end = usize::try_from(offset.checked_add(size)?).ok()?;
        usize::try_from(offset).ok().filter(|_| end <= file_len)?..end
    };
    let section = Section {
        name: "",
        kind,
        flags: word_at(row, flags, wide)?,
        address: word_at(row, address, wide)?,
        size,
        // None is one, too.
        align: Some(word_at(row, align, wide)?.max(1)).filter(|align| align.is_power_of_two())?,
        link: u32_at(row, link)?,
        info: u32_at(row, link + 4)?,
        data,
    };
    Some((u32_at(row, 0)?, section))
}

/// The NUL-terminated text at `at`; none if it does not end, or is no UTF-8.
fn text(table: &[u8], at: u32) -> Option<&str> {
    if at == 0 && table.is_empty() {
        return Some("");
    }
    let text = table.get(at as usize..)?;
    let text = &text[..text.len().min(NAME_LIMIT)];
    std::str::from_utf8(&text[..text.iter().position(|&byte| byte == 0)?]).ok()
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// A number as wide as an address.
pub(super) fn word_at(bytes: &[u8], at: usize, wide: bool) -> Option<u64> {
    if !wide {
        return u32_at(bytes, at).map(u64::from);
    }
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

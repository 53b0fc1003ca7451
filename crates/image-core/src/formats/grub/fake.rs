//! GRUB's files made in code: ELF files and boot sectors that are right in their structure. What
//! would run does nothing.

use super::{Platform, elf};
use crate::{
    formats::pe::fake::return_success,
    tree::{Node, PathError, Tree, TreePath},
};

/// The version that `modinfo.sh` and the module `normal` tell.
pub const VERSION: &str = "2.14-1fake";
/// A function the kernel has for modules.
const EXPORT: &str = "grub_register_command";
/// `sh_type` and `sh_flags`.
pub(super) const PROGRAM: u32 = 1;
const SYMBOLS: u32 = 2;
const TEXTS: u32 = 3;
const RELOCATIONS: u32 = 4;
pub(super) const ZEROS: u32 = 8;
pub(super) const DATA: u64 = 2;
#[cfg(test)]
pub(super) const VARIABLES: u64 = 3;
pub(super) const CODE: u64 = 6;

/// A directory of these modules (a name, and the names of those it needs, space between): the
/// root of the tree is the directory.
///
/// # Errors
/// A name is no file name.
pub fn directory(platform: Platform, modules: &[(&str, &str)]) -> Result<Tree, PathError> {
    let mut tree = Tree::new();
    let mut put = |name: &str, content: Vec<u8>| {
        TreePath::new(name).map(|path| tree.insert(path, Node::file(content, 0o644)))
    };
    put("kernel.img", kernel(platform))?;
    put("modinfo.sh", format!("grub_package_version=\"{VERSION}\"\n").into_bytes())?;
    let lines: Vec<_> = modules.iter().map(|(name, needs)| format!("{name}: {needs}\n")).collect();
    put("moddep.lst", lines.concat().into_bytes())?;
    for (name, needs) in modules {
        put(&format!("{name}.mod"), module(platform, name, needs))?;
    }
    if platform == Platform::I386Pc {
        put("boot.img", sector(&[(0x5c, &[1]), (0x66, &[0xeb, 5]), (0x180, b"GRUB "), END]))?;
        put("boot_hybrid.img", sector(&[(0x1b0, &[1]), (0x180, b"GRUB "), END]))?;
        put("diskboot.img", sector(&[(0x1f4, &[2]), (0x1fe, &[0x20, 8])]))?;
        put("cdboot.img", vec![0xf4; 2048])?;
        let mut loader = b"\xea\x1c\x82\0\0".to_vec();
        loader.resize(0x100, 0);
        loader[0x40..0x4a].copy_from_slice(b"\xbf\0\0\x10\0\xbe\0\x83\0\0");
        put("lzma_decompress.img", loader)?;
    }
    Ok(tree)
}

const END: (usize, &[u8]) = (0x1fe, &[0x55, 0xaa]);

fn sector(parts: &[(usize, &[u8])]) -> Vec<u8> {
    let mut sector = vec![0; 512];
    for (at, bytes) in parts {
        sector[*at..at + bytes.len()].copy_from_slice(bytes);
    }
    sector
}

fn kernel(platform: Platform) -> Vec<u8> {
    let exports = format!("mimg\0{EXPORT}\0").into_bytes();
    let Some(machine) = platform.machine() else {
        let mut elf = Elf::new(platform, elf::EXECUTABLE);
        elf.add(".text", PROGRAM, CODE, 0x9000, b"\xf4\xeb\xfd".to_vec()); // hlt, in a circle
        elf.add(".rodata", PROGRAM, DATA, 0x9010, exports);
        elf.add(".bss", ZEROS, DATA, 0x9040, vec![0; 64]);
        return elf.file();
    };
    let mut elf = Elf::new(platform, elf::RELOCATABLE);
    elf.add(".text", PROGRAM, CODE, 0, return_success(machine).to_vec());
    elf.add(".rodata", PROGRAM, DATA, 0, exports);
    elf.add(".bss", ZEROS, DATA, 0, vec![0; 64]);
    elf.add(".data", PROGRAM, DATA, 0, vec![0; 16]);
    elf.symbols = vec![("_start", 1, 0)];
    let address = if platform == Platform::X86_64Efi { 1 } else { 257 };
    elf.relocate(4, &[(8, address, 1, 0)]);
    elf.file()
}

/// A module that uses the kernel and all modules it needs.
pub(super) fn module(platform: Platform, name: &str, needs: &str) -> Vec<u8> {
    module_of(platform, name, needs, DATA)
}

/// The same with these flags of the section that GRUB made constant in 2.14.
pub(super) fn module_of(platform: Platform, name: &str, needs: &str, licence: u64) -> Vec<u8> {
    let texts: Vec<u8> =
        needs.split_whitespace().flat_map(|need| need.bytes().chain([0])).collect();
    let mut elf = Elf::new(platform, elf::RELOCATABLE);
    elf.add(".text", PROGRAM, CODE, 0, vec![0xc3; 20]);
    if name == "normal" {
        elf.add(".rodata", PROGRAM, DATA, 0, format!("GRUB %s\0{VERSION}\0").into_bytes());
    }
    elf.add(".module_license", PROGRAM, licence, 0, b"LICENSE=GPLv3+\0".to_vec());
    elf.add(".moddeps", PROGRAM, 0, 0, texts);
    elf.add(".modname", PROGRAM, 0, 0, format!("{name}\0").into_bytes());
    let own = |name: &str| format!("grub_{name}_start");
    let needs: Vec<String> = needs.split_whitespace().map(own).collect();
    let own = own(name);
    elf.symbols = vec![(EXPORT, 0, 0), (&own, 1, 4)];
    elf.symbols.extend(needs.iter().map(|need| (need.as_str(), 0, 0)));
    elf.file()
}

/// An ELF file to be written.
pub(super) struct Elf<'a> {
    platform: Platform,
    kind: u16,
    /// Global ones from row 1 on: name, section, value.
    pub(super) symbols: Vec<(&'a str, u16, u64)>,
    sections: Vec<Section>,
}

struct Section {
    name: String,
    kind: u32,
    flags: u64,
    address: u64,
    link: usize,
    info: usize,
    data: Vec<u8>,
}

impl Elf<'_> {
    /// A file of this `e_type`, without sections.
    pub(super) fn new(platform: Platform, kind: u16) -> Self {
        let mut new = Self { platform, kind, symbols: Vec::new(), sections: Vec::new() };
        new.add("", 0, 0, 0, Vec::new());
        new
    }

    /// Adds a section, the first as number 1.
    pub(super) fn add(&mut self, name: &str, kind: u32, flags: u64, address: u64, data: Vec<u8>) {
        let name = name.to_owned();
        self.sections.push(Section { name, kind, flags, address, link: 0, info: 0, data });
    }

    /// Adds relocations of section `target`: offset, type, symbol, addend.
    pub(super) fn relocate(&mut self, target: usize, relocations: &[(u64, u32, u32, i64)]) {
        let mut data = Vec::new();
        for (offset, kind, symbol, addend) in relocations {
            data.extend(offset.to_le_bytes());
            data.extend(kind.to_le_bytes());
            data.extend(symbol.to_le_bytes());
            data.extend(addend.to_le_bytes());
        }
        self.add(".rela", RELOCATIONS, 0, 0, data);
        if let Some(section) = self.sections.last_mut() {
            section.info = target;
        }
    }

    /// The file.
    pub(super) fn file(mut self) -> Vec<u8> {
        let (machine, wide) = self.platform.elf();
        let mut names = vec![0];
        let mut table = vec![0; if wide { 24 } else { 16 }];
        for (name, section, value) in std::mem::take(&mut self.symbols) {
            let at = le32(names.len());
            names.extend(name.bytes().chain([0]));
            let ends = [&section.to_le_bytes()[..], &value.to_le_bytes()];
            table.extend(at);
            if wide {
                table.extend([&[0x10, 0][..], ends[0], ends[1], &[0; 8]].concat());
            } else {
                table.extend([&ends[1][..4], &[0; 4], &[0x10, 0], ends[0]].concat());
            }
        }
        self.add(".symtab", SYMBOLS, 0, 0, table);
        let symbols = self.sections.len() - 1;
        self.sections[symbols].link = symbols + 1;
        self.add(".strtab", TEXTS, 0, 0, names);
        self.add(".shstrtab", TEXTS, 0, 0, Vec::new());
        let texts = self.sections.len() - 1;
        let mut names = Vec::new();
        let mut name_at = Vec::new();
        for section in &self.sections {
            name_at.push(names.len());
            names.extend(section.name.bytes().chain([0]));
        }
        self.sections[texts].data = names;

        let word = |value: u64| value.to_le_bytes()[..if wide { 8 } else { 4 }].to_vec();
        let header_len = if wide { 64 } else { 52 };
        let (mut body, mut rows) = (vec![0; header_len], Vec::new());
        for (section, name_at) in self.sections.iter().zip(name_at) {
            let at = body.len();
            if section.kind != ZEROS {
                body.extend(&section.data);
                body.resize(body.len().next_multiple_of(8), 0);
            }
            rows.extend([le32(name_at), section.kind.to_le_bytes()].concat());
            for value in [section.flags, section.address, at as u64, section.data.len() as u64] {
                rows.extend(word(value));
            }
            rows.extend([le32(section.link), le32(section.info)].concat());
            rows.extend([word(1), word(0)].concat());
        }
        let mut header = b"\x7fELF\x01\x01\x01".to_vec();
        header[4] += u8::from(wide);
        header.resize(16, 0);
        header.extend([self.kind.to_le_bytes(), machine.to_le_bytes()].concat());
        header.extend(1u32.to_le_bytes());
        // Entry, program headers, section headers.
        header.extend([word(0), word(0), word(body.len() as u64)].concat());
        header.extend([0; 4]);
        let row_len = if wide { 64 } else { 40 };
        for field in [header_len, 0, 0, row_len, self.sections.len(), texts] {
            header.extend(&le32(field)[..2]);
        }
        body[..header_len].copy_from_slice(&header);
        body.extend(rows);
        body
    }
}

#[expect(clippy::cast_possible_truncation, reason = "fakes are small")]
fn le32(value: usize) -> [u8; 4] {
    (value as u32).to_le_bytes()
}

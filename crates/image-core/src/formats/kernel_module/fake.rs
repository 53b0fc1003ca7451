//! Small kernel modules made in code: all that depmod looks at, and nothing that runs.

use super::{
    E_SHENTSIZE, E_SHNUM, E_SHOFF, E_SHSTRNDX, HEADER_LEN, SECTION_LEN, SH_OFFSET, SH_SIZE,
    SYMBOL_LEN,
};
use std::iter::once;

/// What a fake module says and has.
#[derive(Clone, Copy, Debug, Default)]
pub struct Module<'a> {
    /// The entries of `.modinfo`: `key=value`.
    pub info: &'a [&'a str],
    /// The names in `__ksymtab_strings`.
    pub exports: &'a [&'a str],
    /// The symbols it gives that have a version sum.
    pub sums: &'a [&'a str],
    /// The symbols it needs.
    pub needs: &'a [&'a str],
}

/// A relocatable x86-64 ELF file with these.
pub fn module(module: &Module<'_>) -> Vec<u8> {
    let Module { info, exports, sums, needs } = *module;
    let listed =
        |names: &[&str]| names.iter().flat_map(|name| name.bytes().chain(once(0))).collect();
    let (mut symbols, mut strings) = (vec![0; SYMBOL_LEN], vec![0]);
    let defined = sums.iter().map(|name| (format!("__crc_{name}"), 1));
    for (name, section) in defined.chain(needs.iter().map(|&name| (name.to_owned(), 0))) {
        let mut symbol = [0; SYMBOL_LEN];
        symbol[..4].copy_from_slice(&le(strings.len())[..4]);
        symbol[4] = 0x10; // STB_GLOBAL
        symbol[6] = section;
        symbols.extend(symbol);
        strings.extend(name.bytes().chain(once(0)));
    }
    let mut sections: Vec<(&str, u8, Vec<u8>)> = vec![
        ("", 0, Vec::new()),
        (".modinfo", 1, listed(info)),
        ("__ksymtab_strings", 1, listed(exports)),
        (".symtab", 2, symbols),
        (".strtab", 3, strings),
    ];
    let mut names: Vec<u8> = listed(&sections.iter().map(|(name, ..)| *name).collect::<Vec<_>>());
    names.extend(b".shstrtab\0");
    sections.push((".shstrtab", 3, names));

    let mut file = b"\x7fELF\x02\x01\x01".to_vec();
    file.resize(HEADER_LEN, 0);
    let (mut table, mut name_at) = (Vec::new(), 0);
    for (name, kind, content) in &sections {
        let mut header = [0; SECTION_LEN];
        header[..4].copy_from_slice(&le(name_at)[..4]);
        header[4] = *kind;
        header[SH_OFFSET..SH_OFFSET + 8].copy_from_slice(&le(file.len()));
        header[SH_SIZE..SH_SIZE + 8].copy_from_slice(&le(content.len()));
        if *kind == 2 {
            header[0x28] = 4; // sh_link: .strtab
            header[0x2c] = 1; // sh_info: the first global symbol
            header[0x38..0x40].copy_from_slice(&le(SYMBOL_LEN));
        }
        table.extend(header);
        file.extend(content);
        file.resize(file.len().next_multiple_of(8), 0);
        name_at += name.len() + 1;
    }
    let mut put = |at: usize, bytes: &[u8]| file[at..at + bytes.len()].copy_from_slice(bytes);
    put(0x10, &[1, 0, 62, 0, 1]); // ET_REL, EM_X86_64, EV_CURRENT
    put(0x34, &le(HEADER_LEN)[..2]);
    put(E_SHENTSIZE, &le(SECTION_LEN)[..2]);
    put(E_SHNUM, &le(sections.len())[..2]);
    put(E_SHSTRNDX, &le(sections.len() - 1)[..2]);
    let table_at = le(file.len());
    file[E_SHOFF..E_SHOFF + 8].copy_from_slice(&table_at);
    file.extend(table);
    file
}

fn le(number: usize) -> [u8; 8] {
    (number as u64).to_le_bytes()
}

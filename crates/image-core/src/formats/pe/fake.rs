//! Small valid programs made in code, where real ones would be too large to keep.

use super::{
    COFF_LEN, DIRECTORY_LEN, DOS_LEN, INITIALIZED_DATA, MEM_READ, Machine, OPTIONAL_LEN, PE32_PLUS,
    SECTION_LEN, SIGNATURE,
};

/// Alignment in the file and in memory, in bytes; also where the first section is loaded.
const FILE_ALIGN: usize = 0x200;
const SECTION_ALIGN: usize = 0x1000;
const DIRECTORIES: usize = 16;
/// `IMAGE_SCN_CNT_CODE | IMAGE_SCN_MEM_EXECUTE`.
const CODE: u32 = 0x2000_0020;

/// A UEFI program of these sections (name, content). `.text` is code, the rest data to be read;
/// the entry point is the first byte of the first section, whose data is at byte 0x200 as long
/// as there are no more than three sections.
pub fn image(machine: Machine, sections: &[(&str, &[u8])]) -> Vec<u8> {
    let optional_len = OPTIONAL_LEN + DIRECTORIES * DIRECTORY_LEN;
    let table_at = DOS_LEN + SIGNATURE.len() + COFF_LEN + optional_len;
    let headers_len = (table_at + sections.len() * SECTION_LEN).next_multiple_of(FILE_ALIGN);
    let (mut table, mut body) = (Vec::new(), Vec::new());
    let mut address = SECTION_ALIGN;
    for (name, content) in sections {
        let kind = if *name == ".text" { CODE } else { INITIALIZED_DATA };
        let raw_len = content.len().next_multiple_of(FILE_ALIGN);
        let mut padded_name = [0; 8];
        padded_name[..name.len()].copy_from_slice(name.as_bytes());
        table.extend(padded_name);
        for field in [content.len(), address, raw_len, headers_len + body.len(), 0, 0, 0] {
            table.extend(le32(field));
        }
        table.extend((kind | MEM_READ).to_le_bytes());
        body.extend_from_slice(content);
        body.resize(body.len().next_multiple_of(FILE_ALIGN), 0);
        address = (address + content.len()).next_multiple_of(SECTION_ALIGN);
    }

    let mut file = b"MZ".to_vec();
    file.resize(DOS_LEN - 4, 0);
    file.extend(le32(DOS_LEN));
    file.extend(SIGNATURE);
    file.extend(u16::from(machine).to_le_bytes());
    file.extend(le16(sections.len()));
    file.extend([0; 12]);
    file.extend(le16(optional_len));
    file.extend(le16(0x0222)); // executable, large addresses, no line numbers

    let mut optional = vec![0; optional_len];
    let mut put = |at: usize, bytes: &[u8]| optional[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, &PE32_PLUS.to_le_bytes());
    put(16, &le32(SECTION_ALIGN)); // entry point
    put(24, &0x1_4000_0000_u64.to_le_bytes()); // image base
    put(32, &le32(SECTION_ALIGN));
    put(36, &le32(FILE_ALIGN));
    put(44, &le16(1)); // image version: a kernel's says that it takes an initrd from UEFI
    put(56, &le32(address));
    put(60, &le32(headers_len));
    put(68, &le16(10)); // UEFI application
    put(OPTIONAL_LEN - 4, &le32(DIRECTORIES));
    file.extend(optional);
    file.extend(table);
    file.resize(headers_len, 0);
    file.extend(body);
    file
}

/// A stub as systemd's, as far as headers and sections go: run, it ends at once.
pub fn stub(machine: Machine) -> Vec<u8> {
    program(machine, b"#### LoaderInfo: systemd-stub 257.13 ####\0")
}

/// A boot loader as systemd-boot, as far as headers and sections go: run, it ends at once.
pub fn boot_loader(machine: Machine) -> Vec<u8> {
    program(machine, b"#### LoaderInfo: systemd-boot 257.13 ####\0")
}

fn program(machine: Machine, magic: &[u8]) -> Vec<u8> {
    const SBAT: &[u8] =
        b"sbat,1,SBAT Version,sbat,1,https://github.com/rhboot/shim/blob/main/SBAT.md\nfake,1,Fake,fake,1,\n";
    image(machine, &[(".text", return_success(machine)), (".sbat", SBAT), (".sdmagic", magic)])
}

/// Machine code that returns `EFI_SUCCESS`.
pub(crate) fn return_success(machine: Machine) -> &'static [u8] {
    match machine {
        Machine::Amd64 => b"\x31\xc0\xc3", // xor eax, eax; ret
        Machine::Arm64 => b"\x00\x00\x80\xd2\xc0\x03\x5f\xd6", // mov x0, #0; ret
        Machine::Other(_) => b"",
    }
}

#[expect(clippy::cast_possible_truncation, reason = "fakes are small")]
fn le32(value: usize) -> [u8; 4] {
    (value as u32).to_le_bytes()
}

#[expect(clippy::cast_possible_truncation, reason = "fakes are small")]
fn le16(value: usize) -> [u8; 2] {
    (value as u16).to_le_bytes()
}

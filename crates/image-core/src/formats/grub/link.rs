//! Linking GRUB's kernel for UEFI: addresses for its sections, and what follows from them.
//!
//! Specification: the processor supplements of the System V ABI: "x86-64", section "Relocation
//! Types"; "ELF for the Arm 64-bit Architecture", section "Relocation".

use super::elf::{Elf, Place, Relocation, Symbol};
use std::collections::BTreeSet;

/// The most a kernel takes in memory, in bytes; real ones have 120 KiB.
const LIMIT: u64 = 16 << 20;

/// A kernel at its addresses.
pub(super) struct Linked {
    /// From its base on: code, then, from `code_len` on, data and zeros.
    pub(super) image: Vec<u8>,
    /// A multiple of the alignment.
    pub(super) code_len: usize,
    /// The address of `_start`.
    pub(super) entry: u64,
    /// Addresses of 64-bit addresses in it, to be changed if it is loaded elsewhere.
    pub(super) absolute: BTreeSet<u64>,
}

/// Lays the kernel out from address `base` on, code and data each padded to `align` bytes.
///
/// # Errors
/// What is wrong with it.
pub(super) fn link(elf: &Elf<'_>, base: u64, align: u64) -> Result<Linked, String> {
    // Code first, then data, then zeros; each in the order of the file.
    let mut order: Vec<usize> = (0..elf.sections.len()).collect();
    order.retain(|&number| elf.sections[number].is_loaded());
    let rank = |number: &usize| {
        let section = &elf.sections[*number];
        (!section.is_code(), section.is_zeros())
    };
    order.sort_by_key(rank);
    let mut addresses = vec![None; elf.sections.len()];
    let (mut end, mut code_end) = (base, base);
    for number in order {
        let section = &elf.sections[number];
        if !section.is_code() && end == code_end {
            end = end.next_multiple_of(align);
        }
        let start = end.checked_next_multiple_of(section.align);
        let start = start.filter(|start| start.saturating_add(section.size) <= base + LIMIT);
        let start = start.ok_or_else(|| format!("section {} is too large", section.name))?;
        addresses[number] = Some(start);
        end = start + section.size;
        if section.is_code() {
            code_end = end;
        }
    }
    let offset = |address: u64| usize::try_from(address - base).unwrap_or(usize::MAX);
    let mut image = vec![0; offset(end.next_multiple_of(align))];
    for (section, address) in elf.sections.iter().zip(&addresses) {
        let (Some(address), data) = (address, elf.data(section)) else { continue };
        image[offset(*address)..][..data.len()].copy_from_slice(data);
    }

    let symbols = elf.symbols()?;
    let address = |symbol: &Symbol<'_>| match symbol.place {
        Place::Section(number) => {
            let section = addresses.get(number).copied().flatten();
            section.map(|section: u64| section.wrapping_add(symbol.value))
        }
        Place::Undefined | Place::Other => None,
    };
    let mut absolute = BTreeSet::new();
    for (number, relocations) in elf.relocations()? {
        let (Some(start), section) = (addresses[number], &elf.sections[number]) else { continue };
        for relocation in relocations {
            let broken = |what: &str| {
                let Relocation { kind, offset, .. } = relocation;
                format!("relocation of type {kind} at {:#x} of {}: {what}", offset, section.name)
            };
            let symbol = symbols.get(relocation.symbol).ok_or_else(|| broken("no such symbol"))?;
            let value = address(symbol)
                .ok_or_else(|| broken(&format!("{} is in no section that is loaded", symbol.name)))?
                .wrapping_add_signed(relocation.addend);
            let width = if is_quad(elf.machine, relocation.kind) { 8 } else { 4 };
            let inside =
                relocation.offset.checked_add(width).is_some_and(|end| end <= section.size);
            if !inside {
                return Err(broken("it lies outside its section"));
            }
            let place = start + relocation.offset;
            let bytes = &mut image[offset(place)..];
            match elf.machine {
                62 => x86_64(relocation.kind, bytes, value, place),
                183 => aarch64(relocation.kind, bytes, value, place),
                _ => None,
            }
            .ok_or_else(|| broken("it cannot be carried out"))?;
            if is_absolute(elf.machine, relocation.kind) {
                absolute.insert(place);
            }
        }
    }
    let start = symbols.iter().find(|symbol| symbol.name == "_start").and_then(address);
    Ok(Linked {
        image,
        code_len: offset(code_end.next_multiple_of(align)),
        entry: start.ok_or("it has no _start")?,
        absolute,
    })
}

/// Whether this fills in an address: `R_X86_64_64`, `R_AARCH64_ABS64`.
fn is_absolute(machine: u16, kind: u32) -> bool {
    matches!((machine, kind), (62, 1) | (183, 257))
}

/// Whether it fills in 64 bits: an address, `R_X86_64_PC64`, `R_AARCH64_PREL64`.
fn is_quad(machine: u16, kind: u32) -> bool {
    is_absolute(machine, kind) || matches!((machine, kind), (62, 24) | (183, 260))
}

/// Fills `value` (S + A) in at `bytes`, which lie at `place` (P). None if that is unknown or
/// out of reach.
fn x86_64(kind: u32, bytes: &mut [u8], value: u64, place: u64) -> Option<()> {
    let distance = value.wrapping_sub(place);
    match kind {
        1 => put(bytes, &value.to_le_bytes()),
        24 => put(bytes, &distance.to_le_bytes()),
        // PC32, PLT32
        2 | 4 => put(bytes, &i32::try_from(distance.cast_signed()).ok()?.to_le_bytes()),
        _ => None,
    }
}

/// As [`x86_64`].
fn aarch64(kind: u32, bytes: &mut [u8], value: u64, place: u64) -> Option<()> {
    let distance = value.wrapping_sub(place).cast_signed();
    // What goes into an instruction, and the bits it takes there.
    let (field, mask) = match kind {
        257 => return put(bytes, &value.to_le_bytes()), // ABS64
        260 => return put(bytes, &distance.to_le_bytes()), // PREL64
        261 => return put(bytes, &i32::try_from(distance).ok()?.to_le_bytes()), // PREL32
        // ADR_PREL_PG_HI21: the low two bits stand apart.
        275 => {
            let pages = (value & !0xfff).wrapping_sub(place & !0xfff).cast_signed() >> 12;
            let pages = within(pages, 21)?;
            ((pages & 3) << 29 | (pages >> 2) << 5, 0x60ff_ffe0)
        }
        // JUMP26, CALL26
        282 | 283 if distance % 4 == 0 => (within(distance >> 2, 26)?, 0x03ff_ffff),
        // ADD_ABS_LO12_NC and LDSTn_ABS_LO12_NC, where n bits are loaded or stored.
        277 | 278 | 284 | 285 | 286 | 299 => {
            let shift = match kind {
                284 => 1,
                285 => 2,
                286 => 3,
                299 => 4,
                _ => 0,
            };
            let low = u32::try_from(value & 0xfff).ok()?;
            (low >> shift << 10, 0x003f_fc00)
        }
        _ => return None,
    };
    let instruction = u32::from_le_bytes(*bytes.first_chunk()?);
    put(bytes, &(instruction & !mask | field & mask).to_le_bytes())
}

/// The lowest `bits` of `value`, if it is a signed number of that many.
fn within(value: i64, bits: u32) -> Option<u32> {
    let half = 1 << (bits - 1);
    let mask = (1 << bits) - 1;
    u32::try_from(value & mask).ok().filter(|_| (-half..half).contains(&value))
}

fn put(bytes: &mut [u8], value: &[u8]) -> Option<()> {
    bytes.get_mut(..value.len())?.copy_from_slice(value);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::grub::{
        Platform,
        fake::{self, CODE, DATA, PROGRAM, ZEROS},
    };

    /// Code and data of `platform` with these relocations of the code: offset, type, symbol
    /// (1: `_start`, 2: byte 8 of the data, 3: nowhere), addend.
    fn linked(
        platform: Platform,
        code: &[u8],
        relocations: &[(u64, u32, u32, i64)],
    ) -> Result<Linked, String> {
        let mut elf = fake::Elf::new(platform, 1);
        elf.add(".bss", ZEROS, DATA, 0, vec![0; 0x1001]);
        elf.add(".data", PROGRAM, DATA, 0, vec![7; 16]);
        elf.add(".text", PROGRAM, CODE, 0, code.to_vec());
        elf.symbols = vec![("_start", 3, 0), ("datum", 2, 8), ("nowhere", 0, 0)];
        elf.relocate(3, relocations);
        link(&Elf::parse(&elf.file())?, 0x1000, 0x1000)
    }

    #[test]
    fn sections_lie_code_first_and_zeros_last() {
        let linked = linked(Platform::X86_64Efi, &[0x90; 4], &[]).unwrap();
        assert_eq!((linked.entry, linked.code_len), (0x1000, 0x1000));
        assert_eq!(linked.image.len(), 0x3000);
        assert_eq!(linked.image[..5], [0x90, 0x90, 0x90, 0x90, 0]);
        assert_eq!(linked.image[0x1000..0x1011], *[&[7; 16][..], &[0]].concat());
    }

    #[test]
    fn places_are_filled_in_as_the_processor_wants_them() {
        let places = [(0, 1, 2, 3), (8, 2, 2, -4), (12, 4, 1, -4), (16, 24, 2, 0)];
        let x86 = linked(Platform::X86_64Efi, &[0; 24], &places).unwrap();
        assert_eq!(x86.image[..8], 0x200bu64.to_le_bytes());
        assert_eq!(x86.image[8..12], 0xffcu32.to_le_bytes());
        assert_eq!(x86.image[12..16], (-16i32).to_le_bytes());
        assert_eq!(x86.image[16..24], 0xff8u64.to_le_bytes());
        assert_eq!(x86.absolute, BTreeSet::from([0x1000]));

        // As an assembler writes them before linking and after.
        let code = [
            ("adrp x1, datum", 0x9000_0001_u32, 0xb000_0001_u32),
            ("add x1, x1, :lo12:datum", 0x9100_0021, 0x9100_2021),
            ("ldr x1, [x1, :lo12:datum]", 0xf940_0021, 0xf940_0421),
            ("ldr w1, [x1, :lo12:datum]", 0xb940_0021, 0xb940_0821),
            ("bl _start", 0x9400_0000, 0x97ff_fffc),
            ("b _start + 0x20", 0x1400_0000, 0x1400_0003),
        ];
        let before: Vec<u8> = code.iter().flat_map(|line| line.1.to_le_bytes()).collect();
        let places = [
            (0, 275, 2, 0),
            (4, 277, 2, 0),
            (8, 286, 2, 0),
            (12, 285, 2, 0),
            (16, 283, 1, 0),
            (20, 282, 1, 0x20),
        ];
        let arm = linked(Platform::Arm64Efi, &before, &places).unwrap();
        for (line, after) in code.iter().zip(arm.image.chunks_exact(4)) {
            assert_eq!(after, line.2.to_le_bytes(), "{}", line.0);
        }
    }

    #[test]
    fn what_cannot_be_linked_is_told() {
        let refuse = |platform, place| linked(platform, &[0; 16], &[place]).err().unwrap();
        let (x86, arm) = (Platform::X86_64Efi, Platform::Arm64Efi);
        assert!(refuse(x86, (9, 1, 1, 0)).contains("type 1 at 0x9 of .text: it lies outside"));
        assert!(refuse(x86, (u64::MAX, 2, 1, 0)).contains("outside"));
        assert!(refuse(x86, (0, 1, 3, 0)).contains("nowhere is in no section"));
        assert!(refuse(x86, (0, 1, 9, 0)).contains("no such symbol"));
        assert!(refuse(x86, (0, 2, 1, 1 << 40)).contains("cannot be carried out"));
        assert!(refuse(arm, (0, 283, 1, 2)).contains("cannot be carried out"));
        assert!(refuse(arm, (0, 283, 1, 1 << 27)).contains("cannot be carried out"));
        assert!(refuse(arm, (0, 311, 1, 0)).contains("cannot be carried out"));
    }
}

//! Just enough of a bzImage and its ELF to find instructions in a kernel that runs without KASLR.

use std::io::Read as _;

/// The ELF `vmlinux` inside a bzImage with a zstd payload (boot protocol 2.08 and later:
/// `payload_offset` at 0x248, `payload_length` at 0x24c, from the protected-mode code on).
pub fn vmlinux(bz_image: &[u8]) -> Vec<u8> {
    let u32_at = |at: usize| u32::from_le_bytes(bz_image[at..at + 4].try_into().expect("4 bytes"));
    let protected_mode = (usize::from(bz_image[0x1f1]) + 1) * 512;
    let start = protected_mode + u32_at(0x248) as usize;
    // The kernel's build appends the unpacked size, which is not part of the frame.
    let end = start + u32_at(0x24c) as usize - 4;
    let mut elf = Vec::new();
    zstd::Decoder::new(&bz_image[start..end])
        .expect("a zstd decoder")
        .single_frame()
        .read_to_end(&mut elf)
        .expect("the kernel's payload is zstd");
    elf
}

/// Where `mov ecx, MSR` is soon followed by `wrmsr`: the virtual addresses of those `wrmsr`.
pub fn wrmsr_sites(elf: &[u8], msr: u32) -> Vec<u64> {
    let u16_at = |at: usize| u16::from_le_bytes(elf[at..at + 2].try_into().expect("2 bytes"));
    let u32_at = |at: usize| u32::from_le_bytes(elf[at..at + 4].try_into().expect("4 bytes"));
    let u64_at = |at: usize| u64::from_le_bytes(elf[at..at + 8].try_into().expect("8 bytes"));
    let index = |value: u64| usize::try_from(value).expect("an offset in memory");
    let (headers, size) = (index(u64_at(0x20)), usize::from(u16_at(0x36)));
    let mut mov = vec![0xb9];
    mov.extend(msr.to_le_bytes());
    let mut sites = Vec::new();
    for header in (0..usize::from(u16_at(0x38))).map(|number| headers + number * size) {
        const LOAD: u32 = 1;
        const EXECUTABLE: u32 = 1;
        if u32_at(header) != LOAD || u32_at(header + 4) & EXECUTABLE == 0 {
            continue;
        }
        let (offset, address) = (index(u64_at(header + 8)), u64_at(header + 16));
        let code = &elf[offset..offset + index(u64_at(header + 32))];
        for at in (0..code.len().saturating_sub(40)).filter(|&at| code[at..].starts_with(&mov)) {
            let after = &code[at + 5..at + 40];
            if let Some(distance) = after.windows(2).position(|pair| pair == [0x0f, 0x30]) {
                sites.push(address + (at + 5 + distance) as u64);
            }
        }
    }
    sites
}

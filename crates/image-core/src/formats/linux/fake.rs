//! Small kernel images made in code. UEFI can start them; they return at once.

use crate::formats::pe::{
    Machine,
    fake::{image, return_success},
};

/// An x86-64 `bzImage` of boot protocol 2.15 and this release.
pub fn bz_image(release: &str) -> Vec<u8> {
    // The section's data starts at byte 0x200, in the middle of the setup header.
    let mut setup = vec![0; 0x400];
    let mut put = |at: usize, bytes: &[u8]| setup[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, &[0xeb, 0x6a]); // a jump over the header
    put(0x6c, return_success(Machine::Amd64));
    put(0x06, &[15, 2]); // version
    put(0x0e, &[0, 1]); // kernel_version
    put(0x36, &[1, 0]); // xloadflags: a 64-bit kernel
    put(0x100, format!("{release} (fake@fake) #1 SMP\0").as_bytes());
    let mut file = image(Machine::Amd64, &[(".text", &setup)]);
    file[0x1f1] = 2; // setup_sects
    file[0x1fe..0x200].copy_from_slice(&[0x55, 0xaa]);
    file[0x202..0x206].copy_from_slice(b"HdrS");
    file
}

/// An arm64 `Image` of this release.
pub fn arm64_image(release: &str) -> Vec<u8> {
    let mut text = return_success(Machine::Arm64).to_vec();
    text.extend(b"\0%s version %s (%s)\0");
    text.extend(format!("Linux version {release} (fake@fake) #1 SMP\n\0").as_bytes());
    let mut file = image(Machine::Arm64, &[(".text", &text)]);
    file[..8].copy_from_slice(b"MZ\x40\xfa\0\0\0\x14"); // ccmp x18, #0, #0xd, pl; b .
    let len = file.len() as u64;
    file[16..24].copy_from_slice(&len.to_le_bytes()); // image_size
    file[24] = 0b1010; // flags: 4 KiB pages, anywhere in memory
    file[0x38..0x3c].copy_from_slice(b"ARM\x64");
    file
}

//! The kernel's early loader takes the microcode this project put before the initramfs.
//!
//! QEMU's translator ignores the write to the update register, so a guest cannot tell. From
//! outside it can be seen: with `nokaslr` the kernel's `wrmsr 0x79` stands where its ELF says, and
//! a stop there finds in edx:eax where the patch lies in the guest's memory.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{fs, path::Path};
use system_tests::{
    build, image, linux, part,
    qemu::{Arch, Boot, Firmware, Medium, PATIENCE},
};

/// IA32_BIOS_UPDT_TRIG: eax:edx holds the address of the patch's data, 48 bytes after its header
/// (Intel SDM volume 3, 11.11.6 "Microcode Update Loader").
const UPDATE_REGISTER: u32 = 0x79;
const HEADER: u64 = 48;

fn boot(medium: Medium, firmware: Firmware) -> Boot {
    Boot {
        // The loader is off under a hypervisor, and wants a processor with a patch for platform 0.
        cpu: Some("Skylake-Server-v4,-hypervisor".to_owned()),
        ..Boot::new(Arch::Amd64, firmware, medium)
    }
}

/// The patch that the kernel is about to load, if it is; from its header on.
fn patch_loaded(boot: &Boot) -> Option<Vec<u8>> {
    let elf = linux::vmlinux(&fs::read(part("amd64/vmlinuz")).unwrap());
    let sites = linux::wrmsr_sites(&elf, UPDATE_REGISTER);
    assert!(!sites.is_empty(), "this kernel has no microcode loader");
    let (machine, mut gdb) = boot.debug().unwrap();
    for site in &sites {
        gdb.break_at(*site).unwrap();
    }
    gdb.go().unwrap();
    if !gdb.stopped_within(PATIENCE).unwrap() {
        machine.console().unwrap();
        return None;
    }
    let registers = gdb.registers().unwrap();
    assert!(sites.contains(&registers.rip), "stopped at {:#x}", registers.rip);
    assert_eq!(registers.rcx, u64::from(UPDATE_REGISTER));
    let data = (registers.rdx << 32) | (registers.rax & 0xffff_ffff);
    let header = gdb.memory(data - HEADER, HEADER).unwrap();
    let total = u32::from_le_bytes(header[32..36].try_into().unwrap());
    Some(gdb.memory(data - HEADER, u64::from(total)).unwrap())
}

fn iso(output: &Path, more: &[&str]) -> Medium {
    let mut arguments = vec!["iso", "--arch", "amd64", "--bootloader", "sd-boot"];
    arguments.extend(["--extra-kernel-arg", "console=ttyS0", "--extra-kernel-arg", "nokaslr"]);
    arguments.extend(more);
    Medium::Cd(build(output, &arguments))
}

#[test]
fn the_kernel_loads_the_extension_s_microcode_byte_for_byte() {
    let dir = tempfile::tempdir().unwrap();
    let medium = iso(dir.path(), &["--system-extension-image", &image("intel-ucode")]);
    let patch = patch_loaded(&boot(medium, Firmware::uefi(Arch::Amd64)))
        .expect("the kernel loads microcode");
    let file = fs::read(part("intel-ucode/06-55-04")).unwrap();
    assert!(
        file.windows(patch.len()).any(|window| window == patch),
        "a patch of {} bytes that is not in the extension's file",
        patch.len()
    );
}

#[test]
fn without_the_extension_the_kernel_loads_none() {
    let dir = tempfile::tempdir().unwrap();
    let medium = iso(dir.path(), &[]);
    assert!(patch_loaded(&boot(medium, Firmware::uefi(Arch::Amd64))).is_none());
}

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

/// A make of processor, and how its kernel driver hands a patch over.
struct Make {
    /// QEMU's name of a model there is a patch for. The loader is off under a hypervisor.
    cpu: &'static str,
    /// The register whose writing loads a patch; edx:eax is where the patch lies.
    register: u32,
    /// How far before that address the patch starts, in bytes.
    header: u64,
    extension: &'static str,
    /// The extension's file with the patch, in the parts.
    file: &'static str,
    /// How long the patch is, given its start.
    len: fn(&[u8]) -> u32,
}

/// IA32_BIOS_UPDT_TRIG: the address of the patch's data, after its header of 48 bytes, which has
/// the total size at 32 (Intel SDM volume 3, 11.11 "Microcode Update Facilities"). This model has
/// a patch for platform 0, which is what the translator says it is.
const INTEL: Make = Make {
    cpu: "Skylake-Server-v4,-hypervisor",
    register: 0x79,
    header: 48,
    extension: "intel-ucode",
    file: "intel-ucode/06-55-04",
    len: |header| u32::from_le_bytes(header[32..36].try_into().unwrap()),
};

/// MSRC001_0020, the patch loader: the address of the patch. Its size stands only in the
/// container around it; patches of family 17h have 3200 bytes.
const AMD: Make = Make {
    cpu: "EPYC-v1,-hypervisor",
    register: 0xc001_0020,
    header: 0,
    extension: "amd-ucode",
    file: "amd-ucode/microcode_amd_fam17h.bin",
    len: |_| 3200,
};

impl Make {
    /// The patch that the kernel of this medium is about to load, if it is.
    fn patch_loaded(&self, medium: Medium) -> Option<Vec<u8>> {
        let elf = linux::vmlinux(&fs::read(part("amd64/vmlinuz")).unwrap());
        let sites = linux::wrmsr_sites(&elf, self.register);
        assert!(!sites.is_empty(), "this kernel has no microcode loader");
        let (machine, mut gdb) = Boot {
            cpu: Some(self.cpu.to_owned()),
            ..Boot::new(Arch::Amd64, Firmware::uefi(Arch::Amd64), medium)
        }
        .debug()
        .unwrap();
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
        assert_eq!(registers.rcx, u64::from(self.register));
        let start = ((registers.rdx << 32) | (registers.rax & 0xffff_ffff)) - self.header;
        let header = gdb.memory(start, 64).unwrap();
        Some(gdb.memory(start, u64::from((self.len)(&header))).unwrap())
    }

    fn loads_byte_for_byte(&self) {
        let dir = tempfile::tempdir().unwrap();
        let medium = iso(dir.path(), &["--system-extension-image", &image(self.extension)]);
        let patch = self.patch_loaded(medium).unwrap();
        let file = fs::read(part(self.file)).unwrap();
        let len = patch.len();
        assert!(
            len > 1000 && file.windows(len).any(|window| window == patch),
            "a patch of {len} bytes that is not in the extension's file",
        );
    }
}

fn iso(output: &Path, more: &[&str]) -> Medium {
    let mut arguments = vec!["iso", "--arch", "amd64", "--bootloader", "sd-boot"];
    arguments.extend(["--extra-kernel-arg", "console=ttyS0", "--extra-kernel-arg", "nokaslr"]);
    arguments.extend(more);
    Medium::Cd(build(output, &arguments))
}

#[test]
fn the_kernel_loads_intel_s_patch_byte_for_byte() {
    INTEL.loads_byte_for_byte();
}

#[test]
fn the_kernel_loads_amd_s_patch_byte_for_byte() {
    AMD.loads_byte_for_byte();
}

#[test]
fn without_the_extension_the_kernel_loads_none() {
    let dir = tempfile::tempdir().unwrap();
    assert!(INTEL.patch_loaded(iso(dir.path(), &[])).is_none());
}

//! GRUB 2 core images: the kernel of the boot loader with some of its modules, in one file that
//! a BIOS or UEFI firmware can start.
//!
//! There is no specification but GRUB itself. The layouts here are what `grub-mkimage` and
//! `grub-bios-setup` of 2.06 to 2.14 write, without Reed-Solomon codes, for three platforms.

mod bios;
mod boot_record;
mod directory;
mod efi;
mod elf;
#[cfg(any(test, feature = "fake"))]
pub mod fake;
mod link;
mod lzma;
mod module_area;
mod reader;
#[cfg(test)]
mod tests;

pub use bios::{bios_partition, cd_image, cd_image_at, disk_image};
pub use boot_record::{boot_record, core_sector, hybrid_boot_record};
pub use directory::Directory;
pub use efi::efi_image;
pub use reader::{Core, CoreModule, bios_sector, is_core, read};

use super::pe::Machine;
use std::fmt;

const GRUB: &str = "GRUB";

/// What firmware starts a core image, and on which processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Platform {
    /// A BIOS.
    I386Pc,
    /// UEFI on x86-64.
    X86_64Efi,
    /// UEFI on 64-bit ARM.
    Arm64Efi,
}

impl Platform {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::I386Pc, Self::X86_64Efi, Self::Arm64Efi];

    /// GRUB's name for it, which its directory has too.
    pub fn name(self) -> &'static str {
        match self {
            Self::I386Pc => "i386-pc",
            Self::X86_64Efi => "x86_64-efi",
            Self::Arm64Efi => "arm64-efi",
        }
    }

    /// The processor as UEFI programs name it; none for a BIOS.
    pub fn machine(self) -> Option<Machine> {
        match self {
            Self::I386Pc => None,
            Self::X86_64Efi => Some(Machine::Amd64),
            Self::Arm64Efi => Some(Machine::Arm64),
        }
    }

    /// The processor as ELF files name it, and whether those are 64-bit ones.
    fn elf(self) -> (u16, bool) {
        match self {
            Self::I386Pc => (3, false),
            Self::X86_64Efi => (62, true),
            Self::Arm64Efi => (183, true),
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What goes into a core image beside GRUB's kernel.
#[derive(Clone, Copy, Debug)]
pub struct Contents<'a> {
    /// Modules by name, such as `normal`; those they need come with them.
    pub modules: &'a [&'a str],
    /// Where GRUB finds its directory, such as `(hd0,gpt3)/grub`.
    pub prefix: &'a str,
    /// Commands to run before anything else.
    pub config: Option<&'a str>,
}

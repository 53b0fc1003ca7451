//! The machine architectures Talos runs on.

use super::{Error, Result};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// A machine architecture, named as Go and OCI name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Arch {
    /// x86-64.
    Amd64,
    /// AArch64.
    Arm64,
}

impl Arch {
    /// Every architecture.
    pub const ALL: [Self; 2] = [Self::Amd64, Self::Arm64];

    /// The name in profiles, file names and kernel paths; also the `architecture` of an OCI
    /// platform (OCI image specification, Image Index, `platform`).
    pub fn name(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }

    /// The upper-case stem of the removable-media boot file (UEFI 2.10, 3.5.1.1).
    pub fn efi_boot_stem(self) -> &'static str {
        match self {
            Self::Amd64 => "BOOTX64",
            Self::Arm64 => "BOOTAA64",
        }
    }

    /// `Machine` in the COFF header of its EFI programs (PE format, Machine Types).
    pub fn pe_machine(self) -> u16 {
        match self {
            Self::Amd64 => 0x8664,
            Self::Arm64 => 0xaa64,
        }
    }
}

impl FromStr for Arch {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|arch| arch.name() == text)
            .ok_or_else(|| Error::input(format!("arch {text:?} is neither amd64 nor arm64")))
    }
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

//! What PCR 4 will hold: which programs the firmware was given to run.
//!
//! Specification: TCG PC Client Platform Firmware Profile 1.06, section 3.3.4.5 "PCR[4]"; the order
//! of events is EDK2's.

use super::{Result, Values, digest, extend, measure, zeros};
use crate::{blob::Blob, formats::pe::Image, signature::HashFunction};

/// What firmware measures a program as: its Authenticode hash in each bank, the same before it is
/// signed and after. Read once.
///
/// # Errors
/// `Corrupt` if the file is no sound PE32+, `Io` if reading fails.
pub fn program(image: &Blob, banks: &[HashFunction]) -> Result<Values> {
    let places = Image::parse(image)?.places()?;
    let hashed = places.hashed.into_iter().map(|range| image.slice(range));
    digest(&Blob::concat(hashed), banks)
}

/// PCR 4 after the firmware's boot manager has started the first of `programs`, and each was
/// loaded in turn. They are as [`program`] has them.
///
/// Whether systemd-stub 257 loads the kernel by the firmware's hands is up to Secure Boot: while
/// that is off, the kernel is measured as the last program, for it is a UEFI program too; while
/// it is on, it is not.
pub fn boot_programs(programs: &[Values], banks: &[HashFunction]) -> Values {
    let mut register = zeros(banks);
    measure(&mut register, b"Calling EFI Application from Boot Option");
    // EV_SEPARATOR
    measure(&mut register, &[0; 4]);
    for program in programs {
        extend(&mut register, program);
    }
    register
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blob::Digest;
    use std::collections::BTreeMap;

    /// What a virtual machine's firmware (EDK2 2025.02) measured, and what its TPM held, when it
    /// booted the same programs without Secure Boot and with it.
    #[test]
    fn firmware_measures_the_kernel_too_unless_secure_boot_is_on() {
        let program = |hex: &str| {
            let digest: Digest = format!("sha256:{hex}").parse().unwrap();
            BTreeMap::from([(HashFunction::Sha256, digest.as_bytes()[..].into())])
        };
        let programs = [
            "937f1f3b0b3fed2034f1fddcc68c835f3e4ba190143f79693816e5a9d1718da5",
            "e0a1a9ef9f45ebf8427e164d30b740d86a28a530b144213913f7e58b00d9d0b7",
            "a20646051d119ba9f5e4f6759d6bb1395157aa7d69bc39fa42e3e5d8cb94c56b",
        ]
        .map(program);
        let without = "dbac9b92b5e9a0f3d5bb32731b04cc35eda88b398118430be9dcb37e7d99c771";
        let with = "ab236ca92745a4eb6d71f758dec626c402a5a799eb8284074d2ea5764e0065a3";
        let banks = [HashFunction::Sha256];
        assert_eq!(boot_programs(&programs, &banks), program(without));
        assert_eq!(boot_programs(&programs[..2], &banks), program(with));
    }
}

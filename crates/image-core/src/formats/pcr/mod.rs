//! Registers of a TPM (PCRs): what they will hold once a machine has booted, and signatures of
//! that, by which the booted system gets at what was sealed for it.
//!
//! Specification: TCG TPM 2.0 Library, Part 1, section 17 "PCR Operations"; what UEFI firmware
//! measures: TCG PC Client Platform Firmware Profile, section 3.3.

mod boot;
mod policy;
mod secure_boot;
mod signature;
mod uki;

pub use boot::{boot_programs, program};
pub use policy::policy;
pub use secure_boot::{Variables, secure_boot};
pub use signature::{Signatures, fingerprint, public_key_pem, read_public_key, sign};
pub use uki::{PCR, Prediction, predict};

use super::{Error, Result};
use crate::{blob::Blob, signature::HashFunction};
use sha2::digest::DynDigest;
use std::{collections::BTreeMap, io::Read};

/// How much is hashed at a time, in bytes.
const CHUNK: usize = 256 << 10;

/// A digest, or a register's value, in each bank asked for: a TPM has a set of registers for each
/// hash function.
pub type Values = BTreeMap<HashFunction, Box<[u8]>>;

fn hasher(bank: HashFunction) -> Box<dyn DynDigest> {
    match bank {
        HashFunction::Sha256 => Box::<sha2::Sha256>::default(),
        HashFunction::Sha384 => Box::<sha2::Sha384>::default(),
        HashFunction::Sha512 => Box::<sha2::Sha512>::default(),
    }
}

/// The digest of `content` in each bank, read once.
fn digest(content: &Blob, banks: &[HashFunction]) -> Result<Values> {
    let mut hashers: BTreeMap<_, _> = banks.iter().map(|&bank| (bank, hasher(bank))).collect();
    let mut reader = content.reader();
    let mut buf = vec![0; CHUNK];
    loop {
        let n = reader.read(&mut buf).map_err(|error| Error::io("PCR", error))?;
        if n == 0 {
            break;
        }
        for hasher in hashers.values_mut() {
            hasher.update(&buf[..n]);
        }
    }
    Ok(hashers.into_iter().map(|(bank, hasher)| (bank, hasher.finalize())).collect())
}

/// A register as it is after power-on: zeros.
fn zeros(banks: &[HashFunction]) -> Values {
    banks.iter().map(|&bank| (bank, vec![0; hasher(bank).output_size()].into())).collect()
}

/// Extends the register by a digest in every bank.
fn extend(register: &mut Values, digests: &Values) {
    for (bank, value) in register {
        let mut hasher = hasher(*bank);
        hasher.update(value);
        hasher.update(digests.get(bank).map_or(&[], |digest| &digest[..]));
        *value = hasher.finalize();
    }
}

/// Extends the register by the digest of `event` in every bank.
fn measure(register: &mut Values, event: &[u8]) {
    let digests = register.keys().map(|&bank| (bank, bank.digest(event).into())).collect();
    extend(register, &digests);
}

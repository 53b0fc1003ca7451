//! The policy that is fulfilled while PCR 11 has a value.

use super::PCR;
use crate::signature::HashFunction;
use sha2::{Digest as _, Sha256};

/// The digest of a policy session (SHA-256) after `TPM2_PolicyPCR` over PCR 11 alone, of `bank`,
/// while it holds `value`.
///
/// Specification: TCG TPM 2.0 Library, Part 3, section 23.7 "TPM2_PolicyPCR"; the selection is a
/// `TPML_PCR_SELECTION` (Part 2, section 10.9.7).
pub fn policy(bank: HashFunction, value: &[u8]) -> [u8; 32] {
    /// `TPM_CC_PolicyPCR`.
    const COMMAND: u32 = 0x17f;
    // `TPM_ALG_ID` of the bank.
    let algorithm: u16 = match bank {
        HashFunction::Sha256 => 0x0b,
        HashFunction::Sha384 => 0x0c,
        HashFunction::Sha512 => 0x0d,
    };
    let registers = 1_u32 << PCR;
    let [first, second, third, _] = registers.to_le_bytes();
    let mut session = Sha256::new_with_prefix([0; 32]);
    session.update(COMMAND.to_be_bytes());
    session.update(1_u32.to_be_bytes());
    session.update(algorithm.to_be_bytes());
    session.update([3, first, second, third]);
    session.update(Sha256::digest(value));
    session.finalize().into()
}

//! Authenticode, by which firmware knows whose a program is.
//!
//! Specification: Microsoft, "Windows Authenticode Portable Executable Signature Format" (version
//! 1.0, 2008; headings are quoted below), as the UEFI specification 2.10, sections 32.5.1 and
//! 32.5.3, uses it. SHA-256 only, as firmware takes no less and tools write no other.

mod indirect_data;
mod sign;
#[cfg(test)]
mod tests;

pub use sign::sign;

use super::{
    Error, Result,
    certificate::Certificate,
    der::Elements,
    pe::{CERTIFICATE_ALIGN, Image, Places},
    signed_data::SignedData,
};
use crate::blob::{Blob, Digest};
use sha2::{Digest as _, Sha256};
use std::ops::Range;

const FORMAT: &str = "Authenticode";
/// `WIN_CERT_TYPE_PKCS_SIGNED_DATA`.
const PKCS_SIGNED_DATA: u16 = 2;
/// How much is read at a time, in bytes.
const CHUNK: u64 = 256 << 10;

/// A signature that a program carries.
#[derive(Clone, Debug)]
pub struct Signature {
    /// The hash of the program that was signed.
    pub digest: Digest,
    /// The certificate of who signed, if the signature carries it.
    pub signer: Option<Certificate>,
    /// All the certificates it carries that can be read.
    pub certificates: Vec<Certificate>,
    /// SignedData in DER.
    pub der: Vec<u8>,
}

/// What firmware would say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A signature holds, and this one of the trusted certificates vouches for it.
    Valid(Certificate),
    /// There is no signature.
    Unsigned,
    /// The program is not what was signed.
    WrongDigest {
        /// The hash of what was signed.
        signed: Digest,
        /// The hash of what is there.
        found: Digest,
    },
    /// The signature holds, and no trusted certificate vouches for who signed.
    WrongKey {
        /// The certificate of who signed.
        signer: Certificate,
    },
    /// The signature was not made by the key it says, or does not carry that key's certificate.
    Broken,
}

/// The hash of a program ("Calculating the PE Image Hash"), the same before it is signed and after.
/// Reads all of it once.
///
/// # Errors
/// `Corrupt` if the file is no sound PE32+, `Io` if reading fails.
pub fn digest(image: &Blob) -> Result<Digest> {
    let places = Image::parse(image)?.places()?;
    Ok(pass(image, &places)?.digest)
}

/// The signatures of a program, in their order.
///
/// # Errors
/// `Corrupt` if the file is no sound PE32+, or a signature none; `Unsupported` for other hash
/// functions than SHA-256.
pub fn signatures(image: &Blob) -> Result<Vec<Signature>> {
    let image = Image::parse(image)?;
    let certificates = image.certificates(&image.places()?)?;
    certificates
        .into_iter()
        .filter(|(kind, _)| *kind == PKCS_SIGNED_DATA)
        .map(|(_, der)| Signature::read(der))
        .collect()
}

/// What firmware would say that trusts these certificates, for the first signature it would
/// accept, else for the first. Reads the program once if it is signed.
///
/// As firmware does, this asks neither the time nor what a certificate may be used for.
///
/// # Errors
/// As [`signatures`] and [`digest`].
pub fn verify(image: &Blob, trusted: &[Certificate]) -> Result<Verdict> {
    let signatures = signatures(image)?;
    if signatures.is_empty() {
        return Ok(Verdict::Unsigned);
    }
    let found = digest(image)?;
    let mut verdicts = Vec::with_capacity(signatures.len());
    for signature in &signatures {
        verdicts.push(signature.verdict(found, trusted)?);
    }
    let valid = verdicts.iter().position(|verdict| matches!(verdict, Verdict::Valid(_)));
    Ok(verdicts.swap_remove(valid.unwrap_or(0)))
}

impl Signature {
    /// Some writers count the zeros behind a signature as its own.
    fn read(mut der: Vec<u8>) -> Result<Self> {
        let len = Elements::new(FORMAT, &der).any("SignedData")?.whole.len();
        if der.len() < len + 8 && der[len..].iter().all(|&byte| byte == 0) {
            der.truncate(len);
        }
        let data = SignedData::read(FORMAT, &der)?;
        let digest = indirect_data::read(&data)?.digest;
        let signer = data.signer().cloned();
        Ok(Self { digest, signer, certificates: data.certificates, der })
    }

    /// What firmware would say that trusts these certificates, of a program with the [hash](digest)
    /// `found`.
    ///
    /// # Errors
    /// `Corrupt` if the signature cannot be read.
    pub fn verdict(&self, found: Digest, trusted: &[Certificate]) -> Result<Verdict> {
        let data = SignedData::read(FORMAT, &self.der)?;
        let content = indirect_data::read(&data)?;
        let Some(signer) = data.signer().filter(|_| data.holds(content.bytes)) else {
            return Ok(Verdict::Broken);
        };
        if self.digest != found {
            return Ok(Verdict::WrongDigest { signed: self.digest, found });
        }
        Ok(match data.anchor(trusted) {
            Some(anchor) => Verdict::Valid(anchor.clone()),
            None => Verdict::WrongKey { signer: signer.clone() },
        })
    }
}

/// What one pass over a program's hashed bytes tells.
struct Pass {
    digest: Digest,
    checksum: Checksum,
}

fn pass(image: &Blob, places: &Places) -> Result<Pass> {
    let mut hash = Sha256::new();
    let mut checksum = Checksum::default();
    let mut buf = Vec::new();
    for Range { start, end } in places.hashed.iter().cloned() {
        let mut at = start;
        while at < end {
            let len = (end - at).min(CHUNK);
            buf.resize(usize::try_from(len).unwrap_or_default(), 0);
            image.read_at(at, &mut buf).map_err(|error| Error::io(FORMAT, error))?;
            hash.update(&buf);
            checksum.add(at, &buf);
            at += len;
        }
    }
    let padding = padding(places.table.start);
    hash.update(vec![0; padding]);
    Ok(Pass { digest: <[u8; 32]>::from(hash.finalize()).into(), checksum })
}

/// How many zeros have to follow a program of this length before its signatures.
fn padding(len: u64) -> usize {
    usize::try_from(len.next_multiple_of(CERTIFICATE_ALIGN) - len).unwrap_or_default()
}

/// `CheckSum` of a PE file: the sum of its 16-bit words, carries added again, and its length.
#[derive(Default)]
struct Checksum(u64);

impl Checksum {
    /// Adds the bytes that lie at `at`; those of an odd place are the upper halves of words.
    fn add(&mut self, at: u64, mut bytes: &[u8]) {
        if at % 2 == 1
            && let Some((&first, rest)) = bytes.split_first()
        {
            self.0 += u64::from(first) << 8;
            bytes = rest;
        }
        let words = bytes.chunks_exact(2);
        self.0 += words.remainder().first().map_or(0, |&lower| u64::from(lower));
        self.0 += words.map(|word| u64::from(u16::from_le_bytes([word[0], word[1]]))).sum::<u64>();
    }

    /// The field's value for a file of `len` bytes, which are below 4 GiB.
    fn finish(self, len: u32) -> u32 {
        let mut sum = self.0;
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        u32::try_from(sum).unwrap_or_default().wrapping_add(len)
    }
}

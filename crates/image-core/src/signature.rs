//! Signatures: what is to be signed, who signs it, and whether the signature holds.
//!
//! RSA is RSASSA-PKCS1-v1_5 (RFC 8017, section 8.2), whose signatures are numbers as long as the
//! modulus; ECDSA is over P-256 (FIPS 186-5, section 6) with signatures as DER (RFC 3279, section
//! 2.2.3).

use sha2::Digest as _;
use spki::{
    SubjectPublicKeyInfoRef,
    der::{self, Decode, Reader, SliceReader, asn1::UintRef},
};
use std::fmt::{self, Write as _};

/// A hash function of SHA-2. A TPM has a bank of registers for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HashFunction {
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl HashFunction {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Sha256, Self::Sha384, Self::Sha512];

    /// Its name in systemd's and the kernel's interfaces.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
        }
    }

    /// The digest of `bytes`.
    pub fn digest(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha256 => sha2::Sha256::digest(bytes).to_vec(),
            Self::Sha384 => sha2::Sha384::digest(bytes).to_vec(),
            Self::Sha512 => sha2::Sha512::digest(bytes).to_vec(),
        }
    }
}

impl fmt::Display for HashFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a key signs with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5.
    Rsa,
    /// ECDSA over the curve P-256.
    EcdsaP256,
}

impl Algorithm {
    /// Its name in environments and documents: `rsa-pkcs1`, `ecdsa-p256`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rsa => "rsa-pkcs1",
            Self::EcdsaP256 => "ecdsa-p256",
        }
    }
}

/// A public key. Two are equal if their numbers are.
#[derive(Clone)]
pub struct PublicKey {
    algorithm: Algorithm,
    /// SubjectPublicKeyInfo.
    info: Vec<u8>,
    /// What stands in it: an RSAPublicKey in DER, or a point of the curve.
    key: Vec<u8>,
    /// Length of the modulus, or of the curve's field.
    bits: usize,
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.algorithm == other.algorithm && self.key == other.key
    }
}

impl Eq for PublicKey {}

/// What is to be signed.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// What it is, for people, such as `the UKI`.
    pub what: &'a str,
    /// What the digest was made by.
    pub hash: HashFunction,
    /// The digest to sign.
    pub digest: &'a [u8],
}

/// Why there is no signature.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A key is not what it should be.
    #[error("{0}")]
    Key(String),
    /// The signer failed, or answered with what is no signature of what was asked.
    #[error("{0}")]
    Signer(String),
    /// The signature is made elsewhere, and is not here yet.
    #[error("the signature of {0} is not there yet")]
    Awaited(String),
}

/// Has a private key, or knows someone who has, and signs with it.
pub trait Signer: fmt::Debug + Send + Sync {
    /// The key that its signatures are checked by.
    fn public_key(&self) -> &PublicKey;

    /// Signs; the same request gets the same signature wherever the algorithm allows.
    ///
    /// # Errors
    /// No signature came, or one that does not hold.
    fn sign(&self, request: &Request<'_>) -> Result<Vec<u8>, Error>;
}

impl PublicKey {
    /// Reads a SubjectPublicKeyInfo (RFC 5280, section 4.1.2.7).
    ///
    /// # Errors
    /// [`Error::Key`] if it is none, or of an algorithm that Secure Boot knows nothing of.
    pub fn from_der(info: &[u8]) -> Result<Self, Error> {
        const RSA: &str = "1.2.840.113549.1.1.1";
        const EC: &str = "1.2.840.10045.2.1";
        const P256: &str = "1.2.840.10045.3.1.7";

        let key = |what: String| Error::Key(what);
        let parsed = SubjectPublicKeyInfoRef::from_der(info)
            .map_err(|error| key(format!("this is no public key: {error}")))?;
        let curve = parsed.algorithm.parameters_oid().ok().map(|oid| oid.to_string());
        let algorithm = match (&*parsed.algorithm.oid.to_string(), curve.as_deref()) {
            (RSA, _) => Algorithm::Rsa,
            (EC, Some(P256)) => Algorithm::EcdsaP256,
            (other, _) => {
                return Err(key(format!(
                    "keys of the algorithm {other} are not supported, only RSA and ECDSA P-256"
                )));
            }
        };
        let bytes = parsed.subject_public_key.raw_bytes();
        let damaged = |_| key("the numbers of this public key are damaged".to_owned());
        let bits = match algorithm {
            Algorithm::Rsa => modulus_bits(bytes).map_err(damaged)?,
            Algorithm::EcdsaP256 => {
                p256::PublicKey::from_sec1_bytes(bytes)
                    .map_err(|_| key("this public key is no point of its curve".to_owned()))?;
                256
            }
        };
        Ok(Self { algorithm, info: info.to_vec(), key: bytes.to_vec(), bits })
    }

    /// The key as a SubjectPublicKeyInfo in DER.
    pub fn to_der(&self) -> &[u8] {
        &self.info
    }

    /// SHA-256 of the SubjectPublicKeyInfo, as lower-case hexadecimal digits.
    pub fn fingerprint(&self) -> String {
        hexadecimal(&sha2::Sha256::digest(&self.info))
    }

    /// The length of the modulus, or of the curve's field, in bits.
    pub fn bits(&self) -> usize {
        self.bits
    }

    /// Whether firmware and TPMs take signatures of this key.
    ///
    /// # Errors
    /// [`Error::Key`] if it is an RSA key of less than 2048 bits or more than 4096.
    pub fn fit_to_sign(&self) -> Result<(), Error> {
        match self.algorithm {
            Algorithm::Rsa => fit_to_sign(self.bits),
            Algorithm::EcdsaP256 => Ok(()),
        }
    }

    /// An RSAPublicKey in DER (RFC 8017, appendix A.1.1), or a point of the curve (SEC 1,
    /// section 2.3.3).
    pub fn bytes(&self) -> &[u8] {
        &self.key
    }

    /// What the key signs with.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Whether `signature` is this key's over `digest`, which `hash` made.
    pub fn verifies(&self, hash: HashFunction, digest: &[u8], signature: &[u8]) -> bool {
        use aws_lc_rs::{digest, signature as lc};
        let (function, rsa): (_, &'static dyn lc::VerificationAlgorithm) = match hash {
            HashFunction::Sha256 => (&digest::SHA256, &lc::RSA_PKCS1_2048_8192_SHA256),
            HashFunction::Sha384 => (&digest::SHA384, &lc::RSA_PKCS1_2048_8192_SHA384),
            HashFunction::Sha512 => (&digest::SHA512, &lc::RSA_PKCS1_2048_8192_SHA512),
        };
        let algorithm = match (self.algorithm, hash) {
            (Algorithm::Rsa, _) => rsa,
            (Algorithm::EcdsaP256, HashFunction::Sha256) => &lc::ECDSA_P256_SHA256_ASN1,
            (Algorithm::EcdsaP256, _) => return false,
        };
        let Ok(digest) = digest::Digest::import_less_safe(digest, function) else { return false };
        lc::UnparsedPublicKey::new(algorithm, &self.key).verify_digest(&digest, signature).is_ok()
    }
}

/// As [`PublicKey::fit_to_sign`], of an RSA key with this many bits.
pub(crate) fn fit_to_sign(bits: usize) -> Result<(), Error> {
    let fault = match bits {
        ..2048 => "weak",
        2048..=4096 => return Ok(()),
        _ => "long for firmware",
    };
    Err(Error::Key(format!(
        "an RSA key of {bits} bits is too {fault}: take one of 2048 to 4096 bits"
    )))
}

/// The length of the modulus of an RSAPublicKey (RFC 8017, appendix A.1.1).
fn modulus_bits(key: &[u8]) -> der::Result<usize> {
    let mut reader = SliceReader::new(key)?;
    let modulus = reader.sequence(|numbers| {
        let modulus = UintRef::decode(numbers)?;
        UintRef::decode(numbers)?;
        Ok(modulus)
    })?;
    reader.finish(bit_length(modulus))
}

/// The length of a number in bits.
pub(crate) fn bit_length(number: UintRef<'_>) -> usize {
    // Without leading zeros, but for the number zero itself.
    let bytes = number.as_bytes();
    bytes.first().map_or(0, |first| bytes.len() * 8 - first.leading_zeros() as usize)
}

/// Two lower-case digits a byte.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// Says which key it is: `RSA-2048 key 0123456789abcdef…`, the start of its fingerprint.
impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.algorithm {
            Algorithm::Rsa => write!(f, "RSA-{} key", self.bits)?,
            Algorithm::EcdsaP256 => f.write_str("P-256 key")?,
        }
        write!(f, " {:.16}…", self.fingerprint())
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({:?})", self.algorithm)
    }
}

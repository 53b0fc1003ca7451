//! A private key at hand.

use super::key_file;
use crate::signature::{Algorithm, Error, HashFunction, PublicKey, Request, Signer};
use aws_lc_rs::{
    digest,
    encoding::{AsBigEndian, AsDer, EcPrivateKeyBin, Pkcs8V1Der, PublicKeyX509Der},
    rsa::{self, KeySize},
    signature::{self as lc, KeyPair as _},
};
use p256::ecdsa::{Signature, SigningKey, signature::hazmat::PrehashSigner};
use pkcs8::{
    EncodePrivateKey, EncodePublicKey, PrivateKeyInfo,
    der::{Decode, pem},
};
use std::fmt;
use zeroize::Zeroizing;

/// A private key. It shows itself to nobody: neither `Debug` nor errors have anything of it, and
/// its memory is overwritten when it is dropped.
pub struct PrivateKey {
    secret: Secret,
    public: PublicKey,
}

enum Secret {
    Rsa(rsa::KeyPair),
    P256(SigningKey),
}

/// What key to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyType {
    /// RSA with a modulus of 2048 bits.
    Rsa2048,
    /// RSA with a modulus of 3072 bits.
    Rsa3072,
    /// RSA with a modulus of 4096 bits.
    Rsa4096,
    /// ECDSA over P-256.
    P256,
}

impl PrivateKey {
    /// Reads a key file: PEM or DER of PKCS#8 (RFC 5958), also encrypted by PBES2 (RFC 8018,
    /// section 6.2) with `passphrase`, of an RSAPrivateKey (RFC 8017, appendix A.1.2), or of an
    /// ECPrivateKey (RFC 5915). In PEM there may be certificates beside the key.
    ///
    /// # Errors
    /// [`Error::Key`] if there is not exactly one private key, it is damaged or weak, not RSA or
    /// P-256, or the passphrase is wrong.
    pub fn read(file: &[u8], passphrase: Option<&[u8]>) -> Result<Self, Error> {
        key_file::read(file, passphrase)
    }

    /// Makes a new key.
    ///
    /// This is the one place in the library with randomness, which is the system's: the same
    /// request never gives the same key.
    ///
    /// # Errors
    /// [`Error::Key`] if the system has no randomness.
    pub fn generate(key_type: KeyType) -> Result<Self, Error> {
        let size = match key_type {
            KeyType::Rsa2048 => KeySize::Rsa2048,
            KeyType::Rsa3072 => KeySize::Rsa3072,
            KeyType::Rsa4096 => KeySize::Rsa4096,
            KeyType::P256 => return Self::generate_p256(),
        };
        let key = rsa::KeyPair::generate(size).map_err(|_| no_randomness())?;
        Self::of_rsa(key)
    }

    fn generate_p256() -> Result<Self, Error> {
        let key = lc::EcdsaKeyPair::generate(&lc::ECDSA_P256_SHA256_ASN1_SIGNING)
            .map_err(|_| no_randomness())?;
        let number: Result<EcPrivateKeyBin<'_>, _> = key.private_key().as_be_bytes();
        let number = number.map_err(|_| no_randomness())?;
        let key = p256::SecretKey::from_slice(number.as_ref()).map_err(|_| no_randomness())?;
        Self::of_p256(key)
    }

    pub(super) fn of_rsa(key: rsa::KeyPair) -> Result<Self, Error> {
        let info: Result<PublicKeyX509Der<'_>, _> = key.public_key().as_der();
        let public = PublicKey::from_der(info.map_err(|_| cannot_be_written())?.as_ref())?;
        public.fit_to_sign()?;
        Ok(Self { secret: Secret::Rsa(key), public })
    }

    pub(super) fn of_p256(key: p256::SecretKey) -> Result<Self, Error> {
        let info = key.public_key().to_public_key_der().map_err(|_| cannot_be_written())?;
        let public = PublicKey::from_der(info.as_bytes())?;
        Ok(Self { secret: Secret::P256(key.into()), public })
    }

    /// The key as PEM, not encrypted: RSA as an RSAPrivateKey (PKCS#1), the only form that the
    /// Talos imager reads, and P-256 as PKCS#8.
    ///
    /// # Errors
    /// [`Error::Key`] if the key cannot be encoded.
    pub fn to_pem(&self) -> Result<Zeroizing<String>, Error> {
        match &self.secret {
            Secret::Rsa(key) => {
                let der: Result<Pkcs8V1Der<'_>, _> = key.as_der();
                let der = der.map_err(|_| cannot_be_written())?;
                let info = PrivateKeyInfo::from_der(der.as_ref());
                let key = info.map_err(|_| cannot_be_written())?.private_key;
                pem::encode_string("RSA PRIVATE KEY", pem::LineEnding::LF, key)
                    .map(Zeroizing::new)
                    .map_err(|_| cannot_be_written())
            }
            Secret::P256(key) => {
                key.to_pkcs8_pem(pem::LineEnding::LF).map_err(|_| cannot_be_written())
            }
        }
    }

    fn signed(&self, request: &Request<'_>) -> Option<Vec<u8>> {
        match &self.secret {
            Secret::Rsa(key) => {
                let (function, padding): (_, &'static dyn lc::RsaEncoding) = match request.hash {
                    HashFunction::Sha256 => (&digest::SHA256, &lc::RSA_PKCS1_SHA256),
                    HashFunction::Sha384 => (&digest::SHA384, &lc::RSA_PKCS1_SHA384),
                    HashFunction::Sha512 => (&digest::SHA512, &lc::RSA_PKCS1_SHA512),
                };
                let digest = digest::Digest::import_less_safe(request.digest, function).ok()?;
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign_digest(padding, &digest, &mut signature).ok()?;
                Some(signature)
            }
            Secret::P256(key) => {
                let signature: Signature = key.sign_prehash(request.digest).ok()?;
                Some(signature.to_der().as_bytes().to_vec())
            }
        }
    }
}

impl Signer for PrivateKey {
    fn public_key(&self) -> &PublicKey {
        &self.public
    }

    fn sign(&self, request: &Request<'_>) -> Result<Vec<u8>, Error> {
        let Request { what, hash, digest } = request;
        if self.public.algorithm() == Algorithm::EcdsaP256 && *hash != HashFunction::Sha256 {
            return Err(Error::Key(format!(
                "{what} is to be signed by its {hash} digest, and a P-256 key signs those of \
                 sha256 only: take an RSA key"
            )));
        }
        // A fault of the processor while it signs with RSA would give the key away.
        self.signed(request)
            .filter(|signature| self.public.verifies(*hash, digest, signature))
            .ok_or_else(|| {
                Error::Signer(format!(
                    "the signature of {what} does not hold: the private key is damaged"
                ))
            })
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrivateKey").field("public", &self.public).finish_non_exhaustive()
    }
}

fn no_randomness() -> Error {
    Error::Key("no key could be made: the system gives no randomness".to_owned())
}

fn cannot_be_written() -> Error {
    Error::Key("the key cannot be written down".to_owned())
}

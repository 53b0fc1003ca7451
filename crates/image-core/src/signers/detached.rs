//! Signing elsewhere: digests go out, signatures come back, and the same build takes them up.
//!
//! What is signed may hold signatures itself, as a UKI does, so it can take more than one round.

use super::signature_in;
use crate::signature::{Algorithm, Error, HashFunction, PublicKey, Request, Signer, hexadecimal};
use serde::Serialize;
use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

/// The file beside the digests that says of each what it is.
pub const INDEX: &str = "requests.json";
/// What the names of files with signatures end with.
pub const SIGNATURE: &str = ".sig";

/// Hexadecimal digits of a digest in a file's name.
const DIGITS: usize = 16;
/// Letters of what is signed in a file's name.
const LETTERS: usize = 48;

/// A signer of whose key only the public half is here, and signatures made before.
pub struct Detached {
    key: PublicKey,
    /// By the end of the file's name: the hash function and the start of the digest.
    signatures: BTreeMap<String, (String, Vec<u8>)>,
    awaited: Mutex<BTreeMap<(HashFunction, Vec<u8>), Awaited>>,
}

/// A signature that is to be made elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Awaited {
    /// What is signed, for people.
    pub what: String,
    /// What the digest was made by.
    pub hash: HashFunction,
    /// The digest to sign.
    pub digest: Vec<u8>,
    /// The key to sign with.
    pub key: PublicKey,
}

impl Detached {
    /// A signer with `key`, out of `files`: contents by name, as [`Awaited::signature_file`] names
    /// them. Files of other names, and those of other keys, are passed over.
    ///
    /// # Errors
    /// [`Error::Key`] if the key is not fit to sign.
    pub fn new(
        key: PublicKey,
        files: impl IntoIterator<Item = (String, Vec<u8>)>,
    ) -> Result<Self, Error> {
        key.fit_to_sign()?;
        let signatures = files.into_iter().filter_map(|(name, bytes)| {
            let stem = name.strip_suffix(SIGNATURE)?;
            let (start, digits) = stem.rsplit_once('-')?;
            let hash = start.rsplit_once('-').map_or(start, |(_, hash)| hash);
            Some((format!("{hash}-{digits}"), (name, bytes)))
        });
        Ok(Self { key, signatures: signatures.collect(), awaited: Mutex::default() })
    }

    /// What was asked for and is not there, by hash function and digest.
    pub fn awaited(&self) -> Vec<Awaited> {
        self.lock().values().cloned().collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<(HashFunction, Vec<u8>), Awaited>> {
        self.awaited.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Signer for Detached {
    fn public_key(&self) -> &PublicKey {
        &self.key
    }

    fn sign(&self, request: &Request<'_>) -> Result<Vec<u8>, Error> {
        let Request { what, hash, digest } = *request;
        let awaited =
            Awaited { what: what.to_owned(), hash, digest: digest.to_vec(), key: self.key.clone() };
        if let Some((name, answer)) = self.signatures.get(&awaited.end()) {
            return signature_in(answer, &self.key, request).ok_or_else(|| {
                Error::Signer(format!(
                    "{name} holds no signature of {what} by the {}: \
                     sign {} again, or remove {name} to have it asked for anew",
                    self.key,
                    awaited.digest_file()
                ))
            });
        }
        // Two parts of a medium can be the same. The first name counts, whoever asks first.
        let mut missing = self.lock();
        let known = missing.entry((hash, digest.to_vec())).or_insert_with(|| awaited.clone());
        if awaited.what < known.what {
            *known = awaited;
        }
        Err(Error::Awaited(what.to_owned()))
    }
}

impl std::fmt::Debug for Detached {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<_> = self.signatures.values().map(|(name, _)| name).collect();
        f.debug_struct("Detached")
            .field("key", &self.key)
            .field("signatures", &names)
            .finish_non_exhaustive()
    }
}

impl Awaited {
    /// The file its digest is put in, as bare bytes: `the-uki-sha256-0123456789abcdef.digest`.
    pub fn digest_file(&self) -> String {
        format!("{}.digest", self.stem())
    }

    /// The file its signature is looked for in: bare, or base64.
    pub fn signature_file(&self) -> String {
        format!("{}{SIGNATURE}", self.stem())
    }

    /// How OpenSSL makes the signature, where `KEY.pem` is the key.
    pub fn openssl(&self) -> String {
        let padding = match self.key.algorithm() {
            Algorithm::Rsa => " -pkeyopt rsa_padding_mode:pkcs1",
            Algorithm::EcdsaP256 => "",
        };
        format!(
            "openssl pkeyutl -sign -inkey KEY.pem -pkeyopt digest:{}{padding} -in {} -out {}",
            self.hash,
            self.digest_file(),
            self.signature_file()
        )
    }

    fn stem(&self) -> String {
        let mut stem = String::new();
        for letter in self.what.chars() {
            if letter.is_ascii_alphanumeric() || letter == '.' {
                stem.push(letter.to_ascii_lowercase());
            } else if !stem.ends_with('-') {
                stem.push('-');
            }
        }
        stem.truncate(LETTERS);
        format!("{}-{}", stem.trim_matches(['-', '.']), self.end())
    }

    /// What the signature is found by.
    fn end(&self) -> String {
        let digits = hexadecimal(&self.digest);
        format!("{}-{}", self.hash, digits.get(..DIGITS).unwrap_or(&digits))
    }
}

/// The files that ask for signatures, by name: each digest, and [`INDEX`] with what is said of
/// them.
pub fn files(awaited: &[Awaited]) -> BTreeMap<String, Vec<u8>> {
    #[derive(Serialize)]
    struct Index<'a> {
        requests: Vec<Entry<'a>>,
    }
    #[derive(Serialize)]
    struct Entry<'a> {
        what: &'a str,
        hash: &'static str,
        digest: String,
        algorithm: &'static str,
        /// SHA-256 of the SubjectPublicKeyInfo.
        key: String,
        digest_file: String,
        signature_file: String,
        openssl: String,
    }
    let requests = awaited.iter().map(|awaited| Entry {
        what: &awaited.what,
        hash: awaited.hash.name(),
        digest: hexadecimal(&awaited.digest),
        algorithm: awaited.key.algorithm().name(),
        key: awaited.key.fingerprint(),
        digest_file: awaited.digest_file(),
        signature_file: awaited.signature_file(),
        openssl: awaited.openssl(),
    });
    let index = Index { requests: requests.collect() };
    let mut index = serde_json::to_string_pretty(&index).unwrap_or_default();
    index.push('\n');
    let digests = awaited.iter().map(|awaited| (awaited.digest_file(), awaited.digest.clone()));
    digests.chain([(INDEX.to_owned(), index.into_bytes())]).collect()
}

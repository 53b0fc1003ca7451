//! Signatures of what PCR 11 will hold: the sections `.pcrsig` and `.pcrpkey`.
//!
//! Specification: systemd-measure(1) of systemd 257, "sign"; the JSON is what it prints.

use super::{Error, PCR, Prediction, Result, policy};
use crate::{
    blob::{Blob, Digest},
    formats::base64,
    signature::{self, Algorithm, HashFunction, PublicKey, Request, Signer},
};
use serde::{Deserialize, Serialize};
use spki::der::pem;
use std::collections::{BTreeMap, BTreeSet};

const PCRSIG: &str = ".pcrsig";
const PCRPKEY: &str = ".pcrpkey";

/// How long either may be, in bytes.
const LIMIT: u64 = 1 << 20;

/// Signatures of values of PCR 11, by bank.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signatures(BTreeMap<String, Vec<Entry>>);

/// One signed value. Its keys come in the order in which systemd-measure(1) has them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    pcrs: Vec<u32>,
    /// Which key signed, as [`fingerprint`] has it.
    pkfp: String,
    /// The policy that is signed.
    pol: String,
    /// The signature in Base64.
    sig: String,
}

/// Which key this is, to whoever has several: the SHA-256 of its RSAPublicKey in DER (RFC 8017,
/// appendix A.1.1).
pub fn fingerprint(key: &PublicKey) -> Digest {
    Digest::of(key.bytes())
}

/// The text of a `.pcrpkey`: the key as a SubjectPublicKeyInfo in PEM (RFC 7468, section 13).
///
/// # Errors
/// [`signature::Error::Key`] if it is no RSA key, the only kind that Talos takes.
pub fn public_key_pem(key: &PublicKey) -> Result<String, signature::Error> {
    let fail = |what: String| signature::Error::Key(format!("the PCR key: {what}"));
    if key.algorithm() != Algorithm::Rsa {
        return Err(fail("only RSA keys sign PCR values: give one".to_owned()));
    }
    pem::encode_string("PUBLIC KEY", pem::LineEnding::LF, key.to_der())
        .map_err(|error| fail(error.to_string()))
}

/// Reads a `.pcrpkey`, which may end in NULs.
///
/// # Errors
/// `Corrupt` if it is no public key in PEM.
pub fn read_public_key(content: &Blob) -> Result<PublicKey> {
    let bytes = text(content, PCRPKEY)?;
    let corrupt = |error: String| Error::corrupt(PCRPKEY, 0, error);
    let (_, key) = pem::decode_vec(&bytes).map_err(|error| corrupt(error.to_string()))?;
    PublicKey::from_der(&key).map_err(|error| corrupt(error.to_string()))
}

/// A section's text without the NULs some writers end it with.
fn text(content: &Blob, section: &'static str) -> Result<Vec<u8>> {
    let mut bytes = content.to_vec(LIMIT).map_err(|error| Error::io(section, error))?;
    let end = bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    bytes.truncate(end);
    Ok(bytes)
}

/// Signs every bank's value of each of the `predictions` of one boot. `whose` says for people of
/// which, such as `profile main`.
///
/// # Errors
/// The signer's. All is asked for before a signature that is [awaited](signature::Error::Awaited)
/// ends it, so that all can be made at once.
pub fn sign(
    whose: &str,
    predictions: &[Prediction],
    signer: &dyn Signer,
) -> Result<Signatures, signature::Error> {
    let pkfp = fingerprint(signer.public_key()).hex();
    let mut signatures = BTreeMap::<String, Vec<Entry>>::new();
    let mut awaited = None;
    for Prediction { phase, values } in predictions {
        for (&bank, value) in values {
            let policy = policy(bank, value);
            let what = format!("PCR {PCR} ({bank}) of {whose} at {phase}");
            let digest = bank.digest(&policy);
            let sig = match signer.sign(&Request { what: &what, hash: bank, digest: &digest }) {
                Ok(signature) => base64::encode(&signature),
                Err(error @ signature::Error::Awaited(_)) => {
                    awaited.get_or_insert(error);
                    continue;
                }
                Err(error) => return Err(error),
            };
            let pol = Digest::from(policy).hex();
            let entry = Entry { pcrs: vec![PCR], pkfp: pkfp.clone(), pol, sig };
            signatures.entry(bank.name().to_owned()).or_default().push(entry);
        }
    }
    awaited.map_or(Ok(Signatures(signatures)), Err)
}

impl Signatures {
    /// The text of a `.pcrsig`.
    pub fn to_json(&self) -> Result<String> {
        serde_json::to_string(&self.0).map_err(|error| Error::invalid(PCRSIG, error.to_string()))
    }

    /// Reads a `.pcrsig`. It may end in NULs, and have banks and fields that are not known here.
    ///
    /// # Errors
    /// `Corrupt` if it is not what systemd-measure(1) writes.
    pub fn read(content: &Blob) -> Result<Self> {
        serde_json::from_slice(&text(content, PCRSIG)?)
            .map(Self)
            .map_err(|error| Error::corrupt(PCRSIG, 0, error.to_string()))
    }

    /// The banks it has signatures for, those included that are not known here.
    pub fn banks(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter(|(_, entries)| !entries.is_empty()).map(|(bank, _)| bank.as_str())
    }

    /// The [fingerprints](fingerprint) of the keys it says it is signed by.
    pub fn keys(&self) -> BTreeSet<&str> {
        self.0.values().flatten().map(|entry| entry.pkfp.as_str()).collect()
    }

    /// Whether `key` signed that PCR 11 holds `value` in `bank`.
    pub fn hold(&self, bank: HashFunction, value: &[u8], key: &PublicKey) -> bool {
        let policy = policy(bank, value);
        let (pol, digest) = (Digest::from(policy).hex(), bank.digest(&policy));
        let mut entries = self.0.get(bank.name()).into_iter().flatten();
        entries.any(|entry| {
            entry.pcrs == [PCR]
                && entry.pol == pol
                && base64::decode(&entry.sig)
                    .is_some_and(|signature| key.verifies(bank, &digest, &signature))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::pcr::{predict, uki::fake_image};
    use crate::signers::PrivateKey;

    /// The key by which systemd-measure signed `tests/golden/pcr/signature.json`.
    fn key() -> PrivateKey {
        let file = include_bytes!("../../../tests/golden/pcr/key.pem");
        PrivateKey::read(file, None).unwrap()
    }

    const PHASES: [&str; 3] = ["enter-initrd", "leave-initrd", "enter-machined"];

    /// `systemd-measure sign` of systemd 257 over the same sections, with the same key.
    #[test]
    fn the_json_is_systemd_measures_byte_for_byte() {
        let key = key();
        let image = fake_image(&public_key_pem(key.public_key()).unwrap(), Vec::new());
        let all = predict(&image, &HashFunction::ALL, &PHASES).unwrap();
        let signatures = sign("the UKI", &all[0][3..], &key).unwrap();
        let golden = include_str!("../../../tests/golden/pcr/signature.json");
        assert_eq!(signatures.to_json().unwrap(), golden.trim_end());

        let read = Signatures::read(&format!("{}\0\0", golden.trim_end()).into()).unwrap();
        assert_eq!(read, signatures);
        for prediction in &all[0] {
            let last = prediction.phase.ends_with("machined");
            for (&bank, value) in &prediction.values {
                assert_eq!(read.hold(bank, value, key.public_key()), last);
            }
        }
        assert!(Signatures::read(&"{\"sha256\": 1}".into()).is_err());
    }

    #[test]
    fn all_is_asked_for_before_what_is_awaited_ends_it() {
        #[derive(Debug)]
        struct Elsewhere(PublicKey, std::sync::Mutex<Vec<String>>);

        impl Signer for Elsewhere {
            fn public_key(&self) -> &PublicKey {
                &self.0
            }

            fn sign(&self, request: &Request<'_>) -> Result<Vec<u8>, signature::Error> {
                self.1.lock().unwrap().push(request.what.to_owned());
                Err(signature::Error::Awaited(request.what.to_owned()))
            }
        }

        let elsewhere = Elsewhere(key().public_key().clone(), std::sync::Mutex::default());
        let all = predict(&fake_image("key", Vec::new()), &HashFunction::ALL, &["a"]).unwrap();
        let error = sign("profile main", &all[0][1..], &elsewhere).unwrap_err();
        assert!(matches!(error, signature::Error::Awaited(_)));
        assert_eq!(
            elsewhere.1.into_inner().unwrap(),
            HashFunction::ALL.map(|bank| { format!("PCR 11 ({bank}) of profile main at a") })
        );
    }
}

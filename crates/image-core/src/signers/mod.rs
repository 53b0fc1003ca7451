//! Who signs: a private key in a file, or someone elsewhere who is sent digests.
//!
//! Whoever it is, no signature leaves here that the public key does not verify.

pub mod detached;
mod key_file;
mod pem;
#[cfg(feature = "pkcs11")]
pub mod pkcs11;
mod private_key;

pub use detached::Detached;
pub use private_key::{KeyType, PrivateKey};

use crate::signature::{Algorithm, PublicKey, Request};
use base64ct::{Base64, Encoding};

/// The longest answer that can hold a signature, in bytes: base64 of the longest in short lines.
pub const MAX_ANSWER: usize = 4096;

/// The signature of `key` over what was asked for, from the `answer` of a device or a program.
///
/// Key services differ in how they write one down, so it may be bare or base64, and one by ECDSA
/// DER or the two numbers in 32 bytes each (IEEE 1363). None if nothing of that holds.
pub fn signature_in(answer: &[u8], key: &PublicKey, request: &Request<'_>) -> Option<Vec<u8>> {
    let holds = |signature: &[u8]| {
        let signature = match key.algorithm() {
            Algorithm::EcdsaP256 if signature.len() == 64 => {
                p256::ecdsa::Signature::from_slice(signature).ok()?.to_der().as_bytes().to_vec()
            }
            _ => signature.to_vec(),
        };
        key.verifies(request.hash, request.digest, &signature).then_some(signature)
    };
    if answer.len() > MAX_ANSWER {
        return None;
    }
    holds(answer).or_else(|| {
        let text: String = std::str::from_utf8(answer).ok()?.split_whitespace().collect();
        holds(&Base64::decode_vec(&text).ok()?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signature::{Error, HashFunction, Signer as _};
    use p256::pkcs8::EncodePrivateKey as _;

    /// What `tests/golden/keys.txt` has under this name.
    pub(super) fn key(name: &str) -> &'static str {
        include_str!("../../tests/golden/keys.txt")
            .split("== ")
            .find_map(|part| part.strip_prefix(name)?.strip_prefix('\n'))
            .unwrap()
    }

    fn request(digest: &[u8]) -> Request<'_> {
        Request { what: "Talos 1.12, the UKI!", hash: HashFunction::Sha256, digest }
    }

    #[test]
    fn p_256_signs_as_rfc_6979_says() {
        // Appendix A.2.5; its second number is a high one.
        let number = "c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721";
        let signature = "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716\
                         f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8";
        let bytes = |text: &str| -> Vec<u8> {
            let digits = text.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
            digits.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
        };
        let key = p256::SecretKey::from_slice(&bytes(number)).unwrap();
        let key = PrivateKey::read(key.to_pkcs8_der().unwrap().as_bytes(), None).unwrap();
        let digest = HashFunction::Sha256.digest(b"sample");
        let signed = key.sign(&request(&digest)).unwrap();
        let expected = signature_in(&bytes(signature), key.public_key(), &request(&digest));
        assert_eq!(Some(signed), expected);
        let longer = Request { hash: HashFunction::Sha384, ..request(&digest) };
        assert!(key.sign(&longer).unwrap_err().to_string().contains("take an RSA key"));
    }

    #[test]
    fn what_is_signed_elsewhere_is_what_would_be_signed_here() {
        let key = PrivateKey::read(key("rsa-pkcs8").as_bytes(), None).unwrap();
        let detached =
            |files: Vec<(String, Vec<u8>)>| Detached::new(key.public_key().clone(), files).unwrap();
        let digest = HashFunction::Sha256.digest(b"a UKI");
        let request = request(&digest);

        let first = detached(vec![]);
        let error = first.sign(&request).unwrap_err();
        assert!(matches!(error, Error::Awaited(what) if what == request.what));
        let again = Request { what: "another name of the same", ..request };
        assert!(first.sign(&again).is_err());
        let awaited = first.awaited();
        let [asked] = &awaited[..] else { panic!("{awaited:?}") };
        assert_eq!(asked.digest_file(), "talos-1.12-the-uki-sha256-48d7b815eca25326.digest");
        let files = detached::files(&awaited);
        assert_eq!(files[&asked.digest_file()], digest);
        let index: serde_json::Value = serde_json::from_slice(&files[detached::INDEX]).unwrap();
        assert_eq!(index["requests"][0]["key"], key.public_key().fingerprint());
        assert_eq!(index["requests"][0]["signature_file"], asked.signature_file());

        let signature = key.sign(&request).unwrap();
        let text = Base64::encode_string(&signature) + "\n";
        for answer in [signature.clone(), text.into_bytes()] {
            let second = detached(vec![(asked.signature_file(), answer)]);
            assert_eq!(second.sign(&request).unwrap(), signature);
            assert_eq!(second.sign(&again).unwrap(), signature, "whatever it is called");
            assert!(second.awaited().is_empty());
        }
        let wrong = detached(vec![(asked.signature_file(), vec![1; 256])]);
        let error = wrong.sign(&request).unwrap_err().to_string();
        let named = [asked.signature_file(), asked.digest_file(), "RSA-2048 key".to_owned()];
        assert!(named.iter().all(|name| error.contains(name)), "{error}");
    }
}

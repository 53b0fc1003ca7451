//! Private keys as files have them.

use super::{
    PrivateKey,
    pem::{self, Block},
};
use crate::signature::{self, Error};
use aws_lc_rs::rsa;
use pkcs8::{
    EncryptedPrivateKeyInfo, PrivateKeyInfo,
    der::{
        Decode, Reader, SliceReader, Tag, Tagged,
        asn1::{AnyRef, ObjectIdentifier, UintRef},
    },
    pkcs5::{
        self, EncryptionScheme,
        pbes2::{self, Kdf},
    },
};
use zeroize::Zeroizing;

/// The longest file that can hold a key, in bytes. One of RSA 4096 has 3,300, and certificates may
/// stand beside it.
const MAX_FILE: usize = 1 << 20;

/// Rounds of PBKDF2: some seconds of work.
const MAX_ROUNDS: u32 = 10_000_000;
/// Memory for scrypt, in bytes.
const MAX_SCRYPT: u64 = 1 << 28;
/// How often scrypt goes through its memory.
const MAX_SCRYPT_PASSES: u16 = 16;

const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");

/// What keys are often of instead.
const KNOWN: [(&str, &str); 10] = [
    ("1.2.840.10040.4.1", "DSA"),
    ("1.2.840.113549.1.1.10", "RSA-PSS"),
    ("1.3.101.110", "X25519"),
    ("1.3.101.112", "Ed25519"),
    ("1.3.101.113", "Ed448"),
    ("1.3.132.0.10", "ECDSA secp256k1"),
    ("1.3.132.0.34", "ECDSA P-384"),
    ("1.3.132.0.35", "ECDSA P-521"),
    ("2.16.840.1.101.3.4.3.17", "ML-DSA-44"),
    ("2.16.840.1.101.3.4.3.18", "ML-DSA-65"),
];

fn error(what: impl Into<String>) -> Error {
    Error::Key(what.into())
}

/// See [`PrivateKey::read`].
pub(super) fn read(file: &[u8], passphrase: Option<&[u8]>) -> Result<PrivateKey, Error> {
    if file.is_empty() {
        return Err(error("the file is empty, and should hold a private key"));
    }
    if file.len() > MAX_FILE {
        return Err(error("the file is too long for a private key"));
    }
    if shape(file).is_some() {
        return of_der(file, passphrase);
    }
    let text = std::str::from_utf8(file)
        .map_err(|_| error("this is no private key, neither in PEM nor in DER"))?;
    let blocks = pem::blocks(text)?;
    let mut keys = blocks.iter().filter(|block| block.label.ends_with("PRIVATE KEY"));
    match (keys.next(), keys.next()) {
        (Some(block), None) => of_block(block, passphrase),
        (Some(_), Some(second)) => Err(error(format!(
            "line {}: a second private key begins here: leave one in the file",
            second.line
        ))),
        (None, _) => Err(error(match blocks.first() {
            Some(block) if block.label.ends_with("CERTIFICATE") => CERTIFICATE,
            Some(block) if block.label.ends_with("PUBLIC KEY") => PUBLIC,
            _ => "there is no private key in it: it begins with -----BEGIN PRIVATE KEY-----",
        })),
    }
}

const CERTIFICATE: &str = "this is a certificate, and not the private key that belongs to it";
const PUBLIC: &str = "this is a public key, and not the private key that belongs to it";
const ENCRYPTED: &str =
    "the private key is encrypted: name the file with its passphrase (--passphrase-file)";
const DAMAGED: &str = "the private key is damaged";
const PASSPHRASE: &str = "the passphrase is wrong, or the file is damaged";

fn of_block(block: &Block<'_>, passphrase: Option<&[u8]>) -> Result<PrivateKey, Error> {
    if block.headers {
        return Err(error(
            "the private key is encrypted the way OpenSSL once did it: \
             `openssl pkcs8 -topk8 -in OLD -out NEW` makes one that can be read",
        ));
    }
    match block.label {
        "OPENSSH PRIVATE KEY" => {
            Err(error("this is a key of OpenSSH: `ssh-keygen -p -m PKCS8 -f FILE` rewrites it"))
        }
        _ => of_der(&block.decode()?, passphrase),
    }
}

/// What DER holds, as far as it can be told from its outline.
enum Shape<'a> {
    /// PrivateKeyInfo.
    Pkcs8,
    /// EncryptedPrivateKeyInfo.
    Encrypted,
    /// RSAPrivateKey, and its modulus.
    Rsa(AnyRef<'a>),
    /// ECPrivateKey, and the name of its curve.
    Ec(Option<AnyRef<'a>>),
    /// SubjectPublicKeyInfo or RSAPublicKey.
    Public,
    Certificate,
    Pkcs12,
    Other,
}

/// None if it is no DER, or does not end where it says.
fn shape(der: &[u8]) -> Option<Shape<'_>> {
    /// An RSAPrivateKey has the most.
    const MOST: usize = 10;
    let whole = AnyRef::from_der(der).ok().filter(|any| any.tag() == Tag::Sequence)?;
    let mut reader = SliceReader::new(whole.value()).ok()?;
    let mut parts = Vec::new();
    while !reader.is_finished() && parts.len() <= MOST {
        parts.push(AnyRef::decode(&mut reader).ok()?);
    }
    let tags: Vec<Tag> = parts.iter().map(Tagged::tag).collect();
    Some(match tags[..] {
        [Tag::Integer, Tag::Sequence, Tag::OctetString, ..] => Shape::Pkcs8,
        [Tag::Sequence, Tag::OctetString] => Shape::Encrypted,
        [Tag::Integer, Tag::OctetString, ..] => {
            let curve = parts.iter().find(|part| {
                matches!(part.tag(), Tag::ContextSpecific { number, .. } if number.value() == 0)
            });
            Shape::Ec(curve.copied())
        }
        [Tag::Integer, Tag::Integer] | [Tag::Sequence, Tag::BitString] => Shape::Public,
        [Tag::Integer, Tag::Integer, ..] if tags.len() >= 9 => Shape::Rsa(parts[1]),
        [Tag::Sequence, Tag::Sequence, Tag::BitString] => Shape::Certificate,
        [Tag::Integer, Tag::Sequence, Tag::Sequence] => Shape::Pkcs12,
        _ => Shape::Other,
    })
}

fn of_der(der: &[u8], passphrase: Option<&[u8]>) -> Result<PrivateKey, Error> {
    match shape(der) {
        Some(Shape::Pkcs8) => of_pkcs8(der),
        Some(Shape::Encrypted) => match passphrase {
            Some(passphrase) => of_pkcs8(&decrypt(der, passphrase)?),
            None => Err(error(ENCRYPTED)),
        },
        Some(Shape::Rsa(_)) => of_rsa(der),
        Some(Shape::Ec(Some(curve))) => {
            let curve = ObjectIdentifier::from_der(curve.value()).map_err(|_| unnamed_curve())?;
            of_ec(der, curve)
        }
        Some(Shape::Ec(None)) => Err(unnamed_curve()),
        Some(Shape::Public) => Err(error(PUBLIC)),
        Some(Shape::Certificate) => Err(error(CERTIFICATE)),
        Some(Shape::Pkcs12) => Err(error(
            "this is a PKCS#12 bundle: \
             `openssl pkcs12 -in FILE -nocerts -out NEW` takes the private key out of it",
        )),
        Some(Shape::Other) => Err(error("this is not of the form of a private key")),
        None => Err(error(DAMAGED)),
    }
}

fn of_pkcs8(der: &[u8]) -> Result<PrivateKey, Error> {
    let info = PrivateKeyInfo::from_der(der).map_err(|_| error(DAMAGED))?;
    match info.algorithm.oid {
        RSA => of_rsa(info.private_key),
        EC => {
            let curve = info.algorithm.parameters_oid().map_err(|_| unnamed_curve())?;
            of_ec(info.private_key, curve)
        }
        other => Err(unsupported(other)),
    }
}

fn of_rsa(der: &[u8]) -> Result<PrivateKey, Error> {
    let Some(Shape::Rsa(modulus)) = shape(der) else { return Err(error(DAMAGED)) };
    // Told here by its size: the library behind says no more than that it does not like it.
    let modulus = modulus.decode_as::<UintRef<'_>>().map_err(|_| error(DAMAGED))?;
    signature::fit_to_sign(signature::bit_length(modulus))?;
    PrivateKey::of_rsa(rsa::KeyPair::from_der(der).map_err(|_| error(DAMAGED))?)
}

fn of_ec(der: &[u8], curve: ObjectIdentifier) -> Result<PrivateKey, Error> {
    if curve != P256 {
        return Err(unsupported(curve));
    }
    PrivateKey::of_p256(p256::SecretKey::from_sec1_der(der).map_err(|_| error(DAMAGED))?)
}

fn unnamed_curve() -> Error {
    error("the private key does not name its curve: only P-256 by its name is supported")
}

fn unsupported(algorithm: ObjectIdentifier) -> Error {
    let algorithm = algorithm.to_string();
    let name = KNOWN.iter().find(|(known, _)| *known == algorithm).map(|(_, name)| *name);
    error(format!(
        "keys of {} are not supported, only RSA and ECDSA P-256",
        name.map_or(algorithm, str::to_owned)
    ))
}

fn decrypt(der: &[u8], passphrase: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
    let scheme = || {
        error(
            "the private key is encrypted by a scheme that is not supported, only PBES2 with AES: \
             `openssl pkcs8 -topk8 -v2 aes-256-cbc -in OLD -out NEW` makes one that is",
        )
    };
    let info = EncryptedPrivateKeyInfo::from_der(der).map_err(|_| scheme())?;
    let EncryptionScheme::Pbes2(parameters) = &info.encryption_algorithm else {
        return Err(scheme());
    };
    if costs_too_much(parameters) {
        return Err(error(
            "the encryption of the private key asks for more time or memory than keys need",
        ));
    }
    let mut plain = Zeroizing::new(info.encrypted_data.to_vec());
    let length = match parameters.decrypt_in_place(passphrase, &mut plain) {
        Ok(inside) => inside.len(),
        Err(pkcs5::Error::UnsupportedAlgorithm { .. }) => return Err(scheme()),
        Err(_) => return Err(error(PASSPHRASE)),
    };
    plain.truncate(length);
    // One wrong passphrase in 256 leaves something that looks padded.
    match shape(&plain) {
        Some(Shape::Pkcs8) => Ok(plain),
        _ => Err(error(PASSPHRASE)),
    }
}

/// Whether who made the file wants to keep this machine busy.
fn costs_too_much(parameters: &pbes2::Parameters<'_>) -> bool {
    match &parameters.kdf {
        Kdf::Pbkdf2(parameters) => parameters.iteration_count > MAX_ROUNDS,
        Kdf::Scrypt(parameters) => {
            let block = 128 * u64::from(parameters.block_size);
            parameters.cost_parameter.saturating_mul(block) > MAX_SCRYPT
                || parameters.parallelization > MAX_SCRYPT_PASSES
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        signature::{HashFunction, Request, Signer as _, hexadecimal},
        signers::{KeyType, signature_in, tests::key},
    };

    const SWORDFISH: Option<&[u8]> = Some(b"swordfish");

    fn der(name: &str) -> Vec<u8> {
        pem::blocks(key(name)).unwrap().last().unwrap().decode().unwrap().to_vec()
    }

    fn refusal(file: &[u8], passphrase: Option<&[u8]>) -> String {
        read(file, passphrase).unwrap_err().to_string()
    }

    #[test]
    fn every_encoding_of_openssl_is_read_and_signs_as_openssl_does() {
        let digest = HashFunction::Sha256.digest(b"sample");
        let request = Request { what: "a sample", hash: HashFunction::Sha256, digest: &digest };
        let of_openssl = key("rsa-signature");
        let ec = read(key("ec-pkcs8").as_bytes(), None).unwrap();
        for name in ["rsa-pkcs8", "rsa-pkcs1", "rsa-pbkdf2", "rsa-scrypt"] {
            for file in [key(name).as_bytes(), &der(name)] {
                let key = read(file, SWORDFISH).unwrap();
                let signature = signature_in(of_openssl.as_bytes(), key.public_key(), &request);
                assert_eq!(key.sign(&request).unwrap(), signature.unwrap(), "{name}");
                assert_eq!(key.to_pem().unwrap().trim(), super::tests::key("rsa-pkcs1").trim());
            }
        }
        for name in ["ec-sec1", "ec-pkcs8", "ec-pbkdf2"] {
            for file in [key(name).as_bytes(), &der(name)] {
                let key = read(file, SWORDFISH).unwrap();
                assert_eq!(key.public_key(), ec.public_key(), "{name}");
                assert_eq!(key.sign(&request).unwrap(), ec.sign(&request).unwrap(), "{name}");
                assert_eq!(key.to_pem().unwrap().trim(), super::tests::key("ec-pkcs8").trim());
            }
        }
        // As people keep them: with the certificate, notes, and the line ends of Windows.
        let kept = format!("my key\n{}{}", key("rsa-certificate"), key("rsa-pkcs8"));
        read(kept.replace('\n', "\r\n").as_bytes(), None).unwrap();
    }

    #[test]
    fn a_file_that_will_not_do_gets_one_line_that_says_why() {
        let two = format!("{}{}", key("rsa-pkcs8"), key("ec-pkcs8"));
        let cut = &key("rsa-pkcs8")[..400];
        let typed = key("ec-pkcs8").replacen("MIG", "M!G", 1);
        for (file, passphrase, said) in [
            ("", None, "the file is empty"),
            ("hello", None, "there is no private key in it"),
            (key("rsa-certificate"), None, "this is a certificate"),
            (key("rsa-public"), None, "this is a public key"),
            (key("rsa-pbkdf2"), None, "is encrypted: name the file with its passphrase"),
            (key("rsa-pbkdf2"), Some("Swordfish"), "the passphrase is wrong"),
            (key("rsa-scrypt"), Some(""), "the passphrase is wrong"),
            (key("rsa-pbes1"), Some("swordfish"), "only PBES2 with AES: `openssl pkcs8"),
            (key("ec-sha1"), Some("swordfish"), "only PBES2 with AES: `openssl pkcs8"),
            (key("rsa-legacy"), Some("swordfish"), "`openssl pkcs8 -topk8"),
            (key("rsa-1024"), None, "an RSA key of 1024 bits is too weak: take one of 2048 to"),
            (key("p384"), None, "keys of ECDSA P-384 are not supported"),
            (key("ed25519"), None, "keys of Ed25519 are not supported"),
            (key("dsa"), None, "not of the form of a private key"),
            (key("openssh"), None, "`ssh-keygen -p -m PKCS8"),
            (&two, None, "line 29: a second private key begins here"),
            (cut, None, "line 1: what begins here does not end"),
            (&typed, None, "line 1: what begins here is no whole base64"),
        ] {
            let error = refusal(file.as_bytes(), passphrase.map(str::as_bytes));
            assert!(error.contains(said) && !error.contains('\n'), "{error}, not {said}");
        }
        assert!(refusal(&der("rsa-certificate"), None).contains("this is a certificate"));
        assert!(refusal(&der("rsa-public"), None).contains("this is a public key"));
        assert!(refusal(&[0xff; 40], None).contains("neither in PEM nor in DER"));
        assert!(refusal(&vec![b' '; MAX_FILE + 1], None).contains("too long"));
    }

    #[test]
    fn an_encryption_made_to_waste_time_or_memory_is_refused() {
        for (name, dear) in [("rsa-pbkdf2", false), ("rsa-scrypt", false), ("rsa-scrypt", true)] {
            let der = der(name);
            let info = EncryptedPrivateKeyInfo::from_der(&der).unwrap();
            let EncryptionScheme::Pbes2(mut parameters) = info.encryption_algorithm else {
                panic!("{name}")
            };
            assert!(!costs_too_much(&parameters), "{name}");
            match &mut parameters.kdf {
                Kdf::Pbkdf2(parameters) => parameters.iteration_count = MAX_ROUNDS + 1,
                Kdf::Scrypt(parameters) if dear => parameters.parallelization = u16::MAX,
                Kdf::Scrypt(parameters) => parameters.cost_parameter = 1 << 40,
                _ => panic!("{name}"),
            }
            assert!(costs_too_much(&parameters), "{name}");
        }
    }

    #[test]
    fn nothing_of_a_key_is_ever_shown() {
        const SHOWN: usize = 10;
        let mut said: Vec<(&str, String)> = Vec::new();
        for name in ["rsa-pkcs8", "rsa-pkcs1", "ec-sec1", "ec-pkcs8", "p384", "rsa-1024"] {
            let (text, der) = (key(name), der(name));
            said.push((name, format!("{:?}", read(text.as_bytes(), None))));
            for at in (0..der.len()).step_by(11) {
                let mut flipped = der.clone();
                flipped[at] ^= 0x10;
                said.push((name, format!("{:?}", read(&flipped, None))));
                said.push((name, format!("{:?}", read(&der[..at], None))));
                said.push((name, format!("{:?}", read(&text.as_bytes()[at..], None))));
                said.push((name, format!("{:?}", read(&text.as_bytes()[..at], None))));
            }
        }
        for (name, said) in said {
            let der = der(name);
            let hidden = [
                key(name).lines().filter(|line| !line.starts_with('-')).collect::<String>(),
                hexadecimal(&der),
                hexadecimal(&der).to_uppercase(),
                format!("{der:?}"),
            ];
            for shown in said.as_bytes().windows(SHOWN) {
                let shown = std::str::from_utf8(shown).unwrap();
                assert!(hidden.iter().all(|hidden| !hidden.contains(shown)), "{name}: {said}");
            }
        }
    }

    #[test]
    fn a_new_key_can_be_written_and_read_again() {
        for (key_type, bits) in [(KeyType::Rsa2048, 2048), (KeyType::P256, 256)] {
            let made = PrivateKey::generate(key_type).unwrap();
            assert_eq!(made.public_key().bits(), bits);
            assert_ne!(PrivateKey::generate(key_type).unwrap().public_key(), made.public_key());
            let again = read(made.to_pem().unwrap().as_bytes(), None).unwrap();
            assert_eq!(again.public_key(), made.public_key());
        }
    }
}

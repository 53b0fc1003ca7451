//! An X.509 certificate: whose public key this is.
//!
//! Specification: RFC 5280, section 4; text with it: RFC 7468, sections 2 and 5. Certificates are
//! kept as the bytes they came in, since those are what is signed and compared.

mod self_signed;

pub use self_signed::{Subject, self_signed};

#[cfg(test)]
pub(crate) mod fake;

use super::{Error, Result, der};
use crate::{
    blob::Digest,
    signature::{HashFunction, PublicKey},
};
use std::{fmt, fmt::Write as _, sync::Arc};
use x509_cert::{
    der::{Decode as _, asn1::ObjectIdentifier, pem},
    name::Name,
    time::Validity,
};

const FORMAT: &str = "certificate";

pub(super) const RSA_SHA256: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.11");
const RSA_SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.12");
const RSA_SHA512: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.13");
pub(super) const ECDSA_SHA256: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");
const ECDSA_SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.3");
const ECDSA_SHA512: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.4");

/// A certificate. Cloning is cheap; two are equal if all their bytes are.
#[derive(Clone, PartialEq, Eq)]
pub struct Certificate(Arc<Parts>);

#[derive(PartialEq, Eq)]
struct Parts {
    der: Vec<u8>,
    /// TBSCertificate, the part that is signed.
    signed: Vec<u8>,
    /// `None` if it is not SHA-2's.
    hash: Option<HashFunction>,
    signature: Vec<u8>,
    /// Elements as they stand.
    serial: Vec<u8>,
    issuer: Vec<u8>,
    subject: Vec<u8>,
    not_before: u64,
    not_after: u64,
    public_key: PublicKey,
}

impl Certificate {
    /// Reads a certificate as it comes in a file: PEM with one certificate and any text around
    /// it, or DER.
    ///
    /// # Errors
    /// `Corrupt` with the place, the lines of it in a PEM file; for a key or several certificates
    /// too. `Unsupported` for keys that Secure Boot knows nothing of.
    pub fn read(bytes: &[u8]) -> Result<Self> {
        if bytes.first() == Some(&der::SEQUENCE) {
            return Self::from_der(bytes);
        }
        Self::from_der(&armoured(bytes)?)
    }

    /// Reads a certificate in DER.
    ///
    /// # Errors
    /// As [`Certificate::read`].
    pub fn from_der(bytes: &[u8]) -> Result<Self> {
        let mut file = der::Elements::new(FORMAT, bytes);
        let whole = file.expect(der::SEQUENCE, "the certificate")?;
        file.end("the certificate")?;
        let mut outer = whole.elements();
        let signed = outer.expect(der::SEQUENCE, "what is signed")?;
        let algorithm = outer.expect(der::SEQUENCE, "the algorithm")?;
        let algorithm = algorithm.elements().expect(der::OBJECT, "the algorithm")?.value;
        let signature = outer.expect(der::BIT_STRING, "the signature")?;
        let Some((0, signature)) = signature.value.split_first().map(|(&n, rest)| (n, rest)) else {
            return Err(signature.corrupt("the signature: it is no row of bytes"));
        };
        outer.end("the signature")?;

        let mut fields = signed.elements();
        fields.optional(der::CONTEXT_0, "the version")?;
        let serial = fields.expect(der::INTEGER, "the serial number")?.whole;
        fields.expect(der::SEQUENCE, "the algorithm")?;
        let issuer = fields.expect(der::SEQUENCE, "the issuer")?;
        let validity = fields.expect(der::SEQUENCE, "the validity")?;
        let subject = fields.expect(der::SEQUENCE, "the subject")?;
        let public_key = fields.expect(der::SEQUENCE, "the public key")?;

        for name in [&issuer, &subject] {
            Name::from_der(name.whole).map_err(|error| name.corrupt(format!("a name: {error}")))?;
        }
        let dates = Validity::from_der(validity.whole)
            .map_err(|error| validity.corrupt(format!("the validity: {error}")))?;
        let public_key = PublicKey::from_der(public_key.whole)
            .map_err(|error| Error::signature(FORMAT, error))?;
        let hash = match algorithm {
            oid if [RSA_SHA256, ECDSA_SHA256].iter().any(|known| known.as_bytes() == oid) => {
                Some(HashFunction::Sha256)
            }
            oid if [RSA_SHA384, ECDSA_SHA384].iter().any(|known| known.as_bytes() == oid) => {
                Some(HashFunction::Sha384)
            }
            oid if [RSA_SHA512, ECDSA_SHA512].iter().any(|known| known.as_bytes() == oid) => {
                Some(HashFunction::Sha512)
            }
            _ => None,
        };
        Ok(Self(Arc::new(Parts {
            der: bytes.to_vec(),
            signed: signed.whole.to_vec(),
            hash,
            signature: signature.to_vec(),
            serial: serial.to_vec(),
            issuer: issuer.whole.to_vec(),
            subject: subject.whole.to_vec(),
            not_before: dates.not_before.to_unix_duration().as_secs(),
            not_after: dates.not_after.to_unix_duration().as_secs(),
            public_key,
        })))
    }

    /// The certificate in DER.
    pub fn der(&self) -> &[u8] {
        &self.0.der
    }

    /// The certificate in PEM.
    pub fn pem(&self) -> String {
        pem::encode_string("CERTIFICATE", pem::LineEnding::LF, self.der()).unwrap_or_default()
    }

    /// Whose key it is, such as `CN=Boot, O=Example`.
    pub fn subject(&self) -> String {
        name(&self.0.subject)
    }

    /// Who says so, in the form of [`Certificate::subject`].
    pub fn issuer(&self) -> String {
        name(&self.0.issuer)
    }

    /// The serial number in hexadecimal digits.
    pub fn serial(&self) -> String {
        let digits = self.0.serial.iter().skip(2);
        digits.fold(String::new(), |mut text, byte| {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
    }

    /// From when on it holds, in seconds since 1970.
    pub fn not_before(&self) -> u64 {
        self.0.not_before
    }

    /// Until when it holds, in seconds since 1970.
    pub fn not_after(&self) -> u64 {
        self.0.not_after
    }

    /// The key.
    pub fn public_key(&self) -> &PublicKey {
        &self.0.public_key
    }

    /// The SHA-256 of its DER, by which tools and firmware show it.
    pub fn fingerprint(&self) -> Digest {
        Digest::of(self.der())
    }

    /// Whether `issuer` made this certificate: it bears the name, and the signature is its key's.
    pub fn is_signed_by(&self, issuer: &Self) -> bool {
        let Parts { hash: Some(hash), signed, signature, .. } = &*self.0 else { return false };
        self.0.issuer == issuer.0.subject
            && issuer.public_key().verifies(*hash, &hash.digest(signed), signature)
    }

    /// IssuerAndSerialNumber (RFC 5652, section 10.2.4), which names a certificate.
    pub(super) fn named(&self) -> Vec<u8> {
        der::element(der::SEQUENCE, &[&self.0.issuer, &self.0.serial])
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificate({}, {})", self.subject(), self.fingerprint())
    }
}

fn name(der: &[u8]) -> String {
    let name = Name::from_der(der).unwrap_or_default();
    name.0.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// The DER of the one certificate in a PEM file.
fn armoured(bytes: &[u8]) -> Result<Vec<u8>> {
    const BEGIN: &str = "-----BEGIN ";
    let corrupt = |what: String| Error::corrupt(FORMAT, 0, what);
    let Some(text) = std::str::from_utf8(bytes).ok().filter(|text| text.contains(BEGIN)) else {
        let what = "it is neither PEM (no line says -----BEGIN CERTIFICATE-----) nor DER";
        return Err(corrupt(what.to_owned()));
    };
    let mut found: Option<(usize, &str)> = None;
    let (mut line, mut rest) = (1, text);
    while let Some(at) = rest.find(BEGIN) {
        line += rest[..at].matches('\n').count();
        rest = &rest[at..];
        let label = rest[BEGIN.len()..].split("-----").next().unwrap_or_default();
        let label = label.lines().next().unwrap_or_default();
        if label != "CERTIFICATE" {
            let what = format!("line {line}: a {label} stands here; give the certificate alone");
            return Err(corrupt(what));
        }
        if let Some((first, _)) = found {
            return Err(corrupt(format!(
                "line {line}: a second certificate, the first is in line {first}; leave one"
            )));
        }
        let end = "-----END CERTIFICATE-----";
        let Some(len) = rest.find(end).map(|at| at + end.len()) else {
            return Err(corrupt(format!("line {line}: the certificate has no line {end}")));
        };
        found = Some((line, &rest[..len]));
        line += rest[..len].matches('\n').count();
        rest = &rest[len..];
    }
    let (line, block) = found.unwrap_or((1, ""));
    pem::decode_vec(block.as_bytes()).map(|(_, der)| der).map_err(|error| {
        let last = line + block.matches('\n').count();
        corrupt(format!("lines {line} to {last}: this is no PEM: {error}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_certificate_says_what_it_was_made_of() {
        let signer = fake::rsa();
        let subject = Subject { common_name: "Boot, ours", organization: "Exämple" };
        let range = 951_782_400..4_107_542_400;
        let made = self_signed(&subject, range.clone(), &signer).unwrap();
        assert_eq!(made.subject(), "CN=Boot\\, ours, O=Exämple");
        assert_eq!(made.issuer(), made.subject());
        assert_eq!((made.not_before(), made.not_after()), (range.start, range.end));
        assert_eq!(made.public_key(), crate::signature::Signer::public_key(&signer));
        assert!(made.is_signed_by(&made));
        assert_eq!(made.serial().len(), 32);
        // Other dates, another serial number.
        let other = self_signed(&subject, 0..1, &signer).unwrap();
        assert_ne!(other.serial(), made.serial());
        assert!(!other.is_signed_by(&fake::certificate("Boot", &fake::ecdsa(1))));

        let pem = format!("Bag Attributes\n{}\nand so on\n", made.pem());
        assert_eq!(Certificate::read(pem.as_bytes()).unwrap(), made);
        assert_eq!(Certificate::read(pem.replace('\n', "\r\n").as_bytes()).unwrap(), made);
        assert_eq!(Certificate::read(made.der()).unwrap(), made);
    }

    #[test]
    fn the_same_input_gets_the_same_bytes() {
        let of = |signer: &fake::Fake| fake::certificate("Boot", signer).fingerprint().hex();
        assert_eq!(
            of(&fake::rsa()),
            "dbefe30b398a88e6eb46e9a8df0a5051a7ccf881a7a7c9a70d8cbe6aacc6da3e"
        );
        assert_eq!(
            of(&fake::ecdsa(7)),
            "b2294f8d5ee0022315033686b9a0226a5db32d5a8ba8f518693e968daf063f97"
        );
    }

    #[test]
    fn what_is_no_certificate_is_said_with_its_place() {
        let refuse = |text: &str| Certificate::read(text.as_bytes()).unwrap_err().to_string();
        let pem = fake::certificate("Boot", &fake::ecdsa(1)).pem();
        let key = pem.replace("CERTIFICATE", "PRIVATE KEY");
        assert_eq!(
            refuse(&format!("\n{key}{pem}")),
            "certificate: line 2: a PRIVATE KEY stands here; give the certificate alone"
        );
        assert_eq!(
            refuse(&format!("{pem}{pem}")),
            "certificate: line 12: a second certificate, the first is in line 1; leave one"
        );
        assert!(refuse("hello").contains("neither PEM"));
        assert!(refuse("").contains("neither PEM"));
        assert!(refuse(&pem.replace("END", "END A")).contains("line 1: the certificate has no"));
        let rubbish = pem.replacen("\nMII", "\n!!!", 1);
        assert!(refuse(&rubbish).starts_with("certificate: lines 1 to 11: this is no PEM"));
        assert!(refuse("0").contains("the certificate: there is no DER element"));
        let der = Certificate::read(pem.as_bytes()).unwrap().der().to_vec();
        for len in 0..der.len() {
            assert!(Certificate::from_der(&der[..len]).is_err(), "{len}");
        }
        let error = Certificate::from_der(&[&der[..], b"x"].concat()).unwrap_err().to_string();
        assert!(error.contains("1 bytes follow it"), "{error}");
    }

    #[test]
    fn what_cannot_be_written_is_refused() {
        let refuse = |common_name: &str, range| {
            let subject = Subject { common_name, organization: "" };
            self_signed(&subject, range, &fake::ecdsa(1)).unwrap_err().to_string()
        };
        assert!(refuse("", 0..1).contains("the subject is empty"));
        assert!(refuse(&"x".repeat(65), 0..1).contains("needs 65"));
        assert!(refuse("x", 1..1).contains("mend the dates"));
        assert!(refuse("x", 0..u64::MAX).contains("the last that fits is 9999"));
    }

    proptest! {
        #[test]
        fn hostile_certificates_never_panic(
            flips in proptest::collection::vec((0usize..400, any::<u8>()), 1..4),
            rubbish in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let mut der = fake::certificate("Boot", &fake::ecdsa(1)).der().to_vec();
            for (at, byte) in flips {
                if let Some(old) = der.get_mut(at) {
                    *old = byte;
                }
            }
            if let Ok(certificate) = Certificate::read(&der) {
                let _ = (certificate.subject(), certificate.serial());
                let _ = certificate.is_signed_by(&certificate);
            }
            let _ = Certificate::read(&rubbish);
        }
    }
}

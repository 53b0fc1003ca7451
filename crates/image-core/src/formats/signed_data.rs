//! Signed data of one signer, the envelope of Authenticode's and UEFI's signatures.
//!
//! Specification: RFC 2315 (PKCS #7 1.5), section 9, which is RFC 5652 (CMS), section 5, in its
//! version 1. There is no time in what is written: the same input gets the same bytes.

use super::{
    Error, Result,
    certificate::{Certificate, ECDSA_SHA256},
    der::{self, Element, Elements},
};
use crate::signature::{self, Algorithm, HashFunction, Request, Signer};
use x509_cert::der::asn1::ObjectIdentifier;

const SIGNED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");
/// The content type of content that means nothing here.
pub(super) const DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.1");
const SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");
const SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.2");
const SHA512: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.3");
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const CONTENT_TYPE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.3");
const MESSAGE_DIGEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.4");

/// How many certificates are followed from a signer's to one that is trusted.
const LONGEST_CHAIN: usize = 8;

/// AlgorithmIdentifier of SHA-256.
pub(super) fn sha256() -> Vec<u8> {
    der::algorithm(SHA256)
}

/// The hash function an AlgorithmIdentifier names.
pub(super) fn hash_function(algorithm: &Element<'_>) -> Result<HashFunction> {
    let id = algorithm.elements().expect(der::OBJECT, "the hash function")?;
    let known = [SHA256, SHA384, SHA512].into_iter().zip(HashFunction::ALL);
    known
        .into_iter()
        .find_map(|(known, hash)| (known.as_bytes() == id.value).then_some(hash))
        .ok_or_else(|| id.corrupt("the hash function is none of SHA-2"))
}

/// What is signed, and how.
pub(super) struct Content<'a> {
    /// What it is, for people.
    pub(super) what: &'a str,
    pub(super) kind: ObjectIdentifier,
    /// The bytes that count: an element's value without tag and length, or what is elsewhere.
    pub(super) bytes: &'a [u8],
    /// The element, where it travels along. Its digest is then signed among attributes; else the
    /// bytes themselves are.
    pub(super) element: Option<&'a [u8]>,
}

/// SignedData over the content, with SHA-256, as an element.
///
/// # Errors
/// The key is not the certificate's; what the signer says; a signature that does not hold.
pub(super) fn sign(
    format: &'static str,
    content: &Content<'_>,
    certificate: &Certificate,
    signer: &dyn Signer,
) -> Result<Vec<u8>> {
    let hash = HashFunction::Sha256;
    let mut digest = hash.digest(content.bytes);
    let mut attributes = Vec::new();
    if content.element.is_some() {
        let attribute = |kind, value: &[u8]| {
            let values = der::element(der::SET, &[value]);
            der::element(der::SEQUENCE, &[&der::object(kind), &values])
        };
        // In the order of DER's sets: by their bytes.
        attributes = attribute(CONTENT_TYPE, &der::object(content.kind));
        let digest_of_content = der::element(der::OCTET_STRING, &[&digest]);
        attributes.extend(attribute(MESSAGE_DIGEST, &digest_of_content));
        digest = hash.digest(&der::element(der::SET, &[&attributes]));
        attributes = der::element(der::CONTEXT_0, &[&attributes]);
    }

    let what = content.what;
    let signature = signer
        .sign(&Request { what, hash, digest: &digest })
        .map_err(|error| Error::signature(format, error))?;
    if !certificate.public_key().verifies(hash, &digest, &signature) {
        let why = format!(
            "the signature of {what} does not hold under the certificate of {}",
            certificate.subject()
        );
        return Err(Error::signature(format, signature::Error::Signer(why)));
    }

    let algorithm = match certificate.public_key().algorithm() {
        Algorithm::Rsa => der::algorithm(RSA),
        Algorithm::EcdsaP256 => der::bare_algorithm(ECDSA_SHA256),
    };
    let version_1 = der::element(der::INTEGER, &[&[1]]);
    let signature = der::element(der::OCTET_STRING, &[&signature]);
    let named = certificate.named();
    let signer_info = [&version_1, &named, &sha256(), &attributes, &algorithm, &signature];
    let signer_info = der::element(der::SEQUENCE, &signer_info.map(Vec::as_slice));

    let element = content.element.map(|element| der::element(der::CONTEXT_0, &[element]));
    let content = [der::object(content.kind), element.unwrap_or_default()].concat();
    Ok(der::element(
        der::SEQUENCE,
        &[
            &version_1,
            &der::element(der::SET, &[&sha256()]),
            &der::element(der::SEQUENCE, &[&content]),
            &der::element(der::CONTEXT_0, &[certificate.der()]),
            &der::element(der::SET, &[&signer_info]),
        ],
    ))
}

/// That the certificate is for the signer's key, before anything is hashed for nothing.
pub(super) fn check_key(
    format: &'static str,
    certificate: &Certificate,
    signer: &dyn Signer,
) -> Result<()> {
    if signer.public_key() == certificate.public_key() {
        return Ok(());
    }
    let subject = certificate.subject();
    let why = format!("the certificate of {subject} is for another key: give the key's own");
    Err(Error::signature(format, signature::Error::Key(why)))
}

/// SignedData as a ContentInfo, which says what it is.
pub(super) fn content_info(signed_data: &[u8]) -> Vec<u8> {
    let content = der::element(der::CONTEXT_0, &[signed_data]);
    der::element(der::SEQUENCE, &[&der::object(SIGNED_DATA), &content])
}

/// SignedData that was read.
pub(super) struct SignedData<'a> {
    /// The value of the content type's object identifier.
    pub(super) kind: &'a [u8],
    /// The content, if it travels along.
    pub(super) content: Option<Element<'a>>,
    /// Those that can be read.
    pub(super) certificates: Vec<Certificate>,
    signer: SignerInfo<'a>,
}

struct SignerInfo<'a> {
    /// IssuerAndSerialNumber.
    named: &'a [u8],
    hash: HashFunction,
    attributes: Option<Element<'a>>,
    signature: &'a [u8],
}

impl<'a> SignedData<'a> {
    /// Reads SignedData, in a ContentInfo or without.
    pub(super) fn read(format: &'static str, bytes: &'a [u8]) -> Result<Self> {
        let mut file = Elements::new(format, bytes);
        let mut whole = file.expect(der::SEQUENCE, "SignedData")?;
        file.end("SignedData")?;
        let mut outer = whole.elements();
        if let Some(id) = outer.optional(der::OBJECT, "the content type")? {
            if id.value != SIGNED_DATA.as_bytes() {
                return Err(id.corrupt("the content type is not SignedData's"));
            }
            let content = outer.expect(der::CONTEXT_0, "the content")?;
            whole = content.elements().expect(der::SEQUENCE, "SignedData")?;
        }

        let mut fields = whole.elements();
        fields.expect(der::INTEGER, "the version")?;
        fields.expect(der::SET, "the hash functions")?;
        let mut content = fields.expect(der::SEQUENCE, "the content")?.elements();
        let kind = content.expect(der::OBJECT, "the content type")?.value;
        let content = content.optional(der::CONTEXT_0, "the content")?;
        let content = content.map(|content| content.elements().any("the content")).transpose()?;
        let mut certificates = Vec::new();
        if let Some(set) = fields.optional(der::CONTEXT_0, "the certificates")? {
            let mut set = set.elements();
            while !set.is_empty() {
                let certificate = set.any("a certificate")?;
                certificates.extend(Certificate::from_der(certificate.whole));
            }
        }
        fields.optional(der::CONTEXT_1, "the revocation lists")?;
        let mut signers = fields.expect(der::SET, "the signers")?.elements();
        let signer = SignerInfo::read(&signers.expect(der::SEQUENCE, "the signer")?)?;
        signers.end("the one signer")?;
        Ok(Self { kind, content, certificates, signer })
    }

    /// The signer's certificate, if it is among them.
    pub(super) fn signer(&self) -> Option<&Certificate> {
        self.certificates.iter().find(|certificate| certificate.named() == self.signer.named)
    }

    /// Whether the signature of `content` holds, by arithmetic alone.
    pub(super) fn holds(&self, content: &[u8]) -> bool {
        let SignerInfo { hash, signature, .. } = self.signer;
        let digest = self.signer.digest(self.kind, content);
        self.signer().zip(digest).is_some_and(|(certificate, digest)| {
            certificate.public_key().verifies(hash, &digest, signature)
        })
    }

    /// That of the `trusted` certificates which vouches for the signer: it is the signer's,
    /// or the last of a chain of certificates that travel along.
    pub(super) fn anchor<'t>(&self, trusted: &'t [Certificate]) -> Option<&'t Certificate> {
        let mut current = self.signer()?;
        for _ in 0..LONGEST_CHAIN {
            let vouches =
                |anchor: &&Certificate| *anchor == current || current.is_signed_by(anchor);
            if let Some(anchor) = trusted.iter().find(vouches) {
                return Some(anchor);
            }
            current = self
                .certificates
                .iter()
                .find(|issuer| *issuer != current && current.is_signed_by(issuer))?;
        }
        None
    }
}

impl<'a> SignerInfo<'a> {
    fn read(element: &Element<'a>) -> Result<Self> {
        let mut fields = element.elements();
        fields.expect(der::INTEGER, "the version")?;
        let named = fields.expect(der::SEQUENCE, "the signer's name")?.whole;
        let hash = hash_function(&fields.expect(der::SEQUENCE, "the hash function")?)?;
        let attributes = fields.optional(der::CONTEXT_0, "the attributes")?;
        fields.expect(der::SEQUENCE, "the algorithm")?;
        let signature = fields.expect(der::OCTET_STRING, "the signature")?.value;
        Ok(Self { named, hash, attributes, signature })
    }

    /// The digest that is signed, if `content` of this kind is what the attributes speak of.
    fn digest(&self, kind: &[u8], content: &[u8]) -> Option<Vec<u8>> {
        let digest = self.hash.digest(content);
        let Some(attributes) = self.attributes else { return Some(digest) };
        let found = |id: ObjectIdentifier, tag| attribute(&attributes, id, tag);
        let matches = found(CONTENT_TYPE, der::OBJECT)? == kind
            && found(MESSAGE_DIGEST, der::OCTET_STRING)? == digest;
        matches.then(|| self.hash.digest(&der::element(der::SET, &[attributes.value])))
    }
}

/// The one value of the one attribute of this kind.
fn attribute<'a>(attributes: &Element<'a>, id: ObjectIdentifier, tag: u8) -> Option<&'a [u8]> {
    let mut all = attributes.elements();
    let mut found = None;
    while !all.is_empty() {
        let mut attribute = all.expect(der::SEQUENCE, "an attribute").ok()?.elements();
        let kind = attribute.expect(der::OBJECT, "its kind").ok()?;
        let mut values = attribute.expect(der::SET, "its values").ok()?.elements();
        if kind.value == id.as_bytes() {
            let value = values.expect(tag, "its value").ok()?;
            if found.replace(value.value).is_some() || !values.is_empty() {
                return None;
            }
        }
    }
    found
}

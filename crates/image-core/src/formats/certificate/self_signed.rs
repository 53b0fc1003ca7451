//! A certificate that vouches for itself, as one does whose key the firmware is given directly.

use super::{Certificate, ECDSA_SHA256, FORMAT, RSA_SHA256};
use crate::{
    formats::{Error, Result, calendar::Utc, der},
    signature::{self, Algorithm, HashFunction, PublicKey, Request, Signer},
};
use std::ops::Range;
use x509_cert::der::asn1::ObjectIdentifier;

const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
const ORGANIZATION: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.10");
const SUBJECT_KEY_IDENTIFIER: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.14");
const KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.15");
const BASIC_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.19");
const EXTENDED_KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37");
const CODE_SIGNING: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.3");

/// Whom a certificate is for. What is empty is left out.
#[derive(Clone, Copy, Debug, Default)]
pub struct Subject<'a> {
    /// Common name: at most 64 characters.
    pub common_name: &'a str,
    /// Organisation: at most 64 characters.
    pub organization: &'a str,
}

/// A certificate for the signer's key, signed by that key; it holds from the start of `validity`
/// until its end (seconds since 1970).
///
/// It is for signing code and certificates. Its serial number follows from all that is in it, so
/// the same input gets the same certificate wherever the signature is the same each time.
///
/// # Errors
/// `Invalid` for a subject that is empty or too long, or dates that have no form here; what the
/// signer says.
pub fn self_signed(
    subject: &Subject<'_>,
    validity: Range<u64>,
    signer: &dyn Signer,
) -> Result<Certificate> {
    let key = signer.public_key();
    let algorithm = match key.algorithm() {
        Algorithm::Rsa => der::algorithm(RSA_SHA256),
        Algorithm::EcdsaP256 => der::bare_algorithm(ECDSA_SHA256),
    };
    let name = subject.name()?;
    if validity.is_empty() {
        let what = "the validity ends before it starts: mend the dates";
        return Err(Error::invalid(FORMAT, what));
    }
    let dates = [time(validity.start)?, time(validity.end)?].concat();
    let dates = der::element(der::SEQUENCE, &[&dates]);
    let fields = [&algorithm, &name, &dates, &name, key.to_der(), &extensions(key)].concat();

    // Positive, and as long as RFC 5280, section 4.1.2.2, allows at most or shorter.
    let mut serial = HashFunction::Sha256.digest(&fields);
    serial.truncate(16);
    serial[0] = serial[0] & 0x3f | 0x40;
    let version_3 = der::element(der::CONTEXT_0, &[&der::element(der::INTEGER, &[&[2]])]);
    let serial = der::element(der::INTEGER, &[&serial]);
    let body = der::element(der::SEQUENCE, &[&version_3, &serial, &fields]);

    let hash = HashFunction::Sha256;
    let digest = hash.digest(&body);
    let what = format!("the certificate of {}", subject.text());
    let signature = signer
        .sign(&Request { what: &what, hash, digest: &digest })
        .map_err(|error| Error::signature(FORMAT, error))?;
    if !key.verifies(hash, &digest, &signature) {
        let error = signature::Error::Signer(format!("the signature of {what} does not hold"));
        return Err(Error::signature(FORMAT, error));
    }
    let signature = der::element(der::BIT_STRING, &[&[0], &signature]);
    Certificate::from_der(&der::element(der::SEQUENCE, &[&body, &algorithm, &signature]))
}

impl Subject<'_> {
    fn attributes(&self) -> impl Iterator<Item = (ObjectIdentifier, &str)> {
        let all = [(COMMON_NAME, self.common_name), (ORGANIZATION, self.organization)];
        all.into_iter().filter(|(_, text)| !text.is_empty())
    }

    fn text(&self) -> &str {
        self.attributes().next().map_or("nobody", |(_, text)| text)
    }

    fn name(&self) -> Result<Vec<u8>> {
        let mut parts = Vec::new();
        for (kind, text) in self.attributes() {
            // RFC 5280, appendix A.1: ub-common-name, ub-organization-name.
            let count = text.chars().count() as u64;
            if count > 64 {
                let what = "a subject of that many characters in one name";
                return Err(Error::too_large(FORMAT, what, count, 64));
            }
            let text = der::element(der::UTF8_STRING, &[text.as_bytes()]);
            let pair = der::element(der::SEQUENCE, &[&der::object(kind), &text]);
            parts.extend(der::element(der::SET, &[&pair]));
        }
        if parts.is_empty() {
            let what = "the subject is empty: give a common name or an organisation";
            return Err(Error::invalid(FORMAT, what));
        }
        Ok(der::element(der::SEQUENCE, &[&parts]))
    }
}

/// Years after 2049 need four digits (RFC 5280, section 4.1.2.5).
fn time(epoch: u64) -> Result<Vec<u8>> {
    let Utc { year, month, day, hour, minute, second } = Utc::new(epoch);
    let rest = format!("{month:02}{day:02}{hour:02}{minute:02}{second:02}Z");
    match year {
        ..2050 => {
            let text = format!("{:02}{rest}", year % 100);
            Ok(der::element(der::UTC_TIME, &[text.as_bytes()]))
        }
        2050..10_000 => {
            let text = format!("{year:04}{rest}");
            Ok(der::element(der::GENERALIZED_TIME, &[text.as_bytes()]))
        }
        _ => Err(Error::invalid(FORMAT, format!("the year {year}: the last that fits is 9999"))),
    }
}

fn extensions(key: &PublicKey) -> Vec<u8> {
    const TRUE: [u8; 3] = [der::BOOLEAN, 1, 0xff];
    let extension = |id, critical: &[u8], value: &[u8]| {
        let value = der::element(der::OCTET_STRING, &[value]);
        der::element(der::SEQUENCE, &[&der::object(id), critical, &value])
    };
    // digitalSignature and keyCertSign: bits 0 and 5, two unused.
    let usage = der::element(der::BIT_STRING, &[&[2, 0b1000_0100]]);
    let purposes = der::element(der::SEQUENCE, &[&der::object(CODE_SIGNING)]);
    // RFC 7093, section 2, method 1.
    let identifier = HashFunction::Sha256.digest(key.bytes());
    let identifier = der::element(der::OCTET_STRING, &[&identifier[..20]]);
    let authority = der::element(der::SEQUENCE, &[&TRUE]);
    let all = [
        extension(KEY_USAGE, &TRUE, &usage),
        extension(EXTENDED_KEY_USAGE, &[], &purposes),
        extension(BASIC_CONSTRAINTS, &TRUE, &authority),
        extension(SUBJECT_KEY_IDENTIFIER, &[], &identifier),
    ];
    let all = der::element(der::SEQUENCE, &[&all.concat()]);
    der::element(der::CONTEXT_3, &[&all])
}

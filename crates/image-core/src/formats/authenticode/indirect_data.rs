//! What an Authenticode signature is of: the program's hash, and that it is a program
//! ("SpcIndirectDataContent", "SpcPeImageData").

use super::FORMAT;
use crate::{
    blob::Digest,
    formats::{
        Error, Result, der,
        signed_data::{SignedData, hash_function, sha256},
    },
    signature::HashFunction,
};
use x509_cert::der::asn1::ObjectIdentifier;

pub(super) const KIND: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.2.1.4");
const PE_IMAGE_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.2.1.15");
/// The name of the file, which the specification asks to be this.
const FILE: &str = "<<<Obsolete>>>";

/// What is said of a program with this hash: the elements that are signed, one after another.
pub(super) fn write(digest: &Digest) -> Vec<u8> {
    let file: Vec<u8> = FILE.encode_utf16().flat_map(u16::to_be_bytes).collect();
    let file = der::element(der::PRIMITIVE_0, &[&file]);
    let file = der::element(der::CONTEXT_2, &[&file]);
    let file = der::element(der::CONTEXT_0, &[&file]);
    let flags = der::element(der::BIT_STRING, &[&[0]]);
    let image_data = der::element(der::SEQUENCE, &[&flags, &file]);
    let data = der::element(der::SEQUENCE, &[&der::object(PE_IMAGE_DATA), &image_data]);
    let digest = der::element(der::OCTET_STRING, &[digest.as_bytes()]);
    let digest = der::element(der::SEQUENCE, &[&sha256(), &digest]);
    [data, digest].concat()
}

/// What a signature says.
pub(super) struct IndirectData<'a> {
    pub(super) digest: Digest,
    /// The bytes that are signed.
    pub(super) bytes: &'a [u8],
}

pub(super) fn read<'a>(signed: &SignedData<'a>) -> Result<IndirectData<'a>> {
    let content = signed.content.filter(|_| signed.kind == KIND.as_bytes()).ok_or_else(|| {
        Error::corrupt(FORMAT, 0, "the signature is not of a program (SpcIndirectDataContent)")
    })?;
    let mut fields = content.elements();
    fields.expect(der::SEQUENCE, "what was signed")?;
    let digest = fields.expect(der::SEQUENCE, "the digest")?;
    let mut fields = digest.elements();
    let hash = hash_function(&fields.expect(der::SEQUENCE, "the hash function")?)?;
    let bytes = fields.expect(der::OCTET_STRING, "the digest")?;
    if hash != HashFunction::Sha256 {
        return Err(Error::unsupported(FORMAT, format!("a signature of the program's {hash}")));
    }
    let digest: [u8; 32] =
        bytes.value.try_into().map_err(|_| bytes.corrupt("the digest has not 32 bytes"))?;
    Ok(IndirectData { digest: digest.into(), bytes: content.value })
}

//! What a variable of Secure Boot holds: certificates and hashes, each with an owner.

use super::FORMAT;
use crate::{
    blob::Digest,
    formats::{Error, Result, certificate::Certificate},
};
use uuid::{Uuid, uuid};

/// `EFI_CERT_X509_GUID`.
const X509: Uuid = uuid!("a5c059a1-94e4-4aa7-87b5-ab155c2bf072");
/// `EFI_CERT_SHA256_GUID`.
const SHA256: Uuid = uuid!("c1c41626-504c-4092-aca9-41f936934328");
/// Type, SignatureListSize, SignatureHeaderSize, SignatureSize.
const HEADER_LEN: usize = 28;
const OWNER_LEN: usize = 16;

/// `EFI_SIGNATURE_DATA`: what is known, and who put it there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Tells entries of one owner from another's; no key stands behind it.
    pub owner: Uuid,
    /// What is known.
    pub data: Data,
}

/// What an entry holds.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Data {
    /// A certificate in DER.
    X509(Vec<u8>),
    /// The [hash of a program](crate::formats::authenticode::digest).
    Sha256(Digest),
    /// Something else.
    Other {
        /// The type of the list it stands in.
        kind: Uuid,
        /// The bytes after the owner.
        bytes: Vec<u8>,
    },
}

impl Entry {
    /// An entry for a certificate. Firmware made of EDK II takes in certificates of RSA keys alone
    /// (`CheckSignatureListFormat` of its SecurityPkg): it refuses a list with another.
    pub fn certificate(owner: Uuid, certificate: &Certificate) -> Self {
        Self { owner, data: Data::X509(certificate.der().to_vec()) }
    }

    fn kind(&self) -> Uuid {
        match &self.data {
            Data::X509(_) => X509,
            Data::Sha256(_) => SHA256,
            Data::Other { kind, .. } => *kind,
        }
    }

    fn bytes(&self) -> &[u8] {
        match &self.data {
            Data::X509(bytes) | Data::Other { bytes, .. } => bytes,
            Data::Sha256(digest) => digest.as_bytes(),
        }
    }
}

/// The certificates among the entries; not those that cannot be read.
pub fn certificates(entries: &[Entry]) -> Vec<Certificate> {
    let certificate = |entry: &Entry| match &entry.data {
        Data::X509(der) => Certificate::from_der(der).ok(),
        _ => None,
    };
    entries.iter().filter_map(certificate).collect()
}

/// The entries as `EFI_SIGNATURE_LIST`s, in their order: a list for each certificate, since all
/// entries of a list are as long, and one for hashes that follow each other.
///
/// # Errors
/// `TooLarge` if a list gets over 4 GiB.
pub fn write(entries: &[Entry]) -> Result<Vec<u8>> {
    let mut lists = Vec::new();
    let alike =
        |a: &Entry, b: &Entry| matches!((&a.data, &b.data), (Data::Sha256(_), Data::Sha256(_)));
    for list in entries.chunk_by(alike) {
        let [first, ..] = list else { continue };
        let entry_len = OWNER_LEN + first.bytes().len();
        let list_len = HEADER_LEN + entry_len * list.len();
        let field = |len: usize| {
            u32::try_from(len).map_err(|_| {
                Error::too_large(FORMAT, "a signature list", len as u64, u32::MAX.into())
            })
        };
        lists.extend(first.kind().to_bytes_le());
        for len in [field(list_len)?, 0, field(entry_len)?] {
            lists.extend(len.to_le_bytes());
        }
        for entry in list {
            lists.extend(entry.owner.to_bytes_le());
            lists.extend(entry.bytes());
        }
    }
    Ok(lists)
}

/// Reads `EFI_SIGNATURE_LIST`s, as a variable holds them.
///
/// # Errors
/// `Corrupt` where a length is wrong.
pub fn read(lists: &[u8]) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    let mut rest = lists;
    while !rest.is_empty() {
        let at = (lists.len() - rest.len()) as u64;
        let corrupt = |what: String| Error::corrupt(FORMAT, at, format!("signature list: {what}"));
        let Some((header, _)) = rest.split_first_chunk::<HEADER_LEN>() else {
            return Err(corrupt(format!("a header of {} bytes", rest.len())));
        };
        let kind = guid(header);
        let field = |at: usize| {
            let bytes = [header[at], header[at + 1], header[at + 2], header[at + 3]];
            u32::from_le_bytes(bytes) as usize
        };
        let (len, header_len, entry_len) = (field(16), field(20), field(24));
        let Some((list, after)) = rest.split_at_checked(len) else {
            return Err(corrupt(format!("it needs {len} bytes, {} are left", rest.len())));
        };
        let body = HEADER_LEN.checked_add(header_len).and_then(|start| list.get(start..));
        let Some(body) = body.filter(|_| entry_len > OWNER_LEN) else {
            return Err(corrupt(format!("no entries of {entry_len} bytes fit into {len}")));
        };
        if body.len() % entry_len != 0 {
            let what = format!("{} bytes are no entries of {entry_len}", body.len());
            return Err(corrupt(what));
        }
        for entry in body.chunks_exact(entry_len) {
            let (owner, bytes) = entry.split_at(OWNER_LEN);
            let data = match (kind, <[u8; 32]>::try_from(bytes)) {
                (X509, _) => Data::X509(bytes.to_vec()),
                (SHA256, Ok(digest)) => Data::Sha256(digest.into()),
                (SHA256, Err(_)) => {
                    return Err(corrupt(format!("a hash of {} bytes", bytes.len())));
                }
                _ => Data::Other { kind, bytes: bytes.to_vec() },
            };
            entries.push(Entry { owner: guid(owner), data });
        }
        rest = after;
    }
    Ok(entries)
}

/// The GUID that bytes start with.
pub(super) fn guid(bytes: &[u8]) -> Uuid {
    bytes.first_chunk::<16>().map_or(Uuid::nil(), |bytes| Uuid::from_bytes_le(*bytes))
}

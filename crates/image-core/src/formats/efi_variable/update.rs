//! A signed order to set a variable: the `.auth` files that firmware and boot loaders enrol.

use super::{FORMAT, Variable, signature_list::guid};
use crate::{
    formats::{
        Error, Result,
        calendar::Utc,
        certificate::Certificate,
        signed_data::{Content, DATA, SignedData, check_key, sign as sign_data},
    },
    signature::Signer,
};
use uuid::{Uuid, uuid};
use x509_cert::der::DateTime;

/// `NON_VOLATILE | BOOTSERVICE_ACCESS | RUNTIME_ACCESS | TIME_BASED_AUTHENTICATED_WRITE_ACCESS`,
/// which all variables of Secure Boot have.
const ATTRIBUTES: u32 = 0x01 | 0x02 | 0x04 | 0x20;
/// The order adds to the variable.
const APPEND_WRITE: u32 = 0x40;
/// `EFI_CERT_TYPE_PKCS7_GUID`.
const PKCS7: Uuid = uuid!("4aafd29d-68df-49ee-8aa9-347d375665a7");
const REVISION_2: u16 = 0x0200;
/// `WIN_CERT_TYPE_EFI_GUID`.
const EFI_GUID: u16 = 0x0ef1;
const TIME_LEN: usize = 16;
/// dwLength, wRevision, wCertificateType, CertType.
const CERTIFICATE_HEADER_LEN: usize = 24;

/// An order that was read: `EFI_VARIABLE_AUTHENTICATION_2` and the content to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Update {
    /// When it was signed, in seconds since 1970; firmware takes only later ones after it.
    pub time: u64,
    /// What the variable is to hold: for [`read`](super::read).
    pub content: Vec<u8>,
    /// `TimeStamp` as it stands, since it is signed.
    timestamp: [u8; TIME_LEN],
    /// SignedData in DER.
    signed: Vec<u8>,
}

/// What firmware would say of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is signed, and this one of the trusted certificates vouches for it.
    Valid(Certificate),
    /// The signature holds, and no trusted certificate vouches for who signed.
    WrongKey {
        /// The certificate of who signed.
        signer: Certificate,
    },
    /// The signature is of another variable, time or content, or was not made by the key it says.
    Broken,
}

/// The order that sets `variable` to `content` ([`write`](super::write)), signed at `time`
/// (seconds since 1970).
///
/// # Errors
/// `Signature` if the certificate is for another key, for what the signer says, and for a signature
/// that does not hold; `Invalid` for a year over 9999.
pub fn sign(
    variable: Variable,
    content: &[u8],
    time: u64,
    certificate: &Certificate,
    signer: &dyn Signer,
) -> Result<Vec<u8>> {
    check_key(FORMAT, certificate, signer)?;
    let timestamp = timestamp(time)?;
    let bytes = signed_bytes(variable, ATTRIBUTES, &timestamp, content);
    let what = format!("the variable {}", variable.name());
    let order = Content { what: &what, kind: DATA, bytes: &bytes, element: None };
    let envelope = sign_data(FORMAT, &order, certificate, signer)?;
    let len = CERTIFICATE_HEADER_LEN + envelope.len();
    let len = u32::try_from(len)
        .map_err(|_| Error::too_large(FORMAT, "the signature", len as u64, u32::MAX.into()))?;
    let mut auth = timestamp.to_vec();
    auth.extend(len.to_le_bytes());
    auth.extend(REVISION_2.to_le_bytes());
    auth.extend(EFI_GUID.to_le_bytes());
    auth.extend(PKCS7.to_bytes_le());
    auth.extend(envelope);
    auth.extend(content);
    Ok(auth)
}

/// `EFI_TIME` (section 8.3.1), in which what is no date or time has to be zero.
fn timestamp(time: u64) -> Result<[u8; TIME_LEN]> {
    let Utc { year, month, day, hour, minute, second } = Utc::new(time);
    let Some(year) = u16::try_from(year).ok().filter(|&year| year <= 9999) else {
        let what = format!("the year {year}: the last that fits is 9999");
        return Err(Error::invalid(FORMAT, what));
    };
    let mut bytes = [0; TIME_LEN];
    bytes[..2].copy_from_slice(&year.to_le_bytes());
    bytes[2..7].copy_from_slice(&[month, day, hour, minute, second]);
    Ok(bytes)
}

fn signed_bytes(variable: Variable, attributes: u32, time: &[u8], content: &[u8]) -> Vec<u8> {
    let mut bytes: Vec<u8> = variable.name().encode_utf16().flat_map(u16::to_le_bytes).collect();
    bytes.extend(variable.vendor().to_bytes_le());
    bytes.extend(attributes.to_le_bytes());
    bytes.extend(time);
    bytes.extend(content);
    bytes
}

impl Update {
    /// Reads an `.auth` file.
    ///
    /// # Errors
    /// `Corrupt` if it is none, with the place.
    pub fn read(auth: &[u8]) -> Result<Self> {
        let corrupt = |at: usize, what: String| Error::corrupt(FORMAT, at as u64, what);
        let cut = || {
            let what = format!("the signature: it is cut short, the file ends at {}", auth.len());
            corrupt(TIME_LEN, what)
        };
        let (timestamp, rest) = auth.split_first_chunk::<TIME_LEN>().ok_or_else(cut)?;
        let (header, _) = rest.split_first_chunk::<CERTIFICATE_HEADER_LEN>().ok_or_else(cut)?;
        let len = u32::from_le_bytes([header[0], header[1], header[2], header[3]]) as usize;
        let kind = u16::from_le_bytes([header[6], header[7]]);
        if kind != EFI_GUID || guid(&header[8..]) != PKCS7 {
            let what = "this is no signed variable (.auth): the signature is of another type";
            return Err(corrupt(0, what.to_owned()));
        }
        let (signature, content) = rest.split_at_checked(len).ok_or_else(cut)?;
        let signed = signature.get(CERTIFICATE_HEADER_LEN..).ok_or_else(cut)?;
        SignedData::read(FORMAT, signed)?;

        let [year_low, year_high, month, day, hour, minute, second, ..] = *timestamp;
        let year = u16::from_le_bytes([year_low, year_high]);
        let time = DateTime::new(year, month, day, hour, minute, second)
            .map_err(|_| corrupt(0, "the time stamp: there is no such time".to_owned()))?;
        Ok(Self {
            time: time.unix_duration().as_secs(),
            content: content.to_vec(),
            timestamp: *timestamp,
            signed: signed.to_vec(),
        })
    }

    /// What firmware would say of this order for `variable`, if it trusts these certificates.
    ///
    /// # Errors
    /// `Corrupt` if the signature cannot be read.
    pub fn verify(&self, variable: Variable, trusted: &[Certificate]) -> Result<Verdict> {
        let data = SignedData::read(FORMAT, &self.signed)?;
        let holds = [ATTRIBUTES, ATTRIBUTES | APPEND_WRITE].into_iter().any(|attributes| {
            data.holds(&signed_bytes(variable, attributes, &self.timestamp, &self.content))
        });
        Ok(match (data.signer().filter(|_| holds), data.anchor(trusted)) {
            (None, _) => Verdict::Broken,
            (Some(_), Some(anchor)) => Verdict::Valid(anchor.clone()),
            (Some(signer), None) => Verdict::WrongKey { signer: signer.clone() },
        })
    }
}

//! A program is signed: nothing of it is copied.

use super::{FORMAT, PKCS_SIGNED_DATA, indirect_data, padding, pass, signatures};
use crate::{
    blob::Blob,
    formats::{
        Error, Result,
        certificate::Certificate,
        der,
        pe::{Image, certificate_table, patched},
        signed_data::{Content, check_key, content_info, sign as sign_data},
    },
    signature::Signer,
};

/// The program with a signature of `signer`'s, whose `certificate` goes with it; `what` it is goes
/// to the signer. The program is read once.
///
/// The same input gets the same bytes wherever the signer answers the same each time: there is no
/// time in the signature.
///
/// # Errors
/// `Signature` if the certificate is for another key, for what the signer says, and for a signature
/// that does not hold; `Invalid` if the program is signed already; `Unsupported` if bytes lie
/// between its sections, which no two readers hash alike; `TooLarge` above 4 GiB; else as
/// [`digest`](super::digest).
pub fn sign(
    what: &str,
    image: &Blob,
    certificate: &Certificate,
    signer: &dyn Signer,
) -> Result<Blob> {
    check_key(FORMAT, certificate, signer)?;
    let places = Image::parse(image)?.places()?;
    if !places.table.is_empty() {
        let by = signatures(image).ok().and_then(|signatures| signatures.into_iter().next());
        let by = by.and_then(|signature| signature.signer);
        let by = by.map_or_else(String::new, |signer| format!(" by {}", signer.subject()));
        let what = format!("{what} is signed already{by}: give it without a signature");
        return Err(Error::invalid(FORMAT, what));
    }
    if !places.gapless {
        return Err(Error::unsupported(FORMAT, "a program with bytes between its sections"));
    }

    let pass = pass(image, &places)?;
    let content = indirect_data::write(&pass.digest);
    let element = der::element(der::SEQUENCE, &[&content]);
    let content =
        Content { what, kind: indirect_data::KIND, bytes: &content, element: Some(&element) };
    let envelope = content_info(&sign_data(FORMAT, &content, certificate, signer)?);
    let table = certificate_table(PKCS_SIGNED_DATA, &envelope)?;

    let start = image.len() + padding(image.len()) as u64;
    let end = start + table.len() as u64;
    let fit = |value| {
        u32::try_from(value)
            .map_err(|_| Error::too_large(FORMAT, "the program", end, u32::MAX.into()))
    };
    let [start_field, len_field] = [fit(start)?, fit(table.len() as u64)?].map(u32::to_le_bytes);
    let mut directory = [0; 8];
    directory[..4].copy_from_slice(&start_field);
    directory[4..].copy_from_slice(&len_field);
    let mut checksum = pass.checksum;
    checksum.add(places.directory, &directory);
    checksum.add(start, &table);
    let checksum = checksum.finish(fit(end)?);
    Ok(Blob::concat([
        patched(image, &places, checksum, directory),
        Blob::zeros(start - image.len()),
        table.into(),
    ]))
}

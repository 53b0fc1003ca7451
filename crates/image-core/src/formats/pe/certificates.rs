//! Where a program's signatures lie, and which of its bytes they are about.

use super::{
    COFF_LEN, DIRECTORY_LEN, Image, LFANEW, OPTIONAL_LEN, PE, SIGNATURE, bytes, u16_at, u32_at,
};
use crate::{
    blob::Blob,
    formats::{Error, Result},
};
use std::ops::Range;

/// The certificate table's place among the data directories.
pub(super) const CERTIFICATES: usize = 4;
/// Where it is in the optional header.
pub(super) const CERTIFICATES_AT: usize = OPTIONAL_LEN + CERTIFICATES * DIRECTORY_LEN;
/// Each certificate starts at a multiple of this many bytes.
pub(in crate::formats) const CERTIFICATE_ALIGN: u64 = 8;
/// dwLength, wRevision, wCertificateType.
const CERTIFICATE_HEADER_LEN: usize = 8;
/// The bytes that the certificates of one program may have together.
const MOST: u64 = 1 << 20;

/// What a signature's writer and reader need to know of a file, in bytes from its start.
#[derive(Clone, Debug)]
pub(in crate::formats) struct Places {
    /// `CheckSum`, four bytes.
    pub(in crate::formats) checksum: u64,
    /// The data directory of the certificate table, eight bytes.
    pub(in crate::formats) directory: u64,
    /// The certificate table ("The Attribute Certificate Table"), which ends where the file does;
    /// empty, and at the end, if there is none.
    pub(in crate::formats) table: Range<u64>,
    /// What the image's hash is of: increasing ranges. The zeros that have to follow a file whose
    /// length is no multiple of eight are not among them.
    pub(in crate::formats) hashed: Vec<Range<u64>>,
    /// Whether all but checksum, data directory and table is hashed, each byte in its place.
    pub(in crate::formats) gapless: bool,
}

impl Image {
    /// Where the parts of the file lie that signatures are concerned with.
    ///
    /// # Errors
    /// `Corrupt` if the table is not the last in the file, or sections lie over each other;
    /// `Unsupported` if there is no data directory for it.
    pub(in crate::formats) fn places(&self) -> Result<Places> {
        let optional_at =
            u64::from(u32_at(&self.dos, LFANEW)) + (SIGNATURE.len() + COFF_LEN) as u64;
        let count = u32_at(&self.optional, OPTIONAL_LEN - 4) as usize;
        if count <= CERTIFICATES {
            return Err(Error::unsupported(PE, "a program with no place for a signature"));
        }
        let checksum = optional_at + 64;
        let directory = optional_at + CERTIFICATES_AT as u64;
        let headers_end = u64::from(u32_at(&self.optional, 60));
        let least = optional_at + self.optional.len() as u64;
        if headers_end < least || headers_end > self.file.len() {
            let what = format!("SizeOfHeaders: {headers_end} is not where headers can end");
            return Err(Error::corrupt(PE, optional_at + 60, what));
        }
        let table = self.table(directory, headers_end)?;

        let mut hashed = vec![
            0..checksum,
            checksum + 4..directory,
            directory + DIRECTORY_LEN as u64..headers_end,
        ];
        let mut sections: Vec<_> =
            self.sections.iter().filter(|section| section.raw_size > 0).collect();
        sections.sort_by_key(|section| section.raw_offset);
        let (mut end, mut sum) = (headers_end, headers_end);
        for section in sections {
            let start = u64::from(section.raw_offset);
            if start < end {
                let what = format!(
                    "section {}: it starts at byte {start}, what is before it ends at {end}",
                    section.name
                );
                return Err(Error::corrupt(PE, start, what));
            }
            end = start + u64::from(section.raw_size);
            sum += u64::from(section.raw_size);
            hashed.push(start..end);
        }
        if end > table.start {
            let what = format!("certificate table: the last section ends at byte {end}");
            return Err(Error::corrupt(PE, table.start, what));
        }
        // As much as is left over, counted from the sum and not from the last section.
        hashed.push(sum..table.start);
        Ok(Places { checksum, directory, table, hashed, gapless: end == sum })
    }

    fn table(&self, directory: u64, headers_end: u64) -> Result<Range<u64>> {
        let len = self.file.len();
        let [start, size] =
            [0, 4].map(|at| u64::from(u32_at(&self.optional, CERTIFICATES_AT + at)));
        if size == 0 {
            return Ok(len..len);
        }
        let end = start + size;
        let wrong = if start < headers_end || start % CERTIFICATE_ALIGN != 0 {
            format!("byte {start} is no place for it")
        } else if end > len {
            format!("it ends at byte {end}, the file at {len}")
        } else if end < len {
            format!("it ends at byte {end}, and what follows until {len} is under no signature")
        } else {
            return Ok(start..end);
        };
        Err(Error::corrupt(PE, directory, format!("certificate table: {wrong}")))
    }

    /// The certificates in the table, each with its type (`WIN_CERT_TYPE_…`).
    ///
    /// # Errors
    /// As [`Image::places`]; `Corrupt` for a length that is wrong, `TooLarge` for over 1 MiB.
    pub(in crate::formats) fn certificates(&self, places: &Places) -> Result<Vec<(u16, Vec<u8>)>> {
        let start = places.table.start;
        let len = places.table.end - start;
        if len > MOST {
            return Err(Error::too_large(PE, "the certificate table", len, MOST));
        }
        let table = bytes(&self.file, start, len, "certificate table")?;
        let mut found = Vec::new();
        let mut at = 0;
        while at < table.len() {
            let rest = &table[at..];
            let header = rest.get(..CERTIFICATE_HEADER_LEN);
            let len = header.map_or(0, |header| u32_at(header, 0) as usize);
            let Some(content) = rest.get(CERTIFICATE_HEADER_LEN..len) else {
                let what = format!("certificate: a length of {len} bytes, {} left", rest.len());
                return Err(Error::corrupt(PE, start + at as u64, what));
            };
            found.push((u16_at(rest, 6), content.to_vec()));
            at += len.next_multiple_of(8);
        }
        Ok(found)
    }
}

/// A certificate table of one certificate, padded.
pub(in crate::formats) fn certificate_table(kind: u16, content: &[u8]) -> Result<Vec<u8>> {
    const REVISION_2: u16 = 0x0200;
    let len = (CERTIFICATE_HEADER_LEN + content.len()) as u64;
    let field =
        u32::try_from(len).map_err(|_| Error::too_large(PE, "the certificate table", len, MOST))?;
    let mut table = Vec::with_capacity(CERTIFICATE_HEADER_LEN + content.len() + 7);
    table.extend(field.to_le_bytes());
    table.extend(REVISION_2.to_le_bytes());
    table.extend(kind.to_le_bytes());
    table.extend(content);
    table.resize(table.len().next_multiple_of(8), 0);
    Ok(table)
}

/// The file up to its certificate table, with another `CheckSum` and another data directory for the
/// table that is to follow.
pub(in crate::formats) fn patched(
    file: &Blob,
    places: &Places,
    checksum: u32,
    directory: [u8; DIRECTORY_LEN],
) -> Blob {
    let Places { checksum: checksum_at, directory: directory_at, table, .. } = places;
    Blob::concat([
        file.slice(0..*checksum_at),
        checksum.to_le_bytes().to_vec().into(),
        file.slice(checksum_at + 4..*directory_at),
        directory.to_vec().into(),
        file.slice(directory_at + DIRECTORY_LEN as u64..table.start),
    ])
}

//! Sections put after those a program has.

use super::{
    COFF_LEN, DIRECTORY_LEN, DOS_LEN, INITIALIZED_DATA, Image, LFANEW, MEM_READ, PE, SECTION_LEN,
    SIGNATURE, Section, certificates::CERTIFICATES_AT, u32_at,
};
use crate::{
    blob::{Blob, Layout},
    formats::{Error, Result},
};

/// Where the PE header starts in what is written: after the DOS header, room for a DOS program.
const SIGNATURE_AT: u32 = 0x80;

/// A section to be added: initialised data that can be read.
#[derive(Clone, Debug)]
pub struct NewSection<'a> {
    /// At most 8 bytes.
    pub name: &'a str,
    /// Its data; `VirtualSize` is exactly its length.
    pub content: Blob,
    /// Its data take whole multiples of so many bytes in the file, a power of two; at least of
    /// the stub's file alignment.
    pub align: u64,
}

/// The program `stub` with `sections` behind its own, and `timestamp` (seconds since 1970) in
/// its header.
///
/// The headers are made anew: the DOS program, linker version, checksum, relocation and line
/// number fields of sections (which images do not use) and a signature do not survive. Sections
/// follow each other in the file without gaps. No content is copied.
///
/// # Errors
/// As [`Image::parse`] for the stub; `Unsupported` if it has COFF symbols; `Invalid` for a name
/// over 8 bytes; `TooLarge` where the section table does not fit before the first section's
/// address, or the image into 4 GiB.
pub fn append_sections(stub: &Blob, sections: &[NewSection<'_>], timestamp: u32) -> Result<Blob> {
    let image = Image::parse(stub)?;
    if u32_at(&image.coff, 8) != 0 {
        return Err(Error::unsupported(PE, "a program with COFF symbols"));
    }
    let section_align = u64::from(image.section_alignment);
    let file_align = u64::from(image.file_alignment);
    let count = image.sections.len() + sections.len();
    let table_len = count * SECTION_LEN;
    let headers_end =
        SIGNATURE_AT as usize + SIGNATURE.len() + COFF_LEN + image.optional.len() + table_len;
    let headers_end = (headers_end as u64).next_multiple_of(file_align);
    let first_address = image.sections.iter().map(|section| section.virtual_address).min();
    if let Some(first) = first_address.map(u64::from).filter(|&first| headers_end > first) {
        let what = format!("a table of {count} sections before the first section's address");
        return Err(Error::too_large(PE, what, headers_end, first));
    }

    let mut layout = Layout::new();
    layout.reserve(headers_end, 1);
    let mut rows = Vec::with_capacity(count);
    for section in &image.sections {
        let raw_offset = fit(layout.append(section.raw(stub), file_align))?;
        rows.push(Section { raw_offset, ..section.clone() });
    }
    let mut address = rows.iter().map(end_address).fold(headers_end, u64::max);
    for NewSection { name, content, align } in sections {
        if name.len() > 8 {
            return Err(Error::invalid(PE, format!("section name {name} is over 8 bytes")));
        }
        let raw_align = file_align.max(*align);
        address = address.next_multiple_of(section_align);
        let virtual_size = fit(content.len())?;
        rows.push(Section {
            name: (*name).to_owned(),
            virtual_address: fit(address)?,
            virtual_size,
            raw_offset: fit(layout.append(content.padded_to(raw_align), file_align))?,
            raw_size: fit(content.len().next_multiple_of(raw_align))?,
            characteristics: INITIALIZED_DATA | MEM_READ,
        });
        address += u64::from(virtual_size);
    }

    let optional = optional_header(&image, &rows, headers_end, address)?;
    let mut head = Vec::with_capacity(SIGNATURE_AT as usize + table_len + optional.len());
    head.extend(image.dos);
    put(&mut head, LFANEW, SIGNATURE_AT);
    head.resize(SIGNATURE_AT as usize, 0);
    head.extend(SIGNATURE);
    let coff_at = head.len();
    head.extend(image.coff);
    let count = u16::try_from(count)
        .map_err(|_| Error::too_large(PE, "the section table", count as u64, u16::MAX.into()))?;
    head[coff_at + 2..coff_at + 4].copy_from_slice(&count.to_le_bytes());
    put(&mut head, coff_at + 4, timestamp);
    head.extend(optional);
    for row in &rows {
        head.extend(section_header(row));
    }
    layout.place(0, head.into());
    let len = layout.end().next_multiple_of(file_align);
    layout.seal(len).map_err(|overlap| Error::overlap(PE, overlap))
}

/// The stub's optional header with all that depends on the sections set anew.
fn optional_header(
    image: &Image,
    rows: &[Section],
    headers_end: u64,
    address_end: u64,
) -> Result<Vec<u8>> {
    let raw_size = |initialized: bool| {
        let matching =
            rows.iter().filter(|row| (row.characteristics & INITIALIZED_DATA != 0) == initialized);
        fit(matching.map(|row| u64::from(row.raw_size)).sum())
    };
    let mut optional = image.optional.clone();
    optional[2..4].fill(0); // MajorLinkerVersion, MinorLinkerVersion
    put(&mut optional, 4, raw_size(false)?); // SizeOfCode
    put(&mut optional, 8, raw_size(true)?); // SizeOfInitializedData
    let image_end = address_end.next_multiple_of(image.section_alignment.into());
    put(&mut optional, 56, fit(image_end)?); // SizeOfImage
    put(&mut optional, 60, fit(headers_end)?); // SizeOfHeaders
    put(&mut optional, 64, 0); // CheckSum
    // A certificate table is named by its place in the file, where something else now is.
    if let Some(directory) = optional.get_mut(CERTIFICATES_AT..CERTIFICATES_AT + DIRECTORY_LEN) {
        directory.fill(0);
    }
    Ok(optional)
}

fn section_header(section: &Section) -> [u8; SECTION_LEN] {
    let mut row = [0; SECTION_LEN];
    row[..section.name.len()].copy_from_slice(section.name.as_bytes());
    put(&mut row, 8, section.virtual_size);
    put(&mut row, 12, section.virtual_address);
    put(&mut row, 16, section.raw_size);
    put(&mut row, 20, section.raw_offset);
    put(&mut row, 36, section.characteristics);
    row
}

fn end_address(section: &Section) -> u64 {
    u64::from(section.virtual_address) + u64::from(section.virtual_size)
}

/// Every size and address in a PE header is 32 bits wide.
fn fit(value: u64) -> Result<u32> {
    u32::try_from(value).map_err(|_| Error::too_large(PE, "the image", value, u32::MAX.into()))
}

fn put(bytes: &mut [u8], at: usize, value: u32) {
    bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
}

const _: () = assert!(DOS_LEN <= SIGNATURE_AT as usize);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::pe::{Machine, fake};
    use object::{LittleEndian as LE, Object, ObjectSection, read::pe::PeFile64};

    #[test]
    fn an_independent_reader_finds_old_and_new_sections() {
        let stub = Blob::from(fake::stub(Machine::Amd64));
        let before = Image::parse(&stub).unwrap();
        let big = Blob::from(vec![7; 0x1234]);
        let new = [
            NewSection { name: ".osrel", content: "ID=x\n".into(), align: 1 },
            NewSection { name: ".initrd", content: big.clone(), align: 4096 },
        ];
        let grown = append_sections(&stub, &new, 1_700_000_000).unwrap();
        let bytes = grown.to_vec(1 << 20).unwrap();

        let foreign = PeFile64::parse(&*bytes).unwrap();
        let header = foreign.nt_headers();
        assert_eq!(header.file_header.time_date_stamp.get(LE), 1_700_000_000);
        assert_eq!(header.optional_header.size_of_headers.get(LE), 0x400);
        let base = foreign.relative_address_base();
        let found: Vec<_> = foreign.sections().collect();
        assert_eq!(found.len(), before.sections.len() + 2);
        for (theirs, ours) in found.iter().zip(&before.sections) {
            assert_eq!(theirs.address() - base, u64::from(ours.virtual_address));
            let expected = before.content(ours).to_vec(1 << 20).unwrap();
            assert_eq!(theirs.data().unwrap(), expected);
        }
        let [osrel, initrd] = &found[before.sections.len()..] else { panic!() };
        assert_eq!(osrel.name().unwrap(), ".osrel");
        assert_eq!(osrel.data().unwrap(), b"ID=x\n");
        assert_eq!(initrd.address(), osrel.address() + 0x1000);
        assert_eq!(initrd.data().unwrap(), big.to_vec(1 << 20).unwrap());
        assert_eq!(initrd.size(), 0x1234);
        assert_eq!(initrd.pe_section().size_of_raw_data.get(LE), 0x2000);
        let image_end = initrd.address() - base + 0x2000;
        assert_eq!(u64::from(header.optional_header.size_of_image.get(LE)), image_end);
    }

    #[test]
    fn appending_twice_is_appending_once() {
        let stub = Blob::from(fake::stub(Machine::Arm64));
        let [a, b] = [("a", "first"), (".eight..", "second")].map(|(name, text)| NewSection {
            name,
            content: text.into(),
            align: 1,
        });
        let once = append_sections(&stub, &[a.clone(), b.clone()], 5).unwrap();
        let twice = append_sections(&append_sections(&stub, &[a], 9).unwrap(), &[b], 5).unwrap();
        assert_eq!(once.digest().unwrap(), twice.digest().unwrap());
    }

    #[test]
    fn what_does_not_fit_is_refused_and_said() {
        let stub = Blob::from(fake::stub(Machine::Amd64));
        let new = |name, len| NewSection { name, content: Blob::zeros(len), align: 1 };
        let refuse = |sections: &[NewSection<'_>]| {
            append_sections(&stub, sections, 0).unwrap_err().to_string()
        };
        assert!(refuse(&[new(".ninebyte", 1)]).contains(".ninebyte"));
        assert!(refuse(&[new(".a", 1 << 32)]).contains("4294967296 bytes"));
        assert!(refuse(&[new(".a", 3 << 30), new(".b", 1 << 30)]).contains("too many"));
        assert!(refuse(&vec![new(".a", 1); 100]).contains("table of 103 sections"));
    }
}

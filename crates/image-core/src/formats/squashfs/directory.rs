//! Listings: the names in a directory and the inodes they stand for.

use super::{
    Error, FORMAT, Result,
    codec::Packer,
    inode::IndexEntry,
    metadata::{BLOCK, Cursor, Place, TableWriter},
    narrow,
    reader::Budget,
};

/// One name in a directory (the format's description, "Directory Table").
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) name: String,
    /// Its inode's place in the inode table, number and short type.
    pub(super) place: Place,
    pub(super) number: u32,
    pub(super) kind: u16,
}

/// A listing in the directory table.
#[derive(Debug, Default)]
pub(super) struct Listing {
    pub(super) place: Place,
    /// In bytes.
    pub(super) len: u32,
    pub(super) index: Vec<IndexEntry>,
}

/// A header is followed by this many entries at most.
const LONGEST_RUN: u32 = 256;

/// Bytes of a header, and of an entry without its name.
const HEADER: u32 = 12;
const ENTRY: u32 = 8;

/// The longest name, in bytes.
const LONGEST_NAME: u16 = 256;

/// Entries behind one header.
struct Run {
    /// Where its header stands in the listing.
    at: usize,
    count: u32,
    /// The metadata block with the inodes, and the number theirs are counted from.
    block: u64,
    number: u32,
    /// Which of the listing's metadata blocks it starts in.
    page: usize,
}

/// Writes `entries`, sorted by name, to the directory table.
pub(super) fn write(
    table: &mut TableWriter,
    packer: &mut Packer,
    entries: &[Entry],
) -> Result<Listing> {
    if entries.is_empty() {
        return Ok(Listing::default());
    }
    let place = table.place();
    let first_page = table.full_blocks();
    // An index pays when a search would have to read several blocks.
    let indexed =
        entries.iter().map(|entry| entry.name.len() + ENTRY as usize).sum::<usize>() > BLOCK;
    let mut bytes: Vec<u8> = Vec::new();
    let mut index: Vec<(usize, usize, &str)> = Vec::new();
    let mut run: Option<Run> = None;
    for entry in entries {
        let page = (usize::from(place.offset) + bytes.len()) / BLOCK;
        let distance = |from: u32| i16::try_from(i64::from(entry.number) - i64::from(from)).ok();
        let fits = |run: &Run| {
            run.count < LONGEST_RUN
                && run.block == entry.place.block
                && distance(run.number).is_some()
                && (!indexed || run.page == page)
        };
        let mut current = match run.take() {
            Some(run) if fits(&run) => run,
            before => {
                if indexed && before.is_some_and(|run| run.page != page) {
                    index.push((bytes.len(), page, &entry.name));
                }
                let (block, number) = (entry.place.block, entry.number);
                let run = Run { at: bytes.len(), count: 0, block, number, page };
                bytes.extend_from_slice(&[0; 4]);
                let block: u32 = narrow(block, "the inode table")?;
                bytes.extend_from_slice(&block.to_le_bytes());
                bytes.extend_from_slice(&number.to_le_bytes());
                run
            }
        };
        bytes[current.at..current.at + 4].copy_from_slice(&current.count.to_le_bytes());
        current.count += 1;
        bytes.extend_from_slice(&entry.place.offset.to_le_bytes());
        bytes.extend_from_slice(&distance(current.number).unwrap_or_default().to_le_bytes());
        bytes.extend_from_slice(&entry.kind.to_le_bytes());
        let name_len: u16 = narrow((entry.name.len() as u64).saturating_sub(1), "a name")?;
        bytes.extend_from_slice(&name_len.to_le_bytes());
        bytes.extend_from_slice(entry.name.as_bytes());
        run = Some(current);
    }
    table.write(packer, &bytes)?;
    let index = index
        .into_iter()
        .map(|(at, page, name)| {
            Ok(IndexEntry {
                at: narrow(at as u64, "a directory's listing")?,
                block: narrow(table.start(first_page + page), "the directory table")?,
                name: name.to_owned(),
            })
        })
        .collect::<Result<_>>()?;
    Ok(Listing { place, len: narrow(bytes.len() as u64, "a directory's listing")?, index })
}

/// Reads the listing of `len` bytes under `cursor`.
pub(super) fn parse(cursor: &mut Cursor<'_>, len: u32, budget: &mut Budget) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    let mut left = len;
    while left > 0 {
        let (count, block, number) = (cursor.u32()?, cursor.u32()?, cursor.u32()?);
        if count >= LONGEST_RUN {
            return Err(cursor.corrupt(format!("a directory header counts {count} entries")));
        }
        let mut used = HEADER;
        for _ in 0..=count {
            let offset = cursor.u16()?;
            let distance = i16::from_le_bytes(cursor.array()?);
            let (kind, name_len) = (cursor.u16()?, cursor.u16()?);
            if name_len >= LONGEST_NAME {
                return Err(cursor.corrupt(format!("a name has {name_len} bytes and one more")));
            }
            budget.spend(u64::from(name_len) + 64)?;
            let name = String::from_utf8(cursor.bytes(usize::from(name_len) + 1)?)
                .map_err(|_| Error::unsupported(FORMAT, "a file name that is not UTF-8"))?;
            if name.contains(['/', '\0']) || name == "." || name == ".." {
                return Err(cursor.corrupt(format!("{name:?} is no file name")));
            }
            used += ENTRY + u32::from(name_len) + 1;
            entries.push(Entry {
                name,
                place: Place { block: block.into(), offset },
                number: number.wrapping_add_signed(distance.into()),
                kind,
            });
        }
        left = left
            .checked_sub(used)
            .ok_or_else(|| cursor.corrupt("a directory's listing is longer than its inode says"))?;
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Algorithm, Compression, codec::Unpacker, metadata::Metadata},
        *,
    };

    #[test]
    fn long_listings_read_back_and_their_index_points_at_headers() {
        let packer = &mut Packer::new(Compression::Zstd { level: 3 }, 4096).unwrap();
        let mut table = TableWriter::default();
        table.write(packer, &[0; 8000]).unwrap();
        let entries: Vec<Entry> = (0u16..4000)
            .map(|i| Entry {
                name: format!("{i:05}{}", "-".repeat(usize::from(i % 200))),
                place: Place { block: u64::from(i / 150) * 5000, offset: i },
                // Far from its neighbours now and then, as hard links are.
                number: if i % 97 == 0 { 90_000 } else { u32::from(i) + 1 },
                kind: 2,
            })
            .collect();
        let listing = write(&mut table, packer, &entries).unwrap();
        let (bytes, _) = table.finish(packer).unwrap();
        let unpacker = Unpacker::new(Algorithm::Zstd).unwrap();
        let mut metadata = Metadata::new(bytes.into(), unpacker);
        let mut budget = Budget::new("test", 1 << 20);
        let mut cursor = metadata.cursor(0, listing.place);
        assert_eq!(parse(&mut cursor, listing.len, &mut budget).unwrap(), entries);

        assert!(listing.index.len() > 40, "{}", listing.index.len());
        for entry in &listing.index {
            let at = usize::from(listing.place.offset) + entry.at as usize;
            let offset = u16::try_from(at % BLOCK).unwrap();
            let mut cursor = metadata.cursor(0, Place { block: entry.block.into(), offset });
            let rest = listing.len - entry.at;
            let mut budget = Budget::new("test", 1 << 20);
            let found = parse(&mut cursor, rest, &mut budget).unwrap();
            assert_eq!(found[0].name, entry.name);
        }
    }
}

//! Extended attributes: sets of keys and values, each set written once.

use super::{
    Error, FORMAT, Result,
    codec::Packer,
    metadata::{Metadata, Place, TableWriter, lookup_table},
    narrow,
    reader::Budget,
};
use crate::blob::Blob;
use std::collections::BTreeMap;

/// The name spaces the format knows; their places here are their numbers there.
const PREFIXES: [&str; 3] = ["user.", "trusted.", "security."];

/// Set in a key's type if its value stands elsewhere.
const ELSEWHERE: u16 = 0x0100;

/// The largest value Linux allows (`XATTR_SIZE_MAX`), in bytes.
const LARGEST_VALUE: u32 = 64 << 10;

/// The different sets of attributes in an image, by their bytes in it.
#[derive(Default)]
pub(super) struct Sets {
    indices: BTreeMap<Vec<u8>, u32>,
    pairs: TableWriter,
    entries: Vec<u8>,
}

impl Sets {
    /// The index of the set of `attributes`; none if there is none the format has a form for.
    pub(super) fn index(
        &mut self,
        packer: &mut Packer,
        attributes: &BTreeMap<String, Vec<u8>>,
    ) -> Result<Option<u32>> {
        let mut pairs = Vec::new();
        let mut count = 0u32;
        for (name, value) in attributes {
            for (prefix, number) in PREFIXES.iter().zip(0u16..) {
                let Some(rest) = name.strip_prefix(prefix) else { continue };
                let name_len: u16 = narrow(rest.len() as u64, "an attribute's name")?;
                let value_len: u32 = narrow(value.len() as u64, "an attribute's value")?;
                pairs.extend_from_slice(&number.to_le_bytes());
                pairs.extend_from_slice(&name_len.to_le_bytes());
                pairs.extend_from_slice(rest.as_bytes());
                pairs.extend_from_slice(&value_len.to_le_bytes());
                pairs.extend_from_slice(value);
                count += 1;
            }
        }
        if count == 0 {
            return Ok(None);
        }
        if let Some(&index) = self.indices.get(&pairs) {
            return Ok(Some(index));
        }
        let index = narrow(self.indices.len() as u64, "the number of attribute sets")?;
        let len: u32 = narrow(pairs.len() as u64, "a set of attributes")?;
        self.entries.extend_from_slice(&self.pairs.place().to_reference().to_le_bytes());
        self.entries.extend_from_slice(&count.to_le_bytes());
        self.entries.extend_from_slice(&len.to_le_bytes());
        self.pairs.write(packer, &pairs)?;
        self.indices.insert(pairs, index);
        Ok(Some(index))
    }

    /// The tables for offset `at` of the image, and where the superblock finds them; none if
    /// there are no attributes.
    pub(super) fn finish(self, packer: &mut Packer, at: u64) -> Result<Option<(Vec<u8>, u64)>> {
        if self.indices.is_empty() {
            return Ok(None);
        }
        let count: u32 = narrow(self.indices.len() as u64, "the number of attribute sets")?;
        let (mut bytes, _) = self.pairs.finish(packer)?;
        let mut header = at.to_le_bytes().to_vec();
        header.extend_from_slice(&count.to_le_bytes());
        header.extend_from_slice(&[0; 4]);
        let (table, header_at) =
            lookup_table(packer, at + bytes.len() as u64, &self.entries, &header)?;
        bytes.extend_from_slice(&table);
        Ok(Some((bytes, header_at)))
    }
}

/// Where the sets of an image that is read are.
pub(super) struct Table {
    pairs: u64,
    count: u32,
    locations: u64,
}

impl Table {
    /// The table at offset `at` of `image`.
    pub(super) fn open(image: &Blob, at: u64) -> Result<Self> {
        let cut = |error| Error::corrupt(FORMAT, at, format!("attribute table: {error}"));
        let pairs = u64::from_le_bytes(image.array(at).map_err(cut)?);
        let count = u32::from_le_bytes(image.array(at + 8).map_err(cut)?);
        Ok(Self { pairs, count, locations: at + 16 })
    }

    /// The attributes of set `index`.
    pub(super) fn read(
        &self,
        metadata: &mut Metadata,
        index: u32,
        budget: &mut Budget,
    ) -> Result<BTreeMap<String, Vec<u8>>> {
        if index >= self.count {
            let what = format!("attribute set {index} of {}", self.count);
            return Err(Error::corrupt(FORMAT, self.locations, what));
        }
        let mut entry = metadata.entry(self.locations, index, 16)?;
        let (place, count) = (Place::from_reference(entry.u64()?), entry.u32()?);
        let mut attributes = BTreeMap::new();
        let mut elsewhere = Vec::new();
        let mut cursor = metadata.cursor(self.pairs, place);
        for _ in 0..count {
            let kind = cursor.u16()?;
            let Some(prefix) = PREFIXES.get(usize::from(kind & !ELSEWHERE)) else {
                return Err(cursor.corrupt(format!("an attribute is of type {kind}")));
            };
            let name_len = cursor.u16()?;
            budget.spend(u64::from(name_len) + 64)?;
            let name = cursor.bytes(name_len.into())?;
            let name = String::from_utf8(name)
                .map_err(|_| Error::unsupported(FORMAT, "an attribute name that is not UTF-8"))?;
            let len = cursor.u32()?;
            if len > LARGEST_VALUE {
                return Err(cursor.corrupt(format!("an attribute's value has {len} bytes")));
            }
            budget.spend(len.into())?;
            let value = cursor.bytes(len as usize)?;
            let name = format!("{prefix}{name}");
            if kind & ELSEWHERE != 0 {
                let Ok(reference) = <[u8; 8]>::try_from(value.as_slice()) else {
                    return Err(cursor.corrupt("an attribute's reference has not 8 bytes"));
                };
                elsewhere.push((name, Place::from_reference(u64::from_le_bytes(reference))));
            } else {
                attributes.insert(name, value);
            }
        }
        for (name, place) in elsewhere {
            let mut cursor = metadata.cursor(self.pairs, place);
            let len = cursor.u32()?;
            if len > LARGEST_VALUE {
                return Err(cursor.corrupt(format!("an attribute's value has {len} bytes")));
            }
            budget.spend(len.into())?;
            attributes.insert(name, cursor.bytes(len as usize)?);
        }
        Ok(attributes)
    }
}

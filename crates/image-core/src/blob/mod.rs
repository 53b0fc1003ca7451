//! Immutable bytes of known length, described but not yet read.
//!
//! A [`Blob`] is a rope of memory, file ranges and zeros. Joining and slicing blobs copies
//! nothing: a disk image of gigabytes is a few hundred headers in memory and some file ranges,
//! until someone [persists](Blob::persist) it, once, front to back.

mod digest;
mod draft;
mod file;
mod layout;
mod persist;
mod reader;
mod spool;

pub use digest::{Digest, HashWriter, ParseDigestError};
pub use layout::{Layout, Overlap};
pub use reader::BlobReader;
pub use spool::{Scratch, Spool};

use file::FileRange;
use std::{fmt, fs::File, io, ops::Range, path::Path, sync::Arc};

/// Immutable bytes of known length. Cloning is cheap.
#[derive(Clone)]
pub struct Blob(Rope);

#[derive(Clone)]
enum Rope {
    Bytes { bytes: Arc<[u8]>, range: Range<usize> },
    Static(&'static [u8]),
    File(FileRange),
    Zeros(u64),
    Concat(Arc<Concat>),
}

/// Non-empty parts, none of them a concatenation itself.
struct Concat {
    parts: Vec<Rope>,
    /// `ends[i]` is where part `i` ends, in bytes from the start.
    ends: Vec<u64>,
}

/// A run of a blob, in bytes from its start: data, or a hole that reads as zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Bytes that have to be read.
    Data {
        /// Where the run starts.
        offset: u64,
        /// How long it is.
        len: u64,
    },
    /// Zeros that need not be written.
    Hole {
        /// Where the run starts.
        offset: u64,
        /// How long it is.
        len: u64,
    },
}

impl Rope {
    fn len(&self) -> u64 {
        match self {
            Self::Bytes { range, .. } => range.len() as u64,
            Self::Static(bytes) => bytes.len() as u64,
            Self::File(file) => file.len(),
            Self::Zeros(len) => *len,
            Self::Concat(concat) => concat.ends.last().copied().unwrap_or(0),
        }
    }

    /// The part of `self` in `range`, which lies inside it.
    fn slice(&self, range: Range<u64>) -> Self {
        let to_usize = |at: u64| usize::try_from(at).unwrap_or(usize::MAX);
        match self {
            Self::Bytes { bytes, range: whole } => {
                let start = whole.start + to_usize(range.start);
                let end = whole.start + to_usize(range.end);
                Self::Bytes { bytes: Arc::clone(bytes), range: start..end }
            }
            Self::Static(bytes) => Self::Static(&bytes[to_usize(range.start)..to_usize(range.end)]),
            Self::File(file) => Self::File(file.slice(range)),
            Self::Zeros(_) => Self::Zeros(range.end - range.start),
            Self::Concat(concat) => {
                let mut parts = Vec::new();
                concat.for_each_in(range, |part, within| parts.push(part.slice(within)));
                Self::join(parts)
            }
        }
    }

    /// Joins parts, flattening and dropping the empty ones, so that a rope is never deep.
    fn join(parts: Vec<Self>) -> Self {
        let mut flat = Vec::with_capacity(parts.len());
        for part in parts {
            match part {
                Self::Concat(concat) => flat.extend(concat.parts.iter().cloned()),
                part if part.len() == 0 => {}
                part => match (flat.last_mut(), part) {
                    (Some(Self::Zeros(before)), Self::Zeros(len)) => *before += len,
                    (_, part) => flat.push(part),
                },
            }
        }
        if flat.len() <= 1 {
            return flat.pop().unwrap_or(Self::Zeros(0));
        }
        let mut end = 0;
        let ends = flat
            .iter()
            .map(|part| {
                end += part.len();
                end
            })
            .collect();
        Self::Concat(Arc::new(Concat { parts: flat, ends }))
    }

    /// Where `part`, which is no concatenation, lies in this one, if both are of one memory or
    /// file.
    fn offset_of(&self, part: &Self) -> Option<u64> {
        let inside = |whole: Range<u64>, part: Range<u64>| {
            (whole.start <= part.start && part.end <= whole.end).then(|| part.start - whole.start)
        };
        let wide = |range: &Range<usize>| range.start as u64..range.end as u64;
        match (self, part) {
            (Self::Bytes { bytes, range }, Self::Bytes { bytes: others, range: part }) => {
                let same = Arc::ptr_eq(bytes, others);
                same.then(|| inside(wide(range), wide(part)))?
            }
            (Self::Static(bytes), Self::Static(part)) => {
                let addresses = |bytes: &[u8]| {
                    let start = bytes.as_ptr().addr();
                    wide(&(start..start + bytes.len()))
                };
                inside(addresses(bytes), addresses(part))
            }
            (Self::File(file), Self::File(part)) => file.offset_of(part),
            _ => None,
        }
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        // The caller keeps offset + buf.len() within len(), which fits a usize for memory.
        let at = usize::try_from(offset).unwrap_or(usize::MAX);
        match self {
            Self::Bytes { bytes, range } => {
                buf.copy_from_slice(&bytes[range.clone()][at..at + buf.len()]);
            }
            Self::Static(bytes) => buf.copy_from_slice(&bytes[at..at + buf.len()]),
            Self::File(file) => file.read_at(offset, buf)?,
            Self::Zeros(_) => buf.fill(0),
            Self::Concat(concat) => {
                let mut rest = buf;
                let mut result = Ok(());
                let end = offset + rest.len() as u64;
                concat.for_each_in(offset..end, |part, within| {
                    let n = usize::try_from(within.end - within.start).unwrap_or(usize::MAX);
                    let (now, later) = std::mem::take(&mut rest).split_at_mut(n);
                    rest = later;
                    if result.is_ok() {
                        result = part.read_at(within.start, now);
                    }
                });
                result?;
            }
        }
        Ok(())
    }
}

impl Concat {
    /// Calls `f` with each part that `range` touches and the touched range inside that part.
    fn for_each_in<'a>(&'a self, range: Range<u64>, mut f: impl FnMut(&'a Rope, Range<u64>)) {
        let first = self.ends.partition_point(|&end| end <= range.start);
        let mut start = if first == 0 { 0 } else { self.ends[first - 1] };
        for (part, &end) in self.parts[first..].iter().zip(&self.ends[first..]) {
            if start >= range.end {
                break;
            }
            f(part, range.start.max(start) - start..range.end.min(end) - start);
            start = end;
        }
    }
}

impl Blob {
    /// No bytes.
    pub fn empty() -> Self {
        Self::zeros(0)
    }

    /// `len` zero bytes, which take no room until they are written.
    pub fn zeros(len: u64) -> Self {
        Self(Rope::Zeros(len))
    }

    /// Opens a regular file of this machine. Its length is taken now and must not change.
    ///
    /// # Errors
    /// What the operating system answers, with the path in front; a directory or a device is
    /// refused.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self(Rope::File(FileRange::open(path)?)))
    }

    /// The bytes of `range` (offsets in the file) of an open file.
    pub fn from_file(file: Arc<File>, range: Range<u64>) -> Self {
        Self(Rope::File(FileRange::new(file, range)))
    }

    /// Joins blobs end to end.
    pub fn concat(parts: impl IntoIterator<Item = Blob>) -> Self {
        Self(Rope::join(parts.into_iter().map(|part| part.0).collect()))
    }

    /// This blob with zeros after it, so that its length is a multiple of `align` bytes.
    #[must_use]
    pub fn padded_to(&self, align: u64) -> Self {
        let len = self.len();
        Self::concat([self.clone(), Self::zeros(len.next_multiple_of(align) - len)])
    }

    /// The bytes in `range`, cut to this blob's end: asking past it gives less, never a panic.
    #[must_use]
    pub fn slice(&self, range: Range<u64>) -> Self {
        let end = range.end.min(self.len());
        let start = range.start.min(end);
        Self(self.0.slice(start..end))
    }

    /// The length in bytes.
    pub fn len(&self) -> u64 {
        self.0.len()
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Fills `buf` with the bytes from `offset` on.
    ///
    /// # Errors
    /// `UnexpectedEof` if `buf` reaches past the end of the blob, or what the operating system
    /// answers, with the file's path in front.
    pub fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        match offset.checked_add(buf.len() as u64) {
            Some(end) if end <= self.len() => self.0.read_at(offset, buf),
            _ => Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                format!("{} bytes at {offset} asked of {}", buf.len(), self.len()),
            )),
        }
    }

    /// `N` bytes from `offset` on, for headers.
    ///
    /// # Errors
    /// As [`Blob::read_at`].
    pub fn array<const N: usize>(&self, offset: u64) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.read_at(offset, &mut bytes)?;
        Ok(bytes)
    }

    /// The whole blob in memory. `limit` (bytes) caps what a hostile length can allocate.
    ///
    /// # Errors
    /// `InvalidData` if the blob is longer than `limit`; else as [`Blob::read_at`].
    pub fn to_vec(&self, limit: u64) -> io::Result<Vec<u8>> {
        let len = self.len();
        let Some(n) = usize::try_from(len).ok().filter(|_| len <= limit) else {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("{len} bytes are more than the {limit} that can be right here"),
            ));
        };
        let mut bytes = vec![0; n];
        self.read_at(0, &mut bytes)?;
        Ok(bytes)
    }

    /// A reader from the start; it can seek.
    pub fn reader(&self) -> BlobReader {
        BlobReader::new(self.clone())
    }

    /// The runs of data and of zeros that make this blob, in order, none empty.
    pub fn extents(&self) -> impl Iterator<Item = Extent> + '_ {
        let mut offset = 0;
        self.leaves().map(move |leaf| {
            let len = leaf.len();
            let at = offset;
            offset += len;
            match leaf {
                Rope::Zeros(_) => Extent::Hole { offset: at, len },
                _ => Extent::Data { offset: at, len },
            }
        })
    }

    /// Where `part` stands in this blob as one piece, in bytes from the start. Told by what both
    /// are made of, the same memory or ranges of the same open file, and by no byte; so bytes
    /// that are equal by chance are not found, nor is a `part` of zeros alone.
    pub fn position_of(&self, part: &Self) -> Option<u64> {
        let mut before = 0;
        let anchor = part.leaves().find(|leaf| {
            let is_zeros = matches!(leaf, Rope::Zeros(_));
            before += if is_zeros { leaf.len() } else { 0 };
            !is_zeros
        })?;
        let mut end = 0;
        self.leaves().find_map(|leaf| {
            let start = end;
            end += leaf.len();
            let position = (start + leaf.offset_of(anchor)?).checked_sub(before)?;
            let found = self.slice(position..position + part.len());
            let is_same = |(found, part): (&Rope, &Rope)| match (found, part) {
                (Rope::Zeros(len), Rope::Zeros(of)) => len == of,
                (found, part) => found.len() == part.len() && found.offset_of(part) == Some(0),
            };
            let count = found.leaves().count();
            let all = count == part.leaves().count();
            (all && found.leaves().zip(part.leaves()).all(is_same)).then_some(position)
        })
    }

    /// The SHA-256 of the bytes. Reads all of them.
    ///
    /// # Errors
    /// As [`Blob::read_at`].
    pub fn digest(&self) -> io::Result<Digest> {
        let mut hash = HashWriter::new(io::sink());
        io::copy(&mut self.reader(), &mut hash)?;
        Ok(hash.finish().0)
    }

    fn leaves(&self) -> impl Iterator<Item = &Rope> + '_ {
        let parts: &[Rope] = match &self.0 {
            Rope::Concat(concat) => &concat.parts,
            leaf => std::slice::from_ref(leaf),
        };
        parts.iter().filter(|part| part.len() > 0)
    }
}

/// Says what the blob is made of, not what is in it, which would be gigabytes.
impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Blob({} bytes in {} parts)", self.len(), self.leaves().count())
    }
}

impl From<Vec<u8>> for Blob {
    fn from(bytes: Vec<u8>) -> Self {
        let range = 0..bytes.len();
        Self(Rope::Bytes { bytes: bytes.into(), range })
    }
}

impl From<String> for Blob {
    fn from(text: String) -> Self {
        text.into_bytes().into()
    }
}

impl From<&'static [u8]> for Blob {
    fn from(bytes: &'static [u8]) -> Self {
        Self(Rope::Static(bytes))
    }
}

impl From<&'static str> for Blob {
    fn from(text: &'static str) -> Self {
        text.as_bytes().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Clone, Debug)]
    enum Piece {
        Data(Vec<u8>),
        Zeros(u8),
        File(Vec<u8>),
    }

    fn piece() -> impl Strategy<Value = Piece> {
        prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..40).prop_map(Piece::Data),
            any::<u8>().prop_map(Piece::Zeros),
            proptest::collection::vec(any::<u8>(), 0..40).prop_map(Piece::File),
        ]
    }

    fn blob_and_bytes(pieces: &[Piece]) -> (Blob, Vec<u8>) {
        let mut bytes = Vec::new();
        let blobs = pieces.iter().map(|piece| match piece {
            Piece::Data(data) => {
                bytes.extend(data);
                Blob::from(data.clone())
            }
            Piece::Zeros(n) => {
                bytes.extend(std::iter::repeat_n(0, usize::from(*n)));
                Blob::zeros(u64::from(*n))
            }
            Piece::File(data) => {
                bytes.extend(data);
                let mut file = tempfile::tempfile().unwrap();
                io::Write::write_all(&mut file, b"before").unwrap();
                io::Write::write_all(&mut file, data).unwrap();
                Blob::from_file(Arc::new(file), 6..6 + data.len() as u64)
            }
        });
        let blobs: Vec<_> = blobs.collect();
        (Blob::concat(blobs), bytes)
    }

    proptest! {
        #[test]
        fn any_slice_reads_as_the_bytes_it_was_made_of(
            pieces in proptest::collection::vec(piece(), 0..8),
            cut in (0u64..600, 0u64..600),
        ) {
            let (blob, bytes) = blob_and_bytes(&pieces);
            prop_assert_eq!(blob.len(), bytes.len() as u64);
            let range = cut.0.min(cut.1)..cut.0.max(cut.1);
            let clamp = |at: u64| usize::try_from(at).unwrap().min(bytes.len());
            let expected = &bytes[clamp(range.start)..clamp(range.end)];
            prop_assert_eq!(blob.slice(range).to_vec(1 << 20).unwrap(), expected);
        }

        #[test]
        fn extents_tile_the_blob_and_holes_are_zero(
            pieces in proptest::collection::vec(piece(), 0..8),
        ) {
            let (blob, bytes) = blob_and_bytes(&pieces);
            let mut end = 0;
            for extent in blob.extents() {
                let (Extent::Data { offset, len } | Extent::Hole { offset, len }) = extent;
                prop_assert_eq!(offset, end);
                prop_assert!(len > 0);
                end += len;
                if let Extent::Hole { .. } = extent {
                    let run = usize::try_from(offset).unwrap()..usize::try_from(end).unwrap();
                    prop_assert!(bytes[run].iter().all(|&byte| byte == 0));
                }
            }
            prop_assert_eq!(end, bytes.len() as u64);
        }

        #[test]
        fn what_is_persisted_is_what_is_read(pieces in proptest::collection::vec(piece(), 0..8)) {
            let (blob, bytes) = blob_and_bytes(&pieces);
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("out");
            let mut written = 0;
            blob.persist(&path, &mut |n| written += n).unwrap();
            prop_assert_eq!(&Blob::open(&path).unwrap().to_vec(1 << 20).unwrap(), &bytes);
            prop_assert_eq!(written, bytes.len() as u64);
            let mut streamed = Vec::new();
            blob.write_to(&mut streamed, &mut |_| ()).unwrap();
            prop_assert_eq!(streamed, bytes);
        }
    }

    proptest! {
        #[test]
        fn a_part_is_found_where_it_was_put(
            pieces in proptest::collection::vec(piece(), 1..8),
            before in piece(),
            cut in (0u64..600, 0u64..600),
        ) {
            let (blob, bytes) = blob_and_bytes(&pieces);
            let start = cut.0.min(blob.len());
            let part = blob.slice(start..start + cut.1);
            let (before, _) = blob_and_bytes(&[before]);
            let at = before.len();
            let whole = Blob::concat([before, blob.clone(), "behind".into()]);
            if let Some(found) = whole.position_of(&part) {
                prop_assert_eq!(found, at + start);
            } else {
                let range = usize::try_from(start).unwrap()..;
                let len = usize::try_from(part.len()).unwrap();
                prop_assert!(bytes[range][..len].iter().all(|&byte| byte == 0));
            }
        }
    }

    #[test]
    fn a_part_is_found_as_one_piece_or_not_at_all() {
        let (a, b) = (Blob::from(vec![1; 100]), Blob::from(vec![2; 100]));
        let both = Blob::concat([a.slice(10..60), Blob::zeros(9), b.slice(0..50)]);
        assert_eq!(both.position_of(&a.slice(20..60)), Some(10));
        assert_eq!(both.position_of(&Blob::concat([Blob::zeros(4), b.slice(0..50)])), Some(55));
        assert_eq!(both.position_of(&Blob::concat([Blob::zeros(10), b.slice(0..50)])), None);
        assert_eq!(both.position_of(&Blob::concat([a.slice(50..60), b.slice(0..50)])), None);
        assert_eq!(both.position_of(&a), None);
        assert_eq!(both.position_of(&vec![1; 50].into()), None);
        assert_eq!(both.position_of(&Blob::zeros(9)), None);
    }

    #[test]
    fn reading_past_the_end_is_an_error_not_a_panic() {
        let blob = Blob::from("abc");
        assert!(blob.read_at(2, &mut [0; 2]).is_err());
        assert!(blob.read_at(u64::MAX, &mut [0; 2]).is_err());
        assert!(blob.to_vec(2).is_err());
        assert_eq!(blob.slice(2..9).to_vec(9).unwrap(), b"c");
    }
}

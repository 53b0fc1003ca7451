//! The shell of a Zstandard frame (RFC 8878 section 3.1.1): its header and its blocks' headers.

use crate::{
    blob::Blob,
    formats::{Error, Result},
};
use std::io::{BufReader, Read, Seek, SeekFrom};

const FORMAT: &str = "zstd";

/// The longest block in bytes (section 3.1.1.2.4).
const BLOCK_MAX: u32 = 128 << 10;

/// Where the frame that starts at byte `start` of `blob` ends. Reads headers only, so the
/// content may still turn out damaged.
///
/// # Errors
/// [`Fault::Corrupt`](crate::formats::Fault::Corrupt) at a header that is none, and where the
/// blob ends inside the frame.
pub(in crate::formats) fn end(blob: &Blob, start: u64) -> Result<u64> {
    let io = |source| Error::io(FORMAT, source);
    let corrupt = |at: u64, what: &str| Error::corrupt(FORMAT, at, what);
    let whole = |at: u64| {
        if at > blob.len() { Err(corrupt(blob.len(), "the frame is cut off")) } else { Ok(at) }
    };
    whole(start.saturating_add(5))?;
    let [magic @ .., descriptor] = blob.array::<5>(start).map_err(io)?;
    if magic != super::Codec::Zstd.magic() {
        return Err(corrupt(start, "no frame starts here"));
    }
    if descriptor & 8 != 0 {
        return Err(corrupt(start + 4, "a reserved bit is set"));
    }
    let single_segment = descriptor >> 5 & 1;
    let window = 1 - single_segment;
    let dictionary = [0, 1, 2, 4][usize::from(descriptor & 3)];
    let content_size = [single_segment, 2, 4, 8][usize::from(descriptor >> 6)];
    let mut at = whole(start + 5 + u64::from(window + dictionary + content_size))?;
    // Buffered, since a hostile frame can have a block every three bytes.
    let mut reader = BufReader::new(blob.reader());
    reader.seek(SeekFrom::Start(at)).map_err(io)?;
    loop {
        let body = whole(at + 3)?;
        let mut header = [0; 4];
        reader.read_exact(&mut header[..3]).map_err(io)?;
        let header = u32::from_le_bytes(header);
        let len = match (header >> 1 & 3, header >> 3) {
            (0 | 2, len) if len <= BLOCK_MAX => len,
            (1, _) => 1,
            _ => return Err(corrupt(at, "no block starts here")),
        };
        at = whole(body + u64::from(len))?;
        if header & 1 == 1 {
            return whole(at + u64::from(descriptor & 4));
        }
        reader.seek_relative(len.into()).map_err(io)?;
    }
}

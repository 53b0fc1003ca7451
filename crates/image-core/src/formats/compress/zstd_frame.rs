//! The shell of a Zstandard frame (RFC 8878 section 3.1.1): its header and its blocks' headers.

use super::xxh64::Xxh64;
use crate::{
    blob::Blob,
    formats::{Error, Result},
};
use std::io::{BufReader, Read, Seek, SeekFrom};

const FORMAT: &str = "zstd";

/// The longest block in bytes (section 3.1.1.2.4).
const BLOCK_MAX: u32 = 128 << 10;

/// Block types (section 3.1.1.2.2): bytes as they are, and one byte over and over.
const STORED: u64 = 0;
const REPEATED: u64 = 1;

/// The window of the frames joined here, as its base-two logarithm.
pub(super) const WINDOW_LOG: u8 = 21;

/// Where the frame that starts at byte `start` of `blob` ends. Reads headers only, so the
/// content may still turn out damaged.
///
/// # Errors
/// [`Fault::Corrupt`](crate::formats::Fault::Corrupt) at a header that is none, and where the
/// blob ends inside the frame.
pub(in crate::formats) fn end(blob: &Blob, start: u64) -> Result<u64> {
    let io = |source| Error::io(FORMAT, source);
    let (mut at, checksum) = blocks(blob, start)?;
    // Buffered, since a hostile frame can have a block every three bytes.
    let mut reader = BufReader::new(blob.reader());
    reader.seek(SeekFrom::Start(at)).map_err(io)?;
    loop {
        let body = within(blob, at + 3)?;
        let mut header = [0; 4];
        reader.read_exact(&mut header[..3]).map_err(io)?;
        let header = u32::from_le_bytes(header);
        let len = match (header >> 1 & 3, header >> 3) {
            (0 | 2, len) if len <= BLOCK_MAX => len,
            (1, _) => 1,
            _ => return Err(Error::corrupt(FORMAT, at, "no block starts here")),
        };
        at = within(blob, body + u64::from(len))?;
        if header & 1 == 1 {
            return within(blob, at + checksum);
        }
        reader.seek_relative(len.into()).map_err(io)?;
    }
}

/// Where the blocks of the frame at byte `start` begin, and how long its checksum is.
fn blocks(blob: &Blob, start: u64) -> Result<(u64, u64)> {
    let corrupt = |at: u64, what: &str| Err(Error::corrupt(FORMAT, at, what));
    within(blob, start.saturating_add(5))?;
    let [magic @ .., descriptor] =
        blob.array::<5>(start).map_err(|source| Error::io(FORMAT, source))?;
    if magic != super::Codec::Zstd.magic() {
        return corrupt(start, "no frame starts here");
    }
    if descriptor & 8 != 0 {
        return corrupt(start + 4, "a reserved bit is set");
    }
    let single_segment = descriptor >> 5 & 1;
    let window = 1 - single_segment;
    let dictionary = [0, 1, 2, 4][usize::from(descriptor & 3)];
    let content_size = [single_segment, 2, 4, 8][usize::from(descriptor >> 6)];
    let at = within(blob, start + 5 + u64::from(window + dictionary + content_size))?;
    Ok((at, u64::from(descriptor & 4)))
}

fn within(blob: &Blob, at: u64) -> Result<u64> {
    if at > blob.len() {
        return Err(Error::corrupt(FORMAT, blob.len(), "the frame is cut off"));
    }
    Ok(at)
}

/// One frame whose content is `stored`, as it stands, and then what the frame `packed` holds,
/// whose window may be no larger than [`WINDOW_LOG`] says. `hash` is that of the whole content,
/// `len` bytes. Copies nothing.
///
/// This works because stored blocks leave a decoder's tables and offsets alone, so that the
/// blocks of `packed` meet it as fresh as they would at the start of their own frame.
pub(super) fn join(stored: &Blob, packed: &Blob, hash: &Xxh64, len: u64) -> Result<Blob> {
    let mut parts = vec![Blob::from(start(len, true))];
    push_stored(stored, false, &mut parts);
    let (blocks, checksum) = blocks(packed, 0)?;
    parts.push(packed.slice(blocks..packed.len() - checksum));
    parts.push(Blob::from(hash.finish().to_le_bytes()[..4].to_vec()));
    Ok(Blob::concat(parts))
}

/// A frame whose content is `bytes`, as they stand. `hash` is that of the content.
pub(super) fn stored(bytes: &Blob, hash: u64) -> Blob {
    let mut parts = vec![Blob::from(start(bytes.len(), true))];
    push_stored(bytes, true, &mut parts);
    parts.push(Blob::from(hash.to_le_bytes()[..4].to_vec()));
    Blob::concat(parts)
}

/// `bytes` as stored blocks. Copies nothing.
fn push_stored(bytes: &Blob, is_end: bool, parts: &mut Vec<Blob>) {
    // Nearly all blocks have the same header.
    let usual = Blob::from(header(BLOCK_MAX.into(), STORED, false));
    let mut at = 0;
    loop {
        let block = bytes.slice(at..at + u64::from(BLOCK_MAX));
        let len = block.len();
        at += len;
        let is_last = at == bytes.len() && is_end;
        if len > 0 || is_last {
            let is_usual = len == u64::from(BLOCK_MAX) && !is_last;
            parts.push(if is_usual { usual.clone() } else { header(len, STORED, is_last).into() });
            parts.push(block);
        }
        if at == bytes.len() {
            return;
        }
    }
}

/// A frame of `len` zeros: four bytes for each block.
pub(super) fn zeros(len: u64) -> Blob {
    static ZEROS: [u8; BLOCK_MAX as usize] = [0; BLOCK_MAX as usize];
    let mut frame = start(len, true);
    let mut hash = Xxh64::new();
    let mut left = len;
    while left > 0 {
        let block = left.min(BLOCK_MAX.into());
        left -= block;
        frame.extend(header(block, REPEATED, left == 0));
        frame.push(0);
        hash.update(&ZEROS[..usize::try_from(block).unwrap_or(ZEROS.len())]);
    }
    frame.extend(&hash.finish().to_le_bytes()[..4]);
    Blob::from(frame)
}

/// A block's header: what it is of, and whether it is the frame's last.
fn header(len: u64, kind: u64, is_last: bool) -> Vec<u8> {
    (len << 3 | kind << 1 | u64::from(is_last)).to_le_bytes()[..3].to_vec()
}

/// A frame's header: its content is `len` bytes.
fn start(len: u64, checksum: bool) -> Vec<u8> {
    // Descriptor: eight bytes of content size, a window, perhaps a checksum.
    let descriptor = 0b1100_0000 | u8::from(checksum) << 2;
    let mut start = super::Codec::Zstd.magic().to_vec();
    start.extend([descriptor, (WINDOW_LOG - 10) << 3]);
    start.extend(len.to_le_bytes());
    start
}

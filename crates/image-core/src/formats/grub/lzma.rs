//! LZMA as the loader in a BIOS core image unpacks it: a raw stream without header, three
//! literal context bits, no literal position bits, two position bits.

use super::GRUB;
use crate::formats::{Error, Result};
use liblzma::stream::{Action, Filters, LzmaOptions, Status, Stream};

/// How far back a match may lie, in bytes, as in the streams of `grub-mkimage`.
const DICTIONARY: u32 = 64 << 10;

/// How hard liblzma tries, of 0 to 9. 9 makes some kilobytes less and takes a tenth of a second
/// more, which is as long as all else of a medium takes.
const PRESET: u32 = 3;

fn filters() -> Result<Filters, liblzma::stream::Error> {
    let mut options = LzmaOptions::new_preset(PRESET)?;
    options.literal_context_bits(3).literal_position_bits(0).position_bits(2);
    let mut filters = Filters::new();
    filters.lzma1(options.dict_size(DICTIONARY));
    Ok(filters)
}

/// `bytes` as one stream. It ends with an end mark, which the loader does not read.
pub(super) fn compress(bytes: &[u8]) -> Result<Vec<u8>> {
    let io = |error: liblzma::stream::Error| Error::io(GRUB, error.into());
    // What does not compress grows by a byte in 200 at most, and by the end mark.
    let mut packed = Vec::with_capacity(bytes.len() + bytes.len() / 100 + 64);
    let end = filters()
        .and_then(|filters| Stream::new_raw_encoder(&filters))
        .and_then(|mut stream| stream.process_vec(bytes, &mut packed, Action::Finish))
        .map_err(io)?;
    if matches!(end, Status::StreamEnd) {
        return Ok(packed);
    }
    let need = packed.len() as u64 + 1;
    Err(Error::too_large(GRUB, "the compressed core", need, packed.capacity() as u64))
}

/// The first `len` bytes that `packed` unpacks to; what follows in `packed` is not looked at.
/// None if it is no such stream, or a shorter one.
pub(super) fn decompress(packed: &[u8], len: usize) -> Option<Vec<u8>> {
    // Of an older version the dictionary could be longer; it is never longer than the content.
    let mut options = LzmaOptions::new_preset(0).ok()?;
    options.literal_context_bits(3).literal_position_bits(0).position_bits(2);
    let mut filters = Filters::new();
    filters.lzma1(options.dict_size(u32::try_from(len).ok()?.max(4096)));
    let mut bytes = Vec::with_capacity(len);
    let mut stream = Stream::new_raw_decoder(&filters).ok()?;
    // A stream whose end is its length, not a mark, has more to come when the room is used up.
    stream.process_vec(packed, &mut bytes, Action::Run).ok()?;
    bytes.truncate(len);
    (bytes.len() == len).then_some(bytes)
}

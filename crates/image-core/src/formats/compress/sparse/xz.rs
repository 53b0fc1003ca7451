//! One xz stream (The .xz File Format 1.2), every stretch a block of its own, checked by CRC-32.
//!
//! The content of a block is LZMA2: chunks that are stored or packed. Each run of chunks starts
//! afresh, so that ready-made ones may stand anywhere.

use super::{Piece, Zeros, crc32, push_blocks, units};
use crate::blob::Blob;
use flate2::Crc;
use liblzma::{
    stream::{Filters, LzmaOptions, PRESET_EXTREME, Stream},
    write::XzEncoder,
};
use std::io::{self, Write};

/// Zeros in one block at most, in bytes: a decoder of several threads holds a block in memory.
const ZEROS_MAX: u64 = 16 << 20;

/// The longest stored chunk of LZMA2 in bytes.
const CHUNK_MAX: u64 = 64 << 10;

/// The check, as stream flags (section 2.1.1.2): CRC-32.
const FLAGS: [u8; 2] = [0, 1];

/// How hard it tries.
#[derive(Clone, Copy)]
pub(super) struct Effort {
    preset: u32,
    /// The dictionary's size as its base-two logarithm.
    dictionary: u8,
}

/// What the index says of a block.
struct Record {
    unpadded: u64,
    len: u64,
}

impl Effort {
    pub(super) fn new(preset: u32, extreme: bool) -> Self {
        // The presets' own, as far as a worker stays within 20 MiB: from 4 on twice as much goes
        // into finding matches.
        let dictionary = match preset {
            0 => 18,
            2 | 3 => 21,
            _ => 20,
        };
        Self { preset: preset | if extreme { PRESET_EXTREME } else { 0 }, dictionary }
    }

    /// Chunks of LZMA2, without the byte that ends them.
    pub(super) fn pack(self, bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut options = LzmaOptions::new_preset(self.preset)?;
        options.dict_size(1 << self.dictionary);
        let stream = Stream::new_raw_encoder(Filters::new().lzma2(&options))?;
        let mut encoder = XzEncoder::new_stream(Vec::with_capacity(bytes.len() / 2), stream);
        encoder.write_all(bytes)?;
        let mut chunks = encoder.finish()?;
        chunks.pop();
        Ok(chunks)
    }

    pub(super) fn join(self, pieces: Vec<Piece<Crc, Blob>>) -> io::Result<Blob> {
        let header = [b"\xfd7zXZ\0", &FLAGS[..], &sum(&FLAGS)].concat();
        let mut stream = vec![Blob::from(header)];
        let mut records = Vec::new();
        let mut block = |chunks: Vec<Blob>, len: u64, crc: &Crc| {
            let (block, record) = self.block(Blob::concat(chunks), len, crc);
            stream.push(block);
            records.push(record);
        };
        let mut zeros = Zeros::new(|zeros| self.pack(zeros));
        for piece in pieces {
            match piece {
                Piece::Zeros(len) => {
                    for len in units(len, ZEROS_MAX) {
                        let (mut chunks, mut crc) = (Vec::new(), Crc::new());
                        zeros.push(len, &mut chunks, &mut crc)?;
                        block(chunks, len, &crc);
                    }
                }
                Piece::Stored { bytes, check } => {
                    let mut chunks = Vec::new();
                    push_blocks(&bytes, CHUNK_MAX, chunk_header, &mut chunks);
                    block(chunks, bytes.len(), &check);
                }
                Piece::Packed { len, packed, check } => block(vec![packed], len, &check),
            }
        }
        let index = index(&records);
        // Section 2.1.2: how many words of four bytes the index has, but one.
        let words = u32::try_from(index.len() / 4 - 1).map_err(io::Error::other)?;
        let footer = [&words.to_le_bytes()[..], &FLAGS].concat();
        stream.push(index.into());
        stream.push([&sum(&footer)[..], &footer, b"YZ"].concat().into());
        Ok(Blob::concat(stream))
    }

    /// A block (section 3) whose content, `len` bytes, unpacks from `chunks`.
    fn block(self, chunks: Blob, len: u64, crc: &Crc) -> (Blob, Record) {
        let packed_len = chunks.len() + 1;
        // Both sizes are there, and one filter; the first byte is filled in below.
        let mut header = vec![0, 0xc0];
        number(packed_len, &mut header);
        number(len, &mut header);
        // LZMA2 with one byte of properties, the dictionary's size (section 5.3.1).
        header.extend([0x21, 1, (self.dictionary - 12) * 2]);
        header.resize(header.len().next_multiple_of(4), 0);
        if let Ok(words) = u8::try_from(header.len() / 4) {
            header[0] = words;
        }
        header.extend(sum(&header));
        let unpadded = header.len() as u64 + packed_len + 4;
        // The end of the chunks, padding, the check.
        let mut rest = vec![0; usize::try_from(packed_len.wrapping_neg() % 4).unwrap_or(0) + 1];
        rest.extend(crc.sum().to_le_bytes());
        (Blob::concat([header.into(), chunks, rest.into()]), Record { unpadded, len })
    }
}

/// The header of a stored chunk, by which the dictionary is reset; it is of no use there.
fn chunk_header(len: u64) -> Vec<u8> {
    let [low, high, ..] = (len - 1).to_le_bytes();
    vec![1, high, low]
}

fn sum(bytes: &[u8]) -> [u8; 4] {
    crc32(bytes).sum().to_le_bytes()
}

/// The index (section 4).
fn index(records: &[Record]) -> Vec<u8> {
    let mut index = vec![0];
    number(records.len() as u64, &mut index);
    for record in records {
        number(record.unpadded, &mut index);
        number(record.len, &mut index);
    }
    index.resize(index.len().next_multiple_of(4), 0);
    index.extend(sum(&index));
    index
}

/// A number of variable length (section 1.2).
fn number(mut value: u64, to: &mut Vec<u8>) {
    while value >= 0x80 {
        to.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    to.push(value.to_le_bytes()[0]);
}

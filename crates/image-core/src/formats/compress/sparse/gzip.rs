//! One gzip member (RFC 1952) of stored and packed deflate blocks (RFC 1951), all ended at a
//! byte's edge.

use super::{Piece, Zeros, push_blocks};
use crate::{
    blob::Blob,
    formats::compress::gzip::{HEADER, WINDOW, deflate},
};
use flate2::Crc;
use std::{io, ops::Range};

/// The level that packs zeros best.
const BEST: u32 = 9;

/// The longest stored block in bytes (RFC 1951 section 3.2.4).
const BLOCK_MAX: u64 = 0xffff;

/// The last block, an empty one of fixed codes.
const LAST: &[u8] = &[3, 0];

pub(super) fn pack(level: u32, window: &[u8], range: Range<usize>) -> io::Result<Vec<u8>> {
    let before = &window[range.start.saturating_sub(WINDOW)..range.start];
    deflate(level, before, &window[range], false)
}

pub(super) fn join(pieces: Vec<Piece<Crc, Blob>>) -> io::Result<Blob> {
    let mut parts = vec![Blob::from(HEADER)];
    let mut crc = Crc::new();
    let mut size = 0_u64;
    let mut zeros = Zeros::new(|zeros| deflate(BEST, &[], zeros, false));
    for piece in pieces {
        match piece {
            Piece::Zeros(len) => {
                size += len;
                zeros.push(len, &mut parts, &mut crc)?;
            }
            Piece::Stored { bytes, check } => {
                size += bytes.len();
                crc.combine(&check);
                push_blocks(&bytes, BLOCK_MAX, header, &mut parts);
            }
            Piece::Packed { len, packed, check } => {
                size += len;
                crc.combine(&check);
                parts.push(packed);
            }
        }
    }
    parts.push(Blob::from(LAST));
    // The size is modulo 2^32, as RFC 1952 has it.
    let trailer = [&crc.sum().to_le_bytes()[..], &size.to_le_bytes()[..4]];
    parts.push(trailer.concat().into());
    Ok(Blob::concat(parts))
}

/// The header of a stored block that is not the last.
fn header(len: u64) -> Vec<u8> {
    let [low, high, ..] = len.to_le_bytes();
    vec![0, low, high, !low, !high]
}

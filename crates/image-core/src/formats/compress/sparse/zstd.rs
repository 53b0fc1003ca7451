//! Every stretch a Zstandard frame, so that each is checked, and the hash of one does not wait
//! for the one before.

use super::{Piece, units};
use crate::{
    blob::Blob,
    formats::compress::{xxh64::Xxh64, zstd_frame},
};
use std::io;
use zstd::{bulk::Compressor, zstd_safe::CParameter};

/// From this level on libzstd takes more than 16 MiB of tables for a window.
const LARGE: u32 = 8;

/// Zeros in one frame, at most, in bytes.
const UNIT: u64 = 16 << 20;

pub(super) fn check(bytes: &[u8]) -> u64 {
    let mut hash = Xxh64::new();
    hash.update(bytes);
    hash.finish()
}

pub(super) fn pack(level: u32, bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut compressor = Compressor::new(i32::try_from(level).unwrap_or(0))?;
    compressor.set_parameter(CParameter::ChecksumFlag(true))?;
    if level >= LARGE {
        // 48 MiB less, for 1 % more bytes (shared libraries at level 18) and less time.
        compressor.set_parameter(CParameter::ChainLog(20))?;
        compressor.set_parameter(CParameter::HashLog(20))?;
    }
    compressor.compress(bytes)
}

pub(super) fn join(pieces: Vec<Piece<u64, Blob>>) -> Blob {
    if pieces.is_empty() {
        return zstd_frame::stored(&Blob::empty(), check(&[]));
    }
    let mut usual = None;
    let mut frames = Vec::new();
    for piece in pieces {
        match piece {
            Piece::Zeros(len) => frames.extend(units(len, UNIT).map(|len| {
                if len < UNIT {
                    return zstd_frame::zeros(len);
                }
                usual.get_or_insert_with(|| zstd_frame::zeros(UNIT)).clone()
            })),
            Piece::Stored { bytes, check } => frames.push(zstd_frame::stored(&bytes, check)),
            Piece::Packed { packed, .. } => frames.push(packed),
        }
    }
    Blob::concat(frames)
}

//! The compressors: one block in, one block out.

use super::{Error, FORMAT, Result};
use flate2::{Decompress, FlushDecompress};
use liblzma::stream::{Action, Check, Filters, LzmaOptions, Status, Stream};
use std::{fmt, io};
use zstd::bulk;

/// How an image's blocks are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Zstandard at a level from 1 to 22. Linux reads it from 4.14 on.
    Zstd {
        /// The level.
        level: i32,
    },
    /// LZMA2 in an xz stream with CRC32, preset 6, the dictionary as large as a block.
    Xz,
}

/// The compressor an image names in its superblock (the format's description, "The
/// Superblock").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "their names say it")]
pub enum Algorithm {
    Gzip,
    Lzma,
    Lzo,
    Xz,
    Lz4,
    Zstd,
}

impl Algorithm {
    pub(super) fn from_id(id: u16) -> Option<Self> {
        Some(match id {
            1 => Self::Gzip,
            2 => Self::Lzma,
            3 => Self::Lzo,
            4 => Self::Xz,
            5 => Self::Lz4,
            6 => Self::Zstd,
            _ => return None,
        })
    }

    pub(super) fn id(self) -> u16 {
        match self {
            Self::Gzip => 1,
            Self::Lzma => 2,
            Self::Lzo => 3,
            Self::Xz => 4,
            Self::Lz4 => 5,
            Self::Zstd => 6,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gzip => "gzip",
            Self::Lzma => "lzma",
            Self::Lzo => "lzo",
            Self::Xz => "xz",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        })
    }
}

/// Zstandard's level where an image names none.
const DEFAULT_LEVEL: i32 = 15;

impl Compression {
    pub(super) fn algorithm(self) -> Algorithm {
        match self {
            Self::Zstd { .. } => Algorithm::Zstd,
            Self::Xz => Algorithm::Xz,
        }
    }

    /// The zstd level, where it has to be named.
    pub(super) fn level(self) -> Option<u32> {
        match self {
            Self::Zstd { level: DEFAULT_LEVEL } | Self::Xz => None,
            Self::Zstd { level } => u32::try_from(level).ok(),
        }
    }
}

/// Compresses block after block, reusing its memory.
pub(super) enum Packer {
    Zstd(bulk::Compressor<'static>),
    Xz {
        /// In bytes.
        dictionary: u32,
    },
}

impl Packer {
    pub(super) fn new(compression: Compression, block_size: u32) -> Result<Self> {
        match compression {
            Compression::Zstd { level } if !(1..=22).contains(&level) => {
                Err(Error::invalid(FORMAT, format!("zstd has no level {level}: 1 to 22")))
            }
            Compression::Zstd { level } => {
                Ok(Self::Zstd(bulk::Compressor::new(level).map_err(|e| Error::io(FORMAT, e))?))
            }
            Compression::Xz => Ok(Self::Xz { dictionary: block_size }),
        }
    }

    /// `input` compressed; none if that would not make it shorter.
    pub(super) fn pack(&mut self, input: &[u8]) -> Result<Option<Vec<u8>>> {
        let io = |error: io::Error| Error::io(FORMAT, error);
        let packed = match self {
            Self::Zstd(compressor) => compressor.compress(input).map_err(io)?,
            Self::Xz { dictionary } => {
                let mut packed = Vec::with_capacity(input.len());
                let end = LzmaOptions::new_preset(6)
                    .and_then(|mut options| {
                        let mut filters = Filters::new();
                        filters.lzma2(options.dict_size(*dictionary));
                        Stream::new_stream_encoder(&filters, Check::Crc32)
                    })
                    .and_then(|mut xz| xz.process_vec(input, &mut packed, Action::Finish))
                    .map_err(|error| io(error.into()))?;
                if !matches!(end, Status::StreamEnd) {
                    return Ok(None);
                }
                packed
            }
        };
        Ok((packed.len() < input.len()).then_some(packed))
    }
}

/// What an xz decoder may use, in bytes: blocks and so dictionaries end at 1 MiB.
const XZ_MEMORY: u64 = 16 << 20;

/// Decompresses block after block.
pub(super) enum Unpacker {
    Gzip,
    Xz,
    Zstd(bulk::Decompressor<'static>),
}

impl Unpacker {
    pub(super) fn new(algorithm: Algorithm) -> Result<Self> {
        match algorithm {
            Algorithm::Gzip => Ok(Self::Gzip),
            Algorithm::Xz => Ok(Self::Xz),
            Algorithm::Zstd => {
                Ok(Self::Zstd(bulk::Decompressor::new().map_err(|e| Error::io(FORMAT, e))?))
            }
            Algorithm::Lzma | Algorithm::Lzo | Algorithm::Lz4 => {
                Err(Error::unsupported(FORMAT, format!("compression with {algorithm}")))
            }
        }
    }

    /// The block that was compressed to `input`, at most `limit` bytes.
    ///
    /// # Errors
    /// What is wrong with it, for the caller to say where.
    pub(super) fn unpack(&mut self, input: &[u8], limit: usize) -> Result<Vec<u8>, String> {
        let mut output = Vec::with_capacity(limit);
        let whole = match self {
            Self::Zstd(decompressor) => decompressor
                .decompress_to_buffer(input, &mut output)
                .map(|_| true)
                .map_err(|error| error.to_string())?,
            Self::Xz => Stream::new_stream_decoder(XZ_MEMORY, 0)
                .and_then(|mut xz| xz.process_vec(input, &mut output, Action::Finish))
                .map(|status| matches!(status, Status::StreamEnd))
                .map_err(|error| error.to_string())?,
            Self::Gzip => Decompress::new(true)
                .decompress_vec(input, &mut output, FlushDecompress::Finish)
                .map(|status| matches!(status, flate2::Status::StreamEnd))
                .map_err(|error| error.to_string())?,
        };
        if whole { Ok(output) } else { Err(format!("is cut, or longer than {limit} bytes")) }
    }
}

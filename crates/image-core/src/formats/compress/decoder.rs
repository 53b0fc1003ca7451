//! Decoding exactly one stream, and knowing where it ended.

use super::Codec;
use crate::formats::{Error, Result};
use flate2::{Decompress, FlushDecompress};
use liblzma::stream::{Action, Stream};
use std::{
    fmt,
    io::{self, Read},
};
use zstd::stream::raw::{Decoder as ZstdDecoder, Operation};

/// What a decoder may take for its window, in bytes: `xz -9` and `zstd --ultra -22` fit, and
/// so does all that Linux itself decodes.
const MEMORY: u64 = 160 << 20;

/// Decodes one gzip member, xz stream or Zstandard frame, and stops behind it.
///
/// Reads end as a file's do. An error of [`Read::read`] holds a [`formats::Error`](Error),
/// which [`Error::io`] takes out again.
pub struct Decoder<R> {
    input: R,
    codec: Codec,
    engine: Engine,
    buffer: Box<[u8]>,
    /// What of the buffer is read but not yet decoded.
    pending: std::ops::Range<usize>,
    consumed: u64,
    produced: u64,
    limit: u64,
    ended: bool,
}

enum Engine {
    Gzip(Decompress),
    Xz(Stream),
    Zstd(ZstdDecoder<'static>),
}

impl<R> fmt::Debug for Decoder<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { codec, consumed, produced, ended, .. } = self;
        write!(f, "Decoder({codec:?}, {consumed} to {produced} bytes, ended: {ended})")
    }
}

impl<R: Read> Decoder<R> {
    /// Decodes the `codec` stream that `input` stands at. More than `limit` bytes of content
    /// are an error: what a hostile stream can blow up to is the caller's to say.
    ///
    /// # Errors
    /// There is no memory for the decoder.
    pub fn new(codec: Codec, input: R, limit: u64) -> Result<Self> {
        let io = |source| Error::io(codec.name(), source);
        let engine = match codec {
            Codec::Gzip => Engine::Gzip(Decompress::new_gzip(15)),
            Codec::Xz => {
                Engine::Xz(Stream::new_stream_decoder(MEMORY, 0).map_err(|error| io(error.into()))?)
            }
            Codec::Zstd => Engine::Zstd(ZstdDecoder::new().map_err(io)?),
        };
        Ok(Self {
            input,
            codec,
            engine,
            buffer: vec![0; super::CHUNK].into(),
            pending: 0..0,
            consumed: 0,
            produced: 0,
            limit,
            ended: false,
        })
    }

    /// How many compressed bytes were used so far: the stream's length once reading has ended.
    pub fn consumed(&self) -> u64 {
        self.consumed
    }

    /// How many bytes of content came out so far.
    pub fn produced(&self) -> u64 {
        self.produced
    }

    fn corrupt(&self, what: impl Into<String>) -> io::Error {
        let error = Error::corrupt(self.codec.name(), self.consumed, what);
        io::Error::new(io::ErrorKind::InvalidData, error)
    }
}

impl Engine {
    /// One step: bytes used, bytes made, and whether the stream has ended.
    fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<(usize, usize, bool), String> {
        let since = |before: u64, after: u64| {
            usize::try_from(after.wrapping_sub(before)).unwrap_or(usize::MAX)
        };
        match self {
            Self::Gzip(stream) => {
                let before = (stream.total_in(), stream.total_out());
                let status = stream
                    .decompress(input, output, FlushDecompress::None)
                    .map_err(|error| error.to_string())?;
                let used = since(before.0, stream.total_in());
                let made = since(before.1, stream.total_out());
                Ok((used, made, status == flate2::Status::StreamEnd))
            }
            Self::Xz(stream) => {
                let before = (stream.total_in(), stream.total_out());
                let status = stream
                    .process(input, output, Action::Run)
                    .map_err(|error| error.to_string())?;
                let used = since(before.0, stream.total_in());
                let made = since(before.1, stream.total_out());
                Ok((used, made, status == liblzma::stream::Status::StreamEnd))
            }
            Self::Zstd(stream) => {
                let status =
                    stream.run_on_buffers(input, output).map_err(|error| error.to_string())?;
                Ok((status.bytes_read, status.bytes_written, status.remaining == 0))
            }
        }
    }
}

impl<R: Read> Read for Decoder<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.ended || buf.is_empty() {
            return Ok(0);
        }
        loop {
            let mut input_ended = false;
            if self.pending.is_empty() {
                let n = self.input.read(&mut self.buffer)?;
                self.pending = 0..n;
                input_ended = n == 0;
            }
            let step = self.engine.step(&self.buffer[self.pending.clone()], buf);
            let (used, made, ended) = step.map_err(|what| self.corrupt(what))?;
            self.pending.start += used;
            self.consumed += used as u64;
            self.produced += made as u64;
            self.ended = ended;
            if self.produced > self.limit {
                return Err(self.corrupt(format!("decodes to more than {} bytes", self.limit)));
            }
            if made > 0 || ended {
                return Ok(made);
            }
            if input_ended {
                return Err(self.corrupt("the stream ends before its end mark"));
            }
        }
    }
}

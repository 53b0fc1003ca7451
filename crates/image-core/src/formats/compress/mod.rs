//! Compressed streams: gzip (RFC 1952), xz (The .xz File Format 1.2), Zstandard (RFC 8878).
//!
//! The same input gives the same bytes whatever the number of threads: each encoder cuts its
//! input into jobs by size alone.

mod decoder;
mod gzip;
mod sparse;
mod xxh64;
mod zstd;
mod zstd_frame;

pub use decoder::Decoder;
pub use sparse::compress_sparse;
pub(super) use zstd_frame::end as zstd_frame_end;

use super::{Error, Result};
use crate::blob::{Blob, Spool};
use std::io::{self, Read, Write};

/// How much is read at a time, in bytes.
const CHUNK: usize = 128 << 10;

/// What a stream is compressed with.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Codec {
    /// One gzip member.
    Gzip,
    /// One xz stream.
    Xz,
    /// One Zstandard frame.
    Zstd,
}

impl Codec {
    /// The codec whose stream `start` begins; six bytes suffice.
    pub fn detect(start: &[u8]) -> Option<Self> {
        [Self::Gzip, Self::Xz, Self::Zstd]
            .into_iter()
            .find(|codec| start.starts_with(codec.magic()))
    }

    /// The name, as in a file's format and in messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Xz => "xz",
            Self::Zstd => "zstd",
        }
    }

    fn magic(self) -> &'static [u8] {
        match self {
            // Deflate is the only method RFC 1952 knows.
            Self::Gzip => &[0x1f, 0x8b, 8],
            Self::Xz => b"\xfd7zXZ\0",
            Self::Zstd => &[0x28, 0xb5, 0x2f, 0xfd],
        }
    }
}

/// The name of a compressed format that Linux reads and this crate does not, for messages.
pub fn foreign_name(start: &[u8]) -> Option<&'static str> {
    const MAGICS: [(&[u8], &str); 5] = [
        (b"BZh", "bzip2"),
        (&[0x5d, 0, 0], "lzma"),
        (&[0x02, 0x21, 0x4c, 0x18], "lz4 (legacy frame)"),
        (&[0x04, 0x22, 0x4d, 0x18], "lz4"),
        (&[0x89, b'L', b'Z', b'O'], "lzo"),
    ];
    MAGICS.iter().find(|(magic, _)| start.starts_with(magic)).map(|&(_, name)| name)
}

/// A codec and how hard it tries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// gzip at level 1 to 9, no time and no name in its header.
    Gzip {
        /// 1 to 9.
        level: u32,
    },
    /// xz with CRC-32, the one check every Linux kernel's decoder knows.
    Xz {
        /// 0 to 9.
        preset: u32,
        /// Spend more time for fewer bytes, as `xz -e` does.
        extreme: bool,
    },
    /// Zstandard with a content checksum and the content's length.
    Zstd {
        /// 1 to 19.
        level: u32,
    },
}

impl Method {
    /// The codec.
    pub fn codec(self) -> Codec {
        match self {
            Self::Gzip { .. } => Codec::Gzip,
            Self::Xz { .. } => Codec::Xz,
            Self::Zstd { .. } => Codec::Zstd,
        }
    }

    /// Refuses a level the codec has not.
    ///
    /// # Errors
    /// [`Fault::Invalid`](super::Fault::Invalid), with the levels it has.
    pub fn check(self) -> Result<()> {
        let (level, levels) = match self {
            Self::Gzip { level } => (level, 1..=9),
            Self::Xz { preset, .. } => (preset, 0..=9),
            Self::Zstd { level } => (level, 1..=19),
        };
        if levels.contains(&level) {
            return Ok(());
        }
        let (least, most) = levels.into_inner();
        let what = format!("level {level} is not one of {least} to {most}");
        Err(Error::invalid(self.codec().name(), what))
    }
}

/// Compresses `input` into one stream, kept in `spool`. `threads` (at least one is used) does
/// not change the bytes. `on_bytes` hears how many more bytes of the input are read.
///
/// # Errors
/// [`Fault::Invalid`](super::Fault::Invalid) for a level the codec has not, or I/O.
pub fn compress(
    method: Method,
    input: &Blob,
    spool: &mut Spool,
    threads: usize,
    on_bytes: &mut dyn FnMut(u64),
) -> Result<Blob> {
    let name = method.codec().name();
    let io = |source| Error::io(name, source);
    method.check()?;
    match method {
        Method::Gzip { level } => {
            gzip::compress(level, input, spool, threads, on_bytes).map_err(io)?;
        }
        Method::Xz { preset, extreme } => {
            let flag = if extreme { liblzma::stream::PRESET_EXTREME } else { 0 };
            let stream = liblzma::stream::MtStreamBuilder::new()
                .preset(preset | flag)
                .check(liblzma::stream::Check::Crc32)
                .threads(u32::try_from(threads.max(1)).unwrap_or(1))
                .encoder()
                .map_err(|error| io(error.into()))?;
            let mut encoder = liblzma::write::XzEncoder::new_stream(&mut *spool, stream);
            feed(input, &mut encoder, on_bytes).map_err(io)?;
            encoder.finish().map_err(io)?;
        }
        Method::Zstd { level } => {
            return zstd::compress(level, input, spool, threads, on_bytes);
        }
    }
    spool.take().map_err(io)
}

/// Decodes all of `input`, one `codec` stream after the other, into at most `limit` bytes.
/// Runs of zeros become holes; the rest is kept in `spool`.
///
/// # Errors
/// [`Fault::Corrupt`](super::Fault::Corrupt) with the offset in the stream, or I/O.
pub fn decompress(codec: Codec, input: &Blob, spool: &mut Spool, limit: u64) -> Result<Blob> {
    let io = |source| Error::io(codec.name(), source);
    let mut parts = Vec::new();
    let mut zeros = 0;
    let mut chunk = Vec::with_capacity(CHUNK);
    let (mut at, mut produced) = (0, 0);
    while at < input.len() {
        let rest = input.slice(at..input.len()).reader();
        let mut decoder = Decoder::new(codec, rest, limit - produced)?;
        loop {
            chunk.clear();
            decoder.by_ref().take(CHUNK as u64).read_to_end(&mut chunk).map_err(io)?;
            if chunk.is_empty() {
                break;
            }
            if chunk.iter().all(|&byte| byte == 0) {
                if !spool.is_empty() {
                    parts.push(spool.take().map_err(io)?);
                }
                zeros += chunk.len() as u64;
            } else {
                if zeros > 0 {
                    parts.push(Blob::zeros(std::mem::take(&mut zeros)));
                }
                spool.write_all(&chunk).map_err(io)?;
            }
        }
        at += decoder.consumed();
        produced += decoder.produced();
    }
    parts.push(spool.take().map_err(io)?);
    parts.push(Blob::zeros(zeros));
    Ok(Blob::concat(parts))
}

fn feed(input: &Blob, encoder: &mut impl Write, on_bytes: &mut dyn FnMut(u64)) -> io::Result<()> {
    let mut reader = input.reader();
    let mut chunk = vec![0; CHUNK];
    loop {
        let n = reader.read(&mut chunk)?;
        if n == 0 {
            return Ok(());
        }
        encoder.write_all(&chunk[..n])?;
        on_bytes(n as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blob::Scratch;
    use crate::formats::sample::noise;
    use proptest::prelude::*;

    const METHODS: [Method; 4] = [
        Method::Gzip { level: 6 },
        Method::Xz { preset: 0, extreme: true },
        Method::Zstd { level: 3 },
        Method::Zstd { level: 18 },
    ];

    /// Text-like bytes that compress, but not to nothing.
    fn content(len: usize) -> Vec<u8> {
        let mut state = 1u32;
        std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            b"etaoin shrdlu\n"[usize::try_from(state >> 28).unwrap() % 14]
        })
        .take(len)
        .collect()
    }

    fn packed(method: Method, content: &[u8], threads: usize) -> Vec<u8> {
        let dir = tempfile::tempdir().unwrap();
        let mut spool = Spool::new(&Scratch::new(dir.path()));
        let mut read = 0;
        let input = Blob::from(content.to_vec());
        let blob = compress(method, &input, &mut spool, threads, &mut |n| read += n).unwrap();
        assert_eq!(read, content.len() as u64);
        blob.to_vec(64 << 20).unwrap()
    }

    fn unpacked(codec: Codec, bytes: &[u8], limit: u64) -> io::Result<(Vec<u8>, u64)> {
        let mut decoder = Decoder::new(codec, bytes, limit).unwrap();
        let mut out = Vec::new();
        decoder.read_to_end(&mut out)?;
        Ok((out, decoder.consumed()))
    }

    #[test]
    fn what_is_packed_unpacks_and_the_decoder_stops_behind_it() {
        for method in METHODS {
            for len in [0, 1, 70_000, 1 << 20] {
                let content = content(len);
                let mut bytes = packed(method, &content, 2);
                assert_eq!(Codec::detect(&bytes), Some(method.codec()));
                let end = bytes.len() as u64;
                bytes.extend(b"\0\0\0 what follows");
                let (out, consumed) = unpacked(method.codec(), &bytes, len as u64).unwrap();
                assert!(out == content);
                assert_eq!(consumed, end);
            }
        }
    }

    #[test]
    fn the_thread_count_changes_no_byte() {
        // Over one job of each method, and quick to compress.
        let content = content(300_000).repeat(14);
        for method in METHODS {
            let one = packed(method, &content, 1);
            assert!(one.len() < content.len() / 4 * 3);
            assert!([0, 2].iter().all(|&n| packed(method, &content, n) == one), "{method:?}");
        }
    }

    #[test]
    fn an_incompressible_start_is_stored_in_the_same_one_frame() {
        let noise = noise(2 << 20);
        for tail in [vec![], b"abababababab".to_vec(), content(400_000)] {
            let content = [&noise[..], &tail].concat();
            let bytes = packed(Method::Zstd { level: 18 }, &content, 1);
            assert!(bytes[17..17 + (128 << 10)] == noise[..128 << 10]);
            assert!(bytes.len() < noise.len() + 200 + tail.len() / 2);
            let end = zstd_frame_end(&Blob::from(bytes.clone()), 0).unwrap();
            assert_eq!(end, bytes.len() as u64);
            let (out, consumed) = unpacked(Codec::Zstd, &bytes, 4 << 20).unwrap();
            assert!(out == content && consumed == end);
            let mut damaged = bytes;
            damaged[100_000] ^= 1;
            assert!(unpacked(Codec::Zstd, &damaged, 4 << 20).is_err());
        }
    }

    #[test]
    fn bombs_and_truncated_streams_are_refused() {
        for method in METHODS {
            let bytes = packed(method, &vec![0; 1 << 20], 1);
            let error = unpacked(method.codec(), &bytes, (1 << 20) - 1).unwrap_err();
            assert!(error.to_string().contains("more than 1048575"), "{error}");
            for len in 0..bytes.len() {
                assert!(unpacked(method.codec(), &bytes[..len], 1 << 20).is_err(), "{len}");
            }
        }
    }

    #[test]
    fn a_level_out_of_range_is_refused() {
        let mut spool = Spool::new(&Scratch::new("/nowhere"));
        for method in [Method::Gzip { level: 0 }, Method::Zstd { level: 20 }] {
            assert!(compress(method, &Blob::empty(), &mut spool, 1, &mut |_| ()).is_err());
        }
    }

    proptest! {
        #[test]
        fn flipped_bytes_never_panic(at in any::<proptest::sample::Index>(), flip in 1u8..) {
            for method in METHODS {
                let mut bytes = packed(method, &content(300), 1);
                let at = at.index(bytes.len());
                bytes[at] ^= flip;
                let _ = unpacked(method.codec(), &bytes, 1 << 20);
            }
        }
    }
}

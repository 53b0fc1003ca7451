//! Compressing what is mostly holes and what was compressed before: disk images.
//!
//! An image is cut into stretches of whole grains: zeros, which have a ready-made form in each
//! codec; what does not compress, which is stored as ranges of the image itself; and the rest,
//! which the codec's library packs. How it is cut follows from its bytes alone: neither the
//! number of threads counts, nor whether zeros were known to be a hole.

mod gzip;
mod xz;
mod zstd;

use super::Method;
use crate::{
    blob::{Blob, Extent, Spool},
    formats::{Error, Result, pipeline},
};
use ::zstd::{bulk::Compressor, zstd_safe::compress_bound};
use flate2::Crc;
use std::{
    io::{self, Write},
    ops::Range,
};

/// What is told apart, in bytes.
const GRAIN: usize = 64 << 10;

/// What one worker has at hand, in bytes. Nothing that is packed reaches further back.
const WINDOW: u64 = 4 << 20;

/// Workers at most: each takes up to 25 MiB, and the process is to stay within 96.
const WORKERS: usize = 3;

static ZEROS: [u8; GRAIN] = [0; GRAIN];

/// A stretch, with what a codec checks its content by. `P` is what its library made of it.
enum Piece<C, P> {
    Zeros(u64),
    Stored { bytes: Blob, check: C },
    Packed { len: u64, packed: P, check: C },
}

/// Compresses a disk image: holes are passed over, and what does not compress is stored, not
/// copied. The result is one gzip member, one xz stream of many blocks, or many Zstandard frames,
/// which `zstd` takes as it takes one; the kernel's decoder would stop at the first.
///
/// # Errors
/// As [`compress`](super::compress).
pub fn compress_sparse(
    method: Method,
    image: &Blob,
    spool: &mut Spool,
    threads: usize,
    on_bytes: &mut dyn FnMut(u64),
) -> Result<Blob> {
    method.check()?;
    let io = |source| Error::io(method.codec().name(), source);
    let job = Job { image, name: method.codec().name(), threads };
    match method {
        Method::Gzip { level } => {
            let pack = |window: &[u8], range| gzip::pack(level, window, range);
            gzip::join(job.pieces(crc32, pack, spool, on_bytes)?).map_err(io)
        }
        Method::Xz { preset, extreme } => {
            let effort = xz::Effort::new(preset, extreme);
            let pack = |window: &[u8], range| effort.pack(&window[range]);
            effort.join(job.pieces(crc32, pack, spool, on_bytes)?).map_err(io)
        }
        Method::Zstd { level } => {
            let pack = |window: &[u8], range| zstd::pack(level, &window[range]);
            Ok(zstd::join(job.pieces(zstd::check, pack, spool, on_bytes)?))
        }
    }
}

struct Job<'a> {
    image: &'a Blob,
    name: &'static str,
    threads: usize,
}

/// What a worker keeps from window to window.
struct Worker {
    window: Vec<u8>,
    probe: Compressor<'static>,
    packed: Vec<u8>,
}

impl Worker {
    fn new() -> io::Result<Self> {
        let packed = vec![0; compress_bound(GRAIN)];
        Ok(Self { window: Vec::new(), probe: Compressor::new(1)?, packed })
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Zeros,
    Stored,
    Packed,
}

impl Job<'_> {
    /// The stretches of the image, in order. `pack` is given a window and a range in it.
    fn pieces<C: Send>(
        &self,
        check: impl Fn(&[u8]) -> C + Sync,
        pack: impl Fn(&[u8], Range<usize>) -> io::Result<Vec<u8>> + Sync,
        spool: &mut Spool,
        on_bytes: &mut dyn FnMut(u64),
    ) -> Result<Vec<Piece<C, Blob>>> {
        let io = |source| Error::io(self.name, source);
        let workers = (0..self.threads.clamp(1, WORKERS)).map(|_| Worker::new());
        let workers = workers.collect::<io::Result<_>>().map_err(io)?;
        let windows = (0..self.image.len().div_ceil(WINDOW)).map(|number| number * WINDOW);
        let work = |worker: &mut Worker, &start: &u64| {
            self.window(worker, start, &check, &pack).map_err(io)
        };
        let mut pieces = Vec::new();
        pipeline::in_order(workers, windows, work, |start, found| {
            for piece in found {
                let piece = match piece {
                    Piece::Zeros(len) => Piece::Zeros(len),
                    Piece::Stored { bytes, check } => Piece::Stored { bytes, check },
                    Piece::Packed { len, packed, check } => {
                        spool.write_all(&packed).map_err(io)?;
                        Piece::Packed { len, packed: spool.take().map_err(io)?, check }
                    }
                };
                match (pieces.last_mut(), piece) {
                    (Some(Piece::Zeros(before)), Piece::Zeros(len)) => *before += len,
                    (_, piece) => pieces.push(piece),
                }
            }
            on_bytes(WINDOW.min(self.image.len() - start));
            Ok(())
        })?;
        Ok(pieces)
    }

    /// The stretches of the window at `start`.
    fn window<C>(
        &self,
        worker: &mut Worker,
        start: u64,
        check: &impl Fn(&[u8]) -> C,
        pack: &impl Fn(&[u8], Range<usize>) -> io::Result<Vec<u8>>,
    ) -> io::Result<Vec<Piece<C, Vec<u8>>>> {
        let content = self.image.slice(start..start + WINDOW);
        if content.extents().all(|extent| matches!(extent, Extent::Hole { .. })) {
            return Ok(vec![Piece::Zeros(content.len())]);
        }
        let Worker { window, probe, packed } = worker;
        window.resize(usize::try_from(content.len()).unwrap_or(usize::MAX), 0);
        content.read_at(0, window)?;
        let mut stretches: Vec<(Kind, Range<usize>)> = Vec::new();
        for (number, grain) in window.chunks(GRAIN).enumerate() {
            let kind = if *grain == ZEROS[..grain.len()] {
                Kind::Zeros
            } else if probe.compress_to_buffer(grain, &mut packed[..])? >= grain.len() / 16 * 15 {
                Kind::Stored
            } else {
                Kind::Packed
            };
            let range = number * GRAIN..number * GRAIN + grain.len();
            match stretches.last_mut() {
                Some((before, run)) if *before == kind => run.end = range.end,
                _ => stretches.push((kind, range)),
            }
        }
        let piece = |(kind, range): (Kind, Range<usize>)| {
            let bytes = &window[range.clone()];
            let len = bytes.len() as u64;
            if kind == Kind::Zeros {
                return Ok(Piece::Zeros(len));
            }
            let check = check(bytes);
            if kind == Kind::Packed {
                let packed = pack(window, range.clone())?;
                if packed.len() < bytes.len() {
                    return Ok(Piece::Packed { len, packed, check });
                }
            }
            let bytes = content.slice(range.start as u64..range.end as u64);
            Ok(Piece::Stored { bytes, check })
        };
        stretches.into_iter().map(piece).collect()
    }
}

/// `len` as so many of `unit`, and what is left over.
fn units(len: u64, unit: u64) -> impl Iterator<Item = u64> {
    let whole = usize::try_from(len / unit).unwrap_or(usize::MAX);
    std::iter::repeat_n(unit, whole).chain(Some(len % unit).filter(|&rest| rest > 0))
}

/// `bytes` in blocks of at most `most`, each behind what `header` makes of its length.
fn push_blocks(bytes: &Blob, most: u64, header: fn(u64) -> Vec<u8>, parts: &mut Vec<Blob>) {
    // Nearly all blocks have the same header.
    let usual = Blob::from(header(most));
    let mut at = 0;
    for len in units(bytes.len(), most) {
        parts.push(if len == most { usual.clone() } else { header(len).into() });
        parts.push(bytes.slice(at..at + len));
        at += len;
    }
}

/// Packs runs of zeros by what packs any bytes, the most usual one only once.
struct Zeros<F> {
    pack: F,
    usual: Option<(Blob, Crc)>,
}

impl<F: Fn(&[u8]) -> io::Result<Vec<u8>>> Zeros<F> {
    /// Zeros packed at once, in bytes.
    const UNIT: u64 = 1 << 20;

    fn new(pack: F) -> Self {
        Self { pack, usual: None }
    }

    /// Adds `len` zeros to `parts` and to `crc`.
    fn push(&mut self, len: u64, parts: &mut Vec<Blob>, crc: &mut Crc) -> io::Result<()> {
        for len in units(len, Self::UNIT) {
            let is_usual = len == Self::UNIT;
            let run = match self.usual.take_if(|_| is_usual) {
                Some(usual) => usual,
                None => self.run(len)?,
            };
            parts.push(run.0.clone());
            crc.combine(&run.1);
            if is_usual {
                self.usual = Some(run);
            }
        }
        Ok(())
    }

    fn run(&self, len: u64) -> io::Result<(Blob, Crc)> {
        let zeros = vec![0; usize::try_from(len).unwrap_or(usize::MAX)];
        Ok(((self.pack)(&zeros)?.into(), crc32(&zeros)))
    }
}

fn crc32(bytes: &[u8]) -> Crc {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc
}

#[cfg(test)]
mod tests;

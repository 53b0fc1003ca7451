//! gzip in parallel: one member whose deflate blocks are made chunk by chunk.

use crate::blob::Blob;
use flate2::{Compress, Compression, Crc, FlushCompress, Status};
use std::{
    io::{self, Read, Write},
    thread,
};

/// What one thread compresses at a time, in bytes. Larger would gain little: each chunk is
/// primed with the [`WINDOW`] before it.
const CHUNK: usize = 1 << 20;

/// How far back deflate looks, in bytes (RFC 1951 section 2).
pub(super) const WINDOW: usize = 32 << 10;

/// RFC 1952 section 2.3.1: deflate, no flags, no time, no hint, made on Unix.
pub(super) const HEADER: &[u8] = &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3];

pub(super) fn compress(
    level: u32,
    input: &Blob,
    to: &mut dyn Write,
    threads: usize,
    on_bytes: &mut dyn FnMut(u64),
) -> io::Result<()> {
    to.write_all(HEADER)?;
    let mut reader = input.reader();
    let mut left = input.len();
    let mut crc = Crc::new();
    let mut window = Vec::new();
    loop {
        let mut chunks: Vec<(Vec<u8>, Vec<u8>, bool)> = Vec::new();
        for _ in 0..threads.max(1) {
            let mut chunk = vec![0; usize::try_from(left).unwrap_or(CHUNK).min(CHUNK)];
            reader.read_exact(&mut chunk)?;
            left -= chunk.len() as u64;
            let next = chunk[chunk.len().saturating_sub(WINDOW)..].to_vec();
            chunks.push((std::mem::replace(&mut window, next), chunk, left == 0));
            if left == 0 {
                break;
            }
        }
        let done: Vec<io::Result<(Vec<u8>, Crc)>> = thread::scope(|scope| {
            let running: Vec<_> = chunks
                .iter()
                .map(|(window, chunk, last)| {
                    scope.spawn(move || {
                        let mut crc = Crc::new();
                        crc.update(chunk);
                        Ok((deflate(level, window, chunk, *last)?, crc))
                    })
                })
                .collect();
            running
                .into_iter()
                .map(|thread| thread.join().unwrap_or_else(|_| Err(failed("a thread died"))))
                .collect()
        });
        for (done, (_, chunk, _)) in done.into_iter().zip(&chunks) {
            let (blocks, part) = done?;
            to.write_all(&blocks)?;
            crc.combine(&part);
            on_bytes(chunk.len() as u64);
        }
        if left == 0 {
            break;
        }
    }
    to.write_all(&crc.sum().to_le_bytes())?;
    // Modulo 2^32, as RFC 1952 has it.
    to.write_all(&input.len().to_le_bytes()[..4])
}

/// The deflate blocks of `chunk`, which stands behind `window`, ended at a byte's edge.
pub(super) fn deflate(level: u32, window: &[u8], chunk: &[u8], last: bool) -> io::Result<Vec<u8>> {
    let mut encoder = Compress::new(Compression::new(level), false);
    if !window.is_empty() {
        encoder.set_dictionary(window).map_err(failed)?;
    }
    let flush = if last { FlushCompress::Finish } else { FlushCompress::Sync };
    let mut blocks = Vec::with_capacity(chunk.len() / 2 + 1024);
    loop {
        let read = usize::try_from(encoder.total_in()).unwrap_or(usize::MAX);
        let status = encoder.compress_vec(&chunk[read..], &mut blocks, flush).map_err(failed)?;
        // A flush is over once the encoder leaves room unused.
        let room = blocks.capacity() - blocks.len();
        match status {
            Status::StreamEnd => return Ok(blocks),
            _ if !last && room > 0 => return Ok(blocks),
            _ => blocks.reserve(chunk.len() / 2 + 1024),
        }
    }
}

fn failed(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::other(error)
}

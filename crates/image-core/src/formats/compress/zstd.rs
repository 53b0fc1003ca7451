//! Zstandard: what does not compress is stored, the rest goes through libzstd.

use super::{CHUNK, xxh64::Xxh64, zstd_frame};
use crate::{
    blob::{Blob, Spool},
    formats::{Error, Result},
};
use std::io::{self, Read, Write};
use zstd::{bulk, stream::write::Encoder, zstd_safe::CParameter};

/// From this level on libzstd is slow and takes much memory.
const SLOW: u32 = 16;

/// Workers at [`SLOW`] levels: each takes some 12 MiB, and the process is to stay within 64.
const WORKERS: usize = 2;

/// What is tried at a time, in bytes, when looking for what does not compress.
const PROBE: u64 = 1 << 20;

/// One frame with a content checksum and the content's length.
///
/// An initramfs segment starts with its squashfs images: level 18 needs 4.6 s to make 21 MB of
/// such an image 0.02 % smaller. Only the start is looked at because the blocks that libzstd
/// makes refer to the ones it made before, and so have to stand in one run.
pub(super) fn compress(
    level: u32,
    input: &Blob,
    spool: &mut Spool,
    threads: usize,
    on_bytes: &mut dyn FnMut(u64),
) -> Result<Blob> {
    let stored = if level < SLOW { 0 } else { leading(input)? };
    frame(level, input, stored, spool, threads, on_bytes)
}

/// One frame: the first `stored` bytes of `input` as they are, the rest compressed.
fn frame(
    level: u32,
    input: &Blob,
    stored: u64,
    spool: &mut Spool,
    threads: usize,
    on_bytes: &mut dyn FnMut(u64),
) -> Result<Blob> {
    let io = |source| Error::io("zstd", source);
    let mut encoder = Encoder::new(&mut *spool, i32::try_from(level).unwrap_or(0)).map_err(io)?;
    let mut set = |parameter| encoder.set_parameter(parameter).map_err(io);
    // No worker at all would cut the input elsewhere than one worker and more do.
    let workers = threads.clamp(1, if level < SLOW { threads.max(1) } else { WORKERS });
    set(CParameter::NbWorkers(u32::try_from(workers).unwrap_or(1)))?;
    set(CParameter::ChecksumFlag(stored == 0))?;
    if level >= SLOW || stored > 0 {
        // zstd's own choice for slow levels takes some 80 MiB a worker. With these it is 12,
        // for 2 % more bytes (shared libraries at level 18) and less time.
        set(CParameter::WindowLog(zstd_frame::WINDOW_LOG.into()))?;
        set(CParameter::ChainLog(20))?;
        set(CParameter::HashLog(20))?;
        set(CParameter::JobSize(2 << 20))?;
    }
    // Lets a decoder take no more memory than the content needs.
    encoder.set_pledged_src_size(Some(input.len() - stored)).map_err(io)?;
    let mut hash = Xxh64::new();
    let mut chunk = vec![0; CHUNK];
    let mut left = stored;
    let mut reader = input.reader();
    loop {
        let until = if left == 0 { CHUNK as u64 } else { left };
        let want = usize::try_from(until).unwrap_or(CHUNK).min(CHUNK);
        let n = reader.read(&mut chunk[..want]).map_err(io)?;
        if n == 0 {
            break;
        }
        if stored > 0 {
            hash.update(&chunk[..n]);
        }
        if left > 0 {
            left -= n as u64;
        } else {
            encoder.write_all(&chunk[..n]).map_err(io)?;
        }
        on_bytes(n as u64);
    }
    encoder.finish().map_err(io)?;
    let packed = spool.take().map_err(io)?;
    if stored == 0 {
        return Ok(packed);
    }
    zstd_frame::join(&input.slice(0..stored), &packed, &hash, input.len())
}

/// How many bytes from the start on hardly compress; what is shorter than a probe is not tried.
fn leading(input: &Blob) -> Result<u64> {
    let io = |source: io::Error| Error::io("zstd", source);
    let mut compressor = bulk::Compressor::new(1).map_err(io)?;
    let mut chunk = Vec::new();
    let mut packed = Vec::new();
    let mut at = 0;
    while input.len() - at >= PROBE {
        chunk.resize(usize::try_from(PROBE).unwrap_or(usize::MAX), 0);
        packed.resize(zstd::zstd_safe::compress_bound(chunk.len()), 0);
        input.read_at(at, &mut chunk).map_err(io)?;
        let len = compressor.compress_to_buffer(&chunk, &mut packed[..]).map_err(io)?;
        if len < chunk.len() / 16 * 15 {
            break;
        }
        at += PROBE;
    }
    Ok(at)
}

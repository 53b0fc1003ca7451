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

/// What is tried at a time, in bytes, when looking for what does not compress.
const PROBE: usize = 1 << 20;

/// One frame with a content checksum and the content's length.
pub(super) fn compress(
    level: u32,
    input: &Blob,
    spool: &mut Spool,
    threads: usize,
    on_bytes: &mut dyn FnMut(u64),
) -> Result<Blob> {
    let io = |source| Error::io("zstd", source);
    let mut hash = Xxh64::new();
    let stored = if level < SLOW { 0 } else { probe(input, &mut hash, on_bytes).map_err(io)? };
    let rest = input.slice(stored..input.len());
    let mut encoder = Encoder::new(&mut *spool, i32::try_from(level).unwrap_or(0)).map_err(io)?;
    let mut set = |parameter| encoder.set_parameter(parameter);
    // No worker at all would cut the input elsewhere than one worker and more do.
    set(CParameter::NbWorkers(u32::try_from(threads.max(1)).unwrap_or(1))).map_err(io)?;
    set(CParameter::ChecksumFlag(stored == 0)).map_err(io)?;
    if level >= SLOW {
        // zstd's own choice for these levels takes some 80 MiB a worker. With these it is 20,
        // for 1.4 % more bytes (54 MB of shared libraries at level 18) and half the time.
        set(CParameter::WindowLog(zstd_frame::WINDOW_LOG.into())).map_err(io)?;
        set(CParameter::ChainLog(20)).map_err(io)?;
        set(CParameter::HashLog(20)).map_err(io)?;
        set(CParameter::JobSize(4 << 20)).map_err(io)?;
    }
    // Lets a decoder take no more memory than the content needs.
    encoder.set_pledged_src_size(Some(rest.len())).map_err(io)?;
    let mut reader = rest.reader();
    let mut chunk = vec![0; CHUNK];
    loop {
        let n = reader.read(&mut chunk).map_err(io)?;
        if n == 0 {
            break;
        }
        if stored > 0 {
            hash.update(&chunk[..n]);
        }
        encoder.write_all(&chunk[..n]).map_err(io)?;
        on_bytes(n as u64);
    }
    encoder.finish().map_err(io)?;
    let packed = spool.take().map_err(io)?;
    if stored == 0 {
        return Ok(packed);
    }
    zstd_frame::join(&input.slice(0..stored), &packed, &hash, input.len())
}

/// How many bytes from the start hardly compress, and their hash.
///
/// An initramfs segment starts with its squashfs images: level 18 needs 4.6 s to make 21 MB of
/// such an image 0.02 % smaller. Only the start is looked at because the blocks that libzstd
/// makes refer to the ones it made before, and so have to stand in one run.
fn probe(input: &Blob, hash: &mut Xxh64, on_bytes: &mut dyn FnMut(u64)) -> io::Result<u64> {
    let mut compressor = bulk::Compressor::new(1)?;
    let mut out = Vec::with_capacity(zstd::zstd_safe::compress_bound(PROBE));
    let mut chunk = vec![0; PROBE];
    let mut reader = input.reader();
    let mut stored = 0;
    while input.len() - stored >= PROBE as u64 {
        reader.read_exact(&mut chunk)?;
        out.clear();
        if compressor.compress_to_buffer(&chunk, &mut out)? < PROBE / 16 * 15 {
            break;
        }
        hash.update(&chunk);
        stored += PROBE as u64;
        on_bytes(PROBE as u64);
    }
    Ok(stored)
}

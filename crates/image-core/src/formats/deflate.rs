//! One block deflated as a whole (RFC 1951), with or without zlib's shell (RFC 1950).

use super::{Error, Result};
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

/// How hard a block is tried, once it is known to compress: zlib's own choice.
const LEVEL: u32 = 6;

/// Deflates block after block, reusing its memory.
pub(super) struct Deflater {
    format: &'static str,
    probe: zstd::bulk::Compressor<'static>,
    stream: Compress,
    packed: Vec<u8>,
}

impl Deflater {
    /// With zlib's shell if `shell`; looking back at most two to the power of `window` bytes,
    /// 9 to 15.
    ///
    /// # Errors
    /// There is no memory for it.
    pub(super) fn new(format: &'static str, shell: bool, window: u8) -> Result<Self> {
        let probe = zstd::bulk::Compressor::new(1).map_err(|e| Error::io(format, e))?;
        let stream = Compress::new_with_window_bits(Compression::new(LEVEL), shell, window);
        Ok(Self { format, probe, stream, packed: Vec::new() })
    }

    /// `block` deflated; none if it hardly becomes shorter. Zstandard's quickest level finds
    /// that out in a twentieth of the time, and most of a boot disk is compressed already.
    ///
    /// # Errors
    /// As those of the compressors.
    pub(super) fn pack(&mut self, block: &[u8]) -> Result<Option<Vec<u8>>> {
        let Self { format, probe, stream, packed } = self;
        let most = block.len() / 16 * 15;
        packed.clear();
        // Room for the worst that either makes, so that the stream always ends: zlib-rs 0.6 can
        // panic after the reset of one that did not.
        packed.reserve(block.len() + block.len() / 8 + 1024);
        let io = |error| Error::io(format, error);
        if probe.compress_to_buffer(block, packed).map_err(io)? > most {
            return Ok(None);
        }
        packed.clear();
        stream.reset();
        match stream.compress_vec(block, packed, FlushCompress::Finish) {
            Ok(Status::StreamEnd) => Ok(Some(packed.clone()).filter(|packed| packed.len() <= most)),
            Ok(_) => Ok(None),
            Err(error) => Err(io(error.into())),
        }
    }
}

/// Inflates the block that `packed` starts with into `block`, and says how many bytes it has;
/// more than fit is an error.
pub(super) fn inflate(shell: bool, packed: &[u8], block: &mut [u8]) -> Result<usize, String> {
    let mut stream = Decompress::new(shell);
    match stream.decompress(packed, block, FlushDecompress::Finish) {
        Ok(Status::StreamEnd) => Ok(usize::try_from(stream.total_out()).unwrap_or(usize::MAX)),
        Ok(_) => Err("the deflated block is cut off or too long".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_round_trip_and_noise_is_left_alone() {
        let text: Vec<u8> = (0..60_000u32).flat_map(|n| (n / 7).to_string().into_bytes()).collect();
        let mut state = 1u64;
        let noise = std::iter::repeat_with(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            state.to_be_bytes()[0]
        });
        let noise: Vec<u8> = noise.take(65_536).collect();
        for (shell, window) in [(true, 15), (false, 12)] {
            let mut deflater = Deflater::new("test", shell, window).unwrap();
            // A second time, since memory is reused.
            for _ in 0..2 {
                assert_eq!(deflater.pack(&noise).unwrap(), None);
                let mut packed = deflater.pack(&text[..65_536]).unwrap().unwrap();
                assert!(packed.len() < 20_000);
                let end = packed.len();
                packed.extend(b"what follows");
                let mut block = vec![0; 65_536];
                assert_eq!(inflate(shell, &packed, &mut block), Ok(65_536));
                assert!(block == text[..65_536]);
                assert!(inflate(shell, &packed[..end - 1], &mut block).is_err());
                assert!(inflate(shell, &packed, &mut block[..65_535]).is_err());
            }
        }
    }
}

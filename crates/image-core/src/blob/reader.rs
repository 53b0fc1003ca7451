//! A cursor over a blob.

use super::Blob;
use std::io::{self, Read, Seek, SeekFrom};

/// Reads a blob from its start, and can seek in it. Owns a cheap clone of the blob.
#[derive(Clone, Debug)]
pub struct BlobReader {
    blob: Blob,
    at: u64,
}

impl BlobReader {
    pub(super) fn new(blob: Blob) -> Self {
        Self { blob, at: 0 }
    }

    /// How many bytes from the start the next read begins.
    pub fn position(&self) -> u64 {
        self.at
    }
}

impl Read for BlobReader {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let left = self.blob.len().saturating_sub(self.at);
        let n = usize::try_from(left).unwrap_or(usize::MAX).min(buf.len());
        self.blob.read_at(self.at, &mut buf[..n])?;
        self.at += n as u64;
        Ok(n)
    }
}

impl Seek for BlobReader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.blob.len().checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = at.ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidInput, "seek to before the start")
        })?;
        Ok(self.at)
    }
}

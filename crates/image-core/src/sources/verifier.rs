//! Content that is checked while it is read.

use crate::{
    blob::{Blob, BlobReader, Digest, HashWriter},
    formats::oci::Descriptor,
};
use std::io::{self, Read, Write};

/// Reads a blob front to back. The read that would say "end" is an error instead if the content
/// has another digest than its descriptor says: only what was read to its end is verified.
#[derive(Debug)]
pub struct Verifier {
    reader: BlobReader,
    expected: Digest,
    hash: Option<HashWriter<io::Sink>>,
}

impl Verifier {
    /// Reads `blob`, which `descriptor` names.
    pub fn new(blob: &Blob, descriptor: &Descriptor) -> Self {
        let hash = Some(HashWriter::new(io::sink()));
        Self { reader: blob.reader(), expected: descriptor.digest, hash }
    }
}

impl Read for Verifier {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.reader.read(buf)?;
        if let Some(hash) = &mut self.hash {
            hash.write_all(&buf[..n])?;
        }
        if n == 0 && !buf.is_empty() {
            let found = self.hash.take().map(|hash| hash.finish().0);
            if let Some(found) = found.filter(|found| *found != self.expected) {
                let what = format!(
                    "the blob {} has the digest {found}: it is damaged or was tampered with, \
                     copy the image again",
                    self.expected
                );
                return Err(io::Error::new(io::ErrorKind::InvalidData, what));
            }
        }
        Ok(n)
    }
}

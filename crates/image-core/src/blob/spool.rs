//! Where bytes wait that had to be made: decompressed files, compressed segments.

use super::Blob;
use std::{
    fs::File,
    io::{self, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

/// What one spool holds in memory before it turns to a file, in bytes.
const MEMORY: usize = 1 << 20;

/// What is gathered before it is written to the file, in bytes.
const BUFFER: usize = 256 << 10;

/// The directory in which spools keep what does not fit into memory.
///
/// Their files have no names (`O_TMPFILE` where the file system knows it, else unlinked at
/// once), so nothing is left behind however the process ends.
#[derive(Clone, Debug)]
pub struct Scratch(PathBuf);

impl Scratch {
    /// Spools write to `dir`, which has to exist when the first of them outgrows memory.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self(dir.into())
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.0
    }
}

/// Takes bytes and gives blobs back: memory at first, an unnamed file past a mebibyte.
///
/// [`write`](Write::write) as much as belongs together, then [`take`](Spool::take) it as a
/// blob; a spool can be filled again and again, and all its blobs share one file.
#[derive(Debug)]
pub struct Spool {
    scratch: Scratch,
    /// Bytes since the last take that are not in the file yet.
    pending: Vec<u8>,
    /// Memory that blobs already taken hold.
    held: usize,
    file: Option<Arc<File>>,
    /// Where the bytes since the last take start in the file, and where the file ends.
    start: u64,
    end: u64,
}

impl Spool {
    /// An empty spool over `scratch`.
    pub fn new(scratch: &Scratch) -> Self {
        Self {
            scratch: scratch.clone(),
            pending: Vec::new(),
            held: 0,
            file: None,
            start: 0,
            end: 0,
        }
    }

    /// How many bytes were written since the last [`take`](Spool::take).
    pub fn len(&self) -> u64 {
        self.end - self.start + self.pending.len() as u64
    }

    /// Whether nothing was written since the last [`take`](Spool::take).
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All that was written since the last take.
    ///
    /// # Errors
    /// Writing the scratch file failed.
    pub fn take(&mut self) -> io::Result<Blob> {
        if self.start == self.end && self.held + self.pending.len() <= MEMORY {
            self.held += self.pending.len();
            return Ok(Blob::from(std::mem::take(&mut self.pending)));
        }
        self.spill()?;
        let range = self.start..self.end;
        self.start = self.end;
        match &self.file {
            Some(file) => Ok(Blob::from_file(Arc::clone(file), range)),
            None => Ok(Blob::empty()),
        }
    }

    fn spill(&mut self) -> io::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let dir = &self.scratch.0;
        let named = |error: io::Error| {
            io::Error::new(error.kind(), format!("scratch file in {}: {error}", dir.display()))
        };
        if self.file.is_none() {
            self.file = Some(Arc::new(tempfile::tempfile_in(dir).map_err(named)?));
        }
        if let Some(file) = &self.file {
            // One cursor, moved by nobody else: readers use positioned reads.
            let mut file: &File = file;
            file.write_all(&self.pending).map_err(named)?;
            self.end += self.pending.len() as u64;
            self.pending.clear();
        }
        Ok(())
    }
}

impl Write for Spool {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.pending.extend_from_slice(buf);
        let in_memory = self.start == self.end && self.held + self.pending.len() <= MEMORY;
        if !in_memory && self.pending.len() >= BUFFER {
            self.spill()?;
        }
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_and_large_takes_read_back_and_leave_no_file() {
        let dir = tempfile::tempdir().unwrap();
        let mut spool = Spool::new(&Scratch::new(dir.path()));
        let contents: Vec<Vec<u8>> = [0usize, 5, 300_000, 3 << 20, 7, 900_000, 2 << 20]
            .iter()
            .zip(1u8..)
            .map(|(&len, seed)| (0..=u8::MAX).map(|byte| byte ^ seed).cycle().take(len).collect())
            .collect();
        let blobs: Vec<Blob> = contents
            .iter()
            .map(|content| {
                for chunk in content.chunks(70_001) {
                    spool.write_all(chunk).unwrap();
                }
                assert_eq!(spool.len(), content.len() as u64);
                spool.take().unwrap()
            })
            .collect();
        for (blob, content) in blobs.iter().zip(&contents) {
            assert!(blob.to_vec(8 << 20).unwrap() == *content);
        }
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_missing_scratch_directory_is_named() {
        let mut spool = Spool::new(&Scratch::new("/no/such/place"));
        let error = spool.write_all(&vec![1; 3 << 20]).unwrap_err();
        assert!(error.to_string().contains("/no/such/place"), "{error}");
    }
}

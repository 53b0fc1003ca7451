//! A range of an open file, read without moving a cursor.

use std::{
    fs::{self, File},
    io,
    ops::Range,
    path::Path,
    sync::Arc,
};

/// Bytes `range` of a file that stays open. The file must not change while it is held.
#[derive(Clone, Debug)]
pub(super) struct FileRange {
    file: Arc<File>,
    /// The path the file was opened by, for messages; none for unlinked scratch files.
    path: Option<Arc<Path>>,
    range: Range<u64>,
}

impl FileRange {
    pub(super) fn new(file: Arc<File>, range: Range<u64>) -> Self {
        Self { file, path: None, range }
    }

    #[expect(clippy::disallowed_methods, reason = "files are opened here")]
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let name = |error: io::Error| named(Some(path), &error);
        // Looked at before it is opened, too: opening a named pipe waits for its writer.
        let metadata = fs::metadata(path).map_err(name)?;
        if !metadata.is_file() {
            let what = if metadata.is_dir() { "a directory" } else { "not a regular file" };
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("{} is {what}", path.display()),
            ));
        }
        let file = File::open(path).map_err(name)?;
        let metadata = file.metadata().map_err(name)?;
        Ok(Self { file: Arc::new(file), path: Some(path.into()), range: 0..metadata.len() })
    }

    pub(super) fn len(&self) -> u64 {
        self.range.end - self.range.start
    }

    pub(super) fn slice(&self, within: Range<u64>) -> Self {
        let range = self.range.start + within.start..self.range.start + within.end;
        Self { file: Arc::clone(&self.file), path: self.path.clone(), range }
    }

    /// Where `part` starts in this range, if it lies in it and was opened with it.
    pub(super) fn offset_of(&self, part: &Self) -> Option<u64> {
        let (whole, part_of) = (&self.range, &part.range);
        let inside = whole.start <= part_of.start && part_of.end <= whole.end;
        let is_in = inside && Arc::ptr_eq(&self.file, &part.file);
        is_in.then(|| part_of.start - whole.start)
    }

    pub(super) fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        read_exact_at(&self.file, self.range.start + offset, buf).map_err(|error| {
            if error.kind() == io::ErrorKind::UnexpectedEof {
                let what = io::Error::new(error.kind(), "the file became shorter while in use");
                named(self.path.as_deref(), &what)
            } else {
                named(self.path.as_deref(), &error)
            }
        })
    }

    /// The open file and where this range starts in it, for copies inside the kernel.
    #[cfg(target_os = "linux")]
    pub(super) fn raw(&self) -> (&File, u64) {
        (&self.file, self.range.start)
    }
}

/// The same error with the path in front.
fn named(path: Option<&Path>, error: &io::Error) -> io::Error {
    match path {
        Some(path) => io::Error::new(error.kind(), format!("{}: {error}", path.display())),
        None => io::Error::new(error.kind(), error.to_string()),
    }
}

#[cfg(unix)]
fn read_exact_at(file: &File, offset: u64, buf: &mut [u8]) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, buf, offset)
}

#[cfg(windows)]
fn read_exact_at(file: &File, mut offset: u64, mut buf: &mut [u8]) -> io::Result<()> {
    while !buf.is_empty() {
        match std::os::windows::fs::FileExt::seek_read(file, buf, offset)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            n => {
                buf = &mut buf[n..];
                offset += n as u64;
            }
        }
    }
    Ok(())
}

//! The one place where an image is written down: whole or not at all.

use super::{Blob, Rope, draft::Draft};
use std::{
    fs::File,
    io::{self, Seek, SeekFrom, Write},
    path::Path,
};

/// How much is copied at a time, in bytes: large enough for copy speed, small in memory.
const CHUNK: usize = 1 << 20;

impl Blob {
    /// Writes the blob to `path`: into a file without a name, or a temporary sibling where the
    /// file system knows no such files, that gets its name once it is whole and on the disk.
    /// Holes stay holes. `on_bytes` hears how many more bytes are done.
    ///
    /// An existing file at `path` is replaced, and kept as it was if anything fails.
    ///
    /// # Errors
    /// What the operating system answers, with the path in front.
    pub fn persist(&self, path: &Path, on_bytes: &mut dyn FnMut(u64)) -> io::Result<()> {
        let dir = match path.parent() {
            Some(dir) if !dir.as_os_str().is_empty() => dir,
            _ => Path::new("."),
        };
        let mut write = || {
            let draft = Draft::new(dir)?;
            self.write_sparse(draft.file(), on_bytes)?;
            draft.file().sync_all()?;
            draft.publish(path)
        };
        let named =
            |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        write().map_err(named)?;
        sync_dir(dir);
        Ok(())
    }

    /// Writes all bytes, holes as zeros, to a stream. `on_bytes` hears how many more are done.
    ///
    /// # Errors
    /// Reading the blob or writing the stream failed.
    pub fn write_to(
        &self,
        writer: &mut dyn Write,
        on_bytes: &mut dyn FnMut(u64),
    ) -> io::Result<()> {
        let mut buf = vec![0; CHUNK];
        for leaf in self.leaves() {
            copy_through(leaf, 0, &mut buf, writer, on_bytes)?;
        }
        writer.flush()
    }

    fn write_sparse(&self, mut file: &File, on_bytes: &mut dyn FnMut(u64)) -> io::Result<()> {
        // Fails at once where the disk cannot hold a file of this length at all.
        file.set_len(self.len())?;
        let mut buf = Vec::new();
        let mut offset = 0;
        for leaf in self.leaves() {
            let len = leaf.len();
            match leaf {
                Rope::Zeros(_) => on_bytes(len),
                leaf => {
                    let done = in_kernel(leaf, file, offset, on_bytes)?;
                    if done < len {
                        buf.resize(CHUNK, 0);
                        file.seek(SeekFrom::Start(offset + done))?;
                        copy_through(leaf, done, &mut buf, &mut file, on_bytes)?;
                    }
                }
            }
            offset += len;
        }
        Ok(())
    }
}

/// Copies `leaf` from byte `at` on through `buf`.
fn copy_through(
    leaf: &Rope,
    mut at: u64,
    buf: &mut [u8],
    writer: &mut dyn Write,
    on_bytes: &mut dyn FnMut(u64),
) -> io::Result<()> {
    while at < leaf.len() {
        let n = usize::try_from(leaf.len() - at).unwrap_or(usize::MAX).min(buf.len());
        leaf.read_at(at, &mut buf[..n])?;
        writer.write_all(&buf[..n])?;
        at += n as u64;
        on_bytes(n as u64);
    }
    Ok(())
}

/// Lets the kernel copy (or share) a file's range, and says how many bytes it did. Fewer than
/// all is no error: the file systems may not allow it, and the rest goes through memory.
#[cfg(target_os = "linux")]
fn in_kernel(
    leaf: &Rope,
    to: &File,
    offset: u64,
    on_bytes: &mut dyn FnMut(u64),
) -> io::Result<u64> {
    /// Bytes asked of one call, so that progress is heard of.
    const STRIDE: u64 = 64 << 20;
    let Rope::File(range) = leaf else { return Ok(0) };
    let (from, start) = range.raw();
    let mut done = 0;
    while done < range.len() {
        let stride = usize::try_from((range.len() - done).min(STRIDE)).unwrap_or(usize::MAX);
        let (mut read_at, mut write_at) = (start + done, offset + done);
        match rustix::fs::copy_file_range(from, Some(&mut read_at), to, Some(&mut write_at), stride)
        {
            Ok(0) => break,
            Ok(n) => {
                done += n as u64;
                on_bytes(n as u64);
            }
            Err(rustix::io::Errno::NOSPC) => return Err(rustix::io::Errno::NOSPC.into()),
            Err(_) => break,
        }
    }
    Ok(done)
}

#[cfg(not(target_os = "linux"))]
#[expect(clippy::unnecessary_wraps, reason = "the same shape as on Linux")]
fn in_kernel(_: &Rope, _: &File, _: u64, _: &mut dyn FnMut(u64)) -> io::Result<u64> {
    Ok(0)
}

/// Makes the rename itself durable. A file system that cannot is no reason to fail: the bytes
/// are already safe under one of the two names.
#[expect(clippy::disallowed_methods, reason = "a directory is opened to flush it")]
fn sync_dir(dir: &Path) {
    if let Ok(dir) = File::open(dir) {
        let _ = dir.sync_all();
    }
}

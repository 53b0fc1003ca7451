//! Writing a result down, for all commands alike.

use crate::render::{Render, What, Written};
use image_core::{
    blob::Blob,
    events::{Event, Step},
};
use std::{
    fs,
    io::{self, BufWriter, Write},
    path::Path,
};

/// Bytes handed to stdout at once.
const CHUNK: usize = 1 << 20;

/// Bytes from which on writing takes long enough to be watched.
const LONG: u64 = 16 << 20;

/// Makes `dir` and what is missing above it.
pub(crate) fn directory(dir: &Path) -> io::Result<()> {
    fs::create_dir_all(dir)
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", dir.display())))
}

/// Writes `blob` to the file `what` names, whole or not at all, and says so.
pub(crate) fn file(blob: &Blob, name: &str, what: What<'_>, render: &dyn Render) -> io::Result<()> {
    let path = what.path();
    watched(blob, &path.display().to_string(), render, |on_bytes| blob.persist(path, on_bytes))?;
    render.written(&Written { what, name, size: blob.len() })
}

/// Streams `blob` to stdout, which then holds nothing else.
pub(crate) fn stdout(blob: &Blob, render: &dyn Render) -> io::Result<()> {
    watched(blob, "stdout", render, |on_bytes| {
        // Rust's own buffer of stdout flushes at every newline, which binary data is full of.
        let mut out = BufWriter::with_capacity(CHUNK, io::stdout().lock());
        blob.write_to(&mut out, on_bytes)?;
        out.flush()
    })
    .map_err(|error| io::Error::new(error.kind(), format!("stdout: {error}")))
}

fn watched(
    blob: &Blob,
    subject: &str,
    render: &dyn Render,
    write: impl FnOnce(&mut dyn FnMut(u64)) -> io::Result<()>,
) -> io::Result<()> {
    if blob.len() < LONG {
        return write(&mut |_| {});
    }
    let step = Step::Write;
    render.on(&Event::Started { step, subject, total: Some(blob.len()) });
    write(&mut |bytes| render.on(&Event::Advanced { step, subject, bytes }))?;
    render.on(&Event::Finished { step, subject });
    Ok(())
}

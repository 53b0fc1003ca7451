//! Writing a result down, for all commands alike.

use crate::render::{Render, What, Written};
use image_core::{
    blob::{Blob, Scratch, Spool},
    error::Error,
    events::{Event, Step},
    formats::{
        compress::{self, Method},
        tar,
    },
    tree::{Node, Tree, TreePath},
};
use std::{
    fs,
    io::{self, BufWriter, Write},
    num::NonZeroUsize,
    path::{Path, PathBuf},
};

/// Bytes handed to stdout at once.
const CHUNK: usize = 1 << 20;

/// How hard gzip tries where it packs what is mostly packed already: as it does of itself.
const GZIP_LEVEL: u32 = 6;

/// Bytes from which on writing takes long enough to be watched.
const LONG: u64 = 16 << 20;

/// Directories that were made to write to, the innermost first. Those that are still empty when
/// this is dropped are taken away: a failure leaves nothing.
#[must_use]
pub(crate) struct Made(Vec<PathBuf>);

impl Drop for Made {
    fn drop(&mut self) {
        // One that is not empty stays, and with it all above.
        let _ = self.0.iter().try_for_each(fs::remove_dir);
    }
}

/// Makes `dir` and what is missing above it.
pub(crate) fn directory(dir: &Path) -> io::Result<Made> {
    let missing = dir.ancestors().take_while(|it| !it.as_os_str().is_empty() && !it.exists());
    let made = Made(missing.map(Path::to_owned).collect());
    fs::create_dir_all(dir)
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", dir.display())))?;
    Ok(made)
}

/// Writes `blob` to the file `what` names, whole or not at all, and says so.
pub(crate) fn file(blob: &Blob, name: &str, what: What<'_>, render: &dyn Render) -> io::Result<()> {
    persist(blob, what.path(), render)?;
    render.written(&Written { what, name, size: blob.len() })
}

/// Writes `blob` to a file, whole or not at all.
pub(crate) fn persist(blob: &Blob, path: &Path, render: &dyn Render) -> io::Result<()> {
    watched(blob, &path.display().to_string(), render, |on_bytes| blob.persist(path, on_bytes))
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

/// Streams a gzipped tar archive with `blob` in it, under `name`, to stdout.
pub(crate) fn tar_gz_to_stdout(
    blob: &Blob,
    name: &str,
    epoch: u64,
    scratch: &Scratch,
    threads: NonZeroUsize,
    render: &dyn Render,
) -> anyhow::Result<()> {
    let mut tree = Tree::new();
    tree.insert(TreePath::new(name)?, Node::file(blob.clone(), 0o644));
    let archive = tar::archive(&tree, epoch).map_err(Error::from)?;
    let step = Step::Pack;
    render.on(&Event::Started { step, subject: name, total: Some(archive.len()) });
    let packed = compress::compress_sparse(
        Method::Gzip { level: GZIP_LEVEL },
        &archive,
        &mut Spool::new(scratch),
        threads.get(),
        &mut |bytes| render.on(&Event::Advanced { step, subject: name, bytes }),
    )
    .map_err(Error::from)?;
    render.on(&Event::Finished { step, subject: name });
    Ok(stdout(&packed, render)?)
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

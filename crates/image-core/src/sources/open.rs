//! How a place is written.

use super::{Error, Layout, Result, Source};
use crate::{blob::Blob, formats::tar};
use std::{path::Path, sync::Arc};

/// Opens the place `text` names: `oci:DIR`, `oci-archive:FILE`, `docker-archive:FILE`, or the
/// bare path of one of these, told apart by what is there.
///
/// # Errors
/// [`Error::Place`] if `text` means none, [`Error::Unsupported`] for a registry, else as
/// [`Layout::directory`].
pub fn open(text: &str) -> Result<Arc<dyn Source>> {
    let layout = match text.split_once(':') {
        Some(("oci", dir)) => directory(text, Path::new(dir)),
        Some(("oci-archive", file)) => Layout::archive(Path::new(file), &blob(text, file)?),
        Some(("docker-archive", file)) => {
            Layout::docker_archive(Path::new(file), &blob(text, file)?)
        }
        Some(("registry", _)) => Err(Error::unsupported(
            text,
            "registries are not read: copy the image into an OCI layout first, as with \
             `skopeo copy --all docker://NAME oci:DIR:NAME`",
        )),
        _ => bare(text),
    };
    Ok(Arc::new(layout?))
}

fn directory(text: &str, dir: &Path) -> Result<Layout> {
    if dir.is_file() {
        let why = "this is a file: write oci-archive: or docker-archive: before its path";
        return Err(Error::place(text, why));
    }
    if !dir.is_dir() {
        return Err(Error::place(text, "there is no such directory: mend the path"));
    }
    Layout::directory(dir)
}

fn bare(text: &str) -> Result<Layout> {
    let path = Path::new(text);
    if path.is_dir() {
        return Layout::directory(path);
    }
    if !path.exists() {
        let why = "there is no such file or directory: write oci:DIR, oci-archive:FILE, \
                   docker-archive:FILE, or the path of one of these";
        return Err(Error::place(text, why));
    }
    let archive = blob(text, text)?;
    // A layout is preferred where both are; whatever else is wrong is said by the OCI reader.
    let is_docker = tar::tree(&archive).is_ok_and(|tree| {
        tree.file("index.json").is_none() && tree.file("manifest.json").is_some()
    });
    if is_docker { Layout::docker_archive(path, &archive) } else { Layout::archive(path, &archive) }
}

fn blob(text: &str, path: &str) -> Result<Blob> {
    if Path::new(path).is_dir() {
        return Err(Error::place(text, "this is a directory: write oci: before its path"));
    }
    if !Path::new(path).exists() {
        return Err(Error::place(text, "there is no such file: mend the path"));
    }
    Blob::open(Path::new(path)).map_err(|error| Error::io(text, error))
}

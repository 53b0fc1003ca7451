//! A file that has no name until it is whole.

use std::{fs::File, io, path::Path};
use tempfile::NamedTempFile;

/// An output being written. Dropped before it is published, it leaves nothing behind.
#[derive(Debug)]
pub(super) enum Draft {
    /// A file without a name, which vanishes however the process ends.
    #[cfg(target_os = "linux")]
    Unnamed(File),
    /// A hidden sibling, for file systems without such files; only a kill leaves it behind.
    Sibling(NamedTempFile),
}

impl Draft {
    /// A draft in `dir`, with the mode of a file made by `open`.
    pub(super) fn new(dir: &Path) -> io::Result<Self> {
        #[cfg(target_os = "linux")]
        if let Some(file) = unnamed(dir)? {
            return Ok(Self::Unnamed(file));
        }
        let mut builder = tempfile::Builder::new();
        builder.prefix(".talos-image-").suffix(".part");
        // tempfile's own mode would keep the artifact private to its owner.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        Ok(Self::Sibling(builder.tempfile_in(dir)?))
    }

    pub(super) fn file(&self) -> &File {
        match self {
            #[cfg(target_os = "linux")]
            Self::Unnamed(file) => file,
            Self::Sibling(sibling) => sibling.as_file(),
        }
    }

    /// Gives the draft its name, in place of what was there.
    pub(super) fn publish(self, path: &Path) -> io::Result<()> {
        match self {
            #[cfg(target_os = "linux")]
            Self::Unnamed(file) => link(&file, path),
            Self::Sibling(sibling) => sibling.persist(path).map(drop).map_err(|error| error.error),
        }
    }
}

/// A file without a name in `dir`; none if this file system has no such files, or no `/proc`
/// by which to name it later.
#[cfg(target_os = "linux")]
fn unnamed(dir: &Path) -> io::Result<Option<File>> {
    use rustix::{
        fs::{Mode, OFlags},
        io::Errno,
    };
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    match rustix::fs::open(dir, flags, Mode::from_raw_mode(0o666)) {
        Ok(file) => Ok(Path::new("/proc/self/fd").exists().then(|| file.into())),
        Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Names an unnamed file. A link never replaces a file, so where one is in the way the link
/// gets a name beside it, which is then renamed.
#[cfg(target_os = "linux")]
fn link(file: &File, path: &Path) -> io::Result<()> {
    use rustix::{
        fs::{AtFlags, CWD, linkat},
        io::Errno,
    };
    use std::os::fd::AsRawFd;
    let open = format!("/proc/self/fd/{}", file.as_raw_fd());
    let name = |path: &Path| linkat(CWD, open.as_str(), CWD, path, AtFlags::SYMLINK_FOLLOW);
    match name(path) {
        Err(Errno::EXIST) => {
            let hidden = path.with_file_name(format!(
                ".{}.{}.part",
                path.file_name().unwrap_or_default().to_string_lossy(),
                std::process::id()
            ));
            name(&hidden)?;
            std::fs::rename(&hidden, path).inspect_err(|_| {
                let _ = std::fs::remove_file(&hidden);
            })
        }
        result => result.map_err(io::Error::from),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        fs,
        io::{Read, Write},
    };

    #[test]
    fn a_draft_shows_only_when_published_and_replaces_what_was_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("image");
        let listing = || {
            let names = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name());
            names.collect::<Vec<_>>()
        };
        for content in ["first", "second"] {
            let before = listing();
            let draft = Draft::new(dir.path()).unwrap();
            let mut file = draft.file();
            file.write_all(content.as_bytes()).unwrap();
            if matches!(draft, Draft::Unnamed(_)) {
                assert_eq!(listing(), before);
            }
            draft.publish(&path).unwrap();
            let mut read = String::new();
            crate::blob::Blob::open(&path).unwrap().reader().read_to_string(&mut read).unwrap();
            assert_eq!(read, content);
            assert_eq!(listing(), ["image"]);
        }
        drop(Draft::new(dir.path()).unwrap());
        assert_eq!(listing(), ["image"]);
    }
}

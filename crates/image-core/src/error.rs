//! The one error that leaves this crate.

use crate::{
    formats::{self, Fault},
    signature, sources, talos,
    tree::PathError,
};
use std::{fmt, io};

/// What a caller can act on. The command maps each to an exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The request or a file named in it is wrong: mend the request.
    Input,
    /// Sound, but not something this version does.
    Unsupported,
    /// A source lacks an image, or holds it damaged: mend the source.
    Source,
    /// The operating system refused to read or write.
    Io,
    /// The parts are sound but cannot be joined: something does not fit.
    Assembly,
    /// A signature is made elsewhere, and is not here yet: have it made and come back.
    Awaited,
    /// A mistake in this crate.
    Bug,
}

/// What failed while what was being done. Prints as one line, causes included.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    /// Outermost first.
    doing: Vec<String>,
    what: String,
}

/// This crate's answer.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of `kind` that says `what` is wrong and how to mend it.
    pub fn new(kind: ErrorKind, what: impl Into<String>) -> Self {
        Self { kind, doing: Vec::new(), what: what.into() }
    }

    /// What a caller can act on.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The same error, naming what was being done or to which thing.
    #[must_use]
    pub fn during(mut self, doing: impl Into<String>) -> Self {
        let doing = doing.into();
        match self.doing.first_mut() {
            // "initramfs a.xz: initramfs: …" would say it twice.
            Some(format) if doing.starts_with(format.as_str()) => *format = doing,
            _ => self.doing.insert(0, doing),
        }
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for doing in &self.doing {
            write!(f, "{doing}: ")?;
        }
        f.write_str(&self.what)
    }
}

impl std::error::Error for Error {}

impl From<formats::Error> for Error {
    fn from(error: formats::Error) -> Self {
        let kind = match error.fault() {
            Fault::Corrupt { .. } => ErrorKind::Input,
            Fault::Signature(error) => kind_of(error),
            Fault::Unsupported(_) => ErrorKind::Unsupported,
            Fault::Invalid(_) | Fault::TooLarge { .. } => ErrorKind::Assembly,
            Fault::Io(_) => ErrorKind::Io,
            Fault::Bug(_) => ErrorKind::Bug,
        };
        let text = error.to_string();
        let format = error.format();
        match text.strip_prefix(format).and_then(|rest| rest.strip_prefix(": ")) {
            Some(what) => Self::new(kind, what).during(format),
            None => Self::new(kind, text),
        }
    }
}

impl From<sources::Error> for Error {
    fn from(error: sources::Error) -> Self {
        use sources::Error as Cause;
        let kind = match &error {
            Cause::Place { .. } => ErrorKind::Input,
            Cause::Unsupported { .. } => ErrorKind::Unsupported,
            Cause::Io { .. } => ErrorKind::Io,
            Cause::Format { error, .. } => match error.fault() {
                Fault::Unsupported(_) => ErrorKind::Unsupported,
                Fault::Io(_) => ErrorKind::Io,
                Fault::Bug(_) => ErrorKind::Bug,
                _ => ErrorKind::Source,
            },
            _ => ErrorKind::Source,
        };
        Self::new(kind, error.to_string())
    }
}

impl From<talos::Error> for Error {
    fn from(error: talos::Error) -> Self {
        let kind = match error {
            talos::Error::Input(_) => ErrorKind::Input,
            talos::Error::Unsupported(_) => ErrorKind::Unsupported,
        };
        Self::new(kind, error.to_string())
    }
}

impl From<signature::Error> for Error {
    fn from(error: signature::Error) -> Self {
        Self::new(kind_of(&error), error.to_string())
    }
}

fn kind_of(error: &signature::Error) -> ErrorKind {
    match error {
        signature::Error::Signer(_) => ErrorKind::Io,
        signature::Error::Awaited(_) => ErrorKind::Awaited,
        _ => ErrorKind::Input,
    }
}

impl From<PathError> for Error {
    fn from(error: PathError) -> Self {
        Self::new(ErrorKind::Input, error.to_string())
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        let kind = match error.kind() {
            // A file that was named and is not there, or, so `Blob` says, is too long to be
            // what it should be.
            io::ErrorKind::NotFound | io::ErrorKind::InvalidData => ErrorKind::Input,
            _ => ErrorKind::Io,
        };
        Self::new(kind, error.to_string())
    }
}

/// Names the thing while an error travels up.
pub(crate) trait During<T> {
    /// Adds what was being done, or to which thing.
    fn during(self, doing: impl FnOnce() -> String) -> Result<T>;
}

impl<T, E: Into<Error>> During<T> for std::result::Result<T, E> {
    fn during(self, doing: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|error| error.into().during(doing()))
    }
}

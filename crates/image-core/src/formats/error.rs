//! The one error every format reports with.

use crate::{blob::Overlap, signature};
use std::{fmt, io};

/// What went wrong in a format, and where in its bytes.
///
/// Built with [`Error::corrupt`] and its siblings, so that each format names itself once.
#[derive(Debug, thiserror::Error)]
pub struct Error {
    format: &'static str,
    fault: Fault,
}

/// The ways in which a format's reader or writer can fail.
#[derive(Debug)]
#[non_exhaustive]
pub enum Fault {
    /// The bytes break the format's rules at `at` (bytes from the start of the thing read).
    Corrupt {
        /// Offset in bytes.
        at: u64,
        /// The field, and what is wrong with it.
        what: String,
    },
    /// The bytes are sound but use something this crate does not do.
    Unsupported(String),
    /// What was to be written has no form in this format.
    Invalid(String),
    /// Something does not fit: it needs `need` bytes and there are `have`.
    TooLarge {
        /// What does not fit.
        what: String,
        /// Bytes needed.
        need: u64,
        /// Bytes there are.
        have: u64,
    },
    /// Reading or writing failed underneath.
    Io(io::Error),
    /// A key or its signature is missing, or is not what it should be.
    Signature(signature::Error),
    /// A mistake in this crate.
    Bug(String),
}

/// A format's answer.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// The bytes at offset `at` break the rules of `format`.
    pub fn corrupt(format: &'static str, at: u64, what: impl Into<String>) -> Self {
        Self { format, fault: Fault::Corrupt { at, what: what.into() } }
    }

    /// Sound, but not something this crate reads or writes.
    pub fn unsupported(format: &'static str, what: impl Into<String>) -> Self {
        Self { format, fault: Fault::Unsupported(what.into()) }
    }

    /// What was asked to be written has no form in `format`.
    pub fn invalid(format: &'static str, what: impl Into<String>) -> Self {
        Self { format, fault: Fault::Invalid(what.into()) }
    }

    /// `what` needs `need` bytes where there are `have`.
    pub fn too_large(format: &'static str, what: impl Into<String>, need: u64, have: u64) -> Self {
        Self { format, fault: Fault::TooLarge { what: what.into(), need, have } }
    }

    /// I/O failed while `format` was read or written. An error of another format's, carried
    /// through a [`Read`](io::Read) in between, comes out as what it was.
    pub fn io(format: &'static str, source: io::Error) -> Self {
        match source.downcast::<Self>() {
            Ok(error) => error,
            Err(source) => Self { format, fault: Fault::Io(source) },
        }
    }

    /// Signing, or taking in a key, failed.
    pub fn signature(format: &'static str, source: signature::Error) -> Self {
        Self { format, fault: Fault::Signature(source) }
    }

    /// A writer placed two parts over each other.
    pub fn overlap(format: &'static str, overlap: Overlap) -> Self {
        Self { format, fault: Fault::Bug(overlap.to_string()) }
    }

    /// The same error, naming the one of many files it is about.
    #[must_use]
    pub fn within(mut self, file: &str) -> Self {
        let named = |what: &str| format!("{file}: {what}");
        match &mut self.fault {
            Fault::Corrupt { what, .. }
            | Fault::Unsupported(what)
            | Fault::Invalid(what)
            | Fault::TooLarge { what, .. }
            | Fault::Bug(what)
            | Fault::Signature(
                signature::Error::Key(what)
                | signature::Error::Signer(what)
                | signature::Error::Awaited(what),
            ) => *what = named(what),
            Fault::Io(error) => *error = io::Error::new(error.kind(), named(&error.to_string())),
        }
        self
    }

    /// The format's name, as in its specification.
    pub fn format(&self) -> &'static str {
        self.format
    }

    /// What went wrong.
    pub fn fault(&self) -> &Fault {
        &self.fault
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { format, fault } = self;
        match fault {
            // At byte 0 the whole of it is meant.
            Fault::Corrupt { at: 0, what } | Fault::Invalid(what) => write!(f, "{format}: {what}"),
            Fault::Corrupt { at, what } => write!(f, "{format}: at byte {at}: {what}"),
            Fault::Unsupported(what) => write!(f, "{format}: {what} is not supported"),
            Fault::TooLarge { what, need, have } => write!(
                f,
                "{format}: {what} needs {need} bytes, there is room for {have}: {} too many",
                need.saturating_sub(*have)
            ),
            Fault::Io(source) => write!(f, "{format}: {source}"),
            Fault::Signature(source) => write!(f, "{format}: {source}"),
            Fault::Bug(what) => write!(f, "{format}: {what}; this is a bug"),
        }
    }
}

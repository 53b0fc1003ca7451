//! What can be wrong with a place or with what lies there.

use super::MAX_JSON;
use crate::{
    blob::{Blob, Digest},
    formats::{
        self,
        oci::{Descriptor, Platform, Reference},
    },
};
use std::io;

/// Why an image could not be had. Prints as one line that says how to mend it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No source has an image of that name.
    #[error("no image {reference} in {}{}", list(searched, "any source"), hint(nearest))]
    NotFound {
        /// What was looked for.
        reference: Box<Reference>,
        /// Where.
        searched: Vec<String>,
        /// The names most like it, the nearest first.
        nearest: Vec<String>,
    },
    /// The image is there, but not for this platform.
    #[error(
        "{place}: {reference} is not there for {wanted}, only for {}: \
         bring the image for {wanted}, or build for what is there",
        list(there, "no platform at all")
    )]
    WrongPlatform {
        /// The source.
        place: String,
        /// What was looked for.
        reference: Box<Reference>,
        /// The platform asked for.
        wanted: Box<Platform>,
        /// The platforms there are.
        there: Vec<Platform>,
    },
    /// The name's tag points at something else than the name's digest.
    #[error(
        "{place}: {reference} does not fit together, the tag points at {found} here: \
         bring the image of that digest (if it is of several platforms and only one was copied, \
         `skopeo copy --all` brings all), or leave out the tag or the digest"
    )]
    TagMoved {
        /// The source.
        place: String,
        /// What was looked for, with tag and digest.
        reference: Box<Reference>,
        /// What the tag points at.
        found: Digest,
    },
    /// One name stands for several images.
    #[error(
        "{place}: {reference} names several images ({}): name one by its digest",
        list(found, "none")
    )]
    Ambiguous {
        /// The source.
        place: String,
        /// What was looked for.
        reference: Box<Reference>,
        /// The images.
        found: Vec<Digest>,
    },
    /// A document lists content that is not there.
    #[error("{place}: the blob {digest} is missing: copy the image again, whole")]
    Missing {
        /// The source.
        place: String,
        /// The content.
        digest: Digest,
    },
    /// Content has another length than its descriptor says.
    #[error(
        "{place}: the blob {digest} has {found} bytes instead of {expected}: \
         it is damaged, copy the image again"
    )]
    Length {
        /// The source.
        place: String,
        /// The content.
        digest: Digest,
        /// The descriptor's size, in bytes.
        expected: u64,
        /// The bytes that are there.
        found: u64,
    },
    /// Content has another digest than its descriptor says.
    #[error(
        "{place}: the blob {expected} has the digest {found}: \
         it is damaged or was tampered with, copy the image again"
    )]
    Digest {
        /// The source.
        place: String,
        /// The descriptor's digest.
        expected: Digest,
        /// The content's.
        found: Digest,
    },
    /// A document or archive breaks the rules of its format.
    #[error("{place}: {what}")]
    Corrupt {
        /// The source.
        place: String,
        /// What is wrong with what.
        what: String,
    },
    /// Reading an image's content failed.
    #[error("{place}: {reference}: {error}")]
    Format {
        /// The source.
        place: String,
        /// The image.
        reference: Box<Reference>,
        /// What the format's reader said.
        error: formats::Error,
    },
    /// Sound, but not read by this version.
    #[error("{place}: {what}")]
    Unsupported {
        /// The source.
        place: String,
        /// What is not read, and what to do instead.
        what: String,
    },
    /// The place is written in a way that means none.
    #[error("{text}: {why}")]
    Place {
        /// What was written.
        text: String,
        /// What is wrong with it, and how to mend it.
        why: String,
    },
    /// The operating system refused to read.
    #[error("{place}: {error}")]
    Io {
        /// The source.
        place: String,
        /// What it answered.
        error: io::Error,
    },
}

/// A source's answer.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub(super) fn io(place: &str, error: io::Error) -> Self {
        Self::Io { place: place.to_owned(), error }
    }

    pub(super) fn place(text: &str, why: &str) -> Self {
        Self::Place { text: text.to_owned(), why: why.to_owned() }
    }

    pub(super) fn corrupt(place: &str, what: impl Into<String>) -> Self {
        Self::Corrupt { place: place.to_owned(), what: what.into() }
    }

    pub(super) fn unsupported(place: &str, what: impl Into<String>) -> Self {
        Self::Unsupported { place: place.to_owned(), what: what.into() }
    }

    pub(super) fn format(place: &str, reference: &Reference, error: formats::Error) -> Self {
        Self::Format { place: place.to_owned(), reference: Box::new(reference.clone()), error }
    }

    /// What a format's reader says of the place's own documents, which belong to no one image.
    pub(super) fn document(place: &str, error: &formats::Error) -> Self {
        let what = error.to_string();
        match error.fault() {
            formats::Fault::Unsupported(_) => Self::unsupported(place, what),
            formats::Fault::Io(error) => Self::io(place, io::Error::new(error.kind(), what)),
            _ => Self::corrupt(place, what),
        }
    }
}

fn list<T: ToString>(items: &[T], none: &str) -> String {
    match items {
        [] => none.to_owned(),
        items => items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    }
}

fn hint(nearest: &[String]) -> String {
    match nearest {
        [] => ": add a source that holds it".to_owned(),
        nearest => format!(": add a source that holds it, or did you mean {}?", nearest.join(", ")),
    }
}

/// The bytes of the document `descriptor` names, held against its length and digest.
pub(super) fn small(place: &str, blob: &Blob, descriptor: &Descriptor) -> Result<Vec<u8>> {
    sized(place, blob, descriptor)?;
    if descriptor.size > MAX_JSON {
        let what = format!(
            "the document {} has {} bytes, more than the {MAX_JSON} one may have: rebuild the image",
            descriptor.digest, descriptor.size
        );
        return Err(Error::corrupt(place, what));
    }
    let bytes = blob.to_vec(MAX_JSON).map_err(|error| Error::io(place, error))?;
    let found = Digest::of(&bytes);
    if found != descriptor.digest {
        return Err(Error::Digest { place: place.to_owned(), expected: descriptor.digest, found });
    }
    Ok(bytes)
}

/// Refuses a blob of another length than its descriptor's.
pub(super) fn sized(place: &str, blob: &Blob, descriptor: &Descriptor) -> Result<()> {
    if blob.len() == descriptor.size {
        return Ok(());
    }
    Err(Error::Length {
        place: place.to_owned(),
        digest: descriptor.digest,
        expected: descriptor.size,
        found: blob.len(),
    })
}

//! OCI images: names, manifests, layers (image-spec 1.1, and Docker's image manifest version 2,
//! schema 2, which differs in media types only).
//!
//! Where images lie is the business of [`sources`](crate::sources); this module reads and
//! writes the bytes.

mod descriptor;
mod image;
mod layer;
mod manifest;
mod reference;

pub use descriptor::{Descriptor, Encoding, Platform, media_type};
pub(crate) use image::blob_path;
pub use image::{Image, Layer, Named, docker_archive, image, layer, layout};
pub use layer::{Rules, apply};
pub use manifest::{Config, Document, Index, Manifest};
pub use reference::{ParseReferenceError, Reference};

const FORMAT: &str = "OCI image";

/// The most bytes an index, manifest or config may have (the limit registries hold to).
pub const MAX_JSON: u64 = 4 << 20;

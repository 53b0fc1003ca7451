//! What content is, how long it is, and by which digest it is named.

use super::FORMAT;
use crate::{
    blob::Digest,
    formats::{Error, Result},
};
use oci_spec::image as spec;
use std::{collections::BTreeMap, fmt, str::FromStr};

/// Media types of OCI, and Docker's of the same content.
pub mod media_type {
    /// An image manifest.
    pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    /// An image index.
    pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
    /// An image's configuration.
    pub const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
    /// A plain tar layer; `+gzip` or `+zstd` after it says how it is compressed.
    pub const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
    /// Docker's image manifest.
    pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
    /// Docker's manifest list.
    pub const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
    /// Docker's image configuration.
    pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
}

/// How a layer is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Not at all.
    Plain,
    /// gzip (RFC 1952).
    Gzip,
    /// Zstandard (RFC 8878).
    Zstd,
}

/// Content by digest (image-spec, "OCI Content Descriptors").
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What it is.
    pub media_type: String,
    /// The SHA-256 of its bytes.
    pub digest: Digest,
    /// How many bytes it has.
    pub size: u64,
    /// On what it runs, where the descriptor says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// Whatever else was noted.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// Operating system and processor, in Go's words. Prints as `os/architecture[/variant]`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct Platform {
    /// `linux` and its like (GOOS).
    pub os: String,
    /// `amd64`, `arm64` and their like (GOARCH).
    pub architecture: String,
    /// A variant of the processor, such as `v8`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

impl Descriptor {
    /// A descriptor of `bytes`.
    pub fn of(media_type: impl Into<String>, bytes: &[u8]) -> Self {
        Self::new(media_type, Digest::of(bytes), bytes.len() as u64)
    }

    /// A descriptor without platform and annotations.
    pub fn new(media_type: impl Into<String>, digest: Digest, size: u64) -> Self {
        let media_type = media_type.into();
        Self { media_type, digest, size, platform: None, annotations: BTreeMap::new() }
    }

    /// Whether it is an image index or Docker's manifest list.
    pub fn is_index(&self) -> bool {
        matches!(self.media_type.as_str(), media_type::INDEX | media_type::DOCKER_INDEX)
    }

    /// Whether it is an image manifest, OCI's or Docker's.
    pub fn is_manifest(&self) -> bool {
        matches!(self.media_type.as_str(), media_type::MANIFEST | media_type::DOCKER_MANIFEST)
    }

    /// Whether it is no image but a note about one: BuildKit's attestations stand among an
    /// index's manifests with this mark.
    pub fn is_attestation(&self) -> bool {
        let key = "vnd.docker.reference.type";
        self.annotations.get(key).is_some_and(|kind| kind == "attestation-manifest")
    }

    pub(super) fn from_spec(from: &spec::Descriptor) -> Result<Self> {
        let digest: &str = from.digest().as_ref();
        Ok(Self {
            media_type: from.media_type().to_string(),
            digest: digest.parse().map_err(|_| {
                Error::unsupported(FORMAT, format!("digest {digest:?} (only sha256 is read; it)"))
            })?,
            size: from.size(),
            platform: from.platform().as_ref().map(Platform::from_spec),
            annotations: from.annotations().clone().unwrap_or_default().into_iter().collect(),
        })
    }

    pub(super) fn to_spec(&self) -> Result<spec::Descriptor> {
        let digest: spec::Digest = self.digest.to_string().parse().map_err(bug)?;
        let mut to = spec::Descriptor::new(self.media_type.as_str().into(), self.size, digest);
        if let Some(platform) = &self.platform {
            let mut to_platform = spec::Platform::default();
            to_platform.set_os(platform.os.as_str().into());
            to_platform.set_architecture(platform.architecture.as_str().into());
            to_platform.set_variant(platform.variant.clone());
            to.set_platform(Some(to_platform));
        }
        if !self.annotations.is_empty() {
            to.set_annotations(Some(self.annotations.clone().into_iter().collect()));
        }
        Ok(to)
    }
}

fn bug(error: impl fmt::Display) -> Error {
    Error::invalid(FORMAT, error.to_string())
}

impl Platform {
    /// `os/architecture`, of no variant.
    pub fn new(os: impl Into<String>, architecture: impl Into<String>) -> Self {
        Self { os: os.into(), architecture: architecture.into(), variant: None }
    }

    /// Whether an image for `self` runs where `wanted` is asked for: same system and processor,
    /// and the same variant unless none is asked for (`arm64` has one baseline, `v8`).
    pub fn serves(&self, wanted: &Self) -> bool {
        self.os == wanted.os
            && self.architecture == wanted.architecture
            && (wanted.variant.is_none() || self.baseline() == wanted.baseline())
    }

    /// The variant, none for what every processor of the architecture is.
    pub fn baseline(&self) -> Option<&str> {
        let implied = match self.architecture.as_str() {
            "arm64" => "v8",
            "amd64" => "v1",
            _ => "",
        };
        self.variant.as_deref().filter(|variant| !variant.is_empty() && *variant != implied)
    }

    fn from_spec(from: &spec::Platform) -> Self {
        Self {
            os: from.os().to_string(),
            architecture: from.architecture().to_string(),
            variant: from.variant().clone(),
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        match &self.variant {
            Some(variant) => write!(f, "/{variant}"),
            None => Ok(()),
        }
    }
}

impl FromStr for Platform {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let parts: Vec<&str> = text.split('/').collect();
        let (os, architecture, variant) = match parts[..] {
            [os, architecture] => (os, architecture, None),
            [os, architecture, variant] => (os, architecture, Some(variant.to_owned())),
            _ => ("", "", None),
        };
        if os.is_empty() || architecture.is_empty() {
            let what = format!("{text:?} is no platform; expected os/architecture[/variant]");
            return Err(Error::invalid(FORMAT, what));
        }
        Ok(Self { os: os.to_owned(), architecture: architecture.to_owned(), variant })
    }
}

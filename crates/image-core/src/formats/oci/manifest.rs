//! The JSON documents of an image: index, manifest, configuration.

use super::{Descriptor, FORMAT, MAX_JSON, Platform, media_type};
use crate::{
    blob::{Blob, Digest},
    formats::{Error, Result},
};
use oci_spec::image as spec;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// A list of manifests, or of further indexes (image-spec, "OCI Image Index Specification").
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Index {
    /// What it lists, in order.
    pub manifests: Vec<Descriptor>,
    /// What was noted on the index itself.
    pub annotations: BTreeMap<String, String>,
}

/// One image (image-spec, "OCI Image Manifest Specification").
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// Its configuration.
    pub config: Descriptor,
    /// Its layers, the lowest first.
    pub layers: Vec<Descriptor>,
    /// What was noted on the manifest itself.
    pub annotations: BTreeMap<String, String>,
}

/// What an image's configuration says of its files ("OCI Image Configuration").
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// On what it runs; none in an artifact that only borrows the form of an image.
    pub platform: Option<Platform>,
    /// The digests of the uncompressed layers, the lowest first.
    pub diff_ids: Vec<Digest>,
    /// The whole document.
    pub json: Map<String, Value>,
}

/// What stands behind a descriptor among an index's manifests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Document {
    /// A list.
    Index(Index),
    /// One image.
    Manifest(Manifest),
}

fn not_one(what: &str, error: &serde_json::Error) -> Error {
    Error::corrupt(FORMAT, 0, format!("no {what}: {error}"))
}

fn read<T: serde::de::DeserializeOwned>(what: &str, bytes: &[u8]) -> Result<T> {
    if bytes.len() as u64 > MAX_JSON {
        return Err(Error::too_large(FORMAT, what, bytes.len() as u64, MAX_JSON));
    }
    serde_json::from_slice(bytes).map_err(|error| not_one(what, &error))
}

/// The bytes of a document. By way of a `Value`, whose maps are sorted: the maps in
/// `oci_spec`'s types are in another order on every run.
fn write<T: serde::Serialize>(document: &T) -> Result<Vec<u8>> {
    let value = serde_json::to_value(document);
    let bytes = value.and_then(|value| serde_json::to_vec(&value));
    bytes.map_err(|error| Error::invalid(FORMAT, error.to_string()))
}

fn descriptors(from: &[spec::Descriptor]) -> Result<Vec<Descriptor>> {
    from.iter().map(Descriptor::from_spec).collect()
}

fn notes(from: Option<&std::collections::HashMap<String, String>>) -> BTreeMap<String, String> {
    from.into_iter().flatten().map(|(key, value)| (key.clone(), value.clone())).collect()
}

impl Document {
    /// Reads an index or a manifest, told apart by what the document holds: it is the bytes that
    /// a digest vouches for, not the media type some other document gives them.
    ///
    /// # Errors
    /// `Corrupt` for what is neither, `TooLarge` past [`MAX_JSON`], `Unsupported` for digests
    /// other than SHA-256 and for Docker's first schema.
    pub fn read(bytes: &[u8]) -> Result<Self> {
        let json: Map<String, Value> = read("index or manifest", bytes)?;
        if json.get("schemaVersion").and_then(Value::as_u64) == Some(1) {
            return Err(Error::unsupported(FORMAT, "an image manifest of schema version 1"));
        }
        if json.contains_key("manifests") {
            return Index::read(bytes).map(Self::Index);
        }
        Manifest::read(bytes).map(Self::Manifest)
    }
}

impl Index {
    /// Reads an image index or Docker's manifest list.
    ///
    /// # Errors
    /// As [`Document::read`].
    pub fn read(bytes: &[u8]) -> Result<Self> {
        let index: spec::ImageIndex = read("image index", bytes)?;
        Ok(Self {
            manifests: descriptors(index.manifests())?,
            annotations: notes(index.annotations().as_ref()),
        })
    }

    /// The document, the same bytes for the same index.
    ///
    /// # Errors
    /// None that valid descriptors can cause.
    pub fn write(&self) -> Result<Vec<u8>> {
        let mut index = spec::ImageIndex::default();
        index.set_schema_version(spec::SCHEMA_VERSION);
        index.set_media_type(Some(media_type::INDEX.into()));
        let manifests: Result<_> = self.manifests.iter().map(Descriptor::to_spec).collect();
        index.set_manifests(manifests?);
        if !self.annotations.is_empty() {
            index.set_annotations(Some(self.annotations.clone().into_iter().collect()));
        }
        write(&index)
    }
}

impl Manifest {
    /// Reads an image manifest, OCI's or Docker's.
    ///
    /// # Errors
    /// As [`Document::read`].
    pub fn read(bytes: &[u8]) -> Result<Self> {
        let manifest: spec::ImageManifest = read("image manifest", bytes)?;
        Ok(Self {
            config: Descriptor::from_spec(manifest.config())?,
            layers: descriptors(manifest.layers())?,
            annotations: notes(manifest.annotations().as_ref()),
        })
    }

    /// The document, the same bytes for the same manifest.
    ///
    /// # Errors
    /// None that valid descriptors can cause.
    pub fn write(&self) -> Result<Vec<u8>> {
        let layers: Result<Vec<_>> = self.layers.iter().map(Descriptor::to_spec).collect();
        let manifest = spec::ImageManifestBuilder::default()
            .schema_version(spec::SCHEMA_VERSION)
            .media_type(media_type::MANIFEST)
            .config(self.config.to_spec()?)
            .layers(layers?)
            .build();
        let mut manifest = manifest.map_err(|error| Error::invalid(FORMAT, error.to_string()))?;
        if !self.annotations.is_empty() {
            manifest.set_annotations(Some(self.annotations.clone().into_iter().collect()));
        }
        write(&manifest)
    }

    /// The manifest's own descriptor and bytes.
    ///
    /// # Errors
    /// As [`Manifest::write`].
    pub fn described(&self) -> Result<(Descriptor, Blob)> {
        let bytes = self.write()?;
        Ok((Descriptor::of(media_type::MANIFEST, &bytes), Blob::from(bytes)))
    }
}

impl Config {
    /// Reads a configuration. An artifact's may be any JSON object: then nothing is known.
    ///
    /// # Errors
    /// `Corrupt` for what is no JSON object or has malformed digests, `TooLarge` past
    /// [`MAX_JSON`].
    pub fn read(bytes: &[u8]) -> Result<Self> {
        let json: Map<String, Value> = read("image configuration", bytes)?;
        let text = |key| json.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
        let platform = match (text("os"), text("architecture")) {
            (Some(os), Some(architecture)) => Some(Platform {
                variant: text("variant").map(str::to_owned),
                ..Platform::new(os, architecture)
            }),
            _ => None,
        };
        let ids = json.get("rootfs").and_then(|rootfs| rootfs.get("diff_ids"));
        let diff_ids = ids.and_then(Value::as_array).into_iter().flatten();
        let diff_ids = diff_ids.map(|id| {
            let id = id.as_str().unwrap_or_default();
            id.parse().map_err(|error| Error::corrupt(FORMAT, 0, format!("diff_ids: {error}")))
        });
        let diff_ids = diff_ids.collect::<Result<_>>()?;
        Ok(Self { platform, diff_ids, json })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_read_back_and_are_the_same_bytes_every_time() {
        let mut layer = Descriptor::of(media_type::LAYER, b"layer");
        layer.annotations = (0..20).map(|i| (format!("key{i}"), format!("{i}"))).collect();
        let mut config = Descriptor::of(media_type::CONFIG, b"{}");
        config.platform = Some("linux/arm64/v8".parse().unwrap());
        let annotations = layer.annotations.clone();
        let manifest = Manifest { config, layers: vec![layer.clone()], annotations };
        let bytes = manifest.write().unwrap();
        for _ in 0..9 {
            assert_eq!(manifest.write().unwrap(), bytes);
        }
        assert_eq!(Document::read(&bytes).unwrap(), Document::Manifest(manifest.clone()));
        let annotations = BTreeMap::from([("a".to_owned(), "b".to_owned())]);
        let index = Index { manifests: vec![layer], annotations };
        assert_eq!(Document::read(&index.write().unwrap()).unwrap(), Document::Index(index));
    }

    #[test]
    fn what_is_no_document_is_refused() {
        let digest = Digest::of(b"");
        let descriptor = |digest: &str, size: &str| {
            format!(r#"{{"mediaType":"a/b","digest":"{digest}","size":{size}}}"#)
        };
        let index =
            |descriptor: String| format!(r#"{{"schemaVersion":2,"manifests":[{descriptor}]}}"#);
        let right = digest.to_string();
        assert!(Document::read(index(descriptor(&right, "0")).as_bytes()).is_ok());
        for (what, text) in [
            ("nothing", String::new()),
            ("no object", "[]".to_owned()),
            ("an object of something else", "{}".to_owned()),
            ("cut short", index(descriptor(&right, "0"))[..50].to_owned()),
            ("schema 1", r#"{"schemaVersion":1}"#.to_owned()),
            ("a negative size", index(descriptor(&right, "-1"))),
            ("a size over 64 bits", index(descriptor(&right, "99999999999999999999"))),
            ("another algorithm", index(descriptor(&format!("sha512:{}", "0".repeat(128)), "0"))),
            ("a digest that is a path", index(descriptor("sha256:../../etc/passwd", "0"))),
            ("a digest in capitals", index(descriptor(&right.to_uppercase(), "0"))),
            ("too deep", format!("{{\"manifests\":{}", "[".repeat(100_000))),
            ("too long", format!("{{}}{}", " ".repeat(4 << 20))),
        ] {
            let error = Document::read(text.as_bytes()).expect_err(what).to_string();
            assert!(!error.contains('\n'), "{what}: {error}");
        }
        assert!(Config::read(br#"{"rootfs":{"diff_ids":["x"]}}"#).is_err());
        assert_eq!(Config::read(b"{}").unwrap().platform, None);
    }
}

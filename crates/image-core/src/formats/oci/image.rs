//! Images written: the same files in, the same bytes out.

use super::{Config, Descriptor, Encoding, FORMAT, Index, Manifest, Platform, media_type};
use crate::{
    blob::{Blob, Digest, HashWriter, Spool},
    formats::{Error, Result, tar},
    tree::{Node, Tree, TreePath},
};
use serde_json::{Map, Value, json};
use std::{
    collections::BTreeMap,
    io::{self, Write},
};

/// A layer, ready to be stored.
#[derive(Clone, Debug)]
pub struct Layer {
    /// What the manifest says of it.
    pub descriptor: Descriptor,
    /// Its bytes.
    pub blob: Blob,
    /// The digest of its uncompressed bytes.
    pub diff_id: Digest,
}

/// An image, ready to be stored.
#[derive(Clone, Debug)]
pub struct Image {
    /// What an index says of it, platform included.
    pub descriptor: Descriptor,
    /// Its manifest.
    pub manifest: Manifest,
    /// The blobs it is made of, manifest and configuration among them.
    pub blobs: BTreeMap<Digest, Blob>,
}

/// An image of one or more platforms under its names.
#[derive(Clone, Debug)]
pub struct Named {
    /// Full names, such as `registry.example/siderolabs/imager:v1.11.0`, or tags.
    pub names: Vec<String>,
    /// One image, or one for each platform.
    pub images: Vec<Image>,
}

/// Packs a tree as a layer, every time `epoch` (seconds since 1970). What is compressed goes
/// through `spool`.
///
/// # Errors
/// `Invalid` where [`tar::archive`] refuses the tree, `Io` if a file's content cannot be read or
/// the spool not be written.
pub fn layer(tree: &Tree, encoding: Encoding, epoch: u64, spool: &mut Spool) -> Result<Layer> {
    let archive = tar::archive(tree, epoch)?;
    let mut packed = HashWriter::new(spool);
    let pack = |packed: &mut HashWriter<&mut Spool>| match encoding {
        Encoding::Plain => archive.digest(),
        Encoding::Gzip => {
            let level = flate2::Compression::default();
            hash_into(&archive, flate2::write::GzEncoder::new(packed, level), |encoder| {
                encoder.finish().map(drop)
            })
        }
        Encoding::Zstd => {
            let encoder = zstd::stream::write::Encoder::new(packed, 3)?;
            hash_into(&archive, encoder, |encoder| encoder.finish().map(drop))
        }
    };
    let io = |error| Error::io(FORMAT, error);
    let diff_id = pack(&mut packed).map_err(io)?;
    let (digest, size, spool) = packed.finish();
    let (suffix, blob, digest, size) = match encoding {
        Encoding::Plain => ("", archive.clone(), diff_id, archive.len()),
        Encoding::Gzip => ("+gzip", spool.take().map_err(io)?, digest, size),
        Encoding::Zstd => ("+zstd", spool.take().map_err(io)?, digest, size),
    };
    let descriptor = Descriptor::new(format!("{}{suffix}", media_type::LAYER), digest, size);
    Ok(Layer { descriptor, blob, diff_id })
}

/// Writes `blob` to `encoder`, ends that, and gives the digest of what went in.
fn hash_into<W: Write>(
    blob: &Blob,
    encoder: W,
    end: impl FnOnce(W) -> io::Result<()>,
) -> io::Result<Digest> {
    let mut hash = HashWriter::new(encoder);
    io::copy(&mut blob.reader(), &mut hash)?;
    let (digest, _, encoder) = hash.finish();
    end(encoder)?;
    Ok(digest)
}

/// Joins layers to an image. `config` is kept, save for its platform and its list of layers.
///
/// # Errors
/// None that valid descriptors can cause.
pub fn image(
    platform: &Platform,
    config: &Map<String, Value>,
    layers: Vec<Layer>,
    annotations: BTreeMap<String, String>,
) -> Result<Image> {
    let mut config = config.clone();
    config.insert("os".into(), platform.os.as_str().into());
    config.insert("architecture".into(), platform.architecture.as_str().into());
    match &platform.variant {
        Some(variant) => config.insert("variant".into(), variant.as_str().into()),
        None => config.remove("variant"),
    };
    let diff_ids: Vec<_> = layers.iter().map(|layer| layer.diff_id.to_string()).collect();
    config.insert("rootfs".into(), json!({ "type": "layers", "diff_ids": diff_ids }));
    let config = Value::Object(config).to_string().into_bytes();
    let manifest = Manifest {
        config: Descriptor::of(media_type::CONFIG, &config),
        layers: layers.iter().map(|layer| layer.descriptor.clone()).collect(),
        annotations,
    };
    let (mut descriptor, bytes) = manifest.described()?;
    descriptor.platform = Some(platform.clone());
    let mut blobs: BTreeMap<_, _> =
        layers.into_iter().map(|layer| (layer.descriptor.digest, layer.blob)).collect();
    blobs.insert(manifest.config.digest, Blob::from(config));
    blobs.insert(descriptor.digest, bytes);
    Ok(Image { descriptor, manifest, blobs })
}

/// Where a layout keeps the blob of this digest (image-spec, "OCI Image Layout", "Blobs").
pub(crate) fn blob_path(digest: Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

fn put(tree: &mut Tree, path: &str, content: Blob) -> Result<()> {
    let path = TreePath::new(path).map_err(|error| Error::invalid(FORMAT, error.to_string()))?;
    tree.insert(path, Node::file(content, 0o644));
    Ok(())
}

/// An OCI image layout: to be written as a directory, or by [`tar::archive`] as an OCI archive.
///
/// Each name becomes an entry of `index.json` with `org.opencontainers.image.ref.name`; what has
/// no name is listed without. Images of several platforms stand in an index of their own.
///
/// # Errors
/// None that valid descriptors can cause.
pub fn layout(entries: &[Named]) -> Result<Tree> {
    let mut tree = Tree::new();
    let mut top = Index::default();
    for Named { names, images } in entries {
        for image in images {
            for (&digest, blob) in &image.blobs {
                put(&mut tree, &blob_path(digest), blob.clone())?;
            }
        }
        let descriptor = match images.as_slice() {
            [image] => image.descriptor.clone(),
            images => {
                let manifests = images.iter().map(|image| image.descriptor.clone()).collect();
                let index = Index { manifests, ..Index::default() }.write()?;
                let descriptor = Descriptor::of(media_type::INDEX, &index);
                put(&mut tree, &blob_path(descriptor.digest), Blob::from(index))?;
                descriptor
            }
        };
        if names.is_empty() {
            top.manifests.push(descriptor.clone());
        }
        for name in names {
            let mut descriptor = descriptor.clone();
            let key = oci_spec::image::ANNOTATION_REF_NAME.to_owned();
            descriptor.annotations.insert(key, name.clone());
            top.manifests.push(descriptor);
        }
    }
    put(&mut tree, "index.json", Blob::from(top.write()?))?;
    put(&mut tree, "oci-layout", Blob::from(r#"{"imageLayoutVersion":"1.0.0"}"#))?;
    Ok(tree)
}

/// What `docker save` writes and `docker load` reads (Moby's image specification 1.2, "Combined
/// Image JSON + Filesystem Changeset Format"), to be packed by [`tar::archive`].
///
/// # Errors
/// `Invalid` for an entry that is not of exactly one platform: the form knows only one.
pub fn docker_archive(entries: &[Named]) -> Result<Tree> {
    let mut tree = Tree::new();
    let mut list = Vec::new();
    for Named { names, images } in entries {
        let [image] = images.as_slice() else {
            let what =
                format!("a docker archive holds one platform of an image, not {}", images.len());
            return Err(Error::invalid(FORMAT, what));
        };
        let mut add = |digest: &Digest, suffix: &str| -> Result<String> {
            let name = format!("{}{suffix}", digest.hex());
            if let Some(blob) = image.blobs.get(digest) {
                put(&mut tree, &name, blob.clone())?;
            }
            Ok(name)
        };
        let config = add(&image.manifest.config.digest, ".json")?;
        let layers = image.manifest.layers.iter().map(|layer| {
            let suffix = match layer.media_type.rsplit('+').next() {
                Some("gzip") => ".tar.gz",
                Some("zstd") => ".tar.zst",
                _ => ".tar",
            };
            add(&layer.digest, suffix)
        });
        let layers: Vec<_> = layers.collect::<Result<_>>()?;
        list.push(json!({ "Config": config, "RepoTags": names, "Layers": layers }));
    }
    put(&mut tree, "manifest.json", Blob::from(Value::Array(list).to_string()))?;
    Ok(tree)
}

impl Image {
    /// The image's configuration.
    ///
    /// # Errors
    /// `Corrupt` if the blob is not among the image's, or is no configuration.
    pub fn config(&self) -> Result<Config> {
        let digest = self.manifest.config.digest;
        let blob = self.blobs.get(&digest).cloned().unwrap_or_else(Blob::empty);
        let bytes = blob.to_vec(super::MAX_JSON).map_err(|error| Error::io(FORMAT, error))?;
        Config::read(&bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blob::Scratch;

    fn sample(encoding: Encoding) -> Image {
        let dir = tempfile::tempdir().unwrap();
        let mut spool = Spool::new(&Scratch::new(dir.path()));
        let mut tree = Tree::new();
        let content = (0..200_000u32).flat_map(u32::to_le_bytes).collect::<Vec<_>>();
        tree.insert(TreePath::new("a").unwrap(), Node::file(content, 0o644));
        let layers = vec![layer(&tree, encoding, 7, &mut spool).unwrap()];
        let config = json!({ "config": { "Entrypoint": ["/x"] }, "variant": "dropped" });
        let config = config.as_object().unwrap();
        image(&Platform::new("linux", "amd64"), config, layers, BTreeMap::new()).unwrap()
    }

    #[test]
    fn an_image_is_the_same_bytes_every_time_and_its_digests_hold() {
        for encoding in [Encoding::Plain, Encoding::Gzip, Encoding::Zstd] {
            let images = [sample(encoding), sample(encoding)];
            let archives = images.each_ref().map(|image| {
                let entry = Named { names: vec!["x:1".to_owned()], images: vec![image.clone()] };
                tar::archive(&layout(&[entry]).unwrap(), 0).unwrap().digest().unwrap()
            });
            assert_eq!(archives[0], archives[1], "{encoding:?}");
            let [image, _] = images;
            for (digest, blob) in &image.blobs {
                assert_eq!(*digest, blob.digest().unwrap(), "{encoding:?}");
            }
            let config = image.config().unwrap();
            assert_eq!(config.platform, Some(Platform::new("linux", "amd64")));
            assert_eq!(config.json["config"]["Entrypoint"][0], "/x");
            assert_eq!(config.diff_ids, sample(Encoding::Plain).config().unwrap().diff_ids);
        }
    }

    #[test]
    fn a_docker_archive_holds_one_platform() {
        let both = vec![sample(Encoding::Plain), sample(Encoding::Plain)];
        let entry = Named { names: vec![], images: both };
        assert!(docker_archive(&[entry]).is_err());
    }
}

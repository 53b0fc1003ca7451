//! What `docker save` wrote before Docker 25, seen as the OCI image layout it would be.

use super::{Error, Result};
use crate::{
    blob::{Blob, Digest},
    formats::oci::{Config, Descriptor, Index, MAX_JSON, Manifest, blob_path, media_type},
    tree::{Node, NodeKind, Tree, TreePath},
};
use std::io;

/// How many symbolic links may lead on to one file.
const MAX_LINKS: usize = 8;

/// An entry of `manifest.json` (Moby's image specification 1.2).
#[derive(serde::Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    config: String,
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

/// The layout. Manifests are made up, the form has none: their digests are this crate's own.
pub(super) fn layout(place: &str, archive: &Tree) -> Result<Tree> {
    let list = archive.file("manifest.json").ok_or_else(|| {
        let what = "no docker archive, there is no manifest.json: name one that `docker save` made";
        Error::corrupt(place, what)
    })?;
    let entries: Vec<Entry> = serde_json::from_slice(&read(place, "manifest.json", list)?)
        .map_err(|error| Error::corrupt(place, format!("manifest.json: {error}")))?;
    let mut tree = Tree::new();
    let mut index = Index::default();
    for entry in entries {
        let config = read(place, &entry.config, file(place, archive, &entry.config)?)?;
        let format = |error| Error::document(place, &error);
        let parsed = Config::read(&config).map_err(format)?;
        if parsed.diff_ids.len() != entry.layers.len() {
            let what = format!(
                "{} lists {} layers, manifest.json {}: save the image again",
                entry.config,
                parsed.diff_ids.len(),
                entry.layers.len()
            );
            return Err(Error::corrupt(place, what));
        }
        let mut layers = Vec::new();
        for (name, &diff_id) in entry.layers.iter().zip(&parsed.diff_ids) {
            let blob = file(place, archive, name)?;
            let (digest, suffix) =
                identify(name, blob, diff_id).map_err(|error| Error::io(place, error))?;
            let kind = format!("{}{suffix}", media_type::LAYER);
            layers.push(Descriptor::new(kind, digest, blob.len()));
            put(place, &mut tree, &blob_path(digest), blob.clone())?;
        }
        let manifest = Manifest {
            config: Descriptor::of(media_type::CONFIG, &config),
            layers,
            annotations: std::collections::BTreeMap::new(),
        };
        let (mut descriptor, bytes) = manifest.described().map_err(format)?;
        descriptor.platform = parsed.platform;
        put(place, &mut tree, &blob_path(manifest.config.digest), Blob::from(config))?;
        put(place, &mut tree, &blob_path(descriptor.digest), bytes)?;
        let names = entry.repo_tags.unwrap_or_default();
        if names.is_empty() {
            index.manifests.push(descriptor.clone());
        }
        for name in names {
            let mut descriptor = descriptor.clone();
            let key = oci_spec::image::ANNOTATION_REF_NAME.to_owned();
            descriptor.annotations.insert(key, name);
            index.manifests.push(descriptor);
        }
    }
    let index = index.write().map_err(|error| Error::document(place, &error))?;
    put(place, &mut tree, "index.json", Blob::from(index))?;
    Ok(tree)
}

/// A layer's digest, and how its media type ends.
///
/// Plain layers have the digest the configuration says. Compressed ones are named by their
/// digest where a tool thought of that; where none did, the digest can only be taken here.
fn identify(name: &str, blob: &Blob, diff_id: Digest) -> io::Result<(Digest, &'static str)> {
    let suffix = match blob.slice(0..4).to_vec(4)?[..] {
        [0x1f, 0x8b, ..] => "+gzip",
        [0x28, 0xb5, 0x2f, 0xfd] => "+zstd",
        _ => return Ok((diff_id, "")),
    };
    let file_name = name.rsplit('/').next().unwrap_or_default();
    let stem = file_name.split('.').next().unwrap_or_default();
    match format!("sha256:{stem}").parse() {
        Ok(digest) => Ok((digest, suffix)),
        Err(_) => Ok((blob.digest()?, suffix)),
    }
}

fn read(place: &str, name: &str, blob: &Blob) -> Result<Vec<u8>> {
    blob.to_vec(MAX_JSON).map_err(|error| match error.kind() {
        io::ErrorKind::InvalidData => Error::corrupt(place, format!("{name}: {error}")),
        _ => Error::io(place, error),
    })
}

fn put(place: &str, tree: &mut Tree, path: &str, content: Blob) -> Result<()> {
    let path = TreePath::new(path).map_err(|error| Error::corrupt(place, error.to_string()))?;
    tree.insert(path, Node::file(content, 0o644));
    Ok(())
}

/// The file called `name`. Docker links a layer that occurs twice to where it lies first.
fn file<'a>(place: &str, archive: &'a Tree, name: &str) -> Result<&'a Blob> {
    let missing = || Error::corrupt(place, format!("{name} is missing: save the image again"));
    let mut path = TreePath::new(name).map_err(|_| missing())?;
    for _ in 0..MAX_LINKS {
        match &archive.get(&path).ok_or_else(missing)?.kind {
            NodeKind::File(blob) => return Ok(blob),
            NodeKind::Symlink(target) => {
                let mut at = path.parent().unwrap_or_default();
                for part in target.split('/') {
                    at = match part {
                        ".." => at.parent().ok_or_else(missing)?,
                        part => at.join(part).map_err(|_| missing())?,
                    };
                }
                path = at;
            }
            _ => break,
        }
    }
    Err(missing())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::{Layout, Source};
    use serde_json::{Value, json};
    use std::path::Path;

    fn archive(files: &[(&str, Vec<u8>)], links: &[(&str, &str)]) -> Result<Layout> {
        let mut tree = Tree::new();
        for (name, bytes) in files {
            tree.insert(TreePath::new(name).unwrap(), Node::file(bytes.clone(), 0o644));
        }
        for (name, target) in links {
            tree.insert(TreePath::new(name).unwrap(), Node::symlink(*target));
        }
        let archive = crate::formats::tar::archive(&tree, 0).unwrap();
        Layout::docker_archive(Path::new("x"), &archive)
    }

    fn manifest(config: &str, layers: &[&str]) -> (&'static str, Vec<u8>) {
        let entry = json!({ "Config": config, "RepoTags": ["x:1"], "Layers": layers });
        ("manifest.json", Value::from(vec![entry]).to_string().into_bytes())
    }

    fn config(layers: &[&[u8]]) -> Vec<u8> {
        let ids: Vec<_> = layers.iter().map(|bytes| Digest::of(bytes).to_string()).collect();
        let rootfs = json!({ "type": "layers", "diff_ids": ids });
        json!({ "os": "linux", "architecture": "amd64", "rootfs": rootfs }).to_string().into_bytes()
    }

    #[test]
    fn layers_are_known_by_configuration_by_name_or_by_what_they_are() {
        let (plain, packed) = (vec![0; 1024], b"\x1f\x8b packed".to_vec());
        let named = format!("{}.tar.gz", Digest::of(b"named").hex());
        let source = archive(
            &[
                manifest("sha256:c", &["a/layer.tar", "b/layer.tar", "c.tar.gz", &named]),
                ("sha256:c", config(&[&plain, &plain, b"", b""])),
                ("a/layer.tar", plain.clone()),
                ("c.tar.gz", packed.clone()),
                (&named, packed.clone()),
            ],
            &[("b/layer.tar", "../a/layer.tar")],
        );
        let platform = "linux/amd64".parse().unwrap();
        let found = source.unwrap().find(&"x:1".parse().unwrap(), &platform).unwrap().unwrap();
        let digests: Vec<_> = found.manifest.layers.iter().map(|layer| layer.digest).collect();
        let plain = Digest::of(&plain);
        assert_eq!(digests, [plain, plain, Digest::of(&packed), Digest::of(b"named")]);
    }

    #[test]
    fn what_does_not_fit_together_is_refused() {
        let right = config(&[b"a"]);
        for (what, files, links) in [
            ("nothing", vec![], vec![]),
            ("no list", vec![("manifest.json", b"{}".to_vec())], vec![]),
            ("no configuration", vec![manifest("c", &[])], vec![]),
            ("no layer", vec![manifest("c", &["l"]), ("c", right.clone())], vec![]),
            ("other counts", vec![manifest("c", &[]), ("c", right.clone())], vec![]),
            ("a way out", vec![manifest("../../etc/passwd", &[])], vec![]),
            ("a link out", vec![manifest("c", &[])], vec![("c", "../../etc/passwd")]),
            ("a link to itself", vec![manifest("c", &[])], vec![("c", "./c")]),
        ] {
            let error = archive(&files, &links).expect_err(what).to_string();
            assert!(error.starts_with("docker-archive:x: "), "{what}: {error}");
        }
    }
}

//! An OCI image layout, written the plain way: one gzip layer an image, an index over the
//! architectures, sorted JSON, no times.

use anyhow::Result;
use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    io::Write,
    path::{Path, PathBuf},
};

/// What a file of a layer holds.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    /// These bytes.
    Bytes(Vec<u8>),
    /// What this file holds.
    File(PathBuf),
}

impl From<String> for Content {
    fn from(text: String) -> Self {
        Self::Bytes(text.into())
    }
}

/// A layer's regular files by path; their folders follow.
pub(crate) type Files = BTreeMap<String, Content>;

/// A layout that is being written.
pub(crate) struct Layout {
    dir: PathBuf,
    manifests: Vec<Value>,
}

impl Layout {
    /// An empty layout in a folder that is not there yet.
    pub(crate) fn create(dir: &Path) -> Result<Self> {
        fs::create_dir_all(dir.join("blobs/sha256"))?;
        Ok(Self { dir: dir.to_owned(), manifests: Vec::new() })
    }

    /// Adds an image, of the same files for every architecture; gives back its index's digest.
    pub(crate) fn image(&mut self, reference: &str, files: &Files) -> Result<String> {
        let (layer, diff_id) = self.layer(files)?;
        let mut manifests = Vec::new();
        for architecture in ["amd64", "arm64"] {
            let platform = json!({"architecture": architecture, "os": "linux"});
            let config = self.json(
                "application/vnd.oci.image.config.v1+json",
                &json!({
                    "architecture": architecture,
                    "os": "linux",
                    "config": {},
                    "rootfs": {"type": "layers", "diff_ids": [diff_id]},
                }),
            )?;
            let mut manifest = self.json(
                "application/vnd.oci.image.manifest.v1+json",
                &json!({
                    "schemaVersion": 2,
                    "mediaType": "application/vnd.oci.image.manifest.v1+json",
                    "config": config,
                    "layers": [layer],
                }),
            )?;
            manifest["platform"] = platform;
            manifests.push(manifest);
        }
        let mut index = self.json(
            INDEX,
            &json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}),
        )?;
        index["annotations"] = json!({"org.opencontainers.image.ref.name": reference});
        let digest = index["digest"].as_str().unwrap_or_default().to_owned();
        self.manifests.push(index);
        Ok(digest)
    }

    /// Writes the index of all images.
    pub(crate) fn finish(self) -> Result<()> {
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": self.manifests});
        fs::write(self.dir.join("index.json"), serde_json::to_vec_pretty(&index)?)?;
        let version = json!({"imageLayoutVersion": "1.0.0"});
        Ok(fs::write(self.dir.join("oci-layout"), serde_json::to_vec(&version)?)?)
    }

    fn layer(&self, files: &Files) -> Result<(Value, String)> {
        let temporary = self.dir.join("layer.tmp");
        let compressed = Hashing::new(fs::File::create(&temporary)?);
        // Fast: these layers are read a few times on the machine that wrote them.
        let gzip = GzEncoder::new(compressed, Compression::fast());
        let mut tar = tar::Builder::new(Hashing::new(gzip));
        let mut last = Vec::new();
        for (path, content) in files {
            let parents: Vec<_> = path.match_indices('/').map(|(at, _)| &path[..at]).collect();
            for parent in &parents {
                if !last.contains(parent) {
                    let header = header(tar::EntryType::Directory, 0o755, 0);
                    append(&mut tar, header, &format!("{parent}/"), &mut std::io::empty())?;
                }
            }
            last = parents;
            match content {
                Content::Bytes(bytes) => {
                    let header = header(tar::EntryType::Regular, 0o644, bytes.len() as u64);
                    append(&mut tar, header, path, &mut bytes.as_slice())?;
                }
                Content::File(file) => {
                    let mut file = fs::File::open(file)?;
                    let header = header(tar::EntryType::Regular, 0o644, file.metadata()?.len());
                    append(&mut tar, header, path, &mut file)?;
                }
            }
        }
        let (gzip, diff_id, _) = tar.into_inner()?.finish();
        let (_, digest, size) = gzip.finish()?.finish();
        fs::rename(&temporary, self.blob(&digest))?;
        let layer = json!({
            "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
            "digest": digest,
            "size": size,
        });
        Ok((layer, diff_id))
    }

    fn json(&self, media_type: &str, value: &Value) -> Result<Value> {
        let bytes = serde_json::to_vec(value)?;
        let mut hash = Hashing::new(Vec::new());
        hash.write_all(&bytes)?;
        let (_, digest, size) = hash.finish();
        fs::write(self.blob(&digest), bytes)?;
        Ok(json!({"mediaType": media_type, "digest": digest, "size": size}))
    }

    fn blob(&self, digest: &str) -> PathBuf {
        self.dir.join("blobs").join(digest.replace(':', "/"))
    }
}

const INDEX: &str = "application/vnd.oci.image.index.v1+json";

fn header(kind: tar::EntryType, mode: u32, size: u64) -> tar::Header {
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header
}

fn append<W: Write>(
    tar: &mut tar::Builder<W>,
    mut header: tar::Header,
    path: &str,
    content: &mut dyn std::io::Read,
) -> Result<()> {
    Ok(tar.append_data(&mut header, path, content)?)
}

/// Hashes and counts what is written through it.
struct Hashing<W> {
    inner: W,
    hash: Sha256,
    len: u64,
}

impl<W> Hashing<W> {
    fn new(inner: W) -> Self {
        Self { inner, hash: Sha256::new(), len: 0 }
    }

    /// The inner writer, `sha256:…`, and the number of bytes.
    fn finish(self) -> (W, String, u64) {
        let mut digest = "sha256:".to_owned();
        for byte in self.hash.finalize() {
            let _ = write!(digest, "{byte:02x}");
        }
        (self.inner, digest, self.len)
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hash.update(&bytes[..written]);
        self.len += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.inner.flush()
    }
}

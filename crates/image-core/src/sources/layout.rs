//! An OCI image layout (image-spec, "OCI Image Layout Specification"), and how an image is
//! found in it.

use super::{
    Error, Image, Result, Source, docker_archive,
    error::{sized, small},
};
use crate::{
    blob::{Blob, Digest},
    formats::{
        oci::{
            Config, Descriptor, Document, Index, MAX_JSON, Manifest, Platform, Reference, blob_path,
        },
        tar,
    },
    tree::Tree,
};
use serde_json::Value;
use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
};

/// How deep indexes may stand in indexes. Real ones stand in `index.json`, once.
const MAX_DEPTH: usize = 8;

/// Annotations that name an image: the specification's, then containerd's and Docker's.
const NAMES: [&str; 2] = [oci_spec::image::ANNOTATION_REF_NAME, "io.containerd.image.name"];

/// Images in an OCI image layout, whatever it lies in.
#[derive(Debug)]
pub struct Layout {
    place: String,
    files: Files,
    entries: Vec<Descriptor>,
}

/// What the layout's files lie in.
#[derive(Debug)]
enum Files {
    Directory(PathBuf),
    Tree(Tree),
}

impl Files {
    /// The file at `path`, which is one this crate made: fixed, or of a digest's digits.
    fn get(&self, place: &str, path: &str) -> Result<Option<Blob>> {
        match self {
            Self::Tree(tree) => Ok(tree.file(path).cloned()),
            Self::Directory(dir) => match Blob::open(&dir.join(path)) {
                Ok(blob) => Ok(Some(blob)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(Error::io(place, error)),
            },
        }
    }
}

/// A manifest that a name may mean.
struct Candidate {
    root: Descriptor,
    manifest: Descriptor,
    platform: Option<Platform>,
}

impl Layout {
    /// The layout in the directory `dir`.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if it is none, [`Error::Unsupported`] for another version of the
    /// layout, [`Error::Io`] if it cannot be read.
    pub fn directory(dir: &Path) -> Result<Self> {
        Self::new(format!("oci:{}", dir.display()), Files::Directory(dir.to_owned()))
    }

    /// The layout in `archive`, a tar archive that lies at `path`. Contents stay where they are.
    ///
    /// # Errors
    /// As [`Layout::directory`].
    pub fn archive(path: &Path, archive: &Blob) -> Result<Self> {
        let place = format!("oci-archive:{}", path.display());
        let tree = members(&place, archive)?;
        if tree.file("index.json").is_none() && tree.file("manifest.json").is_some() {
            let what = "this is a docker archive: write docker-archive: before its path";
            return Err(Error::corrupt(&place, what));
        }
        Self::new(place, Files::Tree(tree))
    }

    /// The images in `archive`, which `docker save` made and which lies at `path`. A layout that
    /// is in it as well (since Docker 25) is preferred: it has the images' own digests.
    ///
    /// # Errors
    /// As [`Layout::directory`].
    pub fn docker_archive(path: &Path, archive: &Blob) -> Result<Self> {
        let place = format!("docker-archive:{}", path.display());
        let tree = members(&place, archive)?;
        if tree.file("index.json").is_some() {
            return Self::new(place, Files::Tree(tree));
        }
        let layout = docker_archive::layout(&place, &tree)?;
        Self::new(place, Files::Tree(layout))
    }

    /// The layout `tree`, called `place` in messages.
    ///
    /// # Errors
    /// As [`Layout::directory`].
    pub fn tree(place: impl Into<String>, tree: Tree) -> Result<Self> {
        Self::new(place.into(), Files::Tree(tree))
    }

    fn new(place: String, files: Files) -> Result<Self> {
        let json = |path: &str| -> Result<Option<Vec<u8>>> {
            let Some(blob) = files.get(&place, path)? else { return Ok(None) };
            blob.to_vec(MAX_JSON).map(Some).map_err(|error| match error.kind() {
                io::ErrorKind::InvalidData => Error::corrupt(&place, format!("{path}: {error}")),
                _ => Error::io(&place, error),
            })
        };
        // Some tools leave the version out; no other than 1.0.0 has ever been.
        if let Some(bytes) = json("oci-layout")? {
            let version: Value = serde_json::from_slice(&bytes).unwrap_or_default();
            let version = version.get("imageLayoutVersion").and_then(Value::as_str);
            if !version.is_some_and(|version| version.starts_with("1.")) {
                let what = "its oci-layout file names no version 1 of the image layout: \
                            copy the images with a tool that writes that version";
                return Err(Error::unsupported(&place, what));
            }
        }
        let index = json("index.json")?.ok_or_else(|| {
            let what = "no OCI image layout, there is no index.json: name the directory or \
                        archive that holds one";
            Error::corrupt(&place, what)
        })?;
        let index = Index::read(&index)
            .map_err(|error| Error::document(&format!("{place}: index.json"), &error))?;
        Ok(Self { files, place, entries: index.manifests })
    }

    fn content(&self, descriptor: &Descriptor) -> Result<Blob> {
        let digest = descriptor.digest;
        let blob = self.files.get(&self.place, &blob_path(digest))?;
        let blob = blob.ok_or_else(|| Error::Missing { place: self.place.clone(), digest })?;
        sized(&self.place, &blob, descriptor)?;
        Ok(blob)
    }

    fn read(&self, descriptor: &Descriptor) -> Result<Document> {
        let bytes = small(&self.place, &self.content(descriptor)?, descriptor)?;
        Document::read(&bytes).map_err(|error| self.damaged(descriptor, &error))
    }

    fn damaged(&self, descriptor: &Descriptor, error: &crate::formats::Error) -> Error {
        let named = Error::document(&self.place, error);
        match named {
            Error::Corrupt { place, what } => {
                Error::Corrupt { place, what: format!("{}: {what}", descriptor.digest) }
            }
            named => named,
        }
    }

    /// The entries of `index.json` that `reference` may mean, and where its digest leads from
    /// each: the entry itself, or what an index below it lists.
    fn roots(&self, reference: &Reference) -> Result<Vec<Descriptor>> {
        let ranks = self.entries.iter().map(|entry| (rank(reference, entry), entry));
        let named: Vec<_> = ranks.filter_map(|(rank, entry)| Some((rank?, entry))).collect();
        let best = named.iter().map(|(rank, _)| *rank).min();
        let best: Vec<&Descriptor> =
            named.iter().filter(|(rank, _)| Some(*rank) == best).map(|(_, entry)| *entry).collect();
        let Some(digest) = reference.digest() else {
            return Ok(best.into_iter().cloned().collect());
        };
        let holding = |entries: &[&Descriptor]| -> Result<Vec<Descriptor>> {
            let mut found = Vec::new();
            for entry in entries {
                found.extend(self.below(entry, digest)?);
            }
            Ok(found)
        };
        let found = holding(&best)?;
        if !found.is_empty() {
            return Ok(found);
        }
        // A bare tag does not say of which repository it is, so it contradicts nothing.
        let full = named.iter().find(|(rank, _)| *rank < Rank::Tag);
        if let Some((_, entry)) = full {
            return Err(Error::TagMoved {
                place: self.place.clone(),
                reference: Box::new(reference.clone()),
                found: entry.digest,
            });
        }
        holding(&self.entries.iter().collect::<Vec<_>>())
    }

    /// What has `digest`: the entry, or a descriptor in an index below it.
    fn below(&self, entry: &Descriptor, digest: Digest) -> Result<Option<Descriptor>> {
        let mut level = vec![entry.clone()];
        let mut seen = BTreeSet::new();
        for _ in 0..=MAX_DEPTH {
            if let Some(found) = level.iter().find(|descriptor| descriptor.digest == digest) {
                return Ok(Some(found.clone()));
            }
            let mut next = Vec::new();
            for index in level.iter().filter(|descriptor| descriptor.is_index()) {
                if !seen.insert(index.digest) {
                    continue;
                }
                match self.read(index) {
                    Ok(Document::Index(index)) => next.extend(index.manifests),
                    // Some tools leave out what they did not copy.
                    Ok(_) | Err(Error::Missing { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
            level = next;
        }
        Ok(None)
    }

    /// All images `root` stands for, in the order of its indexes.
    fn candidates(&self, root: &Descriptor) -> Result<Vec<Candidate>> {
        let mut found = Vec::new();
        let mut seen = BTreeSet::new();
        self.gather(root, root, 0, &mut seen, &mut found)?;
        Ok(found)
    }

    fn gather(
        &self,
        root: &Descriptor,
        descriptor: &Descriptor,
        depth: usize,
        seen: &mut BTreeSet<Digest>,
        found: &mut Vec<Candidate>,
    ) -> Result<()> {
        let unknown = |platform: &Platform| platform.os == "unknown";
        if descriptor.is_attestation() || descriptor.platform.as_ref().is_some_and(unknown) {
            return Ok(());
        }
        if depth > MAX_DEPTH {
            let what = format!(
                "indexes stand more than {MAX_DEPTH} deep below {}: rebuild the image",
                root.digest
            );
            return Err(Error::corrupt(&self.place, what));
        }
        if !seen.insert(descriptor.digest) {
            return Ok(());
        }
        if descriptor.is_index() {
            let Document::Index(index) = self.read(descriptor)? else {
                let what = format!("{} is no index, as was said of it", descriptor.digest);
                return Err(Error::corrupt(&self.place, what));
            };
            for below in &index.manifests {
                self.gather(root, below, depth + 1, seen, found)?;
            }
        } else if descriptor.is_manifest() {
            let platform = match &descriptor.platform {
                Some(platform) if !platform.os.is_empty() => Some(platform.clone()),
                _ => self.config(&self.manifest(descriptor)?)?.platform,
            };
            found.push(Candidate { root: root.clone(), manifest: descriptor.clone(), platform });
        }
        Ok(())
    }

    fn manifest(&self, descriptor: &Descriptor) -> Result<Manifest> {
        match self.read(descriptor)? {
            Document::Manifest(manifest) => Ok(manifest),
            Document::Index(_) => {
                let what = format!("{} is an index, not a manifest as was said", descriptor.digest);
                Err(Error::corrupt(&self.place, what))
            }
        }
    }

    fn config(&self, manifest: &Manifest) -> Result<Config> {
        let bytes = small(&self.place, &self.content(&manifest.config)?, &manifest.config)?;
        Config::read(&bytes).map_err(|error| self.damaged(&manifest.config, &error))
    }
}

impl Source for Layout {
    fn describe(&self) -> String {
        self.place.clone()
    }

    fn find(&self, reference: &Reference, platform: &Platform) -> Result<Option<Image>> {
        let mut best: Vec<(bool, Candidate)> = Vec::new();
        let mut there = BTreeSet::new();
        let roots = self.roots(reference)?;
        for root in &roots {
            let mut first: Option<(bool, Candidate)> = None;
            for candidate in self.candidates(root)? {
                let exact = match &candidate.platform {
                    None => true,
                    Some(is) if is.serves(platform) => is.baseline() == platform.baseline(),
                    Some(is) => {
                        there.insert(is.clone());
                        continue;
                    }
                };
                if first.as_ref().is_none_or(|(before, _)| exact && !before) {
                    first = Some((exact, candidate));
                }
            }
            best.extend(first);
        }
        let exact = best.iter().any(|(exact, _)| *exact);
        best.retain(|(is, _)| *is == exact);
        let mut seen = BTreeSet::new();
        best.retain(|(_, candidate)| seen.insert(candidate.manifest.digest));
        let mut best = best.into_iter().map(|(_, candidate)| candidate);
        let Some(chosen) = best.next() else {
            if roots.is_empty() {
                return Ok(None);
            }
            return Err(Error::WrongPlatform {
                place: self.place.clone(),
                reference: Box::new(reference.clone()),
                wanted: Box::new(platform.clone()),
                there: there.into_iter().collect(),
            });
        };
        let others: Vec<_> = best.map(|other| other.manifest.digest).collect();
        if !others.is_empty() {
            return Err(Error::Ambiguous {
                place: self.place.clone(),
                reference: Box::new(reference.clone()),
                found: std::iter::once(chosen.manifest.digest).chain(others).collect(),
            });
        }
        Ok(Some(Image {
            reference: reference.pinned(chosen.manifest.digest),
            manifest: self.manifest(&chosen.manifest)?,
            root: chosen.root,
            descriptor: chosen.manifest,
            platform: chosen.platform,
        }))
    }

    fn blob(&self, _: &Reference, descriptor: &Descriptor) -> Result<Blob> {
        self.content(descriptor)
    }

    fn names(&self) -> Vec<String> {
        let names = self.entries.iter().flat_map(|entry| {
            let names: Vec<_> = names(entry).cloned().collect();
            let full = names.iter().any(|name| is_full(name));
            let names: Vec<_> = names.into_iter().filter(|name| !full || is_full(name)).collect();
            if names.is_empty() { vec![entry.digest.to_string()] } else { names }
        });
        names.collect::<BTreeSet<_>>().into_iter().collect()
    }
}

/// How well an entry's name fits, the best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// Repository, tag, and the host as far as both say one.
    Full,
    /// Repository and tag, of another host.
    Mirror,
    /// The tag; of which repository the entry does not say.
    Tag,
}

fn names(entry: &Descriptor) -> impl Iterator<Item = &String> {
    NAMES.iter().filter_map(|key| entry.annotations.get(*key))
}

/// Whether `name` is more than a tag.
fn is_full(name: &str) -> bool {
    name.contains(['/', ':', '@'])
}

fn rank(wanted: &Reference, entry: &Descriptor) -> Option<Rank> {
    let tag = wanted.wanted_tag()?;
    let mut any_full = false;
    let mut best = None;
    for name in names(entry) {
        any_full |= is_full(name);
        let Ok(name) = name.parse::<Reference>() else { continue };
        if !name.same_repository(wanted) || name.tag().unwrap_or("latest") != tag {
            continue;
        }
        let same_host = match (name.registry(), wanted.registry()) {
            (Some(is), Some(wanted)) => is == wanted,
            _ => true,
        };
        let rank = if same_host { Rank::Full } else { Rank::Mirror };
        best = Some(best.map_or(rank, |best: Rank| best.min(rank)));
    }
    best.or_else(|| {
        let tagged = !any_full && names(entry).any(|name| name == tag);
        tagged.then_some(Rank::Tag)
    })
}

/// What `archive` holds.
fn members(place: &str, archive: &Blob) -> Result<Tree> {
    let head = archive.slice(0..2).to_vec(2).map_err(|error| Error::io(place, error))?;
    if head == [0x1f, 0x8b] {
        let what = "the archive is compressed with gzip, so that nothing can be found in it \
                    without unpacking it all: gunzip it first";
        return Err(Error::unsupported(place, what));
    }
    tar::tree(archive).map_err(|error| Error::document(place, &error))
}

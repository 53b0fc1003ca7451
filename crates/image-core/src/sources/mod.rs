//! Where OCI content lies. Nothing here knows Talos, and nothing here opens a socket.
//!
//! Every kind of place is read as an OCI image layout: a directory as it stands, an OCI archive
//! by the ranges of its members, a docker archive by the layout it would be. So names, digests
//! and platforms mean the same in all of them.

mod docker_archive;
mod error;
mod layout;
mod open;
mod set;
mod verifier;

pub use error::{Error, Result};
pub use layout::Layout;
pub use open::open;
pub use set::Set;
pub use verifier::Verifier;

use crate::{
    blob::{Blob, Scratch, Spool},
    formats::oci::{self, Config, Descriptor, MAX_JSON, Manifest, Platform, Reference, Rules},
    tree::Tree,
};

/// A place where images lie.
pub trait Source: Send + Sync {
    /// How the place is written where sources are named: `oci:DIR` and its like.
    fn describe(&self) -> String;

    /// The image called `reference` for `platform`; none if the place has nothing of that name.
    ///
    /// Repository and tag have to match, the registry's host need not: it may be a mirror. With
    /// a digest that one counts: of the index or of the manifest itself. A digest is looked up
    /// under every name, but a tag that is known to point elsewhere is an error.
    ///
    /// # Errors
    /// As the variants of [`Error`] have it; all documents read on the way are held against
    /// their digests.
    fn find(&self, reference: &Reference, platform: &Platform) -> Result<Option<Image>>;

    /// The content `descriptor` names, which belongs to the image `of`. Its length is the
    /// descriptor's; its digest is checked by whoever reads it all ([`oci::apply`],
    /// [`Verifier`]).
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::Length`], [`Error::Io`].
    fn blob(&self, of: &Reference, descriptor: &Descriptor) -> Result<Blob>;

    /// The names of all images in the place, sorted; the digest of one that has no name.
    fn names(&self) -> Vec<String>;
}

/// An image that was found: pinned, for one platform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// The name it was asked for by, with the manifest's digest.
    pub reference: Reference,
    /// What the name stands for: the manifest, or the index it was chosen from.
    pub root: Descriptor,
    /// The manifest.
    pub descriptor: Descriptor,
    /// What the manifest says.
    pub manifest: Manifest,
    /// On what it runs; none for an artifact that does not say.
    pub platform: Option<Platform>,
}

/// The whole content of a small document, its length and digest checked.
///
/// # Errors
/// As [`Source::blob`]; [`Error::Digest`] for other content, [`Error::Corrupt`] past
/// [`MAX_JSON`].
pub fn document(source: &dyn Source, of: &Reference, descriptor: &Descriptor) -> Result<Vec<u8>> {
    let blob = source.blob(of, descriptor)?;
    error::small(&source.describe(), &blob, descriptor)
}

/// The configuration of `image`.
///
/// # Errors
/// As [`document`]; [`Error::Format`] for what is no configuration.
pub fn config(source: &dyn Source, image: &Image) -> Result<Config> {
    let bytes = document(source, &image.reference, &image.manifest.config)?;
    Config::read(&bytes).map_err(|error| Error::format(&source.describe(), &image.reference, error))
}

/// The file tree of the image `of`, as far as `rules` select it: `layers` one over the other, each
/// read once and held against its digest. What is kept goes to `scratch`; `on_bytes` hears how
/// many more bytes of the layers are read.
///
/// # Errors
/// As [`Source::blob`]; [`Error::Format`] for what [`oci::apply`] refuses.
pub fn unpack(
    source: &dyn Source,
    of: &Reference,
    layers: &[Descriptor],
    rules: &Rules<'_>,
    scratch: &Scratch,
    on_bytes: &mut dyn FnMut(u64),
) -> Result<Tree> {
    let mut tree = Tree::new();
    let mut spool = Spool::new(scratch);
    for descriptor in layers {
        let layer = source.blob(of, descriptor)?;
        oci::apply(&mut tree, &layer, descriptor, rules, &mut spool, on_bytes)
            .map_err(|error| Error::format(&source.describe(), of, error))?;
    }
    Ok(tree)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        formats::{
            oci::{Encoding, Index, Named, blob_path, image, layer, media_type},
            tar,
        },
        tree::{Node, TreePath},
    };
    use std::{collections::BTreeMap, fs, path::Path, sync::Arc};

    const IMAGER: &str = "images.example/siderolabs/imager:v1.11.0";
    const TOOLS: &str = "images.example/siderolabs/tools:v1.11.0";

    fn path(text: &str) -> TreePath {
        TreePath::new(text).unwrap()
    }

    fn linux(architecture: &str) -> Platform {
        Platform::new("linux", architecture)
    }

    fn reference(text: &str) -> Reference {
        text.parse().unwrap()
    }

    fn spool() -> (tempfile::TempDir, Scratch) {
        let dir = tempfile::tempdir().unwrap();
        let scratch = Scratch::new(dir.path());
        (dir, scratch)
    }

    /// An image of two layers; the second takes a file away.
    fn sample(word: &str, architecture: &str, encoding: Encoding) -> oci::Image {
        let (_dir, scratch) = spool();
        let mut spool = Spool::new(&scratch);
        let mut below = Tree::new();
        let mut file = Node::file(format!("{word} for {architecture}"), 0o755);
        file.xattrs.insert("security.selinux".into(), b"system_u\n\0".to_vec());
        below.insert(path("usr/a"), file);
        below.link(path("usr/b"), &path("usr/a")).unwrap();
        below.insert(path("usr/gone"), Node::file("x", 0o644));
        let mut above = Tree::new();
        above.insert(path("usr/.wh.gone"), Node::file("", 0o644));
        above.insert(path("usr/c"), Node::symlink("a"));
        let layers = [below, above].map(|tree| layer(&tree, encoding, 0, &mut spool).unwrap());
        image(&linux(architecture), &serde_json::Map::new(), layers.into(), BTreeMap::new())
            .unwrap()
    }

    fn named(name: &str, images: Vec<oci::Image>) -> Named {
        Named { names: vec![name.to_owned()], images }
    }

    fn images() -> Vec<Named> {
        vec![
            named(IMAGER, vec![sample("imager", "amd64", Encoding::Gzip)]),
            named(TOOLS, vec![sample("tools", "arm64", Encoding::Zstd)]),
            named("plain:1", vec![sample("plain", "amd64", Encoding::Plain)]),
        ]
    }

    fn write(tree: &Tree, dir: &Path) {
        for (path, _, node) in tree.iter() {
            let to = dir.join(path.as_str());
            match node.content() {
                Some(content) => content.persist(&to, &mut |_| {}).unwrap(),
                None => fs::create_dir_all(&to).unwrap(),
            }
        }
    }

    /// The same images in every kind of place, `edit`ed before they are put there.
    fn places(dir: &Path, edit: &dyn Fn(&mut Tree)) -> Vec<Arc<dyn Source>> {
        let mut layout = oci::layout(&images()).unwrap();
        let mut docker = oci::docker_archive(&images()).unwrap();
        edit(&mut layout);
        edit(&mut docker);
        write(&layout, &dir.join("layout"));
        let archive = |tree, name: &str| {
            tar::archive(tree, 0).unwrap().persist(&dir.join(name), &mut |_| {}).unwrap();
        };
        archive(&layout, "oci.tar");
        archive(&docker, "docker.tar");
        let at = |kind: &str, name| format!("{kind}{}", dir.join(name).display());
        [
            at("oci:", "layout"),
            at("oci-archive:", "oci.tar"),
            at("docker-archive:", "docker.tar"),
            at("", "layout"),
            at("", "oci.tar"),
            at("", "docker.tar"),
        ]
        .iter()
        .map(|text| open(text).unwrap())
        .collect()
    }

    fn contents(source: &dyn Source, image: &Image) -> Result<Vec<(String, String)>> {
        let (_dir, scratch) = spool();
        let tree = unpack(
            source,
            &image.reference,
            &image.manifest.layers,
            &Rules::all(),
            &scratch,
            &mut |_| {},
        )?;
        let text = |node: &Node| match node.content() {
            Some(blob) => String::from_utf8(blob.to_vec(99).unwrap()).unwrap(),
            None => format!("{:?}", node.kind),
        };
        Ok(tree.iter().map(|(path, _, node)| (path.to_string(), text(node))).collect())
    }

    #[test]
    fn every_kind_of_place_answers_alike() {
        let dir = tempfile::tempdir().unwrap();
        for source in places(dir.path(), &|_| {}) {
            let place = source.describe();
            assert_eq!(source.names(), [IMAGER, TOOLS, "plain:1"], "{place}");
            for name in
                [IMAGER, "siderolabs/imager:v1.11.0", "mirror:5000/siderolabs/imager:v1.11.0"]
            {
                let found = source.find(&reference(name), &linux("amd64")).unwrap().unwrap();
                assert_eq!(found.platform, Some(linux("amd64")), "{place}");
                let digest = found.descriptor.digest;
                assert_eq!(found.reference, reference(name).pinned(digest));
                let expected = [
                    ("/", "Directory"),
                    ("usr", "Directory"),
                    ("usr/a", "imager for amd64"),
                    ("usr/b", "imager for amd64"),
                    ("usr/c", "Symlink(\"a\")"),
                ];
                let expected = expected.map(|(path, text)| (path.to_owned(), text.to_owned()));
                assert_eq!(contents(&*source, &found).unwrap(), expected, "{place}");
                let ids = config(&*source, &found).unwrap().diff_ids;
                assert_eq!(ids.len(), 2, "{place}");

                // By digest, alone and with the tag.
                let by_digest = reference(&format!("whatever@{digest}"));
                let again = source.find(&by_digest, &linux("amd64")).unwrap().unwrap();
                assert_eq!(again.manifest, found.manifest, "{place}");
                let both = source.find(&found.reference, &linux("amd64")).unwrap().unwrap();
                assert_eq!(both, found, "{place}");
            }
            let find = |name: &str| source.find(&reference(name), &linux("amd64"));
            for missing in ["siderolabs/imager:v1.11.1", "imager:v1.11.0", "siderolabs/imager"] {
                assert!(find(missing).unwrap().is_none(), "{place}");
            }
            let error = find(TOOLS).unwrap_err();
            assert!(
                matches!(&error, Error::WrongPlatform { there, .. } if *there == [linux("arm64")])
            );
            let tools = source.find(&reference(TOOLS), &linux("arm64")).unwrap().unwrap();
            let moved = reference(IMAGER).pinned(tools.descriptor.digest);
            let error = source.find(&moved, &linux("arm64")).unwrap_err();
            assert!(matches!(error, Error::TagMoved { .. }), "{place}: {error}");
        }
    }

    #[test]
    fn damaged_content_is_refused_in_every_kind_of_place() {
        let dir = tempfile::tempdir().unwrap();
        let whole = images();
        let image = &whole[0].images[0];
        let (layer, config) = (&image.manifest.layers[0], &image.manifest.config);
        let files = |digest: crate::blob::Digest| {
            [blob_path(digest), digest.hex() + ".json", digest.hex() + ".tar.gz"]
        };
        let damage = |descriptor: &Descriptor, change: fn(Vec<u8>) -> Vec<u8>| {
            let paths = files(descriptor.digest);
            let dir = dir.path().join(format!("{}", fs::read_dir(dir.path()).unwrap().count()));
            fs::create_dir(&dir).unwrap();
            places(&dir, &move |tree| {
                for at in &paths {
                    if let Some(blob) = tree.file(at).cloned() {
                        let bytes = change(blob.to_vec(1 << 20).unwrap());
                        tree.insert(path(at), Node::file(bytes, 0o644));
                    }
                }
            })
        };
        let flip = |mut bytes: Vec<u8>| {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            bytes
        };
        let cut = |mut bytes: Vec<u8>| {
            bytes.pop();
            bytes
        };
        let grow = |mut bytes: Vec<u8>| {
            bytes.push(0);
            bytes
        };
        let found = |source: &dyn Source| {
            source.find(&reference(IMAGER), &linux("amd64")).map(Option::unwrap)
        };
        for change in [flip, cut, grow] {
            for source in damage(layer, change) {
                let image = found(&*source).unwrap();
                let error = contents(&*source, &image).unwrap_err().to_string();
                let says = error.contains("digest") || error.contains("bytes instead of");
                assert!(says && error.contains(&source.describe()), "{error}");
            }
        }
        // A docker archive has no digest of its configuration that could be wrong.
        let is_oci = |source: &Arc<dyn Source>| !source.describe().starts_with("docker");
        for source in damage(config, flip).into_iter().filter(is_oci) {
            let image = found(&*source).unwrap();
            let error = super::config(&*source, &image).unwrap_err();
            assert!(matches!(error, Error::Digest { .. }), "{error}");
            let blob = source.blob(&image.reference, config).unwrap();
            let error = std::io::copy(&mut Verifier::new(&blob, config), &mut std::io::sink());
            assert!(error.unwrap_err().to_string().contains("tampered"));
        }
        for source in damage(&image.descriptor, flip).into_iter().filter(is_oci) {
            let error = found(&*source).unwrap_err();
            assert!(matches!(error, Error::Digest { .. }), "{error}");
        }
        for source in damage(&image.descriptor, cut).into_iter().filter(is_oci) {
            let error = found(&*source).unwrap_err();
            assert!(matches!(error, Error::Length { .. }), "{error}");
        }
    }

    /// A layout whose `index.json` is `edit`ed.
    fn layout(entries: &[Named], edit: &dyn Fn(&mut Tree, &mut Index)) -> Layout {
        let mut tree = oci::layout(entries).unwrap();
        let bytes = tree.file("index.json").unwrap().to_vec(MAX_JSON).unwrap();
        let mut index = Index::read(&bytes).unwrap();
        edit(&mut tree, &mut index);
        tree.insert(path("index.json"), Node::file(index.write().unwrap(), 0o644));
        Layout::tree("oci:x", tree).unwrap()
    }

    fn store(tree: &mut Tree, index: &Index) -> Descriptor {
        let bytes = index.write().unwrap();
        let descriptor = Descriptor::of(media_type::INDEX, &bytes);
        tree.insert(path(&blob_path(descriptor.digest)), Node::file(bytes, 0o644));
        descriptor
    }

    #[test]
    fn platforms_are_chosen_through_nested_indexes_and_attestations_passed_over() {
        let both = ["arm64", "amd64"].map(|arch| sample("x", arch, Encoding::Gzip));
        let [arm, amd] = both.clone().map(|image| image.descriptor.digest);
        let source = layout(&[named(IMAGER, both.to_vec())], &|tree, top| {
            let mut note = Descriptor::of(media_type::MANIFEST, b"no manifest at all");
            note.platform = Some(Platform::new("unknown", "unknown"));
            let mut marked = note.clone();
            marked.platform = None;
            let mark = ("vnd.docker.reference.type".into(), "attestation-manifest".into());
            marked.annotations.extend([mark]);
            let name = std::mem::take(&mut top.manifests[0].annotations);
            let manifests = vec![note, marked, top.manifests[0].clone()];
            let inner = store(tree, &Index { manifests, ..Index::default() });
            let mut outer = store(tree, &Index { manifests: vec![inner], ..Index::default() });
            outer.annotations = name;
            top.manifests = vec![outer];
        });
        let find = |name: &Reference, arch| source.find(name, &linux(arch));
        let name = reference(IMAGER);
        for (arch, digest) in [("arm64", arm), ("amd64", amd)] {
            let found = find(&name, arch).unwrap().unwrap();
            assert_eq!(found.descriptor.digest, digest);
            assert!(found.root.is_index());
            // Pinned by the index's digest, and by the manifest's under it.
            for pin in [found.root.digest, digest] {
                let pinned = find(&name.pinned(pin), arch).unwrap().unwrap();
                assert_eq!(pinned.descriptor.digest, digest);
            }
        }
        let v8: Platform = "linux/arm64/v8".parse().unwrap();
        assert!(source.find(&name, &v8).unwrap().is_some());
        let error = find(&name, "riscv64").unwrap_err().to_string();
        assert!(error.contains("only for linux/amd64, linux/arm64"), "{error}");
        let error = find(&name.pinned(arm), "amd64").unwrap_err();
        assert!(matches!(error, Error::WrongPlatform { .. }), "{error}");
    }

    #[test]
    fn a_manifest_without_platform_takes_it_from_its_configuration() {
        let one = named(IMAGER, vec![sample("x", "arm64", Encoding::Gzip)]);
        let source = layout(&[one], &|_, top| top.manifests[0].platform = None);
        let find = |arch| source.find(&reference(IMAGER), &linux(arch));
        assert_eq!(find("arm64").unwrap().unwrap().platform, Some(linux("arm64")));
        assert!(matches!(find("amd64").unwrap_err(), Error::WrongPlatform { .. }));
    }

    #[test]
    fn a_bare_tag_names_an_image_unless_another_annotation_knows_better() {
        let one = named("v1.11.0", vec![sample("x", "amd64", Encoding::Gzip)]);
        let find = |source: &Layout, name: &str| source.find(&reference(name), &linux("amd64"));
        let source = layout(std::slice::from_ref(&one), &|_, _| {});
        assert!(find(&source, IMAGER).unwrap().is_some());
        assert!(find(&source, "siderolabs/imager:v1.11.1").unwrap().is_none());
        // The tag is of an unknown repository: a digest may well be of another.
        let other = crate::blob::Digest::of(b"");
        assert!(find(&source, &format!("{IMAGER}@{other}")).unwrap().is_none());
        let source = layout(&[one], &|_, top| {
            let name = ("io.containerd.image.name".into(), TOOLS.into());
            top.manifests[0].annotations.extend([name]);
        });
        assert_eq!(source.names(), [TOOLS]);
        assert!(find(&source, TOOLS).unwrap().is_some());
        assert!(find(&source, IMAGER).unwrap().is_none());
    }

    #[test]
    fn a_name_of_two_images_is_ambiguous_and_of_two_equal_ones_is_not() {
        let one = named(IMAGER, vec![sample("x", "amd64", Encoding::Gzip)]);
        let two = named(IMAGER, vec![sample("y", "amd64", Encoding::Gzip)]);
        let find = |entries: &[Named]| {
            layout(entries, &|_, _| {}).find(&reference(IMAGER), &linux("amd64"))
        };
        assert!(find(&[one.clone(), one.clone()]).unwrap().is_some());
        let error = find(&[one.clone(), two]).unwrap_err();
        assert!(matches!(&error, Error::Ambiguous { found, .. } if found.len() == 2), "{error}");
        // One entry for each platform under one name is no ambiguity.
        let arm = named(IMAGER, vec![sample("x", "arm64", Encoding::Gzip)]);
        assert!(find(&[one, arm]).unwrap().is_some());
    }

    #[test]
    fn indexes_that_stand_too_deep_are_refused() {
        let one = named(IMAGER, vec![sample("x", "amd64", Encoding::Gzip)]);
        let source = layout(&[one], &|tree, top| {
            let name = std::mem::take(&mut top.manifests[0].annotations);
            for _ in 0..20 {
                top.manifests = vec![store(tree, top)];
            }
            top.manifests[0].annotations = name;
        });
        let error = source.find(&reference(IMAGER), &linux("amd64")).unwrap_err();
        assert!(error.to_string().contains("deep"), "{error}");
    }

    #[test]
    fn an_index_of_nothing_but_notes_has_no_platform() {
        let both = ["arm64", "amd64"].map(|arch| sample("x", arch, Encoding::Gzip));
        let source = layout(&[named(IMAGER, both.to_vec())], &|tree, top| {
            let mut empty = store(tree, &Index::default());
            empty.annotations = std::mem::take(&mut top.manifests[0].annotations);
            top.manifests = vec![empty];
        });
        let error = source.find(&reference(IMAGER), &linux("amd64")).unwrap_err().to_string();
        assert!(error.contains("only for no platform at all"), "{error}");
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(128))]
        #[test]
        fn damaged_documents_never_panic(
            file in 0usize..9,
            flips in proptest::collection::vec((0usize..4000, proptest::prelude::any::<u8>()), 1..4),
            docker: bool,
        ) {
            let mut tree = if docker {
                oci::docker_archive(&images()).unwrap()
            } else {
                oci::layout(&images()).unwrap()
            };
            let files = tree.iter().filter_map(|(path, _, node)| Some((path, node.content()?)));
            let files: Vec<_> = files.map(|(path, blob)| (path.clone(), blob.clone())).collect();
            let (path, blob) = &files[file % files.len()];
            let mut bytes = blob.to_vec(MAX_JSON).unwrap();
            for (at, value) in flips {
                let at = at % bytes.len();
                bytes[at] = value;
            }
            tree.insert(path.clone(), Node::file(bytes, 0o644));
            let archive = tar::archive(&tree, 0).unwrap();
            let open = if docker { Layout::docker_archive } else { Layout::archive };
            let source = open(Path::new("x"), &archive);
            if let Ok(source) = source {
                for name in source.names() {
                    let Ok(name) = name.parse() else { continue };
                    if let Ok(Some(image)) = source.find(&name, &linux("amd64")) {
                        let _ = contents(&source, &image);
                    }
                }
            }
        }
    }

    #[test]
    fn sources_are_searched_in_order_and_what_is_lacking_is_said() {
        let arm = layout(&[named(IMAGER, vec![sample("x", "arm64", Encoding::Gzip)])], &|_, _| {});
        let rest = layout(&images(), &|_, _| {});
        let set = Set::new(vec![Arc::new(arm), Arc::new(rest)]);
        let found = set.get(&reference(IMAGER), &linux("amd64")).unwrap();
        assert!(contents(&set, &found).is_ok());
        let lacking = reference("siderolabs/imagre:v1.11.0");
        let error = set.get(&lacking, &linux("amd64")).unwrap_err().to_string();
        assert_eq!(
            error,
            "no image siderolabs/imagre:v1.11.0 in oci:x, oci:x: add a source that holds it, \
             or did you mean images.example/siderolabs/imager:v1.11.0, images.example/siderolabs/tools:v1.11.0?"
        );
        let error = set.get(&reference(IMAGER), &linux("s390x")).unwrap_err();
        assert!(matches!(error, Error::WrongPlatform { .. }), "{error}");
    }

    #[test]
    fn places_that_mean_none_are_refused_with_a_mend() {
        let dir = tempfile::tempdir().unwrap();
        places(dir.path(), &|_| {});
        let gzip = dir.path().join("a.tar.gz");
        Blob::from(vec![0x1f, 0x8b, 8, 0]).persist(&gzip, &mut |_| {}).unwrap();
        let at = |kind: &str, name| format!("{kind}{}", dir.path().join(name).display());
        for (text, mend) in [
            (at("oci:", "oci.tar"), "write oci-archive:"),
            (at("oci-archive:", "layout"), "write oci:"),
            (at("oci-archive:", "docker.tar"), "write docker-archive:"),
            (at("oci:", ""), "no index.json"),
            (at("oci:", "nowhere"), "mend the path"),
            (at("", "a.tar.gz"), "gunzip it first"),
            ("registry:images.example".to_owned(), "skopeo copy"),
            ("nonsense:x".to_owned(), "write oci:DIR"),
        ] {
            let error = open(&text).map(drop).unwrap_err().to_string();
            assert!(error.contains(mend) && !error.contains('\n'), "{text}: {error}");
        }
    }
}

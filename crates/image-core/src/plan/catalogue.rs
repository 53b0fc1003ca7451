//! Looking the catalogue of official extensions up.

use crate::{
    blob::{Blob, Scratch},
    error::{During, Error, ErrorKind, Result},
    formats::oci::{Platform, Reference, Rules},
    sources::{self, Set},
    talos::{
        TalosVersion,
        catalogue::{Catalogue, DESCRIPTIONS, DIGESTS},
        release,
    },
};

const WHAT: &str = "the catalogue of official extensions";
/// The most bytes of its files; real ones have some 30 KiB.
const FILES_LIMIT: u64 = 4 << 20;
/// The most bytes its image may unpack to.
const IMAGE_LIMIT: u64 = 64 << 20;

/// The catalogue that came with `version`, out of the image `siderolabs/extensions:<version>` in
/// `sources`. What is read goes through `scratch`.
///
/// # Errors
/// No source has the image ([`ErrorKind::Source`], with the command that fetches it), it is no
/// catalogue, or it is damaged.
pub fn catalogue(version: &TalosVersion, sources: &Set, scratch: &Scratch) -> Result<Catalogue> {
    let name = release::reference(release::EXTENSIONS, version);
    let reference: Reference =
        name.parse().map_err(|error| Error::new(ErrorKind::Bug, format!("{error}")))?;
    let image = find(&reference, sources).map_err(|error| lacking(&reference, error))?;
    let rules = Rules {
        max_selected: FILES_LIMIT,
        max_unpacked: IMAGE_LIMIT,
        ..Rules::only(&|path| [DIGESTS, DESCRIPTIONS].contains(&path.as_str()))
    };
    let layers = &image.manifest.layers;
    let tree = sources::unpack(sources, &image.reference, layers, &rules, scratch, &mut |_| ())
        .during(|| format!("reading {WHAT}"))?;

    let damaged =
        |what: String| Error::new(ErrorKind::Source, what).during(format!("{WHAT} {name}"));
    let text = |file: &str, blob: &Blob| {
        let bytes = blob.to_vec(FILES_LIMIT).during(|| format!("{WHAT} {name}: {file}"))?;
        String::from_utf8(bytes).map_err(|error| {
            let line = error.as_bytes()[..error.utf8_error().valid_up_to()].split(|&b| b == b'\n');
            damaged(format!("{file}: line {}: no UTF-8 text: fetch it again", line.count()))
        })
    };
    let digests = tree.file(DIGESTS).ok_or_else(|| {
        damaged(format!("the image holds no file {DIGESTS}: it is no catalogue, fetch it again"))
    })?;
    let digests = text(DIGESTS, digests)?;
    let descriptions = tree.file(DESCRIPTIONS).map(|blob| text(DESCRIPTIONS, blob)).transpose()?;
    Catalogue::read(version, &digests, descriptions.as_deref())
        .map_err(|error| damaged(error.to_string()))
}

/// The image for any platform: its files are the same, and a mirror may have kept one only.
fn find(reference: &Reference, sources: &Set) -> sources::Result<sources::Image> {
    match sources.get(reference, &Platform::new("linux", "amd64")) {
        Err(sources::Error::WrongPlatform { there, .. }) if !there.is_empty() => {
            sources.get(reference, &there[0])
        }
        found => found,
    }
}

/// Says how to get what no source has.
fn lacking(reference: &Reference, error: sources::Error) -> Error {
    let sources::Error::NotFound { searched, .. } = &error else {
        return Error::from(error).during(format!("looking for {WHAT}"));
    };
    let place = match searched.as_slice() {
        [] => "there is no source".to_owned(),
        searched => format!("it is not in {}", searched.join(", ")),
    };
    let what = format!(
        "{WHAT} {reference} is needed and {place}: add it, as with `skopeo copy --all \
         docker://{}/{reference} oci:DIR:{reference}`, or name the extensions' images",
        release::REGISTRY
    );
    Error::new(ErrorKind::Source, what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        fake,
        formats::oci::{self, Encoding},
        sources::Layout,
        talos::Arch,
        tree::{Node, Tree, TreePath},
    };
    use std::sync::Arc;

    fn read(images: &[oci::Named], version: &str) -> Result<Catalogue> {
        let layout = Layout::tree("oci:x", oci::layout(images).unwrap()).unwrap();
        let sources = Set::new(vec![Arc::new(layout)]);
        catalogue(&version.parse().unwrap(), &sources, &Scratch::new(""))
    }

    fn of(files: &[(&str, Node)], archs: &[Arch]) -> Vec<oci::Named> {
        let mut tree = Tree::new();
        for (path, node) in files {
            tree.insert(TreePath::new(path).unwrap(), node.clone());
        }
        vec![fake::image("siderolabs/extensions:v1.11.0", &tree, archs, Encoding::Gzip).unwrap()]
    }

    #[test]
    fn what_it_pins_is_found_in_the_same_source() {
        let version = "1.11.0".parse().unwrap();
        let sources = fake::sources(&version).unwrap();
        let catalogue = catalogue(&version, &sources, &Scratch::new("")).unwrap();
        let names: Vec<_> = catalogue.extensions().iter().map(|it| it.name.as_str()).collect();
        assert_eq!(names, ["hello", "intel-ucode"]);
        for extension in catalogue.extensions() {
            assert_eq!(extension.tier.as_deref(), Some("core"));
            for arch in Arch::ALL {
                let platform = Platform::new("linux", arch.name());
                let image = sources.get(&extension.reference, &platform).unwrap();
                assert_eq!(Some(image.root.digest), extension.reference.digest());
            }
        }
    }

    #[test]
    fn the_image_of_any_platform_will_do() {
        let hex = "0".repeat(64);
        let digests = Node::file(format!("registry.example/a/b:1@sha256:{hex}\n"), 0o644);
        for archs in [&[Arch::Arm64][..], &Arch::ALL] {
            let images = of(&[("image-digests", digests.clone())], archs);
            assert_eq!(read(&images, "1.11.0").unwrap().extensions()[0].name, "a/b");
        }
    }

    #[test]
    fn what_is_no_catalogue_is_refused_with_the_mend() {
        let file = |bytes: &[u8]| Node::file(bytes.to_vec(), 0o644);
        let amd64 = [Arch::Amd64];
        let link = Node::symlink("elsewhere");
        let large = file(&vec![b'\n'; 5 << 20]);
        let bomb = file(&vec![0; 65 << 20]);
        let other = "siderolabs/extensions:v1.12.0";
        let fetch = format!(
            "{other} is needed and it is not in oci:x: add it, as with `skopeo copy --all \
             docker://{}/{other} oci:DIR:{other}`",
            release::REGISTRY
        );
        for (images, version, says) in [
            (of(&[], &amd64), "1.12.0", fetch.as_str()),
            (of(&[], &amd64), "1.11.0", "the image holds no file image-digests"),
            (of(&[("image-digests", link)], &amd64), "1.11.0", "holds no file image-digests"),
            (of(&[("image-digests", file(b"\n"))], &amd64), "1.11.0", "lists no extension"),
            (of(&[("image-digests", file(b"\n\xff"))], &amd64), "1.11.0", "line 2: no UTF-8"),
            (of(&[("image-digests", large)], &amd64), "1.11.0", "reading the catalogue"),
            (of(&[("bomb", bomb)], &amd64), "1.11.0", "reading the catalogue"),
        ] {
            let error = read(&images, version).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Source, "{error}");
            let error = error.to_string();

            assert!(error.contains(says) && !error.contains('\n'), "{error}");
        }
        let version = "1.11.0".parse().unwrap();
        let error = catalogue(&version, &Set::default(), &Scratch::new("")).unwrap_err();
        assert!(error.to_string().contains("there is no source: add it"), "{error}");
    }
}

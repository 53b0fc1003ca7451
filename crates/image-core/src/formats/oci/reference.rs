//! An image's name.

use crate::blob::Digest;
use std::{fmt, str::FromStr};

/// An image's name: `[host[:port]/]repository[:tag][@sha256:digest]`, the grammar of
/// distribution's references.
///
/// Nothing is filled in: a name without a host has none. Docker's habit of reading
/// `alpine` as `docker.io/library/alpine:latest` only counts when names are compared.
/// (`oci_spec::distribution::Reference` fills all that in while parsing, so that what was
/// typed cannot be told any more.)
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    registry: Option<String>,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// The text names no image.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} names no image: {why}; expected [host/]repository[:tag][@sha256:digest]")]
pub struct ParseReferenceError {
    text: String,
    why: &'static str,
}

impl Reference {
    /// Host and port of the registry, if the name says one.
    pub fn registry(&self) -> Option<&str> {
        self.registry.as_deref()
    }

    /// The path in the registry.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag, if the name says one.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest, if the name says one.
    pub fn digest(&self) -> Option<Digest> {
        self.digest
    }

    /// The tag to look for: a name with neither tag nor digest means `latest`.
    pub fn wanted_tag(&self) -> Option<&str> {
        match (&self.tag, self.digest) {
            (None, None) => Some("latest"),
            (tag, _) => tag.as_deref(),
        }
    }

    /// The same name, pinned to `digest`.
    #[must_use]
    pub fn pinned(&self, digest: Digest) -> Self {
        Self { digest: Some(digest), ..self.clone() }
    }

    /// Whether both name the same repository, whatever host serves it: mirrors keep the path.
    pub fn same_repository(&self, other: &Self) -> bool {
        fn path(reference: &Reference) -> &str {
            let path = reference.repository.as_str();
            match reference.registry() {
                None | Some("docker.io" | "index.docker.io") => {
                    path.strip_prefix("library/").unwrap_or(path)
                }
                Some(_) => path,
            }
        }
        path(self) == path(other)
    }
}

impl FromStr for Reference {
    type Err = ParseReferenceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fail = |why| ParseReferenceError { text: text.to_owned(), why };
        if text.is_empty() {
            return Err(fail("it is empty"));
        }
        let (name, digest) = match text.split_once('@') {
            None => (text, None),
            Some((name, digest)) => {
                let digest = digest.parse();
                let digest = digest.map_err(|_| {
                    fail("after @ stands no sha256: and 64 lower-case hexadecimal digits")
                })?;
                (name, Some(digest))
            }
        };
        // A colon before the last slash is a port's.
        let (name, tag) = match name.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
            _ => (name, None),
        };
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return Err(fail("the tag is not 1 to 128 letters, digits, _ . or -"));
        }
        let (registry, repository) = match name.split_once('/') {
            Some((host, path)) if is_host_like(host) => (Some(host), path),
            _ => (None, name),
        };
        if registry.is_some_and(|host| !is_host(host)) {
            return Err(fail("the registry's host is malformed"));
        }
        if name.len() > 255 {
            return Err(fail("the name is over 255 characters"));
        }
        if !repository.split('/').all(is_component) {
            let why = if repository.bytes().any(|byte| byte.is_ascii_uppercase()) {
                "the repository has capital letters"
            } else {
                "the repository is not a path of lower-case letters and digits with . _ or - between"
            };
            return Err(fail(why));
        }
        Ok(Self {
            registry: registry.map(str::to_owned),
            repository: repository.to_owned(),
            tag: tag.map(str::to_owned),
            digest,
        })
    }
}

/// Whether `text` is a tag: `[A-Za-z0-9_][A-Za-z0-9._-]{0,127}`.
pub(crate) fn is_tag(text: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    text.len() <= 128
        && text.bytes().next().is_some_and(word)
        && text.bytes().all(|byte| word(byte) || byte == b'.' || byte == b'-')
}

/// Whether the part before the first slash is meant as a host.
fn is_host_like(part: &str) -> bool {
    part.contains(['.', ':']) || part == "localhost"
}

fn is_host(host: &str) -> bool {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, Some(port)),
        _ => (host, None),
    };
    let digits = |port: &str| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    let label = |label: &str| {
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    let address = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
    let name_is_right = match address {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => name.split('.').all(label),
    };
    name_is_right && port.is_none_or(digits)
}

/// Whether `part` is `[a-z0-9]+` joined by `.`, `_`, `__` or dashes.
fn is_component(part: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let between =
        |run: &str| matches!(run, "" | "." | "_" | "__") || run.bytes().all(|byte| byte == b'-');
    part.bytes().next().is_some_and(word)
        && part.bytes().next_back().is_some_and(word)
        && part.split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit()).all(between)
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(registry) = &self.registry {
            write!(f, "{registry}/")?;
        }
        f.write_str(&self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

impl serde::Serialize for Reference {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Reference {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn names_are_taken_apart_and_print_as_they_were() {
        let pinned = format!("siderolabs/intel-ucode:20250512@{DIGEST}");
        for (text, registry, repository, tag) in [
            ("alpine", None, "alpine", None),
            ("siderolabs/imager:v1.11.0", None, "siderolabs/imager", Some("v1.11.0")),
            ("registry.example/a/b__c/d.e:1", Some("registry.example"), "a/b__c/d.e", Some("1")),
            ("localhost/x", Some("localhost"), "x", None),
            ("reg:5000/x--y", Some("reg:5000"), "x--y", None),
            ("[::1]:5000/x:V_1", Some("[::1]:5000"), "x", Some("V_1")),
            (&pinned, None, "siderolabs/intel-ucode", Some("20250512")),
        ] {
            let reference: Reference = text.parse().unwrap();
            assert_eq!(reference.registry(), registry, "{text}");
            assert_eq!(reference.repository(), repository, "{text}");
            assert_eq!(reference.tag(), tag, "{text}");
            assert_eq!(reference.to_string(), text);
        }
        let reference: Reference = pinned.parse().unwrap();
        assert_eq!(reference.digest().unwrap().to_string(), DIGEST);
    }

    #[test]
    fn what_names_no_image_is_refused() {
        let long = "x".repeat(300);
        for text in [
            "",
            "/",
            "a/",
            "/a",
            "a//b",
            "A/b",
            "a:",
            "a:-x",
            "a b",
            "a@sha256:12",
            "-a",
            "a_",
            "a/../b",
            "a..b",
            "reg:port/x",
            "a.b:1/",
            "a:b:c",
            "x@",
            "..",
            "../a",
            &long,
        ] {
            assert!(text.parse::<Reference>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_mirror_keeps_the_repository() {
        let same =
            |a: &str, b: &str| a.parse::<Reference>().unwrap().same_repository(&b.parse().unwrap());
        assert!(same(
            "registry.example/siderolabs/imager:v1",
            "mirror.local:5000/siderolabs/imager"
        ));
        assert!(same("alpine", "docker.io/library/alpine"));
        assert!(!same("registry.example/library/alpine", "registry.example/alpine"));
        assert!(!same("siderolabs/imager", "other/siderolabs/imager"));
    }
}

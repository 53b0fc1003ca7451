//! The catalogue of official extensions: which there are for a Talos version, each pinned.
//!
//! Every Talos release comes with an image ([`release::EXTENSIONS`])
//! of two files: [`DIGESTS`], one full image name a line, and [`DESCRIPTIONS`], YAML, by the very
//! same names.

use super::{Error, Result, TalosVersion, release, yaml};
use crate::{formats::oci::Reference, nearest::distance};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The file in the catalogue's image that lists the extensions.
pub const DIGESTS: &str = "image-digests";
/// The file in the catalogue's image that says what they are.
pub const DESCRIPTIONS: &str = "descriptions.yaml";

/// Whose extensions are called by their last name alone.
const OFFICIAL: &str = "siderolabs/";
/// The longest line of [`DIGESTS`], in bytes: a name, a tag and a digest fit twice.
const LONGEST_LINE: usize = 1024;
/// How many names an error offers.
const OFFERED: usize = 5;

/// Official extensions that were renamed, as they were called and as they are. An old name counts
/// where the catalogue has none of that name any more. (Image Factory takes the same, but looks
/// for `nvidia-fabric-manager-lts`, which no catalogue has.)
const RENAMED: &[(&str, &str)] = &[
    ("amdgpu-firmware", "amdgpu"),
    ("gasket", "gasket-driver"),
    ("i915-ucode", "i915"),
    ("nonfree-kmod-nvidia", "nonfree-kmod-nvidia-lts"),
    ("nvidia-container-toolkit", "nvidia-container-toolkit-lts"),
    ("nvidia-fabricmanager", "nvidia-fabricmanager-lts"),
    ("nvidia-open-gpu-kernel-modules", "nvidia-open-gpu-kernel-modules-lts"),
    ("talos-vmtoolsd", "vmtoolsd-guest-agent"),
    ("usb-modem", "usb-modem-drivers"),
    ("v4l-uvc", "v4l-uvc-drivers"),
    ("xe-guest-utilities", "xen-guest-agent"),
];

/// The extensions there are for one Talos version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Catalogue {
    version: TalosVersion,
    extensions: Vec<Extension>,
}

/// An extension of a catalogue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Extension {
    /// What it is asked for by: `intel-ucode`, or `acme/zfs` where it is not Sidero Labs' own.
    pub name: String,
    /// Its version: the image's tag.
    pub version: String,
    /// Its image for all architectures, with tag and digest.
    pub reference: Reference,
    /// Who made it; empty if the catalogue does not say.
    pub author: String,
    /// How far Sidero Labs vouches for it (`core`, `extra`, `contrib`); none in the catalogues
    /// before 1.11.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tier: Option<String>,
    /// What it is for, possibly in several lines; empty if the catalogue does not say.
    pub description: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Described {
    author: Option<String>,
    description: Option<String>,
}

impl Catalogue {
    /// Reads the catalogue of `version` out of its two files. An extension that the second does
    /// not describe has no description.
    ///
    /// # Errors
    /// A file is damaged: its name, the line, and what is wrong there.
    pub fn read(version: &TalosVersion, digests: &str, descriptions: Option<&str>) -> Result<Self> {
        let mut described: BTreeMap<String, Option<Described>> = match descriptions {
            Some(text) => yaml::read::<Option<_>>(DESCRIPTIONS, text)?.unwrap_or_default(),
            None => BTreeMap::new(),
        };
        let mut extensions: BTreeMap<String, (usize, Extension)> = BTreeMap::new();
        for (line, text) in digests.lines().enumerate() {
            let (line, text) = (line + 1, text.trim());
            if text.is_empty() || text.starts_with('#') {
                continue;
            }
            let refuse = |why: String| Error::input(format!("{DIGESTS}: line {line}: {why}"));
            if text.len() > LONGEST_LINE {
                return Err(refuse(format!(
                    "it has {} bytes, and no name of an image is that long: {AGAIN}",
                    text.len()
                )));
            }
            let reference: Reference =
                text.parse().map_err(|error| refuse(format!("{error}: {AGAIN}")))?;
            let (Some(version), Some(_)) = (reference.tag(), reference.digest()) else {
                let lacks = if reference.digest().is_none() { "digest" } else { "version" };
                return Err(refuse(format!("{text:?} has no {lacks}: {AGAIN}")));
            };
            let Described { author, description } =
                described.remove(text).flatten().unwrap_or_default();
            let (tier, description) = tier(description.as_deref().unwrap_or_default());
            let repository = reference.repository();
            let extension = Extension {
                name: repository.strip_prefix(OFFICIAL).unwrap_or(repository).to_owned(),
                version: version.to_owned(),
                author: author.unwrap_or_default().trim().to_owned(),
                tier: tier.map(str::to_owned),
                description: description.to_owned(),
                reference,
            };
            if let Some((other, _)) = extensions.get(&extension.name) {
                let name = &extension.name;
                return Err(refuse(format!("{name} stands in line {other} already: {AGAIN}")));
            }
            extensions.insert(extension.name.clone(), (line, extension));
        }
        if extensions.is_empty() {
            return Err(Error::input(format!("{DIGESTS}: it lists no extension: {AGAIN}")));
        }
        let extensions = extensions.into_values().map(|(_, extension)| extension).collect();
        Ok(Self { version: version.clone(), extensions })
    }

    /// All of them, sorted by name.
    pub fn extensions(&self) -> &[Extension] {
        &self.extensions
    }

    /// The extension called `name`: `siderolabs/intel-ucode` as in a schematic, or just
    /// `intel-ucode`; of others `acme/zfs`, and just `zfs` where nobody else has one.
    ///
    /// # Errors
    /// There is none: the names like it.
    pub fn find(&self, name: &str) -> Result<&Extension> {
        let asked = name.strip_prefix(OFFICIAL).unwrap_or(name);
        let renamed = RENAMED.iter().find(|(old, _)| *old == asked);
        self.get(asked)
            .or_else(|| self.get(renamed?.1))
            .or_else(|| self.only(name))
            .ok_or_else(|| Error::input(self.lacks(name, asked)))
    }

    fn get(&self, name: &str) -> Option<&Extension> {
        let found = self.extensions.binary_search_by(|it| it.name.as_str().cmp(name));
        self.extensions.get(found.ok()?)
    }

    /// The one extension of that last name, whoever made it.
    fn only(&self, name: &str) -> Option<&Extension> {
        let mut found =
            self.extensions.iter().filter(|it| it.name.rsplit('/').next() == Some(name));
        found.next().filter(|_| found.next().is_none())
    }

    fn lacks(&self, name: &str, asked: &str) -> String {
        let asked = asked.to_lowercase();
        let mut near: Vec<(usize, &str)> = self
            .extensions
            .iter()
            .filter_map(|it| {
                let candidate = it.name.as_str();
                let far = distance(&asked, candidate);
                let longer = asked.chars().count().max(candidate.len());
                // Who asks for "nvidia" or "qemu-agent" is shown what there is of it.
                let of_it = asked.len() > 2 && asked.split('-').all(|it| candidate.contains(it));
                let in_it = candidate.len() > 2 && asked.contains(candidate);
                (far * 3 <= longer || of_it || in_it).then_some((far, candidate))
            })
            .collect();
        near.sort_unstable();
        // As a schematic has to have it, who asked like one.
        let in_full = name.starts_with(OFFICIAL);
        let offered = near.into_iter().take(OFFERED).map(|(_, near)| {
            let maker = if in_full && !near.contains('/') { OFFICIAL } else { "" };
            format!("{maker}{near}")
        });
        let near: Vec<_> = offered.collect();
        let version = &self.version;
        let mend = if near.is_empty() {
            let image = release::reference(release::EXTENSIONS, version);
            format!("its catalogue {image} has {} others", self.extensions.len())
        } else {
            format!("did you mean {}?", near.join(", "))
        };
        format!("there is no extension {name:?} for Talos {version}: {mend}")
    }
}

/// How a damaged catalogue is mended.
const AGAIN: &str = "fetch the catalogue again";

/// A description's tier, which stands in brackets in front of it, and the rest.
fn tier(description: &str) -> (Option<&str>, &str) {
    let text = description.trim();
    let parts = text.strip_prefix('[').and_then(|text| text.split_once(']'));
    match parts {
        Some((tier, rest)) if tier.starts_with(|first: char| first.is_ascii_lowercase()) => {
            (Some(tier), rest.trim_start())
        }
        _ => (None, text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "5ab365f2b98ab885b1d9a6ebb2e2b06d0a7887d2c173a2b7d3f9e0e4f2f4f1cb";

    fn line(name: &str) -> String {
        format!("registry.example/{name}@sha256:{HEX}\n")
    }

    fn catalogue(names: &[&str], descriptions: Option<&str>) -> Result<Catalogue> {
        let digests: String = names.iter().map(|name| line(name)).collect();
        Catalogue::read(&"1.11.0".parse().unwrap(), &digests, descriptions)
    }

    #[test]
    fn lists_what_there_is_with_what_is_said_of_it() {
        let (gvisor, glibc, zfs) = (
            line("siderolabs/gvisor:20260810.0"),
            line("siderolabs/glibc:2.43"),
            line("acme/zfs:2.3-v1.11.0"),
        );
        let digests = format!("# made by hand\r\n{}\r\n\n{glibc}  {zfs}", gvisor.trim());
        // The names stand as keys without quotes, colons and all.
        let descriptions = format!(
            "# of a manifest\n{}:\n  author: Sidero Labs\n  description: |\n    [core] A \
             sandbox,\n    in user space.\n\"{}\":\n  author: 7\n  description: \"[extra]The C \
             library [sic]\"\n  more: x\nnobody: {{author: x}}\n{}:\n",
            gvisor.trim(),
            glibc.trim(),
            zfs.trim(),
        );
        let version = "1.11.0".parse().unwrap();
        let catalogue = Catalogue::read(&version, &digests, Some(&descriptions)).unwrap();
        let rows: Vec<_> = catalogue
            .extensions()
            .iter()
            .map(|it| {
                let tier = it.tier.as_deref().unwrap_or("-");
                [&it.name, &it.version, &it.author, tier, &it.description]
            })
            .collect();
        assert_eq!(
            rows,
            [
                ["acme/zfs", "2.3-v1.11.0", "", "-", ""],
                ["glibc", "2.43", "7", "extra", "The C library [sic]"],
                ["gvisor", "20260810.0", "Sidero Labs", "core", "A sandbox,\nin user space."],
            ]
        );
        let found = catalogue.find("siderolabs/gvisor").unwrap();
        assert_eq!(found.reference.to_string(), gvisor.trim());
        for none in [None, Some(""), Some("# nothing\n"), Some("{}")] {
            let plain = Catalogue::read(&version, &digests, none).unwrap();
            assert_eq!(plain.extensions().len(), 3, "{none:?}");
            assert_eq!(plain.find("gvisor").unwrap().reference, found.reference);
        }
    }

    #[test]
    fn tiers() {
        for (text, expected) in [
            ("[core] x", (Some("core"), "x")),
            ("[contrib]x\n", (Some("contrib"), "x")),
            ("x [core]", (None, "x [core]")),
            ("[] x", (None, "[] x")),
            ("[ core", (None, "[ core")),
            ("", (None, "")),
        ] {
            assert_eq!(tier(text), expected, "{text}");
        }
    }

    #[test]
    fn names_old_names_and_names_of_others() {
        let names = [
            "siderolabs/i915:1",
            "siderolabs/gasket:old",
            "siderolabs/gasket-driver:new",
            "siderolabs/zfs:1",
            "acme/zfs:2",
            "acme/own:3",
            "mirror/siderolabs/deep:4",
        ];
        let catalogue = catalogue(&names, None).unwrap();
        for (asked, version) in [
            ("i915", "1"),
            ("siderolabs/i915", "1"),
            ("i915-ucode", "1"),
            ("siderolabs/i915-ucode", "1"),
            ("gasket", "old"),
            ("zfs", "1"),
            ("siderolabs/zfs", "1"),
            ("acme/zfs", "2"),
            ("acme/own", "3"),
            ("own", "3"),
            ("deep", "4"),
            ("mirror/siderolabs/deep", "4"),
        ] {
            assert_eq!(catalogue.find(asked).unwrap().version, version, "{asked}");
        }
        for (old, new) in RENAMED {
            let only_new = format!("siderolabs/{new}:9");
            let catalogue = super::tests::catalogue(&[&only_new], None).unwrap();
            assert_eq!(catalogue.find(&format!("siderolabs/{old}")).unwrap().name, *new);
        }
        assert!(RENAMED.is_sorted());
        for other in ["siderolabs/own", "acme/i915", "acme/i915-ucode", "v4l-uvc", "I915", ""] {
            assert!(catalogue.find(other).is_err(), "{other}");
        }
    }

    #[test]
    fn an_unknown_name_is_met_with_those_like_it() {
        let names = [
            "siderolabs/intel-ucode:1",
            "siderolabs/amd-ucode:1",
            "siderolabs/nvidia-open-gpu-kernel-modules-lts:1",
            "siderolabs/nvidia-container-toolkit-production:1",
            "siderolabs/xe:1",
        ];
        let catalogue = catalogue(&names, None).unwrap();
        for (asked, mend) in [
            (
                "siderolabs/intel-ucod",
                "\"siderolabs/intel-ucod\" for Talos v1.11.0: did you mean siderolabs/intel-ucode?",
            ),
            ("Intel-Ucode", "did you mean intel-ucode?"),
            (
                "nvidia",
                "did you mean nvidia-open-gpu-kernel-modules-lts, \
                 nvidia-container-toolkit-production?",
            ),
            ("intel-ucode:1", "did you mean intel-ucode?"),
            ("nvidia-modules", "did you mean nvidia-open-gpu-kernel-modules-lts?"),
            ("qqq", "its catalogue siderolabs/extensions:v1.11.0 has 5 others"),
            ("", "has 5 others"),
        ] {
            let error = catalogue.find(asked).unwrap_err().to_string();
            assert!(error.ends_with(mend) && !error.contains('\n'), "{asked}: {error}");
        }
    }

    #[test]
    fn what_is_damaged_is_refused_with_its_line() {
        let good = line("siderolabs/gvisor:1");
        for (digests, says) in [
            (String::new(), "image-digests: it lists no extension"),
            ("\n# x\n".into(), "it lists no extension"),
            (format!("{good}a b\n"), "line 2: \"a b\" names no image"),
            (
                format!("{good}\nregistry.example/a:1\n"),
                "line 3: \"registry.example/a:1\" has no digest",
            ),
            (format!("registry.example/a@sha256:{HEX}"), "line 1: \"registry.example/a@sha256:5ab"),
            (
                "registry.example/a:1@null\n".into(),
                "line 1: \"registry.example/a:1@null\" names no",
            ),
            (good[..good.len() - 9].to_owned(), "line 1: "),
            (
                format!("{good}{}", line("siderolabs/gvisor:2")),
                "line 2: gvisor stands in line 1 already",
            ),
            (format!("{good}{}\n", "a".repeat(1 << 20)), "line 2: it has 1048576 bytes"),
            (format!("{good}\u{1b}[31m/x:1@sha256:{HEX}"), "line 2: \"\\u{1b}[31m/x:1@sha256"),
            (format!("{good}\0"), "line 2: "),
        ] {
            let read = Catalogue::read(&"1.11.0".parse().unwrap(), &digests, None);
            let error = read.unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
            assert!(error.ends_with(AGAIN) && error.lines().count() == 1, "{error}");
        }
        let mut bomb = "a: &a [x,x,x,x,x,x,x,x]\n".to_owned();
        for (before, next) in ('a'..='i').zip('b'..) {
            let aliases = vec![format!("*{before}"); 8].join(",");
            bomb.extend([format!("{next}: &{next} [{aliases}]\n")]);
        }
        for (descriptions, place) in [
            ("a: {author: x}\n  b: c\n", "line 2"),
            ("- a\n", "line 1"),
            ("a:\n  author: [x]\n", "line 2 column 11"),
            ("a: {}\na: {}\n", "line 2 column 1: key \"a\" stands twice"),
            ("a: {}\n---\nb: {}\n", "second document"),
            ("{", "line 1"),
            (&bomb, "line 1"),
            (&"[".repeat(100_000), "line 1"),
        ] {
            let read = catalogue(&["siderolabs/gvisor:1"], Some(descriptions));
            let error = read.unwrap_err().to_string();
            assert!(error.starts_with("descriptions.yaml: ") && error.contains(place), "{error}");
            assert!(error.lines().count() == 1 && error.len() < 300, "{error}");
        }
    }

    proptest::proptest! {
        #[test]
        fn damage_never_panics_and_is_told_in_one_line(
            flips in proptest::collection::vec((0usize..600, proptest::prelude::any::<char>()), 1..6),
            digests: bool,
        ) {
            let good = line("siderolabs/gvisor:1") + &line("siderolabs/zfs:2");
            let mut damaged: Vec<char> = if digests {
                good.chars().collect()
            } else {
                let of = |line: &str| format!("{line}:\n  author: x\n  description: |\n    [a] b\n");
                good.lines().map(of).collect::<String>().chars().collect()
            };
            for (at, letter) in flips {
                let at = at % damaged.len();
                damaged[at] = letter;
            }
            let damaged: String = damaged.into_iter().collect();
            let version = "1.11.0".parse().unwrap();
            let read = if digests {
                Catalogue::read(&version, &damaged, None)
            } else {
                Catalogue::read(&version, &good, Some(&damaged))
            };
            match read {
                Ok(read) => assert!(read.extensions().len() <= 2),
                Err(error) => assert_eq!(error.to_string().lines().count(), 1, "{error}"),
            }
        }
    }
}

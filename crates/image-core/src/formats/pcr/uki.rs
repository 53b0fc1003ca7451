//! What PCR 11 will hold once a unified kernel image has booted.
//!
//! Specification: systemd-stub(7), "TPM PCR Notes", and systemd-measure(1) of systemd 257.

use super::{Result, Values, digest, extend, measure, zeros};
use crate::{
    formats::uki::{Contents, Section, Sections},
    signature::HashFunction,
};
use std::collections::BTreeMap;

/// The register that systemd-stub and the booted system extend.
pub const PCR: u32 = 11;

/// PCR 11 at some moment of the boot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prediction {
    /// The phases entered so far, joined by colons as systemd-measure(1) writes them; empty as
    /// long as only the stub ran.
    pub phase: String,
    /// The register's value in each bank.
    pub values: Values,
}

/// PCR 11 for each of [`Contents::boots`], in their order: first as the stub leaves it, then
/// after each of the `phases`, words the booted system extends it with one after another.
///
/// What the stub decides by the machine is left out: a `.dtbauto` counts as if its first were
/// chosen. Each section is read once, however many profiles and banks there are.
///
/// # Errors
/// Reading a section failed.
pub fn predict(
    contents: &Contents,
    banks: &[HashFunction],
    phases: &[&str],
) -> Result<Vec<Vec<Prediction>>> {
    let base = digests(&contents.base, banks)?;
    let profiles = contents
        .profiles
        .iter()
        .map(|profile| digests(&profile.sections, banks))
        .collect::<Result<Vec<_>>>()?;
    if profiles.is_empty() {
        return Ok(vec![timeline(&base, banks, phases)]);
    }
    let with_base = profiles.into_iter().map(|profile| {
        let mut sections = base.clone();
        sections.extend(profile);
        timeline(&sections, banks, phases)
    });
    Ok(with_base.collect())
}

/// The digest of each section's content; none for an empty one, which hides the base's section
/// of its kind and is not measured.
type Digests = BTreeMap<Section, Option<Values>>;

fn digests(sections: &Sections, banks: &[HashFunction]) -> Result<Digests> {
    sections
        .iter()
        .filter(|&(&section, _)| section != Section::PcrSignature)
        .map(|(&section, content)| {
            let values = if content.is_empty() { None } else { Some(digest(content, banks)?) };
            Ok((section, values))
        })
        .collect()
}

fn timeline(sections: &Digests, banks: &[HashFunction], phases: &[&str]) -> Vec<Prediction> {
    let mut values = zeros(banks);
    for (section, digests) in sections {
        let Some(digests) = digests else { continue };
        measure(&mut values, format!("{section}\0").as_bytes());
        extend(&mut values, digests);
    }
    let mut predictions = vec![Prediction { phase: String::new(), values: values.clone() }];
    for (i, phase) in phases.iter().enumerate() {
        measure(&mut values, phase.as_bytes());
        let phase = phases[..=i].join(":");
        predictions.push(Prediction { phase, values: values.clone() });
    }
    predictions
}

/// A small image with the public key `key`.
#[cfg(test)]
pub(super) fn fake_image(key: &str, profiles: Vec<crate::formats::uki::Profile>) -> Contents {
    use crate::{
        blob::Blob,
        formats::{
            pe::{Machine, fake},
            uki::{self, Uki},
        },
    };

    let uki = Uki {
        stub: fake::image(Machine::Amd64, &[(".text", b"x"), (".sbat", b"sbat,1")]).into(),
        os_release: "ID=x".to_owned(),
        cmdline: "quiet".to_owned(),
        uname: Some("6.1".to_owned()),
        splash: Some("BM".into()),
        pcr_public_key: Some(key.to_owned().into()),
        pcr_signatures: Vec::new(),
        linux: Blob::zeros(300_000),
        initrd: "initrd".into(),
        block: 1,
        profiles,
    };
    uki::read(&uki::assemble(&uki, 0).unwrap()).unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{blob::Blob, formats::uki::Profile};
    use sha2::{Digest as _, Sha256};

    fn image(profiles: Vec<Profile>) -> Contents {
        fake_image("key", profiles)
    }

    /// The same sums spelled out: hash(name, NUL), hash(data), then the phases.
    fn by_hand(sections: &[(&str, &[u8])], phases: &[&str]) -> Vec<u8> {
        let events = sections
            .iter()
            .flat_map(|(name, data)| [[name.as_bytes(), b"\0"].concat(), data.to_vec()])
            .chain(phases.iter().map(|phase| phase.as_bytes().to_vec()));
        events.fold(vec![0; 32], |pcr, event| {
            Sha256::digest([&pcr[..], &Sha256::digest(event)].concat()).to_vec()
        })
    }

    #[test]
    fn sections_are_extended_in_order_and_phases_after_them() {
        let zeros = vec![0; 300_000];
        let sections: [(&str, &[u8]); 8] = [
            (".linux", &zeros),
            (".osrel", b"ID=x"),
            (".cmdline", b"quiet"),
            (".initrd", b"initrd"),
            (".splash", b"BM"),
            (".uname", b"6.1"),
            (".sbat", b"sbat,1"),
            (".pcrpkey", b"key"),
        ];
        let phases = ["enter-initrd", "leave-initrd"];
        let all = predict(&image(Vec::new()), &HashFunction::ALL, &phases).unwrap();
        let [boot] = &*all else { panic!() };
        let names: Vec<_> = boot.iter().map(|prediction| prediction.phase.as_str()).collect();
        assert_eq!(names, ["", "enter-initrd", "enter-initrd:leave-initrd"]);
        for (i, prediction) in boot.iter().enumerate() {
            let expected = by_hand(&sections, &phases[..i]);
            assert_eq!(*prediction.values[&HashFunction::Sha256], *expected);
            assert_eq!(prediction.values[&HashFunction::Sha512].len(), 64);
        }
    }

    #[test]
    fn a_profile_replaces_sections_of_the_base() {
        let named = |id: &str, cmdline: Option<&str>| Profile {
            id: Some(id.to_owned()),
            title: None,
            cmdline: cmdline.map(str::to_owned),
        };
        let contents = image(vec![named("main", None), named("other", Some("quiet wipe"))]);
        let all = predict(&contents, &[HashFunction::Sha256], &[]).unwrap();
        let zeros = vec![0; 300_000];
        for (predicted, (profile, cmdline)) in
            all.iter().zip([("ID=main", "quiet"), ("ID=other", "quiet wipe")])
        {
            let sections: [(&str, &[u8]); 9] = [
                (".linux", &zeros),
                (".osrel", b"ID=x"),
                (".cmdline", cmdline.as_bytes()),
                (".initrd", b"initrd"),
                (".splash", b"BM"),
                (".uname", b"6.1"),
                (".sbat", b"sbat,1"),
                (".pcrpkey", b"key"),
                (".profile", profile.as_bytes()),
            ];
            assert_eq!(*predicted[0].values[&HashFunction::Sha256], *by_hand(&sections, &[]));
        }
        // An empty section hides the base's and is not measured; a signature never is.
        let mut hidden = contents.clone();
        let main = &mut hidden.profiles[0].sections;
        main.insert(Section::Splash, Blob::empty());
        main.insert(Section::PcrSignature, "signature".into());
        let mut without = contents;
        without.base.remove(&Section::Splash);
        let value = |contents| predict(contents, &[HashFunction::Sha384], &[]).unwrap()[0].clone();
        assert_eq!(value(&hidden), value(&without));
    }
}

//! Images whose measurement is signed, and what is told of it.

use image_core::{
    assemble::{self, Context, Signers, UkiSigner},
    blob::{Blob, Scratch},
    error::{ErrorKind, Result},
    events::Silent,
    examine::{self, report::MeasuredUki},
    fake,
    formats::{
        certificate::{self, Certificate, Subject},
        cpio, pcr,
    },
    plan::{self, Asset, Boot, Choices, Keys, Output, Plan},
    signature::Signer,
    signers::{KeyType, PrivateKey},
    sources::Set,
    talos::Profile,
    tree::{Node, Tree, TreePath},
};
use std::num::NonZeroUsize;

pub(crate) fn key() -> PrivateKey {
    PrivateKey::read(include_bytes!("../golden/pcr/key.pem"), None).unwrap()
}

/// Makes what `request` asks for, its measurement to be signed by `key`, where `signer` is.
fn build(request: &str, key: &PrivateKey, signer: Option<&dyn Signer>) -> Result<Blob> {
    build_edited(request, key, signer, |_| {})
}

/// As [`build`], with the plan changed before it is carried out.
fn build_edited(
    request: &str,
    key: &PrivateKey,
    signer: Option<&dyn Signer>,
    edit: impl FnOnce(&mut Plan),
) -> Result<Blob> {
    let mut planned = Planned::new(request, key)?;
    edit(&mut planned.plan);
    let scratch = tempfile::tempdir().unwrap();
    planned.build(key, signer, &Scratch::new(scratch.path()))
}

/// A plan with all its keys, and where its parts are.
pub(crate) struct Planned {
    pub(crate) plan: Plan,
    sources: Set,
    certificate: Certificate,
}

impl Planned {
    pub(crate) fn new(request: &str, key: &PrivateKey) -> Result<Self> {
        let version = request.lines().find_map(|line| line.strip_prefix("version: ")).unwrap();
        let sources = fake::sources(&version.parse().unwrap()).unwrap();
        let subject = Subject { common_name: "tests", organization: "tests" };
        let certificate = certificate::self_signed(&subject, 0..1 << 32, key).unwrap();
        let keys = Keys {
            uki: Some(certificate.clone()),
            pcr: Some(pcr::fingerprint(key.public_key())),
            ..Keys::default()
        };
        let choices = Choices { keys, ..Choices::default() };
        let profile = Profile::from_yaml(request).unwrap();
        let plan = Plan::new(plan::resolve(&profile, &choices, &sources)?, &choices)?;
        Ok(Self { plan, sources, certificate })
    }

    pub(crate) fn build(
        &self,
        key: &PrivateKey,
        signer: Option<&dyn Signer>,
        scratch: &Scratch,
    ) -> Result<Blob> {
        let cx = Context {
            sources: &self.sources,
            scratch,
            threads: NonZeroUsize::MIN,
            observer: &Silent,
            signers: Signers {
                pcr: signer,
                uki: Some(UkiSigner { certificate: &self.certificate, signer: key }),
            },
        };
        Ok(assemble::execute(&self.plan, &cx)?.blob)
    }
}

fn measured(medium: &Blob) -> MeasuredUki {
    let [uki] = &examine::measured(medium, &Scratch::new("")).unwrap().ukis[..] else { panic!() };
    uki.clone()
}

#[test]
fn each_profile_is_signed_for_the_moment_in_which_talos_unseals() {
    let key = key();
    for (request, profiles) in [
        ("baseProfileName: secureboot-metal-uki\narch: amd64\nversion: v1.12.0", &["main"][..]),
        ("baseProfileName: secureboot-metal-uki\narch: arm64\nversion: v1.9.0", &[""]),
        ("baseProfileName: secureboot-iso\narch: amd64\nversion: v1.12.0", &["main", "reset"]),
    ] {
        let medium = build(request, &key, Some(&key)).unwrap();
        let uki = measured(&medium);
        assert_eq!(uki.pcr_key, Some(pcr::fingerprint(key.public_key())));
        assert_eq!(uki.flaws, [""; 0]);
        let ids: Vec<_> = uki.profiles.iter().map(|profile| profile.id.as_str()).collect();
        assert_eq!(ids, profiles);
        for profile in &uki.profiles {
            let signed = profile.pcr11.iter().map(|value| (&*value.phase, value.signed.len()));
            assert_eq!(
                signed.collect::<Vec<_>>(),
                [
                    ("", 0),
                    ("enter-initrd", 0),
                    ("enter-initrd:leave-initrd", 0),
                    ("enter-initrd:leave-initrd:enter-machined", 3),
                ]
            );
        }
    }
}

#[test]
fn signatures_of_something_else_are_a_flaw() {
    let key = key();
    let request = "baseProfileName: secureboot-metal-uki\narch: amd64\nversion: v1.12.0";
    let mut bytes = build(request, &key, Some(&key)).unwrap().to_vec(1 << 30).unwrap();
    let at = bytes.windows(14).position(|it| it == b"talos.platform").unwrap();
    bytes[at] = b'T';
    let flaws = measured(&bytes.into()).flaws;
    assert!(
        matches!(&flaws[..], [flaw] if flaw.contains("main: its .pcrsig signs none")),
        "{flaws:?}"
    );
}

#[test]
fn the_signer_has_to_have_the_key_that_was_planned() {
    let key = key();
    let other = PrivateKey::generate(KeyType::Rsa2048).unwrap();
    let request = "baseProfileName: secureboot-metal-uki\narch: amd64\nversion: v1.12.0";
    let fingerprint = pcr::fingerprint(key.public_key()).hex();
    for (signer, says) in
        [(None, "nobody is here"), (Some(&other as &dyn Signer), "the signer has")]
    {
        let error = build(request, &key, signer).unwrap_err().to_string();
        assert!(error.contains(says) && error.contains(&fingerprint), "{error}");
    }
}

/// A true one has gibibytes, which would all be hashed before it turned out too small.
#[test]
fn a_partition_too_small_for_the_signed_image_is_told_with_what_it_needs() {
    let key = key();
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("initramfs");
    let mut tree = Tree::new();
    tree.insert(TreePath::new("big").unwrap(), Node::file(Blob::zeros(34 << 20), 0o644));
    cpio::archive(&tree, 0).unwrap().persist(&path, &mut |_| ()).unwrap();
    let request = "baseProfileName: secureboot-metal\narch: amd64\nversion: v1.12.0\n\
                   output: {outFormat: raw}";
    let error = build_edited(request, &key, Some(&key), |plan| {
        let Output::Disk(disk) = &mut plan.output else { panic!() };
        let Boot::SdBoot { uki, esp } = &mut disk.boot else { panic!() };
        uki.initramfs.base = Asset::File(path);
        esp.size = Some(34 << 20);
    });
    let error = error.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Assembly);
    let error = error.to_string();
    assert!(error.contains("EFI system partition") && error.contains("too many"), "{error}");
}

//! Images whose measurement is signed, and what is told of it.

use aws_lc_rs::{digest, encoding::AsDer as _, rsa::KeyPair, signature as lc};
use image_core::{
    assemble::{self, Context, Signers},
    blob::{Blob, Digest, Scratch},
    error::Result,
    events::Silent,
    examine::{self, report::MeasuredUki},
    fake,
    formats::pcr,
    plan::{self, Choices, Plan},
    signature::{self, HashFunction, PublicKey, Request, Signer},
    talos::Profile,
};
use spki::der::pem;
use std::num::NonZeroUsize;

/// A key in memory.
#[derive(Debug)]
struct Key(KeyPair, PublicKey);

impl Key {
    fn golden() -> Self {
        let (_, der) = pem::decode_vec(include_bytes!("../golden/pcr/key.pem")).unwrap();
        Self::of(KeyPair::from_pkcs8(&der).unwrap())
    }

    fn of(pair: KeyPair) -> Self {
        let public = lc::KeyPair::public_key(&pair);
        let der: aws_lc_rs::encoding::PublicKeyX509Der<'_> = public.as_der().unwrap();
        let public = PublicKey::from_der(der.as_ref()).unwrap();
        Self(pair, public)
    }

    fn fingerprint(&self) -> Digest {
        pcr::fingerprint(&self.1)
    }
}

impl Signer for Key {
    fn public_key(&self) -> &PublicKey {
        &self.1
    }

    fn sign(&self, request: &Request<'_>) -> Result<Vec<u8>, signature::Error> {
        let (function, padding): (_, &'static dyn lc::RsaEncoding) = match request.hash {
            HashFunction::Sha256 => (&digest::SHA256, &lc::RSA_PKCS1_SHA256),
            HashFunction::Sha384 => (&digest::SHA384, &lc::RSA_PKCS1_SHA384),
            HashFunction::Sha512 => (&digest::SHA512, &lc::RSA_PKCS1_SHA512),
        };
        let digest = digest::Digest::import_less_safe(request.digest, function).unwrap();
        let mut signature = vec![0; self.0.public_modulus_len()];
        self.0.sign_digest(padding, &digest, &mut signature).unwrap();
        Ok(signature)
    }
}

/// Makes what `request` asks for, its measurement to be signed by `key`, where `signer` is.
fn build(request: &str, key: &Key, signer: Option<&dyn Signer>) -> Result<Blob> {
    let version = request.lines().find_map(|line| line.strip_prefix("version: ")).unwrap();
    let sources = fake::sources(&version.parse().unwrap()).unwrap();
    let choices = Choices { pcr_key: Some(key.fingerprint()), ..Choices::default() };
    let profile = Profile::from_yaml(request).unwrap();
    let plan = Plan::new(plan::resolve(&profile, &choices, &sources)?, &choices)?;
    let scratch = tempfile::tempdir().unwrap();
    let cx = Context {
        sources: &sources,
        scratch: &Scratch::new(scratch.path()),
        threads: NonZeroUsize::MIN,
        observer: &Silent,
        signers: Signers { pcr: signer },
    };
    Ok(assemble::execute(&plan, &cx)?.blob)
}

fn measured(medium: &Blob) -> MeasuredUki {
    let [uki] = &examine::measured(medium).unwrap().ukis[..] else { panic!() };
    uki.clone()
}

#[test]
fn each_profile_is_signed_for_the_moment_in_which_talos_unseals() {
    let key = Key::golden();
    for (request, profiles) in [
        ("baseProfileName: metal-uki\narch: amd64\nversion: v1.12.0", &["main"][..]),
        ("baseProfileName: metal-uki\narch: arm64\nversion: v1.9.0", &[""]),
        (
            "baseProfileName: iso\narch: amd64\nversion: v1.12.0\n\
             output: {isoOptions: {bootloader: sd-boot}}",
            &["main", "reset"],
        ),
    ] {
        let medium = build(request, &key, Some(&key)).unwrap();
        let uki = measured(&medium);
        assert_eq!(uki.pcr_key, Some(key.fingerprint()));
        assert_eq!(uki.flaws, [""; 0]);
        let ids: Vec<_> = uki.profiles.iter().map(|profile| profile.id.as_str()).collect();
        assert_eq!(ids, profiles);
        for profile in &uki.profiles {
            let signed = profile.pcr11.iter().map(|value| (&*value.phase, value.signed.len()));
            assert_eq!(
                Vec::from_iter(signed),
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
    let key = Key::golden();
    let request = "baseProfileName: metal-uki\narch: amd64\nversion: v1.12.0";
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
    let key = Key::golden();
    let other = Key::of(KeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap());
    let request = "baseProfileName: metal-uki\narch: amd64\nversion: v1.12.0";
    let fingerprint = key.fingerprint().hex();
    for (signer, says) in
        [(None, "nobody is here"), (Some(&other as &dyn Signer), "the signer has")]
    {
        let error = build(request, &key, signer).unwrap_err().to_string();
        assert!(error.contains(says) && error.contains(&fingerprint), "{error}");
    }
}

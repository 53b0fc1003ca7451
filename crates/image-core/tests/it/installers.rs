//! Installer images, read again as any program reads a container image.

use image_core::{
    assemble::{self, Context, Signers, UkiSigner},
    blob::{Blob, Scratch},
    error::ErrorKind,
    events::Silent,
    fake,
    formats::{
        authenticode::{self, Verdict},
        certificate::{self, Certificate, Subject},
        oci::{Platform, Rules},
        pcr, uki,
    },
    plan::{self, Choices, ContainerFormat, Keys, Plan},
    signature::Signer as _,
    signers::PrivateKey,
    sources::{self, Set},
    talos::{Arch, Profile},
    tree::Tree,
};
use std::num::NonZeroUsize;

fn key() -> (PrivateKey, Certificate) {
    let key = PrivateKey::read(include_bytes!("../golden/pcr/key.pem"), None).unwrap();
    let subject = Subject { common_name: "tests", organization: "tests" };
    let certificate = certificate::self_signed(&subject, 0..1 << 32, &key).unwrap();
    (key, certificate)
}

/// The installer that `request` asks for.
fn build(request: &str, container_format: ContainerFormat) -> image_core::error::Result<Blob> {
    let version = request.lines().find_map(|line| line.strip_prefix("version: ")).unwrap();
    let sources = fake::sources(&version.parse().unwrap()).unwrap();
    let (key, certificate) = key();
    let keys = Keys {
        uki: Some(certificate.clone()),
        pcr: Some(pcr::fingerprint(key.public_key())),
        ..Keys::default()
    };
    let container_format = Some(container_format);
    let choices = Choices { keys, container_format, epoch: 1_700_000_000, ..Choices::default() };
    let profile = Profile::from_yaml(request).unwrap();
    let plan = Plan::new(plan::resolve(&profile, &choices, &sources)?, &choices)?;
    let scratch = Scratch::new("");
    let signers = Signers {
        pcr: Some(&key),
        uki: Some(UkiSigner { certificate: &certificate, signer: &key }),
    };
    let threads = NonZeroUsize::MIN;
    let cx = Context { sources: &sources, scratch: &scratch, threads, observer: &Silent, signers };
    Ok(assemble::execute(&plan, &cx)?.blob)
}

/// The files of the image in `archive`, and its configuration.
fn open(archive: &Blob, reference: &str, arch: Arch) -> (Tree, String) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("installer.tar");
    archive.persist(&file, &mut |_| ()).unwrap();
    let set = Set::new(vec![sources::open(file.to_str().unwrap()).unwrap()]);
    let platform = Platform::new("linux", arch.name());
    let image = set.get(&reference.parse().unwrap(), &platform).unwrap();
    let config = serde_json::Value::Object(sources::config(&set, &image).unwrap().json);
    let (layers, scratch) = (&image.manifest.layers, Scratch::new(dir.path()));
    let tree =
        sources::unpack(&set, &image.reference, layers, &Rules::all(), &scratch, &mut |_| ());
    (tree.unwrap(), config.to_string())
}

#[test]
fn a_base_image_has_one_more_layer() {
    for (base, arch, version, files) in [
        ("installer", Arch::Amd64, "v1.12.0", ["systemd-boot.efi", "vmlinuz.efi"]),
        ("installer", Arch::Arm64, "v1.9.0", ["initramfs.xz", "vmlinuz"]),
        ("secureboot-installer", Arch::Amd64, "v1.9.0", ["systemd-boot.efi", "vmlinuz.efi.signed"]),
        ("secureboot-installer", Arch::Arm64, "v1.12.0", ["systemd-boot.efi", "vmlinuz.efi"]),
    ] {
        let request = format!("baseProfileName: {base}\narch: {arch}\nversion: {version}");
        let repository = if version == "v1.9.0" { "installer" } else { "installer-base" };
        for format in ContainerFormat::ALL {
            let archive = build(&request, format).unwrap();
            assert_eq!(
                archive.digest().unwrap(),
                build(&request, format).unwrap().digest().unwrap()
            );
            let (tree, config) =
                open(&archive, &format!("siderolabs/{repository}:{version}"), arch);
            let found = tree.iter().filter(|(.., node)| node.content().is_some());
            let found: Vec<_> = found.map(|(path, ..)| path.to_string()).collect();
            let [first, second] = files.map(|file| format!("usr/install/{arch}/{file}"));
            // The base image's own upper layer is gone.
            assert_eq!(found, ["usr/bin/installer", &first, &second], "{request}");
            assert!(config.contains(r#""created":"2023-11-14T22:13:20Z""#), "{config}");
            assert!(config.contains("\"Entrypoint\":[\"/usr/bin/installer\"]"), "{config}");
            if first.ends_with("systemd-boot.efi") {
                let (_, certificate) = key();
                for program in [&first, &second].map(|path| tree.file(path).unwrap()) {
                    let verdict =
                        authenticode::verify(program, std::slice::from_ref(&certificate)).unwrap();
                    let signed = matches!(verdict, Verdict::Valid(_));
                    assert_eq!(signed, base.starts_with("secureboot"), "{request}");
                }
                let contents = uki::read(tree.file(&second).unwrap()).unwrap();
                assert!(contents.is_uki());
                let ids: Vec<_> =
                    contents.profiles.iter().filter_map(|profile| profile.id.as_deref()).collect();
                let profiles = ["main", "reset-maintenance"];
                assert_eq!(ids, if version == "v1.9.0" { &[][..] } else { &profiles });
            }
        }
    }
}

#[test]
fn a_base_image_that_cannot_be_one_is_named() {
    let request =
        "baseProfileName: installer\narch: amd64\nversion: v1.12.0\ninput: {baseInstaller: ";
    for (base, kind, says) in [
        ("{imageRef: 'siderolabs/none:1'}", ErrorKind::Source, "siderolabs/none:1"),
        ("{imageRef: 'x', tarballPath: /x.tar}", ErrorKind::Input, "has no configuration"),
        ("{imageRef: 'siderolabs/hello:1.0.0'}", ErrorKind::Input, "(Entrypoint), and so is no"),
        ("{ociPath: /no/such/layout}", ErrorKind::Input, "/no/such/layout"),
    ] {
        let error = build(&format!("{request}{base}}}"), ContainerFormat::default()).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(says), "{error}");
    }
}

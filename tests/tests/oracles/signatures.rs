//! Programs and variables signed here, before the tools that others sign and check with; and what
//! those sign, here.

use crate::media;
use image_core::{
    blob::Blob,
    formats::{
        authenticode::{self, Verdict},
        certificate::{Certificate, Subject, self_signed},
        efi_variable::{self, Data, Entry, Update, Variable},
    },
    signature::{self, HashFunction, PublicKey, Request, Signer},
};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};
use system_tests::{
    part,
    tools::{feed, finish, text, tool},
};

const OWNER: &str = "11111111-2222-3333-4444-123456789abc";
const YEAR_2024: u64 = 1_704_164_645;

/// A key that OpenSSL made and signs with, and a certificate for it, beside each other.
#[derive(Debug)]
struct OpenSsl {
    key: PathBuf,
    certificate: PathBuf,
    public_key: PublicKey,
}

impl Signer for OpenSsl {
    fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    fn sign(&self, request: &Request<'_>) -> Result<Vec<u8>, signature::Error> {
        assert_eq!(request.hash, HashFunction::Sha256);
        let mut command = Command::new("openssl");
        command.args(["pkeyutl", "-sign", "-pkeyopt", "digest:sha256", "-inkey"]).arg(&self.key);
        Ok(feed(&mut command, request.digest).stdout)
    }
}

impl OpenSsl {
    /// With a certificate that OpenSSL makes too; `kind` is in OpenSSL's words.
    fn new(dir: &Path, kind: &[&str]) -> Self {
        let path = |end: &str| dir.join(format!("{}.{end}", kind.join("-").replace(':', "-")));
        let (key, certificate) = (path("key"), path("pem"));
        finish(
            Command::new("openssl")
                .args(["req", "-x509", "-nodes", "-subj", "/CN=Boot/O=Example", "-newkey"])
                .args(kind)
                .arg("-keyout")
                .arg(&key)
                .arg("-out")
                .arg(&certificate),
        );
        let public = ["pkey", "-pubout", "-outform", "DER", "-in"].map(AsRef::as_ref);
        let public = tool("openssl", &[&public[..], &[key.as_os_str()]].concat()).stdout;
        let public_key = PublicKey::from_der(&public).unwrap();
        Self { key, certificate, public_key }
    }

    fn certificate(&self) -> Certificate {
        Certificate::read(&fs::read(&self.certificate).unwrap()).unwrap()
    }
}

const RSA: [&str; 1] = ["rsa:2048"];
const EC: [&str; 3] = ["ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"];

fn persisted(blob: &Blob, to: PathBuf) -> PathBuf {
    blob.persist(&to, &mut |_| ()).unwrap();
    to
}

/// Whether `sbverify` accepts a program.
fn sbverify(certificate: &Path, program: &Path) -> bool {
    let mut command = Command::new("sbverify");
    command.arg("--cert").arg(certificate).arg(program);
    command.output().unwrap().status.success()
}

#[test]
fn others_accept_programs_signed_here_until_they_are_altered() {
    let dir = tempfile::tempdir().unwrap();
    let kinds: [&[&str]; 4] = [&RSA, &["rsa:3072"], &["rsa:4096"], &EC];
    let [uki, uki_arm64] = &media().ukis;
    let programs = [
        part("amd64/systemd-boot.efi"),
        part("arm64/systemd-boot.efi"),
        uki.clone(),
        uki_arm64.clone(),
    ];
    for kind in kinds {
        let key = OpenSsl::new(dir.path(), kind);
        let ours = key.certificate();
        // The large ones once for each algorithm.
        let programs = if kind == RSA || kind == EC { &programs[..] } else { &programs[..2] };
        for program in programs {
            let signed = Blob::open(program).unwrap();
            let signed = authenticode::sign("it", &signed, &ours, &key).unwrap();
            let file = persisted(&signed, dir.path().join("signed.efi"));
            assert!(sbverify(&key.certificate, &file), "{kind:?} {program:?}");
            let arguments = ["verify", "-CAfile"].map(AsRef::as_ref);
            let certificate = key.certificate.as_os_str();
            let arguments = [&arguments[..], &[certificate, "-in".as_ref(), file.as_os_str()]];
            let said = text("osslsigncode", &arguments.concat());
            assert!(said.contains("Signature verification: ok"), "{said}");
            assert!(!said.contains("MISMATCH"), "{said}");
            assert!(!said.to_lowercase().contains("invalid pe checksum"), "{said}");
            assert_eq!(
                authenticode::verify(&signed, std::slice::from_ref(&ours)).unwrap(),
                Verdict::Valid(ours.clone())
            );
        }
        let mut altered = fs::read(dir.path().join("signed.efi")).unwrap();
        let middle = altered.len() / 2;
        altered[middle] ^= 1;
        let file = persisted(&altered.into(), dir.path().join("altered.efi"));
        assert!(!sbverify(&key.certificate, &file));
        let verdict = authenticode::verify(&Blob::open(&file).unwrap(), &[ours]).unwrap();
        assert!(matches!(verdict, Verdict::WrongDigest { .. }), "{verdict:?}");
    }
}

/// The depth, tag and short values of all elements; neither their places nor what depends on the
/// attributes.
fn outline(der: &[u8]) -> Vec<(u32, String)> {
    let mut command = Command::new("openssl");
    let said = feed(command.args(["asn1parse", "-inform", "DER"]), der).stdout;
    let row = |line: &str| {
        let (place, text) =
            line.split_once("prim: ").or_else(|| line.split_once("cons: ")).unwrap();
        let depth = place.split("d=").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
        (depth, text.split("[HEX DUMP]").next().unwrap().trim().to_owned())
    };
    String::from_utf8(said).unwrap().lines().map(row).collect()
}

#[test]
fn programs_signed_by_others_are_valid_and_differ_in_the_signature_alone() {
    let dir = tempfile::tempdir().unwrap();
    let key = OpenSsl::new(dir.path(), &RSA);
    let ours = key.certificate();
    let program = part("amd64/systemd-boot.efi");
    let signed = authenticode::sign("it", &Blob::open(&program).unwrap(), &ours, &key).unwrap();
    let [here] = &*authenticode::signatures(&signed).unwrap() else { panic!() };

    let theirs = dir.path().join("sbsign.efi");
    let mut sbsign = Command::new("sbsign");
    sbsign.arg("--key").arg(&key.key).arg("--cert").arg(&key.certificate);
    finish(sbsign.arg("--output").arg(&theirs).arg(&program));
    let theirs = Blob::open(&theirs).unwrap();
    let [there] = &*authenticode::signatures(&theirs).unwrap() else { panic!() };
    assert_eq!((there.digest, &there.signer), (here.digest, &here.signer));
    // They add a time, and what the signer can do as a reader of mail.
    let (ours_outlined, mut outlined) = (outline(&here.der), outline(&there.der));
    for attribute in [":signingTime", ":S/MIME Capabilities"] {
        let at = outlined.iter().position(|(_, text)| text.ends_with(attribute)).unwrap() - 1;
        let depth = outlined[at].0;
        let len = outlined[at + 1..].iter().position(|row| row.0 <= depth).unwrap();
        outlined.drain(at..at + 1 + len);
    }
    assert_eq!(ours_outlined, outlined);
    let [mine, full] = [&signed, &theirs].map(|blob| blob.to_vec(1 << 24).unwrap());
    let len = usize::try_from(Blob::open(&program).unwrap().len()).unwrap();
    let differ = (0..len).filter(|&at| mine[at] != full[at]).count();
    assert!(differ <= 6, "checksum and the table's length: {differ} bytes");

    let other = dir.path().join("osslsigncode.efi");
    let mut osslsigncode = Command::new("osslsigncode");
    osslsigncode.args(["sign", "-h", "sha256", "-certs"]).arg(&key.certificate);
    osslsigncode.arg("-key").arg(&key.key).arg("-in").arg(&program).arg("-out").arg(&other);
    finish(&mut osslsigncode);
    let verdict = authenticode::verify(&Blob::open(&other).unwrap(), std::slice::from_ref(&ours));
    assert_eq!(verdict.unwrap(), Verdict::Valid(ours));
}

#[test]
fn a_chain_of_certificates_is_followed_to_one_that_is_trusted() {
    let dir = tempfile::tempdir().unwrap();
    let (root, stranger) = (OpenSsl::new(dir.path(), &RSA), OpenSsl::new(dir.path(), &EC));
    let path = |name: &str| dir.path().join(name);
    let request = ["req", "-new", "-nodes", "-newkey", "rsa:2048", "-subj", "/CN=Leaf"];
    let mut command = Command::new("openssl");
    command.args(request).arg("-keyout").arg(path("leaf.key")).arg("-out").arg(path("leaf.csr"));
    finish(&mut command);
    let mut command = Command::new("openssl");
    command.args(["x509", "-req", "-in"]).arg(path("leaf.csr")).arg("-CA").arg(&root.certificate);
    command.arg("-CAkey").arg(&root.key).arg("-CAcreateserial").arg("-out").arg(path("leaf.pem"));
    finish(&mut command);
    let mut command = Command::new("sbsign");
    command.arg("--key").arg(path("leaf.key")).arg("--cert").arg(path("leaf.pem"));
    command.arg("--output").arg(path("signed.efi")).arg(part("amd64/systemd-boot.efi"));
    finish(&mut command);

    let signed = Blob::open(&path("signed.efi")).unwrap();
    let leaf = Certificate::read(&fs::read(path("leaf.pem")).unwrap()).unwrap();
    let verify = |trusted: Certificate| authenticode::verify(&signed, &[trusted]).unwrap();
    assert_eq!(verify(root.certificate()), Verdict::Valid(root.certificate()));
    assert_eq!(verify(leaf.clone()), Verdict::Valid(leaf.clone()));
    assert_eq!(verify(stranger.certificate()), Verdict::WrongKey { signer: leaf });
}

#[test]
fn signed_variables_are_those_of_efitools_byte_for_byte() {
    let dir = tempfile::tempdir().unwrap();
    let signer = OpenSsl::new(dir.path(), &RSA);
    let ours = signer.certificate();
    let path = |name: &str| dir.path().join(name);
    let mut command = Command::new("cert-to-efi-sig-list");
    finish(command.args(["-g", OWNER]).arg(&signer.certificate).arg(path("ours.esl")));
    let entries = [Entry::certificate(OWNER.parse().unwrap(), &ours)];
    let lists = efi_variable::write(&entries).unwrap();
    assert_eq!(lists, fs::read(path("ours.esl")).unwrap());

    for variable in [Variable::PlatformKey, Variable::KeyExchangeKey, Variable::Database] {
        let mut command = Command::new("sign-efi-sig-list");
        command.env("TZ", "UTC").args(["-t", "2024-01-02 03:04:05", "-k"]).arg(&signer.key);
        command.arg("-c").arg(&signer.certificate).arg(variable.name());
        finish(command.arg(path("ours.esl")).arg(path("ours.auth")));
        let theirs = fs::read(path("ours.auth")).unwrap();
        let auth = efi_variable::sign(variable, &lists, YEAR_2024, &ours, &signer).unwrap();
        assert_eq!(auth, theirs, "{variable:?}");
        let update = Update::read(&theirs).unwrap();
        assert_eq!((update.time, &update.content), (YEAR_2024, &lists));
        let verdict = update.verify(variable, std::slice::from_ref(&ours)).unwrap();
        assert_eq!(verdict, efi_variable::Verdict::Valid(ours.clone()));
    }

    // Several certificates in one variable, read by theirs; hashes by theirs, read here.
    let second = OpenSsl::new(dir.path(), &EC).certificate();
    let entries =
        [&ours, &second].map(|certificate| Entry::certificate(OWNER.parse().unwrap(), certificate));
    fs::write(path("two.esl"), efi_variable::write(&entries).unwrap()).unwrap();
    let mut command = Command::new("sig-list-to-certs");
    finish(command.arg(path("two.esl")).arg(path("found")));
    for (number, expected) in [&ours, &second].into_iter().enumerate() {
        let found = fs::read(path(&format!("found-{number}.der"))).unwrap();
        assert_eq!(found, expected.der());
    }
    let program = part("amd64/systemd-boot.efi");
    let mut command = Command::new("hash-to-efi-sig-list");
    finish(command.arg(&program).arg(path("hash.esl")));
    let entries = efi_variable::read(&fs::read(path("hash.esl")).unwrap()).unwrap();
    let digest = authenticode::digest(&Blob::open(&program).unwrap()).unwrap();
    assert!(matches!(&*entries, [Entry { data: Data::Sha256(found), .. }] if *found == digest));
}

#[test]
fn openssl_reads_and_checks_certificates_made_here() {
    let dir = tempfile::tempdir().unwrap();
    for kind in [&RSA[..], &EC] {
        let signer = OpenSsl::new(dir.path(), kind);
        let subject = Subject { common_name: "Boot", organization: "Example" };
        let made = self_signed(&subject, 1_704_164_645..2_524_608_000, &signer).unwrap();
        let file = dir.path().join("made.pem");
        fs::write(&file, made.pem()).unwrap();
        let arguments =
            ["x509", "-noout", "-text", "-fingerprint", "-sha256", "-in"].map(AsRef::as_ref);
        let said = text("openssl", &[&arguments[..], &[file.as_os_str()]].concat());
        for expected in [
            "Subject: CN = Boot, O = Example",
            "Not Before: Jan  2 03:04:05 2024 GMT",
            "Not After : Jan  1 00:00:00 2050 GMT",
            "Digital Signature, Certificate Sign",
            "Code Signing",
            "CA:TRUE",
        ] {
            assert!(said.contains(expected), "{expected}: {said}");
        }
        let hex = said.lines().find_map(|line| line.strip_prefix("sha256 Fingerprint=")).unwrap();
        assert_eq!(hex.replace(':', "").to_lowercase(), made.fingerprint().hex());
        let arguments = ["verify", "-check_ss_sig", "-x509_strict", "-CAfile"].map(AsRef::as_ref);
        let file = file.as_os_str();
        tool("openssl", &[&arguments[..], &[file, file]].concat());
    }
}

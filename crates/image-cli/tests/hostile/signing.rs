//! Keys, certificates and signers that are not what they should be.

use super::*;
use image_core::{
    formats::certificate::{self, Certificate, Subject},
    signature::Signer as _,
    signers::PrivateKey,
    talos::secure_boot,
};

const DAY: u64 = 24 * 60 * 60;
/// In 2100.
const LATER: u64 = 4_107_542_400;

/// Every key that the library's tests have, by its name.
fn keys() -> impl Iterator<Item = (&'static str, &'static str)> {
    let file = include_str!("../../../image-core/tests/golden/keys.txt");
    file.split("== ").skip(1).map(|part| part.split_once('\n').unwrap())
}

fn key(name: &str) -> PrivateKey {
    let (_, pem) = keys().find(|(known, _)| *known == name).unwrap();
    PrivateKey::read(pem.as_bytes(), None).unwrap()
}

fn certificate(key: &PrivateKey, validity: std::ops::Range<u64>) -> Certificate {
    let subject = Subject { common_name: "Rack 7", organization: "Example" };
    certificate::self_signed(&subject, validity, key).unwrap()
}

/// A rig with a folder of good keys, `keys`, and every key by its name.
fn rig() -> Rig {
    let rig = Rig::new();
    for (name, pem) in keys() {
        rig.put(name, pem);
    }
    let good = key("rsa-pkcs8");
    let valid = certificate(&good, 0..LATER);
    fs::create_dir(rig.dir.path().join("keys")).unwrap();
    rig.put("keys/uki-signing-key.pem", fs::read(rig.dir.path().join("rsa-pkcs8")).unwrap());
    rig.put("keys/pcr-signing-key.pem", fs::read(rig.dir.path().join("rsa-pkcs1")).unwrap());
    rig.put("keys/uki-signing-cert.pem", valid.pem());
    rig.put("expired.pem", certificate(&good, 0..DAY).pem());
    rig.put("early.pem", certificate(&good, LATER..LATER + DAY).pem());
    rig.put("ec.pem", certificate(&key("ec-pkcs8"), 0..LATER).pem());
    rig.put("rubbish", "rubbish\n");
    rig.put("swordfish", "swordfish\n");
    rig
}

#[test]
fn keys_that_are_not_what_they_should_be() {
    let rig = rig();
    let uki = |rest: &str| format!("build secureboot-metal-uki --keys {{dir}}/keys {rest}");
    rig.refuses(
        &[
            ("--uki-key {dir}/ec-pkcs8", 2, &["P-256 key", "CN=Rack 7", "RSA-2048", "belong"][..]),
            ("--uki-certificate {dir}/ec.pem", 2, &["RSA-2048 key", "P-256", "belong together"]),
            ("--uki-key {dir}/rsa-1024", 2, &["/rsa-1024: ", "1024 bits", "too weak", "2048"]),
            ("--pcr-key {dir}/rsa-1024", 2, &["/rsa-1024: ", "too weak"]),
            ("--pcr-key {dir}/ec-pkcs8", 2, &["PCR", "only RSA keys"]),
            ("--uki-key {dir}/p384", 2, &["/p384: ", "P-384", "RSA and ECDSA P-256"]),
            ("--uki-key {dir}/rsa-certificate", 2, &["/rsa-certificate: this is a certificate"]),
            ("--uki-key {dir}/rsa-public", 2, &["/rsa-public: this is a public key"]),
            ("--uki-key {dir}/rubbish", 2, &["/rubbish: there is no private key in it"]),
            ("--uki-key {dir}/swordfish", 2, &["there is no private key in it"]),
            ("--uki-key {dir}/nowhere", 2, &["/nowhere"]),
            ("--uki-certificate {dir}/rsa-pkcs8", 2, &["line 1: a PRIVATE KEY stands here"]),
            ("--uki-certificate {dir}/rubbish", 2, &["/rubbish", "neither PEM"]),
            ("--uki-certificate {dir}/nowhere", 2, &["/nowhere"]),
            ("--uki-key {dir}/rsa-pbkdf2", 2, &["/rsa-pbkdf2", "encrypted", "--passphrase-file"]),
            (
                "--uki-key {dir}/rsa-pbkdf2 --passphrase-file {dir}/rubbish",
                2,
                &["/rsa-pbkdf2: the passphrase is wrong"],
            ),
            ("--uki-key {dir}/rsa-pbkdf2 --passphrase-file {dir}/nowhere", 2, &["/nowhere"]),
            ("--uki-key {dir}/rsa-legacy", 2, &["openssl pkcs8 -topk8"]),
            ("--uki-key pkcs11:object=uki", 3, &["PKCS#11", "--signer-command"]),
            ("--signer-command false", 6, &["signer program false: failed", "exit status: 1"]),
            ("--signer-command {dir}/nowhere", 6, &["/nowhere: there is none: give its path"]),
            ("--signer-command {dir}/rubbish", 6, &["/rubbish: cannot be run"]),
            ("--signer-command cat", 6, &["cat: its answer of 32 bytes is no signature of"]),
            ("--signer-command true", 6, &["true: answered nothing for PCR 11"]),
            ("--signer-command yes", 6, &["yes: answered with more than 4096 bytes"]),
            ("--signatures {dir}/nowhere", 2, &["/nowhere"]),
            ("--signatures {dir}/keys", 2, &["not there yet", "--unsigned-requests"]),
        ]
        .map(|(rest, code, says)| (&*uki(rest).leak(), code, says)),
    );

    let line = uki("--uki-key {dir}/rsa-pbkdf2 --passphrase-file {dir}/swordfish");
    rig.built(&line);
    fs::remove_dir_all(rig.out()).unwrap();
    // With a tab between its words: a blank would part them here.
    rig.put("hang", "#!/bin/sh\nsleep 60\n");
    let start = Instant::now();
    rig.refuses(&[(
        &uki("--signer-command sh\t{dir}/hang --signer-timeout 1"),
        6,
        &["did not answer within 1 s"],
    )]);
    assert!(start.elapsed().as_secs() < 30);
}

#[test]
fn a_certificate_out_of_its_time_is_warned_of() {
    let rig = rig();
    for (file, says) in [("expired.pem", "held until"), ("early.pem", "holds from")] {
        let line = format!(
            "build secureboot-metal-uki --keys {{dir}}/keys --uki-certificate {{dir}}/{file}"
        );
        let output = rig.command(&line).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{said}");
        assert!(
            said.starts_with("warning: ") && said.contains(file) && said.contains(says),
            "{said}"
        );
        assert_eq!(said.lines().count(), 1, "{said}");

        fs::remove_dir_all(rig.out()).unwrap();
        let output = rig.command(&(line + " --strict")).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.lines().last().unwrap().contains("there was a warning"), "{said}");
        assert_eq!(listing(&rig.out()), [""; 0]);
    }
}

#[test]
fn what_is_to_be_enrolled_and_signed_has_to_be_whole() {
    let rig = rig();
    // What `keys` makes besides: the variables, each signed.
    let (good, valid) = (key("rsa-pkcs8"), certificate(&key("rsa-pkcs8"), 0..LATER));
    let folder = |name: &str, leave_out: &str, replace: &[(&str, &str)]| {
        fs::create_dir(rig.dir.path().join(name)).unwrap();
        for file in ["uki-signing-key.pem", "uki-signing-cert.pem", "pcr-signing-key.pem"] {
            let from = rig.dir.path().join("keys").join(file);
            fs::copy(from, rig.dir.path().join(name).join(file)).unwrap();
        }
        let microsoft = secure_boot::Microsoft::default();
        let pem = valid.pem();
        for (variable, entries) in secure_boot::variables(pem.as_bytes(), &valid, &microsoft) {
            use image_core::formats::efi_variable::{sign, write};
            let file = secure_boot::auth_file(variable);
            let auth = sign(variable, &write(&entries).unwrap(), 0, &valid, &good).unwrap();
            if file != leave_out {
                rig.put(&format!("{name}/{file}"), auth);
            }
        }
        for (file, with) in replace {
            let from = rig.dir.path().join(with);
            fs::copy(from, rig.dir.path().join(name).join(file)).unwrap();
        }
    };
    folder("whole", "", &[]);
    folder("partial", "PK.auth", &[]);
    folder("other", "", &[("db.auth", "whole/KEK.auth")]);
    folder("text", "", &[("PK.auth", "rubbish")]);
    let service = |signer: &str, key: &str| {
        let signer = format!("{{{signer}: {{{key}: x}}}}");
        rig.put(
            &format!("{key}.yaml"),
            format!("baseProfileName: secureboot-iso\ninput: {{secureboot: {signer}}}\n"),
        );
    };
    service("secureBootSigner", "awsKMSKeyID");
    service("secureBootSigner", "signerAddress");
    service("pcrSigner", "azureVaultURL");

    let signed = "build secureboot-iso --keys {dir}/whole";
    rig.built(signed);
    let medium = rig.out().join("metal-amd64-secureboot.iso");
    fs::rename(medium, rig.dir.path().join("medium.iso")).unwrap();
    let line = "extract {dir}/medium.iso esp/EFI/BOOT --output {dir}/taken";
    assert!(rig.command(line).output().unwrap().status.success());
    fs::remove_dir_all(rig.out()).unwrap();

    rig.refuses(&[
        ("build secureboot-iso --keys {dir}/partial", 2, &["not PK.auth", "give all three"]),
        ("build secureboot-iso --keys {dir}/other", 2, &["db.auth", "not of this variable"]),
        ("build secureboot-iso --keys {dir}/text", 2, &["PK.auth", "cut short"]),
        (
            "build secureboot-iso --keys {dir}/keys --secureboot-include-well-known-certs",
            2,
            &["--microsoft-kek", "--microsoft-db"],
        ),
        (
            "build secureboot-iso --keys {dir}/whole --secureboot-include-well-known-certs",
            2,
            &["give the certificates to", "without those files"],
        ),
        (
            "build secureboot-iso --keys {dir}/keys --microsoft-db {dir}/rsa-pkcs8",
            2,
            &["Microsoft's", "/rsa-pkcs8", "PRIVATE KEY"],
        ),
        (
            "build {dir}/awsKMSKeyID.yaml --keys {dir}/keys",
            3,
            &["secureBootSigner.awsKMSKeyID", "--signer-command"],
        ),
        ("build {dir}/signerAddress.yaml --keys {dir}/keys", 3, &["signerAddress"]),
        ("build {dir}/azureVaultURL.yaml --keys {dir}/keys", 3, &["pcrSigner.azureVaultURL"]),
        (
            "build secureboot-iso --keys {dir}/keys --sd-boot {dir}/taken/esp/EFI/BOOT/BOOTX64.EFI",
            7,
            &["systemd-boot is signed already by CN=Rack 7", "without a signature"],
        ),
    ]);
}

#[test]
fn signatures_made_elsewhere_have_to_hold() {
    let rig = rig();
    let build = "build secureboot-metal-uki --keys {dir}/keys";
    let asked =
        rig.command(&format!("{build} --unsigned-requests {{dir}}/asked")).output().unwrap();
    assert!(asked.status.success(), "{asked:?}");
    fs::create_dir(rig.dir.path().join("made")).unwrap();
    for file in listing(&rig.dir.path().join("asked")) {
        if let Some(stem) = file.strip_suffix(".digest") {
            rig.put(&format!("made/{stem}.sig"), vec![1; 256]);
        }
    }
    rig.refuses(&[(
        &format!("{build} --signatures {{dir}}/made"),
        6,
        &[".sig holds no signature of PCR 11", "RSA-2048 key", ".digest again"],
    )]);
}

/// Also where signing fails, and in the plan: nothing of a private key is in what is printed.
#[test]
fn no_key_is_ever_printed() {
    let rig = rig();
    let key = key("rsa-pkcs8");
    let mut printed = Vec::new();
    for line in [
        "build secureboot-metal-uki --keys {dir}/keys",
        "build secureboot-iso --keys {dir}/keys --plan",
        "build secureboot-iso --keys {dir}/keys --unsigned-requests {dir}/asked",
        "build secureboot-metal-uki --keys {dir}/keys --signer-command cat",
        "build secureboot-metal-uki --keys {dir}/keys --uki-certificate {dir}/ec.pem",
        "build secureboot-metal-uki --keys {dir}/keys --uki-certificate {dir}/rsa-pkcs8",
        "build secureboot-iso --keys {dir}/keys --microsoft-db {dir}/rsa-pkcs8",
        "build secureboot-iso --keys {dir}/keys --splash {dir}/rsa-pkcs8",
        "build secureboot-iso --keys {dir}/keys --pcr-key {dir}/rsa-pbkdf2 --passphrase-file {dir}/rsa-pkcs8",
        "profile secureboot-iso --talos-version v1.11.0",
        "verify {dir}/out/metal-amd64-secureboot-uki.efi --db {dir}/keys",
        "verify {dir}/out/metal-amd64-secureboot-uki.efi --db {dir}/rsa-pkcs8",
        "verify {dir}/out/metal-amd64-secureboot-uki.efi --certificate {dir}/rsa-pkcs8",
        "inspect {dir}/out/metal-amd64-secureboot-uki.efi --pcrs",
        "inspect {dir}/out/metal-amd64-secureboot-uki.efi",
        "inspect {dir}/rsa-pkcs8",
    ] {
        for json in ["", " --json"] {
            let output = rig.command(&format!("{line}{json}")).output().unwrap();
            printed.extend([output.stdout, output.stderr].concat());
        }
    }
    for file in listing(&rig.dir.path().join("asked")) {
        printed.extend(fs::read(rig.dir.path().join("asked").join(file)).unwrap());
    }
    // What it says of keys is there, so that this looks at the right thing.
    let text = String::from_utf8_lossy(&printed).to_lowercase();
    assert!(text.contains(&key.public_key().fingerprint()[..16]), "{text}");
    let pem = fs::read_to_string(rig.dir.path().join("rsa-pkcs8")).unwrap();
    let body: Vec<&str> = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let der = decoded(&body.concat());
    let medium = fs::read(rig.out().join("metal-amd64-secureboot-uki.efi")).unwrap();
    for secret in private_numbers(&der) {
        let hex = secret.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
        assert!(!text.contains(&hex[..32]));
        assert!(!contains(&printed, &secret[..16]) && !contains(&medium, &secret[..16]));
    }
    for line in body {
        assert!(!text.contains(&line.to_lowercase()), "{line}");
        assert!(!contains(&medium, line.as_bytes()));
    }
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// Base64 (RFC 4648, section 4), as PEM has it.
fn decoded(text: &str) -> Vec<u8> {
    let digits = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut bytes, mut bits, mut have) = (Vec::new(), 0u32, 0);
    for letter in text.bytes().filter(|letter| *letter != b'=') {
        let digit = digits.iter().position(|digit| *digit == letter).unwrap();
        (bits, have) = (bits << 6 | u32::try_from(digit).unwrap(), have + 6);
        if have >= 8 {
            have -= 8;
            bytes.push(u8::try_from(bits >> have & 0xff).unwrap());
        }
    }
    bytes
}

/// The exponent, the primes and what follows of them in an RSAPrivateKey (RFC 8017, appendix
/// A.1.2): all long integers (RFC 5280: tag 2, a length of two or three bytes) but the first, which
/// is public.
fn private_numbers(der: &[u8]) -> Vec<Vec<u8>> {
    let mut numbers = Vec::new();
    let mut at = 0;
    while let [tag, long, ..] = der[at..] {
        let len = match (tag, long) {
            (2, 0x81) => usize::from(der[at + 2]),
            (2, 0x82) => usize::from(der[at + 2]) << 8 | usize::from(der[at + 3]),
            _ => 0,
        };
        let start = at + 2 + usize::from(long & 0x7f);
        if len < 100 || start + len > der.len() {
            at += 1;
            continue;
        }
        numbers.push(der[start + 1..start + len].to_vec());
        at = start + len;
    }
    assert_eq!(numbers.len(), 7, "modulus, exponent, two primes, three more");
    numbers.split_off(1)
}

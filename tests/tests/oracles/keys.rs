//! Keys that are made here, before OpenSSL; and signatures that OpenSSL makes elsewhere.

use image_core::{
    signature::{Error, HashFunction, Request, Signer as _},
    signers::{Detached, PrivateKey, detached},
};
use std::{collections::BTreeMap, fs, process::Command};
use system_tests::tools::{finish, text, tool};

#[test]
fn openssl_takes_every_kind_of_key_with_its_certificate() {
    let dir = tempfile::tempdir().unwrap();
    for kind in ["rsa2048", "rsa3072", "rsa4096", "p256"] {
        let keys = dir.path().join(kind);
        system_tests::run(&["keys", keys.to_str().unwrap(), "--key-type", kind]);
        let file = |name: &str| keys.join(name).display().to_string();
        let (key, certificate) = (file("uki-signing-key.pem"), file("uki-signing-cert.pem"));
        for key in [&key, &file("pcr-signing-key.pem")] {
            assert!(text("openssl", &["pkey", "-in", key, "-noout", "-check"]).contains("valid"));
        }
        let public = text("openssl", &["pkey", "-in", &key, "-pubout"]);
        assert_eq!(text("openssl", &["x509", "-in", &certificate, "-noout", "-pubkey"]), public);
        tool("openssl", &["x509", "-in", &certificate, "-noout", "-checkend", "300000000"]);
        tool("openssl", &["verify", "-check_ss_sig", "-CAfile", &certificate, &certificate]);
        let der = file("uki-signing-cert.der");
        let again = text("openssl", &["x509", "-inform", "der", "-in", &der]);
        assert_eq!(again, fs::read_to_string(&certificate).unwrap());
    }
}

#[test]
fn what_openssl_signs_by_the_book_of_requests_is_taken_up() {
    let dir = tempfile::tempdir().unwrap();
    for algorithm in [["RSA", "rsa_keygen_bits:2048"], ["EC", "ec_paramgen_curve:P-256"]] {
        let out = dir.path().join(algorithm[0]);
        fs::create_dir(&out).unwrap();
        let [algorithm, option] = algorithm;
        let file = out.join("KEY.pem").display().to_string();
        let arguments = ["genpkey", "-algorithm", algorithm, "-pkeyopt", option, "-out", &file];
        tool("openssl", &arguments);
        let key = PrivateKey::read(&fs::read(&file).unwrap(), None).unwrap();
        let first = Detached::new(key.public_key().clone(), BTreeMap::new()).unwrap();
        let hashes = &HashFunction::ALL[..if algorithm == "RSA" { 3 } else { 1 }];
        let digests: Vec<_> = hashes.iter().map(|hash| (*hash, hash.digest(b"a UKI"))).collect();
        let request =
            |at: usize| Request { what: "the UKI", hash: digests[at].0, digest: &digests[at].1 };
        for at in 0..digests.len() {
            assert!(matches!(first.sign(&request(at)), Err(Error::Awaited(_))));
        }
        let awaited = first.awaited();
        for (name, content) in detached::files(&awaited) {
            fs::write(out.join(name), content).unwrap();
        }
        for awaited in &awaited {
            finish(Command::new("sh").arg("-c").arg(awaited.openssl()).current_dir(&out));
        }
        let files = fs::read_dir(&out).unwrap().map(|entry| {
            let entry = entry.unwrap();
            (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())
        });
        let second = Detached::new(key.public_key().clone(), files).unwrap();
        for at in 0..digests.len() {
            let signature = second.sign(&request(at)).unwrap();
            if algorithm == "RSA" {
                assert_eq!(signature, key.sign(&request(at)).unwrap());
            }
        }
    }
}

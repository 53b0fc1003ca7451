//! Keys on a token: SoftHSM's, through the PKCS#11 signer.

use image_core::{
    signature::{Error, HashFunction, Request, Signer as _},
    signers::{
        PrivateKey,
        pkcs11::{Token, Uri},
    },
};
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};
use system_tests::tools::{finish, tool};

const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";
const PIN: &str = "2468";
/// Where the token lies. SoftHSM reads its own variable, which no running process can set safely.
const TOKEN: &str = "TALOS_IMAGE_TEST_TOKEN";

/// A key in a file, and its identifier on the token.
const KEYS: [(&str, &str, [&str; 4]); 2] = [
    ("rsa", "01", ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"]),
    ("p256", "02", ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]),
];

#[test]
fn a_token_signs_as_the_key_in_a_file_does() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| dir.path().join(name).display().to_string();
    fs::create_dir(file("tokens")).unwrap();
    let conf = format!("directories.tokendir = {}\nlog.level = ERROR\n", file("tokens"));
    fs::write(file("conf"), conf).unwrap();
    let softhsm = |arguments: &[&str]| {
        let mut command = Command::new("softhsm2-util");
        finish(command.args(arguments).args(["--pin", PIN]).env("SOFTHSM2_CONF", file("conf")))
    };
    for label in ["a token", "another"] {
        softhsm(&["--init-token", "--free", "--so-pin", "1357", "--label", label]);
    }
    for (name, id, algorithm) in KEYS {
        tool("openssl", &[&["genpkey", "-out", &file(name)][..], &algorithm].concat());
        let token = ["--token", "a token", "--label", name, "--id", id];
        softhsm(&[&["--import", &file(name)][..], &token].concat());
    }
    let ran = finish(
        Command::new(env::current_exe().unwrap())
            .args(["--exact", "with_a_token", "--ignored", "--nocapture"])
            .env("SOFTHSM2_CONF", file("conf"))
            .env(TOKEN, dir.path()),
    );
    // A name that no test has would be a success too.
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(said.contains("1 passed"), "{said}");
}

#[test]
#[ignore = "needs a token: the other test makes one and runs this with it"]
fn with_a_token() {
    let dir = PathBuf::from(env::var_os(TOKEN).unwrap());
    for (name, _, _) in KEYS {
        let key = PrivateKey::read(&fs::read(dir.join(name)).unwrap(), None).unwrap();
        let token = open(&format!("token=a%20token;object={name}"), Some(PIN)).unwrap();
        assert_eq!(token.public_key(), key.public_key());
        for hash in HashFunction::ALL.into_iter().take(if name == "rsa" { 3 } else { 1 }) {
            let digest = hash.digest(b"a UKI");
            let request = Request { what: "the UKI", hash, digest: &digest };
            let signature = token.sign(&request).unwrap();
            assert!(key.public_key().verifies(hash, &digest, &signature));
            if name == "rsa" {
                assert_eq!(signature, key.sign(&request).unwrap());
            }
        }
        assert!(!format!("{token:?}").contains(PIN));
    }
    for (uri, pin, said) in [
        ("token=a%20token;object=rsa", Some("1111"), "the PIN of the token a token is wrong"),
        ("token=a%20token;object=rsa", None, "wants its PIN: name a file"),
        ("token=a%20token;object=rs", Some(PIN), "there is object=p256;id=%02, object=rsa;id=%01"),
        ("token=a%20token", Some(PIN), "several private keys of the token a token fit"),
        ("token=another", Some(PIN), "shows no private key"),
        ("token=none", Some(PIN), "no token fits the PKCS#11 URI: there is token="),
        ("object=rsa", Some(PIN), "several tokens fit the PKCS#11 URI"),
    ] {
        let error = open(uri, pin).unwrap_err().to_string();
        assert!(
            error.contains(said) && !error.contains('\n') && !error.contains("1111"),
            "{error}"
        );
    }
    let rsa = PrivateKey::read(&fs::read(dir.join("rsa")).unwrap(), None).unwrap();
    let uri: Uri = format!("pkcs11:token=a%20token;id=%02?module-path={MODULE}").parse().unwrap();
    let error = Token::open(&uri, Some(PIN.as_bytes()), Some(rsa.public_key())).unwrap_err();
    assert!(error.to_string().contains("and the certificate is of the RSA-2048 key"), "{error}");
    let uri: Uri = "pkcs11:?module-path=/nowhere.so".parse().unwrap();
    let error = Token::open(&uri, None, None).unwrap_err().to_string();
    assert!(error.contains("the PKCS#11 module /nowhere.so cannot be used"), "{error}");
    assert!(Path::new(MODULE).exists());
}

fn open(path: &str, pin: Option<&str>) -> Result<Token, Error> {
    let uri: Uri = format!("pkcs11:{path}?module-path={MODULE}").parse()?;
    Token::open(&uri, pin.map(str::as_bytes), None)
}

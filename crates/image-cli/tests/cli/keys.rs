//! Keys that are made.

use super::*;
use image_core::{
    formats::{
        certificate::Certificate,
        efi_variable::{self, Data, Update, Variable, Verdict},
    },
    signature::{Algorithm, Signer as _},
    signers::PrivateKey,
    talos::secure_boot,
};
use std::{
    collections::BTreeMap,
    os::unix::fs::PermissionsExt as _,
    time::{SystemTime, UNIX_EPOCH},
};

/// Files by name: their modes and contents.
fn files(dir: &Path) -> BTreeMap<String, (u32, Vec<u8>)> {
    let entries = fs::read_dir(dir).unwrap().map(Result::unwrap);
    entries
        .map(|entry| {
            let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
            let name = entry.file_name().into_string().unwrap();
            (name, (mode, fs::read(entry.path()).unwrap()))
        })
        .collect()
}

/// Runs `keys` under a shell's limits, with keys that are made fast.
fn keys(limits: &str, dir: &Path, args: &[&str]) -> Output {
    let mut command = Command::new("sh");
    command.arg("-c").arg(format!("{limits}; exec \"$@\"")).arg("sh");
    command.arg(env!("CARGO_BIN_EXE_talos-image")).arg("keys").arg(dir);
    command.args(["--key-type", "p256"]).args(args).output().unwrap()
}

const MODES: [(&str, u32); 7] = [
    ("KEK.auth", 0o644),
    ("PK.auth", 0o644),
    ("db.auth", 0o644),
    ("pcr-signing-key.pem", 0o600),
    ("uki-signing-cert.der", 0o644),
    ("uki-signing-cert.pem", 0o644),
    ("uki-signing-key.pem", 0o600),
];

#[test]
fn keys_fit_together_and_their_modes_are_the_same_under_any_umask() {
    let parent = tempfile::tempdir().unwrap();
    for umask in ["umask 0", "umask 777"] {
        let dir = parent.path().join(umask).join("new");
        // A directory above that is made under such a umask could not be entered.
        fs::create_dir(dir.parent().unwrap()).unwrap();
        let output = keys(umask, &dir, &["--json", "--common-name", "Rack 7", "--days", "10"]);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let mode = fs::metadata(&dir).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o700);
        let files = files(&dir);
        let modes: Vec<_> = files.iter().map(|(name, (mode, _))| (&**name, *mode)).collect();
        assert_eq!(modes, MODES);
        assert_eq!(json_lines(&output.stdout).len(), MODES.len());
        let all = [output.stdout, output.stderr].concat();
        let private = text(&files["uki-signing-key.pem"].1);
        for line in private.lines() {
            assert!(!text(&all).contains(line));
        }

        let content = |name: &str| &files[name].1[..];
        let key = |name: &str| PrivateKey::read(content(name), None).unwrap();
        let pem = content("uki-signing-cert.pem");
        let certificate = Certificate::read(pem).unwrap();
        assert_eq!(certificate.public_key(), key("uki-signing-key.pem").public_key());
        assert_eq!(certificate.der(), content("uki-signing-cert.der"));
        assert!(certificate.subject().contains("CN=Rack 7"), "{}", certificate.subject());
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let age = now - certificate.not_before();
        assert!(age < 600, "{age}");
        assert_eq!(certificate.not_after() - certificate.not_before(), 10 * 86400);
        let pcr = key("pcr-signing-key.pem");
        assert_eq!((pcr.public_key().algorithm(), pcr.public_key().bits()), (Algorithm::Rsa, 2048));
        for variable in [Variable::PlatformKey, Variable::KeyExchangeKey, Variable::Database] {
            let update = Update::read(content(&secure_boot::auth_file(variable))).unwrap();
            let trusted = [certificate.clone()];
            let verdict = update.verify(variable, &trusted);
            assert!(matches!(verdict, Ok(Verdict::Valid(_))), "{verdict:?}");
            assert_eq!(update.time, certificate.not_before());
            let entries = efi_variable::read(&update.content).unwrap();
            assert_eq!(entries.len(), 1);
            assert_eq!(entries[0].owner, secure_boot::owner(pem));
            assert_eq!(entries[0].data, Data::X509(certificate.der().to_vec()));
        }
    }
    let names = fs::read_dir(parent.path().join("umask 0")).unwrap().count();
    assert_eq!(names, 1, "only the directory that was asked for");
}

#[test]
fn keys_are_never_overwritten_and_written_all_or_none() {
    let dir = tempfile::tempdir().unwrap();
    // A key of somebody's, and a link that leads nowhere, in whose place a key would go.
    fs::write(dir.path().join("pcr-signing-key.pem"), "precious").unwrap();
    std::os::unix::fs::symlink("/nowhere", dir.path().join("db.auth")).unwrap();
    let output = keys(":", dir.path(), &[]);
    assert_eq!(output.status.code(), Some(2));
    let said = text(&output.stderr);
    assert!(said.contains("there is pcr-signing-key.pem, db.auth: name another"), "{said}");
    assert_eq!(fs::read(dir.path().join("pcr-signing-key.pem")).unwrap(), b"precious");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);

    // A full disk leaves nothing: neither in a new directory nor in one that was there.
    let dir = tempfile::tempdir().unwrap();
    let limits = "trap '' XFSZ; ulimit -f 2";
    for target in [dir.path().join("made/new"), dir.path().to_owned()] {
        let output = keys(limits, &target, &[]);
        assert_eq!(output.status.code(), Some(6), "{output:?}");
        assert!(text(&output.stderr).contains("too large"), "{output:?}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
    // One that was there, with other things in it, is taken as it is.
    fs::write(dir.path().join("notes"), "mine").unwrap();
    assert_eq!(keys(":", dir.path(), &[]).status.code(), Some(0));
    assert_eq!(files(dir.path()).len(), MODES.len() + 1);
}

#[test]
fn certificates_of_microsofts_go_where_they_belong() {
    let dir = tempfile::tempdir().unwrap();
    let (theirs, ours) = (dir.path().join("theirs"), dir.path().join("ours"));
    assert_eq!(keys(":", &theirs, &[]).status.code(), Some(0));
    let certificate = theirs.join("uki-signing-cert.der");
    let certificate = certificate.to_str().unwrap();
    let args = ["--microsoft-kek", certificate, "--microsoft-db", certificate];
    assert_eq!(keys(":", &ours, &args).status.code(), Some(0));
    for (file, count) in [("PK.auth", 1), ("KEK.auth", 2), ("db.auth", 2)] {
        let update = Update::read(&fs::read(ours.join(file)).unwrap()).unwrap();
        let entries = efi_variable::read(&update.content).unwrap();
        assert_eq!(entries.len(), count, "{file}");
        assert_eq!(entries.iter().any(|it| it.owner == secure_boot::MICROSOFT), count == 2);
    }

    let other = dir.path().join("other");
    let key = theirs.join("uki-signing-key.pem");
    for (args, said) in [
        (["--microsoft-db", key.to_str().unwrap()], "uki-signing-key.pem"),
        (["--microsoft-db", "/nowhere"], "/nowhere"),
        (["--days", "0"], "--days"),
        (["--common-name", &"x".repeat(65)], "64"),
    ] {
        let output = keys(":", &other, &args);
        let error = text(&output.stderr);
        assert!(matches!(output.status.code(), Some(2 | 7)), "{output:?}");
        let lines = error.lines().filter(|line| !line.starts_with("warning: p256: "));
        assert!(error.contains(said) && lines.count() == 1, "{error}");
        assert!(!other.exists());
    }
}

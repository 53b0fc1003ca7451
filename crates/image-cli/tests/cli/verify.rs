//! Whether firmware would start a medium.

use super::*;
use image_core::formats::{authenticode, efi_variable::Update};

/// Makes keys fast.
fn keys(dir: &Path) {
    let output = run_on("keys", dir, &["--key-type", "p256"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

/// What `verify` says of `file` as JSON, and its exit code.
fn verify(file: &Path, args: &[&str]) -> (Value, Option<i32>) {
    let output = run_on("verify", file, &[args, &["--json"]].concat());
    let [said] = &json_lines(&output.stdout)[..] else { panic!("{output:?}") };
    let said = said.clone();
    assert_eq!(said["valid"], output.status.code() == Some(0), "{output:?}");
    // For people the same, a line for each program and each UKI's signatures for the TPM.
    let human = run_on("verify", file, args);
    assert_eq!(human.status.code(), output.status.code());
    let lines = text(&human.stdout).lines().count();
    let programs = said["programs"].as_array().unwrap();
    assert!(lines >= 2 + programs.len(), "{human:?}");
    let errors = text(&human.stderr).lines().count();
    assert_eq!(errors, usize::from(output.status.code() != Some(0)), "{human:?}");
    (said, output.status.code())
}

/// The verdicts, in the medium's order.
fn verdicts(file: &Path, args: &[&str]) -> Vec<String> {
    let (said, code) = verify(file, args);
    let verdict = |program: &Value| program["verdict"].as_str().unwrap().to_owned();
    let verdicts: Vec<_> = said["programs"].as_array().unwrap().iter().map(verdict).collect();
    let valid = verdicts.iter().all(|verdict| verdict.starts_with("valid"));
    assert!(valid || code == Some(2), "{said}");
    verdicts
}

/// Flips a bit of the file, in the first place where it says `text`.
fn damage(file: &Path, text: &str) {
    let mut bytes = fs::read(file).unwrap();
    let at = bytes.windows(text.len()).position(|window| window == text.as_bytes()).unwrap();
    bytes[at] ^= 1;
    fs::write(file, bytes).unwrap();
}

#[test]
fn what_firmware_starts_is_told_from_what_it_refuses() {
    let mirror = Mirror::new();
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let arg = |name: &str| path(name).to_str().unwrap().to_owned();
    keys(&path("ours"));
    keys(&path("theirs"));
    let build = |args: &[&str]| {
        let keys = path("ours");
        let mut command = mirror.build(args);
        if args[0].starts_with("secureboot") {
            command.arg("--keys").arg(keys);
        }
        let output = command.arg("--output").arg(dir.path()).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{output:?}");
    };
    build(&["secureboot-iso"]);
    build(&["secureboot-metal-uki"]);
    build(&["iso", "--bootloader", "sd-boot"]);
    let (iso, uki) = (path("metal-amd64-secureboot.iso"), path("metal-amd64-secureboot-uki.efi"));

    // Valid: by its own keys, by all forms of what firmware has, or by its hash.
    let (said, _) = verify(&iso, &[]);
    assert_eq!(
        (&said["own_keys"], &said["programs"][1]["pcr"]["flaws"]),
        (&true.into(), &Value::Null)
    );
    let anchor = &said["programs"][1]["anchor"];
    assert_eq!(anchor["subject"], "CN=UKI Signing Key, O=UKI Signing Key");
    let update = Update::read(&fs::read(path("ours/db.auth")).unwrap()).unwrap();
    fs::write(path("db.esl"), update.content).unwrap();
    let two = ["valid"; 2];
    assert_eq!(verdicts(&iso, &[]), two);
    for (flag, name) in [
        ("--db", "ours"),
        ("--db", "ours/db.auth"),
        ("--db", "db.esl"),
        ("--certificate", "ours/uki-signing-cert.pem"),
        ("--certificate", "ours/uki-signing-cert.der"),
    ] {
        assert_eq!(verdicts(&iso, &[flag, &arg(name)]), two, "{name}");
        assert_eq!(verdicts(&uki, &[flag, &arg(name)]), ["valid"], "{name}");
    }
    let theirs = ["--db", &arg("theirs")];
    assert_eq!(verdicts(&iso, &[&theirs[..], &["--db", &arg("ours")]].concat()), two);
    let hash = authenticode::digest(&Blob::open(&uki).unwrap()).unwrap();
    let entry = image_core::formats::efi_variable::Entry {
        owner: image_core::talos::secure_boot::MICROSOFT,
        data: image_core::formats::efi_variable::Data::Sha256(hash),
    };
    fs::write(path("hash.esl"), image_core::formats::efi_variable::write(&[entry]).unwrap())
        .unwrap();
    assert_eq!(verdicts(&uki, &["--db", &arg("hash.esl")]), ["valid-hash"]);
    assert_eq!(verdicts(&iso, &["--db", &arg("hash.esl")]), ["wrong-key"; 2]);

    // Wrong key, unsigned, wrong digest.
    assert_eq!(verdicts(&iso, &theirs), ["wrong-key"; 2]);
    assert_eq!(verdicts(&path("metal-amd64.iso"), &theirs), ["unsigned"; 2]);
    damage(&iso, "talos.platform=");
    assert_eq!(verdicts(&iso, &[]), ["valid", "wrong-digest"]);
    let (said, _) = verify(&iso, &[]);
    let flaws = said["programs"][1]["pcr"]["flaws"].as_array().unwrap();
    assert!(flaws[0].as_str().unwrap().contains(".pcrsig signs none"), "{said}");

    // What `inspect` says of the same.
    let inspected = json_lines(&run_on("inspect", &iso, &["--json"]).stdout);
    let flaw = inspected[0]["flaws"][0].as_str().unwrap();
    assert!(flaw.contains(".efi: it is not what was signed"), "{flaw}");
    let files = inspected[0]["esp"]["files"].as_array().unwrap();
    let file = |name: &str| files.iter().find(|it| it["path"].as_str().unwrap().ends_with(name));
    let states = ["BOOTX64.EFI", "v1.12.2.efi"].map(|name| {
        let signature = &file(name).unwrap()["signatures"][0];
        assert_eq!(&signature["signer"], anchor);
        signature["state"].clone()
    });
    assert_eq!(states, ["holds", "wrong-digest"]);
    let variable = &file("KEK.auth").unwrap()["variable"];
    assert_eq!((&variable["name"], &variable["signer"]), (&"KEK".into(), anchor));
    assert_eq!(&variable["entries"][0]["certificate"], anchor);
    let inspected = json_lines(&run_on("inspect", &uki, &["--json"]).stdout);
    assert_eq!(inspected[0]["signatures"][0]["state"], "holds");
    let key = inspected[0]["pcr_key"].as_str().unwrap();
    assert_eq!(key, format!("sha256:{}", inspected[0]["pcr_signers"][0].as_str().unwrap()));
    let human = run_on("inspect", &iso, &[]);
    for says in ["keys to enrol", "itself", "WRONG", "PCR key"] {
        assert!(text(&human.stdout).contains(says), "{says}\n{}", text(&human.stdout));
    }
}

#[test]
fn what_cannot_be_held_against_anything_is_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let put = |name: &str, content: &[u8]| fs::write(path(name), content).unwrap();
    keys(&path("keys"));
    fs::create_dir(path("empty")).unwrap();
    let program =
        image_core::formats::pe::fake::boot_loader(image_core::formats::pe::Machine::Amd64);
    put("program.efi", &program);
    put("cut.efi", &program[..100]);
    put("initramfs", &fake::initramfs().unwrap().to_vec(1 << 20).unwrap());
    put("none", b"");
    for (args, says) in [
        (&["program.efi"][..], "no keys of its own"),
        (&["initramfs"], "no keys of its own"),
        (&["initramfs", "--db", "keys"], "no UEFI program in it"),
        (&["keys/db.auth", "--db", "keys"], "keys/db.auth"),
        (&["program.efi", "--db", "keys"], "not validly signed"),
        (&["cut.efi", "--db", "keys"], "not validly signed"),
        (&["program.efi", "--db", "empty"], "empty: this folder has neither db.auth"),
        (&["program.efi", "--db", "none"], "none: "),
        (&["program.efi", "--db", "nowhere"], "nowhere: "),
        (&["program.efi", "--db", "keys/uki-signing-cert.pem"], "--certificate"),
        (&["program.efi", "--db", "keys/uki-signing-key.pem"], "no signed variable"),
        (&["program.efi", "--certificate", "keys/uki-signing-key.pem"], "PRIVATE KEY"),
        (&["program.efi", "--certificate", "keys/db.auth"], "db.auth: "),
        (&["nowhere", "--db", "keys"], "nowhere: "),
    ] {
        let output = talos_image(&["verify"]).args(args).current_dir(dir.path()).output().unwrap();
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {said}");
        assert!(said.starts_with("error: ") && said.contains(says), "{args:?}: {said}");
        assert_eq!(said.lines().count(), 1, "{args:?}: {said}");
    }
    // One that fails does not keep the next from being looked at.
    let files = ["nowhere", "program.efi", "--db", "keys"];
    let output = talos_image(&["verify"]).args(files).current_dir(dir.path()).output().unwrap();
    assert!(text(&output.stdout).contains("program.efi  UNSIGNED"), "{output:?}");
    assert_eq!(text(&output.stderr).lines().count(), 2);
}

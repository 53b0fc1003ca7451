//! The keys' work in built media, as those see it who also sign and check.

use super::{sections::systemd_measure, *};
use image_core::{
    formats::{certificate::Certificate, efi_variable::Variable},
    talos::secure_boot,
};

const TIME: &str = "2024-01-02 03:04:05";
const EPOCH: &str = "--epoch=1704164645";

/// A folder of keys, without variables signed when they were made.
fn keys(dir: &Path) -> PathBuf {
    let keys = dir.join("keys");
    run(&["keys".as_ref(), "--key-type=rsa2048".as_ref(), keys.as_os_str()]);
    for variable in [Variable::PlatformKey, Variable::KeyExchangeKey, Variable::Database] {
        fs::remove_file(keys.join(secure_boot::auth_file(variable))).unwrap();
    }
    keys
}

/// The ESP of a medium, copied into a folder by mtools.
fn esp(medium: &Path, partition: usize, to: &Path) -> PathBuf {
    let (_, rows) = partitions(medium, 512);
    let (start, ..) = rows[partition];
    let folder = to.join("esp");
    fs::create_dir_all(&folder).unwrap();
    let volume = format!("{}@@{start}", medium.display());
    let mut command = Command::new("mcopy");
    finish(command.args(["-s", "-i", &volume, "::/"]).arg(&folder));
    folder
}

#[test]
fn those_who_sign_find_their_own_work_in_an_iso_and_on_a_disk() {
    let dir = tempfile::tempdir().unwrap();
    let keys = keys(dir.path());
    let (key, certificate) =
        (keys.join(secure_boot::UKI_KEY), keys.join(secure_boot::UKI_CERTIFICATE));
    let pem = fs::read(&certificate).unwrap();
    let der = Certificate::read(&pem).unwrap().der().to_vec();
    let esl = dir.path().join("esl");
    let owner = secure_boot::owner(&pem).to_string();
    let mut command = Command::new("cert-to-efi-sig-list");
    finish(command.args(["-g", &owner]).arg(&certificate).arg(&esl));

    let media = [
        ("secureboot-iso", 1, "EFI/BOOT/BOOTX64.EFI"),
        ("secureboot-metal", 0, "EFI/boot/BOOTX64.efi"),
    ];
    for (profile, partition, loader) in media {
        let dir = dir.path().join(profile);
        let keys = keys.to_str().unwrap();
        let enroll = "--secureboot-enroll-keys=force";
        let arguments =
            [profile, "--arch=amd64", "--out-format=raw", EPOCH, enroll, "--keys", keys];
        let medium = build(&dir.join("medium"), &arguments);
        let esp = esp(&medium, partition, &dir);
        let uki = esp.join("EFI/Linux/Talos-v1.12.0.efi");

        for program in [&esp.join(loader), &uki] {
            let mut command = Command::new("sbverify");
            finish(command.arg("--cert").arg(&certificate).arg(program));
            let mut command = Command::new("osslsigncode");
            command.args(["verify", "-CAfile"]).arg(&certificate).arg("-in").arg(program);
            let said = String::from_utf8(finish(&mut command).stdout).unwrap();
            assert!(said.contains("Signature verification: ok"), "{said}");
        }

        let auth = dir.join("auth");
        for variable in [Variable::PlatformKey, Variable::KeyExchangeKey, Variable::Database] {
            let mut command = Command::new("sign-efi-sig-list");
            command.env("TZ", "UTC").args(["-t", TIME, "-k"]).arg(&key);
            command.arg("-c").arg(&certificate).arg(variable.name()).arg(&esl).arg(&auth);
            finish(&mut command);
            let ours = esp.join("loader/keys/auto").join(secure_boot::auth_file(variable));
            assert_eq!(fs::read(ours).unwrap(), fs::read(&auth).unwrap(), "{variable:?}");
        }
        let in_esp = esp.join("EFI/keys/uki-signing-cert.der");
        if profile == "secureboot-iso" {
            assert_eq!(fs::read(in_esp).unwrap(), der);
        } else {
            assert!(!in_esp.exists());
        }

        let pcr_key = Path::new(keys).join(secure_boot::PCR_KEY);
        signs_the_same(&uki, &pcr_key, &dir);
    }
}

/// systemd-measure, with the key, would put what is there into `.pcrsig` of each profile.
fn signs_the_same(uki: &Path, key: &Path, dir: &Path) {
    let public = text("openssl", &["pkey", "-pubout", "-in", key.to_str().unwrap()]);
    let contents = uki::read(&Blob::open(uki).unwrap()).unwrap();
    assert_eq!(contents.boots().len(), 2);
    for mut sections in contents.boots() {
        let signed = sections.remove(&uki::Section::PcrSignature).unwrap();
        let named = &sections[&uki::Section::PcrPublicKey];
        assert_eq!(named.to_vec(MIB).unwrap(), public.as_bytes());
        let mut command = systemd_measure("sign", &sections, dir);
        command.arg("--phase=enter-initrd:leave-initrd:enter-machined");
        command.arg(format!("--private-key={}", key.display()));
        command.arg(format!("--public-key={}", dir.join("pcrpkey").display()));
        let theirs = finish(&mut command).stdout;
        let ours = signed.to_vec(MIB).unwrap();
        assert_eq!(String::from_utf8(theirs).unwrap().trim_end().as_bytes(), ours);
    }
}

//! A machine that trusts our keys boots what they signed, and nothing else.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use image_core::{
    blob::{Blob, Scratch},
    examine,
    formats::certificate::{Subject, self_signed},
    signers::PrivateKey,
    talos::secure_boot::{PCR_KEY, UKI_CERTIFICATE, UKI_KEY},
};
use std::{
    fs::{self, File},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    sync::OnceLock,
};
use system_tests::{
    build,
    qemu::{Arch, Boot, Firmware, Medium},
    run,
};

const ENROLLED: &str = "Custom Secure Boot keys successfully enrolled, rebooting";
const FORCE: &str = "--secureboot-enroll-keys=force";

/// Made once for all tests.
struct Rig {
    /// The keys of the media.
    keys: PathBuf,
    /// Would enrol its keys if the machine had none and it were safe.
    iso: PathBuf,
    /// Variables of a firmware that has the keys, as a disk enrolled them.
    vars: PathBuf,
    /// What the console said of that disk.
    said: String,
}

fn rig() -> &'static Rig {
    static RIG: OnceLock<Rig> = OnceLock::new();
    RIG.get_or_init(|| {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("secure_boot");
        if dir.exists() {
            fs::remove_dir_all(&dir).unwrap();
        }
        let keys = keys(&dir, "keys");
        let arguments = ["secureboot-metal", "--out-format=raw", FORCE];
        let disk = Medium::Disk(medium(&dir.join("disk"), Arch::Amd64, &keys, &arguments), 512);
        let vars = dir.join("vars.fd");
        let boot = Boot { vars_after: Some(vars.clone()), ..setup_mode(Arch::Amd64, disk) };
        let said = boot.run().unwrap();
        let iso = medium(&dir.join("iso"), Arch::Amd64, &keys, &["secureboot-iso"]);
        Rig { keys, iso, vars, said }
    })
}

fn keys(dir: &Path, name: &str) -> PathBuf {
    let keys = dir.join(name);
    run(&["keys".as_ref(), "--key-type=rsa2048".as_ref(), keys.as_os_str()]);
    keys
}

fn medium(output: &Path, arch: Arch, keys: &Path, arguments: &[&str]) -> PathBuf {
    let (arch, console) = match arch {
        Arch::Amd64 => ("--arch=amd64", "--extra-kernel-arg=console=ttyS0"),
        Arch::Arm64 => ("--arch=arm64", "--extra-kernel-arg=console=ttyAMA0"),
    };
    let keys = keys.to_str().unwrap();
    build(output, &[arguments, &[arch, console, "--keys", keys]].concat())
}

/// A boot on firmware that has no keys yet.
fn setup_mode(arch: Arch, medium: Medium) -> Boot {
    // Enrolment ends in a restart.
    Boot { restarts: true, ..Boot::new(arch, Firmware::secure(arch), medium) }
}

/// A boot on firmware that has the keys of the rig.
fn user_mode(medium: Medium) -> Boot {
    let firmware = Firmware::secure(Arch::Amd64).with_vars(rig().vars.clone());
    Boot::new(Arch::Amd64, firmware, medium)
}

/// Firmware, boot loader and kernel enforce Secure Boot.
fn enforces(said: &str) {
    for line in ["EFI SecureBoot 1\n", "EFI SetupMode 0\n", "KERNEL Secure boot enabled\n"] {
        assert!(said.contains(line), "no {line:?} in:\n{said}");
    }
}

fn enrols_and_enforces(said: &str) {
    assert!(said.contains(ENROLLED), "{said}");
    enforces(said);
}

/// The rig's ISO with some bytes of a part changed, as a CD.
fn altered(dir: &Path, name: &str, alter: impl FnOnce(&File, u64, &Blob)) -> Medium {
    let copy = dir.join("altered.iso");
    fs::copy(&rig().iso, &copy).unwrap();
    let iso = Blob::open(&copy).unwrap();
    let parts = examine::parts(&iso, &Scratch::new("")).unwrap().parts;
    let part = parts.iter().find(|part| part.name.starts_with(name)).unwrap();
    let at = iso.position_of(&part.blob).unwrap();
    alter(&File::options().write(true).open(&copy).unwrap(), at, &part.blob);
    Medium::Cd(copy)
}

fn without_signature(dir: &Path, program: &str) -> Medium {
    altered(dir, program, |iso, at, program| {
        // PE format, "Optional Header Data Directories": the fifth, of 8 bytes each, after the
        // signature, the COFF header and 112 bytes of a PE32+'s.
        let header = u64::from(u32::from_le_bytes(program.array(0x3c).unwrap()));
        let directory = header + 4 + 20 + 112 + 4 * 8;
        assert_ne!(program.array::<8>(directory).unwrap(), [0; 8], "it was signed");
        iso.write_all_at(&[0; 8], at + directory).unwrap();
    })
}

/// systemd-boot starts, and firmware does not let it load the UKI.
fn uki_is_refused(medium: Medium) {
    let boot = Boot { until: "Access denied".to_owned(), ..user_mode(medium) };
    let said = boot.run().unwrap();
    assert!(said.contains("Boot in"), "{said}");
    assert!(said.contains("Error loading \\EFI\\Linux\\Talos-v1.12.0.efi"), "{said}");
}

/// Firmware does not let systemd-boot start.
fn loader_is_refused(medium: Medium) {
    let boot = Boot { until: "Access Denied".to_owned(), ..user_mode(medium) };
    let said = boot.run().unwrap();
    assert!(said.contains("BdsDxe: failed to load Boot"), "{said}");
    assert!(!said.contains("Boot in"), "{said}");
}

#[test]
fn a_disk_enrols_its_keys_by_force_and_boots_with_them() {
    enrols_and_enforces(&rig().said);
}

#[test]
fn an_iso_enrols_its_keys_in_a_virtual_machine_and_boots_as_cd() {
    let boot = setup_mode(Arch::Amd64, Medium::Cd(rig().iso.clone()));
    enrols_and_enforces(&boot.run().unwrap());
}

#[test]
fn an_iso_boots_as_disk_and_as_usb_stick_where_the_keys_are_enrolled() {
    for medium in [Medium::Disk(rig().iso.clone(), 512), Medium::Usb(rig().iso.clone())] {
        let said = user_mode(medium).run().unwrap();
        assert!(!said.contains(ENROLLED), "{said}");
        enforces(&said);
    }
}

#[test]
fn a_uki_with_one_bit_changed_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    for section in ["sections/linux", "sections/initrd", "sections/cmdline"] {
        uki_is_refused(altered(dir.path(), section, |iso, at, section| {
            let middle = section.len() / 2;
            let [byte] = section.array(middle).unwrap();
            iso.write_all_at(&[byte ^ 1], at + middle).unwrap();
        }));
    }
}

#[test]
fn what_is_not_signed_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    uki_is_refused(without_signature(dir.path(), "esp/EFI/Linux/"));
    loader_is_refused(without_signature(dir.path(), "esp/EFI/BOOT/"));
}

#[test]
fn what_another_key_signed_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let keys = keys(dir.path(), "others");
    let iso = medium(&dir.path().join("iso"), Arch::Amd64, &keys, &["secureboot-iso"]);
    loader_is_refused(Medium::Cd(iso));
}

/// Firmware has no clock it trusts, so it does not look at dates.
#[test]
fn a_certificate_that_has_expired_is_enrolled_from_the_menu_and_trusted() {
    const YEAR_2010: std::ops::Range<u64> = 1_262_304_000..1_293_840_000;
    let dir = tempfile::tempdir().unwrap();
    let keys = dir.path().join("keys");
    fs::create_dir(&keys).unwrap();
    for file in [UKI_KEY, PCR_KEY] {
        fs::copy(rig().keys.join(file), keys.join(file)).unwrap();
    }
    let key = PrivateKey::read(&fs::read(keys.join(UKI_KEY)).unwrap(), None).unwrap();
    let subject = Subject { common_name: "Expired", organization: "Example" };
    let certificate = self_signed(&subject, YEAR_2010, &key).unwrap();
    fs::write(keys.join(UKI_CERTIFICATE), certificate.pem()).unwrap();
    let arguments = ["secureboot-iso", "--secureboot-enroll-keys=manual"];
    let iso = medium(&dir.path().join("iso"), Arch::Amd64, &keys, &arguments);
    // Two systems and the firmware's menu stand above the keys.
    let answers = [("Boot in", "jjj\r"), (ENROLLED, ""), ("Boot in", "\r")];
    let boot = Boot {
        answers: answers.map(|(when, keys)| (when.to_owned(), keys.to_owned())).into(),
        ..setup_mode(Arch::Amd64, Medium::Cd(iso))
    };
    enrols_and_enforces(&boot.run().unwrap());
}

#[test]
fn an_iso_for_arm64_enrols_its_keys_and_boots() {
    let dir = tempfile::tempdir().unwrap();
    let keys = keys(dir.path(), "keys");
    let arguments = ["secureboot-iso", FORCE];
    let iso = medium(&dir.path().join("iso"), Arch::Arm64, &keys, &arguments);
    enrols_and_enforces(&setup_mode(Arch::Arm64, Medium::Cd(iso)).run().unwrap());
}

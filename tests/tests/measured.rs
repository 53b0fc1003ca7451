//! What the TPM of a booted guest holds is what was predicted.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use image_core::{
    blob::{Blob, Scratch},
    examine::{self, report::MeasuredUki},
};
use std::path::Path;
use system_tests::{
    build,
    qemu::{Arch, Boot, Firmware, Medium},
    run,
};

/// What is typed at the menu for each of its entries.
const ENTRIES: [&str; 2] = ["\r", "j\r"];
const ARGUMENTS: [&str; 3] =
    ["--arch=amd64", "--out-format=raw", "--extra-kernel-arg=console=ttyS0"];

/// What is predicted of the one UKI of a medium.
fn predicted(medium: &Path) -> MeasuredUki {
    let mut measured = examine::measured(&Blob::open(medium).unwrap(), &Scratch::new("")).unwrap();
    let uki = measured.ukis.pop().unwrap();
    assert!(measured.ukis.is_empty() && uki.flaws.is_empty(), "{measured:?} {uki:?}");
    assert_eq!(uki.profiles.len(), ENTRIES.len());
    uki
}

/// The registers as the guest showed them are as predicted for that entry of the menu.
fn are_as_predicted(said: &str, uki: &MeasuredUki, entry: usize, secure_boot: bool) {
    let firmware = uki.firmware.iter().find(|it| it.secure_boot == secure_boot).unwrap();
    let registers = [
        ("11", Some(&uki.profiles[entry].pcr11[0].values)),
        ("4", Some(&firmware.pcr4)),
        ("7", firmware.pcr7.as_ref()),
    ];
    assert_eq!(firmware.pcr7.is_some(), secure_boot);
    for (register, values) in registers {
        let Some(values) = values else { continue };
        let prefix = format!("PCR {register} ");
        let value = said.lines().find_map(|line| line.strip_prefix(&prefix)).unwrap();
        assert_eq!(value.to_lowercase(), values["sha256"], "PCR {register} of entry {entry}");
    }
}

fn boot(firmware: Firmware, disk: &Path, entry: usize) -> Boot {
    Boot {
        tpm: true,
        answers: vec![("Boot in".to_owned(), ENTRIES[entry].to_owned())],
        ..Boot::new(Arch::Amd64, firmware, Medium::Disk(disk.to_owned(), 512))
    }
}

#[test]
fn pcr_4_and_11_are_as_predicted_whichever_entry_of_the_menu_boots() {
    let dir = tempfile::tempdir().unwrap();
    let arguments = [&["metal", "--bootloader=sd-boot"][..], &ARGUMENTS].concat();
    let disk = build(&dir.path().join("disk"), &arguments);
    let uki = predicted(&disk);
    for entry in 0..ENTRIES.len() {
        let said = boot(Firmware::uefi(Arch::Amd64), &disk, entry).run().unwrap();
        are_as_predicted(&said, &uki, entry, false);
    }
}

#[test]
fn with_secure_boot_pcr_7_is_as_predicted_too() {
    let dir = tempfile::tempdir().unwrap();
    let keys = dir.path().join("keys").display().to_string();
    run(&["keys", "--key-type=rsa2048", &keys]);
    let secure = ["secureboot-metal", "--secureboot-enroll-keys=force", "--keys", &keys];
    let disk = build(&dir.path().join("disk"), &[&secure[..], &ARGUMENTS].concat());
    let uki = predicted(&disk);
    let vars = dir.path().join("vars.fd");
    let firmware = Firmware::secure(Arch::Amd64);
    let enrolment =
        Boot { restarts: true, vars_after: Some(vars.clone()), ..boot(firmware.clone(), &disk, 0) };
    are_as_predicted(&enrolment.run().unwrap(), &uki, 0, true);
    let said = boot(firmware.with_vars(vars), &disk, 1).run().unwrap();
    are_as_predicted(&said, &uki, 1, true);
}

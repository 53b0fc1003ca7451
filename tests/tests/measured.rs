//! What the TPM of a booted guest holds is what was predicted.

use image_core::{
    blob::{Blob, Scratch},
    examine,
};
use system_tests::{
    build,
    qemu::{Arch, Boot, Firmware, Medium},
};

#[test]
fn pcr_4_and_11_are_as_predicted_whichever_entry_of_the_menu_boots() {
    let dir = tempfile::tempdir().unwrap();
    let arguments = "metal --arch amd64 --bootloader sd-boot --out-format raw \
                     --extra-kernel-arg console=ttyS0";
    let disk = build(&dir.path().join("disk"), &arguments.split(' ').collect::<Vec<_>>());
    let measured = examine::measured(&Blob::open(&disk).unwrap(), &Scratch::new("")).unwrap();
    let [uki] = &measured.ukis[..] else { panic!("{measured:?}") };
    let [firmware] = &uki.firmware[..] else { panic!("{measured:?}") };
    assert_eq!(uki.profiles.len(), 2, "two entries");

    for (profile, keys) in uki.profiles.iter().zip(["\r", "j\r"]) {
        let said = Boot {
            tpm: true,
            answers: vec![("Boot in".to_owned(), keys.to_owned())],
            ..Boot::new(Arch::Amd64, Firmware::uefi(Arch::Amd64), Medium::Disk(disk.clone(), 512))
        }
        .run()
        .unwrap();
        for (register, predicted) in [("11", &profile.pcr11[0].values), ("4", &firmware.pcr4)] {
            let prefix = format!("PCR {register} ");
            let value = said.lines().find_map(|line| line.strip_prefix(&prefix)).unwrap();
            assert_eq!(value.to_lowercase(), predicted["sha256"], "PCR {register}");
        }
    }
}

//! What the TPM of a booted guest holds is what was predicted.

use image_core::{
    blob::Blob,
    formats::{pcr, uki},
    signature::HashFunction,
};
use system_tests::{
    build,
    qemu::{Arch, Boot, Firmware, Medium},
    tools,
};

#[test]
fn pcr_11_is_as_predicted_whichever_entry_of_the_menu_boots() {
    let dir = tempfile::tempdir().unwrap();
    let arguments = "metal --arch amd64 --bootloader sd-boot --out-format raw \
                     --extra-kernel-arg console=ttyS0";
    let disk = build(&dir.path().join("disk"), &arguments.split(' ').collect::<Vec<_>>());
    let image = dir.path().join("uki.efi");
    let partition = format!("{}@@1M", disk.display());
    let image_text = image.display().to_string();
    tools::tool("mcopy", &["-i", &partition, "::EFI/Linux/Talos-v1.12.0.efi", &image_text]);
    let contents = uki::read(&Blob::open(&image).unwrap()).unwrap();
    let predictions = pcr::predict(&contents, &[HashFunction::Sha256], &[]).unwrap();
    assert_eq!(predictions.len(), 2, "two entries");

    for (prediction, keys) in predictions.iter().zip(["\r", "j\r"]) {
        let said = Boot {
            tpm: true,
            answers: vec![("Boot in".to_owned(), keys.to_owned())],
            ..Boot::new(Arch::Amd64, Firmware::uefi(Arch::Amd64), Medium::Disk(disk.clone(), 512))
        }
        .run()
        .unwrap();
        let value = said.lines().find_map(|line| line.strip_prefix("PCR 11 ")).unwrap();
        let measured: Vec<u8> = (0..value.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&value[at..at + 2], 16).unwrap())
            .collect();
        assert_eq!(measured[..], prediction[0].values[&HashFunction::Sha256][..]);
    }
}

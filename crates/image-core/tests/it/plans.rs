//! Plans as they are printed: a change of one is a change of media, seen and agreed to.
//!
//! `UPDATE_GOLDEN=1 cargo test -p image-core --test it plans` writes them anew.

use image_core::{
    fake,
    formats::oci::{self, Encoding},
    plan::{self, Choices, Plan},
    sources::{Layout, Set},
    talos::{Arch, Profile},
};
use std::{fs, path::Path, sync::Arc};

const VERSION: &str = "v1.11.0";

/// A mirror whose digests no compressor has a say in.
fn sources() -> Set {
    let plain = |name: &str, tree| fake::image(name, &tree, &Arch::ALL, Encoding::Plain).unwrap();
    let hello = [("usr/bin/hello", "hello\n".into())];
    let hello = fake::extension("hello", "1.0.0", ">= v1.0.0", &hello).unwrap();
    let images = [
        plain("siderolabs/imager:v1.11.0", fake::release().unwrap()),
        plain("siderolabs/hello:1.0.0", hello),
    ];
    Set::new(vec![Arc::new(Layout::tree("oci:mirror", oci::layout(&images).unwrap()).unwrap())])
}

#[test]
fn every_plan_is_the_one_agreed_on() {
    let disk =
        "output: {outFormat: raw, imageOptions: {bootloader: sd-boot, diskSectorSize: SIZE}}";
    let asked = |kind: &str| format!("baseProfileName: iso\narch: amd64\noutput: {{kind: {kind}}}");
    let iso = "output: {isoOptions: {bootloader: sd-boot}}";
    let sources = sources();
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    for (name, request) in [
        ("iso-amd64", format!("baseProfileName: iso\narch: amd64\n{iso}")),
        ("iso-arm64", format!("baseProfileName: iso\narch: arm64\n{iso}")),
        (
            "metal-512",
            format!("baseProfileName: metal\narch: amd64\n{}", disk.replace("SIZE", "512")),
        ),
        (
            "metal-4096",
            format!("baseProfileName: metal\narch: arm64\n{}", disk.replace("SIZE", "4096"))
                + "\ncustomization: {metaContents: [{key: 0xa, value: text}]}",
        ),
        ("uki", "baseProfileName: metal-uki\narch: amd64".to_owned()),
        ("initramfs", asked("initramfs")),
        ("cmdline", asked("cmdline") + "\ncustomization: {extraKernelArgs: [a=b, -selinux]}"),
        ("kernel", asked("kernel")),
    ] {
        let extension = "input: {systemExtensions: [{imageRef: siderolabs/hello:1.0.0}]}";
        let request = format!("{request}\nversion: {VERSION}\n{extension}\n");
        let profile = Profile::from_yaml(&request).unwrap();
        let choices = Choices { epoch: 1_700_000_000, ..Choices::default() };
        let plan = Plan::new(plan::resolve(&profile, &choices, &sources).unwrap(), &choices);
        let plan = serde_json::to_string_pretty(&plan.unwrap()).unwrap() + "\n";
        let golden = directory.join(format!("{name}.plan.json"));
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&golden, &plan).unwrap();
        }
        assert_eq!(plan, fs::read_to_string(&golden).unwrap_or_default(), "{name}");
    }
}

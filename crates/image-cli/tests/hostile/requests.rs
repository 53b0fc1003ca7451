//! What is asked wrongly.

use super::*;

#[test]
fn what_is_asked_wrongly() {
    let rig = Rig::new();
    rig.put("typo.yaml", "baseProfileName: iso\noutput: {knid: iso}\n");
    rig.put("no.yaml", "{");
    rig.put("base.yaml", "baseProfileName: isso\n");
    rig.put("cache.yaml", "baseProfileName: iso\ninput: {imageCache: {imageRef: a/b:1}}\n");
    rig.put(
        "config.yaml",
        "baseProfileName: iso\ncustomization: {embeddedMachineConfiguration: x}\n",
    );
    rig.put(
        "overlay.yaml",
        "baseProfileName: iso\noverlay: {name: rpi, image: {imageRef: a/b:1}}\n",
    );
    rig.put("a-file", "");
    rig.refuses(&[
        ("build iso --kernel {dir}/nowhere", 2, &["kernel", "/nowhere"]),
        ("build iso --splash {dir}/nowhere.bmp", 2, &["splash", "/nowhere.bmp"]),
        ("build iso --source oci:{dir}/nowhere", 2, &["/nowhere", "mend the path"]),
        ("build iso --source {dir}/nowhere", 2, &["/nowhere"]),
        (
            "build iso --source registry:registry.example",
            3,
            &["registry:registry.example", "skopeo copy"],
        ),
        ("build {dir}/nowhere.yaml", 2, &["/nowhere.yaml"]),
        ("build {dir}/typo.yaml", 2, &["typo.yaml", "\"kind\""]),
        ("build {dir}/no.yaml", 2, &["no.yaml"]),
        ("build {dir}/base.yaml", 2, &["\"iso\""]),
        ("build isoo", 2, &["isoo", "\"iso\""]),
        ("build iso --bootlaoder sd-boot", 2, &["--bootlaoder", "--bootloader"]),
        ("build iso --talos-version 1.x", 2, &["--talos-version", "1.x"]),
        ("build iso --talos-version latest", 2, &["--talos-version", "latest"]),
        ("build secureboot-iso --bootloader grub", 2, &["grub", "systemd-boot alone"]),
        ("build iso --container-format oci-archive", 2, &["--container-format", "installer"]),
        ("build iso --compression-level 3", 2, &["level", "--out-format"]),
        ("build iso --out-format .zst --compression-level 77", 2, &["77", "1 to 19"]),
        ("build iso --out-format .zst --compression-level much", 2, &["\"much\"", "max"]),
        ("build iso --epoch soon", 2, &["--epoch", "soon"]),
        ("build iso --epoch -1", 2, &["--epoch"]),
        ("build iso --epoch 99999999999", 2, &["99999999999", "2106"]),
        ("build iso --talos-version v1.4.0 --bootloader sd-boot", 3, &["v1.4.0", "v1.5.0"]),
        ("build iso --arch arm64 --bootloader dual-boot", 3, &["dual-boot", "sd-boot or grub"]),
        ("build metal --arch arm64 --bootloader dual-boot", 3, &["dual-boot", "sd-boot or grub"]),
        ("build secureboot-iso", 2, &["Secure Boot", "--keys"]),
        ("build iso --keys {dir}", 2, &["Secure Boot", "secureboot-iso"]),
        ("build secureboot-metal --keys {dir}/nowhere", 2, &["/nowhere"]),
        ("build oracle --disk-format qcow", 2, &["qcow", "\"qcow2\""]),
        (
            "build oracle --disk-format-options cluster_size=3k",
            2,
            &["--disk-format-options \"cluster_size=3k\"", "power of two from 512 to 2M"],
        ),
        (
            "build oracle --disk-format-options compression=zstd",
            2,
            &["\"compression\"", "compression_type"],
        ),
        ("build oracle --disk-format vhd", 2, &["\"cluster_size\"", "force_size"]),
        ("build azure --disk-format-options subformat=dynamic", 3, &["subformat=fixed"]),
        ("build azure --disk-size 3000GiB", 2, &["--disk-size", "VHD", "too many"]),
        ("build oracle --disk-size 2000000000001", 2, &["--disk-size", "sectors have 512"]),
        ("build oracle --disk-size 40000GiB", 2, &["qcow2", "clusters of 16384"]),
        ("build vmware --disk-size 70000GiB", 2, &["VMDK", "too many"]),
        ("build {dir}/cache.yaml", 3, &["imageCache"]),
        ("build {dir}/config.yaml", 3, &["v1.11.0", "machine configuration", "v1.12.0"]),
        ("build {dir}/overlay.yaml", 3, &["overlay"]),
        ("build metal --disk-size 64MiB", 2, &["--disk-size 1157627904"]),
        ("build iso --output {dir}/a-file", 6, &["a-file"]),
        ("build iso --output {dir}/a-file/below", 6, &["a-file/below"]),
        ("build iso --output /proc/nowhere", 6, &["/proc/nowhere"]),
        ("build iso --output /proc", 6, &["/proc/metal-amd64.iso"]),
    ]);
}

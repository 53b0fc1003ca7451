use super::*;
use crate::blob::Blob;

const KERNEL: &str = "6.12.48-talos";

fn metadata(name: &str, version: &str) -> Metadata {
    Metadata {
        name: name.to_owned(),
        version: version.to_owned(),
        author: String::new(),
        description: format!("[core] This system extension provides {}.", name.replace('-', " ")),
        talos: ">= v1.0.0".to_owned(),
        extra_info: String::new(),
    }
}

/// An Intel update of the 2 KiB that none needs to say, its sum right (Intel SDM volume 3,
/// 11.11.1).
fn update() -> Vec<u8> {
    let mut words = [0u32; 512];
    words[..4].copy_from_slice(&[1, 1, 0x1111_2025, 0x0005_0654]);
    words[5] = 1;
    let sum = words.iter().fold(0u32, |sum, word| sum.wrapping_add(*word));
    words[4] = sum.wrapping_neg();
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// A tree of files; what ends with a slash is a directory, `a -> b` a link, `0777 a` has that
/// mode.
fn tree(paths: &[&str]) -> Tree {
    let mut tree = Tree::new();
    for text in paths {
        let (mode, text) = text
            .split_once(' ')
            .filter(|(mode, _)| mode.starts_with('0'))
            .map_or((None, *text), |(mode, text)| {
                (Some(u32::from_str_radix(mode, 8).unwrap()), text)
            });
        let (path, mut node) = match text.split_once(" -> ") {
            Some((path, target)) => (path, Node::symlink(target)),
            None if text.ends_with('/') => (text, Node::directory(0o755)),
            None if text.contains("intel-ucode/") => (text, Node::file(update(), 0o644)),
            None => (text, Node::file("content", 0o644)),
        };
        node.mode = mode.unwrap_or(node.mode);
        tree.insert(TreePath::new(path).unwrap(), node);
    }
    tree
}

fn told(metadata: &Metadata, rootfs: &Tree, talos: &str) -> Vec<String> {
    let findings = lint(metadata, rootfs, &talos.parse().unwrap(), Some(KERNEL));
    findings.iter().map(ToString::to_string).collect()
}

/// What the official extensions install (siderolabs/extensions, as of Talos 1.9 and 1.15).
#[test]
fn official_extensions_are_faultless() {
    let ko = "usr/lib/modules/6.12.48-talos/extras/x.ko";
    let service = "usr/local/etc/containers/x.yaml";
    let container = "usr/local/lib/containers/x/lib64/ld-linux-x86-64.so.2";
    let rows: &[(&str, &str, &str, &[&str])] = &[
        (
            "v1.11.0",
            "intel-ucode",
            "20260812",
            &["usr/lib/firmware/intel-ucode/06-55-04", "usr/local/share/spdx/x.spdx.json"],
        ),
        ("v1.9.0", "intel-ucode", "20250211", &["lib/firmware/intel-ucode/06-55-04"]),
        (
            "v1.11.0",
            "amd-ucode",
            "20260410",
            &["usr/lib/firmware/amd-ucode/README", "usr/lib/firmware/amd-ucode/x.bin.asc"],
        ),
        ("v1.11.0", "i915", "20260410-v1.11.0", &[ko, "usr/lib/firmware/i915/x.bin"]),
        ("v1.8.0", "i915-ucode", "20240811", &["lib/firmware/i915/x.bin"]),
        ("v1.11.0", "qlogic-firmware", "20260410", &["usr/lib/firmware/qed/x.bin"]),
        (
            "v1.11.0",
            "gvisor",
            "20260810.0",
            &["usr/local/bin/runsc", "etc/cri/conf.d/10-gvisor.part"],
        ),
        (
            "v1.9.0",
            "glibc",
            "2.40",
            &[
                "lib64/ld-linux-x86-64.so.2 -> /usr/local/glibc/usr/lib/ld-linux-x86-64.so.2",
                "sbin/ldconfig -> /usr/local/glibc/usr/sbin/ldconfig",
            ],
        ),
        (
            "v1.11.0",
            "glibc",
            "2.43",
            &[
                "etc/ld.so.conf",
                "usr/lib/ld-linux-aarch64.so.1 -> /usr/local/lib/x",
                "usr/bin/ldconfig -> /usr/local/sbin/ldconfig",
                "usr/local/lib64 -> lib/",
            ],
        ),
        ("v1.11.0", "iscsi-tools", "v0.2.0", &[service, container, "usr/local/sbin/iscsiadm"]),
        ("v1.11.0", "util-linux-tools", "2.41.1", &["04755 usr/local/bin/mount"]),
        ("v1.11.0", "qemu-guest-agent", "10.0.2", &[service, container]),
        (
            "v1.11.0",
            "tailscale",
            "1.102.2",
            &[service, container, "01777 usr/local/lib/containers/tailscale/tmp/"],
        ),
        ("v1.11.0", "hello-world-service", "v1.0.0", &[service]),
        ("v1.11.0", "nvme-cli", "v2.14", &["usr/bin/nvme", "usr/lib/udev/rules.d/70-x.rules"]),
        ("v1.11.0", "zfs", "2.3.3-v1.11.2", &[ko, service, "usr/local/sbin/zpool"]),
        ("v1.11.0", "drbd", "9.2.14-v1.11.0-alpha.0-7-gb914c26", &[ko]),
        (
            "v1.11.0",
            "usb-modem-drivers",
            "v1.11.0",
            &[ko, "usr/lib/modules/6.12.48-talos/modules.dep"],
        ),
        ("v1.11.0", "nvidia-gdrdrv-device", "v2.5.2", &[service, ko]),
        // This ends with the version of NVIDIA's toolkit, not of Talos.
        (
            "v1.11.0",
            "nvidia-container-toolkit-lts",
            "580.178.04-v1.19.1",
            &[
                "usr/bin/nvidia-smi -> /usr/local/bin/nvidia-smi",
                "usr/lib/firmware/nvidia/580.178.04/gsp.bin",
                "04755 usr/local/bin/nvidia-modprobe",
                "usr/share/egl/egl_external_platform.d/x",
                "etc/vulkansc/icd.d/x.json",
                "usr/share/glvnd/egl_vendor.d/x",
                "etc/vulkan/icd.d/x.json",
                "etc/ld.so.cache",
            ],
        ),
        (
            "v1.8.0",
            "nvidia-container-toolkit-lts",
            "550.54.15-v1.16.1",
            &["usr/etc/udev/rules.d/15-nvidia-device.rules", "lib/firmware/nvidia/gsp.bin"],
        ),
    ];
    for (talos, name, version, paths) in rows {
        let told = told(&metadata(name, version), &tree(paths), talos);
        assert_eq!(told, [""; 0], "{name} {talos}");
    }
    // Tools for a board, named for its firmware.
    let mut revpi = metadata("revpi-firmware", "v1.0.0");
    revpi.description = "[contrib] This system extension provides udev rules".to_owned();
    let rules = tree(&["usr/lib/udev/rules.d/revpi_mac"]);
    assert_eq!(told(&revpi, &rules, "v1.11.0"), [""; 0]);
}

/// The Talos version, the extension's name, version and files, and how what is found starts.
type Faulty<'a> = (&'a str, &'a str, &'a str, &'a [&'a str], &'a [&'a str]);

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn each_fault_is_one_line_with_the_mend() {
    let rows: &[Faulty] = &[
        (
            "v1.11.0",
            "vc4",
            "v1.11.0",
            &["usr/"],
            &["rootfs/ holds no file, so it does nothing: leave it out, or take the image of \
             the architecture it is for"],
        ),
        ("v1.11.0", "acme-firmware", "1", &[], &["rootfs/ holds no file"]),
        (
            "v1.11.0",
            "drbd",
            "9.2.14-v1.10.3",
            &["usr/lib/modules/6.12.25-talos/x.ko"],
            &[
                "manifest.yaml: version 9.2.14-v1.10.3: its kernel modules were built for Talos \
             v1.10.3, not v1.11.0: take the extension built for that",
                "usr/lib/modules/6.12.25-talos: modules of another kernel than this release's \
             6.12.48-talos, which will not load them",
            ],
        ),
        (
            "v1.11.0",
            "uhid",
            "v1.12.0-beta.1",
            &["usr/lib/modules/6.12.48-talos/x.ko"],
            &[
                "manifest.yaml: version v1.12.0-beta.1: its kernel modules were built for Talos v1.12.0-beta.1",
            ],
        ),
        (
            "v1.11.0",
            "x",
            "1",
            &["usr/lib/modules/x.ko", "usr/lib/modules/y.ko"],
            &["usr/lib/modules/x.ko and 1 more: outside of any kernel's directory"],
        ),
        (
            "v1.11.0",
            "intel-ucode",
            "1",
            &["lib/firmware/intel-ucode/06-55-04"],
            &["lib: this directory would hide Talos's link to usr/lib and all that is reached \
             through it: put what it holds into usr/lib"],
        ),
        (
            "v1.10.0-alpha.0",
            "x",
            "1",
            &["usr/local/x", "usr/lib64/a.so", "sbin/"],
            &[
                "sbin: this directory would hide Talos's link to usr/bin",
                "usr/lib64: this directory would hide Talos's link to usr/lib",
            ],
        ),
        (
            "v1.9.5",
            "intel-ucode",
            "1",
            &["usr/lib/firmware/intel-ucode/06-55-04"],
            &["usr/lib/firmware/intel-ucode/06-55-04: this Talos looks in lib/firmware only: \
             put it there"],
        ),
        (
            "v1.11.0",
            "x",
            "1",
            &[
                "usr/local/lib/firmware/a",
                "usr/local/lib/firmware/b",
                "usr/local/lib/modules/k/x.ko",
            ],
            &[
                "usr/local/lib/firmware/a and 1 more: this Talos looks in usr/lib/firmware only",
                "usr/local/lib/modules/k/x.ko: this Talos looks in usr/lib/modules only",
            ],
        ),
        (
            "v1.11.0",
            "x",
            "1",
            &["boot/vmlinuz", "usr/bin/a", "etc/hosts", "usr/local/b"],
            &["boot/vmlinuz and 2 more: not where an extension may add files: put what is its \
             own into usr/local"],
        ),
        (
            "v1.9.0",
            "x",
            "1",
            &["usr/lib/ld-linux-x86-64.so.2"],
            &["usr/lib/ld-linux-x86-64.so.2: not where"],
        ),
        ("v1.11.0", "x", "1", &["lib -> usr/lib"], &["lib: not where"]),
        (
            "v1.11.0",
            "x",
            "1",
            &["0666 usr/local/a", "0777 usr/local/d/", "usr/local/e -> a"],
            &["usr/local/a and 1 more: anybody may write to it: take that away, as with chmod o-w"],
        ),
        ("v1.11.0", "x", "1", &["0777 ./", "usr/local/a"], &["/: anybody may write to it"]),
        (
            "v1.11.0",
            "amd-ucode",
            "1",
            &["usr/local/share/doc/x"],
            &["usr/lib/firmware holds nothing, though the extension is named for firmware"],
        ),
        ("v1.11.0", "acme-firmware", "1", &["usr/local/x"], &["usr/lib/firmware holds nothing"]),
        (
            "v1.11.0",
            "amd-ucode",
            "1",
            &["usr/lib/firmware/amd-ucode/microcode_amd.bin"],
            &["usr/lib/firmware/amd-ucode/microcode_amd.bin: AMD microcode: no \
             container starts here: the kernel will not load it, bring the file again"],
        ),
    ];
    for (talos, name, version, paths, expected) in rows {
        let told = told(&metadata(name, version), &tree(paths), talos);
        let fits = told.len() == expected.len()
            && told.iter().zip(*expected).all(|(told, start)| told.starts_with(start));
        assert!(fits, "{name} {paths:?}: {told:#?}");
    }
    let any = Metadata { talos: String::new(), ..metadata("x", "1") };
    let [told] = &told(&any, &tree(&["usr/local/x"]), "v1.11.0")[..] else { panic!() };
    assert!(told.starts_with("manifest.yaml: metadata.compatibility.talos.version is missing"));
}

#[test]
fn microcode_is_held_against_its_sums() {
    let good = update();
    let mut flipped = good.clone();
    flipped[100] ^= 1;
    let rows: [(Blob, &str); 4] = [
        (good.clone().into(), ""),
        (flipped.into(), "an update's checksum is wrong: the kernel will not load it"),
        (good[..2000].to_vec().into(), "Intel microcode: at byte"),
        (Blob::empty(), "there is no update in it"),
    ];
    for (content, says) in rows {
        let mut rootfs = Tree::new();
        let path = "usr/lib/firmware/intel-ucode/06-55-04";
        rootfs.insert(TreePath::new(path).unwrap(), Node::file(content, 0o644));
        let told = told(&metadata("intel-ucode", "1"), &rootfs, "v1.11.0").concat();
        assert!(told.contains(says) && told.is_empty() == says.is_empty(), "{told}");
    }
}

#[test]
fn versions_of_talos_in_versions_of_extensions() {
    for (text, named) in [
        ("v1.11.0", Some("v1.11.0")),
        ("5815ee3-v1.11.0", Some("v1.11.0")),
        ("5.8-1.1.2.1-v1.5.0-alpha.0-7-gb914c26", Some("v1.5.0-alpha.0-7-gb914c26")),
        ("v2-v1.5.0", Some("v1.5.0")),
        ("1.11.0", None),
        ("20260810.0", None),
        ("v4.6", None),
        ("-v", None),
        ("v", None),
        ("ü-v1", None),
        ("", None),
    ] {
        assert_eq!(named_talos(text).map(|it| it.to_string()).as_deref(), named, "{text}");
    }
}

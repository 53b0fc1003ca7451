//! Plans as they are printed: a change of one is a change of media, seen and agreed to.
//!
//! `UPDATE_GOLDEN=1 cargo test -p image-core --test it plans` writes them anew.

use image_core::{
    error::{Error, ErrorKind},
    fake,
    formats::{
        certificate::Certificate,
        oci::{self, Encoding},
        pcr, vhd,
    },
    plan::{self, Choices, DiskFormat, Effort, Keys, Output, Plan},
    sources::{Layout, Set},
    talos::{
        Arch, Profile,
        extension::{Metadata, VirtualExtension},
        release::BootAsset,
    },
    tree::{Node, Tree, TreePath},
};
use std::{fs, path::Path, sync::Arc};

const SECRET: &str = "c3VwZXJzZWNyZXQ";

/// A mirror whose digests no compressor has a say in.
fn sources() -> Set {
    let plain = |name: &str, tree| fake::image(name, &tree, &Arch::ALL, Encoding::Plain).unwrap();
    let hello = [("usr/bin/hello", "hello\n".into())];
    let hello = fake::extension("hello", "1.0.0", ">= v1.0.0", &hello).unwrap();
    let mut images = vec![plain("siderolabs/hello:1.0.0", hello)];
    let mut release = fake::release().unwrap();
    for arch in Arch::ALL {
        // A true one has a compressed root file system.
        let initramfs = TreePath::new(&BootAsset::Initramfs.path(arch)).unwrap();
        release.insert(initramfs, Node::file("initramfs", 0o644));
    }
    for version in ["v1.7.0", "v1.9.0", "v1.11.0", "v1.12.0"] {
        images.push(plain(&format!("siderolabs/imager:{version}"), release.clone()));
    }
    for name in ["siderolabs/installer-base:v1.11.0", "siderolabs/installer:v1.9.0"] {
        let mut tree = Tree::new();
        tree.insert(TreePath::new("usr/bin/installer").unwrap(), Node::file("", 0o755));
        images.push(plain(name, tree));
    }
    Set::new(vec![Arc::new(Layout::tree("oci:mirror", oci::layout(&images).unwrap()).unwrap())])
}

/// The public halves of the keys in `tests/golden/keys.txt`.
fn keys() -> Keys {
    let (_, pem) = include_str!("../golden/keys.txt").split_once("== rsa-certificate\n").unwrap();
    let (pem, _) = pem.split_once("== ").unwrap();
    let certificate = Certificate::read(pem.as_bytes()).unwrap();
    let pcr = Some(pcr::fingerprint(certificate.public_key()));
    let microsoft_db = vec!["microsoft.der".into()];
    Keys { uki: Some(certificate), pcr, microsoft_db, ..Keys::default() }
}

/// The plan for `request`, with a schematic's extension where asked for.
fn plan(request: &str, schematic: bool) -> Result<Plan, Error> {
    let metadata = Metadata {
        name: "schematic".to_owned(),
        version: "376567988ad3".to_owned(),
        author: "Someone".to_owned(),
        description: "A schematic".to_owned(),
        talos: ">= 1.0.0".to_owned(),
        extra_info: format!("customization: {{embeddedMachineConfiguration: {SECRET}}}\n"),
    };
    let schematic = schematic.then(|| VirtualExtension {
        metadata,
        path: "usr/local/share/schematic/376567988ad3".to_owned(),
        content: SECRET.to_owned(),
        mode: 0o644,
        label: None,
    });
    let extension = "input: {systemExtensions: [{imageRef: siderolabs/hello:1.0.0}]}";
    let keys = if request.contains("secureboot") { keys() } else { Keys::default() };
    let profile = Profile::from_yaml(&format!("{request}\n{extension}\n"))?;
    let choices = Choices { epoch: 1_700_000_000, schematic, keys, ..Choices::default() };
    Plan::new(plan::resolve(&profile, &choices, &sources())?, &choices)
}

#[test]
fn every_plan_is_the_one_agreed_on() {
    let base = |name: &str, arch: &str, version: &str, more: &str| {
        format!("baseProfileName: {name}\narch: {arch}\nversion: {version}\n{more}")
    };
    let iso = |arch| base("iso", arch, "v1.11.0", "output: {isoOptions: {bootloader: sd-boot}}");
    let disk = |arch, sector: u32, more: &str| {
        let options = format!("{{bootloader: sd-boot, diskSectorSize: {sector}}}");
        let output = format!("output: {{outFormat: raw, imageOptions: {options}}}\n{more}");
        base("metal", arch, "v1.11.0", &output)
    };
    let of_kind = |kind: &str, version, more: &str| {
        base("iso", "amd64", version, &format!("output: {{kind: {kind}}}\n{more}"))
    };
    let meta = "customization: {metaContents: [{key: 0xa, value: text}]}";
    let raw = "output: {outFormat: raw}";
    let force = "output: {isoOptions: {sdBootEnrollKeys: force}}";
    let arguments = "customization: {extraKernelArgs: [a=b, -selinux]}";
    let config = format!("{{apiVersion: v1alpha1, kind: HostNameConfig, hostname: {SECRET}}}");
    let config = format!("customization: {{embeddedMachineConfiguration: {config:?}}}");
    let nocloud =
        "platform: nocloud\noutput: {kind: iso, outFormat: raw, isoOptions: {bootloader: sd-boot}}";
    for (name, request) in [
        ("iso-amd64", iso("amd64")),
        ("iso-arm64", iso("arm64")),
        ("iso-dual-boot", base("iso", "amd64", "v1.11.0", meta)),
        ("iso-grub-1.9", base("iso", "amd64", "v1.9.0", "")),
        ("iso-grub-arm64", base("iso", "arm64", "v1.9.0", "")),
        ("iso-nocloud", format!("arch: amd64\nversion: v1.12.0\n{nocloud}")),
        ("secureboot-iso", base("secureboot-iso", "amd64", "v1.12.0", force)),
        ("secureboot-metal", base("secureboot-metal", "arm64", "v1.11.0", raw)),
        ("metal-512", disk("amd64", 512, "")),
        ("metal-4096", disk("arm64", 4096, meta)),
        ("metal-dual-boot", base("metal", "amd64", "v1.11.0", &format!("{raw}\n{meta}"))),
        ("metal-grub-1.7", base("metal", "amd64", "v1.7.0", raw)),
        ("metal-grub-arm64", base("metal", "arm64", "v1.9.0", raw)),
        ("installer", base("installer", "amd64", "v1.11.0", "")),
        ("installer-1.9", base("installer", "amd64", "v1.9.0", "")),
        ("oracle-qcow2", base("oracle", "arm64", "v1.11.0", raw)),
        ("azure-vhd", base("azure", "amd64", "v1.11.0", raw)),
        ("vmware-ova", base("vmware", "amd64", "v1.11.0", "")),
        ("uki", base("metal-uki", "amd64", "v1.11.0", "")),
        ("uki-1.9", base("metal-uki", "amd64", "v1.9.0", "")),
        ("uki-schematic", base("metal-uki", "arm64", "v1.12.0", "")),
        ("initramfs", of_kind("initramfs", "v1.11.0", "")),
        ("initramfs-1.7", of_kind("initramfs", "v1.7.0", "")),
        ("initramfs-config", of_kind("initramfs", "v1.12.0", &config)),
        ("cmdline", of_kind("cmdline", "v1.11.0", arguments)),
        ("kernel", of_kind("kernel", "v1.11.0", "")),
    ] {
        let plan = plan(&request, name == "uki-schematic").unwrap();
        assert!(!format!("{plan:?}").contains(SECRET), "{plan:?}");
        let plan = serde_json::to_string_pretty(&plan).unwrap() + "\n";
        assert!(!plan.contains(SECRET), "{plan}");
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
        let golden = directory.join(format!("{name}.plan.json"));
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&golden, &plan).unwrap();
        }
        assert_eq!(plan, fs::read_to_string(&golden).unwrap_or_default(), "{name}");
    }
}

/// Holds each row against the error it gives: base profile, version, output, and what is said.
fn refuses(rows: &[(&str, &str, &str, ErrorKind, &str)]) {
    for &(base, version, output, kind, expected) in rows {
        let request = format!(
            "baseProfileName: {base}\narch: amd64\nversion: {version}\noutput: {{{output}}}"
        );
        let error = plan(&request, false).unwrap_err();
        assert_eq!((error.kind(), error.to_string().as_str()), (kind, expected), "{request}");
    }
}

#[test]
fn packing_changes_nothing_of_what_is_packed() {
    let made = |base: &str, packing: &str, effort| {
        let request = format!(
            "baseProfileName: {base}\narch: amd64\nversion: v1.11.0\noutput: {{outFormat: {packing}}}"
        );
        let choices = Choices { effort, ..Choices::default() };
        Plan::new(plan::resolve(&Profile::from_yaml(&request)?, &choices, &sources())?, &choices)
    };
    for (base, packing, expected, max) in [
        (
            "metal",
            ".zst",
            r#"{"method":{"zstd":{"level":9}}}"#,
            r#"{"method":{"zstd":{"level":18}}}"#,
        ),
        ("iso", ".xz", r#"{"method":{"xz":{"preset":0,"extreme":false}}}"#, ""),
        ("metal-uki", ".gz", r#"{"method":{"gzip":{"level":6}}}"#, ""),
        ("gcp", ".tar.gz", r#"{"method":{"gzip":{"level":6}},"member":"disk.raw"}"#, ""),
        ("iso", ".tar.gz", r#"{"method":{"gzip":{"level":6}},"member":"metal-amd64.iso"}"#, ""),
        ("azure", ".tar.gz", r#"{"method":{"gzip":{"level":6}},"member":"azure-amd64.vhd"}"#, ""),
    ] {
        let shown = |plan: &Plan| serde_json::to_string(&plan.packing).unwrap();
        let plain = made(base, "raw", Effort::Usual).unwrap();
        let packed = made(base, packing, Effort::Usual).unwrap();
        assert_eq!(packed.file_name, format!("{}{packing}", plain.file_name));
        assert_eq!(packed.output, plain.output, "{base}{packing}");
        assert_eq!(shown(&packed), expected);
        let max = if max.is_empty() { expected } else { max };
        assert_eq!(shown(&made(base, packing, Effort::Max).unwrap()), max);
        let fastest = shown(&made(base, packing, Effort::Level(1)).unwrap());
        assert!(fastest.contains(r#"level":1}"#) || fastest.contains(r#"preset":1,"#), "{fastest}");
    }
    for (packing, effort, expected) in [
        (".zst", "20", "packing as .zst: zstd: level 20 is not one of 1 to 19"),
        (".gz", "0", "packing as .gz: gzip: level 0 is not one of 1 to 9"),
        (
            "raw",
            "max",
            "a compression level is asked for and nothing is packed: leave it out, or ask for \
             --out-format .zst",
        ),
    ] {
        let error = made("metal", packing, effort.parse().unwrap()).unwrap_err();
        assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Input, expected));
    }
}

#[test]
fn what_is_not_made_yet_is_refused_by_name_and_with_what_is() {
    use ErrorKind::{Input, Unsupported};
    refuses(&[
        ("iso", "1.1.0", "", Unsupported, "Talos v1.1.0 is not supported, only v1.2.0 and later"),
        (
            "iso",
            "1.4.0",
            "isoOptions: {bootloader: sd-boot}",
            Unsupported,
            "bootloader sd-boot: Talos v1.4.0 has no unified kernel image to boot: ask for \
             --bootloader grub, or for Talos v1.5.0 or later",
        ),
        (
            "metal",
            "1.4.8",
            "outFormat: raw, imageOptions: {bootloader: sd-boot}",
            Unsupported,
            "bootloader sd-boot: Talos v1.4.8 has no unified kernel image to boot: ask for \
             --bootloader grub, or for Talos v1.5.0 or later",
        ),
        ("metal-uki", "1.4.0", "", Unsupported, "Talos v1.4.0 has no unified kernel image"),
        (
            "metal",
            "1.7.0",
            "outFormat: raw, imageOptions: {bootloader: sd-boot, diskSize: 1000000000}",
            Input,
            "the partitions need 1263534080 bytes and the disk has 1000000000: ask for \
             --disk-size 1263534080 or more",
        ),
    ]);
    let secret = format!(
        "baseProfileName: metal-uki\narch: amd64\nversion: 1.12.0\n\
         customization: {{embeddedMachineConfiguration: 'token: {SECRET}: {SECRET}'}}"
    );
    let error = plan(&secret, false).unwrap_err();
    let message = "machine configuration: line 1 column 23: mapping values are not allowed in \
                   this context";
    assert_eq!((error.kind(), error.to_string().as_str()), (Input, message));
    assert!(!format!("{error:?}").contains(SECRET));
}

#[test]
fn what_has_no_form_in_a_disk_s_format_is_refused_by_its_flag() {
    use ErrorKind::{Input, Unsupported};
    refuses(&[
        (
            "oracle",
            "1.11.0",
            "outFormat: raw, imageOptions: {diskFormatOptions: cluster_sise=8k}",
            Input,
            "--disk-format-options \"cluster_sise=8k\": qcow2: there is no option \"cluster_sise\" \
             here; there are cluster_size, compression_type, compat and refcount_bits",
        ),
        (
            "oracle",
            "1.11.0",
            "outFormat: raw, imageOptions: {diskFormat: vhd}",
            Input,
            "--disk-format-options \"cluster_size=8k\": VHD: there is no option \"cluster_size\" \
             here; there are subformat and force_size",
        ),
        (
            "azure",
            "1.9.0",
            "outFormat: raw, imageOptions: {diskFormatOptions: subformat=dynamic}",
            Unsupported,
            "--disk-format-options \"subformat=dynamic\": VHD: subformat=dynamic (subformat=fixed \
             takes no more room) is not supported",
        ),
        (
            "azure",
            "1.9.0",
            "outFormat: raw, imageOptions: {diskSize: 2190433321472}",
            Input,
            "--disk-size 2190433321472: VHD: the disk needs 2190433321472 bytes, there is room for \
             2190433320960: 512 too many",
        ),
        (
            "oracle",
            "1.9.0",
            "outFormat: raw, imageOptions: {diskSize: 35184372088833}",
            Input,
            "--disk-size 35184372088833: qcow2: a disk of 35184372088833 bytes: sectors have 512",
        ),
        (
            "oracle",
            "1.9.0",
            "outFormat: raw, imageOptions: {diskSize: 35184372089344}",
            Input,
            "--disk-size 35184372089344: qcow2: a disk of 35184372089344 bytes in clusters of 8192: \
             it needs clusters of 16384 bytes at least",
        ),
        (
            "vmware",
            "1.9.0",
            "imageOptions: {diskSize: 68169720922624}",
            Input,
            "--disk-size 68169720922624: VMDK: the disk needs 68169720922624 bytes, there is room \
             for 68169720922112: 512 too many",
        ),
    ]);
}

/// What a format rounds up is the disk's: its second table stands at its end.
#[test]
fn a_disk_is_as_long_as_its_format_makes_it_and_told_where_that_may_not_boot() {
    let plan = |base: &str, options: &str| {
        let request = format!(
            "baseProfileName: {base}\narch: amd64\nversion: v1.9.0\n\
             output: {{outFormat: raw, imageOptions: {{{options}}}}}"
        );
        let plan = plan(&request, false).unwrap();
        let Output::Disk(disk) = plan.output else { panic!() };
        (disk.size, disk.format, plan.warnings)
    };
    let (size, format, warnings) = plan("azure", "diskSize: 1306525697024");
    assert_eq!((size, warnings), (1_306_526_744_576, vec![]));
    assert!(matches!(format, DiskFormat::Vhd { size: vhd::Size::Exact, .. }));
    let (size, format, _) = plan("azure", "diskFormatOptions: subformat=fixed");
    assert_eq!(size, 8_590_417_920);
    assert!(matches!(format, DiskFormat::Vhd { size: vhd::Size::Cylinders, .. }));
    for (bootloader, uefi) in [("dual-boot", false), ("grub", false), ("sd-boot", true)] {
        let (.., format, _) = plan("vmware", &format!("bootloader: {bootloader}"));
        let DiskFormat::Ova { appliance, .. } = format else { panic!() };
        assert_eq!(appliance.uefi, uefi, "{bootloader}");
    }
    for (base, options, expected) in [
        (
            "oracle",
            "diskSectorSize: 4096",
            "a machine gives a disk in the format qcow2 sectors of 512 bytes unless it is told \
             otherwise, and does not boot it then: this one is laid out for sectors of 4096",
        ),
        (
            "vmware",
            "diskFormatOptions: subformat=x",
            "disk format ova has no options: \"subformat=x\" changes nothing",
        ),
    ] {
        assert_eq!(plan(base, options).2, [expected]);
    }
    // What is the base profile's own is for its own format.
    assert_eq!(plan("oracle", "diskFormat: raw").2, [""; 0]);
}

#[test]
fn every_platform_has_media() {
    for platform in image_core::talos::Platform::ALL {
        for arch in Arch::ALL {
            for output in [
                "{kind: kernel, outFormat: raw}",
                "{kind: cmdline, outFormat: raw}",
                "{kind: initramfs, outFormat: raw}",
                "{kind: uki, outFormat: raw}",
                "{kind: iso, outFormat: raw}",
                "{kind: image, outFormat: raw, imageOptions: {diskFormat: raw, diskSize: 8589934592}}",
            ] {
                let request = format!(
                    "platform: {platform}\narch: {arch}\nversion: v1.12.0\noutput: {output}"
                );
                let plan = plan(&request, false).unwrap();
                assert!(!plan.file_name.is_empty());
            }
        }
    }
}

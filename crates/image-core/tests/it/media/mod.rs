//! Every kind of medium, made of the fake release, opened again and held against what went in.

use image_core::{
    assemble::{self, Context, Signers},
    blob::{Blob, Scratch, Spool},
    error::ErrorKind,
    events::Silent,
    examine::{
        self,
        report::{Grub, Initramfs, Medium, Uki, Volume},
    },
    fake,
    formats::{
        self, initramfs,
        kernel_module::fake::{Module, module},
        mbr,
        oci::{self, Encoding},
        squashfs,
    },
    plan::{self, Choices, Plan},
    sources::{Layout, Set},
    talos::{
        Arch, Profile,
        extension::{Metadata, VirtualExtension},
    },
    tree::{Tree, TreePath},
};
use std::{collections::BTreeMap, num::NonZeroUsize, sync::Arc};

mod grub;

const VERSION: &str = "v1.11.0";
const UKI: &str = "EFI/Linux/Talos-v1.11.0.efi";

/// Makes what `request` asks for, of `version` with two extensions.
fn build_of(version: &str, request: &str, choices: &Choices) -> Blob {
    let sources = fake::sources(&version.parse().unwrap()).unwrap();
    let extensions = ["intel-ucode:20251111", "hello:1.0.0"];
    build_from(&sources, version, request, &extensions, choices)
}

fn build_from(
    sources: &Set,
    version: &str,
    request: &str,
    extensions: &[&str],
    choices: &Choices,
) -> Blob {
    let extensions = extensions.iter().map(|it| format!("  - imageRef: siderolabs/{it}\n"));
    let extensions: String = extensions.collect();
    let request =
        format!("{request}\nversion: {version}\ninput:\n  systemExtensions:\n{extensions}");
    let profile = Profile::from_yaml(&request).unwrap();
    let plan = Plan::new(plan::resolve(&profile, choices, sources).unwrap(), choices).unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let scratch = Scratch::new(scratch.path());
    let threads = NonZeroUsize::MIN;
    let cx = Context {
        sources,
        scratch: &scratch,
        threads,
        observer: &Silent,
        signers: Signers::default(),
    };
    assemble::execute(&plan, &cx).unwrap().blob
}

fn build(request: &str) -> Blob {
    build_of(VERSION, request, &Choices::default())
}

fn disk(arch: Arch, sector: u32) -> Blob {
    build(&format!(
        "baseProfileName: metal\narch: {arch}\noutput: {{outFormat: raw, imageOptions: \
         {{bootloader: sd-boot, diskSectorSize: {sector}}}}}\n\
         customization: {{metaContents: [{{key: 0xa, value: text}}, {{key: 16, value: token}}]}}"
    ))
}

fn iso(arch: Arch) -> Blob {
    build(&format!(
        "baseProfileName: iso\narch: {arch}\noutput: {{isoOptions: {{bootloader: sd-boot}}}}"
    ))
}

fn of_kind(kind: &str) -> Blob {
    build(&format!("baseProfileName: iso\narch: amd64\noutput: {{kind: {kind}}}"))
}

fn bytes(blob: &Blob) -> Vec<u8> {
    blob.to_vec(1 << 26).unwrap()
}

fn parts(medium: &Blob) -> BTreeMap<String, Vec<u8>> {
    let parts = examine::parts(medium, &Scratch::new("")).unwrap().parts.into_iter();
    // A partition may be gibibytes of nothing.
    parts
        .filter(|part| part.blob.len() < 1 << 26)
        .map(|part| (part.name, bytes(&part.blob)))
        .collect()
}

/// A squashfs of an initramfs, and the compressor it names.
fn extension_of(initramfs: &Blob, image: &str) -> (Tree, squashfs::Algorithm) {
    let segments = initramfs::segments(initramfs, 1 << 26).unwrap();
    let image = initramfs::file(&segments, image, 1 << 20, 1 << 26).unwrap().unwrap().into();
    let algorithm = squashfs::Superblock::parse(&image).unwrap().algorithm;
    let tree = squashfs::read(&image, &Scratch::new(""), 1 << 20, &|_| true).unwrap();
    (tree, algorithm)
}

/// A file of the release.
fn asset(arch: Arch, name: &str) -> Vec<u8> {
    bytes(fake::release().unwrap().file(&format!("usr/install/{arch}/{name}")).unwrap())
}

fn check_initramfs(initramfs: &Initramfs) {
    let listed: Vec<_> = initramfs
        .extensions
        .iter()
        .map(|it| (it.image.as_str(), it.name.as_str(), it.version.as_str()))
        .collect();
    assert_eq!(listed, [("0.sqsh", "intel-ucode", "20251111"), ("1.sqsh", "hello", "1.0.0")]);
    let [update] = &initramfs.microcode[..] else { panic!("{initramfs:?}") };
    assert_eq!((update.vendor.as_str(), update.revision.as_str()), ("intel", "0x02007006"));
    assert_eq!((update.date.as_deref(), update.checksum_ok), (Some("2025-11-11"), Some(true)));
    assert_eq!(update.processors[0].name, "06-55-04");
    let compressions: Vec<_> =
        initramfs.segments.iter().map(|it| it.compression.as_str()).collect();
    assert_eq!(compressions, ["none", "none", "zstd"]);
    assert!(initramfs.segments[1].entries.iter().any(|entry| entry.path == "init"));
}

fn check_uki(uki: &Uki, arch: Arch) {
    assert_eq!(uki.architecture, arch.name());
    assert_eq!(uki.os_release["PRETTY_NAME"], format!("Talos ({VERSION})"));
    assert_eq!(uki.uname.as_deref(), Some(fake::KERNEL_RELEASE));
    assert_eq!(uki.kernel.as_ref().unwrap().version.as_deref(), Some(fake::KERNEL_RELEASE));
    let main = &uki.profiles[0];
    assert!(main.cmdline.contains("talos.platform=metal"), "{main:?}");
    check_initramfs(uki.initramfs.as_ref().unwrap());
}

/// The EFI system partition holds just what boots, and the same bytes come out again.
fn check_esp<'a>(esp: &'a Volume, arch: Arch, mut files: Vec<&'a str>, medium: &Blob) {
    assert_eq!((esp.format.as_str(), esp.label.as_str()), ("FAT32", "EFI"));
    let boot = match arch {
        Arch::Amd64 => "BOOTX64.EFI",
        Arch::Arm64 => "BOOTAA64.EFI",
    };
    let boot = esp.files.iter().find(|it| it.path.to_uppercase().ends_with(boot)).unwrap();
    files.push(&boot.path);
    files.push(UKI);
    files.sort_unstable();
    let mut found: Vec<_> = esp.files.iter().map(|file| file.path.as_str()).collect();
    found.sort_unstable();
    assert_eq!(found, files);
    let uki = esp.files.iter().find(|file| file.path == UKI).unwrap();
    check_uki(uki.uki.as_ref().unwrap(), arch);

    let parts = parts(medium);
    assert_eq!(parts["kernel"], asset(arch, "vmlinuz"));
    assert_eq!(parts[&format!("esp/{}", boot.path)], asset(arch, "systemd-boot.efi"));
    assert_eq!(parts["uki"], parts[&format!("esp/{UKI}")]);
    // The release's own initramfs, but for the padding behind it.
    assert!(asset(arch, "initramfs.xz").starts_with(&parts["segments/1.cpio"]));
}

#[test]
fn isos() {
    for arch in Arch::ALL {
        let medium = iso(arch);
        let Medium::Iso(iso) = examine::inspect(&medium, &Scratch::new("")).unwrap().medium else {
            panic!()
        };
        assert_eq!(iso.volume_id, "TALOS_V1_11_0");
        let [entry] = &iso.boot_entries[..] else { panic!("{iso:?}") };
        assert_eq!(entry.platform, "UEFI");
        let esp = iso.partitions.iter().find(|partition| partition.label == "EFI").unwrap();
        assert_eq!(esp.offset, entry.offset);
        assert_eq!(parts(&medium)["esp.img"].len() as u64, esp.size);
        let files = vec!["loader/loader.conf", "loader/random-seed"];
        check_esp(&iso.esp.unwrap(), arch, files, &medium);
    }
}

#[test]
fn disks() {
    for (arch, sector) in [(Arch::Amd64, 512), (Arch::Arm64, 4096)] {
        let medium = disk(arch, sector);
        let Medium::Disk(disk) = examine::describe(&medium).unwrap() else { panic!() };
        assert_eq!((disk.sector_size, disk.flaws.len()), (sector, 0));
        let labels: Vec<_> = disk.partitions.iter().map(|it| it.label.as_str()).collect();
        assert_eq!(labels, ["EFI", "META"]);
        let esp = disk.partitions[0].volume.as_ref().unwrap();
        check_esp(esp, arch, vec!["loader/loader.conf"], &medium);
        let meta = &parts(&medium)["partitions/META"];
        assert!(meta.windows(4).any(|text| text == b"text"));
        let shown: Vec<_> = disk.meta.iter().map(|it| (it.name, it.value.as_deref())).collect();
        let (network, token) = ("metal-network-platform-config", "unique-machine-token");
        assert_eq!(shown, [(Some(network), Some("text")), (Some(token), None)]);
    }
}

/// A disk of each format holds what the raw one holds, bit for bit, and shows it.
#[test]
fn disks_of_virtual_machines() {
    let disk = |base: &str, options: &str| {
        build(&format!(
            "baseProfileName: {base}\narch: amd64\n\
             output: {{outFormat: raw, imageOptions: {{bootloader: sd-boot, {options}}}}}"
        ))
    };
    let zstd = "diskFormatOptions: 'cluster_size=2M,compression_type=zstd'";
    let cylinders = "diskSize: 1306525696, diskFormatOptions: subformat=fixed";
    for (base, options, format, cluster, size) in [
        ("alibabacloud", "", "qcow2", Some(8 << 10), 2_355_101_696),
        ("alibabacloud", zstd, "qcow2", Some(2 << 20), 2_355_101_696),
        ("azure", "diskSize: 1306525184", "vhd", None, 2_355_101_696),
        ("azure", cylinders, "vhd", None, 2_355_462_144),
        ("vmware", "diskSize: 1306525696", "ova", Some(64 << 10), 2_355_101_696),
    ] {
        let medium = disk(base, options);
        let raw = disk(base, &format!("diskFormat: raw, diskSize: {}", size - (1000 << 20)));
        assert_eq!(raw.len(), size, "{base}");
        let report = examine::inspect(&medium, &Scratch::new("")).unwrap();
        let container = report.container.unwrap();
        assert_eq!((container.format, container.virtual_size), (format, size));
        assert_eq!(container.cluster_size, cluster, "{base}");
        let Medium::Disk(found) = report.medium else { panic!("{base}") };
        assert_eq!(found.flaws, [""; 0], "{base}");
        assert!(parts(&medium) == parts(&raw), "{base} {options}");
        let [of_medium, of_raw] =
            [&medium, &raw].map(|it| examine::measured(it, &Scratch::new("")).unwrap());
        assert_eq!(format!("{of_medium:?}"), format!("{of_raw:?}"));
        // What is cut off is told of; what is no disk of ours too.
        let cut = examine::parts(&medium.slice(0..medium.len() / 2), &Scratch::new(""));
        assert!(format == "vhd" || matches!(cut.unwrap_err().kind(), ErrorKind::Input), "{base}");
    }
    let nothing = formats::qcow2::image(
        &Blob::zeros(1 << 20),
        &formats::qcow2::Options::default(),
        &mut Spool::new(&Scratch::new("")),
        1,
        &mut |_| (),
    );
    let error = examine::inspect(&nothing.unwrap(), &Scratch::new("")).unwrap_err().to_string();
    assert!(error.starts_with("what is in the qcow2: this is no boot medium"), "{error}");
}

#[test]
fn kernels_initramfs_command_lines_and_ukis() {
    let medium = build("baseProfileName: metal-uki\narch: amd64");
    let Medium::Uki(uki) = examine::inspect(&medium, &Scratch::new("")).unwrap().medium else {
        panic!()
    };
    check_uki(&uki, Arch::Amd64);
    let cmdline = uki.profiles[0].cmdline.clone();
    assert_eq!(parts(&medium)["cmdline"], cmdline.as_bytes());

    let medium = of_kind("initramfs");
    let Medium::Initramfs(initramfs) = examine::inspect(&medium, &Scratch::new("")).unwrap().medium
    else {
        panic!()
    };
    check_initramfs(&initramfs);

    let medium = of_kind("kernel");
    let Medium::Kernel(kernel) = examine::inspect(&medium, &Scratch::new("")).unwrap().medium
    else {
        panic!()
    };
    assert_eq!(kernel.version.as_deref(), Some(fake::KERNEL_RELEASE));
    assert_eq!(bytes(&medium), asset(Arch::Amd64, "vmlinuz"));

    let medium = of_kind("cmdline");
    let Medium::Cmdline { cmdline } = examine::inspect(&medium, &Scratch::new("")).unwrap().medium
    else {
        panic!()
    };
    assert!(cmdline.contains("talos.platform=metal"), "{cmdline}");
}

#[test]
fn virtual_extensions_come_last_and_hold_what_they_should() {
    let config = "apiVersion: v1alpha1\nkind: HostnameConfig\nhostname: secret\n";
    let path = "usr/local/share/schematic/376567988ad3";
    let schematic = VirtualExtension {
        metadata: Metadata {
            name: "schematic".to_owned(),
            version: "376567988ad3".to_owned(),
            author: "Someone".to_owned(),
            description: String::new(),
            talos: ">= 1.0.0".to_owned(),
            extra_info: "customization: {secret: 1}\n".to_owned(),
        },
        path: path.to_owned(),
        content: String::new(),
        mode: 0o644,
        label: None,
    };
    let choices = Choices { schematic: Some(schematic), ..Choices::default() };
    let request = |kind| {
        format!(
            "baseProfileName: metal\narch: amd64\noutput: {{kind: {kind}, outFormat: raw}}\n\
             customization: {{embeddedMachineConfiguration: {config:?}}}"
        )
    };
    let medium = build_of("v1.12.0", &request("initramfs"), &choices);
    let inspected = examine::inspect(&medium, &Scratch::new("")).unwrap();
    let printed = format!("{inspected:?}{}", serde_json::to_string(&inspected).unwrap());
    assert!(!printed.contains("secret"), "{printed}");
    let Medium::Initramfs(found) = inspected.medium else { panic!() };
    let names: Vec<_> = found.extensions.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(names, ["intel-ucode", "hello", "schematic", "embedded-config"]);
    let (tree, _) = extension_of(&medium, "2.sqsh");
    assert_eq!(tree.file(path).unwrap().len(), 0);
    let (tree, _) = extension_of(&medium, "3.sqsh");
    let file = TreePath::new("usr/local/etc/talos/config.yaml").unwrap();
    let node = tree.get(&file).unwrap();
    assert_eq!((node.mode, bytes(node.content().unwrap())), (0o400, config.as_bytes().to_vec()));
    assert_eq!(node.xattrs["security.selinux"], b"system_u:object_r:system_state_t:s0");

    assert_eq!(
        bytes(&build_of("v1.12.0", &request("kernel"), &choices)),
        asset(Arch::Amd64, "vmlinuz")
    );
}

#[test]
fn kernel_modules_of_extensions_are_listed_beside_the_release_s_own() {
    let module = |exports: &[&str], needs: &[&str], info: &[&str]| {
        module(&Module { exports, needs, info, ..Module::default() }).into()
    };
    let extension = |name: &str, files: &[(&str, Blob)]| {
        let below = format!("usr/lib/modules/{}", fake::KERNEL_RELEASE);
        let files: Vec<_> =
            files.iter().map(|(path, file)| (format!("{below}/{path}"), file.clone())).collect();
        let files: Vec<_> = files.iter().map(|(path, file)| (&**path, file.clone())).collect();
        let tree = fake::extension(name, "1", ">= v1.0.0", &files).unwrap();
        let name = format!("siderolabs/{name}:1");
        fake::image(&name, &tree, &Arch::ALL, Encoding::Plain).unwrap()
    };
    let mut images = fake::images(&VERSION.parse().unwrap()).unwrap();
    images.push(extension(
        "driver",
        &[
            (
                "extras/driver.ko",
                module(&["driver"], &["fake_base", "printk"], &["alias=pci:v1d*"]),
            ),
            ("modules.order", "kernel/base.ko\nextras/driver.ko\n".into()),
            ("modules.dep", "extras/driver.ko:\n".into()),
        ],
    ));
    // Comes before the release's own of that name.
    images.push(extension(
        "newer",
        &[
            ("extras/base.ko", module(&["fake_base"], &[], &[])),
            ("extras/user.ko", module(&[], &["driver"], &[])),
        ],
    ));
    let layout = oci::layout(&images).unwrap();
    let sources = Set::new(vec![Arc::new(Layout::tree("oci:fake", layout).unwrap())]);
    let medium = build_from(
        &sources,
        VERSION,
        "baseProfileName: iso\narch: amd64\noutput: {kind: initramfs}",
        &["driver:1", "hello:1.0.0", "newer:1"],
        &Choices::default(),
    );
    let Medium::Initramfs(found) = examine::inspect(&medium, &Scratch::new("")).unwrap().medium
    else {
        panic!()
    };
    let listed: Vec<_> =
        found.extensions.iter().map(|it| (it.image.as_str(), it.name.as_str())).collect();
    let expected = [
        ("0.sqsh", "driver"),
        ("1.sqsh", "hello"),
        ("2.sqsh", "newer"),
        ("modules.dep.sqsh", "modules.dep"),
    ];
    assert_eq!(listed, expected);
    let last = found.extensions.last().unwrap();
    assert_eq!((&*last.version, &*last.author), (fake::KERNEL_RELEASE, "Talos Machinery"));
    let (tree, _) = extension_of(&medium, "modules.dep.sqsh");
    let below = TreePath::new("usr/lib/modules").unwrap().join(fake::KERNEL_RELEASE).unwrap();
    let names: Vec<_> = tree.children(&below).map(|(path, ..)| path.file_name()).collect();
    assert_eq!(
        names,
        [
            "modules.alias",
            "modules.alias.bin",
            "modules.builtin.alias.bin",
            "modules.builtin.bin",
            "modules.dep",
            "modules.dep.bin",
            "modules.devname",
            "modules.order",
            "modules.softdep",
            "modules.symbols",
            "modules.symbols.bin",
            "modules.weakdep",
        ]
    );
    let text = |name| {
        let file = tree.get(&below.join(name).unwrap()).unwrap().content().unwrap();
        String::from_utf8(bytes(file)).unwrap()
    };
    assert_eq!(
        text("modules.dep"),
        "extras/driver.ko: extras/base.ko\nextras/base.ko:\n\
         extras/user.ko: extras/driver.ko extras/base.ko\n"
    );
    assert!(text("modules.alias").ends_with("\nalias pci:v1d* driver\n"));
}

#[test]
fn versions_before_systemd_boot() {
    let choices = Choices::default();
    let metal = |version, output| {
        let request = format!("baseProfileName: metal\narch: amd64\noutput: {{{output}}}");
        build_of(version, &request, &choices)
    };
    for (version, joined, each) in [
        ("v1.2.0", "xz", squashfs::Algorithm::Xz),
        ("v1.7.0", "xz", squashfs::Algorithm::Xz),
        ("v1.8.0", "zstd", squashfs::Algorithm::Zstd),
    ] {
        let medium = metal(version, "kind: initramfs, outFormat: raw");
        let Medium::Initramfs(found) = examine::inspect(&medium, &Scratch::new("")).unwrap().medium
        else {
            panic!()
        };
        let compressions: Vec<_> =
            found.segments.iter().map(|it| it.compression.as_str()).collect();
        assert_eq!(compressions, ["none", "none", joined]);
        assert_eq!(found.microcode.len(), 1, "from below /lib/firmware");
        let (tree, algorithm) = extension_of(&medium, "1.sqsh");
        assert_eq!(bytes(tree.file("usr/local/share/hello/greeting").unwrap()), b"hello\n");
        assert_eq!(algorithm, each, "{version}");
    }
    let medium = metal("v1.9.0", "kind: uki, outFormat: raw");
    assert!(!parts(&medium).keys().any(|name| name.starts_with("profiles/")));
    let medium = metal("v1.7.0", "outFormat: raw, imageOptions: {bootloader: sd-boot}");
    let Medium::Disk(disk) = examine::describe(&medium).unwrap() else { panic!() };
    let partitions: Vec<_> =
        disk.partitions.iter().map(|it| (it.label.as_str(), it.size >> 20)).collect();
    let expected = [("EFI", 1101), ("META", 1), ("STATE", 100), ("EPHEMERAL", 42)];
    assert_eq!(partitions, expected);
}

#[test]
fn garbage_behind_a_medium_does_not_hide_it() {
    let garbage = Blob::from(vec![0x5a; 5000]);
    for medium in [
        iso(Arch::Amd64),
        build("baseProfileName: metal-uki\narch: amd64"),
        of_kind("kernel"),
        disk(Arch::Amd64, 512),
    ] {
        let longer = Blob::concat([medium.clone(), garbage.clone()]);
        let list = |medium: &Blob| -> Vec<_> {
            examine::parts(medium, &Scratch::new(""))
                .unwrap()
                .parts
                .into_iter()
                .map(|part| part.name)
                .collect()
        };
        assert_eq!(list(&longer), list(&medium));
    }
    // The first table gone, the second still says what was there.
    let whole = disk(Arch::Amd64, 512);
    let headless = Blob::concat([Blob::zeros(2048), whole.slice(2048..whole.len())]);
    let count = |medium: &Blob| examine::parts(medium, &Scratch::new("")).unwrap().parts.len();
    assert_eq!(count(&headless), count(&whole));
}

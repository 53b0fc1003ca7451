//! Bad input, full disks, kills: each refusal is one line that names the thing and the mend,
//! with its exit code, and the output directory holds nothing it did not hold before.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests too")]
#![expect(clippy::too_many_lines, reason = "tables")]

use image_core::{
    blob::Blob,
    fake,
    formats::{
        cpio,
        oci::{self, Descriptor, Encoding, Platform, media_type},
        pe::{self, Machine},
        tar,
    },
    talos::Arch,
    tree::{Node, NodeKind, Tree, TreePath},
};
use std::{
    collections::BTreeMap,
    fmt::Debug,
    fs,
    os::unix::fs::FileExt,
    path::Path,
    process::{Command, Output, Stdio},
    thread,
    time::Instant,
};

const VERSION: &str = "v1.11.0";

fn path(text: &str) -> TreePath {
    TreePath::new(text).unwrap()
}

/// A directory with good parts, and every bad one the tables name.
struct Rig {
    dir: tempfile::TempDir,
    images: Vec<oci::Named>,
}

impl Rig {
    fn new() -> Self {
        let images = fake::images(&VERSION.parse().unwrap()).unwrap();
        let rig = Self { dir: tempfile::tempdir().unwrap(), images };
        rig.layout("good", &rig.images, |_| {});
        rig
    }

    fn put(&self, name: &str, content: impl Into<Blob>) {
        content.into().persist(&self.dir.path().join(name), &mut |_| {}).unwrap();
    }

    fn layout(&self, name: &str, images: &[oci::Named], edit: impl FnOnce(&mut Tree)) {
        let mut tree = oci::layout(images).unwrap();
        edit(&mut tree);
        fake::write(&tree, &self.dir.path().join(name)).unwrap();
    }

    /// A layout of the good release and of an extension of each name.
    fn extensions(&self, name: &str, extensions: &[oci::Named]) {
        self.layout(name, &[&self.images[..], extensions].concat(), |_| {});
    }

    /// Runs `line`, its words split at spaces, `{dir}` being the rig's directory; what a build
    /// needs and the line does not say is added.
    fn command(&self, line: &str) -> Command {
        let mut line = line.replace("{dir}", self.dir.path().to_str().unwrap());
        let usual = [
            ("--talos-version", VERSION.to_owned()),
            ("--arch", "amd64".to_owned()),
            ("--source", format!("oci:{}/good", self.dir.path().display())),
            ("--output", self.out().display().to_string()),
            ("--bootloader", "sd-boot".to_owned()),
            ("--out-format", "raw".to_owned()),
        ];
        if line.starts_with("build") {
            for (flag, value) in usual {
                let senseless = match flag {
                    "--bootloader" => {
                        ["uki", "--output-kind", "installer"].iter().any(|it| line.contains(it))
                    }
                    "--output" => line.contains("--stdout"),
                    _ => false,
                };
                if !line.contains(&format!("{flag} ")) && !senseless {
                    line.extend([" ", flag, " ", &value]);
                }
            }
            line += " -q";
        }
        let mut command = Command::new(env!("CARGO_BIN_EXE_talos-image"));
        command.args(line.split(' ')).env_remove("SOURCE_DATE_EPOCH").stdin(Stdio::null());
        command
    }

    fn out(&self) -> std::path::PathBuf {
        self.dir.path().join("out")
    }

    /// Builds what succeeds, alone in the output directory: its name and length.
    fn built(&self, line: &str) -> (String, u64) {
        let _ = fs::remove_dir_all(self.out());
        let output = self.command(line).output().unwrap();
        assert!(output.status.success(), "{line}: {output:?}");
        let [name] = &listing(&self.out())[..] else { panic!("{line}: {output:?}") };
        (name.clone(), fs::metadata(self.out().join(name)).unwrap().len())
    }

    /// Runs `line` in a shell that limits itself first.
    fn in_shell(&self, limit: &str, line: &str) -> Output {
        let command = self.command(line);
        let script = format!("{limit}; exec \"$0\" \"$@\"");
        let mut shell = Command::new("sh");
        shell.args(["-c", &script]).arg(command.get_program()).args(command.get_args());
        shell.output().unwrap()
    }

    /// Holds every row's refusal against its code and what it has to say.
    fn refuses(&self, rows: &[(&str, i32, &[&str])]) {
        let mut wrong = Vec::new();
        for (line, code, says) in rows {
            let output = self.command(line).output().unwrap();
            let said = refusal(&output);
            let fits =
                output.status.code() == Some(*code) && says.iter().all(|it| said.contains(it));
            if !fits || listing(&self.out()) != [""; 0] {
                wrong.push(format!("{line}: {}: {said} {:?}", output.status, listing(&self.out())));
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
    }
}

/// The one line that a refusal is.
fn refusal(output: &Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    let lines: Vec<_> = stderr.lines().collect();
    let [line] = lines[..] else { return format!("NOT ONE LINE: {stderr}") };
    match line.strip_prefix("error: ") {
        Some(said) => said.to_owned(),
        None => format!("NO ERROR: {line}"),
    }
}

fn listing(dir: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// An archive of one member, by hand: what no honest writer writes (POSIX.1-2008, pax, ustar).
fn tar_of(name: &str, kind: u8, target: &str) -> Vec<u8> {
    let mut block = vec![0; 512];
    block[..name.len()].copy_from_slice(name.as_bytes());
    block[100..107].copy_from_slice(b"0000644");
    block[124..135].copy_from_slice(b"00000000000");
    block[136..147].copy_from_slice(b"00000000000");
    block[148..156].fill(b' ');
    block[156] = kind;
    block[157..157 + target.len()].copy_from_slice(target.as_bytes());
    block[257..265].copy_from_slice(b"ustar\x0000");
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block.resize(512 * 3, 0);
    block
}

/// An image for amd64 whose one layer is `archive`.
fn raw_image(name: &str, archive: Vec<u8>) -> oci::Named {
    let descriptor = Descriptor::of(media_type::LAYER, &archive);
    let diff_id = descriptor.digest;
    let layer = oci::Layer { descriptor, blob: archive.into(), diff_id };
    let config = serde_json::Map::new();
    let platform = Platform::new("linux", "amd64");
    let image = oci::image(&platform, &config, vec![layer], BTreeMap::new()).unwrap();
    oci::Named { names: vec![format!("registry.example/bad/{name}:1")], images: vec![image] }
}

fn image(name: &str, tree: &Tree) -> oci::Named {
    fake::image(&format!("bad/{name}:1"), tree, &[Arch::Amd64], Encoding::Gzip).unwrap()
}

fn good_extension(name: &str, talos: &str, file: &str) -> Tree {
    fake::extension(name, "1", talos, &[(file, "content".into())]).unwrap()
}

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
        ("build iso --source registry:ghcr.io", 3, &["registry:ghcr.io", "skopeo copy"]),
        ("build {dir}/nowhere.yaml", 2, &["/nowhere.yaml"]),
        ("build {dir}/typo.yaml", 2, &["typo.yaml", "\"kind\""]),
        ("build {dir}/no.yaml", 2, &["no.yaml"]),
        ("build {dir}/base.yaml", 2, &["\"iso\""]),
        ("build isoo", 2, &["isoo", "\"iso\""]),
        ("build iso --bootlaoder sd-boot", 2, &["--bootlaoder", "--bootloader"]),
        ("build iso --talos-version 1.x", 2, &["--talos-version", "1.x"]),
        ("build iso --talos-version latest", 2, &["--talos-version", "latest"]),
        ("build iso --epoch soon", 2, &["--epoch", "soon"]),
        ("build iso --epoch -1", 2, &["--epoch"]),
        ("build iso --epoch 99999999999", 2, &["99999999999", "2106"]),
        ("build iso --talos-version v1.9.5", 3, &["v1.9.5", "not supported", "v1.10.0"]),
        ("build iso --bootloader grub", 3, &["grub", "--bootloader sd-boot"]),
        ("build iso --bootloader dual-boot", 3, &["dual-boot", "--bootloader sd-boot"]),
        ("build metal --bootloader dual-boot", 3, &["dual-boot", "--bootloader sd-boot"]),
        ("build secureboot-iso", 3, &["Secure Boot"]),
        ("build secureboot-metal", 3, &["Secure Boot"]),
        ("build aws", 3, &["aws", "metal"]),
        ("build iso --platform aws", 3, &["aws", "metal"]),
        ("build installer", 3, &["installer"]),
        ("build metal --disk-format qcow2", 3, &["qcow2", "raw"]),
        ("build {dir}/cache.yaml", 3, &["imageCache"]),
        ("build {dir}/config.yaml", 3, &["embeddedMachineConfiguration"]),
        ("build {dir}/overlay.yaml", 3, &["overlay"]),
        ("build metal --disk-size 64MiB", 2, &["--disk-size 1157627904"]),
        ("build iso --output {dir}/a-file", 6, &["a-file"]),
        ("build iso --output {dir}/a-file/below", 6, &["a-file/below"]),
        ("build iso --output /proc/nowhere", 6, &["/proc/nowhere"]),
        ("build iso --output /proc", 6, &["/proc/metal-amd64.iso"]),
    ]);
}

#[test]
fn what_lies_damaged_in_a_source() {
    type Change = fn(&mut Vec<u8>);
    let rig = Rig::new();
    // Damage to the release's layer, then to its manifest, in every kind of place.
    let release = &rig.images[0].images[0];
    let one = [oci::Named { images: vec![release.clone()], ..rig.images[0].clone() }];
    let cut = |bytes: &mut Vec<u8>| bytes.truncate(bytes.len() - 1);
    let grow = |bytes: &mut Vec<u8>| bytes.push(0);
    let flip = |bytes: &mut Vec<u8>| {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
    };
    let changes: [(&str, Change); 3] = [("cut", cut), ("grown", grow), ("flipped", flip)];
    for (thing, digest) in
        [("layer", release.manifest.layers[0].digest), ("manifest", release.descriptor.digest)]
    {
        for (name, change) in changes {
            let name = format!("{name}-{thing}");
            let edit = |tree: &mut Tree| {
                for at in
                    [format!("blobs/sha256/{}", digest.hex()), format!("{}.tar.gz", digest.hex())]
                {
                    if let Some(blob) = tree.file(&at) {
                        let mut bytes = blob.to_vec(1 << 20).unwrap();
                        change(&mut bytes);
                        tree.insert(path(&at), Node::file(bytes, 0o644));
                    }
                }
            };
            rig.layout(&name, &rig.images, edit);
            let mut layout = oci::layout(&rig.images).unwrap();
            let mut docker = oci::docker_archive(&one).unwrap();
            edit(&mut layout);
            edit(&mut docker);
            rig.put(&format!("{name}.oci.tar"), tar::archive(&layout, 0).unwrap());
            rig.put(&format!("{name}.docker.tar"), tar::archive(&docker, 0).unwrap());
        }
    }
    rig.layout("no-blob", &rig.images, |tree| {
        tree.remove(&path(&format!("blobs/sha256/{}", release.manifest.layers[0].digest.hex())));
    });
    let layout = tar::archive(&oci::layout(&rig.images).unwrap(), 0).unwrap();
    rig.put("half.oci.tar", layout.slice(0..layout.len() / 2));
    fs::create_dir(rig.dir.path().join("empty")).unwrap();
    rig.layout("no-json", &rig.images, |tree| {
        tree.insert(path("index.json"), Node::file("{", 0o644));
    });
    let arm = good_extension("arm", "", "usr/bin/arm");
    let arm = fake::image("bad/arm:1", &arm, &[Arch::Arm64], Encoding::Zstd).unwrap();
    rig.extensions("arm", &[arm]);
    let mut releases = vec![];
    for (name, archive) in [
        ("up", tar_of("../../etc/passwd", b'0', "")),
        ("absolute", tar_of("/usr/install/amd64/vmlinuz", b'0', "")),
        ("link", tar_of("usr/install/amd64/systemd-boot.efi", b'2', "/etc/passwd")),
        ("out", tar_of("usr/install/amd64/vmlinuz", b'1', "../../../etc/passwd")),
        ("device", tar_of("usr/install/amd64/vmlinuz", b'3', "")),
    ] {
        releases.push(raw_image(name, archive));
    }
    rig.layout("releases", &releases, |_| {});
    rig.refuses(&[
        ("build iso --source oci:{dir}/empty", 5, &["/empty", "index.json"]),
        ("build iso --source {dir}/empty", 5, &["/empty"]),
        ("build iso --source oci:{dir}/no-json", 5, &["index.json"]),
        ("build iso --source {dir}/half.oci.tar", 5, &["half.oci.tar"]),
        ("build iso --source oci:{dir}/no-blob", 5, &["missing"]),
        (
            "build iso --source oci:{dir}/arm --system-extension-image bad/arm:1",
            5,
            &["linux/arm64", "linux/amd64"],
        ),
        ("build iso --talos-version v1.11.1", 5, &["siderolabs/imager:v1.11.1", "imager:v1.11.0"]),
        (
            "build iso --release-image siderolabs/imagre:v1.11.0",
            5,
            &["did you mean registry.example/siderolabs/imager:v1.11.0"],
        ),
        (
            "build iso --system-extension-image siderolabs/helo:1.0.0",
            5,
            &["siderolabs/helo:1.0.0", "siderolabs/hello:1.0.0"],
        ),
        ("build iso --system-extension-image siderolabs/HELLO", 2, &["siderolabs/HELLO"]),
        ("build iso --source oci:{dir}/cut-layer", 5, &["cut-layer", "bytes instead of"]),
        ("build iso --source oci:{dir}/grown-layer", 5, &["grown-layer", "bytes instead of"]),
        ("build iso --source oci:{dir}/flipped-layer", 5, &["flipped-layer", "digest"]),
        ("build iso --source oci:{dir}/cut-manifest", 5, &["cut-manifest", "bytes instead of"]),
        ("build iso --source oci:{dir}/flipped-manifest", 5, &["flipped-manifest", "digest"]),
        ("build iso --source {dir}/cut-layer.oci.tar", 5, &["cut-layer", "bytes instead of"]),
        ("build iso --source {dir}/grown-layer.oci.tar", 5, &["grown-layer", "bytes instead of"]),
        ("build iso --source {dir}/flipped-layer.oci.tar", 5, &["flipped-layer", "digest"]),
        ("build iso --source {dir}/cut-layer.docker.tar", 5, &["cut-layer"]),
        ("build iso --source {dir}/grown-layer.docker.tar", 5, &["grown-layer"]),
        ("build iso --source {dir}/flipped-layer.docker.tar", 5, &["flipped-layer"]),
        (
            "build iso --source oci:{dir}/releases --release-image bad/up:1",
            5,
            &["../../etc/passwd"],
        ),
        (
            "build iso --source oci:{dir}/releases --release-image bad/absolute:1",
            5,
            &["\"/usr/install/amd64/vmlinuz\""],
        ),
        ("build iso --source oci:{dir}/releases --release-image bad/link:1", 5, &["no file"]),
        (
            "build iso --source oci:{dir}/releases --release-image bad/out:1",
            5,
            &["../../../etc/passwd"],
        ),
        ("build iso --source oci:{dir}/releases --release-image bad/device:1", 5, &["device"]),
    ]);
}

#[test]
fn what_is_no_extension_for_this() {
    let rig = Rig::new();
    let any = ">= v1.0.0";
    let good = good_extension("good", any, "usr/bin/good");
    let with = |at: &str, node: Node| {
        let mut tree = good.clone();
        tree.insert(path(at), node);
        tree
    };
    let fifo = Node { kind: NodeKind::Fifo, ..Node::file("", 0o644) };
    let fifo = with("rootfs/usr/bin/fifo", fifo);
    let mut no_manifest = good.clone();
    no_manifest.remove(&path("manifest.yaml"));
    let modules = good_extension("modules", any, "usr/lib/modules/6.12.48-fake/x.ko");
    rig.extensions(
        "extensions",
        &[
            image("no-manifest", &no_manifest),
            image(
                "wrong-manifest",
                &with("manifest.yaml", Node::file("version: v2\nmetadata: {name: a}\n", 0o644)),
            ),
            image("no-yaml", &with("manifest.yaml", Node::file("{", 0o644))),
            image("link-manifest", &with("manifest.yaml", Node::symlink("/etc/passwd"))),
            image("extra", &with("README", Node::file("", 0o644))),
            image("unmet", &good_extension("unmet", ">= v1.12.0", "usr/bin/a")),
            image("nonsense-range", &good_extension("range", "about 1.11", "usr/bin/a")),
            image("one", &good),
            image("other", &with("rootfs/usr/bin/other", Node::file("", 0o755))),
            image("modules", &modules),
            image("fifo", &fifo),
            raw_image("absolute", tar_of("/rootfs/x", b'0', "")),
            raw_image("up", tar_of("rootfs/../../x", b'0', "")),
            raw_image("random", vec![0x5a; 5000]),
        ],
    );
    rig.put("fifo.tar", tar::archive(&fifo, 0).unwrap());
    rig.put("random.tar", vec![0x5a; 5000]);
    rig.put(
        "fifo.yaml",
        format!(
            "baseProfileName: iso\ninput: {{systemExtensions: [{{tarballPath: {}/fifo.tar}}]}}\n",
            rig.dir.path().display()
        ),
    );
    rig.put(
        "random.yaml",
        format!(
            "baseProfileName: iso\ninput: {{systemExtensions: [{{tarballPath: {}/random.tar}}]}}\n",
            rig.dir.path().display()
        ),
    );
    rig.put(
        "nowhere.yaml",
        "baseProfileName: iso\ninput: {systemExtensions: [{tarballPath: /nowhere.tar}]}\n",
    );
    rig.put(
        "nodir.yaml",
        "baseProfileName: iso\ninput: {systemExtensions: [{ociPath: /nowhere}]}\n",
    );
    let ask = |name: &str| {
        format!("build iso --source oci:{{dir}}/extensions --system-extension-image bad/{name}:1")
    };
    let rows: Vec<(String, i32, &[&str])> = vec![
        (ask("no-manifest"), 2, &["bad/no-manifest:1", "manifest.yaml"]),
        (ask("wrong-manifest"), 3, &["bad/wrong-manifest:1", "\"v2\"", "v1alpha1"]),
        (ask("no-yaml"), 2, &["bad/no-yaml:1", "manifest.yaml"]),
        (ask("link-manifest"), 2, &["bad/link-manifest:1", "manifest.yaml"]),
        (ask("extra"), 2, &["bad/extra:1", "README"]),
        (ask("unmet"), 2, &["bad/unmet:1", ">= v1.12.0", VERSION]),
        (ask("nonsense-range"), 2, &["bad/nonsense-range:1", "about 1.11"]),
        (
            ask("one") + " --system-extension-image bad/other:1",
            2,
            &["bad/one:1", "bad/other:1", "\"good\"", "leave one out"],
        ),
        (ask("modules"), 3, &["bad/modules:1", "kernel modules", "not supported yet"]),
        (ask("fifo"), 2, &["bad/fifo:1", "rootfs/usr/bin/fifo"]),
        (ask("absolute"), 5, &["bad/absolute:1", "\"/rootfs/x\""]),
        (ask("up"), 5, &["bad/up:1", "rootfs/../../x"]),
        (ask("random"), 5, &["bad/random:1", "tar"]),
        ("build {dir}/fifo.yaml".into(), 2, &["fifo.tar", "rootfs/usr/bin/fifo"]),
        ("build {dir}/random.yaml".into(), 2, &["random.tar", "tar"]),
        ("build {dir}/nowhere.yaml".into(), 2, &["/nowhere.tar"]),
        ("build {dir}/nodir.yaml".into(), 2, &["/nowhere"]),
    ];
    let rows: Vec<_> =
        rows.iter().map(|(line, code, says)| (line.as_str(), *code, *says)).collect();
    rig.refuses(&rows);
}

#[test]
fn parts_that_are_not_what_they_should_be() {
    let rig = Rig::new();
    let (amd, arm) = (pe::fake::stub(Machine::Amd64), pe::fake::stub(Machine::Arm64));
    rig.put("empty", "");
    rig.put("text", "hello\n");
    rig.put("program", amd.clone());
    rig.put("cut-program", amd[..100].to_vec());
    rig.put("arm-program", arm);
    rig.put("arm-kernel", image_core::formats::linux::fake::arm64_image("6.12"));
    rig.put("bz2", "BZh91AY&SY");
    rig.put("gzip", vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 1, 2, 3]);
    rig.put("zstd", vec![0x28, 0xb5, 0x2f, 0xfd, 0, 0, 0]);
    let initramfs = fake::initramfs().unwrap();
    rig.put("cut-cpio", initramfs.slice(0..200));
    let mut bytes = initramfs.to_vec(1 << 20).unwrap();
    bytes[60] = b'z';
    rig.put("bad-cpio", bytes);
    // As large as you like: it is a hole.
    let mut tree = Tree::new();
    tree.insert(path("big"), Node::file(Blob::zeros(3 << 30), 0o644));
    rig.put("big", cpio::archive(&tree, 0).unwrap());
    tree.insert(path("bigger"), Node::file(Blob::zeros(3 << 30), 0o644));
    rig.put("bigger", cpio::archive(&tree, 0).unwrap());
    rig.refuses(&[
        ("build iso --kernel {dir}/empty", 2, &["kernel", "/empty"]),
        ("build iso --kernel {dir}/text", 2, &["kernel", "/text"]),
        ("build iso --kernel {dir}/program", 2, &["kernel", "/program"]),
        ("build iso --kernel {dir}/arm-kernel", 2, &["/arm-kernel", "arm64", "--arch"]),
        ("build iso --kernel {dir}", 2, &["kernel", "directory"]),
        ("build iso --kernel /dev/zero", 2, &["kernel", "/dev/zero"]),
        ("build iso --sd-stub {dir}/text", 2, &["/text", "systemd-stub"]),
        ("build iso --sd-stub {dir}/cut-program", 2, &["/cut-program"]),
        ("build iso --sd-stub {dir}/arm-program", 2, &["/arm-program", "arm64", "--arch"]),
        ("build iso --sd-boot {dir}/text", 2, &["/text", "systemd-boot"]),
        ("build iso --initramfs {dir}/empty", 2, &["initramfs", "/empty"]),
        ("build iso --initramfs {dir}/text", 2, &["initramfs", "/text"]),
        ("build iso --initramfs {dir}/bz2", 3, &["initramfs", "/bz2", "bzip2"]),
        ("build iso --initramfs {dir}/gzip", 2, &["initramfs", "/gzip"]),
        ("build iso --initramfs {dir}/zstd", 2, &["initramfs", "/zstd"]),
        ("build iso --initramfs {dir}/cut-cpio", 2, &["initramfs", "/cut-cpio"]),
        ("build iso --initramfs {dir}/bad-cpio", 2, &["initramfs", "/bad-cpio"]),
        ("build iso --splash {dir}/text", 2, &["splash", "/text", "BMP"]),
        ("build metal --initramfs {dir}/big", 7, &["EFI system partition", "too many"]),
        ("build iso --initramfs {dir}/bigger", 7, &["UKI"]),
        ("inspect {dir}/empty", 2, &["/empty"]),
        ("inspect {dir}/text", 2, &["/text"]),
        ("inspect {dir}", 6, &["directory"]),
        ("inspect /dev/zero", 6, &["/dev/zero"]),
        ("extract {dir}/text", 2, &["/text"]),
        ("extract {dir}/program", 2, &["/program"]),
    ]);
}

#[test]
fn a_disk_that_is_full() {
    let rig = Rig::new();
    let (name, _) = rig.built("build iso");
    let good = fs::read(rig.out().join(&name)).unwrap();
    let limited = |line: &str| rig.in_shell("trap '' XFSZ; ulimit -f 100", line);
    // The name is taken by a good file, which has to survive; then it is free.
    for before in [vec![name.clone()], vec![]] {
        let output = limited("build iso");
        let said = refusal(&output);
        assert_eq!(output.status.code(), Some(6), "{said}");
        assert!(said.contains(&name) && said.contains("too large"), "{said}");
        assert_eq!(listing(&rig.out()), before);
        if !before.is_empty() {
            assert!(fs::read(rig.out().join(&name)).unwrap() == good);
            fs::remove_file(rig.out().join(&name)).unwrap();
        }
    }

    // A stream: a full device is an error, a reader who has seen enough is none.
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let output = rig.command("build iso --stdout").stdout(full).output().unwrap();
    let said = refusal(&output);
    assert_eq!(output.status.code(), Some(6), "{said}");
    assert!(said.contains("stdout") && said.contains("No space left"), "{said}");
    let mut reader = rig.command("build iso --stdout");
    let mut child = reader.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0), "{output:?}");
}

#[test]
fn a_build_that_is_killed_leaves_a_whole_file_or_none() {
    const KILLS: u32 = 12;
    let rig = Rig::new();
    let mut tree = Tree::new();
    tree.insert(path("big"), Node::file(Blob::zeros(96 << 20), 0o644));
    rig.put("big", cpio::archive(&tree, 0).unwrap());
    let line = "build metal-uki --initramfs {dir}/big";
    let start = Instant::now();
    let (name, _) = rig.built(line);
    let usual = start.elapsed();
    let good = fs::read(rig.out().join(&name)).unwrap();
    for kill in 0..KILLS {
        // Over no file, and over a good one.
        if kill % 2 == 0 {
            let _ = fs::remove_file(rig.out().join(&name));
        } else {
            fs::write(rig.out().join(&name), "an older one").unwrap();
        }
        let mut child = rig.command(line).stdout(Stdio::null()).spawn().unwrap();
        thread::sleep(usual * kill / KILLS);
        child.kill().unwrap();
        let finished = child.wait().unwrap().success();
        match (listing(&rig.out()).as_slice(), kill % 2) {
            ([], 0) => assert!(!finished),
            ([only], _) if *only == name => {
                let bytes = fs::read(rig.out().join(&name)).unwrap();
                let whole = bytes == good;
                assert!(whole || (kill % 2 == 1 && bytes == b"an older one"), "kill {kill}");
            }
            (other, _) => panic!("kill {kill}: {other:?}"),
        }
    }
}

#[test]
fn damaged_media_are_told_of_and_never_panic() {
    let rig = Rig::new();
    let extension = "--system-extension-image siderolabs/intel-ucode:20251111";
    // A linear congruence (Knuth): the same bytes are damaged in every run.
    let mut seed = 1u64;
    let mut random = |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below
    };
    for (kind, line) in [
        ("iso", format!("build iso {extension}")),
        ("uki", format!("build metal-uki {extension}")),
        ("disk", format!("build metal {extension}")),
        ("initramfs", format!("build iso --output-kind initramfs {extension}")),
        ("kernel", "build iso --output-kind kernel".to_owned()),
        ("cmdline", "build iso --output-kind cmdline".to_owned()),
    ] {
        let (name, len) = rig.built(&line);
        let file = rig.out().join(&name);
        let look = |what: &dyn Debug| {
            for command in ["inspect", "extract"] {
                if (kind, command) == ("disk", "inspect") {
                    // It would hash gibibytes of zeros.
                    continue;
                }
                let output =
                    rig.in_shell("ulimit -v 524288", &format!("{command} {{dir}}/out/{name}"));
                let code = output.status.code();
                let said = || format!("{kind} {what:?} {command}: {output:?}");
                assert!(matches!(code, Some(0 | 2 | 3)), "{}", said());
                let named = refusal(&output).contains(&format!("{name}: "));
                assert!(code == Some(0) || named, "{}", said());
            }
        };
        let medium = fs::File::options().read(true).write(true).open(&file).unwrap();
        for round in 0..12 {
            let mut changed = BTreeMap::new();
            for _ in 0..8 {
                // Headers stand in front; so does all that has content.
                let at = random(len.min([1 << 12, 1 << 16, 1 << 22][round % 3]));
                let mut byte = [0];
                medium.read_exact_at(&mut byte, at).unwrap();
                changed.entry(at).or_insert(byte[0]);
                byte[0] ^= 1 << random(8);
                medium.write_all_at(&byte, at).unwrap();
            }
            look(&changed.keys());
            for (at, byte) in changed {
                medium.write_all_at(&[byte], at).unwrap();
            }
        }
        for cut in [len - 1, len / 2, len / 3, 32769, 2048, 512, 511, 1, 0] {
            if cut < len {
                medium.set_len(cut).unwrap();
                look(&cut);
            }
        }
    }
}

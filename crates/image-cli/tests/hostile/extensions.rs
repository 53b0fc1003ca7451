//! What is no extension for this Talos, and what is one but a bad one.

use super::*;
use image_core::{blob::Scratch, formats::squashfs, plan, sources::Set};
use std::sync::Arc;

#[test]
fn what_is_no_extension_for_this() {
    let rig = Rig::new();
    let any = ">= v1.0.0";
    let good = good_extension("good", any, "usr/local/bin/good");
    let with = |at: &str, node: Node| {
        let mut tree = good.clone();
        tree.insert(path(at), node);
        tree
    };
    let fifo = Node { kind: NodeKind::Fifo, ..Node::file("", 0o644) };
    let fifo = with("rootfs/usr/local/bin/fifo", fifo);
    let mut no_manifest = good.clone();
    no_manifest.remove(&path("manifest.yaml"));
    let no_module = good_extension("m", any, "usr/lib/modules/6.12.48-fake/extras/x.ko");
    let other_kernel = good_extension("m", any, "usr/lib/modules/6.1.0-old/extras/x.ko");
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
            image("other", &with("rootfs/usr/local/bin/other", Node::file("", 0o755))),
            image("no-module", &no_module),
            image("other-kernel", &other_kernel),
            image("fifo", &fifo),
            raw_image("absolute", tar_of("/rootfs/x", b'0', "")),
            raw_image("up", tar_of("rootfs/../../x", b'0', "")),
            raw_image("random", vec![0x5a; 5000]),
        ],
    );
    let initramfs = |name: &str, kernels: Option<&[&str]>| {
        let mut tree = Tree::new();
        tree.insert(path("init"), Node::file("", 0o755));
        if let Some(kernels) = kernels {
            let mut root = Tree::new();
            for kernel in kernels {
                root.insert(path(&format!("usr/lib/modules/{kernel}")), Node::directory(0o755));
            }
            let (options, scratch) = (squashfs::Options::default(), Scratch::new(""));
            let root = squashfs::image(&root, &options, &scratch, &|_| ()).unwrap();
            tree.insert(path("rootfs.sqsh"), Node::file(root, 0o644));
        }
        rig.put(&format!("{name}.cpio"), cpio::archive(&tree, 0).unwrap());
        let profile = format!(
            "baseProfileName: iso\ninput: {{initramfs: {{path: {}/{name}.cpio}}, \
             systemExtensions: [{{imageRef: bad/no-module:1}}]}}\n",
            rig.dir.path().display()
        );
        rig.put(&format!("{name}.yaml"), profile);
    };
    initramfs("bare", None);
    initramfs("no-kernel", Some(&[]));
    initramfs("two-kernels", Some(&["6.1.0-a", "6.1.0-b"]));
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
    let over = |name: &str| format!("build {{dir}}/{name}.yaml --source oci:{{dir}}/extensions");
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
        (ask("no-module"), 2, &["6.12.48-fake", "extras/x.ko", "ELF"]),
        (ask("other-kernel"), 2, &["extension m", "6.1.0-old", "6.12.48-fake", VERSION]),
        (over("bare"), 2, &["bare.cpio", "no rootfs.sqsh", "Talos release"]),
        (over("no-kernel"), 2, &["no-kernel.cpio", "rootfs.sqsh", "usr/lib/modules", "none"]),
        (over("two-kernels"), 2, &["two-kernels.cpio", "6.1.0-a, 6.1.0-b"]),
        (ask("fifo"), 2, &["bad/fifo:1", "rootfs/usr/local/bin/fifo"]),
        (ask("absolute"), 5, &["bad/absolute:1", "\"/rootfs/x\""]),
        (ask("up"), 5, &["bad/up:1", "rootfs/../../x"]),
        (ask("random"), 5, &["bad/random:1", "tar"]),
        ("build {dir}/fifo.yaml".into(), 2, &["fifo.tar", "rootfs/usr/local/bin/fifo"]),
        ("build {dir}/random.yaml".into(), 2, &["random.tar", "tar"]),
        ("build {dir}/nowhere.yaml".into(), 2, &["/nowhere.tar"]),
        ("build {dir}/nodir.yaml".into(), 2, &["/nowhere"]),
    ];
    let rows: Vec<_> =
        rows.iter().map(|(line, code, says)| (line.as_str(), *code, *says)).collect();
    rig.refuses(&rows);
}

#[test]
fn what_is_wrong_with_an_extension_is_warned_of() {
    let rig = Rig::new();
    let any = ">= v1.0.0";
    let of = |name: &str, talos: &str, files: &[(&str, u32)]| {
        let mut tree = fake::extension(name, "1", talos, &[]).unwrap();
        for (file, mode) in files {
            tree.insert(path(&format!("rootfs/{file}")), Node::file("content", *mode));
        }
        image(name, &tree)
    };
    let ucode = "usr/lib/firmware/intel-ucode/06-55-04";
    rig.extensions(
        "extensions",
        &[
            of("fine", any, &[("usr/local/bin/fine", 0o755), ("etc/cri/conf.d/fine.part", 0o644)]),
            of("everywhere", any, &[("opt/a", 0o644), ("opt/b", 0o644), ("usr/local/c", 0o644)]),
            of("open", "", &[("usr/local/a", 0o666)]),
            of("unmerged", any, &[("lib/firmware/x.bin", 0o644)]),
            of("empty", any, &[]),
            of("acme-ucode", any, &[("usr/local/x", 0o644)]),
            of("garbled-ucode", any, &[(ucode, 0o644)]),
        ],
    );
    let rows: &[(&str, &[&[&str]])] = &[
        ("fine", &[]),
        ("everywhere", &[&["opt/a and 1 more", "usr/local"]]),
        (
            "open",
            &[
                &["manifest.yaml", "compatibility.talos.version", "write which"],
                &["usr/local/a", "chmod o-w"],
            ],
        ),
        ("unmerged", &[&["lib: this directory", "usr/lib"]]),
        ("empty", &[&["rootfs/ holds no file", "leave it out"]]),
        ("acme-ucode", &[&["usr/lib/firmware holds nothing", "rebuild it"]]),
        ("garbled-ucode", &[&[ucode, "the kernel will not load it"]]),
    ];
    let mut wrong = Vec::new();
    for (name, expected) in rows {
        let line = format!(
            "build iso --output-kind initramfs --source oci:{{dir}}/extensions \
             --system-extension-image bad/{name}:1"
        );
        let output = rig.command(&line).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        let fits = output.status.success()
            && stderr.lines().count() == expected.len()
            && stderr.lines().zip(*expected).all(|(line, says)| {
                line.starts_with(&format!("warning: {name}: "))
                    && says.iter().all(|it| line.contains(it))
            });
        if !fits {
            wrong.push(format!("{name}: {}: {stderr}", output.status));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_catalogue_pins_what_a_copy_of_one_platform_is_not() {
    let rig = Rig::new();
    let version = VERSION.parse().unwrap();
    let layout = oci::layout(&rig.images).unwrap();
    let layout = image_core::sources::Layout::tree("oci:good", layout).unwrap();
    let sources = Set::new(vec![Arc::new(layout)]);
    let catalogue = plan::catalogue(&version, &sources, &Scratch::new(rig.out())).unwrap();
    let pinned = &catalogue.find("siderolabs/intel-ucode").unwrap().reference;

    let mut copied = rig.images.clone();
    for named in &mut copied {
        named.images.truncate(1);
    }
    rig.layout("copied", &copied, |_| {});
    let ask = format!("build iso --system-extension-image {pinned}");
    rig.refuses(&[(
        &format!("{ask} --source oci:{{dir}}/copied"),
        5,
        &["intel-ucode:20251111@sha256:", "the tag points at", "skopeo copy --all"],
    )]);
    rig.built(&ask);
}

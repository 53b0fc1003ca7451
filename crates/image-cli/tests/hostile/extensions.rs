//! What is no extension for this Talos.

use super::*;

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

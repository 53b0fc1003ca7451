//! What lies damaged in a source.

use super::*;

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

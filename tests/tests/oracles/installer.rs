//! Installer images, loaded by the tools that move container images.

use super::*;

/// A base installer of two layers, as umoci makes it, in a layout of skopeo's.
fn base(dir: &Path) -> String {
    const NAME: &str = "registry.example/siderolabs/installer-base:v1.12.0";
    let layout = dir.join("base");
    let umoci = |arguments: &[&str]| {
        finish(Command::new("umoci").args(arguments).current_dir(dir));
    };
    fs::create_dir_all(dir.join("upper/install/amd64")).unwrap();
    fs::write(dir.join("program"), "#!/bin/sh\n").unwrap();
    fs::write(dir.join("upper/install/amd64/vmlinuz.efi"), "an old one").unwrap();
    umoci(&["init", "--layout", "base"]);
    umoci(&["new", "--image", "base:x"]);
    umoci(&["insert", "--image", "base:x", "program", "/usr/bin/installer"]);
    umoci(&["insert", "--image", "base:x", "upper", "/usr"]);
    umoci(&["config", "--image", "base:x", "--config.entrypoint", "/usr/bin/installer"]);
    let named = dir.join("named");
    let to = format!("oci:{}:{NAME}", named.display());
    finish(Command::new("skopeo").args(["copy", &format!("oci:{}:x", layout.display()), &to]));
    format!("oci:{}", named.display())
}

#[test]
fn skopeo_and_umoci_load_an_installer() {
    let dir = tempfile::tempdir().unwrap();
    let source = base(dir.path());
    for format in ["docker-archive", "oci-archive"] {
        let out = dir.path().join(format);
        let arguments =
            ["installer", "--arch=amd64", "--source", &source, "--container-format", format];
        let installer = build(&out, &arguments);
        let from = format!("{format}:{}", installer.display());
        let config = text("skopeo", &["inspect", "--config", &from]);
        let config: Value = serde_json::from_str(&config).unwrap();
        assert_eq!(config["config"]["Entrypoint"][0], "/usr/bin/installer");
        assert_eq!((&config["architecture"], &config["os"]), (&"amd64".into(), &"linux".into()));
        assert!(config["created"].as_str().unwrap().starts_with("1970-01-01T00:00:00"));

        let layout = out.join("layout");
        let to = format!("oci:{}:installer", layout.display());
        finish(Command::new("skopeo").args(["copy", &from, &to]));
        let unpacked = out.join("unpacked");
        let image = format!("{}:installer", layout.display());
        finish(
            Command::new("umoci").args(["unpack", "--rootless", "--image", &image]).arg(&unpacked),
        );
        let file = |name: &str| fs::read(unpacked.join("rootfs/usr").join(name)).unwrap();
        assert_eq!(file("bin/installer"), b"#!/bin/sh\n");
        let manager = file("install/amd64/systemd-boot.efi");
        assert!(manager == fs::read(part("amd64/systemd-boot.efi")).unwrap(), "it is changed");
        let uki = uki::read(&file("install/amd64/vmlinuz.efi").into()).unwrap();
        assert!(uki.is_uki());
    }
}

//! The stand-in release: the parts as container images, shaped like Sidero's.

use crate::{
    oci::{Content, Files, Layout},
    parts::{GRUB, NEW_GRUB, OLD_GRUB},
};
use anyhow::{Context as _, Result};
use std::{fmt::Write as _, fs, path::Path};
use system_tests::{OLD_VERSION, VERSION};

/// Stands in for the registry in references. Nothing is ever fetched from it.
const REGISTRY: &str = "registry.example";

/// Writes `release/`, `references.txt` and `hello/` into a folder of parts.
pub(crate) fn write(parts: &Path) -> Result<()> {
    let hello = parts.join("hello");
    fs::create_dir_all(&hello)?;
    fs::write(hello.join("firmware.bin"), "firmware of the hello extension\n")?;

    let mut layout = Layout::create(&parts.join("release"))?;
    let mut references = Vec::new();
    for (version, grub) in [(VERSION, NEW_GRUB), (OLD_VERSION, OLD_GRUB)] {
        let imager = reference("imager", version);
        layout.image(&imager, &boot_assets(parts, version, grub)?)?;
        references.push(imager);
    }

    let packages = fs::read_to_string(parts.join("packages.txt"))?;
    let (mut digests, mut descriptions) = (String::new(), String::new());
    for extension in [
        Extension {
            name: "amd-ucode",
            version: date_of(&packages, "amd64-microcode")?,
            description: "AMD CPU microcode, out of Debian's amd64-microcode",
            files: folder(&parts.join("amd-ucode"), "usr/lib/firmware/amd-ucode")?,
        },
        Extension {
            name: "hello",
            version: "1.0.0".to_owned(),
            description: "A file to mount, and firmware for the initramfs",
            files: hello_files(&hello),
        },
        Extension {
            name: "intel-ucode",
            version: date_of(&packages, "intel-microcode")?,
            description: "Intel CPU microcode, out of Debian's intel-microcode",
            files: folder(&parts.join("intel-ucode"), "usr/lib/firmware/intel-ucode")?,
        },
    ] {
        let reference = reference(extension.name, &extension.version);
        let digest = layout.image(&reference, &extension.image())?;
        let pinned = format!("{reference}@{digest}");
        let _ = writeln!(digests, "{pinned}");
        let about = extension.description;
        let _ = writeln!(
            descriptions,
            "{pinned}:\n  author: talos-image\n  description: |\n    [core] {about}"
        );
        references.push(reference);
    }
    let catalogue = reference("extensions", VERSION);
    let files = Files::from([
        ("descriptions.yaml".to_owned(), descriptions.into()),
        ("image-digests".to_owned(), digests.into()),
    ]);
    layout.image(&catalogue, &files)?;
    references.push(catalogue);
    layout.finish()?;
    Ok(fs::write(parts.join("references.txt"), references.join("\n") + "\n")?)
}

fn reference(name: &str, tag: &str) -> String {
    format!("{REGISTRY}/siderolabs/{name}:{tag}")
}

/// The image that Talos calls the imager, of which only the files matter.
fn boot_assets(parts: &Path, version: &str, grub: &str) -> Result<Files> {
    let mut files = Files::new();
    for architecture in ["amd64", "arm64"] {
        for asset in ["initramfs.xz", "systemd-boot.efi", "systemd-stub.efi", "vmlinuz"] {
            let content = Content::File(parts.join(architecture).join(asset));
            files.insert(format!("usr/install/{architecture}/{asset}"), content);
        }
        let spdx = spdx("talos", version).into();
        files.insert(format!("usr/install/{architecture}/talos.spdx.json"), spdx);
    }
    for platform in GRUB {
        let from = parts.join(grub).join(platform);
        files.extend(folder(&from, &format!("usr/lib/grub/{platform}"))?);
    }
    let depmod = "search extras built-in\n".to_owned();
    files.insert("etc/modules.d/10-extra-modules.conf".to_owned(), depmod.into());
    Ok(files)
}

fn hello_files(parts: &Path) -> Files {
    Files::from([
        (
            "usr/local/share/hello/greeting".to_owned(),
            "Hello from an extension.\n".to_owned().into(),
        ),
        (
            "usr/lib/firmware/hello/firmware.bin".to_owned(),
            Content::File(parts.join("firmware.bin")),
        ),
    ])
}

struct Extension {
    name: &'static str,
    version: String,
    description: &'static str,
    files: Files,
}

impl Extension {
    /// `manifest.yaml` and `rootfs/`.
    fn image(&self) -> Files {
        let Self { name, version, description, files } = self;
        let manifest = format!(
            "version: v1alpha1\nmetadata:\n  name: {name}\n  version: \"{version}\"\n  \
             author: talos-image\n  description: |\n    {description}\n  compatibility:\n    \
             talos:\n      version: \">= v1.5.0\"\n"
        );
        let mut image: Files = files
            .iter()
            .map(|(path, content)| (format!("rootfs/{path}"), content.clone()))
            .collect();
        let spdx_path = format!("rootfs/usr/local/share/spdx/{name}.spdx.json");
        image.insert(spdx_path, spdx(name, version).into());
        image.insert("manifest.yaml".to_owned(), manifest.into());
        image
    }
}

/// The least an SPDX 2.3 document has.
fn spdx(name: &str, version: &str) -> String {
    let document = serde_json::json!({
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": name,
        "documentNamespace": format!("https://spdx.org/spdxdocs/{name}-{version}"),
        "creationInfo": {"created": "1970-01-01T00:00:00Z", "creators": ["Tool: xtask"]},
        "packages": [{
            "name": name,
            "SPDXID": "SPDXRef-Package",
            "versionInfo": version,
            "downloadLocation": "NOASSERTION",
        }],
    });
    format!("{document:#}\n")
}

fn folder(dir: &Path, inside: &str) -> Result<Files> {
    fs::read_dir(dir)
        .with_context(|| dir.display().to_string())?
        .map(|entry| {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            Ok((format!("{inside}/{name}"), Content::File(entry.path())))
        })
        .collect()
}

/// The date in the version of a microcode package: `3.20251111.1~deb13u1` is of 20251111.
fn date_of(packages: &str, package: &str) -> Result<String> {
    packages
        .lines()
        .find_map(|line| {
            line.strip_prefix(package)?.split(['.', '-', ' ']).find(|word| word.len() == 8)
        })
        .map(str::to_owned)
        .with_context(|| format!("the version of {package} has no date"))
}

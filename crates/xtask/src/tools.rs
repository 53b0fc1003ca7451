//! The foreign tools that the tests hold this project's output against.

use crate::{
    apt::{self, Mirror, Root},
    parts,
};
use anyhow::{Context as _, Result, bail};
use std::process::Command;

/// A program, and the Debian package that has it.
const TOOLS: [(&str, &str); 34] = [
    ("bsdtar", "libarchive-tools"),
    ("cpio", "cpio"),
    ("e2fsck", "e2fsprogs"),
    ("fsck.vfat", "dosfstools"),
    ("grub-fstest", "grub-common"),
    ("grub-mkimage", "grub-common"),
    ("isoinfo", "genisoimage"),
    ("iucode_tool", "iucode-tool"),
    ("jq", "jq"),
    ("mcopy", "mtools"),
    ("mkfs.xfs", "xfsprogs"),
    ("mksquashfs", "squashfs-tools"),
    ("objdump", "binutils"),
    ("openssl", "openssl"),
    ("osslsigncode", "osslsigncode"),
    ("pigz", "pigz"),
    ("qemu-img", "qemu-utils"),
    ("qemu-system-aarch64", "qemu-system-arm"),
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("rdsquashfs", "squashfs-tools-ng"),
    ("sbverify", "sbsigntool"),
    ("sfdisk", "fdisk"),
    ("sgdisk", "gdisk"),
    ("sign-efi-sig-list", "efitools"),
    ("skopeo", "skopeo"),
    ("softhsm2-util", "softhsm2"),
    ("swtpm", "swtpm"),
    ("tar", "tar"),
    ("umoci", "umoci"),
    ("unsquashfs", "squashfs-tools"),
    ("xfs_repair", "xfsprogs"),
    ("xorriso", "xorriso"),
    ("xz", "xz-utils"),
    ("zstd", "zstd"),
];

/// On Debian 12 these come from the backports, together: their versions depend on each other, and
/// the release's own QEMU 7.2 refuses to stand beside a newer `qemu-utils`.
const QEMU: [&str; 6] = [
    "qemu-system-arm",
    "qemu-system-common",
    "qemu-system-data",
    "qemu-system-x86",
    "qemu-utils",
    "seabios",
];

/// The packages that are missing, each once.
fn missing() -> Vec<&'static str> {
    let mut packages: Vec<_> = TOOLS
        .iter()
        .filter(|(program, _)| apt::on_path(program).is_none())
        .map(|(_, package)| *package)
        .collect();
    // Debian's own Python: another one in PATH does not see Debian's modules.
    if !succeeds(Command::new("/usr/bin/python3").args(["-c", "import pefile"])) {
        packages.push("python3-pefile");
    }
    packages.sort_unstable();
    packages.dedup();
    packages
}

/// Sees to it that all tools are there: installs them, as root on Debian; else names them.
///
/// # Errors
/// Some are missing. That is never a reason to skip a test.
pub(crate) fn ensure(say: &dyn Fn(&str)) -> Result<()> {
    ensure_cargo(say)?;
    let packages = missing();
    if packages.is_empty() {
        return Ok(());
    }
    let named = packages.join(" ");
    let mirror = Mirror::of_machine()
        .with_context(|| format!("the tests need what Debian has in the packages {named}"))?;
    let root = Root::for_machine(&parts::cache().join("apt/tools"), &mirror)?;
    root.update()?;
    let packages = chosen(&packages, &mirror.codename);
    if !is_root() {
        bail!("the tests need more tools; type\n    sudo {}", root.install_line(&packages));
    }
    say(&format!("installing {named}"));
    root.install(&packages)?;
    let packages = missing();
    if !packages.is_empty() {
        bail!("still missing after the installation: {}", packages.join(" "));
    }
    Ok(())
}

fn chosen(packages: &[&str], codename: &str) -> Vec<String> {
    let backport = codename == "bookworm" && packages.iter().any(|name| QEMU.contains(name));
    let mut chosen: Vec<String> = packages
        .iter()
        .filter(|name| !(backport && QEMU.contains(name)))
        .map(ToString::to_string)
        .collect();
    if backport {
        chosen.extend(QEMU.map(|name| format!("{name}/{codename}-backports")));
    }
    chosen
}

/// `cargo fmt` and `cargo clippy`, which a distribution packs apart from cargo.
fn ensure_cargo(say: &dyn Fn(&str)) -> Result<()> {
    let lacks = || -> Vec<&str> {
        [("fmt", "rustfmt"), ("clippy", "clippy")]
            .into_iter()
            .filter(|(command, _)| !succeeds(crate::cargo().args([command, "--version"])))
            .map(|(_, component)| component)
            .collect()
    };
    let components = lacks();
    if components.is_empty() {
        return Ok(());
    }
    if apt::on_path("rustup").is_some() {
        say(&format!("adding {} to the toolchain", components.join(" and ")));
        crate::step(Command::new("rustup").args(["component", "add"]).args(&components))?;
    } else if is_root() {
        say("installing rustfmt and rust-clippy");
        let mirror = Mirror::of_machine()?;
        let root = Root::for_machine(&parts::cache().join("apt/tools"), &mirror)?;
        root.update()?;
        root.install(&["rustfmt".to_owned(), "rust-clippy".to_owned()])?;
    }
    let components = lacks();
    if !components.is_empty() {
        bail!(
            "cargo lacks {0}; type `rustup component add {0}`, or install Debian's rustfmt and rust-clippy",
            components.join(" ")
        );
    }
    Ok(())
}

fn succeeds(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout == b"0\n")
}

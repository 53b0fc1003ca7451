//! Real boot parts: which Debian packages, and which of their files go where.
//!
//! Talos's own kernel is not in Debian, so the stand-in is Debian's cloud kernel, a busybox that
//! does what Talos's first program does as far as boot media can tell (`fixtures/guest/init`),
//! systemd's boot loader and stub, and the processor makers' microcode.

use crate::{
    apt::{self, Mirror, Root},
    initramfs, release,
};
use anyhow::{Context as _, Result};
use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

/// The Debian release that has systemd 257, whose stub knows profiles.
const CODENAME: &str = "trixie";
const ARCHITECTURES: [&str; 2] = ["amd64", "arm64"];

/// For each architecture, by the name of its folder in the parts.
const BOOT: [&str; 2] = ["busybox-static", "systemd-boot-efi"];
const KERNEL: &str = "linux-image-cloud";

/// Once.
const COMMON: [&str; 5] = [
    "intel-microcode:amd64",
    "amd64-microcode:amd64",
    "ovmf:all",
    "qemu-efi-aarch64:all",
    "systemd-ukify:all",
];

/// The Debian release whose GRUB is 2.06, for the media of older versions of Talos.
const OLDER: &str = "bookworm";
const GRUB_PACKAGES: [&str; 3] =
    ["grub-efi-amd64-bin:amd64", "grub-efi-arm64-bin:arm64", "grub-pc-bin:amd64"];
/// The folders in the parts with GRUB's files, of this release and of the older.
pub(crate) const NEW_GRUB: &str = "grub";
pub(crate) const OLD_GRUB: &str = "grub-2.06";

/// What GRUB's files are there for.
pub(crate) const GRUB: [&str; 3] = ["arm64-efi", "i386-pc", "x86_64-efi"];

/// `systemd-measure` and `depmod`, with a C library of their own: they have to run on the release
/// before, too.
const MEASURE: [&str; 26] = [
    "systemd:amd64",
    "kmod:amd64",
    "libsystemd-shared:amd64",
    "libc6:amd64",
    "libacl1:amd64",
    "libapparmor1:amd64",
    "libaudit1:amd64",
    "libblkid1:amd64",
    "libcap-ng0:amd64",
    "libcap2:amd64",
    "libcrypt1:amd64",
    "libgcc-s1:amd64",
    "libkmod2:amd64",
    "liblzma5:amd64",
    "libmount1:amd64",
    "libpam0g:amd64",
    "libpcre2-8-0:amd64",
    "libseccomp2:amd64",
    "libselinux1:amd64",
    "libssl3t64:amd64",
    "libtss2-esys-3.0.2-0t64:amd64",
    "libtss2-mu-4.0.1-0t64:amd64",
    "libtss2-rc0t64:amd64",
    "libtss2-sys1t64:amd64",
    "libzstd1:amd64",
    "zlib1g:amd64",
];

/// Changes whenever staging does, so that an older folder is not taken for a finished one.
const RECIPE: u32 = 7;

/// Where chores keep what they download: `$XDG_CACHE_HOME/talos-image`, else the target folder.
pub(crate) fn cache() -> PathBuf {
    std::env::var_os("XDG_CACHE_HOME").filter(|dir| Path::new(dir).is_absolute()).map_or_else(
        || crate::workspace().join("target/xtask"),
        |dir| PathBuf::from(dir).join("talos-image"),
    )
}

/// The folder of the real parts, laid out as `system_tests::part` tells. Made on the first call,
/// which needs the mirror; later ones need no network.
pub(crate) fn get(say: &dyn Fn(&str)) -> Result<PathBuf> {
    let cache = cache();
    let parts = cache.join("parts");
    let stamp = format!("{RECIPE}\n{}", initramfs::INIT);
    if fs::read_to_string(parts.join("stamp")).is_ok_and(|had| had == stamp) {
        say(&format!("the parts are in {}", parts.display()));
        return Ok(parts);
    }
    let unpacked = cache.join("unpacked");
    let wanted = wanted().join("\n");
    if !fs::read_to_string(unpacked.join("wanted")).is_ok_and(|had| had == wanted) {
        let [debs, older] = download(&cache, say)?;
        say(&format!("unpacking {} packages", debs.len() + older.len()));
        let _ = fs::remove_dir_all(&unpacked);
        let mut versions = unpack(&debs, &unpacked)?;
        versions += &unpack(&older, &unpacked.join(OLDER))?;
        fs::write(unpacked.join("packages.txt"), versions)?;
        fs::write(unpacked.join("wanted"), wanted)?;
    }
    let new = cache.join("parts.new");
    let _ = fs::remove_dir_all(&new);
    stage(&unpacked, &new, say)?;
    fs::write(new.join("stamp"), stamp)?;
    let _ = fs::remove_dir_all(&parts);
    fs::rename(&new, &parts)?;
    Ok(parts)
}

/// All packages but the kernels, whose names have versions.
fn wanted() -> Vec<String> {
    let boot = |architecture| BOOT.map(|name| format!("{name}:{architecture}"));
    let once = COMMON.iter().chain(&MEASURE).map(|name| name.trim_end_matches(":all").to_owned());
    once.chain(GRUB_PACKAGES.map(str::to_owned))
        .chain(ARCHITECTURES.into_iter().flat_map(boot))
        .collect()
}

/// The packages, and those of [`OLDER`].
fn download(cache: &Path, say: &dyn Fn(&str)) -> Result<[Vec<PathBuf>; 2]> {
    let mirror = Mirror::of_machine()?;
    let root = Root::for_downloads(&cache.join("apt/parts"), &mirror, CODENAME, &ARCHITECTURES)?;
    say("reading the package lists of this machine's Debian mirror");
    root.update()?;
    let mut packages = wanted();
    for architecture in ARCHITECTURES {
        // The metapackage names the newest kernel of its kind.
        let kernel = root.meaning(&format!("{KERNEL}-{architecture}:{architecture}"))?;
        let kernel = kernel.split(':').next().unwrap_or_default();
        packages.push(format!("{kernel}:{architecture}"));
    }
    say(&format!("downloading {} packages, about 110 MB", packages.len()));
    let debs = cache.join("debs");
    let _ = fs::remove_dir_all(&debs);
    let new = root.download(&packages, &debs)?;
    let root = Root::for_downloads(&cache.join("apt/older"), &mirror, OLDER, &ARCHITECTURES)?;
    root.update()?;
    let older = root.download(&GRUB_PACKAGES.map(str::to_owned), &debs.join(OLDER))?;
    Ok([new, older])
}

/// Into `amd64`, `arm64`, `common`, and `measure`; gives a line for each package.
fn unpack(debs: &[PathBuf], dir: &Path) -> Result<String> {
    let mut versions = String::new();
    for deb in debs {
        let file = deb.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let mut words = file.split('_');
        let (name, version) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
        let architecture = words.next().unwrap_or("");
        let is = |list: &[&str]| list.iter().any(|entry| entry.split(':').next() == Some(name));
        let place = match () {
            () if is(&COMMON) || is(&GRUB_PACKAGES) => "common",
            () if is(&MEASURE) => "measure",
            () => architecture,
        };
        apt::unpack(deb, &dir.join(place))?;
        let _ = writeln!(versions, "{name} {} {architecture}", version.replace("%3a", ":"));
    }
    Ok(versions)
}

fn stage(from: &Path, to: &Path, say: &dyn Fn(&str)) -> Result<()> {
    let common = from.join("common");
    for (architecture, machine, firmware) in [
        ("amd64", "x64", ["OVMF_CODE_4M", "OVMF_CODE_4M.secboot", "OVMF_VARS_4M"]),
        ("arm64", "aa64", ["AAVMF_CODE.no-secboot", "AAVMF_CODE.secboot", "AAVMF_VARS"]),
    ] {
        let (from, to) = (from.join(architecture), to.join(architecture));
        fs::create_dir_all(&to)?;
        let efi = from.join("usr/lib/systemd/boot/efi");
        copy(&efi.join(format!("systemd-boot{machine}.efi")), &to.join("systemd-boot.efi"))?;
        copy(&efi.join(format!("linux{machine}.efi.stub")), &to.join("systemd-stub.efi"))?;
        copy(&efi.join(format!("addon{machine}.efi.stub")), &to.join("addon-stub.efi"))?;
        copy(&only(&from.join("boot"), "vmlinuz-")?, &to.join("vmlinuz"))?;
        let parts = ["firmware-code.fd", "firmware-code-secure.fd", "firmware-vars.fd"];
        for (file, part) in firmware.into_iter().zip(parts) {
            let folder = file.split('_').next().unwrap_or_default();
            let file = common.join("usr/share").join(folder).join(format!("{file}.fd"));
            copy(&file, &to.join(part))?;
        }
        say(&format!("making an initramfs with Talos's shape for {architecture}"));
        // Hundreds of them: not once more.
        std::os::unix::fs::symlink(from.join("usr/lib/modules"), to.join("modules"))?;
        let modules = only(&from.join("usr/lib/modules"), "")?;
        initramfs::write(&from.join("usr/bin/busybox"), &modules, &to.join("initramfs.xz"))?;
    }
    for vendor in ["intel-ucode", "amd-ucode"] {
        copy_folder(&common.join("usr/lib/firmware").join(vendor), &to.join(vendor))?;
    }
    for (unpacked, folder) in [(common, NEW_GRUB), (from.join(OLDER).join("common"), OLD_GRUB)] {
        for platform in GRUB {
            let files = unpacked.join("usr/lib/grub").join(platform);
            copy_folder(&files, &to.join(folder).join(platform))?;
        }
    }
    copy(&from.join("packages.txt"), &to.join("packages.txt"))?;
    wrappers(from, &to.join("bin"))?;
    say("wrapping all as an OCI layout shaped like Sidero's images");
    release::write(to)
}

/// Starts `ukify`, `systemd-measure` and `depmod` out of where they were unpacked.
fn wrappers(from: &Path, bin: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::create_dir_all(bin)?;
    let from = from.display();
    let libraries = format!("{from}/measure/usr/lib/x86_64-linux-gnu");
    for (name, run) in [
        // Debian's Python, which has pefile, whichever comes first in PATH.
        ("ukify", format!("/usr/bin/python3 {from}/common/usr/bin/ukify")),
        (
            "systemd-measure",
            format!(
                "{libraries}/ld-linux-x86-64.so.2 --library-path {libraries}:{libraries}/systemd \
                 {from}/measure/usr/lib/systemd/systemd-measure"
            ),
        ),
        (
            "depmod",
            format!(
                "{libraries}/ld-linux-x86-64.so.2 --argv0 depmod --library-path {libraries} \
                 {from}/measure/usr/bin/kmod"
            ),
        ),
    ] {
        let file = bin.join(name);
        fs::write(&file, format!("#!/bin/sh\nexec {run} \"$@\"\n"))?;
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755))?;
    }
    Ok(())
}

/// The one entry of `dir` whose name starts so.
fn only(dir: &Path, start: &str) -> Result<PathBuf> {
    fs::read_dir(dir)
        .with_context(|| dir.display().to_string())?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(start)))
        .with_context(|| format!("{} has no {start}…", dir.display()))
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to).with_context(|| format!("copy {}", from.display()))?;
    Ok(())
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from).with_context(|| from.display().to_string())? {
        let entry = entry?;
        if entry.path().is_file() {
            copy(&entry.path(), &to.join(entry.file_name()))?;
        }
    }
    Ok(())
}

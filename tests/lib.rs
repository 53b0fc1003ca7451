//! What the system tests stand on: the real parts, the built command, foreign tools, virtual
//! machines. `cargo xtask test` brings all of it and says where by two environment variables.

#![expect(clippy::expect_used, clippy::missing_panics_doc, reason = "a test fails by panicking")]

pub mod console;
pub mod gdbstub;
pub mod linux;
pub mod qemu;
pub mod tools;

use std::{
    env,
    ffi::OsStr,
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// Names the folder of the real parts; the command sets it for tests.
pub const PARTS_VARIABLE: &str = "TALOS_IMAGE_PARTS";
/// Names the built `talos-image`.
pub const COMMAND_VARIABLE: &str = "TALOS_IMAGE_COMMAND";

/// The version the stand-in release carries.
pub const VERSION: &str = "v1.12.0";
/// The version of an older one: the same with an older GRUB.
pub const OLD_VERSION: &str = "v1.9.0";

fn from_environment(variable: &str) -> PathBuf {
    let Some(value) = env::var_os(variable) else {
        panic!("{variable} is not set: run `cargo xtask test`, which gets the real parts first");
    };
    value.into()
}

/// A real part, by its path in the parts folder:
///
/// | path | what |
/// |---|---|
/// | `ARCH/vmlinuz`, `ARCH/initramfs.xz` | Debian's cloud kernel; a base initramfs with Talos's shape |
/// | `ARCH/modules/` | that kernel's modules, below its release |
/// | `ARCH/systemd-boot.efi`, `ARCH/systemd-stub.efi`, `ARCH/addon-stub.efi` | systemd 257 |
/// | `ARCH/firmware-code.fd`, `ARCH/firmware-vars.fd` | UEFI for QEMU |
/// | `ARCH/firmware-code-secure.fd` | UEFI that enforces Secure Boot; on amd64 it wants SMM |
/// | `intel-ucode/06-55-04` …, `amd-ucode/microcode_amd*.bin` | microcode |
/// | `grub/i386-pc/`, `grub/x86_64-efi/`, `grub/arm64-efi/` | GRUB's modules and boot images, of 2.12 |
/// | `grub-2.06/i386-pc/` … | the same of 2.06 |
/// | `release/` | the OCI layout with the stand-in release, catalogue and extensions |
/// | `bin/` | `ukify` and `systemd-measure` of systemd 257, `depmod` of kmod 34 (also first in `PATH`) |
///
/// `ARCH` is `amd64` or `arm64`.
pub fn part(path: &str) -> PathBuf {
    let part = from_environment(PARTS_VARIABLE).join(path);
    assert!(part.exists(), "{} is not there: `cargo xtask test` makes it", part.display());
    part
}

/// The stand-in release as an argument of `--source`.
pub fn release() -> String {
    format!("oci:{}", part("release").display())
}

/// A reference into the stand-in release: `image("intel-ucode")` is the extension's full name
/// with its tag, as the catalogue has it.
pub fn image(name: &str) -> String {
    let list = part("references.txt");
    let list = std::fs::read_to_string(&list).expect("references.txt is text");
    list.lines()
        .find(|line| line.split(['/', ':']).any(|word| word == name))
        .unwrap_or_else(|| panic!("the stand-in release has no image {name}"))
        .to_owned()
}

/// The built command, ready for arguments.
pub fn talos_image() -> Command {
    let mut command = Command::new(from_environment(COMMAND_VARIABLE));
    command.env_remove("SOURCE_DATE_EPOCH");
    command
}

/// Runs the built command; it must succeed.
pub fn run<A: AsRef<OsStr>>(arguments: &[A]) -> Output {
    let mut command = talos_image();
    command.args(arguments);
    tools::finish(&mut command)
}

/// Runs `talos-image build` from the stand-in release into `output`; gives the one artifact back.
pub fn build<A: AsRef<OsStr>>(output: &Path, arguments: &[A]) -> PathBuf {
    build_of(VERSION, output, arguments)
}

/// As [`build`], as `version` of Talos has it: the release is the stand-in all the same, but for
/// [`OLD_VERSION`] the older one.
pub fn build_of<A: AsRef<OsStr>>(version: &str, output: &Path, arguments: &[A]) -> PathBuf {
    let mut made = build_any(version, output, arguments);
    assert_eq!(made.len(), 1, "one artifact and nothing else: {made:?}");
    made.remove(0)
}

/// As [`build_of`], and all there is in `output` then: nothing, if signatures are missing.
pub fn build_any<A: AsRef<OsStr>>(version: &str, output: &Path, arguments: &[A]) -> Vec<PathBuf> {
    let mut command = talos_image();
    command.arg("build").args(arguments);
    let release_image = match version {
        OLD_VERSION => image("imager").replace(VERSION, OLD_VERSION),
        _ => image("imager"),
    };
    command.args(["--talos-version", version, "--release-image", &release_image]);
    command.args(["--source", &release(), "--quiet", "--output"]);
    command.arg(output);
    tools::finish(&mut command);
    std::fs::read_dir(output)
        .into_iter()
        .flatten()
        .map(|entry| entry.expect("its entries can be read").path())
        .collect()
}

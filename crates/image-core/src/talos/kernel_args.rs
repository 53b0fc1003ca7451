//! The kernel command line of a Talos medium.

use super::{
    Arch, Quirk, TalosVersion, meta,
    profile::{OutputKind, Target},
};
use crate::formats::cmdline::Cmdline;
use std::fmt;

/// The arguments a user sets rather than adds to.
const SINGLE: &[&str] = &["console", PLATFORM];

const PLATFORM: &str = "talos.platform";

/// The kernel command line of `target`; `overlay` is what its overlay's installer adds.
///
/// The order is Talos's: nodes compare command lines as text.
pub fn kernel_args(target: &Target, overlay: &[String]) -> Cmdline {
    let version = &target.version;
    let kind = target.output.kind();
    let mut cmdline = Cmdline::default();
    cmdline.append(PLATFORM, target.platform.name());
    cmdline.set_all(&target.platform.kernel_args(target.arch, version).iter().copied().collect());
    if kind == OutputKind::Iso && version.has(Quirk::HaltIfInstalled) {
        cmdline.append("talos.halt_if_installed", "1");
    }
    cmdline.set_all(&overlay.iter().map(String::as_str).collect());
    cmdline.append_all(&defaults(version).collect());
    if target.secure_boot && !version.has(Quirk::NoForcedLockdown) {
        cmdline.append("lockdown", "confidentiality");
    }
    let meta_values = &target.customization.meta_contents;
    // A disk image has a META partition to put them into.
    if !meta_values.is_empty() && kind != OutputKind::Image {
        let values = meta::environment(meta_values, version);
        cmdline.append("talos.environment", &format!("{}={values}", meta::ENVIRONMENT));
    }
    let wishes = target.customization.extra_kernel_args.iter().map(String::as_str).collect();
    cmdline.customize(&wishes, SINGLE);
    cmdline
}

fn defaults(version: &TalosVersion) -> impl Iterator<Item = &'static str> {
    let has = |quirk| version.has(quirk);
    [
        (!has(Quirk::NoInitOnAllocArgument), "init_on_alloc=1"),
        (true, "slab_nomerge pti=on consoleblank=0"),
        (!has(Quirk::NvmeTimeoutOnAwsOnly), "nvme_core.io_timeout=4294967295"),
        (true, "printk.devkmsg=on"),
        (!has(Quirk::NoIma), "ima_template=ima-ng ima_appraise=fix ima_hash=sha512"),
        (has(Quirk::Selinux), "selinux=1"),
        (has(Quirk::ModuleSignatures), "module.sig_enforce=1"),
        (has(Quirk::NoProcMemOverride), "proc_mem.force_override=never"),
    ]
    .into_iter()
    .filter_map(|(wanted, arguments)| wanted.then_some(arguments))
}

/// A command line that Linux cuts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overlong {
    /// Bytes it has.
    pub len: usize,
    /// Bytes Linux takes.
    pub room: usize,
    /// The key of the first argument that is lost.
    pub lost: String,
}

/// Whether Linux cuts `line`. It has room for `COMMAND_LINE_SIZE` bytes (`asm/setup.h`), a NUL
/// among them; its EFI stub drops the argument that goes over, and all that follow.
pub fn overlong(line: &str, arch: Arch) -> Option<Overlong> {
    let room = match arch {
        Arch::Amd64 | Arch::Arm64 => 2047,
    };
    if line.len() <= room {
        return None;
    }
    let mut quoted = false;
    let mut kept = 0;
    for (at, byte) in line.bytes().take(room + 1).enumerate() {
        quoted ^= byte == b'"';
        if byte.is_ascii_whitespace() && !quoted {
            kept = at;
        }
    }
    let lost = line[kept..].trim_start().split(['=', ' ']).next().unwrap_or_default();
    Some(Overlong { len: line.len(), room, lost: lost.to_owned() })
}

impl fmt::Display for Overlong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { len, room, lost } = self;
        write!(
            f,
            "the kernel command line has {len} bytes and Linux takes {room}: it loses {lost:?} \
            and what follows; take away kernel arguments or META values"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::talos::{
        Platform, Profile,
        profile::{Customization, ImageOptions, OutputOptions},
    };

    /// Version, architecture, platform, output kind, Secure Boot, extra arguments, META values,
    /// as the tables have them, to the command line; or that it is refused.
    fn line(request: [&str; 7]) -> String {
        fn parse<T: std::str::FromStr>(text: &str) -> Option<T> {
            text.parse().ok()
        }

        let [version, arch, platform, kind, secure, extra, meta] = request;
        let profile = Profile {
            arch: parse(arch),
            platform: parse(platform),
            version: parse(version),
            secure_boot: Some(secure == "secureboot"),
            customization: Customization {
                extra_kernel_args: extra.split_whitespace().map(str::to_owned).collect(),
                meta_contents: meta.split_terminator(';').filter_map(parse).collect(),
                ..Customization::default()
            },
            output: OutputOptions {
                kind: parse(kind),
                image_options: Some(ImageOptions {
                    disk_size: 1,
                    disk_format: parse("raw"),
                    ..ImageOptions::default()
                }),
                out_format: parse("raw"),
                ..OutputOptions::default()
            },
            ..Profile::default()
        };
        match profile.target() {
            Ok(target) => kernel_args(&target, &[]).to_string(),
            Err(_) => "refused".to_owned(),
        }
    }

    #[test]
    fn agrees_with_the_imager() {
        const VERSIONS: &str = "1.2.0 1.3.0 1.4.0 1.5.0 1.6.0 1.6.3 1.7.0 1.8.0-alpha.0 1.8.0 1.9.0 \
            1.9.5 1.10.0-beta.1 1.10.0 1.10.9 1.11.0-alpha.1 1.11.0 1.12.0-rc.2 1.12.0 1.13.0 1.13.9 \
            1.14.0-alpha.0 1.14.0 1.15.0-alpha.0 1.15.0 2.0.0";

        let table = include_str!("../../tests/golden/kernel-args.tsv");
        let rows: Vec<[&str; 5]> = table
            .lines()
            .filter(|row| !row.starts_with('#'))
            .map(|row| row.split('\t').collect::<Vec<_>>().try_into().unwrap())
            .collect();
        let expected = |version: &TalosVersion, [arch, platform, kind, secure]: [&str; 4]| {
            let part = |name: &str| {
                let fits = |row: &&[&str; 5]| {
                    row[0] == name
                        && ["*", platform].contains(&row[1])
                        && ["*", arch].contains(&row[2])
                        && row[3].parse::<TalosVersion>().unwrap().release() <= version.release()
                };
                rows.iter().rfind(fits).map_or("", |row| row[4])
            };
            let parts = ["head", kind, "defaults", secure].map(part);
            let unsigned = ["kernel", "initramfs"].contains(&kind) && secure == "secureboot";
            if unsigned || parts.contains(&"refused") {
                return "refused".to_owned();
            }
            parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
        };
        let mut count = 0;
        for version in VERSIONS.split_whitespace() {
            let talos = version.parse().unwrap();
            for (arch, platform) in
                Arch::ALL.iter().flat_map(|arch| Platform::ALL.map(|platform| (arch, platform)))
            {
                for kind in OutputKind::ALL {
                    for secure in ["-", "secureboot"] {
                        let case = [arch.name(), platform.name(), kind.name(), secure];
                        let [arch, platform, kind, secure] = case;
                        let line = line([version, arch, platform, kind, secure, "", ""]);
                        assert_eq!(line, expected(&talos, case), "{version} {case:?}");
                        count += 1;
                    }
                }
            }
        }
        assert_eq!(count, 25 * 2 * 20 * 7 * 2);
    }

    #[test]
    fn agrees_with_the_imager_on_what_a_user_adds() {
        // Compressed META values differ in bytes from one gzip to the next, not in content.
        let unpacked = |line: &str| {
            let line = line.split(' ').map(|argument| {
                match argument.split_once("INSTALLER_META_BASE64=") {
                    Some((key, packed)) if packed.starts_with("H4sI") => {
                        format!("{key}{:?}", meta::from_environment(packed).unwrap())
                    }
                    _ => argument.to_owned(),
                }
            });
            line.collect::<Vec<_>>().join(" ")
        };
        let table = include_str!("../../tests/golden/kernel-args-user.tsv");
        for row in table.lines().filter(|row| !row.starts_with('#')) {
            let columns: Vec<_> = row.split('\t').collect();
            let [request @ .., expected] = &columns[..] else { panic!() };
            let line = line(request.try_into().unwrap());
            assert_eq!(unpacked(&line), unpacked(expected), "{row}");
        }
    }

    #[test]
    fn linux_cuts_whole_arguments() {
        let line = |last: usize| format!("a=1 b=\"x y\" {}", "z".repeat(last));
        assert_eq!(overlong(&line(2047 - 12), Arch::Amd64), None);
        let cut = overlong(&line(2048 - 12), Arch::Arm64).unwrap();
        assert_eq!((cut.len, cut.room, cut.lost.len()), (2048, 2047, 2048 - 12));
        let quoted = format!("a=1 b=\"{} {}\" c", "x".repeat(1000), "y".repeat(2000));
        let message = overlong(&quoted, Arch::Amd64).unwrap().to_string();
        assert!(
            message.contains("has 3011 bytes and Linux takes 2047: it loses \"b\""),
            "{message}"
        );
        assert_eq!(overlong(&"\u{e9}".repeat(2000), Arch::Amd64).unwrap().len, 4000);
    }

    #[test]
    fn an_overlay_replaces_what_the_platform_says() {
        let profile = "{baseProfileName: iso, arch: arm64, version: 1.11.0}";
        let target = Profile::from_yaml(profile).unwrap().target().unwrap();
        let overlay = ["console=ttyS0".to_owned(), "x".to_owned()];
        let cmdline = kernel_args(&target, &overlay).to_string();
        let start =
            "talos.platform=metal console=ttyS0 talos.halt_if_installed=1 x init_on_alloc=1";
        assert!(cmdline.starts_with(start), "{cmdline}");
    }
}

//! The kernel command line of a Talos medium.

use super::{
    Quirk, TalosVersion, meta,
    profile::{OutputKind, Target},
};
use crate::formats::cmdline::Cmdline;

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::talos::{
        Profile,
        profile::{Customization, ImageOptions, OutputOptions},
    };

    fn parse<T: std::str::FromStr>(text: &str) -> Option<T> {
        text.parse().ok()
    }

    #[test]
    fn agrees_with_the_imager() {
        let table = include_str!("../../tests/golden/kernel-args.tsv");
        for row in table.lines().filter(|row| !row.starts_with('#')) {
            let columns: Vec<_> = row.split('\t').collect();
            let [version, arch, platform, kind, secure, extra, meta, expected] = columns[..] else {
                panic!("{row}");
            };
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
            let target = profile.target().unwrap();
            assert_eq!(kernel_args(&target, &[]).to_string(), expected, "{row}");
        }
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

//! A profile with nothing left open.

use super::{
    Bootloader, Customization, DiskFormat, EnrollKeys, Input, OutFormat, OutputKind, OutputOptions,
    Overlay, Profile,
};
use crate::talos::{Arch, Error, Platform, Quirk, Result, TalosVersion, partitions::Sizes};
use serde::Serialize;

/// What is to be made, decided in all points.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Target {
    /// The machine's architecture.
    pub arch: Arch,
    /// Where the machine runs.
    pub platform: Platform,
    /// Sign for Secure Boot.
    pub secure_boot: bool,
    /// The system's name, `Talos` unless it is a derivative.
    pub name: String,
    /// The version of Talos.
    pub version: TalosVersion,
    /// What differs from a plain Talos.
    pub customization: Customization,
    /// The parts the profile names; a part it does not name comes from the release image.
    pub input: Input,
    /// The overlay of a single-board computer.
    pub overlay: Option<Overlay>,
    /// What is made.
    pub output: Output,
    /// How it is packed.
    pub out_format: OutFormat,
}

/// What is made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Output {
    /// An ISO 9660 image to boot from.
    Iso(Iso),
    /// A disk image with Talos installed.
    Image(DiskImage),
    /// A container image that installs and upgrades Talos.
    Installer,
    /// The Linux kernel.
    Kernel,
    /// The initramfs with the extensions.
    Initramfs,
    /// The unified kernel image.
    Uki,
    /// The kernel command line, as text.
    Cmdline,
}

/// An ISO, decided in all points.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Iso {
    /// What firmware starts.
    pub bootloader: Bootloader,
    /// When Secure Boot keys are enrolled; without Secure Boot they never are.
    pub enroll_keys: EnrollKeys,
}

/// A disk image, decided in all points.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DiskImage {
    /// Bytes, all but what an image cache adds.
    pub size: u64,
    /// Bytes in a sector: 512 or 4096.
    pub sector_size: u32,
    /// The file's format.
    pub format: DiskFormat,
    /// Options of that format, as qemu-img(1) takes them after `-o`.
    pub format_options: String,
    /// What firmware starts.
    pub bootloader: Bootloader,
    /// When Secure Boot keys are enrolled; without Secure Boot they never are.
    pub enroll_keys: EnrollKeys,
}

impl Output {
    /// The word for it in a profile.
    pub fn kind(&self) -> OutputKind {
        match self {
            Self::Iso(_) => OutputKind::Iso,
            Self::Image(_) => OutputKind::Image,
            Self::Installer => OutputKind::Installer,
            Self::Kernel => OutputKind::Kernel,
            Self::Initramfs => OutputKind::Initramfs,
            Self::Uki => OutputKind::Uki,
            Self::Cmdline => OutputKind::Cmdline,
        }
    }
}

impl Target {
    /// The artifact's file name before packing.
    pub fn file_name(&self) -> String {
        let Self { arch, platform, .. } = self;
        let secure = if self.secure_boot { "-secureboot" } else { "" };
        let machine = format!("{platform}-{arch}{secure}");
        match &self.output {
            Output::Iso(_) => format!("{machine}.iso"),
            Output::Image(disk) => format!("{machine}.{}", disk.format),
            Output::Installer => format!("installer-{arch}{secure}.tar"),
            Output::Kernel => format!("kernel-{arch}"),
            // The name of the time when it was XZ; boot servers are set up for it.
            Output::Initramfs => format!("initramfs-{machine}.xz"),
            Output::Uki => format!("{machine}-uki.efi"),
            Output::Cmdline => format!("cmdline-{machine}"),
        }
    }

    /// The artifact's file name once packed.
    pub fn packed_file_name(&self) -> String {
        let packing = match self.out_format {
            OutFormat::Raw => "",
            packing => packing.name(),
        };
        self.file_name() + packing
    }
}

impl Profile {
    /// This profile laid over its base profile, gaps left as they are.
    ///
    /// # Errors
    /// There is no such base profile; the message names the nearest.
    pub fn merged(self) -> Result<Self> {
        match self.base_profile_name.as_str() {
            "" => Ok(self),
            name => {
                let base = Self::base(name)?;
                Ok(self.over(base))
            }
        }
    }

    /// What this profile asks for: laid over its base profile, gaps filled, checked.
    ///
    /// # Errors
    /// Something needed is not said, or is said but not possible; the message names the key.
    pub fn target(self) -> Result<Target> {
        let asked = self.merged()?;
        let arch = asked.arch.ok_or_else(|| missing("arch", "amd64 or arm64"))?;
        let platform = asked.platform.ok_or_else(|| missing("platform", "such as metal"))?;
        let version = asked.version.ok_or_else(|| missing("version", "such as v1.11.0"))?;
        let secure_boot = asked.secure_boot.unwrap_or(false);
        if secure_boot && !version.has(Quirk::Uki) {
            return Err(Error::unsupported(format!("Talos {version} has no Secure Boot")));
        }
        let out_format =
            asked.output.out_format.ok_or_else(|| missing("output.outFormat", "such as raw"))?;
        let output = output(asked.output, arch, &version, secure_boot)?;
        let target = Target {
            arch,
            platform,
            secure_boot,
            name: if asked.name.is_empty() { "Talos".to_owned() } else { asked.name },
            version,
            customization: asked.customization,
            input: asked.input,
            overlay: asked.overlay,
            output,
            out_format,
        };
        target.check()?;
        Ok(target)
    }

    /// This profile with the gaps filled from `base`; lists continue those of the base.
    fn over(self, base: Self) -> Self {
        let image_options = match (self.output.image_options, base.output.image_options) {
            (Some(asked), Some(base)) => Some(super::ImageOptions {
                disk_size: unless_zero(asked.disk_size, base.disk_size),
                disk_format: asked.disk_format.or(base.disk_format),
                disk_format_options: unless_zero(
                    asked.disk_format_options,
                    base.disk_format_options,
                ),
                disk_sector_size: unless_zero(asked.disk_sector_size, base.disk_sector_size),
                bootloader: asked.bootloader.or(base.bootloader),
                enroll_keys: asked.enroll_keys.or(base.enroll_keys),
            }),
            (asked, base) => asked.or(base),
        };
        let iso_options = match (self.output.iso_options, base.output.iso_options) {
            (Some(asked), Some(base)) => Some(super::IsoOptions {
                enroll_keys: asked.enroll_keys.or(base.enroll_keys),
                bootloader: asked.bootloader.or(base.bootloader),
            }),
            (asked, base) => asked.or(base),
        };
        Self {
            base_profile_name: String::new(),
            platform: self.platform.or(base.platform),
            secure_boot: self.secure_boot.or(base.secure_boot),
            output: OutputOptions {
                kind: self.output.kind.or(base.output.kind),
                image_options,
                iso_options,
                out_format: self.output.out_format.or(base.output.out_format),
            },
            // The built-in profiles say nothing of the rest.
            ..self
        }
    }
}

fn output(
    asked: OutputOptions,
    arch: Arch,
    version: &TalosVersion,
    secure_boot: bool,
) -> Result<Output> {
    let kind = asked.kind.ok_or_else(|| missing("output.kind", "such as iso"))?;
    Ok(match kind {
        OutputKind::Iso => {
            let options = asked.iso_options.unwrap_or_default();
            // Before there was a choice, none was looked at.
            let choice = options.bootloader.filter(|_| version.has(Quirk::IsoBootloaderChoice));
            Output::Iso(Iso {
                bootloader: bootloader(choice, arch, version, secure_boot),
                enroll_keys: options.enroll_keys.unwrap_or(EnrollKeys::IfSafe),
            })
        }
        OutputKind::Image => {
            let options = asked.image_options.unwrap_or_default();
            let bootloader = bootloader(options.bootloader, arch, version, secure_boot);
            if options.disk_size == 0 {
                return Err(missing("output.imageOptions.diskSize", "in bytes"));
            }
            Output::Image(DiskImage {
                size: Sizes::of(version)
                    .grown(options.disk_size, bootloader)
                    .ok_or_else(|| Error::input("output.imageOptions.diskSize is too large"))?,
                sector_size: match options.disk_sector_size {
                    0 | 512 => 512,
                    4096 => 4096,
                    other => {
                        return Err(Error::input(format!(
                            "output.imageOptions.diskSectorSize {other} is neither 512 nor 4096"
                        )));
                    }
                },
                format: options
                    .disk_format
                    .ok_or_else(|| missing("output.imageOptions.diskFormat", "such as raw"))?,
                format_options: options.disk_format_options,
                bootloader,
                enroll_keys: options.enroll_keys.unwrap_or(EnrollKeys::IfSafe),
            })
        }
        OutputKind::Installer => Output::Installer,
        OutputKind::Kernel => Output::Kernel,
        OutputKind::Initramfs => Output::Initramfs,
        OutputKind::Uki => Output::Uki,
        OutputKind::Cmdline => Output::Cmdline,
    })
}

/// What firmware starts. Secure Boot leaves no choice.
fn bootloader(
    choice: Option<Bootloader>,
    arch: Arch,
    version: &TalosVersion,
    secure_boot: bool,
) -> Bootloader {
    match (choice, arch) {
        _ if secure_boot => Bootloader::SdBoot,
        (Some(chosen), _) => chosen,
        (None, _) if !version.has(Quirk::SdBootForUefi) => Bootloader::Grub,
        (None, Arch::Arm64) => Bootloader::SdBoot,
        (None, Arch::Amd64) => Bootloader::DualBoot,
    }
}

impl Target {
    /// What is said must have an effect.
    fn check(&self) -> Result<()> {
        let kind = self.output.kind();
        let refused = |what| {
            let message = format!("output kind {kind} has no {what}: leave it out");
            Err(Error::unsupported(message))
        };
        let plain = matches!(kind, OutputKind::Kernel | OutputKind::Initramfs);
        let Customization { extra_kernel_args, meta_contents, .. } = &self.customization;
        if plain && self.secure_boot {
            return refused("Secure Boot");
        }
        if plain && !extra_kernel_args.is_empty() {
            return refused("kernel arguments");
        }
        if (plain || kind == OutputKind::Installer) && !meta_contents.is_empty() {
            return refused("META values");
        }
        if kind == OutputKind::Uki && !self.version.has(Quirk::Uki) {
            let version = &self.version;
            return Err(Error::unsupported(format!("Talos {version} has no unified kernel image")));
        }
        Ok(())
    }
}

fn missing(key: &str, example: &str) -> Error {
    Error::input(format!("profile: {key} is not given: set it, {example}"))
}

fn unless_zero<T: Default + PartialEq>(asked: T, base: T) -> T {
    if asked == T::default() { base } else { asked }
}

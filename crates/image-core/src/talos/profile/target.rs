//! A profile with nothing left open.

use super::{
    Bootloader, Customization, DiskFormat, EnrollKeys, Input, OutFormat, OutputKind, OutputOptions,
    Overlay, Profile, fill::bootloader, missing, words::check_sector_size,
};
use crate::talos::{
    Arch, Error, Platform, Quirk, Result, TalosVersion,
    meta::{self, MetaValue},
};
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
        match &self.output {
            Output::Image(disk) => self.named(disk.format),
            _ => self.medium_name(),
        }
    }

    /// The name of what is made, whatever a disk's format and the packing are.
    pub fn medium_name(&self) -> String {
        self.named(DiskFormat::Raw)
    }

    /// The file name of a disk in this format, or of what is no disk.
    fn named(&self, format: DiskFormat) -> String {
        let Self { arch, platform, .. } = self;
        let secure = if self.secure_boot { "-secureboot" } else { "" };
        let machine = format!("{platform}-{arch}{secure}");
        match &self.output {
            Output::Iso(_) => format!("{machine}.iso"),
            Output::Image(_) => format!("{machine}.{format}"),
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
    /// What this profile asks for: laid over its base profile, gaps filled, checked.
    ///
    /// # Errors
    /// Something needed is not said, or is said but not possible; the message names the key.
    pub fn target(self) -> Result<Target> {
        let asked = self.over_base()?;
        let input = asked.input.clone();
        let filled = asked.fill()?;
        let arch = filled.arch.ok_or_else(|| missing("arch"))?;
        let platform = filled.platform.ok_or_else(|| missing("platform"))?;
        let version = filled.version.ok_or_else(|| missing("version"))?;
        let secure_boot = filled.secure_boot.unwrap_or(false);
        let out_format = filled.output.out_format.ok_or_else(|| missing("output.outFormat"))?;
        let target = Target {
            arch,
            platform,
            secure_boot,
            name: filled.name,
            output: output(filled.output, arch, &version, secure_boot)?,
            version,
            customization: filled.customization,
            input,
            overlay: filled.overlay,
            out_format,
        };
        target.check()?;
        Ok(target)
    }
}

/// The output of a profile that was filled.
fn output(
    filled: OutputOptions,
    arch: Arch,
    version: &TalosVersion,
    secure_boot: bool,
) -> Result<Output> {
    Ok(match filled.kind.ok_or_else(|| missing("output.kind"))? {
        OutputKind::Iso => {
            let options = filled.iso_options.unwrap_or_default();
            Output::Iso(Iso {
                // The imager looks at the choice from 1.12 on and makes both bootloaders before,
                // GRUB also for arm64, where nothing starts it. Here what is said counts.
                bootloader: bootloader(options.bootloader, arch, version, secure_boot),
                enroll_keys: options.enroll_keys.unwrap_or(EnrollKeys::IfSafe),
            })
        }
        OutputKind::Image => {
            let options = filled.image_options.unwrap_or_default();
            let missing = |key| missing(&format!("output.imageOptions.{key}"));
            Output::Image(DiskImage {
                size: options.disk_size,
                sector_size: match check_sector_size(options.disk_sector_size)? {
                    0 => 512,
                    size => size,
                },
                format: options.disk_format.ok_or_else(|| missing("diskFormat"))?,
                format_options: options.disk_format_options,
                bootloader: options.bootloader.ok_or_else(|| missing("bootloader"))?,
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
        let parted = |value: &&MetaValue| value.value.contains(';');
        // A command line brings them into the machine's own partition.
        meta::check(meta_contents)?;
        let parted = meta_contents.iter().find(parted).filter(|_| kind != OutputKind::Image);
        if let Some(value) = parted {
            return Err(Error::unsupported(format!(
                "META value {:#x} has a \";\", which parts values on a kernel command line: \
                only output kind image can carry it",
                value.key
            )));
        }
        if (kind == OutputKind::Uki || self.secure_boot) && !self.version.has(Quirk::Uki) {
            let what = if self.secure_boot { "Secure Boot" } else { "unified kernel image" };
            return Err(Error::unsupported(format!("Talos {} has no {what}", self.version)));
        }
        Ok(())
    }
}

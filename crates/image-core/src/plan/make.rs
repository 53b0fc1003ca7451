//! The plan of what was decided and found.

use super::{
    Asset, Boot, Choices, Disk, Extension, ExtensionSource, Grub, GrubCore, Initramfs, Inputs,
    Installer, InstallerBoot, Iso, Output, Plan, Uki, boot::Parts, decide::Decision, disk,
    installer, iso, packing::packing, secure_boot,
};
use crate::{
    error::{Error, ErrorKind, Result},
    talos::{
        grub,
        kernel_args::{kernel_args, overlong},
        profile, release,
    },
};

impl Plan {
    /// The plan for `inputs`. Pure: nothing is read, and the same inputs give the same plan.
    ///
    /// # Errors
    /// The request has no form on a disk: its partitions do not fit, say.
    pub fn new(inputs: Inputs, choices: &Choices) -> Result<Self> {
        let Inputs {
            decision,
            release,
            kernel,
            initramfs,
            sd_stub,
            sd_boot,
            extensions,
            splash,
            base_installer,
        } = inputs;
        let Decision { target, mut warnings } = decision;
        let arguments = kernel_args(&target, &[]);
        let made = |extension: &Extension| matches!(extension.source, ExtensionSource::Virtual(_));
        let depmod_config = release.as_ref().filter(|_| !extensions.iter().all(made));
        let depmod_config =
            depmod_config.map(|_| Asset::Release(release::DEPMOD_CONFIG.to_owned()));
        let initramfs = Initramfs { base: initramfs, extensions, depmod_config };
        let packing = packing(&target, choices.effort)?;
        // Not the inputs: their digests differ between kinds of source that hold the same bytes.
        // Nor what a disk comes in: packed or in any format, it is the same disk.
        let subject = format!("{}\n{}\n{}", target.medium_name(), target.version, choices.epoch);
        let parts = Parts {
            target: &target,
            arguments: &arguments,
            kernel,
            initramfs,
            sd_stub,
            sd_boot,
            splash,
            signing: secure_boot::signing(&target, &choices.keys)?,
        };
        let output = match &target.output {
            profile::Output::Kernel => Output::Kernel(parts.kernel),
            profile::Output::Cmdline => Output::Cmdline(arguments.to_string()),
            profile::Output::Initramfs => Output::Initramfs(parts.initramfs),
            profile::Output::Uki => Output::Uki(parts.uki()),
            profile::Output::Iso(iso) => Output::Iso(iso::iso(parts, iso, &subject)),
            profile::Output::Image(image) => Output::Disk(disk::disk(parts, image, &subject)?),
            profile::Output::Installer => {
                let base = base_installer
                    .ok_or_else(|| Error::new(ErrorKind::Bug, "no base installer was found"))?;
                let format = choices.container_format.unwrap_or_default();
                Output::Installer(installer::installer(parts, base, format))
            }
        };
        let format = choices.container_format;
        if let Some(format) = format.filter(|_| !matches!(output, Output::Installer(_))) {
            let what = format!(
                "container format {format}: only an installer is a container image: leave \
                 --container-format out"
            );
            return Err(Error::new(ErrorKind::Input, what));
        }
        let mut lines = output.cmdlines();
        if let Some(grub) = output.grub() {
            warnings.extend(grub::altered(&arguments.to_string()));
            lines.extend(grub::cmdlines(&grub.config));
        }
        let longest = lines.into_iter().max_by_key(String::len);
        let overlong = longest.and_then(|line| overlong(&line, target.arch));
        warnings.extend(overlong.map(|overlong| overlong.to_string()));
        Ok(Self {
            file_name: target.packed_file_name(),
            talos_version: target.version,
            arch: target.arch,
            epoch: choices.epoch,
            release,
            output,
            packing,
            warnings,
        })
    }

    /// The boot assets the output is made of.
    pub fn assets(&self) -> Vec<&Asset> {
        fn of_initramfs(initramfs: &Initramfs) -> Vec<&Asset> {
            std::iter::once(&initramfs.base).chain(&initramfs.depmod_config).collect()
        }
        fn of_uki(uki: &Uki) -> Vec<&Asset> {
            let mut assets = vec![&uki.stub, &uki.kernel];
            assets.extend(of_initramfs(&uki.initramfs));
            assets
        }
        match &self.output {
            Output::Kernel(kernel) => vec![kernel],
            Output::Cmdline(_) => vec![],
            Output::Initramfs(initramfs) => of_initramfs(initramfs),
            Output::Uki(uki) => of_uki(uki),
            Output::Installer(Installer { boot, .. }) => match boot {
                InstallerBoot::SdBoot { uki, boot_manager, .. } => {
                    let mut assets = of_uki(uki);
                    assets.push(boot_manager);
                    assets
                }
                InstallerBoot::Grub { kernel, initramfs, .. } => {
                    let mut assets = of_initramfs(initramfs);
                    assets.push(kernel);
                    assets
                }
            },
            Output::Iso(Iso { boot, .. }) | Output::Disk(Disk { boot, .. }) => match boot {
                Boot::SdBoot { uki, esp } | Boot::DualBoot { uki, esp, .. } => {
                    let mut assets = of_uki(uki);
                    assets.push(&esp.boot_manager);
                    assets
                }
                Boot::Grub { kernel, initramfs, .. } => {
                    let mut assets = of_initramfs(initramfs);
                    assets.push(kernel);
                    assets
                }
            },
        }
    }

    /// The GRUB core images the output has, each made of a directory of the release.
    pub fn grub_cores(&self) -> Vec<&GrubCore> {
        let bios = self.output.grub().and_then(|grub| grub.bios.as_ref());
        let efi = match self.output.boot() {
            Some(Boot::Grub { esp, .. }) => Some(&esp.core),
            _ => None,
        };
        efi.into_iter().chain(bios).collect()
    }
}

impl Output {
    /// What boots it, if it is a medium.
    fn boot(&self) -> Option<&Boot> {
        match self {
            Self::Iso(Iso { boot, .. }) | Self::Disk(Disk { boot, .. }) => Some(boot),
            _ => None,
        }
    }

    fn grub(&self) -> Option<&Grub> {
        match self.boot()? {
            Boot::SdBoot { .. } => None,
            Boot::DualBoot { grub, .. } | Boot::Grub { grub, .. } => Some(grub),
        }
    }

    /// Every kernel command line in it, but for GRUB's, which stand in its configuration.
    fn cmdlines(&self) -> Vec<String> {
        match (self, self.boot()) {
            (Self::Cmdline(cmdline), _) => vec![cmdline.clone()],
            (
                Self::Uki(uki)
                | Self::Installer(Installer { boot: InstallerBoot::SdBoot { uki, .. }, .. }),
                _,
            )
            | (_, Some(Boot::SdBoot { uki, .. } | Boot::DualBoot { uki, .. })) => {
                let more = uki.profiles.iter().map(|profile| profile.cmdline.clone());
                more.chain([uki.cmdline.clone()]).collect()
            }
            _ => Vec::new(),
        }
    }
}

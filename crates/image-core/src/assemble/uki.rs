//! The unified kernel image.

use super::{
    Context,
    assets::{Assets, name},
    initramfs,
};
use crate::{
    blob::Blob,
    error::{During, Error, ErrorKind, Result},
    formats::uki::{self, Profile},
    plan::{Plan, Uki},
    talos::{Quirk, menu},
};
use std::path::Path;

/// The picture, of which systemd-stub shows a BMP and passes over any other without a word.
fn splash(path: &Path) -> Result<Blob> {
    let blob = Blob::open(path)?;
    if blob.array(0).ok() == Some(*b"BM") {
        return Ok(blob);
    }
    let what = format!("the splash picture {} is no BMP: convert it to one", path.display());
    Err(Error::new(ErrorKind::Input, what))
}

/// A unified kernel image, and what it was made of that GRUB starts too.
#[derive(Debug)]
pub(super) struct Assembled {
    pub(super) blob: Blob,
    pub(super) kernel: Blob,
    pub(super) initramfs: Blob,
}

/// The date that goes into the header of a UEFI program.
pub(super) fn timestamp(plan: &Plan) -> Result<u32> {
    u32::try_from(plan.epoch).map_err(|_| {
        let what = format!("epoch {} is past 2106, the last year a PE header can hold", plan.epoch);
        Error::new(ErrorKind::Input, what)
    })
}

pub(super) fn assemble(
    uki: &Uki,
    plan: &Plan,
    assets: &Assets,
    cx: &Context<'_>,
) -> Result<Assembled> {
    // The kernel and the stub are cheap to check: before anything is compressed.
    let (linux, kernel) = assets.kernel(&uki.kernel)?;
    if !kernel.efi_stub {
        let what = format!(
            "{} is no UEFI program, as a UKI needs it: take one built with CONFIG_EFI_STUB",
            name("Linux kernel", &uki.kernel)
        );
        return Err(Error::new(ErrorKind::Input, what));
    }
    let stub = assets.program("systemd-stub", &uki.stub)?;
    let splash = uki.splash.as_deref().map(splash).transpose()?;
    let initrd = initramfs::assemble(&uki.initramfs, plan, assets, cx)?;

    let main = Profile { id: Some(menu::MAIN.to_owned()), ..Profile::default() };
    let others = uki.profiles.iter().map(|profile| Profile {
        id: Some(profile.id.clone()),
        title: Some(profile.title.clone()),
        cmdline: Some(profile.cmdline.clone()),
    });
    let parts = uki::Uki {
        stub,
        os_release: uki.os_release.clone(),
        cmdline: uki.cmdline.clone(),
        uname: kernel.release,
        splash,
        pcr_public_key: None,
        linux: linux.clone(),
        initrd: initrd.clone(),
        profiles: if plan.talos_version.has(Quirk::UkiProfiles) {
            std::iter::once(main).chain(others).collect()
        } else {
            Vec::new()
        },
    };
    let blob =
        uki::assemble(&parts, timestamp(plan)?).during(|| "assembling the UKI".to_owned())?;
    Ok(Assembled { blob, kernel: linux, initramfs: initrd })
}

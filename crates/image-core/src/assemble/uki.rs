//! The unified kernel image.

use super::{
    Context,
    assets::{Assets, name},
    initramfs, secure_boot,
};
use crate::{
    blob::{Blob, Digest},
    error::{During, Error, ErrorKind, Result},
    formats::{
        pcr,
        uki::{self, Profile},
    },
    plan::{Plan, Uki},
    signature::{self, HashFunction, Signer},
    talos::{Quirk, menu, phases},
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

/// Makes it; `block` is [`uki::Uki::block`].
pub(super) fn assemble(
    uki: &Uki,
    block: u64,
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
    let mut parts = uki::Uki {
        stub,
        os_release: uki.os_release.clone(),
        cmdline: uki.cmdline.clone(),
        uname: kernel.release,
        splash,
        pcr_public_key: None,
        pcr_signatures: Vec::new(),
        linux: linux.clone(),
        initrd: initrd.clone(),
        block,
        profiles: if plan.talos_version.has(Quirk::UkiProfiles) {
            std::iter::once(main).chain(others).collect()
        } else {
            Vec::new()
        },
    };
    let timestamp = timestamp(plan)?;
    if let Some(key) = &uki.pcr_key {
        sign_pcr(&mut parts, timestamp, pcr_signer(key, cx)?)
            .during(|| "signing what PCR 11 will hold".to_owned())?;
    }
    let mut blob = uki::assemble(&parts, timestamp).during(|| "assembling the UKI".to_owned())?;
    if let Some(by) = &uki.signed_by {
        blob = secure_boot::signed("the UKI", &blob, by, cx)?;
    }
    Ok(Assembled { blob, kernel: linux, initramfs: initrd })
}

/// Who has the key that the plan names.
fn pcr_signer<'a>(key: &Digest, cx: &Context<'a>) -> Result<&'a dyn Signer> {
    let fail = |what: String| Err(Error::new(ErrorKind::Input, what));
    let planned = key.hex();
    let Some(signer) = cx.signers.pcr else {
        return fail(format!("nobody is here who has the PCR key {planned}: give its signer"));
    };
    let given = pcr::fingerprint(signer.public_key()).hex();
    if given != planned {
        return fail(format!(
            "the plan is for the PCR key {planned}, and the signer has {given}: give the former, \
             or plan for the latter"
        ));
    }
    Ok(signer)
}

/// Adds the key, and for each boot the signatures of PCR 11 as Talos finds it.
fn sign_pcr(parts: &mut uki::Uki, timestamp: u32, signer: &dyn Signer) -> Result<()> {
    parts.pcr_public_key = Some(pcr::public_key_pem(signer.public_key())?.into());
    let contents = uki::read(&uki::assemble(parts, timestamp)?)?;
    let boots = pcr::predict(&contents, &HashFunction::ALL, &phases::ALL)?;
    let mut awaited = None;
    for (number, boot) in boots.iter().enumerate() {
        let id = contents.profiles.get(number).and_then(|profile| profile.id.as_deref());
        let whose = id.map_or("the UKI".to_owned(), |id| format!("profile {id}"));
        let unsealed = boot.last().map_or(&[][..], std::slice::from_ref);
        match pcr::sign(&whose, unsealed, signer) {
            Ok(signatures) => parts.pcr_signatures.push(signatures.to_json()?.into()),
            // The others are asked for all the same, so that all can be made at once.
            Err(error @ signature::Error::Awaited(_)) => {
                awaited.get_or_insert(error);
            }
            Err(error) => return Err(error.into()),
        }
    }
    awaited.map_or(Ok(()), |error| Err(error.into()))
}

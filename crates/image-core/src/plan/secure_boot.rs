//! Secure Boot: whose signatures a medium carries, and what it has the firmware trust.

use super::{Enrolment, Keys, SecureBoot, SignedBy};
use crate::{
    blob::Digest,
    error::{Error, ErrorKind, Result},
    talos::{
        profile::{EnrollKeys, SecureBootAssets, Target},
        secure_boot,
    },
};

/// Who signs a medium's parts.
pub(super) struct Signing {
    pub(super) signed_by: SignedBy,
    pub(super) pcr_key: Digest,
    enrolment: Enrolment,
}

/// Who signs what `target` asks for; none without Secure Boot.
///
/// # Errors
/// `Input` if a key is missing, or some of what is to be enrolled.
pub(super) fn signing(target: &Target, keys: &Keys) -> Result<Option<Signing>> {
    if !target.secure_boot {
        return Ok(None);
    }
    let missing = |what: &str, flag: &str| {
        let what = format!(
            "Secure Boot: the key that signs {what} is missing: add --keys with the folder that \
             `talos-image keys` wrote, or {flag}"
        );
        Error::new(ErrorKind::Input, what)
    };
    let certificate = keys.uki.as_ref();
    let certificate = certificate.ok_or_else(|| {
        let what = "systemd-boot and the UKI, or its certificate,";
        missing(what, "--uki-key and --uki-certificate")
    })?;
    let pcr_key = keys.pcr.ok_or_else(|| missing("what PCR 11 will hold", "--pcr-key"))?;
    let signed_by =
        SignedBy { subject: certificate.subject(), certificate: certificate.fingerprint() };
    let made = Enrolment::Made {
        owner: secure_boot::owner(certificate.pem().as_bytes()),
        microsoft_kek: keys.microsoft_kek.clone(),
        microsoft_db: keys.microsoft_db.clone(),
    };
    let assets = target.input.secure_boot.clone().unwrap_or_default();
    let enrolment = files(&assets)?.unwrap_or(made);
    let microsoft = keys.microsoft_kek.len() + keys.microsoft_db.len();
    let wrong = match enrolment {
        Enrolment::Made { .. } if assets.include_well_known_certs && microsoft == 0 => {
            "Microsoft's certificates are no part of this program: add --microsoft-kek and \
             --microsoft-db with the files, or leave out includeWellKnownCerts"
        }
        Enrolment::Files(_) if assets.include_well_known_certs || microsoft > 0 => {
            "Microsoft's certificates go into KEK and db where these are made, and PK.auth, \
             KEK.auth and db.auth are there as files: give the certificates to `talos-image \
             keys`, or name the keys without those files"
        }
        _ => return Ok(Some(Signing { signed_by, pcr_key, enrolment })),
    };
    Err(Error::new(ErrorKind::Input, format!("Secure Boot: {wrong}")))
}

/// The variables as files, all or none.
fn files(assets: &SecureBootAssets) -> Result<Option<Enrolment>> {
    let files = [
        ("PK.auth (platformKeyPath)", &assets.platform_key_path),
        ("KEK.auth (keyExchangeKeyPath)", &assets.key_exchange_key_path),
        ("db.auth (signatureKeyPath)", &assets.signature_key_path),
    ];
    let missing: Vec<_> =
        files.iter().filter(|(_, path)| path.is_empty()).map(|(key, _)| *key).collect();
    match missing.len() {
        0 => Ok(Some(Enrolment::Files(files.map(|(_, path)| path.into())))),
        3 => Ok(None),
        _ => {
            let what = format!(
                "Secure Boot: of the keys to enrol some are given, and not {}: give all three, or \
                 none to have them made",
                missing.join(" and ")
            );
            Err(Error::new(ErrorKind::Input, what))
        }
    }
}

impl Signing {
    /// What the EFI system partition has, if keys are enrolled `when`; with the certificate at
    /// `certificate_path`.
    pub(super) fn of_esp(
        &self,
        when: Option<EnrollKeys>,
        certificate_path: Option<&str>,
    ) -> SecureBoot {
        SecureBoot {
            signed_by: self.signed_by.clone(),
            enrolment: when.map(|_| self.enrolment.clone()),
            certificate_path: certificate_path.map(str::to_owned),
        }
    }
}

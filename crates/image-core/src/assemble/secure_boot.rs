//! Secure Boot: programs signed, and the files by which firmware comes to trust them.

use super::{Context, UkiSigner};
use crate::{
    blob::Blob,
    error::{During, Error, ErrorKind, Result},
    events::Event,
    formats::{
        authenticode,
        certificate::Certificate,
        efi_variable::{self, Update, Variable},
    },
    plan::{Enrolment, Plan, SecureBoot, SignedBy},
    talos::{
        esp,
        secure_boot::{self, Microsoft},
    },
};
use std::path::{Path, PathBuf};

/// The longest file that can be a certificate or a signed variable, in bytes.
const FILE_LIMIT: u64 = 1 << 20;

/// Signatures that are made elsewhere. Whatever can be asked for is, before it counts that one is
/// not there yet.
#[derive(Default)]
pub(super) struct Round {
    awaited: Option<Error>,
}

impl Round {
    /// What was made; none if it waits for a signature.
    pub(super) fn take<T>(&mut self, made: Result<T>) -> Result<Option<T>> {
        match made {
            Err(error) if error.kind() == ErrorKind::Awaited => {
                self.awaited.get_or_insert(error);
                Ok(None)
            }
            made => made.map(Some),
        }
    }

    /// All that was made; else the first it waits for.
    pub(super) fn end<T>(self, made: Option<T>) -> Result<T> {
        match (self.awaited, made) {
            (Some(error), _) => Err(error),
            (None, Some(made)) => Ok(made),
            (None, None) => Err(Error::new(ErrorKind::Bug, "nothing was made of nothing")),
        }
    }
}

/// The program `image`, called `what`, signed as the plan says.
pub(super) fn signed(what: &str, image: &Blob, by: &SignedBy, cx: &Context<'_>) -> Result<Blob> {
    let UkiSigner { certificate, signer } = signer(by, cx)?;
    authenticode::sign(what, image, certificate, signer).during(|| format!("signing {what}"))
}

/// Who has the key for the certificate that the plan names.
fn signer<'a>(by: &SignedBy, cx: &Context<'a>) -> Result<UkiSigner<'a>> {
    let fail = |what: String| Err(Error::new(ErrorKind::Input, what));
    let SignedBy { subject, certificate } = by;
    match cx.signers.uki {
        None => fail(format!("nobody is here who signs for {subject}: give its signer")),
        Some(signer) if signer.certificate.fingerprint() != *certificate => fail(format!(
            "the plan is for the certificate {certificate} of {subject}, and the signer has {}: \
             give the former, or plan for the latter",
            signer.certificate.fingerprint()
        )),
        Some(signer) => Ok(signer),
    }
}

/// The files that an EFI system partition has for Secure Boot, by their paths in it.
pub(super) fn files(
    secure_boot: &SecureBoot,
    plan: &Plan,
    cx: &Context<'_>,
) -> Result<Vec<(String, Blob)>> {
    let mut files = Vec::new();
    let signer = signer(&secure_boot.signed_by, cx)?;
    if let Some(path) = &secure_boot.certificate_path {
        files.push((path.clone(), signer.certificate.der().to_vec().into()));
    }
    let path = |variable: Variable| esp::enrolment_path(variable.name());
    match &secure_boot.enrolment {
        None => {}
        Some(Enrolment::Files(given)) => {
            let variables = [Variable::PlatformKey, Variable::KeyExchangeKey, Variable::Database];
            for (variable, file) in variables.into_iter().zip(given) {
                let bytes = read(file)?;
                check(variable, &bytes, signer.certificate)
                    .during(|| format!("{} {}", variable.name(), file.display()))?
                    .iter()
                    .for_each(|message| {
                        let subject = &file.display().to_string();
                        cx.observer.on(&Event::Warning { subject, message });
                    });
                files.push((path(variable), bytes.into()));
            }
        }
        Some(Enrolment::Made { microsoft_kek, microsoft_db, .. }) => {
            let microsoft =
                Microsoft { kek: certificates(microsoft_kek)?, db: certificates(microsoft_db)? };
            let UkiSigner { certificate, signer } = signer;
            let pem = certificate.pem();
            let variables = secure_boot::variables(pem.as_bytes(), certificate, &microsoft);
            let mut round = Round::default();
            let mut made = Vec::new();
            for (variable, entries) in variables {
                let auth = efi_variable::write(&entries).and_then(|list| {
                    efi_variable::sign(variable, &list, plan.epoch, certificate, signer)
                });
                let auth = auth.during(|| format!("making {}", secure_boot::auth_file(variable)));
                made.extend(round.take(auth)?.map(|auth| (path(variable), auth.into())));
            }
            files.extend(round.end(Some(made))?);
        }
    }
    Ok(files)
}

/// That an order to set `variable` is one; and what a person should know whose firmware enrols it
/// and is to start what `certificate` is for.
fn check(variable: Variable, auth: &[u8], certificate: &Certificate) -> Result<Option<String>> {
    let update = Update::read(auth)?;
    if update.verify(variable, &[])? == efi_variable::Verdict::Broken {
        let what = "its signature is not of this variable, or does not hold: no firmware takes it";
        return Err(Error::new(ErrorKind::Input, what));
    }
    let entries = efi_variable::read(&update.content)?;
    let vouches = |it: &Certificate| it == certificate || certificate.is_signed_by(it);
    let trusted = efi_variable::certificates(&entries).iter().any(vouches);
    Ok((variable == Variable::Database && !trusted).then(|| {
        let subject = certificate.subject();
        format!("it does not trust {subject}, who signs: firmware with it starts nothing of this")
    }))
}

fn certificates(files: &[PathBuf]) -> Result<Vec<Certificate>> {
    let read = |file: &PathBuf| {
        Certificate::read(&read(file)?).during(|| format!("Microsoft's {}", file.display()))
    };
    files.iter().map(read).collect()
}

fn read(file: &Path) -> Result<Vec<u8>> {
    Blob::open(file)?.to_vec(FILE_LIMIT).during(|| file.display().to_string())
}

//! `talos-image verify`

use crate::{cli::Verify, exit::Failure, render::Render};
use anyhow::Context as _;
use image_core::{
    blob::{Blob, Scratch},
    error::{Error, ErrorKind},
    examine::{self, Trust},
    formats::{
        certificate::Certificate,
        efi_variable::{self, Update, Variable},
    },
    talos::secure_boot::{self, UKI_CERTIFICATE, UKI_CERTIFICATE_DER},
};
use std::path::Path;

/// The longest file that can be a certificate or a variable, in bytes.
const FILE_LIMIT: u64 = 1 << 20;

/// Looks into every file; the ones that cannot be read do not keep the others from it.
pub(crate) fn run(args: &Verify, render: &dyn Render) -> anyhow::Result<()> {
    let given = !args.certificate.is_empty() || !args.db.is_empty();
    let trust = given.then(|| trust(args)).transpose()?;
    let mut failed: Option<anyhow::Error> = None;
    for file in &args.files {
        if let Err(error) = one(file, trust.as_ref(), render)
            && let Some(before) = failed.replace(error)
        {
            render.failure(&Failure::from(&before));
        }
    }
    failed.map_or(Ok(()), Err)
}

fn one(file: &Path, trust: Option<&Trust>, render: &dyn Render) -> anyhow::Result<()> {
    let blob = Blob::open(file).map_err(Error::from)?;
    let scratch = &Scratch::new(std::env::temp_dir());
    let name = || file.display().to_string();
    let own = match trust {
        Some(_) => None,
        None => Some(examine::own_database(&blob, scratch).with_context(name)?.ok_or_else(|| {
            let what = "it has no keys of its own to hold it against: add --certificate or --db \
                        with what the firmware trusts";
            anyhow::Error::from(input_error(what)).context(name())
        })?),
    };
    let trusted = trust.or(own.as_ref()).cloned().unwrap_or_default();
    let verified = examine::verify(&blob, &trusted, scratch).with_context(name)?;
    render.verified(file, own.is_some(), &verified)?;
    let all = verified.programs.len();
    let wrong = verified.programs.iter().filter(|program| !program.is_valid()).count();
    if wrong == 0 {
        return Ok(());
    }
    let what = match all {
        1 => "it is not validly signed".to_owned(),
        _ => format!("{wrong} of its {all} UEFI programs are not validly signed"),
    };
    Err(anyhow::Error::from(input_error(what)).context(name()))
}

/// What the firmware trusts, all of it together.
fn trust(args: &Verify) -> anyhow::Result<Trust> {
    let mut trust = Trust::default();
    for file in &args.certificate {
        trust.certificates.push(certificate(file)?);
    }
    for place in &args.db {
        trust.extend(database(place).with_context(|| place.display().to_string())?);
    }
    Ok(trust)
}

fn certificate(file: &Path) -> anyhow::Result<Certificate> {
    let certificate = Certificate::read(&bytes(file)?).map_err(Error::from);
    certificate.with_context(|| file.display().to_string())
}

/// What a db lets start that a file or a folder of keys has.
fn database(place: &Path) -> anyhow::Result<Trust> {
    if place.is_dir() {
        let auth = place.join(secure_boot::auth_file(Variable::Database));
        if auth.is_file() {
            return database(&auth);
        }
        let names = [UKI_CERTIFICATE, UKI_CERTIFICATE_DER];
        let certificate = names.map(|name| place.join(name)).into_iter().find(|it| it.is_file());
        let missing =
            || input_error(format!("this folder has neither db.auth nor {UKI_CERTIFICATE}"));
        let certificates = vec![self::certificate(&certificate.ok_or_else(missing)?)?];
        return Ok(Trust { certificates, ..Trust::default() });
    }
    let bytes = bytes(place)?;
    // What is signed starts with a date, a list with the kind of its entries.
    let trust = match efi_variable::read(&bytes) {
        Ok(entries) => Trust::of(&entries),
        Err(_) if Certificate::read(&bytes).is_ok() => {
            return Err(input_error("this is a certificate: give it by --certificate").into());
        }
        Err(_) => {
            let update = Update::read(&bytes).map_err(Error::from)?;
            Trust::of(&efi_variable::read(&update.content).map_err(Error::from)?)
        }
    };
    if trust.is_empty() {
        return Err(input_error("there is neither a certificate nor a program's hash in it").into());
    }
    Ok(trust)
}

fn bytes(file: &Path) -> anyhow::Result<Vec<u8>> {
    let blob = Blob::open(file).map_err(Error::from)?;
    blob.to_vec(FILE_LIMIT).map_err(Error::from).with_context(|| file.display().to_string())
}

fn input_error(what: impl Into<String>) -> Error {
    Error::new(ErrorKind::Input, what)
}

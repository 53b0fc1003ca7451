//! Who signed a medium's programs, and the keys it has firmware enrol.

use super::report::{self, SignatureState};
use crate::{
    blob::Blob,
    error::Result,
    formats::{
        authenticode::{self, Verdict},
        calendar::Utc,
        certificate::Certificate,
        efi_variable::{self, Data, Entry, Update, Variable},
    },
    tree::TreePath,
};

/// How long an `.auth` file may be, in bytes.
const AUTH_LIMIT: u64 = 1 << 20;

/// Whether firmware and boot managers take the file for a program: by its name.
pub(super) fn is_program(path: &TreePath) -> bool {
    path.as_str().to_ascii_lowercase().ends_with(".efi")
}

pub(super) fn certificate(certificate: &Certificate) -> report::Certificate {
    report::Certificate {
        subject: certificate.subject(),
        issuer: certificate.issuer(),
        fingerprint: certificate.fingerprint(),
        not_before: Utc::new(certificate.not_before()).to_string(),
        not_after: Utc::new(certificate.not_after()).to_string(),
    }
}

/// The signatures of a UEFI program, and what is wrong with them. It is read if it has any.
pub(super) fn of_program(program: &Blob) -> Result<(Vec<report::Signature>, Vec<String>)> {
    let found = authenticode::signatures(program)?;
    if found.is_empty() {
        return Ok((Vec::new(), Vec::new()));
    }
    let digest = authenticode::digest(program)?;
    let mut flaws = Vec::new();
    let mut signatures = Vec::new();
    for signature in found {
        let state = match signature.verdict(digest, &[])? {
            Verdict::WrongDigest { .. } => {
                flaws.push(format!(
                    "it is not what was signed: its Authenticode hash is {}, and that of what was \
                     signed {}",
                    digest.hex(),
                    signature.digest.hex()
                ));
                SignatureState::WrongDigest
            }
            Verdict::Broken => {
                flaws.push("its signature is not by the key that it says".to_owned());
                SignatureState::Broken
            }
            _ => SignatureState::Holds,
        };
        let signer = signature.signer.as_ref().map(certificate);
        signatures.push(report::Signature { state, digest: signature.digest, signer });
    }
    Ok((signatures, flaws))
}

/// The signed order to set `variable` that `file` is, and what is wrong with its signature.
pub(super) fn of_variable(
    variable: Variable,
    file: &Blob,
) -> Result<(report::Variable, Option<String>)> {
    let update = read(file)?;
    let signer = match update.verify(variable, &[])? {
        efi_variable::Verdict::WrongKey { signer } => Some(signer),
        _ => None,
    };
    let name = variable.name();
    let flaw = signer.is_none().then(|| {
        format!("its signature is not of this content for {name}, or not by the key it says")
    });
    let entry = |entry: &Entry| report::VariableEntry {
        owner: entry.owner.to_string(),
        certificate: match &entry.data {
            Data::X509(der) => Certificate::from_der(der).ok().as_ref().map(certificate),
            _ => None,
        },
        program: match entry.data {
            Data::Sha256(digest) => Some(digest),
            _ => None,
        },
    };
    let entries = efi_variable::read(&update.content)?;
    let described = report::Variable {
        name,
        time: Utc::new(update.time).to_string(),
        signer: signer.as_ref().map(certificate),
        entries: entries.iter().map(entry).collect(),
    };
    Ok((described, flaw))
}

/// Reads an `.auth` file.
pub(super) fn read(file: &Blob) -> Result<Update> {
    Ok(Update::read(&file.to_vec(AUTH_LIMIT)?)?)
}

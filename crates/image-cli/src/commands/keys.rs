//! `talos-image keys`

use super::write;
use crate::{
    cli::{KeyKind, Keys},
    render::{Render, What, Written},
};
use anyhow::Context as _;
use image_core::{
    blob::Blob,
    error::{Error, ErrorKind},
    events::Event,
    formats::{
        certificate::{self, Certificate, Subject},
        efi_variable::{self, Variable},
    },
    signers::{KeyType, PrivateKey},
    talos::secure_boot::{self, Microsoft},
};
use std::{
    fs::{self, OpenOptions, Permissions},
    io::{self, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    time::SystemTime,
};
use zeroize::Zeroizing;

const DAY: u64 = 24 * 60 * 60;
/// Bytes of a certificate file that are read at most.
const MAX_CERTIFICATE: u64 = 1 << 20;

/// Only its owner reads and writes it.
const SECRET: u32 = 0o600;
const PUBLIC: u32 = 0o644;
/// Of a directory made for keys.
const CLOSED: u32 = 0o700;

/// A file to write.
struct File {
    name: String,
    mode: u32,
    content: Zeroizing<Vec<u8>>,
}

/// Makes keys, certificate and variables, and writes all of them or none.
pub(crate) fn run(args: &Keys, render: &dyn Render) -> anyhow::Result<()> {
    // Before anything is made: a key of 4096 bits takes its time.
    nothing_is_overwritten(&args.dir)?;
    let microsoft = Microsoft {
        kek: certificates(&args.microsoft_kek)?,
        db: certificates(&args.microsoft_db)?,
    };
    if let KeyKind::P256 = args.key_type {
        let message = "much firmware refuses PK, KEK and db with a certificate of such a key: \
                       take an RSA key unless yours is known to take this one";
        render.on(&Event::Warning { subject: "p256", message });
    }
    let files = make(args, &microsoft)?;
    if args.dir.exists() {
        into_directory(&args.dir, &files)?;
    } else {
        as_directory(&args.dir, &files)?;
    }
    for File { name, content, .. } in &files {
        let path = args.dir.join(name);
        let size = content.len() as u64;
        render.written(&Written { what: What::File(&path), name, size })?;
    }
    Ok(())
}

/// The names of all files that are made.
fn names() -> impl Iterator<Item = String> {
    use secure_boot::{PCR_KEY, UKI_CERTIFICATE, UKI_CERTIFICATE_DER, UKI_KEY};
    let fixed = [UKI_KEY, UKI_CERTIFICATE, UKI_CERTIFICATE_DER, PCR_KEY].map(str::to_owned);
    let variables = [Variable::PlatformKey, Variable::KeyExchangeKey, Variable::Database];
    fixed.into_iter().chain(variables.map(secure_boot::auth_file))
}

fn nothing_is_overwritten(dir: &Path) -> Result<(), Error> {
    // Also what a link stands for that leads nowhere.
    let there: Vec<_> = names().filter(|name| dir.join(name).symlink_metadata().is_ok()).collect();
    if there.is_empty() {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Input,
        format!(
            "{}: keys are never overwritten, and there is {}: name another directory",
            dir.display(),
            there.join(", ")
        ),
    ))
}

fn certificates(files: &[PathBuf]) -> anyhow::Result<Vec<Certificate>> {
    let read = |file: &PathBuf| -> anyhow::Result<Certificate> {
        let blob = Blob::open(file).map_err(Error::from)?;
        let bytes = blob.to_vec(MAX_CERTIFICATE).map_err(Error::from)?;
        let certificate = Certificate::read(&bytes).map_err(Error::from);
        certificate.with_context(|| file.display().to_string())
    };
    files.iter().map(read).collect()
}

/// The files, those first that others follow from.
fn make(args: &Keys, microsoft: &Microsoft) -> anyhow::Result<Vec<File>> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let now = now.context("the clock of this machine is before 1970")?.as_secs();
    let key_type = match args.key_type {
        KeyKind::Rsa2048 => KeyType::Rsa2048,
        KeyKind::Rsa3072 => KeyType::Rsa3072,
        KeyKind::Rsa4096 => KeyType::Rsa4096,
        KeyKind::P256 => KeyType::P256,
    };
    let uki = PrivateKey::generate(key_type).map_err(Error::from)?;
    // What a TPM has to check is RSA; Talos takes no other.
    let pcr = PrivateKey::generate(KeyType::Rsa2048).map_err(Error::from)?;
    let subject = Subject { common_name: &args.common_name, organization: &args.common_name };
    let validity = now..now.saturating_add(args.days.saturating_mul(DAY));
    let certificate = certificate::self_signed(&subject, validity, &uki).map_err(Error::from)?;
    let pem = certificate.pem().into_bytes();

    let secret = |key: &PrivateKey| -> Result<Zeroizing<Vec<u8>>, Error> {
        Ok(Zeroizing::new(key.to_pem()?.as_bytes().to_vec()))
    };
    let mut contents = vec![
        (SECRET, secret(&uki)?),
        (PUBLIC, Zeroizing::new(pem.clone())),
        (PUBLIC, Zeroizing::new(certificate.der().to_vec())),
        (SECRET, secret(&pcr)?),
    ];
    for (variable, entries) in secure_boot::variables(&pem, &certificate, microsoft) {
        let auth = efi_variable::write(&entries)
            .and_then(|list| efi_variable::sign(variable, &list, now, &certificate, &uki));
        contents.push((PUBLIC, Zeroizing::new(auth.map_err(Error::from)?)));
    }
    let files = names().zip(contents);
    Ok(files.map(|(name, (mode, content))| File { name, mode, content }).collect())
}

/// Makes the directory with all files in it at once.
fn as_directory(dir: &Path, files: &[File]) -> io::Result<()> {
    let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new("."));
    let _made = write::directory(parent)?;
    let at = |path: &Path, error: &io::Error| {
        io::Error::new(error.kind(), format!("{}: {error}", path.display()))
    };
    let made = tempfile::Builder::new()
        .prefix(".talos-image-keys-")
        .tempdir_in(parent)
        .map_err(|error| at(parent, &error))?;
    fs::set_permissions(made.path(), Permissions::from_mode(CLOSED))?;
    files.iter().try_for_each(|file| put(made.path(), file))?;
    fs::rename(made.path(), dir).map_err(|error| at(dir, &error))?;
    // It has another name now, and is nobody's to clear away.
    let _ = made.keep();
    Ok(())
}

/// Puts the files into a directory that is there; takes away again what was put if one fails.
fn into_directory(dir: &Path, files: &[File]) -> io::Result<()> {
    for (at, file) in files.iter().enumerate() {
        if let Err(error) = put(dir, file) {
            // The one that failed too, unless it was there before.
            let failed = usize::from(error.kind() != io::ErrorKind::AlreadyExists);
            for File { name, .. } in files.iter().take(at + failed) {
                let _ = fs::remove_file(dir.join(name));
            }
            return Err(error);
        }
    }
    Ok(())
}

/// Writes a file that must not be there, whatever the umask says.
fn put(dir: &Path, File { name, mode, content }: &File) -> io::Result<()> {
    let path = dir.join(name);
    let mut options = OpenOptions::new();
    let opened = options.write(true).create_new(true).mode(*mode).open(&path);
    opened
        .and_then(|mut file| {
            file.set_permissions(Permissions::from_mode(*mode))?;
            file.write_all(content)?;
            file.sync_all()
        })
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}

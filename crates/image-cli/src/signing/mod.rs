//! Who signs a Secure Boot medium: keys in files or on tokens, a program, or someone elsewhere.

mod program;

use crate::cli::Signing as Flags;
use anyhow::Context as _;
use image_core::{
    assemble::{Signers, UkiSigner},
    blob::Blob,
    error::{Error, ErrorKind},
    events::{Event, Observer},
    formats::{certificate::Certificate, pcr},
    plan::Keys,
    signature::{Algorithm, PublicKey, Signer},
    signers::{
        Detached, PrivateKey,
        detached::{self, Awaited},
    },
    talos::{
        Profile,
        profile::SecureBootAssets,
        secure_boot::{self, PCR_KEY, UKI_CERTIFICATE, UKI_KEY},
    },
};
use program::SignerCommand;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};
use zeroize::Zeroizing;

/// The longest file that can be a key, a certificate, a passphrase or a signature, in bytes.
const FILE_LIMIT: u64 = 1 << 20;
const DAY: u64 = 24 * 60 * 60;

/// Who signs, read and ready.
#[derive(Debug, Default)]
pub(crate) struct Signing {
    uki: Option<(Certificate, Arc<dyn Signer>)>,
    pcr: Option<Arc<dyn Signer>>,
    /// Those of them that only ask for signatures.
    elsewhere: Vec<Arc<Detached>>,
    microsoft_kek: Vec<PathBuf>,
    microsoft_db: Vec<PathBuf>,
}

impl Signing {
    /// Reads the keys that `flags` and `profile` name, where the profile is one for Secure Boot;
    /// what is enrolled of the folder of keys goes into the profile.
    pub(crate) fn read(
        flags: &Flags,
        profile: &mut Profile,
        observer: &dyn Observer,
    ) -> anyhow::Result<Self> {
        let target = profile.clone().over_base().map_err(Error::from)?.target();
        let target = target.map_err(Error::from)?;
        if !target.secure_boot {
            let given = flags.keys.is_some() || flags.uki_key.is_some() || flags.pcr_key.is_some();
            if given || flags.signer_command.is_some() || flags.unsigned_requests.is_some() {
                let what = "keys are given, and this profile is not for Secure Boot: ask for one \
                            that is, such as secureboot-iso, or leave the keys out";
                return Err(input_error(what).into());
            }
            return Ok(Self::default());
        }
        let assets = target.input.secure_boot.unwrap_or_default();
        let from_profile =
            |path: &str| Some(PathBuf::from(path)).filter(|it| !it.as_os_str().is_empty());
        let named = |flag: &Option<PathBuf>, file: &str, path: &str| {
            let in_folder = || flags.keys.as_ref().map(|keys| keys.join(file));
            flag.clone().or_else(in_folder).or_else(|| from_profile(path))
        };
        let SecureBootAssets { secure_boot_signer: uki, pcr_signer: pcr, .. } = &assets;
        let certificate = named(&flags.uki_certificate, UKI_CERTIFICATE, &uki.cert_path);
        let certificate = certificate.map(|file| read_certificate(&file, observer)).transpose()?;
        let uki_key = named(&flags.uki_key, UKI_KEY, &uki.key_path);
        let pcr_key = named(&flags.pcr_key, PCR_KEY, &pcr.key_path);
        if let Some(keys) = &flags.keys {
            enrol_from(keys, profile);
        }

        let mut signing = Self {
            microsoft_kek: flags.microsoft_kek.clone(),
            microsoft_db: flags.microsoft_db.clone(),
            ..Self::default()
        };
        let elsewhere = flags.signatures.is_some() || flags.unsigned_requests.is_some();
        let signatures = flags.signatures.as_deref().map(signatures).transpose()?;
        let mut signer = |file: Option<&Path>, known: Option<&PublicKey>| -> anyhow::Result<_> {
            let public = || match (known, file) {
                (Some(key), _) => Ok(Some(key.clone())),
                (None, Some(file)) => public_key(file, flags).map(Some),
                (None, None) => Ok(None),
            };
            let made: Option<Arc<dyn Signer>> = if let Some(command) = &flags.signer_command {
                let limit = flags.signer_timeout.map_or(program::LIMIT, Duration::from_secs);
                let Some(key) = public()? else { return Ok(None) };
                Some(Arc::new(SignerCommand::new(command, limit, key).map_err(Error::from)?))
            } else if elsewhere {
                let Some(key) = public()? else { return Ok(None) };
                let there = signatures.clone().unwrap_or_default();
                let detached = Arc::new(Detached::new(key, there).map_err(Error::from)?);
                signing.elsewhere.push(Arc::clone(&detached));
                Some(detached)
            } else {
                file.map(|file| own_key(file, known, flags)).transpose()?
            };
            Ok(made)
        };
        let known = certificate.as_ref().map(Certificate::public_key);
        let uki = signer(uki_key.as_deref(), known)?;
        signing.pcr = signer(pcr_key.as_deref(), None)?;
        if let (Some(certificate), Some(signer)) = (certificate, uki) {
            if certificate.public_key() != signer.public_key() {
                let what = format!(
                    "the key that signs the UKI is the {}, and the certificate of {} is for the \
                     {}: give those that belong together",
                    signer.public_key(),
                    certificate.subject(),
                    certificate.public_key()
                );
                return Err(input_error(what).into());
            }
            signing.uki = Some((certificate, signer));
        }
        Ok(signing)
    }

    /// The public halves, for the plan.
    pub(crate) fn keys(&self) -> Keys {
        Keys {
            uki: self.uki.as_ref().map(|(certificate, _)| certificate.clone()),
            pcr: self.pcr.as_ref().map(|signer| pcr::fingerprint(signer.public_key())),
            microsoft_kek: self.microsoft_kek.clone(),
            microsoft_db: self.microsoft_db.clone(),
        }
    }

    /// Who signs, for carrying the plan out.
    pub(crate) fn signers(&self) -> Signers<'_> {
        let uki = self.uki.as_ref();
        Signers {
            pcr: self.pcr.as_deref(),
            uki: uki.map(|(certificate, signer)| UkiSigner { certificate, signer: &**signer }),
        }
    }

    /// The files that ask for signatures which are not here yet, by their names.
    pub(crate) fn requests(&self) -> BTreeMap<String, Vec<u8>> {
        let awaited: Vec<Awaited> =
            self.elsewhere.iter().flat_map(|signer| signer.awaited()).collect();
        detached::files(&awaited)
    }
}

/// Takes `PK.auth`, `KEK.auth` and `db.auth` of the folder `keys`, unless others are named.
fn enrol_from(keys: &Path, profile: &mut Profile) {
    use image_core::formats::efi_variable::Variable::{Database, KeyExchangeKey, PlatformKey};
    let assets = profile.input.secure_boot.get_or_insert_default();
    let places = [
        (PlatformKey, &mut assets.platform_key_path),
        (KeyExchangeKey, &mut assets.key_exchange_key_path),
        (Database, &mut assets.signature_key_path),
    ];
    if places.iter().any(|(_, path)| !path.is_empty()) {
        return;
    }
    for (variable, path) in places {
        let file = keys.join(secure_boot::auth_file(variable));
        if file.is_file() {
            *path = file.to_string_lossy().into_owned();
        }
    }
}

/// A key that is at hand: in a file, or on a token.
fn own_key(
    file: &Path,
    known: Option<&PublicKey>,
    flags: &Flags,
) -> anyhow::Result<Arc<dyn Signer>> {
    if let Some(uri) = file.to_str().filter(|text| text.starts_with("pkcs11:")) {
        return on_token(uri, known, flags);
    }
    Ok(Arc::new(private_key(file, flags)?))
}

#[cfg(feature = "pkcs11")]
fn on_token(
    uri: &str,
    known: Option<&PublicKey>,
    flags: &Flags,
) -> anyhow::Result<Arc<dyn Signer>> {
    use image_core::signers::pkcs11::{Token, Uri};
    let uri: Uri = uri.parse().map_err(Error::from)?;
    let pin = uri.pin_file().map(|file| line(file)).transpose()?;
    let pin = pin.map_or_else(|| passphrase(flags), |pin| Ok(Some(pin)))?;
    let token = Token::open(&uri, pin.as_ref().map(|pin| pin.as_slice()), known);
    Ok(Arc::new(token.map_err(Error::from)?))
}

#[cfg(not(feature = "pkcs11"))]
fn on_token(_: &str, _: Option<&PublicKey>, _: &Flags) -> anyhow::Result<Arc<dyn Signer>> {
    let what = "this program was built without PKCS#11: build it with `--features pkcs11`, or let \
                a program sign (--signer-command)";
    Err(Error::new(ErrorKind::Unsupported, what).into())
}

fn private_key(file: &Path, flags: &Flags) -> anyhow::Result<PrivateKey> {
    let bytes = Zeroizing::new(bytes(file)?);
    let passphrase = passphrase(flags)?;
    let key = PrivateKey::read(&bytes, passphrase.as_ref().map(|text| text.as_slice()));
    key.map_err(Error::from).with_context(|| file.display().to_string())
}

/// The public half of what is in a file: a certificate, a public key, or a private one.
fn public_key(file: &Path, flags: &Flags) -> anyhow::Result<PublicKey> {
    let content = Zeroizing::new(bytes(file)?);
    let text = String::from_utf8_lossy(&content);
    let named = || file.display().to_string();
    if text.contains("-----BEGIN CERTIFICATE-----") {
        let certificate = Certificate::read(&content).map_err(Error::from).with_context(named)?;
        return Ok(certificate.public_key().clone());
    }
    if text.contains("-----BEGIN PUBLIC KEY-----") {
        let key = pcr::read_public_key(&Blob::from(content.to_vec()));
        return key.map_err(Error::from).with_context(named);
    }
    Ok(private_key(file, flags)?.public_key().clone())
}

fn read_certificate(file: &Path, observer: &dyn Observer) -> anyhow::Result<Certificate> {
    let certificate = Certificate::read(&bytes(file)?).map_err(Error::from);
    let certificate = certificate.with_context(|| file.display().to_string())?;
    let subject = &file.display().to_string();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let now = now.map_or(0, |since| since.as_secs());
    let dated = if now > certificate.not_after() {
        Some(("held until", (now - certificate.not_after()) / DAY, "ago"))
    } else if now < certificate.not_before() {
        Some(("holds from", (certificate.not_before() - now) / DAY, "from now"))
    } else {
        None
    };
    if let Some((when, days, which)) = dated {
        let message = &format!(
            "the certificate {when} {days} days {which}; firmware takes it all the same, people \
             and other programs may not"
        );
        observer.on(&Event::Warning { subject, message });
    }
    if certificate.public_key().algorithm() == Algorithm::EcdsaP256 {
        let message = "much firmware does not enrol a certificate for a P-256 key: take an RSA \
                       key unless yours is known to";
        observer.on(&Event::Warning { subject, message });
    }
    Ok(certificate)
}

fn passphrase(flags: &Flags) -> anyhow::Result<Option<Zeroizing<Vec<u8>>>> {
    flags.passphrase_file.as_deref().map(line).transpose()
}

/// The one line of a file that holds a secret.
fn line(file: &Path) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    let mut line = Zeroizing::new(bytes(file)?);
    if line.last() == Some(&b'\n') {
        line.pop();
    }
    Ok(line)
}

/// The files of a folder with signatures, by name.
fn signatures(dir: &Path) -> anyhow::Result<Vec<(String, Vec<u8>)>> {
    let named = || dir.display().to_string();
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).map_err(Error::from).with_context(named)? {
        let entry = entry.map_err(Error::from).with_context(named)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.ends_with(detached::SIGNATURE) {
            files.push((name, bytes(&entry.path())?));
        }
    }
    Ok(files)
}

fn bytes(file: &Path) -> anyhow::Result<Vec<u8>> {
    let blob = Blob::open(file).map_err(Error::from)?;
    blob.to_vec(FILE_LIMIT).map_err(Error::from).with_context(|| file.display().to_string())
}

fn input_error(what: impl Into<String>) -> Error {
    Error::new(ErrorKind::Input, what)
}

//! Whose keys sign.

use clap::{Args, ValueHint};
use std::path::PathBuf;

/// The keys of Secure Boot, and where they are.
#[derive(Args, Debug)]
#[command(next_help_heading = "Secure Boot")]
pub(crate) struct Signing {
    /// Folder with the keys, as `talos-image keys` writes it (more: the manual)
    ///
    /// Each file of it can be named by itself too. With PK.auth, KEK.auth and db.auth in it these
    /// are enrolled; else such are made of the certificate.
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) keys: Option<PathBuf>,

    /// Key that signs systemd-boot and the UKI: PEM, or pkcs11:... where built with that
    #[arg(long, value_name = "KEY", value_hint = ValueHint::FilePath, hide_short_help = true)]
    pub(crate) uki_key: Option<PathBuf>,

    /// Certificate for that key, PEM or DER
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, hide_short_help = true)]
    pub(crate) uki_certificate: Option<PathBuf>,

    /// Key that signs what PCR 11 will hold: PEM, or pkcs11:...
    ///
    /// The public key, where another signs with it.
    #[arg(long, value_name = "KEY", value_hint = ValueHint::FilePath, hide_short_help = true)]
    pub(crate) pcr_key: Option<PathBuf>,

    /// File with the passphrase of encrypted keys, a line feed at its end aside
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, hide_short_help = true)]
    pub(crate) passphrase_file: Option<PathBuf>,

    /// Program that signs: the digest on its stdin, the signature on its stdout
    ///
    /// Words are set apart as in a shell, but there is none. TALOS_IMAGE_SIGN_WHAT, _HASH,
    /// _ALGORITHM and _KEY in its environment say what is signed how, and by the fingerprint of
    /// which public key.
    #[arg(long, value_name = "COMMAND", conflicts_with_all = ["signatures", "unsigned_requests"], hide_short_help = true)]
    pub(crate) signer_command: Option<String>,

    /// How long that program may take for a signature, in seconds [default: 60]
    #[arg(
        long,
        value_name = "SECONDS",
        value_parser = clap::value_parser!(u64).range(1..=86_400),
        requires = "signer_command",
        hide_short_help = true
    )]
    pub(crate) signer_timeout: Option<u64>,

    /// Write what is to be signed elsewhere there, if anything is, instead of the artifact
    ///
    /// Digests, and requests.json that says of each what it is and how OpenSSL signs it. What is
    /// signed can hold signatures itself: until none is missing, build again with --signatures.
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, hide_short_help = true)]
    pub(crate) unsigned_requests: Option<PathBuf>,

    /// Signatures that were made elsewhere
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, hide_short_help = true)]
    pub(crate) signatures: Option<PathBuf>,

    /// Microsoft's certificate to enrol into KEK too, PEM or DER; repeatable
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, hide_short_help = true)]
    pub(crate) microsoft_kek: Vec<PathBuf>,

    /// Microsoft's certificate to enrol into db too, PEM or DER; repeatable
    ///
    /// Cards with firmware of their own are often signed by Microsoft's key: without its
    /// certificate in db they stay dark.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, hide_short_help = true)]
    pub(crate) microsoft_db: Vec<PathBuf>,
}

//! What can be typed: names and help, no logic.
//!
//! `--help` fits a screen: a line for each flag. What a second paragraph says stands in the
//! manual pages alone, and so do the flags hidden here: those of the imager for what is not made
//! yet, which are taken, printed by `profile`, and refused by name when they are built.

mod request;
mod signing;
mod words;

pub(crate) use request::{Customization, Later, Medium, Origins, Request, SecureBoot};
pub(crate) use signing::Signing;

use clap::{ArgAction, Args, Parser, Subcommand, ValueHint};
use std::{num::NonZeroUsize, path::PathBuf};

/// Talos Linux boot media, built offline
///
/// Turns a Talos release and system extensions, taken from OCI artifacts that lie on this machine,
/// into kernels, initramfs, UKIs, ISOs and disk images. Needs no network, no container runtime, no
/// root and no foreign tools; the same inputs give the same bytes.
#[derive(Debug, Parser)]
#[command(
    name = "talos-image",
    version,
    propagate_version = false,
    subcommand_required = true,
    arg_required_else_help = true,
    disable_help_subcommand = true,
    disable_help_flag = true,
    max_term_width = 100,
    after_help = "\
Examples:
  talos-image build iso --talos-version v1.11.2 --source oci:./mirror
  talos-image inspect metal-amd64.iso

Exit codes: 0 done, 1 a bug in talos-image, 2 the request or a file it names is wrong,
3 sound but not supported, 5 a source lacks an image or holds it damaged, 6 reading or
writing failed, 7 the parts do not fit together"
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command takes.
#[derive(Args, Clone, Copy, Debug)]
#[command(next_help_heading = "Global options", next_display_order = 1000)]
pub(crate) struct Global {
    /// One JSON object a line: the result on stdout; progress and errors on stderr
    #[arg(long, global = true)]
    pub(crate) json: bool,

    /// Nothing on stderr but warnings and errors
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,

    /// A line a step instead of moving bars
    #[arg(long, global = true)]
    pub(crate) no_progress: bool,

    /// Threads to work with; they never change the result [default: one a CPU]
    #[arg(long, value_name = "N", global = true, allow_negative_numbers = true)]
    pub(crate) threads: Option<NonZeroUsize>,

    /// This help
    // The short form for both: what fits a screen.
    #[arg(long, short, global = true, action = ArgAction::HelpShort)]
    help: Option<bool>,
}

impl Global {
    /// For arguments that could not be read.
    pub(crate) fn unread(json: bool) -> Self {
        Self { json, quiet: false, no_progress: false, threads: None, help: None }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Build(Box<Build>),
    Profile(Box<Profile>),
    #[command(subcommand)]
    Schematic(Schematic),
    #[command(subcommand)]
    Extensions(Extensions),
    Inspect(Inspect),
    Verify(Verify),
    Extract(Extract),
    Keys(Keys),
    Completions(Completions),
    Man(Man),
}

/// Build a boot medium (talos-image-build(1) tells of every flag)
///
/// Takes a profile, by name or from a file, lays a schematic and the flags over it, finds the
/// images it names in the sources, pins each by digest, and writes one artifact into the output
/// directory: whole, or not at all. What no flag says stays as the profile has it.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  talos-image build iso --talos-version v1.11.2 --source oci:./mirror --extension intel-ucode
  talos-image build metal --out-format raw --talos-version v1.11.2 --source ./m --schematic s.yaml
  talos-image build profile.yaml --source ./mirror --plan")]
pub(crate) struct Build {
    #[command(flatten)]
    pub(crate) request: Request,
    #[command(flatten)]
    pub(crate) origins: Origins,
    #[command(flatten)]
    pub(crate) signing: Signing,
    #[command(flatten)]
    pub(crate) output: Output,

    /// Count warnings as errors, and write nothing
    #[arg(long, help_heading = "Output")]
    pub(crate) strict: bool,
}

/// Where the artifact goes.
#[derive(Args, Debug)]
#[command(next_help_heading = "Output")]
pub(crate) struct Output {
    /// Directory the artifact is written to, made if it is missing [default: .]
    #[arg(long = "output", short = 'o', value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) dir: Option<PathBuf>,

    /// Write the artifact to stdout instead of a file
    #[arg(long, conflicts_with_all = ["dir", "plan"])]
    pub(crate) stdout: bool,

    /// Write a .tar.gz with the artifact to stdout
    ///
    /// And, if --output is given, the artifact there, as the imager does.
    #[arg(long, conflicts_with_all = ["stdout", "plan"])]
    pub(crate) tar_to_stdout: bool,

    /// Print the plan, every input by digest, and stop
    #[arg(long)]
    pub(crate) plan: bool,
}

/// Print a profile, all its gaps filled (talos-image-profile(1) tells of every flag)
///
/// Takes what `build` takes and prints the profile that would be built, byte for byte as the
/// Talos imager prints it. Extensions asked for by name stand in it by reference, so that the
/// imager can build it too. A machine configuration stands in it whole, with its secrets.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  talos-image profile metal --talos-version v1.11.2 --arch arm64
  talos-image profile iso --talos-version v1.11.2 --schematic schematic.yaml --source ./mirror")]
pub(crate) struct Profile {
    #[command(flatten)]
    pub(crate) request: Request,
    #[command(flatten)]
    pub(crate) origins: Origins,
}

/// Name and explain Image Factory schematics
#[derive(Debug, Subcommand)]
#[command(
    disable_help_subcommand = true,
    after_help = "\
Example:
  talos-image schematic show schematic.yaml"
)]
pub(crate) enum Schematic {
    /// Print a schematic's ID, as Image Factory gives it
    #[command(after_help = "\
Example:
  talos-image schematic id schematic.yaml")]
    Id(SchematicFile),

    /// Say what a schematic does, and to which outputs
    #[command(after_help = "\
Example:
  talos-image schematic show schematic.yaml")]
    Show(SchematicFile),
}

/// A schematic to read.
#[derive(Args, Debug)]
pub(crate) struct SchematicFile {
    /// Schematic, as YAML or JSON; - for stdin
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) file: PathBuf,
}

/// Look into the catalogue of official extensions
#[derive(Debug, Subcommand)]
#[command(
    disable_help_subcommand = true,
    after_help = "\
Example:
  talos-image extensions list --talos-version v1.11.2 --source oci:./mirror"
)]
pub(crate) enum Extensions {
    List(List),
}

/// List the official extensions of a Talos version
///
/// Reads the image siderolabs/extensions of that version out of the sources: the names that
/// `--extension` and schematics take, each with its version, its tier of support and what it is.
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  talos-image extensions list --talos-version v1.11.2 --source oci:./mirror")]
pub(crate) struct List {
    /// Talos version, such as v1.11.2
    #[arg(long, value_name = "VERSION", value_parser = words::versions(), hide_possible_values = true)]
    pub(crate) talos_version: String,

    /// oci:DIR, oci-archive:FILE, docker-archive:FILE or a path; repeatable
    #[arg(long, value_name = "SOURCE", value_hint = ValueHint::AnyPath)]
    pub(crate) source: Vec<String>,
}

/// Say what a boot medium is and what is in it
///
/// Opens disk images, ISOs, UKIs, kernels, initramfs and command lines, whoever made them: their
/// partitions, files, sections, command lines, extensions and CPU microcode.
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  talos-image inspect metal-amd64.iso metal-amd64.raw
  talos-image inspect --pcrs metal-amd64.iso")]
pub(crate) struct Inspect {
    /// Medium to look into
    #[arg(required = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) files: Vec<PathBuf>,

    /// Say what a TPM will hold after booting it, and what of that is signed
    #[arg(long)]
    pub(crate) pcrs: bool,
}

/// Say whether firmware with Secure Boot starts a medium
///
/// Goes through the UEFI programs that boot in ISOs, disk images and UKIs, or a program alone:
/// whether each is signed, is what was signed, and is signed by whom the firmware trusts. Where a
/// UKI has signatures for the TPM, they have to hold too. As firmware does, this asks neither the
/// time nor what a certificate may be used for. If anything is wrong, the exit code is 2.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  talos-image verify metal-amd64-secureboot.iso --db keys
  talos-image verify metal-amd64-secureboot-uki.efi --certificate uki-signing-cert.pem")]
pub(crate) struct Verify {
    /// Medium to look into
    #[arg(required = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) files: Vec<PathBuf>,

    /// Certificate that the firmware trusts, PEM or DER; repeatable
    ///
    /// Without it and --db each medium is held against the db that it has firmware enrol itself:
    /// whether it fits together. Whether a machine trusts it is another matter.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) certificate: Vec<PathBuf>,

    /// What the firmware has in db: an .auth file, a signature list, a folder of keys; repeatable
    #[arg(long, value_name = "FILE", value_hint = ValueHint::AnyPath)]
    pub(crate) db: Vec<PathBuf>,
}

/// Take parts out of a boot medium
///
/// Without PART and --all, lists the parts with their sizes.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  talos-image extract metal-amd64.iso
  talos-image extract metal-amd64.iso kernel esp/EFI --output parts")]
pub(crate) struct Extract {
    /// Medium to take from
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) file: PathBuf,

    /// Part by name, such as kernel or esp/EFI/BOOT; a directory stands for all below it
    #[arg(value_name = "PART")]
    pub(crate) parts: Vec<String>,

    /// Take every part
    #[arg(long, conflicts_with = "parts")]
    pub(crate) all: bool,

    /// Directory the parts are written to, made if it is missing
    #[arg(long, short, value_name = "DIR", default_value = ".", value_hint = ValueHint::DirPath)]
    pub(crate) output: PathBuf,

    /// Write the part to stdout instead of a file
    #[arg(long, conflicts_with_all = ["all", "output"], requires = "parts")]
    pub(crate) stdout: bool,
}

/// Make the keys of Secure Boot and measured boot
///
/// Writes the UKI signing key with its certificate, the PCR signing key, and the signed variables
/// PK, KEK and db that have the firmware trust that certificate, under the names of `talosctl gen
/// secureboot`. All of them or none; what is there is never overwritten. Only their owner can read
/// the keys, which are not encrypted. The dates are the clock's.
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  talos-image keys _out/secureboot --common-name 'Example Secure Boot'")]
pub(crate) struct Keys {
    /// Directory the files are written to, made if it is missing
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) dir: PathBuf,

    /// Whom the certificate names
    #[arg(long, value_name = "NAME", default_value = "UKI Signing Key")]
    pub(crate) common_name: String,

    /// How long the certificate holds
    #[arg(
        long,
        value_name = "DAYS",
        default_value_t = 3650,
        value_parser = clap::value_parser!(u64).range(1..=365_000),
        allow_negative_numbers = true
    )]
    pub(crate) days: u64,

    /// Kind of the UKI signing key
    ///
    /// All firmware takes rsa2048. Firmware made of EDK II refuses variables with a certificate of
    /// p256. The PCR signing key is always rsa2048, since a TPM has to check what it signs.
    #[arg(long, value_name = "TYPE", value_enum, default_value = "rsa4096")]
    pub(crate) key_type: KeyKind,

    /// Microsoft's certificate to put into KEK, PEM or DER; repeatable
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) microsoft_kek: Vec<PathBuf>,

    /// Microsoft's certificate to put into db, PEM or DER; repeatable
    ///
    /// Cards with firmware of their own are often signed by Microsoft's key: without its
    /// certificate in db they stay dark.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) microsoft_db: Vec<PathBuf>,
}

/// What key to make.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum KeyKind {
    Rsa2048,
    Rsa3072,
    Rsa4096,
    P256,
}

/// Print a shell's completion script
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  talos-image completions bash > /etc/bash_completion.d/talos-image")]
pub(crate) struct Completions {
    /// Shell to write it for
    pub(crate) shell: clap_complete::Shell,
}

/// Write the manual pages, one a command
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  talos-image man /usr/local/share/man/man1")]
pub(crate) struct Man {
    /// Directory the pages are written to, made if it is missing
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) dir: PathBuf,
}

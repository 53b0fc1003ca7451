//! What can be typed: names and help, no logic.

use clap::{Args, Parser, Subcommand, ValueHint};
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
    max_term_width = 100,
    after_long_help = "\
Exit codes:
  0  done
  1  a bug in talos-image
  2  the request, or a file it names, is wrong
  3  the request is sound, but not supported
  5  a source lacks an image, or holds it damaged
  6  reading or writing failed
  7  the parts do not fit together"
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
    #[arg(long, value_name = "N", global = true)]
    pub(crate) threads: Option<NonZeroUsize>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Build(Box<Build>),
    Inspect(Inspect),
    Extract(Extract),
    Completions(Completions),
    Man(Man),
}

/// Build a boot medium
///
/// Takes a profile, by name or from a file, lays the flags over it, finds the images it names in the
/// sources, pins each by digest, and writes one artifact into the output directory: whole, or not
/// at all. What no flag says stays as the profile has it.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  A bare-metal ISO out of a directory of mirrored images:
    talos-image build iso --talos-version v1.11.2 --source oci:./mirror

  A disk image with an extension and a serial console:
    talos-image build metal --out-format raw --talos-version v1.11.2 \\
      --source oci-archive:release.tar \\
      --system-extension-image registry.example/siderolabs/intel-ucode:20250812 \\
      --extra-kernel-arg console=ttyS0

  What would be built, and from which digests:
    talos-image build profile.yaml --source ./mirror --plan")]
pub(crate) struct Build {
    /// Base profile (such as iso, metal, metal-uki), profile file (FILE.yaml), or - for stdin
    #[arg(value_name = "PROFILE", value_hint = ValueHint::FilePath)]
    pub(crate) profile: String,

    #[command(flatten)]
    pub(crate) what: What,
    #[command(flatten)]
    pub(crate) sources: Sources,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// What is built: the Talos imager's flags, and the profile's fields.
#[derive(Args, Debug)]
#[command(next_help_heading = "What to build")]
pub(crate) struct What {
    /// Talos version, such as v1.11.2
    #[arg(long, value_name = "VERSION")]
    pub(crate) talos_version: Option<String>,

    /// Architecture to build for [default: the profile's, else this machine's]
    #[arg(long, value_parser = ["amd64", "arm64"])]
    pub(crate) arch: Option<String>,

    /// Platform: metal
    #[arg(long)]
    pub(crate) platform: Option<String>,

    /// Kind of output: iso, image, uki, kernel, initramfs, cmdline
    #[arg(long, value_name = "KIND")]
    pub(crate) output_kind: Option<String>,

    /// Kernel argument to add, or with a leading - to take away; may be repeated
    #[arg(long, value_name = "ARG", allow_hyphen_values = true)]
    pub(crate) extra_kernel_arg: Vec<String>,

    /// META value, such as 0xa=text; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) meta: Vec<String>,

    /// System extension, by image reference; may be repeated, and keeps its order
    #[arg(long, value_name = "REF")]
    pub(crate) system_extension_image: Vec<String>,

    /// Size of the disk image: bytes, or with KiB, MiB, GiB
    ///
    /// As in the imager, Talos 1.11 and later get 1000 MiB more, for a larger EFI system partition.
    #[arg(long, value_name = "SIZE", help_heading = "Disk image")]
    pub(crate) disk_size: Option<String>,

    /// Format of the disk image: raw
    #[arg(long, value_name = "FORMAT", help_heading = "Disk image")]
    pub(crate) disk_format: Option<String>,

    /// Options of the disk format, as in the profile
    #[arg(long, value_name = "OPTIONS", help_heading = "Disk image")]
    pub(crate) disk_format_options: Option<String>,

    /// Logical sector size of the disk image in bytes: 512 or 4096
    #[arg(long, value_name = "BYTES", help_heading = "Disk image")]
    pub(crate) disk_sector_size: Option<u32>,

    /// Boot loader of a disk image or ISO: sd-boot
    #[arg(long, value_name = "LOADER", help_heading = "Disk image")]
    pub(crate) bootloader: Option<String>,

    /// Packing of the artifact: raw is none
    #[arg(long, value_name = "FORMAT", help_heading = "Disk image")]
    pub(crate) out_format: Option<String>,

    /// Picture for the UKI to show, a BMP [default: none]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) splash: Option<PathBuf>,

    /// Time all stamps in the artifact say, in seconds since 1970 [default: 0]
    #[arg(
        long,
        value_name = "SECONDS",
        env = "SOURCE_DATE_EPOCH",
        hide_env_values = true,
        allow_negative_numbers = true
    )]
    pub(crate) epoch: Option<u64>,
}

/// What it is built from.
#[derive(Args, Debug)]
#[command(next_help_heading = "Where the parts lie")]
pub(crate) struct Sources {
    /// Where images lie; may be repeated, and is searched in order
    ///
    /// oci:DIR is an OCI layout directory, oci-archive:FILE a tar of one, docker-archive:FILE what
    /// `docker save` writes; a bare path is told apart by its content.
    #[arg(long, value_name = "SOURCE", value_hint = ValueHint::AnyPath)]
    pub(crate) source: Vec<String>,

    /// Image that holds the release's boot assets [default: siderolabs/imager of the Talos version]
    #[arg(long, value_name = "REF")]
    pub(crate) release_image: Option<String>,

    /// Kernel instead of the release's
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) kernel: Option<PathBuf>,

    /// Initramfs instead of the release's
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) initramfs: Option<PathBuf>,

    /// systemd-stub instead of the release's
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) sd_stub: Option<PathBuf>,

    /// systemd-boot instead of the release's
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) sd_boot: Option<PathBuf>,
}

/// Where the artifact goes.
#[derive(Args, Debug)]
#[command(next_help_heading = "Output")]
pub(crate) struct Output {
    /// Directory the artifact is written to, made if it is missing
    #[arg(
        long = "output",
        short = 'o',
        value_name = "DIR",
        default_value = ".",
        value_hint = ValueHint::DirPath
    )]
    pub(crate) dir: PathBuf,

    /// Write the artifact to stdout instead of a file
    #[arg(long, conflicts_with_all = ["dir", "plan"])]
    pub(crate) stdout: bool,

    /// Print the plan, every input by digest, and stop
    #[arg(long)]
    pub(crate) plan: bool,
}

/// Say what a boot medium is and what is in it
///
/// Opens disk images, ISOs, UKIs, kernels, initramfs and command lines, whoever made them: their
/// partitions, files, sections, command lines, extensions and CPU microcode.
#[derive(Args, Debug)]
pub(crate) struct Inspect {
    /// Medium to look into
    #[arg(required = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) files: Vec<PathBuf>,
}

/// Take parts out of a boot medium
///
/// Without PART and --all, lists the parts with their sizes.
#[derive(Args, Debug)]
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

/// Print a shell's completion script
#[derive(Args, Debug)]
pub(crate) struct Completions {
    /// Shell to write it for
    pub(crate) shell: clap_complete::Shell,
}

/// Write the manual pages, one a command
#[derive(Args, Debug)]
pub(crate) struct Man {
    /// Directory the pages are written to, made if it is missing
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) dir: PathBuf,
}

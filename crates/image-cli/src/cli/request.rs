//! What is built and from what: the Talos imager's flags, and ours beside them.

use super::words;
use clap::{Args, ValueHint};
use std::path::PathBuf;

/// What is built.
#[derive(Args, Debug)]
pub(crate) struct Request {
    /// Base profile (such as iso, metal, metal-uki), profile file (FILE.yaml), or - for stdin
    ///
    /// A name without a directory that does not end in .yaml or .yml is a base profile.
    #[arg(
        value_name = "PROFILE",
        value_hint = ValueHint::FilePath,
        value_parser = words::profiles(),
        hide_possible_values = true
    )]
    pub(crate) profile: String,

    #[command(flatten)]
    pub(crate) medium: Medium,
    #[command(flatten)]
    pub(crate) customization: Customization,
    #[command(flatten)]
    pub(crate) secure_boot: SecureBoot,
    #[command(flatten)]
    pub(crate) later: Later,
}

/// Which medium.
#[derive(Args, Debug)]
#[command(next_help_heading = "What to build")]
pub(crate) struct Medium {
    /// Talos version, such as v1.11.2
    #[arg(long, value_name = "VERSION", value_parser = words::versions(), hide_possible_values = true)]
    pub(crate) talos_version: Option<String>,

    /// amd64 or arm64 [default: the profile's, else this machine's]
    #[arg(long, value_parser = ["amd64", "arm64"], hide_possible_values = true)]
    pub(crate) arch: Option<String>,

    /// Platform the machine runs on, such as metal, nocloud, vmware
    #[arg(long, value_parser = words::platforms(), hide_possible_values = true)]
    pub(crate) platform: Option<String>,

    /// iso, image, uki, installer, kernel, initramfs or cmdline
    #[arg(long, value_name = "KIND", value_parser = words::output_kinds(), hide_possible_values = true)]
    pub(crate) output_kind: Option<String>,

    /// Packing of the artifact: .zst, .xz, .gz, .tar.gz; raw is none
    #[arg(long, value_name = "FORMAT", value_parser = words::out_formats(), hide_possible_values = true)]
    pub(crate) out_format: Option<String>,

    /// How hard packing tries: a level of its own, or max, as the imager does
    ///
    /// 1 to 19 for .zst, 0 to 9 for .xz, 1 to 9 for .gz and .tar.gz. What is packed already, as a kernel and
    /// an initramfs are, is not packed again at any level.
    #[arg(long, value_name = "LEVEL", hide_short_help = true)]
    pub(crate) compression_level: Option<String>,

    /// What boots an ISO or a disk image: dual-boot, sd-boot or grub
    #[arg(long, value_name = "LOADER", value_parser = words::bootloaders(), hide_possible_values = true)]
    pub(crate) bootloader: Option<String>,

    /// Size of the disk image: bytes, or with KiB, MiB, GiB
    ///
    /// As in the imager, Talos 1.11 and later get 1000 MiB more, for a larger EFI system partition.
    #[arg(long, value_name = "SIZE", allow_negative_numbers = true)]
    pub(crate) disk_size: Option<String>,

    /// Format of the disk image: raw, qcow2, vhd or ova
    #[arg(long, value_name = "FORMAT", value_parser = words::disk_formats(), hide_possible_values = true)]
    pub(crate) disk_format: Option<String>,

    /// Options of the disk format, such as cluster_size=8k
    ///
    /// As qemu-img takes them. qcow2: cluster_size, compression_type (zlib or zstd: the clusters are
    /// compressed); vhd: subformat=fixed, force_size (exact, as Azure asks, not whole cylinders).
    #[arg(long, value_name = "OPTIONS", hide_short_help = true)]
    pub(crate) disk_format_options: Option<String>,

    /// Logical sector size of the disk image in bytes: 512 or 4096
    #[arg(long, value_name = "BYTES", allow_negative_numbers = true)]
    pub(crate) disk_sector_size: Option<u32>,
}

/// What differs from a plain Talos.
#[derive(Args, Debug)]
#[command(next_help_heading = "What to put in")]
pub(crate) struct Customization {
    /// Official extension, by name; repeatable
    ///
    /// Found through siderolabs/extensions of the Talos version. In the order given, behind those
    /// given by reference.
    #[arg(long, value_name = "NAME")]
    pub(crate) extension: Vec<String>,

    /// Any system extension, by image reference; repeatable
    ///
    /// In the order given, behind the profile's and the schematic's.
    #[arg(long, value_name = "REF")]
    pub(crate) system_extension_image: Vec<String>,

    /// Image Factory schematic to apply, as YAML or JSON
    ///
    /// As the factory applies it to this kind of output. The medium carries the schematic's ID, by
    /// which nodes know it.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) schematic: Option<PathBuf>,

    /// Factory it is said to be from [default: the public one]
    ///
    /// Its URL stands in the medium: nodes are told by it where their schematic is known.
    #[arg(long, value_name = "URL", requires = "schematic", hide_short_help = true)]
    pub(crate) factory_url: Option<String>,

    /// Kernel argument to add, or -argument to take away; repeatable
    #[arg(long, value_name = "ARG", allow_hyphen_values = true)]
    pub(crate) extra_kernel_arg: Vec<String>,

    /// META value, such as 0xa=text, or by name; repeatable
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) meta: Vec<String>,

    /// Machine configuration to build in (Talos 1.12 and later)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) embedded_config_path: Option<PathBuf>,

    /// Picture for the UKI to show, a BMP [default: none]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, hide_short_help = true)]
    pub(crate) splash: Option<PathBuf>,

    /// Seconds since 1970 for every date in it [default: $SOURCE_DATE_EPOCH, else 0]
    #[arg(
        long,
        value_name = "SECONDS",
        env = "SOURCE_DATE_EPOCH",
        hide_env = true,
        allow_negative_numbers = true,
        value_parser = words::seconds
    )]
    pub(crate) epoch: Option<u64>,
}

/// What it is built from.
#[derive(Args, Debug)]
#[command(next_help_heading = "Where the parts lie")]
pub(crate) struct Origins {
    /// oci:DIR, oci-archive:FILE, docker-archive:FILE or a path; repeatable
    ///
    /// An OCI layout directory, a tar of one, what `docker save` writes; a bare path is told apart
    /// by its content. Sources are searched in order.
    #[arg(long, value_name = "SOURCE", value_hint = ValueHint::AnyPath)]
    pub(crate) source: Vec<String>,

    /// Image with the boot assets [default: siderolabs/imager:VERSION]
    #[arg(long, value_name = "REF")]
    pub(crate) release_image: Option<String>,

    /// Kernel instead of the release's
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) kernel: Option<PathBuf>,

    /// Initramfs instead of the release's
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) initramfs: Option<PathBuf>,

    /// systemd-stub instead of the release's
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, hide_short_help = true)]
    pub(crate) sd_stub: Option<PathBuf>,

    /// systemd-boot instead of the release's
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, hide_short_help = true)]
    pub(crate) sd_boot: Option<PathBuf>,
}

/// The imager's flags for what is not made yet, and for installers.
#[derive(Args, Debug)]
#[command(next_help_heading = "Installers and overlays")]
pub(crate) struct Later {
    /// Talk to the registries of the images named here without TLS
    #[arg(long, hide_short_help = true)]
    pub(crate) insecure: bool,

    /// Installer image to start from
    #[arg(long, value_name = "REF", hide_short_help = true)]
    pub(crate) base_installer_image: Option<String>,

    /// Form of the installer image: docker-archive or oci-archive [default: docker-archive]
    #[arg(long, value_name = "FORMAT", value_parser = ["docker-archive", "oci-archive"], hide_possible_values = true, hide_short_help = true)]
    pub(crate) container_format: Option<String>,

    /// Container images to carry along: an image, or an OCI layout
    #[arg(long, value_name = "REF|DIR", hide_short_help = true)]
    pub(crate) image_cache: Option<String>,

    /// Overlay of a single-board computer, by image reference
    #[arg(long, value_name = "REF", hide_short_help = true)]
    pub(crate) overlay_image: Option<String>,

    /// The overlay's name
    #[arg(long, value_name = "NAME", hide_short_help = true)]
    pub(crate) overlay_name: Option<String>,

    /// What the overlay's installer is told: key=value, key=@FILE or @FILE.yaml; repeatable
    #[arg(long, value_name = "OPTION", hide_short_help = true)]
    pub(crate) overlay_option: Vec<String>,
}

/// The imager's flags for Secure Boot.
#[derive(Args, Debug)]
#[command(next_help_heading = "Secure Boot")]
pub(crate) struct SecureBoot {
    /// Enrol Microsoft's certificates too
    #[arg(long, hide_short_help = true)]
    pub(crate) secureboot_include_well_known_certs: bool,

    /// When systemd-boot enrols the Secure Boot keys
    #[arg(long, value_name = "WHEN", value_parser = words::enroll_keys(), hide_short_help = true)]
    pub(crate) secureboot_enroll_keys: Option<String>,

    /// The Secure Boot signer's unix:// address
    #[arg(long, value_name = "ADDRESS", hide_short_help = true)]
    pub(crate) secureboot_signer_address: Option<String>,

    /// The PCR signer's unix:// address
    #[arg(long, value_name = "ADDRESS", hide_short_help = true)]
    pub(crate) pcr_signer_address: Option<String>,
}

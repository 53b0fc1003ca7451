//! From a request to a plan: every input pinned, every name, size, GUID and date decided.
//!
//! [`resolve`] looks the inputs up; it and [`catalogue`], which pins official extensions by their
//! names, are the only places that see a tag. [`Plan::new`] is pure: the same request and inputs
//! give the same plan. A [`Plan`] is plain data that holds all that is needed and nothing else;
//! print it, store it, compare it.

mod boot;
mod catalogue;
mod decide;
mod disk;
mod disk_format;
mod installer;
mod iso;
mod make;
mod packing;
mod resolve;
mod secure_boot;
mod seed;

pub use catalogue::catalogue;
pub use disk_format::DiskFormat;
pub use packing::{Effort, Packing};
pub use resolve::{Inputs, resolve};

use crate::{
    blob::Digest,
    formats::{
        certificate::Certificate,
        grub::Platform,
        oci::{Descriptor, Reference},
        xfs,
    },
    talos::{
        Arch, TalosVersion,
        extension::VirtualExtension,
        meta::{self, MetaValue},
    },
};
use serde::{Serialize, Serializer};
use std::path::PathBuf;
use uuid::Uuid;

/// What is asked beside the profile.
#[derive(Clone, Debug, Default)]
pub struct Choices {
    /// The image with the boot assets, instead of `siderolabs/imager:<version>`.
    pub release_image: Option<Reference>,
    /// The picture that systemd-stub shows while it boots (a BMP file).
    pub splash: Option<PathBuf>,
    /// The extension that tells a node of what schematic its image was made.
    pub schematic: Option<VirtualExtension>,
    /// Whose signatures firmware and TPM are to trust.
    pub keys: Keys,
    /// How an installer is packed, if one is made.
    pub container_format: Option<ContainerFormat>,
    /// How hard packing tries.
    pub effort: Effort,
    /// The one date in the image, in seconds since 1970-01-01 UTC.
    pub epoch: u64,
}

/// The public halves of the keys that sign media for Secure Boot.
#[derive(Clone, Debug, Default)]
pub struct Keys {
    /// The certificate for the key that signs systemd-boot and the unified kernel image, and the
    /// orders to enrol it.
    pub uki: Option<Certificate>,
    /// The [fingerprint](crate::formats::pcr::fingerprint) of the key that signs what PCR 11 will
    /// hold.
    pub pcr: Option<Digest>,
    /// Microsoft's certificates to enrol into KEK beside ours, PEM or DER.
    pub microsoft_kek: Vec<PathBuf>,
    /// Microsoft's certificates to enrol into db beside ours, PEM or DER.
    pub microsoft_db: Vec<PathBuf>,
}

/// Exactly what will be made.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// The artifact's name.
    pub file_name: String,
    /// Talos's version.
    pub talos_version: TalosVersion,
    /// The machine's architecture.
    pub arch: Arch,
    /// The one date in the image, in seconds since 1970-01-01 UTC.
    pub epoch: u64,
    /// The image that boot assets are read from, unless all that are needed are files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub release: Option<Image>,
    /// What is made, and out of what.
    pub output: Output,
    /// How it is packed, unless it stays as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub packing: Option<Packing>,
    /// What a user should know that is no error.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// A container image, pinned.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Image {
    /// The name it was asked for by, with its manifest's digest.
    pub reference: Reference,
    /// Its manifest's digest.
    pub digest: Digest,
    /// Its layers, the lowest first.
    pub layers: Vec<Descriptor>,
}

/// Where a boot asset is read from.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Asset {
    /// A file of this machine.
    File(PathBuf),
    /// A path in the release image.
    Release(String),
}

/// What is made, with all that goes into it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum Output {
    /// The kernel, as it is.
    Kernel(Asset),
    /// The initramfs with the extensions.
    Initramfs(Initramfs),
    /// The kernel command line, without a line feed.
    Cmdline(String),
    /// The unified kernel image.
    Uki(Uki),
    /// An ISO 9660 image.
    Iso(Iso),
    /// A GPT disk.
    Disk(Disk),
    /// A container image that installs Talos.
    Installer(Installer),
}

/// The initramfs: the release's, and what extensions add.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Initramfs {
    /// The release's initramfs, which stays as it is.
    pub base: Asset,
    /// The extensions in layer order.
    pub extensions: Vec<Extension>,
    /// depmod's configuration, should an extension have kernel modules. The release need not
    /// have it: what all releases say holds then, and where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub depmod_config: Option<Asset>,
}

/// A system extension.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Extension {
    /// How it was asked for.
    pub name: String,
    /// Where it is read from.
    pub source: ExtensionSource,
}

/// Where an extension is read from.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum ExtensionSource {
    /// An image of the sources.
    Image(Image),
    /// An image of an OCI layout of its own.
    Layout {
        /// The layout's directory.
        path: PathBuf,
        /// The image.
        image: Image,
    },
    /// A tar archive of the unpacked image.
    Tarball(PathBuf),
    /// Nowhere: it is made for this image. Printed without what it holds.
    Virtual(VirtualExtension),
}

/// A unified kernel image.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Uki {
    /// systemd-stub.
    pub stub: Asset,
    /// The kernel.
    pub kernel: Asset,
    /// The initramfs.
    pub initramfs: Initramfs,
    /// The command line of the main profile.
    pub cmdline: String,
    /// `.osrel`.
    pub os_release: String,
    /// `.splash`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub splash: Option<PathBuf>,
    /// The profiles beside the main one.
    pub profiles: Vec<Profile>,
    /// The fingerprint of the key that signs what PCR 11 will hold, for `.pcrsig`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pcr_key: Option<Digest>,
    /// Who signs it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signed_by: Option<SignedBy>,
}

/// The certificate for the key that signs something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SignedBy {
    /// Whom it names.
    pub subject: String,
    /// SHA-256 of the certificate in DER.
    pub certificate: Digest,
}

/// What an EFI system partition has for Secure Boot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SecureBoot {
    /// Who signs systemd-boot.
    pub signed_by: SignedBy,
    /// What systemd-boot has the firmware trust.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enrolment: Option<Enrolment>,
    /// Where the certificate stands, for a person to enrol it in the firmware's menu.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate_path: Option<String>,
}

/// The signed orders to set PK, KEK and db.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Enrolment {
    /// Files of this machine: `PK.auth`, `KEK.auth`, `db.auth`.
    Files([PathBuf; 3]),
    /// Made, and signed by whom systemd-boot is signed by.
    Made {
        /// Whom the certificate in them belongs to.
        owner: Uuid,
        /// Microsoft's certificates in KEK beside it.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        microsoft_kek: Vec<PathBuf>,
        /// Microsoft's certificates in db beside it.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        microsoft_db: Vec<PathBuf>,
    },
}

/// A boot profile of a unified kernel image.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Profile {
    /// `ID=`.
    pub id: String,
    /// `TITLE=`.
    pub title: String,
    /// Its command line.
    pub cmdline: String,
}

/// An EFI system partition with systemd-boot and a unified kernel image.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Esp {
    /// systemd-boot.
    pub boot_manager: Asset,
    /// Where firmware looks for it.
    pub boot_path: String,
    /// Where systemd-boot looks for the unified kernel image.
    pub uki_path: String,
    /// `loader/loader.conf`.
    pub loader_conf: String,
    /// Whether there is a read-only `loader/random-seed`, so that systemd-boot writes none.
    pub random_seed: bool,
    /// What it has for Secure Boot, if it is for that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secure_boot: Option<SecureBoot>,
    /// The FAT volume serial number.
    pub volume_id: u32,
    /// Its size in bytes; none if it is as large as its content.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
}

/// A GRUB core image.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GrubCore {
    /// What starts it.
    #[serde(serialize_with = "as_text")]
    pub platform: Platform,
    /// The directory of GRUB's files in the release image.
    pub directory: String,
    /// The modules asked for; those they need come with them.
    pub modules: Vec<String>,
    /// Where it finds its own directory.
    pub prefix: String,
    /// What it does first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<String>,
}

/// An EFI system partition with GRUB.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GrubEsp {
    /// GRUB as a UEFI program.
    pub core: GrubCore,
    /// Where firmware looks for it.
    pub boot_path: String,
    /// The FAT volume serial number.
    pub volume_id: u32,
    /// Its size in bytes; none if it is as large as its content.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
}

/// GRUB's files on a medium, and GRUB for a BIOS.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Grub {
    /// GRUB for a BIOS, where the architecture has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bios: Option<GrubCore>,
    /// Where the kernel stands.
    pub kernel_path: String,
    /// Where the initramfs stands.
    pub initramfs_path: String,
    /// Where GRUB's configuration stands.
    pub config_path: String,
    /// GRUB's configuration.
    pub config: String,
}

/// What boots a medium.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "camelCase", tag = "bootloader")]
pub enum Boot {
    /// systemd-boot, on UEFI.
    SdBoot {
        /// The unified kernel image.
        uki: Uki,
        /// The EFI system partition it stands in.
        esp: Esp,
    },
    /// systemd-boot on UEFI, GRUB on a BIOS, both with the same kernel and initramfs.
    DualBoot {
        /// The unified kernel image.
        uki: Uki,
        /// The EFI system partition it stands in.
        esp: Esp,
        /// What a BIOS boots.
        grub: Grub,
    },
    /// GRUB.
    Grub {
        /// The kernel.
        kernel: Asset,
        /// The initramfs.
        initramfs: Initramfs,
        /// GRUB for UEFI.
        esp: GrubEsp,
        /// GRUB for a BIOS, and what both start.
        grub: Grub,
    },
}

/// An ISO that boots as a CD and, written to a stick, as a disk.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Iso {
    /// What boots it.
    #[serde(flatten)]
    pub boot: Boot,
    /// An empty file, by whose name GRUB for UEFI knows the ISO among other disks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub marker_path: Option<String>,
    /// ISO 9660 volume identifier.
    pub volume_id: String,
    /// ISO 9660 volume set identifier.
    pub volume_set_id: String,
    /// Its GUID when it is a disk.
    pub disk_guid: Uuid,
    /// The GUID of the partition with the EFI system partition.
    pub esp_guid: Uuid,
    /// The GUID of the partition with the ISO 9660 volume.
    pub volume_guid: Uuid,
}

/// The partition BOOT, an XFS volume with GRUB's files.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BootVolume {
    /// The volume's label.
    pub label: String,
    /// The volume's UUID.
    pub uuid: Uuid,
    /// The kernel whose features the volume has.
    #[serde(serialize_with = "as_text")]
    pub features: xfs::Kernel,
    /// Its size in bytes.
    pub size: u64,
}

/// A container image that installs Talos: a base image, and what it installs.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Installer {
    /// The image below.
    pub base: BaseInstaller,
    /// What it installs.
    pub boot: InstallerBoot,
    /// How the image is packed into one file.
    #[serde(serialize_with = "as_text")]
    pub format: ContainerFormat,
}

/// The image an installer starts from.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BaseInstaller {
    /// The name it was asked for by, which the installer has too.
    pub name: String,
    /// The image, with the layers that are taken over.
    #[serde(flatten)]
    pub image: Image,
    /// Its configuration.
    pub config: Descriptor,
    /// The directory of an OCI layout of its own, where it is not among the sources.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layout: Option<PathBuf>,
}

/// What an installer installs.
#[expect(clippy::large_enum_variant, reason = "a plan has one of them")]
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "camelCase", tag = "bootloader")]
pub enum InstallerBoot {
    /// systemd-boot and a unified kernel image.
    SdBoot {
        /// The unified kernel image.
        uki: Uki,
        /// Where it stands in the container.
        uki_path: String,
        /// systemd-boot.
        boot_manager: Asset,
        /// Where it stands in the container.
        boot_manager_path: String,
    },
    /// What GRUB starts; the base image has GRUB itself.
    Grub {
        /// The kernel.
        kernel: Asset,
        /// Where it stands in the container.
        kernel_path: String,
        /// The initramfs.
        initramfs: Initramfs,
        /// Where it stands in the container.
        initramfs_path: String,
    },
}

/// How a container image is packed into one file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ContainerFormat {
    /// As `docker save` writes it.
    #[default]
    DockerArchive,
    /// A tar of an OCI image layout.
    OciArchive,
}

impl ContainerFormat {
    /// Both of them.
    pub const ALL: [Self; 2] = [Self::DockerArchive, Self::OciArchive];

    /// Its name, which is skopeo's.
    pub fn name(self) -> &'static str {
        match self {
            Self::DockerArchive => "docker-archive",
            Self::OciArchive => "oci-archive",
        }
    }
}

impl std::fmt::Display for ContainerFormat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// A disk that Talos boots from.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Disk {
    /// The format of its file.
    #[serde(skip_serializing_if = "DiskFormat::is_raw")]
    pub format: DiskFormat,
    /// What boots it.
    #[serde(flatten)]
    pub boot: Boot,
    /// The partition BOOT, if GRUB is one of the bootloaders.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub boot_volume: Option<BootVolume>,
    /// The disk's size in bytes.
    pub size: u64,
    /// Bytes in a sector.
    pub sector_size: u32,
    /// The disk's GUID.
    pub guid: Uuid,
    /// Its partitions in order.
    pub partitions: Vec<Partition>,
}

/// A partition of a disk.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Partition {
    /// Partition name.
    pub label: String,
    /// Partition type.
    pub type_guid: Uuid,
    /// The partition's own GUID.
    pub guid: Uuid,
    /// Attribute bits.
    #[serde(skip_serializing_if = "is_zero")]
    pub attributes: u64,
    /// Its first byte on the disk.
    pub start: u64,
    /// Size in bytes.
    pub size: u64,
    /// What it holds.
    pub content: Content,
}

/// What a partition holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Content {
    /// The EFI system partition of the plan.
    Esp,
    /// GRUB for a BIOS.
    Bios,
    /// The partition BOOT of the plan.
    Boot,
    /// META values. Printed without what is secret of them.
    Meta(#[serde(serialize_with = "without_secrets")] Vec<MetaValue>),
    /// Zeros: Talos fills it when it first boots.
    Zeros,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_zero(attributes: &u64) -> bool {
    *attributes == 0
}

fn as_text<T: std::fmt::Display, S: Serializer>(
    value: &T,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

fn without_secrets<S: Serializer>(values: &[MetaValue], serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Shown<'a> {
        key: u8,
        #[serde(skip_serializing_if = "Option::is_none")]
        value: Option<&'a str>,
    }

    serializer.collect_seq(values.iter().map(|MetaValue { key, value }| Shown {
        key: *key,
        value: (!meta::is_secret(*key)).then_some(value),
    }))
}

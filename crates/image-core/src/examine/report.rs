//! What examining a medium yields: plain data, for a program or for a person.
//!
//! All sizes and offsets are in bytes unless a field says otherwise.

use crate::blob::Digest;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// What a file is, and what is in it.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Size of the file.
    pub size: u64,
    /// SHA-256 of the file.
    pub digest: Digest,
    /// What the medium is in, if it is a virtual machine's disk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<Container>,
    /// Who signed it, where it is a UEFI program.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signatures: Option<Vec<Signature>>,
    /// What it is.
    #[serde(flatten)]
    pub medium: Medium,
}

/// A virtual machine's disk.
#[derive(Clone, Debug, Serialize)]
pub struct Container {
    /// `qcow2`, `vhd`, `vmdk`, or `ova`, an archive with a vmdk.
    pub format: &'static str,
    /// How long the disk is that a machine sees.
    pub virtual_size: u64,
    /// The unit it is allocated in: a cluster of a qcow2, a grain of a vmdk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster_size: Option<u64>,
}

/// The kinds of boot media.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
#[non_exhaustive]
pub enum Medium {
    /// A GPT disk image.
    Disk(Disk),
    /// An ISO 9660 image.
    Iso(Iso),
    /// A unified kernel image.
    Uki(Box<Uki>),
    /// A kernel image.
    Kernel(Kernel),
    /// An initramfs.
    Initramfs(Initramfs),
    /// A kernel command line as text.
    Cmdline {
        /// The command line.
        cmdline: String,
    },
}

/// A GPT disk.
#[derive(Clone, Debug, Serialize)]
pub struct Disk {
    /// Disk GUID.
    pub guid: String,
    /// Logical sector size.
    pub sector_size: u32,
    /// Partitions in table order.
    pub partitions: Vec<Partition>,
    /// The values in its META partition, sorted by key.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub meta: Vec<Meta>,
    /// What is wrong with the table, though it could be read, and with what is on the disk.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub flaws: Vec<String>,
}

/// A META value.
#[derive(Clone, Debug, Serialize)]
pub struct Meta {
    /// Its key.
    pub key: u8,
    /// Talos's name for the key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<&'static str>,
    /// The text's length.
    pub size: u64,
    /// The text; none of what is secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
}

/// A GPT partition.
#[derive(Clone, Debug, Serialize)]
pub struct Partition {
    /// Number in the table, from 1.
    pub number: u32,
    /// Partition name.
    pub label: String,
    /// Type GUID.
    pub type_guid: String,
    /// Unique partition GUID.
    pub guid: String,
    /// First byte on the disk.
    pub offset: u64,
    /// Length.
    pub size: u64,
    /// The volume in it, if it is FAT, or BOOT and XFS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume: Option<Volume>,
    /// The GRUB core image in it, if it holds one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grub: Option<Grub>,
}

/// A FAT volume, an EFI system partition; or an XFS volume, the partition BOOT.
#[derive(Clone, Debug, Serialize)]
pub struct Volume {
    /// `FAT16`, `FAT32` or `XFS`.
    pub format: String,
    /// Volume label.
    pub label: String,
    /// Volume serial number, as `mdir` prints it; of XFS the UUID.
    pub serial: String,
    /// Its files.
    pub files: Vec<File>,
}

/// A file in a volume.
#[derive(Clone, Debug, Serialize)]
pub struct File {
    /// Path, without a leading slash.
    pub path: String,
    /// Size.
    pub size: u64,
    /// SHA-256 of its content.
    pub digest: Digest,
    /// Who signed it, where it is a UEFI program.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signatures: Option<Vec<Signature>>,
    /// What it has firmware trust, where systemd-boot would enrol it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variable: Option<Variable>,
    /// What is in it, where it is a UKI.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uki: Option<Box<Uki>>,
    /// What is in it, where it is a GRUB core image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grub: Option<Grub>,
    /// Its text, where it is configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// A signature of a UEFI program (Authenticode).
#[derive(Clone, Debug, Serialize)]
pub struct Signature {
    /// Whether it is the program's.
    pub state: SignatureState,
    /// The hash of the program that was signed.
    pub digest: Digest,
    /// Who signed, if the signature says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signer: Option<Certificate>,
}

/// Whether a signature is of the program it is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SignatureState {
    /// It is. Whether anybody trusts the signer is for the machine to say.
    Holds,
    /// The program is not what was signed.
    WrongDigest,
    /// It was not made by the key it says, or does not carry that key's certificate.
    Broken,
}

/// An X.509 certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Certificate {
    /// Whose key it is.
    pub subject: String,
    /// Who says so.
    pub issuer: String,
    /// SHA-256 of the certificate in DER.
    pub fingerprint: Digest,
    /// From when on it holds, such as `2026-11-23T02:17:20Z`. Firmware does not ask.
    pub not_before: String,
    /// Until when it holds.
    pub not_after: String,
}

/// A signed order to set a variable of Secure Boot.
#[derive(Clone, Debug, Serialize)]
pub struct Variable {
    /// `PK`, `KEK`, `db` or `dbx`.
    pub name: &'static str,
    /// When it was signed; firmware takes only later ones after it.
    pub time: String,
    /// Who signed it; none if the signature does not hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signer: Option<Certificate>,
    /// What the variable is to hold.
    pub entries: Vec<VariableEntry>,
}

/// An entry of a variable.
#[derive(Clone, Debug, Serialize)]
pub struct VariableEntry {
    /// Whom it belongs to, a GUID.
    pub owner: String,
    /// What is known, if it is a certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<Certificate>,
    /// What is known, if it is the hash of a program.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub program: Option<Digest>,
}

/// A GRUB core image.
#[derive(Clone, Debug, Serialize)]
pub struct Grub {
    /// What starts it, by GRUB's name, such as `i386-pc`.
    pub platform: String,
    /// The version; only one with the module `normal` tells it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Where it finds its directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// Its modules, in the order in which they are loaded.
    pub modules: Vec<String>,
    /// The commands it runs first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<String>,
}

/// An ISO 9660 image.
#[derive(Clone, Debug, Serialize)]
pub struct Iso {
    /// Volume identifier.
    pub volume_id: String,
    /// Volume set identifier.
    pub volume_set_id: String,
    /// El Torito boot entries.
    pub boot_entries: Vec<BootEntry>,
    /// Partitions seen when it is read as a disk.
    pub partitions: Vec<Partition>,
    /// Files of the ISO 9660 tree.
    pub files: Vec<File>,
    /// The EFI system partition an El Torito entry points at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub esp: Option<Volume>,
    /// What is wrong with the files.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub flaws: Vec<String>,
}

/// An El Torito boot entry.
#[derive(Clone, Debug, Serialize)]
pub struct BootEntry {
    /// `BIOS` or `UEFI`.
    pub platform: String,
    /// First byte of the boot image.
    pub offset: u64,
    /// Length of the boot image as far as it is known.
    pub size: u64,
}

/// A unified kernel image.
#[derive(Clone, Debug, Serialize)]
pub struct Uki {
    /// Architecture, by Talos's name.
    pub architecture: String,
    /// The stub's program and version, such as `systemd-stub 257.13`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stub: Option<String>,
    /// Fields of `.osrel`.
    pub os_release: BTreeMap<String, String>,
    /// `.uname`.
    pub uname: Option<String>,
    /// All sections in file order.
    pub sections: Vec<Section>,
    /// The boot profiles; a UKI without `.profile` has one with no ID.
    pub profiles: Vec<Profile>,
    /// `.linux`.
    pub kernel: Option<Kernel>,
    /// `.initrd`.
    pub initramfs: Option<Initramfs>,
    /// The fingerprint of the key in `.pcrpkey`, which Talos takes signatures of PCR 11 from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pcr_key: Option<Digest>,
    /// The fingerprints of the keys that its `.pcrsig` sections are signed by, as they say.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub pcr_signers: BTreeSet<String>,
    /// What is wrong with its signatures.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub flaws: Vec<String>,
}

/// A PE section.
#[derive(Clone, Debug, Serialize)]
pub struct Section {
    /// Name, such as `.linux`.
    pub name: String,
    /// Size in memory: the content without padding.
    pub size: u64,
    /// SHA-256 of the content.
    pub digest: Digest,
    /// The profile it belongs to, from 0; none for what all share.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<usize>,
}

/// A boot profile of a UKI.
#[derive(Clone, Debug, Serialize)]
pub struct Profile {
    /// `ID=`.
    pub id: String,
    /// `TITLE=`.
    pub title: String,
    /// The kernel command line it boots with.
    pub cmdline: String,
}

/// A kernel image.
#[derive(Clone, Debug, Serialize)]
pub struct Kernel {
    /// Architecture, by Talos's name.
    pub architecture: String,
    /// Kernel release, such as `6.12.48-talos`.
    pub version: Option<String>,
    /// Size.
    pub size: u64,
}

/// An initramfs.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Initramfs {
    /// Its segments in order.
    pub segments: Vec<Segment>,
    /// The system extensions it carries, in layer order.
    pub extensions: Vec<Extension>,
    /// The CPU microcode it carries.
    pub microcode: Vec<Microcode>,
    /// What is wrong with it, though the rest could be read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub flaws: Vec<String>,
}

/// One archive of an initramfs.
#[derive(Clone, Debug, Serialize)]
pub struct Segment {
    /// First byte.
    pub offset: u64,
    /// Length, without the padding after it.
    pub size: u64,
    /// `none`, `gzip`, `xz` or `zstd`.
    pub compression: String,
    /// Length when decompressed.
    pub unpacked: u64,
    /// Members of the archive.
    pub entries: Vec<Entry>,
}

/// A member of a cpio archive.
#[derive(Clone, Debug, Serialize)]
pub struct Entry {
    /// Path.
    pub path: String,
    /// File type and permission bits, octal as `stat` prints them.
    pub mode: String,
    /// Size.
    pub size: u64,
}

/// A system extension.
#[derive(Clone, Debug, Serialize)]
pub struct Extension {
    /// File name of its squashfs, such as `0.sqsh`.
    pub image: String,
    /// Name.
    pub name: String,
    /// Version.
    pub version: String,
    /// Author.
    pub author: String,
    /// Description.
    pub description: String,
}

/// One microcode update.
#[derive(Clone, Debug, Serialize)]
pub struct Microcode {
    /// `intel` or `amd`.
    pub vendor: String,
    /// The processors it is for.
    pub processors: Vec<Processor>,
    /// Revision, such as `0x02007006`.
    pub revision: String,
    /// Release date, `YYYY-MM-DD`; none if the header has no date there.
    pub date: Option<String>,
    /// Size.
    pub size: u64,
    /// Whether its checksum is right; none for AMD, whose updates carry none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checksum_ok: Option<bool>,
}

/// A kind of processor.
#[derive(Clone, Debug, Serialize)]
pub struct Processor {
    /// Family, model and stepping as Intel names its files, such as `06-55-04`.
    pub name: String,
    /// What CPUID leaf 1 gives in EAX, such as `0x00050654`.
    pub signature: String,
    /// The platforms it may sit in, one bit each (Intel only), such as `0xb7`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platforms: Option<String>,
}

/// What the TPM of a machine holds that booted a medium.
#[derive(Clone, Debug, Serialize)]
pub struct Measured {
    /// The unified kernel images on the medium, or the one it is.
    pub ukis: Vec<MeasuredUki>,
}

/// What booting a unified kernel image is measured as.
#[derive(Clone, Debug, Serialize)]
pub struct MeasuredUki {
    /// Its path in the EFI system partition; none if the medium is the image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The fingerprint of the key in its `.pcrpkey`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pcr_key: Option<Digest>,
    /// Its boot profiles; one with no ID if it has none.
    pub profiles: Vec<MeasuredProfile>,
    /// What firmware measures before it runs, where that follows from the medium: without Secure
    /// Boot, and with it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub firmware: Vec<MeasuredFirmware>,
    /// What is wrong with its signatures.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub flaws: Vec<String>,
}

/// What firmware measures.
#[derive(Clone, Debug, Serialize)]
pub struct MeasuredFirmware {
    /// Whether Secure Boot is on.
    pub secure_boot: bool,
    /// PCR 4, in hexadecimal by the name of the bank.
    pub pcr4: BTreeMap<&'static str, String>,
    /// The programs in it, in their order.
    pub programs: Vec<String>,
    /// PCR 7, where the medium has the keys that are enrolled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pcr7: Option<BTreeMap<&'static str, String>>,
    /// What has to be so for this to be right.
    pub assumed: Vec<String>,
}

/// What booting a profile is measured as.
#[derive(Clone, Debug, Serialize)]
pub struct MeasuredProfile {
    /// `ID=`.
    pub id: String,
    /// `TITLE=`.
    pub title: String,
    /// PCR 11 as the boot goes on.
    pub pcr11: Vec<RegisterValue>,
}

/// What a register holds.
#[derive(Clone, Debug, Serialize)]
pub struct RegisterValue {
    /// The phases entered so far, joined by colons; empty before the first.
    pub phase: String,
    /// The value by the name of the bank, in hexadecimal.
    pub values: BTreeMap<&'static str, String>,
    /// The banks whose value is signed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub signed: Vec<&'static str>,
}

/// Whether firmware with Secure Boot on would start what is on a medium.
#[derive(Clone, Debug, Serialize)]
pub struct Verified {
    /// The UEFI programs on the medium, or the one it is.
    pub programs: Vec<VerifiedProgram>,
}

/// Whether firmware would start a program.
#[derive(Clone, Debug, Serialize)]
pub struct VerifiedProgram {
    /// Its path in the EFI system partition; none if the medium is the program.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// What firmware would say.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// Whether the signatures of PCR 11 hold, where it is a UKI with such.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pcr: Option<VerifiedPcr>,
}

/// What firmware would say of a program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "verdict")]
#[non_exhaustive]
pub enum Verdict {
    /// It is signed, and this trusted certificate vouches for who signed.
    Valid {
        /// The trusted certificate.
        anchor: Certificate,
    },
    /// It is trusted by its hash, signed or not.
    ValidHash {
        /// The program's hash.
        digest: Digest,
    },
    /// Nobody signed it.
    Unsigned,
    /// It is not what was signed.
    WrongDigest {
        /// The hash of what was signed.
        signed: Digest,
        /// The hash of what is there.
        found: Digest,
    },
    /// It is signed, and no trusted certificate vouches for who signed.
    WrongKey {
        /// The certificate of who signed.
        signer: Certificate,
    },
    /// Its signature was not made by the key it says, or does not carry that key's certificate.
    Broken,
    /// It is no program, or its signature is none.
    Damaged {
        /// What is wrong.
        why: String,
    },
}

/// Signatures of what PCR 11 will hold.
#[derive(Clone, Debug, Serialize)]
pub struct VerifiedPcr {
    /// The fingerprint of the key in `.pcrpkey`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<Digest>,
    /// What is wrong with the signatures; nothing if they hold.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub flaws: Vec<String>,
}

impl Verified {
    /// Whether all of it is right.
    pub fn is_valid(&self) -> bool {
        self.programs.iter().all(VerifiedProgram::is_valid)
    }
}

impl VerifiedProgram {
    /// Whether firmware would start it, and what it is signed to unseal would be.
    pub fn is_valid(&self) -> bool {
        let starts = matches!(self.verdict, Verdict::Valid { .. } | Verdict::ValidHash { .. });
        starts && self.pcr.as_ref().is_none_or(|pcr| pcr.flaws.is_empty())
    }
}

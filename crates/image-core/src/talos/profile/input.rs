//! What goes into an image.

use super::words::{is_default, or_default, reference, set};
use crate::{
    formats::oci::Reference,
    talos::{Arch, release::BootAsset},
};
use serde::{Deserialize, Serialize};

/// The parts. What is left out comes from the release image.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Input {
    /// The kernel.
    #[serde(skip_serializing_if = "is_default")]
    pub kernel: FileAsset,
    /// The initramfs, without extensions.
    #[serde(skip_serializing_if = "is_default")]
    pub initramfs: FileAsset,
    /// systemd-stub.
    #[serde(skip_serializing_if = "is_default")]
    pub sd_stub: FileAsset,
    /// systemd-boot.
    #[serde(skip_serializing_if = "is_default")]
    pub sd_boot: FileAsset,
    /// The installer image to start from.
    #[serde(skip_serializing_if = "is_default")]
    pub base_installer: ContainerAsset,
    /// Container images to carry along.
    #[serde(skip_serializing_if = "is_default")]
    pub image_cache: ContainerAsset,
    /// The overlay to put into an installer; of the installer's architecture.
    #[serde(skip_serializing_if = "is_default")]
    pub overlay_installer: ContainerAsset,
    /// Keys for Secure Boot.
    #[serde(rename = "secureboot", skip_serializing_if = "Option::is_none")]
    pub secure_boot: Option<SecureBootAssets>,
    /// System extensions, in order.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_default")]
    pub system_extensions: Vec<ContainerAsset>,
}

impl Input {
    /// The path the profile names for a boot asset; none where the release image has it, also
    /// if that is said by the path the imager prints, which is one inside its container.
    pub fn path(&self, asset: BootAsset, arch: Arch) -> Option<&str> {
        let file = match asset {
            BootAsset::Kernel => &self.kernel,
            BootAsset::Initramfs => &self.initramfs,
            BootAsset::SdStub => &self.sd_stub,
            BootAsset::SdBoot => &self.sd_boot,
        };
        let imagers_own = format!("/{}", asset.path(arch));
        Some(file.path.as_str()).filter(|&path| !path.is_empty() && path != imagers_own)
    }
}

/// A file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct FileAsset {
    /// Where it is; empty if the release image has it.
    pub path: String,
}

/// A container image: a reference, unless a path says where its content is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ContainerAsset {
    /// The reference.
    #[serde(deserialize_with = "reference")]
    pub image_ref: String,
    /// Talk to its registry without TLS.
    #[serde(deserialize_with = "set", skip_serializing_if = "is_default")]
    pub force_insecure: bool,
    /// A tar archive of the unpacked image; goes before the reference and the layout.
    #[serde(skip_serializing_if = "is_default")]
    pub tarball_path: String,
    /// An OCI layout directory; goes before the reference.
    #[serde(skip_serializing_if = "is_default")]
    pub oci_path: String,
}

impl ContainerAsset {
    /// The image `reference` names.
    pub fn reference(reference: impl Into<String>) -> Self {
        Self { image_ref: reference.into(), ..Self::default() }
    }

    /// The image `text` names if it has a host and a tag or digest, as in
    /// `registry.example/cache:v1`; else the OCI layout directory of that path.
    pub fn reference_or_path(text: &str) -> Self {
        match text.parse::<Reference>() {
            Ok(named)
                if named.registry().is_some()
                    && (named.tag().is_some() || named.digest().is_some()) =>
            {
                Self::reference(text)
            }
            _ => Self { oci_path: text.to_owned(), ..Self::default() },
        }
    }

    /// Whether no image is named.
    pub fn is_unset(&self) -> bool {
        is_default(self)
    }
}

/// Keys and signers for Secure Boot and for the TPM policy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct SecureBootAssets {
    /// Signs systemd-boot and the unified kernel image.
    pub secure_boot_signer: SigningKeyAndCertificate,
    /// Signs the expected PCR 11.
    pub pcr_signer: SigningKey,
    /// `PK.auth`, if made beforehand.
    #[serde(skip_serializing_if = "is_default")]
    pub platform_key_path: String,
    /// `KEK.auth`, if made beforehand.
    #[serde(skip_serializing_if = "is_default")]
    pub key_exchange_key_path: String,
    /// `db.auth`, if made beforehand.
    #[serde(skip_serializing_if = "is_default")]
    pub signature_key_path: String,
    /// Enrol Microsoft's certificates too.
    #[serde(deserialize_with = "set", skip_serializing_if = "is_default")]
    pub include_well_known_certs: bool,
}

/// A signing key with its certificate: files, or a service that keeps them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct SigningKeyAndCertificate {
    /// The key as a PEM file.
    #[serde(skip_serializing_if = "is_default")]
    pub key_path: String,
    /// The certificate as a PEM file.
    #[serde(skip_serializing_if = "is_default")]
    pub cert_path: String,
    /// Azure Key Vault.
    #[serde(rename = "azureVaultURL", skip_serializing_if = "is_default")]
    pub azure_vault_url: String,
    /// The certificate in it.
    #[serde(rename = "azureCertificateID", skip_serializing_if = "is_default")]
    pub azure_certificate_id: String,
    /// AWS KMS key.
    #[serde(rename = "awsKMSKeyID", skip_serializing_if = "is_default")]
    pub aws_kms_key_id: String,
    /// AWS region.
    #[serde(skip_serializing_if = "is_default")]
    pub aws_region: String,
    /// A certificate file for the KMS key.
    #[serde(skip_serializing_if = "is_default")]
    pub aws_cert_path: String,
    /// A certificate in ACM for the KMS key.
    #[serde(rename = "awsCertARN", skip_serializing_if = "is_default")]
    pub aws_cert_arn: String,
    /// A signer service's `unix://` address.
    #[serde(skip_serializing_if = "is_default")]
    pub signer_address: String,
}

/// A signing key: a file, or a service that keeps it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct SigningKey {
    /// The key as a PEM file.
    #[serde(skip_serializing_if = "is_default")]
    pub key_path: String,
    /// Azure Key Vault.
    #[serde(rename = "azureVaultURL", skip_serializing_if = "is_default")]
    pub azure_vault_url: String,
    /// The key in it.
    #[serde(rename = "azureKeyID", skip_serializing_if = "is_default")]
    pub azure_key_id: String,
    /// The key's version; the newest if empty.
    #[serde(skip_serializing_if = "is_default")]
    pub azure_key_version: String,
    /// AWS KMS key.
    #[serde(rename = "awsKMSKeyID", skip_serializing_if = "is_default")]
    pub aws_kms_key_id: String,
    /// AWS region.
    #[serde(skip_serializing_if = "is_default")]
    pub aws_region: String,
    /// A signer service's `unix://` address.
    #[serde(skip_serializing_if = "is_default")]
    pub signer_address: String,
}

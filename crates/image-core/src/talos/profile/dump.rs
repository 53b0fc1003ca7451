//! A profile as YAML, to the byte as the imager prints it.

use super::{
    ContainerAsset, FileAsset, ImageOptions, Input, IsoOptions, OutputOptions, Overlay, Profile,
    SecureBootAssets, SigningKey, SigningKeyAndCertificate,
};
use crate::talos::{TalosVersion, yaml::Yaml};
use std::fmt::Display;

impl Profile {
    /// The profile as YAML: the imager's keys in its order. What stands there whether said or
    /// not prints empty.
    pub fn to_yaml(&self) -> String {
        let customization = &self.customization;
        let meta = &customization.meta_contents;
        let customization = Yaml::map([
            ("extraKernelArgs", list(&customization.extra_kernel_args, Yaml::text)),
            (
                "metaContents",
                list(meta, |meta| {
                    Yaml::map([("key", bare(meta.key)), ("value", Some(Yaml::text(&meta.value)))])
                }),
            ),
            (
                "embeddedMachineConfiguration",
                text(customization.embedded_machine_configuration.as_str()),
            ),
        ]);
        Yaml::map([
            ("baseProfileName", text(&self.base_profile_name)),
            ("arch", word(self.arch, "")),
            ("platform", word(self.platform, "")),
            ("secureboot", self.secure_boot.map_or_else(|| bare("null"), bare)),
            ("name", text(&self.name)),
            ("version", word(self.version.as_ref().map(TalosVersion::as_written), "")),
            ("customization", filled(customization)),
            ("input", Some(input(&self.input))),
            ("overlay", self.overlay.as_ref().map(overlay)),
            ("output", Some(output(&self.output))),
        ])
        .document(2)
    }
}

fn input(input: &Input) -> Yaml {
    let file = |FileAsset { path }: &FileAsset| Yaml::map([("path", Some(Yaml::text(path)))]);
    let optional = |asset: &FileAsset| (!asset.path.is_empty()).then(|| file(asset));
    let image = |asset: &ContainerAsset| (!asset.is_unset()).then(|| container(asset));
    Yaml::map([
        ("kernel", Some(file(&input.kernel))),
        ("initramfs", Some(file(&input.initramfs))),
        ("sdStub", optional(&input.sd_stub)),
        ("sdBoot", optional(&input.sd_boot)),
        ("baseInstaller", image(&input.base_installer)),
        ("imageCache", image(&input.image_cache)),
        ("overlayInstaller", image(&input.overlay_installer)),
        ("secureboot", input.secure_boot.as_ref().map(secure_boot)),
        ("systemExtensions", list(&input.system_extensions, container)),
    ])
}

fn container(asset: &ContainerAsset) -> Yaml {
    Yaml::map([
        ("imageRef", Some(Yaml::text(&asset.image_ref))),
        ("forceInsecure", flag(asset.force_insecure)),
        ("tarballPath", text(&asset.tarball_path)),
        ("ociPath", text(&asset.oci_path)),
    ])
}

fn secure_boot(assets: &SecureBootAssets) -> Yaml {
    let SecureBootAssets { secure_boot_signer, pcr_signer, .. } = assets;
    let SigningKeyAndCertificate { key_path, cert_path, .. } = secure_boot_signer;
    let signer = Yaml::map([
        ("keyPath", text(key_path)),
        ("certPath", text(cert_path)),
        ("azureVaultURL", text(&secure_boot_signer.azure_vault_url)),
        ("azureCertificateID", text(&secure_boot_signer.azure_certificate_id)),
        ("awsKMSKeyID", text(&secure_boot_signer.aws_kms_key_id)),
        ("awsRegion", text(&secure_boot_signer.aws_region)),
        ("awsCertPath", text(&secure_boot_signer.aws_cert_path)),
        ("awsCertARN", text(&secure_boot_signer.aws_cert_arn)),
        ("signerAddress", text(&secure_boot_signer.signer_address)),
    ]);
    let SigningKey { key_path, azure_vault_url, azure_key_id, .. } = pcr_signer;
    let pcr = Yaml::map([
        ("keyPath", text(key_path)),
        ("azureVaultURL", text(azure_vault_url)),
        ("azureKeyID", text(azure_key_id)),
        ("azureKeyVersion", text(&pcr_signer.azure_key_version)),
        ("awsKMSKeyID", text(&pcr_signer.aws_kms_key_id)),
        ("awsRegion", text(&pcr_signer.aws_region)),
        ("signerAddress", text(&pcr_signer.signer_address)),
    ]);
    Yaml::map([
        ("secureBootSigner", Some(signer)),
        ("pcrSigner", Some(pcr)),
        ("platformKeyPath", text(&assets.platform_key_path)),
        ("keyExchangeKeyPath", text(&assets.key_exchange_key_path)),
        ("signatureKeyPath", text(&assets.signature_key_path)),
        ("includeWellKnownCerts", flag(assets.include_well_known_certs)),
    ])
}

fn overlay(overlay: &Overlay) -> Yaml {
    let options = overlay.options.iter().map(|(key, value)| (key.as_str(), Some(free(value))));
    Yaml::map([
        ("name", Some(Yaml::text(&overlay.name))),
        ("image", Some(container(&overlay.image))),
        ("options", filled(Yaml::map(options))),
    ])
}

fn output(output: &OutputOptions) -> Yaml {
    let image = |image: &ImageOptions| {
        Yaml::map([
            ("diskSize", bare(image.disk_size)),
            ("diskFormat", image.disk_format.map(|word| Yaml::text(word.name()))),
            ("diskFormatOptions", text(&image.disk_format_options)),
            (
                "diskSectorSize",
                Some(image.disk_sector_size).filter(|&size| size > 0).and_then(bare),
            ),
            ("bootloader", image.bootloader.map(|word| Yaml::text(word.name()))),
            (
                "sdBootEnrollKeys",
                image
                    .enroll_keys
                    .filter(|&keys| keys != super::EnrollKeys::IfSafe)
                    .map(|word| Yaml::text(word.name())),
            ),
        ])
    };
    let iso = |iso: &IsoOptions| {
        Yaml::map([
            ("sdBootEnrollKeys", word(iso.enroll_keys, "if-safe")),
            ("bootloader", iso.bootloader.map(|word| Yaml::text(word.name()))),
        ])
    };
    Yaml::map([
        ("kind", word(output.kind, "unknown")),
        ("imageOptions", output.image_options.as_ref().map(image)),
        ("isoOptions", output.iso_options.as_ref().map(iso)),
        ("outFormat", word(output.out_format, "unknown")),
    ])
}

/// A value of a form nobody fixed.
fn free(value: &serde_json::Value) -> Yaml {
    use serde_json::Value;

    match value {
        Value::String(text) => Yaml::text(text),
        Value::Array(items) => Yaml::List(items.iter().map(free).collect()),
        Value::Object(entries) => {
            Yaml::map(entries.iter().map(|(key, value)| (key.as_str(), Some(free(value)))))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => Yaml::Bare(value.to_string()),
    }
}

fn text(text: &str) -> Option<Yaml> {
    (!text.is_empty()).then(|| Yaml::text(text))
}

fn flag(flag: bool) -> Option<Yaml> {
    flag.then(|| Yaml::Bare("true".to_owned()))
}

#[expect(clippy::unnecessary_wraps, reason = "it stands among entries that may be missing")]
fn bare(value: impl Display) -> Option<Yaml> {
    Some(Yaml::Bare(value.to_string()))
}

#[expect(clippy::unnecessary_wraps, reason = "it stands among entries that may be missing")]
fn word(word: Option<impl Display>, otherwise: &str) -> Option<Yaml> {
    Some(Yaml::text(word.map_or_else(|| otherwise.to_owned(), |word| word.to_string())))
}

fn list<'a, T>(items: &'a [T], item: impl Fn(&'a T) -> Yaml) -> Option<Yaml> {
    (!items.is_empty()).then(|| Yaml::List(items.iter().map(item).collect()))
}

fn filled(yaml: Yaml) -> Option<Yaml> {
    (!matches!(&yaml, Yaml::Map(entries) if entries.is_empty())).then_some(yaml)
}

//! Extensions that no image holds: made while an image is built, to carry one file.

use super::Metadata;
use crate::talos::MachineConfig;
use serde::{Serialize, Serializer, ser::SerializeStruct};
use sha2::{Digest as _, Sha256};
use std::fmt;

/// An extension made while an image is built. Its content and its manifest may hold secrets, so
/// it prints its name, its version and where its file stands only.
#[derive(Clone, PartialEq, Eq)]
pub struct VirtualExtension {
    /// What its manifest says.
    pub metadata: Metadata,
    /// Where its one file stands, below the root.
    pub path: String,
    /// What the file holds.
    pub content: String,
    /// The file's permissions.
    pub mode: u16,
    /// The file's [`LABEL_XATTR`](super::LABEL_XATTR).
    pub label: Option<&'static str>,
}

impl fmt::Debug for VirtualExtension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VirtualExtension")
            .field("name", &self.metadata.name)
            .field("version", &self.metadata.version)
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl Serialize for VirtualExtension {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("VirtualExtension", 3)?;
        fields.serialize_field("name", &self.metadata.name)?;
        fields.serialize_field("version", &self.metadata.version)?;
        fields.serialize_field("path", &self.path)?;
        fields.end()
    }
}

/// The extension that carries a machine configuration ([`Quirk::EmbeddedConfig`]). It comes
/// after those of the request, and after a schematic's.
///
/// [`Quirk::EmbeddedConfig`]: crate::talos::Quirk::EmbeddedConfig
pub fn embedded_config(config: &MachineConfig) -> VirtualExtension {
    VirtualExtension {
        metadata: Metadata {
            name: "embedded-config".to_owned(),
            version: format!("{:x}", Sha256::digest(config.as_str())),
            author: "Imager".to_owned(),
            description: "Virtual extension which embeds the machine configuration.".to_owned(),
            talos: ">= 1.0.0".to_owned(),
            extra_info: String::new(),
        },
        path: "usr/local/etc/talos/config.yaml".to_owned(),
        content: config.as_str().to_owned(),
        mode: 0o400,
        label: Some("system_u:object_r:system_state_t:s0"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn embedded_configuration() {
        let secret = "machine: {}\n";
        let extension = embedded_config(&secret.to_owned().into());
        let expected = "version: v1alpha1
metadata:
    name: embedded-config
    version: 2a5c1276ba1c0a483d83c671b8276645063d9bdb257415a6b259223fffdeb619
    author: Imager
    description: Virtual extension which embeds the machine configuration.
    compatibility:
        talos:
            version: '>= 1.0.0'
";
        assert_eq!(extension.metadata.to_manifest(), expected);
        let mut printed = extension;
        printed.metadata.extra_info = secret.to_owned();
        let json = serde_json::to_string(&printed).unwrap();
        assert!(json.contains("embedded-config") && !json.contains("machine: {}"), "{json}");
        let debug = format!("{printed:?} {:?}", printed.metadata);
        assert!(debug.contains("config.yaml") && !debug.contains("machine: {}"), "{debug}");
    }
}

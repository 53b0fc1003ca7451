//! Extensions that no image holds: made while an image is built, to carry one file.

use super::Metadata;
use serde::{Serialize, Serializer, ser::SerializeStruct};
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

//! A machine configuration to build into an image.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The YAML text of a machine configuration. It holds secrets, keys and tokens, so it shows its
/// length only where it is printed for debugging; a profile prints it whole.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MachineConfig(String);

impl MachineConfig {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for MachineConfig {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for MachineConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MachineConfig({} bytes)", self.0.len())
    }
}

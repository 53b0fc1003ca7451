//! The variables of UEFI that say whose programs are started: lists of signatures, and signed
//! orders to set them.
//!
//! Specification: UEFI 2.10, sections 8.2.2 "Using the EFI_VARIABLE_AUTHENTICATION_2 descriptor"
//! and 32.4.1 "Signature Database".

mod signature_list;
#[cfg(test)]
mod tests;
mod update;

pub use signature_list::{Data, Entry, certificates, read, write};
pub use update::{Update, Verdict, sign};

use uuid::{Uuid, uuid};

const FORMAT: &str = "EFI variable";

/// `EFI_GLOBAL_VARIABLE`.
const GLOBAL: Uuid = uuid!("8be4df61-93ca-11d2-aa0d-00e098032b8c");
/// `EFI_IMAGE_SECURITY_DATABASE_GUID`.
const SECURITY_DATABASE: Uuid = uuid!("d719b2cb-3d3a-4596-a3bc-dad00e67656f");

/// A variable of Secure Boot (section 32.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Variable {
    /// Whose machine it is. One certificate.
    PlatformKey,
    /// Who may change the databases.
    KeyExchangeKey,
    /// What may be started.
    Database,
    /// What may not.
    ForbiddenDatabase,
}

impl Variable {
    /// Its name, as the firmware has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::PlatformKey => "PK",
            Self::KeyExchangeKey => "KEK",
            Self::Database => "db",
            Self::ForbiddenDatabase => "dbx",
        }
    }

    /// The name space of its name.
    pub fn vendor(self) -> Uuid {
        match self {
            Self::PlatformKey | Self::KeyExchangeKey => GLOBAL,
            Self::Database | Self::ForbiddenDatabase => SECURITY_DATABASE,
        }
    }
}

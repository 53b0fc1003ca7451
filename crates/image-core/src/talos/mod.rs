//! What Talos is: data and pure functions. Nothing here opens, reads or writes a file.

pub mod appliance;
mod arch;
pub mod catalogue;
pub mod esp;
pub mod extension;
pub mod grub;
mod integer;
pub mod kernel_args;
mod machine_config;
pub mod menu;
pub mod meta;
pub mod partitions;
pub mod phases;
mod platform;
pub mod profile;
pub mod release;
pub mod schematic;
pub mod secure_boot;
mod version;
mod yaml;

pub use arch::Arch;
pub use machine_config::MachineConfig;
pub use platform::Platform;
pub use profile::Profile;
pub use version::{Quirk, TalosVersion};

/// What was asked cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The request, or a text named in it, is wrong: mend the request.
    #[error("{0}")]
    Input(String),
    /// Sound, but Talos has no such thing.
    #[error("{0}")]
    Unsupported(String),
}

/// This floor's answer.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    fn input(what: impl Into<String>) -> Self {
        Self::Input(what.into())
    }

    fn unsupported(what: impl Into<String>) -> Self {
        Self::Unsupported(what.into())
    }
}

//! What a build tells while it runs.

/// What the build is at. The order is the order in which steps usually come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Step {
    /// Reading boot assets out of the release.
    Release,
    /// Reading an extension's layers.
    Extension,
    /// Listing the kernel modules of the release and of extensions.
    Modules,
    /// Compressing an extension into its squashfs.
    Squashfs,
    /// Compressing the initramfs segment with the extensions.
    Initramfs,
    /// Compressing a disk into the format of a virtual machine.
    VirtualDisk,
    /// Packing an artifact for transport.
    Pack,
    /// Writing an artifact down.
    Write,
}

/// One thing that happened.
#[derive(Clone, Debug, serde::Serialize)]
#[serde(rename_all = "kebab-case", tag = "event")]
#[non_exhaustive]
pub enum Event<'a> {
    /// Work on `subject` starts.
    Started {
        /// What kind of work.
        step: Step,
        /// What it is done to: a reference, a file name.
        subject: &'a str,
        /// How many bytes it will take, where that is known.
        total: Option<u64>,
    },
    /// More of `subject` is done.
    Advanced {
        /// What kind of work.
        step: Step,
        /// What it is done to.
        subject: &'a str,
        /// How many more bytes.
        bytes: u64,
    },
    /// Work on `subject` is done.
    Finished {
        /// What kind of work.
        step: Step,
        /// What it was done to.
        subject: &'a str,
    },
    /// Something a user should know that is no error.
    Warning {
        /// What it is about.
        subject: &'a str,
        /// A sentence without a full stop.
        message: &'a str,
    },
}

/// Hears what a build tells. Several threads may speak at once.
pub trait Observer: Send + Sync {
    /// Hears one event; must be quick.
    fn on(&self, event: &Event<'_>);
}

impl<F: Fn(&Event<'_>) + Send + Sync> Observer for F {
    fn on(&self, event: &Event<'_>) {
        self(event);
    }
}

/// Hears nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Observer for Silent {
    fn on(&self, _: &Event<'_>) {}
}

//! What is found in an extension.

use crate::{talos::TalosVersion, tree::TreePath};
use std::fmt;

/// Something about an extension that its user should know. Prints as one line: where it is, what
/// is wrong, and how to mend it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Finding {
    /// There is not one file in it.
    Empty,
    /// The manifest does not say which Talos it is for.
    ForAnyTalos,
    /// Kernel modules, and a version that names another line of Talos.
    ForOtherTalos {
        /// The extension's version.
        version: String,
        /// The Talos version in it.
        named: TalosVersion,
        /// The Talos version it is to go into.
        wanted: TalosVersion,
    },
    /// Modules of a kernel that is not the one they are to go with.
    ForOtherKernel {
        /// Their directory.
        path: String,
        /// The release of the kernel.
        wanted: String,
    },
    /// Modules that stand outside of any kernel's directory.
    StrayModules(Paths),
    /// A directory where Talos has a link.
    HidesLink {
        /// The directory.
        path: TreePath,
        /// Where Talos's link leads.
        target: &'static str,
    },
    /// Firmware or modules where this version of Talos does not look for them.
    Misplaced {
        /// The files.
        files: Paths,
        /// Where they belong.
        place: &'static str,
    },
    /// Files outside of what an extension may add to.
    Outside(Paths),
    /// Files and directories that anybody may write to.
    WorldWritable(Paths),
    /// It is named for firmware and has none.
    NoFirmware {
        /// Where there would be some.
        place: &'static str,
    },
    /// CPU microcode that the kernel will not load.
    Microcode {
        /// The file.
        path: TreePath,
        /// What is wrong with it.
        flaw: String,
    },
}

/// Some paths, of which the first is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    /// The first in order.
    pub first: TreePath,
    /// How many there are beside.
    pub others: usize,
}

impl Paths {
    /// None where there are none.
    pub(super) fn of<'a>(paths: impl IntoIterator<Item = &'a TreePath>) -> Option<Self> {
        let mut paths = paths.into_iter();
        Some(Self { first: paths.next()?.clone(), others: paths.count() })
    }
}

impl fmt::Display for Paths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.others {
            0 => self.first.fmt(f),
            others => write!(f, "{} and {others} more", self.first),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str(
                "rootfs/ holds no file, so it does nothing: leave it out, or take the image of \
                 the architecture it is for",
            ),
            Self::ForAnyTalos => f.write_str(
                "manifest.yaml: metadata.compatibility.talos.version is missing: write which \
                 Talos it is for, such as \">= v1.10.0\"",
            ),
            Self::ForOtherTalos { version, named, wanted } => write!(
                f,
                "manifest.yaml: version {version}: its kernel modules were built for Talos \
                 {named}, not {wanted}: take the extension built for that"
            ),
            Self::ForOtherKernel { path, wanted } => write!(
                f,
                "{path}: modules of another kernel than this release's {wanted}, which will not \
                 load them: take the extension built for it"
            ),
            Self::StrayModules(files) => write!(
                f,
                "{files}: outside of any kernel's directory, where no module is looked for: put \
                 modules into the directory named for their kernel"
            ),
            Self::HidesLink { path, target } => write!(
                f,
                "{path}: this directory would hide Talos's link to {target} and all that is \
                 reached through it: put what it holds into {target}"
            ),
            Self::Misplaced { files, place } => {
                write!(f, "{files}: this Talos looks in {place} only: put it there")
            }
            Self::Outside(files) => write!(
                f,
                "{files}: not where an extension may add files: put what is its own into usr/local"
            ),
            Self::WorldWritable(files) => {
                write!(f, "{files}: anybody may write to it: take that away, as with chmod o-w")
            }
            Self::NoFirmware { place } => write!(
                f,
                "{place} holds nothing, though the extension is named for firmware: rebuild it \
                 with its firmware there"
            ),
            Self::Microcode { path, flaw } => {
                write!(f, "{path}: {flaw}: the kernel will not load it, bring the file again")
            }
        }
    }
}

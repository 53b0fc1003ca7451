//! All printing: for people, or as JSON for programs.

mod human;
mod json;
mod measured;
mod report;
mod request;
mod signatures;
mod text;

use crate::{cli::Global, exit::Failure};
use image_core::{
    events::Observer,
    examine::{
        Part,
        report::{Measured, Report, Verified},
    },
    plan::Plan,
    talos::{Profile, catalogue::Catalogue, schematic::Schematic},
};
use serde::Serializer;
use std::{io, path::Path};

/// Says on stdout what came out, and on stderr how it went.
pub(crate) trait Render: Observer {
    /// What would be built.
    fn plan(&self, plan: &Plan) -> io::Result<()>;
    /// A profile, all its gaps filled.
    fn profile(&self, profile: &Profile) -> io::Result<()>;
    /// The ID of the schematic in `file`.
    fn schematic_id(&self, file: &Path, id: &str) -> io::Result<()>;
    /// What the schematic in `file` does.
    fn schematic(&self, file: &Path, schematic: &Schematic) -> io::Result<()>;
    /// The official extensions of a version.
    fn extensions(&self, catalogue: &Catalogue) -> io::Result<()>;
    /// A file was written: an artifact, a part, a manual page, a key.
    fn written(&self, written: &Written<'_>) -> io::Result<()>;
    /// What `file` is and what is in it.
    fn report(&self, file: &Path, report: &Report) -> io::Result<()>;
    /// What a TPM will hold after booting `file`.
    fn measured(&self, file: &Path, measured: &Measured) -> io::Result<()>;
    /// Whether firmware starts `file`; `own` says that it was held against its own keys.
    fn verified(&self, file: &Path, own: bool, verified: &Verified) -> io::Result<()>;
    /// What can be taken out of a medium.
    fn parts(&self, parts: &[Part]) -> io::Result<()>;
    /// The command, or its work on one file, failed.
    fn failure(&self, failure: &Failure);
}

/// A file that was written.
#[derive(Debug, serde::Serialize)]
pub(crate) struct Written<'a> {
    /// What it is, and where: `{"artifact": path}`.
    #[serde(flatten)]
    pub(crate) what: What<'a>,
    /// The name it has of itself, wherever it was put.
    pub(crate) name: &'a str,
    /// Its length in bytes.
    pub(crate) size: u64,
}

/// What a written file is, and its path.
#[derive(Debug, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum What<'a> {
    Artifact(#[serde(serialize_with = "lossy")] &'a Path),
    Part(#[serde(serialize_with = "lossy")] &'a Path),
    Page(#[serde(serialize_with = "lossy")] &'a Path),
    File(#[serde(serialize_with = "lossy")] &'a Path),
}

impl<'a> What<'a> {
    /// Where it is.
    pub(crate) fn path(&self) -> &'a Path {
        match self {
            Self::Artifact(path) | Self::Part(path) | Self::Page(path) | Self::File(path) => path,
        }
    }
}

/// The renderer that was asked for.
pub(crate) fn new(global: Global) -> Box<dyn Render> {
    if global.json {
        Box::new(json::Json::new(global))
    } else {
        Box::new(human::Human::new(global))
    }
}

/// The renderer for arguments that could not be read: all that counts is whether a program asks.
pub(crate) fn of_arguments() -> Box<dyn Render> {
    let json = std::env::args_os().any(|arg| arg == "--json");
    new(Global::unread(json))
}

/// A path as people read it: JSON has no place for one that is no text, and nothing fails for that.
fn lossy<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&path.display())
}

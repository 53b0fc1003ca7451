//! How an artifact is packed for transport, and how hard that tries.

use crate::{
    error::{Error, ErrorKind, Result},
    formats::compress::Method,
    talos::profile::{self, DiskFormat, OutFormat, Target},
};
use serde::Serialize;
use std::str::FromStr;

/// How an artifact is packed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Packing {
    /// What it is compressed with.
    pub method: Method,
    /// Its name in a tar archive, if it is put into one first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub member: Option<String>,
}

/// How hard packing tries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Effort {
    /// Nearly all that packing can gain, in little time: what a medium mostly holds was compressed
    /// before.
    #[default]
    Usual,
    /// As the Talos imager: zstd 18, xz 0, gzip 6.
    Max,
    /// A level of the packing's own: 1 to 19 for zstd, 0 to 9 for xz, 1 to 9 for gzip.
    Level(u32),
}

impl FromStr for Effort {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match (text, text.parse()) {
            ("max", _) => Ok(Self::Max),
            (_, Ok(level)) => Ok(Self::Level(level)),
            _ => Err(format!("\"{text}\" is neither a number nor max")),
        }
    }
}

/// How `target` is packed, unless it stays as it is.
pub(super) fn packing(target: &Target, effort: Effort) -> Result<Option<Packing>> {
    let level = |usual, max| match effort {
        Effort::Usual => usual,
        Effort::Max => max,
        Effort::Level(level) => level,
    };
    let method = match target.out_format {
        OutFormat::Raw if effort == Effort::Usual => return Ok(None),
        OutFormat::Raw => {
            let what = "a compression level is asked for and nothing is packed: leave it out, or \
                        ask for --out-format .zst";
            return Err(Error::new(ErrorKind::Input, what));
        }
        OutFormat::Zst => Method::Zstd { level: level(9, 18) },
        OutFormat::Xz => Method::Xz { preset: level(0, 0), extreme: false },
        OutFormat::Gz | OutFormat::TarGz => Method::Gzip { level: level(6, 6) },
    };
    method.check().map_err(|error| {
        Error::new(ErrorKind::Input, format!("packing as {}: {error}", target.out_format))
    })?;
    let member = (target.out_format == OutFormat::TarGz).then(|| match &target.output {
        // Clouds look for this name.
        profile::Output::Image(disk) if disk.format == DiskFormat::Raw => "disk.raw".to_owned(),
        _ => target.file_name(),
    });
    Ok(Some(Packing { method, member }))
}

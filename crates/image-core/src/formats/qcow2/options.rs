//! How a disk is written.

use super::{CLUSTER_BITS, FORMAT};
use crate::formats::{Error, Result, format_options};
use serde::Serialize;

/// The least cluster that is compressed, in bytes: smaller ones gain nothing, and each takes
/// memory for its place.
const LEAST_COMPRESSED: u32 = 4096;

/// How a disk is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Options {
    /// Bytes of a cluster: a power of two from 512 to 2 MiB.
    pub cluster_size: u32,
    /// What clusters are compressed with; none are compressed otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compression: Option<Compression>,
}

/// What clusters are compressed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Deflate, which every reader of qcow2 knows.
    Zlib,
    /// Zstandard, which QEMU reads from 5.1 on.
    Zstd,
}

/// As qemu-img(1) has it: clusters of 64 KiB, not compressed.
impl Default for Options {
    fn default() -> Self {
        Self { cluster_size: 64 << 10, compression: None }
    }
}

impl Options {
    /// Reads options as qemu-img(1) takes them: `cluster_size`; `compression_type` (`zlib` or
    /// `zstd`), which makes the clusters compressed; `compat` and `refcount_bits`, which have
    /// one value here.
    ///
    /// # Errors
    /// `Invalid` for any other option or value.
    pub fn parse(text: &str) -> Result<Self> {
        let mut options = Self::default();
        for (key, value) in format_options::split(text) {
            let wrong = |known| Err(format_options::wrong(FORMAT, key, value, known));
            match key {
                "cluster_size" => {
                    let size = format_options::size(value).and_then(|size| size.try_into().ok());
                    match size.filter(|&size| cluster_bits(size).is_some()) {
                        Some(size) => options.cluster_size = size,
                        None => return wrong("a power of two from 512 to 2M"),
                    }
                }
                "compression_type" => {
                    options.compression = Some(match value {
                        "zlib" => Compression::Zlib,
                        "zstd" => Compression::Zstd,
                        _ => return wrong("zlib or zstd"),
                    });
                }
                "compat" if matches!(value, "1.1" | "v3") => {}
                "compat" => return wrong("1.1"),
                "refcount_bits" if value == "16" => {}
                "refcount_bits" => return wrong("16"),
                _ => {
                    let known = ["cluster_size", "compression_type", "compat", "refcount_bits"];
                    return Err(format_options::unknown(FORMAT, key, &known));
                }
            }
        }
        Ok(options)
    }

    /// The power of two of the clusters' size.
    pub(super) fn cluster_bits(self) -> Result<u32> {
        let size = self.cluster_size;
        match cluster_bits(size) {
            Some(_) if self.compression.is_some() && size < LEAST_COMPRESSED => {
                let what = format!("compressed clusters of {size} bytes, under {LEAST_COMPRESSED}");
                Err(Error::invalid(FORMAT, what))
            }
            Some(bits) => Ok(bits),
            None => {
                let what = format!("clusters of {size} bytes, no power of two from 512 to 2 MiB");
                Err(Error::invalid(FORMAT, what))
            }
        }
    }
}

fn cluster_bits(size: u32) -> Option<u32> {
    let bits = size.checked_ilog2()?;
    (size.is_power_of_two() && CLUSTER_BITS.contains(&bits)).then_some(bits)
}

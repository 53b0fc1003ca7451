//! META values: small facts a machine keeps over upgrades.

use super::{Error, Quirk, Result, TalosVersion, partitions::Sizes};
use crate::blob::Blob;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::{collections::BTreeMap, fmt, io::Read as _, str::FromStr};

/// One value under its key. Prints, and is read, as `0xa=text`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MetaValue {
    /// What it is; Talos defines 6 to 17.
    pub key: u8,
    /// The text.
    pub value: String,
}

impl FromStr for MetaValue {
    type Err = Error;

    /// Reads `key=value`; the key is decimal, or hexadecimal after `0x`.
    fn from_str(text: &str) -> Result<Self> {
        let (key, value) = text.split_once('=').ok_or_else(|| {
            Error::input(format!("META value {text:?} has no \"=\": write key=value, as 0xa=text"))
        })?;
        let number = match key.strip_prefix("0x").or_else(|| key.strip_prefix("0X")) {
            Some(digits) => u8::from_str_radix(digits, 16),
            None => key.parse(),
        };
        let key = number
            .map_err(|_| Error::input(format!("META key {key:?} is no number from 0 to 255")))?;
        Ok(Self { key, value: value.to_owned() })
    }
}

impl fmt::Display for MetaValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}={}", self.key, self.value)
    }
}

/// The environment variable that carries META values on a kernel command line.
pub const ENVIRONMENT: &str = "INSTALLER_META_BASE64";

/// The value of [`ENVIRONMENT`]: the values joined by `;`, in Base64 (RFC 4648, section 4),
/// compressed by gzip where that is worth it and the version reads it.
pub fn environment(values: &[MetaValue], version: &TalosVersion) -> String {
    /// Bytes from which on Talos's tools compress.
    const LONG: usize = 257;

    let text = values.iter().map(MetaValue::to_string).collect::<Vec<_>>().join(";");
    if text.len() >= LONG && version.has(Quirk::GzippedMetaEnvironment) {
        base64(&gzip(text.as_bytes()))
    } else {
        base64(text.as_bytes())
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = Vec::new();
    let mut encoder = flate2::GzBuilder::new().read(bytes, flate2::Compression::best());
    // Neither side can fail: both are memory.
    let _ = encoder.read_to_end(&mut packed);
    packed
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let mut word = [0; 4];
        word[1..=group.len()].copy_from_slice(group);
        let word = u32::from_be_bytes(word);
        for digit in 0..4 {
            text.push(if digit <= group.len() {
                char::from(DIGITS[(word >> (18 - 6 * digit)) as usize & 63])
            } else {
                '='
            });
        }
    }
    text
}

/// A META partition with these values, [`Sizes::META`] bytes; of several under one key the last
/// counts.
///
/// Two copies of a block, then zeros. The block: a magic, records of key, length and bytes, all
/// numbers big-endian; at its end a SHA-256 of the block with that field zero, and a magic.
///
/// # Errors
/// The values do not fit into a block.
pub fn partition(values: &[MetaValue]) -> Result<Blob> {
    const BLOCK: usize = 256 * 1024;
    const MAGIC: u32 = 0x5a4b_3c2d;
    const END_MAGIC: u32 = 0xa5b4_c3d2;
    const SUM: usize = BLOCK - 36;

    let sorted: BTreeMap<u8, &str> =
        values.iter().map(|value| (value.key, value.value.as_str())).collect();
    let mut block = MAGIC.to_be_bytes().to_vec();
    for (key, value) in sorted {
        let record = u32::try_from(value.len()).ok().filter(|_| key != 0);
        let Some(len) = record.filter(|_| block.len() + 8 + value.len() <= SUM) else {
            return Err(Error::input(match key {
                0 => "META key 0 ends the list and can hold nothing".to_owned(),
                _ => format!("META values need more than the {BLOCK} bytes there are"),
            }));
        };
        block.extend_from_slice(&u32::from(key).to_be_bytes());
        block.extend_from_slice(&len.to_be_bytes());
        block.extend_from_slice(value.as_bytes());
    }
    block.resize(BLOCK - 4, 0);
    block.extend_from_slice(&END_MAGIC.to_be_bytes());
    let sum = Sha256::digest(&block);
    block[SUM..BLOCK - 4].copy_from_slice(&sum);
    let block = Blob::from(block);
    let rest = Blob::zeros(Sizes::META - 2 * block.len());
    Ok(Blob::concat([block.clone(), block, rest]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(texts: &[&str]) -> Vec<MetaValue> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn texts() {
        assert_eq!(
            values(&["0xA=a=b", "12="]).iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["0xa=a=b", "0xc="]
        );
        for bad in ["10", "=x", "256=x", "0x=x", "ten=x"] {
            assert!(bad.parse::<MetaValue>().is_err(), "{bad}");
        }
    }

    #[test]
    fn environment_is_compressed_only_where_read() {
        let version = |text: &str| text.parse::<TalosVersion>().unwrap();
        let short = values(&["10=foo", "0xb=bar"]);
        assert_eq!(environment(&short, &version("1.11.0")), "MHhhPWZvbzsweGI9YmFy");
        for (len, padding) in [(0, "=="), (1, "="), (2, "")] {
            let text =
                environment(&values(&[&format!("10={}", "x".repeat(len))]), &version("1.11.0"));
            assert!(text.ends_with(padding) && text.len().is_multiple_of(4));
        }
        let long = values(&[&format!("10={}", "foobar".repeat(256))]);
        assert!(environment(&long, &version("1.6.2")).len() > 2000);
        let packed = environment(&long, &version("1.6.3"));
        // The gzip header without a time.
        assert!(packed.starts_with("H4sIAAAAAAA") && packed.len() < 100, "{packed}");
    }

    #[test]
    fn partition_bytes() {
        let bytes =
            partition(&values(&["11=b", "10=old", "10=abc"])).unwrap().to_vec(1 << 20).unwrap();
        assert_eq!(bytes.len(), 1 << 20);
        let (first, rest) = bytes.split_at(256 * 1024);
        assert_eq!(first[..24], *b"\x5a\x4b\x3c\x2d\0\0\0\x0a\0\0\0\x03abc\0\0\0\x0b\0\0\0\x01b");
        assert_eq!(first, &rest[..256 * 1024]);
        assert!(rest[256 * 1024..].iter().all(|&byte| byte == 0));
        let (body, end) = first.split_at(first.len() - 36);
        assert_eq!(end[32..], [0xa5, 0xb4, 0xc3, 0xd2]);
        let sum = Sha256::new()
            .chain_update(body)
            .chain_update([0; 32])
            .chain_update(&end[32..])
            .finalize();
        assert_eq!(end[..32], sum[..]);
        let fits = |len| partition(&[MetaValue { key: 12, value: "x".repeat(len) }]).is_ok();
        assert!(fits(256 * 1024 - 48) && !fits(256 * 1024 - 47));
        assert!(partition(&values(&["0=x"])).is_err());
    }
}

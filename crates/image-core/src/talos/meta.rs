//! META values: small facts a machine keeps over upgrades.

use super::{Error, Quirk, Result, TalosVersion, integer, partitions::Sizes};
use crate::{blob::Blob, formats::base64, nearest::nearest};
use serde::{Deserialize, Deserializer, Serialize, de};
use sha2::{Digest as _, Sha256};
use std::{collections::BTreeMap, fmt, io::Read as _, str::FromStr};

/// What Talos keeps in META, by key.
/// The key by which a disk image tells Talos that it has two bootloaders: it keeps the one that
/// booted it.
pub const DISK_IMAGE_BOOTLOADER: u8 = 17;

const NAMES: [(u8, &str); 12] = [
    (6, "upgrade"),
    (7, "staged-upgrade-image-ref"),
    (8, "staged-upgrade-install-options"),
    (9, "state-encryption-config"),
    (10, "metal-network-platform-config"),
    (11, "download-url-code"),
    (12, "user-reserved-1"),
    (13, "user-reserved-2"),
    (14, "user-reserved-3"),
    (15, "uuid-override"),
    (16, "unique-machine-token"),
    (DISK_IMAGE_BOOTLOADER, "disk-image-bootloader"),
];

/// One value under its key. Prints as `0xa=text`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetaValue {
    /// What it is: 1 to 255, of which Talos defines 6 to 17.
    #[serde(deserialize_with = "deserialize_key")]
    pub key: u8,
    /// The text.
    #[serde(default)]
    pub value: String,
}

/// Talos's name for `key`, if it has one.
pub fn name(key: u8) -> Option<&'static str> {
    NAMES.iter().find(|named| named.0 == key).map(|named| named.1)
}

/// Whether what stands under `key` is a machine's secret: how its disk is encrypted, what it
/// proves itself by.
pub fn is_secret(key: u8) -> bool {
    matches!(key, 9 | 16)
}

/// Reads a key: a number, also as `0xa`, `0o12` or `0b1010`, or Talos's name for it.
///
/// # Errors
/// It is neither; the message has the nearest name.
pub fn key(text: &str) -> Result<u8> {
    if text.starts_with(|first: char| first.is_ascii_digit()) {
        // Key 0 ends the list of values.
        let number = integer::parse(text).and_then(|number| u8::try_from(number).ok());
        return number
            .filter(|&key| key > 0)
            .ok_or_else(|| Error::input(format!("META key {text:?} is no number from 1 to 255")));
    }
    let found = NAMES.iter().find(|named| named.1 == text);
    found.map(|named| named.0).ok_or_else(|| {
        let names = NAMES.map(|named| named.1);
        Error::input(match nearest(text, names) {
            Some(meant) => format!("META key {text:?} is unknown: did you mean {meant:?}?"),
            None => format!(
                "META key {text:?} is unknown: a number from 1 to 255, or one of {}",
                names.join(", ")
            ),
        })
    })
}

fn deserialize_key<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u8, D::Error> {
    key(&String::deserialize(deserializer)?).map_err(de::Error::custom)
}

impl FromStr for MetaValue {
    type Err = Error;

    /// Reads `key=value`; the key as [`key`] reads it.
    fn from_str(text: &str) -> Result<Self> {
        let (text, value) = text.split_once('=').ok_or_else(|| {
            // Not shown: it may be a secret that lost its key.
            Error::input("a META value has no \"=\": write key=value, as 0xa=text")
        })?;
        Ok(Self { key: key(text)?, value: value.to_owned() })
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
        base64::encode(&gzip(text.as_bytes()))
    } else {
        base64::encode(text.as_bytes())
    }
}

/// Reads the value of [`ENVIRONMENT`].
///
/// # Errors
/// It is not what [`environment`] writes.
pub fn from_environment(text: &str) -> Result<Vec<MetaValue>> {
    /// Bytes the values may have when unpacked; a kernel command line has room for far fewer.
    const MOST: u64 = 1 << 20;
    const GZIP: [u8; 2] = [0x1f, 0x8b];

    let fail = |why| Error::input(format!("{ENVIRONMENT}: {why}"));
    let mut bytes = base64::decode(text).ok_or_else(|| fail("no Base64"))?;
    if bytes.starts_with(&GZIP) {
        let mut unpacked = Vec::new();
        let decoder = flate2::read::GzDecoder::new(bytes.as_slice());
        let len = decoder.take(MOST + 1).read_to_end(&mut unpacked);
        if !len.is_ok_and(|len| len as u64 <= MOST) {
            return Err(fail("damaged or far too large"));
        }
        bytes = unpacked;
    }
    let text = String::from_utf8(bytes).map_err(|_| fail("no text"))?;
    text.split_terminator(';').map(str::parse).collect()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = Vec::new();
    let mut encoder = flate2::GzBuilder::new().read(bytes, flate2::Compression::best());
    // Neither side can fail: both are memory.
    let _ = encoder.read_to_end(&mut packed);
    packed
}

/// Bytes of a META partition that [`read`] needs, from its start.
pub const LEN: u64 = 2 * BLOCK as u64;

const BLOCK: usize = 256 * 1024;
const MAGIC: u32 = 0x5a4b_3c2d;
const END_MAGIC: u32 = 0xa5b4_c3d2;
/// Bytes of a block that the magics and the checksum leave for values. A value takes 8 more
/// than its text.
const ROOM: usize = BLOCK - 40;

/// Whether a META partition holds these values.
///
/// # Errors
/// They do not fit into a block; the message has both sizes.
pub fn check(values: &[MetaValue]) -> Result<()> {
    sorted(values).map(drop)
}

/// The values by key; of several under one key the last counts.
fn sorted(values: &[MetaValue]) -> Result<BTreeMap<u8, &str>> {
    let sorted: BTreeMap<u8, &str> =
        values.iter().map(|value| (value.key, value.value.as_str())).collect();
    if sorted.contains_key(&0) {
        return Err(Error::input("META key 0 ends the list and can hold nothing"));
    }
    let needed: usize = sorted.values().map(|value| 8 + value.len()).sum();
    if needed > ROOM {
        return Err(Error::input(format!(
            "META values need {needed} bytes, and the partition holds {ROOM}: shorten them"
        )));
    }
    Ok(sorted)
}

/// A META partition with these values, [`Sizes::META`] bytes; of several under one key the last
/// counts.
///
/// Two copies of a block, then zeros. The block: a magic, records of key, length and bytes, all
/// numbers big-endian; at its end a SHA-256 of the block with that field zero, and a magic.
///
/// # Errors
/// As [`check`].
pub fn partition(values: &[MetaValue]) -> Result<Blob> {
    let sorted = sorted(values)?;
    let mut block = MAGIC.to_be_bytes().to_vec();
    for (key, value) in sorted {
        let len = u32::try_from(value.len()).unwrap_or(u32::MAX);
        block.extend_from_slice(&u32::from(key).to_be_bytes());
        block.extend_from_slice(&len.to_be_bytes());
        block.extend_from_slice(value.as_bytes());
    }
    let used = block.len();
    block.resize(BLOCK - 4, 0);
    block.extend_from_slice(&END_MAGIC.to_be_bytes());
    let sum = Sha256::digest(&block);
    block[BLOCK - 36..BLOCK - 4].copy_from_slice(&sum);
    let end = block.split_off(BLOCK - 36);
    block.truncate(used);
    // What is zero is a hole, which formats of virtual disks leave out.
    let between = Blob::zeros((BLOCK - 36 - used) as u64);
    let block = Blob::concat([block.into(), between, end.into()]);
    let rest = Blob::zeros(Sizes::META - 2 * block.len());
    Ok(Blob::concat([block.clone(), block, rest]))
}

/// The values in a META partition, sorted by key, out of its first [`LEN`] bytes: those of the
/// first copy that is sound. One that was never written has none. What is not UTF-8 in a value
/// is replaced (U+FFFD).
///
/// # Errors
/// Both copies are damaged.
pub fn read(start: &[u8]) -> Result<Vec<MetaValue>> {
    if start.iter().all(|&byte| byte == 0) {
        return Ok(Vec::new());
    }
    let mut fault = "it is too short";
    for block in start.chunks_exact(BLOCK).take(2) {
        match records(block) {
            Ok(values) => {
                let values = values.into_iter().map(|(key, value)| MetaValue { key, value });
                return Ok(values.collect());
            }
            Err(why) => fault = why,
        }
    }
    Err(Error::input(format!("META: both copies are damaged: {fault}")))
}

fn records(block: &[u8]) -> Result<BTreeMap<u8, String>, &'static str> {
    const SHORT: &str = "it is too short";

    let (magic, body) = block.split_first_chunk().ok_or(SHORT)?;
    let (body, end_magic) = body.split_last_chunk().ok_or(SHORT)?;
    let (mut data, sum) = body.split_last_chunk::<32>().ok_or(SHORT)?;
    if [*magic, *end_magic].map(u32::from_be_bytes) != [MAGIC, END_MAGIC] {
        return Err("a magic is missing");
    }
    let digest = Sha256::new()
        .chain_update(magic)
        .chain_update(data)
        .chain_update([0; 32])
        .chain_update(end_magic)
        .finalize();
    if digest.as_slice() != sum {
        return Err("the checksum is wrong");
    }
    let mut values = BTreeMap::new();
    while let Some(([k0, k1, k2, k3, l0, l1, l2, l3], rest)) = data.split_first_chunk() {
        let [key, len] = [[*k0, *k1, *k2, *k3], [*l0, *l1, *l2, *l3]].map(u32::from_be_bytes);
        if key == 0 {
            break;
        }
        let key = u8::try_from(key).map_err(|_| "a key is above 255")?;
        let over = "a value runs over the end";
        let len = usize::try_from(len).map_err(|_| over)?;
        let (value, rest) = rest.split_at_checked(len).ok_or(over)?;
        values.insert(key, String::from_utf8_lossy(value).into_owned());
        data = rest;
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn values(texts: &[&str]) -> Vec<MetaValue> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn keys() {
        for (text, expected) in [
            ("0xA=a=b", "0xa=a=b"),
            ("012=", "0xa="),
            ("255=x", "0xff=x"),
            ("upgrade=A", "0x6=A"),
            ("disk-image-bootloader=", "0x11="),
        ] {
            assert_eq!(text.parse::<MetaValue>().unwrap().to_string(), expected);
        }
        for (text, expected) in [
            ("s3cret", "a META value has no \"=\": write key=value, as 0xa=text"),
            ("0=x", "META key \"0\" is no number from 1 to 255"),
            ("256=x", "META key \"256\" is no number from 1 to 255"),
            (
                "user-reserved1=",
                "META key \"user-reserved1\" is unknown: did you mean \"user-reserved-1\"?",
            ),
            ("=x", "META key \"\" is unknown: a number from 1 to 255, or one of upgrade, "),
        ] {
            let error = text.parse::<MetaValue>().unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
        for (number, name) in NAMES {
            assert_eq!((key(name), super::name(number)), (Ok(number), Some(name)));
        }
        assert_eq!(name(18), None);
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
        let fits = |len| partition(&[MetaValue { key: 12, value: "x".repeat(len) }]);
        assert!(fits(256 * 1024 - 48).is_ok());
        assert_eq!(
            fits(256 * 1024 - 47).unwrap_err().to_string(),
            "META values need 262105 bytes, and the partition holds 262104: shorten them"
        );
        assert!(partition(&[MetaValue::default()]).is_err());
    }

    #[test]
    fn damage() {
        let mut bytes = partition(&values(&["10=abc", "11=b"])).unwrap().to_vec(1 << 20).unwrap();
        bytes.truncate(2 * BLOCK);
        let whole = read(&bytes).unwrap();
        bytes[14] ^= 1;
        assert_eq!(read(&bytes).unwrap(), whole);
        bytes[BLOCK + 14] ^= 1;
        let error = read(&bytes).unwrap_err().to_string();
        assert_eq!(error, "META: both copies are damaged: the checksum is wrong");
        assert!(read(&bytes[..100]).is_err());
        assert_eq!(read(&vec![0; 2 * BLOCK]), Ok(Vec::new()));
        let sealed = |records: &[u8]| {
            let mut block = MAGIC.to_be_bytes().to_vec();
            block.extend_from_slice(records);
            block.resize(BLOCK - 4, 0);
            block.extend_from_slice(&END_MAGIC.to_be_bytes());
            let sum = Sha256::digest(&block);
            block[BLOCK - 36..BLOCK - 4].copy_from_slice(&sum);
            read(&block).map_err(|error| error.to_string())
        };
        assert!(sealed(b"\0\0\x01\x00\0\0\0\0").unwrap_err().contains("a key is above 255"));
        assert!(sealed(b"\0\0\0\x0a\xff\xff\xff\xff").unwrap_err().contains("over the end"));
        assert_eq!(sealed(b"\0\0\0\x0a\0\0\0\x02\xffa").unwrap()[0].to_string(), "0xa=\u{fffd}a");
    }

    prop_compose! {
        fn any_value()(key in 1_u8.., value in "\\PC{0,40}") -> MetaValue {
            MetaValue { key, value }
        }
    }

    proptest! {
        #[test]
        fn reads_what_it_writes(values in prop::collection::vec(any_value(), 0..20)) {
            for value in &values {
                prop_assert_eq!(value.to_string().parse::<MetaValue>(), Ok(value.clone()));
            }
            let sorted: BTreeMap<_, _> =
                values.iter().map(|value| (value.key, value.clone())).collect();
            let bytes = partition(&values).unwrap().to_vec(Sizes::META).unwrap();
            prop_assert_eq!(read(&bytes).unwrap(), sorted.into_values().collect::<Vec<_>>());
            let sayable: Vec<_> =
                values.into_iter().filter(|value| !value.value.contains(';')).collect();
            for version in ["1.6.2", "1.6.3"] {
                let text = environment(&sayable, &version.parse().unwrap());
                prop_assert_eq!(from_environment(&text), Ok(sayable.clone()));
            }
        }

        #[test]
        fn hostile_environments(text in "(H4sI)?[A-Za-z0-9+/=;]{0,40}", bytes: Vec<u8>) {
            let _ = (from_environment(&text), read(&bytes));
        }
    }
}

//! META values: small facts a machine keeps over upgrades.

use super::{Error, Result};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

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

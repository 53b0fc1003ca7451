//! Where on which token a key is (RFC 7512).

use crate::signature::Error;
use cryptoki::slot::TokenInfo;
use std::{fmt::Write as _, path::PathBuf, str::FromStr};

/// A key by `pkcs11:token=…;object=…?module-path=…&pin-source=file:…`.
///
/// What it does not say fits any token and any private key; exactly one has to fit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Uri {
    token: Option<String>,
    serial: Option<String>,
    manufacturer: Option<String>,
    model: Option<String>,
    slot: Option<u64>,
    pub(super) object: Option<String>,
    pub(super) id: Option<Vec<u8>>,
    pub(super) module: PathBuf,
    pin_file: Option<PathBuf>,
}

impl Uri {
    /// The file the PIN is to be read from.
    pub fn pin_file(&self) -> Option<&PathBuf> {
        self.pin_file.as_ref()
    }

    /// Whether this is the token meant.
    pub(super) fn fits_token(&self, label: &str, info: &TokenInfo, slot: u64) -> bool {
        let fits = |wanted: &Option<String>, found: &str| {
            wanted.as_ref().is_none_or(|wanted| wanted == found.trim_end())
        };
        fits(&self.token, label)
            && fits(&self.serial, info.serial_number())
            && fits(&self.manufacturer, info.manufacturer_id())
            && fits(&self.model, info.model())
            && self.slot.is_none_or(|wanted| wanted == slot)
    }
}

impl FromStr for Uri {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = |what: String| Error::Key(format!("PKCS#11 URI: {what}"));
        let rest = text
            .strip_prefix("pkcs11:")
            .ok_or_else(|| wrong("it begins with pkcs11:".to_owned()))?;
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let mut uri = Self::default();
        let mut known = Vec::new();
        let path = path.split(';').map(|part| (part, false));
        let query = query.split('&').map(|part| (part, true));
        for (part, in_query) in path.chain(query).filter(|(part, _)| !part.is_empty()) {
            // A PIN may stand in what cannot be read: it is not repeated.
            let (name, value) = part
                .split_once('=')
                .ok_or_else(|| wrong("each part of it is name=value".to_owned()))?;
            let bytes = percent_decoded(value)
                .ok_or_else(|| wrong(format!("{name} has % without two digits behind it")))?;
            if known.contains(&name) {
                return Err(wrong(format!("{name} stands in it twice")));
            }
            known.push(name);
            if (name, in_query) == ("id", false) {
                uri.id = Some(bytes);
                continue;
            }
            let value = String::from_utf8(bytes)
                .map_err(|_| wrong(format!("the value of {name} is not UTF-8")))?;
            match (name, in_query) {
                ("token", false) => uri.token = Some(value),
                ("serial", false) => uri.serial = Some(value),
                ("manufacturer", false) => uri.manufacturer = Some(value),
                ("model", false) => uri.model = Some(value),
                ("object", false) => uri.object = Some(value),
                ("slot-id", false) => {
                    let number = value.parse();
                    uri.slot = Some(number.map_err(|_| wrong("slot-id is no number".to_owned()))?);
                }
                ("type", false) if value == "private" => {}
                ("type", false) => return Err(wrong("type can only be private".to_owned())),
                ("module-path", true) => uri.module = value.into(),
                ("pin-source", true) => {
                    let path = value.strip_prefix("file:").unwrap_or(&value);
                    let path = path.strip_prefix("//").unwrap_or(path);
                    if path.starts_with('|') {
                        return Err(wrong("pin-source is to be a file, not a program".to_owned()));
                    }
                    uri.pin_file = Some(path.into());
                }
                ("pin-value", true) => {
                    return Err(wrong(
                        "everybody on this machine can read a PIN in it: \
                         put it in a file, and pin-source=file:PATH in its place"
                            .to_owned(),
                    ));
                }
                _ => {
                    return Err(wrong(format!(
                        "{name:.40} is not known: there are token, serial, manufacturer, model, \
                         slot-id, object, id and type, behind ? module-path and pin-source"
                    )));
                }
            }
        }
        if uri.module.as_os_str().is_empty() {
            return Err(wrong(
                "it does not say which module: add ?module-path=/PATH/OF/MODULE.so".to_owned(),
            ));
        }
        Ok(uri)
    }
}

fn percent_decoded(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let mut digit = || char::from(rest.next()?).to_digit(16);
            bytes.push(u8::try_from(digit()? * 16 + digit()?).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    Some(bytes)
}

/// As an `id` is written.
pub(super) fn percent_encoded(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 3);
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(text, "%{byte:02X}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uri_is_read_part_by_part() {
        let uri: Uri = "pkcs11:token=My%20token;id=%01%ff;type=private;slot-id=7\
                        ?module-path=/usr/lib/m.so&pin-source=file:///etc/pin"
            .parse()
            .unwrap();
        let expected = Uri {
            token: Some("My token".into()),
            id: Some(vec![1, 255]),
            slot: Some(7),
            module: "/usr/lib/m.so".into(),
            pin_file: Some("/etc/pin".into()),
            ..Uri::default()
        };
        assert_eq!(uri, expected);
        assert_eq!(percent_encoded(&[1, 255]), "%01%FF");
    }

    #[test]
    fn a_uri_that_says_something_else_is_refused_and_its_pin_not_repeated() {
        for (uri, said) in [
            ("pkcs12:token=a", "it begins with pkcs11:"),
            ("pkcs11:token=a", "add ?module-path="),
            ("pkcs11:tokn=a?module-path=/m", "tokn is not known: there are token,"),
            ("pkcs11:token=a;token=b?module-path=/m", "token stands in it twice"),
            ("pkcs11:token=%4?module-path=/m", "token has % without two digits"),
            ("pkcs11:type=public?module-path=/m", "type can only be private"),
            ("pkcs11:?module-path=/m&pin-source=|secret", "not a program"),
            ("pkcs11:?pin-value=secret&module-path=/m", "put it in a file"),
            ("pkcs11:?module-path=/m&secret", "each part of it is name=value"),
        ] {
            let error = uri.parse::<Uri>().unwrap_err().to_string();
            assert!(error.contains(said) && !error.contains("secret"), "{error}");
        }
    }
}

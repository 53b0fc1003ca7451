//! Distinguished encoding rules: elements of a tag, a length and a value, as signatures and
//! certificates are made of.
//!
//! Specification: ITU-T X.690 (02/2021), sections 8 and 10. Elements are read as slices of what
//! they stand in, so that what was signed is hashed as it stands.

use super::{Error, Result};
use x509_cert::der::asn1::ObjectIdentifier;

pub(super) const BOOLEAN: u8 = 0x01;
pub(super) const INTEGER: u8 = 0x02;
pub(super) const BIT_STRING: u8 = 0x03;
pub(super) const OCTET_STRING: u8 = 0x04;
pub(super) const NULL: u8 = 0x05;
pub(super) const OBJECT: u8 = 0x06;
pub(super) const UTF8_STRING: u8 = 0x0c;
pub(super) const UTC_TIME: u8 = 0x17;
pub(super) const GENERALIZED_TIME: u8 = 0x18;
pub(super) const SEQUENCE: u8 = 0x30;
pub(super) const SET: u8 = 0x31;
/// `[0]`, as a value without elements of its own, and `[n]` with them is `CONTEXT_n`.
pub(super) const PRIMITIVE_0: u8 = 0x80;
pub(super) const CONTEXT_0: u8 = 0xa0;
pub(super) const CONTEXT_1: u8 = 0xa1;
pub(super) const CONTEXT_2: u8 = 0xa2;
pub(super) const CONTEXT_3: u8 = 0xa3;

/// An element of `tag`, whose value is the parts end to end.
pub(super) fn element(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let len: usize = parts.iter().map(|part| part.len()).sum();
    let mut bytes = vec![tag];
    let digits = len.to_be_bytes();
    let digits = &digits[digits.iter().take_while(|&&digit| digit == 0).count()..];
    match (len, digits) {
        (..0x80, _) => bytes.extend(len.to_le_bytes().first()),
        (_, digits) => {
            bytes.extend((0x80 | digits.len()).to_le_bytes().first());
            bytes.extend(digits);
        }
    }
    bytes.extend(parts.concat());
    bytes
}

/// An object identifier.
pub(super) fn object(id: ObjectIdentifier) -> Vec<u8> {
    element(OBJECT, &[id.as_bytes()])
}

/// AlgorithmIdentifier (RFC 5280, section 4.1.1.2) with the parameters that RSA and hash functions
/// have, none but `NULL`.
pub(super) fn algorithm(id: ObjectIdentifier) -> Vec<u8> {
    element(SEQUENCE, &[&object(id), &element(NULL, &[])])
}

/// AlgorithmIdentifier without parameters, as ECDSA's is.
pub(super) fn bare_algorithm(id: ObjectIdentifier) -> Vec<u8> {
    element(SEQUENCE, &[&object(id)])
}

/// An element that was read.
#[derive(Clone, Copy)]
pub(super) struct Element<'a> {
    pub(super) value: &'a [u8],
    /// With tag and length.
    pub(super) whole: &'a [u8],
    format: &'static str,
    /// Where the value starts, in bytes from the start of what was read first.
    at: u64,
}

impl<'a> Element<'a> {
    /// The elements it holds.
    pub(super) fn elements(&self) -> Elements<'a> {
        Elements { rest: self.value, format: self.format, at: self.at }
    }

    /// Something is wrong with this element.
    pub(super) fn corrupt(&self, what: impl Into<String>) -> Error {
        Error::corrupt(self.format, self.at, what)
    }
}

/// Reads elements, one after another. Errors carry the `format`'s name and the place.
#[derive(Clone, Copy)]
pub(super) struct Elements<'a> {
    rest: &'a [u8],
    format: &'static str,
    at: u64,
}

impl<'a> Elements<'a> {
    pub(super) fn new(format: &'static str, bytes: &'a [u8]) -> Self {
        Self { rest: bytes, format, at: 0 }
    }

    /// The next element, whatever its tag; `what` it is is for the error.
    pub(super) fn any(&mut self, what: &str) -> Result<Element<'a>> {
        let (len, head) = header(self.rest)
            .ok_or_else(|| self.corrupt(format!("{what}: there is no DER element")))?;
        let end = usize::try_from(len).ok().and_then(|len| head.checked_add(len));
        let Some(whole) = end.and_then(|end| self.rest.get(..end)) else {
            let left = self.rest.len() - head;
            return Err(self.corrupt(format!("{what}: it needs {len} bytes, {left} are left")));
        };
        let at = self.at + head as u64;
        self.rest = &self.rest[whole.len()..];
        self.at += whole.len() as u64;
        Ok(Element { value: &whole[head..], whole, format: self.format, at })
    }

    /// The next element, which has this tag.
    pub(super) fn expect(&mut self, tag: u8, what: &str) -> Result<Element<'a>> {
        match self.rest.first() {
            Some(&found) if found != tag => {
                Err(self.corrupt(format!("{what}: the tag is {found:#04x}, not {tag:#04x}")))
            }
            _ => self.any(what),
        }
    }

    /// The next element if it has this tag.
    pub(super) fn optional(&mut self, tag: u8, what: &str) -> Result<Option<Element<'a>>> {
        if self.rest.first() == Some(&tag) { self.any(what).map(Some) } else { Ok(None) }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Nothing follows.
    pub(super) fn end(&self, what: &str) -> Result<()> {
        if self.is_empty() {
            return Ok(());
        }
        Err(self.corrupt(format!("{what}: {} bytes follow it", self.rest.len())))
    }

    fn corrupt(&self, what: impl Into<String>) -> Error {
        Error::corrupt(self.format, self.at, what)
    }
}

/// Length of the value, and of tag and length in front of it. Tags of several bytes, lengths that
/// are not definite or longer than they need to be are none.
fn header(bytes: &[u8]) -> Option<(u64, usize)> {
    let (_, rest) = bytes.split_first().filter(|(tag, _)| *tag & 0x1f != 0x1f)?;
    let (&first, rest) = rest.split_first()?;
    if first < 0x80 {
        return Some((first.into(), 2));
    }
    let digits = rest.get(..usize::from(first & 0x7f)).filter(|digits| digits.len() <= 4)?;
    let len = digits.iter().fold(0, |len, &digit| len << 8 | u64::from(digit));
    let needed = len >= 0x80 && digits.first() != Some(&0);
    needed.then_some((len, 2 + digits.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use x509_cert::der::{Decode as _, asn1::OctetStringRef};

    #[test]
    fn what_is_written_is_read_and_nothing_else() {
        for len in [0, 1, 0x7f, 0x80, 0xff, 0x100, 0xffff, 0x1_0000] {
            let value = vec![7; len];
            let written = element(OCTET_STRING, &[&value[..len / 2], &value[len / 2..]]);
            let mut elements = Elements::new("test", &written);
            let read = elements.expect(OCTET_STRING, "it").unwrap();
            assert_eq!((read.value, read.whole), (&value[..], &written[..]));
            elements.end("it").unwrap();
            assert_eq!(OctetStringRef::from_der(&written).unwrap().as_bytes(), value);
        }
        for bad in ["", "\x30", "\x30\x05abcd", "\x30\u{80}", "\x1f\x01\x01a"] {
            assert!(Elements::new("test", bad.as_bytes()).any("it").is_err(), "{bad:?}");
        }
        for bad in [&[0x30, 0x81, 0x01, 0][..], &[0x30, 0x80, 0, 0], &[0x30, 0x82, 0, 0x80]] {
            assert!(Elements::new("test", bad).any("it").is_err(), "{bad:?}");
        }
        let error = Elements::new("test", b"\x30\x05abcd").any("it").map(|_| ()).unwrap_err();
        assert_eq!(error.to_string(), "test: it: it needs 5 bytes, 4 are left");
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let mut elements = Elements::new("test", &bytes);
            while let Ok(element) = elements.any("it") {
                let _ = element.elements().any("inside");
            }
        }
    }
}

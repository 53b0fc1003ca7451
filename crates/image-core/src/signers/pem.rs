//! PEM as OpenSSL reads it (RFC 7468, section 3): blocks of base64 between lines that name them.

use crate::signature::Error;
use base64ct::{Base64, Encoding};
use zeroize::Zeroizing;

/// One block.
pub(super) struct Block<'a> {
    /// What its first line names it.
    pub(super) label: &'a str,
    /// The line it begins in, counted from 1.
    pub(super) line: usize,
    /// Whether headers stand in it (RFC 1421), as in keys that OpenSSL once encrypted.
    pub(super) headers: bool,
    body: Zeroizing<String>,
}

impl Block<'_> {
    /// What the block holds.
    pub(super) fn decode(&self) -> Result<Zeroizing<Vec<u8>>, Error> {
        Base64::decode_vec(&self.body).map(Zeroizing::new).map_err(|_| {
            Error::Key(format!(
                "line {}: what begins here is no whole base64: the file is damaged",
                self.line
            ))
        })
    }
}

/// The blocks of a text. What stands between them is for people.
pub(super) fn blocks(text: &str) -> Result<Vec<Block<'_>>, Error> {
    let mut blocks = Vec::new();
    let mut open: Option<Block<'_>> = None;
    let unended =
        |line| Error::Key(format!("line {line}: what begins here does not end: the file is cut"));
    for (at, line) in text.lines().enumerate() {
        let line = line.trim();
        if let Some(label) = marked(line, "BEGIN") {
            if let Some(block) = open {
                return Err(unended(block.line));
            }
            // As much as can come, so that no copy is left behind when it grows.
            let body = Zeroizing::new(String::with_capacity(text.len()));
            open = Some(Block { label, line: at + 1, headers: false, body });
        } else if let Some(label) = marked(line, "END") {
            match open.take() {
                Some(block) if block.label == label => blocks.push(block),
                Some(block) => return Err(unended(block.line)),
                None => {}
            }
        } else if let Some(block) = &mut open {
            if line.contains(':') {
                block.headers = true;
            } else {
                block.body.extend(line.split_whitespace());
            }
        }
    }
    open.map_or(Ok(blocks), |block| Err(unended(block.line)))
}

/// The label in a line such as `-----BEGIN CERTIFICATE-----`.
fn marked<'a>(line: &'a str, word: &str) -> Option<&'a str> {
    line.strip_prefix("-----")?.strip_prefix(word)?.strip_prefix(' ')?.strip_suffix("-----")
}

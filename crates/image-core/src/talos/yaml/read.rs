//! YAML as users write it.

use super::at;
use crate::{nearest::nearest, talos::Result};
use serde::de::DeserializeOwned;
use serde_saphyr::Error as Yaml;

/// Reads one document; `what` it is goes before what is wrong with it.
///
/// # Errors
/// The text is no YAML, or not of this form. The message is one line: the place, the fault, and
/// where a key is unknown the nearest of those that may stand there. It shows no more of the
/// text than a key, or a word where only some may stand: the rest may be secret.
pub(crate) fn read<T: DeserializeOwned>(what: &str, text: &str) -> Result<T> {
    // As go-yaml, which Talos's tools read with: where anything may stand `yes` is a text, and a
    // number that starts with 0 is octal.
    let options = serde_saphyr::options! { strict_booleans: true, legacy_octal_numbers: true };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let error = error.without_snippet();
        let place = error.location().map(|it| (it.line(), it.column()));
        at(what, place, &fault(error))
    })
}

fn fault(error: &Yaml) -> String {
    match error {
        Yaml::AliasError { error, .. } => fault(error),
        Yaml::Message { msg, .. } => msg.clone(),
        Yaml::SerdeUnknownField { field, expected, .. } => {
            let key = shown(field);
            match nearest(field, expected.iter().copied()) {
                Some(meant) => format!("{key} is unknown: did you mean {meant:?}?"),
                None => format!("{key} is unknown: here stand {}", expected.join(", ")),
            }
        }
        Yaml::SerdeMissingField { field, .. } => format!("key {field:?} is missing"),
        Yaml::DuplicateMappingKey { key, .. } => {
            format!("{} stands twice", shown(key.as_deref().unwrap_or_default()))
        }
        Yaml::MultipleDocuments { .. } => "a second document starts: leave it out".to_owned(),
        Yaml::NullIntoString { .. } => {
            "nothing stands here: write a text or leave it out".to_owned()
        }
        Yaml::TaggedScalarCannotDeserializeIntoString { .. } => {
            "this tag does not fit: leave it out".to_owned()
        }
        Yaml::NonFiniteFloat { .. } => "a finite number is needed here".to_owned(),
        Yaml::SerdeInvalidType { expected, .. } | Yaml::SerdeInvalidValue { expected, .. } => {
            format!("{expected} is needed here")
        }
        Yaml::Unexpected { expected, .. } => match *expected {
            "string scalar" => "a text is needed here, not a list or a mapping".to_owned(),
            "mapping start" => "keys with values are needed here".to_owned(),
            "sequence start" => "a list is needed here".to_owned(),
            other => format!("{other} is needed here"),
        },
        other => {
            let text = other.to_string();
            let end = text.rfind(" at line ").unwrap_or(text.len());
            text[..end].to_owned()
        }
    }
}

/// A key as a message names it; what is no word was hardly meant as one.
pub(crate) fn shown(key: &str) -> String {
    let word = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
    if (1..=40).contains(&key.len()) && key.chars().all(word) {
        format!("key {key:?}")
    } else {
        "this key".to_owned()
    }
}

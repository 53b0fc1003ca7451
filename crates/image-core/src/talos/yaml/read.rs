//! YAML as users write it.

use crate::{
    nearest::nearest,
    talos::{Error, Result},
};
use serde::de::DeserializeOwned;
use serde_saphyr::Error as Yaml;

/// Reads one document; `what` it is goes before what is wrong with it.
///
/// # Errors
/// The text is no YAML, or not of this form. The message is one line: the place, the fault, and
/// where a key is unknown the nearest of those that may stand there.
pub(crate) fn read<T: DeserializeOwned>(what: &str, text: &str) -> Result<T> {
    serde_saphyr::from_str(text).map_err(|error| {
        let error = error.without_snippet();
        let fault = match error {
            Yaml::SerdeUnknownField { field, expected, .. } => {
                match nearest(field, expected.iter().copied()) {
                    Some(meant) => format!("key {field:?} is unknown: did you mean {meant:?}?"),
                    None => format!("key {field:?} is unknown: here stand {}", expected.join(", ")),
                }
            }
            Yaml::DuplicateMappingKey { key, .. } => {
                format!("key {:?} stands twice", key.as_deref().unwrap_or("?"))
            }
            Yaml::MultipleDocuments { .. } => "a second document starts: leave it out".to_owned(),
            other => other.to_string(),
        };
        let fault = fault.replace('\n', " ");
        Error::input(match error.location() {
            Some(place) => {
                let (line, column) = (place.line(), place.column());
                let again = format!(" at line {line}, column {column}");
                let fault = fault.strip_suffix(&again).unwrap_or(&fault);
                format!("{what}: line {line} column {column}: {fault}")
            }
            None => format!("{what}: {fault}"),
        })
    })
}

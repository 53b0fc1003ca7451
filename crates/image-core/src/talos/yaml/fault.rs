//! How a fault in a text is told: one line with its place, no longer than can be read.

use crate::talos::Error;
use std::fmt::Display;

/// Letters a fault may have: more than any that lists the words known.
const LONGEST: usize = 500;

/// What is wrong with `what`, and where: line and column, both from 1.
pub(crate) fn at<N: Display>(what: &str, place: Option<(N, N)>, fault: &str) -> Error {
    let mut fault = fault.replace('\n', " ");
    // It may show a word, and a word may be any text.
    if let Some((end, _)) = fault.char_indices().nth(LONGEST) {
        fault.replace_range(end.., "…");
    }
    Error::input(match place {
        Some((line, column)) => format!("{what}: line {line} column {column}: {fault}"),
        None => format!("{what}: {fault}"),
    })
}

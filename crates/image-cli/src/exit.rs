//! What a failure is called and which code the process ends with.

use image_core::error::{Error, ErrorKind};
use std::{io, process::ExitCode};

/// The codes are those of the Talos imager: scripts that call one can call the other.
const CODES: [(ErrorKind, &str, u8); 7] = [
    (ErrorKind::Input, "input", 2),
    (ErrorKind::Unsupported, "unsupported", 3),
    (ErrorKind::Source, "source", 5),
    (ErrorKind::Io, "io", 6),
    (ErrorKind::Assembly, "assembly", 7),
    (ErrorKind::Awaited, "awaited", 2),
    (ErrorKind::Bug, "bug", 1),
];

/// A failure, ready to be printed.
#[derive(Debug, serde::Serialize)]
pub(crate) struct Failure {
    /// Its name for programs.
    pub(crate) kind: &'static str,
    /// One line for people.
    pub(crate) message: String,
    /// What the process ends with.
    pub(crate) code: u8,
}

impl Failure {
    fn new(kind: ErrorKind, message: &str) -> Self {
        let (_, kind, code) =
            CODES.into_iter().find(|(known, ..)| *known == kind).unwrap_or(CODES[6]);
        Self { kind, message: one_line(message), code }
    }

    /// Ends the process with its code.
    pub(crate) fn exit(&self) -> ExitCode {
        ExitCode::from(self.code)
    }
}

impl From<&anyhow::Error> for Failure {
    fn from(error: &anyhow::Error) -> Self {
        let kind = error.chain().find_map(|cause| {
            cause
                .downcast_ref::<Error>()
                .map(Error::kind)
                .or_else(|| cause.is::<io::Error>().then_some(ErrorKind::Io))
        });
        Self::new(kind.unwrap_or(ErrorKind::Bug), &format!("{error:#}"))
    }
}

/// What was typed cannot be read. clap says so in paragraphs: what, a tip, the usage.
impl From<&clap::Error> for Failure {
    fn from(error: &clap::Error) -> Self {
        let text = error.render().to_string();
        let text = text.strip_prefix("error: ").unwrap_or(&text);
        let said: Vec<String> = text
            .split("\n\n")
            .take_while(|part| !part.starts_with("Usage:") && !part.starts_with("For more"))
            .map(|part| part.trim().trim_start_matches("tip: ").replace("\n  tip: ", "; "))
            .collect();
        Self::new(ErrorKind::Input, &said.join("; "))
    }
}

/// Whether nobody reads stdout any more, which ends a filter's work and is no failure of it.
pub(crate) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause
            .downcast_ref::<io::Error>()
            .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    })
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::{Context, anyhow};

    #[test]
    fn every_kind_has_its_code_and_keeps_it_under_context() {
        for (kind, name, code) in [
            (ErrorKind::Input, "input", 2),
            (ErrorKind::Unsupported, "unsupported", 3),
            (ErrorKind::Source, "source", 5),
            (ErrorKind::Io, "io", 6),
            (ErrorKind::Assembly, "assembly", 7),
            (ErrorKind::Awaited, "awaited", 2),
            (ErrorKind::Bug, "bug", 1),
        ] {
            let error = Err::<(), _>(Error::new(kind, "in\n  two lines")).context("a file");
            let failure = Failure::from(&error.unwrap_err());
            assert_eq!((failure.kind, failure.code), (name, code));
            assert_eq!(failure.message, "a file: in two lines");
        }
        assert_eq!(Failure::from(&anyhow!(io::Error::other("disk"))).code, 6);
        assert_eq!(Failure::from(&anyhow!("who knows")).code, 1);
    }
}

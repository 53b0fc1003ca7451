//! Foreign tools, which are the oracles: what they accept is right.

use std::{
    ffi::OsStr,
    process::{Command, Output},
};

/// Runs a foreign tool; it must succeed.
///
/// # Panics
/// With all the tool said, if it is missing (never a reason to skip a test) or fails.
pub fn tool<A: AsRef<OsStr>>(name: &str, arguments: &[A]) -> Output {
    finish(Command::new(name).args(arguments))
}

/// As [`tool`], and what it wrote to standard output, as text.
pub fn text<A: AsRef<OsStr>>(name: &str, arguments: &[A]) -> String {
    String::from_utf8_lossy(&tool(name, arguments).stdout).into_owned()
}

/// Runs a command; it must succeed.
///
/// # Panics
/// With all the command said, if it cannot start or fails.
pub fn finish(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| {
        panic!(
            "{command:?} does not start: {error}; `cargo xtask test` installs what the tests need"
        )
    });
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    output
}

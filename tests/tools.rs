//! Foreign tools, which are the oracles: what they accept is right.

use std::{
    ffi::OsStr,
    io::{self, Write as _},
    process::{Command, Output, Stdio},
    thread,
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
    let result = command.output();
    succeeded(command, result)
}

/// As [`finish`], with `input` on its standard input.
///
/// # Panics
/// With all the command said, if it cannot start, fails, or does not read it all.
pub fn feed(command: &mut Command, input: &[u8]) -> Output {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let result = command.spawn().and_then(|mut child| {
        let stdin = child.stdin.take();
        thread::scope(|scope| {
            let writer = scope.spawn(move || stdin.map(|mut stdin| stdin.write_all(input)));
            let output = child.wait_with_output()?;
            writer.join().expect("writing does not panic").transpose()?;
            Ok(output)
        })
    });
    succeeded(command, result)
}

fn succeeded(command: &Command, result: io::Result<Output>) -> Output {
    let output = result.unwrap_or_else(|error| {
        panic!("{command:?}: {error}; `cargo xtask test` installs what the tests need")
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

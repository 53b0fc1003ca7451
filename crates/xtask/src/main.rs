//! The project's own chores: `cargo xtask demo`, `cargo xtask test`.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "chores talk to a person")]

mod apt;
mod demo;
mod initramfs;
mod oci;
mod parts;
mod release;
mod test;
mod tools;

use anyhow::{Context as _, Result, bail};
use clap::Parser;
use std::{
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
};

/// The project's own chores
#[derive(Parser)]
enum Chore {
    /// Get real boot parts, build an ISO and a disk with the command, look inside, boot them
    Demo,
    /// Install or name what the tests need; then check the format, lint, and run all tests
    Test,
    /// Get the real boot parts and tell where they are
    Parts,
}

fn main() -> ExitCode {
    let result = match Chore::parse() {
        Chore::Demo => demo::run(),
        Chore::Test => test::run(),
        Chore::Parts => {
            parts::get(&|line| eprintln!("{line}")).map(|dir| println!("{}", dir.display()))
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The workspace's folder.
fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap_or(Path::new(".")).to_owned()
}

/// `cargo`, the one that runs us, in the workspace.
fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(workspace());
    command
}

/// Builds the command; gives its path back.
fn talos_image() -> Result<PathBuf> {
    let output = cargo()
        .args(["build", "--package", "image-cli", "--message-format", "json-render-diagnostics"])
        .stderr(Stdio::inherit())
        .output()
        .context("run cargo build")?;
    if !output.status.success() {
        bail!("talos-image does not build");
    }
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter_map(|message| Some(PathBuf::from(message.get("executable")?.as_str()?)))
        .next_back()
        .context("cargo build made no talos-image")
}

/// Runs a step whose output the person sees.
fn step(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("run {command:?}"))?;
    if !status.success() {
        bail!("{command:?}: {status}");
    }
    Ok(())
}

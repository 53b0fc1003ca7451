//! The command as a script sees it: exit codes, one line on stderr, JSON lines.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests too")]

mod help;
mod keys;
mod media;
mod mistakes;
mod requests;
mod verify;

use image_core::{
    blob::{Blob, Scratch, Spool},
    fake,
    formats::{
        compress::{self, Codec},
        linux, oci, tar,
    },
};
use serde_json::{Value, json};
use std::{
    fs,
    io::Write,
    path::Path,
    process::{Command, Output, Stdio},
};

fn talos_image(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_talos-image"));
    command.args(args).env_remove("SOURCE_DATE_EPOCH").stdin(Stdio::null());
    command
}

fn run(args: &[&str]) -> Output {
    talos_image(args).output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn json_lines(bytes: &[u8]) -> Vec<Value> {
    text(bytes).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A directory with the images of a release, as a site would have mirrored them.
struct Mirror(tempfile::TempDir);

const EXTENSION: &str = "registry.example/siderolabs/intel-ucode:20251111";

impl Mirror {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let images = fake::images(&"v1.12.2".parse().unwrap()).unwrap();
        fake::write(&oci::layout(&images).unwrap(), dir.path()).unwrap();
        Self(dir)
    }

    fn build(&self, args: &[&str]) -> Command {
        let mut command = talos_image(&["build"]);
        command.args(args).args(["--talos-version", "v1.12.2", "--arch", "amd64", "--source"]);
        command.arg(self.0.path());
        command
    }
}

fn run_on(command: &str, file: &Path, args: &[&str]) -> Output {
    talos_image(&[command]).arg(file).args(args).output().unwrap()
}

//! The command as a script sees it: exit codes, one line on stderr, JSON lines.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests too")]

use serde_json::Value;
use std::{
    fs,
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

#[test]
fn a_mistake_is_one_line_that_names_the_mend() {
    let dir = tempfile::tempdir().unwrap();
    let profile = dir.path().join("profile.yaml");
    fs::write(&profile, "baseProfileName: metal\nversion: v1.11.2\noutput:\n  knid: iso\n")
        .unwrap();
    let profile = profile.to_str().unwrap();
    let (metal, version) = (["build", "metal", "--talos-version", "v1.11.2"], "--talos-version");
    let with = |rest: &[&'static str]| [&metal[..], rest].concat();
    for (args, code, says) in [
        (vec!["biuld"], 2, "'build'"),
        (with(&["--platfrom", "aws"]), 2, "'--platform'"),
        (with(&["--arch", "amd46"]), 2, "'amd64'"),
        (with(&["--platform", "asw"]), 2, "\"aws\""),
        (with(&["--output-kind", "isso"]), 2, "\"iso\""),
        (with(&["--release-image", "UPPER"]), 2, "--release-image"),
        (with(&["--disk-size", "8GB"]), 2, "8GiB"),
        (with(&["--meta", "256=x"]), 2, "--meta"),
        (with(&["--threads", "0"]), 2, "--threads"),
        (with(&["--output-kind", "iso", "--disk-size", "8GiB"]), 2, "--disk-size"),
        (with(&["--output-kind", "kernel", "--bootloader", "grub"]), 2, "--bootloader"),
        (with(&["--stdout", "--plan"]), 2, "--plan"),
        (vec!["build", "metla", version, "v1.11.2"], 2, "\"metal\""),
        (vec!["build", "metal"], 2, version),
        (vec!["build", "metal", version, "1.11"], 2, version),
        (vec!["build", profile], 2, "did you mean \"kind\"?"),
        (vec!["build", "no/such.yaml"], 6, "no/such.yaml"),
        (vec!["inspect", "/no/such"], 6, "/no/such"),
        (vec!["extract", "/no/such", "--stdout"], 2, "PART"),
        (vec!["completions", "bsh"], 2, "'bash'"),
    ] {
        let output = run(&args);
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {stderr}");
        assert!(stderr.starts_with("error: ") && stderr.contains(says), "{args:?}: {stderr}");
        assert_eq!((stderr.lines().count(), output.stdout.len()), (1, 0), "{args:?}: {stderr}");

        let output = run(&[&args[..], &["--json"]].concat());
        let [line] = &json_lines(&output.stderr)[..] else { panic!("{args:?}: {output:?}") };
        assert_eq!(line["error"]["code"], code, "{args:?}: {line}");
        assert!(line["error"]["message"].as_str().unwrap().contains(says), "{args:?}: {line}");
        assert!(line["error"]["kind"].is_string(), "{args:?}: {line}");
    }
}

#[test]
fn one_file_that_cannot_be_read_does_not_hide_the_next() {
    let output = run(&["inspect", "/no/first", "/no/second"]);
    let lines: Vec<_> = text(&output.stderr).lines().collect();
    assert_eq!(lines.len(), 2);
    assert!(lines[0].contains("/no/first") && lines[1].contains("/no/second"), "{lines:?}");
    assert_eq!(output.status.code(), Some(6));
}

#[test]
fn help_is_an_answer_and_a_reader_who_leaves_is_no_failure() {
    assert_eq!(run(&["--help"]).status.code(), Some(0));
    assert_eq!(run(&["build", "--help"]).status.code(), Some(0));
    assert_eq!(run(&[]).status.code(), Some(2));

    let mut child =
        talos_image(&["completions", "zsh"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let child = child.as_mut().unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let mut stderr = String::new();
    std::io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut stderr).unwrap();
    assert_eq!(stderr, "");
}

#[test]
fn every_command_has_a_manual_page_and_every_shell_its_completions() {
    let dir = tempfile::tempdir().unwrap();
    let pages = dir.path().join("share/man1");
    let output = run(&["man", pages.to_str().unwrap(), "--json"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let listed = json_lines(&output.stdout);
    assert_eq!(listed.len(), fs::read_dir(&pages).unwrap().count());
    for page in &listed {
        assert!(Path::new(page["page"].as_str().unwrap()).is_file(), "{page}");
    }
    let build = fs::read_to_string(pages.join("talos-image-build.1")).unwrap();
    assert!(build.contains("system\\-extension\\-image"), "{build}");
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let output = run(&["completions", shell]);
        assert!(text(&output.stdout).contains("talos-version"), "{shell}");
    }
}

//! The command as a script sees it: exit codes, one line on stderr, JSON lines.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests too")]

use image_core::{
    fake,
    formats::{linux, oci},
};
use serde_json::Value;
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
        (vec!["build", "no/such.yaml"], 2, "no/such.yaml"),
        (vec!["inspect", "/no/such"], 2, "/no/such"),
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
    assert_eq!(output.status.code(), Some(2));
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

/// A directory with the images of a release, as a site would have mirrored them.
struct Mirror(tempfile::TempDir);

const EXTENSION: &str = "registry.example/siderolabs/intel-ucode:20251111";

impl Mirror {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let images = fake::images(&"v1.11.2".parse().unwrap()).unwrap();
        fake::write(&oci::layout(&images).unwrap(), dir.path()).unwrap();
        Self(dir)
    }

    fn build(&self, args: &[&str]) -> Command {
        let mut command = talos_image(&["build"]);
        command.args(args).args(["--talos-version", "v1.11.2", "--arch", "amd64", "--source"]);
        command.arg(self.0.path());
        command
    }
}

#[test]
fn what_is_built_is_whole_alone_and_opens_again() {
    let mirror = Mirror::new();
    for (args, name, kind) in [
        (vec!["iso", "--bootloader", "sd-boot"], "metal-amd64.iso", "iso"),
        (
            vec!["metal", "--bootloader", "sd-boot", "--out-format", "raw"],
            "metal-amd64.raw",
            "disk",
        ),
        (vec!["metal-uki"], "metal-amd64-uki.efi", "uki"),
        (vec!["iso", "--output-kind", "initramfs"], "initramfs-metal-amd64.xz", "initramfs"),
        (vec!["iso", "--output-kind", "kernel"], "kernel-amd64", "kernel"),
        (vec!["iso", "--output-kind", "cmdline"], "cmdline-metal-amd64", "cmdline"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("made/for/it");
        let run = mirror.build(&args).args(["--json", "--output"]).arg(&out).output().unwrap();
        assert_eq!(run.status.code(), Some(0), "{args:?}: {run:?}");
        json_lines(&run.stderr);
        let [result] = &json_lines(&run.stdout)[..] else { panic!("{args:?}: {run:?}") };
        let artifact = out.join(name);
        assert_eq!(result["artifact"], artifact.to_str().unwrap());
        assert_eq!(result["name"], name);
        assert_eq!(result["size"], fs::metadata(&artifact).unwrap().len());
        assert_eq!(fs::read_dir(&out).unwrap().count(), 1, "{args:?}");

        if kind == "disk" {
            // Gibibytes of zeros, read twice, would take longer than all other tests.
            continue;
        }
        let streamed = mirror.build(&args).args(["--stdout", "-q", "--threads", "3"]).output();
        let streamed = streamed.unwrap();
        assert!(
            streamed.stdout == fs::read(&artifact).unwrap(),
            "{args:?} is not the same streamed"
        );
        assert_eq!(text(&streamed.stderr), "", "{args:?}");

        let seen = run_on("inspect", &artifact, &["--json"]);
        let [report] = &json_lines(&seen.stdout)[..] else { panic!("{args:?}: {seen:?}") };
        assert_eq!(report["kind"], kind);
        assert_eq!(report["file"], artifact.to_str().unwrap());
        let seen = run_on("inspect", &artifact, &[]);
        assert!(text(&seen.stdout).starts_with(artifact.to_str().unwrap()), "{seen:?}");
    }
}

fn run_on(command: &str, file: &Path, args: &[&str]) -> Output {
    talos_image(&[command]).arg(file).args(args).output().unwrap()
}

#[test]
fn parts_are_listed_taken_and_streamed() {
    let mirror = Mirror::new();
    let dir = tempfile::tempdir().unwrap();
    let built = mirror
        .build(&["iso", "--system-extension-image", EXTENSION])
        .arg("--output")
        .arg(dir.path())
        .output()
        .unwrap();
    assert_eq!(built.status.code(), Some(0), "{built:?}");
    assert!(text(&built.stderr).lines().any(|line| line.starts_with("warning: ")), "{built:?}");
    let iso = dir.path().join("metal-amd64.iso");
    let kernel = linux::fake::bz_image(fake::KERNEL_RELEASE);

    let seen = run_on("inspect", &iso, &[]);
    for row in ["intel-ucode  20251111", "intel   06-55-04   0x00050654"] {
        assert!(text(&seen.stdout).contains(row), "{}", text(&seen.stdout));
    }

    let listed = json_lines(&run_on("extract", &iso, &["--json"]).stdout);
    assert!(listed.iter().any(|part| part["name"] == "kernel" && part["size"] == kernel.len()));

    assert_eq!(run_on("extract", &iso, &["kernel", "--stdout"]).stdout, kernel);

    let out = dir.path().join("parts");
    let flags = ["kernel", "profiles", "--json", "--output", out.to_str().unwrap()];
    let taken = run_on("extract", &iso, &flags);
    assert_eq!(taken.status.code(), Some(0), "{taken:?}");
    assert_eq!(fs::read(out.join("kernel")).unwrap(), kernel);
    let under = |name: &str| name == "kernel" || name.starts_with("profiles/");
    let wanted = listed.iter().filter(|part| under(part["name"].as_str().unwrap())).count();
    let taken = json_lines(&taken.stdout);
    assert!(wanted > 1 && taken.len() == wanted, "{taken:?}");
    for part in &taken {
        assert!(Path::new(part["part"].as_str().unwrap()).is_file(), "{part}");
    }

    for (args, says) in
        [(&["kernle"][..], "\"kernel\""), (&["profiles", "--stdout"][..], "--stdout takes one")]
    {
        let refused = run_on("extract", &iso, args);
        assert_eq!(refused.status.code(), Some(2), "{refused:?}");
        assert!(text(&refused.stderr).contains(says), "{refused:?}");
    }
}

#[test]
fn flags_lie_over_a_profile_and_the_plan_tells() {
    let mirror = Mirror::new();
    let plan = |profile: &str, args: &[&str]| {
        let mut command = mirror.build(&["-", "--plan", "--json"]);
        let mut child =
            command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(profile.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let [plan] = &json_lines(&output.stdout)[..] else { panic!("{output:?}") };
        plan.clone()
    };
    let profile = "baseProfileName: iso\nversion: v1.10.1\n\
                   customization: {extraKernelArgs: [from=profile]}\n";
    let flags = ["--extra-kernel-arg", "from=flag", "--extra-kernel-arg", "-selinux"];
    let kernel = mirror.0.path().join("index.json");
    let files = ["--kernel", kernel.to_str().unwrap(), "--system-extension-image", EXTENSION];
    let plan = plan(profile, &[&flags[..], &files, &["--epoch", "1700000000"]].concat());
    assert_eq!(plan["fileName"], "metal-amd64.iso");
    assert_eq!(plan["talosVersion"], "v1.11.2");
    assert_eq!(plan["epoch"], 1_700_000_000);
    let uki = &plan["output"]["iso"]["uki"];
    assert_eq!(uki["kernel"]["file"], kernel.to_str().unwrap());
    assert_eq!(uki["initramfs"]["extensions"][0]["name"], EXTENSION);
    let cmdline = uki["cmdline"].as_str().unwrap();
    assert!(cmdline.ends_with("from=profile from=flag"), "{cmdline}");
    assert!(!cmdline.contains("selinux"), "{cmdline}");

    let output = mirror.build(&["iso", "--plan"]).env("SOURCE_DATE_EPOCH", "5").output().unwrap();
    assert!(text(&output.stdout).contains("\nepoch: 5\n"), "{output:?}");
}

#[test]
fn a_build_that_fails_leaves_nothing() {
    let mirror = Mirror::new();
    let dir = tempfile::tempdir().unwrap();
    for (args, code) in [
        (&["secureboot-iso"][..], 3),
        (&["iso", "--bootloader", "grub"][..], 3),
        (&["iso", "--source", "no-such-place"][..], 2),
        (&["iso", "--system-extension-image", "none/such:1"][..], 5),
        (&["iso", "--output-kind", "kernel", "--extra-kernel-arg", "a"][..], 3),
        (&["metal", "--out-format", "raw", "--disk-size", "1MiB"][..], 2),
    ] {
        let out = dir.path().join("out");
        let failed = mirror.build(args).arg("--output").arg(&out).output().unwrap();
        assert_eq!(failed.status.code(), Some(code), "{args:?}: {failed:?}");
        let stderr = text(&failed.stderr);
        assert!(stderr.lines().last().unwrap().starts_with("error: "), "{stderr}");
        assert!(!out.exists() || fs::read_dir(&out).unwrap().count() == 0, "{args:?}");
    }
}

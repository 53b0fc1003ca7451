//! What is refused, and how.

use super::*;

#[test]
fn a_mistake_is_one_line_that_names_the_mend() {
    let dir = tempfile::tempdir().unwrap();
    let profile = dir.path().join("profile.yaml");
    fs::write(&profile, "baseProfileName: metal\nversion: v1.12.2\noutput:\n  knid: iso\n")
        .unwrap();
    let profile = profile.to_str().unwrap();
    let (metal, version) = (["build", "metal", "--talos-version", "v1.12.2"], "--talos-version");
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
        (with(&["--threads", "-1"]), 2, "'--threads"),
        (with(&["--disk-sector-size", "-512"]), 2, "'--disk-sector-size"),
        (with(&["--disk-size", "-5"]), 2, "--disk-size: "),
        (with(&["--epoch", "-1"]), 2, "$SOURCE_DATE_EPOCH"),
        (with(&["--embedded-config-path", "/dev/null"]), 2, "/dev/null: the machine"),
        (with(&["--output-kind", "iso", "--disk-size", "8GiB"]), 2, "--disk-size"),
        (with(&["--output-kind", "kernel", "--bootloader", "grub"]), 2, "--bootloader"),
        (with(&["--stdout", "--plan"]), 2, "--plan"),
        (vec!["build", "metla", version, "v1.12.2"], 2, "\"metal\""),
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
fn a_build_that_fails_leaves_nothing() {
    let mirror = Mirror::new();
    let dir = tempfile::tempdir().unwrap();
    for (args, code) in [
        (&["secureboot-iso"][..], 2),
        (&["iso", "--overlay-image", "a/b:1", "--overlay-name", "c"][..], 3),
        (&["iso", "--source", "no-such-place"][..], 2),
        (&["iso", "--system-extension-image", "none/such:1"][..], 5),
        (&["iso", "--output-kind", "kernel", "--extra-kernel-arg", "a"][..], 3),
        (&["metal", "--out-format", "raw", "--disk-size", "1MiB"][..], 2),
        (&["metal", "--out-format", "raw", "--disk-size", "2000000001", "--plan"][..], 2),
        // Seen when its directory was made.
        (&["iso", "--kernel", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")][..], 2),
    ] {
        let out = dir.path().join("made/out");
        let failed = mirror.build(args).arg("--output").arg(&out).output().unwrap();
        assert_eq!(failed.status.code(), Some(code), "{args:?}: {failed:?}");
        let stderr = text(&failed.stderr);
        assert!(stderr.lines().last().unwrap().starts_with("error: "), "{stderr}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "{args:?}");
    }
}

#[test]
fn stdin_and_the_environment_are_not_taken_for_what_was_typed() {
    let mirror = Mirror::new();
    let twice = ["-", "--schematic", "-"];
    let mut child = mirror.build(&twice).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let child = child.as_mut().unwrap();
    child.stdin.take().unwrap().write_all(b"baseProfileName: iso\n").unwrap();
    let mut stderr = String::new();
    std::io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut stderr).unwrap();
    assert!(stderr.starts_with("error: stdin (-) is named twice"), "{stderr}");
    assert_eq!(child.wait().unwrap().code(), Some(2));

    let output = mirror.build(&["iso"]).env("SOURCE_DATE_EPOCH", "").output().unwrap();
    assert!(text(&output.stderr).contains("$SOURCE_DATE_EPOCH"), "{output:?}");
}

#[test]
fn a_name_that_is_a_file_says_how_the_file_is_named() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("mine.json"), "{}").unwrap();
    let output = talos_image(&["profile", "mine.json"]).current_dir(dir.path()).output().unwrap();
    assert!(text(&output.stderr).trim().ends_with("the file is ./mine.json"), "{output:?}");
}

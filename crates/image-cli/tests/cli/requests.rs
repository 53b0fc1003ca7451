//! Requests: what profiles, schematics and flags come to.

use super::*;

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
    assert_eq!(plan["talosVersion"], "v1.12.2");
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

/// What `profile` prints, given `input` on stdin.
fn profile(args: &[&str], input: &str) -> String {
    let mut command = talos_image(&["profile"]);
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{args:?}: {output:?}");
    text(&output.stdout).to_owned()
}

#[test]
fn the_imagers_flags_mean_what_they_mean_to_the_imager() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &str| {
        let path = dir.path().join(name);
        fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let config = file("config.yaml", "apiVersion: v1alpha1\nkind: HostnameConfig\nhostname: a\n");
    let options = format!("@{}", file("options.yaml", "console: ttyS0\nspeed: 9\n"));
    let blob = format!("blob=@{}", file("blob", "line\n"));
    let flags = [
        ["--talos-version", "v1.13.0"],
        ["--arch", "arm64"],
        ["--platform", "nocloud"],
        ["--output-kind", "image"],
        ["--extra-kernel-arg", "-selinux"],
        ["--extra-kernel-arg", "console=ttyS1"],
        ["--meta", "0xc=text"],
        ["--system-extension-image", "registry.example/siderolabs/hello:1.0.0"],
        ["--base-installer-image", "registry.example/siderolabs/installer-base:v1"],
        ["--image-cache", "registry.example/siderolabs/cache:1"],
        ["--embedded-config-path", &config],
        ["--overlay-image", "registry.example/siderolabs/board:1"],
        ["--overlay-name", "board"],
        ["--overlay-option", &options],
        ["--overlay-option", &blob],
        ["--overlay-option", "speed=5"],
        ["--secureboot-enroll-keys", "force"],
        ["--secureboot-signer-address", "unix:///run/signer"],
        ["--pcr-signer-address", "unix:///run/pcr"],
    ];
    let mut args = vec!["secureboot-metal", "--insecure", "--secureboot-include-well-known-certs"];
    args.extend(flags.as_flattened());
    let printed = profile(&args, "");
    assert_eq!(printed, include_str!("imagers-flags.yaml"));
    // The size is printed as it has grown for this version, and grows when it is read again.
    let sizeless = |text: &str| {
        text.lines().filter(|line| !line.contains("diskSize")).collect::<Vec<_>>().join("\n")
    };
    assert_eq!(sizeless(&profile(&["-"], &printed)), sizeless(&printed));
    // What stands beside a profile counts too.
    let changed = profile(&["-", "--arch", "amd64", "--image-cache", "./cache"], &printed);
    assert!(
        changed.contains("arch: amd64\n") && changed.contains("ociPath: ./cache\n"),
        "{changed}"
    );
}

#[test]
fn warnings_count_where_asked() {
    let mirror = Mirror::new();
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    for (more, says) in [(&[][..], "there was a warning"), (&["--plan"], "--strict")] {
        let args = [&["iso", "--meta", "16=token", "--strict"], more].concat();
        let refused = mirror.build(&args).arg("--output").arg(&out).output().unwrap();
        assert_eq!(refused.status.code(), Some(2), "{refused:?}");
        let [warning, error] = text(&refused.stderr).lines().collect::<Vec<_>>()[..] else {
            panic!("{args:?}: {refused:?}")
        };
        assert!(warning.starts_with("warning: metal-amd64.iso: "), "{warning}");
        assert!(error.starts_with("error: ") && error.contains(says), "{error}");
        assert!(!out.exists());
    }
    let args = ["iso", "--strict", "--quiet"];
    let built = mirror.build(&args).arg("--output").arg(&out).output().unwrap();
    assert_eq!((built.status.code(), text(&built.stderr)), (Some(0), ""), "{built:?}");
}

#[test]
fn a_schematic_is_named_explained_and_built() {
    const ID: &str = "8e060eb70ed5eaeb88cfa2046c155bde0bcf47776c015d7f163aee9b25cccbc5";
    let mirror = Mirror::new();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("schematic.yaml");
    let yaml = "customization:\n  extraKernelArgs: [a=b]\n  systemExtensions:\n    \
                officialExtensions: [siderolabs/hello, siderolabs/intel-ucode]\n  \
                embeddedMachineConfiguration: |\n    apiVersion: v1alpha1\n    \
                kind: HostnameConfig\n    hostname: s3cret\n";
    fs::write(&file, yaml).unwrap();
    let file = file.to_str().unwrap();
    assert_eq!(text(&run(&["schematic", "id", file]).stdout), format!("{ID}\n"));
    let shown = run(&["schematic", "show", file, "--json"]);
    assert!(!text(&shown.stdout).contains("s3cret"), "{shown:?}");
    assert_eq!(json_lines(&shown.stdout)[0]["id"], ID);
    let shown = run(&["schematic", "show", file]);
    assert!(text(&shown.stdout).contains(ID) && !text(&shown.stdout).contains("s3cret"));

    let asked = ["iso", "--schematic", file, "--plan", "--json"];
    let factory = ["--factory-url", "https://factory.example/"];
    let planned = mirror.build(&[&asked[..], &factory].concat()).output().unwrap();
    assert_eq!(planned.status.code(), Some(0), "{planned:?}");
    assert!(!text(&planned.stdout).contains("s3cret") && planned.stderr.is_empty(), "{planned:?}");
    let plan = &json_lines(&planned.stdout)[0];
    let uki = &plan["output"]["iso"]["uki"];
    let extensions = uki["initramfs"]["extensions"].as_array().unwrap();
    let names: Vec<_> = extensions.iter().map(|it| it["name"].as_str().unwrap()).collect();
    assert!(names[0].starts_with("registry.example/siderolabs/hello:1.0.0@sha256:"), "{names:?}");
    assert!(
        names[1].contains("siderolabs/intel-ucode:")
            && names[2..] == ["schematic", "embedded-config"]
    );
    assert_eq!(extensions[2]["source"]["virtual"]["version"], ID);
    assert!(uki["cmdline"].as_str().unwrap().ends_with(" a=b"), "{uki}");

    let nowhere = mirror.build(&asked).args(["--factory-url", "factory.example"]).output().unwrap();
    assert!(text(&nowhere.stderr).contains("--factory-url"), "{nowhere:?}");

    // One configuration only, and names as the factory knows them.
    let config = dir.path().join("config.yaml");
    fs::write(&config, "version: v1alpha1\nmachine: {}\n").unwrap();
    let config = ["--embedded-config-path", config.to_str().unwrap()];
    let refused = mirror.build(&[&asked[..], &config].concat()).output().unwrap();
    assert!(text(&refused.stderr).contains("both bring a machine configuration"), "{refused:?}");
    let short = dir.path().join("short.yaml");
    fs::write(&short, yaml.replace("siderolabs/hello", "hello")).unwrap();
    let refused = mirror.build(&["iso", "--schematic", short.to_str().unwrap()]).output().unwrap();
    assert!(text(&refused.stderr).contains("write \"siderolabs/hello\""), "{refused:?}");

    // What is typed beside a schematic is not in its ID, and is warned of.
    let warned = mirror.build(&asked).args(["--extension", "intel-ucode"]).output().unwrap();
    assert!(text(&warned.stderr).contains("not part of its ID"), "{warned:?}");
}

#[test]
fn official_extensions_are_listed_and_taken_by_name() {
    let mirror = Mirror::new();
    let source = mirror.0.path().to_str().unwrap();
    let list = ["extensions", "list", "--talos-version", "v1.12.2", "--source", source];
    let listed = run(&[&list[..], &["--json"]].concat());
    let listed = json_lines(&listed.stdout);
    let names: Vec<_> = listed.iter().map(|it| it["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["hello", "intel-ucode"]);
    assert!(text(&run(&list).stdout).contains("intel-ucode  20251111"));

    let asked = ["iso", "--talos-version", "v1.12.2", "--source", source, "--extension"];
    let printed = profile(&[&asked[..], &["siderolabs/hello"]].concat(), "");
    let reference = listed[0]["reference"].as_str().unwrap();
    assert!(
        printed.contains(&format!("  systemExtensions:\n    - imageRef: {reference}\n")),
        "{printed}"
    );

    for (args, code, says) in [
        (&["--extension", "helo"][..], 2, "did you mean hello?"),
        (
            &["--extension", "hello", "--talos-version", "v1.13.0"],
            5,
            "siderolabs/extensions:v1.13.0",
        ),
    ] {
        let version = ["--talos-version", "v1.12.2"];
        let version = if args.contains(&"--talos-version") { &version[..0] } else { &version[..] };
        let refused = run(&[&["build", "iso", "--source", source][..], version, args].concat());
        let stderr = text(&refused.stderr);
        assert_eq!(refused.status.code(), Some(code), "{stderr}");
        assert!(stderr.contains(says) && stderr.lines().count() == 1, "{stderr}");
    }
}

#[test]
fn a_plan_shows_meta_values_but_no_secret_ones() {
    let mirror = Mirror::new();
    let mut command = mirror.build(&["metal", "--out-format", "raw", "--bootloader", "sd-boot"]);
    command.args(["--plan", "--meta", "0xc=shown", "--meta", "state-encryption-config=s3cret"]);
    for json in [&[][..], &["--json"]] {
        let output = command.args(json).output().unwrap();
        let plan = text(&output.stdout);
        assert!(plan.contains("shown") && !plan.contains("s3cret"), "{output:?}");
    }
}

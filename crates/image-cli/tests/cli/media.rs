//! Media, built, opened and taken apart.

use super::*;

#[test]
fn what_is_built_is_whole_alone_and_opens_again() {
    let mirror = Mirror::new();
    for (args, name, kind) in [
        (vec!["iso"], "metal-amd64.iso", "iso"),
        (
            vec!["metal", "--bootloader", "sd-boot", "--out-format", "raw"],
            "metal-amd64.raw",
            "disk",
        ),
        (vec!["oracle", "--out-format", "raw"], "oracle-amd64.qcow2", "disk"),
        (vec!["vmware"], "vmware-amd64.ova", "disk"),
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

        if name == "metal-amd64.raw" {
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
        if name == "oracle-amd64.qcow2" {
            let expected = json!({
                "format": "qcow2", "virtual_size": 11_736_711_168u64, "cluster_size": 8192
            });
            assert_eq!(report["container"], expected);
        }
        let seen = run_on("inspect", &artifact, &[]);
        assert!(text(&seen.stdout).starts_with(artifact.to_str().unwrap()), "{seen:?}");
    }
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
fn a_stream_can_be_an_archive() {
    let mirror = Mirror::new();
    let dir = tempfile::tempdir().unwrap();
    let args = ["metal-uki", "--tar-to-stdout", "--quiet"];
    let streamed = mirror.build(&args).arg("--output").arg(dir.path()).output().unwrap();
    assert_eq!(streamed.status.code(), Some(0), "{streamed:?}");
    let spool = &mut Spool::new(&Scratch::new(dir.path()));
    let packed = Blob::from(streamed.stdout);
    let archive = compress::decompress(Codec::Gzip, &packed, spool, 1 << 30).unwrap();
    let tree = tar::tree(&archive).unwrap();
    let names: Vec<_> = tree.iter().map(|(path, ..)| path.as_str()).collect();
    assert_eq!(names, ["", "metal-amd64-uki.efi"]);
    let inside = tree.file("metal-amd64-uki.efi").unwrap().to_vec(1 << 30).unwrap();
    assert!(inside == fs::read(dir.path().join("metal-amd64-uki.efi")).unwrap());
}

#[cfg(unix)]
#[test]
fn a_path_that_is_no_text_is_a_path() {
    use std::os::unix::ffi::OsStrExt as _;

    let mirror = Mirror::new();
    let dir = tempfile::tempdir().unwrap();
    let odd = dir.path().join(std::ffi::OsStr::from_bytes(b"odd\xff"));
    let built =
        mirror.build(&["iso", "--output-kind", "cmdline", "--json"]).arg("-o").arg(&odd).output();
    let built = built.unwrap();
    assert_eq!(built.status.code(), Some(0), "{built:?}");
    assert!(json_lines(&built.stdout)[0]["artifact"].is_string(), "{built:?}");
    let cmdline = odd.join("cmdline-metal-amd64");
    assert_eq!(run_on("inspect", &cmdline, &["--json"]).status.code(), Some(0));

    let schematic = odd.join("schematic.yaml");
    fs::write(&schematic, "customization: {}\n").unwrap();
    for command in ["id", "show"] {
        let told = talos_image(&["schematic", command, "--json"]).arg(&schematic).output().unwrap();
        assert!(json_lines(&told.stdout)[0]["id"].is_string(), "{told:?}");
    }
    let refused =
        mirror.build(&["metal-uki", "--plan"]).arg("--splash").arg(&cmdline).output().unwrap();
    assert!(text(&refused.stderr).contains("--splash: the path"), "{refused:?}");
}

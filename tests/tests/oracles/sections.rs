//! Unified kernel images, their microcode and what they are measured as.

use super::*;

/// The sections' names, sizes and digests that `inspect --json` tells.
fn sections(report: &Value) -> Vec<(String, u64, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let sections = report["sections"].as_array().unwrap();
    let row = |section: &Value| {
        let digest = text(&section["digest"]);
        let digest = digest.strip_prefix("sha256:").unwrap().to_owned();
        (text(&section["name"]), section["size"].as_u64().unwrap(), digest)
    };
    sections.iter().map(row).collect()
}

#[test]
fn ukify_and_objdump_see_the_sections_that_inspect_sees() {
    let dir = tempfile::tempdir().unwrap();
    let path = std::env::var("PATH").unwrap();
    let path = format!("{}:{path}", part("bin").display());
    let kernels = [
        linux::vmlinux(&fs::read(part("amd64/vmlinuz")).unwrap()),
        fs::read(part("arm64/vmlinuz")).unwrap(),
    ];
    for (file, kernel) in media().ukis.iter().zip(kernels) {
        let mut command = Command::new("ukify");
        command.arg("inspect").arg(file).args(["--all", "--json=short"]).env("PATH", &path);
        let theirs: BTreeMap<String, Value> =
            serde_json::from_slice(&finish(&mut command).stdout).unwrap();
        let report = inspect(file);
        let ours = sections(&report);
        assert_eq!(ours.len(), theirs.len());
        for (name, size, digest) in ours {
            let section = &theirs[&name];
            assert_eq!(section["size"], size, "{name}");
            assert_eq!(section["sha256"], digest, "{name}");
        }
        let uname = theirs[".uname"]["text"].as_str().unwrap();
        assert_eq!(report["uname"], uname);
        let banner = format!("Linux version {uname} (");
        let runs = kernel.windows(banner.len()).any(|window| window == banner.as_bytes());
        assert!(runs, "the kernel is not {uname}");
    }

    // With profiles names repeat, which only objdump tells apart.
    let (_, rows) = partitions(&media().isos[0], 512);
    let esp = cut(&media().isos[0], rows[1].0, rows[1].1, &dir.path().join("esp"));
    let uki = dir.path().join("uki");
    let mut command = Command::new("mcopy");
    finish(command.arg("-i").arg(esp).arg("::/EFI/Linux/Talos-v1.12.0.efi").arg(&uki));
    let listing = text("objdump", &["-h".as_ref(), uki.as_os_str()]);
    let theirs: Vec<_> = listing
        .lines()
        .filter_map(|line| {
            let words: Vec<_> = line.split_whitespace().collect();
            words.first()?.parse::<u32>().ok()?;
            Some((words[1].to_owned(), u64::from_str_radix(words[2], 16).unwrap()))
        })
        .collect();
    let ours: Vec<_> =
        sections(&inspect(&uki)).into_iter().map(|(name, size, _)| (name, size)).collect();
    assert_eq!(ours, theirs);
    assert_eq!(ours.iter().filter(|(name, _)| name == ".profile").count(), 2);
}

/// A microcode update of Intel's.
#[derive(Debug, PartialEq)]
struct Update {
    /// Signature and mask of platforms.
    processors: BTreeSet<(u64, u64)>,
    date: String,
    revision: u64,
    size: u64,
}

#[test]
fn iucode_tool_lists_the_microcode_that_inspect_lists() {
    let dir = tempfile::tempdir().unwrap();
    let report = inspect(&media().initramfs);
    let early = report["segments"][0]["size"].as_u64().unwrap();
    let early = cut(&media().initramfs, 0, early, &dir.path().join("early"));
    unpack(&fs::read(early).unwrap(), dir.path());
    let bundle = dir.path().join("kernel/x86/microcode/GenuineIntel.bin");
    let number = |text: &str| u64::from_str_radix(text.trim_start_matches("0x"), 16).unwrap();
    // An update is a line with its size; lines without follow for more processors.
    let mut theirs: Vec<Update> = Vec::new();
    for line in text("iucode_tool", &["-L".as_ref(), bundle.as_os_str()]).lines() {
        let Some((_, line)) = line.split_once(" sig ") else { continue };
        let words: Vec<_> = line.split(", ").collect();
        let after = |at: usize, key: &str| words[at].strip_prefix(key).unwrap();
        let processor = (number(words[0]), number(after(1, "pf_mask ")));
        if words.len() == 4 {
            theirs.last_mut().unwrap().processors.insert(processor);
        } else {
            theirs.push(Update {
                processors: BTreeSet::from([processor]),
                date: words[2].to_owned(),
                revision: number(after(3, "rev ")),
                size: after(4, "size ").parse().unwrap(),
            });
        }
    }
    let hex = |value: &Value| number(value.as_str().unwrap());
    let updates = report["microcode"].as_array().unwrap().iter();
    let ours: Vec<_> = updates
        .filter(|update| update["vendor"] == "intel")
        .map(|update| {
            assert_eq!(update["checksum_ok"], true);
            let processors = update["processors"].as_array().unwrap().iter();
            Update {
                processors: processors
                    .map(|processor| (hex(&processor["signature"]), hex(&processor["platforms"])))
                    .collect(),
                date: update["date"].as_str().unwrap().to_owned(),
                revision: hex(&update["revision"]),
                size: update["size"].as_u64().unwrap(),
            }
        })
        .collect();
    assert!(theirs.len() > 100, "only {} updates", theirs.len());
    assert_eq!(ours.len(), theirs.len());
    for (ours, theirs) in ours.iter().zip(&theirs) {
        assert_eq!(ours, theirs);
    }
}

/// systemd-measure on the sections of one profile, which are put into a folder.
pub(super) fn systemd_measure(verb: &str, sections: &uki::Sections, dir: &Path) -> Command {
    let mut command = Command::new(part("bin/systemd-measure"));
    command.args([verb, "--json=short"]);
    for (section, content) in sections {
        let name = section.name().trim_start_matches('.');
        let file = dir.join(name);
        content.persist(&file, &mut |_| ()).unwrap();
        command.arg(format!("--{name}={}", file.display()));
    }
    command.args(HashFunction::ALL.map(|bank| format!("--bank={bank}")));
    command
}

#[test]
fn systemd_measure_predicts_and_signs_the_same_pcr_11() {
    const KEY: &str =
        concat!(env!("CARGO_MANIFEST_DIR"), "/../crates/image-core/tests/golden/pcr/key.pem");
    let key = PrivateKey::read(&fs::read(KEY).unwrap(), None).unwrap();
    let phases = ["enter-initrd", "leave-initrd", "enter-machined"];
    let (_, rows) = partitions(&media().isos[0], 512);
    let dir = tempfile::tempdir().unwrap();
    let esp = cut(&media().isos[0], rows[1].0, rows[1].1, &dir.path().join("esp"));
    let public = dir.path().join("public.pem");
    fs::write(&public, pcr::public_key_pem(key.public_key()).unwrap()).unwrap();
    let with_profiles = dir.path().join("uki");
    let mut command = Command::new("mcopy");
    finish(command.arg("-i").arg(esp).arg("::/EFI/Linux/Talos-v1.12.0.efi").arg(&with_profiles));
    for file in [&media().ukis[0], &media().ukis[1], &with_profiles] {
        let contents = uki::read(&Blob::open(file).unwrap()).unwrap();
        let ours = pcr::predict(&contents, &HashFunction::ALL, &phases).unwrap();
        let boots = contents.boots();
        assert_eq!(ours.len(), boots.len());
        for (ours, sections) in ours.iter().zip(boots) {
            let measure = |verb| {
                let mut command = systemd_measure(verb, &sections, dir.path());
                command.args(ours.iter().skip(1).map(|at| format!("--phase={}", at.phase)));
                command
            };
            let mut command = measure("calculate");
            let theirs: Value = serde_json::from_slice(&finish(&mut command).stdout).unwrap();
            for (at, ours) in ours.iter().skip(1).enumerate() {
                for (bank, value) in &ours.values {
                    let theirs = &theirs[bank.name()][at];
                    assert_eq!(theirs["phase"], ours.phase);
                    let mut hex = String::new();
                    value.iter().for_each(|byte| write!(hex, "{byte:02x}").unwrap());
                    assert_eq!(theirs["hash"], hex, "{bank} at {}", ours.phase);
                }
            }
            let signed = pcr::sign("it", &ours[1..], &key).unwrap().to_json().unwrap();
            let mut command = measure("sign");
            command.arg(format!("--private-key={KEY}"));
            command.arg(format!("--public-key={}", public.display()));
            let theirs = finish(&mut command).stdout;
            assert_eq!(String::from_utf8_lossy(&theirs).trim_end(), signed);
        }
    }
}

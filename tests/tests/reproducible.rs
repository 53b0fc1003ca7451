//! The same request gives the same bytes, whatever the machine, the surroundings and the kind of
//! source.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use image_core::{
    blob::{Blob, Digest, Extent, HashWriter},
    signature::Signer as _,
    signers::PrivateKey,
    talos::secure_boot,
};
use std::{
    fs,
    io::{self, Read, Write as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};
use system_tests::{
    VERSION, build, build_any, image, part, release, run, talos_image,
    tools::{finish, tool},
};

/// Every kind of output, and whether time is in it.
const KINDS: [(&[&str], bool); 15] = [
    (&["metal", "--output-kind", "kernel"], false),
    (&["metal", "--output-kind", "initramfs"], true),
    (&["metal", "--output-kind", "cmdline"], false),
    (&["metal-uki"], true),
    (&["iso"], true),
    (&["iso", "--bootloader", "sd-boot"], true),
    (&["iso", "--bootloader", "grub"], true),
    (&["metal", "--bootloader", "sd-boot"], true),
    (&["metal"], true),
    (&["metal", "--bootloader", "grub"], true),
    (&["metal", "--bootloader", "sd-boot", "--disk-sector-size", "4096"], true),
    (&["oracle"], true),
    (&["oracle", "--disk-format-options", "compression_type=zstd"], true),
    (&["azure", "--disk-size", "1246MiB"], true),
    (&["vmware"], true),
];

/// What must not change a byte.
struct Surroundings {
    threads: &'static str,
    sources: Vec<String>,
    directory: PathBuf,
    umask: &'static str,
    environment: [(&'static str, &'static str); 4],
    stdout: bool,
}

impl Surroundings {
    fn plain() -> Self {
        Self {
            threads: "1",
            sources: vec![release()],
            directory: std::env::temp_dir(),
            umask: "022",
            environment: [("TZ", "UTC"), ("LANG", "C"), ("LC_ALL", "C"), ("HOME", "/root")],
            stdout: false,
        }
    }

    fn build(&self, output: &Path, arguments: &[&str]) -> Digest {
        let talos_image = talos_image();
        // A mask is of a process, and only a shell sets it without unsafe code.
        let mut command = Command::new("sh");
        command.args(["-c", "umask $0; exec \"$@\"", self.umask]);
        command.arg(talos_image.get_program()).args(["build", "--talos-version", VERSION]);
        command.args(["--quiet", "--threads", self.threads, "--out-format", "raw"]);
        command.args(arguments);
        command.args(
            ["intel-ucode", "hello"]
                .iter()
                .flat_map(|name| ["--system-extension-image".to_owned(), image(name)]),
        );
        command.args(self.sources.iter().flat_map(|source| ["--source", source]));
        command.env_remove("SOURCE_DATE_EPOCH").envs(self.environment);
        command.current_dir(&self.directory);
        let dir = tempfile::tempdir_in(output).unwrap();
        if self.stdout {
            let mut child = command.arg("--stdout").stdout(Stdio::piped()).spawn().unwrap();
            let stream = fingerprint_of_stream(&mut child.stdout.take().unwrap());
            assert!(child.wait().unwrap().success(), "{command:?}");
            return stream;
        }
        finish(command.arg("--output").arg(dir.path()));
        let made = fs::read_dir(dir.path()).unwrap().next().unwrap().unwrap();
        fingerprint(&made.path())
    }
}

const CHUNK: usize = 1 << 20;

/// A digest of a file that takes zeros for granted, so that a disk image costs what is in it:
/// two files have the same if they have the same bytes.
fn fingerprint(path: &Path) -> Digest {
    let blob = Blob::open(path).unwrap();
    let mut hash = HashWriter::new(io::sink());
    for extent in blob.extents() {
        let Extent::Data { offset, len } = extent else { continue };
        let end = (offset + len).next_multiple_of(4096).min(blob.len());
        let mut reader = blob.slice(offset / 4096 * 4096..end).reader();
        add(&mut hash, &mut reader, offset / 4096 * 4096);
    }
    finish_fingerprint(hash, blob.len())
}

/// The same of a stream.
fn fingerprint_of_stream(stream: &mut impl Read) -> Digest {
    let mut hash = HashWriter::new(io::sink());
    let len = add(&mut hash, stream, 0);
    finish_fingerprint(hash, len)
}

/// Takes what is not zero from `start` on; gives back where it ends.
fn add(hash: &mut HashWriter<io::Sink>, reader: &mut impl Read, start: u64) -> u64 {
    let mut at = start;
    let mut bytes = Vec::with_capacity(CHUNK);
    loop {
        bytes.clear();
        let read = reader.by_ref().take(CHUNK as u64).read_to_end(&mut bytes).unwrap();
        if read == 0 {
            return at;
        }
        for (block, offset) in bytes.chunks(4096).zip((at..).step_by(4096)) {
            if block != &[0; 4096][..block.len()] {
                hash.write_all(&offset.to_le_bytes()).unwrap();
                hash.write_all(block).unwrap();
            }
        }
        at += read as u64;
    }
}

fn finish_fingerprint(mut hash: HashWriter<io::Sink>, len: u64) -> Digest {
    hash.write_all(&len.to_le_bytes()).unwrap();
    hash.finish().0
}

/// The release in one file, once in each form; for images of Docker's, one architecture of it.
fn archives(dir: &Path, arch: &str) -> (String, Vec<String>) {
    let layout = part("release");
    let (archive, layout) = (dir.join("release.tar"), layout.display());
    tool("tar", &["-C", &layout.to_string(), "-cf", &archive.display().to_string(), "."]);
    let saved = ["imager", "intel-ucode", "hello"].map(|name| {
        let (file, reference) = (format!("{name}.tar"), image(name));
        let target = format!("docker-archive:{}:{reference}", dir.join(&file).display());
        let source = format!("oci:{layout}:{reference}");
        tool(
            "skopeo",
            &["copy", "-q", "--insecure-policy", "--override-arch", arch, &source, &target],
        );
        format!("docker-archive:{file}")
    });
    (format!("oci-archive:{}", archive.display()), saved.into())
}

/// A folder of keys, without the variables, whose date would be that of the keys.
fn keys(dir: &Path, key_type: &str) -> String {
    let keys = dir.join(key_type).display().to_string();
    run(&["keys", "--key-type", key_type, &keys]);
    for variable in ["PK", "KEK", "db"] {
        fs::remove_file(format!("{keys}/{variable}.auth")).unwrap();
    }
    keys
}

fn reproduces(arch: &str, key_type: &str) {
    let dir = tempfile::tempdir().unwrap();
    let (archive, saved) = archives(dir.path(), arch);
    let others = [
        Surroundings {
            threads: "2",
            sources: vec![archive],
            umask: "077",
            environment: [
                ("TZ", "Asia/Kathmandu"),
                ("LANG", "tr_TR.UTF-8"),
                ("LC_ALL", "tr_TR.UTF-8"),
                ("HOME", "/nonexistent"),
            ],
            directory: "/".into(),
            ..Surroundings::plain()
        },
        Surroundings {
            threads: "5",
            sources: saved,
            environment: [
                ("TZ", "America/St_Johns"),
                ("LANG", "de_DE"),
                ("LC_ALL", "ar_EG.UTF-8"),
                ("HOME", "."),
            ],
            // The sources are named relative to it.
            directory: dir.path().to_owned(),
            ..Surroundings::plain()
        },
    ];
    let plain = Surroundings::plain();
    let streamed = Surroundings { stdout: true, ..Surroundings::plain() };
    let keys = keys(dir.path(), key_type);
    let secure = ["secureboot-iso", "secureboot-metal"]
        .map(|profile| (vec![profile, "--keys", &keys, "--secureboot-enroll-keys", "force"], true));
    let kinds = KINDS.into_iter().map(|(kind, timed)| (kind.to_vec(), timed)).chain(secure);
    for (kind, timed) in kinds {
        let kind = [&kind[..], &["--arch", arch]].concat();
        let first = plain.build(dir.path(), &kind);
        for other in &others {
            let (threads, sources) = (other.threads, &other.sources);
            let second = other.build(dir.path(), &kind);
            assert_eq!(first, second, "{kind:?} with {threads} threads from {sources:?}");
        }
        assert_eq!(first, streamed.build(dir.path(), &kind), "{kind:?} on standard output");
        let later = plain.build(dir.path(), &[&kind[..], &["--epoch", "1700000000"]].concat());
        assert_eq!(first != later, timed, "{kind:?} at another time");
    }
}

#[test]
fn media_for_amd64_are_reproducible() {
    reproduces("amd64", "rsa2048");
}

#[test]
fn media_for_arm64_are_reproducible() {
    reproduces("arm64", "p256");
}

/// Who signs is not in the bytes: keys at hand, a program that has them, or someone who gets
/// digests and sends signatures.
#[test]
fn a_medium_signed_elsewhere_is_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let keys = keys(dir.path(), "rsa2048");
    let iso = ["secureboot-iso", "--arch=amd64", "--secureboot-enroll-keys=force"];
    let built =
        |how: &str, arguments: &[&str]| build(&dir.path().join(how), &[&iso, arguments].concat());
    let here = fingerprint(&built("here", &["--keys", &keys]));

    // Elsewhere there are the private keys, each by its fingerprint.
    let elsewhere = dir.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    for key in [secure_boot::UKI_KEY, secure_boot::PCR_KEY] {
        let key = fs::read(Path::new(&keys).join(key)).unwrap();
        let public = PrivateKey::read(&key, None).unwrap().public_key().fingerprint();
        fs::write(elsewhere.join(public), key).unwrap();
    }
    let elsewhere = elsewhere.display();
    let public = dir.path().join("pcr-public.pem").display().to_string();
    let pcr_key = format!("{keys}/{}", secure_boot::PCR_KEY);
    tool("openssl", &["pkey", "-pubout", "-in", &pcr_key, "-out", &public]);
    let certificate = format!("{keys}/{}", secure_boot::UKI_CERTIFICATE);
    let known = ["--uki-certificate", &certificate, "--pcr-key", &public];

    let program = dir.path().join("sign.sh");
    let script = format!(
        "openssl pkeyutl -sign -inkey {elsewhere}/$TALOS_IMAGE_SIGN_KEY \
         -pkeyopt digest:$TALOS_IMAGE_SIGN_HASH -pkeyopt rsa_padding_mode:pkcs1\n"
    );
    fs::write(&program, script).unwrap();
    let command = format!("sh {}", program.display());
    let by_program = built("program", &[&known[..], &["--signer-command", &command]].concat());
    assert_eq!(fingerprint(&by_program), here);

    let requests = dir.path().join("requests").display().to_string();
    let there = ["--unsigned-requests", &requests, "--signatures", &requests];
    let arguments = [&iso[..], &known, &there].concat();
    let output = dir.path().join("detached");
    fs::create_dir(&requests).unwrap();
    let mut rounds = 0;
    let detached = loop {
        if let [iso] = &build_any(VERSION, &output, &arguments)[..] {
            break iso.clone();
        }
        rounds += 1;
        assert!(rounds < 4, "it never has enough");
        let index = fs::read(format!("{requests}/requests.json")).unwrap();
        let index: serde_json::Value = serde_json::from_slice(&index).unwrap();
        for request in index["requests"].as_array().unwrap() {
            let key = format!("{elsewhere}/{}", request["key"].as_str().unwrap());
            let line = request["openssl"].as_str().unwrap().replace("KEY.pem", &key);
            finish(Command::new("sh").args(["-c", &line]).current_dir(&requests));
        }
    };
    // The UKI can be signed only when it has the signatures of what PCR 11 will hold.
    assert_eq!(rounds, 2);
    assert_eq!(fingerprint(&detached), here);
}

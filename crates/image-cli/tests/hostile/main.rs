//! Bad input, full disks, kills: each refusal is one line that names the thing and the mend,
//! with its exit code, and the output directory holds nothing it did not hold before.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests too")]
#![expect(clippy::too_many_lines, reason = "tables")]

mod extensions;
mod grub;
mod media;
mod parts;
mod requests;
mod signing;
mod sources;
mod writing;

use image_core::{
    blob::Blob,
    fake,
    formats::{
        cpio,
        oci::{self, Descriptor, Encoding, Platform, media_type},
        pe::{self, Machine},
        tar,
    },
    talos::Arch,
    tree::{Node, NodeKind, Tree, TreePath},
};
use std::{
    collections::BTreeMap,
    fmt::Debug,
    fs,
    os::unix::fs::FileExt,
    path::Path,
    process::{Command, Output, Stdio},
    thread,
    time::Instant,
};

const VERSION: &str = "v1.11.0";

fn path(text: &str) -> TreePath {
    TreePath::new(text).unwrap()
}

/// A directory with good parts, and every bad one the tables name.
struct Rig {
    dir: tempfile::TempDir,
    images: Vec<oci::Named>,
}

impl Rig {
    fn new() -> Self {
        let images = fake::images(&VERSION.parse().unwrap()).unwrap();
        let rig = Self { dir: tempfile::tempdir().unwrap(), images };
        rig.layout("good", &rig.images, |_| {});
        rig
    }

    fn put(&self, name: &str, content: impl Into<Blob>) {
        content.into().persist(&self.dir.path().join(name), &mut |_| {}).unwrap();
    }

    fn layout(&self, name: &str, images: &[oci::Named], edit: impl FnOnce(&mut Tree)) {
        let mut tree = oci::layout(images).unwrap();
        edit(&mut tree);
        fake::write(&tree, &self.dir.path().join(name)).unwrap();
    }

    /// A layout of the good release and of an extension of each name.
    fn extensions(&self, name: &str, extensions: &[oci::Named]) {
        self.layout(name, &[&self.images[..], extensions].concat(), |_| {});
    }

    /// Runs `line`, its words split at spaces, `{dir}` being the rig's directory; what a build
    /// needs and the line does not say is added.
    fn command(&self, line: &str) -> Command {
        let mut line = line.replace("{dir}", self.dir.path().to_str().unwrap());
        let usual = [
            ("--talos-version", VERSION.to_owned()),
            ("--arch", "amd64".to_owned()),
            ("--source", format!("oci:{}/good", self.dir.path().display())),
            ("--output", self.out().display().to_string()),
            ("--bootloader", "sd-boot".to_owned()),
            ("--out-format", "raw".to_owned()),
        ];
        if line.starts_with("build") {
            for (flag, value) in usual {
                let senseless = match flag {
                    "--bootloader" => {
                        ["uki", "--output-kind", "installer"].iter().any(|it| line.contains(it))
                    }
                    "--output" => line.contains("--stdout"),
                    _ => false,
                };
                if !line.contains(&format!("{flag} ")) && !senseless {
                    line.extend([" ", flag, " ", &value]);
                }
            }
            line += " -q";
        }
        let mut command = Command::new(env!("CARGO_BIN_EXE_talos-image"));
        command.args(line.split(' ')).env_remove("SOURCE_DATE_EPOCH").stdin(Stdio::null());
        command
    }

    fn out(&self) -> std::path::PathBuf {
        self.dir.path().join("out")
    }

    /// Builds what succeeds, alone in the output directory: its name and length.
    fn built(&self, line: &str) -> (String, u64) {
        let _ = fs::remove_dir_all(self.out());
        let output = self.command(line).output().unwrap();
        assert!(output.status.success(), "{line}: {output:?}");
        let [name] = &listing(&self.out())[..] else { panic!("{line}: {output:?}") };
        (name.clone(), fs::metadata(self.out().join(name)).unwrap().len())
    }

    /// Runs `line` in a shell that limits itself first.
    fn in_shell(&self, limit: &str, line: &str) -> Output {
        let command = self.command(line);
        let script = format!("{limit}; exec \"$0\" \"$@\"");
        let mut shell = Command::new("sh");
        shell.args(["-c", &script]).arg(command.get_program()).args(command.get_args());
        shell.output().unwrap()
    }

    /// Holds every row's refusal against its code and what it has to say.
    fn refuses(&self, rows: &[(&str, i32, &[&str])]) {
        let mut wrong = Vec::new();
        for (line, code, says) in rows {
            let output = self.command(line).output().unwrap();
            let said = refusal(&output);
            let fits =
                output.status.code() == Some(*code) && says.iter().all(|it| said.contains(it));
            if !fits || listing(&self.out()) != [""; 0] {
                wrong.push(format!("{line}: {}: {said} {:?}", output.status, listing(&self.out())));
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
    }
}

/// The one line that a refusal is.
fn refusal(output: &Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    let lines: Vec<_> = stderr.lines().collect();
    let [line] = lines[..] else { return format!("NOT ONE LINE: {stderr}") };
    match line.strip_prefix("error: ") {
        Some(said) => said.to_owned(),
        None => format!("NO ERROR: {line}"),
    }
}

fn listing(dir: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// An archive of one member, by hand: what no honest writer writes (POSIX.1-2008, pax, ustar).
fn tar_of(name: &str, kind: u8, target: &str) -> Vec<u8> {
    let mut block = vec![0; 512];
    block[..name.len()].copy_from_slice(name.as_bytes());
    block[100..107].copy_from_slice(b"0000644");
    block[124..135].copy_from_slice(b"00000000000");
    block[136..147].copy_from_slice(b"00000000000");
    block[148..156].fill(b' ');
    block[156] = kind;
    block[157..157 + target.len()].copy_from_slice(target.as_bytes());
    block[257..265].copy_from_slice(b"ustar\x0000");
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block.resize(512 * 3, 0);
    block
}

/// An image for amd64 whose one layer is `archive`.
fn raw_image(name: &str, archive: Vec<u8>) -> oci::Named {
    let descriptor = Descriptor::of(media_type::LAYER, &archive);
    let diff_id = descriptor.digest;
    let layer = oci::Layer { descriptor, blob: archive.into(), diff_id };
    let config = serde_json::Map::new();
    let platform = Platform::new("linux", "amd64");
    let image = oci::image(&platform, &config, vec![layer], BTreeMap::new()).unwrap();
    oci::Named { names: vec![format!("registry.example/bad/{name}:1")], images: vec![image] }
}

fn image(name: &str, tree: &Tree) -> oci::Named {
    fake::image(&format!("bad/{name}:1"), tree, &[Arch::Amd64], Encoding::Gzip).unwrap()
}

fn good_extension(name: &str, talos: &str, file: &str) -> Tree {
    fake::extension(name, "1", talos, &[(file, "content".into())]).unwrap()
}

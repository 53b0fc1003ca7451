//! Whole processes, timed against the tools a user would use instead, and their peak memory:
//! `cargo bench -p benches [-- PART-OF-A-ROW'S-NAME]`.
//!
//! Only ratios are judged, taken in one run whose repetitions alternate, so that it says the
//! same on a fast and on a slow machine. Inputs are made up, the same in every run.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "its output is a table")]

mod inputs;
mod measure;
mod table;

use anyhow::{Context as _, Result, bail};
use image_core::{
    blob::Scratch,
    formats::{oci::Encoding, squashfs},
};
use inputs::Inputs;
use measure::{Run, alternate, shell};
use std::{
    env,
    ffi::OsString,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    thread,
};
use table::Table;

const DISK: [&str; 3] = ["metal", "--out-format", "raw"];

/// What a peak may be, in bytes.
const PEAK: u64 = 64 << 20;

/// What the peak of packing may be, in bytes.
const PACKING_PEAK: u64 = 96 << 20;

/// By this argument the program is one of those it measures: it makes a squashfs of a folder.
const SQUASHFS: &str = "--squashfs";

fn main() -> ExitCode {
    match run(env::args_os().skip(1).collect()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Measures and prints; whether all was within its limit.
fn run(mut args: Vec<OsString>) -> Result<bool> {
    if args.first().is_some_and(|first| first == SQUASHFS) {
        let [_, from, to] = &*args else { bail!("{SQUASHFS} FOLDER FILE") };
        return squash(from.as_ref(), to.as_ref()).map(|()| true);
    }
    // Cargo adds this.
    args.retain(|arg| arg != "--bench");
    let filter = args.first().map(|arg| arg.to_string_lossy().into_owned()).unwrap_or_default();
    measure::ensure(&[
        "dd",
        "gzip",
        "mksquashfs",
        "pigz",
        "qemu-img",
        "sh",
        "sha256sum",
        "sync",
        "xz",
        "zstd",
    ])?;
    let bench = Bench {
        command: talos_image()?,
        inputs: Inputs::new(Path::new(env!("CARGO_TARGET_TMPDIR")))?,
        filter,
    };
    let mut table = Table::default();
    bench.files(&mut table)?;
    bench.grub(&mut table)?;
    bench.virtual_disks(&mut table)?;
    bench.packing(&mut table)?;
    bench.layouts(&mut table)?;
    bench.squashfs(&mut table)?;
    print!("{table}");
    Ok(table.is_within())
}

/// The command as it would be shipped, built by the Cargo that runs this.
fn talos_image() -> Result<PathBuf> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["build", "--release", "--package", "image-cli"])
        .args(["--message-format", "json-render-diagnostics"])
        .stderr(Stdio::inherit())
        .output()
        .context("cargo build")?;
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

/// A squashfs by this project's library, on as many threads as there are processors.
fn squash(from: &Path, to: &Path) -> Result<()> {
    let tree = inputs::tree(from)?;
    let threads = thread::available_parallelism()?;
    let options = squashfs::Options { threads, ..squashfs::Options::default() };
    let scratch = Scratch::new(to.parent().unwrap_or(from));
    let image = squashfs::image(&tree, &options, &scratch, &|_| ())?;
    Ok(image.write_to(&mut File::create(to)?, &mut |_| ())?)
}

struct Bench {
    command: PathBuf,
    inputs: Inputs,
    /// Only rows whose name has this are measured.
    filter: String,
}

impl Bench {
    fn wants(&self, what: &str) -> bool {
        what.contains(&self.filter)
    }

    fn talos_image(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.command);
        command.args(["--quiet", "--no-progress"]).args(args);
        command
    }

    /// Runs `talos-image build`, of which the medium remains, and nothing from before.
    fn build(&self, args: &[&str], from: &[OsString]) -> Result<Run> {
        self.build_of(inputs::VERSION, &[args, &["--bootloader", "sd-boot"]].concat(), from)
    }

    /// The same of another version, with the boot loader `args` have.
    fn build_of(&self, version: &str, args: &[&str], from: &[OsString]) -> Result<Run> {
        let output = self.inputs.output();
        measure::remove(&output)?;
        let mut command = self.talos_image(&["build"]);
        command.args(args).args(["--talos-version", version, "--arch", "amd64"]);
        command.args(from).arg("--output").arg(output);
        measure::run(command.stdout(Stdio::null()))
    }

    /// Boot assets as files, no extension, against one copy of the same bytes: an ISO that boots
    /// through systemd-boot alone, the one made by default, with GRUB beside it, and a disk.
    fn files(&self, table: &mut Table) -> Result<()> {
        let sd_boot = ["--bootloader", "sd-boot"];
        let (iso, disk) = ([&["iso"], &sd_boot[..]].concat(), [&DISK, &sd_boot[..]].concat());
        for (size, name, repetitions) in [(100 << 20, "100 MB", 7), (1000 << 20, "1 GB", 3)] {
            let whats =
                ["ISO", "hybrid ISO", "disk"].map(|what| format!("{what} from files, {name}"));
            if !whats.iter().any(|what| self.wants(what)) {
                continue;
            }
            eprintln!("{}", whats.join("; "));
            let files = self.inputs.files(size)?;
            let payload = self.inputs.payload(&files, 1)?;
            let copy = self.inputs.dir().join("copy");
            let with_grub = [files.args(), self.inputs.grub()?].concat();
            let requests =
                [(&iso[..], files.args()), (&["iso"], with_grub), (&disk[..], files.args())];
            let build = |(args, from): &(&[&str], Vec<OsString>)| {
                self.build_of(inputs::VERSION, args, from)
            };
            let [isos, hybrids, disks, copies] =
                alternate(repetitions, |which| match requests.get(which) {
                    Some(request) => build(request),
                    None => dd(&payload, &copy),
                })?;
            for ((what, runs), request) in whats.iter().zip([isos, hybrids, disks]).zip(&requests) {
                table.time(what, runs.median(), copies.median(), "dd conv=fsync", 2.0);
                table.peak(what, runs.peak(), PEAK);
                build(request)?;
                if request.0.starts_with(&["iso"]) {
                    let [ours, theirs] = [&self.made()?, &payload].map(|path| len(path));
                    table.size(what, ours?, theirs?, "kernel and initramfs, once", 1.05);
                }
                self.inspect(what, table)?;
            }
            measure::remove(&payload)?;
            measure::remove(&copy)?;
        }
        Ok(())
    }

    /// Disks that boot through GRUB too, against a copy of the bytes they hold, and one with a
    /// partition BOOT of 2000 MiB against one of 1000 MiB.
    fn grub(&self, table: &mut Table) -> Result<()> {
        // These have to hold it twice: in the EFI system partition and in BOOT.
        for (size, name, repetitions) in [(100 << 20, "100 MB", 7), (1000 << 20, "1 GB", 3)] {
            let dual = format!("dual-boot disk, {name}");
            if !self.wants(&dual) {
                continue;
            }
            eprintln!("{dual}");
            let files = self.inputs.files(size)?;
            let args = [files.args(), self.inputs.grub()?].concat();
            let payload = self.inputs.payload(&files, 2)?;
            let copy = self.inputs.dir().join("copy");
            let disk = [&DISK[..], &["--bootloader", "dual-boot"]].concat();
            let [disks, copies] = alternate(repetitions, |which| match which {
                0 => self.build_of(inputs::VERSION, &disk, &args),
                _ => dd(&payload, &copy),
            })?;
            table.time(&dual, disks.median(), copies.median(), "dd conv=fsync", 2.0);
            table.peak(&dual, disks.peak(), PEAK);
            self.build_of(inputs::VERSION, &disk, &args)?;
            self.inspect(&dual, table)?;
            measure::remove(&payload)?;
            measure::remove(&copy)?;
        }
        let what = "disk with GRUB, BOOT of 2000 MiB";
        if self.wants(what) {
            eprintln!("{what}");
            let args = [self.inputs.files(100 << 20)?.args(), self.inputs.grub()?].concat();
            let disk = [&DISK[..], &["--bootloader", "grub"]].concat();
            let [large, small] = alternate(7, |which| match which {
                0 => self.build_of(inputs::VERSION, &disk, &args),
                _ => self.build_of(inputs::SMALL_BOOT, &disk, &args),
            })?;
            table.time(what, large.median(), small.median(), "BOOT of 1000 MiB", 1.1);
        }
        Ok(())
    }

    /// Disks of virtual machines, against a copy of the bytes they hold, and an appliance against
    /// the conversion of a raw disk that is there already.
    fn virtual_disks(&self, table: &mut Table) -> Result<()> {
        let whats = ["qcow2, 100 MB", "VHD, 100 MB", "OVA, 100 MB"];
        if !whats.iter().any(|what| self.wants(what)) {
            return Ok(());
        }
        eprintln!("{}", whats.join("; "));
        let files = self.inputs.files(100 << 20)?;
        let payload = self.inputs.payload(&files, 1)?;
        let [copy, raw, theirs] = ["copy", "raw", "vmdk"].map(|name| self.inputs.dir().join(name));
        self.build(&DISK, &files.args())?;
        for entry in fs::read_dir(self.inputs.output())? {
            fs::rename(entry?.path(), &raw)?;
        }
        let disk = |format: &[&str]| self.build(&[&DISK[..], format].concat(), &files.args());
        let formats = [
            &["--disk-format", "qcow2", "--disk-format-options", "cluster_size=8k"][..],
            &["--disk-format", "vhd"],
            &["--disk-format", "ova"],
        ];
        let [copies, conversions, qcow2, vhd, ova] = alternate(7, |which| match which {
            0 => dd(&payload, &copy),
            1 => {
                measure::remove(&theirs)?;
                let (from, to) = (raw.display(), theirs.display());
                shell(&format!(
                    "qemu-img convert -O vmdk -o subformat=streamOptimized -f raw '{from}' '{to}' \
                     && sync '{to}'"
                ))
            }
            which => disk(formats[which - 2]),
        })?;
        for ((what, runs), format) in whats.iter().zip([&qcow2, &vhd, &ova]).zip(formats) {
            if format.contains(&"ova") {
                table.time(what, runs.median(), conversions.median(), "qemu-img convert", 1.0);
            } else {
                table.time(what, runs.median(), copies.median(), "dd conv=fsync", 2.0);
            }
            table.peak(what, runs.peak(), PEAK);
            disk(format)?;
            self.inspect(what, table)?;
        }
        let mut ours = 0;
        for entry in fs::read_dir(self.inputs.output())? {
            ours = entry?.metadata()?.len();
        }
        table.size(whats[2], ours, fs::metadata(&theirs)?.len(), "qemu-img convert", 1.01);
        for path in [payload, copy, raw, theirs] {
            measure::remove(&path)?;
        }
        Ok(())
    }

    /// A disk that boots both ways, made and packed, against what the Talos imager runs to pack the
    /// same disk. The files compress no more, and stand on the disk twice.
    fn packing(&self, table: &mut Table) -> Result<()> {
        let raw = self.inputs.dir().join("raw");
        let theirs = self.inputs.dir().join("theirs");
        for (packing, tool, limit, size_limit) in [
            (".zst", "zstd -q -T0 -18 -c", 0.04, 1.02),
            (".xz", "xz -0 -T0 -c", 0.2, 1.02),
            (".gz", "pigz -6 -c", 0.2, 1.02),
        ] {
            let what = format!("disk packed as {packing}");
            if !self.wants(&what) {
                continue;
            }
            eprintln!("{what}");
            let args = [self.inputs.files(100 << 20)?.args(), self.inputs.grub()?].concat();
            let disk = ["metal", "--bootloader", "dual-boot", "--out-format"];
            if !raw.exists() {
                self.build_of(inputs::VERSION, &[&disk[..], &["raw"]].concat(), &args)?;
                fs::rename(self.inputs.made()?, &raw)?;
            }
            let line = format!("{tool} '{}' > '{}'", raw.display(), theirs.display());
            let packed = [&disk[..], &[packing]].concat();
            let [ours, others] = alternate(1, |which| match which {
                0 => self.build_of(inputs::VERSION, &packed, &args),
                _ => shell(&line),
            })?;
            table.time(&what, ours.median(), others.median(), tool, limit);
            let len = |path: &Path| anyhow::Ok(fs::metadata(path)?.len());
            table.size(&what, len(&self.inputs.made()?)?, len(&theirs)?, tool, size_limit);
            table.peak(&what, ours.peak(), PACKING_PEAK);
            let many = [&packed[..], &["--threads", "16"]].concat();
            let run = self.build_of(inputs::VERSION, &many, &args)?;
            table.peak(&format!("{what}, 16 threads"), run.peak, PACKING_PEAK);
            measure::remove(&theirs)?;
        }
        measure::remove(&raw)
    }

    /// An OCI layout and an extension, against unpacking and hashing the layers once and
    /// compressing the extension.
    fn layouts(&self, table: &mut Table) -> Result<()> {
        for (size, encoding, name, repetitions) in [
            (80 << 20, Encoding::Gzip, "gzip layer", 3),
            (80 << 20, Encoding::Zstd, "zstd layer", 3),
            (1000 << 20, Encoding::Zstd, "1 GB zstd layer", 1),
        ] {
            let what = format!("ISO from OCI, {name}");
            if !self.wants(&what) {
                continue;
            }
            eprintln!("{what}");
            let layout = self.inputs.layout(size, encoding)?;
            let args = layout.args(&[inputs::EXTENSION]);
            let decoder = if encoding == Encoding::Gzip { "gzip" } else { "zstd" };
            let dir = self.inputs.dir();
            let (folder, squashed) = (self.inputs.extension()?, dir.join("theirs.sqsh"));
            let [ours, unpacking, squashing, packing] =
                alternate(repetitions, |which| match which {
                    0 => self.build(&["iso"], &args),
                    1 => {
                        let mut all = Run::default();
                        for layer in &layout.layers {
                            let layer = layer.display();
                            all += shell(&format!("{decoder} -dc '{layer}' | sha256sum"))?;
                        }
                        Ok(all)
                    }
                    2 => mksquashfs(&folder, &squashed),
                    _ => {
                        let (from, to) = (squashed.display(), dir.join("theirs.zst"));
                        shell(&format!("zstd -q -f -18 -T0 '{from}' -o '{}'", to.display()))
                    }
                })?;
            if size < 1000 << 20 {
                let parts = [unpacking, squashing, packing].map(|runs| runs.median());
                let [unpack, squash, pack] = parts.map(|time| time.as_secs_f64());
                let names = format!(
                    "{decoder} -dc | sha256sum {unpack:.2}, mksquashfs {squash:.2}, \
                     zstd -18 {pack:.2}"
                );
                table.time(&what, ours.median(), parts.iter().sum(), &names, 1.3);
            }
            table.peak(&what, ours.peak(), PEAK);
            let mut args = layout.args(&[inputs::EXTENSION, inputs::FIRMWARE]);
            let run = self.build(&["iso"], &args)?;
            table.peak(&format!("{what}, firmware"), run.peak, PEAK);
            args.extend(["--threads".into(), "16".into()]);
            let run = self.build(&["iso"], &args)?;
            table.peak(&format!("{what}, firmware, 16 threads"), run.peak, PEAK);
            self.inspect(&what, table)?;
            measure::remove(&layout.dir)?;
        }
        Ok(())
    }

    /// The medium that was built last.
    fn made(&self) -> Result<PathBuf> {
        let entry = fs::read_dir(self.inputs.output())?.next().context("nothing was built")?;
        Ok(entry?.path())
    }

    /// The peak of looking into it.
    fn inspect(&self, what: &str, table: &mut Table) -> Result<()> {
        let mut inspect = self.talos_image(&["inspect"]);
        let run = measure::run(inspect.arg(self.made()?).stdout(Stdio::null()))?;
        table.peak(&format!("inspect {what}"), run.peak, PEAK);
        Ok(())
    }

    fn squashfs(&self, table: &mut Table) -> Result<()> {
        let what = "squashfs of an extension";
        if !self.wants(what) {
            return Ok(());
        }
        eprintln!("{what}");
        let folder = self.inputs.extension()?;
        let [our_file, their_file] =
            ["ours.sqsh", "theirs.sqsh"].map(|name| self.inputs.dir().join(name));
        let [ours, theirs] = alternate(7, |which| match which {
            0 => measure::run(
                Command::new(env::current_exe()?).arg(SQUASHFS).arg(&folder).arg(&our_file),
            ),
            _ => mksquashfs(&folder, &their_file),
        })?;
        table.time(what, ours.median(), theirs.median(), "mksquashfs", 1.0);
        table.size(what, len(&our_file)?, len(&their_file)?, "mksquashfs", 1.01);
        Ok(())
    }
}

fn len(path: &Path) -> Result<u64> {
    Ok(fs::metadata(path)?.len())
}

fn dd(from: &Path, to: &Path) -> Result<Run> {
    measure::remove(to)?;
    measure::run(
        Command::new("dd")
            .arg(format!("if={}", from.display()))
            .arg(format!("of={}", to.display()))
            .args(["bs=1M", "conv=fsync", "status=none"]),
    )
}

/// With the settings this project uses.
fn mksquashfs(from: &Path, to: &Path) -> Result<Run> {
    measure::run(
        Command::new("mksquashfs")
            .args([from, to])
            .args(["-comp", "zstd", "-Xcompression-level", "18", "-b", "131072"])
            .args(["-noappend", "-all-root", "-no-xattrs", "-no-progress", "-quiet"])
            .stdout(Stdio::null()),
    )
}

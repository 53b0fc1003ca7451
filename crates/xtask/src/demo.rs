//! `cargo xtask demo`: two media out of real parts, looked into and booted.

use crate::{apt, parts, talos_image};
use anyhow::{Context as _, Result, bail};
use image_core::{fake, formats::oci};
use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Instant,
};
use system_tests::{
    VERSION,
    qemu::{Arch, Boot, Firmware, MARKER, Medium},
};

/// The lines by which the stand-in's first program tells what it found.
const TOLD: [&str; 6] = ["EXT ", "FILE ", "DISK ", "EFI ", "CMDLINE ", "ROOT "];

/// The packages whose versions are worth a line.
const SHOWN: [&str; 4] = ["linux-image", "systemd-boot", "intel-microcode", "busybox"];

pub(crate) fn run() -> Result<()> {
    head("Parts: Debian's kernel, boot loader, busybox and microcode, in a cache of our own");
    let parts = parts::get(&say);
    let (release, parts) = match parts {
        Ok(parts) => {
            for line in fs::read_to_string(parts.join("packages.txt"))?.lines() {
                if SHOWN.iter().any(|name| line.starts_with(name)) {
                    say(line);
                }
            }
            (parts.join("release"), Some(parts))
        }
        Err(error) => {
            say(&format!("not to be had: {error:#}"));
            say("so this runs on a SYNTHETIC release: built and looked into as a real one,");
            say("but its kernel is no program, and nothing of it boots");
            (synthetic(&parts::cache().join("synthetic"))?, None)
        }
    };
    let program = talos_image()?;
    let output = parts::cache().join("demo");
    let _ = fs::remove_dir_all(&output);

    head("An ISO with Intel's microcode");
    let iso = build(&program, &release, &output.join("iso"), &["iso"])?;
    inspect(&program, &iso)?;
    head("A disk image with the same");
    let disk = build(&program, &release, &output.join("disk"), &["metal", "--out-format", "raw"])?;
    inspect(&program, &disk)?;

    let Some(parts) = parts else { return Ok(()) };
    if apt::on_path("qemu-system-x86_64").is_none() {
        head("Boot: there is no qemu-system-x86_64 here");
        say("install it (`sudo apt-get install qemu-system-x86`) and run the demo again,");
        say("or write a medium to a stick:");
        say(&iso.display().to_string());
        say(&disk.display().to_string());
        return Ok(());
    }
    let uefi = || Firmware::uefi_in(&parts, Arch::Amd64);
    boot("The ISO as a CD, on UEFI", uefi(), Medium::Cd(iso.clone()))?;
    boot("The ISO as a CD, on a BIOS", Firmware::Bios, Medium::Cd(iso))?;
    boot("The disk, on UEFI", uefi(), Medium::Disk(disk.clone(), 512))?;
    boot("The disk, on a BIOS", Firmware::Bios, Medium::Disk(disk, 512))?;
    println!("\nBoth media boot.");
    Ok(())
}

/// A release of structure and headers only, made in code: its OCI layout.
fn synthetic(dir: &Path) -> Result<PathBuf> {
    let images = fake::images(&VERSION.parse()?)?;
    let _ = fs::remove_dir_all(dir);
    fake::write(&oci::layout(&images)?, dir)?;
    Ok(dir.to_owned())
}

fn build(program: &Path, release: &Path, output: &Path, what: &[&str]) -> Result<PathBuf> {
    let mut source = OsString::from("oci:");
    source.push(release);
    let mut arguments: Vec<OsString> = vec!["build".into()];
    arguments.extend(what.iter().map(Into::into));
    arguments.extend(["--talos-version", VERSION, "--arch", "amd64"].map(Into::into));
    arguments.extend(["--source".into(), source]);
    arguments.extend(["--extension", "intel-ucode"].map(Into::into));
    arguments.extend(["--extra-kernel-arg", "console=ttyS0", "--output"].map(Into::into));
    arguments.push(output.into());
    let start = Instant::now();
    talos(program, &arguments)?;
    let made = fs::read_dir(output)?.next().context("nothing was made")??.path();
    say(&format!("made in {:.1} s", start.elapsed().as_secs_f32()));
    Ok(made)
}

/// Runs the command for all to see.
fn talos(program: &Path, arguments: &[OsString]) -> Result<()> {
    let words: Vec<_> = arguments.iter().map(|word| word.to_string_lossy()).collect();
    println!("  $ talos-image {}", words.join(" "));
    let status = Command::new(program).args(arguments).status()?;
    if !status.success() {
        bail!("talos-image {}: {status}", words[0]);
    }
    Ok(())
}

/// Shows what the command finds in a medium; of long tables only the start.
fn inspect(program: &Path, medium: &Path) -> Result<()> {
    println!("  $ talos-image inspect {}", medium.display());
    let output =
        Command::new(program).arg("inspect").arg(medium).stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        bail!("talos-image inspect {}: {}", medium.display(), output.status);
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        println!("  | {line}");
        let alike = |next: &&str| {
            // Rows of a table are indented and start with the same word.
            next.starts_with("    ")
                && next.split_whitespace().next() == line.split_whitespace().next()
        };
        let shown = 3;
        let mut more = 0;
        while let Some(next) = lines.next_if(alike) {
            more += 1;
            if more < shown {
                println!("  | {next}");
            }
        }
        if more >= shown {
            println!("  |       … and {} more", more - shown + 1);
        }
    }
    Ok(())
}

fn boot(what: &str, firmware: Firmware, medium: Medium) -> Result<()> {
    head(&format!("{what}, in QEMU (its own translator: some seconds)"));
    let start = Instant::now();
    let said = Boot::new(Arch::Amd64, firmware, medium).run()?;
    for line in said.lines().filter(|line| TOLD.iter().any(|start| line.starts_with(start))) {
        println!("  | {line}");
    }
    println!("  | {MARKER} after {:.1} s", start.elapsed().as_secs_f32());
    Ok(())
}

fn say(line: &str) {
    println!("  {line}");
}

fn head(line: &str) {
    println!("\n{line}");
}

//! `cargo xtask demo`: two media out of real parts, looked into and booted.

use crate::{apt, parts, talos_image};
use anyhow::{Context as _, Result, bail};
use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};
use system_tests::{
    VERSION,
    qemu::{Arch, Boot, Firmware, MARKER, Medium},
};

/// The lines by which the stand-in's first program tells what it found.
const TOLD: [&str; 6] = ["EXT ", "FILE ", "DISK ", "EFI ", "CMDLINE ", "ROOT "];

pub(crate) fn run() -> Result<()> {
    let say = |line: &str| println!("  {line}");
    head("Parts: Debian's kernel, boot loader, busybox and microcode, in a cache of our own");
    let parts = parts::get(&say)?;
    for line in fs::read_to_string(parts.join("packages.txt"))?.lines() {
        if ["linux-image", "systemd-boot", "intel-microcode"]
            .iter()
            .any(|name| line.starts_with(name))
        {
            say(line);
        }
    }
    let program = talos_image()?;
    let output = parts::cache().join("demo");
    let _ = fs::remove_dir_all(&output);

    head("An ISO with Intel's microcode");
    let iso = build(&program, &parts, &output.join("iso"), &["iso"])?;
    talos(&program, &["inspect".into(), iso.clone().into()])?;
    head("A disk image with the same");
    let disk = build(&program, &parts, &output.join("disk"), &["metal", "--out-format", "raw"])?;
    talos(&program, &["inspect".into(), disk.clone().into()])?;

    if apt::on_path("qemu-system-x86_64").is_none() {
        head("Boot: there is no qemu-system-x86_64 here");
        say("install it (`sudo apt-get install qemu-system-x86`) and run the demo again,");
        say("or write the media to a stick:");
        say(&format!("  {}", iso.display()));
        say(&format!("  {}", disk.display()));
        return Ok(());
    }
    boot(&parts, "The ISO as a CD", Medium::Cd(iso))?;
    boot(&parts, "The disk", Medium::Disk(disk, 512))?;
    println!("\nBoth media boot.");
    Ok(())
}

fn build(program: &Path, parts: &Path, output: &Path, what: &[&str]) -> Result<PathBuf> {
    let microcode = fs::read_to_string(parts.join("references.txt"))?;
    let microcode = microcode
        .lines()
        .find(|reference| reference.contains("/intel-ucode:"))
        .context("the release has no microcode")?;
    let mut source = OsString::from("oci:");
    source.push(parts.join("release"));
    let mut arguments: Vec<OsString> = vec!["build".into()];
    arguments.extend(what.iter().map(Into::into));
    arguments.extend(["--talos-version", VERSION, "--arch", "amd64"].map(Into::into));
    arguments.extend(["--bootloader", "sd-boot", "--source"].map(Into::into));
    arguments.push(source);
    arguments.extend(["--system-extension-image", microcode].map(Into::into));
    arguments.extend(["--extra-kernel-arg", "console=ttyS0", "--output"].map(Into::into));
    arguments.push(output.into());
    let start = Instant::now();
    talos(program, &arguments)?;
    let made = fs::read_dir(output)?.next().context("nothing was made")??.path();
    let size = fs::metadata(&made)?.len() / 1_000_000;
    println!("  {} ({size} MB) in {:.1} s", made.display(), start.elapsed().as_secs_f32());
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

fn boot(parts: &Path, what: &str, medium: Medium) -> Result<()> {
    head(&format!("{what}, on UEFI in QEMU (its own translator: some seconds)"));
    let start = Instant::now();
    let firmware = Firmware::uefi_in(parts, Arch::Amd64);
    let said = Boot::new(Arch::Amd64, firmware, medium).run()?;
    for line in said.lines().filter(|line| TOLD.iter().any(|start| line.starts_with(start))) {
        println!("  | {line}");
    }
    println!("  | {MARKER} after {:.1} s", start.elapsed().as_secs_f32());
    Ok(())
}

fn head(line: &str) {
    println!("\n{line}");
}

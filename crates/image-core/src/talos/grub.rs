//! GRUB on Talos media: what is in its core images, where its files lie, its configuration.

use super::{Arch, Quirk, TalosVersion};
use crate::formats::{cmdline::Cmdline, grub::Platform, xfs::Kernel};
use uuid::Uuid;

/// Where GRUB's files lie on a medium, and what it needs to find them.
#[derive(Debug)]
pub struct Files {
    /// The kernel.
    pub kernel: &'static str,
    /// The initramfs.
    pub initramfs: &'static str,
    /// GRUB's configuration.
    pub config: &'static str,
    /// Where GRUB finds its directory.
    pub prefix: &'static str,
    /// The modules for the file systems it may read.
    file_systems: &'static [&'static str],
}

/// On a disk's partition BOOT, which is the third of each layout that has one. `A` is the first
/// of the two slots that upgrades take turns in.
pub const DISK: Files = Files {
    kernel: "A/vmlinuz",
    initramfs: "A/initramfs.xz",
    config: "grub/grub.cfg",
    prefix: "(hd0,gpt3)/grub",
    file_systems: &["ext2", "fat", "xfs"],
};

/// On an ISO, which a BIOS starts GRUB from: it looks on the disk it is started from.
pub const ISO: Files = Files {
    kernel: "boot/vmlinuz",
    initramfs: "boot/initramfs.xz",
    config: "boot/grub/grub.cfg",
    prefix: "/boot/grub",
    file_systems: &["iso9660"],
};

/// GRUB for a BIOS on an ISO, under the name GRUB's own tools give it.
pub const ISO_BIOS_IMAGE: &str = "boot/grub/i386-pc/eltorito.img";

/// The directory with GRUB's files for `platform` in the release image.
pub fn directory(platform: Platform) -> String {
    format!("usr/lib/grub/{platform}")
}

/// The platform a BIOS of this architecture starts; none where there is no BIOS.
pub fn bios_platform(arch: Arch) -> Option<Platform> {
    match arch {
        Arch::Amd64 => Some(Platform::I386Pc),
        Arch::Arm64 => None,
    }
}

/// The platform UEFI starts.
pub fn efi_platform(arch: Arch) -> Platform {
    match arch {
        Arch::Amd64 => Platform::X86_64Efi,
        Arch::Arm64 => Platform::Arm64Efi,
    }
}

impl Files {
    /// The modules that are asked for in a core image; others come because these need them.
    pub fn modules(&self, platform: Platform) -> Vec<&'static str> {
        let mut modules = vec!["part_gpt"];
        modules.extend(self.file_systems);
        modules.extend([
            "normal",
            "configfile",
            "linux",
            "boot",
            "search",
            "search_fs_uuid",
            "search_fs_file",
            "ls",
            "cat",
            "echo",
            "test",
            "help",
            "reboot",
            "halt",
            "all_video",
        ]);
        if platform == Platform::I386Pc {
            modules.extend(["biosdisk", "part_msdos"]);
        }
        modules
    }
}

/// The file by which GRUB for UEFI knows an ISO: firmware starts it from a volume of its own.
pub fn marker(id: Uuid) -> String {
    format!(".disk/{id}.uuid")
}

/// What GRUB for UEFI does first on an ISO: it looks for the volume with the file `marker`.
pub fn find_iso(marker: &str) -> String {
    format!("search --no-floppy --file --set=root /{marker}\nset prefix=($root){}\n", ISO.prefix)
}

/// The features of BOOT's file system.
pub fn boot_features(version: &TalosVersion) -> Kernel {
    [
        (Quirk::XfsOfLinux6_18, Kernel::Linux6_18),
        (Quirk::XfsOfLinux6_12, Kernel::Linux6_12),
        (Quirk::XfsOfLinux6_6, Kernel::Linux6_6),
    ]
    .into_iter()
    .find_map(|(quirk, kernel)| version.has(quirk).then_some(kernel))
    .unwrap_or(Kernel::Linux6_1)
}

/// grub.cfg of a disk. Talos reads it back when it is upgraded, by the form it writes itself: the
/// slot is the first letter of an entry's name, `linux` and `initrd` stand once in each.
pub fn disk_config(version: &TalosVersion, cmdline: &Cmdline) -> String {
    let first = format!("A - Talos {version}");
    let reset = Entry {
        name: "Reset Talos installation and return to maintenance mode",
        cmdline: format!("{cmdline} talos.experimental.wipe=system:EPHEMERAL,STATE"),
    };
    let start = Entry { name: &first, cmdline: cmdline.to_string() };
    let entries = entries(version, [start, reset]);
    let entries = entries.map(|entry| entry.text(&DISK, "  "));
    let head = format!(
        "set default=\"{first}\"\n\nset timeout=3\n\ninsmod all_video\n\n\
         terminal_input console\nterminal_output console\n\n"
    );
    std::iter::once(head).chain(entries).collect()
}

/// grub.cfg of an ISO.
pub fn iso_config(version: &TalosVersion, cmdline: &Cmdline) -> String {
    let reset = Entry {
        name: "Reset Talos installation",
        cmdline: format!("{cmdline} talos.experimental.wipe=system"),
    };
    let start = Entry { name: "Talos ISO", cmdline: cmdline.to_string() };
    let head = "set default=0\nset timeout=3\n\ninsmod all_video\n\n\
                terminal_input console\nterminal_output console\n";
    let entries = entries(version, [start, reset]);
    let entries = entries.map(|entry| format!("\n{}", entry.text(&ISO, "\t")));
    std::iter::once(head.to_owned()).chain(entries).collect()
}

/// A menu entry.
struct Entry<'a> {
    name: &'a str,
    cmdline: String,
}

/// The entries that menus of `version` have.
fn entries<'a>(
    version: &TalosVersion,
    [start, reset]: [Entry<'a>; 2],
) -> impl Iterator<Item = Entry<'a>> {
    let reset = version.has(Quirk::ResetMenuEntry).then_some(reset);
    std::iter::once(start).chain(reset)
}

impl Entry<'_> {
    fn text(&self, files: &Files, indent: &str) -> String {
        let Files { kernel, initramfs, .. } = files;
        let cmdline = quote(&self.cmdline);
        format!(
            "menuentry \"{}\" {{\n{indent}set gfxmode=auto\n{indent}set gfxpayload=text\n\
             {indent}linux /{kernel} {cmdline}\n{indent}initrd /{initramfs}\n}}\n",
            self.name
        )
    }
}

/// A backslash before each character that means something to GRUB (its manual, "Quoting").
/// Talos itself passes over `'`, and the menu is broken where a single one is in an argument.
fn quote(text: &str) -> String {
    let mut quoted = String::new();
    for letter in text.chars() {
        if r#"\{}&$|;<>"'"#.contains(letter) {
            quoted.push('\\');
        }
        quoted.push(letter);
    }
    quoted
}

/// What GRUB hands to the kernel otherwise than it stands in the command line, as a sentence: it
/// puts a backslash before each quote and backslash, which the kernel takes as it is.
pub fn altered(cmdline: &str) -> Option<String> {
    let word = cmdline.split(' ').find(|word| word.contains(['\'', '"', '\\']))?;
    Some(format!(
        "GRUB puts a backslash before each quote and backslash of a kernel argument, and the \
         kernel keeps it: {word} arrives as another than it is meant to be"
    ))
}

/// The command lines of a grub.cfg's entries, as [`disk_config`] and [`iso_config`] write them.
pub fn cmdlines(config: &str) -> Vec<String> {
    let lines = config.lines().filter_map(|line| line.trim_start().strip_prefix("linux "));
    let unquoted = |line: &str| {
        let (_, quoted) = line.trim_start().split_once(' ')?;
        let mut line = String::new();
        let mut letters = quoted.chars();
        while let Some(letter) = letters.next() {
            line.extend(if letter == '\\' { letters.next() } else { Some(letter) });
        }
        Some(line)
    };
    lines.filter_map(unquoted).collect()
}

/// The files that the entries of a grub.cfg load: kernels and initramfs, with a leading slash.
pub fn loads(config: &str) -> impl Iterator<Item = &str> {
    config.lines().filter_map(|line| {
        let (command, rest) = line.trim_start().split_once(' ')?;
        ["linux", "initrd"].contains(&command).then(|| rest.split_whitespace().next())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configuration() {
        let line = Cmdline::parse(r#"a=1 u=http://x/?m=${mac}&v="b\c""#);
        let config = disk_config(&"1.11.0".parse().unwrap(), &line);
        let expected = r#"set default="A - Talos v1.11.0"

set timeout=3

insmod all_video

terminal_input console
terminal_output console

menuentry "A - Talos v1.11.0" {
  set gfxmode=auto
  set gfxpayload=text
  linux /A/vmlinuz a=1 u=http://x/?m=\$\{mac\}\&v=\"b\\c\"
  initrd /A/initramfs.xz
}
menuentry "Reset Talos installation and return to maintenance mode" {
  set gfxmode=auto
  set gfxpayload=text
  linux /A/vmlinuz a=1 u=http://x/?m=\$\{mac\}\&v=\"b\\c\" talos.experimental.wipe=system:EPHEMERAL,STATE
  initrd /A/initramfs.xz
}
"#;
        assert_eq!(config, expected);
        let reset = format!("{line} talos.experimental.wipe=system:EPHEMERAL,STATE");
        assert_eq!(cmdlines(&config), [line.to_string(), reset]);
        let loaded: Vec<_> = loads(&config).take(3).collect();
        assert_eq!(loaded, ["/A/vmlinuz", "/A/initramfs.xz", "/A/vmlinuz"]);
        assert!(altered("a=1 b=${c}").is_none());
        assert!(altered(&line.to_string()).unwrap().contains(r#"v="b\c" arrives"#));
        let config = iso_config(&"1.11.0".parse().unwrap(), &line);
        let expected = "set default=0\nset timeout=3\n\ninsmod all_video\n\n\
            terminal_input console\nterminal_output console\n\n\
            menuentry \"Talos ISO\" {\n\tset gfxmode=auto\n\tset gfxpayload=text\n\
            \tlinux /boot/vmlinuz a=1 u=http://x/?m=\\$\\{mac\\}\\&v=\\\"b\\\\c\\\"\n\
            \tinitrd /boot/initramfs.xz\n}\n\n\
            menuentry \"Reset Talos installation\" {\n";
        assert!(config.starts_with(expected), "{config}");
        assert!(
            config.ends_with(" talos.experimental.wipe=system\n\tinitrd /boot/initramfs.xz\n}\n")
        );
        for config in [disk_config, iso_config] {
            let old = config(&"1.3.7".parse().unwrap(), &line);
            assert_eq!(cmdlines(&old), [line.to_string()]);
        }
    }

    #[test]
    fn features_by_version() {
        for (version, kernel) in [
            ("1.7.9", Kernel::Linux6_1),
            ("1.9.0", Kernel::Linux6_6),
            ("1.12.0", Kernel::Linux6_12),
            ("1.13.0", Kernel::Linux6_18),
        ] {
            assert_eq!(boot_features(&version.parse().unwrap()), kernel);
        }
    }
}

//! GRUB on Talos media: what is in its core images, where its files lie, its configuration.

use super::{Arch, Quirk, TalosVersion};
use crate::formats::{cmdline::Cmdline, grub::Platform, xfs::Kernel};

/// Where GRUB finds its directory: on BOOT, the third partition of each layout that has one.
pub const PREFIX: &str = "(hd0,gpt3)/grub";

/// The kernel on BOOT. `A` is the first of the two slots that upgrades take turns in.
pub const KERNEL: &str = "A/vmlinuz";
/// The initramfs on BOOT.
pub const INITRAMFS: &str = "A/initramfs.xz";
/// GRUB's configuration on BOOT.
pub const CONFIG: &str = "grub/grub.cfg";

/// What a kernel command line ends with where the menu offers to reset the machine.
const RESET: &str = "talos.experimental.wipe=system:EPHEMERAL,STATE";

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

/// The modules that are asked for in a core image; others come because these need them.
pub fn modules(platform: Platform) -> Vec<&'static str> {
    let mut modules = vec![
        "part_gpt",
        "ext2",
        "fat",
        "xfs",
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
    ];
    if platform == Platform::I386Pc {
        modules.extend(["biosdisk", "part_msdos"]);
    }
    modules
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

/// The command lines of the menu: the plain start's, and the reset's where there is one.
pub fn cmdlines(version: &TalosVersion, cmdline: &Cmdline) -> Vec<String> {
    let mut lines = vec![cmdline.to_string()];
    if version.has(Quirk::ResetMenuEntry) {
        lines.push(format!("{cmdline} {RESET}"));
    }
    lines
}

/// grub.cfg of a disk. Talos reads it back when it is upgraded, by the form it writes itself: the
/// slot is the first letter of an entry's name, `linux` and `initrd` stand once in each.
pub fn disk_config(version: &TalosVersion, cmdline: &Cmdline) -> String {
    let first = format!("A - Talos {version}");
    let names = [first.as_str(), "Reset Talos installation and return to maintenance mode"];
    let entries = names.into_iter().zip(cmdlines(version, cmdline)).map(|(name, cmdline)| {
        let cmdline = quote(&cmdline);
        format!(
            "menuentry \"{name}\" {{\n  set gfxmode=auto\n  set gfxpayload=text\n  \
             linux /{KERNEL} {cmdline}\n  initrd /{INITRAMFS}\n}}\n"
        )
    });
    let head = format!(
        "set default=\"{first}\"\n\nset timeout=3\n\ninsmod all_video\n\n\
         terminal_input console\nterminal_output console\n\n"
    );
    std::iter::once(head).chain(entries).collect()
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

/// The command line of the first entry of a grub.cfg, as [`disk_config`] writes it.
pub fn cmdline(config: &str) -> Option<String> {
    let line = config.lines().find_map(|line| line.trim_start().strip_prefix("linux "))?;
    let (_, quoted) = line.trim_start().split_once(' ')?;
    let mut line = String::new();
    let mut letters = quoted.chars();
    while let Some(letter) = letters.next() {
        line.extend(if letter == '\\' { letters.next() } else { Some(letter) });
    }
    Some(line)
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
        assert_eq!(cmdline(&config), Some(line.to_string()));
        let loaded: Vec<_> = loads(&config).take(3).collect();
        assert_eq!(loaded, ["/A/vmlinuz", "/A/initramfs.xz", "/A/vmlinuz"]);
        assert!(altered("a=1 b=${c}").is_none());
        assert!(altered(&line.to_string()).unwrap().contains(r#"v="b\c" arrives"#));
        let old = disk_config(&"1.3.7".parse().unwrap(), &line);
        assert_eq!(old.matches("menuentry").count(), 1);
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

//! What is in a medium, as text for people.

use super::{
    signatures::{self, short},
    text::{
        Column::{self, Left, Right},
        Text, exact, size,
    },
};
use image_core::{
    blob::Digest,
    examine::report::{
        BootEntry, Container, Disk, Extension, File, Grub, Initramfs, Iso, Kernel, Medium, Meta,
        Microcode, Partition, Report, Section, Segment, Uki, Volume,
    },
};
use std::path::Path;

/// Members of one archive that are listed; firmware has thousands.
const ENTRIES: usize = 16;

/// The report as text, ending in a newline.
pub(super) fn text(file: &Path, report: &Report) -> String {
    let mut text = Text::default();
    let name = &*file.display().to_string();
    text.titled(name, |text| {
        let medium = [
            ("kind", kind(&report.medium)),
            ("format", report.container.as_ref().map(format).unwrap_or_default()),
            ("size", exact(report.size)),
            ("sha256", report.digest.hex()),
        ];
        match &report.medium {
            Medium::Disk(it) => {
                text.fields(&with(medium, disk(it)));
                flaws(text, &it.flaws);
                partitions(text, &it.partitions);
                meta(text, &it.meta);
            }
            Medium::Iso(it) => iso(text, medium, it),
            Medium::Uki(it) => {
                text.fields(&with(medium, uki_fields(it)));
                signatures::programs(text, [(name, report.signatures.as_deref())]);
                uki(text, it);
            }
            Medium::Kernel(it) => text.fields(&with(medium, kernel_fields(it))),
            Medium::Initramfs(it) => {
                text.fields(&medium);
                initramfs(text, it);
            }
            Medium::Cmdline { cmdline } => text.fields(&with(medium, [("cmdline", one(cmdline))])),
            _ => text.fields(&medium),
        }
    });
    text.finish()
}

type Field = (&'static str, String);

fn with<const N: usize>(first: [Field; 4], rest: [Field; N]) -> Vec<Field> {
    first.into_iter().chain(rest).collect()
}

fn kind(medium: &Medium) -> String {
    match medium {
        Medium::Disk(_) => "GPT disk image",
        Medium::Iso(_) => "ISO 9660 image",
        Medium::Uki(_) => "unified kernel image",
        Medium::Kernel(_) => "kernel",
        Medium::Initramfs(_) => "initramfs",
        Medium::Cmdline { .. } => "kernel command line",
        _ => "",
    }
    .to_owned()
}

fn format(container: &Container) -> String {
    let Container { format, virtual_size, cluster_size } = container;
    let unit = if *format == "qcow2" { "clusters" } else { "grains" };
    let units = cluster_size.map(|bytes| format!(", {unit} of {}", size(bytes)));
    format!("{format}, a disk of {}{}", exact(*virtual_size), units.unwrap_or_default())
}

fn disk(disk: &Disk) -> [Field; 2] {
    [("guid", disk.guid.clone()), ("sectors", format!("{} bytes", disk.sector_size))]
}

fn iso(text: &mut Text, medium: [Field; 4], iso: &Iso) {
    let names = [("volume", iso.volume_id.clone()), ("volume set", iso.volume_set_id.clone())];
    text.fields(&with(medium, names));
    flaws(text, &iso.flaws);
    let columns = [Left("firmware"), Right("offset"), Right("size")];
    table(text, "El Torito boot entries", columns, &iso.boot_entries, |it: &BootEntry| {
        [it.platform.clone(), it.offset.to_string(), size(it.size)]
    });
    partitions(text, &iso.partitions);
    files(text, "ISO 9660 files", &iso.files);
    if let Some(esp) = &iso.esp {
        volume(text, "EFI system partition", esp);
    }
}

fn partitions(text: &mut Text, partitions: &[Partition]) {
    let columns =
        [Right("#"), Left("label"), Right("offset"), Right("size"), Left("type"), Left("guid")];
    table(text, "partitions", columns, partitions, |it| {
        [
            it.number.to_string(),
            it.label.clone(),
            it.offset.to_string(),
            size(it.size),
            type_name(&it.type_guid),
            it.guid.clone(),
        ]
    });
    for it in partitions {
        if let Some(found) = &it.volume {
            volume(text, &format!("partition {} {}", it.number, it.label), found);
        }
        if let Some(found) = &it.grub {
            grub(text, &format!("partition {} {}", it.number, it.label), found);
        }
    }
}

fn meta(text: &mut Text, values: &[Meta]) {
    let columns = [Right("key"), Left("name"), Right("size"), Left("value")];
    table(text, "META values", columns, values, |it| {
        [
            format!("{:#x}", it.key),
            it.name.unwrap_or_default().to_owned(),
            size(it.size),
            it.value.clone().unwrap_or_else(|| "(not shown)".to_owned()),
        ]
    });
}

/// The types Talos media use, by the names `sgdisk` gives them.
fn type_name(guid: &str) -> String {
    match guid.to_ascii_lowercase().as_str() {
        "c12a7328-f81f-11d2-ba4b-00a0c93ec93b" => "EFI system".to_owned(),
        "21686148-6449-6e6f-744e-656564454649" => "BIOS boot".to_owned(),
        "0fc63daf-8483-4772-8e79-3d69d8477de4" => "Linux filesystem".to_owned(),
        "ebd0a0a2-b9e5-4433-87c0-68b6b72699c7" => "Microsoft basic data".to_owned(),
        _ => guid.to_owned(),
    }
}

fn volume(text: &mut Text, name: &str, volume: &Volume) {
    let Volume { format, label, serial, .. } = volume;
    let heading = format!("{name}: {format} volume {label}, serial {serial}");
    files(text, &heading, &volume.files);
}

fn files(text: &mut Text, heading: &str, files: &[File]) {
    let columns = [Left("file"), Right("size"), Left("sha256")];
    table(text, heading, columns, files, |it| [it.path.clone(), size(it.size), short(&it.digest)]);
    signatures::programs(text, files.iter().map(|it| (&*it.path, it.signatures.as_deref())));
    signatures::variables(text, files.iter().filter_map(|it| it.variable.as_ref()));
    for file in files {
        if let Some(content) = &file.text {
            text.section(&file.path, |text| {
                for line in content.trim_end().lines() {
                    // A tab would be shown as what it is, a control character.
                    text.line(&line.replace('\t', "  "));
                }
            });
        }
        if let Some(found) = &file.grub {
            grub(text, &file.path, found);
        }
        if let Some(found) = &file.uki {
            text.section(&format!("{}: unified kernel image", file.path), |text| {
                text.fields(&uki_fields(found));
                uki(text, found);
            });
        }
    }
}

fn grub(text: &mut Text, name: &str, grub: &Grub) {
    text.section(&format!("{name}: GRUB core image"), |text| {
        text.fields(&[
            ("platform", grub.platform.clone()),
            ("version", grub.version.clone().unwrap_or_default()),
            ("prefix", grub.prefix.clone().unwrap_or_default()),
            ("modules", grub.modules.join(" ")),
            ("runs first", grub.config.clone().unwrap_or_default()),
        ]);
    });
}

fn uki_fields(uki: &Uki) -> [Field; 6] {
    let os = |key| uki.os_release.get(key).cloned();
    let name = os("PRETTY_NAME").or_else(|| os("NAME")).unwrap_or_default();
    let version = os("VERSION_ID").or_else(|| os("VERSION")).unwrap_or_default();
    let system = if name.contains(&version) { name } else { format!("{name} {version}") };
    [
        ("system", system),
        ("architecture", uki.architecture.clone()),
        ("stub", uki.stub.clone().unwrap_or_default()),
        ("uname", uki.uname.clone().unwrap_or_default()),
        ("kernel", uki.kernel.as_ref().and_then(|it| it.version.clone()).unwrap_or_default()),
        ("PCR key", uki.pcr_key.as_ref().map(Digest::hex).unwrap_or_default()),
    ]
}

fn uki(text: &mut Text, uki: &Uki) {
    flaws(text, &uki.flaws);
    let columns = [Left("section"), Right("size"), Left("sha256"), Left("profile")];
    table(text, "sections", columns, &uki.sections, |it: &Section| {
        let profile = it.profile.and_then(|at| uki.profiles.get(at));
        let profile = match (it.profile, profile) {
            (Some(at), Some(profile)) if profile.id.is_empty() => at.to_string(),
            (_, Some(profile)) => profile.id.clone(),
            (Some(at), None) => at.to_string(),
            (None, _) => String::new(),
        };
        [it.name.clone(), size(it.size), short(&it.digest), profile]
    });
    text.section("boot profiles", |text| {
        for profile in &uki.profiles {
            let heading = match (profile.id.as_str(), profile.title.as_str()) {
                ("", "") => "(without a name)".to_owned(),
                (id, "") => id.to_owned(),
                (id, title) => format!("{id}: {title}"),
            };
            text.titled(&heading, |text| text.line(&one(&profile.cmdline)));
        }
    });
    if let Some(found) = &uki.initramfs {
        initramfs(text, found);
    }
}

fn kernel_fields(kernel: &Kernel) -> [Field; 2] {
    [
        ("architecture", kernel.architecture.clone()),
        ("version", kernel.version.clone().unwrap_or_default()),
    ]
}

fn initramfs(text: &mut Text, initramfs: &Initramfs) {
    let columns = [
        Right("#"),
        Right("offset"),
        Right("size"),
        Left("compression"),
        Right("unpacked"),
        Right("entries"),
    ];
    let numbered: Vec<_> = initramfs.segments.iter().enumerate().collect();
    table(text, "initramfs segments", columns, &numbered, |(at, it)| {
        [
            (at + 1).to_string(),
            it.offset.to_string(),
            size(it.size),
            it.compression.clone(),
            size(it.unpacked),
            it.entries.len().to_string(),
        ]
    });
    for (at, segment) in numbered {
        entries(text, at + 1, segment);
    }
    let columns = [Left("extension"), Left("version"), Left("image"), Left("author")];
    table(text, "extensions", columns, &initramfs.extensions, |it: &Extension| {
        [it.name.clone(), it.version.clone(), it.image.clone(), it.author.clone()]
    });
    microcode(text, &initramfs.microcode);
    flaws(text, &initramfs.flaws);
}

fn flaws(text: &mut Text, flaws: &[String]) {
    if !flaws.is_empty() {
        text.section("flaws", |text| flaws.iter().for_each(|flaw| text.line(flaw)));
    }
}

/// A line for each kind of processor an update is for.
fn microcode(text: &mut Text, updates: &[Microcode]) {
    let columns = [
        Left("vendor"),
        Left("processor"),
        Left("signature"),
        Left("platforms"),
        Left("revision"),
        Left("date"),
        Right("size"),
        Left("checksum"),
    ];
    let each: Vec<_> = updates
        .iter()
        .flat_map(|update| update.processors.iter().map(move |processor| (update, processor)))
        .collect();
    table(text, "CPU microcode", columns, &each, |(update, processor)| {
        let checksum = match update.checksum_ok {
            Some(true) => "right",
            Some(false) => "WRONG",
            None => "-",
        };
        [
            update.vendor.clone(),
            processor.name.clone(),
            processor.signature.clone(),
            processor.platforms.clone().unwrap_or_else(|| "-".to_owned()),
            update.revision.clone(),
            update.date.clone().unwrap_or_else(|| "-".to_owned()),
            size(update.size),
            checksum.to_owned(),
        ]
    });
}

fn entries(text: &mut Text, number: usize, segment: &Segment) {
    let listed = &segment.entries[..segment.entries.len().min(ENTRIES)];
    if listed.is_empty() {
        return;
    }
    text.section(&format!("segment {number}"), |text| {
        let rows: Vec<_> =
            listed.iter().map(|it| [it.mode.clone(), size(it.size), it.path.clone()]).collect();
        text.table([Right("mode"), Right("size"), Left("path")], &rows);
        let more = segment.entries.len() - listed.len();
        if more > 0 {
            text.line(&format!("… and {more} more (--json has them all)"));
        }
    });
}

fn table<T, const N: usize>(
    text: &mut Text,
    heading: &str,
    columns: [Column; N],
    things: &[T],
    row: impl Fn(&T) -> [String; N],
) {
    let rows: Vec<_> = things.iter().map(row).collect();
    text.section(heading, |text| {
        if rows.is_empty() {
            text.line("none");
        } else {
            text.table(columns, &rows);
        }
    });
}

/// Text that should be one line, as one line.
fn one(text: &str) -> String {
    text.trim_end_matches(['\n', '\0']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use image_core::examine::report::{Entry, Processor, Profile};

    fn digest(of: &str) -> Digest {
        Digest::of(of.as_bytes())
    }

    fn initramfs() -> Initramfs {
        let entry = |at: u64| Entry {
            path: format!("usr/lib/firmware/{at:03}\x1b[2J.bin"),
            mode: "100644".into(),
            size: at * 1000,
        };
        Initramfs {
            segments: vec![
                Segment {
                    offset: 0,
                    size: 1324,
                    compression: "none".into(),
                    unpacked: 1324,
                    entries: vec![],
                },
                Segment {
                    offset: 2048,
                    size: 98_765_432,
                    compression: "zstd".into(),
                    unpacked: 198_765_432,
                    entries: (0..30).map(entry).collect(),
                },
            ],
            extensions: vec![Extension {
                image: "0.sqsh".into(),
                name: "intel-ucode".into(),
                version: "20250812".into(),
                author: "Sidero Labs".into(),
                description: "microcode".into(),
            }],
            flaws: vec![],
            microcode: vec![Microcode {
                vendor: "intel".into(),
                processors: vec![Processor {
                    name: "06-55-04".into(),
                    signature: "0x00050654".into(),
                    platforms: Some("0xb7".into()),
                }],
                revision: "0x02007006".into(),
                date: Some("2023-03-06".into()),
                size: 34816,
                checksum_ok: Some(true),
            }],
        }
    }

    fn uki() -> Uki {
        let os = [("NAME", "Talos"), ("PRETTY_NAME", "Talos (v1.11.2)"), ("VERSION_ID", "v1.11.2")];
        let profile = |id: &str, title: &str, cmdline: &str| Profile {
            id: id.into(),
            title: title.into(),
            cmdline: cmdline.into(),
        };
        Uki {
            architecture: "amd64".into(),
            stub: Some("systemd-stub 257.13".into()),
            os_release: os.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
            uname: Some("6.12.48-talos".into()),
            sections: vec![
                Section {
                    name: ".linux".into(),
                    size: 19_000_000,
                    digest: digest("k"),
                    profile: None,
                },
                Section {
                    name: ".cmdline".into(),
                    size: 52,
                    digest: digest("c"),
                    profile: Some(1),
                },
            ],
            profiles: vec![
                profile("main", "", "talos.platform=metal console=tty0\n"),
                profile("reset", "Reset system disk", "talos.platform=metal wipe=system"),
            ],
            kernel: Some(Kernel {
                architecture: "amd64".into(),
                version: Some("6.12.48-talos".into()),
                size: 19_000_000,
            }),
            initramfs: Some(initramfs()),
            pcr_key: Some(digest("pcr")),
            pcr_signers: std::collections::BTreeSet::new(),
            flaws: vec!["the signature is another's".into()],
        }
    }

    #[test]
    fn a_disk_is_told_from_its_table_down_to_its_microcode() {
        console::set_colors_enabled(false);
        let esp = Volume {
            format: "FAT32".into(),
            label: "EFI".into(),
            serial: "1A2B-3C4D".into(),
            files: vec![
                File {
                    path: "EFI/Linux/Talos-v1.11.2.efi".into(),
                    size: 120_000_000,
                    digest: digest("uki"),
                    uki: Some(Box::new(uki())),
                    grub: None,
                    signatures: Some(vec![]),
                    variable: None,
                    text: None,
                },
                File {
                    path: "loader/loader.conf".into(),
                    size: 9,
                    digest: digest("conf"),
                    uki: None,
                    grub: None,
                    signatures: None,
                    variable: None,
                    text: Some("timeout 10\n".into()),
                },
            ],
        };
        let disk = Disk {
            guid: "f0c2a3d8-0000-8000-8000-000000000001".into(),
            sector_size: 512,
            flaws: vec!["the backup header is missing".into()],
            meta: vec![
                Meta { key: 10, name: Some("network"), size: 4, value: Some("text".into()) },
                Meta { key: 16, name: None, size: 1500, value: None },
            ],
            partitions: vec![Partition {
                number: 1,
                label: "EFI".into(),
                type_guid: "C12A7328-F81F-11D2-BA4B-00A0C93EC93B".into(),
                guid: "f0c2a3d8-0000-8000-8000-000000000002".into(),
                offset: 1 << 20,
                size: 2200 << 20,
                volume: Some(esp),
                grub: Some(Grub {
                    platform: "i386-pc".into(),
                    version: Some("2.12-9".into()),
                    prefix: Some("(hd0,gpt3)/grub".into()),
                    modules: vec!["normal".into(), "xfs".into()],
                    config: None,
                }),
            }],
        };
        let report = Report {
            size: 2301 << 20,
            digest: digest("disk"),
            container: None,
            signatures: None,
            medium: Medium::Disk(disk),
        };
        let text = text(Path::new("metal-amd64.raw"), &report);
        for expected in [
            "metal-amd64.raw\n  kind     GPT disk image\n  size     2.2 GiB (2412773376 bytes)\n",
            "    #  label   offset     size  type        guid\n    1  EFI    1048576  2.1 GiB  EFI system  f0c2",
            "    EFI/Linux/Talos-v1.11.2.efi  114.4 MiB  80fb8ca44e02\n",
            "      .cmdline      52 B  2e7d2c03a950  reset\n",
            "      reset: Reset system disk\n        talos.platform=metal wipe=system\n",
            "      2    2048  94.1 MiB  zstd         189.5 MiB       30\n",
            "      100644    1000 B  usr/lib/firmware/001\\u{1b}[2J.bin\n",
            "      … and 14 more (--json has them all)\n",
            "      intel   06-55-04   0x00050654  0xb7       0x02007006  2023-03-06  34.0 KiB  right\n",
            "\n  loader/loader.conf\n    timeout 10\n",
            "    EFI/Linux/Talos-v1.11.2.efi  nobody\n",
            "    flaws\n      the signature is another's\n",
            "    platform    i386-pc\n    version     2.12-9\n",
        ] {
            assert!(text.contains(expected), "{expected}\nis not in\n{text}");
        }
        assert!(!text.contains('\x1b'));
    }
}

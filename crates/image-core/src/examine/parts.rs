//! The pieces of a medium, by name.

use super::{Medium, initramfs::microcode_files, named, uki, virtual_disk, volume};
use crate::{
    blob::{Blob, Scratch},
    error::{During, Result},
    formats::{
        initramfs,
        uki::{Contents, Section},
        xfs,
    },
    talos::grub,
    tree::Tree,
};
use std::collections::BTreeSet;

/// The longest GRUB configuration that is read, in bytes.
const CONFIG_LIMIT: u64 = 64 << 10;
/// What one segment of an initramfs may decompress to, in bytes.
const SEGMENT_LIMIT: u64 = 64 << 30;

/// A named piece of a medium.
#[derive(Clone, Debug)]
pub struct Part {
    /// Slash-separated: `kernel`, `initramfs`, `uki`, `esp/EFI/Linux/…`. No two are the same,
    /// and none leads out of a directory.
    pub name: String,
    /// Its bytes, a range of the medium; but for the command line in a GRUB configuration, and for
    /// what is compressed in a virtual disk.
    pub blob: Blob,
}

/// The pieces of a medium.
#[derive(Clone, Debug, Default)]
pub struct Parts {
    /// The pieces, in the medium's order.
    pub parts: Vec<Part>,
    /// What is damaged, so that its pieces are missing.
    pub flaws: Vec<String>,
    names: BTreeSet<String>,
}

/// Every piece of a medium that can be extracted: the boot assets by their plain names, and
/// under `esp/`, `partitions/`, `sections/` all there is, as it stands. Of a virtual machine's disk
/// those of the disk the machine sees; what of it is compressed waits in `scratch`.
///
/// # Errors
/// As [`inspect`](super::inspect).
pub fn parts(file: &Blob, scratch: &Scratch) -> Result<Parts> {
    let mut parts = Parts::default();
    let (container, file) = &virtual_disk::open(file, scratch)?;
    match named(container.as_ref(), Medium::open(file))? {
        Medium::Disk(disk) => {
            for (number, partition) in disk.numbers.iter().zip(&disk.disk.partitions) {
                let name = format!("partitions/{}", component(&partition.name, &number));
                let taken = parts.names.contains(&name);
                let name = if taken { format!("partitions/{number}") } else { name };
                parts.add(name, &partition.content);
                let of = format!("partition {number} {}", partition.name);
                if volume::is_boot(partition) {
                    parts.boot_volume(&partition.content, &of)?;
                } else {
                    parts.volume(&partition.content, &of, volume::is_esp(partition))?;
                }
            }
        }
        Medium::Iso(iso) => {
            if let Some(esp) = volume::esp_of_iso(file, &iso) {
                parts.add("esp.img", &esp);
                parts.volume(&esp, "EFI system partition", true)?;
            }
            for (path, _, node) in iso.tree.iter() {
                if let Some(content) = node.content() {
                    parts.add(format!("iso/{path}"), content);
                }
            }
            parts.started_by_grub(&iso.tree, &grub::ISO, "ISO 9660")?;
        }
        Medium::Uki(contents) => parts.uki(&contents)?,
        Medium::Initramfs => parts.initramfs(file)?,
        Medium::Kernel(_) => parts.add("kernel", file),
        Medium::Cmdline(_) => parts.add("cmdline", file),
    }
    Ok(parts)
}

/// What a medium calls something, as one step of a path; `otherwise` where it has no such name.
fn component(name: &str, otherwise: &dyn ToString) -> String {
    match name {
        "" | "." | ".." => otherwise.to_string(),
        name => name.replace(['/', '\0'], "_"),
    }
}

impl Parts {
    /// The first part of a name has it: a second UKI's kernel is reached through its sections.
    fn add(&mut self, name: impl Into<String>, blob: &Blob) {
        let name = name.into();
        if self.names.insert(name.clone()) {
            self.parts.push(Part { name, blob: blob.clone() });
        }
    }

    /// What was read, or a flaw.
    fn sound<T>(&mut self, read: Result<T>) -> Result<Option<T>> {
        volume::sound(read, &mut self.flaws)
    }

    /// The FAT volume `content`, called `of`; it `is_esp` if firmware looks for one there.
    fn volume(&mut self, content: &Blob, of: &str, is_esp: bool) -> Result<()> {
        let read = volume::open_fat(content).during(|| of.to_owned());
        let Some(found) = self.sound(read)? else { return Ok(()) };
        let Some(volume) = found else {
            self.flaws.extend(is_esp.then(|| volume::no_volume(of)));
            return Ok(());
        };
        for (path, _, node) in volume.tree.iter() {
            let Some(content) = node.content() else { continue };
            self.add(format!("esp/{path}"), content);
            if let Some(contents) = uki::open(content) {
                self.add("uki", content);
                let taken = self.uki(&contents).during(|| format!("{of}: {path}"));
                self.sound(taken)?;
            }
        }
        Ok(())
    }

    /// The XFS volume `content`, called `of`, from which GRUB starts the kernel.
    fn boot_volume(&mut self, content: &Blob, of: &str) -> Result<()> {
        let read = xfs::read(content).during(|| of.to_owned());
        let Some(volume) = self.sound(read)? else { return Ok(()) };
        for (path, _, node) in volume.tree.iter() {
            if let Some(content) = node.content() {
                self.add(format!("boot/{path}"), content);
            }
        }
        self.started_by_grub(&volume.tree, &grub::DISK, of)
    }

    /// What GRUB starts out of `tree`, called `of`. On a medium with two bootloaders the UKI has
    /// it too, and it comes from there.
    fn started_by_grub(&mut self, tree: &Tree, files: &grub::Files, of: &str) -> Result<()> {
        if let Some(content) = tree.file(files.kernel) {
            self.add("kernel", content);
        }
        let initramfs = tree.file(files.initramfs);
        if let Some(content) = initramfs.filter(|_| !self.names.contains("initramfs")) {
            self.add("initramfs", content);
            let taken = self.initramfs(content).during(|| format!("{of}: {}", files.initramfs));
            self.sound(taken)?;
        }
        let config = tree.file(files.config).and_then(|config| config.to_vec(CONFIG_LIMIT).ok());
        let config = config.unwrap_or_default();
        if let Some(line) = grub::cmdlines(&String::from_utf8_lossy(&config)).into_iter().next() {
            self.add("cmdline", &line.into());
        }
        Ok(())
    }

    fn uki(&mut self, contents: &Contents) -> Result<()> {
        let plain = [
            (Section::Linux, "kernel"),
            (Section::Initrd, "initramfs"),
            (Section::Cmdline, "cmdline"),
            (Section::OsRelease, "os-release"),
            (Section::Splash, "splash.bmp"),
        ];
        for (section, name) in plain {
            if let Some(content) = contents.base.get(&section) {
                self.add(name, content);
            }
        }
        let mut directory = "sections".to_owned();
        let mut profiles = contents.profiles.iter();
        for row in &contents.image.sections {
            if row.name == Section::Profile.name() {
                let id = profiles.next().and_then(|profile| profile.id.clone());
                directory = format!("profiles/{}", component(&id.unwrap_or_default(), &"unnamed"));
            }
            let name = component(row.name.trim_start_matches('.'), &"unnamed");
            self.add(format!("{directory}/{name}"), &contents.image.content(row));
        }
        match contents.base.get(&Section::Initrd) {
            Some(content) => self.initramfs(content).during(|| Section::Initrd.to_string()),
            None => Ok(()),
        }
    }

    fn initramfs(&mut self, file: &Blob) -> Result<()> {
        for (number, segment) in initramfs::segments(file, SEGMENT_LIMIT)?.iter().enumerate() {
            let suffix = segment.codec.map_or(String::new(), |codec| format!(".{}", codec.name()));
            self.add(format!("segments/{number}.cpio{suffix}"), &segment.blob);
            for (vendor, content) in microcode_files(segment)? {
                self.add(format!("microcode/{vendor}.bin"), &content);
            }
        }
        Ok(())
    }
}

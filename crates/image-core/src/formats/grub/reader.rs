//! Core images read back: what they are for, and what is in them.

use super::{
    GRUB, Platform,
    bios::{BLOCK, CORE_LIMIT, PACKED_LEN, RUN_START, SECTOR, UNPACKED_LEN, unpacks_behind},
    elf::{Elf, u32_at},
    lzma, module_area,
};
use crate::{
    blob::Blob,
    formats::{Error, Result, pe},
};

/// How much is read of a BIOS core image, in bytes: as much as there can be, behind `cdboot.img`.
const FILE_LIMIT: u64 = (BLOCK + CORE_LIMIT) as u64;
/// The most that a core image unpacks to, and that its modules take, in bytes; real ones have
/// less than 1 MiB.
const LIMIT: usize = 16 << 20;
/// The jump a loader starts with: over its fields.
const JUMP: [u8; 5] = [0xea, 0x1c, 0x82, 0, 0];
/// How long a version may be, in bytes.
const VERSION_LIMIT: usize = 64;

/// What is in a core image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Core {
    /// What it is for.
    pub platform: Platform,
    /// Whether it starts from a CD: for a BIOS that is another image than a disk's.
    pub is_for_cd: bool,
    /// The disk's sector (of 512 bytes) at which it takes its first one to be, on a CD the one
    /// behind `cdboot.img`; 1 in an image that is not placed yet; none for UEFI.
    pub sector: Option<u64>,
    /// The modules, in the order in which they are loaded.
    pub modules: Vec<CoreModule>,
    /// The commands it runs first.
    pub config: Option<String>,
    /// Where it finds GRUB's directory.
    pub prefix: Option<String>,
    /// The version, which only the module `normal` knows, such as `2.12-9`.
    pub version: Option<String>,
}

/// A module of a core image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoreModule {
    /// Its name, such as `normal`.
    pub name: String,
    /// Bytes that it takes, uncompressed.
    pub size: u64,
}

/// Whether the file, or a BIOS boot partition, starts as a core image does.
pub fn is_core(file: &Blob) -> bool {
    let is_program = || pe::Image::parse(file).is_ok_and(|image| mods(&image).is_some());
    bios_core(file).is_ok_and(|core| core.is_some()) || is_program()
}

/// The sector (see [`Core::sector`]) that the core image for a BIOS at the start of `file` has;
/// none if it is no such image. The rest of it may be damaged.
pub fn bios_sector(file: &Blob) -> Option<Option<u64>> {
    let head = file.slice(0..(BLOCK + 2 * SECTOR) as u64).to_vec(FILE_LIMIT).ok()?;
    bios_start(&head).map(|start| run_start(&head[start..]))
}

/// The sector of the first of what follows it, less one.
fn run_start(head: &[u8]) -> Option<u64> {
    let run = head.get(RUN_START..)?.first_chunk()?;
    u64::from_le_bytes(*run).checked_sub(1)
}

/// Reads a core image: a file, or a BIOS boot partition with one in it.
///
/// # Errors
/// `Corrupt` if it is none, or is broken; `Unsupported` for one of an unknown processor.
pub fn read(file: &Blob) -> Result<Core> {
    if let Some((bytes, start)) = bios_core(file)? {
        return read_bios(&bytes, start);
    }
    let none = || Error::corrupt(GRUB, 0, "this is no core image");
    let image = pe::Image::parse(file).map_err(|_| none())?;
    let section = mods(&image).ok_or_else(none)?;
    let at = u64::from(section.raw_offset);
    let platform = Platform::ALL
        .into_iter()
        .find(|platform| platform.machine() == Some(image.machine))
        .ok_or_else(|| Error::unsupported(GRUB, format!("a core image for {}", image.machine)))?;
    let area = image.content(section);
    if area.len() > LIMIT as u64 {
        return Err(Error::corrupt(GRUB, at, format!("section mods has {} bytes", area.len())));
    }
    let area = area.to_vec(LIMIT as u64).map_err(|error| Error::io(GRUB, error))?;
    let core = Core::new(platform);
    core.with_area(&area).map_err(|(offset, what)| Error::corrupt(GRUB, at + offset as u64, what))
}

fn mods(image: &pe::Image) -> Option<&pe::Section> {
    image.sections.iter().find(|section| section.name == "mods")
}

/// The bytes of a BIOS core image and where its first sector is in them; none if it is none.
fn bios_core(file: &Blob) -> Result<Option<(Vec<u8>, usize)>> {
    let io = |error| Error::io(GRUB, error);
    let head = file.slice(0..(BLOCK + 2 * SECTOR) as u64).to_vec(FILE_LIMIT).map_err(io)?;
    let Some(start) = bios_start(&head) else { return Ok(None) };
    let bytes = file.slice(0..FILE_LIMIT).to_vec(FILE_LIMIT).map_err(io)?;
    Ok(Some((bytes, start)))
}

/// Where the first sector for a disk is in the head of a core image for a BIOS: behind
/// `cdboot.img` on a CD.
fn bios_start(head: &[u8]) -> Option<usize> {
    let is_loader =
        |start: &usize| head.get(start + SECTOR..).is_some_and(|code| code.starts_with(&JUMP));
    [0, BLOCK].into_iter().find(is_loader)
}

fn read_bios(bytes: &[u8], start: usize) -> Result<Core> {
    let at = start + SECTOR;
    let broken = |at: usize, what: &str| Error::corrupt(GRUB, at as u64, what);
    let loader = bytes.get(at..).unwrap_or_default();
    let length = |at| u32_at(loader, at).and_then(|len| usize::try_from(len).ok());
    let len = length(UNPACKED_LEN)
        .filter(|&len| len <= LIMIT)
        .ok_or_else(|| broken(at + UNPACKED_LEN, "it unpacks to more than can be right"))?;
    let behind = unpacks_behind(loader);
    let packed = behind
        .and_then(|behind| loader.get(behind..))
        .ok_or_else(|| broken(at, "its loader does not tell where it unpacks from"))?;
    let packed_at = bytes.len() - packed.len();
    let packed = length(PACKED_LEN)
        .and_then(|len| packed.get(..len))
        .ok_or_else(|| broken(at + PACKED_LEN, "what it unpacks reaches past its end"))?;
    let payload = lzma::decompress(packed, len)
        .ok_or_else(|| broken(packed_at, &format!("this does not unpack to {len} bytes")))?;
    let area = module_area::find(&payload)
        .ok_or_else(|| broken(packed_at, "what it unpacks to has no modules"))?;
    let core = Core {
        is_for_cd: start > 0,
        sector: bytes.get(start..).and_then(run_start),
        ..Core::new(Platform::I386Pc)
    };
    let unpacked = |what| format!("in what it unpacks to, {what}");
    core.with_area(&payload[area..])
        .map_err(|(offset, what)| Error::corrupt(GRUB, (area + offset) as u64, unpacked(what)))
}

impl Core {
    fn new(platform: Platform) -> Self {
        Self {
            platform,
            is_for_cd: false,
            sector: None,
            modules: Vec::new(),
            config: None,
            prefix: None,
            version: None,
        }
    }

    /// With what the module area holds; else where it is broken, and how.
    fn with_area(mut self, area: &[u8]) -> Result<Self, (usize, &'static str)> {
        for entry in module_area::read(area, self.platform.elf().1)? {
            let text = || {
                let text = entry.data.split(|&byte| byte == 0).next().unwrap_or_default();
                let text = std::str::from_utf8(text).map(str::to_owned);
                text.map_err(|_| (entry.at, "the text is no UTF-8"))
            };
            match entry.kind {
                module_area::ELF => {
                    let elf = Elf::parse(entry.data).ok();
                    let name = elf.and_then(|elf| {
                        let name = elf.find(".modname")?.split(|&byte| byte == 0).next()?;
                        Some(std::str::from_utf8(name).ok()?.to_owned())
                    });
                    let name = name.ok_or((entry.at, "the module has no name"))?;
                    if name == "normal" {
                        self.version = version(entry.data);
                    }
                    self.modules.push(CoreModule { name, size: entry.data.len() as u64 });
                }
                module_area::CONFIG => self.config = Some(text()?),
                module_area::PREFIX => self.prefix = Some(text()?),
                // Keys, memory disks and the like.
                _ => {}
            }
        }
        Ok(self)
    }
}

/// The first text in the module `normal` that is a version: two numbers and a dot, then more of
/// what packages put there.
fn version(module: &[u8]) -> Option<String> {
    let is_version = |text: &&str| {
        let (major, rest) = text.split_once('.').unwrap_or_default();
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let minor = rest.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
        let is_part = |c: char| c.is_ascii_alphanumeric() || ".+~:-_".contains(c);
        is_number(major) && is_number(minor) && rest.chars().all(is_part)
    };
    let texts = module.split(|&byte| byte == 0).filter(|text| text.len() <= VERSION_LIMIT);
    texts.filter_map(|text| std::str::from_utf8(text).ok()).find(is_version).map(str::to_owned)
}

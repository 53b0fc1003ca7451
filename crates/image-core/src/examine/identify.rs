//! What a file is.

use crate::{
    blob::Blob,
    error::{During, Error, ErrorKind, Result},
    formats::{
        compress::{self, Codec, Decoder},
        cpio, gpt, iso9660, linux, uki,
    },
};
use std::io::Read as _;

/// The longest kernel command line that is looked at, in bytes.
const CMDLINE_LIMIT: u64 = 64 << 10;

const TAR: &str = "a tar archive";

/// A file, told apart by its content, with its structure read.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Medium {
    /// A GPT disk image.
    Disk(gpt::Found),
    /// An ISO 9660 image.
    Iso(iso9660::Found),
    /// A unified kernel image.
    Uki(uki::Contents),
    /// A kernel image.
    Kernel(linux::Kernel),
    /// An initramfs.
    Initramfs,
    /// A kernel command line.
    Cmdline(String),
}

impl Medium {
    /// Tells what `file` is.
    ///
    /// # Errors
    /// It is none of these, or it is one and is damaged.
    pub fn open(file: &Blob) -> Result<Self> {
        let starts = |at: u64, magic: &[u8]| {
            let mut bytes = vec![0; magic.len()];
            file.read_at(at, &mut bytes).is_ok() && bytes == magic
        };
        let head = file.slice(0..16).to_vec(16)?;
        // An ISO that boots as a disk too has a partition table, so it comes first.
        if starts(0x8001, b"CD001") {
            return Ok(Self::Iso(iso9660::read(file)?));
        }
        // The first table, by sector size, or the second, at the end, where the first is damaged.
        let tables =
            [512, 4096].into_iter().flat_map(|sector| [sector, file.len().saturating_sub(sector)]);
        if tables.into_iter().any(|at| starts(at, b"EFI PART")) {
            return Ok(Self::Disk(gpt::read(file)?));
        }
        if head.starts_with(b"MZ") {
            let contents = uki::read(file)?;
            if contents.is_uki() {
                return Ok(Self::Uki(contents));
            }
            return Ok(Self::Kernel(
                linux::Kernel::parse(file)
                    .during(|| "this UEFI program is neither a UKI nor a kernel".to_owned())?,
            ));
        }
        if let Some(codec) = Codec::detect(&head)
            && let Some(what) = packed(file, codec)
        {
            let (name, unpack) = match codec {
                Codec::Gzip => ("gzip", "gzip -d"),
                Codec::Xz => ("xz", "xz -d"),
                Codec::Zstd => ("zstd", "zstd -d"),
            };
            let unpack = if what == TAR { "tar -x" } else { unpack };
            let what = format!("this is {what}, packed as {name}: unpack it first ({unpack})");
            return Err(Error::new(ErrorKind::Input, what));
        }
        if cpio::is_archive(&head) || Codec::detect(&head).is_some() {
            return Ok(Self::Initramfs);
        }
        if let Some(cmdline) = cmdline(file) {
            return Ok(Self::Cmdline(cmdline));
        }
        let what = match compress::foreign_name(&head) {
            Some(name) => format!("this is {name}, which is not read"),
            None => "this is no boot medium that is known here: a GPT disk image, an ISO, a UKI, \
                     a kernel, an initramfs or a kernel command line"
                .to_owned(),
        };
        Err(Error::new(ErrorKind::Input, what))
    }
}

/// What medium `file` unpacks to, as far as its start says. What unpacks to anything else may be
/// an initramfs.
fn packed(file: &Blob, codec: Codec) -> Option<&'static str> {
    let mut start = Vec::new();
    let mut decoder = Decoder::new(codec, file.reader(), u64::MAX).ok()?;
    // As far as there is one; a damaged one is an initramfs's to refuse.
    let _ = decoder.by_ref().take(0x8006).read_to_end(&mut start);
    let has = |at: usize, magic: &[u8]| start.get(at..).is_some_and(|it| it.starts_with(magic));
    if has(0x8001, b"CD001") {
        Some("an ISO")
    } else if has(512, b"EFI PART") || has(4096, b"EFI PART") {
        Some("a disk image")
    } else if has(257, b"ustar") {
        Some(TAR)
    } else if has(0, b"MZ") {
        Some("a UKI or a kernel")
    } else {
        None
    }
}

/// A line of printable text that sets something: what a kernel command line looks like.
fn cmdline(file: &Blob) -> Option<String> {
    let bytes = file.to_vec(CMDLINE_LIMIT).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let line = text.strip_suffix('\n').unwrap_or(&text);
    let printable = !line.is_empty() && line.chars().all(|letter| !letter.is_control());
    (printable && line.contains('=')).then(|| line.to_owned())
}

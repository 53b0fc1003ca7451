//! Linux kernels as boot loaders take them.
//!
//! Specification: the kernel's Documentation/arch/x86/boot.rst ("The Real-Mode Kernel Header"),
//! Documentation/arch/arm64/booting.rst ("Call the kernel image"), and for compressed EFI images
//! drivers/firmware/efi/libstub/zboot-header.S.

#[cfg(any(test, feature = "fake"))]
pub mod fake;

use super::{
    Error, Fault, Result,
    pe::{Image, Machine},
};
use crate::blob::Blob;

const LINUX: &str = "Linux kernel";

/// How much is searched at a time, in bytes.
const CHUNK: usize = 256 << 10;

/// The longest `uname -r`, in bytes (`__NEW_UTS_LEN`).
const RELEASE_LIMIT: usize = 64;

/// The start of the kernel's banner; the release and a space follow.
const BANNER: &[u8] = b"Linux version ";

/// A kernel image, as far as its headers tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kernel {
    /// The processor it runs on.
    pub machine: Machine,
    /// What kind of file it is.
    pub format: Format,
    /// What `uname -r` will print. None if the file does not say, and for
    /// [`Format::Zboot`], where it is compressed.
    pub release: Option<String>,
    /// Whether it is a UEFI program too (built with `CONFIG_EFI_STUB`), as a unified kernel
    /// image needs it.
    pub efi_stub: bool,
}

/// The kinds of kernel image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Format {
    /// x86 `bzImage`.
    BzImage {
        /// The boot protocol's version, major and minor.
        protocol: (u8, u8),
    },
    /// arm64 `Image`, uncompressed.
    Arm64Image,
    /// A UEFI program that unpacks the kernel it holds.
    Zboot {
        /// By what: `gzip`, `zstd22` …
        compression: String,
    },
}

impl Kernel {
    /// Reads a kernel's headers; the release of an arm64 `Image` is searched for in all of it.
    ///
    /// # Errors
    /// `Unsupported` if it is no kernel of a known kind; `Corrupt` if its headers contradict
    /// themselves.
    pub fn parse(file: &Blob) -> Result<Self> {
        let head = read_up_to(file, 0, 0x400)?;
        let starts = |at: usize, magic: &[u8]| head.get(at..at + magic.len()) == Some(magic);
        let machine = match Image::parse(file) {
            Ok(image) => Some(image.machine),
            Err(error) if matches!(error.fault(), Fault::Io(_)) => return Err(error),
            Err(_) => None,
        };
        if starts(0x202, b"HdrS") {
            Self::bz_image(file, &head, machine)
        } else if starts(0x38, b"ARM\x64") {
            Ok(Self {
                machine: Machine::Arm64,
                format: Format::Arm64Image,
                release: find_release(file)?,
                efi_stub: machine == Some(Machine::Arm64),
            })
        } else if let (true, Some(machine)) = (starts(0, b"MZ\0\0zimg"), machine) {
            let compression = head.get(0x18..0x38).and_then(text).unwrap_or_default();
            Ok(Self {
                machine,
                format: Format::Zboot { compression },
                release: None,
                efi_stub: true,
            })
        } else {
            Err(Error::corrupt(LINUX, 0, "no x86 bzImage, no arm64 Image and no EFI zboot image"))
        }
    }

    fn bz_image(file: &Blob, head: &[u8], machine: Option<Machine>) -> Result<Self> {
        // The header grew with the protocol; a file that ends inside it is no kernel.
        let Some(header) = head.get(..0x238) else {
            return Err(Error::corrupt(LINUX, file.len(), "setup header: the file ends inside it"));
        };
        let u16_at = |at: usize| u16::from_le_bytes([header[at], header[at + 1]]);
        let protocol = (header[0x207], header[0x206]);
        let is_64_bit = protocol >= (2, 12) && u16_at(0x236) & 1 != 0; // XLF_KERNEL_64
        // Before there were any, the setup code was four sectors, and 0 still means that.
        let setup_sectors = u64::from(if header[0x1f1] == 0 { 4 } else { header[0x1f1] });
        let release = match u64::from(u16_at(0x20e)) {
            0 => None,
            offset if offset >= setup_sectors * 0x200 => {
                let what = format!(
                    "kernel_version: {offset:#x} is behind the {setup_sectors} setup sectors"
                );
                return Err(Error::corrupt(LINUX, 0x20e, what));
            }
            offset => {
                let version = read_up_to(file, offset + 0x200, 0x100)?;
                text(&version).and_then(|text| text.split(' ').next().map(str::to_owned))
            }
        };
        Ok(Self {
            // A kernel without a PE header tells only whether it is a 64-bit one; i386 if not.
            machine: machine.unwrap_or(if is_64_bit {
                Machine::Amd64
            } else {
                Machine::Other(0x014c)
            }),
            format: Format::BzImage { protocol },
            release: release.filter(|release| !release.is_empty()),
            efi_stub: machine.is_some(),
        })
    }
}

/// The release in the first banner that has one: strings that merely start like it come first
/// in some kernels.
fn find_release(file: &Blob) -> Result<Option<String>> {
    let keep = BANNER.len() + RELEASE_LIMIT + 1;
    let mut at = 0;
    while at < file.len() {
        // Neighbouring chunks share as much as the longest banner, so that none is cut in two.
        let chunk = read_up_to(file, at, CHUNK + keep)?;
        let starts = chunk.windows(BANNER.len()).take(CHUNK).enumerate();
        for (start, _) in starts.filter(|&(_, window)| window == BANNER) {
            let rest = &chunk[start + BANNER.len()..];
            let release =
                rest[..rest.len().min(RELEASE_LIMIT + 1)].split(|&byte| byte == b' ').next();
            match release.map(std::str::from_utf8) {
                Some(Ok(release))
                    if release.len() <= RELEASE_LIMIT
                        && release.starts_with(|first: char| first.is_ascii_digit())
                        && release.chars().all(|c| c.is_ascii_graphic()) =>
                {
                    return Ok(Some(release.to_owned()));
                }
                _ => {}
            }
        }
        at += CHUNK as u64;
    }
    Ok(None)
}

/// The bytes at `at`, as many as there are up to `len`.
fn read_up_to(file: &Blob, at: u64, len: usize) -> Result<Vec<u8>> {
    let len = len as u64;
    file.slice(at..at + len).to_vec(len).map_err(|error| Error::io(LINUX, error))
}

/// A NUL-terminated text; none if it is not terminated or no UTF-8.
fn text(bytes: &[u8]) -> Option<String> {
    let end = bytes.iter().position(|&byte| byte == 0)?;
    String::from_utf8(bytes[..end].to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::pe;
    use proptest::prelude::*;

    fn parse(bytes: &[u8]) -> Result<Kernel> {
        Kernel::parse(&Blob::from(bytes.to_vec()))
    }

    #[test]
    fn each_kind_is_told_apart() {
        let kernel = parse(&fake::bz_image("6.12.1-talos")).unwrap();
        assert_eq!(kernel.format, Format::BzImage { protocol: (2, 15) });
        assert_eq!((kernel.machine, kernel.efi_stub), (Machine::Amd64, true));
        assert_eq!(kernel.release.as_deref(), Some("6.12.1-talos"));

        let kernel = parse(&fake::arm64_image("6.12.1-talos")).unwrap();
        assert_eq!(kernel.format, Format::Arm64Image);
        assert_eq!((kernel.machine, kernel.efi_stub), (Machine::Arm64, true));
        assert_eq!(kernel.release.as_deref(), Some("6.12.1-talos"));

        let mut zboot = pe::fake::image(Machine::Arm64, &[(".text", b"x")]);
        zboot[4..8].copy_from_slice(b"zimg");
        zboot[0x18..0x1c].copy_from_slice(b"gzip");
        let kernel = parse(&zboot).unwrap();
        assert_eq!(kernel.format, Format::Zboot { compression: "gzip".to_owned() });
        assert_eq!((kernel.machine, kernel.release), (Machine::Arm64, None));

        for other in [&b""[..], b"MZ", &[0; 0x1000], &pe::fake::stub(Machine::Amd64)] {
            let error = parse(other).unwrap_err().to_string();
            assert!(error.contains("no x86 bzImage, no arm64 Image"), "{error}");
        }
    }

    #[test]
    fn a_bz_image_without_pe_header_or_version_is_still_one() {
        let mut bytes = fake::bz_image("1");
        bytes[0] = 0;
        bytes[0x20e..0x210].fill(0);
        let kernel = parse(&bytes).unwrap();
        assert_eq!((kernel.machine, kernel.efi_stub), (Machine::Amd64, false));
        assert_eq!(kernel.release, None);
        bytes[0x20e..0x210].fill(0xff);
        assert!(parse(&bytes).unwrap_err().to_string().contains("kernel_version"));
    }

    #[test]
    fn a_banner_is_found_wherever_it_lies_and_whole() {
        let place = |at: usize, text: &str| {
            let mut bytes = vec![0; 3 * CHUNK];
            bytes[at..at + text.len()].copy_from_slice(text.as_bytes());
            find_release(&bytes.into()).unwrap()
        };
        let banner = "Linux version 6.18.5-talos (cc) #1\n";
        for at in [0, 1, CHUNK - 20, CHUNK - 1, CHUNK, 2 * CHUNK - 3, 3 * CHUNK - banner.len()] {
            assert_eq!(place(at, banner).as_deref(), Some("6.18.5-talos"), "{at}");
        }
        let endless = format!("Linux version 6{}", "x".repeat(RELEASE_LIMIT));
        for not in ["Linux version %s (%s)\n", "Linux version 6.1\n", &endless, "Linux version 6"] {
            assert_eq!(place(7, not), None, "{not}");
        }
        let both = format!("Linux version too old \n{banner}");
        assert_eq!(place(CHUNK - 30, &both).as_deref(), Some("6.18.5-talos"));
    }

    proptest! {
        #[test]
        fn hostile_kernels_never_panic(
            arm: bool, cut in 0usize..0x800, at in 0usize..0x3fc, bytes: [u8; 4],
        ) {
            let mut kernel = if arm { fake::arm64_image("6.1") } else { fake::bz_image("6.1") };
            kernel[at..at + 4].copy_from_slice(&bytes);
            let _ = parse(&kernel);
            let _ = parse(&kernel[..cut.min(kernel.len())]);
        }
    }
}

//! Fixed virtual hard disks (Virtual Hard Disk Image Format Specification 1.0, Microsoft 2006):
//! the disk as it is, and a footer behind it.
//!
//! Dynamic and differencing disks are not written or read: Azure takes fixed ones only, and
//! holes of a fixed disk take no room here either.

use super::{Error, Result, format_options};
use crate::blob::Blob;
use serde::Serialize;
use uuid::Uuid;

const FORMAT: &str = "VHD";
/// The format counts in sectors of 512 bytes.
const SECTOR: u64 = 512;
const FOOTER: usize = 512;
/// What a footer starts with ("Hard Disk Footer Format", cookie).
const COOKIE: &[u8; 8] = b"conectix";
/// Footers count time from 2000-01-01 00:00:00 UTC.
const YEAR_2000: u64 = 946_684_800;
/// What disks of Azure are multiples of, in bytes.
const MIB: u64 = 1 << 20;
/// 2040 GiB, the most that any reader takes.
const MAX_SIZE: u64 = 2040 << 30;
/// The type of a fixed disk.
const FIXED: u32 = 2;

/// What a disk cannot tell of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// How long the virtual disk is.
    pub size: Size,
    /// The disk's unique identifier.
    pub id: Uuid,
    /// When it was made, in seconds since 1970; before 2000 becomes 2000, and past 2136 the
    /// last second that a footer knows.
    pub epoch: u64,
}

/// How long the virtual disk is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Size {
    /// The raw disk's size, rounded up to whole MiB as Azure asks; qemu-img's `force_size`.
    #[default]
    Exact,
    /// Rounded up to whole cylinders, for readers that count in those.
    Cylinders,
}

impl Size {
    /// Reads options as qemu-img(1) takes them: `subformat=fixed` and `force_size`. No options
    /// mean [`Size::Exact`].
    ///
    /// # Errors
    /// `Unsupported` for `subformat=dynamic`; `Invalid` for any other option or value.
    pub fn parse(options: &str) -> Result<Self> {
        let mut size = if options.is_empty() { Self::Exact } else { Self::Cylinders };
        for (key, value) in format_options::split(options) {
            match (key, value) {
                ("subformat", "fixed") => {}
                ("subformat", "dynamic") => {
                    let what = "subformat=dynamic (subformat=fixed takes no more room)";
                    return Err(Error::unsupported(FORMAT, what));
                }
                ("subformat", _) => {
                    return Err(format_options::wrong(FORMAT, key, value, "fixed"));
                }
                ("force_size", _) => {
                    let exact = format_options::switch(FORMAT, key, value)?;
                    size = if exact { Self::Exact } else { Self::Cylinders };
                }
                _ => {
                    return Err(format_options::unknown(FORMAT, key, &["subformat", "force_size"]));
                }
            }
        }
        Ok(size)
    }

    /// How long the virtual disk of a raw disk of `size` bytes is, in bytes.
    ///
    /// # Errors
    /// `Invalid` for an empty disk or a size of no whole sectors of 512 bytes; `TooLarge` past
    /// 2040 GiB.
    pub fn of(self, size: u64) -> Result<u64> {
        self.measure(size).map(|(size, _)| size)
    }

    fn measure(self, size: u64) -> Result<(u64, Geometry)> {
        if size == 0 || !size.is_multiple_of(SECTOR) {
            let what = format!("a disk of {size} bytes: sectors have {SECTOR}");
            return Err(Error::invalid(FORMAT, what));
        }
        if size > MAX_SIZE {
            return Err(Error::too_large(FORMAT, "the disk", size, MAX_SIZE));
        }
        Ok(match self {
            Self::Exact => (size.next_multiple_of(MIB), Geometry::MAX),
            Self::Cylinders => {
                let sectors = size / SECTOR;
                let geometry = Geometry::holding(sectors);
                (geometry.sectors().max(sectors) * SECTOR, geometry)
            }
        })
    }
}

/// `disk` as a fixed virtual hard disk. Reads nothing.
///
/// # Errors
/// `Invalid` for an empty disk or a size of no whole sectors of 512 bytes; `TooLarge` past
/// 2040 GiB.
pub fn image(disk: &Blob, options: &Options) -> Result<Blob> {
    let (size, geometry) = options.size.measure(disk.len())?;
    let padding = Blob::zeros(size - disk.len());
    Ok(Blob::concat([disk.clone(), padding, footer(size, geometry, options).to_vec().into()]))
}

/// The footer ("Hard Disk Footer Format").
fn footer(size: u64, geometry: Geometry, options: &Options) -> [u8; FOOTER] {
    let mut footer = [0; FOOTER];
    let mut put = |at: usize, bytes: &[u8]| footer[at..at + bytes.len()].copy_from_slice(bytes);
    let seconds = options.epoch.saturating_sub(YEAR_2000);
    put(0, COOKIE);
    // Bit 1 is reserved and always set.
    put(8, &2u32.to_be_bytes());
    put(12, &0x0001_0000u32.to_be_bytes());
    // No dynamic header.
    put(16, &u64::MAX.to_be_bytes());
    put(24, &u32::try_from(seconds).unwrap_or(u32::MAX).to_be_bytes());
    // By the creator readers tell whether size or geometry counts; these two say what they say
    // of disks made by qemu-img.
    put(28, if options.size == Size::Exact { b"qem2" } else { b"qemu" });
    put(32, &0x0005_0003u32.to_be_bytes());
    put(36, b"Wi2k");
    put(40, &size.to_be_bytes());
    put(48, &size.to_be_bytes());
    put(56, &geometry.cylinders.to_be_bytes());
    put(58, &[geometry.heads, geometry.sectors_per_track]);
    put(60, &FIXED.to_be_bytes());
    put(68, options.id.as_bytes());
    let sum = checksum(&footer);
    footer[64..68].copy_from_slice(&sum.to_be_bytes());
    footer
}

/// The complement of the sum of all bytes but its own.
fn checksum(footer: &[u8; FOOTER]) -> u32 {
    !footer[..64].iter().chain(&footer[68..]).map(|&byte| u32::from(byte)).sum::<u32>()
}

/// Cylinders, heads and sectors per track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Geometry {
    cylinders: u16,
    heads: u8,
    sectors_per_track: u8,
}

impl Geometry {
    /// What stands for "look at the size".
    const MAX: Self = Self { cylinders: u16::MAX, heads: 16, sectors_per_track: 255 };

    fn sectors(self) -> u64 {
        u64::from(self.cylinders) * u64::from(self.heads) * u64::from(self.sectors_per_track)
    }

    /// The least geometry by the rule that has `sectors` at least, or [`Self::MAX`].
    fn holding(sectors: u64) -> Self {
        // The rule rounds down. A track more than a cylinder is enough.
        (sectors..=sectors + 16 * 255 + 255)
            .map(Self::of)
            .find(|geometry| geometry.sectors() >= sectors)
            .unwrap_or(Self::MAX)
    }

    /// The specification's rule ("Appendix: CHS Calculation").
    fn of(sectors: u64) -> Self {
        let sectors = sectors.min(Self::MAX.sectors());
        let (mut per_track, mut heads);
        if sectors >= 65_535 * 16 * 63 {
            (per_track, heads) = (255, 16);
        } else {
            per_track = 17;
            heads = (sectors / per_track).div_ceil(1024).max(4);
            if sectors / per_track >= heads * 1024 || heads > 16 {
                (per_track, heads) = (31, 16);
            }
            if sectors / per_track >= heads * 1024 {
                (per_track, heads) = (63, 16);
            }
        }
        let byte = |value: u64| u8::try_from(value).unwrap_or(u8::MAX);
        Self {
            cylinders: u16::try_from(sectors / per_track / heads).unwrap_or(u16::MAX),
            heads: byte(heads),
            sectors_per_track: byte(per_track),
        }
    }
}

/// Whether `file` ends with a footer.
pub fn is_image(file: &Blob) -> bool {
    file.len()
        .checked_sub(FOOTER as u64)
        .is_some_and(|at| file.array::<8>(at).is_ok_and(|cookie| cookie == *COOKIE))
}

/// The raw disk in a fixed virtual hard disk.
///
/// # Errors
/// `Corrupt` for a footer that is none; `Unsupported` for a dynamic or differencing disk.
pub fn read(file: &Blob) -> Result<Blob> {
    let at = file.len().saturating_sub(FOOTER as u64);
    let corrupt = |field: u64, what: &str| Err(Error::corrupt(FORMAT, at + field, what));
    if !is_image(file) {
        return corrupt(0, "no footer");
    }
    let footer: [u8; FOOTER] = file.array(at).map_err(|error| Error::io(FORMAT, error))?;
    let u32_at = |at: usize| footer[at..at + 4].iter().fold(0, |n, &byte| n << 8 | u32::from(byte));
    if u32_at(64) != checksum(&footer) {
        return corrupt(64, "the footer's checksum is wrong");
    }
    match u32_at(60) {
        FIXED => {}
        3 => return Err(Error::unsupported(FORMAT, "a dynamic disk")),
        4 => return Err(Error::unsupported(FORMAT, "a differencing disk")),
        kind => return corrupt(60, &format!("there is no disk type {kind}")),
    }
    let size = u64::from(u32_at(48)) << 32 | u64::from(u32_at(52));
    if size > at {
        return corrupt(48, "the disk is cut off");
    }
    Ok(file.slice(0..size))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const OPTIONS: Options =
        Options { size: Size::Exact, id: Uuid::from_u128(7), epoch: 1_700_000_000 };

    fn hex(digits: &str) -> Vec<u8> {
        let bytes = digits.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
        bytes.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
    }

    /// The bytes of qemu-img 10.0 (`-O vpc -o subformat=fixed[,force_size]`), but for time,
    /// identifier and checksum.
    #[test]
    fn footers_are_qemu_img_s() {
        let of = |size: u64, rule: Size| {
            let image = image(&Blob::zeros(size), &Options { size: rule, ..OPTIONS }).unwrap();
            let footer = image.slice(image.len() - 512..image.len()).to_vec(512).unwrap();
            assert!(footer[84..].iter().all(|&byte| byte == 0));
            (image.len(), footer[..24].to_vec(), footer[28..64].to_vec())
        };
        let start = hex("636f6e65637469780000000200010000ffffffffffffffff");
        let mib = 1 << 20;
        for (size, rule, expected_size, expected) in [
            (
                1246 * mib,
                Size::Exact,
                1_306_526_208,
                "71656d32000500035769326b000000004de00000000000004de00000ffff10ff00000002",
            ),
            (
                1246 * mib,
                Size::Cylinders,
                1_306_755_584,
                "71656d75000500035769326b000000004de38000000000004de3800009e4103f00000002",
            ),
            (
                200 << 30,
                Size::Cylinders,
                214_748_365_312,
                "71656d75000500035769326b00000032000000000000003200000000ffff10ff00000002",
            ),
            (
                127 << 30,
                Size::Cylinders,
                136_365_220_352,
                "71656d75000500035769326b0000001fc00020000000001fc0002000feff10ff00000002",
            ),
        ] {
            let expected = (expected_size, start.clone(), hex(expected));
            assert_eq!(of(size, rule), expected, "{size} {rule:?}");
        }
    }

    #[test]
    fn what_is_written_reads_back_rounded_to_mebibytes() {
        let disk = Blob::concat(["boot".into(), Blob::zeros((1 << 20) + 508)]);
        let made = image(&disk, &OPTIONS).unwrap();
        assert!(is_image(&made));
        let read = read(&made).unwrap();
        assert_eq!(read.len(), 2 << 20);
        assert!(read.to_vec(4 << 20).unwrap().starts_with(b"boot\0"));
        let time = made.array::<4>(made.len() - 512 + 24).unwrap();
        assert_eq!(u32::from_be_bytes(time), 753_315_200);
    }

    #[test]
    fn what_has_no_form_is_refused() {
        for (options, expected) in [
            ("subformat=fixed,force_size", Ok(Size::Exact)),
            ("", Ok(Size::Exact)),
            ("subformat=fixed", Ok(Size::Cylinders)),
            (
                "subformat=dynamic",
                Err("VHD: subformat=dynamic (subformat=fixed takes no more room) is not supported"),
            ),
            ("subformat=x", Err("VHD: the option subformat cannot be \"x\"; it can be fixed")),
            (
                "force_size=1",
                Err("VHD: the option force_size cannot be \"1\"; it can be on or off"),
            ),
            (
                "cluster_size=8k",
                Err("VHD: there is no option \"cluster_size\" here; there are subformat and \
                     force_size"),
            ),
        ] {
            let parsed = Size::parse(options).map_err(|error| error.to_string());
            assert_eq!(parsed, expected.map_err(str::to_owned));
        }
        let refused = |len| image(&Blob::zeros(len), &OPTIONS).unwrap_err().to_string();
        assert_eq!(refused(513), "VHD: a disk of 513 bytes: sectors have 512");
        assert_eq!(refused(0), "VHD: a disk of 0 bytes: sectors have 512");
        assert!(refused(MAX_SIZE + 512).contains("the disk needs"));
    }

    proptest! {
        #[test]
        fn damaged_footers_never_panic(
            at in 0usize..512, flip in 1u8.., cut in 0u64..600, fix in any::<bool>(),
        ) {
            let made = image(&Blob::zeros(4096), &OPTIONS).unwrap();
            let mut bytes = made.to_vec(2 << 20).unwrap();
            let start = bytes.len() - 512;
            bytes[start + at] ^= flip;
            if fix {
                let footer: [u8; 512] = bytes[start..].try_into().unwrap();
                bytes[start + 64..start + 68].copy_from_slice(&checksum(&footer).to_be_bytes());
            }
            let blob = Blob::from(bytes);
            let _ = read(&blob);
            let _ = read(&blob.slice(0..blob.len() - cut));
        }
    }
}

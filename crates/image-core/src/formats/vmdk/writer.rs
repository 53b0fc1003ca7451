//! Makes a stream-optimised disk.

use super::{
    FORMAT, GRAIN, MAX_SIZE, SECTOR, TABLE, TABLE_LEN,
    header::{AT_END, Header},
};
use crate::{
    blob::{Blob, HashWriter, Spool},
    formats::{
        Error, Result,
        clusters::{self, Packing},
        deflate::Deflater,
    },
};
use std::io::{self, Write};

/// Where the descriptor stands and how long it is, and where the first grain stands: in sectors,
/// and as VMware's tools have it.
const DESCRIPTOR: (u64, u64) = (1, 20);
const OVERHEAD: u64 = 128;

/// The types of markers ("Markers").
const MARK_END: u32 = 0;
const MARK_TABLE: u32 = 1;
const MARK_DIRECTORY: u32 = 2;
const MARK_FOOTER: u32 = 3;

/// What a disk cannot tell of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options<'a> {
    /// The file's name, which stands in it: printable ASCII without `"`.
    pub name: &'a str,
    /// The controller it hangs on: `lsilogic`, `buslogic`, `ide`, `pvscsi`.
    pub adapter: &'a str,
    /// Threads to compress with; at least one is used. No byte depends on it.
    pub threads: usize,
}

/// A grain that is not all zeros.
enum Packed {
    Deflated(Vec<u8>),
    /// Hardly becomes shorter: its last byte, and its Adler-32 (RFC 1950 section 8.2).
    Stored {
        last: u8,
        adler: u32,
    },
}

/// Says whether there can be a disk of `size` bytes.
///
/// # Errors
/// `Invalid` for an empty disk or a size of no whole sectors; `TooLarge` past 62 TiB.
pub fn check(size: u64) -> Result<()> {
    if size == 0 || !size.is_multiple_of(SECTOR) {
        let what = format!("a disk of {size} bytes: sectors have {SECTOR}");
        return Err(Error::invalid(FORMAT, what));
    }
    if size > MAX_SIZE {
        return Err(Error::too_large(FORMAT, "the disk", size, MAX_SIZE));
    }
    Ok(())
}

/// `disk` as a stream-optimised disk. What compresses is kept in `spool`; what hardly does is
/// placed, in stored deflate blocks. `on_bytes` hears how many more bytes of the disk are done.
///
/// # Errors
/// `Invalid` for an empty disk, a size of no whole sectors, or a name that cannot stand in a
/// descriptor; `TooLarge` if more than 2 TiB come out; I/O.
pub fn image(
    disk: &Blob,
    options: &Options<'_>,
    spool: &mut Spool,
    on_bytes: &mut dyn FnMut(u64),
) -> Result<Blob> {
    check(disk.len())?;
    for word in [options.name, options.adapter] {
        if word.is_empty() || !word.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'"')
        {
            let what = format!("the name {word:?}: it can have printable ASCII without quotes");
            return Err(Error::invalid(FORMAT, what));
        }
    }
    let io = |source| Error::io(FORMAT, source);
    let packing = Packing {
        format: FORMAT,
        unit: GRAIN,
        threads: options.threads,
        compressor: || Deflater::new(FORMAT, true, 15),
        pack: |deflater, grain| {
            Ok(match deflater.pack(grain)? {
                Some(packed) => Packed::Deflated(packed),
                None => Packed::Stored {
                    last: grain.last().copied().unwrap_or_default(),
                    adler: adler32(grain),
                },
            })
        },
    };
    let mut stream = Stream::new(spool);
    let mut tables = Tables { directory: Vec::new(), table: Vec::new() };
    let mut content = HashWriter::new(io::sink());
    let sink = |number: u64, packed: Packed| {
        tables.turn_to(number / TABLE, &mut stream)?;
        tables.add(number % TABLE, stream.sector()?);
        let adler = match packed {
            Packed::Deflated(packed) => {
                stream.grain_marker(number, packed.len())?;
                stream.write(&packed)?;
                packed.last_chunk().copied().unwrap_or_default()
            }
            Packed::Stored { last, adler } => {
                let grain = disk.slice(number * GRAIN..(number + 1) * GRAIN).padded_to(GRAIN);
                stream.stored_grain(number, &grain, last, adler)?;
                adler.to_be_bytes()
            }
        };
        stream.pad()?;
        content.write_all(&number.to_le_bytes()).map_err(io)?;
        content.write_all(&adler).map_err(io)
    };
    clusters::pack(disk, packing, sink, on_bytes)?;

    let mut header = Header {
        capacity: disk.len() / SECTOR,
        grain: GRAIN / SECTOR,
        directory: AT_END,
        overhead: OVERHEAD,
        descriptor: DESCRIPTOR,
        compressed: true,
        zero_grains: false,
    };
    tables.turn_to(header.tables(), &mut stream)?;
    let directory: Vec<u8> = tables.directory.into_iter().flat_map(u32::to_le_bytes).collect();
    stream.marker(MARK_DIRECTORY, directory.len())?;
    let start = header.to_sector();
    header.directory = stream.sector()?.into();
    stream.write(&directory)?;
    stream.pad()?;
    stream.marker(MARK_FOOTER, 512)?;
    stream.write(&header.to_sector())?;
    stream.marker(MARK_END, 0)?;

    content.write_all(&disk.len().to_le_bytes()).map_err(io)?;
    let descriptor = descriptor(&header, options, content.finish().0.as_bytes());
    let head = Blob::concat([start.to_vec().into(), descriptor.into()]);
    Ok(Blob::concat([head.padded_to(OVERHEAD * SECTOR), stream.end()?]))
}

/// The descriptor ("The Descriptor File"). `content` is a hash of all that is on the disk.
fn descriptor(header: &Header, options: &Options<'_>, content: &[u8; 32]) -> String {
    let number = |at: usize| u32::from_be_bytes([0, 1, 2, 3].map(|i| content[at + i]));
    // All ones would say that there is no content.
    let id = number(0) & 0x7fff_ffff;
    let long_id = format!("{:08x}{:08x}{:08x}{id:08x}", number(4), number(8), number(12));
    let cylinders = header.capacity.div_ceil(255 * 63).min(65_535);
    format!(
        "# Disk DescriptorFile\n\
         version=1\n\
         encoding=\"UTF-8\"\n\
         CID={id:08x}\n\
         parentCID=ffffffff\n\
         createType=\"streamOptimized\"\n\
         \n\
         # Extent description\n\
         RW {} SPARSE \"{}\"\n\
         \n\
         # The Disk Data Base\n\
         #DDB\n\
         \n\
         ddb.adapterType = \"{}\"\n\
         ddb.geometry.cylinders = \"{cylinders}\"\n\
         ddb.geometry.heads = \"255\"\n\
         ddb.geometry.sectors = \"63\"\n\
         ddb.longContentID = \"{long_id}\"\n\
         ddb.toolsVersion = \"2147483647\"\n\
         ddb.virtualHWVersion = \"4\"\n",
        header.capacity, options.name, options.adapter
    )
}

/// What comes behind the descriptor.
struct Stream<'s> {
    spool: &'s mut Spool,
    parts: Vec<Blob>,
    /// Bytes in the parts.
    len: u64,
}

impl<'s> Stream<'s> {
    fn new(spool: &'s mut Spool) -> Self {
        Self { spool, parts: Vec::new(), len: 0 }
    }

    /// The file's sector that comes next.
    fn sector(&self) -> Result<u32> {
        let at = OVERHEAD * SECTOR + self.len + self.spool.len();
        u32::try_from(at / SECTOR)
            .map_err(|_| Error::too_large(FORMAT, "the compressed disk", at, SECTOR << 32))
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.spool.write_all(bytes).map_err(|source| Error::io(FORMAT, source))
    }

    fn place(&mut self, blob: Blob) -> Result<()> {
        let before = self.spool.take().map_err(|source| Error::io(FORMAT, source))?;
        self.len += before.len() + blob.len();
        self.parts.extend([before, blob]);
        Ok(())
    }

    /// Zeros up to the next sector.
    fn pad(&mut self) -> Result<()> {
        let at = self.len + self.spool.len();
        let missing = usize::try_from(at.next_multiple_of(SECTOR) - at).unwrap_or(0);
        self.write(&[0; 512][..missing])
    }

    /// The sector in front of `len` bytes of metadata.
    fn marker(&mut self, kind: u32, len: usize) -> Result<()> {
        self.write(&(len as u64).div_ceil(SECTOR).to_le_bytes())?;
        self.write(&[0; 4])?;
        self.write(&kind.to_le_bytes())?;
        self.pad()
    }

    /// What stands in front of a grain, `len` bytes long.
    fn grain_marker(&mut self, number: u64, len: usize) -> Result<()> {
        self.write(&(number * (GRAIN / SECTOR)).to_le_bytes())?;
        self.write(&u32::try_from(len).unwrap_or(u32::MAX).to_le_bytes())
    }

    /// A grain in two stored blocks (RFC 1951 section 3.2.4): the first has as much as a block
    /// can, a byte less than a grain. It is placed, and the rest is written, so that a grain
    /// takes two parts.
    fn stored_grain(&mut self, number: u64, grain: &Blob, last: u8, adler: u32) -> Result<()> {
        // RFC 1950 section 2.2: deflate with a window of 32 KiB, the quickest level.
        let start = [0x78, 0x01, 0, 0xff, 0xff, 0, 0];
        let end = [1, 1, 0, 0xfe, 0xff, last];
        let len = start.len() + usize::from(u16::MAX) + end.len() + 4;
        self.grain_marker(number, len)?;
        self.write(&start)?;
        self.place(grain.slice(0..u16::MAX.into()))?;
        self.write(&end)?;
        self.write(&adler.to_be_bytes())
    }

    fn end(mut self) -> Result<Blob> {
        self.place(Blob::empty())?;
        Ok(Blob::concat(self.parts))
    }
}

/// The grain tables ("Grain Directories and Grain Tables").
struct Tables {
    /// Where each table stands; 0 is one of no grains.
    directory: Vec<u32>,
    /// The one being filled; none has no entries.
    table: Vec<u8>,
}

impl Tables {
    /// Writes the table that is being filled, unless grains go on coming into it, and turns to
    /// table `number`, one of which comes next.
    fn turn_to(&mut self, number: u64, stream: &mut Stream<'_>) -> Result<()> {
        let number = usize::try_from(number).unwrap_or(usize::MAX);
        if self.directory.len() == number + usize::from(!self.table.is_empty()) {
            return Ok(());
        }
        if !self.table.is_empty() {
            stream.marker(MARK_TABLE, self.table.len())?;
            if let Some(place) = self.directory.last_mut() {
                *place = stream.sector()?;
            }
            stream.write(&std::mem::take(&mut self.table))?;
        }
        self.directory.resize(number, 0);
        Ok(())
    }

    /// Grain `index` of the table stands at `sector`.
    fn add(&mut self, index: u64, sector: u32) {
        if self.table.is_empty() {
            self.directory.push(0);
            self.table.resize(usize::try_from(TABLE_LEN).unwrap_or(0), 0);
        }
        let at = usize::try_from(index * 4).unwrap_or(0);
        self.table[at..at + 4].copy_from_slice(&sector.to_le_bytes());
    }
}

/// RFC 1950 section 8.2.
fn adler32(bytes: &[u8]) -> u32 {
    // As many bytes as keep the sums within 32 bits.
    const RUN: usize = 5552;
    let (mut a, mut b) = (1u32, 0u32);
    for run in bytes.chunks(RUN) {
        for &byte in run {
            a += u32::from(byte);
            b += a;
        }
        (a, b) = (a % 65_521, b % 65_521);
    }
    b << 16 | a
}

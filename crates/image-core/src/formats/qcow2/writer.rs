//! Lays a disk out: header, refcounts, first and second level of the mapping, data.

use super::{
    COMPRESSED, COMPRESSION_TYPE, COPIED, Compression, ENTRY, FORMAT, MAGIC, MAX_L1,
    MAX_REFCOUNT_TABLE, Options, REFCOUNT, SECTOR, WINDOW_BITS, offset_bits,
};
use crate::{
    blob::{Blob, Layout, Spool},
    formats::{
        Error, Result,
        clusters::{self, Packing},
        deflate::Deflater,
    },
};
use std::{io::Write, ops::Range};
use zstd::bulk;

/// Bytes of the header with the field for the compression ("Header").
const HEADER: u32 = 112;

/// Zstandard's level, a middle one: most of a boot disk is compressed already.
const ZSTD_LEVEL: i32 = 9;

/// Neighbouring clusters of the disk and where they stand.
struct Run {
    /// The disk's clusters, by number.
    clusters: Range<u64>,
    place: Place,
}

enum Place {
    /// Side by side, from this cluster of the data on.
    Stored(u64),
    /// One cluster, `len` bytes from byte `offset` of the compressed data on.
    Packed { offset: u64, len: u64 },
}

/// The runs with data, and what was made of them.
struct Data {
    runs: Vec<Run>,
    /// How many clusters stand as they are.
    stored: u64,
    /// The compressed ones, end to end.
    packed: Blob,
    /// How many of them touch each cluster of `packed`.
    touched: Vec<u16>,
}

impl Data {
    fn new() -> Self {
        Self { runs: Vec::new(), stored: 0, packed: Blob::empty(), touched: Vec::new() }
    }
}

/// `disk` as a version 3 image. Without compression nothing is read. `spool` keeps what is made;
/// `threads` (at least one is used) does not change the bytes. `on_bytes` hears how many more
/// bytes of the disk are done.
///
/// # Errors
/// `Invalid` for an empty disk, a size of no whole sectors of 512 bytes, a cluster size that is
/// none, and one too small for a disk of this size; I/O.
pub fn image(
    disk: &Blob,
    options: &Options,
    spool: &mut Spool,
    threads: usize,
    on_bytes: &mut dyn FnMut(u64),
) -> Result<Blob> {
    let bits = options.cluster_bits()?;
    let geometry = Geometry::new(disk.len(), bits)?;
    let data = match options.compression {
        None => {
            on_bytes(disk.len());
            stored(disk, geometry.cluster)
        }
        Some(compression) => packed(disk, compression, geometry.cluster, spool, threads, on_bytes)?,
    };
    lay_out(disk, options.compression, &geometry, data, spool)
}

/// All data as it stands.
fn stored(disk: &Blob, cluster: u64) -> Data {
    let mut data = Data::new();
    for clusters in clusters::runs(disk, cluster) {
        let place = Place::Stored(data.stored);
        data.stored += clusters.end - clusters.start;
        data.runs.push(Run { clusters, place });
    }
    data
}

/// All data compressed that compresses.
fn packed(
    disk: &Blob,
    compression: Compression,
    cluster: u64,
    spool: &mut Spool,
    threads: usize,
    on_bytes: &mut dyn FnMut(u64),
) -> Result<Data> {
    let io = |source| Error::io(FORMAT, source);
    let mut data = Data::new();
    let sink = |number: u64, packed: Option<Vec<u8>>| {
        let Some(packed) = packed else {
            data.stored += 1;
            match data.runs.last_mut() {
                Some(Run { clusters, place: Place::Stored(_) }) if clusters.end == number => {
                    clusters.end += 1;
                }
                _ => {
                    let place = Place::Stored(data.stored - 1);
                    data.runs.push(Run { clusters: number..number + 1, place });
                }
            }
            return Ok(());
        };
        let (offset, len) = (spool.len(), packed.len() as u64);
        spool.write_all(&packed).map_err(io)?;
        let last = usize::try_from((offset + len - 1) / cluster).unwrap_or(usize::MAX);
        data.touched.resize(last + 1, 0);
        let first = usize::try_from(offset / cluster).unwrap_or(usize::MAX);
        for count in &mut data.touched[first..] {
            *count += 1;
        }
        data.runs.push(Run { clusters: number..number + 1, place: Place::Packed { offset, len } });
        Ok(())
    };
    let packing = Packing {
        format: FORMAT,
        unit: cluster,
        threads,
        compressor: match compression {
            Compression::Zlib => || Ok(Packer::Zlib(Deflater::new(FORMAT, false, WINDOW_BITS)?)),
            Compression::Zstd => || {
                let compressor = bulk::Compressor::new(ZSTD_LEVEL);
                Ok(Packer::Zstd(compressor.map_err(|source| Error::io(FORMAT, source))?))
            },
        },
        pack: Packer::pack,
    };
    clusters::pack(disk, packing, sink, on_bytes)?;
    data.packed = spool.take().map_err(io)?;
    Ok(data)
}

enum Packer {
    Zlib(Deflater),
    Zstd(bulk::Compressor<'static>),
}

impl Packer {
    /// The cluster compressed; none if it hardly becomes shorter.
    fn pack(&mut self, cluster: &[u8]) -> Result<Option<Vec<u8>>> {
        match self {
            Self::Zlib(deflater) => deflater.pack(cluster),
            Self::Zstd(compressor) => {
                let packed = compressor.compress(cluster).map_err(|e| Error::io(FORMAT, e))?;
                Ok(Some(packed).filter(|packed| packed.len() <= cluster.len() / 16 * 15))
            }
        }
    }
}

/// Says whether a disk of `size` bytes can be written so.
///
/// # Errors
/// `Invalid` as [`image`] gives it.
pub fn check(size: u64, options: &Options) -> Result<()> {
    Geometry::new(size, options.cluster_bits()?).map(drop)
}

/// What follows from the sizes alone.
struct Geometry {
    size: u64,
    bits: u32,
    /// Bytes of a cluster.
    cluster: u64,
    /// Entries of the first level.
    l1_entries: u64,
}

impl Geometry {
    fn new(size: u64, bits: u32) -> Result<Self> {
        if size == 0 || !size.is_multiple_of(SECTOR) {
            let what = format!("a disk of {size} bytes: sectors have {SECTOR}");
            return Err(Error::invalid(FORMAT, what));
        }
        let l1_entries = |bits: u32| size.div_ceil(1 << (2 * bits - ENTRY.ilog2()));
        let fits = |bits: &u32| l1_entries(*bits) * ENTRY <= MAX_L1;
        if !fits(&bits) {
            let least = super::CLUSTER_BITS.into_iter().find(fits);
            let mend = match least {
                Some(least) => format!("it needs clusters of {} bytes at least", 1u64 << least),
                None => "no clusters are large enough for it".to_owned(),
            };
            let what = format!("a disk of {size} bytes in clusters of {}: {mend}", 1u64 << bits);
            return Err(Error::invalid(FORMAT, what));
        }
        Ok(Self { size, bits, cluster: 1 << bits, l1_entries: l1_entries(bits) })
    }

    /// The entry of the first level that a cluster of the disk belongs to.
    fn l1_index(&self, cluster: u64) -> u64 {
        cluster / (self.cluster / ENTRY)
    }
}

/// Where the parts start, in clusters of the file.
struct Places {
    refcount_table: u64,
    refcount_blocks: u64,
    l1: u64,
    l2: u64,
    stored: u64,
    packed: u64,
    end: u64,
}

impl Places {
    /// The refcounts count themselves, so their number is found by trying.
    fn new(geometry: &Geometry, l2_tables: u64, data: &Data) -> Result<Self> {
        let cluster = geometry.cluster;
        let (mut table, mut blocks) = (1, 1);
        loop {
            let refcount_blocks = 1 + table;
            let l1 = refcount_blocks + blocks;
            let l2 = l1 + (geometry.l1_entries * ENTRY).div_ceil(cluster);
            let stored = l2 + l2_tables;
            let packed = stored + data.stored;
            let end = packed + data.touched.len() as u64;
            let need_blocks = end.div_ceil(cluster / REFCOUNT);
            let need_table = (need_blocks * ENTRY).div_ceil(cluster);
            if (need_table, need_blocks) == (table, blocks) {
                if table * cluster > MAX_REFCOUNT_TABLE {
                    let what = "the table of reference counts (larger clusters make it shorter)";
                    let need = table * cluster;
                    return Err(Error::too_large(FORMAT, what, need, MAX_REFCOUNT_TABLE));
                }
                let refcount_table = 1;
                return Ok(Self { refcount_table, refcount_blocks, l1, l2, stored, packed, end });
            }
            // Never fewer than before, or it might go on for ever.
            (table, blocks) = (need_table.max(table), need_blocks.max(blocks));
        }
    }
}

fn lay_out(
    disk: &Blob,
    compression: Option<Compression>,
    geometry: &Geometry,
    data: Data,
    spool: &mut Spool,
) -> Result<Blob> {
    let io = |source| Error::io(FORMAT, source);
    let Geometry { cluster, l1_entries, .. } = *geometry;
    let mut l1_indices: Vec<u64> = Vec::new();
    for Run { clusters, .. } in &data.runs {
        let last = geometry.l1_index(clusters.end - 1);
        let next = l1_indices.last().map_or(0, |&index| index + 1);
        l1_indices.extend(geometry.l1_index(clusters.start).max(next)..=last);
    }
    let places = Places::new(geometry, l1_indices.len() as u64, &data)?;

    let mut layout = Layout::new();
    layout.place(0, header(geometry, compression, &places).into());

    let mut table = Table::new(spool);
    for block in places.refcount_blocks..places.l1 {
        table.push(block * cluster).map_err(io)?;
    }
    layout.place(places.refcount_table * cluster, table.end(0).map_err(io)?);

    let mut table = Table::new(spool);
    for (&index, number) in l1_indices.iter().zip(places.l2..) {
        table.fill_to(index).map_err(io)?;
        table.push((number * cluster) | COPIED).map_err(io)?;
    }
    layout.place(places.l1 * cluster, table.end(l1_entries).map_err(io)?);

    for _ in 0..places.packed {
        spool.write_all(&1u16.to_be_bytes()).map_err(io)?;
    }
    for count in &data.touched {
        spool.write_all(&count.to_be_bytes()).map_err(io)?;
    }
    layout.place(places.refcount_blocks * cluster, spool.take().map_err(io)?);

    layout.place(places.l2 * cluster, second_level(geometry, &places, &data, spool)?);
    for Run { clusters, place } in data.runs {
        if let Place::Stored(number) = place {
            let content = disk.slice(clusters.start * cluster..clusters.end * cluster);
            layout.place((places.stored + number) * cluster, content);
        }
    }
    layout.place(places.packed * cluster, data.packed);
    layout.seal(places.end * cluster).map_err(|overlap| Error::overlap(FORMAT, overlap))
}

/// All tables of the second level that have an entry, end to end ("L2 table entry").
fn second_level(
    geometry: &Geometry,
    places: &Places,
    data: &Data,
    spool: &mut Spool,
) -> Result<Blob> {
    let io = |source| Error::io(FORMAT, source);
    let cluster = geometry.cluster;
    let entries = cluster / ENTRY;
    let (mut tables, mut index) = (0, None);
    let mut table = Table::new(spool);
    for Run { clusters, place } in &data.runs {
        for (number, nth) in clusters.clone().zip(0..) {
            if index.replace(geometry.l1_index(number)) != Some(geometry.l1_index(number)) {
                tables += 1;
            }
            table.fill_to((tables - 1) * entries + number % entries).map_err(io)?;
            let entry = match *place {
                Place::Stored(first) => ((places.stored + first + nth) * cluster) | COPIED,
                Place::Packed { offset, len } => {
                    let start = places.packed * cluster + offset;
                    let more_sectors = (start + len - 1) / SECTOR - start / SECTOR;
                    COMPRESSED | more_sectors << offset_bits(geometry.bits) | start
                }
            };
            table.push(entry).map_err(io)?;
        }
    }
    table.end(tables * entries).map_err(io)
}

/// "Header" and an empty list of header extensions.
fn header(geometry: &Geometry, compression: Option<Compression>, places: &Places) -> Vec<u8> {
    let cluster = geometry.cluster;
    let zstd = compression == Some(Compression::Zstd);
    let mut header = Vec::new();
    let u32s = |header: &mut Vec<u8>, fields: &[u64]| {
        for &field in fields {
            // None is longer: tables have at most some MiB.
            header.extend(u32::try_from(field).unwrap_or(u32::MAX).to_be_bytes());
        }
    };
    header.extend(MAGIC);
    // Version; no backing file, which is an offset of 64 bits and a length.
    u32s(&mut header, &[3, 0, 0, 0, geometry.bits.into()]);
    header.extend(geometry.size.to_be_bytes());
    // No encryption.
    u32s(&mut header, &[0, geometry.l1_entries]);
    header.extend((places.l1 * cluster).to_be_bytes());
    header.extend((places.refcount_table * cluster).to_be_bytes());
    // Clusters of the refcount table; no snapshots.
    u32s(&mut header, &[places.refcount_blocks - places.refcount_table, 0, 0, 0]);
    let incompatible = if zstd { COMPRESSION_TYPE } else { 0 };
    header.extend([incompatible, 0, 0].map(u64::to_be_bytes).concat());
    // Refcounts of two to the power of four bits.
    u32s(&mut header, &[4, HEADER.into()]);
    header.extend([u8::from(zstd), 0, 0, 0, 0, 0, 0, 0]);
    header.extend([0; 8]);
    header
}

/// Entries of 64 bits, written one after the other.
struct Table<'s> {
    spool: &'s mut Spool,
}

impl<'s> Table<'s> {
    fn new(spool: &'s mut Spool) -> Self {
        Self { spool }
    }

    fn push(&mut self, entry: u64) -> std::io::Result<()> {
        self.spool.write_all(&entry.to_be_bytes())
    }

    /// Empty entries up to entry `index`.
    fn fill_to(&mut self, index: u64) -> std::io::Result<()> {
        while self.spool.len() < index * ENTRY {
            self.push(0)?;
        }
        Ok(())
    }

    /// The table, filled up to `entries`.
    fn end(mut self, entries: u64) -> std::io::Result<Blob> {
        self.fill_to(entries)?;
        self.spool.take()
    }
}

//! The content of files: the full blocks at its head, and its end in a block shared with others.

use super::{
    super::pipeline::in_order, Error, FORMAT, Options, Result, STORED, codec::Packer, narrow,
};
use crate::blob::{Blob, Digest, Extent, Scratch, Spool};
use std::{
    collections::BTreeMap,
    io::{self, Write},
    ops::Range,
};

/// How many threads compress at most: each takes up to 3 MiB, and memory is to stay within 64.
const WORKERS: usize = 6;

/// The full blocks of a file, in the image.
#[derive(Clone, Debug, Default)]
pub(super) struct Head {
    /// The offset of the first block that is no hole; 0 if there is none.
    pub(super) start: u64,
    /// Each block's length there: 0 for a hole, with [`STORED`] if not compressed.
    pub(super) blocks: Vec<u32>,
    /// How many bytes are in holes.
    pub(super) sparse: u64,
}

/// The end of a file, in the image: a fragment block, and where in it, uncompressed.
pub(super) type End = (u32, u32);

/// All content in an image.
#[derive(Debug)]
pub(super) struct Data {
    /// The blocks.
    pub(super) blob: Blob,
    /// The fragment table's entries, 16 bytes each.
    pub(super) fragments: Vec<u8>,
    heads: Vec<Head>,
    ends: Vec<Option<End>>,
    /// For each file the first one with the same head, and with the same end.
    first_heads: Vec<usize>,
    first_ends: Vec<usize>,
}

impl Data {
    /// Where the content of the file `index` of [`write`] lies.
    pub(super) fn content(&self, index: usize) -> (&Head, Option<End>) {
        (&self.heads[self.first_heads[index]], self.ends[self.first_ends[index]])
    }
}

/// What is compressed, one after another.
enum Step {
    /// The head of the file with this index.
    Head(usize),
    /// A fragment block of these ends.
    Fragment(Vec<Blob>),
}

/// One block to compress.
enum Job<'s> {
    Block { file: usize, range: Range<u64> },
    Fragment(&'s [Blob]),
}

/// What became of it.
enum Packed {
    Hole,
    Compressed(Vec<u8>),
    Stored(Vec<u8>),
}

/// Compresses the content of `files` for offset `base` of an image. Calls `on_bytes` with the
/// number of bytes each time some are done.
pub(super) fn write(
    files: &[&Blob],
    base: u64,
    options: &Options,
    scratch: &Scratch,
    on_bytes: &(dyn Fn(u64) + Sync),
) -> Result<Data> {
    let io = |error| Error::io(FORMAT, error);
    let block_size = u64::from(options.block_size);
    let split: Vec<(Blob, Blob)> = files
        .iter()
        .map(|file| {
            let at = file.len() - file.len() % block_size;
            (file.slice(0..at), file.slice(at..file.len()))
        })
        .collect();
    let first_heads = firsts(split.iter().map(|(head, _)| head)).map_err(io)?;
    let first_ends = firsts(split.iter().map(|(_, end)| end)).map_err(io)?;
    let mut heads = vec![Head::default(); files.len()];
    let mut ends = vec![None; files.len()];

    let mut steps = Vec::new();
    let (mut fragment, mut fragment_len, mut fragment_count) = (Vec::new(), 0, 0);
    for (file, (head, end)) in split.iter().enumerate() {
        if first_heads[file] != file {
            on_bytes(head.len());
        } else if !head.is_empty() {
            steps.push(Step::Head(file));
        }
        if first_ends[file] != file {
            on_bytes(end.len());
        } else if !end.is_empty() {
            if fragment_len + end.len() > block_size {
                steps.push(Step::Fragment(std::mem::take(&mut fragment)));
                fragment_len = 0;
                fragment_count += 1;
            }
            let index = narrow(fragment_count, "the number of fragments")?;
            ends[file] = Some((index, narrow(fragment_len, "a fragment block")?));
            fragment.push(end.clone());
            fragment_len += end.len();
        }
    }
    if !fragment.is_empty() {
        steps.push(Step::Fragment(fragment));
    }
    let jobs = steps.iter().flat_map(|step| {
        let blocks = match step {
            Step::Head(file) => split[*file].0.len() / block_size,
            Step::Fragment(_) => 1,
        };
        (0..blocks).map(move |block| match step {
            Step::Head(file) => {
                Job::Block { file: *file, range: block * block_size..(block + 1) * block_size }
            }
            Step::Fragment(ends) => Job::Fragment(ends),
        })
    });

    let packers = (0..options.threads.get().min(WORKERS))
        .map(|_| Packer::new(options.compression, options.block_size))
        .collect::<Result<Vec<_>>>()?;
    let work = |packer: &mut Packer, job: &Job<'_>| match job {
        Job::Block { file, range } => pack(packer, &files[*file].slice(range.clone()), true),
        Job::Fragment(ends) => pack(packer, &Blob::concat(ends.iter().cloned()), false),
    };
    let mut spool = Spool::new(scratch);
    let mut fragments = Vec::new();
    let mut at = base;
    in_order(packers, jobs, work, |job, packed| {
        let (bytes, flag): (&[u8], u32) = match &packed {
            Packed::Hole => (&[], 0),
            Packed::Compressed(bytes) => (bytes, 0),
            Packed::Stored(bytes) => (bytes, STORED),
        };
        let size = narrow::<u32>(bytes.len() as u64, "a block")? | flag;
        spool.write_all(bytes).map_err(io)?;
        let done = match job {
            Job::Block { file, .. } => {
                let head = &mut heads[file];
                if size == 0 {
                    head.sparse += block_size;
                } else if head.start == 0 {
                    head.start = at;
                }
                head.blocks.push(size);
                block_size
            }
            Job::Fragment(ends) => {
                fragments.extend_from_slice(&at.to_le_bytes());
                fragments.extend_from_slice(&size.to_le_bytes());
                fragments.extend_from_slice(&[0; 4]);
                ends.iter().map(Blob::len).sum()
            }
        };
        at += bytes.len() as u64;
        on_bytes(done);
        Ok(())
    })?;
    let blob = spool.take().map_err(io)?;
    Ok(Data { blob, fragments, heads, ends, first_heads, first_ends })
}

/// Compresses one block of at most a mebibyte.
fn pack(packer: &mut Packer, block: &Blob, may_be_hole: bool) -> Result<Packed> {
    if may_be_hole && block.extents().all(|extent| matches!(extent, Extent::Hole { .. })) {
        return Ok(Packed::Hole);
    }
    let bytes = block.to_vec(1 << 20).map_err(|error| Error::io(FORMAT, error))?;
    if may_be_hole && bytes.iter().all(|&byte| byte == 0) {
        return Ok(Packed::Hole);
    }
    Ok(match packer.pack(&bytes)? {
        Some(shorter) => Packed::Compressed(shorter),
        None => Packed::Stored(bytes),
    })
}

/// For each blob the index of the first one with the same bytes. Only blobs that share their
/// length with another are read.
fn firsts<'b>(blobs: impl Iterator<Item = &'b Blob> + Clone) -> io::Result<Vec<usize>> {
    let mut alike: BTreeMap<u64, usize> = BTreeMap::new();
    for blob in blobs.clone() {
        *alike.entry(blob.len()).or_default() += 1;
    }
    let mut by_digest: BTreeMap<(u64, Digest), usize> = BTreeMap::new();
    blobs
        .enumerate()
        .map(|(index, blob)| {
            let len = blob.len();
            if len == 0 || alike.get(&len) == Some(&1) {
                return Ok(index);
            }
            Ok(*by_digest.entry((len, blob.digest()?)).or_insert(index))
        })
        .collect()
}

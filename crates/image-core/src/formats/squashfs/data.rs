//! The content of files: data blocks, and fragment blocks that many small files share.

use super::{Error, FORMAT, Options, Result, STORED, codec::Packer, narrow, pipeline::in_order};
use crate::blob::{Blob, Digest, Extent, Scratch, Spool};
use std::{collections::BTreeMap, io::Write, ops::Range};

/// How many threads compress at most: each takes up to 3 MiB, and memory is to stay within 64.
const WORKERS: usize = 6;

/// Where a file's content lies in the image.
#[derive(Clone, Debug, Default)]
pub(super) struct Content {
    /// The offset of its first block that is no hole; 0 if there is none.
    pub(super) start: u64,
    /// Each block's length there: 0 for a hole, with [`STORED`] if not compressed.
    pub(super) blocks: Vec<u32>,
    /// The fragment block with its end, and where in the uncompressed block.
    pub(super) fragment: Option<(u32, u32)>,
    /// How many bytes are in holes.
    pub(super) sparse: u64,
}

/// All content in an image.
#[derive(Debug)]
pub(super) struct Data {
    /// The blocks.
    pub(super) blob: Blob,
    contents: Vec<Content>,
    /// For each file the first one of the same bytes.
    firsts: Vec<usize>,
    /// The fragment table's entries, 16 bytes each.
    pub(super) fragments: Vec<u8>,
}

impl Data {
    /// Where the content of the file `index` of [`write`] lies.
    pub(super) fn content(&self, index: usize) -> &Content {
        &self.contents[self.firsts[index]]
    }
}

/// What is compressed, in order. Nothing of it is read yet.
struct Plan<'f> {
    files: &'f [&'f Blob],
    steps: Vec<Step>,
    /// The ends that go to fragment blocks, in order.
    ends: Vec<Blob>,
    block_size: u64,
}

enum Step {
    /// This many blocks of the file with this index.
    Blocks(usize, u64),
    /// One fragment block of these ends.
    Fragment(Range<usize>),
}

/// One block to compress.
enum Job<'p> {
    /// This range of this file is a block of its own.
    Block(usize, Range<u64>),
    /// The ends of several files are.
    Fragment(&'p [Blob]),
}

impl<'f> Plan<'f> {
    /// The plan for all files that are the first of their bytes; `contents` learn of their
    /// fragments.
    fn new(
        files: &'f [&'f Blob],
        firsts: &[usize],
        block_size: u32,
        contents: &mut [Content],
    ) -> Result<Self> {
        let block_size = u64::from(block_size);
        let mut plan = Self { files, steps: Vec::new(), ends: Vec::new(), block_size };
        let (mut fragments, mut open, mut open_len) = (0, 0, 0);
        for (file, content) in contents.iter_mut().enumerate() {
            let len = files[file].len();
            if firsts[file] != file {
                continue;
            }
            // Longer files keep their ends, so that reading one never takes a fragment block.
            let end = if len < block_size { len } else { 0 };
            let blocks = (len - end).div_ceil(block_size);
            if blocks > 0 {
                plan.steps.push(Step::Blocks(file, blocks));
            }
            if end == 0 {
                continue;
            }
            if open_len + end > block_size {
                plan.steps.push(Step::Fragment(open..plan.ends.len()));
                (open, open_len) = (plan.ends.len(), 0);
                fragments += 1;
            }
            let offset = narrow(open_len, "a fragment block")?;
            content.fragment = Some((narrow(fragments, "the number of fragments")?, offset));
            plan.ends.push(files[file].slice(len - end..len));
            open_len += end;
        }
        if open_len > 0 {
            plan.steps.push(Step::Fragment(open..plan.ends.len()));
        }
        Ok(plan)
    }

    fn jobs(&self) -> impl Iterator<Item = Job<'_>> {
        self.steps.iter().flat_map(move |step| {
            let count = if let Step::Blocks(_, count) = step { *count } else { 1 };
            (0..count).map(move |block| match step {
                Step::Blocks(file, _) => {
                    let start = block * self.block_size;
                    let end = (start + self.block_size).min(self.files[*file].len());
                    Job::Block(*file, start..end)
                }
                Step::Fragment(ends) => Job::Fragment(&self.ends[ends.clone()]),
            })
        })
    }
}

/// What became of a block.
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
    let firsts = firsts(files).map_err(io)?;
    let mut contents = vec![Content::default(); files.len()];
    let plan = Plan::new(files, &firsts, options.block_size, &mut contents)?;
    let packers = (0..options.threads.get().min(WORKERS))
        .map(|_| Packer::new(options.compression, options.block_size))
        .collect::<Result<Vec<_>>>()?;
    let work = |packer: &mut Packer, job: &Job<'_>| match job {
        Job::Block(file, range) => pack(packer, &files[*file].slice(range.clone()), true),
        Job::Fragment(ends) => pack(packer, &Blob::concat(ends.iter().cloned()), false),
    };
    let mut spool = Spool::new(scratch);
    let mut fragments = Vec::new();
    let mut end = base;
    in_order(packers, plan.jobs(), work, |job, packed| {
        let (bytes, flag): (&[u8], u32) = match &packed {
            Packed::Hole => (&[], 0),
            Packed::Compressed(bytes) => (bytes, 0),
            Packed::Stored(bytes) => (bytes, STORED),
        };
        let size = narrow::<u32>(bytes.len() as u64, "a block")? | flag;
        spool.write_all(bytes).map_err(io)?;
        let done = match job {
            Job::Block(file, range) => {
                let content = &mut contents[file];
                let len = range.end - range.start;
                if bytes.is_empty() {
                    content.sparse += len;
                } else if content.start == 0 {
                    content.start = end;
                }
                content.blocks.push(size);
                len
            }
            Job::Fragment(ends) => {
                fragments.extend_from_slice(&end.to_le_bytes());
                fragments.extend_from_slice(&size.to_le_bytes());
                fragments.extend_from_slice(&[0; 4]);
                ends.iter().map(Blob::len).sum()
            }
        };
        end += bytes.len() as u64;
        on_bytes(done);
        Ok(())
    })?;
    for (index, file) in files.iter().enumerate() {
        if firsts[index] != index {
            on_bytes(file.len());
        }
    }
    Ok(Data { blob: spool.take().map_err(io)?, contents, firsts, fragments })
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
        Some(packed) => Packed::Compressed(packed),
        None => Packed::Stored(bytes),
    })
}

/// For each file the index of the first one with the same bytes. Only files that share their
/// length with another are read.
fn firsts(files: &[&Blob]) -> std::io::Result<Vec<usize>> {
    let mut by_len: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
    for (index, file) in files.iter().enumerate() {
        by_len.entry(file.len()).or_default().push(index);
    }
    let mut firsts: Vec<usize> = (0..files.len()).collect();
    for (&len, alike) in &by_len {
        if len == 0 || alike.len() == 1 {
            continue;
        }
        let mut by_digest: BTreeMap<Digest, usize> = BTreeMap::new();
        for &index in alike {
            firsts[index] = *by_digest.entry(files[index].digest()?).or_insert(index);
        }
    }
    Ok(firsts)
}

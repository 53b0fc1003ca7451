//! The Linux initramfs: cpio archives end to end, plain or each compressed as a whole, with
//! zeros between (Linux, Documentation/driver-api/early-userspace/buffer-format.rst).

use super::{
    Error, Result,
    compress::{self, Codec, Decoder},
    cpio::{self, Entry},
};
use crate::blob::{Blob, Spool};
use std::{
    io::{self, BufRead, BufReader, Read},
    ops::ControlFlow,
};

const FORMAT: &str = "initramfs";

/// One archive, or one compressed stream with an archive inside.
#[derive(Clone, Debug)]
pub struct Segment {
    /// Where it starts in the initramfs, in bytes.
    pub offset: u64,
    /// What it is compressed with; none for a plain archive.
    pub codec: Option<Codec>,
    /// Its bytes as they stand, without the zeros after it.
    pub blob: Blob,
}

/// Sees a member and its content, and says whether to go on.
pub type Visitor<'a> = dyn FnMut(&Entry, &mut dyn Read) -> Result<ControlFlow<()>> + 'a;

/// Joins segments so that each starts where Linux takes it: at a multiple of 4 bytes.
///
/// Linux asks that of plain archives only, but the zeros hurt no other.
pub fn join(segments: impl IntoIterator<Item = Blob>) -> Blob {
    segments
        .into_iter()
        .fold(Blob::empty(), |before, segment| Blob::concat([before.padded_to(4), segment]))
}

/// The segments of an initramfs. `limit` (bytes) is the most that one of them may decode to;
/// nothing decoded is kept. Plain archives and Zstandard are not decoded at all here.
///
/// # Errors
/// [`Fault::Corrupt`](super::Fault::Corrupt) where no segment starts or one is cut off,
/// `Unsupported` for a compression this crate does not know, or I/O.
pub fn segments(initramfs: &Blob, limit: u64) -> Result<Vec<Segment>> {
    let mut segments = Vec::new();
    let mut at = 0;
    while let Some(offset) = past_zeros(initramfs, at)? {
        let codec = kind(initramfs, offset)?;
        at = match codec {
            None => cpio::end(initramfs, offset)?,
            Some(Codec::Zstd) => compress::zstd_frame_end(initramfs, offset)?,
            Some(codec) => {
                let rest = initramfs.slice(offset..initramfs.len());
                let mut decoder = Decoder::new(codec, rest.reader(), limit)?;
                io::copy(&mut decoder, &mut io::sink()).map_err(|e| Error::io(FORMAT, e))?;
                offset + decoder.consumed()
            }
        };
        segments.push(Segment { offset, codec, blob: initramfs.slice(offset..at) });
    }
    Ok(segments)
}

/// Refuses, without decoding it, what is no initramfs: each segment has to start as one does,
/// with an archive's header inside, and plain archives and Zstandard frames have to be whole.
/// What follows a gzip or xz stream is not looked at.
///
/// # Errors
/// As [`segments`], and [`Fault::Corrupt`](super::Fault::Corrupt) if there is no segment.
pub fn check(initramfs: &Blob) -> Result<()> {
    let mut at = 0;
    while let Some(offset) = past_zeros(initramfs, at)? {
        let codec = kind(initramfs, offset)?;
        let rest = initramfs.slice(offset..initramfs.len());
        if let Some(codec) = codec {
            let inside = Decoder::new(codec, rest.reader(), u64::MAX)?;
            cpio::Reader::new(inside).next_entry().map_err(|error| {
                let what = format!("no archive in this {} stream: {error}", codec.name());
                Error::corrupt(FORMAT, offset, what)
            })?;
        }
        at = match codec {
            None => cpio::end(initramfs, offset)?,
            Some(Codec::Zstd) => compress::zstd_frame_end(initramfs, offset)?,
            Some(Codec::Gzip | Codec::Xz) => return Ok(()),
        };
    }
    match at {
        0 => Err(Error::corrupt(FORMAT, 0, "it is empty")),
        _ => Ok(()),
    }
}

/// Calls `visit` with each member of a segment and a reader of its content, until it breaks
/// off. The segment may decode to `limit` bytes.
///
/// # Errors
/// [`Fault::Corrupt`](super::Fault::Corrupt) with the offset in the archive or in the stream,
/// I/O, or what `visit` answers.
pub fn members(segment: &Segment, limit: u64, visit: &mut Visitor<'_>) -> Result<()> {
    let Some(codec) = segment.codec else {
        return archive_members(&mut segment.blob.reader(), visit).map(|_| ());
    };
    let mut input = BufReader::new(Decoder::new(codec, segment.blob.reader(), limit)?);
    // Linux takes several archives in one stream too, and so the stream is read to its end,
    // where its checksum stands.
    loop {
        let zeros = {
            let bytes = input.fill_buf().map_err(|e| Error::io(FORMAT, e))?;
            if bytes.is_empty() {
                return Ok(());
            }
            bytes.iter().take_while(|&&byte| byte == 0).count()
        };
        if zeros > 0 {
            input.consume(zeros);
        } else if archive_members(&mut input, visit)?.is_break() {
            return Ok(());
        }
    }
}

fn archive_members(input: &mut dyn Read, visit: &mut Visitor<'_>) -> Result<ControlFlow<()>> {
    let mut archive = cpio::Reader::new(input);
    while let Some(entry) = archive.next_entry()? {
        if visit(&entry, &mut archive)?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    Ok(ControlFlow::Continue(()))
}

/// The content of the regular file `name` that a booted system would see: the last one of that
/// name. It may have `max` bytes, and each segment may decode to `limit`.
///
/// # Errors
/// As [`members`], and `TooLarge` for a file over `max` bytes.
pub fn file(segments: &[Segment], name: &str, max: u64, limit: u64) -> Result<Option<Vec<u8>>> {
    last(segments, name, limit, &mut |entry, content| {
        if entry.size > max {
            return Err(Error::too_large(FORMAT, format!("{name:?}"), entry.size, max));
        }
        let mut bytes = Vec::new();
        content.read_to_end(&mut bytes).map_err(|e| Error::io(FORMAT, e))?;
        Ok(bytes)
    })
}

/// As [`file()`], however large it is: its bytes are kept in `spool`.
///
/// # Errors
/// As [`members`], or writing failed.
pub fn spooled(
    segments: &[Segment],
    name: &str,
    spool: &mut Spool,
    limit: u64,
) -> Result<Option<Blob>> {
    last(segments, name, limit, &mut |_, content| {
        io::copy(content, spool).and_then(|_| spool.take()).map_err(|e| Error::io(FORMAT, e))
    })
}

/// What `read` makes of the last regular file of this name.
fn last<T>(
    segments: &[Segment],
    name: &str,
    limit: u64,
    read: &mut dyn FnMut(&Entry, &mut dyn Read) -> Result<T>,
) -> Result<Option<T>> {
    for segment in segments.iter().rev() {
        let mut found = None;
        members(segment, limit, &mut |entry, content| {
            if entry.name == name && entry.is_file() {
                found = Some(read(entry, content)?);
            }
            Ok(ControlFlow::Continue(()))
        })?;
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

/// What the segment at byte `offset` is compressed with.
fn kind(initramfs: &Blob, offset: u64) -> Result<Option<Codec>> {
    let start = initramfs.slice(offset..offset.saturating_add(6));
    let start = start.to_vec(6).map_err(|e| Error::io(FORMAT, e))?;
    if cpio::is_archive(&start) {
        if !offset.is_multiple_of(4) {
            let what = "an archive starts here, which is no multiple of 4";
            return Err(Error::corrupt(FORMAT, offset, what));
        }
        return Ok(None);
    }
    if let Some(codec) = Codec::detect(&start) {
        return Ok(Some(codec));
    }
    Err(match compress::foreign_name(&start) {
        Some(name) => Error::unsupported(FORMAT, format!("{name} compression (at byte {offset})")),
        None => Error::corrupt(FORMAT, offset, "neither a cpio archive nor a compressed one"),
    })
}

/// Where the first byte from `at` on stands that is not zero.
fn past_zeros(blob: &Blob, at: u64) -> Result<Option<u64>> {
    let mut reader = blob.slice(at..blob.len()).reader();
    let mut buf = [0; 4096];
    let mut offset = at;
    loop {
        let n = reader.read(&mut buf).map_err(|e| Error::io(FORMAT, e))?;
        if n == 0 {
            return Ok(None);
        }
        if let Some(i) = buf[..n].iter().position(|&byte| byte != 0) {
            return Ok(Some(offset + i as u64));
        }
        offset += n as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        blob::{Scratch, Spool},
        formats::{Fault, compress::Method},
        tree::{Node, Tree, TreePath},
    };
    use proptest::prelude::*;

    fn archive(files: &[(&str, &str)]) -> Blob {
        let mut tree = Tree::new();
        for &(name, content) in files {
            tree.insert(TreePath::new(name).unwrap(), Node::file(content.to_owned(), 0o644));
        }
        cpio::archive(&tree, 0).unwrap()
    }

    fn packed(method: Method, input: &Blob) -> Blob {
        let dir = tempfile::tempdir().unwrap();
        let mut spool = Spool::new(&Scratch::new(dir.path()));
        compress::compress(method, input, &mut spool, 1, &mut |_| ()).unwrap()
    }

    /// A plain archive, then one of each codec, "which" in all of them.
    fn initramfs() -> Blob {
        let methods = [
            Method::Gzip { level: 6 },
            Method::Xz { preset: 0, extreme: false },
            Method::Zstd { level: 3 },
        ];
        let plain = archive(&[("early", "1"), ("which", "plain")]);
        let packed = methods.map(|method| {
            let name = method.codec().name();
            packed(method, &archive(&[("which", name), (name, "x")]))
        });
        join(std::iter::once(plain).chain(packed))
    }

    fn listing(initramfs: &Blob) -> Result<Vec<String>> {
        let mut names = Vec::new();
        for segment in segments(initramfs, 1 << 20)? {
            members(&segment, 1 << 20, &mut |entry, _| {
                names.push(entry.name.clone());
                Ok(ControlFlow::Continue(()))
            })?;
        }
        Ok(names)
    }

    #[test]
    fn segments_are_told_apart_and_listed() {
        let initramfs = Blob::concat([initramfs(), Blob::zeros(5000)]);
        let segments = segments(&initramfs, 4096).unwrap();
        let codecs: Vec<_> = segments.iter().map(|segment| segment.codec).collect();
        assert_eq!(codecs, [None, Some(Codec::Gzip), Some(Codec::Xz), Some(Codec::Zstd)]);
        assert!(segments.iter().all(|segment| segment.offset % 4 == 0));
        let names = ["early", "which", "gzip", "which", "which", "xz", "which", "zstd"];
        assert_eq!(listing(&initramfs).unwrap(), names);
        check(&initramfs).unwrap();
    }

    #[test]
    fn the_last_file_of_a_name_wins() {
        let segments = segments(&initramfs(), 4096).unwrap();
        let read = |name| file(&segments, name, 10, 4096).unwrap();
        assert_eq!(read("which").unwrap(), b"zstd");
        assert_eq!(read("early").unwrap(), b"1");
        assert_eq!(read("nowhere"), None);
        let dir = tempfile::tempdir().unwrap();
        let mut spool = Spool::new(&Scratch::new(dir.path()));
        let spooled = spooled(&segments, "which", &mut spool, 4096).unwrap().unwrap();
        assert_eq!(spooled.to_vec(10).unwrap(), b"zstd");
        assert!(file(&segments, "which", 3, 4096).is_err());
        assert!(file(&segments, "which", 10, 99).is_err());
    }

    #[test]
    fn two_archives_in_one_stream_are_both_seen() {
        let both = Blob::concat([archive(&[("a", "1")]), Blob::zeros(8), archive(&[("b", "2")])]);
        let packed = packed(Method::Zstd { level: 3 }, &both);
        assert_eq!(listing(&packed).unwrap(), ["a", "b"]);
    }

    #[test]
    fn what_is_no_initramfs_is_refused_at_once() {
        let whole = archive(&[("init", "x")]);
        let zstd = packed(Method::Zstd { level: 3 }, &whole);
        let cut = |blob: &Blob| blob.slice(0..blob.len() - 1);
        let fault = |blob: &Blob| match check(blob).unwrap_err().fault() {
            &Fault::Corrupt { at, .. } => Some(at),
            Fault::Unsupported(_) => None,
            fault => panic!("{fault:?}"),
        };
        assert_eq!(fault(&Blob::empty()), Some(0));
        assert_eq!(fault(&Blob::zeros(4096)), Some(0));
        assert_eq!(fault(&"MZ no initramfs".into()), Some(0));
        assert_eq!(fault(&"BZh91AY".into()), None);
        assert_eq!(fault(&whole.slice(0..200)), Some(120));
        assert_eq!(fault(&cut(&zstd)), Some(zstd.len() - 1));
        assert_eq!(fault(&Blob::concat([zstd.clone(), "junk".into()])), Some(zstd.len()));
        assert_eq!(fault(&packed(Method::Gzip { level: 6 }, &"no cpio".into())), Some(0));
        assert_eq!(fault(&Blob::concat([Blob::zeros(2), whole.clone()])), Some(2));
        check(&Blob::concat([Blob::zeros(2), zstd])).unwrap();
    }

    proptest! {
        #[test]
        fn damaged_and_cut_ones_never_panic(
            flips in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..4),
            cut in any::<proptest::sample::Index>(),
        ) {
            let mut bytes = initramfs().to_vec(1 << 20).unwrap();
            for (at, byte) in flips {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            bytes.truncate(cut.index(bytes.len()) + 1);
            let blob = Blob::from(bytes);
            let _ = listing(&blob);
            let _ = check(&blob);
        }
    }
}

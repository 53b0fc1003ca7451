//! Layers: a tar archive of changes to a file tree, most often compressed (image-spec, "Image
//! Layer Filesystem Changeset").

use super::{Descriptor, Encoding};
use crate::{
    blob::{Blob, Digest, HashWriter, Spool},
    formats::{Error, Fault, Result, tar},
    tree::{Tree, TreePath},
};
use std::{
    collections::BTreeSet,
    io::{self, BufRead, Read, Write},
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread,
};

const FORMAT: &str = "OCI layer";

/// Compressed bytes that pass from the hashing thread to the unpacking one at a time, and how
/// many such chunks may wait.
const CHUNK: usize = 256 << 10;
const QUEUE: usize = 4;

/// How often a layer is read at most: once more for the unwanted targets of wanted hard links,
/// and again where those are links themselves.
const PASSES: usize = 3;

/// What a name says is gone: `.wh.x` hides `x` of the layers below, the opaque mark all that
/// they have in its directory.
const WHITEOUT: &str = ".wh.";
const OPAQUE: &str = ".wh..wh..opq";

/// What to take out of a layer, and how much at most.
#[derive(Clone, Copy)]
pub struct Rules<'a> {
    /// Whether the entry at a path is wanted. The rest is read past.
    pub select: &'a dyn Fn(&TreePath) -> bool,
    /// The most bytes of wanted files.
    pub max_selected: u64,
    /// The most bytes the layer may unpack to, wanted or not.
    pub max_unpacked: u64,
    /// The most bytes of wanted names, link targets and extended attributes, all of which stay
    /// in memory.
    pub max_metadata: u64,
}

impl<'a> Rules<'a> {
    /// Takes what `select` wants: up to 16 GiB of files and 256 MiB of names out of 64 GiB.
    pub fn only(select: &'a dyn Fn(&TreePath) -> bool) -> Self {
        Self { select, max_selected: 16 << 30, max_unpacked: 64 << 30, max_metadata: 256 << 20 }
    }
}

impl Rules<'static> {
    /// Takes everything, within the limits of [`Rules::only`].
    pub fn all() -> Self {
        Self::only(&|_| true)
    }
}

impl std::fmt::Debug for Rules<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rules")
            .field("max_selected", &self.max_selected)
            .field("max_unpacked", &self.max_unpacked)
            .field("max_metadata", &self.max_metadata)
            .finish_non_exhaustive()
    }
}

/// Applies `layer`, which `descriptor` names, to `tree`. Wanted files go through `spool`;
/// `on_bytes` hears how many more bytes of the layer are read.
///
/// The layer is read once, front to back; its digest covers every byte of it, also those after
/// the archive's end. If anything is wrong the tree stays as it was. (A hard link that is wanted
/// to a file that is not makes it read twice.)
///
/// # Errors
/// `Corrupt` for another length or digest than the descriptor's, for what does not decode, and
/// for entries that lead out of the tree or through a link, or are devices; `TooLarge` past a
/// limit of `rules`; `Unsupported` for other media types and sparse files; `Io` if reading the
/// layer or writing the spool failed.
pub fn apply(
    tree: &mut Tree,
    layer: &Blob,
    descriptor: &Descriptor,
    rules: &Rules<'_>,
    spool: &mut Spool,
    on_bytes: &mut dyn FnMut(u64),
) -> Result<()> {
    let media_type = &descriptor.media_type;
    if !media_type.contains(".tar") || media_type.contains("+encrypted") {
        return Err(Error::unsupported(FORMAT, format!("a layer of media type {media_type:?}")));
    }
    if layer.len() != descriptor.size {
        let what = format!(
            "{} has {} bytes instead of {}: it is damaged, fetch it again",
            descriptor.digest,
            layer.len(),
            descriptor.size
        );
        return Err(Error::corrupt(FORMAT, layer.len().min(descriptor.size), what));
    }
    let mut borrowed = BTreeSet::new();
    for pass in 1..=PASSES {
        let mut changes = Changes {
            tree: tree.clone(),
            rules,
            borrowed: &borrowed,
            written: BTreeSet::new(),
            missed: BTreeSet::new(),
            selected: 0,
            metadata: 0,
        };
        let outcome =
            stream(layer, descriptor, on_bytes, &mut |archive| changes.unpack(archive, spool));
        if let Err(error) = outcome {
            // A file cut short must not lead the next one that the spool takes.
            let _ = spool.take();
            return Err(error);
        }
        if changes.missed.is_empty() {
            changes.give_back();
            *tree = changes.tree;
            return Ok(());
        }
        let known = borrowed.len();
        let path = changes.missed.first().cloned().unwrap_or_default();
        borrowed.extend(changes.missed);
        if pass == PASSES || borrowed.len() == known {
            let what = format!(
                "a hard link points to {path}, which is not there before it: the image is \
                 broken, rebuild it"
            );
            return Err(Error::corrupt(FORMAT, 0, what));
        }
    }
    Ok(())
}

/// Decodes `layer` into `unpack` while another thread reads and hashes it.
fn stream(
    layer: &Blob,
    descriptor: &Descriptor,
    on_bytes: &mut dyn FnMut(u64),
    unpack: &mut dyn FnMut(&mut dyn Read) -> Result<()>,
) -> Result<()> {
    let mut magic = [0; 4];
    let n = layer.len().min(4);
    let head = &mut magic[..usize::try_from(n).unwrap_or(0)];
    layer.read_at(0, head).map_err(|error| Error::io(FORMAT, error))?;
    let encoding = encoding(magic);
    let (read, outcome) = thread::scope(|scope| {
        let (send, receive) = sync_channel(QUEUE);
        let reading = scope.spawn(move || feed(layer, &send));
        let mut chunks = Chunks { receive, chunk: Vec::new(), at: 0, on_bytes };
        let outcome = match encoding {
            Encoding::Plain => unpack(&mut Decoded(&mut chunks)),
            Encoding::Gzip => {
                unpack(&mut Decoded(flate2::bufread::MultiGzDecoder::new(&mut chunks)))
            }
            Encoding::Zstd => match zstd::stream::read::Decoder::with_buffer(&mut chunks) {
                Ok(decoder) => unpack(&mut Decoded(decoder)),
                Err(error) => Err(Error::io(FORMAT, error)),
            },
        };
        if !is_io(&outcome) {
            // The digest is of all bytes, and a wrong one explains whatever else is wrong.
            chunks.drain();
        }
        drop(chunks);
        (reading.join(), outcome)
    });
    if is_io(&outcome) {
        return outcome;
    }
    let digest = match read {
        Ok(digest) => digest.map_err(|error| Error::io(FORMAT, error))?,
        Err(panic) => std::panic::resume_unwind(panic),
    };
    if digest != descriptor.digest {
        let what = format!(
            "the content has the digest {digest} instead of {}: it is damaged or was \
             tampered with, fetch it again",
            descriptor.digest
        );
        return Err(Error::corrupt(FORMAT, 0, what));
    }
    outcome
}

/// Whether the machine failed rather than the layer.
fn is_io(outcome: &Result<()>) -> bool {
    matches!(outcome, Err(error) if matches!(error.fault(), Fault::Io(_)))
}

/// The magic decides, not the media type: it cannot be wrong about how to go on.
fn encoding(magic: [u8; 4]) -> Encoding {
    match magic {
        [0x1f, 0x8b, ..] => Encoding::Gzip,
        // A frame, or one to be skipped.
        [0x28, 0xb5, 0x2f, 0xfd] | [0x50..=0x5f, 0x2a, 0x4d, 0x18] => Encoding::Zstd,
        _ => Encoding::Plain,
    }
}

/// Reads and hashes the whole blob, handing the bytes on for as long as they are wanted.
fn feed(layer: &Blob, send: &SyncSender<Vec<u8>>) -> io::Result<Digest> {
    let mut reader = layer.reader();
    let mut hash = HashWriter::new(io::sink());
    loop {
        let mut chunk = vec![0; CHUNK];
        let n = reader.read(&mut chunk)?;
        if n == 0 {
            return Ok(hash.finish().0);
        }
        chunk.truncate(n);
        hash.write_all(&chunk)?;
        if send.send(chunk).is_err() {
            return Ok(hash.finish().0);
        }
    }
}

/// The receiving end. It ends early if the feeding thread failed, which that one reports.
struct Chunks<'a> {
    receive: Receiver<Vec<u8>>,
    chunk: Vec<u8>,
    at: usize,
    on_bytes: &'a mut dyn FnMut(u64),
}

impl Chunks<'_> {
    fn drain(&mut self) {
        self.at = self.chunk.len();
        while self.fill_buf().is_ok_and(|bytes| !bytes.is_empty()) {
            self.at = self.chunk.len();
        }
    }
}

impl BufRead for Chunks<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.at >= self.chunk.len() {
            (self.chunk, self.at) = (self.receive.recv().unwrap_or_default(), 0);
            (self.on_bytes)(self.chunk.len() as u64);
        }
        Ok(&self.chunk[self.at..])
    }

    fn consume(&mut self, n: usize) {
        self.at += n;
    }
}

impl Read for Chunks<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.fill_buf()?.read(buf)?;
        self.consume(n);
        Ok(n)
    }
}

/// A decoder, whose every error is the data's: what feeds it never fails.
struct Decoded<R>(R);

impl<R: Read> Read for Decoded<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read(buf).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::Interrupted => error,
            _ => io::Error::new(io::ErrorKind::InvalidData, error.to_string()),
        })
    }
}

/// Ends in an error where more than `left` bytes come.
struct Capped<'a> {
    inner: &'a mut dyn Read,
    left: u64,
}

impl Read for Capped<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buf)?;
        self.left = self.left.checked_sub(n as u64).ok_or_else(|| {
            let what = "it unpacks to more than is allowed: no honest layer, or raise the limit";
            io::Error::new(io::ErrorKind::InvalidData, what)
        })?;
        Ok(n)
    }
}

/// What one layer does to a tree.
struct Changes<'a> {
    tree: Tree,
    rules: &'a Rules<'a>,
    /// Files nobody asked for but a hard link that was asked for.
    borrowed: &'a BTreeSet<TreePath>,
    /// Paths of this layer: its whiteouts are for the layers below only.
    written: BTreeSet<TreePath>,
    /// Targets of wanted hard links that were read past.
    missed: BTreeSet<TreePath>,
    selected: u64,
    metadata: u64,
}

impl Changes<'_> {
    fn unpack(&mut self, archive: &mut dyn Read, spool: &mut Spool) -> Result<()> {
        let capped = Capped { inner: archive, left: self.rules.max_unpacked };
        let mut members = tar::Reader::new(capped);
        while let Some(member) = members.next_member()? {
            self.member(member, &mut members, spool)?;
        }
        let mut rest = members.into_inner();
        io::copy(&mut rest, &mut io::sink()).map_err(|error| tar::fault(0, error))?;
        Ok(())
    }

    fn member(
        &mut self,
        member: tar::Member,
        content: &mut dyn Read,
        spool: &mut Spool,
    ) -> Result<()> {
        let at = member.offset;
        let refuse = |what: String| Error::corrupt(FORMAT, at, what);
        let path = TreePath::new(&member.path).map_err(|error| {
            refuse(format!("entry {error}, which could lead out of the image: rebuild the image"))
        })?;
        if path.file_name().starts_with(WHITEOUT) {
            return self.whiteout(&path, at);
        }
        let is_directory = member.kind == tar::MemberKind::Directory;
        if path.is_root() && !is_directory {
            return Err(refuse("an entry replaces the root directory: rebuild the image".into()));
        }
        if !(self.rules.select)(&path) && !self.borrowed.contains(&path) {
            // What it replaces is gone all the same.
            if !is_directory && !self.written.contains(&path) {
                self.tree.remove(&path);
            }
            return Ok(());
        }
        if let Some(above) = tar::obstacle(&self.tree, &path) {
            return Err(refuse(format!(
                "entry {path} would be written through {above}, which is no directory: \
                 rebuild the image with the real path"
            )));
        }
        self.account(&member)?;
        match &member.kind {
            tar::MemberKind::Device { .. } => {
                return Err(refuse(format!(
                    "entry {path} is a device node, which is refused: leave it out of the image"
                )));
            }
            tar::MemberKind::HardLink(target) => {
                let target = TreePath::new(target).map_err(|error| {
                    refuse(format!(
                        "entry {path} is a hard link whose target's {error}, which could lead \
                         out of the image: rebuild the image"
                    ))
                })?;
                if self.tree.get(&target).is_none() {
                    self.missed.insert(target);
                    return Ok(());
                }
                let linked = self.tree.link(path.clone(), &target);
                linked.map_err(|error| refuse(format!("entry {path}: {error}")))?;
            }
            _ => {
                let content = match member.kind {
                    tar::MemberKind::File => keep(at, content, spool)?,
                    _ => Blob::empty(),
                };
                if let Some(node) = member.node(content) {
                    self.tree.insert(path.clone(), node);
                }
            }
        }
        self.written.insert(path);
        Ok(())
    }

    fn account(&mut self, member: &tar::Member) -> Result<()> {
        let xattrs = member.xattrs.iter().map(|(name, value)| name.len() + value.len());
        // The constant is about what a node takes besides.
        let bytes = member.path.len() + xattrs.sum::<usize>() + 256;
        self.metadata = self.metadata.saturating_add(bytes as u64);
        self.selected = self.selected.saturating_add(member.size);
        for (what, need, have) in [
            ("the wanted names and attributes", self.metadata, self.rules.max_metadata),
            ("the wanted files", self.selected, self.rules.max_selected),
        ] {
            if need > have {
                let what = format!("{what} up to {}", member.path);
                return Err(Error::too_large(FORMAT, what, need, have));
            }
        }
        Ok(())
    }

    fn whiteout(&mut self, path: &TreePath, at: u64) -> Result<()> {
        let parent = path.parent().unwrap_or_default();
        match path.file_name() {
            OPAQUE => self.hide_below(&parent),
            // AUFS's own notes: says nothing of the tree.
            name if name.starts_with(".wh..wh.") => {}
            name => {
                let hidden = name.strip_prefix(WHITEOUT).unwrap_or_default();
                match parent.join(hidden) {
                    Ok(hidden) if hidden != parent => self.hide(&hidden),
                    _ => {
                        let what = format!("entry {path} hides nothing: rebuild the image");
                        return Err(Error::corrupt(FORMAT, at, what));
                    }
                }
            }
        }
        Ok(())
    }

    /// Takes away what the layers below have at and below `path`.
    fn hide(&mut self, path: &TreePath) {
        let own = self.written.range(path..).next();
        if own.is_some_and(|own| own.strip(path).is_some()) {
            self.hide_below(path);
        } else {
            self.tree.remove(path);
        }
    }

    fn hide_below(&mut self, path: &TreePath) {
        let children: Vec<_> = self.tree.children(path).map(|(child, ..)| child.clone()).collect();
        for child in children {
            self.hide(&child);
        }
    }

    /// Takes away what was there only to be linked to, and directories that stood only for it.
    fn give_back(&mut self) {
        for path in self.borrowed {
            if (self.rules.select)(path) {
                continue;
            }
            self.tree.remove(path);
            let mut above = path.parent();
            while let Some(parent) = above.filter(|parent| !parent.is_root()) {
                if self.written.contains(&parent) || self.tree.children(&parent).next().is_some() {
                    break;
                }
                self.tree.remove(&parent);
                above = parent.parent();
            }
        }
    }
}

/// Takes a file's content, which starts at byte `at` of the archive, through the spool.
fn keep(at: u64, content: &mut dyn Read, spool: &mut Spool) -> Result<Blob> {
    let mut buf = vec![0; 64 << 10];
    loop {
        match content.read(&mut buf) {
            Ok(0) => return spool.take().map_err(|error| Error::io(FORMAT, error)),
            Ok(n) => {
                spool.write_all(&buf[..n]).map_err(|error| Error::io(FORMAT, error))?;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(tar::fault(at, error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{blob::Scratch, formats::oci::media_type, tree::NodeKind};
    use ::tar::{EntryType, Header};
    use proptest::prelude::*;

    /// One member as it is, however hostile. `text` is a link's target, a file's content.
    fn entry(kind: EntryType, name: &str, text: &str) -> Vec<u8> {
        let is_link = matches!(kind, EntryType::Link | EntryType::Symlink);
        let mut header = Header::new_ustar();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        if is_link {
            header.as_old_mut().linkname[..text.len()].copy_from_slice(text.as_bytes());
        }
        header.set_entry_type(kind);
        header.set_mode(0o755);
        header.set_size(if is_link { 0 } else { text.len() as u64 });
        header.set_cksum();
        let mut bytes = header.as_bytes().to_vec();
        if !is_link {
            bytes.extend_from_slice(text.as_bytes());
            bytes.resize(bytes.len().next_multiple_of(512), 0);
        }
        bytes
    }

    fn file(name: &str, text: &str) -> Vec<u8> {
        entry(EntryType::Regular, name, text)
    }

    fn dir(name: &str) -> Vec<u8> {
        entry(EntryType::Directory, name, "")
    }

    fn link(name: &str, target: &str) -> Vec<u8> {
        entry(EntryType::Link, name, target)
    }

    fn symlink(name: &str, target: &str) -> Vec<u8> {
        entry(EntryType::Symlink, name, target)
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn zstd(bytes: &[u8]) -> Vec<u8> {
        zstd::encode_all(bytes, 1).unwrap()
    }

    fn with_rules(tree: &mut Tree, bytes: Vec<u8>, rules: &Rules<'_>) -> Result<()> {
        let scratch = tempfile::tempdir().unwrap();
        let mut spool = Spool::new(&Scratch::new(scratch.path()));
        let descriptor = Descriptor::of(media_type::LAYER, &bytes);
        apply(tree, &Blob::from(bytes), &descriptor, rules, &mut spool, &mut |_| {})
    }

    fn on(tree: &mut Tree, members: &[Vec<u8>]) -> Result<()> {
        with_rules(tree, members.concat(), &Rules::all())
    }

    fn listing(tree: &Tree) -> String {
        let names = tree.iter().skip(1).map(|(path, _, node)| match &node.kind {
            NodeKind::File(blob) => {
                format!("{path}={}", String::from_utf8(blob.to_vec(99).unwrap()).unwrap())
            }
            NodeKind::Symlink(target) => format!("{path}->{target}"),
            _ => format!("{path}/"),
        });
        names.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn whiteouts_hide_the_layers_below_and_only_those() {
        let mut tree = Tree::new();
        on(&mut tree, &[file("a/1", "x"), file("a/2", "x"), file("b/c/1", "x"), file("d", "x")])
            .unwrap();
        let above = [
            file("a/3", "y"),
            file("a/.wh..wh..opq", ""),
            file("a/4", "y"),
            file("b/c/2", "y"),
            file("b/.wh.c", ""),
            file(".wh.d", ""),
            file(".wh.never-there", ""),
            file(".wh..wh.plnk", ""),
            file("d", "y"),
        ];
        on(&mut tree, &above).unwrap();
        assert_eq!(listing(&tree), "a/ a/3=y a/4=y b/ b/c/ b/c/2=y d=y");
        on(&mut tree, &[file(".wh.b", ""), file(".wh..wh..opq", "")]).unwrap();
        assert_eq!(listing(&tree), "");
    }

    #[test]
    fn links_stand_as_links_and_a_wanted_one_brings_its_unwanted_target() {
        let members = [
            file("bin/box", "tool"),
            symlink("bin/sh", "/bin/box"),
            link("usr/bin/ls", "./bin/box"),
            link("usr/bin/sh", "bin/sh"),
        ];
        let mut tree = Tree::new();
        on(&mut tree, &members).unwrap();
        assert_eq!(
            listing(&tree),
            "bin/ bin/box=tool bin/sh->/bin/box usr/ usr/bin/ usr/bin/ls=tool usr/bin/sh->/bin/box"
        );
        tree.get_mut(&TreePath::new("usr/bin/ls").unwrap()).unwrap().mode = 0;
        assert_eq!(tree.get(&TreePath::new("bin/box").unwrap()).unwrap().mode, 0);

        let usr = TreePath::new("usr").unwrap();
        let select = |path: &TreePath| path.strip(&usr).is_some();
        let mut tree = Tree::new();
        with_rules(&mut tree, members.concat(), &Rules::only(&select)).unwrap();
        assert_eq!(listing(&tree), "usr/ usr/bin/ usr/bin/ls=tool usr/bin/sh->/bin/box");

        for (len, holds) in [(1, true), (2, true), (3, false)] {
            let links = (0..len).map(|i| link(&format!("{}", i + 1), &format!("{i}")));
            let members: Vec<_> = std::iter::once(file("0", "x")).chain(links).collect();
            let last = format!("{len}");
            let select = |path: &TreePath| path.as_str() == last;
            let mut tree = Tree::new();
            let applied = with_rules(&mut tree, members.concat(), &Rules::only(&select));
            assert_eq!(applied.is_ok(), holds, "a chain of {len}");
            assert_eq!(listing(&tree), if holds { format!("{len}=x") } else { String::new() });
        }
    }

    #[test]
    fn what_an_unwanted_entry_replaces_is_gone() {
        let deep = TreePath::new("a/b").unwrap();
        let select = |path: &TreePath| path.strip(&deep).is_some();
        let mut tree = Tree::new();
        with_rules(&mut tree, file("a/b", "x"), &Rules::only(&select)).unwrap();
        with_rules(&mut tree, dir("a"), &Rules::only(&select)).unwrap();
        assert_eq!(listing(&tree), "a/ a/b=x");
        with_rules(&mut tree, symlink("a", "c"), &Rules::only(&select)).unwrap();
        assert_eq!(listing(&tree), "");
    }

    #[test]
    fn entries_that_lead_out_or_through_are_refused_and_change_nothing() {
        let device = entry(EntryType::Char, "dev/null", "");
        for (what, members, says) in [
            ("dots", vec![file("a/../../b", "")], "a/../../b"),
            ("absolute", vec![file("/etc/passwd", "")], "/etc/passwd"),
            ("whiteout with dots", vec![file("a/.wh...", "")], "hides nothing"),
            ("whiteout of itself", vec![file("a/.wh..", "")], "hides nothing"),
            ("whiteout of nothing", vec![file("a/.wh.", "")], "hides nothing"),
            ("through a link", vec![symlink("l", "/etc"), file("l/x", "")], "l/x"),
            ("through an earlier layer's", vec![file("link/x", "")], "link/x"),
            ("through a file", vec![file("f", ""), file("f/x", "")], "f/x"),
            ("link out", vec![link("h", "../../etc/shadow")], "../../etc/shadow"),
            ("absolute link", vec![link("h", "/etc/shadow")], "/etc/shadow"),
            ("link through a link", vec![link("h", "link/passwd")], "link/passwd"),
            ("link to nothing", vec![link("h", "nowhere")], "nowhere"),
            ("link to a directory", vec![dir("d"), link("h", "d")], "entry h"),
            ("link at a later file", vec![link("h", "g"), file("g", "")], "g"),
            ("device", vec![device], "dev/null is a device node"),
            ("root as a file", vec![file("./", "")], ""),
            ("root as a link", vec![symlink(".", "/")], "root"),
        ] {
            let mut tree = Tree::new();
            on(&mut tree, &[symlink("link", "/etc"), file("keep", "1")]).unwrap();
            let before = listing(&tree);
            let members: Vec<_> = std::iter::once(file("first", "")).chain(members).collect();
            match on(&mut tree, &members) {
                // A directory by its slash: not everything that looks odd is.
                Ok(()) => assert_eq!(what, "root as a file"),
                Err(error) => {
                    assert!(error.to_string().contains(says), "{what}: {error}");
                    assert_eq!(listing(&tree), before, "{what}");
                }
            }
        }
        // Nobody wants the device: it is passed over.
        let select = |path: &TreePath| path.as_str() != "dev/null";
        let bytes = entry(EntryType::Block, "dev/null", "");
        with_rules(&mut Tree::new(), bytes, &Rules::only(&select)).unwrap();
    }

    #[test]
    fn all_encodings_are_read_to_their_last_byte() {
        let archive = [file("a", "1"), vec![0; 1024]].concat();
        let (head, tail) = archive.split_at(700);
        for bytes in [
            archive.clone(),
            gzip(&archive),
            [gzip(head), gzip(tail)].concat(),
            zstd(&archive),
            [zstd(head), zstd(tail)].concat(),
            [b"\x50\x2a\x4d\x18\x02\0\0\0ab".to_vec(), zstd(&archive)].concat(),
            // Where zstd:chunked keeps its table of contents.
            [zstd(&archive), b"\x5f\x2a\x4d\x18\x02\0\0\0ab".to_vec()].concat(),
            // After the end of the archive may stand anything.
            [archive.clone(), vec![9; 700_000]].concat(),
            gzip(&[archive.clone(), vec![9; 700_000]].concat()),
        ] {
            let mut tree = Tree::new();
            with_rules(&mut tree, bytes.clone(), &Rules::all()).unwrap();
            assert_eq!(listing(&tree), "a=1");

            // Not a byte may differ, be missing or be added, wherever it stands.
            let descriptor = Descriptor::of(media_type::LAYER, &bytes);
            let scratch = tempfile::tempdir().unwrap();
            let mut spool = Spool::new(&Scratch::new(scratch.path()));
            let mut check = |bytes: Vec<u8>, descriptor: &Descriptor| {
                let layer = Blob::from(bytes);
                let mut tree = Tree::new();
                apply(&mut tree, &layer, descriptor, &Rules::all(), &mut spool, &mut |_| {})
                    .unwrap_err()
                    .to_string()
            };
            for at in (0..bytes.len()).step_by(bytes.len() / 13) {
                let mut flipped = bytes.clone();
                flipped[at] ^= 0x10;
                let error = check(flipped, &descriptor);
                assert!(error.contains("tampered"), "{error}");
            }
            let error = check(bytes[1..].to_vec(), &descriptor);
            assert!(error.contains("bytes instead of"), "{error}");
        }
    }

    #[test]
    fn progress_adds_up_to_the_layer() {
        let bytes = gzip(&file("a", "1"));
        let descriptor = Descriptor::of(media_type::LAYER, &bytes);
        let scratch = tempfile::tempdir().unwrap();
        let mut spool = Spool::new(&Scratch::new(scratch.path()));
        let mut told = 0;
        let mut tree = Tree::new();
        let layer = Blob::from(bytes);
        apply(&mut tree, &layer, &descriptor, &Rules::all(), &mut spool, &mut |n| told += n)
            .unwrap();
        assert_eq!(told, layer.len());
    }

    #[test]
    fn bombs_are_stopped_at_the_limits() {
        let zeros = vec![0; 8 << 20];
        let mut header = Header::new_ustar();
        header.as_old_mut().name[0] = b'z';
        header.set_entry_type(EntryType::Regular);
        header.set_size(8 << 20);
        header.set_cksum();
        let bomb = zstd(&[header.as_bytes().to_vec(), zeros].concat());
        let rules = Rules { max_selected: 1 << 20, ..Rules::all() };
        let error = with_rules(&mut Tree::new(), bomb.clone(), &rules).unwrap_err();
        assert!(matches!(error.fault(), Fault::TooLarge { .. }), "{error}");
        let rules = Rules { max_unpacked: 1 << 20, ..Rules::only(&|_| false) };
        let error = with_rules(&mut Tree::new(), bomb, &rules).unwrap_err();
        assert!(error.to_string().contains("more than is allowed"), "{error}");
        let many: Vec<_> = (0..100).map(|i| file(&format!("f{i}"), "")).collect();
        let rules = Rules { max_metadata: 10_000, ..Rules::all() };
        let error = with_rules(&mut Tree::new(), zstd(&many.concat()), &rules).unwrap_err();
        assert!(matches!(error.fault(), Fault::TooLarge { .. }), "{error}");
    }

    #[test]
    fn layers_of_other_kinds_are_refused() {
        for media_type in
            ["application/octet-stream", "application/vnd.oci.image.layer.v1.tar+encrypted"]
        {
            let descriptor = Descriptor::of(media_type, b"");
            let mut spool = Spool::new(&Scratch::new("/nowhere"));
            let mut tree = Tree::new();
            let layer = Blob::empty();
            let error =
                apply(&mut tree, &layer, &descriptor, &Rules::all(), &mut spool, &mut |_| {})
                    .unwrap_err();
            assert!(matches!(error.fault(), Fault::Unsupported(_)), "{error}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn truth_about_damaged_bytes_does_not_panic(
            cut in 0usize..2000,
            flips in proptest::collection::vec((0usize..2000, any::<u8>()), 0..4),
            pack in 0..3,
        ) {
            let members = [dir("d"), file("d/a", "1"), link("b", "d/a"), file("d/.wh.x", "")];
            let mut bytes = match pack {
                0 => members.concat(),
                1 => gzip(&members.concat()),
                _ => zstd(&members.concat()),
            };
            for (at, value) in flips {
                let at = at % bytes.len();
                bytes[at] = value;
            }
            bytes.truncate(bytes.len().min(cut));
            // Its digest is right: whoever made it wants it so.
            let _ = with_rules(&mut Tree::new(), bytes, &Rules::all());
        }
    }
}

//! A file tree held as a value: what OCI layers unpack to and file systems are made from.

use crate::blob::Blob;
use std::{
    cmp::Ordering,
    collections::{BTreeMap, btree_map::Entry},
    fmt,
    ops::Bound,
};

/// A path inside a tree: UTF-8, relative, no `.` or `..`, no empty component. The root is the
/// empty path. It cannot name anything outside the tree.
///
/// Ordered component by component, so a directory stands right before all it holds.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct TreePath(String);

/// The text is no path inside a tree.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("path {path:?} {why}")]
pub struct PathError {
    /// The path as it was given.
    pub path: String,
    /// What is wrong with it, as the end of a sentence.
    pub why: &'static str,
}

impl TreePath {
    /// The root of the tree.
    pub const ROOT: Self = Self(String::new());

    /// Reads a relative path; `./`, doubled and trailing slashes are dropped.
    ///
    /// # Errors
    /// The path is absolute, has a `..`, a NUL, or a component over 255 bytes (`NAME_MAX`).
    pub fn new(path: &str) -> Result<Self, PathError> {
        let fail = |why| Err(PathError { path: path.to_owned(), why });
        if path.starts_with('/') {
            return fail("is absolute");
        }
        let mut clean = String::with_capacity(path.len());
        for component in path.split('/') {
            match component {
                "" | "." => continue,
                ".." => return fail("has a \"..\""),
                _ if component.contains('\0') => return fail("has a NUL"),
                _ if component.len() > 255 => return fail("has a component over 255 bytes"),
                _ => {}
            }
            if !clean.is_empty() {
                clean.push('/');
            }
            clean.push_str(component);
        }
        Ok(Self(clean))
    }

    /// The path as text, without a leading slash; empty for the root.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is the root.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The last component; empty for the root.
    pub fn file_name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or("")
    }

    /// The directory this stands in; none for the root.
    pub fn parent(&self) -> Option<Self> {
        if self.is_root() {
            return None;
        }
        Some(match self.0.rsplit_once('/') {
            Some((parent, _)) => Self(parent.to_owned()),
            None => Self::ROOT,
        })
    }

    /// This path with `relative` after it.
    ///
    /// # Errors
    /// As [`TreePath::new`].
    pub fn join(&self, relative: &str) -> Result<Self, PathError> {
        Ok(self.with(&Self::new(relative)?))
    }

    /// This path with `below` after it.
    #[must_use]
    pub fn with(&self, below: &Self) -> Self {
        match (self.is_root(), below.is_root()) {
            (true, _) => below.clone(),
            (_, true) => self.clone(),
            _ => Self(format!("{}/{}", self.0, below.0)),
        }
    }

    /// What is left of this path under `directory`; none if it does not stand there.
    pub fn strip(&self, directory: &Self) -> Option<Self> {
        if directory.is_root() || self == directory {
            return Some(Self(self.0[directory.0.len()..].to_owned()));
        }
        let rest = self.0.strip_prefix(&directory.0)?.strip_prefix('/')?;
        Some(Self(rest.to_owned()))
    }

    /// The components from the top down.
    pub fn components(&self) -> impl Iterator<Item = &str> {
        self.0.split('/').filter(|component| !component.is_empty())
    }
}

impl Ord for TreePath {
    fn cmp(&self, other: &Self) -> Ordering {
        self.components().cmp(other.components())
    }
}

impl PartialOrd for TreePath {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_root() { "/" } else { &self.0 })
    }
}

impl fmt::Debug for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// One inode: what it is, who may use it, its extended attributes.
///
/// There are no times: an image has one epoch, which its format's writer is given.
#[derive(Clone, Debug)]
pub struct Node {
    /// What it is, and its content.
    pub kind: NodeKind,
    /// Permission bits with set-user-ID, set-group-ID and sticky (0o7777); not the file type.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Extended attributes by full name, such as `security.selinux`.
    pub xattrs: BTreeMap<String, Vec<u8>>,
}

/// What an inode is.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum NodeKind {
    /// A directory. What it holds follows from the paths of the tree.
    Directory,
    /// A regular file.
    File(Blob),
    /// A symbolic link and its target, as it stands.
    Symlink(String),
    /// A block or character device.
    Device {
        /// Block device, else character device.
        block: bool,
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A named pipe.
    Fifo,
}

impl Node {
    fn new(kind: NodeKind, mode: u32) -> Self {
        Self { kind, mode, uid: 0, gid: 0, xattrs: BTreeMap::new() }
    }

    /// A directory of root's with this mode.
    pub fn directory(mode: u32) -> Self {
        Self::new(NodeKind::Directory, mode)
    }

    /// A regular file of root's with this mode.
    pub fn file(content: impl Into<Blob>, mode: u32) -> Self {
        Self::new(NodeKind::File(content.into()), mode)
    }

    /// A symbolic link of root's.
    pub fn symlink(target: impl Into<String>) -> Self {
        Self::new(NodeKind::Symlink(target.into()), 0o777)
    }

    /// Whether this is a directory.
    pub fn is_directory(&self) -> bool {
        matches!(self.kind, NodeKind::Directory)
    }

    /// A regular file's content.
    pub fn content(&self) -> Option<&Blob> {
        match &self.kind {
            NodeKind::File(content) => Some(content),
            _ => None,
        }
    }
}

/// Names an inode within its tree. Two paths with one inode are hard links.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ino(usize);

/// A file tree. It always has a root, and every path's parent is a directory of the tree.
#[derive(Clone, Debug)]
pub struct Tree {
    /// Slots are never reused; one without a path left is skipped by every walk.
    inodes: Vec<Node>,
    paths: BTreeMap<TreePath, Ino>,
}

impl Default for Tree {
    fn default() -> Self {
        Self::new()
    }
}

impl Tree {
    /// Just a root directory of root's, mode 0755.
    pub fn new() -> Self {
        let mut paths = BTreeMap::new();
        paths.insert(TreePath::ROOT, Ino(0));
        Self { inodes: vec![Node::directory(0o755)], paths }
    }

    /// Puts `node` at `path`. Missing parents become directories (root's, mode 0755); a
    /// directory over a directory keeps what is inside; anything else is replaced, with all
    /// below it.
    pub fn insert(&mut self, path: TreePath, node: Node) -> Ino {
        self.make_room(&path, node.is_directory());
        let ino = Ino(self.inodes.len());
        self.inodes.push(node);
        self.paths.insert(path, ino);
        ino
    }

    /// Makes `path` another name of the inode `target` stands for: a hard link.
    ///
    /// # Errors
    /// `target` is not there, or is a directory; it is given back.
    pub fn link(&mut self, path: TreePath, target: &TreePath) -> Result<Ino, PathError> {
        let why = match self.get(target) {
            Some(node) if !node.is_directory() => {
                let ino = self.paths[target];
                if path != *target {
                    self.make_room(&path, false);
                    self.paths.insert(path, ino);
                }
                return Ok(ino);
            }
            Some(_) => "is a directory, which no hard link may point to",
            None => "is the target of a hard link and is not there",
        };
        Err(PathError { path: target.as_str().to_owned(), why })
    }

    fn make_room(&mut self, path: &TreePath, for_directory: bool) {
        let mut missing = Vec::new();
        let mut above = path.parent();
        while let Some(parent) = above {
            match self.get(&parent) {
                Some(node) if node.is_directory() => break,
                _ => {
                    above = parent.parent();
                    missing.push(parent);
                }
            }
        }
        for parent in missing.into_iter().rev() {
            let ino = Ino(self.inodes.len());
            self.inodes.push(Node::directory(0o755));
            self.paths.insert(parent, ino);
        }
        let keeps_content = for_directory && self.get(path).is_some_and(Node::is_directory);
        if !keeps_content && !path.is_root() {
            self.remove(path);
        }
    }

    /// Takes `path` away with all below it; the root loses only what is below.
    pub fn remove(&mut self, path: &TreePath) {
        for below in self.below(path) {
            self.paths.remove(&below);
        }
        if !path.is_root() {
            self.paths.remove(path);
        }
    }

    /// Takes away all below `path`, which stays.
    pub fn clear(&mut self, path: &TreePath) {
        for below in self.below(path) {
            self.paths.remove(&below);
        }
    }

    fn below(&self, path: &TreePath) -> Vec<TreePath> {
        self.paths
            .range((Bound::Excluded(path), Bound::Unbounded))
            .map(|(below, _)| below)
            .take_while(|below| below.strip(path).is_some())
            .cloned()
            .collect()
    }

    /// The node at `path`.
    pub fn get(&self, path: &TreePath) -> Option<&Node> {
        self.paths.get(path).map(|ino| &self.inodes[ino.0])
    }

    /// The node at `path`, to change it; a hard link's other names see the change.
    pub fn get_mut(&mut self, path: &TreePath) -> Option<&mut Node> {
        self.paths.get(path).map(|ino| &mut self.inodes[ino.0])
    }

    /// The content of the regular file at `path` (text as [`TreePath::new`] reads it).
    pub fn file(&self, path: &str) -> Option<&Blob> {
        self.get(&TreePath::new(path).ok()?)?.content()
    }

    /// Every path with its inode, the root first, each directory right before its content.
    pub fn iter(&self) -> impl Iterator<Item = (&TreePath, Ino, &Node)> {
        self.paths.iter().map(|(path, &ino)| (path, ino, &self.inodes[ino.0]))
    }

    /// The names directly inside `directory` with their paths and nodes, in byte order.
    pub fn children<'a>(
        &'a self,
        directory: &'a TreePath,
    ) -> impl Iterator<Item = (&'a TreePath, Ino, &'a Node)> {
        let depth = directory.components().count() + 1;
        self.paths
            .range((Bound::Excluded(directory), Bound::Unbounded))
            .take_while(move |(path, _)| path.strip(directory).is_some())
            .filter(move |(path, _)| path.components().count() == depth)
            .map(|(path, &ino)| (path, ino, &self.inodes[ino.0]))
    }

    /// Puts all that `other` holds below its root under `directory`, which need not be there.
    /// Hard links in `other` stay hard links.
    pub fn graft(&mut self, directory: &TreePath, other: &Self) {
        let mut moved = BTreeMap::new();
        for (path, ino, node) in other.iter().filter(|(path, ..)| !path.is_root()) {
            let path = directory.with(path);
            self.make_room(&path, node.is_directory());
            let new = *moved.entry(ino).or_insert_with(|| {
                self.inodes.push(node.clone());
                Ino(self.inodes.len() - 1)
            });
            self.paths.insert(path, new);
        }
    }

    /// What stands at and below `directory`, as a tree of its own with that directory as the
    /// root; empty if it is not there. Hard links inside it stay hard links.
    #[must_use]
    pub fn subtree(&self, directory: &TreePath) -> Self {
        let mut tree = Self::new();
        let mut moved = BTreeMap::new();
        for (path, ino, node) in self.iter() {
            let Some(path) = path.strip(directory) else { continue };
            let new = match moved.entry(ino) {
                Entry::Occupied(entry) => *entry.get(),
                Entry::Vacant(entry) => {
                    tree.inodes.push(node.clone());
                    *entry.insert(Ino(tree.inodes.len() - 1))
                }
            };
            tree.paths.insert(path, new);
        }
        tree
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> TreePath {
        TreePath::new(text).unwrap()
    }

    fn listing(tree: &Tree) -> Vec<String> {
        tree.iter().map(|(path, ..)| path.to_string()).collect()
    }

    #[test]
    fn paths_are_normalised_and_cannot_escape() {
        assert_eq!(path("./a//b/./c/").as_str(), "a/b/c");
        assert!(path("").is_root() && path(".").is_root());
        for bad in ["/etc", "a/../b", "..", "a\0b", &"x".repeat(256)] {
            assert!(TreePath::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_directory_stands_right_before_its_content() {
        let mut tree = Tree::new();
        for name in ["a.b", "a/z", "a/b/c", "ab", "a-"] {
            tree.insert(path(name), Node::file("", 0o644));
        }
        assert_eq!(listing(&tree), ["/", "a", "a/b", "a/b/c", "a/z", "a-", "a.b", "ab"]);
        let a = path("a");
        let names: Vec<_> = tree.children(&a).map(|(p, ..)| p.file_name()).collect();
        assert_eq!(names, ["b", "z"]);
    }

    #[test]
    fn a_file_replaces_a_directory_with_all_below_and_a_directory_merges() {
        let mut tree = Tree::new();
        tree.insert(path("d/e/f"), Node::file("1", 0o644));
        tree.insert(path("d"), Node::directory(0o700));
        assert_eq!(listing(&tree), ["/", "d", "d/e", "d/e/f"]);
        assert_eq!(tree.get(&path("d")).unwrap().mode, 0o700);
        tree.insert(path("d/e"), Node::symlink("/x"));
        assert_eq!(listing(&tree), ["/", "d", "d/e"]);
        tree.insert(path("d/e/g"), Node::file("2", 0o644));
        assert!(tree.get(&path("d/e")).unwrap().is_directory());
        tree.remove(&TreePath::ROOT);
        assert_eq!(listing(&tree), ["/"]);
    }

    #[test]
    fn hard_links_share_an_inode_also_in_a_subtree() {
        let mut tree = Tree::new();
        tree.insert(path("d/a"), Node::file("1", 0o644));
        tree.link(path("d/b"), &path("d/a")).unwrap();
        tree.get_mut(&path("d/b")).unwrap().mode = 0o600;
        assert_eq!(tree.get(&path("d/a")).unwrap().mode, 0o600);
        assert!(tree.link(path("x"), &path("nowhere")).is_err());
        assert!(tree.link(path("x"), &path("d")).is_err());
        let sub = tree.subtree(&path("d"));
        let inos: Vec<_> = sub.iter().filter(|(p, ..)| !p.is_root()).map(|(_, i, _)| i).collect();
        assert_eq!(inos.len(), 2);
        assert_eq!(inos[0], inos[1]);

        let mut whole = Tree::new();
        whole.insert(path("e/a"), Node::file("old", 0o644));
        whole.graft(&path("e"), &sub);
        assert_eq!(listing(&whole), ["/", "e", "e/a", "e/b"]);
        whole.get_mut(&path("e/a")).unwrap().mode = 0o400;
        assert_eq!(whole.get(&path("e/b")).unwrap().mode, 0o400);
    }
}

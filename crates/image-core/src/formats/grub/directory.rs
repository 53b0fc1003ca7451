//! A directory of GRUB's files for one platform: its kernel, its modules, its boot sectors.

use super::{
    Contents, GRUB, Platform,
    elf::{Elf, Place, Section},
};
use crate::{
    blob::Blob,
    formats::{Error, Result},
    tree::{Node, Tree, TreePath},
};
use std::collections::{BTreeMap, BTreeSet};

const MODULE: &str = ".mod";
const KERNEL: &str = "kernel.img";
/// The section that every module with code has.
const LICENCE: &str = ".module_license";
/// A line for each module: its name, a colon, the names of those it needs.
const DEPENDENCIES: &str = "moddep.lst";
/// Shell variables with the version, where a distribution ships them.
const VERSION: &str = "modinfo.sh";
/// The longest file that is read, in bytes; real ones have some 100 KiB.
const FILE_LIMIT: u64 = 4 << 20;
/// The longest list that is read, in bytes; real ones have 10 KiB.
const LIST_LIMIT: u64 = 256 << 10;

/// A platform's directory, as it was read.
#[derive(Clone, Debug)]
pub struct Directory {
    platform: Platform,
    path: TreePath,
    files: BTreeMap<String, Blob>,
    dependencies: BTreeMap<String, Vec<String>>,
    version: Option<String>,
}

impl Directory {
    /// Reads the directory `path` of `tree`, which has GRUB's files for `platform`. Modules are
    /// looked into when they are used.
    ///
    /// # Errors
    /// `Invalid` if it or a file that is always needed is not there; `Corrupt` for a list that
    /// is no list.
    pub fn read(tree: &Tree, path: &TreePath, platform: Platform) -> Result<Self> {
        let invalid = |what: String| Error::invalid(GRUB, what);
        if !tree.get(path).is_some_and(Node::is_directory) {
            return Err(invalid(format!("{path}: there is no such directory")));
        }
        let files = tree
            .children(path)
            .filter_map(|(path, _, node)| {
                Some((path.file_name().to_owned(), node.content()?.clone()))
            })
            .collect();
        let mut directory = Self {
            platform,
            path: path.clone(),
            files,
            dependencies: BTreeMap::new(),
            version: None,
        };
        let list = directory.text(DEPENDENCIES)?;
        for (line, number) in list.lines().zip(1..) {
            let Some((name, needs)) = line.split_once(':') else {
                let what = format!("line {number} has no colon behind a module's name");
                return Err(directory.corrupt(DEPENDENCIES, what));
            };
            let needs = needs.split_ascii_whitespace().map(str::to_owned).collect();
            directory.dependencies.insert(name.trim().to_owned(), needs);
        }
        if directory.files.contains_key(VERSION) {
            let variables = directory.text(VERSION)?;
            let value = ["grub_package_version=", "grub_version="]
                .into_iter()
                .find_map(|key| variables.lines().find_map(|line| line.trim().strip_prefix(key)));
            directory.version = value.map(|value| value.trim_matches('"').to_owned());
        }
        directory.file(KERNEL)?;
        Ok(directory)
    }

    /// What it is for.
    pub fn platform(&self) -> Platform {
        self.platform
    }

    /// The version its `modinfo.sh` tells, such as `2.12-9`.
    pub fn version(&self) -> Option<&str> {
        self.version.as_deref()
    }

    /// The first two numbers of its version.
    pub(super) fn release(&self) -> Option<(u32, u32)> {
        let mut numbers = self.version()?.split(|c: char| !c.is_ascii_digit());
        Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
    }

    /// The names of its modules.
    pub fn modules(&self) -> impl Iterator<Item = &str> {
        self.files.keys().filter_map(|name| name.strip_suffix(MODULE))
    }

    /// A file of the directory.
    pub(super) fn file(&self, name: &str) -> Result<Vec<u8>> {
        self.bytes(name, FILE_LIMIT)
    }

    fn text(&self, name: &str) -> Result<String> {
        String::from_utf8(self.bytes(name, LIST_LIMIT)?)
            .map_err(|_| self.corrupt(name, "it is no text (UTF-8)"))
    }

    fn bytes(&self, name: &str, limit: u64) -> Result<Vec<u8>> {
        let blob = self.files.get(name).ok_or_else(|| {
            let what = format!("{}/{name}: it is missing, or no regular file", self.path);
            Error::invalid(GRUB, what)
        })?;
        if blob.len() > limit {
            return Err(self.corrupt(name, format!("{} bytes are too many for it", blob.len())));
        }
        blob.to_vec(limit).map_err(|error| Error::io(GRUB, error))
    }

    /// `what` is wrong with the file `name`.
    pub(super) fn corrupt(&self, name: &str, what: impl AsRef<str>) -> Error {
        Error::corrupt(GRUB, 0, format!("{}/{name}: {}", self.path, what.as_ref()))
    }

    /// `found` where the file `name` should be of this directory's platform and version.
    fn foreign(&self, name: &str, found: &str) -> Error {
        let what = format!("{found}; is it of another GRUB than the files beside it?");
        self.corrupt(name, what)
    }

    /// GRUB's kernel, which [`parse_kernel`](Self::parse_kernel) reads.
    pub(super) fn kernel(&self) -> Result<Vec<u8>> {
        self.file(KERNEL)
    }

    /// Reads the ELF file `name`, of this platform's processor.
    pub(super) fn parse<'a>(&self, name: &str, bytes: &'a [u8]) -> Result<Elf<'a>> {
        let elf = Elf::parse(bytes).map_err(|what| self.corrupt(name, what))?;
        if (elf.machine, elf.is_wide()) == self.platform.elf() {
            return Ok(elf);
        }
        Err(self.foreign(name, &format!("it is not for {}", self.platform)))
    }

    /// Reads `kernel.img`, which is of this kind (`e_type`).
    pub(super) fn parse_kernel<'a>(&self, bytes: &'a [u8], kind: u16) -> Result<Elf<'a>> {
        let elf = self.parse(KERNEL, bytes)?;
        if elf.kind == kind {
            return Ok(elf);
        }
        Err(self.foreign(KERNEL, &format!("it is no kernel for {}", self.platform)))
    }

    /// `what` is wrong with `kernel.img`.
    pub(super) fn corrupt_kernel(&self, what: impl AsRef<str>) -> Error {
        self.corrupt(KERNEL, what)
    }

    /// The files of the modules of `contents` and of all those they need, in an order in which
    /// they can be loaded: the one `grub-mkimage` takes. `exports` are the bytes of the kernel,
    /// where the names of the functions stand that modules may use.
    pub(super) fn load(&self, contents: &Contents<'_>, exports: &[u8]) -> Result<Vec<Vec<u8>>> {
        let mut known = Names::of_kernel(exports);
        let mut modules = Vec::new();
        let mut licences = Vec::new();
        for name in self.order(contents.modules)? {
            let file = format!("{name}{MODULE}");
            let bytes = self.file(&file)?;
            let licence = self.check(name, &file, &bytes, &mut known)?;
            licences.extend(licence.map(|is_writable| (file, is_writable)));
            modules.push(bytes);
        }
        // Those of 2.14 are constant, those before were not.
        let writable = licences.iter().filter(|(_, is_writable)| *is_writable).count();
        let usual = writable * 2 > licences.len();
        match licences.iter().find(|(_, is_writable)| *is_writable != usual) {
            Some((file, _)) => Err(self.foreign(file, "most other modules were built otherwise")),
            None => Ok(modules),
        }
    }

    /// The names of `wanted` modules with all they need before them.
    fn order(&self, wanted: &[&str]) -> Result<Vec<&str>> {
        let mut order = Vec::new();
        // Whether all that a module needs is in order yet.
        let mut seen: BTreeMap<&str, bool> = BTreeMap::new();
        for name in wanted {
            let (name, needs) = self.needs(name, None)?;
            if seen.contains_key(name) {
                continue;
            }
            seen.insert(name, false);
            // Modules looked at, each with those of its needs that are left.
            let mut open = vec![(name, needs)];
            while let Some((name, needs)) = open.last_mut() {
                let Some(next) = needs.pop() else {
                    order.push(*name);
                    seen.insert(name, true);
                    open.pop();
                    continue;
                };
                let (next, needs) = self.needs(next, Some(name))?;
                match seen.get(next) {
                    Some(true) => {}
                    Some(false) => {
                        let what = format!("{next} needs {name}, which needs {next}");
                        return Err(self.corrupt(DEPENDENCIES, what));
                    }
                    None => {
                        seen.insert(next, false);
                        open.push((next, needs));
                    }
                }
            }
        }
        Ok(order)
    }

    /// The module's name as it stands in the directory, and the names of those it needs.
    fn needs<'a>(&'a self, name: &str, needed_by: Option<&str>) -> Result<(&'a str, Vec<&'a str>)> {
        let file = format!("{name}{MODULE}");
        if !self.files.contains_key(&file) {
            let what = match needed_by {
                Some(by) => format!("it is missing, and {by} needs it"),
                None => "there is no such module".to_owned(),
            };
            return Err(Error::invalid(GRUB, format!("{}/{file}: {what}", self.path)));
        }
        let (name, needs) = self.dependencies.get_key_value(name).ok_or_else(|| {
            self.foreign(DEPENDENCIES, &format!("it does not know the module {name}"))
        })?;
        Ok((name, needs.iter().map(String::as_str).collect()))
    }

    /// Whether a module's file belongs to this platform and to the rest of the directory: only
    /// `normal` bears a version, but modules of another one often need what is not here. GRUB
    /// itself would find out when it boots, if at all. Gives whether its licence is writable; none
    /// for a module without code, which is the same in all versions.
    fn check(
        &self,
        name: &str,
        file: &str,
        bytes: &[u8],
        known: &mut Names,
    ) -> Result<Option<bool>> {
        let elf = self.parse(file, bytes)?;
        let texts = |section: &str| -> BTreeSet<&[u8]> {
            let texts = elf.find(section).unwrap_or_default().split(|&byte| byte == 0);
            texts.filter(|text| !text.is_empty()).collect()
        };
        if texts(".modname") != BTreeSet::from([name.as_bytes()]) {
            return Err(self.corrupt(file, format!("it is not the module {name}")));
        }
        let (_, needs) = self.needs(name, None)?;
        if texts(".moddeps") != needs.iter().map(|need| need.as_bytes()).collect() {
            return Err(
                self.foreign(file, &format!("it needs other modules than {DEPENDENCIES} says"))
            );
        }
        let symbols = elf.symbols().map_err(|what| self.corrupt(file, what))?;
        for symbol in symbols.iter().filter(|symbol| !symbol.name.is_empty()) {
            if symbol.place == Place::Undefined && !known.has(symbol.name) {
                let what = format!("no module it needs has {}, nor has {KERNEL}", symbol.name);
                return Err(self.foreign(file, &what));
            }
        }
        let own = symbols.iter().filter(|own| own.is_global && own.place != Place::Undefined);
        own.for_each(|own| known.add(own.name.as_bytes()));
        match &self.version {
            Some(version) if name == "normal" && !contains(bytes, version.as_bytes()) => {
                Err(self.foreign(file, &format!("{VERSION} says {version}, which it is not")))
            }
            _ => {
                let has_code = |_: &&Section<'_>| !symbols.is_empty();
                let licence = elf.sections.iter().find(|it| it.name == LICENCE).filter(has_code);
                Ok(licence.map(Section::is_writable))
            }
        }
    }
}

fn contains(bytes: &[u8], text: &[u8]) -> bool {
    bytes.windows(text.len().max(1)).any(|window| window == text)
}

/// What modules may use by name, back to front.
struct Names(BTreeSet<Vec<u8>>);

impl Names {
    /// All that could be a name in the kernel, which holds a table of those it exports.
    fn of_kernel(bytes: &[u8]) -> Self {
        let mut names = Self(BTreeSet::new());
        bytes.split(|&byte| byte == 0).for_each(|text| names.add(text));
        names
    }

    fn add(&mut self, name: &[u8]) {
        self.0.insert(name.iter().rev().copied().collect());
    }

    fn has(&self, name: &str) -> bool {
        // A linker keeps a text only once that is another's end.
        let reversed: Vec<u8> = name.bytes().rev().collect();
        let nearest = self.0.range(reversed.clone()..).next();
        nearest.is_some_and(|known| known.starts_with(&reversed))
    }
}

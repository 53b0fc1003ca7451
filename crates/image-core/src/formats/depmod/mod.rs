//! What `modprobe` looks names up in: the `modules.*` files of a kernel's modules, as kmod's
//! `depmod` writes them.
//!
//! Specification: depmod(8), depmod.d(5), modules.dep(5), Linux's
//! Documentation/kbuild/kbuild.rst (`modules.order`, `modules.builtin`,
//! `modules.builtin.modinfo`). What those leave open (orders, the binary index) is as kmod 34.2
//! was seen to have it, so that the files are the same byte for byte.

mod config;
mod index;
mod order;
#[cfg(test)]
mod tests;

pub use config::Config;

use super::{
    Error, Result,
    kernel_module::{self, KernelModule},
    pipeline::in_order,
};
use crate::{
    blob::Blob,
    tree::{NodeKind, Tree, TreePath},
};
use index::Index;
use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    fmt::Write as _,
    num::NonZeroUsize,
};

const FORMAT: &str = "depmod";

/// The longest file that lists modules, in bytes.
const LIST_LIMIT: u64 = 16 << 20;

/// What may be held of all modules together, in bytes: their symbols, and as much again of lists.
const MEMORY: usize = 256 << 20;

/// The most modules; there are about 6,000 where all of Linux is built.
const MODULES_LIMIT: usize = 1 << 14;

/// How many modules of a circle are named.
const NAMED: usize = 8;

/// A module that counts, and what of it goes into the files.
#[derive(Debug)]
struct Module {
    path: String,
    name: String,
    aliases: Vec<String>,
    soft: Vec<String>,
    weak: Vec<String>,
    exports: Vec<String>,
    needs: Vec<String>,
}

/// For each module the modules it needs, by their number, in the order of its symbols.
type Needed = Vec<Vec<usize>>;

/// Makes the `modules.*` files for the modules in `tree`, whose root is the directory of the
/// kernel `kernel` (what `uname -r` prints). `threads` does not change the bytes.
///
/// # Errors
/// A module is corrupt or no module, modules need each other in a circle, a module is a
/// symbolic link, there is too much, or reading failed. All name the module.
pub fn depmod(
    tree: &Tree,
    kernel: &str,
    config: &Config,
    threads: NonZeroUsize,
) -> Result<BTreeMap<&'static str, Blob>> {
    let files = find(tree, kernel, config)?;
    let files = sorted(files, &lines(tree, "modules.order")?);
    let modules = read(tree, files, threads)?;
    let owners = owners(&modules);
    let needed = needed(&modules, &owners);
    let ranks = ranks(&modules, &needed)?;
    let dependencies = dependencies(&modules, &needed, &ranks)?;
    let (aliases, alias_index) = aliases(&modules)?;
    let (symbols, symbol_index) = symbols(&modules, &owners)?;
    let (builtin, builtin_aliases) = builtin(tree)?;
    let mut dependency_index = Index::default();
    for ((priority, module), line) in (0..).zip(&modules).zip(&dependencies) {
        dependency_index.add(&*module.name, line, priority);
    }
    let mut lines = dependencies.join("\n");
    if !lines.is_empty() {
        lines.push('\n');
    }
    let soft = list("softdep", "Soft dependencies", &modules, |module| &module.soft)?;
    let weak = list("weakdep", "Weak dependencies", &modules, |module| &module.weak)?;
    Ok(BTreeMap::from([
        ("modules.alias", aliases.into()),
        ("modules.alias.bin", alias_index.into()),
        ("modules.builtin.alias.bin", builtin_aliases.into()),
        ("modules.builtin.bin", builtin.into()),
        ("modules.dep", lines.into()),
        ("modules.dep.bin", dependency_index.write()?.into()),
        ("modules.devname", devices(&modules).into()),
        ("modules.softdep", soft.into()),
        ("modules.symbols", symbols.into()),
        ("modules.symbols.bin", symbol_index.into()),
        ("modules.weakdep", weak.into()),
    ]))
}

/// The paths of the modules that count, by name.
fn find(tree: &Tree, kernel: &str, config: &Config) -> Result<BTreeMap<String, TreePath>> {
    let mut files = BTreeMap::new();
    for (path, _, node) in tree.iter() {
        if path.components().any(|name| config.excludes(name)) {
            continue;
        }
        let Some(name) = kernel_module::name(path.file_name()) else { continue };
        match node.kind {
            NodeKind::File(_) => {}
            NodeKind::Symlink(_) => {
                let what = format!("{path}: a module that is a symbolic link");
                return Err(Error::unsupported(FORMAT, what));
            }
            _ => continue,
        }
        match files.entry(name) {
            Entry::Vacant(entry) => {
                entry.insert(path.clone());
            }
            Entry::Occupied(mut entry) => {
                if config.prefers(kernel, path.as_str(), entry.get().as_str()) {
                    entry.insert(path.clone());
                }
            }
        }
    }
    if files.len() > MODULES_LIMIT {
        let (need, have) = (files.len() as u64, MODULES_LIMIT as u64);
        return Err(Error::too_large(FORMAT, "the number of modules", need, have));
    }
    Ok(files)
}

/// Modules in the order of `modules.order`, then those it does not name.
fn sorted(files: BTreeMap<String, TreePath>, order: &[String]) -> Vec<(String, TreePath)> {
    let mut places = BTreeMap::new();
    for (place, path) in order.iter().enumerate() {
        places.entry(path.as_str()).or_insert(place);
    }
    let mut files: Vec<_> = files.into_iter().collect();
    files.sort_by_key(|(name, path)| {
        let place = kernel_module::uncompressed(path.as_str()).and_then(|path| places.get(path));
        let (bucket, _) = order::key(name, order::MODULES);
        (place.copied().unwrap_or(usize::MAX), bucket)
    });
    files
}

fn read(tree: &Tree, files: Vec<(String, TreePath)>, threads: NonZeroUsize) -> Result<Vec<Module>> {
    let mut modules = Vec::with_capacity(files.len());
    let mut left = MEMORY;
    let parse = |(): &mut (), (_, path): &(String, TreePath)| {
        let content = tree.get(path).and_then(|node| node.content()).cloned();
        KernelModule::read(&content.unwrap_or_else(Blob::empty))
            .map_err(|error| error.within(path.as_str()))
    };
    in_order(vec![(); threads.get()], files.into_iter(), parse, |(name, path), module| {
        let values = |key| module.values(key).map(ToOwned::to_owned).collect();
        let module = Module {
            path: path.as_str().to_owned(),
            name,
            aliases: values("alias"),
            soft: values("softdep"),
            weak: values("weakdep"),
            exports: module.exports,
            needs: module.needs,
        };
        let Module { aliases, soft, weak, exports, needs, .. } = &module;
        let texts = [aliases, soft, weak, exports, needs].into_iter().flatten();
        let used: usize = texts.map(|text| text.len() + size_of::<String>()).sum();
        spend(&mut left, used, "the modules' symbols")?;
        modules.push(module);
        Ok(())
    })?;
    Ok(modules)
}

/// Takes bytes off what is `left` of [`MEMORY`].
fn spend(left: &mut usize, bytes: usize, what: &str) -> Result<()> {
    *left = left.checked_sub(bytes).ok_or_else(|| {
        let need = (MEMORY - *left).saturating_add(bytes) as u64;
        Error::too_large(FORMAT, what, need, MEMORY as u64)
    })?;
    Ok(())
}

/// Which module gives a symbol: the last one, if several do.
fn owners(modules: &[Module]) -> BTreeMap<&str, usize> {
    let mut owners = BTreeMap::new();
    for (number, module) in modules.iter().enumerate() {
        owners.extend(module.exports.iter().map(|symbol| (symbol.as_str(), number)));
    }
    owners
}

fn needed(modules: &[Module], owners: &BTreeMap<&str, usize>) -> Needed {
    let of = |module: &Module| {
        let mut seen = BTreeSet::new();
        let owners = module.needs.iter().filter_map(|symbol| owners.get(symbol.as_str()).copied());
        owners.filter(|&owner| seen.insert(owner)).collect()
    };
    modules.iter().map(of).collect()
}

/// The place of each module when all stand before what they need.
fn ranks(modules: &[Module], needed: &Needed) -> Result<Vec<usize>> {
    let mut users = vec![0_usize; modules.len()];
    for &number in needed.iter().flatten() {
        users[number] += 1;
    }
    let mut ranks = vec![None; modules.len()];
    let mut free: Vec<usize> = (0..modules.len()).filter(|&number| users[number] == 0).collect();
    let mut rank = 0;
    while let Some(number) = free.pop() {
        ranks[number] = Some(rank);
        rank += 1;
        for &below in &needed[number] {
            users[below] -= 1;
            if users[below] == 0 {
                free.push(below);
            }
        }
    }
    match ranks.iter().position(Option::is_none) {
        None => Ok(ranks.into_iter().flatten().collect()),
        Some(start) => Err(circle(modules, needed, &ranks, start)),
    }
}

/// Names a circle that modules without a rank stand in. Each of them is needed by another.
fn circle(modules: &[Module], needed: &Needed, ranks: &[Option<usize>], start: usize) -> Error {
    let user = |of: usize| {
        let stuck = |&number: &usize| ranks[number].is_none() && needed[number].contains(&of);
        (0..modules.len()).find(stuck)
    };
    let mut way = vec![start];
    while let Some(next) = way.last().and_then(|&last| user(last)) {
        if let Some(at) = way.iter().position(|&had| had == next) {
            way.drain(..at);
            way.push(next);
            break;
        }
        way.push(next);
    }
    let mut names: Vec<_> = way.iter().rev().map(|&it| modules[it].path.as_str()).collect();
    if names.len() > NAMED + 1 {
        names.splice(NAMED..names.len() - 1, ["…"]);
    }
    Error::corrupt(FORMAT, 0, format!("modules need each other: {}", names.join(" needs ")))
}

/// The lines of `modules.dep`: each module with all it needs, what is loaded last first.
fn dependencies(modules: &[Module], needed: &Needed, ranks: &[usize]) -> Result<Vec<String>> {
    let mut left = MEMORY;
    let line = |(module, direct): (&Module, &Vec<usize>)| {
        let mut all = BTreeMap::new();
        let mut to_see = direct.clone();
        while let Some(number) = to_see.pop() {
            if all.insert(ranks[number], number).is_none() {
                to_see.extend(&needed[number]);
            }
        }
        let mut line = format!("{}:", module.path);
        for number in all.into_values() {
            line.push(' ');
            line.push_str(&modules[number].path);
        }
        spend(&mut left, line.len(), "the modules' dependencies")?;
        Ok(line)
    };
    modules.iter().zip(needed).map(line).collect()
}

fn aliases(modules: &[Module]) -> Result<(String, Vec<u8>)> {
    let mut text = "# Aliases extracted from modules themselves.\n".to_owned();
    let mut index = Index::default();
    for (priority, Module { name, aliases, path, .. }) in (0..).zip(modules) {
        for alias in aliases {
            if !alias.is_ascii() {
                let what = format!("{path}: the alias {alias:?} is not ASCII");
                return Err(Error::corrupt(FORMAT, 0, what));
            }
            // Writing to a string cannot fail.
            let _ = writeln!(text, "alias {alias} {name}");
            if let Some(pattern) = pattern(alias) {
                index.add(pattern, name, priority);
            }
        }
    }
    Ok((text, index.write()?))
}

/// An alias as it is looked up: `-` as `_`, but for ranges in brackets. None if its brackets do
/// not match: modprobe could not look for it.
fn pattern(alias: &str) -> Option<String> {
    let mut inside = false;
    let pattern = alias.chars().map(|c| {
        match (c, inside) {
            (']', false) => return None,
            ('[', _) => inside = true,
            (']', true) => inside = false,
            ('-', false) => return Some('_'),
            _ => {}
        }
        Some(c)
    });
    let pattern = pattern.collect::<Option<String>>()?;
    (!inside).then_some(pattern)
}

fn symbols(modules: &[Module], owners: &BTreeMap<&str, usize>) -> Result<(String, Vec<u8>)> {
    let mut text = "# Aliases for symbols, used by symbol_request().\n".to_owned();
    let mut index = Index::default();
    let mut symbols: Vec<_> = owners.iter().collect();
    symbols.sort_by_key(|(symbol, _)| order::key(symbol, order::SYMBOLS));
    for (symbol, &owner) in symbols {
        let name = &modules[owner].name;
        let _ = writeln!(text, "alias symbol:{symbol} {name}");
        index.add(format!("symbol:{symbol}"), name, u32::try_from(owner).unwrap_or(u32::MAX));
    }
    Ok((text, index.write()?))
}

/// A file with a line for each of the values that `of` takes from a module.
fn list(
    command: &str,
    title: &str,
    modules: &[Module],
    of: impl Fn(&Module) -> &[String],
) -> Result<String> {
    let mut text = format!("# {title} extracted from modules themselves.\n");
    for module in modules {
        for value in of(module) {
            if !value.is_ascii() {
                let what = format!("{}: the {command} {value:?} is not ASCII", module.path);
                return Err(Error::corrupt(FORMAT, 0, what));
            }
            let _ = writeln!(text, "{command} {} {value}", module.name);
        }
    }
    Ok(text)
}

/// `modules.devname`: device nodes that load a module when they are opened first.
fn devices(modules: &[Module]) -> String {
    let mut text = String::new();
    for Module { name, aliases, .. } in modules {
        let (mut node, mut device) = (None, None);
        for alias in aliases {
            if let Some(name) = alias.strip_prefix("devname:") {
                node = Some(name);
            } else if let Some(numbers) = alias.strip_prefix("char-major-") {
                device = self::device('c', numbers).or(device);
            } else if let Some(numbers) = alias.strip_prefix("block-major-") {
                device = self::device('b', numbers).or(device);
            }
            if let (Some(node), Some(device)) = (node, &device) {
                if text.is_empty() {
                    text.push_str("# Device nodes to trigger on-demand module loading.\n");
                }
                let _ = writeln!(text, "{name} {node} {device}");
                break;
            }
        }
    }
    text
}

/// A device of one kind out of `major-minor`.
fn device(kind: char, numbers: &str) -> Option<String> {
    let (major, minor) = numbers.split_once('-')?;
    let end = minor.find(|c: char| !c.is_ascii_digit()).unwrap_or(minor.len());
    let (major, minor): (u32, u32) = (major.parse().ok()?, minor[..end].parse().ok()?);
    Some(format!("{kind}{major}:{minor}"))
}

/// What is built into the kernel: by name, and by alias. Empty files where the kernel does not
/// tell.
fn builtin(tree: &Tree) -> Result<(Vec<u8>, Vec<u8>)> {
    let mut names = Index::default();
    for line in lines(tree, "modules.builtin")? {
        if let Some(name) = kernel_module::name(line.rsplit('/').next().unwrap_or_default()) {
            names.add(name, "", 0);
        }
    }
    let info = text(tree, "modules.builtin.modinfo")?;
    let mut aliases = Index::default();
    // What is not ended by a NUL does not count.
    for entry in info.rsplit_once('\0').map_or("", |(whole, _)| whole).split('\0') {
        let alias = entry.split_once('.').and_then(|(module, entry)| {
            let alias = entry.strip_prefix("alias=").filter(|alias| !alias.is_empty())?;
            Some((module, pattern(alias)?))
        });
        if let Some((module, alias)) = alias {
            aliases.add(alias, module, 0);
        }
    }
    let there = |name| tree.file(name).is_some();
    let names = if there("modules.builtin") { names.write()? } else { Vec::new() };
    let aliases = if there("modules.builtin.modinfo") { aliases.write()? } else { Vec::new() };
    Ok((names, aliases))
}

fn lines(tree: &Tree, name: &str) -> Result<Vec<String>> {
    Ok(text(tree, name)?.lines().map(ToOwned::to_owned).collect())
}

/// The text of a file beside the modules; empty if it is not there.
fn text(tree: &Tree, name: &str) -> Result<String> {
    let Some(file) = tree.file(name) else { return Ok(String::new()) };
    let bytes = file.to_vec(LIST_LIMIT).map_err(|e| Error::io(FORMAT, e).within(name))?;
    // Authors' names may be in any encoding; what matters here is ASCII.
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

//! The floors of this crate, and a test that the code stands on them.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};
use syn::visit::Visit;

/// A module of the crate may import the modules named beside it, and itself.
const FLOORS: &[(&str, &[&str])] = &[
    ("blob", &[]),
    ("tree", &["blob"]),
    ("events", &[]),
    ("nearest", &[]),
    ("signature", &[]),
    ("formats", &["blob", "signature", "tree"]),
    ("talos", &["blob", "formats", "nearest", "tree"]),
    ("sources", &["blob", "tree", "formats", "nearest"]),
    ("signers", &["signature"]),
    ("error", &["blob", "formats", "signature", "sources", "talos", "tree"]),
    ("plan", &["blob", "error", "formats", "sources", "talos"]),
    ("assemble", &["blob", "error", "events", "formats", "plan", "sources", "talos", "tree"]),
    ("examine", &["blob", "error", "formats", "talos", "tree"]),
    ("fake", &["blob", "error", "formats", "sources", "talos", "tree"]),
];

/// Gathers the first segment after `crate` in every path of a file, `use` trees included, and
/// leaves out what only tests are made of.
#[derive(Default)]
struct Imports {
    modules: BTreeSet<String>,
}

fn for_tests_only(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.parse_args::<syn::Ident>().is_ok_and(|what| what == "test")
    })
}

impl Imports {
    fn add_use(&mut self, tree: &syn::UseTree) {
        match tree {
            syn::UseTree::Path(path) => {
                self.modules.insert(path.ident.to_string());
            }
            syn::UseTree::Name(name) => {
                self.modules.insert(name.ident.to_string());
            }
            syn::UseTree::Rename(rename) => {
                self.modules.insert(rename.ident.to_string());
            }
            syn::UseTree::Group(group) => group.items.iter().for_each(|item| self.add_use(item)),
            syn::UseTree::Glob(_) => {
                self.modules.insert("*".to_owned());
            }
        }
    }
}

impl<'ast> Visit<'ast> for Imports {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if !for_tests_only(&item.attrs) {
            syn::visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        if let syn::UseTree::Path(path) = &item.tree
            && path.ident == "crate"
        {
            self.add_use(&path.tree);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let mut segments = path.segments.iter();
        if segments.next().is_some_and(|first| first.ident == "crate")
            && let Some(module) = segments.next()
        {
            self.modules.insert(module.ident.to_string());
        }
        syn::visit::visit_path(self, path);
    }
}

fn imports(text: &str) -> BTreeSet<String> {
    let mut imports = Imports::default();
    imports.visit_file(&syn::parse_file(text).unwrap());
    imports.modules
}

fn rust_files(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

#[test]
fn every_module_imports_only_from_the_floors_below() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    rust_files(&src, &mut files);
    let mut wrong = Vec::new();
    for file in &files {
        let relative = file.strip_prefix(&src).unwrap().to_str().unwrap();
        let module = relative.split(['/', '.']).next().unwrap();
        if module == "lib" {
            continue;
        }
        let (_, below) = FLOORS
            .iter()
            .find(|(name, _)| *name == module)
            .unwrap_or_else(|| panic!("{relative} stands on no floor: name it in FLOORS"));
        for import in imports(&fs::read_to_string(file).unwrap()) {
            if import != module && !below.contains(&import.as_str()) {
                wrong.push(format!("{relative} imports {import}"));
            }
        }
    }
    assert!(files.len() > 10, "the sources were not found");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_floor_test_sees_every_way_to_import() {
    let text = "
        use crate::{blob::Blob, talos::{self, arch::Arch}};
        use crate::plan;
        fn f() -> crate::sources::Error { crate::assemble::execute() }
        #[cfg(test)] mod tests { use crate::examine; }
    ";
    let seen: Vec<_> = imports(text).into_iter().collect();
    assert_eq!(seen, ["assemble", "blob", "plan", "sources", "talos"]);
}

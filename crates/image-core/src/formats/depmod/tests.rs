use super::*;
use crate::{
    formats::{
        Fault,
        kernel_module::fake::{Module as Fake, module},
    },
    tree::Node,
};

fn tree(files: &[(&str, Blob)]) -> Tree {
    let mut tree = Tree::new();
    for (path, content) in files {
        tree.insert(TreePath::new(path).unwrap(), Node::file(content.clone(), 0o644));
    }
    tree
}

fn fake(fake: &Fake<'_>) -> Blob {
    module(fake).into()
}

/// Something of everything depmod looks at.
fn zoo() -> Tree {
    let aliases = [
        "license=GPL",
        "alias=x-y",
        "alias=x-y",
        "alias=pci:v-[0-9a-f-]d*",
        "alias=bad]x",
        "alias=bad[y",
        "alias=zz",
        "softdep=pre: a-b",
        "weakdep=w-1",
        "none",
        "alias=",
        "=none",
    ];
    let nodes = [
        "alias=zz",
        "alias=char-major-10-1",
        "alias=devname:two",
        "alias=block-major-8-*",
        "alias=devname:three",
    ];
    let two = ["alias=block-major-9-3x", "alias=devname:u/v", "weakdep=w2 w3"];
    let exports = ["foo", "NAMESPACE", "bar"];
    tree(&[
        ("kernel/ns-a.ko", fake(&Fake { info: &aliases, exports: &exports, ..Fake::default() })),
        (
            "kernel/sums.ko",
            fake(&Fake { exports: &["c1", "c2"], sums: &["c1"], ..Fake::default() }),
        ),
        ("kernel/twice.ko", fake(&Fake { exports: &["dd"], ..Fake::default() })),
        ("kernel/again.ko", fake(&Fake { info: &nodes, exports: &["dd"], ..Fake::default() })),
        (
            "kernel/net/user.ko",
            fake(&Fake {
                info: &two,
                needs: &["dd", "bar", "c2", "c1", "printk", "own"],
                ..Fake::default()
            }),
        ),
        ("kernel/own.ko", fake(&Fake { exports: &["old"], ..Fake::default() })),
        ("extras/own.ko", fake(&Fake { exports: &["own"], needs: &["foo"], ..Fake::default() })),
        ("updates/own.ko", fake(&Fake { info: &["alias=unseen"], ..Fake::default() })),
        ("extras/deep/last.ko", fake(&Fake { needs: &["own"], ..Fake::default() })),
        ("build/passed-over.ko", "no module".into()),
        ("kernel/readme.txt", "no module".into()),
        (
            "modules.order",
            "kernel/net/user.ko\nkernel/twice.ko\nkernel/again.ko\n\
            kernel/net/user.ko\nkernel/none.ko\nkernel/twice.ko\n"
                .into(),
        ),
        ("modules.builtin", "kernel/b-1.ko\n\nkernel/b2.ko\nkernel/b2.ko\n".into()),
        (
            "modules.builtin.modinfo",
            "b_1.alias=q-w\0b_1.alias=q-w\0b2.alias=q-w\0\
            b2.softdep=pre: x\0b_1.license=GPL\0b2.alias=\0b2.alias=cut"
                .into(),
        ),
    ])
}

fn run(tree: &Tree) -> Result<BTreeMap<&'static str, Blob>> {
    let config = Config::parse("search extras built-in").unwrap();
    depmod(tree, "6.12.0", &config, NonZeroUsize::new(3).unwrap())
}

/// The expected files were written by depmod of kmod 34.2 from the same tree.
#[test]
fn files_are_those_of_kmod() {
    let files = run(&zoo()).unwrap();
    macro_rules! expected {
        ($($name:literal)*) => {
            [$(($name, &include_bytes!(concat!("../../../tests/golden/depmod/", $name))[..])),*]
        };
    }
    let expected = expected!(
        "modules.alias" "modules.alias.bin" "modules.builtin.alias.bin" "modules.builtin.bin"
        "modules.dep" "modules.dep.bin" "modules.devname" "modules.softdep" "modules.symbols"
        "modules.symbols.bin" "modules.weakdep"
    );
    assert_eq!(files.len(), expected.len());
    for (name, expected) in expected {
        let found = files[name].to_vec(1 << 20).unwrap();
        assert!(found == expected, "{name}: {}", String::from_utf8_lossy(&found));
    }
}

#[test]
fn no_modules_no_lists() {
    let files = run(&Tree::new()).unwrap();
    assert!(files["modules.dep"].is_empty() && files["modules.builtin.bin"].is_empty());
    assert_eq!(files["modules.dep.bin"].len(), 12);
}

#[test]
fn mistakes_name_the_module() {
    let error = |files: &[(&str, Blob)]| run(&tree(files)).unwrap_err();
    let needs =
        |gives, needs| fake(&Fake { exports: &[gives], needs: &[needs], ..Fake::default() });
    let circle = error(&[
        ("a.ko", needs("a", "b")),
        ("b.ko", needs("b", "c")),
        ("c.ko", needs("c", "b")),
        ("d.ko", needs("d", "a")),
    ]);
    let expected = "depmod: modules need each other: c.ko needs b.ko needs c.ko";
    assert_eq!(circle.to_string(), expected);
    let corrupt = error(&[("kernel/a.ko", "no ELF file".into())]).to_string();
    assert!(corrupt.starts_with("kernel module: kernel/a.ko: 11 bytes"), "{corrupt}");
    let alias = fake(&Fake { info: &["alias=ü"], ..Fake::default() });
    assert_eq!(error(&[("u.ko", alias)]).to_string(), "depmod: u.ko: the alias \"ü\" is not ASCII");
    let mut linked = Tree::new();
    linked.insert(TreePath::new("l.ko").unwrap(), Node::symlink("a.ko"));
    assert!(matches!(run(&linked).unwrap_err().fault(), Fault::Unsupported(_)));
}

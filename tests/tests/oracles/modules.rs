//! depmod of Debian's kmod, of the version that Talos uses, writes the files that ours does.

use super::*;
use image_core::formats::{
    compress::{self, Codec, Decoder, Method},
    depmod,
};
use std::{io::Read as _, num::NonZeroUsize};

/// What Talos's releases say to depmod.
const CONFIG: &str = "search extras built-in\n";

/// The files below a folder.
fn read(folder: &Path) -> Tree {
    let mut tree = Tree::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(inside) = folders.pop() {
        for entry in fs::read_dir(inside).unwrap() {
            let file = entry.unwrap().path();
            if file.is_dir() {
                folders.push(file);
                continue;
            }
            let inside = file.strip_prefix(folder).unwrap().to_str().unwrap();
            tree.insert(path(inside), Node::file(Blob::open(&file).unwrap(), 0o644));
        }
    }
    tree
}

/// Takes some modules elsewhere, some of them unpacked or packed anew, and doubles others.
fn shuffle(tree: &mut Tree) {
    let xz = tree.iter().map(|(path, ..)| path.clone());
    let xz: Vec<_> = xz.filter(|path| path.as_str().ends_with(".ko.xz")).collect();
    let dir = tempfile::tempdir().unwrap();
    for (number, from) in xz.iter().step_by(7).enumerate() {
        let packed = tree.file(from.as_str()).unwrap().clone();
        let mut plain = Vec::new();
        let mut decoder = Decoder::new(Codec::Xz, packed.reader(), 1 << 30).unwrap();
        decoder.read_to_end(&mut plain).unwrap();
        let plain = Blob::from(plain);
        let name = from.file_name().trim_end_matches(".xz");
        let mut put = |to: String, content: Blob| {
            tree.insert(path(&to), Node::file(content, 0o644));
        };
        match number % 4 {
            0 => put(format!("extras/{name}"), plain),
            1 => put(format!("updates/{name}"), plain),
            2 => {
                let mut spool = Spool::new(&Scratch::new(dir.path()));
                let zstd = Method::Zstd { level: 3 };
                let zstd = compress::compress(zstd, &plain, &mut spool, 1, &mut |_| ()).unwrap();
                put(format!("extras/deep/{name}.zst"), zstd);
                tree.remove(from);
            }
            _ => {
                put(format!("extras/{name}.xz"), packed);
                tree.remove(from);
            }
        }
    }
}

#[test]
fn depmod_writes_the_same_files() {
    for (arch, shuffled) in [("amd64", false), ("amd64", true), ("arm64", false), ("arm64", true)] {
        let modules = part(&format!("{arch}/modules"));
        let kernel = fs::read_dir(modules).unwrap().next().unwrap().unwrap();
        let name = kernel.file_name().into_string().unwrap();
        let mut tree = read(&kernel.path());
        if shuffled {
            shuffle(&mut tree);
        }
        let config = depmod::Config::parse(CONFIG).unwrap();
        let threads = NonZeroUsize::new(2).unwrap();
        let ours = depmod::depmod(&tree, &name, &config, threads).unwrap();
        assert_eq!(ours.len(), 11);

        let dir = tempfile::tempdir().unwrap();
        let inside = dir.path().join("lib/modules").join(&name);
        image_core::fake::write(&tree, &inside).unwrap();
        let conf = dir.path().join("depmod.conf");
        fs::write(&conf, CONFIG).unwrap();
        let mut command = Command::new(part("bin/depmod"));
        let said = finish(command.arg("-b").arg(dir.path()).arg("-C").arg(&conf).arg(&name));
        assert_eq!(String::from_utf8_lossy(&said.stderr), "", "depmod warns");
        for (file, content) in ours {
            let theirs = fs::read(inside.join(file)).unwrap();
            let same = content.to_vec(1 << 24).unwrap() == theirs;
            assert!(same, "{file} of {arch}, shuffled: {shuffled}");
        }
    }
}

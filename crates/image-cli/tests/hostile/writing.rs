//! Full disks, and builds that are killed.

use super::*;

#[test]
fn a_disk_that_is_full() {
    let rig = Rig::new();
    let (name, _) = rig.built("build iso");
    let good = fs::read(rig.out().join(&name)).unwrap();
    let limited = |line: &str| rig.in_shell("trap '' XFSZ; ulimit -f 100", line);
    // The name is taken by a good file, which has to survive; then it is free.
    for before in [vec![name.clone()], vec![]] {
        let output = limited("build iso");
        let said = refusal(&output);
        assert_eq!(output.status.code(), Some(6), "{said}");
        assert!(said.contains(&name) && said.contains("too large"), "{said}");
        assert_eq!(listing(&rig.out()), before);
        if !before.is_empty() {
            assert!(fs::read(rig.out().join(&name)).unwrap() == good);
            fs::remove_file(rig.out().join(&name)).unwrap();
        }
    }

    // A stream: a full device is an error, a reader who has seen enough is none.
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let output = rig.command("build iso --stdout").stdout(full).output().unwrap();
    let said = refusal(&output);
    assert_eq!(output.status.code(), Some(6), "{said}");
    assert!(said.contains("stdout") && said.contains("No space left"), "{said}");
    let mut reader = rig.command("build iso --stdout");
    let mut child = reader.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0), "{output:?}");
}

#[test]
fn a_build_that_is_killed_leaves_a_whole_file_or_none() {
    const KILLS: u32 = 12;
    let rig = Rig::new();
    let mut tree = Tree::new();
    tree.insert(path("big"), Node::file(Blob::zeros(96 << 20), 0o644));
    rig.put("big", cpio::archive(&tree, 0).unwrap());
    let line = "build metal-uki --initramfs {dir}/big";
    let start = Instant::now();
    let (name, _) = rig.built(line);
    let usual = start.elapsed();
    let good = fs::read(rig.out().join(&name)).unwrap();
    for kill in 0..KILLS {
        // Over no file, and over a good one.
        if kill % 2 == 0 {
            let _ = fs::remove_file(rig.out().join(&name));
        } else {
            fs::write(rig.out().join(&name), "an older one").unwrap();
        }
        let mut child = rig.command(line).stdout(Stdio::null()).spawn().unwrap();
        thread::sleep(usual * kill / KILLS);
        child.kill().unwrap();
        let finished = child.wait().unwrap().success();
        match (listing(&rig.out()).as_slice(), kill % 2) {
            ([], 0) => assert!(!finished),
            ([only], _) if *only == name => {
                let bytes = fs::read(rig.out().join(&name)).unwrap();
                let whole = bytes == good;
                assert!(whole || (kill % 2 == 1 && bytes == b"an older one"), "kill {kill}");
            }
            (other, _) => panic!("kill {kill}: {other:?}"),
        }
    }
}

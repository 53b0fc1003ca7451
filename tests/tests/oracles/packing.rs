//! Packed media: the tools that unpack them find what was not packed.

use super::*;
use std::{
    fs::File,
    io::Read,
    process::{Child, Stdio},
};

/// The same bytes, read side by side, not held.
fn same(one: &mut dyn Read, other: &mut dyn Read) -> bool {
    let (mut ours, mut theirs) = (vec![0; 1 << 20], vec![0; 1 << 20]);
    loop {
        let (mut a, mut b) = (one.take(1 << 20), other.take(1 << 20));
        let read = |from: &mut dyn Read, to: &mut Vec<u8>| {
            to.clear();
            from.read_to_end(to).unwrap()
        };
        let (len, other_len) = (read(&mut a, &mut ours), read(&mut b, &mut theirs));
        if len != other_len || ours != theirs {
            return false;
        }
        if len == 0 {
            return true;
        }
    }
}

fn unpacking(tool: &str, arguments: &[&str], file: &Path) -> Child {
    let mut command = Command::new(tool);
    command.args(arguments).arg(file).stdout(Stdio::piped()).spawn().unwrap()
}

#[test]
fn packed_disks_unpack_to_the_disk_that_is_not_packed() {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let made = |name: &str, packing: &str, threads: &str| {
        let format = format!("--out-format={packing}");
        let arguments = ["gcp", "--arch=amd64", "--bootloader=dual-boot", &format, "--threads"];
        build(&dir.path().join(name), &[&arguments[..], &[threads]].concat())
    };
    let raw = made("raw", "raw", "1");
    for (packing, decoder, arguments, test) in [
        (".zst", "zstd", "-dcq", "zstd"),
        (".xz", "xz", "-dcT2", "xz"),
        (".gz", "gzip", "-dc", "pigz"),
    ] {
        let one = made(&format!("one{packing}"), packing, "1");
        let many = made(&format!("many{packing}"), packing, "4");
        let equal = same(&mut File::open(&one).unwrap(), &mut File::open(&many).unwrap());
        assert!(equal, "{packing}: the number of threads changes its bytes");
        assert!(one.to_str().unwrap().ends_with(&format!("gcp-amd64.raw{packing}")));
        tool(test, &["-t".as_ref(), one.as_os_str()]);
        let mut child = unpacking(decoder, &[arguments], &one);
        let mut plain = File::open(&raw).unwrap();
        assert!(same(child.stdout.as_mut().unwrap(), &mut plain), "{packing}");
        assert!(child.wait().unwrap().success());
        let said = refused(&one);
        assert!(said.contains("a disk image, packed as ") && said.contains("unpack"), "{said}");
    }

    let archive = made("tar", ".tar.gz", "2");
    tool("gzip", &["-t".as_ref(), archive.as_os_str()]);
    let listing = text("tar", &["-tvzf".as_ref(), archive.as_os_str()]);
    let len = fs::metadata(&raw).unwrap().len();
    assert!(listing.starts_with("-rw-r--r-- 0/0 "), "{listing}");
    assert!(listing.contains(&format!(" {len} 1970-01-01 ")) && listing.ends_with(" disk.raw\n"));
    for tool_name in ["tar", "bsdtar"] {
        let to = dir.path().join(format!("by-{tool_name}"));
        fs::create_dir(&to).unwrap();
        tool(tool_name, &["-xzf".as_ref(), archive.as_os_str(), "-C".as_ref(), to.as_os_str()]);
        let disk = to.join("disk.raw");
        let mut found = File::open(&disk).unwrap();
        assert!(same(&mut found, &mut File::open(&raw).unwrap()), "{tool_name}");
        // It is as sparse as it was.
        assert!(fs::metadata(&disk).unwrap().blocks() * 512 < 200 * MIB, "{tool_name}");
        fs::remove_file(disk).unwrap();
    }
}

#[test]
fn packed_isos_and_ukis_unpack_to_themselves() {
    let dir = tempfile::tempdir().unwrap();
    let bsdcat = ("bsdcat", &[][..]);
    for medium in ["iso", "metal-uki"] {
        let plain = build(&dir.path().join(medium), &[medium, "--arch=amd64"]);
        for (packing, decoders) in [
            (".zst", [("zstd", &["-dc"][..]), bsdcat]),
            (".xz", [("xz", &["-dcT1"]), bsdcat]),
            (".gz", [("pigz", &["-dc"]), bsdcat]),
        ] {
            let format = format!("--out-format={packing}");
            let to = dir.path().join(format!("{medium}{packing}"));
            let packed = build(&to, &[medium, "--arch=amd64", &format]);
            for (tool, arguments) in decoders {
                let mut child = unpacking(tool, arguments, &packed);
                let mut plain = File::open(&plain).unwrap();
                assert!(same(child.stdout.as_mut().unwrap(), &mut plain), "{medium} {tool}");
                assert!(child.wait().unwrap().success());
            }
            assert!(refused(&packed).contains("unpack it first"));
        }
    }
}

/// What `inspect` says of a file it does not read.
fn refused(file: &Path) -> String {
    let output = system_tests::talos_image().arg("inspect").arg(file).output().unwrap();
    assert!(!output.status.success());
    String::from_utf8(output.stderr).unwrap()
}

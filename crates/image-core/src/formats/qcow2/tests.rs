use super::*;
use crate::{
    blob::{Blob, Extent, Scratch, Spool},
    formats::{
        Result,
        sample::{noise, text},
    },
};
use proptest::prelude::*;

fn options(cluster_size: u32, compression: Option<Compression>) -> Options {
    Options { cluster_size, compression }
}

fn made(disk: &Blob, options: Options, threads: usize) -> Result<Blob> {
    let dir = tempfile::tempdir().unwrap();
    let mut heard = 0;
    let mut spool = Spool::new(&Scratch::new(dir.path()));
    let image = image(disk, &options, &mut spool, threads, &mut |n| heard += n)?;
    assert_eq!(heard, disk.len());
    Ok(image)
}

fn back(file: &Blob, limit: u64) -> Result<Blob> {
    let dir = tempfile::tempdir().unwrap();
    read(file, &mut Spool::new(&Scratch::new(dir.path())), limit)
}

fn bytes(blob: &Blob) -> Vec<u8> {
    blob.to_vec(256 << 20).unwrap()
}

/// Data of all kinds at odd places, and a hole over many first-level entries.
fn disk() -> Blob {
    let parts = [
        text(100_001).into(),
        Blob::zeros(70_000),
        noise(300_000).into(),
        vec![0; 140_000].into(),
        text(5).into(),
        Blob::zeros((17 << 20) - 6),
        noise(66_000).into(),
        text(200_000).into(),
        Blob::zeros(300_000),
    ];
    let disk = Blob::concat(parts);
    disk.slice(0..disk.len() / SECTOR * SECTOR)
}

#[test]
fn what_is_written_reads_back_whatever_the_clusters() {
    let disk = disk();
    for (cluster, compression) in [
        (512, None),
        (8 << 10, None),
        (64 << 10, None),
        (2 << 20, None),
        (4 << 10, Some(Compression::Zlib)),
        (64 << 10, Some(Compression::Zlib)),
        (8 << 10, Some(Compression::Zstd)),
        (2 << 20, Some(Compression::Zstd)),
    ] {
        let options = options(cluster, compression);
        let image = made(&disk, options, 1).unwrap();
        assert!(is_image(&image.array::<4>(0).unwrap()));
        assert_eq!(image.len() % u64::from(cluster), 0);
        let read = back(&image, 1 << 30).unwrap();
        assert_eq!(read.len(), disk.len(), "{options:?}");
        assert!(bytes(&read) == bytes(&disk), "{options:?}");
        let hole =
            read.extents().any(|it| matches!(it, Extent::Hole { len, .. } if len > 12 << 20));
        assert!(hole, "{options:?}");
        let three = made(&disk, options, 3).unwrap();
        assert!(bytes(&three) == bytes(&image), "threads change bytes: {options:?}");
        if compression.is_some() {
            let error = back(&image, 65_536).unwrap_err().to_string();
            assert!(error.contains("what is compressed needs"), "{error}");
        }
    }
    let of = |compression| made(&disk, options(64 << 10, compression), 1).unwrap().len();
    // What does not compress stands as it is; what does is packed without gaps.
    assert!(of(Some(Compression::Zstd)) < 64 * 1024 * 14);
    assert!(of(Some(Compression::Zlib)) < of(None) - (5 << 16));
}

#[test]
fn large_empty_disks_are_some_kilobytes() {
    let image = made(&Blob::zeros(1 << 40), Options::default(), 1).unwrap();
    // Header, refcount table, refcounts, first level.
    assert_eq!(image.len(), 4 * (64 << 10));
    let read = back(&image, 0).unwrap();
    assert_eq!(read.extents().collect::<Vec<_>>(), [Extent::Hole { offset: 0, len: 1 << 40 }]);
}

#[test]
fn what_has_no_form_is_refused() {
    let parsed = |text| Options::parse(text).map_err(|error| error.to_string());
    assert_eq!(parsed(""), Ok(options(65_536, None)));
    assert_eq!(parsed("cluster_size=8k"), Ok(options(8192, None)));
    assert_eq!(
        parsed("compat=1.1,compression_type=zstd,cluster_size=2M,refcount_bits=16"),
        Ok(options(2 << 20, Some(Compression::Zstd)))
    );
    for (text, expected) in [
        (
            "cluster_size=3k",
            "the option cluster_size cannot be \"3k\"; it can be a power of two \
                             from 512 to 2M",
        ),
        (
            "cluster_size=4M",
            "the option cluster_size cannot be \"4M\"; it can be a power of two \
                             from 512 to 2M",
        ),
        (
            "compression_type=xz",
            "the option compression_type cannot be \"xz\"; it can be zlib or \
                                 zstd",
        ),
        ("compat=0.10", "the option compat cannot be \"0.10\"; it can be 1.1"),
        (
            "backing_file=x",
            "there is no option \"backing_file\" here; there are cluster_size, \
                            compression_type, compat and refcount_bits",
        ),
    ] {
        assert_eq!(parsed(text), Err(format!("qcow2: {expected}")));
    }
    let refused = |disk: &Blob, options: Options| made(disk, options, 1).unwrap_err().to_string();
    let default = Options::default();
    assert_eq!(refused(&Blob::empty(), default), "qcow2: a disk of 0 bytes: sectors have 512");
    assert_eq!(refused(&Blob::zeros(700), default), "qcow2: a disk of 700 bytes: sectors have 512");
    assert_eq!(
        refused(&Blob::zeros(1 << 40), options(512, None)),
        "qcow2: a disk of 1099511627776 bytes in clusters of 512: it needs clusters of 2048 bytes \
         at least"
    );
    let tiny = options(512, Some(Compression::Zlib));
    let expected = "qcow2: compressed clusters of 512 bytes, under 4096";
    assert_eq!(refused(&Blob::zeros(512), tiny), expected);
}

/// An image with `value` put at `at`.
fn with(at: usize, value: &[u8]) -> Blob {
    let disk = Blob::concat(["data".into(), Blob::zeros((64 << 20) - 4)]);
    let mut bytes = bytes(&made(&disk, Options::default(), 1).unwrap());
    bytes[at..at + value.len()].copy_from_slice(value);
    bytes.into()
}

#[test]
fn images_that_need_more_are_refused() {
    for (file, expected) in [
        (with(0, b"QFI "), "qcow2: no header"),
        (with(4, &[0, 0, 0, 9]), "qcow2: version 9 is not supported"),
        (with(15, &[1]), "qcow2: an image on top of another one is not supported"),
        (with(35, &[1]), "qcow2: an encrypted image is not supported"),
        (with(23, &[40]), "qcow2: at byte 20: there are no such clusters"),
        (with(24, &[255]), "qcow2: at byte 36: the first-level table is too long or too short"),
        (with(36, &[255]), "qcow2: at byte 36: the first-level table is too long or too short"),
        (with(79, &[4]), "qcow2: the set of features 0x4 is not supported"),
        (with(40, &[1]), "qcow2: at byte 72057594038124544: the file is cut off"),
    ] {
        assert_eq!(back(&file, 1 << 20).unwrap_err().to_string(), expected);
    }
    let whole = with(0, b"Q");
    assert_eq!(bytes(&back(&whole, 0).unwrap())[..6], *b"data\0\0");
    assert!(back(&whole.slice(0..whole.len() - 60_000), 0).is_ok());
    assert!(back(&whole.slice(0..whole.len() - 65_536), 0).is_err());
}

proptest! {
    #[test]
    fn damaged_images_never_panic(
        flips in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<proptest::sample::Index>(),
        compression in prop_oneof![Just(None), Just(Some(Compression::Zlib)), Just(Some(Compression::Zstd))],
    ) {
        let disk = Blob::concat([text(20_000).into(), Blob::zeros(12_768), noise(8192).into()]);
        let image = made(&disk, options(4096, compression), 1).unwrap();
        let mut bytes = bytes(&image);
        let metadata = bytes.len().min(5 * 4096);
        for (at, byte) in flips {
            let at = at.index(metadata);
            bytes[at] = byte;
        }
        bytes.truncate(bytes.len() - cut.index(4096));
        if let Ok(disk) = back(&bytes.into(), 1 << 20) {
            let _ = disk.slice(0..1 << 20).to_vec(1 << 20);
        }
    }
}

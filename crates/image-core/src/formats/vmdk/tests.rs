use super::*;
use crate::{
    blob::{Blob, Extent, Scratch, Spool},
    formats::{
        Result,
        sample::{noise, text},
    },
};
use proptest::prelude::*;

fn made(disk: &Blob, name: &str, threads: usize) -> Result<Blob> {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = Spool::new(&Scratch::new(dir.path()));
    let options = Options { name, adapter: "lsilogic", threads };
    let mut heard = 0;
    let image = image(disk, &options, &mut spool, &mut |n| heard += n)?;
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

/// Data of all kinds at odd places in tables 0 and 3, its length no whole grains.
fn disk() -> Blob {
    Blob::concat([
        text(100_001).into(),
        Blob::zeros(70_000),
        noise(300_000).into(),
        vec![0; 140_000].into(),
        Blob::zeros(70 << 20),
        text(3 << 20).into(),
        noise(65_839).into(),
    ])
}

#[test]
fn what_is_written_reads_back_whatever_the_threads() {
    let disk = disk();
    assert_eq!(disk.len() % SECTOR, 0);
    let image = made(&disk, "disk.vmdk", 1).unwrap();
    assert!(is_image(&image.array::<4>(0).unwrap()));
    assert!(bytes(&image) == bytes(&made(&disk, "disk.vmdk", 3).unwrap()));
    let read = back(&image, 1 << 30).unwrap();
    assert!(bytes(&read) == bytes(&disk));
    assert!(read.extents().any(|it| matches!(it, Extent::Hole { len, .. } if len > 69 << 20)));
    let error = back(&image, 1 << 20).unwrap_err().to_string();
    assert_eq!(
        error,
        "VMDK: what is compressed needs 65536 bytes, there is room for 0: 65536 too \
                       many"
    );
    // Noise is placed, not copied; grains of zeros are not there.
    let longest = image.extents().filter_map(|it| match it {
        Extent::Data { len, .. } => Some(len),
        Extent::Hole { .. } => None,
    });
    assert!(longest.filter(|&len| len == 65_535).count() >= 4);
    assert!(image.len() < 2 << 20);
}

#[test]
fn an_empty_disk_is_a_header_and_its_end() {
    let image = made(&Blob::zeros(1 << 40), "disk.vmdk", 1).unwrap();
    // 32768 tables of none.
    assert_eq!(image.len(), (128 + 1 + 256 + 1 + 1 + 1) * SECTOR);
    let read = back(&image, 0).unwrap();
    assert_eq!(read.extents().collect::<Vec<_>>(), [Extent::Hole { offset: 0, len: 1 << 40 }]);
}

#[test]
fn the_descriptor_says_what_is_in_it() {
    let descriptor = |disk: Blob| {
        let image = made(&disk, "talos disk.vmdk", 1).unwrap();
        let text = String::from_utf8(bytes(&image.slice(512..11 * 1024))).unwrap();
        text.trim_end_matches('\0').to_owned()
    };
    let one = descriptor(Blob::concat(["x".into(), Blob::zeros((1246 << 20) - 1)]));
    for line in [
        "# Disk DescriptorFile",
        "createType=\"streamOptimized\"",
        "RW 2551808 SPARSE \"talos disk.vmdk\"",
        "ddb.adapterType = \"lsilogic\"",
        "ddb.geometry.cylinders = \"159\"",
    ] {
        assert!(one.lines().any(|it| it == line), "no {line:?} in {one}");
    }
    let id =
        |text: &str| text.lines().find_map(|line| line.strip_prefix("CID=")).unwrap().to_owned();
    let long = one.lines().find(|line| line.starts_with("ddb.longContentID")).unwrap();
    assert!(long.ends_with(&format!("{}\"", id(&one))) && long.len() == 21 + 33, "{long}");
    let other = descriptor(Blob::concat(["y".into(), Blob::zeros((1246 << 20) - 1)]));
    assert_ne!(id(&one), id(&other), "content makes the identifier");
}

#[test]
fn what_has_no_form_is_refused() {
    let refused = |len, name| made(&Blob::zeros(len), name, 1).unwrap_err().to_string();
    assert_eq!(refused(0, "a"), "VMDK: a disk of 0 bytes: sectors have 512");
    assert_eq!(refused(1000, "a"), "VMDK: a disk of 1000 bytes: sectors have 512");
    assert_eq!(
        refused(512, "a\"b"),
        "VMDK: the name \"a\\\"b\": it can have printable ASCII without quotes"
    );
}

#[test]
fn disks_that_are_not_compressed_are_ranges_of_the_file() {
    let header = header::Header {
        capacity: 1024,
        grain: 128,
        directory: 1,
        overhead: 128,
        descriptor: (0, 0),
        compressed: true,
        zero_grains: false,
    };
    let mut bytes = header.to_sector().to_vec();
    // No flags but that an entry of 1 is zeros; no compression.
    bytes[8..12].copy_from_slice(&4u32.to_le_bytes());
    bytes[77..79].fill(0);
    bytes.resize(192 << 10, 0);
    bytes[512..516].copy_from_slice(&2u32.to_le_bytes());
    bytes[1024..1036].copy_from_slice(&[256u32, 1, 128].map(u32::to_le_bytes).concat());
    bytes[64 << 10..][..6].copy_from_slice(b"second");
    bytes[128 << 10..][..5].copy_from_slice(b"first");
    let disk = back(&bytes.clone().into(), 0).unwrap();
    assert_eq!(disk.len(), 512 << 10);
    let start = |at| disk.slice(at..at + 6).to_vec(6).unwrap();
    assert_eq!(
        [start(0), start(64 << 10), start(128 << 10)],
        [b"first\0".to_vec(), vec![0; 6], b"second".to_vec()]
    );
    bytes[1024..1028].copy_from_slice(&300u32.to_le_bytes());
    assert_eq!(
        back(&bytes.into(), 0).unwrap_err().to_string(),
        "VMDK: at byte 153600: a grain is cut off"
    );
}

proptest! {
    #[test]
    fn damaged_disks_never_panic(
        flips in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<proptest::sample::Index>(),
    ) {
        let disk = Blob::concat([text(70_000).into(), Blob::zeros((64 << 20) + 80), "x".into()]);
        let disk = disk.padded_to(512);
        let mut bytes = bytes(&made(&disk, "x", 1).unwrap());
        // Without the descriptor, where nothing is read.
        let (head, tail) = (512, bytes.len() - (64 << 10));
        for (at, byte) in flips {
            let at = at.index(head + tail);
            bytes[if at < head { at } else { at - head + (64 << 10) }] = byte;
        }
        bytes.truncate(bytes.len() - cut.index(1024));
        if let Ok(disk) = back(&bytes.into(), 1 << 24) {
            let _ = disk.slice(0..1 << 20).to_vec(1 << 20);
        }
    }
}

use super::*;
use crate::formats::sample::noise;
use crate::{
    blob::Scratch,
    formats::compress::{Codec, Decoder, decompress},
};
use proptest::prelude::*;
use std::io::Read;

const METHODS: [Method; 5] = [
    Method::Gzip { level: 6 },
    Method::Xz { preset: 0, extreme: false },
    Method::Xz { preset: 6, extreme: true },
    Method::Zstd { level: 3 },
    Method::Zstd { level: 18 },
];

/// Text-like bytes that compress, but not to nothing.
fn text(len: usize) -> Vec<u8> {
    noise(len).iter().map(|&byte| b"etaoin shrdlu\n"[usize::from(byte >> 4) % 14]).collect()
}

fn packed(method: Method, image: &Blob, threads: usize) -> Blob {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = Spool::new(&Scratch::new(dir.path()));
    let mut read = 0;
    let blob = compress_sparse(method, image, &mut spool, threads, &mut |n| read += n).unwrap();
    assert_eq!(read, image.len());
    blob
}

fn unpacked(codec: Codec, packed: &Blob, limit: u64) -> Blob {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = Spool::new(&Scratch::new(dir.path()));
    decompress(codec, packed, &mut spool, limit).unwrap()
}

fn bytes(blob: &Blob) -> Vec<u8> {
    blob.to_vec(1 << 30).unwrap()
}

#[test]
fn a_disk_image_unpacks_to_itself_and_is_stored_where_it_does_not_compress() {
    let noise = noise((5 << 20) + 77);
    let image = Blob::concat([
        Blob::from(text(100_000)),
        Blob::zeros((17 << 20) + 5),
        Blob::from(noise.clone()),
        Blob::from(text(1 << 20)),
        Blob::zeros(3 << 20),
        Blob::from(text(300_000)),
        Blob::zeros(77),
    ]);
    let whole = bytes(&image);
    for method in METHODS {
        let codec = method.codec();
        let packed = packed(method, &image, 2);
        assert!(bytes(&unpacked(codec, &packed, image.len())) == whole, "{method:?}");
        // The text takes half, zeros a thousandth, the noise as much as it is.
        let most = noise.len() + (750 << 10) + (57 << 10) + (40 << 10);
        assert!(packed.len() < most as u64, "{method:?}: {}", packed.len());
        // The noise was not copied.
        let inside = image.slice(20 << 20..(20 << 20) + 1000);
        assert!(packed.position_of(&inside).is_some(), "{method:?}");
    }
}

#[test]
fn empty_and_tiny_images_and_those_of_zeros_alone() {
    for method in METHODS {
        let small = [Blob::empty(), Blob::from("x"), Blob::zeros(1), Blob::zeros(WINDOW * 2 + 1)];
        for image in small {
            let packed = packed(method, &image, 1);
            assert_eq!(Codec::detect(&bytes(&packed)), Some(method.codec()));
            assert!(bytes(&unpacked(method.codec(), &packed, image.len())) == bytes(&image));
        }
    }
}

#[test]
fn gzip_is_one_member_and_xz_is_one_stream() {
    let parts = [text(70_000), vec![0; 200_000], noise(200_000)].map(Blob::from);
    let image = Blob::concat(parts);
    for method in &METHODS[..3] {
        let packed = packed(*method, &image, 1);
        let mut decoder = Decoder::new(method.codec(), packed.reader(), image.len()).unwrap();
        io::copy(&mut decoder, &mut io::sink()).unwrap();
        assert_eq!(decoder.consumed(), packed.len());
    }
}

#[test]
fn a_flipped_byte_is_found_wherever_it_is() {
    let image = Blob::concat([text(66_000).into(), Blob::zeros(200_000), noise(66_000).into()]);
    for method in METHODS {
        let packed = bytes(&packed(method, &image, 1));
        let mut found = 0;
        let places = (0..packed.len()).step_by(packed.len() / 100);
        for at in places.clone() {
            let mut damaged = packed.clone();
            damaged[at] ^= 0x10;
            let mut out = Vec::new();
            let mut rest = &damaged[..];
            let whole = loop {
                if rest.is_empty() {
                    break out == bytes(&image);
                }
                let Ok(mut decoder) = Decoder::new(method.codec(), rest, image.len()) else {
                    break false;
                };
                if decoder.read_to_end(&mut out).is_err() {
                    break false;
                }
                rest = &rest[usize::try_from(decoder.consumed()).unwrap()..];
            };
            found += usize::from(!whole);
        }
        // gzip's header has bytes nothing depends on.
        assert!(found + 1 >= places.count(), "{method:?}");
    }
}

#[derive(Clone, Debug)]
enum Part {
    Text(usize),
    Noise(usize),
    Hole(u64),
}

fn part() -> impl Strategy<Value = Part> {
    prop_oneof![
        (0usize..300_000).prop_map(Part::Text),
        (0usize..300_000).prop_map(Part::Noise),
        (0u64..300_000).prop_map(Part::Hole),
        (0u64..2).prop_map(|windows| Part::Hole(windows * WINDOW)),
        (0u64..3).prop_map(|grains| Part::Hole(grains * GRAIN as u64)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6))]

    #[test]
    fn any_image_unpacks_to_itself_and_only_its_bytes_count(
        parts in proptest::collection::vec(part(), 0..8),
        threads in 0usize..5,
    ) {
        let image = Blob::concat(parts.iter().map(|part| match part {
            Part::Text(len) => text(*len).into(),
            Part::Noise(len) => noise(*len).into(),
            Part::Hole(len) => Blob::zeros(*len),
        }));
        let whole = bytes(&image);
        // Known to be zeros or not, in one piece or many: the same.
        let plain = Blob::from(whole.clone());
        for method in METHODS {
            let one = packed(method, &image, threads);
            prop_assert!(bytes(&unpacked(method.codec(), &one, image.len())) == whole);
            prop_assert!(bytes(&packed(method, &plain, 1)) == bytes(&one));
        }
    }
}

use super::*;
use crate::formats::Fault;
use proptest::prelude::*;
use std::sync::OnceLock;
use uuid::uuid;

const MIB: u64 = 1 << 20;
const ESP: Uuid = uuid!("c12a7328-f81f-11d2-ba4b-00a0c93ec93b");
const LINUX: Uuid = uuid!("0fc63daf-8483-4772-8e79-3d69d8477de4");

fn partition(name: &str, size: u64, content: impl Into<Blob>) -> Partition {
    Partition {
        type_guid: if name == "EFI" { ESP } else { LINUX },
        guid: Uuid::from_u128(
            name.bytes().fold(1, |id: u128, byte| id.rotate_left(8) ^ u128::from(byte)),
        ),
        name: name.to_owned(),
        attributes: u64::from(name == "BIOS") << 2,
        start: None,
        size,
        content: content.into(),
    }
}

fn example(sector_size: u32) -> Disk {
    Disk {
        guid: uuid!("d92d45b3-cde9-8760-be9f-a2a71fac8d11"),
        sector_size,
        size: 16 * MIB,
        partitions: vec![
            partition("EFI", 5 * MIB + 4096, "esp"),
            partition("BIOS", MIB, "bios"),
            partition("META", MIB, vec![7; 1 << 20]),
            partition("Ünïcödé name of thirty-six chars ok", 2 * MIB, ""),
        ],
    }
}

fn same(found: &Disk, disk: &Disk) {
    assert_eq!((found.guid, found.sector_size), (disk.guid, disk.sector_size));
    assert_eq!((found.size, found.partitions.len()), (disk.size, disk.partitions.len()));
    for (found, part) in found.partitions.iter().zip(&disk.partitions) {
        assert_eq!((found.type_guid, found.guid), (part.type_guid, part.guid));
        assert_eq!((&found.name, found.attributes), (&part.name, part.attributes));
        assert_eq!(found.size, part.size);
        let rest = Blob::zeros(part.size - part.content.len());
        let content = Blob::concat([part.content.clone(), rest]);
        assert_eq!(found.content.digest().unwrap(), content.digest().unwrap());
    }
}

#[test]
fn what_was_laid_out_is_found_again() {
    for sector_size in [512, 4096] {
        let example = example(sector_size);
        let found = read(&disk(&example).unwrap()).unwrap();
        assert_eq!(found.flaws, [""; 0]);
        assert_eq!(found.numbers, [1, 2, 3, 4]);
        same(&found.disk, &example);
        let starts: Vec<_> =
            found.disk.partitions.iter().map(|part| part.start.unwrap() / MIB).collect();
        assert_eq!(starts, [1, 7, 8, 9]);
        // What was read can be laid out again, to the same bytes.
        let again = disk(&found.disk).unwrap();
        assert_eq!(again.digest().unwrap(), disk(&example).unwrap().digest().unwrap());
    }
}

#[test]
fn bytes_stand_where_the_specification_says() {
    let blob = disk(&example(512)).unwrap();
    let mbr: [u8; 512] = blob.array(0).unwrap();
    assert_eq!(mbr[446..462], [0, 0, 2, 0, 0xee, 0xff, 0xff, 0xff, 1, 0, 0, 0, 0xff, 0x7f, 0, 0]);
    assert_eq!(mbr[510..], [0x55, 0xaa]);
    let header: [u8; 92] = blob.array(512).unwrap();
    assert_eq!(header[..16], *b"EFI PART\0\0\x01\0\x5c\0\0\0");
    assert_eq!(header[24..48], [1u64, 32_767, 34].map(u64::to_le_bytes).concat());
    // Mixed-endian: the first three fields are turned round.
    assert_eq!(header[56..64], [0xb3, 0x45, 0x2d, 0xd9, 0xe9, 0xcd, 0x60, 0x87]);
    let entry: [u8; 128] = blob.array(1024).unwrap();
    assert_eq!(entry[..4], [0x28, 0x73, 0x2a, 0xc1]);
    assert_eq!(entry[32..48], [2048u64, 2048 + 10_240 + 7].map(u64::to_le_bytes).concat());
    assert_eq!(entry[56..64], *b"E\0F\0I\0\0\0");
    assert_eq!(blob.array::<8>(16 * MIB - 512).unwrap(), *b"EFI PART");
    assert_eq!(blob.array::<128>(16 * MIB - 512 - 128 * 128).unwrap(), entry);
}

#[test]
fn either_table_is_enough_and_the_other_is_reported() {
    let example = example(4096);
    let whole = disk(&example).unwrap().to_vec(16 * MIB).unwrap();
    let damaged = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        read(&bytes.into()).unwrap()
    };
    for (at, flaw) in [
        (4096 + 57, "the primary table is damaged: at byte 4096: the header's checksum is wrong"),
        (8192 + 57, "the primary table is damaged: at byte 4096: the entries' checksum is wrong"),
        ((16 << 20) - 4096, "the backup table is damaged: at byte 16773120: no partition table"),
        ((16 << 20) - 20_480, "the backup table is damaged: at byte 16773120: the entries'"),
    ] {
        let found = damaged(at);
        assert_eq!(found.flaws.len(), 1);
        assert!(found.flaws[0].starts_with(flaw), "{:?}", found.flaws);
        same(&found.disk, &example);
    }
    let longer = Blob::concat([whole.clone().into(), Blob::zeros(4096)]);
    assert_eq!(read(&longer).unwrap().flaws, ["the backup table is not at the end of the disk"]);
    let none = read(&Blob::zeros(MIB)).unwrap_err();
    assert_eq!(none.to_string(), "GPT: at byte 512: no partition table");
}

#[test]
fn what_does_not_fit_is_refused() {
    let with = |change: &dyn Fn(&mut Disk)| {
        let mut example = example(512);
        change(&mut example);
        disk(&example).err().unwrap()
    };
    let small = with(&|disk| disk.size = 10 * MIB);
    match small.fault() {
        Fault::TooLarge { need, have, .. } => {
            assert_eq!((*need, *have), (11 * MIB + 33 * 512, 10 * MIB));
        }
        _ => panic!("{small}"),
    }
    let content = with(&|disk| disk.partitions[1].content = Blob::zeros(MIB + 1));
    assert!(content.to_string().contains("\"BIOS\" needs 1048577 bytes"), "{content}");
    for change in [
        (&|disk: &mut Disk| disk.partitions[0].size += 1) as &dyn Fn(&mut Disk),
        &|disk| disk.partitions[0].size = 0,
        &|disk| disk.partitions[2].size = u64::MAX - 511,
        &|disk| disk.partitions[1].start = Some(2 * MIB),
        &|disk| disk.partitions[0].start = Some(512),
        &|disk| disk.partitions[0].name = "x".repeat(37),
        &|disk| disk.partitions[0].type_guid = Uuid::nil(),
        &|disk| disk.partitions = vec![partition("a", 512, ""); 129],
        &|disk| disk.sector_size = 1000,
        &|disk| disk.size += 1,
    ] {
        assert!(matches!(with(change).fault(), Fault::Invalid(_)), "{}", with(change));
    }
}

proptest! {
    #[test]
    fn hostile_bytes_never_panic(
        flips in proptest::collection::vec((0usize..1_400, any::<u8>()), 1..6),
        mend in any::<bool>(),
        len in 0usize..(3 << 20),
    ) {
        static SOUND: OnceLock<Vec<u8>> = OnceLock::new();
        let sound = SOUND.get_or_init(|| {
            let mut example = example(512);
            example.partitions.truncate(1);
            example.size = 8 * MIB;
            disk(&example).unwrap().to_vec(8 * MIB).unwrap()
        });
        let mut bytes = sound.clone();
        for (at, byte) in flips {
            bytes[at] = byte;
        }
        // Checksums are no defence against who can compute them.
        if mend {
            let crc = |bytes: &[u8]| {
                let mut crc = flate2::Crc::new();
                crc.update(bytes);
                crc.sum().to_le_bytes()
            };
            let entries = crc(&bytes[1024..1024 + 128 * 128]);
            bytes[512 + 88..][..4].copy_from_slice(&entries);
            bytes[512 + 16..][..4].fill(0);
            let header = crc(&bytes[512..512 + 92]);
            bytes[512 + 16..][..4].copy_from_slice(&header);
        }
        let _ = read(&bytes.clone().into());
        bytes.truncate(len);
        let _ = read(&bytes.into());
    }
}

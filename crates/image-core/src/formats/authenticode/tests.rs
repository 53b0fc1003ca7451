use super::*;
use crate::{
    formats::{
        certificate::fake::{Fake, certificate, ecdsa, rsa},
        pe::{Machine, fake},
    },
    signature::{self, PublicKey, Request, Signer},
};
use proptest::prelude::*;

/// With a section of so many bytes.
fn program_of(len: usize) -> Blob {
    let code = fake::return_success(Machine::Amd64);
    fake::image(Machine::Amd64, &[(".text", code), (".linux", &vec![3; len])]).into()
}

fn program() -> Blob {
    program_of(7_001)
}

fn signed_by(signer: &Fake) -> Blob {
    sign("the UKI", &program(), &certificate("Boot", signer), signer).unwrap()
}

fn bytes(blob: &Blob) -> Vec<u8> {
    blob.to_vec(1 << 20).unwrap()
}

#[test]
fn the_same_input_gets_the_same_bytes() {
    // Longer than what is read at a time.
    let program = program_of(600_001);
    let of = |signer: &Fake| {
        let signed = sign("the UKI", &program, &certificate("Boot", signer), signer).unwrap();
        assert!(verify(&signed, &[]).is_ok_and(|verdict| verdict != Verdict::Broken));
        signed.digest().unwrap().hex()
    };
    assert_eq!(
        digest(&program).unwrap().hex(),
        "f4dafa4272ea6cf5b580ef863e7e2ce545c5b93a6e01e0cedd3892efe93fd5b1"
    );
    assert_eq!(of(&rsa()), "5beb06c1e53c64f8e938330bed9214406cdb0e562bbbda12f43e65884e459e9c");
    assert_eq!(of(&ecdsa(7)), "2edb7934630616350e798ad67d964db263035f3870e59eaa91fac75a3e0ab591");
}

#[test]
fn what_is_signed_is_valid_and_what_is_altered_is_not() {
    for signer in [rsa(), ecdsa(7)] {
        let ours = certificate("Boot", &signer);
        let other = certificate("Other", &ecdsa(9));
        let signed = signed_by(&signer);
        let trusted = [other.clone(), ours.clone()];
        assert_eq!(verify(&signed, &trusted).unwrap(), Verdict::Valid(ours.clone()));
        assert_eq!(digest(&signed).unwrap(), digest(&program()).unwrap());
        assert_eq!(verify(&signed, &[other]).unwrap(), Verdict::WrongKey { signer: ours.clone() });
        assert_eq!(verify(&program(), &trusted).unwrap(), Verdict::Unsigned);
        let [signature] = &*signatures(&signed).unwrap() else { panic!() };
        assert_eq!(signature.signer.as_ref(), Some(&ours));
        assert_eq!(signature.digest, digest(&signed).unwrap());

        // Every byte before the table is under the signature, but for the checksum.
        let whole = bytes(&signed);
        let places = Image::parse(&signed).unwrap().places().unwrap();
        let end = usize::try_from(places.table.start).unwrap();
        for at in (0..end).step_by(97).chain(0x80..0x180) {
            let mut altered = whole.clone();
            altered[at] ^= 1;
            let verdict = verify(&altered.into(), &trusted);
            let checksum = (places.checksum..places.checksum + 4).contains(&(at as u64));
            assert_eq!(matches!(verdict, Ok(Verdict::Valid(_))), checksum, "{at}: {verdict:?}");
        }
        let mut altered = whole;
        altered[0x1000] ^= 1;
        let verdict = verify(&altered.into(), &trusted).unwrap();
        assert!(matches!(verdict, Verdict::WrongDigest { .. }), "{verdict:?}");
    }
}

#[test]
fn another_program_under_the_same_signature_is_broken() {
    // The digest in the content is that of what was signed instead; the attributes tell.
    let whole = bytes(&signed_by(&ecdsa(7)));
    let digest = *digest(&program()).unwrap().as_bytes();
    let at = whole.windows(32).position(|window| window == digest).unwrap();
    let mut altered = whole;
    altered[at] ^= 1;
    let trusted = [certificate("Boot", &ecdsa(7))];
    assert_eq!(verify(&altered.into(), &trusted).unwrap(), Verdict::Broken);
}

#[test]
fn the_file_grows_by_a_table_and_is_patched_in_two_places() {
    let mut odd = bytes(&program());
    odd.extend(b"123");
    let key = ecdsa(7);
    let signed = sign("it", &odd.clone().into(), &certificate("Boot", &key), &key).unwrap();
    let places = Image::parse(&signed).unwrap().places().unwrap();
    assert_eq!(places.table.start, odd.len() as u64 + 5);
    assert_eq!(places.table.end % 8, 0);
    let signed = bytes(&signed);
    let differ: Vec<_> = (0..odd.len()).filter(|&at| odd[at] != signed[at]).collect();
    let expected = |at: &usize| {
        let at = *at as u64;
        (places.checksum..places.checksum + 4).contains(&at)
            || (places.directory..places.directory + 8).contains(&at)
    };
    assert!(differ.iter().all(expected), "{differ:?}");
    assert_eq!(signed[odd.len()..odd.len() + 5], [0; 5]);

    // As the specification has it: the sum of words without the field itself, and the length.
    let field = usize::try_from(places.checksum).unwrap();
    let mut without = signed.clone();
    without[field..field + 4].fill(0);
    let sum = without.chunks_exact(2).fold(0u32, |sum, word| {
        let sum = sum + u32::from(u16::from_le_bytes([word[0], word[1]]));
        (sum & 0xffff) + (sum >> 16)
    });
    let sum = sum + u32::try_from(signed.len()).unwrap();
    assert_eq!(signed[field..field + 4], sum.to_le_bytes());
}

/// Says it has the key, and answers with this.
#[derive(Debug)]
struct Answers(Fake, Option<&'static [u8]>);

impl Signer for Answers {
    fn public_key(&self) -> &PublicKey {
        self.0.public_key()
    }

    fn sign(&self, request: &Request<'_>) -> Result<Vec<u8>, signature::Error> {
        let awaited = || signature::Error::Awaited(request.what.to_owned());
        self.1.map(<[u8]>::to_vec).ok_or_else(awaited)
    }
}

#[test]
fn what_cannot_be_signed_is_refused_and_said() {
    let signer = ecdsa(7);
    let ours = certificate("Boot", &signer);
    let refuse = |image: &Blob, certificate: &Certificate, signer: &dyn Signer| {
        sign("the UKI", image, certificate, signer).unwrap_err().to_string()
    };
    assert_eq!(
        refuse(&signed_by(&signer), &ours, &signer),
        "Authenticode: the UKI is signed already by CN=Boot, O=Example: give it without a signature"
    );
    assert_eq!(
        refuse(&program(), &certificate("Other", &ecdsa(8)), &signer),
        "Authenticode: the certificate of CN=Other, O=Example is for another key: give the key's own"
    );

    let error = refuse(&program(), &ours, &Answers(ecdsa(7), Some(b"rubbish")));
    assert!(error.contains("does not hold under the certificate of CN=Boot"), "{error}");
    let error = refuse(&program(), &ours, &Answers(ecdsa(7), None));
    assert_eq!(error, "Authenticode: the signature of the UKI is not there yet");

    // A byte between two sections is hashed by some readers and not by others.
    let mut gap = fake::stub(Machine::Amd64);
    let row = gap.windows(8).position(|name| name == b".sdmagic").unwrap();
    let raw_offset = u32::from_le_bytes(gap[row + 20..row + 24].try_into().unwrap()) + 0x200;
    gap[row + 20..row + 24].copy_from_slice(&raw_offset.to_le_bytes());
    gap.resize(gap.len() + 0x200, 0);
    assert!(refuse(&gap.into(), &ours, &signer).contains("between its sections"));
}

#[test]
fn tables_that_are_not_where_they_should_be_are_refused() {
    let whole = bytes(&signed_by(&ecdsa(7)));
    let places = Image::parse(&whole.clone().into()).unwrap().places().unwrap();
    let (start, len) = (places.table.start, places.table.end - places.table.start);
    let with = |start: u64, len: u64, certificate_len: Option<u32>| {
        let mut altered = whole.clone();
        let directory = usize::try_from(places.directory).unwrap();
        altered[directory..directory + 4].copy_from_slice(&start.to_le_bytes()[..4]);
        altered[directory + 4..directory + 8].copy_from_slice(&len.to_le_bytes()[..4]);
        if let Some(len) = certificate_len {
            let table = usize::try_from(places.table.start).unwrap();
            altered[table..table + 4].copy_from_slice(&len.to_le_bytes());
        }
        signatures(&altered.into()).unwrap_err().to_string()
    };
    assert!(with(start, len + 8, None).contains("it ends at byte"));
    assert!(with(start, len - 8, None).contains("under no signature"));
    assert!(with(start + 8, u64::from(u32::MAX), None).contains("it ends at byte"));
    assert!(with(start + 4, len - 4, None).contains("is no place for it"));
    assert!(with(8, start + len - 8, None).contains("is no place for it"));
    assert!(with(start - 0x1000, len + 0x1000, None).contains("the last section ends at"));
    for wrong in [0, 7, u32::MAX, u32::try_from(len).unwrap() + 1] {
        let error = with(start, len, Some(wrong));
        assert!(error.contains("certificate: a length of"), "{wrong}: {error}");
    }
}

proptest! {
    #[test]
    fn hostile_programs_never_panic(
        flips in proptest::collection::vec((0usize..0x400, any::<u8>()), 1..4),
        deep in proptest::collection::vec((0usize..2000, any::<u8>()), 0..4),
        cut in 0usize..3000,
    ) {
        let signer = ecdsa(7);
        let ours = certificate("Boot", &signer);
        let small = Blob::from(fake::stub(Machine::Arm64));
        let mut whole = bytes(&sign("it", &small, &ours, &signer).unwrap());
        let len = whole.len();
        for (at, byte) in flips {
            whole[at] = byte;
        }
        for (at, byte) in deep {
            whole[len - 1 - at] = byte;
        }
        whole.truncate(len - cut.saturating_sub(1000));
        let file = Blob::from(whole);
        let _ = verify(&file, std::slice::from_ref(&ours));
        let _ = digest(&file);
        let _ = sign("it", &file, &ours, &signer);
    }
}

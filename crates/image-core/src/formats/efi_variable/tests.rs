use super::*;
use crate::{
    blob::Digest,
    formats::certificate::fake::{certificate, ecdsa, rsa},
};
use proptest::prelude::*;

const OWNER: Uuid = uuid!("77fa9abd-0359-4d32-bd60-28f4e78f784b");

fn entries() -> Vec<Entry> {
    let hash = |text: &[u8]| Entry { owner: OWNER, data: Data::Sha256(Digest::of(text)) };
    let other = Data::Other { kind: OWNER, bytes: b"what".to_vec() };
    vec![
        Entry::certificate(OWNER, &certificate("Boot", &rsa())),
        Entry::certificate(Uuid::nil(), &certificate("Other", &ecdsa(1))),
        hash(b"a"),
        hash(b"b"),
        Entry { owner: OWNER, data: other },
    ]
}

#[test]
fn lists_are_read_as_they_were_written() {
    let lists = write(&entries()).unwrap();
    assert_eq!(read(&lists).unwrap(), entries());
    let certificates = certificates(&entries());
    assert_eq!(certificates.len(), 2);
    // The two hashes share a list.
    let lens = certificates.iter().map(|certificate| certificate.der().len() + 16);
    let expected = lens.sum::<usize>() + 4 * 28 + 2 * 48 + 20;
    assert_eq!(lists.len(), expected);
    for len in 1..lists.len() {
        if let Ok(fewer) = read(&lists[..len]) {
            assert!(entries().starts_with(&fewer) && fewer.len() < 5, "{len}");
        }
    }
}

#[test]
fn the_same_input_gets_the_same_bytes() {
    let content = write(&entries()[..2]).unwrap();
    let of = |signer: &dyn crate::signature::Signer| {
        let ours = certificate("Boot", signer);
        let auth = sign(Variable::Database, &content, 1_559_424_892, &ours, signer).unwrap();
        Digest::of(&auth).hex()
    };
    assert_eq!(of(&rsa()), "9baa336a82e048cdadf16f3f918fb4f92c161871aca14c79b37f6b056df32896");
    assert_eq!(of(&ecdsa(7)), "ca52b6bce9059c0c83d7d01cf8bd57ce4e3fe022af6e50e05ccff022c9112e4c");
}

#[test]
fn an_order_holds_for_its_variable_time_and_content_alone() {
    let signer = rsa();
    let ours = certificate("Boot", &signer);
    let content = write(&entries()).unwrap();
    let time = 1_735_689_599;
    let auth = sign(Variable::Database, &content, time, &ours, &signer).unwrap();
    let update = Update::read(&auth).unwrap();
    assert_eq!((update.time, &update.content), (time, &content));
    let trusted = [ours.clone()];
    let verdict = |update: &Update, variable| update.verify(variable, &trusted).unwrap();
    assert_eq!(verdict(&update, Variable::Database), Verdict::Valid(ours.clone()));
    assert_eq!(verdict(&update, Variable::KeyExchangeKey), Verdict::Broken);
    let other = certificate("Other", &ecdsa(1));
    let wrong = update.verify(Variable::Database, &[other]).unwrap();
    assert_eq!(wrong, Verdict::WrongKey { signer: ours.clone() });
    for at in [5, auth.len() - 1] {
        let mut altered = auth.clone();
        altered[at] ^= 1;
        let altered = Update::read(&altered).unwrap();
        assert_eq!(verdict(&altered, Variable::Database), Verdict::Broken, "{at}");
    }
    let error = sign(Variable::PlatformKey, &content, u64::MAX, &ours, &signer).unwrap_err();
    assert!(error.to_string().contains("the last that fits is 9999"), "{error}");
    let error = sign(Variable::PlatformKey, &content, 0, &ours, &ecdsa(1)).unwrap_err();
    assert!(error.to_string().contains("is for another key"), "{error}");
}

#[test]
fn what_is_no_order_is_said() {
    let signer = ecdsa(7);
    let auth = sign(Variable::PlatformKey, b"", 0, &certificate("Boot", &signer), &signer).unwrap();
    let refuse = |bytes: &[u8]| Update::read(bytes).unwrap_err().to_string();
    for len in 0..auth.len() {
        assert!(refuse(&auth[..len]).contains("is cut short"), "{len}");
    }
    let with = |at: usize, byte| {
        let mut altered = auth.clone();
        altered[at] = byte;
        refuse(&altered)
    };
    assert!(with(2, 13).contains("no such time"));
    assert!(with(22, 0).contains("no signed variable"));
    assert!(with(24, 0).contains("no signed variable"));
    assert!(with(40, 0).contains("the tag is 0x00"));
}

proptest! {
    #[test]
    fn hostile_bytes_never_panic(
        flips in proptest::collection::vec((0usize..900, any::<u8>()), 1..4),
        rubbish in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let signer = ecdsa(7);
        let ours = certificate("Boot", &signer);
        let content = write(&entries()[2..]).unwrap();
        let mut auth = sign(Variable::Database, &content, 0, &ours, &signer).unwrap();
        let mut lists = content;
        for (at, byte) in flips {
            for bytes in [&mut auth, &mut lists] {
                if let Some(old) = bytes.get_mut(at) {
                    *old = byte;
                }
            }
        }
        if let Ok(update) = Update::read(&auth) {
            let _ = update.verify(Variable::Database, std::slice::from_ref(&ours));
        }
        for bytes in [&lists, &rubbish] {
            let _ = read(bytes).map(|entries| certificates(&entries));
            let _ = Update::read(bytes);
        }
    }
}

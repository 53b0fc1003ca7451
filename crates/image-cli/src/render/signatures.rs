//! Who signed what, and what firmware says of it, as text for people.

use super::text::{Column::Left, Text};
use image_core::{
    blob::Digest,
    examine::report::{
        Certificate, Signature, SignatureState, Variable, VariableEntry, Verdict, Verified,
        VerifiedProgram,
    },
};
use std::path::Path;

/// The start of a digest, enough to tell it from others.
pub(super) fn short(digest: &Digest) -> String {
    digest.hex().chars().take(12).collect()
}

/// Who signed programs, by their names; nothing if there is none.
pub(super) fn programs<'a>(
    text: &mut Text,
    programs: impl IntoIterator<Item = (&'a str, Option<&'a [Signature]>)>,
) {
    let mut rows = Vec::new();
    for (name, signatures) in programs {
        match signatures {
            None => {}
            Some([]) => rows.push([name, "nobody", "", "", "", "", ""].map(str::to_owned)),
            Some(signatures) => rows.extend(signatures.iter().map(|it| signature(name, it))),
        }
    }
    if rows.is_empty() {
        return;
    }
    let columns = [
        Left("program"),
        Left("signed by"),
        Left("issued by"),
        Left("certificate"),
        Left("from"),
        Left("until"),
        Left("digest"),
    ];
    text.section("signatures", |text| text.table(columns, &rows));
}

fn signature(name: &str, Signature { state, signer, .. }: &Signature) -> [String; 7] {
    let digest = match state {
        SignatureState::Holds => "right",
        SignatureState::WrongDigest => "WRONG",
        SignatureState::Broken => "BROKEN",
    };
    let [subject, issuer, certificate, from, until] =
        signer.as_ref().map_or_else(|| [(); 5].map(|()| "-".to_owned()), certificate);
    [name.to_owned(), subject, issuer, certificate, from, until, digest.to_owned()]
}

/// Subject, issuer, digest and the days between which it holds.
fn certificate(certificate: &Certificate) -> [String; 5] {
    let Certificate { subject, issuer, fingerprint, not_before, not_after } = certificate;
    let issuer = if issuer == subject { "itself" } else { issuer };
    let day = |time: &str| time.split('T').next().unwrap_or_default().to_owned();
    [subject.clone(), issuer.to_owned(), short(fingerprint), day(not_before), day(not_after)]
}

/// What variables firmware is to be given; nothing if there is none.
pub(super) fn variables<'a>(text: &mut Text, variables: impl Iterator<Item = &'a Variable>) {
    let row = |variable: &Variable, entry: &VariableEntry| {
        let (what, digest) = match entry {
            VariableEntry { certificate: Some(it), .. } => (&*it.subject, short(&it.fingerprint)),
            VariableEntry { program: Some(hash), .. } => ("a program, by its hash", short(hash)),
            _ => ("what is not read here", String::new()),
        };
        let signer = variable.signer.as_ref().map_or("NOBODY", |signer| &signer.subject);
        let [name, what, signer] = [variable.name, what, signer].map(str::to_owned);
        [name, what, digest, entry.owner.clone(), variable.time.clone(), signer]
    };
    let rows: Vec<_> =
        variables.flat_map(|it| it.entries.iter().map(|entry| row(it, entry))).collect();
    if rows.is_empty() {
        return;
    }
    let columns = [
        Left("variable"),
        Left("trusts"),
        Left("sha256"),
        Left("owner"),
        Left("of"),
        Left("signed by"),
    ];
    text.section("keys to enrol", |text| text.table(columns, &rows));
}

/// Whether firmware starts a medium, which was held against its `own` keys or others.
pub(super) fn verified(file: &Path, own: bool, verified: &Verified) -> String {
    let against = if own { ", held against the db that it enrols itself" } else { "" };
    let mut rows = Vec::new();
    for VerifiedProgram { path, verdict, pcr } in &verified.programs {
        let name = path.clone().unwrap_or_else(|| file.display().to_string());
        let (is, why) = said(verdict);
        rows.push([name.clone(), is.to_owned(), why]);
        let Some(pcr) = pcr else { continue };
        let name = format!("{name}: .pcrsig");
        if pcr.flaws.is_empty() {
            let key = pcr.key.as_ref().map(short).unwrap_or_default();
            rows.push([name.clone(), "valid".to_owned(), format!("by the PCR key {key}")]);
        }
        let flaw = |flaw: &String| [name.clone(), "WRONG".to_owned(), flaw.clone()];
        rows.extend(pcr.flaws.iter().map(flaw));
    }
    let mut text = Text::default();
    text.titled(&format!("{}{against}", file.display()), |text| {
        text.table([Left("program"), Left("signature"), Left("")], &rows);
    });
    text.finish()
}

fn said(verdict: &Verdict) -> (&'static str, String) {
    let of = |it: &Certificate| format!("{}, certificate {}", it.subject, short(&it.fingerprint));
    match verdict {
        Verdict::Valid { anchor } => ("valid", format!("by {}", of(anchor))),
        Verdict::ValidHash { digest } => ("valid", format!("by its hash {}", short(digest))),
        Verdict::Unsigned => ("UNSIGNED", String::new()),
        Verdict::WrongDigest { signed, found } => {
            ("WRONG DIGEST", format!("signed as {}, and it is {}", short(signed), short(found)))
        }
        Verdict::WrongKey { signer } => ("WRONG KEY", format!("by {}", of(signer))),
        Verdict::Broken => ("BROKEN", "not by the key that it says".to_owned()),
        Verdict::Damaged { why } => ("DAMAGED", why.clone()),
        _ => ("UNKNOWN", String::new()),
    }
}

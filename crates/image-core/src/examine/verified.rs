//! Whether firmware with Secure Boot on starts what is on a medium.

use super::{
    Medium, measured,
    report::{self, Verified, VerifiedPcr, VerifiedProgram},
    signatures, uki, virtual_disk, volume,
};
use crate::{
    blob::{Blob, Digest, Scratch},
    error::{During, Error, ErrorKind, Result},
    formats::{
        authenticode,
        certificate::Certificate,
        efi_variable::{self, Data, Entry, Variable},
        gpt,
        uki::{Contents, Section},
    },
    talos::esp,
    tree::Tree,
};

/// What firmware starts: what it has in its variable db.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    /// The certificates it trusts.
    pub certificates: Vec<Certificate>,
    /// The [hashes](authenticode::digest) of programs it starts without asking who signed them.
    pub programs: Vec<Digest>,
}

impl Trust {
    /// What the entries of a db let start; those that cannot be read let nothing.
    pub fn of(entries: &[Entry]) -> Self {
        let digest = |entry: &Entry| match entry.data {
            Data::Sha256(digest) => Some(digest),
            _ => None,
        };
        Self {
            certificates: efi_variable::certificates(entries),
            programs: entries.iter().filter_map(digest).collect(),
        }
    }

    /// Adds what another trusts.
    pub fn extend(&mut self, other: Self) {
        self.certificates.extend(other.certificates);
        self.programs.extend(other.programs);
    }

    /// Whether it is nothing at all.
    pub fn is_empty(&self) -> bool {
        self.certificates.is_empty() && self.programs.is_empty()
    }
}

/// What the keys let start that a medium has systemd-boot enrol; none if it has none.
///
/// # Errors
/// The medium or its keys cannot be read.
pub fn own_database(file: &Blob, scratch: &Scratch) -> Result<Option<Trust>> {
    let (_, file) = &virtual_disk::open(file, scratch)?;
    if is_program(file) {
        return Ok(None);
    }
    let mut trust: Option<Trust> = None;
    for tree in trees(file)? {
        let path = esp::enrolment_path(Variable::Database.name());
        let Some(database) = tree.file(&path) else { continue };
        let read =
            || -> Result<_> { Ok(efi_variable::read(&signatures::read(database)?.content)?) };
        trust.get_or_insert_default().extend(Trust::of(&read().during(|| path)?));
    }
    Ok(trust)
}

/// Says of every UEFI program in `file`, or of the one it is, whether firmware with these keys
/// would start it; and whether what a unified kernel image has signed for the TPM holds. Of a
/// virtual machine's disk what is compressed waits in `scratch`.
///
/// # Errors
/// `Input` if there is no UEFI program in it; else as [`inspect`](super::inspect).
pub fn verify(file: &Blob, trust: &Trust, scratch: &Scratch) -> Result<Verified> {
    let (_, file) = &virtual_disk::open(file, scratch)?;
    if is_program(file) {
        return Ok(Verified { programs: vec![program(None, file, trust)?] });
    }
    let mut programs = Vec::new();
    for tree in trees(file)? {
        for (path, _, node) in tree.iter().filter(|(path, ..)| signatures::is_program(path)) {
            let Some(content) = node.content() else { continue };
            programs.push(program(Some(path.to_string()), content, trust)?);
        }
    }
    if programs.is_empty() {
        let what = "there is no UEFI program in it that can be read, of which firmware could ask \
                    who signed it";
        return Err(Error::new(ErrorKind::Input, what));
    }
    Ok(Verified { programs })
}

/// Also one that is neither a UKI nor a kernel.
fn is_program(file: &Blob) -> bool {
    let mut magic = [0; 2];
    file.read_at(0, &mut magic).is_ok() && magic == *b"MZ"
}

/// The volumes that firmware of a UEFI machine reads.
fn trees(file: &Blob) -> Result<Vec<Tree>> {
    let volumes = match Medium::open(file)? {
        Medium::Disk(gpt::Found { disk, .. }) => {
            disk.partitions.into_iter().map(|partition| partition.content).collect()
        }
        Medium::Iso(iso) => Vec::from_iter(volume::esp_of_iso(file, &iso)),
        _ => Vec::new(),
    };
    let mut trees = Vec::new();
    for content in &volumes {
        trees.extend(volume::open_fat(content)?.map(|volume| volume.tree));
    }
    Ok(trees)
}

fn program(path: Option<String>, content: &Blob, trust: &Trust) -> Result<VerifiedProgram> {
    let mut damaged = Vec::new();
    let verdict = volume::sound(verdict(content, trust), &mut damaged)?;
    let verdict = verdict.unwrap_or_else(|| report::Verdict::Damaged { why: damaged.concat() });
    let pcr = uki::open(content).map(|contents| pcr(&contents)).transpose()?.flatten();
    Ok(VerifiedProgram { path, verdict, pcr })
}

fn verdict(program: &Blob, trust: &Trust) -> Result<report::Verdict> {
    use authenticode::Verdict;
    use report::Verdict::{Broken, Unsigned, Valid, ValidHash, WrongDigest, WrongKey};
    if !trust.programs.is_empty() {
        let digest = authenticode::digest(program)?;
        if trust.programs.contains(&digest) {
            return Ok(ValidHash { digest });
        }
    }
    Ok(match authenticode::verify(program, &trust.certificates)? {
        Verdict::Valid(anchor) => Valid { anchor: signatures::certificate(&anchor) },
        Verdict::Unsigned => Unsigned,
        Verdict::WrongDigest { signed, found } => WrongDigest { signed, found },
        Verdict::WrongKey { signer } => WrongKey { signer: signatures::certificate(&signer) },
        Verdict::Broken => Broken,
    })
}

/// None if nothing of it is signed.
fn pcr(contents: &Contents) -> Result<Option<VerifiedPcr>> {
    let key = contents.base.contains_key(&Section::PcrPublicKey);
    let signed =
        contents.boots().iter().filter(|it| it.contains_key(&Section::PcrSignature)).count();
    if !key && signed == 0 {
        return Ok(None);
    }
    let measured = measured::of_uki(contents)?;
    let mut flaws = measured.flaws;
    for (sections, profile) in contents.boots().iter().zip(&measured.profiles) {
        if !sections.contains_key(&Section::PcrSignature) {
            flaws.push(format!("profile {}: it has no {}", profile.id, Section::PcrSignature));
        }
    }
    Ok(Some(VerifiedPcr { key: measured.pcr_key, flaws }))
}

//! What the TPM of a machine holds that booted a medium.

use super::{
    Medium,
    report::{Measured, MeasuredProfile, MeasuredUki, RegisterValue},
    uki, volume,
};
use crate::{
    blob::Blob,
    error::{During, Result},
    formats::{
        gpt,
        pcr::{self, Prediction, Signatures},
        uki::{Contents, Section, Sections},
    },
    signature::{HashFunction, PublicKey, hexadecimal},
    talos::phases,
};

/// Says what PCR 11 holds after each phase of Talos's boot, for every profile of every unified
/// kernel image in `file`, and what of that is signed. Each image is read once.
///
/// # Errors
/// As [`inspect`](super::inspect).
pub fn measured(file: &Blob) -> Result<Measured> {
    let volumes = match Medium::open(file)? {
        Medium::Uki(contents) => return Ok(Measured { ukis: vec![of_uki(None, &contents)?] }),
        Medium::Disk(gpt::Found { disk, .. }) => {
            disk.partitions.into_iter().map(|partition| partition.content).collect()
        }
        Medium::Iso(iso) => Vec::from_iter(volume::esp_of_iso(file, &iso)),
        _ => Vec::new(),
    };
    let mut ukis = Vec::new();
    for content in &volumes {
        let Some(volume) = volume::open_fat(content)? else { continue };
        for (path, _, node) in volume.tree.iter() {
            let Some(contents) = node.content().and_then(uki::open) else { continue };
            let path = path.to_string();
            ukis.push(of_uki(Some(path.clone()), &contents).during(|| path)?);
        }
    }
    Ok(Measured { ukis })
}

fn of_uki(path: Option<String>, contents: &Contents) -> Result<MeasuredUki> {
    let mut flaws = Vec::new();
    let key = contents.base.get(&Section::PcrPublicKey).map(pcr::read_public_key);
    let key = key.transpose().unwrap_or_else(|error| {
        flaws.push(format!("{}: {error}", Section::PcrPublicKey));
        None
    });
    let predictions = pcr::predict(contents, &HashFunction::ALL, &phases::ALL)?;
    let mut profiles = Vec::new();
    for (number, (sections, predictions)) in contents.boots().iter().zip(predictions).enumerate() {
        let named = contents.profiles.get(number);
        let id = named.and_then(|profile| profile.id.clone()).unwrap_or_default();
        let signatures = signatures(sections).unwrap_or_else(|error| {
            flaws.push(format!("profile {number} {id}: {error}"));
            None
        });
        let pcr11: Vec<_> = predictions
            .into_iter()
            .map(|prediction| value(prediction, signatures.as_ref().zip(key.as_ref())))
            .collect();
        if signatures.is_some() && pcr11.iter().all(|value| value.signed.is_empty()) {
            flaws.push(format!(
                "profile {number} {id}: its {} signs none of these values by the key in {}",
                Section::PcrSignature,
                Section::PcrPublicKey
            ));
        }
        let title = named.and_then(|profile| profile.title.clone()).unwrap_or_default();
        profiles.push(MeasuredProfile { id, title, pcr11 });
    }
    Ok(MeasuredUki { path, pcr_key: key.as_ref().map(pcr::fingerprint), profiles, flaws })
}

fn signatures(sections: &Sections) -> Result<Option<Signatures>> {
    Ok(sections.get(&Section::PcrSignature).map(Signatures::read).transpose()?)
}

fn value(prediction: Prediction, signed: Option<(&Signatures, &PublicKey)>) -> RegisterValue {
    let holds = |bank, value: &[u8]| {
        signed.is_some_and(|(signatures, key)| signatures.hold(bank, value, key))
    };
    let Prediction { phase, values } = prediction;
    RegisterValue {
        phase,
        signed: values
            .iter()
            .filter(|&(&bank, value)| holds(bank, value))
            .map(|(bank, _)| bank.name())
            .collect(),
        values: values.iter().map(|(bank, value)| (bank.name(), hexadecimal(value))).collect(),
    }
}

//! What a TPM will hold after booting a medium, as text for people.

use super::text::{Column::Left, Text};
use image_core::{
    blob::Digest,
    examine::report::{Measured, MeasuredFirmware, MeasuredProfile, MeasuredUki},
};
use std::path::Path;

/// The values as text, ending in a newline.
pub(super) fn text(file: &Path, measured: &Measured) -> String {
    let mut text = Text::default();
    text.titled(&file.display().to_string(), |text| {
        if measured.ukis.is_empty() {
            text.line("no unified kernel image: nothing of it goes into PCR 11");
        }
        measured.ukis.iter().for_each(|found| uki(text, found));
    });
    text.finish()
}

fn uki(text: &mut Text, uki: &MeasuredUki) {
    let heading = match &uki.path {
        Some(path) => format!("{path}: unified kernel image"),
        None => "unified kernel image".to_owned(),
    };
    text.section(&heading, |text| {
        let key = uki.pcr_key.as_ref().map(Digest::hex).unwrap_or_default();
        text.fields(&[("PCR key", key)]);
        uki.profiles.iter().for_each(|it| profile(text, it));
        uki.firmware.iter().for_each(|it| firmware(text, it));
        if !uki.flaws.is_empty() {
            text.section("flaws", |text| uki.flaws.iter().for_each(|flaw| text.line(flaw)));
        }
    });
}

fn firmware(text: &mut Text, firmware: &MeasuredFirmware) {
    let state = if firmware.secure_boot { "on" } else { "off" };
    text.section(&format!("Secure Boot {state}"), |text| {
        let registers = [("4", Some(&firmware.pcr4)), ("7", firmware.pcr7.as_ref())];
        let rows: Vec<_> = registers
            .into_iter()
            .filter_map(|(register, values)| Some((register, values?)))
            .flat_map(|(register, values)| {
                let row = move |(&bank, value): (&&str, &String)| {
                    [register.to_owned(), bank.to_owned(), value.clone()]
                };
                values.iter().map(row)
            })
            .collect();
        text.table([Left("PCR"), Left("bank"), Left("value")], &rows);
        text.line(&format!("programs: {}", firmware.programs.join(", ")));
        for assumption in &firmware.assumed {
            text.line(&format!("as long as {assumption}"));
        }
    });
}

fn profile(text: &mut Text, profile: &MeasuredProfile) {
    let heading = match (profile.id.as_str(), profile.title.as_str()) {
        ("", "") => "PCR 11".to_owned(),
        (id, "") => format!("PCR 11 of profile {id}"),
        (id, title) => format!("PCR 11 of profile {id}: {title}"),
    };
    text.section(&heading, |text| {
        let rows: Vec<_> = profile
            .pcr11
            .iter()
            .flat_map(|it| {
                // Colons join all phases so far; the last is the one that was entered.
                let phase = it.phase.rsplit(':').next().filter(|phase| !phase.is_empty());
                it.values.iter().map(move |(&bank, value)| {
                    let signed = if it.signed.contains(&bank) { "signed" } else { "" };
                    let phase = phase.unwrap_or("(as the stub leaves it)");
                    [phase.to_owned(), bank.to_owned(), signed.to_owned(), value.clone()]
                })
            })
            .collect();
        text.table([Left("after"), Left("bank"), Left(""), Left("value")], &rows);
    });
}

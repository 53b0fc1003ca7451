//! What the TPM of a machine holds that booted a medium.

use super::{
    Medium, named,
    report::{Measured, MeasuredFirmware, MeasuredProfile, MeasuredUki, RegisterValue},
    uki, virtual_disk, volume,
};
use crate::{
    blob::{Blob, Scratch},
    error::{During, Result},
    formats::{
        authenticode,
        efi_variable::{self, Data, Entry, Update, Variable},
        gpt,
        pcr::{self, Prediction, Signatures, Values},
        uki::{Contents, Section, Sections},
    },
    signature::{HashFunction, PublicKey, hexadecimal},
    talos::{Arch, esp, phases},
    tree::Tree,
};
use std::collections::BTreeMap;

/// How long an `.auth` file may be, in bytes.
const AUTH_LIMIT: u64 = 1 << 20;

/// Says what PCR 11 holds after each phase of Talos's boot, for every profile of every unified
/// kernel image in `file`, and what of that is signed. Each image is read once. What of a virtual machine's disk
/// is compressed waits in `scratch`.
///
/// # Errors
/// As [`inspect`](super::inspect).
pub fn measured(file: &Blob, scratch: &Scratch) -> Result<Measured> {
    let (container, file) = &virtual_disk::open(file, scratch)?;
    let volumes = match named(container.as_ref(), Medium::open(file))? {
        Medium::Uki(contents) => return Ok(Measured { ukis: vec![of_uki(&contents)?] }),
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
            let Some(file) = node.content() else { continue };
            let Some(contents) = uki::open(file) else { continue };
            let name = path.to_string();
            let mut measured = of_uki(&contents).during(|| name.clone())?;
            firmware(&volume.tree, (&name, file), &contents, &mut measured)
                .during(|| name.clone())?;
            measured.path = Some(name);
            ukis.push(measured);
        }
    }
    Ok(Measured { ukis })
}

pub(super) fn of_uki(contents: &Contents) -> Result<MeasuredUki> {
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
        let wrong: Vec<_> = signatures
            .iter()
            .flat_map(Signatures::banks)
            .filter(|&bank| HashFunction::ALL.iter().any(|known| known.name() == bank))
            .filter(|bank| !pcr11.iter().any(|value| value.signed.contains(bank)))
            .collect();
        if !wrong.is_empty() {
            flaws.push(format!(
                "profile {number} {id}: its {} signs none of these values of {} by the key in {}",
                Section::PcrSignature,
                wrong.join(", "),
                Section::PcrPublicKey
            ));
        }
        let title = named.and_then(|profile| profile.title.clone()).unwrap_or_default();
        profiles.push(MeasuredProfile { id, title, pcr11 });
    }
    let pcr_key = key.as_ref().map(pcr::fingerprint);
    Ok(MeasuredUki { path: None, pcr_key, profiles, firmware: Vec::new(), flaws })
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
        values: shown(&values),
    }
}

fn shown(values: &Values) -> BTreeMap<&'static str, String> {
    values.iter().map(|(bank, value)| (bank.name(), hexadecimal(value))).collect()
}

/// Adds what the firmware measures that starts the boot manager of `tree`, and by it the image.
fn firmware(
    tree: &Tree,
    (name, file): (&str, &Blob),
    contents: &Contents,
    measured: &mut MeasuredUki,
) -> Result<()> {
    const BANKS: &[HashFunction] = &HashFunction::ALL;
    let is_first = |path: &str| {
        Arch::ALL.iter().any(|&arch| esp::iso_boot_path(arch).eq_ignore_ascii_case(path))
    };
    let mut files =
        tree.iter().filter_map(|(path, _, node)| Some((path.as_str(), node.content()?)));
    let Some((manager_name, manager)) = files.find(|(path, _)| is_first(path)) else {
        return Ok(());
    };
    let mut programs = vec![pcr::program(manager, BANKS)?, pcr::program(file, BANKS)?];
    let mut names = vec![manager_name.to_owned(), name.to_owned()];
    let announced = format!(
        "the firmware says \"Calling EFI Application from Boot Option\" and starts {manager_name}, \
         and nothing before it"
    );

    let keys = enrolled(tree)?;
    let signed = |program: &Blob| authenticode::signatures(program).map(|found| !found.is_empty());
    if signed(manager)? && signed(file)? {
        let pcr7 = match &keys {
            None => None,
            Some(keys) => {
                keys.pcr7([(manager_name, manager), (name, file)], &mut measured.flaws)?
            }
        };
        let mut assumed = vec![announced.clone()];
        if pcr7.is_some() {
            assumed.push("the keys of the medium are enrolled, no other, and no dbx".to_owned());
        }
        measured.firmware.push(MeasuredFirmware {
            secure_boot: true,
            pcr4: shown(&pcr::boot_programs(&programs, BANKS)),
            programs: names.clone(),
            pcr7: pcr7.as_ref().map(shown),
            assumed,
        });
    }
    let Some(Ok(kernel)) = contents.base.get(&Section::Linux).map(|it| pcr::program(it, BANKS))
    else {
        return Ok(());
    };
    programs.push(kernel);
    names.push(format!("{name} {}", Section::Linux));
    let loaded = "systemd-stub is of version 257, which has the firmware load the kernel";
    measured.firmware.insert(
        0,
        MeasuredFirmware {
            secure_boot: false,
            pcr4: shown(&pcr::boot_programs(&programs, BANKS)),
            programs: names,
            pcr7: None,
            assumed: vec![announced, loaded.to_owned()],
        },
    );
    Ok(())
}

/// The content of the variables that the keys of a medium are enrolled as.
struct Enrolled {
    platform: Vec<u8>,
    exchange: Vec<u8>,
    allowed: Vec<u8>,
}

/// The keys that systemd-boot would enrol, if there are any.
fn enrolled(tree: &Tree) -> Result<Option<Enrolled>> {
    let content = |variable: Variable| -> Result<Option<Vec<u8>>> {
        let path = esp::enrolment_path(variable.name());
        let Some(file) = tree.file(&path) else { return Ok(None) };
        let read = || -> Result<Update> { Ok(Update::read(&file.to_vec(AUTH_LIMIT)?)?) };
        let update = read().during(|| path);
        Ok(Some(update?.content))
    };
    let found = (
        content(Variable::PlatformKey)?,
        content(Variable::KeyExchangeKey)?,
        content(Variable::Database)?,
    );
    let (Some(platform), Some(exchange), Some(allowed)) = found else {
        return Ok(None);
    };
    Ok(Some(Enrolled { platform, exchange, allowed }))
}

impl Enrolled {
    /// PCR 7 after these programs ran; none if firmware refuses one.
    fn pcr7(
        &self,
        programs: [(&str, &Blob); 2],
        flaws: &mut Vec<String>,
    ) -> Result<Option<Values>> {
        let entries = efi_variable::read(&self.allowed)?;
        let trusted = efi_variable::certificates(&entries);
        let mut authorities: Vec<Vec<u8>> = Vec::new();
        for (name, program) in programs {
            let authenticode::Verdict::Valid(anchor) = authenticode::verify(program, &trusted)?
            else {
                flaws.push(format!("{name}: the keys of the medium do not let it boot"));
                return Ok(None);
            };
            let is_anchor =
                |entry: &&Entry| matches!(&entry.data, Data::X509(der) if der == anchor.der());
            let owner = entries.iter().find(is_anchor).map(|entry| entry.owner.to_bytes_le());
            let authority = [&owner.unwrap_or_default(), anchor.der()].concat();
            if !authorities.contains(&authority) {
                authorities.push(authority);
            }
        }
        let variables = pcr::Variables {
            platform_key: &self.platform,
            key_exchange_keys: &self.exchange,
            allowed: &self.allowed,
            forbidden: &[],
        };
        let authorities: Vec<_> = authorities.iter().map(Vec::as_slice).collect();
        Ok(Some(pcr::secure_boot(&variables, &authorities, &HashFunction::ALL)))
    }
}

//! Schematics as users write them, YAML or JSON, read as Image Factory reads them.

use super::{
    Customization, DiskImage, Overlay, Schematic, SecureBoot, SystemExtensions, Value,
    value::text_key,
};
use crate::{
    nearest::nearest,
    talos::{
        Error, Result,
        meta::MetaValue,
        profile::Bootloader,
        yaml::{Content, Entry, Node, Scalar, shown},
    },
};
use std::collections::BTreeMap;

const WHAT: &str = "schematic";

impl Schematic {
    /// Reads a schematic's YAML or JSON.
    ///
    /// As in Image Factory any scalar is a text where text is wanted, and what stands without a
    /// value is as if it were not there.
    ///
    /// It is stricter where one text may be taken for two: a second document, a line break of
    /// YAML 1.1 alone, and in an overlay's options `!!binary` and keys of several lines or more
    /// than 128 bytes are refused, and so are documents of more than 10,000 values.
    ///
    /// # Errors
    /// It is no YAML, has a key no schematic has (the message names the nearest that exists
    /// there), or one twice, or a value that cannot be. The message names line and column.
    pub fn from_yaml(text: &str) -> Result<Self> {
        let Some(root) = Node::read(WHAT, text)? else {
            return Err(Error::input(format!(
                "{WHAT}: line 1 column 1: it is empty: write at least \"customization: {{}}\""
            )));
        };
        let mut schematic = Self::default();
        fields(&root, WHAT, |key, value| {
            match key {
                "owner" => schematic.owner = string(value, key)?,
                "overlay" => schematic.overlay = overlay(value)?,
                "customization" => schematic.customization = customization(value)?,
                _ => return Ok(Err(&["owner", "overlay", "customization"])),
            }
            Ok(Ok(()))
        })?;
        Ok(schematic)
    }
}

fn overlay(node: &Node) -> Result<Overlay> {
    let mut overlay = Overlay::default();
    fields(node, "overlay", |key, value| {
        match key {
            "image" => overlay.image = string(value, "overlay.image")?,
            "name" => overlay.name = string(value, "overlay.name")?,
            "options" => overlay.options = options(value)?,
            _ => return Ok(Err(&["image", "name", "options"])),
        }
        Ok(Ok(()))
    })?;
    Ok(overlay)
}

/// A key here is a text, whatever it would be elsewhere.
fn options(node: &Node) -> Result<BTreeMap<String, Value>> {
    let mut options = BTreeMap::new();
    for (key, value) in mapping(node, "overlay.options")? {
        let Some(name) = text_key(WHAT, &key)? else { continue };
        if let Some(value) = Value::read(WHAT, &value)? {
            options.insert(name, value);
        }
    }
    Ok(options)
}

fn customization(node: &Node) -> Result<Customization> {
    let mut read = Customization::default();
    fields(node, "customization", |key, value| {
        match key {
            "embeddedMachineConfiguration" => {
                if !matches!(value.content, Content::Scalar { .. }) {
                    let text = "text: write | behind the colon, and it indented below";
                    return Err(wrong(value, key, text));
                }
                read.embedded_machine_configuration = string(value, key)?.into();
            }
            "extraKernelArgs" => read.extra_kernel_args = strings(value, key)?,
            "meta" => read.meta = list(value, key, meta)?,
            "systemExtensions" => read.system_extensions = system_extensions(value)?,
            "bootloader" => read.bootloader = bootloader(value)?,
            "secureboot" => read.secure_boot = secure_boot(value)?,
            "diskImage" => read.disk_image = disk_image(value)?,
            _ => {
                return Ok(Err(&[
                    "embeddedMachineConfiguration",
                    "extraKernelArgs",
                    "meta",
                    "systemExtensions",
                    "bootloader",
                    "secureboot",
                    "diskImage",
                ]));
            }
        }
        Ok(Ok(()))
    })?;
    Ok(read)
}

fn meta(node: &Node) -> Result<Option<MetaValue>> {
    if scalar(node)? == Some(Scalar::Null) {
        return Ok(None);
    }
    let mut meta = MetaValue::default();
    fields(node, "a META value", |key, value| {
        match key {
            "key" => {
                let number = number(value, "a META key", u8::MAX.into())?;
                meta.key = u8::try_from(number).unwrap_or(u8::MAX);
            }
            "value" => meta.value = string(value, "a META value")?,
            _ => return Ok(Err(&["key", "value"])),
        }
        Ok(Ok(()))
    })?;
    Ok(Some(meta))
}

fn system_extensions(node: &Node) -> Result<SystemExtensions> {
    let mut read = SystemExtensions::default();
    fields(node, "systemExtensions", |key, value| {
        match key {
            "officialExtensions" => read.official_extensions = strings(value, key)?,
            _ => return Ok(Err(&["officialExtensions"])),
        }
        Ok(Ok(()))
    })?;
    Ok(read)
}

fn secure_boot(node: &Node) -> Result<SecureBoot> {
    let mut read = SecureBoot::default();
    fields(node, "secureboot", |key, value| {
        match key {
            "enrollKeys" => read.enroll_keys = string(value, key)?,
            "includeWellKnownCertificates" => {
                read.include_well_known_certificates = flag(value, key)?;
            }
            _ => return Ok(Err(&["enrollKeys", "includeWellKnownCertificates"])),
        }
        Ok(Ok(()))
    })?;
    Ok(read)
}

fn disk_image(node: &Node) -> Result<DiskImage> {
    let mut read = DiskImage::default();
    fields(node, "diskImage", |key, value| {
        match key {
            "sectorSize" => read.sector_size = number(value, key, u64::MAX)?,
            _ => return Ok(Err(&["sectorSize"])),
        }
        Ok(Ok(()))
    })?;
    Ok(read)
}

/// `none` is no choice.
fn bootloader(node: &Node) -> Result<Option<Bootloader>> {
    let text = match (scalar(node)?, &node.content) {
        (Some(Scalar::Null), _) => return Ok(None),
        (Some(_), Content::Scalar { text, .. }) => text,
        _ => return Err(wrong(node, "bootloader", "text")),
    };
    if text.eq_ignore_ascii_case("none") {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|error| node.error(WHAT, error))
}

/// The entries of a mapping; nothing has none.
fn mapping(node: &Node, name: &str) -> Result<Vec<Entry>> {
    match (scalar(node)?, node.entries(WHAT, true)?) {
        (Some(Scalar::Null), _) => Ok(Vec::new()),
        (_, Some(entries)) => Ok(entries),
        _ => Err(wrong(node, name, "a mapping")),
    }
}

/// Gives each field to `take`; an unknown one it answers with the known ones.
fn fields<'a>(
    node: &Node,
    name: &str,
    mut take: impl FnMut(&str, &Node) -> Result<Result<(), &'a [&'a str]>>,
) -> Result<()> {
    for (key, value) in mapping(node, name)? {
        let Some(field) = text_key(WHAT, &key)? else { continue };
        if let Err(known) = take(&field, &value)? {
            let name = shown(&field);
            let fault = match nearest(&field, known.iter().copied()) {
                Some(meant) => format!("{name} is unknown: did you mean {meant:?}?"),
                None => format!("{name} is unknown: here stand {}", known.join(", ")),
            };
            return Err(key.error(WHAT, fault));
        }
    }
    Ok(())
}

fn strings(node: &Node, name: &str) -> Result<Vec<String>> {
    list(node, name, |item| {
        let given = scalar(item)? != Some(Scalar::Null);
        given.then(|| string(item, &format!("an item of {name}"))).transpose()
    })
}

fn list<T>(node: &Node, name: &str, item: impl Fn(&Node) -> Result<Option<T>>) -> Result<Vec<T>> {
    match (scalar(node)?, &node.content) {
        (Some(Scalar::Null), _) => Ok(Vec::new()),
        (_, Content::List(items)) => {
            items.iter().filter_map(|node| item(node).transpose()).collect()
        }
        _ => Err(wrong(node, name, "a list")),
    }
}

/// A text. What it says never stands in an error: it may be a secret.
fn string(node: &Node, name: &str) -> Result<String> {
    match (scalar(node)?, &node.content) {
        (Some(Scalar::Null), _) => Ok(String::new()),
        (Some(_), Content::Scalar { text, .. }) => Ok(text.clone()),
        _ => Err(wrong(node, name, "text")),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "a float counts where it is a whole number"
)]
fn number(node: &Node, name: &str, most: u64) -> Result<u64> {
    let number = match scalar(node)? {
        Some(Scalar::Null) => Some(0),
        Some(Scalar::Int(number)) => u64::try_from(number).ok(),
        Some(Scalar::Large(number)) => Some(number),
        Some(Scalar::Float(number)) if number >= 0.0 && number < u64::MAX as f64 => {
            (number.fract() == 0.0).then_some(number as u64)
        }
        _ => None,
    };
    let range = || format!("a number from 0 to {most}");
    number.filter(|&number| number <= most).ok_or_else(|| wrong(node, name, &range()))
}

/// The words of YAML 1.1 count too.
fn flag(node: &Node, name: &str) -> Result<bool> {
    match scalar(node)? {
        Some(Scalar::Null) => Ok(false),
        Some(Scalar::Bool(value)) => Ok(value),
        Some(Scalar::Text(text)) => match text.as_str() {
            "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => Ok(true),
            "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => Ok(false),
            _ => Err(wrong(node, name, "true or false")),
        },
        _ => Err(wrong(node, name, "true or false")),
    }
}

fn scalar(node: &Node) -> Result<Option<Scalar>> {
    node.scalar().map_err(|fault| node.error(WHAT, fault))
}

fn wrong(node: &Node, name: &str, wanted: &str) -> Error {
    node.error(WHAT, format!("{name} is not {wanted}"))
}

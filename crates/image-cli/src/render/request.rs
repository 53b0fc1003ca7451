//! What a request stands on, as text for people: schematics and the catalogue.

use super::text::{Column::Left, Text};
use image_core::talos::{
    catalogue::{Catalogue, Extension},
    schematic::{Description, Part, Schematic},
};
use std::path::Path;

/// What a schematic does.
pub(super) fn schematic(file: &Path, schematic: &Schematic) -> String {
    let Description { id, parts, notes } = schematic.describe();
    let mut text = Text::default();
    text.titled(&file.display().to_string(), |text| {
        text.fields(&[("id", id)]);
        // What one key does in several ways, its outputs said once.
        for alike in parts.chunk_by(|a, b| (a.key, &a.only) == (b.key, &b.only)) {
            let Part { key, outputs, only, .. } = &alike[0];
            text.section(key, |text| {
                let outputs: Vec<_> = outputs.iter().map(|kind| kind.name()).collect();
                for part in alike {
                    text.line(&part.does);
                }
                let only = only.clone().unwrap_or_default();
                text.fields(&[("in", outputs.join(", ")), ("only", only)]);
            });
        }
        if !notes.is_empty() {
            text.section("notes", |text| notes.iter().for_each(|note| text.line(note)));
        }
    });
    text.finish()
}

/// The official extensions, a line each.
pub(super) fn extensions(catalogue: &Catalogue) -> String {
    let row = |it: &Extension| {
        // The first sentence or line: what it is, not how it is set up.
        let description = it.description.lines().next().unwrap_or_default();
        let tier = it.tier.clone().unwrap_or_default();
        [it.name.clone(), it.version.clone(), tier, description.to_owned()]
    };
    let rows: Vec<_> = catalogue.extensions().iter().map(row).collect();
    let mut text = Text::default();
    text.table([Left("name"), Left("version"), Left("tier"), Left("description")], &rows);
    text.finish()
}

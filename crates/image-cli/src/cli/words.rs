//! Words that a shell offers.

use clap::{
    Arg, Command, Error,
    builder::{PossibleValue, StringValueParser, TypedValueParser},
};
use image_core::talos::{
    Platform, Profile,
    profile::{Bootloader, DiskFormat, EnrollKeys, OutFormat, OutputKind},
    release,
};
use std::ffi::OsStr;

/// Any text. These words are completed; what is wrong with another the library says, which knows
/// the nearest.
#[derive(Clone, Debug)]
pub(super) struct Words(Vec<String>);

impl Words {
    fn new<T: Into<String>>(words: impl IntoIterator<Item = T>) -> Self {
        Self(words.into_iter().map(Into::into).collect())
    }
}

impl TypedValueParser for Words {
    type Value = String;

    fn parse_ref(
        &self,
        command: &Command,
        arg: Option<&Arg>,
        value: &OsStr,
    ) -> Result<String, Error> {
        StringValueParser::new().parse_ref(command, arg, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(self.0.iter().cloned().map(PossibleValue::new)))
    }
}

/// The base profiles.
pub(super) fn profiles() -> Words {
    Words::new(Profile::base_names())
}

/// The first version of every line, the newest line first.
pub(super) fn versions() -> Words {
    Words::new(release::LINES.rev().map(|minor| format!("v1.{minor}.0")))
}

/// The platforms.
pub(super) fn platforms() -> Words {
    Words::new(Platform::ALL.map(Platform::name))
}

/// The kinds of output.
pub(super) fn output_kinds() -> Words {
    Words::new(OutputKind::ALL.iter().map(|word| word.name()))
}

/// The packings.
pub(super) fn out_formats() -> Words {
    Words::new(OutFormat::ALL.iter().map(|word| word.name()))
}

/// The boot loaders.
pub(super) fn bootloaders() -> Words {
    Words::new(Bootloader::ALL.iter().map(|word| word.name()))
}

/// The formats of disk images.
pub(super) fn disk_formats() -> Words {
    Words::new(DiskFormat::ALL.iter().map(|word| word.name()))
}

/// When keys are enrolled.
pub(super) fn enroll_keys() -> Words {
    Words::new(EnrollKeys::ALL.iter().map(|word| word.name()))
}

/// Reads a date. It may be the environment's, which who is told of it did not type.
pub(super) fn seconds(text: &str) -> Result<u64, &'static str> {
    text.parse().map_err(|_| "write seconds since 1970, here and in $SOURCE_DATE_EPOCH")
}

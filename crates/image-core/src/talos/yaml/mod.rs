//! YAML in and out.

mod read;
mod write;

pub(crate) use read::{at, read};
pub(crate) use write::Yaml;

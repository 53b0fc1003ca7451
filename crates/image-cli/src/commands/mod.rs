//! One command a file: what was asked becomes calls of `image-core`.

pub(crate) mod build;
pub(crate) mod completions;
pub(crate) mod extensions;
pub(crate) mod extract;
pub(crate) mod inspect;
pub(crate) mod keys;
pub(crate) mod man;
pub(crate) mod profile;
pub(crate) mod schematic;
pub(crate) mod verify;
mod write;

//! YAML in and out.

mod node;
mod read;
mod scalar;
mod write;

pub(crate) use node::{Content, Entry, Node};
pub(crate) use read::{at, read, shown};
pub(crate) use scalar::{Scalar, float_text};
pub(crate) use write::{Words, Yaml};

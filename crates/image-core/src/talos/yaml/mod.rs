//! YAML in and out.

mod fault;
mod node;
mod read;
mod scalar;
mod write;

pub(crate) use fault::at;
pub(crate) use node::{Content, Entry, Node};
pub(crate) use read::{read, shown};
pub(crate) use scalar::{Scalar, float_text};
pub(crate) use write::{Words, Yaml};

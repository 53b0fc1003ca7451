//! Assembles Talos Linux boot media, offline.

pub mod assemble;
pub mod blob;
pub mod error;
pub mod events;
pub mod examine;
pub mod formats;
pub mod plan;
pub mod sources;
pub mod talos;
pub mod tree;

//! The binary index that modprobe looks names up in: `modules.*.bin`.
//!
//! All numbers are 32 bits, big-endian. The file is a magic number, a version, and where the root
//! of a tree of names is. A node holds, in this order, each if the top bits of the number that
//! points at it say so: the characters shared by all names below, ended by a NUL; the first and
//! the last next character and for each between them a pointer, 0 where there is none; how many
//! values the name has that ends here, and for each its priority and its text, ended by a NUL.
//! Nodes stand before their children, as kmod 34 writes them; earlier versions wrote them after,
//! and all read both.

use super::{FORMAT, Result};
use crate::formats::Error;
use std::collections::BTreeMap;

const MAGIC: u32 = 0xb007_f457;
/// 2.1
const VERSION: u32 = 0x0002_0001;

/// What a pointer's top bits say the node has.
const PREFIX: u32 = 1 << 31;
const VALUES: u32 = 1 << 30;
const CHILDREN: u32 = 1 << 29;
/// The rest of a pointer is the offset.
const OFFSET: u32 = 0x0fff_ffff;

/// Names with their values, each with its priority: the lower, the earlier modprobe takes it.
#[derive(Debug, Default)]
pub(super) struct Index<'a>(BTreeMap<String, Vec<(u32, &'a str)>>);

impl<'a> Index<'a> {
    /// Adds a value. Among those of one priority, the one added last stands first.
    pub(super) fn add(&mut self, name: impl Into<String>, value: &'a str, priority: u32) {
        self.0.entry(name.into()).or_default().push((priority, value));
    }

    /// The file.
    ///
    /// # Errors
    /// A name is not ASCII, or all of it is too large.
    pub(super) fn write(mut self) -> Result<Vec<u8>> {
        for values in self.0.values_mut() {
            values.reverse();
            values.sort_by_key(|&(priority, _)| priority);
        }
        if let Some(name) = self.0.keys().find(|name| !name.is_ascii()) {
            return Err(Error::corrupt(FORMAT, 0, format!("{name:?} is not ASCII")));
        }
        let entries: Vec<_> =
            self.0.iter().map(|(name, values)| (name.as_bytes(), values.as_slice())).collect();
        let mut file = Vec::new();
        for number in [MAGIC, VERSION, 0] {
            file.extend(number.to_be_bytes());
        }
        let root = file.len() - 4;
        // Nodes to write: their names, how many characters of those stand in the nodes above,
        // and where the pointer to the node is.
        let mut nodes = vec![(entries.as_slice(), 0, root)];
        while let Some((mut names, mut depth, pointer)) = nodes.pop() {
            let start = file.len();
            let mut flags = 0;
            // The root has no prefix.
            if pointer != root
                && let ([(first, _), ..], [.., (last, _)]) = (names, names)
            {
                let shared = first[depth..].iter().zip(&last[depth..]);
                let shared = shared.take_while(|(a, b)| a == b).count();
                if shared > 0 {
                    flags |= PREFIX;
                    file.extend(&first[depth..depth + shared]);
                    file.push(0);
                    depth += shared;
                }
            }
            let values = match names {
                [(name, values), below @ ..] if name.len() == depth => {
                    names = below;
                    *values
                }
                _ => &[],
            };
            if let ([(first, _), ..], [.., (last, _)]) = (names, names) {
                flags |= CHILDREN;
                let (low, high) = (first[depth], last[depth]);
                file.extend([low, high]);
                let table = file.len();
                file.resize(table + 4 * (usize::from(high - low) + 1), 0);
                // The last first: the first has to come off the stack first.
                for child in names.chunk_by(|(a, _), (b, _)| a[depth] == b[depth]).rev() {
                    let slot = usize::from(child[0].0[depth] - low);
                    nodes.push((child, depth + 1, table + 4 * slot));
                }
            }
            if !values.is_empty() {
                flags |= VALUES;
                file.extend(number(values.len())?.to_be_bytes());
                for (priority, value) in values {
                    file.extend(priority.to_be_bytes());
                    file.extend(value.bytes());
                    file.push(0);
                }
            }
            let start = number(start)?;
            file[pointer..pointer + 4].copy_from_slice(&(start | flags).to_be_bytes());
        }
        Ok(file)
    }
}

fn number(value: usize) -> Result<u32> {
    let fits = u32::try_from(value).ok().filter(|&number| number <= OFFSET);
    fits.ok_or_else(|| Error::too_large(FORMAT, "an index", value as u64, OFFSET.into()))
}

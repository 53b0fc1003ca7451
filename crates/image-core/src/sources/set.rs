//! Several places, searched in order.

use super::{Error, Image, Result, Source};
use crate::{
    blob::Blob,
    formats::oci::{Descriptor, Platform, Reference},
    nearest::distance,
};
use std::{collections::BTreeSet, fmt, sync::Arc};

/// How many names an error offers.
const OFFERED: usize = 3;

/// Places, searched in order. It is a source itself, but one that says what it lacks:
/// [`get`](Set::get).
#[derive(Clone, Default)]
pub struct Set(Vec<Arc<dyn Source>>);

impl Set {
    /// Searches `sources` in this order.
    pub fn new(sources: Vec<Arc<dyn Source>>) -> Self {
        Self(sources)
    }

    /// The image called `reference` for `platform`.
    ///
    /// # Errors
    /// [`Error::NotFound`] with the names most like it if no source has it; else the first
    /// error of a source, save that one which lacks the platform does not end the search.
    pub fn get(&self, reference: &Reference, platform: &Platform) -> Result<Image> {
        self.find(reference, platform)?.ok_or_else(|| Error::NotFound {
            reference: Box::new(reference.clone()),
            searched: self.0.iter().map(|source| source.describe()).collect(),
            nearest: nearest(reference, self.names()),
        })
    }
}

impl Source for Set {
    fn describe(&self) -> String {
        let places: Vec<_> = self.0.iter().map(|source| source.describe()).collect();
        places.join(", ")
    }

    fn find(&self, reference: &Reference, platform: &Platform) -> Result<Option<Image>> {
        let mut elsewhere = None;
        for source in &self.0 {
            match source.find(reference, platform) {
                Ok(None) => {}
                Err(error @ Error::WrongPlatform { .. }) => {
                    elsewhere.get_or_insert(error);
                }
                found => return found,
            }
        }
        elsewhere.map_or(Ok(None), Err)
    }

    fn blob(&self, of: &Reference, descriptor: &Descriptor) -> Result<Blob> {
        // Content is the same wherever it lies, so the first place that has it will do.
        for source in &self.0 {
            match source.blob(of, descriptor) {
                Err(Error::Missing { .. }) => {}
                found => return found,
            }
        }
        Err(Error::Missing { place: self.describe(), digest: descriptor.digest })
    }

    fn names(&self) -> Vec<String> {
        let names = self.0.iter().flat_map(|source| source.names());
        names.collect::<BTreeSet<_>>().into_iter().collect()
    }
}

impl fmt::Debug for Set {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Set").field(&self.describe()).finish()
    }
}

/// The names most like `reference`, hosts and digests aside; none that are too far off.
fn nearest(reference: &Reference, names: Vec<String>) -> Vec<String> {
    let key = |reference: &Reference| {
        format!("{}:{}", reference.repository(), reference.tag().unwrap_or("latest"))
    };
    let wanted = key(reference);
    let mut ranked: Vec<_> = names
        .into_iter()
        .filter_map(|name| {
            let other = key(&name.parse().ok()?);
            let distance = distance(&wanted, &other);
            (distance <= 3 + wanted.len() / 3).then_some((distance, name))
        })
        .collect();
    ranked.sort();
    ranked.into_iter().take(OFFERED).map(|(_, name)| name).collect()
}

//! Official extensions by name.

use image_core::{
    blob::Scratch,
    error::Result,
    plan,
    sources::Set,
    talos::{TalosVersion, catalogue::Catalogue, profile::ContainerAsset},
};
use std::cell::OnceCell;

/// The catalogue of a version, read when the first name is asked for.
pub(super) struct Official<'a> {
    version: &'a TalosVersion,
    sources: &'a Set,
    catalogue: OnceCell<Catalogue>,
}

impl<'a> Official<'a> {
    pub(super) fn new(version: &'a TalosVersion, sources: &'a Set) -> Self {
        Self { version, sources, catalogue: OnceCell::new() }
    }

    /// The image of the extension that is called so, by its reference.
    pub(super) fn image(&self, name: &str) -> Result<ContainerAsset> {
        let catalogue = if let Some(catalogue) = self.catalogue.get() {
            catalogue
        } else {
            let scratch = Scratch::new(std::env::temp_dir());
            let read = plan::catalogue(self.version, self.sources, &scratch)?;
            self.catalogue.get_or_init(|| read)
        };
        Ok(ContainerAsset::reference(catalogue.find(name)?.reference.to_string()))
    }
}

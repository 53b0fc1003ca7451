//! A schematic, laid over a profile.

use super::{input_error, named, official::Official};
use crate::cli::Customization;
use anyhow::Context;
use image_core::{
    error::Error,
    events::{Event, Observer},
    talos::{
        Profile, TalosVersion,
        extension::VirtualExtension,
        schematic::{FACTORY_URL, Schematic},
    },
};
use std::path::Path;

/// The schematic in a file, or on stdin, and what that is called in messages.
pub(crate) fn read(file: &Path) -> anyhow::Result<(String, Schematic)> {
    let (name, text) = named::text(file)?;
    let schematic = Schematic::from_yaml(&text).map_err(Error::from).context(name.clone())?;
    Ok((name, schematic))
}

/// Lays the schematic that `flags` name, if any, over `profile`. What comes back is the extension
/// that tells a node its schematic.
pub(super) fn lay_over(
    profile: &mut Profile,
    flags: &Customization,
    version: &TalosVersion,
    official: &Official<'_>,
    observer: &dyn Observer,
) -> anyhow::Result<Option<VirtualExtension>> {
    let Some(file) = &flags.schematic else { return Ok(None) };
    let (name, schematic) = read(file)?;
    let config = &schematic.customization.embedded_machine_configuration;
    if flags.embedded_config_path.is_some() && !config.is_empty() {
        let what = "the schematic and --embedded-config-path both bring a machine configuration: \
                    leave one out";
        return Err(input_error(what.to_owned()).into());
    }
    let factory = flags.factory_url.as_deref().unwrap_or(FACTORY_URL);
    is_url(factory)?;
    if let Some(what) = added(profile, flags) {
        let message = format!(
            "{what} stands in the medium beside the schematic and is not part of its ID: nodes \
             lose it when they upgrade by that ID"
        );
        observer.on(&Event::Warning { subject: &name, message: &message });
    }
    let extension = |extension: &str| {
        if extension.contains('/') {
            return official.image(extension);
        }
        Err(input_error(format!(
            "customization.systemExtensions.officialExtensions: {extension:?}: Image Factory knows \
             extensions by their whole names only: write \"siderolabs/{extension}\""
        )))
    };
    schematic.lay_over(profile, extension).context(name)?;
    Ok(Some(schematic.virtual_extension(factory, version)))
}

/// Refuses an address of a factory that no node could follow.
fn is_url(text: &str) -> Result<(), Error> {
    let host = ["https://", "http://"].iter().find_map(|scheme| text.strip_prefix(scheme));
    let odd = |c: char| c.is_whitespace() || c.is_control();
    if host.is_some_and(|host| !host.is_empty() && !host.contains(odd)) {
        return Ok(());
    }
    let what = format!("--factory-url: {text:?} is no URL: write https:// and all that follows");
    Err(input_error(what))
}

/// What a profile or the flags bring that a schematic does not name.
fn added(profile: &Profile, flags: &Customization) -> Option<&'static str> {
    let (mine, input) = (&profile.customization, &profile.input);
    [
        (
            !(mine.extra_kernel_args.is_empty() && flags.extra_kernel_arg.is_empty()),
            "a kernel argument",
        ),
        (
            !(input.system_extensions.is_empty()
                && flags.system_extension_image.is_empty()
                && flags.extension.is_empty()),
            "an extension",
        ),
        (
            !mine.embedded_machine_configuration.is_empty() || flags.embedded_config_path.is_some(),
            "a machine configuration",
        ),
    ]
    .into_iter()
    .find_map(|(added, what)| added.then_some(what))
}

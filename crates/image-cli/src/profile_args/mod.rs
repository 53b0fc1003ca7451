//! What was typed, as a profile and what goes beside it.
//!
//! In this order, the later over the former: the profile's file, the schematic, the flags. What
//! is a list grows; what is one word is replaced.

mod flags;
mod named;
mod official;

use crate::cli::{Origins, Request};
use anyhow::Context;
use image_core::{
    error::{Error, ErrorKind},
    events::{Event, Observer},
    plan::Choices,
    sources::{self, Set},
    talos::{
        Profile,
        profile::ContainerAsset,
        schematic::{FACTORY_URL, Schematic},
    },
};
use official::Official;
use std::{fmt::Display, path::Path, str::FromStr};

/// What was asked for.
pub(crate) struct Asked {
    /// The profile with the schematic and the flags in it.
    pub(crate) profile: Profile,
    /// What has no place in a profile.
    pub(crate) choices: Choices,
    /// Where its parts lie.
    pub(crate) sources: Set,
}

/// Reads what `request` asks for.
pub(crate) fn asked(
    request: &Request,
    origins: &Origins,
    observer: &dyn Observer,
) -> anyhow::Result<Asked> {
    let mut profile = named::profile(&request.profile)?;
    flags::medium(&mut profile, &request.medium)?;
    let version = profile.version.clone().ok_or_else(|| {
        input_error("no Talos version is given: add --talos-version, such as v1.11.2".to_owned())
    })?;
    let sources = sources(&origins.source)?;
    let official = Official::new(&version, &sources);
    let mut choices = flags::choices(request, origins)?;

    let customization = &request.customization;
    if let Some(file) = &customization.schematic {
        let more = added(&profile, request);
        let schematic = schematic(file)?;
        schematic
            .lay_over(&mut profile, |name| official.image(name))
            .with_context(|| file.display().to_string())?;
        let factory = customization.factory_url.as_deref().unwrap_or(FACTORY_URL);
        is_url(factory)?;
        choices.schematic = Some(schematic.virtual_extension(factory, &version));
        if let Some(what) = more {
            let message = format!(
                "{what} stands in the medium beside the schematic and is not part of its ID: nodes \
                 lose it when they upgrade by that ID"
            );
            observer
                .on(&Event::Warning { subject: &file.display().to_string(), message: &message });
        }
    }
    flags::customization(&mut profile, customization)?;
    let extensions = customization.extension.iter().map(|name| official.image(name));
    let extensions: Vec<ContainerAsset> = extensions.collect::<Result<_, _>>()?;
    profile.input.system_extensions.extend(extensions);
    flags::disk(&mut profile, &request.medium)?;
    flags::boot_assets(&mut profile, origins)?;
    flags::later(&mut profile, &request.later)?;
    Ok(Asked { profile, choices, sources })
}

/// The sources named on the command line, in order.
pub(crate) fn sources(named: &[String]) -> anyhow::Result<Set> {
    let opened = named.iter().map(|it| sources::open(it).map_err(Error::from));
    Ok(Set::new(opened.collect::<Result<_, _>>()?))
}

/// The schematic in a file, or on stdin.
pub(crate) fn schematic(file: &Path) -> anyhow::Result<Schematic> {
    let (name, text) = named::text(file)?;
    Schematic::from_yaml(&text).map_err(Error::from).context(name)
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
fn added(profile: &Profile, request: &Request) -> Option<&'static str> {
    let flags = &request.customization;
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

/// Puts what a flag says, if it is given, in `place`.
fn set<T>(place: &mut Option<T>, flag: &str, text: Option<&String>) -> anyhow::Result<()>
where
    T: FromStr<Err: Display>,
{
    if let Some(text) = text {
        *place = Some(text.parse().map_err(|error| input_error(format!("{flag}: {error}")))?);
    }
    Ok(())
}

fn input_error(what: String) -> Error {
    Error::new(ErrorKind::Input, what)
}

//! What was typed, as a profile and what goes beside it.
//!
//! In this order, the later over the former: the profile's file, the schematic, the flags. What
//! is a list grows; what is one word is replaced.

mod flags;
mod named;
mod official;
pub(crate) mod schematic;

use crate::cli::{Origins, Request};
use image_core::{
    error::{Error, ErrorKind},
    events::Observer,
    plan::Choices,
    sources::{self, Set},
    talos::{Profile, profile::ContainerAsset},
};
use official::Official;
use std::{fmt::Display, str::FromStr};

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
    choices.schematic =
        schematic::lay_over(&mut profile, customization, &version, &official, observer)?;
    flags::customization(&mut profile, customization)?;
    let extensions = customization.extension.iter().map(|name| official.image(name));
    let extensions: Vec<ContainerAsset> = extensions.collect::<Result<_, _>>()?;
    profile.input.system_extensions.extend(extensions);
    flags::disk(&mut profile, &request.medium)?;
    flags::boot_assets(&mut profile, origins)?;
    flags::secure_boot(&mut profile, &request.secure_boot)?;
    flags::later(&mut profile, &request.later)?;
    Ok(Asked { profile, choices, sources })
}

/// The sources named on the command line, in order.
pub(crate) fn sources(named: &[String]) -> anyhow::Result<Set> {
    let opened = named.iter().map(|it| sources::open(it).map_err(Error::from));
    Ok(Set::new(opened.collect::<Result<_, _>>()?))
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

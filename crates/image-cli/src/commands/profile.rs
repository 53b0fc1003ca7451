//! `talos-image profile`

use crate::{cli::Profile, profile_args, render::Render};
use image_core::error::Error;

/// Prints the profile that `build` would carry out.
pub(crate) fn run(args: &Profile, render: &dyn Render) -> anyhow::Result<()> {
    let asked = profile_args::asked(&args.request, &args.origins, render)?;
    // Refused here already: the imager prints some profiles that it then refuses to build.
    asked.profile.clone().target().map_err(Error::from)?;
    let filled = asked.profile.filled().map_err(Error::from)?;
    Ok(render.profile(&filled)?)
}

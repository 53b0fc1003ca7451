//! `talos-image extensions`

use crate::{
    cli::{Extensions, List},
    profile_args,
    render::Render,
};
use image_core::{
    blob::Scratch,
    error::{Error, ErrorKind},
    plan,
    talos::TalosVersion,
};

/// Looks into the catalogue.
pub(crate) fn run(args: &Extensions, render: &dyn Render) -> anyhow::Result<()> {
    match args {
        Extensions::List(args) => list(args, render),
    }
}

fn list(args: &List, render: &dyn Render) -> anyhow::Result<()> {
    let version: TalosVersion = args
        .talos_version
        .parse()
        .map_err(|error| Error::new(ErrorKind::Input, format!("--talos-version: {error}")))?;
    let sources = profile_args::sources(&args.source)?;
    let scratch = Scratch::new(std::env::temp_dir());
    let catalogue = plan::catalogue(&version, &sources, &scratch)?;
    Ok(render.extensions(&catalogue)?)
}

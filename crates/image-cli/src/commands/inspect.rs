//! `talos-image inspect`

use crate::{cli::Inspect, exit::Failure, render::Render};
use anyhow::Context;
use image_core::{
    blob::{Blob, Scratch},
    error::Error,
    examine,
};
use std::path::Path;

/// Reports on every file; the ones that cannot be read do not keep the others from it.
pub(crate) fn run(args: &Inspect, render: &dyn Render) -> anyhow::Result<()> {
    let mut failed: Option<anyhow::Error> = None;
    for file in &args.files {
        if let Err(error) = one(file, args.pcrs, render)
            && let Some(before) = failed.replace(error)
        {
            render.failure(&Failure::from(&before));
        }
    }
    failed.map_or(Ok(()), Err)
}

fn one(file: &Path, pcrs: bool, render: &dyn Render) -> anyhow::Result<()> {
    let blob = Blob::open(file).map_err(Error::from)?;
    let scratch = Scratch::new(std::env::temp_dir());
    let name = || file.display().to_string();
    if pcrs {
        render.measured(file, &examine::measured(&blob, &scratch).with_context(name)?)?;
    } else {
        render.report(file, &examine::inspect(&blob, &scratch).with_context(name)?)?;
    }
    Ok(())
}

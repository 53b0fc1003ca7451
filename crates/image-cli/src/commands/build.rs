//! `talos-image build`

use super::write;
use crate::{
    cli::{Build, Global},
    profile_args,
    render::{Render, What},
};
use image_core::{
    assemble::{self, Context},
    blob::Scratch,
    error::Error,
    plan::{self, Plan},
    sources,
};
use std::{num::NonZeroUsize, thread};

/// Plans what was asked, and carries the plan out.
pub(crate) fn run(args: &Build, global: Global, render: &dyn Render) -> anyhow::Result<()> {
    let profile = profile_args::profile(args)?;
    let choices = profile_args::choices(args)?;
    let opened = args.sources.source.iter().map(|it| sources::open(it).map_err(Error::from));
    let sources = sources::Set::new(opened.collect::<Result<_, _>>()?);
    let inputs = plan::resolve(&profile, &choices, &sources)?;
    let plan = Plan::new(inputs, &choices)?;
    if args.output.plan {
        return Ok(render.plan(&plan)?);
    }
    let output = &args.output.dir;
    let scratch = if args.output.stdout {
        std::env::temp_dir()
    } else {
        write::directory(output)?;
        output.clone()
    };
    let context = Context {
        sources: &sources,
        scratch: &Scratch::new(scratch),
        threads: global.threads.unwrap_or_else(one_a_cpu),
        observer: render,
    };
    let artifact = assemble::execute(&plan, &context)?;
    let name = &artifact.file_name;
    if args.output.stdout {
        write::stdout(&artifact.blob, render)?;
    } else {
        write::file(&artifact.blob, name, What::Artifact(&output.join(name)), render)?;
    }
    Ok(())
}

fn one_a_cpu() -> NonZeroUsize {
    thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

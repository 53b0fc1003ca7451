//! `talos-image build`

use super::write;
use crate::{
    cli::{Build, Global},
    profile_args::{self, Asked},
    render::{Render, What},
    signing::Signing,
};
use image_core::{
    assemble::{self, Artifact, Context},
    blob::Scratch,
    error::{Error, ErrorKind},
    events::{Event, Observer},
    plan::{self, Plan},
};
use std::{
    num::NonZeroUsize,
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

/// Plans what was asked, and carries the plan out.
pub(crate) fn run(args: &Build, global: Global, render: &dyn Render) -> anyhow::Result<()> {
    let Build { request, origins, signing, output, strict } = args;
    let warned = Warned { warnings: AtomicUsize::new(0), render };
    let Asked { mut profile, mut choices, sources } =
        profile_args::asked(request, origins, &warned)?;
    let requests = signing.unsigned_requests.as_deref();
    let signing = Signing::read(signing, &mut profile, &warned)?;
    choices.keys = signing.keys();
    let inputs = plan::resolve(&profile, &choices, &sources)?;
    let plan = Plan::new(inputs, &choices)?;
    if *strict {
        // Known before anything is read.
        for message in &plan.warnings {
            warned.on(&Event::Warning { subject: &plan.file_name, message });
        }
        count(true, warned.count())?;
    }
    if output.plan {
        return Ok(render.plan(&plan)?);
    }
    let streamed = output.stdout || output.tar_to_stdout;
    let directory = match &output.dir {
        None if streamed => None,
        given => Some(given.as_deref().unwrap_or(Path::new("."))),
    };
    let _made = directory.map(write::directory).transpose()?;
    let scratch = Scratch::new(directory.map_or_else(std::env::temp_dir, Path::to_owned));
    let threads = global.threads.unwrap_or_else(one_a_cpu);
    let context = Context {
        sources: &sources,
        scratch: &scratch,
        threads,
        observer: &warned,
        signers: signing.signers(),
    };
    let Artifact { file_name, blob } = match (assemble::execute(&plan, &context), requests) {
        (Err(error), Some(dir)) if error.kind() == ErrorKind::Awaited => {
            return ask(&signing, dir, render);
        }
        (Err(error), None) if error.kind() == ErrorKind::Awaited => {
            let what = format!("{error}: --unsigned-requests DIR writes what is to be signed");
            return Err(Error::new(ErrorKind::Awaited, what).into());
        }
        (made, _) => made?,
    };
    count(*strict, warned.count())?;
    if let Some(directory) = directory {
        let path = directory.join(&file_name);
        if output.tar_to_stdout {
            write::persist(&blob, &path, render)?;
        } else {
            write::file(&blob, &file_name, What::Artifact(&path), render)?;
        }
    }
    if output.stdout {
        write::stdout(&blob, render)?;
    }
    if output.tar_to_stdout {
        write::tar_gz_to_stdout(&blob, &file_name, choices.epoch, &scratch, threads, render)?;
    }
    Ok(())
}

/// Writes down what is to be signed elsewhere.
fn ask(signing: &Signing, dir: &Path, render: &dyn Render) -> anyhow::Result<()> {
    let _made = write::directory(dir)?;
    for (name, content) in signing.requests() {
        write::file(&content.into(), &name, What::File(&dir.join(&name)), render)?;
    }
    Ok(())
}

/// Hears how many warnings there were.
struct Warned<'a> {
    warnings: AtomicUsize,
    render: &'a dyn Render,
}

impl Warned<'_> {
    fn count(&self) -> usize {
        self.warnings.load(Ordering::Relaxed)
    }
}

impl Observer for Warned<'_> {
    fn on(&self, event: &Event<'_>) {
        if matches!(event, Event::Warning { .. }) {
            self.warnings.fetch_add(1, Ordering::Relaxed);
        }
        self.render.on(event);
    }
}

/// Ends here if there were warnings and they count.
fn count(strict: bool, warnings: usize) -> Result<(), Error> {
    let what = match warnings {
        0 => return Ok(()),
        _ if !strict => return Ok(()),
        1 => "there was a warning".to_owned(),
        more => format!("there were {more} warnings"),
    };
    Err(Error::new(ErrorKind::Input, format!("{what}, and --strict counts warnings as errors")))
}

fn one_a_cpu() -> NonZeroUsize {
    thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

//! One JSON object a line.

use super::{Render, Written, lossy};
use crate::{cli::Global, exit::Failure};
use image_core::{
    events::{Event, Observer, Step},
    examine::{
        Part,
        report::{Measured, Report, Verified},
    },
    plan::Plan,
    talos::{
        Profile,
        catalogue::Catalogue,
        schematic::{Description, Schematic},
    },
};
use serde::Serialize;
use serde_json::json;
use std::{
    collections::BTreeMap,
    io::{self, Write},
    path::Path,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// How often a program hears that a step advanced.
const EVERY: Duration = Duration::from_millis(100);

pub(super) struct Json {
    events: bool,
    advances: bool,
    /// Bytes not told of yet, and when the step was last told of.
    untold: Mutex<BTreeMap<(Step, String), (u64, Instant)>>,
}

impl Json {
    pub(super) fn new(global: Global) -> Self {
        Self {
            events: !global.quiet,
            advances: !global.quiet && !global.no_progress,
            untold: Mutex::default(),
        }
    }

    /// Adds up the bytes of a step, and gives their sum when it is time to tell.
    fn add(&self, step: Step, subject: &str, bytes: u64) -> Option<u64> {
        let mut untold = self.untold.lock().unwrap_or_else(PoisonError::into_inner);
        let (sum, told) =
            untold.entry((step, subject.to_owned())).or_insert_with(|| (0, Instant::now()));
        *sum += bytes;
        if told.elapsed() < EVERY {
            return None;
        }
        *told = Instant::now();
        Some(std::mem::take(sum))
    }

    fn rest(&self, step: Step, subject: &str) -> Option<u64> {
        let mut untold = self.untold.lock().unwrap_or_else(PoisonError::into_inner);
        untold.remove(&(step, subject.to_owned())).map(|(sum, _)| sum).filter(|&sum| sum > 0)
    }
}

fn line(mut to: impl Write, value: &impl Serialize) -> io::Result<()> {
    let mut text = serde_json::to_string(value)?;
    text.push('\n');
    to.write_all(text.as_bytes())?;
    to.flush()
}

/// What was found, with the file it is about.
#[derive(Serialize)]
struct Named<'a, T> {
    #[serde(serialize_with = "lossy")]
    file: &'a Path,
    #[serde(flatten)]
    found: &'a T,
}

/// Telling must not stop the work: what stderr refuses is lost.
fn tell(value: &impl Serialize) {
    let _ = line(io::stderr().lock(), value);
}

impl Observer for Json {
    fn on(&self, event: &Event<'_>) {
        match *event {
            Event::Warning { .. } => tell(event),
            Event::Advanced { step, subject, bytes } if self.advances => {
                if let Some(bytes) = self.add(step, subject, bytes) {
                    tell(&Event::Advanced { step, subject, bytes });
                }
            }
            Event::Advanced { .. } => {}
            Event::Finished { step, subject } if self.events => {
                if let Some(bytes) = self.rest(step, subject) {
                    tell(&Event::Advanced { step, subject, bytes });
                }
                tell(event);
            }
            _ if self.events => tell(event),
            _ => {}
        }
    }
}

impl Render for Json {
    fn plan(&self, plan: &Plan) -> io::Result<()> {
        line(io::stdout().lock(), plan)
    }

    fn profile(&self, profile: &Profile) -> io::Result<()> {
        line(io::stdout().lock(), profile)
    }

    fn schematic_id(&self, file: &Path, id: &str) -> io::Result<()> {
        line(io::stdout().lock(), &json!({ "file": file.to_string_lossy(), "id": id }))
    }

    fn schematic(&self, file: &Path, schematic: &Schematic) -> io::Result<()> {
        #[derive(Serialize)]
        struct Described<'a> {
            #[serde(serialize_with = "lossy")]
            file: &'a Path,
            #[serde(flatten)]
            description: Description,
        }
        line(io::stdout().lock(), &Described { file, description: schematic.describe() })
    }

    fn extensions(&self, catalogue: &Catalogue) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        catalogue.extensions().iter().try_for_each(|extension| line(&mut stdout, extension))
    }

    fn written(&self, written: &Written<'_>) -> io::Result<()> {
        line(io::stdout().lock(), written)
    }

    fn report(&self, file: &Path, report: &Report) -> io::Result<()> {
        line(io::stdout().lock(), &Named { file, found: report })
    }

    fn measured(&self, file: &Path, measured: &Measured) -> io::Result<()> {
        line(io::stdout().lock(), &Named { file, found: measured })
    }

    fn verified(&self, file: &Path, own: bool, verified: &Verified) -> io::Result<()> {
        #[derive(Serialize)]
        struct Held<'a> {
            valid: bool,
            own_keys: bool,
            #[serde(flatten)]
            verified: &'a Verified,
        }
        let found = &Held { valid: verified.is_valid(), own_keys: own, verified };
        line(io::stdout().lock(), &Named { file, found })
    }

    fn parts(&self, parts: &[Part]) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        parts.iter().try_for_each(|part| {
            line(&mut stdout, &json!({ "name": part.name, "size": part.blob.len() }))
        })
    }

    fn failure(&self, failure: &Failure) {
        #[derive(Serialize)]
        struct Failed<'a> {
            error: &'a Failure,
        }
        tell(&Failed { error: failure });
    }
}

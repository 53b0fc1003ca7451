//! For people: bars while it works, text when it is done.

use super::{
    Render, Written, measured, report, request, signatures,
    text::{
        Column::{Left, Right},
        Text, exact, harmless, size,
    },
};
use crate::{cli::Global, exit::Failure};
use console::style;
use image_core::{
    events::{Event, Observer, Step},
    examine::{
        Part,
        report::{Measured, Report, Verified},
    },
    plan::Plan,
    talos::{Profile, catalogue::Catalogue, schematic::Schematic},
};
use indicatif::{MultiProgress, ProgressBar, ProgressState, ProgressStyle};
use std::{
    collections::BTreeMap,
    fmt,
    io::{self, IsTerminal, Write},
    path::Path,
    sync::{Mutex, PoisonError},
    time::Duration,
};

pub(super) struct Human {
    progress: Progress,
    running: Mutex<BTreeMap<(Step, String), ProgressBar>>,
}

/// How progress is shown.
enum Progress {
    Bars(MultiProgress),
    Lines,
    Nothing,
}

impl Human {
    pub(super) fn new(global: Global) -> Self {
        let progress = match (global.quiet, global.no_progress) {
            (true, _) => Progress::Nothing,
            (false, false) if io::stderr().is_terminal() => Progress::Bars(MultiProgress::new()),
            _ => Progress::Lines,
        };
        Self { progress, running: Mutex::default() }
    }

    /// Writes to stderr without tearing the bars. What stderr refuses is lost: telling must not
    /// stop the work.
    fn tell(&self, line: &str) {
        let write = || drop(writeln!(io::stderr(), "{line}"));
        match &self.progress {
            Progress::Bars(bars) => bars.suspend(write),
            _ => write(),
        }
    }

    fn start(&self, bars: &MultiProgress, step: Step, subject: &str, total: Option<u64>) {
        let bar = bars.add(ProgressBar::no_length());
        bar.set_prefix(verb(step).0);
        bar.set_message(short(subject));
        if let Some(total) = total {
            bar.set_length(total);
            bar.set_style(styled(
                "{prefix:>12.cyan.bold} {wide_msg} {bar:24.cyan/dim} {done:>10} of {all} {left:>4}",
            ));
        } else {
            bar.set_style(styled("{prefix:>12.cyan.bold} {wide_msg} {done:>10} {spinner}"));
            bar.enable_steady_tick(Duration::from_millis(120));
        }
        self.running().insert((step, subject.to_owned()), bar);
    }

    fn running(&self) -> std::sync::MutexGuard<'_, BTreeMap<(Step, String), ProgressBar>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The template with this command's own sizes and times in it.
fn styled(template: &str) -> ProgressStyle {
    let style = ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("━╸ ");
    style
        .with_key("done", |state: &ProgressState, to: &mut dyn fmt::Write| {
            let _ = to.write_str(&size(state.pos()));
        })
        .with_key("all", |state: &ProgressState, to: &mut dyn fmt::Write| {
            let _ = to.write_str(&size(state.len().unwrap_or(0)));
        })
        .with_key("left", |state: &ProgressState, to: &mut dyn fmt::Write| {
            let _ = write!(to, "{}s", state.eta().as_secs());
        })
}

/// What a step is done to, its digest cut short: in full it is in the plan.
fn short(subject: &str) -> String {
    const SHOWN: usize = 12;
    let mut subject = harmless(subject);
    if let Some(at) = subject.find("@sha256:") {
        subject.truncate(at + "@sha256:".len() + SHOWN);
    }
    subject
}

/// What a step is called while it runs, and when it is done.
fn verb(step: Step) -> (&'static str, &'static str) {
    match step {
        Step::Release | Step::Extension => ("Reading", "Read"),
        Step::Modules => ("Listing", "Listed"),
        Step::Squashfs => ("Packing", "Packed"),
        Step::Initramfs | Step::VirtualDisk | Step::Pack => ("Compressing", "Compressed"),
        Step::Write => ("Writing", "Wrote"),
        _ => ("Working on", "Did"),
    }
}

impl Observer for Human {
    fn on(&self, event: &Event<'_>) {
        match (event, &self.progress) {
            (&Event::Warning { subject, message }, _) => {
                let warning = style("warning:").for_stderr().yellow().bold();
                self.tell(&format!("{warning} {}: {}", harmless(subject), harmless(message)));
            }
            (&Event::Started { step, subject, total }, Progress::Bars(bars)) => {
                self.start(bars, step, subject, total);
            }
            (&Event::Started { step, subject, total }, Progress::Lines) => {
                let (verb, subject) = (verb(step).0, short(subject));
                let total = total.map(|total| format!(" ({})", size(total))).unwrap_or_default();
                self.tell(&format!("{verb:>12} {subject}{total}"));
            }
            (&Event::Advanced { step, subject, bytes }, Progress::Bars(_)) => {
                if let Some(bar) = self.running().get(&(step, subject.to_owned())) {
                    bar.inc(bytes);
                }
            }
            (&Event::Finished { step, subject }, Progress::Bars(_)) => {
                // A line of its own: a finished bar would go with the next line that is told.
                let bar = self.running().remove(&(step, subject.to_owned()));
                if let Some(bar) = bar {
                    bar.finish_and_clear();
                    let verb = style(format!("{:>12}", verb(step).1)).for_stderr().green().bold();
                    let (done, took) = (bar.position(), bar.elapsed().as_secs_f32());
                    let done = if done == 0 { String::new() } else { size(done) + ", " };
                    self.tell(&format!("{verb} {} ({done}{took:.1}s)", short(subject)));
                }
            }
            _ => {}
        }
    }
}

impl Render for Human {
    fn plan(&self, plan: &Plan) -> io::Result<()> {
        // A command line that is folded cannot be searched or copied.
        let whole_lines = serde_saphyr::ser_options! {
            folded_wrap_chars: usize::MAX,
            compact_list_indent: false,
        };
        let text = serde_saphyr::to_string_with_options(plan, whole_lines);
        print(&format!("{}\n", text.map_err(io::Error::other)?.trim_end()))
    }

    fn profile(&self, profile: &Profile) -> io::Result<()> {
        print(&profile.to_yaml())
    }

    fn schematic_id(&self, _: &Path, id: &str) -> io::Result<()> {
        print(&format!("{id}\n"))
    }

    fn schematic(&self, file: &Path, schematic: &Schematic) -> io::Result<()> {
        print(&request::schematic(file, schematic))
    }

    fn extensions(&self, catalogue: &Catalogue) -> io::Result<()> {
        print(&request::extensions(catalogue))
    }

    fn written(&self, written: &Written<'_>) -> io::Result<()> {
        let path = harmless(&written.what.path().display().to_string());
        print(&format!("{path}  {}\n", exact(written.size)))
    }

    fn report(&self, file: &Path, report: &Report) -> io::Result<()> {
        print(&report::text(file, report))
    }

    fn measured(&self, file: &Path, measured: &Measured) -> io::Result<()> {
        print(&measured::text(file, measured))
    }

    fn verified(&self, file: &Path, own: bool, verified: &Verified) -> io::Result<()> {
        print(&signatures::verified(file, own, verified))
    }

    fn parts(&self, parts: &[Part]) -> io::Result<()> {
        let rows: Vec<_> = parts
            .iter()
            .map(|part| [part.name.clone(), size(part.blob.len()), part.blob.len().to_string()])
            .collect();
        let mut text = Text::default();
        text.table([Left("part"), Right("size"), Right("bytes")], &rows);
        print(&text.finish())
    }

    fn failure(&self, failure: &Failure) {
        for bar in std::mem::take(&mut *self.running()).into_values() {
            bar.finish_and_clear();
        }
        let error = style("error:").for_stderr().red().bold();
        self.tell(&format!("{error} {}", harmless(&failure.message)));
    }
}

fn print(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}

//! Running processes: how long they take and how much memory at most.

use anyhow::{Context as _, Result, bail};
use std::{
    array, env, fs,
    io::ErrorKind,
    ops::AddAssign,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};
use wait4::Wait4 as _;

/// What one run took.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Run {
    /// From start to end.
    pub(crate) time: Duration,
    /// The most memory that was resident, in bytes.
    pub(crate) peak: u64,
}

impl AddAssign for Run {
    fn add_assign(&mut self, other: Self) {
        self.time += other.time;
        self.peak = self.peak.max(other.peak);
    }
}

/// The same run, several times.
#[derive(Clone, Debug, Default)]
pub(crate) struct Runs(Vec<Run>);

impl Runs {
    pub(crate) fn median(&self) -> Duration {
        let mut times: Vec<_> = self.0.iter().map(|run| run.time).collect();
        times.sort();
        times.get(times.len() / 2).copied().unwrap_or_default()
    }

    pub(crate) fn peak(&self) -> u64 {
        self.0.iter().map(|run| run.peak).max().unwrap_or_default()
    }
}

/// Does `N` runs in turn, all of it `repetitions` times, after a round that does not count. What
/// one leaves to be written is on the disk before the next starts.
pub(crate) fn alternate<const N: usize>(
    repetitions: usize,
    mut one: impl FnMut(usize) -> Result<Run>,
) -> Result<[Runs; N]> {
    let mut runs: [Runs; N] = array::from_fn(|_| Runs::default());
    for round in 0..=repetitions {
        for (which, runs) in runs.iter_mut().enumerate() {
            run(&mut Command::new("sync"))?;
            let run = one(which)?;
            if round > 0 {
                runs.0.push(run);
            }
        }
    }
    Ok(runs)
}

/// Runs `command` to its end, which has to be a good one.
pub(crate) fn run(command: &mut Command) -> Result<Run> {
    let start = Instant::now();
    let mut child = command.spawn().with_context(|| format!("{command:?}"))?;
    let end = child.wait4().with_context(|| format!("{command:?}"))?;
    if !end.status.success() {
        bail!("{command:?}: {}", end.status);
    }
    Ok(Run { time: start.elapsed(), peak: end.rusage.maxrss })
}

/// Runs a line of shell.
pub(crate) fn shell(line: &str) -> Result<Run> {
    run(Command::new("sh").args(["-c", line]).stdout(Stdio::null()))
}

/// Removes what a run before left, so that freeing it is not part of the next one.
pub(crate) fn remove(path: &Path) -> Result<()> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| path.display().to_string())
        }
        _ => Ok(()),
    }
}

/// Fails with the names of `tools` that are not there.
pub(crate) fn ensure(tools: &[&str]) -> Result<()> {
    let path = env::var_os("PATH").unwrap_or_default();
    let dirs: Vec<_> = env::split_paths(&path).collect();
    let missing: Vec<_> =
        tools.iter().filter(|tool| !dirs.iter().any(|dir| dir.join(tool).is_file())).collect();
    if !missing.is_empty() {
        bail!("not found on PATH, install them: {missing:?}");
    }
    Ok(())
}

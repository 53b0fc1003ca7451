//! Work shared among threads, its results taken in order.

use super::Result;
use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError, mpsc},
    thread,
};

/// How many jobs a worker may be ahead of the sink.
const AHEAD: usize = 4;

/// Does `work` on each job, one thread for each of `workers`, and hands job and result to
/// `sink` in the order of the jobs. Only a few jobs for each worker are under way at a time.
///
/// # Errors
/// The first error, in the order of the jobs, that `work` or `sink` gave.
pub(super) fn in_order<W: Send, J: Send, R: Send>(
    workers: Vec<W>,
    jobs: impl Iterator<Item = J>,
    work: impl Fn(&mut W, &J) -> Result<R> + Sync,
    sink: impl FnMut(J, R) -> Result<()>,
) -> Result<()> {
    let ahead = workers.len() * AHEAD;
    let (job_sender, job_receiver) = mpsc::channel();
    let job_receiver = Mutex::new(job_receiver);
    let (result_sender, results) = mpsc::channel();
    thread::scope(|scope| {
        for mut worker in workers {
            let (job_receiver, result_sender, work) = (&job_receiver, result_sender.clone(), &work);
            scope.spawn(move || {
                loop {
                    let next = job_receiver.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    let Ok((number, job)) = next else { break };
                    let result = work(&mut worker, &job);
                    if result_sender.send((number, (job, result))).is_err() {
                        break;
                    }
                }
            });
        }
        drop(result_sender);
        // Owns both ends, so that the workers stop when it returns, however it does.
        drive(jobs, ahead, job_sender, results, sink)
    })
}

#[expect(clippy::needless_pass_by_value, reason = "dropping the channels ends the workers")]
fn drive<J, R>(
    jobs: impl Iterator<Item = J>,
    ahead: usize,
    job_sender: mpsc::Sender<(usize, J)>,
    results: mpsc::Receiver<(usize, (J, Result<R>))>,
    mut sink: impl FnMut(J, R) -> Result<()>,
) -> Result<()> {
    let mut jobs = jobs.enumerate().fuse();
    let mut early = BTreeMap::new();
    let (mut sent, mut taken) = (0, 0);
    loop {
        for job in jobs.by_ref().take(ahead - (sent - taken)) {
            sent += 1;
            // Received as long as there are workers, and without them nothing comes back.
            let _ = job_sender.send(job);
        }
        if sent == taken {
            return Ok(());
        }
        let Ok((number, done)) = results.recv() else { return Ok(()) };
        early.insert(number, done);
        while let Some((job, result)) = early.remove(&taken) {
            taken += 1;
            sink(job, result?)?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::Error, *};

    #[test]
    fn results_come_in_order_and_the_first_error_ends_it() {
        for threads in [1, 3, 8] {
            let mut seen = Vec::new();
            let work = |(): &mut (), &job: &u32| {
                thread::sleep(std::time::Duration::from_micros(u64::from(job * 7 % 13) * 50));
                Ok(job * 2)
            };
            in_order(vec![(); threads], 0..200, work, |job, result| {
                seen.push((job, result));
                Ok(())
            })
            .unwrap();
            assert_eq!(seen, (0..200).map(|job| (job, job * 2)).collect::<Vec<_>>());

            let fail = |(): &mut (), &job: &u32| match job {
                50.. => Err(Error::invalid("test", job.to_string())),
                _ => Ok(()),
            };
            let mut taken = 0;
            let error = in_order(vec![(); threads], 0.., fail, |_, ()| {
                taken += 1;
                Ok(())
            });
            assert_eq!((error.unwrap_err().to_string().as_str(), taken), ("test: 50", 50));
        }
    }
}

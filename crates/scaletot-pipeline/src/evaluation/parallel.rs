//! Independent jobs on a few threads, their results in order.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::error::{Result, bail};
use scaletot_core::Progress;

/// Runs `work` on every job; the first error, or a wish to stop, ends it early.
///
/// # Errors
/// The error of the earliest job that failed; "stopped on request" if `progress` asks to stop.
pub(super) fn map<J: Sync, T: Send>(
    workers: usize,
    jobs: &[J],
    progress: &dyn Progress,
    work: impl Fn(&J) -> Result<T> + Sync,
) -> Result<Vec<T>> {
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<Option<Result<T>>>> = Mutex::new(jobs.iter().map(|_| None).collect());
    let failed = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..workers.min(jobs.len()).max(1) {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(job) = jobs.get(at) else { return };
                    if failed.load(Ordering::Relaxed) > 0 || progress.stopped() {
                        return;
                    }
                    let result = work(job);
                    failed.fetch_add(usize::from(result.is_err()), Ordering::Relaxed);
                    let mut done = done.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                    done[at] = Some(result);
                    progress.advance(1);
                }
            });
        }
    });
    let done = done.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    let mut results = Vec::with_capacity(jobs.len());
    let mut missing = 0;
    for slot in done {
        match slot {
            Some(result) => results.push(result?),
            None => missing += 1,
        }
    }
    if missing > 0 {
        bail!("stopped on request; run the same command again to go on from here");
    }
    Ok(results)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_keep_their_order() {
        let jobs: Vec<usize> = (0..50).collect();
        assert_eq!(map(3, &jobs, &(), |&job| Ok(job * 2)).unwrap()[49], 98);
        assert!(map(3, &[] as &[usize], &(), |&job| Ok(job)).unwrap().is_empty());
    }

    #[test]
    fn an_error_ends_it() {
        let jobs: Vec<usize> = (0..50).collect();
        let error =
            map(2, &jobs, &(), |&job| if job == 7 { bail!("job {job}") } else { Ok(job) }).unwrap_err();
        assert_eq!(error.to_string(), "job 7");
    }

    struct Stopped;

    impl Progress for Stopped {
        fn stopped(&self) -> bool {
            true
        }
    }

    #[test]
    fn a_wish_to_stop_is_heard() {
        let error = map(2, &[1, 2, 3], &Stopped, |&job| Ok(job)).unwrap_err();
        assert!(error.to_string().contains("stopped"), "{error}");
    }
}

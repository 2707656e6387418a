//! Independent jobs on a few threads, their results in order.

use std::num::NonZeroUsize;

use scaletot_core::{Pool, Progress};

use crate::error::{Error, Result};

/// Runs `work` on every job; the first error, or a wish to stop, ends it early.
///
/// # Errors
/// The error of the earliest job that failed; [`Error::Stopped`] if `progress` asks to stop.
pub(super) fn map<J: Sync, T: Send>(
    workers: usize,
    jobs: &[J],
    progress: &dyn Progress,
    work: impl Fn(&J) -> Result<T> + Sync,
) -> Result<Vec<T>> {
    let workers = NonZeroUsize::new(workers.min(jobs.len())).unwrap_or(NonZeroUsize::MIN);
    let stopped = || progress.stopped();
    let mut results = Vec::with_capacity(jobs.len());
    // All results are kept, so that none need wait for a slow one before it.
    Pool::new(workers).with_lookahead(jobs.len()).with_stop(&stopped).map(
        jobs.iter(),
        |_, job| {
            let result = work(job);
            progress.advance(1);
            result
        },
        |_, result| {
            results.push(result?);
            Ok::<(), Error>(())
        },
    )?;
    if results.len() < jobs.len() { Err(Error::Stopped) } else { Ok(results) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::bail;

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

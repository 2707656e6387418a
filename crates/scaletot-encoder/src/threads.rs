//! Work on a set number of threads.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::{ThreadPool, ThreadPoolBuilder};

use scaletot_core::config::check;
use scaletot_core::pool::MAX_WORKERS;

use crate::error::{Error, Result};

/// How often a thread looks whether the others are done before it sleeps; some microseconds each at most.
const SPIN_ITERS: usize = 1_000;

/// The calling thread, with a pool of others that is started once.
#[derive(Debug, Clone, Default)]
pub(crate) struct Threads(Option<Arc<ThreadPool>>);

impl Threads {
    /// # Errors
    /// [`Error::Config`] for more than [`MAX_WORKERS`], [`Error::Threads`] when the system cannot start so many.
    pub(crate) fn new(count: NonZeroUsize) -> Result<Self> {
        check(count <= MAX_WORKERS, "threads", format!("at most {MAX_WORKERS}"), count)?;
        if count.get() == 1 {
            return Ok(Self(None));
        }
        let pool = ThreadPoolBuilder::new()
            .num_threads(count.get() - 1)
            .build()
            .map_err(|error| Error::Threads { count: count.get(), source: Box::new(error) })?;
        Ok(Self(Some(Arc::new(pool))))
    }

    /// How many.
    pub(crate) fn count(&self) -> usize {
        self.0.as_ref().map_or(1, |pool| pool.current_num_threads() + 1)
    }

    /// What `run` makes of every item, in their order, with something of its own for each thread. The calling thread begins at once; the
    /// others join it as they wake up, each taking the next item.
    pub(crate) fn map<I: Sync, S: Default, T: Send>(
        &self,
        items: &[I],
        run: impl Fn(&mut S, &I) -> Result<T> + Sync,
    ) -> Result<Vec<T>> {
        let pool = match &self.0 {
            Some(pool) if items.len() > 1 => pool,
            _ => {
                let mut own = S::default();
                return items.iter().map(|item| run(&mut own, item)).collect();
            }
        };
        let next = AtomicUsize::new(0);
        let work = || {
            let mut own = S::default();
            let mine = std::iter::from_fn(|| {
                let at = next.fetch_add(1, Ordering::Relaxed);
                items.get(at).map(|item| run(&mut own, item).map(|found| (at, found)))
            });
            mine.collect::<Result<Vec<(usize, T)>>>()
        };
        let mut others: Vec<Result<Vec<(usize, T)>>> = (1..self.count()).map(|_| Ok(vec![])).collect();
        let running = AtomicUsize::new(others.len());
        let mut found = pool.in_place_scope(|scope| {
            for found in &mut others {
                scope.spawn(|_| {
                    *found = work();
                    running.fetch_sub(1, Ordering::Release);
                });
            }
            let found = work();
            // The others are at their last items: to sleep until then would take longer than to look.
            for _ in 0..SPIN_ITERS {
                if running.load(Ordering::Acquire) == 0 {
                    break;
                }
                std::thread::yield_now();
            }
            found
        })?;
        for other in others {
            found.append(&mut other?);
        }
        found.sort_unstable_by_key(|(at, _)| *at);
        Ok(found.into_iter().map(|(_, found)| found).collect())
    }
}

/// Alike if as many.
impl PartialEq for Threads {
    fn eq(&self, other: &Self) -> bool {
        self.count() == other.count()
    }
}

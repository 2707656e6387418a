//! Work on a set number of threads.

use std::num::NonZeroUsize;
use std::sync::Arc;

use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::error::{Error, Result};

/// The calling thread, or a pool of several that is started once.
#[derive(Debug, Clone, Default)]
pub(crate) struct Threads(Option<Arc<ThreadPool>>);

impl Threads {
    /// # Errors
    /// [`Error::Config`] when the system cannot start so many.
    pub(crate) fn new(count: NonZeroUsize) -> Result<Self> {
        if count.get() == 1 {
            return Ok(Self(None));
        }
        let pool =
            ThreadPoolBuilder::new().num_threads(count.get()).build().map_err(|error| Error::Config {
                setting: "threads",
                expected: "a number of threads that the system can start".into(),
                found: format!("{count} ({error})"),
            })?;
        Ok(Self(Some(Arc::new(pool))))
    }

    /// How many.
    pub(crate) fn count(&self) -> usize {
        self.0.as_ref().map_or(1, |pool| pool.current_num_threads())
    }

    /// What `run` makes of every item, in their order.
    pub(crate) fn map<I: Sync, T: Send>(
        &self,
        items: &[I],
        run: impl Fn(&I) -> Result<T> + Sync,
    ) -> Result<Vec<T>> {
        match &self.0 {
            Some(pool) if items.len() > 1 => pool.install(|| items.par_iter().map(&run).collect()),
            _ => items.iter().map(run).collect(),
        }
    }
}

/// Alike if as many.
impl PartialEq for Threads {
    fn eq(&self, other: &Self) -> bool {
        self.count() == other.count()
    }
}

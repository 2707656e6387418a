//! Drivers: loops that answer the queries of searches.
//!
//! | Driver | For |
//! | --- | --- |
//! | [`drive`] | one search, one query after the other |
//! | [`Pool`] | many searches on threads, where an answer is a call that blocks |
//! | [`Batch`] | many searches, where many queries are answered by one call |
//! | `stream` (feature `async`) | many searches, where an answer is a future |
//!
//! All are bounded, give results in order or as they come, and stop when they are told to. A refused answer ends its search
//! with [`StopReason::QueryFailed`](crate::StopReason::QueryFailed) and touches no other.

mod batch;
mod pool;
#[cfg(feature = "async")]
mod stream;

use std::time::Instant;

pub use batch::Batch;
pub use pool::{Order, Pool};
#[cfg(feature = "async")]
pub use stream::{Concurrency, stream};

use crate::{Answer, Error, Outcome, Problem, Query, QueryId, Result, Search};

/// Runs a search to its end, one query after the other on the calling thread, and returns its outcome.
///
/// `answer` is called once with each query. A query that cannot be answered is an [`Answer::failed`], after whatever
/// retries the caller sees fit. No time passes: a budget of ticks is for drivers that call [`Search::tick`].
///
/// # Errors
/// The first refused answer. The search then still has that query open and can be driven on.
/// [`Error::Stalled`] never comes from the strategies of this crate.
pub fn drive<P, F>(search: &mut Search<P>, mut answer: F) -> Result<&Outcome<P::Thought>>
where
    P: Problem,
    F: FnMut(&Query<P::Thought>) -> Answer<P::Thought>,
{
    while !search.is_done() {
        let wave = search.open();
        if wave.is_empty() {
            return Err(Error::Stalled);
        }
        for (id, query) in wave {
            search.answer(id, answer(&query))?;
        }
    }
    search.outcome().ok_or(Error::Stalled)
}

/// Milliseconds as ticks for a search whose budget bounds them; stands still without such a bound, so that results do not
/// depend on the machine.
///
/// ```
/// use scaletot_search::{Budget, Clock, Problem, Search, StopReason, Strategy};
///
/// struct Endless;
/// impl Problem for Endless {
///     type Thought = u8;
///     fn depth(&self) -> usize { 9 }
///     fn is_complete(&self, path: &[u8]) -> bool { path.len() == 9 }
/// }
///
/// let budget = Budget::default().with_ticks(5);
/// let mut search = Search::new(Endless, Strategy::Greedy, budget, 0)?;
/// let mut clock = Clock::for_search(&search);
/// std::thread::sleep(std::time::Duration::from_millis(6)); // nobody answers
/// clock.tick(&mut search);
/// assert_eq!(search.outcome().map(|o| o.stop.clone()), Some(StopReason::Time));
/// # Ok::<(), scaletot_search::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Clock {
    started: Option<Instant>,
    told: u64,
}

impl Clock {
    /// Starts a clock; it stands still if the search has no bound on ticks.
    #[must_use]
    pub fn for_search<P: Problem>(search: &Search<P>) -> Self {
        Self { started: search.budget().ticks.map(|_| Instant::now()), told: 0 }
    }

    /// Tells the search how many milliseconds passed since the last call.
    pub fn tick<P: Problem>(&mut self, search: &mut Search<P>) {
        let now = self
            .started
            .map_or(0, |started| u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX));
        search.tick(now - self.told);
        self.told = now;
    }
}

/// Gives an answer to a search that may have ended meanwhile; one that is refused fails the query.
fn give<P: Problem>(search: &mut Search<P>, id: QueryId, answer: Answer<P::Thought>) {
    if search.is_done() {
        return;
    }
    if let Err(error) = search.answer(id, answer) {
        // The query is still open, and a failure is never refused.
        let _ = search.answer(id, Answer::failed(error.to_string()));
    }
}

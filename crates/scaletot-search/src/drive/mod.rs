//! Drivers: loops that answer the queries of searches.
//!
//! | Driver | For |
//! | --- | --- |
//! | [`drive`] | one search, one query after the other |
//! | [`drive_all`] | many searches on the threads of a [`Pool`](scaletot_core::Pool), where an answer is a call that blocks |
//! | [`Batch`] | many searches, where many queries are answered by one call |
//! | `stream` (feature `async`) | many searches, where an answer is a future |
//!
//! All are bounded, give results in order or as they come, and stop when they are told to. A refused answer ends its search
//! with [`StopReason::QueryFailed`](crate::StopReason::QueryFailed) and touches no other.

mod batch;
mod clock;
mod pool;
#[cfg(feature = "async")]
mod stream;

pub use batch::Batch;
pub use clock::Clock;
pub use pool::drive_all;
#[cfg(feature = "async")]
pub use stream::{Concurrency, stream};

use crate::{Answer, Error, Outcome, Problem, Query, Result, Search};

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

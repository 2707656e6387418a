//! The simplest driver.

use crate::{Answer, Error, Outcome, Problem, Query, Result, Search};

/// Runs a search to its end, one query after the other on the calling thread, and returns its outcome.
///
/// `answer` is called once with each query. A query that cannot be answered is an [`Answer::Failed`], after whatever
/// retries the caller sees fit.
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

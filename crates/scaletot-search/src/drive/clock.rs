//! What the drivers share: real time as ticks, and answers that may come too late.

use std::time::Instant;

use scaletot_core::causes;

use crate::{Answer, Problem, QueryId, Search};

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
/// std::thread::sleep(std::time::Duration::from_millis(6)); // no answer comes
/// clock.tick(&mut search);
/// assert_eq!(search.outcome().map(|o| o.stop.clone()), Some(StopReason::Time));
/// # Ok::<(), scaletot_search::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Clock {
    started: Option<Instant>,
    ticked: u64,
}

impl Clock {
    /// Starts a clock; it stands still if the search has no bound on ticks.
    #[must_use]
    pub fn for_search<P: Problem>(search: &Search<P>) -> Self {
        Self { started: search.budget().ticks.map(|_| Instant::now()), ticked: 0 }
    }

    /// Lets pass in the search the milliseconds since the last call.
    pub fn tick<P: Problem>(&mut self, search: &mut Search<P>) {
        let now = self
            .started
            .map_or(0, |started| u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX));
        search.tick(now - self.ticked);
        self.ticked = now;
    }
}

/// Gives an answer to a search that may have ended meanwhile; one that is refused fails the query.
pub(super) fn give<P: Problem>(search: &mut Search<P>, id: QueryId, answer: Answer<P::Thought>) {
    if search.is_done() {
        return;
    }
    if let Err(error) = search.answer(id, answer) {
        // The query is still open, and a failure is never refused.
        let _ = search.answer(id, Answer::failed(causes(&error)));
    }
}

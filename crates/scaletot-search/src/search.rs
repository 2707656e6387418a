//! The search as its driver sees it.

use std::fmt;

use crate::engine::Core;
use crate::error::shown;
use crate::machine::{Flow, Machine};
use crate::{
    Answer, Budget, Error, Estimate, Event, Outcome, Problem, Query, QueryId, Result, StopReason, Strategy,
    Trace, Usage,
};

/// A search under way: a deterministic state machine that asks and is answered.
///
/// The driver's loop is: take the queries from [`open`](Self::open), answer each with [`answer`](Self::answer) in any
/// order and from any number of threads' results, until [`is_done`](Self::is_done). Queries come in waves: all that can
/// be asked at the same time are open at the same time, and the next ones appear when the last of them is answered. So a
/// driver may batch a wave (or the waves of many searches), and the order of the answers within a wave changes nothing.
///
/// It performs no I/O, draws no randomness outside its seed, and is `Send` whenever its problem is. [`drive`](crate::drive)
/// is the simplest loop.
pub struct Search<P: Problem> {
    core: Core<P>,
    machine: Machine<P::Thought>,
    seed: u64,
    outcome: Option<Outcome<P::Thought>>,
}

impl<P: Problem> Search<P> {
    /// Sets up a search and opens its first queries. It may be done at once, where the budget allows nothing or the
    /// empty path is complete.
    ///
    /// `seed` feeds strategies that draw at random; the others record it only.
    ///
    /// # Errors
    /// [`Error::Config`] if the strategy or the budget is not valid.
    pub fn new(problem: P, strategy: Strategy, budget: Budget, seed: u64) -> Result<Self> {
        let core = Core::new(problem, strategy, budget, seed)?;
        let mut search = Search { core, machine: Machine::new(&strategy, seed), seed, outcome: None };
        if search.core.meter().out_of_time() {
            search.stop(StopReason::Time);
        } else {
            search.advance();
        }
        Ok(search)
    }

    /// The queries wanted now, in the order of their ids: those opened and not answered. Empty when the search is done,
    /// and never empty before.
    #[must_use]
    pub fn open(&self) -> Vec<(QueryId, Query<P::Thought>)> {
        self.core.open().map(|(id, query)| (id, query.clone())).collect()
    }

    /// Answers one open query.
    ///
    /// # Errors
    /// Whatever is wrong with the answer: see [`Error`]. The search is then as it was, and the query still open.
    pub fn answer(&mut self, id: QueryId, answer: Answer<P::Thought>) -> Result<()> {
        if self.outcome.is_some() {
            return Err(Error::Finished { id });
        }
        if self.core.take(id, answer)? {
            match self.core.apply() {
                Ok(()) => self.advance(),
                Err(reason) => self.stop(reason),
            }
        }
        Ok(())
    }

    /// Lets `ticks` pass. When the budget's ticks are used up the search stops at once: answers already given are used,
    /// queries still open are abandoned. Does nothing when the search is done.
    pub fn tick(&mut self, ticks: u64) {
        if self.outcome.is_none() && ticks > 0 && self.core.tick(ticks) {
            // A failure among the last answers is not why the search ends here.
            let _ = self.core.apply();
            self.stop(StopReason::Time);
        }
    }

    /// Whether the search has ended.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.outcome.is_some()
    }

    /// The outcome, once the search has ended.
    #[must_use]
    pub fn outcome(&self) -> Option<&Outcome<P::Thought>> {
        self.outcome.as_ref()
    }

    /// What has been used so far.
    #[must_use]
    pub fn usage(&self) -> Usage {
        self.core.meter().usage()
    }

    /// Everything that happened so far.
    #[must_use]
    pub fn trace(&self) -> &Trace<P::Thought> {
        self.core.trace()
    }

    /// The problem.
    #[must_use]
    pub fn problem(&self) -> &P {
        self.core.problem()
    }

    /// The strategy.
    #[must_use]
    pub fn strategy(&self) -> &Strategy {
        self.core.strategy()
    }

    /// The budget.
    #[must_use]
    pub fn budget(&self) -> &Budget {
        self.core.meter().budget()
    }

    /// The seed.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The most that this search can use; see [`Strategy::estimate`].
    ///
    /// # Errors
    /// None for a search that was set up, because its config is valid.
    pub fn estimate(&self) -> Result<Estimate> {
        self.strategy().estimate(self.problem(), self.budget())
    }

    /// Takes the search apart into its outcome, if it is done, and its trace.
    #[must_use]
    pub fn into_parts(self) -> (Option<Outcome<P::Thought>>, Trace<P::Thought>) {
        (self.outcome, self.core.into_trace())
    }

    /// Re-runs a search from the answers and ticks in `trace`. A whole trace gives the same outcome; a prefix gives the
    /// search as it was at that moment, with the same queries open, ready to go on.
    ///
    /// # Errors
    /// [`Error::Config`] as for [`new`](Self::new); [`Error::TraceMismatch`] if the trace does not follow from
    /// this problem and config; [`Error::Replay`] if it holds an answer that is not acceptable.
    pub fn replay(
        problem: P,
        strategy: Strategy,
        budget: Budget,
        seed: u64,
        trace: &Trace<P::Thought>,
    ) -> Result<Self> {
        let mut search = Self::new(problem, strategy, budget, seed)?;
        for (at, event) in trace.events().iter().enumerate() {
            // An input belongs where the replayed search has nothing more to record by itself.
            if search.trace().len() == at {
                match event {
                    Event::Answered { id, answer } => search
                        .answer(*id, answer.clone())
                        .map_err(|source| Error::Replay { at, source: Box::new(source) })?,
                    Event::Ticked { ticks } => search.tick(*ticks),
                    _ => {}
                }
            }
            let replayed = search.trace().events().get(at);
            if replayed != Some(event) {
                return Err(Error::TraceMismatch {
                    at,
                    expected: replayed.map_or_else(|| "no event".to_owned(), shown),
                    found: shown(event),
                });
            }
        }
        Ok(search)
    }

    fn advance(&mut self) {
        match self.machine.advance(&mut self.core) {
            Flow::Wait => {
                debug_assert!(self.core.open().next().is_some(), "a strategy waits only for open queries");
            }
            Flow::Stop(reason) => self.stop(reason),
        }
    }

    fn stop(&mut self, reason: StopReason) {
        self.machine.close(&mut self.core);
        let outcome = self.core.finish(reason);
        tracing::debug!(
            stop = %outcome.stop,
            scored = outcome.scored,
            queries = outcome.usage.queries,
            nodes = outcome.usage.nodes,
            rounds = outcome.usage.rounds,
            "search stopped"
        );
        self.outcome = Some(outcome);
    }
}

impl<P: Problem> fmt::Debug for Search<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Search")
            .field("strategy", self.strategy())
            .field("budget", self.budget())
            .field("usage", &self.usage())
            .field("open", &self.core.open().count())
            .field("stop", &self.outcome.as_ref().map(|o| &o.stop))
            .finish_non_exhaustive()
    }
}

//! The record of a search: enough to understand it, to replay it, and to resume it.
//!
//! A search is a function of its problem, its config and the answers it was given. The trace holds the answers and
//! the passing of time in the order in which they came, together with everything that followed from them; a replay
//! feeds the former and checks the latter.

use serde::{Deserialize, Serialize};

use crate::{Answer, Budget, DeadReason, Query, QueryId, Score, StopReason, Strategy};

/// Version of the event format.
pub const TRACE_FORMAT: u32 = 2;

/// One thing that happened in a search.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Event<T> {
    /// The search began; always the first event.
    Started {
        /// [`TRACE_FORMAT`] of the version that wrote it.
        format: u32,
        /// The strategy.
        strategy: Box<Strategy>,
        /// The budget.
        budget: Box<Budget>,
        /// The seed.
        seed: u64,
    },
    /// A query was opened.
    Opened {
        /// Its id.
        id: QueryId,
        /// The query.
        query: Query<T>,
    },
    /// An answer was taken (an input).
    Answered {
        /// The id of its query.
        id: QueryId,
        /// The answer as it came, before constraints.
        answer: Answer<T>,
    },
    /// Time passed (an input).
    Ticked {
        /// How much.
        ticks: u64,
    },
    /// Constraints removed thoughts that had mass.
    Pruned {
        /// The path that the thoughts would have followed.
        path: Vec<T>,
        /// The thoughts removed.
        removed: Vec<T>,
    },
    /// A path's distribution was fixed: constrained, renormalised and measured.
    Expanded {
        /// The path.
        path: Vec<T>,
        /// What may follow, most probable first; sums to 1 unless it is empty.
        distribution: Vec<(T, f64)>,
        /// Its normalised entropy, by which the search goes.
        entropy: f64,
        /// Where the answer left thoughts out, the interval that the entropy is known to lie in; `entropy` is then its
        /// upper end.
        interval: Option<(f64, f64)>,
    },
    /// A path came to a state that another path had come to, and is not followed.
    Merged {
        /// The path.
        path: Vec<T>,
        /// The path of that state that is, or was, followed.
        into: Vec<T>,
    },
    /// Of the paths weighed together some are followed.
    Selected {
        /// Those that are followed, best first.
        kept: Vec<Vec<T>>,
        /// Those that are not, best first.
        dropped: Vec<Vec<T>>,
    },
    /// A depth-first search has nothing left to follow below a path.
    Backtracked {
        /// The path.
        path: Vec<T>,
    },
    /// A sample came to an end.
    Sampled {
        /// Number of the sample, from 0.
        sample: u64,
        /// Where it ended.
        path: Vec<T>,
        /// Whether the path is complete; otherwise it ended in a dead end or at a bound.
        complete: bool,
    },
    /// Nothing can follow a path.
    Died {
        /// The path.
        path: Vec<T>,
        /// Why.
        reason: DeadReason,
    },
    /// A round began by branching one step of the incumbent, or of the dead draft when there is no incumbent yet.
    Branched {
        /// Number of the round, from 1.
        round: u32,
        /// The step that is branched, from 0.
        step: usize,
        /// The thoughts before that step.
        prefix: Vec<T>,
        /// Normalised entropy of the step.
        entropy: f64,
        /// The thoughts tried, with their probabilities.
        values: Vec<(T, f64)>,
        /// How many thoughts the strategy would have tried but the budget does not carry to completion.
        left_out: usize,
    },
    /// A branch was given up on the way because of a bound.
    Cut {
        /// How far it came.
        path: Vec<T>,
        /// The bound.
        bound: StopReason,
    },
    /// A complete path was scored, once.
    Scored {
        /// The path.
        path: Vec<T>,
        /// Its score.
        score: Score,
    },
    /// A round's best path became the incumbent; the steps after the branched one are unsettled again.
    Replaced {
        /// Number of the round.
        round: u32,
        /// The new incumbent.
        path: Vec<T>,
        /// By how much it beats the old one; `None` when there was none.
        gain: Option<f64>,
    },
    /// A step is settled: branching it did not gain enough (the search backtracked to the incumbent), or it has
    /// nothing to branch to.
    Settled {
        /// The step, from 0.
        step: usize,
        /// The best gain seen; `None` when no other path was completed.
        gain: Option<f64>,
    },
    /// Every step of the incumbent is settled, and the search switches to another complete path.
    Switched {
        /// The path.
        path: Vec<T>,
    },
    /// The search ended; always the last event.
    Stopped {
        /// Why.
        reason: StopReason,
    },
}

/// The events of a search, in order. Serialises as a list of events when the thoughts do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Trace<T> {
    events: Vec<Event<T>>,
}

impl<T> Trace<T> {
    pub(crate) fn new() -> Self {
        Trace { events: Vec::new() }
    }

    pub(crate) fn push(&mut self, event: Event<T>) {
        self.events.push(event);
    }

    /// The events.
    #[must_use]
    pub fn events(&self) -> &[Event<T>] {
        &self.events
    }

    /// Number of events.
    #[must_use]
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Whether there is no event, which is so only for a trace cut to nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }
}

impl<T: Clone> Trace<T> {
    /// The first `len` events (all of them if there are fewer): a trace from which the search can be resumed.
    #[must_use]
    pub fn prefix(&self, len: usize) -> Self {
        Trace { events: self.events[..len.min(self.events.len())].to_vec() }
    }
}

impl<T> From<Vec<Event<T>>> for Trace<T> {
    /// Takes events read from elsewhere; whether they fit together is checked when they are replayed.
    fn from(events: Vec<Event<T>>) -> Self {
        Trace { events }
    }
}

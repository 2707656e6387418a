//! Why a search, or one of its branches, ended.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What ended a search. Every search ends with exactly one reason.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum StopReason {
    /// The strategy did all that it sets out to do: `Greedy` finished its chain, a sampling strategy its samples, `Bfs`,
    /// `Dfs` and `Beam` have no path left to follow, `Marginal` nothing to ask.
    Complete,
    /// A complete path was evaluated as good enough to stop at (`accept`).
    Accepted,
    /// `Refine` has no unsettled step left whose entropy reaches the threshold.
    Settled,
    /// The bound on rounds, while a step was still unsettled.
    Rounds,
    /// The budget's bound on depth, before any chain was complete.
    Depth,
    /// The bound on nodes.
    Nodes,
    /// The bound on queries.
    Queries,
    /// The bound on tokens.
    Tokens,
    /// The bound on ticks.
    Time,
    /// No complete chain exists in what was searched, and no branch is left to try.
    DeadEnd,
    /// A query could not be answered, with the reason its [`Answer::Failed`](crate::Answer::Failed) gave.
    QueryFailed(String),
}

impl StopReason {
    /// Whether the search ended by itself, not by a bound, a failure or a dead end.
    #[must_use]
    pub fn is_natural(&self) -> bool {
        matches!(self, StopReason::Complete | StopReason::Accepted | StopReason::Settled)
    }

    /// Whether a bound of the budget or of the strategy ended the search.
    #[must_use]
    pub fn is_bound(&self) -> bool {
        matches!(
            self,
            StopReason::Rounds
                | StopReason::Depth
                | StopReason::Nodes
                | StopReason::Queries
                | StopReason::Tokens
                | StopReason::Time
        )
    }
}

impl fmt::Display for StopReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            StopReason::Complete => "complete",
            StopReason::Accepted => "accepted",
            StopReason::Settled => "settled",
            StopReason::Rounds => "rounds",
            StopReason::Depth => "depth",
            StopReason::Nodes => "nodes",
            StopReason::Queries => "queries",
            StopReason::Tokens => "tokens",
            StopReason::Time => "time",
            StopReason::DeadEnd => "dead end",
            StopReason::QueryFailed(reason) => return write!(f, "query failed: {reason}"),
        };
        f.write_str(text)
    }
}

/// Why nothing can follow a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DeadReason {
    /// The answer named no thought at all.
    NoProposals,
    /// Constraints ruled out every thought that had any mass.
    Constraints,
    /// The path has the greatest length and is not complete.
    Depth,
    /// Everything after the path was found to be dead.
    Exhausted,
    /// The path was evaluated as 0: nothing can come of it.
    Worthless,
}

impl fmt::Display for DeadReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DeadReason::NoProposals => "nothing proposed",
            DeadReason::Constraints => "ruled out by constraints",
            DeadReason::Depth => "too long",
            DeadReason::Exhausted => "nothing left below it",
            DeadReason::Worthless => "evaluated as 0",
        })
    }
}

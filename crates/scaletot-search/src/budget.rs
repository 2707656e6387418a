//! Hard bounds on what a search may use, and the account of what it did use.

use scaletot_core::config::ConfigError;
use serde::{Deserialize, Serialize};

use crate::{Result, StopReason};

/// Bounds on a search. `None` is unbounded. No bound is ever exceeded: a query or a node is counted before it is
/// opened, and when it would go over, the search ends with the best chain so far and with the bound as its stop reason.
///
/// ```
/// use scaletot_search::Budget;
///
/// let budget = Budget::default().with_queries(64).with_tokens(4_000, 100);
/// assert_eq!(budget.queries, Some(64));
/// assert!(budget.validate().is_ok());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Budget {
    /// Refinement rounds; the smaller of this and the strategy's own number holds.
    pub rounds: Option<u32>,
    /// Length of a path; the smaller of this and [`Problem::depth`](crate::Problem::depth) holds.
    pub depth: Option<usize>,
    /// Nodes: distinct non-empty paths that the search has stepped onto.
    pub nodes: Option<u64>,
    /// Queries opened, of both kinds.
    pub queries: Option<u64>,
    /// Tokens of all answers together. Needs [`max_tokens_per_query`](Self::max_tokens_per_query): a query is opened
    /// only if the bound holds even should every open query cost that much.
    pub tokens: Option<u64>,
    /// The most tokens that one answer may cost. The driver must pass it on as the limit of its request; an answer
    /// that reports more is refused.
    pub max_tokens_per_query: Option<u64>,
    /// Time, in whatever unit the driver counts with [`Search::tick`](crate::Search::tick).
    pub ticks: Option<u64>,
}

impl Budget {
    /// No bounds; the same as `Budget::default()`.
    #[must_use]
    pub fn unbounded() -> Self {
        Self::default()
    }

    /// Bounds the refinement rounds.
    #[must_use]
    pub fn with_rounds(mut self, rounds: u32) -> Self {
        self.rounds = Some(rounds);
        self
    }

    /// Bounds the length of a path.
    #[must_use]
    pub fn with_depth(mut self, depth: usize) -> Self {
        self.depth = Some(depth);
        self
    }

    /// Bounds the nodes.
    #[must_use]
    pub fn with_nodes(mut self, nodes: u64) -> Self {
        self.nodes = Some(nodes);
        self
    }

    /// Bounds the queries.
    #[must_use]
    pub fn with_queries(mut self, queries: u64) -> Self {
        self.queries = Some(queries);
        self
    }

    /// Bounds the tokens of all answers together, and of each answer.
    #[must_use]
    pub fn with_tokens(mut self, tokens: u64, max_tokens_per_query: u64) -> Self {
        self.tokens = Some(tokens);
        self.max_tokens_per_query = Some(max_tokens_per_query);
        self
    }

    /// Bounds the time.
    #[must_use]
    pub fn with_ticks(mut self, ticks: u64) -> Self {
        self.ticks = Some(ticks);
        self
    }

    /// Checks the bounds against each other.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) when `tokens` is bounded and `max_tokens_per_query` is not: the bound could then be
    /// overrun by the queries in flight.
    pub fn validate(&self) -> Result<()> {
        if self.tokens.is_some() && self.max_tokens_per_query.is_none() {
            return Err(ConfigError::new(
                "max_tokens_per_query",
                "a number, because `tokens` is bounded and must hold with queries in flight",
                "none",
            )
            .into());
        }
        Ok(())
    }
}

/// What a search has used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Usage {
    /// Refinement rounds begun.
    pub rounds: u32,
    /// Nodes: distinct non-empty paths stepped onto.
    pub nodes: u64,
    /// Queries opened.
    pub queries: u64,
    /// Tokens of the answers taken.
    pub tokens: u64,
    /// Ticks until the search stopped.
    pub ticks: u64,
}

/// Cost of something that is about to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Cost {
    pub(crate) queries: u64,
    pub(crate) nodes: u64,
}

impl Cost {
    pub(crate) fn plus(self, other: Cost) -> Cost {
        Cost {
            queries: self.queries.saturating_add(other.queries),
            nodes: self.nodes.saturating_add(other.nodes),
        }
    }

    pub(crate) fn is_free(self) -> bool {
        self == Cost::default()
    }
}

/// A budget together with its account.
#[derive(Debug, Clone)]
pub(crate) struct Meter {
    budget: Budget,
    usage: Usage,
    /// Queries opened and not answered; each may still cost `max_tokens_per_query`.
    in_flight: u64,
}

impl Meter {
    pub(crate) fn new(budget: Budget) -> Self {
        Meter { budget, usage: Usage::default(), in_flight: 0 }
    }

    pub(crate) fn budget(&self) -> &Budget {
        &self.budget
    }

    pub(crate) fn usage(&self) -> Usage {
        self.usage
    }

    /// The first bound that `cost` would break, if any.
    pub(crate) fn breaks(&self, cost: Cost) -> Option<StopReason> {
        let over =
            |used: u64, more: u64, bound: Option<u64>| bound.is_some_and(|b| used.saturating_add(more) > b);
        if over(self.usage.nodes, cost.nodes, self.budget.nodes) {
            return Some(StopReason::Nodes);
        }
        if over(self.usage.queries, cost.queries, self.budget.queries) {
            return Some(StopReason::Queries);
        }
        // A search that asks nothing more is not stopped by tokens, so only a query is weighed against them.
        if cost.queries > 0
            && let Some(each) = self.budget.max_tokens_per_query
        {
            let owed = self.in_flight.saturating_add(cost.queries).saturating_mul(each);
            if over(self.usage.tokens, owed, self.budget.tokens) {
                return Some(StopReason::Tokens);
            }
        }
        None
    }

    /// Counts one query if the bounds allow it.
    pub(crate) fn open_query(&mut self) -> std::result::Result<(), StopReason> {
        if let Some(bound) = self.breaks(Cost { queries: 1, nodes: 0 }) {
            return Err(bound);
        }
        self.usage.queries += 1;
        self.in_flight += 1;
        Ok(())
    }

    /// Takes the answer of one query into the account.
    pub(crate) fn close_query(&mut self, tokens: u64) {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.usage.tokens = self.usage.tokens.saturating_add(tokens);
    }

    /// Counts one node if the bounds allow it.
    pub(crate) fn add_node(&mut self) -> std::result::Result<(), StopReason> {
        if let Some(bound) = self.breaks(Cost { queries: 0, nodes: 1 }) {
            return Err(bound);
        }
        self.usage.nodes += 1;
        Ok(())
    }

    /// Whether `limit` rounds, or the budget's, are used up.
    pub(crate) fn rounds_left(&self, limit: u32) -> bool {
        self.usage.rounds < self.budget.rounds.map_or(limit, |r| r.min(limit))
    }

    /// Begins a round and returns its number, from 1.
    pub(crate) fn begin_round(&mut self) -> u32 {
        self.usage.rounds += 1;
        self.usage.rounds
    }

    /// Lets time pass; ticks beyond the bound lie after the end and are not counted.
    pub(crate) fn tick(&mut self, ticks: u64) {
        let total = self.usage.ticks.saturating_add(ticks);
        self.usage.ticks = self.budget.ticks.map_or(total, |b| total.min(b));
    }

    pub(crate) fn out_of_time(&self) -> bool {
        self.budget.ticks.is_some_and(|b| self.usage.ticks >= b)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_in_flight_are_owed_their_most() {
        let mut meter = Meter::new(Budget::default().with_tokens(25, 10));
        assert_eq!(meter.open_query(), Ok(()));
        assert_eq!(meter.open_query(), Ok(()));
        // 20 of 25 are owed; a third query could reach 30.
        assert_eq!(meter.open_query(), Err(StopReason::Tokens));
        meter.close_query(4);
        meter.close_query(5);
        assert_eq!(meter.open_query(), Ok(()));
        assert_eq!(meter.usage().tokens, 9);
    }

    #[test]
    fn costs_and_bounds_saturate() {
        let huge = Cost { queries: u64::MAX, nodes: u64::MAX };
        assert_eq!(huge.plus(huge), huge);
        assert_eq!(Meter::new(Budget::unbounded()).breaks(huge), None);
        let meter = Meter::new(Budget::default().with_tokens(u64::MAX - 1, u64::MAX));
        assert_eq!(meter.breaks(huge), Some(StopReason::Tokens));
        assert_eq!(meter.breaks(Cost { queries: 0, nodes: 5 }), None);
    }
}

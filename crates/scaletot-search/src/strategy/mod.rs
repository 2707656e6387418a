//! Strategies: in which order a tree of thoughts is explored.
//!
//! A strategy is a state machine over the shared [`Core`](crate::engine::Core), one file each. It is advanced whenever no
//! query is open, opens the queries it can use at once, and says when it is done; the core keeps the tree, the budget
//! and the trace. Because a strategy only runs when all its queries are answered, and reads the answers from the tree,
//! the order in which they arrive cannot matter.

mod completion;
mod greedy;
mod refine;

use serde::{Deserialize, Serialize};

pub use refine::RefineConfig;

pub(crate) use greedy::Greedy;
pub(crate) use refine::Refine;

use crate::engine::Core;
use crate::score::Scoring;
use crate::{Budget, Problem, Result, StopReason};

/// How a tree of thoughts is explored.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Strategy {
    /// Takes the most probable thought at each step (chain of thought). Scored by the mean log-probability alone, with
    /// posterior temperature 1.
    #[default]
    Greedy,
    /// Bounded, entropy-guided refinement of a greedy draft.
    Refine(RefineConfig),
}

impl Strategy {
    /// Checks the settings.
    ///
    /// # Errors
    /// [`Error::InvalidSetting`](crate::Error::InvalidSetting) for a setting out of its range.
    pub fn validate(&self) -> Result<()> {
        match self {
            Strategy::Greedy => Ok(()),
            Strategy::Refine(config) => config.validate(),
        }
    }

    /// The most that a search of `problem` can use, before it is run. It never uses more, and often far less.
    ///
    /// With `D` the depth, `E` = 1 where complete paths are evaluated and 0 elsewhere: `Greedy` asks at most `D` queries
    /// and steps onto `D` nodes; `Refine` with `R` rounds of `B` branches asks `D + E + R·B·(D − 1 + E)` and steps onto
    /// `D + R·B·D`; both capped by the budget.
    ///
    /// # Errors
    /// [`Error::InvalidSetting`](crate::Error::InvalidSetting) if the strategy or the budget is not valid.
    ///
    /// ```
    /// use scaletot_search::{Budget, Problem, RefineConfig, Strategy};
    ///
    /// struct FiveStates;
    /// impl Problem for FiveStates {
    ///     type Thought = u16;
    ///     fn depth(&self) -> usize { 5 }
    ///     fn is_complete(&self, path: &[u16]) -> bool { path.len() == 5 }
    /// }
    ///
    /// let refine = Strategy::Refine(RefineConfig::default().with_rounds(4).with_branches(3));
    /// let most = refine.estimate(&FiveStates, &Budget::default())?;
    /// assert_eq!(most.queries, 5 + 4 * 3 * 4);
    /// let capped = refine.estimate(&FiveStates, &Budget::default().with_queries(20))?;
    /// assert_eq!(capped.queries, 20);
    /// # Ok::<(), scaletot_search::Error>(())
    /// ```
    pub fn estimate<P: Problem>(&self, problem: &P, budget: &Budget) -> Result<Estimate> {
        self.validate()?;
        budget.validate()?;
        let depth = budget.depth.map_or(problem.depth(), |d| d.min(problem.depth())) as u64;
        let (rounds, queries, nodes) = match self {
            Strategy::Greedy => (0, depth, depth),
            Strategy::Refine(config) => {
                let rounds = budget.rounds.map_or(config.rounds, |r| r.min(config.rounds));
                let extra = u64::from(self.scoring(problem).evaluates());
                let branches = u64::from(rounds).saturating_mul(config.branches as u64);
                let each = depth.saturating_sub(1).saturating_add(extra);
                let queries = depth.saturating_add(extra).saturating_add(branches.saturating_mul(each));
                (rounds, queries, depth.saturating_add(branches.saturating_mul(depth)))
            }
        };
        let queries = budget.queries.map_or(queries, |b| b.min(queries));
        let tokens = budget.max_tokens_per_query.map(|each| queries.saturating_mul(each));
        Ok(Estimate {
            rounds,
            queries,
            nodes: budget.nodes.map_or(nodes, |b| b.min(nodes)),
            tokens: match (tokens, budget.tokens) {
                (Some(most), Some(bound)) => Some(most.min(bound)),
                (most, bound) => most.or(bound),
            },
        })
    }

    /// The weights by which complete paths are scored.
    pub(crate) fn scoring<P: Problem>(&self, problem: &P) -> Scoring {
        match self {
            Strategy::Greedy => Scoring::new(1.0, 0.0, false),
            Strategy::Refine(c) => Scoring::new(c.alpha, c.lambda, problem.evaluates()),
        }
    }

    /// How many paths the outcome lists.
    pub(crate) fn keep(&self) -> usize {
        match self {
            Strategy::Greedy => 1,
            Strategy::Refine(c) => c.keep,
        }
    }

    /// Temperature of the posterior.
    pub(crate) fn temperature(&self) -> f64 {
        match self {
            Strategy::Greedy => 1.0,
            Strategy::Refine(c) => c.temperature,
        }
    }
}

/// An upper bound on what a search can use, known before it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Estimate {
    /// Most rounds.
    pub rounds: u32,
    /// Most queries.
    pub queries: u64,
    /// Most nodes.
    pub nodes: u64,
    /// Most tokens, where the budget bounds the tokens of a query.
    pub tokens: Option<u64>,
}

/// What a strategy says after it has been advanced.
#[derive(Debug)]
pub(crate) enum Flow {
    /// Queries are open.
    Wait,
    /// The search is over.
    Stop(StopReason),
}

/// The state of the strategy that runs.
#[derive(Debug)]
pub(crate) enum Machine<T> {
    Greedy(Greedy<T>),
    Refine(Box<Refine<T>>),
}

impl<T: Clone + Eq + std::hash::Hash + std::fmt::Debug + Send> Machine<T> {
    pub(crate) fn new(strategy: &Strategy) -> Self {
        match strategy {
            Strategy::Greedy => Machine::Greedy(Greedy::new()),
            Strategy::Refine(config) => Machine::Refine(Box::new(Refine::new(*config))),
        }
    }

    /// Goes on as far as the answers reach.
    pub(crate) fn advance<P: Problem<Thought = T>>(&mut self, core: &mut Core<P>) -> Flow {
        match self {
            Machine::Greedy(greedy) => greedy.advance(core),
            Machine::Refine(refine) => refine.advance(core),
        }
    }

    /// The search is being stopped: hands over whatever is complete.
    pub(crate) fn close<P: Problem<Thought = T>>(&mut self, core: &mut Core<P>) {
        match self {
            Machine::Greedy(greedy) => greedy.close(core),
            Machine::Refine(refine) => refine.close(core),
        }
    }
}

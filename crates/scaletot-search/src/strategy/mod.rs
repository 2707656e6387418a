//! Strategies: in which order a tree of thoughts is explored.
//!
//! A strategy is a state machine over the shared [`Core`](crate::engine::Core), one file each. It is advanced whenever no
//! query is open, opens the queries it can use at once, and says when it is done; the core keeps the tree, the budget
//! and the trace. Because a strategy only runs when all its queries are answered, and reads the answers from the tree,
//! the order in which they arrive cannot matter.

mod candidates;
mod completion;
mod dfs;
mod draw;
mod estimate;
mod frontier;
mod greedy;
mod refine;
mod sampling;
mod waiting;

use serde::{Deserialize, Serialize};

pub use candidates::{Evaluation, Generation};
pub use dfs::DfsConfig;
pub use estimate::Estimate;
pub use frontier::{BeamConfig, BfsConfig};
pub use refine::RefineConfig;
pub use sampling::{BestOfNConfig, SelfConsistencyConfig};

use dfs::Dfs;
use frontier::Frontier;
use greedy::Greedy;
use refine::Refine;
use sampling::Sampling;

use crate::engine::Core;
use crate::score::{ScoreConfig, Scoring};
use crate::{Problem, Result, StopReason};

/// How a tree of thoughts is explored.
///
/// | | Asks | Best where |
/// | --- | --- | --- |
/// | `Greedy` | one path | the teacher is sure |
/// | `SelfConsistency` | independent samples, the answer most of them give | many paths lead to one answer |
/// | `BestOfN` | independent samples, the one that scores best | complete paths can be evaluated |
/// | `Beam` | the most probable paths of each level | probabilities can be trusted |
/// | `Bfs` | the most promising paths of each level | paths can be evaluated on the way |
/// | `Dfs` | the most promising path first, and back | one good path is enough, or all must be seen |
/// | `Refine` | where the draft is unsure, with lookahead | most steps are clear |
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Strategy {
    /// Takes the most probable thought at each step (chain of thought). Scored by the mean log-probability alone, with
    /// posterior temperature 1.
    #[default]
    Greedy,
    /// Draws independent chains and takes the answer that most of them give (Wang et al., ICLR 2023); answers are equal
    /// where [`Problem::state`] says so, or the paths are the same.
    SelfConsistency(SelfConsistencyConfig),
    /// Draws independent chains and takes the one with the best score.
    BestOfN(BestOfNConfig),
    /// Level by level, the best paths followed, judged on the way (Yao et al., `NeurIPS` 2023).
    Bfs(BfsConfig),
    /// The most promising path first, with backtracking (Yao et al., `NeurIPS` 2023).
    Dfs(DfsConfig),
    /// Level by level, the most probable paths followed.
    Beam(BeamConfig),
    /// Bounded, entropy-guided refinement of a greedy draft.
    Refine(RefineConfig),
}

impl Strategy {
    /// Checks the settings.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for a setting out of its range.
    pub fn validate(&self) -> Result<()> {
        match self {
            Strategy::Greedy => Ok(()),
            Strategy::SelfConsistency(config) => config.validate(),
            Strategy::BestOfN(config) => config.validate(),
            Strategy::Bfs(config) => config.validate(),
            Strategy::Dfs(config) => config.validate(),
            Strategy::Beam(config) => config.validate(),
            Strategy::Refine(config) => config.validate(),
        }
    }

    /// How paths are scored and listed.
    pub(crate) fn score(&self) -> ScoreConfig {
        match self {
            Strategy::Greedy => ScoreConfig::PROBABILITY,
            Strategy::SelfConsistency(c) => ScoreConfig { keep: c.keep, ..ScoreConfig::PROBABILITY },
            Strategy::BestOfN(c) => c.score,
            Strategy::Bfs(c) => c.score,
            Strategy::Dfs(c) => c.score,
            Strategy::Beam(c) => c.score,
            Strategy::Refine(c) => c.score,
        }
    }

    /// The weights by which paths are scored.
    pub(crate) fn scoring<P: Problem>(&self, problem: &P) -> Scoring {
        let may = !matches!(self, Strategy::Greedy | Strategy::SelfConsistency(_) | Strategy::Beam(_));
        Scoring::new(&self.score(), may && problem.evaluates())
    }

    /// Whether the best path is the one that most samples came to.
    pub(crate) fn counts_samples(&self) -> bool {
        matches!(self, Strategy::SelfConsistency(_))
    }
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
    Sampling(Sampling<T>),
    Frontier(Frontier),
    Dfs(Dfs),
    Refine(Box<Refine<T>>),
}

macro_rules! each {
    ($machine:expr, $it:ident => $do:expr) => {
        match $machine {
            Machine::Greedy($it) => $do,
            Machine::Sampling($it) => $do,
            Machine::Frontier($it) => $do,
            Machine::Dfs($it) => $do,
            Machine::Refine($it) => $do,
        }
    };
}

impl<T: Clone + Eq + std::hash::Hash + std::fmt::Debug + Send> Machine<T> {
    pub(crate) fn new(strategy: &Strategy, seed: u64) -> Self {
        match strategy {
            Strategy::Greedy => Machine::Greedy(Greedy::new()),
            Strategy::SelfConsistency(c) => Machine::Sampling(Sampling::new(c.samples, c.temperature, seed)),
            Strategy::BestOfN(c) => Machine::Sampling(Sampling::new(c.samples, c.temperature, seed)),
            Strategy::Bfs(config) => Machine::Frontier(Frontier::new(*config, seed)),
            Strategy::Beam(config) => Machine::Frontier(Frontier::new(config.as_bfs(), seed)),
            Strategy::Dfs(config) => Machine::Dfs(Dfs::new(*config, seed)),
            Strategy::Refine(config) => Machine::Refine(Box::new(Refine::new(*config))),
        }
    }

    /// Goes on as far as the answers reach.
    pub(crate) fn advance<P: Problem<Thought = T>>(&mut self, core: &mut Core<P>) -> Flow {
        each!(self, it => it.advance(core))
    }

    /// The search is being stopped: hands over whatever is complete.
    pub(crate) fn close<P: Problem<Thought = T>>(&mut self, core: &mut Core<P>) {
        each!(self, it => it.close(core));
    }
}

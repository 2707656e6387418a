//! Strategies: in which order a tree of thoughts is explored, and their configs. The state machines that follow them are in
//! `machine`.

mod dfs;
mod estimate;
mod frontier;
mod generation;
mod marginal;
mod refine;
mod sampling;

use serde::{Deserialize, Serialize};

pub use dfs::DfsConfig;
pub use estimate::Estimate;
pub use frontier::{BeamConfig, BfsConfig};
pub use generation::{Evaluation, Generation};
pub use marginal::MarginalConfig;
pub use refine::RefineConfig;
pub use sampling::{BestOfNConfig, SelfConsistencyConfig};

use crate::score::{ScoreConfig, Scoring};
use crate::{Problem, Result};

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
/// | `Marginal` | where the most probability is still undecided | the distribution of each step counts, not one path |
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Strategy {
    /// Takes the most probable thought at each step (chain of thought). Scored by the mean log-probability alone, with
    /// posterior temperature 1.
    #[default]
    Greedy,
    /// Draws independent chains and takes the answer that most of them give (Wang et al., ICLR 2023); answers are equal
    /// where [`Problem::state`] gives them one name, or the paths are the same.
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
    /// The distribution of every step over all paths, as far as it has been asked for, with the most probable path.
    Marginal(MarginalConfig),
}

impl Strategy {
    /// Checks the config.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for a field out of its range.
    pub fn validate(&self) -> Result<()> {
        match self {
            Strategy::Greedy => Ok(()),
            Strategy::SelfConsistency(config) => config.validate(),
            Strategy::BestOfN(config) => config.validate(),
            Strategy::Bfs(config) => config.validate(),
            Strategy::Dfs(config) => config.validate(),
            Strategy::Beam(config) => config.validate(),
            Strategy::Refine(config) => config.validate(),
            Strategy::Marginal(config) => config.validate(),
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
            Strategy::Marginal(c) => ScoreConfig { keep: c.keep, ..ScoreConfig::PROBABILITY },
        }
    }

    /// The weights by which paths are scored.
    pub(crate) fn scoring<P: Problem>(&self, problem: &P) -> Scoring {
        let may = !matches!(
            self,
            Strategy::Greedy | Strategy::SelfConsistency(_) | Strategy::Beam(_) | Strategy::Marginal(_)
        );
        Scoring::new(&self.score(), may && problem.evaluates())
    }

    /// Whether the best path is the one that most samples came to.
    pub(crate) fn counts_samples(&self) -> bool {
        matches!(self, Strategy::SelfConsistency(_))
    }
}

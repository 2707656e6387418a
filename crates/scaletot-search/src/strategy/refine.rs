//! Config of the refinement of a draft.

use scaletot_core::config::{check, share, unit_interval};
use serde::{Deserialize, Serialize};

use crate::Result;
use crate::config::setters;
use crate::score::ScoreConfig;

/// Config of [`Strategy::Refine`](super::Strategy::Refine).
///
/// ```
/// use scaletot_search::RefineConfig;
///
/// let config = RefineConfig::default().with_rounds(8).with_tau(0.4);
/// assert!(config.validate().is_ok());
/// assert!(config.with_rho(1.5).validate().is_err());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct RefineConfig {
    /// `R`, the largest number of rounds.
    pub rounds: u32,
    /// `τ` in `[0, 1]`: steps whose normalised entropy is smaller are never branched.
    pub tau: f64,
    /// `ρ` in `(0, 1]`: a step is branched into its most probable values until their mass reaches this.
    pub rho: f64,
    /// `B`, at least 1: the largest number of values that a step is branched into.
    pub branches: usize,
    /// `δ`, at least 0: the least gain in score that replaces the incumbent. The outcome's best path is the best-scoring
    /// one of all, whether or not it gained that much.
    pub delta: f64,
    /// How many paths are refined until all their steps are settled, at least 1: after the first the search
    /// switches to the best-scoring other complete path, and so on. More than 1 is for problems where chains that look best often are not.
    pub incumbents: u32,
    /// How complete paths are scored and listed.
    pub score: ScoreConfig,
}

impl Default for RefineConfig {
    /// `R` 6, `τ` 0.5, `ρ` 0.9, `B` 3, `δ` 0.01, one incumbent, and the default score.
    fn default() -> Self {
        RefineConfig {
            rounds: 6,
            tau: 0.5,
            rho: 0.9,
            branches: 3,
            delta: 0.01,
            incumbents: 1,
            score: ScoreConfig::default(),
        }
    }
}

impl RefineConfig {
    setters! {
        with_rounds rounds: u32;
        with_tau tau: f64;
        with_rho rho: f64;
        with_branches branches: usize;
        with_delta delta: f64;
        with_incumbents incumbents: u32;
        with_score score: ScoreConfig;
    }

    /// Checks the ranges given at the fields. All numbers must be finite; `δ` is at most 1e6.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for the first field out of its range.
    pub fn validate(&self) -> Result<()> {
        unit_interval("tau", self.tau)?;
        share("rho", self.rho)?;
        check(self.branches >= 1, "branches", "at least 1", self.branches)?;
        check((0.0..=1e6).contains(&self.delta), "delta", "a number in [0, 1e6]", self.delta)?;
        check(self.incumbents >= 1, "incumbents", "at least 1", self.incumbents)?;
        self.score.validate()
    }
}

//! Config of the depth-first strategy.

use serde::{Deserialize, Serialize};

use super::generation::{Evaluation, Generation, check_bar};
use crate::Result;
use crate::config::setters;
use crate::score::ScoreConfig;

/// Config of [`Strategy::Dfs`](super::Strategy::Dfs).
///
/// ```
/// use scaletot_search::DfsConfig;
///
/// // Stops at the first complete path that is evaluated as certain, and does not follow paths below 0.2.
/// let config = DfsConfig::default().with_threshold(0.2).with_accept(Some(1.0));
/// assert!(config.validate().is_ok());
/// assert!(config.with_threshold(2.0).validate().is_err());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct DfsConfig {
    /// Which thoughts are tried after each path.
    pub generation: Generation,
    /// How the candidates after a path are judged.
    pub evaluation: Evaluation,
    /// `v_th` in `[0, 1]`: candidates that are evaluated lower are not followed.
    pub threshold: f64,
    /// Stops at a complete path whose evaluation reaches this, in `[0, 1]`; without it everything above the threshold is
    /// searched.
    pub accept: Option<f64>,
    /// How paths are scored and listed.
    pub score: ScoreConfig,
}

impl Default for DfsConfig {
    /// The five most probable thoughts, judged by value, no threshold, no acceptance, the default score.
    fn default() -> Self {
        DfsConfig {
            generation: Generation::default(),
            evaluation: Evaluation::default(),
            threshold: 0.0,
            accept: None,
            score: ScoreConfig::default(),
        }
    }
}

impl DfsConfig {
    setters! {
        with_generation generation: Generation;
        with_evaluation evaluation: Evaluation;
        with_threshold threshold: f64;
        with_accept accept: Option<f64>;
        with_score score: ScoreConfig;
    }

    /// Checks the ranges given at the fields.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for the first field out of its range.
    pub fn validate(&self) -> Result<()> {
        self.generation.validate()?;
        check_bar("threshold", Some(self.threshold))?;
        check_bar("accept", self.accept)?;
        self.score.validate()
    }
}

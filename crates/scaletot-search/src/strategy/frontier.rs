//! Configs of the strategies that go level by level.

use scaletot_core::config::check;
use serde::{Deserialize, Serialize};

use super::generation::{Evaluation, Generation, check_bar};
use crate::Result;
use crate::config::setters;
use crate::score::ScoreConfig;

/// Config of [`Strategy::Bfs`](super::Strategy::Bfs).
///
/// ```
/// use scaletot_search::{BfsConfig, Evaluation, Generation};
///
/// let config = BfsConfig::default()
///     .with_breadth(3)
///     .with_generation(Generation::Propose { max: None })
///     .with_evaluation(Evaluation::Vote);
/// assert!(config.validate().is_ok());
/// assert!(config.with_breadth(0).validate().is_err());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct BfsConfig {
    /// `b`, at least 1: how many paths of a level are followed.
    pub breadth: usize,
    /// Which thoughts are tried after each.
    pub generation: Generation,
    /// How candidates are judged.
    pub evaluation: Evaluation,
    /// Stops at a complete path whose evaluation reaches this, in `[0, 1]`; without it the search goes on to its end.
    pub accept: Option<f64>,
    /// How paths are scored and listed.
    pub score: ScoreConfig,
}

impl Default for BfsConfig {
    /// Breadth 5, the five most probable thoughts, judged by value, no acceptance, the default score.
    fn default() -> Self {
        BfsConfig {
            breadth: 5,
            generation: Generation::default(),
            evaluation: Evaluation::default(),
            accept: None,
            score: ScoreConfig::default(),
        }
    }
}

impl BfsConfig {
    setters! {
        with_breadth breadth: usize;
        with_generation generation: Generation;
        with_evaluation evaluation: Evaluation;
        with_accept accept: Option<f64>;
        with_score score: ScoreConfig;
    }

    /// Checks the ranges given at the fields.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for the first field out of its range.
    pub fn validate(&self) -> Result<()> {
        check(self.breadth >= 1, "breadth", "at least 1", self.breadth)?;
        self.generation.validate()?;
        check_bar("accept", self.accept)?;
        self.score.validate()
    }
}

/// Config of [`Strategy::Beam`](super::Strategy::Beam).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct BeamConfig {
    /// How many paths of a level are followed, at least 1.
    pub width: usize,
    /// How paths are scored and listed. Nothing is evaluated, so `α` counts as 1.
    pub score: ScoreConfig,
}

impl Default for BeamConfig {
    /// Width 5, with the default score.
    fn default() -> Self {
        BeamConfig { width: 5, score: ScoreConfig::default() }
    }
}

impl BeamConfig {
    setters! {
        with_width width: usize;
        with_score score: ScoreConfig;
    }

    /// Checks the ranges given at the fields.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for the first field out of its range.
    pub fn validate(&self) -> Result<()> {
        check(self.width >= 1, "width", "at least 1", self.width)?;
        self.score.validate()
    }

    /// Of one level no more than the width is followed, so that many of each path's thoughts can be among them.
    pub(crate) fn as_bfs(&self) -> BfsConfig {
        let generation = Generation::Propose { max: Some(self.width) };
        BfsConfig { breadth: self.width, generation, score: self.score, ..BfsConfig::default() }
    }
}

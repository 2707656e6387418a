//! Configs of the strategies that draw independent samples.

use scaletot_core::config::check;
use serde::{Deserialize, Serialize};

use super::generation::temperature_ok;
use crate::Result;
use crate::config::setters;
use crate::score::ScoreConfig;

/// Config of [`Strategy::SelfConsistency`](super::Strategy::SelfConsistency).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct SelfConsistencyConfig {
    /// Samples, at least 1.
    pub samples: u64,
    /// Temperature of the draws, from 1e-3 to 1e3: thoughts are drawn with weights `q^(1/T)`.
    pub temperature: f64,
    /// How many paths the outcome lists, at least 1.
    pub keep: usize,
}

impl Default for SelfConsistencyConfig {
    /// 20 samples at temperature 1, 4 paths listed.
    fn default() -> Self {
        SelfConsistencyConfig { samples: 20, temperature: 1.0, keep: 4 }
    }
}

impl SelfConsistencyConfig {
    setters! {
        with_samples samples: u64;
        with_temperature temperature: f64;
        with_keep keep: usize;
    }

    /// Checks the ranges given at the fields.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for the first field out of its range.
    pub fn validate(&self) -> Result<()> {
        draws(self.samples, self.temperature)?;
        Ok(check(self.keep >= 1, "keep", "at least 1", self.keep)?)
    }
}

/// Config of [`Strategy::BestOfN`](super::Strategy::BestOfN).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct BestOfNConfig {
    /// Samples, at least 1.
    pub samples: u64,
    /// Temperature of the draws, from 1e-3 to 1e3: thoughts are drawn with weights `q^(1/T)`.
    pub temperature: f64,
    /// How complete paths are scored and listed.
    pub score: ScoreConfig,
}

impl Default for BestOfNConfig {
    /// 20 samples at temperature 1, with the default score.
    fn default() -> Self {
        BestOfNConfig { samples: 20, temperature: 1.0, score: ScoreConfig::default() }
    }
}

impl BestOfNConfig {
    setters! {
        with_samples samples: u64;
        with_temperature temperature: f64;
        with_score score: ScoreConfig;
    }

    /// Checks the ranges given at the fields.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for the first field out of its range.
    pub fn validate(&self) -> Result<()> {
        draws(self.samples, self.temperature)?;
        self.score.validate()
    }
}

fn draws(samples: u64, temperature: f64) -> Result<()> {
    check(samples >= 1, "samples", "at least 1", samples)?;
    Ok(check(temperature_ok(temperature), "temperature", "a number in [1e-3, 1e3]", temperature)?)
}

//! What the strategies by levels and by depth share: which thoughts become candidates, and how candidates are judged.

use scaletot_core::config::{check, unit_interval};
use serde::{Deserialize, Serialize};

use crate::Result;

/// Which of the thoughts that may follow a path are tried (the thought generator of Yao et al., `NeurIPS` 2023).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Generation {
    /// The most probable ones.
    Propose {
        /// How many at most, at least 1; all of them if there is no number.
        max: Option<usize>,
    },
    /// Independent draws; a thought drawn twice is tried once.
    Sample {
        /// How many draws, at least 1.
        draws: usize,
        /// Temperature of the draws, from 1e-3 to 1e3: thoughts are drawn with weights `q^(1/T)`.
        temperature: f64,
    },
}

impl Default for Generation {
    /// The five most probable.
    fn default() -> Self {
        Generation::Propose { max: Some(5) }
    }
}

impl Generation {
    pub(super) fn validate(&self) -> Result<()> {
        match *self {
            Generation::Propose { max } => Ok(check(max != Some(0), "max", "at least 1", max.unwrap_or(1))?),
            Generation::Sample { draws, temperature } => {
                check(draws >= 1, "draws", "at least 1", draws)?;
                Ok(check(temperature_ok(temperature), "temperature", "a number in [1e-3, 1e3]", temperature)?)
            }
        }
    }

    /// The largest number of thoughts that follow one path.
    pub(super) fn max(&self) -> u64 {
        match *self {
            Generation::Propose { max } => max.map_or(u64::MAX, |max| max as u64),
            Generation::Sample { draws, .. } => draws as u64,
        }
    }
}

/// How candidates are judged (the state evaluator of Yao et al., `NeurIPS` 2023). Where the problem does not
/// [evaluate](crate::Problem::evaluates), or `α` is 1, by probability alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Evaluation {
    /// Each path by itself: one query per path.
    #[default]
    Value,
    /// All that stand to be chosen from against each other: one query for all. The shares are the evaluations.
    Vote,
}

/// Whether draws may have this temperature.
pub(super) fn temperature_ok(temperature: f64) -> bool {
    (1e-3..=1e3).contains(&temperature)
}

/// Checks a bar on evaluations.
pub(super) fn check_bar(name: &'static str, bar: Option<f64>) -> Result<()> {
    let bar = bar.unwrap_or(0.0);
    Ok(unit_interval(name, bar)?)
}

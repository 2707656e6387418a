//! The metrics by name.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::decile::calibration_error;
use crate::gain::{lift, normalised_gini, top_share};
use crate::rank::{auc_of_positive, spearman};

/// A metric of scores against outcomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Metric {
    /// [`spearman`].
    Spearman,
    /// [`normalised_gini`].
    NormalisedGini,
    /// [`auc_of_positive`].
    AucOfPositive,
    /// [`top_share`] of the top tenth.
    TopDecileShare,
    /// [`lift`] of the top tenth.
    TopDecileLift,
    /// [`calibration_error`]; the only one for which less is better.
    CalibrationError,
}

impl Metric {
    /// All metrics.
    pub const ALL: [Self; 6] = [
        Self::Spearman,
        Self::NormalisedGini,
        Self::AucOfPositive,
        Self::TopDecileShare,
        Self::TopDecileLift,
        Self::CalibrationError,
    ];

    /// The metric.
    ///
    /// # Errors
    /// Those of the function it stands for.
    pub fn compute(self, outcomes: &[f64], scores: &[f64]) -> Result<f64> {
        match self {
            Self::Spearman => spearman(outcomes, scores),
            Self::NormalisedGini => normalised_gini(outcomes, scores),
            Self::AucOfPositive => auc_of_positive(outcomes, scores),
            Self::TopDecileShare => top_share(outcomes, scores, 0.1),
            Self::TopDecileLift => lift(outcomes, scores, 0.1),
            Self::CalibrationError => calibration_error(outcomes, scores),
        }
    }

    /// Whether a larger value is the better one.
    #[must_use]
    pub fn higher_is_better(self) -> bool {
        !matches!(self, Self::CalibrationError)
    }

    /// Name for a table.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Spearman => "Spearman",
            Self::NormalisedGini => "normalised Gini",
            Self::AucOfPositive => "AUC of outcome > 0",
            Self::TopDecileShare => "top-decile value share",
            Self::TopDecileLift => "top-decile lift",
            Self::CalibrationError => "decile calibration error",
        }
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

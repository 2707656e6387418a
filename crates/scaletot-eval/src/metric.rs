//! The metrics by name, with intervals, and two models compared in words.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    Bootstrap, Difference, Interval, Result, auc_of_positive, calibration_error, check, lift,
    normalised_gini, spearman, top_share,
};

/// A metric of scores against outcomes.
///
/// ```
/// use scaletot_eval::{Bootstrap, Metric};
///
/// let outcomes: Vec<f64> = (0..200).map(|u| f64::from(u % 10)).collect();
/// let informed: Vec<f64> = (0..200).map(|u| f64::from(u % 10) + f64::from(u % 3)).collect();
/// let blind: Vec<f64> = (0..200).map(|u| f64::from(u % 7)).collect();
///
/// let settings = Bootstrap::new(1).replicates(500);
/// let difference = Metric::Spearman.compare(&outcomes, &informed, &blind, &settings)?;
/// println!("{}", difference.in_words("signals", "profile only"));
/// assert!(difference.verdict().is_shown());
/// # Ok::<(), scaletot_eval::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
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

    /// The metric with its bootstrap interval over users.
    ///
    /// # Errors
    /// Those of [`Metric::compute`] on all users, and of [`Bootstrap::interval`].
    pub fn interval(self, outcomes: &[f64], scores: &[f64], bootstrap: &Bootstrap) -> Result<Interval> {
        self.compute(outcomes, scores)?;
        bootstrap.interval(outcomes.len(), |rows| self.on(outcomes, scores, rows))
    }

    /// Compares scores `a` with scores `b` of the same users by a paired bootstrap.
    ///
    /// # Errors
    /// Those of [`Metric::compute`] for either scores, and of [`Bootstrap::paired`].
    pub fn compare(
        self,
        outcomes: &[f64],
        a: &[f64],
        b: &[f64],
        bootstrap: &Bootstrap,
    ) -> Result<Difference> {
        check::lengths("scores of the first model", outcomes.len(), a.len())?;
        check::lengths("scores of the second model", outcomes.len(), b.len())?;
        let (first, second) = (self.compute(outcomes, a)?, self.compute(outcomes, b)?);
        let on = |scores| move |rows: &[usize]| self.on(outcomes, scores, rows);
        let interval = bootstrap.paired(outcomes.len(), on(a), on(b))?;
        Ok(Difference { metric: self, users: outcomes.len(), first, second, interval })
    }

    /// The metric on the drawn rows, NaN where it is undefined.
    fn on(self, outcomes: &[f64], scores: &[f64], rows: &[usize]) -> f64 {
        let pick = |values: &[f64]| rows.iter().map(|&row| values[row]).collect::<Vec<_>>();
        self.compute(&pick(outcomes), &pick(scores)).unwrap_or(f64::NAN)
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

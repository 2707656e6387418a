//! Figures per fold, and what is drawn from them.

use scaletot_eval::{Decile, Interval, Metric, Verdict};
use serde::{Deserialize, Serialize};

use super::Labels;

/// One model's figures on one fold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Cell {
    /// Repeat of the cross-validation, from 0.
    pub repeat: usize,
    /// Fold, from 0.
    pub fold: usize,
    /// Arm.
    pub arm: String,
    /// Labelled training users.
    pub labels: Labels,
    /// Draw of the labelled users, from 0.
    pub draw: usize,
    /// Metrics on the fold's test users; one that is undefined there is left out.
    pub metrics: Vec<(Metric, f64)>,
}

/// One arm at one number of labels by one metric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct CurvePoint {
    /// Arm.
    pub arm: String,
    /// Labelled training users asked for.
    pub labels: Labels,
    /// How many that was, mean over folds.
    pub count: f64,
    /// Metric.
    pub metric: Metric,
    /// Mean over folds of the mean over draws.
    pub mean: f64,
    /// Bootstrap interval of the mean: users of every fold and a draw of labels resampled.
    pub interval: Interval,
    /// Standard deviation over folds.
    pub deviation: f64,
    /// Folds (times repeats) that it is the mean of.
    pub folds: usize,
    /// Arm minus every other arm that does without reasoning (`profile`, `ridge`, the peers), where that has a figure.
    pub against: Vec<Paired>,
}

impl CurvePoint {
    /// The paired difference to one baseline.
    #[must_use]
    pub fn against(&self, baseline: &str) -> Option<&Paired> {
        self.against.iter().find(|paired| paired.baseline == baseline)
    }
}

/// A paired difference at the same labels, folds, draws and users.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Paired {
    /// What is subtracted: the arm's name.
    pub baseline: String,
    /// Mean difference over folds.
    pub difference: f64,
    /// Standard deviation of the folds' differences over the root of their number; of one fold alone, the standard deviation of the
    /// bootstrap replicates.
    pub error: f64,
    /// Paired bootstrap interval, drawn as [`CurvePoint::interval`].
    pub interval: Interval,
    /// What the interval shows, in the metric's own sense of better.
    pub verdict: Verdict,
}

/// A decile table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ArmDeciles {
    /// Arm.
    pub arm: String,
    /// Ten rows, best first.
    pub rows: Vec<Decile>,
}

/// A gain curve.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ArmGains {
    /// Arm.
    pub arm: String,
    /// (share of users, share of value), ascending from (0, 0) to (1, 1).
    pub points: Vec<(f64, f64)>,
}

/// Transfer from student to encoder on the test users of a fold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Transfer {
    /// Repeat.
    pub repeat: usize,
    /// Fold.
    pub fold: usize,
    /// Share of users on whose most probable value student and encoder agree, per state.
    pub agreement: Vec<f64>,
    /// Mean cosine of the representations.
    pub cosine: f64,
    /// Linear centred kernel alignment of the representations.
    pub cka: f64,
    /// Users by the number of their populated fields, from few to many.
    #[serde(default)]
    pub by_populated: Vec<TransferGroup>,
    /// Users by their segment.
    #[serde(default)]
    pub by_segment: Vec<TransferGroup>,
}

/// Transfer on a group of users.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct TransferGroup {
    /// Number of populated fields, or the segment's label.
    pub name: String,
    /// Users.
    pub users: usize,
    /// Share of users and states on whose most probable value student and encoder agree.
    pub agreement: f64,
    /// Mean cosine of the representations.
    pub cosine: f64,
}

/// One share of reasoned users.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct CoveragePoint {
    /// Share of all users of the task.
    pub coverage: f64,
    /// Metrics of the arm `scaletot` at the stated labels, first draw of each, without OSIPO; mean over the folds of the
    /// first repeat.
    pub metrics: Vec<(Metric, f64)>,
    /// Labels.
    pub labels: Labels,
}

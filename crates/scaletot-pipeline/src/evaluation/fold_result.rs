//! What one fold gave, of which arms.

use scaletot_eval::Metric;
use serde::{Deserialize, Serialize};

use super::resample::{Replicates, Size};
use super::results::{Cell, Labels, SearchTree, Transfer};

/// The arms in the order of the report, with what they are.
pub(super) const ARMS: [(&str, &str); 7] = [
    (
        "scaletot",
        "ridge on the profile and the encoder's signals, stacked with `ridge`, `profile` and the expected level of the last state; no teacher call for any test user",
    ),
    ("served", "what an artifact serves of `scaletot`: the encoder alone, with the value model folded in"),
    ("profile", "the encoder network trained on outcomes alone, the mean of five"),
    ("ridge", "ridge regression on the profile, one column per value"),
    ("stack", "`ridge` stacked with `profile`: the model of `scaletot` without the signals"),
    ("student", "as `scaletot`, with the student's own signals: the ceiling of the transfer"),
    ("teacher", "as `scaletot`, with the teacher's own chains for every user: the ceiling of the student"),
];

/// Arms that know more than the profile; all others are baselines.
pub(super) const REASONING: [&str; 4] = ["scaletot", "served", "student", "teacher"];

/// What one fold gave; written when the fold is done.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FoldResult {
    pub(super) repeat: usize,
    pub(super) fold: usize,
    pub(super) cells: Vec<Cell>,
    /// Numbers of labels, ascending.
    pub(super) sizes: Vec<Size>,
    pub(super) replicates: Vec<Replicates>,
    /// Test rows, their outcomes and, per arm, the predictions with all labels.
    pub(super) test: Vec<usize>,
    pub(super) outcomes: Vec<f64>,
    pub(super) predictions: Vec<(String, Vec<f64>)>,
    pub(super) transfer: Transfer,
    pub(super) entropy: EntropySums,
    pub(super) teacher: TeacherSums,
    /// State accuracy of teacher, student and encoder where the truth is known.
    pub(super) accuracy: Vec<(String, f64)>,
    /// The arm `scaletot` at further shares of reasoned users, of the first repeat alone.
    pub(super) coverage: Vec<CoverageCell>,
    /// Searches of a few users, of the first fold alone.
    pub(super) searches: Vec<SearchTree>,
    /// Seconds in which the encoder scored a million users.
    pub(super) encoder_seconds_per_million: f64,
    /// States about which the teacher's answers tell nobody apart.
    pub(super) warnings: Vec<String>,
}

/// Entropies summed over covered users.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EntropySums {
    pub(super) users: usize,
    pub(super) changed: usize,
    pub(super) before: Vec<f64>,
    pub(super) after: Vec<f64>,
}

/// What the teacher did for the covered users.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TeacherSums {
    pub(super) users: u64,
    pub(super) questions: u64,
    pub(super) tokens: u64,
    pub(super) calls: u64,
    /// Seconds spent waiting for it, summed over threads.
    pub(super) seconds: f64,
}

/// The arm on one fold at one share of reasoned users and one number of labels.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CoverageCell {
    /// Share asked for.
    pub(super) coverage: f64,
    /// Share of the table's users who were reasoned about: less than asked for where the training fold has no more.
    pub(super) reasoned: f64,
    pub(super) labels: Labels,
    pub(super) metrics: Vec<(Metric, f64)>,
}

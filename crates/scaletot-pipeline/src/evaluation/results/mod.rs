//! What `evaluate` found: `results.json`. Figures per fold first, then what is drawn from them.
//!
//! All values are finite; what could not be computed is left out or `null`. Metrics keep the names of [`Metric`](scaletot_eval::Metric); intervals are of
//! level 0.95. A reader checks [`FORMAT`] first.

mod figures;
mod reasoning;
mod worlds;

use serde::{Deserialize, Serialize};

pub use figures::{ArmDeciles, ArmGains, Cell, CoveragePoint, CurvePoint, Paired, Transfer, TransferGroup};
pub use reasoning::{Entropy, Ledger, SearchTree, TreeChain, TreeQuestion, TreeRound};
pub use worlds::{ExperimentResults, PlantedResults, PolicyResult, QiniResult, RefinementPoint};

/// Version of the form of `results.json`.
pub const FORMAT: u32 = 1;

/// The whole file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Results {
    /// [`FORMAT`] of the version that wrote it.
    pub format: u32,
    /// What was run, and where.
    pub run: RunInfo,
    /// The task and its users.
    pub task: TaskInfo,
    /// One entry per arm, in the order in which they are shown.
    pub arms: Vec<ArmInfo>,
    /// Every figure: one entry per fold, arm, number of labels and draw.
    pub cells: Vec<Cell>,
    /// Per arm, number of labels and metric: the mean over folds, and the paired differences to the baselines.
    pub curves: Vec<CurvePoint>,
    /// Decile tables with all labels, users of all folds together.
    pub deciles: Vec<ArmDeciles>,
    /// Gain curves with all labels: the share of all value that the top share of users holds, mean over folds.
    pub gains: Vec<ArmGains>,
    /// How well the student's signals arrived in the encoder, per fold.
    pub transfer: Vec<Transfer>,
    /// Normalised entropy of the teacher's calibrated answers before and after refinement, over all covered users.
    pub entropy: Option<Entropy>,
    /// The same task at other shares of reasoned users.
    pub coverage: Vec<CoveragePoint>,
    /// What the teacher did, and what it would cost to ask it about everybody.
    pub ledger: Ledger,
    /// Searches of a few users, whole.
    pub searches: Vec<SearchTree>,
    /// A simulated randomised test, where the table comes from one.
    pub experiment: Option<ExperimentResults>,
    /// What only a planted world can tell: how often states are right.
    pub planted: Option<PlantedResults>,
    /// Sentences about limits that hold for this run, such as fields that no language model can read.
    pub notes: Vec<String>,
}

/// What was run, and where.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct RunInfo {
    /// The command line after the program's name.
    pub command: String,
    /// Version of the crates.
    pub version: String,
    /// Commit of the sources, where it is known.
    pub commit: Option<String>,
    /// Processor and number of threads.
    pub machine: String,
    /// Date of the end, UTC, `YYYY-MM-DD`.
    pub date: String,
    /// Wall time of the run, in seconds.
    pub seconds: f64,
    /// Seed of every draw.
    pub seed: u64,
    /// Backend that trained.
    pub device: String,
    /// Teacher, as asked for.
    pub teacher: String,
    /// Share of all users of the task whom the teacher reasoned about, mean over folds; they are chosen from the training folds.
    pub coverage: f64,
    /// Folds per repeat.
    pub folds: usize,
    /// Repeats of the cross-validation.
    pub repeats: usize,
    /// What was taken out of the method: the flags, without dashes.
    pub ablations: Vec<String>,
}

/// The task and its users.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct TaskInfo {
    /// The task's name.
    pub name: String,
    /// One line that says what is predicted for whom.
    pub title: String,
    /// Where the table comes from.
    pub source: String,
    /// Outcome column.
    pub outcome: String,
    /// Unit of the outcome.
    pub unit: String,
    /// Users in the table after the task's filter.
    pub users: usize,
    /// Of them: with enough populated fields to be served.
    pub with_profile: usize,
    /// Of those: with a known outcome; they are what folds are made of.
    pub labelled: usize,
    /// Share of the labelled users whose outcome is 0.
    pub zero_share: f64,
    /// Mean outcome of the labelled users.
    pub mean_outcome: f64,
    /// Profile fields.
    pub fields: Vec<String>,
    /// States of the chain, the outcome-linked one last.
    pub states: Vec<String>,
}

/// An arm of the comparison.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ArmInfo {
    /// Short name: the key in all tables.
    pub name: String,
    /// What it is, in a sentence.
    pub description: String,
}

/// How many labelled training users a model saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Labels {
    /// This many.
    Count(usize),
    /// All of the training folds.
    All,
}

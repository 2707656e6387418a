//! What `evaluate` found: `results.json`. Figures per fold first, then what is drawn from them.
//!
//! All values are finite; what could not be computed is left out or `null`. Metrics keep the names of [`Metric`]; intervals are of
//! level 0.95. A reader checks [`FORMAT`] first.

use scaletot_eval::{Decile, Interval, Metric, Verdict};
use serde::{Deserialize, Serialize};

/// Version of the form of `results.json`.
pub const FORMAT: u32 = 1;

/// The whole file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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

/// One model's figures on one fold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
#[non_exhaustive]
pub struct ArmDeciles {
    /// Arm.
    pub arm: String,
    /// Ten rows, best first.
    pub rows: Vec<Decile>,
}

/// A gain curve.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ArmGains {
    /// Arm.
    pub arm: String,
    /// (share of users, share of value), ascending from (0, 0) to (1, 1).
    pub points: Vec<(f64, f64)>,
}

/// Transfer from student to encoder on the test users of a fold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Transfer {
    /// Repeat.
    pub repeat: usize,
    /// Fold.
    pub fold: usize,
    /// Share of users on whose likeliest value student and encoder agree, per state.
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
#[non_exhaustive]
pub struct TransferGroup {
    /// Number of populated fields, or the segment's label.
    pub name: String,
    /// Users.
    pub users: usize,
    /// Share of users and states on whose likeliest value student and encoder agree.
    pub agreement: f64,
    /// Mean cosine of the representations.
    pub cosine: f64,
}

/// Normalised entropies in [0, 1].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Entropy {
    /// State names.
    pub states: Vec<String>,
    /// Mean per state of the greedy draft.
    pub before: Vec<f64>,
    /// Mean per state of the chosen chain.
    pub after: Vec<f64>,
    /// Share of users whose chain was changed by refinement.
    pub changed: f64,
}

/// One share of reasoned users.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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

/// What the teacher did over the whole run, and what it would do for everybody.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Ledger {
    /// Users reasoned about, counted once per fold in which they are covered.
    pub reasoned: u64,
    /// Questions the searches asked.
    pub questions: u64,
    /// Of them: answered without a model call, because an equal prompt had been asked before or was recorded.
    pub saved: u64,
    /// Tokens that all questions hold.
    pub tokens: u64,
    /// Users of the table who would be reasoned about if everybody were.
    pub everybody: u64,
    /// Mean seconds that the model is busy for one call (time that calls share counts once): when the answers were recorded, or in this
    /// run for a teacher that answers itself.
    pub seconds_per_call: Option<f64>,
    /// Seconds in which the encoder scores a million users on this machine, one thread.
    pub encoder_seconds_per_million: f64,
}

/// A search, to be browsed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SearchTree {
    /// User id, as it came.
    pub user: String,
    /// The profile in words.
    pub profile: String,
    /// States in their order, each with its values.
    pub states: Vec<(String, Vec<String>)>,
    /// Every question that was asked, in order.
    pub questions: Vec<TreeQuestion>,
    /// Every chain that was completed and scored, in order; the first is the greedy draft.
    pub chains: Vec<TreeChain>,
    /// The rounds of refinement.
    pub rounds: Vec<TreeRound>,
    /// Index into `chains` of the chosen one.
    pub chosen: Option<usize>,
    /// Why the search stopped.
    pub stop: String,
    /// Verdict on the user.
    pub verdict: String,
}

/// One question.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TreeQuestion {
    /// Index of the state.
    pub state: usize,
    /// Values of the earlier states, as indices.
    pub path: Vec<usize>,
    /// The prompt as the teacher saw it.
    pub prompt: String,
    /// The calibrated distribution after constraints, per value of the state.
    pub distribution: Vec<f64>,
    /// Its normalised entropy.
    pub entropy: f64,
    /// Values that constraints removed.
    pub pruned: Vec<usize>,
}

/// One completed chain.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TreeChain {
    /// Value index per state.
    pub values: Vec<usize>,
    /// Its score `J`.
    pub score: f64,
    /// Round in which it was completed; 0 for the draft.
    pub round: usize,
}

/// One round of refinement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TreeRound {
    /// State that was branched.
    pub state: usize,
    /// Its entropy.
    pub entropy: f64,
    /// Values tried.
    pub tried: Vec<usize>,
    /// Whether a branch became the incumbent, with its gain in score.
    pub gain: Option<f64>,
    /// Whether the incumbent was replaced.
    pub replaced: bool,
}

/// A simulated randomised test on really randomised arms.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ExperimentResults {
    /// What the treatment is.
    pub treatment: String,
    /// Users treated, and not.
    pub users: [usize; 2],
    /// One entry per outcome (`visit`, `spend`) and policy.
    pub policies: Vec<PolicyResult>,
    /// Qini curves: outcome, arm, coefficient with interval, points (share, incremental outcome per customer).
    pub qini: Vec<QiniResult>,
}

/// Treating the top share by an arm's prediction.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PolicyResult {
    /// Outcome column.
    pub outcome: String,
    /// Arm whose prediction ranks the users.
    pub arm: String,
    /// Share treated.
    pub share: f64,
    /// Incremental outcome per customer against treating nobody.
    pub incremental: Interval,
    /// Difference to the policy of `profile`; `None` for itself.
    pub against_profile: Option<Interval>,
}

/// A Qini curve.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct QiniResult {
    /// Outcome column.
    pub outcome: String,
    /// Arm.
    pub arm: String,
    /// Qini coefficient.
    pub coefficient: Interval,
    /// (share targeted, incremental outcome per customer).
    pub points: Vec<(f64, f64)>,
}

/// What only a planted world can tell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PlantedResults {
    /// Teacher's noise of the main run.
    pub noise: f64,
    /// Share of states whose true value is the likeliest a posteriori: the limit for anybody who sees the profile.
    pub bayes: f64,
    /// State accuracy on test users: `teacher`, `student`, `encoder`, mean over folds.
    pub accuracy: Vec<(String, f64)>,
    /// Spearman and normalised Gini of the posterior mean of the true score: the oracle.
    pub oracle: Vec<(Metric, f64)>,
    /// How refinement changes the teacher's accuracy.
    pub refinement: Vec<RefinementPoint>,
}

/// Accuracy of the teacher's chains at one noise and sparsity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RefinementPoint {
    /// Noise of the teacher's logits.
    pub noise: f64,
    /// Share of missing cells.
    pub missing: f64,
    /// State accuracy of greedy chains.
    pub greedy: f64,
    /// State accuracy of refined chains.
    pub refined: f64,
    /// Questions per user, greedy.
    pub greedy_questions: f64,
    /// Questions per user, refined.
    pub refined_questions: f64,
}

//! What only some tables can tell: those of a randomised experiment, and planted worlds.

use scaletot_eval::planted::FieldErrors;
use scaletot_eval::{Interval, Metric};
use serde::{Deserialize, Serialize};

/// A simulated randomised test on really randomised arms.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ExperimentResults {
    /// What the treatment is.
    pub treatment: String,
    /// Users treated, and not.
    pub users: [usize; 2],
    /// Per outcome, those of them whose outcome is not known: they are left out of its policies and curves.
    #[serde(default)]
    pub unknown: Vec<(String, usize)>,
    /// One entry per outcome (`visit`, `spend`) and policy.
    pub policies: Vec<PolicyResult>,
    /// Qini curves: outcome, arm, coefficient with interval, points (share, incremental outcome per customer).
    pub qini: Vec<QiniResult>,
}

/// Treating the top share by an arm's prediction.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
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
#[serde(deny_unknown_fields)]
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
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct PlantedResults {
    /// Teacher's noise of the main run.
    pub noise: f64,
    /// What the teacher gets wrong about fields: `none`, `mixed` or `hard`.
    #[serde(default)]
    pub field_errors: FieldErrors,
    /// Share of states whose true value is the most probable a posteriori: the limit for anybody who sees the profile.
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
#[serde(deny_unknown_fields)]
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

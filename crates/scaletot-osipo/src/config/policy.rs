//! The settings of the policy-gradient objective.

use scaletot_core::config::{at_least_zero, check, unit_interval};
use serde::{Deserialize, Serialize};

use crate::Result;

/// Settings of [`Objective::Policy`](crate::Objective::Policy), whose formulas are in the crate docs.
///
/// ```
/// use scaletot_osipo::{GroupBaseline, Objective, OsipoLossConfig, PolicyConfig};
///
/// let grpo = PolicyConfig::default().with_baseline(GroupBaseline::Standardised).with_process(0.0).with_kl(0.04);
/// assert!(OsipoLossConfig::default().with_objective(Objective::Policy(grpo)).init().is_ok());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct PolicyConfig {
    /// What a chain's advantage is judged against; leave-one-out by default.
    pub baseline: GroupBaseline,
    /// Weight `λ_p` ≥ 0 of the process rewards; 1 by default, 0 leaves them out.
    pub process: f64,
    /// Discount δ in `[0, 1]` of later segments' process rewards; 1 by default.
    pub discount: f64,
    /// Whose ratio is clipped; that of tokens by default.
    pub ratio: RatioOf,
    /// `ε_low` in `[0, 1)`; 0.2 by default.
    pub clip_low: f64,
    /// `ε_high` ≥ 0; 0.2 by default.
    pub clip_high: f64,
    /// Weight `β_kl` ≥ 0 of the KL penalty to the reference, per token; 0 by default.
    pub kl: f64,
    /// What a mean is taken over; of each chain first by default.
    pub mean: TokenMean,
}

/// What the advantage of a chain is judged against: the other labelled chains of the same user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum GroupBaseline {
    /// `A_i − mean of the others` (RLOO); 0 for a chain that is alone.
    #[default]
    LeaveOneOut,
    /// `(A_i − mean) / (standard deviation + 1e-4)`, the deviation with `G − 1` in the denominator (GRPO, as TRL has it); 0 for
    /// a chain that is alone.
    Standardised,
    /// `A_i` as it is: standardised within user segments, for instance.
    None,
}

/// Whose probabilities a ratio is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RatioOf {
    /// Of each token, with the advantage of its chain segment.
    #[default]
    Token,
    /// Of the whole chain, with the advantage of its first segment, which is that of the chain.
    Chain,
}

/// What [`Reduction::Mean`](crate::Reduction::Mean) is a mean of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TokenMean {
    /// Over the tokens of each chain, then over the chains (GRPO as published).
    #[default]
    Chain,
    /// Over all tokens of the batch: long chains count more (TRL's `bnpo`).
    Batch,
}

impl Default for PolicyConfig {
    fn default() -> Self {
        Self {
            baseline: GroupBaseline::default(),
            process: 1.0,
            discount: 1.0,
            ratio: RatioOf::default(),
            clip_low: 0.2,
            clip_high: 0.2,
            kl: 0.0,
            mean: TokenMean::default(),
        }
    }
}

impl PolicyConfig {
    /// Sets the baseline.
    #[must_use]
    pub fn with_baseline(mut self, baseline: GroupBaseline) -> Self {
        self.baseline = baseline;
        self
    }

    /// Sets `λ_p`.
    #[must_use]
    pub fn with_process(mut self, process: f64) -> Self {
        self.process = process;
        self
    }

    /// Sets δ.
    #[must_use]
    pub fn with_discount(mut self, discount: f64) -> Self {
        self.discount = discount;
        self
    }

    /// Sets whose ratio is clipped.
    #[must_use]
    pub fn with_ratio(mut self, ratio: RatioOf) -> Self {
        self.ratio = ratio;
        self
    }

    /// Sets `ε_low` and `ε_high`.
    #[must_use]
    pub fn with_clip(mut self, low: f64, high: f64) -> Self {
        (self.clip_low, self.clip_high) = (low, high);
        self
    }

    /// Sets `β_kl`.
    #[must_use]
    pub fn with_kl(mut self, kl: f64) -> Self {
        self.kl = kl;
        self
    }

    /// Sets what a mean is taken over.
    #[must_use]
    pub fn with_mean(mut self, mean: TokenMean) -> Self {
        self.mean = mean;
        self
    }

    pub(super) fn validate(&self) -> Result<()> {
        at_least_zero("process", self.process)?;
        at_least_zero("clip_high", self.clip_high)?;
        at_least_zero("kl", self.kl)?;
        unit_interval("discount", self.discount)?;
        let low = self.clip_low;
        Ok(check((0.0..1.0).contains(&low), "clip_low", "a number of at least 0 and below 1", low)?)
    }
}

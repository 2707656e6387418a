//! The settings of the loss.

mod policy;

use scaletot_core::config::{at_least_zero, check, positive};
use serde::{Deserialize, Serialize};

pub use self::policy::{GroupBaseline, PolicyConfig, RatioOf, TokenMean};
use crate::{Result, SegmentWeights};

/// What the implicit rewards `r` of the candidates are trained towards, given their advantages `A`.
/// (Both forms are this project's own; they reduce to published losses, see the crate docs.)
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Objective {
    /// Over all pairs of the same user with `A⁺ > A⁻`, a loss of `m = r⁺ − r⁻ − γ (A⁺ − A⁻)`, by default `−ln σ(m)`.
    /// Pairs with equal advantages are dropped and counted. With γ = 0 only the order of a user's advantages counts, so
    /// that standardising them within user segments changes nothing.
    Preference {
        /// Margin γ ≥ 0 per unit of advantage: how far apart the implicit rewards of two chains have to be.
        /// 0 asks only for the right order.
        gamma: f64,
        /// The loss of a pair.
        #[serde(default)]
        loss: PairLoss,
    },
    /// Over all candidates with an advantage: `−[y ln σ(r) + (1 − y) ln σ(−r)]`.
    Pointwise {
        /// `Some(T)`, T > 0: soft targets `y = σ(A / T)`. `None`: hard targets `y = 1[A > 0]`.
        temperature: Option<f64>,
    },
    /// Policy gradient on chains that were sampled from the policy, in groups of one user each, with clipped ratios and a KL
    /// penalty.
    Policy(PolicyConfig),
    /// The evidence of each labelled user's outcome, `(1/η) ln Σ_c π_θ(c|x) e^{ηR}` with rewards `R` in the place of advantages, less
    /// `β KL(π_ref ‖ π_θ)` of the anchor users ([`CandidateBatch::with_anchors`](crate::CandidateBatch::with_anchors)). The candidates of a user are all legal
    /// chains, each once, or sampled ones with [`CandidateBatch::with_sampling`](crate::CandidateBatch::with_sampling). Weights of chain segments do not
    /// count, since the credit of steps is exact ([`StepCredit`](crate::evidence::StepCredit)).
    Evidence {
        /// η > 0. At 1 the objective is a log score of the outcomes; near 0 the expected reward, and the larger, the more the best chain alone.
        eta: f64,
    },
}

impl Objective {
    /// [`Objective::Preference`] with the sigmoid loss.
    #[must_use]
    pub fn preference(gamma: f64) -> Self {
        Self::Preference { gamma, loss: PairLoss::default() }
    }
}

impl Default for Objective {
    fn default() -> Self {
        Self::preference(0.0)
    }
}

/// The loss of a preference pair with margin `m = r⁺ − r⁻ − γ (A⁺ − A⁻)`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum PairLoss {
    /// `−(1 − ε) ln σ(m) − ε ln σ(−m)`: DPO (Rafailov et al. 2023, eq. 7) for ε = 0, conservative DPO (Mitchell 2023) else.
    Sigmoid {
        /// Label smoothing ε in `[0, 0.5)`: how likely a preference is thought to be the wrong way round.
        label_smoothing: f64,
    },
    /// `max(0, 1 − m)`: the hinge of `SLiC-HF` (Zhao et al. 2023) on log-ratios.
    Hinge,
    /// `((m − ½) / β)²`: IPO (Azar et al. 2023, eq. 17, their τ is β), on log-probabilities of whole chains as in the paper.
    /// TRL's `ipo` divides them by the number of tokens first.
    Ipo,
}

impl Default for PairLoss {
    fn default() -> Self {
        Self::Sigmoid { label_smoothing: 0.0 }
    }
}

/// How the terms of the objective and of the SFT regulariser become one number. Closed on purpose: a trainer that gathers
/// gradients over the parts of a batch weighs them by it, and must know each case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reduction {
    /// Mean over the pairs (`Preference`), labelled candidates (`Pointwise`), tokens or chains (`Policy`, see
    /// [`TokenMean`](crate::TokenMean)), or labelled and anchor users together (`Evidence`); the SFT term is the mean over the users that have a best chain.
    #[default]
    Mean,
    /// Sum over the same.
    Sum,
}

/// Settings of [`OsipoLoss`](crate::OsipoLoss), unchecked until [`OsipoLossConfig::init`].
///
/// ```
/// use scaletot_osipo::{Objective, OsipoLossConfig, SegmentWeights};
///
/// let loss = OsipoLossConfig::default()
///     .with_objective(Objective::Pointwise { temperature: Some(0.5) })
///     .with_weights(SegmentWeights::Entropy)
///     .init()?;
/// assert_eq!(loss.config().beta, 0.1);
/// assert!(OsipoLossConfig::default().with_beta(-1.0).init().is_err());
/// # Ok::<(), scaletot_osipo::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct OsipoLossConfig {
    /// Objective; by default preferences without a margin.
    pub objective: Objective,
    /// Scale β > 0 of the log-ratios, or of `Evidence` the weight of the anchor: larger keeps the policy closer to the reference. Default 0.1.
    pub beta: f64,
    /// Weights of the chain segments; uniform by default.
    pub weights: SegmentWeights,
    /// Weight `λ_sft` ≥ 0 of the negative log-likelihood of each user's best chain, which keeps the objective
    /// from lowering the likelihood of good chains together with the bad (likelihood displacement). Default 0.
    pub sft_weight: f64,
    /// Mean (default) or sum.
    pub reduction: Reduction,
}

impl Default for OsipoLossConfig {
    fn default() -> Self {
        Self {
            objective: Objective::default(),
            beta: 0.1,
            weights: SegmentWeights::default(),
            sft_weight: 0.0,
            reduction: Reduction::default(),
        }
    }
}

impl OsipoLossConfig {
    /// Sets the objective.
    #[must_use]
    pub fn with_objective(mut self, objective: Objective) -> Self {
        self.objective = objective;
        self
    }

    /// Sets β.
    #[must_use]
    pub fn with_beta(mut self, beta: f64) -> Self {
        self.beta = beta;
        self
    }

    /// Sets the weights of the chain segments.
    #[must_use]
    pub fn with_weights(mut self, weights: SegmentWeights) -> Self {
        self.weights = weights;
        self
    }

    /// Sets `λ_sft`.
    #[must_use]
    pub fn with_sft_weight(mut self, sft_weight: f64) -> Self {
        self.sft_weight = sft_weight;
        self
    }

    /// Sets the reduction.
    #[must_use]
    pub fn with_reduction(mut self, reduction: Reduction) -> Self {
        self.reduction = reduction;
        self
    }

    /// Checks every setting.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for a number outside its range, and the errors of
    /// [`SegmentWeights::validate`].
    pub fn validate(&self) -> Result<()> {
        positive("beta", self.beta)?;
        at_least_zero("sft_weight", self.sft_weight)?;
        match self.objective {
            Objective::Preference { gamma, loss } => {
                at_least_zero("gamma", gamma)?;
                if let PairLoss::Sigmoid { label_smoothing: found } = loss {
                    let expected = "a number of at least 0 and below 0.5";
                    check((0.0..0.5).contains(&found), "label_smoothing", expected, found)?;
                }
            }
            Objective::Policy(policy) => policy.validate()?,
            Objective::Evidence { eta } => positive("eta", eta)?,
            Objective::Pointwise { temperature: Some(temperature) } => positive("temperature", temperature)?,
            Objective::Pointwise { temperature: None } => {}
        }
        self.weights.validate()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;

    #[test]
    fn settings_out_of_range_are_named() {
        let config = OsipoLossConfig::default;
        for (bad, name) in [
            (config().with_beta(0.0), "beta"),
            (config().with_beta(f64::NAN), "beta"),
            (config().with_sft_weight(-0.1), "sft_weight"),
            (config().with_objective(Objective::preference(f64::INFINITY)), "gamma"),
            (
                config().with_objective(Objective::Preference {
                    gamma: 0.0,
                    loss: PairLoss::Sigmoid { label_smoothing: 0.5 },
                }),
                "label_smoothing",
            ),
            (config().with_objective(Objective::Policy(PolicyConfig::default().with_kl(-1.0))), "kl"),
            (
                config().with_objective(Objective::Policy(PolicyConfig::default().with_clip(1.0, 0.2))),
                "clip_low",
            ),
            (config().with_objective(Objective::Pointwise { temperature: Some(0.0) }), "temperature"),
            (config().with_objective(Objective::Evidence { eta: 0.0 }), "eta"),
            (config().with_objective(Objective::Evidence { eta: f64::NAN }), "eta"),
        ] {
            assert!(matches!(bad.init(), Err(Error::Config(error)) if error.field == name), "{bad:?}");
        }
        assert!(config().with_weights(SegmentWeights::Given(vec![])).init().is_err());
    }

    #[test]
    fn settings_survive_json_and_defaults_fill_in() {
        let config = OsipoLossConfig::default()
            .with_objective(Objective::Pointwise { temperature: None })
            .with_weights(SegmentWeights::Given(vec![1.0, 2.0]))
            .with_reduction(Reduction::Sum);
        let json = serde_json::to_string(&config).unwrap();
        assert_eq!(serde_json::from_str::<OsipoLossConfig>(&json).unwrap(), config);
        let partial: OsipoLossConfig = serde_json::from_str(r#"{"beta": 0.5}"#).unwrap();
        assert_eq!(partial, OsipoLossConfig::default().with_beta(0.5));
        for (json, key) in [
            (r#"{"bta": 0.5}"#, "bta"),
            (r#"{"objective": {"preference": {"gamma": 0.0, "margin": 1.0}}}"#, "margin"),
            (r#"{"objective": {"policy": {"kl_weight": 0.1}}}"#, "kl_weight"),
            (r#"{"objective": {"evidence": {"eta": 1.0, "beta": 0.1}}}"#, "beta"),
        ] {
            let error = serde_json::from_str::<OsipoLossConfig>(json).unwrap_err().to_string();
            assert!(error.contains(&format!("unknown field `{key}`")), "{error}");
        }
    }
}

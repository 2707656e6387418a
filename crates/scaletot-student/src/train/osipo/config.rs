//! Options of OSIPO.

use scaletot_core::config::{at_least_zero, check, positive, unit_interval};
use scaletot_osipo::reward::OutcomeRewardConfig;
use scaletot_osipo::{Objective, OsipoLossConfig};
use serde::{Deserialize, Serialize};

use crate::config::finite_above;
use crate::error::Result;
use crate::precision::Precision;
use crate::train::checkpoint::Checkpoints;

/// Options of [`Osipo`](crate::Osipo), unchecked until [`Osipo::new`](crate::Osipo::new) or [`validate`](Self::validate) is.
///
/// ```
/// use scaletot_osipo::{Objective, OsipoLossConfig, SegmentWeights};
///
/// let mut config = scaletot_student::OsipoConfig::default();
/// config.loss = OsipoLossConfig::default()
///     .with_objective(Objective::Pointwise { temperature: Some(1.0) })
///     .with_weights(SegmentWeights::Entropy);
/// config.validate()?;
/// # Ok::<(), scaletot_student::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct OsipoConfig {
    /// Objective, β, chain-segment weights and `λ_sft`. Default: preferences, β = 1, uniform, `λ_sft` =
    /// 0.1. Outcomes are noisy: where a share `p` of like users has outcomes that speak for one chain rather than another, the optimum
    /// moves the log-odds of the two by `logit(p) / β`, so the β = 0.1 that is customary for people's judgements would make near
    /// certainty of a small majority. Keep `λ_sft` above 0: a user's chains often agree on the first states, on which the objective
    /// then has no hold, and training on the others would let the student forget them.
    pub loss: OsipoLossConfig,
    /// Reward of a chain. Default [`ChainReward::Outcome`].
    pub reward: ChainReward,
    /// Number of outcome tiers, at most: zero, and quantiles of the positive outcomes. Default 5.
    pub tiers: usize,
    /// Pseudo-rewards of the whole population that each user segment is given when advantages are
    /// standardised. Default 20. The scale of advantages matters to the objective with a margin γ > 0 and to
    /// `Pointwise`; preferences without a margin, the default, use only their order within a user.
    pub kappa: f64,
    /// Chains to sample for a user whose corpus chains all end in the same outcome-linked value; 0 for none.
    /// Default 4. With the `Policy` objective: the chains sampled for each user of a batch, at least 2.
    pub samples: usize,
    /// Temperature of those samples. Default 1, and nothing else with the `Policy` objective.
    pub temperature: f64,
    /// Steps on each batch of sampled chains with the `Policy` objective; the first has ratios of 1. Default 2.
    pub updates: usize,
    /// Passes over the training users, at most. Default 15.
    pub epochs: usize,
    /// Users per step, each with all its candidates. Default 32.
    pub batch_users: usize,
    /// Users computed at once, as [`SftConfig::micro_batch`](crate::SftConfig::micro_batch). Default `None`.
    pub micro_batch: Option<usize>,
    /// Largest learning rate. Default 3e-4.
    pub learning_rate: f64,
    /// Decoupled weight decay. Default 0: the reference already holds the weights.
    pub weight_decay: f64,
    /// Share of the steps over which the learning rate climbs; then it falls along a cosine to 0. Default
    /// 0.05.
    pub warmup: f64,
    /// Bound of the global gradient norm; `None` for no clipping. Default 1.
    pub clip_norm: Option<f64>,
    /// Share of the users held out for early stopping; with 0, or too few users, all epochs are run. Default
    /// 0.15.
    pub validation_share: f64,
    /// Epochs without a lower held-out objective after which training stops. Default 4.
    pub patience: usize,
    /// A loss of more than this many times the first step's size, or than this many if that is more, ends training with
    /// [`Error::Diverged`](crate::Error::Diverged). Default 10.
    pub explosion: f64,
    /// What forward and backward passes are computed in. Default 32-bit floats.
    pub precision: Precision,
    /// Where the run keeps its checkpoint, so that it can be resumed; it is no part of the saved settings. Default `None`: nowhere.
    #[serde(skip)]
    pub checkpoints: Option<Checkpoints>,
}

/// What makes a chain good for a user whose outcome is known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ChainReward {
    /// How much better the chain explains the outcome than the user's segment alone does
    /// ([`OutcomeReward`](scaletot_osipo::reward::OutcomeReward)).
    Outcome(OutcomeRewardConfig),
    /// How near the outcome's tier is to the chain's outcome-linked value
    /// ([`TierAgreement`](scaletot_osipo::reward::TierAgreement)).
    TierAgreement,
}

impl Default for ChainReward {
    fn default() -> Self {
        Self::Outcome(OutcomeRewardConfig::default())
    }
}

impl Default for OsipoConfig {
    fn default() -> Self {
        Self {
            loss: OsipoLossConfig::default().with_beta(1.0).with_sft_weight(0.1),
            reward: ChainReward::default(),
            tiers: 5,
            kappa: 20.0,
            samples: 4,
            temperature: 1.0,
            updates: 2,
            epochs: 15,
            batch_users: 32,
            micro_batch: None,
            learning_rate: 3e-4,
            weight_decay: 0.0,
            warmup: 0.05,
            clip_norm: Some(1.0),
            validation_share: 0.15,
            patience: 4,
            explosion: 10.0,
            precision: Precision::Full,
            checkpoints: None,
        }
    }
}

impl OsipoConfig {
    /// Checks every option.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) or [`Error::Osipo`](crate::Error::Osipo) names the first that
    /// does not hold.
    pub fn validate(&self) -> Result<()> {
        self.loss.validate()?;
        // The trainer standardises rewards within segments, of which the evidence is not made.
        let supported = !matches!(self.loss.objective, Objective::Evidence { .. });
        check(supported, "objective", "preference, pointwise or policy", "evidence")?;
        if let ChainReward::Outcome(reward) = &self.reward {
            reward.validate()?;
        }
        check(self.tiers >= 2, "tiers", "at least 2 (zero and positive)", self.tiers)?;
        if matches!(self.loss.objective, Objective::Policy(_)) {
            check(self.samples >= 2, "samples", "at least 2 (a group for each user)", self.samples)?;
            let own = self.temperature == 1.0;
            check(own, "temperature", "1 (ratios are to the policy that sampled)", self.temperature)?;
        }
        if let Some(users) = self.micro_batch {
            check(users > 0, "micro_batch", "a positive number", users)?;
        }
        let explosion = self.explosion;
        check(finite_above(explosion, 1.0), "explosion", "a finite number above 1", explosion)?;
        check(self.updates > 0, "updates", "a positive number", self.updates)?;
        check(self.epochs > 0, "epochs", "a positive number", self.epochs)?;
        check(self.batch_users > 0, "batch_users", "a positive number", self.batch_users)?;
        check(self.patience > 0, "patience", "a positive number", self.patience)?;
        for (field, number) in [("kappa", self.kappa), ("weight_decay", self.weight_decay)] {
            at_least_zero(field, number)?;
        }
        let numbers = [
            ("temperature", Some(self.temperature)),
            ("learning_rate", Some(self.learning_rate)),
            ("clip_norm", self.clip_norm),
        ];
        for (field, number) in numbers.into_iter().filter_map(|(field, number)| Some((field, number?))) {
            positive(field, number)?;
        }
        unit_interval("warmup", self.warmup)?;
        let share = self.validation_share;
        Ok(check((0.0..1.0).contains(&share), "validation_share", "a number from 0 to under 1", share)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_valid_and_survives_json() {
        let config = OsipoConfig::default();
        config.validate().unwrap();
        let json = serde_json::to_string(&config).unwrap();
        assert_eq!(serde_json::from_str::<OsipoConfig>(&json).unwrap(), config);
    }

    #[test]
    fn options_out_of_range_are_named() {
        let broken = |edit: fn(&mut OsipoConfig)| {
            let mut config = OsipoConfig::default();
            edit(&mut config);
            config.validate().unwrap_err().to_string()
        };
        assert!(broken(|c| c.tiers = 1).contains("tiers"));
        assert!(broken(|c| c.kappa = -1.0).contains("kappa"));
        assert!(broken(|c| c.clip_norm = Some(0.0)).contains("clip_norm"));
        assert!(broken(|c| c.validation_share = 1.0).contains("validation_share"));
        assert!(broken(|c| c.loss.beta = 0.0).contains("beta"));
        assert!(broken(|c| c.updates = 0).contains("updates"));
        assert!(broken(|c| c.explosion = 1.0).contains("explosion"));
        assert!(broken(|c| c.micro_batch = Some(0)).contains("micro_batch"));
        let on_policy = |c: &mut OsipoConfig| {
            (c.loss.objective, c.samples) = (Objective::Policy(Default::default()), 1);
        };
        assert!(broken(on_policy).contains("samples"));
        let evidence = |c: &mut OsipoConfig| c.loss.objective = Objective::Evidence { eta: 1.0 };
        assert!(broken(evidence).contains("objective"));
    }
}

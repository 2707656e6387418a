//! What is chosen before training: the network's sizes and how it is trained.

use scaletot_core::config::{ConfigError, at_least_zero, check, positive, unit_interval};
use serde::{Deserialize, Serialize};

use crate::choices::{RepresentationLoss, WeightSchedule, ZilnReduction};
use crate::error::Result;
use crate::head::OutcomeHead;

/// Sizes of the encoder network.
///
/// The defaults suit some hundred to some ten thousand training users; they are the same whether or not there are
/// signals to distil, so that a network on the profile alone is a fair baseline.
///
/// ```
/// let mut config = scaletot_encoder::EncoderConfig::default();
/// config.hidden = vec![128, 64];
/// assert!(config.validate().is_ok());
/// config.embed_dim = 0;
/// assert!(config.validate().unwrap_err().to_string().contains("embed_dim"));
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct EncoderConfig {
    /// Width of every field's embedding.
    pub embed_dim: usize,
    /// Cross layers before the trunk, `x ← x₀ ⊙ (W x + b) + x` (DCN-V2, Wang et al., WWW 2021). Each multiplies every
    /// pair of embedded fields once more; 0 for none.
    pub cross_layers: usize,
    /// Widths of the trunk's relu layers; empty makes every head linear in the embeddings.
    pub hidden: Vec<usize>,
    /// Width of the representation that is served, from which the student's is projected.
    pub rep_dim: usize,
    /// Quantile bins of the piecewise-linear encoding of a numeric field.
    pub bins: usize,
    /// What is learned about the outcome.
    pub outcome_head: OutcomeHead,
    /// Least σ of the log-normal part of [`OutcomeHead::Ziln`].
    pub sigma_floor: f64,
    /// A predicted mean ([`OutcomeHead::Ziln`]: of the positive part) is at most this many times the largest training
    /// outcome. [`OutcomeHead::Tiers`] needs no cap.
    pub cap_factor: f64,
    /// Profiles with fewer populated fields are abstained on. At least 1 keeps blank profiles out.
    pub min_populated: usize,
}

impl Default for EncoderConfig {
    fn default() -> Self {
        Self {
            embed_dim: 8,
            cross_layers: 0,
            hidden: vec![64, 32],
            rep_dim: 16,
            bins: 16,
            outcome_head: OutcomeHead::Ziln,
            sigma_floor: 0.05,
            cap_factor: 2.0,
            min_populated: 1,
        }
    }
}

impl EncoderConfig {
    /// Checks every field.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) naming the first field that is out of range.
    pub fn validate(&self) -> Result<()> {
        size("embed_dim", self.embed_dim)?;
        size("rep_dim", self.rep_dim)?;
        size("bins", self.bins)?;
        self.hidden.iter().try_for_each(|&width| size("hidden", width))?;
        check(self.cross_layers <= 16, "cross_layers", "at most 16", self.cross_layers)?;
        check(self.hidden.len() <= 16, "hidden", "at most 16 layers", self.hidden.len())?;
        self.outcome_head.validate()?;
        positive("sigma_floor", self.sigma_floor)?;
        Ok(positive("cap_factor", self.cap_factor)?)
    }
}

/// Epochs that every table gets if so many are asked for.
#[cfg(any(test, feature = "train"))]
const MIN_EPOCHS: usize = 8;

/// How an encoder is trained.
///
/// ```
/// let mut config = scaletot_encoder::DistillConfig::default();
/// config.field_dropout = 1.5;
/// assert!(config.validate().unwrap_err().to_string().contains("field_dropout"));
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct DistillConfig {
    /// Weight of the representation loss.
    pub lambda_rep: WeightSchedule,
    /// Weight of the states' summed `KL(student ‖ encoder)`.
    pub lambda_state: WeightSchedule,
    /// Weight of the outcome loss.
    pub lambda_out: WeightSchedule,
    /// How representations are compared.
    pub representation: RepresentationLoss,
    /// Temperature τ of the states' divergence (Hinton, Vinyals and Dean, *Distilling the Knowledge in a Neural Network*,
    /// 2015): student and encoder are compared after a softmax of their logits over τ, and the divergence is multiplied
    /// by τ² so that its gradient keeps its size. Above 1 the small probabilities count more, below 1 the largest. With
    /// another τ than 1 the encoder's own probabilities, at 1, are the student's only as far as it learns them exactly.
    pub state_temperature: f64,
    /// Over which rows the zero-inflated log-normal loss is averaged.
    pub ziln_reduction: ZilnReduction,
    /// Passes over the training rows, each with its field-dropout copies.
    pub epochs: usize,
    /// Rows per step, copies counted.
    pub batch_size: usize,
    /// Largest learning rate of `AdamW`, reached after the warm-up.
    pub learning_rate: f64,
    /// Decoupled weight decay. It shrinks towards the best constant prediction, not towards zero outcome: the heads
    /// learn differences from the training set's base rates.
    pub weight_decay: f64,
    /// Share of all steps in which the learning rate rises linearly; a half cosine to zero follows.
    pub warmup: f64,
    /// Largest norm of the gradient over all parameters together.
    pub clip_norm: f64,
    /// Field-dropout copies of every row in every epoch.
    pub copies: usize,
    /// Probability that a populated field of a copy is made missing. At least `min_populated` fields stay.
    pub field_dropout: f64,
    /// Share of an epoch's rows, in `[0, 1]`, that are drawn (with replacement, from the second epoch on) with a
    /// probability proportional to the user's own weighted loss after the epoch before, without dropout. The others
    /// are as many of the epoch's usual rows. 0 for none, which costs nothing. This project's own formulation.
    pub hard_users: f64,
    /// Dropout of the trunk's hidden units.
    pub dropout: f64,
    /// Share of the rows held out for early stopping; 0 trains for all epochs and keeps the last weights.
    pub validation_share: f64,
    /// Epochs without a better held-out loss until training stops. The best weights are kept in any case.
    pub patience: usize,
    /// Rows that all epochs together go through at most, copies not counted: larger tables get fewer epochs than [`epochs`](Self::epochs), but 8
    /// at least. So a training takes about as long on any table of up to an eighth of this number of rows, and beyond that as long as
    /// eight epochs take.
    pub max_row_visits: usize,
}

impl Default for DistillConfig {
    fn default() -> Self {
        Self {
            lambda_rep: WeightSchedule::Constant(1.0),
            lambda_state: WeightSchedule::Constant(1.0),
            lambda_out: WeightSchedule::Constant(1.0),
            representation: RepresentationLoss::Cosine,
            state_temperature: 1.0,
            ziln_reduction: ZilnReduction::AllRows,
            epochs: 80,
            batch_size: 64,
            learning_rate: 2e-3,
            weight_decay: 0.1,
            warmup: 0.1,
            clip_norm: 1.0,
            copies: 1,
            field_dropout: 0.3,
            hard_users: 0.0,
            dropout: 0.2,
            validation_share: 0.15,
            patience: 15,
            max_row_visits: 320_000,
        }
    }
}

impl DistillConfig {
    /// Epochs on so many rows: see [`max_row_visits`](Self::max_row_visits).
    #[cfg(any(test, feature = "train"))]
    pub(crate) fn epochs_of(&self, rows: usize) -> usize {
        (self.max_row_visits / rows.max(1)).clamp(MIN_EPOCHS.min(self.epochs), self.epochs)
    }

    /// Checks every field.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) naming the first field that is out of range.
    pub fn validate(&self) -> Result<()> {
        self.lambda_rep.validate("lambda_rep")?;
        self.lambda_state.validate("lambda_state")?;
        self.lambda_out.validate("lambda_out")?;
        let weights = [&self.lambda_rep, &self.lambda_state, &self.lambda_out];
        // Held-out losses are weighed as in the last step: with nothing left no epoch would be better than the first.
        if weights.iter().any(|weight| weight.at(0.0) > 0.0)
            && weights.iter().all(|weight| weight.at(1.0) == 0.0)
        {
            let expected = "a weight above 0 at the end of training for one of the losses";
            return Err(ConfigError::new("lambda_out", expected, "0 for all of them").into());
        }
        self.representation.validate()?;
        let (tau, decay) = (self.state_temperature, self.weight_decay);
        check((1e-3..=1e3).contains(&tau), "state_temperature", "from 0.001 to 1000", tau)?;
        at_least_zero("weight_decay", decay)?;
        size("epochs", self.epochs)?;
        size("batch_size", self.batch_size)?;
        size("patience", self.patience)?;
        check(self.max_row_visits > 0, "max_row_visits", "at least 1", self.max_row_visits)?;
        positive("learning_rate", self.learning_rate)?;
        positive("clip_norm", self.clip_norm)?;
        check((0.0..1.0).contains(&self.warmup), "warmup", "in [0, 1)", self.warmup)?;
        check(self.copies <= 64, "copies", "at most 64", self.copies)?;
        unit_interval("field_dropout", self.field_dropout)?;
        unit_interval("hard_users", self.hard_users)?;
        check((0.0..1.0).contains(&self.dropout), "dropout", "in [0, 1)", self.dropout)?;
        let share = self.validation_share;
        Ok(check((0.0..=0.5).contains(&share), "validation_share", "in [0, 0.5]", share)?)
    }
}

/// A size that a network or a loop can have: not nothing, and far from any overflow.
fn size(field: &'static str, value: usize) -> Result<()> {
    Ok(check((1..=1 << 20).contains(&value), field, "from 1 to 1048576", value)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_valid_and_survive_json() {
        EncoderConfig::default().validate().unwrap();
        DistillConfig::default().validate().unwrap();
        let json = serde_json::to_string(&EncoderConfig::default()).unwrap();
        assert_eq!(serde_json::from_str::<EncoderConfig>(&json).unwrap(), EncoderConfig::default());
        assert_eq!(serde_json::from_str::<DistillConfig>("{}").unwrap(), DistillConfig::default());
        let config = DistillConfig {
            lambda_rep: WeightSchedule::Linear { from: 0.0, to: 1.0, until: 0.5 },
            representation: RepresentationLoss::Contrastive { temperature: 0.1 },
            ..DistillConfig::default()
        };
        let json = serde_json::to_string(&config).unwrap();
        assert!(json.contains("\"lambda_state\":1.0"), "a constant is a plain number: {json}");
        assert_eq!(serde_json::from_str::<DistillConfig>(&json).unwrap(), config);
    }

    #[test]
    fn large_tables_get_fewer_epochs() {
        let config = DistillConfig::default();
        let epochs = [1, 560, 4_000, 4_001, 20_000, 40_000, 1_000_000].map(|rows| config.epochs_of(rows));
        assert_eq!(epochs, [80, 80, 80, 79, 16, 8, 8]);
        let few = DistillConfig { epochs: 3, ..config };
        assert_eq!([few.epochs_of(10), few.epochs_of(1_000_000)], [3, 3]);
    }

    #[test]
    fn unknown_keys_are_refused() {
        for json in [
            r#"{"epoch": 5}"#,
            r#"{"seed": 1}"#,
            r#"{"lambda_rep": {"from": 0, "to": 1, "until": 1, "at": 2}}"#,
        ] {
            assert!(serde_json::from_str::<DistillConfig>(json).is_err(), "{json}");
        }
        for json in [r#"{"embedding_dim": 5}"#, r#"{"outcome_head": {"tiers": {"tiers": 4, "of": 2}}}"#] {
            assert!(serde_json::from_str::<EncoderConfig>(json).is_err(), "{json}");
        }
    }

    #[test]
    fn every_bad_field_is_named() {
        let fine = DistillConfig::default;
        let linear = |from, to, until| WeightSchedule::Linear { from, to, until };
        let contrastive = |temperature| RepresentationLoss::Contrastive { temperature };
        let cases = [
            ("lambda_out", DistillConfig { lambda_out: f64::NAN.into(), ..fine() }),
            ("lambda_rep", DistillConfig { lambda_rep: linear(0.0, -1.0, 0.5), ..fine() }),
            (
                "0 for all of them",
                DistillConfig {
                    lambda_rep: linear(1.0, 0.0, 0.5),
                    lambda_state: 0.0.into(),
                    lambda_out: 0.0.into(),
                    ..fine()
                },
            ),
            ("lambda_state", DistillConfig { lambda_state: linear(0.0, 1.0, 0.0), ..fine() }),
            ("lambda_state", DistillConfig { lambda_state: linear(0.0, 1.0, f64::NAN), ..fine() }),
            ("temperature", DistillConfig { representation: contrastive(0.0), ..fine() }),
            ("state_temperature", DistillConfig { state_temperature: f64::NAN, ..fine() }),
            ("hard_users", DistillConfig { hard_users: 1.1, ..fine() }),
            ("weight_decay", DistillConfig { weight_decay: -1.0, ..fine() }),
            ("epochs", DistillConfig { epochs: 0, ..fine() }),
            ("learning_rate", DistillConfig { learning_rate: f64::INFINITY, ..fine() }),
            ("warmup", DistillConfig { warmup: 1.0, ..fine() }),
            ("dropout", DistillConfig { dropout: 1.0, ..fine() }),
            ("copies", DistillConfig { copies: 1000, ..fine() }),
            ("max_row_visits", DistillConfig { max_row_visits: 0, ..fine() }),
            ("validation_share", DistillConfig { validation_share: 0.9, ..fine() }),
        ];
        for (name, config) in cases {
            assert!(config.validate().unwrap_err().to_string().contains(name), "{name}");
        }
        let config = EncoderConfig { hidden: vec![8, 0], ..EncoderConfig::default() };
        assert!(config.validate().unwrap_err().to_string().contains("hidden"));
        for (head, name) in [
            (OutcomeHead::Tweedie { power: 2.0 }, "outcome_head.power"),
            (OutcomeHead::Tweedie { power: f64::NAN }, "outcome_head.power"),
            (OutcomeHead::Tiers { tiers: 0 }, "outcome_head.tiers"),
        ] {
            let config = EncoderConfig { outcome_head: head, ..EncoderConfig::default() };
            assert!(config.validate().unwrap_err().to_string().contains(name), "{name}");
        }
    }
}

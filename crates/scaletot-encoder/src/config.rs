//! What is chosen before training: the network's sizes and the training's course.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

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
#[serde(default)]
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
    /// Least σ of the log-normal part.
    pub sigma_floor: f64,
    /// A predicted mean of the positive part is at most this many times the largest training outcome.
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
            sigma_floor: 0.05,
            cap_factor: 2.0,
            min_populated: 1,
        }
    }
}

impl EncoderConfig {
    /// Checks every setting.
    ///
    /// # Errors
    /// [`Error::Config`] naming the first setting that is out of range.
    pub fn validate(&self) -> Result<()> {
        size("embed_dim", self.embed_dim)?;
        size("rep_dim", self.rep_dim)?;
        size("bins", self.bins)?;
        self.hidden.iter().try_for_each(|&width| size("hidden", width))?;
        check("cross_layers", self.cross_layers, self.cross_layers <= 16, "at most 16")?;
        check("hidden", self.hidden.len(), self.hidden.len() <= 16, "at most 16 layers")?;
        positive("sigma_floor", self.sigma_floor)?;
        positive("cap_factor", self.cap_factor)
    }
}

/// The course of a distillation.
///
/// ```
/// let mut config = scaletot_encoder::DistillConfig::default();
/// config.field_dropout = 1.5;
/// assert!(config.validate().unwrap_err().to_string().contains("field_dropout"));
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct DistillConfig {
    /// Weight of the representation loss, `1 − cos`.
    pub lambda_rep: f64,
    /// Weight of the states' summed `KL(student ‖ encoder)`.
    pub lambda_state: f64,
    /// Weight of the zero-inflated log-normal loss.
    pub lambda_out: f64,
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
    /// Dropout of the trunk's hidden units.
    pub dropout: f64,
    /// Share of the rows held out for early stopping; 0 trains for all epochs and keeps the last weights.
    pub validation_share: f64,
    /// Epochs without a better held-out loss until training stops. The best weights are kept in any case.
    pub patience: usize,
    /// Everything random is drawn from this: initial weights, split, order, dropout.
    pub seed: u64,
}

impl Default for DistillConfig {
    fn default() -> Self {
        Self {
            lambda_rep: 1.0,
            lambda_state: 1.0,
            lambda_out: 1.0,
            epochs: 80,
            batch_size: 64,
            learning_rate: 2e-3,
            weight_decay: 0.1,
            warmup: 0.1,
            clip_norm: 1.0,
            copies: 1,
            field_dropout: 0.3,
            dropout: 0.2,
            validation_share: 0.15,
            patience: 15,
            seed: 0,
        }
    }
}

impl DistillConfig {
    /// Checks every setting.
    ///
    /// # Errors
    /// [`Error::Config`] naming the first setting that is out of range.
    pub fn validate(&self) -> Result<()> {
        for (name, value) in [
            ("lambda_rep", self.lambda_rep),
            ("lambda_state", self.lambda_state),
            ("lambda_out", self.lambda_out),
            ("weight_decay", self.weight_decay),
        ] {
            check(name, value, value.is_finite() && value >= 0.0, "a finite number of at least 0")?;
        }
        size("epochs", self.epochs)?;
        size("batch_size", self.batch_size)?;
        size("patience", self.patience)?;
        positive("learning_rate", self.learning_rate)?;
        positive("clip_norm", self.clip_norm)?;
        check("warmup", self.warmup, (0.0..1.0).contains(&self.warmup), "in [0, 1)")?;
        check("copies", self.copies, self.copies <= 64, "at most 64")?;
        check("field_dropout", self.field_dropout, (0.0..=1.0).contains(&self.field_dropout), "in [0, 1]")?;
        check("dropout", self.dropout, (0.0..1.0).contains(&self.dropout), "in [0, 1)")?;
        let share = self.validation_share;
        check("validation_share", share, (0.0..=0.5).contains(&share), "in [0, 0.5]")
    }
}

fn check(setting: &'static str, found: impl ToString, holds: bool, expected: &str) -> Result<()> {
    if holds {
        return Ok(());
    }
    Err(Error::Config { setting, expected: expected.into(), found: found.to_string() })
}

/// A size that a network or a loop can have: not nothing, and far from any overflow.
fn size(setting: &'static str, value: usize) -> Result<()> {
    check(setting, value, (1..=1 << 20).contains(&value), "from 1 to 1048576")
}

fn positive(setting: &'static str, value: f64) -> Result<()> {
    check(setting, value, value.is_finite() && value > 0.0, "a finite number above 0")
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
    }

    #[test]
    fn every_bad_setting_is_named() {
        let fine = DistillConfig::default;
        let cases = [
            ("lambda_out", DistillConfig { lambda_out: f64::NAN, ..fine() }),
            ("weight_decay", DistillConfig { weight_decay: -1.0, ..fine() }),
            ("epochs", DistillConfig { epochs: 0, ..fine() }),
            ("learning_rate", DistillConfig { learning_rate: f64::INFINITY, ..fine() }),
            ("warmup", DistillConfig { warmup: 1.0, ..fine() }),
            ("dropout", DistillConfig { dropout: 1.0, ..fine() }),
            ("copies", DistillConfig { copies: 1000, ..fine() }),
            ("validation_share", DistillConfig { validation_share: 0.9, ..fine() }),
        ];
        for (name, config) in cases {
            assert!(config.validate().unwrap_err().to_string().contains(name), "{name}");
        }
        let config = EncoderConfig { hidden: vec![8, 0], ..EncoderConfig::default() };
        assert!(config.validate().unwrap_err().to_string().contains("hidden"));
    }
}

//! Options of SFT.

use scaletot_core::config::{at_least_zero, check, positive, unit_interval};
use serde::{Deserialize, Serialize};

use crate::config::finite_above;
use crate::error::Result;
use crate::precision::Precision;
use crate::train::checkpoint::Checkpoints;

/// Options of [`Sft`](crate::Sft), unchecked until [`Sft::new`](crate::Sft::new) or [`validate`](Self::validate) is.
///
/// ```
/// let mut config = scaletot_student::SftConfig::default();
/// config.epochs = 10;
/// config.validate()?;
/// config.label_mix = 2.0;
/// assert!(config.validate().unwrap_err().to_string().contains("label_mix"));
/// # Ok::<(), scaletot_student::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct SftConfig {
    /// Passes over the training users, at most. Default 30.
    pub epochs: usize,
    /// Users per step. Default 32.
    pub batch_size: usize,
    /// Users computed at once: a step's gradient is gathered over parts of this many, so that memory bounds these and not
    /// `batch_size`. On a CPU the parts are computed at the same time, one by each thread. Default `None`: 16 on a CPU, all at once
    /// elsewhere.
    pub micro_batch: Option<usize>,
    /// Largest learning rate. Default 2e-3.
    pub learning_rate: f64,
    /// Decoupled weight decay. Default 0.01, PyTorch's.
    pub weight_decay: f64,
    /// Share of the steps over which the learning rate climbs; then it falls along a cosine to 0. Default
    /// 0.05.
    pub warmup: f64,
    /// Bound of the global gradient norm; `None` for no clipping. Default 1.
    pub clip_norm: Option<f64>,
    /// Share of the soft label in the target of a value token; the rest is the best chain's value. Default
    /// 0.7.
    pub label_mix: f64,
    /// What the soft label is. Default [`SoftLabel::Posterior`].
    pub soft_label: SoftLabel,
    /// How far the curation score moves a user's weight: weights lie in `[1 − s, 1 + s]`. Default 0.5.
    pub score_weight: f64,
    /// Chance that a populated field is dropped from a profile, anew in every epoch. Default 0.1.
    pub field_dropout: f64,
    /// Chance that an element is dropped after the embedding and after each block. Default 0.1.
    pub dropout: f64,
    /// Share of the users held out for early stopping; with 0, or too few users, all epochs are run. Default
    /// 0.1.
    pub validation_share: f64,
    /// Epochs without a lower held-out loss after which training stops. Default 6.
    pub patience: usize,
    /// A loss of more than this many times the first step's, or than this many nats if that is more, ends training with
    /// [`Error::Diverged`](crate::Error::Diverged). Default 10.
    pub explosion: f64,
    /// What forward and backward passes are computed in. Default 32-bit floats.
    pub precision: Precision,
    /// Where the run keeps its checkpoint, so that it can be resumed; it is no part of the saved settings. Default `None`: nowhere.
    #[serde(skip)]
    pub checkpoints: Option<Checkpoints>,
}

/// Where the soft label of a state's value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SoftLabel {
    /// The search's posterior over all chains it scored. After a greedy search, which scores one chain, that
    /// is a hard label.
    #[default]
    Posterior,
    /// The teacher's calibrated distribution at each step of the best chain, given the values before it.
    Steps,
}

impl Default for SftConfig {
    fn default() -> Self {
        Self {
            epochs: 30,
            batch_size: 32,
            micro_batch: None,
            learning_rate: 2e-3,
            weight_decay: 0.01,
            warmup: 0.05,
            clip_norm: Some(1.0),
            label_mix: 0.7,
            soft_label: SoftLabel::Posterior,
            score_weight: 0.5,
            field_dropout: 0.1,
            dropout: 0.1,
            validation_share: 0.1,
            patience: 6,
            explosion: 10.0,
            precision: Precision::Full,
            checkpoints: None,
        }
    }
}

impl SftConfig {
    /// Checks every option.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) names the first that does not hold.
    pub fn validate(&self) -> Result<()> {
        check(self.epochs > 0, "epochs", "a positive number", self.epochs)?;
        check(self.batch_size > 0, "batch_size", "a positive number", self.batch_size)?;
        if let Some(users) = self.micro_batch {
            check(users > 0, "micro_batch", "a positive number", users)?;
        }
        check(self.patience > 0, "patience", "a positive number", self.patience)?;
        positive("learning_rate", self.learning_rate)?;
        let decay = self.weight_decay;
        at_least_zero("weight_decay", decay)?;
        let explosion = self.explosion;
        check(finite_above(explosion, 1.0), "explosion", "a finite number above 1", explosion)?;
        if let Some(norm) = self.clip_norm {
            positive("clip_norm", norm)?;
        }
        let shares =
            [("warmup", self.warmup), ("label_mix", self.label_mix), ("field_dropout", self.field_dropout)];
        for (field, share) in shares {
            unit_interval(field, share)?;
        }
        let shares = [
            ("score_weight", self.score_weight),
            ("dropout", self.dropout),
            ("validation_share", self.validation_share),
        ];
        for (field, share) in shares {
            check((0.0..1.0).contains(&share), field, "a number from 0 to under 1", share)?;
        }
        Ok(())
    }
}

//! What happened in training.

use serde::{Deserialize, Serialize};

/// Losses of one epoch, each before its weight; `None` where no row had that target.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Losses {
    /// Of projected against student representation, as chosen.
    pub representation: Option<f64>,
    /// `Σ_k KL(student_k ‖ encoder_k)`, in nats; with another temperature τ than 1 at that, times τ².
    pub states: Option<f64>,
    /// Of the outcome head: zero-inflated log-normal negative log-likelihood in nats, Tweedie loss in units of the mean
    /// outcome, or cross-entropy of the classes in nats.
    pub outcome: Option<f64>,
    /// The weighted sum that is minimised; in training with the weights of each step, held out with those of the last.
    pub total: f64,
}

/// One pass over the training rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct EpochLog {
    /// Number of the epoch, from 1.
    pub epoch: usize,
    /// Mean training losses over the epoch's steps, with dropout.
    pub train: Losses,
    /// Losses on the held-out rows after the epoch, without dropout; `None` when nothing is held out.
    pub validation: Option<Losses>,
    /// Learning rate of the last step.
    pub learning_rate: f64,
    /// Mean gradient norm before clipping.
    pub gradient_norm: f64,
}

/// Why training ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Stop {
    /// All epochs were run.
    Epochs,
    /// The held-out loss had not improved for `patience` epochs.
    Patience,
}

/// What happened in a distillation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct DistillLog {
    /// Every epoch that was run, the first of them first.
    pub epochs: Vec<EpochLog>,
    /// The epoch whose weights were kept, from 1.
    pub best_epoch: usize,
    /// Why it ended.
    pub stop: Stop,
    /// Rows trained on.
    pub train_rows: usize,
    /// Rows held out.
    pub validation_rows: usize,
    /// Rows with an outcome, held out or not.
    pub labelled_rows: usize,
    /// Rows with signals, held out or not.
    pub reasoned_rows: usize,
}

impl DistillLog {
    /// The log of the epoch whose weights were kept.
    #[must_use]
    pub fn best(&self) -> Option<&EpochLog> {
        self.epochs.get(self.best_epoch.checked_sub(1)?)
    }
}

/// Running means of losses, each over the rows it is for.
#[derive(Debug, Default)]
pub(super) struct MeanLosses {
    sums: [(f64, f64); 4],
}

impl MeanLosses {
    pub(super) fn add(&mut self, losses: &Losses, rows: f64, labelled: f64, reasoned: f64) {
        let parts = [
            (losses.representation, reasoned),
            (losses.states, reasoned),
            (losses.outcome, labelled),
            (Some(losses.total), rows),
        ];
        for ((sum, weight), (loss, rows)) in self.sums.iter_mut().zip(parts) {
            if let Some(loss) = loss {
                *sum += loss * rows;
                *weight += rows;
            }
        }
    }

    pub(super) fn mean(&self) -> Losses {
        let [representation, states, outcome, total] =
            self.sums.map(|(sum, weight)| (weight > 0.0).then(|| sum / weight));
        Losses { representation, states, outcome, total: total.unwrap_or(0.0) }
    }
}

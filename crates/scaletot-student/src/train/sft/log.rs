//! What SFT reports.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::train::csv::csv;
use crate::train::step::StepStats;
use crate::train::stop::Stop;

/// What happened in an SFT run. Holds no times, so that equal runs have equal logs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct SftLog {
    /// Users that were trained on.
    pub users: usize,
    /// Users that were held out.
    pub validation_users: usize,
    /// Records that are not accepted.
    pub skipped: usize,
    /// One entry per epoch.
    pub epochs: Vec<SftEpoch>,
    /// The epoch whose weights were kept, from 1: the one with the lowest held-out value loss, or the last if
    /// no user was held out.
    pub best_epoch: usize,
    /// Why training ended.
    pub stop: Stop,
}

impl SftLog {
    /// The entry of the epoch whose weights were kept.
    #[must_use]
    pub fn best(&self) -> Option<&SftEpoch> {
        self.best_epoch.checked_sub(1).and_then(|index| self.epochs.get(index))
    }

    /// The epochs as comma-separated values with a header, one line each, ready to plot; a figure that there is not is empty.
    ///
    /// ```
    /// # use scaletot_student::SftLog;
    /// # let log: SftLog = serde_json::from_str(
    /// #     r#"{"users":1,"validation_users":0,"skipped":0,"best_epoch":1,"stop":"epochs","epochs":[{"epoch":1,
    /// #     "learning_rate":0.5,"loss":2.0,"value_loss":3.0,"validation_loss":null,"validation_value_loss":null,
    /// #     "gradient_norm":1.5,"clipped":0.0}]}"#,
    /// # )?;
    /// let csv = log.to_csv();
    /// assert!(csv.starts_with("epoch,learning_rate,loss,value_loss,"));
    /// assert_eq!(csv.lines().nth(1), Some("1,0.5,2,3,,,1.5,0"));
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    #[must_use]
    pub fn to_csv(&self) -> String {
        let names = [
            "epoch",
            "learning_rate",
            "loss",
            "value_loss",
            "validation_loss",
            "validation_value_loss",
            "gradient_norm",
            "clipped",
        ];
        let row = |e: &SftEpoch| {
            let values = [
                Some(e.epoch as f64),
                Some(e.learning_rate),
                Some(e.loss),
                Some(e.value_loss),
                e.validation_loss,
                e.validation_value_loss,
                Some(e.gradient_norm),
                Some(e.clipped),
            ];
            values.to_vec()
        };
        csv(&names, self.epochs.iter().map(row))
    }
}

/// One epoch of SFT. Losses are means in nats per token, users weighted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct SftEpoch {
    /// The epoch, from 1.
    pub epoch: usize,
    /// Learning rate of its last step.
    pub learning_rate: f64,
    /// Training loss over all chain tokens, with dropout, while the weights were moving.
    pub loss: f64,
    /// The same over the value tokens alone.
    pub value_loss: f64,
    /// Held-out loss after the epoch, without dropout; `None` if no user was held out.
    pub validation_loss: Option<f64>,
    /// The same over the value tokens alone; early stopping looks at this.
    pub validation_value_loss: Option<f64>,
    /// Mean global gradient norm before clipping.
    pub gradient_norm: f64,
    /// Share of the steps whose gradient was clipped.
    pub clipped: f64,
}

impl fmt::Display for SftEpoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "epoch {}: value loss {:.4}", self.epoch, self.value_loss)?;
        match self.validation_value_loss {
            Some(loss) => write!(f, ", held out {loss:.4}"),
            None => Ok(()),
        }
    }
}

/// Sums over the steps of an epoch.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Means {
    loss: f64,
    values: f64,
    weight: f64,
    norm: f64,
    clipped: usize,
    steps: usize,
    rate: f64,
}

impl Means {
    /// Adds mean loss and mean value loss of users with that weight together.
    pub(super) fn add(&mut self, [loss, values, weight]: &[f64; 3]) {
        self.loss += loss * weight;
        self.values += values * weight;
        self.weight += weight;
    }

    /// Mean loss and mean value loss.
    pub(super) fn losses(&self) -> (f64, f64) {
        (self.loss / self.weight, self.values / self.weight)
    }

    pub(super) fn stepped(&mut self, stats: &StepStats) {
        self.norm += stats.gradient_norm;
        self.clipped += usize::from(stats.clipped);
        self.steps += 1;
        self.rate = stats.rate;
    }

    pub(super) fn epoch(&self, epoch: usize, held_out: Option<(f64, f64)>) -> SftEpoch {
        let steps = self.steps.max(1) as f64;
        let (loss, value_loss) = self.losses();
        SftEpoch {
            epoch,
            learning_rate: self.rate,
            loss,
            value_loss,
            validation_loss: held_out.map(|(loss, _)| loss),
            validation_value_loss: held_out.map(|(_, values)| values),
            gradient_norm: self.norm / steps,
            clipped: self.clipped as f64 / steps,
        }
    }
}

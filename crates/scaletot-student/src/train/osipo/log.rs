//! What OSIPO reports.

use std::fmt;

use scaletot_osipo::OsipoReport;
use serde::{Deserialize, Serialize};

use crate::train::csv::csv;
use crate::train::step::StepStats;
use crate::train::stop::Stop;

/// What happened in an OSIPO run. Holds no times, so that equal runs have equal logs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct OsipoLog {
    /// Users that were trained on.
    pub users: usize,
    /// Users that were held out.
    pub validation_users: usize,
    /// Records that are not accepted.
    pub skipped: usize,
    /// Users with an accepted record whose outcome is not known.
    pub unlabelled: usize,
    /// Users that were left out because all their chains have the same advantage (preferences need two).
    pub tied: usize,
    /// Users who were given sampled chains, theirs all having the same outcome-linked value.
    pub sampled: usize,
    /// Candidate chains of the users that were trained on.
    pub candidates: usize,
    /// Statistics of the training users before the first step: the policy is the reference.
    pub before: OsipoReport,
    /// The same under the weights that were kept.
    pub after: OsipoReport,
    /// Statistics of the held-out users before the first step; `None` without any.
    pub validation_before: Option<OsipoReport>,
    /// Mean advantage of chains sampled for held-out users before the first step, with the `Policy` objective; `None` otherwise.
    #[serde(default)]
    pub held_out_advantage: Option<f64>,
    /// The learned weights of the chain segments that were kept with the model, K values with the sum K; `None` if none are learned.
    #[serde(default)]
    pub segment_weights: Option<Vec<f64>>,
    /// One entry per epoch.
    pub epochs: Vec<OsipoEpoch>,
    /// The epoch whose weights were kept: the one with the lowest held-out objective, or the last if no user was
    /// held out. 0 means that no epoch was better than the weights the run began with, and the student is
    /// unchanged.
    pub best_epoch: usize,
    /// Why training ended.
    pub stop: Stop,
}

impl OsipoLog {
    /// Statistics of the held-out users under the weights that were kept.
    #[must_use]
    pub fn validation_after(&self) -> Option<&OsipoReport> {
        match self.best_epoch.checked_sub(1).and_then(|index| self.epochs.get(index)) {
            Some(epoch) => epoch.validation.as_ref(),
            None => self.validation_before.as_ref(),
        }
    }

    /// The epochs as comma-separated values with a header, one line each, ready to plot; a figure that there is not is empty. Epoch 0
    /// is the student before the first step.
    #[must_use]
    pub fn to_csv(&self) -> String {
        let names = [
            "epoch",
            "learning_rate",
            "loss",
            "gradient_norm",
            "clipped",
            "validation_objective",
            "validation_margin",
            "validation_accuracy",
            "validation_kl",
            "validation_log_ratio",
            "held_out_advantage",
        ];
        let row = |training: [Option<f64>; 5], held_out: Option<&OsipoReport>, advantage| {
            let of = |figure: fn(&OsipoReport) -> Option<f64>| held_out.and_then(figure);
            let held_out = [
                of(|report| Some(report.objective)),
                of(|report| report.margin),
                of(|report| report.accuracy),
                of(|report| Some(report.kl)),
                of(|report| Some(report.log_ratio)),
                advantage,
            ];
            [training.as_slice(), &held_out].concat()
        };
        let before = row(
            [Some(0.0), None, Some(self.before.loss), None, None],
            self.validation_before.as_ref(),
            self.held_out_advantage,
        );
        let epochs = self.epochs.iter().map(|e| {
            let training = [e.epoch as f64, e.learning_rate, e.loss, e.gradient_norm, e.clipped].map(Some);
            row(training, e.validation.as_ref(), e.held_out_advantage)
        });
        csv(&names, std::iter::once(before).chain(epochs))
    }
}

/// One epoch of OSIPO.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct OsipoEpoch {
    /// The epoch, from 1.
    pub epoch: usize,
    /// Learning rate of its last step.
    pub learning_rate: f64,
    /// Mean global gradient norm before clipping.
    pub gradient_norm: f64,
    /// Share of the steps whose gradient was clipped.
    pub clipped: f64,
    /// Mean loss of its steps.
    pub loss: f64,
    /// Statistics of the held-out users after the epoch, on the corpus' chains; early stopping looks at its objective.
    pub validation: Option<OsipoReport>,
    /// Mean advantage of chains sampled for held-out users after the epoch, with the `Policy` objective; early stopping looks at it
    /// then.
    #[serde(default)]
    pub held_out_advantage: Option<f64>,
}

impl fmt::Display for OsipoEpoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "epoch {}: loss {:.4}", self.epoch, self.loss)?;
        let Some(report) = &self.validation else { return Ok(()) };
        write!(f, "; held out: loss {:.4}", report.loss)?;
        match report.accuracy {
            Some(accuracy) => write!(f, ", accuracy {accuracy:.3}"),
            None => Ok(()),
        }
    }
}

/// Sums over the steps of an epoch.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Means {
    loss: f64,
    norm: f64,
    clipped: usize,
    steps: usize,
    rate: f64,
}

impl Means {
    pub(super) fn add(&mut self, loss: f64, stats: &StepStats) {
        self.loss += loss;
        self.norm += stats.gradient_norm;
        self.clipped += usize::from(stats.clipped);
        self.steps += 1;
        self.rate = stats.rate;
    }

    pub(super) fn epoch(
        &self,
        epoch: usize,
        validation: Option<OsipoReport>,
        held_out_advantage: Option<f64>,
    ) -> OsipoEpoch {
        let steps = self.steps.max(1) as f64;
        OsipoEpoch {
            epoch,
            learning_rate: self.rate,
            gradient_norm: self.norm / steps,
            clipped: self.clipped as f64 / steps,
            loss: self.loss / steps,
            validation,
            held_out_advantage,
        }
    }
}

//! What can be chosen about the losses of a distillation.

use scaletot_core::config::{at_least_zero, check};
use serde::{Deserialize, Serialize};

use crate::error::Result;

/// How the projected representation is held against the student's. Both are relative to the student's mean over the
/// users it reasoned about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum RepresentationLoss {
    /// `1 − cos`, the mean over the states: the direction alone, in which the strongest common factors count most.
    #[default]
    Cosine,
    /// Mean squared error against whitened targets, so that every direction in which users differ counts alike. Each
    /// state's representations are whitened by themselves (ZCA: Kessy, Lewin and Strimmer, *Optimal Whitening and
    /// Decorrelation*, The American Statistician 2018); eigenvalues under a thousandth of the largest are taken as that,
    /// so that noise is not blown up and a constant direction stays 0. Regression on whitened features is this project's
    /// own formulation. When training has ended, the inverse is folded into the projection: what is served is in the
    /// student's space, and here with the student's length.
    WhitenedMse,
    /// `InfoNCE` (van den Oord, Li and Vinyals, *Representation Learning with Contrastive Predictive Coding*, 2018): among the
    /// users of a batch who were reasoned about, the encoder's representation has to be nearest to its own user's,
    /// nearness being the mean cosine over the states. Copies of one user are one candidate. The loss is at most about
    /// the logarithm of the number of users in a batch for an encoder that knows nothing, so it depends on the batch size.
    Contrastive {
        /// What nearness is divided by, above 0; 0.1 is common. The smaller, the more the nearest wrong users count.
        temperature: f64,
    },
}

impl RepresentationLoss {
    pub(crate) fn validate(&self) -> Result<()> {
        match self {
            Self::Cosine | Self::WhitenedMse => Ok(()),
            Self::Contrastive { temperature } => {
                let holds = (1e-3..=1e3).contains(temperature);
                Ok(check(holds, "representation.temperature", "from 0.001 to 1000", temperature)?)
            }
        }
    }
}

/// Over which rows the parts of the zero-inflated log-normal loss are averaged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum ZilnReduction {
    /// Both parts over all labelled rows: the negative log-likelihood, as in `google/lifetime_value`. The fewer outcomes
    /// are positive, the less the log-normal part weighs.
    #[default]
    AllRows,
    /// Whether there is an outcome over all labelled rows, how large it is over the positive ones alone, as the loss of
    /// that name in Alibaba's `EasyRec`. No likelihood any more, but the log-normal part keeps its weight among many zeros.
    Positives,
}

/// A loss's weight over a training: one number, or a line from one to another.
///
/// As JSON a constant is a plain number.
///
/// ```
/// use scaletot_encoder::WeightSchedule;
///
/// let ramp = WeightSchedule::Linear { from: 0.0, to: 1.0, until: 0.5 };
/// assert_eq!([0.0, 0.25, 0.5, 0.9].map(|share| ramp.at(share)), [0.0, 0.5, 1.0, 1.0]);
/// assert_eq!(WeightSchedule::from(2.0).at(0.3), 2.0);
/// assert_eq!(serde_json::from_str::<WeightSchedule>("2.0")?, WeightSchedule::Constant(2.0));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
#[non_exhaustive]
pub enum WeightSchedule {
    /// The same weight in every step, at least 0.
    Constant(f64),
    /// Linear from the first step on, then constant.
    Linear {
        /// Weight of the first step, at least 0.
        from: f64,
        /// Weight from `until` on, at least 0.
        to: f64,
        /// Share of all steps after which `to` is reached, in `(0, 1]`.
        until: f64,
    },
}

impl WeightSchedule {
    /// The weight when a share of all steps, from 0 to 1, has been made.
    #[must_use]
    pub fn at(&self, share: f64) -> f64 {
        match *self {
            Self::Constant(weight) => weight,
            Self::Linear { from, to, until } => from + (to - from) * (share / until).clamp(0.0, 1.0),
        }
    }

    /// Whether the weight is above 0 at any time.
    #[cfg(feature = "train")]
    pub(crate) fn is_used(&self) -> bool {
        self.at(0.0).max(self.at(1.0)) > 0.0
    }

    pub(crate) fn validate(&self, field: &'static str) -> Result<()> {
        let (ends, until) = match *self {
            Self::Constant(weight) => ([weight; 2], 1.0),
            Self::Linear { from, to, until } => ([from, to], until),
        };
        for weight in ends {
            at_least_zero(field, weight)?;
        }
        Ok(check(until > 0.0 && until <= 1.0, field, "`until` above 0 and at most 1", until)?)
    }
}

impl From<f64> for WeightSchedule {
    fn from(weight: f64) -> Self {
        Self::Constant(weight)
    }
}

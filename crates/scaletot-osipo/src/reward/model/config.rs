//! The settings of the outcome model.

use scaletot_core::config::{check, positive};
use serde::{Deserialize, Serialize};

use crate::Result;

/// What of the outcome is modelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum OutcomeKind {
    /// Its tier, of at most `count` (from 2 to 1024, see [`Tiers::fit`](crate::reward::Tiers::fit)).
    Tiers {
        /// Number of tiers, that of the outcome 0 included.
        count: usize,
    },
    /// Whether it is positive, and, if it is, its logarithm, as a normal distribution.
    ZeroInflatedLogNormal,
}

/// Settings of [`OutcomeModel`](crate::reward::OutcomeModel).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct OutcomeModelConfig {
    /// Tiers, five by default, or amounts.
    pub kind: OutcomeKind,
    /// Ridge λ > 0 on the effects `b` (penalty `λ/2 Σ b²`, in log-likelihood): the larger, the less a chain says. At least 1e-6. Default 20.
    pub ridge: f64,
    /// How many pseudo-users of everybody's each segment's level is given, at least 1e-9. Default 5.
    pub segment_strength: f64,
}

impl Default for OutcomeModelConfig {
    fn default() -> Self {
        Self { kind: OutcomeKind::Tiers { count: 5 }, ridge: 20.0, segment_strength: 5.0 }
    }
}

impl OutcomeModelConfig {
    /// Sets what of the outcome is modelled.
    #[must_use]
    pub fn with_kind(mut self, kind: OutcomeKind) -> Self {
        self.kind = kind;
        self
    }

    /// Sets the ridge λ.
    #[must_use]
    pub fn with_ridge(mut self, ridge: f64) -> Self {
        self.ridge = ridge;
        self
    }

    /// Sets the pseudo-users of each segment.
    #[must_use]
    pub fn with_segment_strength(mut self, strength: f64) -> Self {
        self.segment_strength = strength;
        self
    }

    /// Checks every setting.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for one out of its range.
    pub fn validate(&self) -> Result<()> {
        positive("ridge", self.ridge)?;
        check(self.ridge >= 1e-6, "ridge", "at least 1e-6", self.ridge)?;
        positive("segment_strength", self.segment_strength)?;
        let strength = self.segment_strength;
        Ok(check(strength >= 1e-9, "segment_strength", "at least 1e-9", strength)?)
    }
}

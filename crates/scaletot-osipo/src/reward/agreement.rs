//! The simple reward: agreement of tier and state.

use scaletot_core::config::check;
use serde::{Deserialize, Serialize};

use super::Tiers;
use crate::{Error, Result};

/// `R = 1 − |tier(o) − tier(v_K)| / (T − 1) ∈ [0, 1]`, where the outcome-linked state's value `v_K`, one of `|V|`
/// ordered ones, is put on the scale of the tiers: `tier(v_K) = v_K (T − 1) / (|V| − 1)`, which need not be whole.
///
/// It needs no fitting beyond the tiers and trusts that the values of the state rise with the outcome.
///
/// ```
/// use scaletot_osipo::reward::{TierAgreement, Tiers};
///
/// let tiers = Tiers::fit(&[Some(0.0), Some(5.0), Some(10.0)], 3)?;
/// let reward = TierAgreement::new(tiers, 3)?;
/// assert_eq!(reward.reward(10.0, 2)?, 1.0); // highest tier, highest value
/// assert_eq!(reward.reward(10.0, 0)?, 0.0);
/// # Ok::<(), scaletot_osipo::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TierAgreement {
    tiers: Tiers,
    values: usize,
}

impl TierAgreement {
    /// Compares `tiers` with an ordinal state of `values` values.
    ///
    /// # Errors
    /// [`Error::Config`] for fewer than 2 values.
    pub fn new(tiers: Tiers, values: usize) -> Result<Self> {
        check(values >= 2, "values", "at least 2", values)?;
        Ok(Self { tiers, values })
    }

    /// Reward of a chain whose outcome-linked state is `value`, for the observed `outcome`.
    ///
    /// # Errors
    /// [`Error::InvalidValue`] for an outcome that is negative or not finite, [`Error::OutOfRange`] for a value
    /// that the state does not have (the row in both is 0).
    pub fn reward(&self, outcome: f64, value: usize) -> Result<f64> {
        super::tiers::check_outcomes([Some(outcome)])?;
        if value >= self.values {
            let what = "value of the outcome-linked state";
            return Err(Error::OutOfRange { what, row: 0, index: value, bound: self.values });
        }
        let tier = self.tiers.tier(outcome) as f64 / (self.tiers.count() - 1) as f64;
        let level = value as f64 / (self.values - 1) as f64;
        Ok(1.0 - (tier - level).abs())
    }

    /// The tiers.
    #[must_use]
    pub fn tiers(&self) -> &Tiers {
        &self.tiers
    }
}

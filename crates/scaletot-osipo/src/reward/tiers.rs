//! Outcome tiers: zero, then quantiles of the positive outcomes.

use scaletot_core::config::check;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// More tiers than anyone tells apart.
const MAX_TIERS: usize = 1_024;

/// Tiers of an outcome `o ≥ 0`: tier 0 is `o = 0`; the positive outcomes are cut at their quantiles into the
/// tiers `1 … T − 1`, as evenly filled as ties allow.
///
/// ```
/// use scaletot_osipo::reward::Tiers;
///
/// let outcomes = [Some(0.0), Some(0.0), Some(1.0), Some(2.0), Some(30.0), Some(400.0), None];
/// let tiers = Tiers::fit(&outcomes, 3)?;
/// assert_eq!(tiers.count(), 3);
/// assert_eq!([0.0, 1.5, 30.0, 1e9].map(|o| tiers.tier(o)), [0, 1, 2, 2]);
/// # Ok::<(), scaletot_osipo::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct Tiers {
    /// Ascending lower bounds of the tiers 2, 3, …
    cuts: Vec<f64>,
}

/// Tiers as they are stored.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unchecked {
    cuts: Vec<f64>,
}

impl TryFrom<Unchecked> for Tiers {
    type Error = Error;

    fn try_from(Unchecked { cuts }: Unchecked) -> Result<Self> {
        check(cuts.len() + 2 <= MAX_TIERS, "tiers", "at most 1024", cuts.len() + 2)?;
        let (what, expected) =
            ("lower bound of an outcome tier", "finite numbers above 0, each above the one before");
        let mut last = 0.0;
        for (row, &found) in cuts.iter().enumerate() {
            if !(found.is_finite() && found > last) {
                return Err(Error::InvalidValue { what, row, expected, found });
            }
            last = found;
        }
        Ok(Self { cuts })
    }
}

impl Tiers {
    /// Fits at most `count` tiers (from 2 to 1024) to the observed outcomes. With `m` positive outcomes in
    /// ascending order `p_0 … p_{m−1}` and `b = count − 1` quantile tiers, tier `j + 1` begins at `p_⌈j m / b⌉`.
    /// Equal cuts collapse, so that no tier is empty by construction.
    ///
    /// # Errors
    /// [`Error::Config`] for fewer than 2 tiers or more than 1024, [`Error::InvalidValue`] for an outcome that is negative or
    /// not finite, [`Error::NoLabelled`] if none is observed, [`Error::Empty`] if none is positive.
    pub fn fit(outcomes: &[Option<f64>], count: usize) -> Result<Self> {
        check((2..=MAX_TIERS).contains(&count), "tiers", "from 2 (zero and positive) to 1024", count)?;
        check_outcomes(outcomes.iter().copied())?;
        let mut positive: Vec<f64> = outcomes.iter().copied().flatten().filter(|&o| o > 0.0).collect();
        if outcomes.iter().all(Option::is_none) {
            return Err(Error::NoLabelled { what: "outcome tiers", rows: outcomes.len() });
        }
        let Some(lowest) = positive.iter().copied().reduce(f64::min) else {
            return Err(Error::Empty { what: "positive outcomes to fit tiers to" });
        };
        positive.sort_by(f64::total_cmp);
        let bins = count - 1;
        let mut cuts: Vec<f64> = (1..bins)
            .filter_map(|j| positive.get((j * positive.len()).div_ceil(bins)).copied())
            .filter(|&cut| cut > lowest)
            .collect();
        cuts.dedup();
        Ok(Self { cuts })
    }

    /// Number of tiers, T: 2 or more, and fewer than asked for where outcomes tie.
    #[must_use]
    pub fn count(&self) -> usize {
        self.cuts.len() + 2
    }

    /// Tier of an outcome, `0..T`. Whatever is not positive (NaN included) is in tier 0; rows are checked where
    /// rewards are fitted.
    #[must_use]
    pub fn tier(&self, outcome: f64) -> usize {
        if outcome > 0.0 { 1 + self.cuts.partition_point(|&cut| cut <= outcome) } else { 0 }
    }

    /// The lower bounds of the tiers 2, 3, …, T − 1, ascending.
    #[must_use]
    pub fn cuts(&self) -> &[f64] {
        &self.cuts
    }
}

/// Observed outcomes must be finite and at least 0.
pub(crate) fn check_outcomes(outcomes: impl IntoIterator<Item = Option<f64>>) -> Result<()> {
    for (row, outcome) in outcomes.into_iter().enumerate() {
        if let Some(found) = outcome.filter(|&o| !(o.is_finite() && o >= 0.0)) {
            let (what, expected) = ("outcome", "a finite number of at least 0");
            return Err(Error::InvalidValue { what, row, expected, found });
        }
    }
    Ok(())
}

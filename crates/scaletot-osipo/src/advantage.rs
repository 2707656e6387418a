//! Advantages: rewards relative to the user's own segment. Host side, in f64.
//!
//! An active user and a dormant one are not worth the same to begin with, so a chain is compared with others
//! of the same *user segment* (activity tier, channel …). (This project's own.) With `n_g` rewards in segment `g`
//! of mean `μ_g` and variance `σ²_g` (divided by `n_g`), and `μ`, `σ²` those of all `n` rewards:
//!
//! ```text
//! μ'_g  = (n_g μ_g  + κ μ)  / (n_g + κ)
//! σ'²_g = (n_g σ²_g + κ σ²) / (n_g + κ)
//! A     = (R − μ'_g) / σ'_g
//! ```
//!
//! κ ≥ 0 counts how many pseudo-rewards of the whole population each segment is given: a segment of one is close
//! to the global moments, a segment of thousands has its own. Where `σ'_g` is 0 (all its rewards are equal, up
//! to rounding), `A = 0`: there is nothing to prefer.

use scaletot_core::config::at_least_zero;
use serde::{Deserialize, Serialize};

use crate::error::check_segments;
use crate::{Error, Result};

/// The reward of a candidate, and the segment of its user: an argument that callers build, closed on purpose.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SegmentReward {
    /// The user segment.
    pub segment: usize,
    /// The reward, finite; `None` where the outcome was not observed.
    pub reward: Option<f64>,
}

/// Shrunken moments of the rewards per user segment.
///
/// ```
/// use scaletot_osipo::advantage::{SegmentMoments, SegmentReward};
///
/// // Two segments on different levels; the last user's outcome is unknown.
/// let rewards = [(0, Some(1.0)), (0, Some(3.0)), (1, Some(10.0)), (1, Some(14.0)), (1, None)];
/// let rewards = rewards.map(|(segment, reward)| SegmentReward { segment, reward });
/// let moments = SegmentMoments::fit(&rewards, 0.0)?;
/// assert_eq!(moments.advantage(3.0, 0), 1.0);
/// assert_eq!(moments.advantage(14.0, 1), 1.0);
/// # Ok::<(), scaletot_osipo::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SegmentMoments {
    kappa: f64,
    global: Moments,
    segments: Vec<Moments>,
}

/// Mean, standard deviation and number of the rewards of one segment.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Moments {
    /// Number of rewards that were seen (before shrinkage).
    pub count: usize,
    /// Mean, shrunken for a segment.
    pub mean: f64,
    /// Standard deviation, shrunken for a segment; exactly 0 if all rewards are equal.
    pub std: f64,
}

impl SegmentMoments {
    /// Fits the moments to the rewards of candidates; `None` marks an unobserved outcome and is skipped.
    ///
    /// Segments above the largest one that is named do not exist; a named segment without rewards has the
    /// global moments.
    ///
    /// # Errors
    /// [`Error::NoLabelled`] if no reward is
    /// known, [`Error::InvalidValue`] for one that is not finite, [`Error::Config`] for κ < 0.
    pub fn fit(rewards: &[SegmentReward], kappa: f64) -> Result<Self> {
        at_least_zero("kappa", kappa)?;
        for (row, SegmentReward { reward, .. }) in rewards.iter().enumerate() {
            if let Some(found) = reward.filter(|reward| !reward.is_finite()) {
                let (what, expected) = ("reward", "a finite number");
                return Err(Error::InvalidValue { what, row, expected, found });
            }
        }
        check_segments(rewards.iter().map(|reward| reward.segment))?;
        let all: Vec<f64> = rewards.iter().filter_map(|reward| reward.reward).collect();
        if all.is_empty() {
            return Err(Error::NoLabelled { what: "advantages", rows: rewards.len() });
        }
        let global = moments(&all);
        let count = rewards.iter().map(|reward| reward.segment + 1).max().unwrap_or(0);
        let mut of_segment = vec![Vec::new(); count];
        for SegmentReward { segment, reward } in rewards {
            of_segment[*segment].extend(*reward);
        }
        let segments = of_segment.iter().map(|values| shrink(&moments(values), &global, kappa)).collect();
        Ok(Self { kappa, global, segments })
    }

    /// The advantage of a reward in a user segment; a segment that was not fitted has the global moments.
    #[must_use]
    pub fn advantage(&self, reward: f64, segment: usize) -> f64 {
        let Moments { mean, std, .. } = *self.of(segment);
        if std > 0.0 { (reward - mean) / std } else { 0.0 }
    }

    /// The moments of a segment, or the global ones if it was not fitted.
    #[must_use]
    pub fn of(&self, segment: usize) -> &Moments {
        self.segments.get(segment).unwrap_or(&self.global)
    }

    /// The moments of all rewards.
    #[must_use]
    pub fn global(&self) -> &Moments {
        &self.global
    }

    /// Number of fitted segments.
    #[must_use]
    pub fn len(&self) -> usize {
        self.segments.len()
    }

    /// Whether no segment was fitted (never, after [`SegmentMoments::fit`]).
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }

    /// The shrinkage κ.
    #[must_use]
    pub fn kappa(&self) -> f64 {
        self.kappa
    }
}

/// Fits [`SegmentMoments`] and standardises the same rewards: the advantage of each candidate, `None` where the
/// reward is.
///
/// ```
/// use scaletot_osipo::advantage::{SegmentReward, standardise};
///
/// let rewards = [Some(2.0), Some(2.0), None].map(|reward| SegmentReward { segment: 0, reward });
/// let advantages = standardise(&rewards, 5.0)?;
/// assert_eq!(advantages, [Some(0.0), Some(0.0), None]); // equal rewards: nothing to prefer
/// # Ok::<(), scaletot_osipo::Error>(())
/// ```
///
/// # Errors
/// As [`SegmentMoments::fit`].
pub fn standardise(rewards: &[SegmentReward], kappa: f64) -> Result<Vec<Option<f64>>> {
    let moments = SegmentMoments::fit(rewards, kappa)?;
    let advantage =
        |reward: &SegmentReward| reward.reward.map(|found| moments.advantage(found, reward.segment));
    Ok(rewards.iter().map(advantage).collect())
}

fn moments(values: &[f64]) -> Moments {
    let count = values.len();
    let Some(&first) = values.first() else { return Moments { count, mean: 0.0, std: 0.0 } };
    // Exactly equal values have exactly their mean and no deviation, whatever a sum would round to.
    if values.iter().all(|&value| value == first) {
        return Moments { count, mean: first, std: 0.0 };
    }
    let mean = values.iter().sum::<f64>() / count as f64;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count as f64;
    Moments { count, mean, std: clean(variance.sqrt(), values) }
}

/// Deviations at the level of rounding are none.
fn clean(std: f64, values: &[f64]) -> f64 {
    let scale = values.iter().fold(0.0_f64, |scale, value| scale.max(value.abs()));
    if std > 1e-12 * scale { std } else { 0.0 }
}

fn shrink(segment: &Moments, global: &Moments, kappa: f64) -> Moments {
    let n = segment.count as f64;
    if n + kappa == 0.0 {
        return Moments { count: 0, ..*global };
    }
    let mix = |own: f64, all: f64| (n * own + kappa * all) / (n + kappa);
    let variance = mix(segment.std.powi(2), global.std.powi(2));
    let mean = if segment.mean == global.mean { global.mean } else { mix(segment.mean, global.mean) };
    Moments { count: segment.count, mean, std: variance.sqrt() }
}

//! Intervals of resampled values.

use serde::{Deserialize, Serialize};

use crate::verdict::{Direction, Verdict};
use crate::{Error, Result};

/// A metric with its bootstrap interval. All of its fields are public and may be built, for replicates that a caller drew by other means.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// The metric on the users as they are.
    pub estimate: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Share of replicates between the ends, in (0, 1); 0.95 by default.
    pub level: f64,
    /// Replicates that were drawn.
    pub replicates: usize,
    /// Replicates on which the metric was undefined (one class only, no value, …) and that are left out.
    pub undefined: usize,
}

impl Interval {
    /// The interval that holds the middle `level` of the replicates' values; those that are not finite are undefined.
    pub(crate) fn of(estimate: f64, mut values: Vec<f64>, level: f64) -> Result<Self> {
        let replicates = values.len();
        values.retain(|value| value.is_finite());
        let undefined = replicates - values.len();
        if undefined * 2 > replicates {
            return Err(Error::UndefinedReplicates { undefined, replicates });
        }
        values.sort_unstable_by(f64::total_cmp);
        let tail = (1.0 - level) / 2.0;
        let (low, high) = (percentile(&values, tail), percentile(&values, 1.0 - tail));
        Ok(Self { estimate, low, high, level, replicates, undefined })
    }

    /// Whether a value lies within the interval, ends included.
    #[must_use]
    pub fn contains(&self, value: f64) -> bool {
        (self.low..=self.high).contains(&value)
    }

    /// What the interval of a difference shows: nothing as long as it contains 0.
    #[must_use]
    pub fn verdict(&self, higher_is_better: bool) -> Verdict {
        if self.contains(0.0) {
            Verdict::NoDifferenceShown
        } else if (self.low > 0.0) == higher_is_better {
            Verdict::Shown(Direction::Better)
        } else {
            Verdict::Shown(Direction::Worse)
        }
    }
}

/// Linear interpolation between order statistics, as NumPy's default; NaN without a value.
fn percentile(sorted: &[f64], share: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    let at = share.clamp(0.0, 1.0) * last as f64;
    let (low, high) = (sorted[at.floor() as usize], sorted[(at.ceil() as usize).min(last)]);
    low + (high - low) * at.fract()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_interpolate_as_numpy_does() {
        let values = [1.0, 2.0, 4.0, 8.0];
        // numpy.percentile([1, 2, 4, 8], [0, 2.5, 50, 97.5, 100])
        for (share, expected) in [(0.0, 1.0), (0.025, 1.075), (0.5, 3.0), (0.975, 7.7), (1.0, 8.0)] {
            assert!((percentile(&values, share) - expected).abs() < 1e-12);
        }
        assert_eq!(percentile(&[5.0], 0.3), 5.0);
    }
}

//! Intervals of resampled values, and how little they may rest on.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::verdict::{Direction, Verdict};
use crate::{Error, Result, check};

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
    /// Users that tell something, of whom [`MIN_INFORMATIVE`](Self::MIN_INFORMATIVE) are wanted: for a metric of scores those that
    /// [`Metric::informative`](crate::Metric::informative) counts, for an experiment those whose outcome is not the usual one, or those of the smaller arm
    /// if they are fewer. `None` where nobody counted them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub informative: Option<usize>,
}

/// Why an interval cannot show a difference, however far from 0 it lies.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Shortage {
    /// Fewer users tell something than [`Interval::MIN_INFORMATIVE`].
    Informative {
        /// Their number.
        found: usize,
    },
    /// The metric is undefined on more of the replicates than an end of the interval leaves out. What they would have shown could lie on
    /// either side of it.
    Undefined {
        /// Replicates on which the metric was undefined.
        undefined: usize,
        /// Replicates drawn.
        replicates: usize,
    },
}

impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Informative { found } => {
                write!(
                    f,
                    "with {found} informative users (at least {} are needed)",
                    Interval::MIN_INFORMATIVE
                )
            }
            Self::Undefined { undefined, replicates } => {
                let share = 100.0 * undefined as f64 / replicates.max(1) as f64;
                write!(f, "with {share:.1} % of the resamples undefined")
            }
        }
    }
}

impl Interval {
    /// The fewest users that must tell something before a difference counts as shown.
    ///
    /// The percentile method takes for granted that the users who move a metric are many. With few it draws hardly anything but copies of
    /// them, and calls chance a difference. Two *random* scores of 200 users, of whom the stated number has an outcome other than 0, are
    /// called different at level 0.95 in so many of 100 data sets (by 1,000 data sets and 500 replicates; nominal 5):
    ///
    /// | with an outcome | 1 | 2 | 3 | 5 | 8 | 10 | 15 | 50 |
    /// | --- | --- | --- | --- | --- | --- | --- | --- | --- |
    /// | called different | 85 | 39 | 25 | 11 | 10 | 7 | 7 | 5 |
    ///
    /// The three rank metrics agree to the digit; the top decile's share and its calibration err to the other side. From 10 on the rate is
    /// about nominal, and there the bar is. A test repeats it, smaller.
    pub const MIN_INFORMATIVE: usize = 10;

    /// The interval that holds the middle `level` of the replicates' values; those that are not finite are undefined.
    pub(crate) fn of(estimate: f64, mut values: Vec<f64>, level: f64, informative: usize) -> Result<Self> {
        check::result("bootstrap", estimate)?;
        let replicates = values.len();
        values.retain(|value| value.is_finite());
        let undefined = replicates - values.len();
        if undefined * 2 > replicates {
            return Err(Error::UndefinedReplicates { undefined, replicates });
        }
        values.sort_unstable_by(f64::total_cmp);
        let tail = (1.0 - level) / 2.0;
        let (low, high) = (percentile(&values, tail), percentile(&values, 1.0 - tail));
        Ok(Self { estimate, low, high, level, replicates, undefined, informative: Some(informative) })
    }

    /// What is missing for the interval to show a difference; `None` if nothing is.
    #[must_use]
    pub fn shortage(&self) -> Option<Shortage> {
        let Self { replicates, undefined, .. } = *self;
        match self.informative {
            Some(found) if found < Self::MIN_INFORMATIVE => Some(Shortage::Informative { found }),
            // A hair more than the tail is the rounding of `1 − level`.
            _ if undefined as f64 > ((1.0 - self.level) / 2.0 + 1e-12) * replicates as f64 => {
                Some(Shortage::Undefined { undefined, replicates })
            }
            _ => None,
        }
    }

    /// How many replicates, and on how many of them the metric is undefined.
    pub(crate) fn replicates_in_words(&self) -> String {
        let Self { replicates, undefined, .. } = *self;
        match undefined {
            0 => format!("{replicates} replicates"),
            _ => {
                let share = 100.0 * undefined as f64 / replicates.max(1) as f64;
                format!("{replicates} replicates, on {undefined} of which ({share:.1} %) it is undefined")
            }
        }
    }

    /// Whether a value lies within the interval, ends included.
    #[must_use]
    pub fn contains(&self, value: f64) -> bool {
        (self.low..=self.high).contains(&value)
    }

    /// What the interval of a difference shows: nothing as long as it contains 0, and nothing that could be trusted as long as there is
    /// a [`shortage`](Self::shortage).
    #[must_use]
    pub fn verdict(&self, higher_is_better: bool) -> Verdict {
        if self.shortage().is_some() {
            Verdict::TooLittleData
        } else if self.contains(0.0) {
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
    let step = high - low;
    // Two huge numbers of different signs are too far apart to be subtracted.
    if step.is_finite() { low + step * at.fract() } else { low * (1.0 - at.fract()) + high * at.fract() }
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
        let far = [-f64::MAX, f64::MAX];
        assert_eq!([0.0, 0.5, 1.0].map(|share| percentile(&far, share)), [-f64::MAX, 0.0, f64::MAX]);
    }
}

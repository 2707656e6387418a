//! Bootstrap intervals: how much a metric would move with other users of the same kind.
//!
//! Users are drawn with replacement and the metric is computed again; the interval holds the middle `level` of the
//! results (percentile method, Efron & Tibshirani 1993, ch. 13, with linear interpolation between order statistics as
//! NumPy's default). Two models are compared *paired*, on the same draws: their metrics rise and fall together with
//! who is drawn, so the difference is known far better than either metric.
//!
//! Every replicate has its own stream of one seeded ChaCha8 generator, so a result depends on seed and number of
//! replicates only.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::{Error, Result, Verdict};

/// Settings of a bootstrap.
///
/// ```
/// use scaletot_eval::Bootstrap;
///
/// let outcomes = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
/// let mean = |rows: &[usize]| rows.iter().map(|&row| outcomes[row]).sum::<f64>() / rows.len() as f64;
/// let interval = Bootstrap::new(7).replicates(1_000).interval(outcomes.len(), mean)?;
/// assert_eq!(interval.estimate, 3.5);
/// assert!(interval.low < 3.5 && interval.high > 3.5);
/// # Ok::<(), scaletot_eval::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Bootstrap {
    replicates: usize,
    level: f64,
    seed: u64,
}

/// A metric with its bootstrap interval.
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

impl Bootstrap {
    /// 2,000 replicates at level 0.95.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { replicates: 2_000, level: 0.95, seed }
    }

    /// Sets the number of replicates, at least 1. An interval at level 0.95 wants 1,000 or more.
    #[must_use]
    pub fn replicates(mut self, replicates: usize) -> Self {
        self.replicates = replicates;
        self
    }

    /// Sets the level, in (0, 1).
    #[must_use]
    pub fn level(mut self, level: f64) -> Self {
        self.level = level;
        self
    }

    /// Interval of a metric over `users` users. The metric takes the rows that were drawn, with repetitions; a NaN
    /// says that it is undefined on them.
    ///
    /// # Errors
    /// [`Error::Empty`] for no user, [`Error::InvalidSetting`], [`Error::UndefinedEstimate`] and
    /// [`Error::UndefinedReplicates`] if the metric is undefined on all users or on more than half of the replicates.
    pub fn interval(&self, users: usize, metric: impl Fn(&[usize]) -> f64) -> Result<Interval> {
        self.validate()?;
        if users == 0 {
            return Err(Error::Empty { what: "bootstrap" });
        }
        let all: Vec<usize> = (0..users).collect();
        let estimate = metric(&all);
        if !estimate.is_finite() {
            return Err(Error::UndefinedEstimate { users, value: estimate });
        }
        let mut rows = all;
        let mut values = Vec::with_capacity(self.replicates);
        for replicate in 0..self.replicates {
            let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
            rng.set_stream(replicate as u64);
            rows.fill_with(|| rng.random_range(0..users as u64) as usize);
            values.push(metric(&rows));
        }
        values.retain(|value| value.is_finite());
        let undefined = self.replicates - values.len();
        if undefined * 2 > self.replicates {
            return Err(Error::UndefinedReplicates { undefined, replicates: self.replicates });
        }
        values.sort_by(f64::total_cmp);
        let tail = (1.0 - self.level) / 2.0;
        Ok(Interval {
            estimate,
            low: percentile(&values, tail),
            high: percentile(&values, 1.0 - tail),
            level: self.level,
            replicates: self.replicates,
            undefined,
        })
    }

    /// Interval of the difference `metric_a − metric_b`, both computed on the same draws. A replicate counts where
    /// both are defined.
    ///
    /// # Errors
    /// As [`Bootstrap::interval`].
    pub fn paired(
        &self,
        users: usize,
        metric_a: impl Fn(&[usize]) -> f64,
        metric_b: impl Fn(&[usize]) -> f64,
    ) -> Result<Interval> {
        self.interval(users, |rows| metric_a(rows) - metric_b(rows))
    }

    fn validate(&self) -> Result<()> {
        if self.replicates == 0 {
            return Err(Error::InvalidSetting { name: "replicates", expected: "at least 1", found: 0.0 });
        }
        if !(self.level > 0.0 && self.level < 1.0) {
            let (name, expected) = ("level", "a number between 0 and 1");
            return Err(Error::InvalidSetting { name, expected, found: self.level });
        }
        Ok(())
    }
}

/// [`Bootstrap::interval`] at level 0.95.
///
/// # Errors
/// As [`Bootstrap::interval`].
pub fn bootstrap(
    users: usize,
    replicates: usize,
    seed: u64,
    metric: impl Fn(&[usize]) -> f64,
) -> Result<Interval> {
    Bootstrap::new(seed).replicates(replicates).interval(users, metric)
}

/// [`Bootstrap::paired`] at level 0.95: the interval of `metric_a − metric_b`.
///
/// # Errors
/// As [`Bootstrap::interval`].
pub fn paired_bootstrap(
    users: usize,
    replicates: usize,
    seed: u64,
    metric_a: impl Fn(&[usize]) -> f64,
    metric_b: impl Fn(&[usize]) -> f64,
) -> Result<Interval> {
    Bootstrap::new(seed).replicates(replicates).paired(users, metric_a, metric_b)
}

impl Interval {
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
            Verdict::Shown(crate::Direction::Better)
        } else {
            Verdict::Shown(crate::Direction::Worse)
        }
    }
}

/// Linear interpolation between order statistics; `sorted` holds at least one value.
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

    #[test]
    fn settings_are_checked() {
        let one = |_: &[usize]| 1.0;
        assert!(matches!(
            Bootstrap::new(0).replicates(0).interval(3, one),
            Err(Error::InvalidSetting { .. })
        ));
        for level in [0.0, 1.0, f64::NAN, -0.5] {
            assert!(matches!(
                Bootstrap::new(0).level(level).interval(3, one),
                Err(Error::InvalidSetting { name: "level", .. })
            ));
        }
        assert!(matches!(Bootstrap::new(0).interval(0, one), Err(Error::Empty { .. })));
    }
}

//! Bootstrap intervals: how much a metric would move with other users of the same kind.
//!
//! Users are drawn with replacement and the metric is computed again; the interval holds the middle `level` of the
//! results (percentile method, Efron & Tibshirani 1993, ch. 13, with linear interpolation between order statistics as
//! NumPy's default). Two models are compared *paired*, on the same draws: their metrics rise and fall together with
//! who is drawn, so the difference is known far better than either metric.
//!
//! Every replicate has its own stream of one seeded ChaCha8 generator, so a result depends on seed and number of
//! replicates only, not on the number of threads.

use std::num::NonZeroUsize;

use rand::RngExt;
use scaletot_core::config::check;
use scaletot_core::seed::numbered;
use serde::{Deserialize, Serialize};

use crate::interval::Interval;
use crate::{Error, Result};

/// Every replicate of every metric is kept.
const MAX_REPLICATES: usize = 1_000_000;
/// More than any processor has use for; a system may refuse to start them.
const MAX_THREADS: usize = 256;

/// Config of a bootstrap: 2,000 replicates at level 0.95 by default.
///
/// ```
/// use scaletot_eval::Bootstrap;
///
/// let outcomes = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
/// let mean = |rows: &[usize]| rows.iter().map(|&row| outcomes[row]).sum::<f64>() / rows.len() as f64;
/// let interval = Bootstrap::default().with_replicates(1_000).interval(outcomes.len(), 7, mean)?;
/// assert_eq!(interval.estimate, 3.5);
/// assert!(interval.low < 3.5 && interval.high > 3.5);
/// # Ok::<(), scaletot_eval::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Bootstrap {
    replicates: usize,
    level: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    threads: Option<NonZeroUsize>,
}

impl Default for Bootstrap {
    fn default() -> Self {
        Self { replicates: 2_000, level: 0.95, threads: None }
    }
}

impl Bootstrap {
    /// Sets the number of replicates, from 1 to 1,000,000. An interval at level 0.95 wants 1,000 or more.
    #[must_use]
    pub fn with_replicates(mut self, replicates: usize) -> Self {
        self.replicates = replicates;
        self
    }

    /// Sets the level, in (0, 1).
    #[must_use]
    pub fn with_level(mut self, level: f64) -> Self {
        self.level = level;
        self
    }

    /// Sets the number of threads that share the replicates of this crate's own metrics; all processors by default.
    /// Results do not depend on it, and no more than 256 are started. A metric that is a closure is called on the calling thread alone.
    #[must_use]
    pub fn with_threads(mut self, threads: NonZeroUsize) -> Self {
        self.threads = Some(threads);
        self
    }

    /// Interval of any metric over `users` users. The metric takes the rows that were drawn, with repetitions; a NaN
    /// says that it is undefined on them.
    ///
    /// What the metric rests on is not known here but for the number of users: one that few users move (a share of purchases, of which
    /// there are three) has an interval that is too narrow without a word of it. [`Interval::informative`] may be set to their number.
    ///
    /// The metrics of this crate have faster ways that know it: [`Metric::interval`](crate::Metric::interval), and
    /// [`Bootstrap::measure`] for several models and metrics at once.
    ///
    /// # Errors
    /// [`Error::Empty`] for no user, [`Error::Config`], [`Error::UndefinedEstimate`] and
    /// [`Error::UndefinedReplicates`] if the metric is undefined on all users or on more than half of the replicates.
    pub fn interval(&self, users: usize, seed: u64, metric: impl Fn(&[usize]) -> f64) -> Result<Interval> {
        self.validate(users)?;
        let mut rows: Vec<usize> = (0..users).collect();
        let estimate = metric(&rows);
        if !estimate.is_finite() {
            return Err(Error::UndefinedEstimate { users, value: estimate });
        }
        let values = (0..self.replicates).map(|replicate| {
            let mut draw = draws(users, seed, replicate);
            rows.fill_with(&mut draw);
            metric(&rows)
        });
        // Which of the users tell something is the caller's knowledge; there are no more than all of them.
        Interval::of(estimate, values.collect(), self.level, users)
    }

    /// Interval of the difference `metric_a − metric_b`, both computed on the same draws. A replicate counts where
    /// both are defined.
    ///
    /// # Errors
    /// As [`Bootstrap::interval`].
    pub fn paired(
        &self,
        users: usize,
        seed: u64,
        metric_a: impl Fn(&[usize]) -> f64,
        metric_b: impl Fn(&[usize]) -> f64,
    ) -> Result<Interval> {
        self.interval(users, seed, |rows| metric_a(rows) - metric_b(rows))
    }

    /// Share of replicates between the ends of an interval.
    pub(crate) fn level(&self) -> f64 {
        self.level
    }

    /// `width` values of every replicate, `[replicates, width]`: `compute` gets how often each user was drawn and fills
    /// in the values. The draws are those of [`Bootstrap::interval`].
    pub(crate) fn on_counts<S>(
        &self,
        users: usize,
        seed: u64,
        width: usize,
        scratch: impl Fn() -> S + Sync,
        compute: impl Fn(&mut S, &[u32], &mut [f64]) + Sync,
    ) -> Result<Vec<f64>> {
        self.validate(users)?;
        if width == 0 {
            return Ok(Vec::new());
        }
        let mut values = vec![f64::NAN; self.replicates * width];
        let work = |first: usize, values: &mut [f64]| {
            let (mut scratch, mut counts) = (scratch(), vec![0_u32; users]);
            for (replicate, values) in (first..).zip(values.chunks_exact_mut(width)) {
                counts.fill(0);
                let mut draw = draws(users, seed, replicate);
                (0..users).for_each(|_| counts[draw()] += 1);
                compute(&mut scratch, &counts, values);
            }
        };
        let available = || std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let threads = self.threads.map_or_else(available, NonZeroUsize::get).min(MAX_THREADS);
        let each = self.replicates.div_ceil(threads);
        std::thread::scope(|scope| {
            let mut parts = values.chunks_mut(each * width).enumerate();
            let own = parts.next();
            for (part, values) in parts {
                let work = &work;
                scope.spawn(move || work(part * each, values));
            }
            if let Some((_, values)) = own {
                work(0, values);
            }
        });
        Ok(values)
    }

    fn validate(&self, users: usize) -> Result<()> {
        let replicates = (1..=MAX_REPLICATES).contains(&self.replicates);
        check(replicates, "replicates", "from 1 to 1000000", self.replicates)?;
        let level = self.level > 0.0 && self.level < 1.0;
        check(level, "level", "a number between 0 and 1", self.level)?;
        if users == 0 { Err(Error::Empty { what: "bootstrap" }) } else { Ok(()) }
    }
}

/// The draws of a replicate, one user per call. They are fixed for good: another scheme would change everybody's
/// intervals.
fn draws(users: usize, seed: u64, replicate: usize) -> impl FnMut() -> usize {
    let mut rng = numbered(seed, replicate as u64);
    move || rng.random_range(0..users as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_config_is_checked() {
        let one = |_: &[usize]| 1.0;
        let bootstrap = Bootstrap::default();
        let error = bootstrap.with_replicates(0).interval(3, 0, one).unwrap_err();
        assert_eq!(error.to_string(), "`replicates`: expected from 1 to 1000000, found 0");
        assert!(bootstrap.with_replicates(usize::MAX).interval(3, 0, one).is_err());
        for level in [0.0, 1.0, f64::NAN, -0.5] {
            assert!(matches!(
                bootstrap.with_level(level).interval(3, 0, one),
                Err(Error::Config(error)) if error.field == "level"
            ));
        }
        assert!(matches!(bootstrap.interval(0, 0, one), Err(Error::Empty { .. })));
    }

    #[test]
    fn counts_are_of_the_same_draws_on_any_number_of_threads() {
        let rows = std::cell::RefCell::new(Vec::new());
        let bootstrap = Bootstrap::default().with_replicates(7);
        bootstrap
            .interval(20, 5, |drawn| {
                rows.borrow_mut().push(drawn.to_vec());
                0.0
            })
            .unwrap();
        let expected: Vec<f64> = rows.into_inner()[1..]
            .iter()
            .flat_map(|rows| (0..20).map(|user| rows.iter().filter(|&&row| row == user).count() as f64))
            .collect();
        for threads in [1, 2, 3, 7, 50].map(|threads| NonZeroUsize::new(threads).unwrap()) {
            let found = bootstrap.with_threads(threads).on_counts(
                20,
                5,
                20,
                || (),
                |(), counts, values| {
                    values.iter_mut().zip(counts).for_each(|(value, &count)| *value = f64::from(count));
                },
            );
            assert_eq!(found.unwrap(), expected, "{threads}");
        }
    }
}

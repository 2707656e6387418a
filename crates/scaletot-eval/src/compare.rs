//! The metrics with intervals, and models compared: several arms and metrics on the same draws.

use crate::arms::{Arms, Scratch};
use crate::bootstrap::Bootstrap;
use crate::difference::Difference;
use crate::interval::Interval;
use crate::metric::Metric;
use crate::{Error, Result, check};

/// Metrics of several arms on every replicate of one bootstrap; made by [`Bootstrap::measure`].
#[derive(Debug, Clone)]
pub struct Replicates {
    arms: usize,
    users: usize,
    positives: usize,
    metrics: Vec<Metric>,
    /// Per metric, the users that tell something about it.
    informative: Vec<usize>,
    level: f64,
    /// On the users as they are, `[arms, metrics]`.
    estimates: Vec<Result<f64>>,
    /// `[replicates, arms, metrics]`; NaN where undefined.
    values: Vec<f64>,
}

impl Bootstrap {
    /// Measures every arm by every metric on the same draws, so that all intervals and all paired differences come
    /// from one pass. Time is linear in users, replicates, arms and metrics (beside one sorting per arm), shared by the
    /// threads.
    ///
    /// ```
    /// use scaletot_eval::{Arms, Bootstrap, Metric};
    ///
    /// let outcomes: Vec<f64> = (0..200).map(|u| f64::from(u % 10)).collect();
    /// let informed: Vec<f64> = (0..200).map(|u| f64::from(u % 10) + f64::from(u % 3)).collect();
    /// let blind: Vec<f64> = (0..200).map(|u| f64::from(u % 7)).collect();
    ///
    /// let arms = Arms::new(&outcomes)?.with_scores(&informed)?.with_scores(&blind)?;
    /// let metrics = [Metric::Spearman, Metric::NormalisedGini];
    /// let replicates = Bootstrap::default().with_replicates(500).measure(&arms, &metrics, 1)?;
    /// for metric in metrics {
    ///     let interval = replicates.interval(0, metric)?;
    ///     println!("{metric}: {:.3} ({:.3} to {:.3})", interval.estimate, interval.low, interval.high);
    ///     assert!(replicates.difference(0, 1, metric)?.verdict().is_shown());
    /// }
    /// # Ok::<(), scaletot_eval::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Config`]. A metric that is undefined is an error only of who asks for it, in
    /// [`Replicates::interval`] and [`Replicates::difference`].
    pub fn measure(&self, arms: &Arms, metrics: &[Metric], seed: u64) -> Result<Replicates> {
        let width = arms.len() * metrics.len();
        let values =
            self.on_counts(arms.users(), seed, width, Scratch::default, |scratch, counts, values| {
                arms.resample(scratch, counts, metrics, values);
            })?;
        let estimates = (0..arms.len())
            .flat_map(|arm| metrics.iter().map(move |&metric| arms.compute(arm, metric)))
            .collect();
        Ok(Replicates {
            arms: arms.len(),
            users: arms.users(),
            positives: arms.outcomes().iter().filter(|&&outcome| outcome > 0.0).count(),
            informative: metrics.iter().map(|metric| metric.informative(arms.outcomes())).collect(),
            metrics: metrics.to_vec(),
            level: self.level(),
            estimates,
            values,
        })
    }
}

impl Replicates {
    /// An arm's metric with its interval.
    ///
    /// # Errors
    /// [`Error::NotMeasured`] for an arm or a metric that is not among those measured; those of [`Metric::compute`] on
    /// all users; [`Error::UndefinedReplicates`].
    pub fn interval(&self, arm: usize, metric: Metric) -> Result<Interval> {
        let at = self.position(arm, metric)?;
        let informative = self.informative[at % self.metrics.len()];
        Interval::of(self.estimates[at].clone()?, self.values_at(at).collect(), self.level, informative)
    }

    /// One arm against another on the same draws. A replicate counts where both are defined.
    ///
    /// # Errors
    /// As [`Replicates::interval`], for either arm.
    pub fn difference(&self, first: usize, second: usize, metric: Metric) -> Result<Difference> {
        let [a, b] = [self.position(first, metric)?, self.position(second, metric)?];
        let (first, second) = (self.estimates[a].clone()?, self.estimates[b].clone()?);
        let values = self.values_at(a).zip(self.values_at(b)).map(|(a, b)| a - b).collect();
        let informative = self.informative[a % self.metrics.len()];
        let interval = Interval::of(first - second, values, self.level, informative)?;
        let (users, positives) = (self.users, self.positives);
        Ok(Difference { metric, users, positives, first, second, interval })
    }

    fn position(&self, arm: usize, metric: Metric) -> Result<usize> {
        let of = self.metrics.iter().position(|&measured| measured == metric);
        match of.filter(|_| arm < self.arms) {
            Some(of) => Ok(arm * self.metrics.len() + of),
            None => Err(Error::NotMeasured { arm, arms: self.arms, metric: metric.name() }),
        }
    }

    fn values_at(&self, at: usize) -> impl Iterator<Item = f64> {
        self.values.chunks_exact(self.estimates.len().max(1)).map(move |values| values[at])
    }
}

impl Metric {
    /// The metric with its bootstrap interval over users.
    ///
    /// # Errors
    /// Those of [`Metric::compute`] on all users, and of [`Bootstrap::interval`].
    pub fn interval(
        self,
        outcomes: &[f64],
        scores: &[f64],
        bootstrap: &Bootstrap,
        seed: u64,
    ) -> Result<Interval> {
        self.compute(outcomes, scores)?;
        bootstrap.measure(&Arms::new(outcomes)?.with_scores(scores)?, &[self], seed)?.interval(0, self)
    }

    /// Compares scores `a` with scores `b` of the same users by a paired bootstrap.
    ///
    /// ```
    /// use scaletot_eval::{Bootstrap, Metric};
    ///
    /// let outcomes: Vec<f64> = (0..200).map(|u| f64::from(u % 10)).collect();
    /// let informed: Vec<f64> = (0..200).map(|u| f64::from(u % 10) + f64::from(u % 3)).collect();
    /// let blind: Vec<f64> = (0..200).map(|u| f64::from(u % 7)).collect();
    ///
    /// let bootstrap = Bootstrap::default().with_replicates(500);
    /// let difference = Metric::Spearman.compare(&outcomes, &informed, &blind, &bootstrap, 1)?;
    /// println!("{}", difference.in_words("signals", "profile only"));
    /// assert!(difference.verdict().is_shown());
    /// # Ok::<(), scaletot_eval::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Metric::compute`] for either scores, and of [`Bootstrap::interval`].
    pub fn compare(
        self,
        outcomes: &[f64],
        a: &[f64],
        b: &[f64],
        bootstrap: &Bootstrap,
        seed: u64,
    ) -> Result<Difference> {
        check::lengths("scores of the first model", outcomes.len(), a.len())?;
        check::lengths("scores of the second model", outcomes.len(), b.len())?;
        self.compute(outcomes, a)?;
        self.compute(outcomes, b)?;
        let arms = Arms::new(outcomes)?.with_scores(a)?.with_scores(b)?;
        bootstrap.measure(&arms, &[self], seed)?.difference(0, 1, self)
    }
}

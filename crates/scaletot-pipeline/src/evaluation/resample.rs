//! Metrics on resampled users: the same resamples for every arm of a fold, so that differences are paired.

use std::collections::BTreeMap;

use crate::error::{Context, Result};
use rand::RngExt;
use scaletot_core::Progress;
use scaletot_core::seed::stream;
use scaletot_eval::Metric;
use serde::{Deserialize, Serialize};

use super::options::EvaluateOptions;
use super::parallel;
use super::results::{Cell, Labels};

/// What is measured.
pub(super) const METRICS: [Metric; 5] = [
    Metric::Spearman,
    Metric::NormalisedGini,
    Metric::AucOfPositive,
    Metric::TopDecileLift,
    Metric::CalibrationError,
];

/// A number of labels on one fold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Size {
    pub(super) labels: Labels,
    /// How often so many were drawn.
    pub(super) draws: usize,
    /// How many they are.
    pub(super) rows: usize,
}

/// A metric of one arm on resampled test users.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Replicates {
    pub(super) arm: String,
    pub(super) labels: Labels,
    pub(super) metric: Metric,
    /// `None` where the metric is undefined on a resample.
    pub(super) values: Vec<Option<f64>>,
}

/// An arm's predictions for the test users, by labels and draw.
pub(super) type Scores = BTreeMap<(Labels, usize), Vec<f64>>;

/// A fold whose arms are measured.
pub(super) struct Measuring<'a> {
    pub(super) options: &'a EvaluateOptions,
    pub(super) repeat: usize,
    pub(super) fold: usize,
    pub(super) sizes: &'a [Size],
    /// Rows of the test users.
    pub(super) test: &'a [usize],
    /// Their outcomes.
    pub(super) outcomes: &'a [f64],
    pub(super) progress: &'a dyn Progress,
}

impl Measuring<'_> {
    /// One arm's metrics at every draw.
    pub(super) fn cells(&self, arm: &str, scores: &Scores) -> Vec<Cell> {
        scores
            .iter()
            .map(|(&(labels, draw), scores)| Cell {
                repeat: self.repeat,
                fold: self.fold,
                arm: arm.to_owned(),
                labels,
                draw,
                metrics: defined(labels)
                    .filter_map(|metric| Some((metric, metric.compute(self.outcomes, scores).ok()?)))
                    .collect(),
            })
            .collect()
    }

    /// Every arm's metrics on the same resamples of users and of draws.
    ///
    /// The figure that an interval is for is a mean over draws, `mean_d m(d)`. A replicate resamples the draws with replacement, and
    /// takes the users' part from one draw `e` of them: `mean_d* m(d) + m*(e) − m(e)`, where `m*` is on resampled users. Measuring every
    /// draw on every resample would cost ten times as much; this errs towards wide intervals, as a mean over draws varies less with the
    /// users than one draw does.
    ///
    /// # Errors
    /// If an arm lacks a draw, or on a wish to stop.
    pub(super) fn replicates(&self, arms: &BTreeMap<String, Scores>) -> Result<Vec<Replicates>> {
        let replicates: Vec<usize> = (0..self.options.replicates).collect();
        self.progress.start("bootstrap", replicates.len() as u64);
        let whole = self.whole(arms);
        let drawn = parallel::map(self.options.workers.get(), &replicates, self.progress, |&replicate| {
            self.replicate(replicate, arms, &whole)
        });
        self.progress.finish();
        let drawn = drawn?;
        let mut all = Vec::new();
        for (labels, arm) in self.places(arms) {
            for metric in defined(labels) {
                let place = all.len();
                let values = drawn.iter().map(|replicate| replicate[place]).collect();
                all.push(Replicates { arm: arm.clone(), labels, metric, values });
            }
        }
        Ok(all)
    }

    /// Every arm's metrics on all test users, per number of labels, arm and metric in the order of [`Self::places`]: by draw.
    fn whole(&self, arms: &BTreeMap<String, Scores>) -> Vec<Vec<Option<f64>>> {
        let mut all = Vec::new();
        for (labels, arm) in self.places(arms) {
            let of_arm = || arms.get(arm).into_iter().flatten().filter(|((of, _), _)| *of == labels);
            for metric in defined(labels) {
                all.push(of_arm().map(|(_, scores)| metric.compute(self.outcomes, scores).ok()).collect());
            }
        }
        all
    }

    fn replicate(
        &self,
        replicate: usize,
        arms: &BTreeMap<String, Scores>,
        whole: &[Vec<Option<f64>>],
    ) -> Result<Vec<Option<f64>>> {
        let mut rng =
            stream(self.options.source.seed, &[3, self.repeat as u64, self.fold as u64, replicate as u64]);
        let users = self.resampled(replicate);
        let taken: BTreeMap<Labels, Vec<usize>> = self
            .sizes
            .iter()
            .map(|size| (size.labels, (0..size.draws).map(|_| rng.random_range(0..size.draws)).collect()))
            .collect();
        let pick = |values: &[f64]| users.iter().map(|&user| values[user]).collect::<Vec<_>>();
        let truth = pick(self.outcomes);
        let mut values = Vec::new();
        for (labels, arm) in self.places(arms) {
            let draws = taken.get(&labels).map_or(&[][..], Vec::as_slice);
            let draw = draws.first().copied().unwrap_or(0);
            let scores = arms
                .get(arm)
                .and_then(|scores| scores.get(&(labels, draw)))
                .with_context(|| format!("no prediction of `{arm}` for {labels:?}, draw {draw}"))?;
            let scores = pick(scores);
            for metric in defined(labels) {
                let by_draw = whole.get(values.len()).map_or(&[][..], Vec::as_slice);
                let of = |draw: &usize| by_draw.get(*draw).copied().flatten();
                let mean = draws.iter().map(of).sum::<Option<f64>>().map(|sum| sum / draws.len() as f64);
                let resampled = metric.compute(&truth, &scores).ok();
                values.push(mean.zip(resampled).zip(of(&draw)).map(|((mean, new), old)| mean + new - old));
            }
        }
        Ok(values)
    }

    /// Places of the test users of a replicate, each as often as a Poisson variable of mean 1 says (the Poisson
    /// bootstrap). The variable is the user's own, so a user who is tested in every repeat is resampled alike in all of them.
    fn resampled(&self, replicate: usize) -> Vec<usize> {
        let mut users = Vec::with_capacity(self.test.len() + self.test.len() / 8);
        for (place, &row) in self.test.iter().enumerate() {
            let mut u: f64 = stream(self.options.source.seed, &[4, replicate as u64, row as u64]).random();
            let (mut times, mut probability) = (0_u32, (-1.0_f64).exp());
            while u >= probability && times < 12 {
                u -= probability;
                times += 1;
                probability /= f64::from(times);
                users.push(place);
            }
        }
        users
    }

    /// The numbers of labels with the arms that can be fitted on them, in the order of the figures.
    fn places<'a>(
        &'a self,
        arms: &'a BTreeMap<String, Scores>,
    ) -> impl Iterator<Item = (Labels, &'a String)> {
        self.sizes.iter().flat_map(move |size| {
            let has = move |scores: &Scores| scores.keys().any(|&(labels, _)| labels == size.labels);
            arms.iter().filter(move |(_, scores)| has(scores)).map(move |(arm, _)| (size.labels, arm))
        })
    }
}

/// A level without labels is no prediction of the outcome's size, so it has no calibration.
pub(super) fn defined(labels: Labels) -> impl Iterator<Item = Metric> {
    let unlabelled = labels == Labels::Count(0);
    METRICS.into_iter().filter(move |metric| !(unlabelled && matches!(metric, Metric::CalibrationError)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The users' part and the draws' part of the spread are both there, and the draws' part is that of their mean.
    #[test]
    fn replicates_spread_as_the_mean_over_draws_does() {
        let options = EvaluateOptions::default();
        let outcomes: Vec<f64> = (0..300).map(f64::from).collect();
        let test: Vec<usize> = (1000..1300).collect();
        let sizes = [Size { labels: Labels::Count(50), draws: 10, rows: 50 }];
        let measuring = Measuring {
            options: &options,
            repeat: 0,
            fold: 0,
            sizes: &sizes,
            test: &test,
            outcomes: &outcomes,
            progress: &(),
        };
        // Draws of an arm that differ: the last ones are worse.
        let noisy = |draw: usize| -> Vec<f64> {
            (0..300).map(|i| f64::from(i) + 40.0 * draw as f64 * f64::from(i * 7919 % 13 - 6)).collect()
        };
        let spread = |scores: Scores| {
            let arms = BTreeMap::from([("arm".to_owned(), scores)]);
            let of_fold = measuring.replicates(&arms).unwrap();
            let values: Vec<f64> = of_fold[0].values.iter().flatten().copied().collect();
            assert_eq!((of_fold[0].metric, values.len()), (Metric::Spearman, 400));
            let mean = values.iter().sum::<f64>() / 400.0;
            (mean, (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 399.0).sqrt())
        };
        let differing: Scores = (0..10).map(|draw| ((Labels::Count(50), draw), noisy(draw))).collect();
        let cells = measuring.cells("arm", &differing);
        let by_draw: Vec<f64> = cells.iter().map(|cell| cell.metrics[0].1).collect();
        let mean = by_draw.iter().sum::<f64>() / 10.0;
        let of_mean = (by_draw.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 10.0).sqrt() / 10f64.sqrt();
        let same: Scores = (0..10).map(|draw| ((Labels::Count(50), draw), noisy(5))).collect();
        let (centre, whole) = spread(differing);
        let (_, users) = spread(same);
        assert!((centre - mean).abs() < 0.02, "{centre} {mean}");
        let expected = (users.powi(2) + of_mean.powi(2)).sqrt();
        assert!((0.7..1.3).contains(&(whole / expected)), "{whole} {users} {of_mean}");
    }
}

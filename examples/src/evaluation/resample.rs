//! Metrics on resampled users: the same resamples for every arm of a fold, so that differences are paired.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use rand::RngExt;
use scaletot::eval::Metric;
use scaletot::profile::Progress;
use serde::{Deserialize, Serialize};

use super::folds::stream;
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
    /// Outcomes of the test users.
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

    /// Every arm's metrics on the same resamples. A replicate takes one draw per number of labels at random, so that the spread between
    /// draws is in the intervals too.
    ///
    /// # Errors
    /// If an arm lacks a draw, or on a wish to stop.
    pub(super) fn replicates(&self, arms: &BTreeMap<String, Scores>) -> Result<Vec<Replicates>> {
        let replicates: Vec<usize> = (0..self.options.replicates).collect();
        self.progress.start("bootstrap", replicates.len() as u64);
        let drawn = parallel::map(self.options.workers.get(), &replicates, self.progress, |&replicate| {
            self.replicate(replicate, arms)
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

    fn replicate(&self, replicate: usize, arms: &BTreeMap<String, Scores>) -> Result<Vec<Option<f64>>> {
        let mut rng = stream(self.options.seed, &[3, self.repeat as u64, self.fold as u64, replicate as u64]);
        let n = self.outcomes.len();
        let users: Vec<usize> = (0..n).map(|_| rng.random_range(0..n)).collect();
        let taken: BTreeMap<Labels, usize> =
            self.sizes.iter().map(|size| (size.labels, rng.random_range(0..size.draws.max(1)))).collect();
        let pick = |values: &[f64]| users.iter().map(|&user| values[user]).collect::<Vec<_>>();
        let truth = pick(self.outcomes);
        let mut values = Vec::new();
        for (labels, arm) in self.places(arms) {
            let draw = taken.get(&labels).copied().unwrap_or(0);
            let scores = arms
                .get(arm)
                .and_then(|scores| scores.get(&(labels, draw)))
                .with_context(|| format!("no prediction of `{arm}` for {labels:?}, draw {draw}"))?;
            let scores = pick(scores);
            values.extend(defined(labels).map(|metric| metric.compute(&truth, &scores).ok()));
        }
        Ok(values)
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
fn defined(labels: Labels) -> impl Iterator<Item = Metric> {
    let unlabelled = labels == Labels::Count(0);
    METRICS.into_iter().filter(move |metric| !(unlabelled && matches!(metric, Metric::CalibrationError)))
}

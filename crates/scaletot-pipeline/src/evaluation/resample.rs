//! Metrics on resampled users: the same resamples for every arm of a fold, so that differences are paired.

use std::collections::BTreeMap;

use crate::error::{Context, Result};
use rand::RngExt;
use scaletot_core::Progress;
use scaletot_core::seed::stream;
use scaletot_eval::{Arms, Metric};
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
#[serde(deny_unknown_fields)]
pub(super) struct Size {
    pub(super) labels: Labels,
    /// How often so many were drawn.
    pub(super) draws: usize,
    /// How many they are.
    pub(super) rows: usize,
}

/// A metric of one arm on resampled test users.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
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
        let jobs: Vec<usize> = (0..self.options.replicates).collect();
        self.progress.start("bootstrap", (jobs.len() * (1 + self.sizes.len())) as u64);
        let replicates = self.resampled_all(&jobs, arms);
        self.progress.finish();
        replicates
    }

    fn resampled_all(&self, jobs: &[usize], arms: &BTreeMap<String, Scores>) -> Result<Vec<Replicates>> {
        let workers = self.options.workers.get();
        let samples = parallel::map(workers, jobs, self.progress, |&replicate| Ok(self.sample(replicate)))?;
        let mut all = Vec::new();
        for (at, size) in self.sizes.iter().enumerate() {
            let of_size = OfSize::new(self.outcomes, size, arms)?;
            let metrics: Vec<Metric> = defined(size.labels).collect();
            let values = parallel::map(workers, jobs, self.progress, |&replicate| {
                let sample = &samples[replicate];
                of_size.values(&sample.times, &sample.draws[at], &metrics)
            })?;
            for (place, arm) in of_size.arms.iter().enumerate() {
                for (which, &metric) in metrics.iter().enumerate() {
                    let place = place * metrics.len() + which;
                    let values = values.iter().map(|of_replicate| of_replicate[place]).collect();
                    all.push(Replicates { arm: (*arm).to_owned(), labels: size.labels, metric, values });
                }
            }
        }
        Ok(all)
    }

    /// Who and which draws a replicate takes.
    fn sample(&self, replicate: usize) -> Sample {
        let mut rng =
            stream(self.options.source.seed, &[3, self.repeat as u64, self.fold as u64, replicate as u64]);
        let draws = self.sizes.iter().map(|size| {
            let draw = |_| rng.random_range(0..size.draws);
            (0..size.draws).map(draw).collect()
        });
        Sample { draws: draws.collect(), times: self.times(replicate) }
    }

    /// How often a replicate takes each test user: a Poisson variable of mean 1 (the Poisson bootstrap). The variable is the user's own,
    /// drawn in the order of the table's rows, so a user who is tested in every repeat is resampled alike in all of them.
    fn times(&self, replicate: usize) -> Vec<u8> {
        let mut rng = stream(self.options.source.seed, &[4, replicate as u64]);
        let rows = self.test.iter().max().map_or(0, |last| last + 1);
        let all: Vec<u8> = (0..rows).map(|_| poisson(rng.random())).collect();
        self.test.iter().map(|&row| all[row]).collect()
    }
}

/// The Poisson variable of mean 1 that a number in [0, 1) is the quantile of.
fn poisson(mut quantile: f64) -> u8 {
    let (mut times, mut probability) = (0_u8, (-1.0_f64).exp());
    while quantile >= probability && times < 12 {
        quantile -= probability;
        times += 1;
        probability /= f64::from(times);
    }
    times
}

/// What a replicate takes.
struct Sample {
    /// Draws of labels, per number of labels.
    draws: Vec<Vec<usize>>,
    /// How often each test user.
    times: Vec<u8>,
}

/// The arms at one number of labels, sorted once for all resamples.
struct OfSize<'a> {
    /// Those that can be fitted on so many labels, in the order of the figures.
    arms: Vec<&'a str>,
    sorted: Arms,
    /// Per arm and draw.
    draws: Vec<Vec<Predicted>>,
}

/// An arm's predictions at one draw.
struct Predicted {
    /// Their place among the sorted ones; `None` if one is no number.
    place: Option<usize>,
    /// Its metrics on all test users.
    whole: Vec<Option<f64>>,
}

impl<'a> OfSize<'a> {
    fn new(outcomes: &[f64], size: &Size, arms: &'a BTreeMap<String, Scores>) -> Result<Self> {
        let labels = size.labels;
        let has = |scores: &Scores| scores.keys().any(|&(of, _)| of == labels);
        let mut all = Self { arms: Vec::new(), sorted: Arms::new(outcomes)?, draws: Vec::new() };
        for (arm, scores) in arms.iter().filter(|(_, scores)| has(scores)) {
            let mut draws = Vec::with_capacity(size.draws);
            for draw in 0..size.draws {
                let scores = scores
                    .get(&(labels, draw))
                    .with_context(|| format!("no prediction of `{arm}` for {labels:?}, draw {draw}"))?;
                let whole = defined(labels).map(|metric| metric.compute(outcomes, scores).ok()).collect();
                let place = if scores.iter().all(|score| score.is_finite()) {
                    all.sorted = all.sorted.with_scores(scores)?;
                    Some(all.sorted.len() - 1)
                } else {
                    None
                };
                draws.push(Predicted { place, whole });
            }
            all.arms.push(arm);
            all.draws.push(draws);
        }
        Ok(all)
    }

    /// Every arm by every metric on a resample of users and of draws, `[arms, metrics]`.
    fn values(&self, times: &[u8], draws: &[usize], metrics: &[Metric]) -> Result<Vec<Option<f64>>> {
        let first = draws.first().copied().unwrap_or(0);
        let places: Vec<Option<usize>> = self.draws.iter().map(|of_arm| of_arm[first].place).collect();
        let sorted: Vec<usize> = places.iter().flatten().copied().collect();
        let counts: Vec<u32> = times.iter().map(|&times| u32::from(times)).collect();
        let measured = self.sorted.resampler().measure(&counts, &sorted, metrics)?;
        let mut measured = measured.chunks_exact(metrics.len().max(1));
        let mut values = Vec::with_capacity(places.len() * metrics.len());
        for (place, of_arm) in places.iter().zip(&self.draws) {
            let resampled = place.and_then(|_| measured.next());
            for which in 0..metrics.len() {
                let of = |draw: &usize| of_arm[*draw].whole[which];
                let mean = draws.iter().map(of).sum::<Option<f64>>().map(|sum| sum / draws.len() as f64);
                let new = resampled.map(|values| values[which]).filter(|value| !value.is_nan());
                values.push(mean.zip(new).zip(of(&first)).map(|((mean, new), old)| mean + new - old));
            }
        }
        Ok(values)
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

    /// A replicate as it is defined: the resampled users one by one, each metric sorted anew.
    fn slow(
        measuring: &Measuring<'_>,
        arms: &BTreeMap<String, Scores>,
        replicate: usize,
    ) -> Vec<Option<f64>> {
        let seed = measuring.options.source.seed;
        let mut rng = stream(seed, &[3, measuring.repeat as u64, measuring.fold as u64, replicate as u64]);
        let mut users = Vec::new();
        for (place, times) in measuring.times(replicate).into_iter().enumerate() {
            users.extend((0..times).map(|_| place));
        }
        let taken: Vec<Vec<usize>> = measuring
            .sizes
            .iter()
            .map(|size| (0..size.draws).map(|_| rng.random_range(0..size.draws)).collect())
            .collect();
        let pick = |values: &[f64]| users.iter().map(|&user| values[user]).collect::<Vec<_>>();
        let truth = pick(measuring.outcomes);
        let mut values = Vec::new();
        for (size, draws) in measuring.sizes.iter().zip(&taken) {
            for scores in arms.values().filter(|scores| scores.contains_key(&(size.labels, 0))) {
                for metric in defined(size.labels) {
                    let of = |draw: &usize| {
                        metric.compute(measuring.outcomes, &scores[&(size.labels, *draw)]).ok()
                    };
                    let mean = draws.iter().map(of).sum::<Option<f64>>().map(|sum| sum / draws.len() as f64);
                    let new = metric.compute(&truth, &pick(&scores[&(size.labels, draws[0])])).ok();
                    values.push(mean.zip(new).zip(of(&draws[0])).map(|((mean, new), old)| mean + new - old));
                }
            }
        }
        values
    }

    /// The same user in another fold of the same replicate, and as often on average as each is there.
    #[test]
    fn a_user_is_taken_alike_in_all_folds() {
        let options = EvaluateOptions::default();
        let measuring = |test| Measuring {
            options: &options,
            repeat: 0,
            fold: 0,
            sizes: &[],
            test,
            outcomes: &[],
            progress: &(),
        };
        let (whole, part): (Vec<usize>, Vec<usize>) = ((0..20_000).collect(), vec![19, 3, 11_000]);
        let (of_whole, of_part) = (measuring(&whole).times(7), measuring(&part).times(7));
        assert_eq!(of_part, [of_whole[19], of_whole[3], of_whole[11_000]]);
        let mean = of_whole.iter().map(|&times| f64::from(times)).sum::<f64>() / 20_000.0;
        assert!((mean - 1.0).abs() < 0.03, "{mean}");
        assert_ne!(of_whole, measuring(&whole).times(8));
    }

    #[test]
    fn sorted_once_they_are_as_sorted_each_time() {
        let mut options = EvaluateOptions { replicates: 60, ..EvaluateOptions::default() };
        let outcomes: Vec<f64> = (0..40).map(|i| f64::from((i * 7 % 11 - 6).max(0)) * 1.25).collect();
        let (test, few): (Vec<usize>, Vec<f64>) = ((500..540).collect(), vec![0.0, 0.0, 3.0]);
        let sizes = [
            Size { labels: Labels::Count(0), draws: 1, rows: 0 },
            Size { labels: Labels::Count(50), draws: 3, rows: 50 },
            Size { labels: Labels::All, draws: 1, rows: 90 },
        ];
        // Without ties, with many, constant, and an arm that predicts no number at one of the draws.
        let score = |kind: usize, draw: usize, i: usize| match kind {
            0 => ((i * 37 + draw * 5) % 41) as f64 / 7.0,
            1 => ((i + draw) % 4) as f64,
            2 => 1.5,
            _ if draw == 1 => f64::NAN,
            _ => (i % 9) as f64,
        };
        for (outcomes, test) in [(&outcomes, &test[..]), (&few, &test[..3])] {
            let mut arms: BTreeMap<String, Scores> = BTreeMap::new();
            for kind in 0..4 {
                for size in &sizes[usize::from(kind == 2)..] {
                    for draw in 0..size.draws {
                        let scores = (0..test.len()).map(|i| score(kind, draw, i)).collect();
                        arms.entry(kind.to_string()).or_default().insert((size.labels, draw), scores);
                    }
                }
            }
            for seed in 1..4 {
                options.source.seed = seed;
                let measuring = Measuring {
                    options: &options,
                    repeat: 1,
                    fold: 2,
                    sizes: &sizes,
                    test,
                    outcomes,
                    progress: &(),
                };
                let found = measuring.replicates(&arms).unwrap();
                let mut undefined = 0;
                for replicate in 0..options.replicates {
                    let expected = slow(&measuring, &arms, replicate);
                    assert_eq!(found.len(), expected.len());
                    for (found, expected) in found.iter().zip(expected) {
                        undefined += usize::from(expected.is_none());
                        let close = match (found.values[replicate], expected) {
                            (Some(found), Some(expected)) => (found - expected).abs() < 1e-12,
                            (found, expected) => found == expected,
                        };
                        let Replicates { arm, labels, metric, values } = found;
                        assert!(close, "{arm} {labels:?} {metric}: {:?} {expected:?}", values[replicate]);
                    }
                }
                assert!(undefined > 0);
            }
        }
    }
}

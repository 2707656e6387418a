//! Metrics of models with intervals, and paired differences put into words.

use crate::error::{Context, Result};
use scaletot_eval::{Bootstrap, Difference, Interval, Metric};
use serde::{Deserialize, Serialize};

/// What is measured.
const METRICS: [Metric; 4] =
    [Metric::Spearman, Metric::NormalisedGini, Metric::AucOfPositive, Metric::TopDecileShare];

/// What the evaluation found.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Evaluation {
    /// Metrics of each model on the held-out users.
    pub arms: Vec<Arm>,
    /// Paired differences, each with its reading in words.
    pub comparisons: Vec<Comparison>,
}

/// A model and its metrics.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Arm {
    /// The model's name.
    pub name: String,
    /// Its metrics; one that is undefined on these users is left out.
    pub metrics: Vec<Measured>,
}

/// A metric with its interval.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Measured {
    /// Which metric.
    pub metric: Metric,
    /// The estimate and its 95 % interval.
    #[serde(flatten)]
    pub interval: Interval,
}

/// A paired difference of two models.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Comparison {
    /// The model.
    pub model: String,
    /// What it is compared with.
    pub baseline: String,
    /// The difference, model minus baseline.
    #[serde(flatten)]
    pub difference: Difference,
    /// All of it in a sentence that says whether it is within noise.
    pub words: String,
}

/// The metrics that are defined on these outcomes: AUC, for one, needs users with outcome 0.
fn defined(outcomes: &[f64]) -> impl Iterator<Item = Metric> {
    METRICS.into_iter().filter(move |metric| metric.compute(outcomes, outcomes).is_ok())
}

/// Measures one model.
///
/// # Errors
/// If outcomes or scores are not finite or of different lengths.
pub fn measure(name: &str, outcomes: &[f64], scores: &[f64], seed: u64) -> Result<Arm> {
    let bootstrap = Bootstrap::new(seed);
    let metrics = defined(outcomes)
        .map(|metric| Ok(Measured { metric, interval: metric.interval(outcomes, scores, &bootstrap)? }))
        .collect::<Result<_>>()
        .with_context(|| format!("metrics of `{name}`"))?;
    Ok(Arm { name: name.to_owned(), metrics })
}

/// Compares a model with a baseline on the same users.
///
/// # Errors
/// As [`measure`].
pub fn compare(
    model: (&str, &[f64]),
    baseline: (&str, &[f64]),
    outcomes: &[f64],
    seed: u64,
) -> Result<Vec<Comparison>> {
    let bootstrap = Bootstrap::new(seed);
    defined(outcomes)
        .map(|metric| {
            let difference = metric.compare(outcomes, model.1, baseline.1, &bootstrap)?;
            let words = difference.in_words(&format!("`{}`", model.0), &format!("`{}`", baseline.0));
            Ok(Comparison { model: model.0.to_owned(), baseline: baseline.0.to_owned(), difference, words })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn undefined_metrics_are_left_out_and_noise_is_called_noise() {
        let outcomes: Vec<f64> = (1..60).map(f64::from).collect();
        let scores: Vec<f64> = (1..60).map(|i| f64::from((i * 23) % 59)).collect();
        let arm = measure("a", &outcomes, &scores, 1).unwrap();
        assert_eq!(arm.metrics.len(), 3, "AUC is undefined: no user has outcome 0");
        let same = compare(("a", &scores), ("b", &scores), &outcomes, 1).unwrap();
        assert!(same.iter().all(|c| c.words.contains("within noise")));
        let better = compare(("a", &outcomes), ("b", &scores), &outcomes, 1).unwrap();
        assert!(better[0].words.contains("`a` is better than `b`"), "{}", better[0].words);
    }
}

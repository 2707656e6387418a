//! Metrics of models with intervals, and paired differences put into words.

use crate::error::{Context, Result};
use scaletot_eval::{Arms, Bootstrap, Difference, Interval, Metric};
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

/// Measures every model, and compares the pairs `(model, baseline)` of their indices, all on the same resamples of users.
///
/// # Errors
/// If outcomes or scores are not finite or of different lengths.
pub fn evaluate(
    outcomes: &[f64],
    models: &[(&str, Vec<f64>)],
    pairs: &[(usize, usize)],
    seed: u64,
) -> Result<Evaluation> {
    let metrics: Vec<Metric> = defined(outcomes).collect();
    let mut arms = Arms::new(outcomes)?;
    for (name, scores) in models {
        arms = arms.with_scores(scores).with_context(|| format!("metrics of `{name}`"))?;
    }
    let replicates = Bootstrap::default().measure(&arms, &metrics, seed)?;
    let mut evaluation = Evaluation::default();
    for (arm, (name, _)) in models.iter().enumerate() {
        let metrics = metrics
            .iter()
            .map(|&metric| Ok(Measured { metric, interval: replicates.interval(arm, metric)? }))
            .collect::<Result<_>>()
            .with_context(|| format!("metrics of `{name}`"))?;
        evaluation.arms.push(Arm { name: (*name).to_owned(), metrics });
    }
    for &(model, baseline) in pairs {
        for &metric in &metrics {
            let difference = replicates.difference(model, baseline, metric)?;
            let [model, baseline] = [models[model].0, models[baseline].0];
            let words = difference.in_words(&format!("`{model}`"), &format!("`{baseline}`"));
            let (model, baseline) = (model.to_owned(), baseline.to_owned());
            evaluation.comparisons.push(Comparison { model, baseline, difference, words });
        }
    }
    Ok(evaluation)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn undefined_metrics_are_left_out_and_noise_is_called_noise() {
        let outcomes: Vec<f64> = (1..60).map(f64::from).collect();
        let scores: Vec<f64> = (1..60).map(|i| f64::from((i * 23) % 59)).collect();
        let models = [("a", scores.clone()), ("b", scores), ("perfect", outcomes.clone())];
        let found = evaluate(&outcomes, &models, &[(0, 1), (2, 1)], 1).unwrap();
        assert_eq!(found.arms[0].metrics.len(), 3, "AUC is undefined: no user has outcome 0");
        let (same, better) = found.comparisons.split_at(3);
        assert!(same.iter().all(|c| c.words.contains("within noise")));
        assert!(better[0].words.contains("`perfect` is better than `b`"), "{}", better[0].words);
        let error = evaluate(&outcomes, &[("short", vec![1.0])], &[], 1).unwrap_err();
        assert_eq!(error.to_string(), "metrics of `short`");
    }
}

//! Metrics of models with intervals, and paired differences put into words.

use crate::error::{Context, Result};
use scaletot_eval::{Arms, Bootstrap, Difference, Interval, Metric};
use serde::{Deserialize, Serialize};

/// What is measured.
const METRICS: [Metric; 4] =
    [Metric::Spearman, Metric::NormalisedGini, Metric::AucOfPositive, Metric::TopDecileShare];

/// What the evaluation found.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Evaluation {
    /// Metrics of each model on the held-out users.
    pub arms: Vec<Arm>,
    /// Paired differences, each with its reading in words.
    pub comparisons: Vec<Comparison>,
}

/// A model and its metrics.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Arm {
    /// The model's name.
    pub name: String,
    /// Its metrics; one that is undefined on these users is left out.
    pub metrics: Vec<Measured>,
}

/// A metric with its interval.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Measured {
    /// Which metric.
    pub metric: Metric,
    /// The estimate and its 95 % interval.
    #[serde(flatten)]
    pub interval: Interval,
}

/// A paired difference of two models.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[non_exhaustive]
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

/// Users of the smaller kind, with and without a value, below whom the AUC of a positive outcome says nothing.
const MIN_OF_EACH_KIND: usize = 20;

/// The metrics that are defined on these outcomes, and say something.
fn defined(outcomes: &[f64]) -> impl Iterator<Item = Metric> {
    let positive = outcomes.iter().filter(|outcome| **outcome > 0.0).count();
    let smaller = positive.min(outcomes.len() - positive);
    METRICS.into_iter().filter(move |metric| {
        let telling = *metric != Metric::AucOfPositive || smaller >= MIN_OF_EACH_KIND;
        telling && metric.compute(outcomes, outcomes).is_ok()
    })
}

/// Measures every model, and compares `ours` by every metric with the strongest of the `baselines` by that metric, all on the same
/// resamples of users.
///
/// # Errors
/// If outcomes or scores are not finite or of different lengths.
pub(crate) fn evaluate(
    outcomes: &[f64],
    baselines: &[(&str, &[f64])],
    ours: &[(&str, &[f64])],
    seed: u64,
) -> Result<Evaluation> {
    let metrics: Vec<Metric> = defined(outcomes).collect();
    let models: Vec<(&str, &[f64])> = baselines.iter().chain(ours).copied().collect();
    let mut arms = Arms::new(outcomes)?;
    for (name, scores) in &models {
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
    for (at, &metric) in metrics.iter().enumerate() {
        let estimate = |arm: &usize| evaluation.arms[*arm].metrics[at].interval.estimate;
        let better = |a: &usize, b: &usize| {
            let order = estimate(a).total_cmp(&estimate(b));
            if metric.higher_is_better() { order } else { order.reverse() }
        };
        let Some(strongest) = (0..baselines.len()).max_by(better) else { continue };
        for model in baselines.len()..models.len() {
            let difference = replicates.difference(model, strongest, metric)?;
            let [model, baseline] = [models[model].0, models[strongest].0];
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
        let baselines = [("a", scores.as_slice())];
        let found = evaluate(&outcomes, &baselines, &[("b", &scores), ("perfect", &outcomes)], 1).unwrap();
        assert_eq!(found.arms[0].metrics.len(), 3, "AUC is undefined: no user has outcome 0");
        let of = |model: &str| {
            found.comparisons.iter().filter(|c| c.model == model).map(|c| c.words.clone()).collect::<Vec<_>>()
        };
        assert!(of("b").iter().all(|words| words.contains("within noise")));
        assert!(of("perfect")[0].contains("`perfect` is better than `a`"), "{:?}", of("perfect"));
        let error = evaluate(&outcomes, &[("short", &[1.0])], &[], 1).unwrap_err();
        assert_eq!(error.to_string(), "metrics of `short`");
    }

    #[test]
    fn ours_is_compared_with_the_strongest_baseline() {
        let outcomes: Vec<f64> = (0..80).map(f64::from).collect();
        let weak: Vec<f64> = (0..80).map(|i| f64::from((i * 31) % 80)).collect();
        let strong: Vec<f64> = (0..80).map(|i| f64::from(i + (i * 7) % 20)).collect();
        let found =
            evaluate(&outcomes, &[("weak", &weak), ("strong", &strong)], &[("ours", &outcomes)], 1).unwrap();
        assert!(found.comparisons.iter().all(|comparison| comparison.baseline == "strong"));
        // Few users without value: the area under the curve would rest on one.
        assert!(found.arms[0].metrics.iter().all(|measured| measured.metric != Metric::AucOfPositive));
    }
}

//! From the folds' figures to curves with intervals, decile tables and gain curves.

use std::collections::BTreeMap;

use crate::error::{Context, Result};
use scaletot_eval::{Interval, Metric, decile_table, top_share};

use super::fold_result::{FoldResult, REASONING};
use super::resample::{METRICS, Replicates};
use super::results::{ArmDeciles, ArmGains, ArmInfo, CurvePoint, Entropy, Labels, Paired};
use crate::pipeline::{SCALETOT, SERVED};

/// Level of all intervals.
const LEVEL: f64 = 0.95;
/// The arm that all others are compared with.
pub(super) const BASELINE: &str = "profile";

/// Per arm, labels and metric: mean, interval, and the paired differences to the baselines.
pub(super) fn curves(arms: &[ArmInfo], folds: &[FoldResult]) -> Vec<CurvePoint> {
    let sizes: std::collections::BTreeSet<Labels> =
        folds.iter().flat_map(|fold| fold.sizes.iter().map(|size| size.labels)).collect();
    let baselines: Vec<&str> =
        arms.iter().map(|arm| arm.name.as_str()).filter(|name| !REASONING.contains(name)).collect();
    let counted = METRICS.map(|metric| (metric, informative(folds, metric)));
    let mut points = Vec::new();
    for arm in arms {
        for &labels in &sizes {
            for metric in counted {
                points.extend(point(folds, &arm.name, &baselines, labels, metric));
            }
        }
    }
    points
}

/// Test users that tell something about a metric. Repeats of a cross-validation bring no new ones.
fn informative(folds: &[FoldResult], metric: Metric) -> usize {
    let mut repeats: BTreeMap<usize, Vec<f64>> = BTreeMap::new();
    for fold in folds {
        repeats.entry(fold.repeat).or_default().extend(&fold.outcomes);
    }
    repeats.values().map(|outcomes| metric.informative(outcomes)).max().unwrap_or(0)
}

fn point(
    folds: &[FoldResult],
    arm: &str,
    baselines: &[&str],
    labels: Labels,
    (metric, informative): (Metric, usize),
) -> Option<CurvePoint> {
    let means = fold_means(folds, arm, labels, metric);
    if means.is_empty() {
        return None;
    }
    let values: Vec<f64> = means.values().copied().collect();
    let counts: Vec<f64> = folds
        .iter()
        .filter_map(|fold| fold.sizes.iter().find(|size| size.labels == labels))
        .map(|size| size.rows as f64)
        .collect();
    let everywhere: Vec<(usize, usize)> = means.keys().copied().collect();
    let replicates = replicate_means(folds, arm, labels, metric, &everywhere);
    let mut interval = interval((metric, informative), mean(&values), replicates)?;
    if metric == Metric::CalibrationError {
        // The bias that is taken off may be larger than the error itself, which is at least 0.
        [interval.estimate, interval.low, interval.high] =
            [interval.estimate, interval.low, interval.high].map(|end| end.max(0.0));
    }
    // What is served is also compared with the model that it was made from.
    let model = (arm == SERVED).then_some(SCALETOT);
    let others = baselines.iter().copied().filter(|&baseline| baseline != arm).chain(model);
    let paired = |other| paired(folds, [arm, other], labels, (metric, informative), &means);
    let against = others.filter_map(paired).collect();
    Some(CurvePoint {
        arm: arm.to_owned(),
        labels,
        count: mean(&counts),
        metric,
        mean: interval.estimate,
        interval,
        deviation: deviation(&values),
        folds: values.len(),
        against,
    })
}

fn paired(
    folds: &[FoldResult],
    [arm, baseline]: [&str; 2],
    labels: Labels,
    (metric, informative): (Metric, usize),
    means: &BTreeMap<(usize, usize), f64>,
) -> Option<Paired> {
    let others = fold_means(folds, baseline, labels, metric);
    let (both, differences): (Vec<(usize, usize)>, Vec<f64>) =
        means.iter().filter_map(|(fold, value)| Some((*fold, value - others.get(fold)?))).unzip();
    if differences.is_empty() {
        return None;
    }
    let ours = replicate_means(folds, arm, labels, metric, &both);
    let theirs = replicate_means(folds, baseline, labels, metric, &both);
    let replicates: Vec<Option<f64>> = ours.into_iter().zip(theirs).map(|(a, b)| Some(a? - b?)).collect();
    let error = match differences.len() {
        1 => deviation(&replicates.iter().flatten().copied().collect::<Vec<_>>()),
        _ => standard_error(&both, &differences),
    };
    let interval = interval((metric, informative), mean(&differences), replicates)?;
    Some(Paired {
        baseline: baseline.to_owned(),
        difference: interval.estimate,
        error,
        interval,
        verdict: interval.verdict(metric.higher_is_better()),
    })
}

/// Of a mean over folds. Repeats of a cross-validation bring no new users, so its error is that of one repeat, their mean; where a repeat
/// is one fold of a world of its own, it is that of all.
fn standard_error(folds: &[(usize, usize)], values: &[f64]) -> f64 {
    let mut repeats: BTreeMap<usize, Vec<f64>> = BTreeMap::new();
    for (&(repeat, _), &value) in folds.iter().zip(values) {
        repeats.entry(repeat).or_default().push(value);
    }
    let of = |values: &[f64]| deviation(values) / (values.len() as f64).sqrt();
    match repeats.values().all(|values| values.len() > 1) {
        true => mean(&repeats.values().map(|values| of(values)).collect::<Vec<_>>()),
        false => of(values),
    }
}

/// Mean over draws, per (repeat, fold).
fn fold_means(
    folds: &[FoldResult],
    arm: &str,
    labels: Labels,
    metric: Metric,
) -> BTreeMap<(usize, usize), f64> {
    let mut means = BTreeMap::new();
    for fold in folds {
        let values: Vec<f64> = fold
            .cells
            .iter()
            .filter(|cell| cell.arm == arm && cell.labels == labels)
            .filter_map(|cell| cell.metrics.iter().find(|(of, _)| *of == metric).map(|&(_, value)| value))
            .collect();
        if !values.is_empty() {
            means.insert((fold.repeat, fold.fold), mean(&values));
        }
    }
    means
}

/// Mean over the folds of every replicate; `None` where one of them is undefined. A metric that is undefined on a fold's own users (no
/// zero outcome, say) is not resampled there either.
fn replicate_means(
    folds: &[FoldResult],
    arm: &str,
    labels: Labels,
    metric: Metric,
    wanted: &[(usize, usize)],
) -> Vec<Option<f64>> {
    let of_folds: Vec<&Replicates> = folds
        .iter()
        .filter(|fold| wanted.contains(&(fold.repeat, fold.fold)))
        .filter_map(|fold| {
            fold.replicates.iter().find(|r| r.arm == arm && r.labels == labels && r.metric == metric)
        })
        .collect();
    let count = of_folds.iter().map(|r| r.values.len()).min().unwrap_or(0);
    (0..count)
        .map(|at| {
            let values: Option<Vec<f64>> = of_folds.iter().map(|r| r.values[at]).collect();
            values.map(|values| mean(&values))
        })
        .collect()
}

/// The percentile interval of the replicates; `None` if more than half of them are undefined.
///
/// For a metric that resampling biases the bias is taken off the estimate, and the percentiles are reversed (Davison and Hinkley 1997,
/// §2.3 and §5.2): a calibration error is a sum of absolute values, so a resample's is larger by about as much as the sample's is larger
/// than the truth.
fn interval(
    (metric, informative): (Metric, usize),
    estimate: f64,
    replicates: Vec<Option<f64>>,
) -> Option<Interval> {
    let drawn = replicates.len();
    let mut values: Vec<f64> = replicates.into_iter().flatten().collect();
    if values.is_empty() || 2 * values.len() < drawn {
        return None;
    }
    values.sort_by(f64::total_cmp);
    let quantile = |q: f64| -> f64 {
        let place = q * (values.len() - 1) as f64;
        let (low, high) = (values[place.floor() as usize], values[place.ceil() as usize]);
        low + (high - low) * place.fract()
    };
    let (low, high) = (quantile((1.0 - LEVEL) / 2.0), quantile((1.0 + LEVEL) / 2.0));
    let (estimate, low, high) = match metric {
        Metric::CalibrationError => {
            (2.0 * estimate - mean(&values), 2.0 * estimate - high, 2.0 * estimate - low)
        }
        _ => (estimate, low, high),
    };
    let (undefined, informative) = (drawn - values.len(), Some(informative));
    Some(Interval { estimate, low, high, level: LEVEL, replicates: drawn, undefined, informative })
}

/// Decile tables with all labels over the test users of the first repeat.
pub(super) fn deciles(arms: &[ArmInfo], folds: &[FoldResult]) -> Vec<ArmDeciles> {
    let of = |arm: &str| {
        let (mut truth, mut scores) = (Vec::new(), Vec::new());
        for fold in folds.iter().filter(|fold| fold.repeat == 0) {
            if let Some((_, predicted)) = fold.predictions.iter().find(|(name, _)| name == arm) {
                truth.extend(&fold.outcomes);
                scores.extend(predicted);
            }
        }
        decile_table(&truth, &scores).ok()
    };
    arms.iter().filter_map(|arm| Some(ArmDeciles { arm: arm.name.clone(), rows: of(&arm.name)? })).collect()
}

/// Gain curves with all labels, mean over folds.
pub(super) fn gains(arms: &[ArmInfo], folds: &[FoldResult]) -> Result<Vec<ArmGains>> {
    let mut all = Vec::new();
    for ArmInfo { name: arm, .. } in arms {
        let mut sums = [0.0; 21];
        let mut count = 0.0;
        for fold in folds {
            let Some((_, scores)) = fold.predictions.iter().find(|(name, _)| name == arm) else { continue };
            // A fold without any value has none to be shared.
            if fold.outcomes.iter().all(|&outcome| outcome == 0.0) {
                continue;
            }
            for (at, sum) in sums.iter_mut().enumerate().skip(1) {
                *sum += top_share(&fold.outcomes, scores, at as f64 / 20.0).context("gain curve")?;
            }
            count += 1.0;
        }
        if count > 0.0 {
            let points = sums.iter().enumerate().map(|(at, sum)| (at as f64 / 20.0, sum / count)).collect();
            all.push(ArmGains { arm: arm.to_owned(), points });
        }
    }
    Ok(all)
}

/// Entropies over the covered users of all folds.
pub(super) fn entropy(folds: &[FoldResult], states: Vec<String>) -> Option<Entropy> {
    let users: usize = folds.iter().map(|fold| fold.entropy.users).sum();
    if users == 0 {
        return None;
    }
    let changed: usize = folds.iter().map(|fold| fold.entropy.changed).sum();
    let per_state = |of: fn(&FoldResult) -> &Vec<f64>| -> Vec<f64> {
        (0..states.len())
            .map(|k| folds.iter().filter_map(|fold| of(fold).get(k)).sum::<f64>() / users as f64)
            .collect()
    };
    Some(Entropy {
        before: per_state(|fold| &fold.entropy.before),
        after: per_state(|fold| &fold.entropy.after),
        changed: changed as f64 / users as f64,
        states,
    })
}

pub(super) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

fn deviation(values: &[f64]) -> f64 {
    if values.len() < 2 {
        return 0.0;
    }
    let centre = mean(values);
    (values.iter().map(|v| (v - centre).powi(2)).sum::<f64>() / (values.len() - 1) as f64).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_holds_the_middle_of_the_replicates() {
        let replicates = (0..=1000).map(|i| Some(f64::from(i) / 1000.0)).chain([None]).collect();
        let found = interval((Metric::Spearman, 50), 0.5, replicates).unwrap();
        assert!((found.low - 0.025).abs() < 1e-12 && (found.high - 0.975).abs() < 1e-12, "{found:?}");
        assert_eq!((found.replicates, found.undefined), (1002, 1));
    }

    #[test]
    fn a_biased_metric_has_its_bias_taken_off() {
        let replicates = (0..=1000).map(|i| Some(0.3 + f64::from(i) / 1000.0)).collect();
        let found = interval((Metric::CalibrationError, 50), 0.5, replicates).unwrap();
        assert!((found.low + 0.275).abs() < 1e-12 && (found.high - 0.675).abs() < 1e-12, "{found:?}");
        assert!((found.estimate - 0.2).abs() < 1e-12, "{found:?}");
    }

    /// An interval of no width around the estimate would show anything.
    #[test]
    fn too_few_replicates_give_no_interval() {
        assert!(interval((Metric::Spearman, 50), 0.5, vec![None]).is_none());
        assert!(interval((Metric::Spearman, 50), 0.5, vec![]).is_none());
        assert!(interval((Metric::Spearman, 50), 0.5, vec![None, None, Some(0.5)]).is_none());
    }

    #[test]
    fn repeats_of_a_cross_validation_do_not_make_it_surer() {
        let values = [0.1, 0.3, 0.1, 0.3];
        let repeated = standard_error(&[(0, 0), (0, 1), (1, 0), (1, 1)], &values);
        assert!((repeated - standard_error(&[(0, 0), (0, 1)], &values[..2])).abs() < 1e-12);
        let worlds = standard_error(&[(0, 0), (1, 0), (2, 0), (3, 0)], &values);
        assert!(worlds < repeated);
    }

    /// One payer among the test users shows nothing, whatever the replicates are.
    #[test]
    fn few_users_who_tell_something_show_no_difference() {
        let replicates = || (0..=1000).map(|i| Some(0.3 + f64::from(i) / 1000.0)).collect();
        let verdict = |informative| {
            let found = interval((Metric::Spearman, informative), 0.5, replicates()).unwrap();
            found.verdict(true)
        };
        assert_eq!(verdict(1), scaletot_eval::Verdict::TooLittleData);
        assert!(verdict(10).is_shown());
    }
}

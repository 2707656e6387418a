//! Values agree with SciPy, scikit-learn and NumPy (`fixtures/make_fixtures.py`), ties included.

use std::collections::BTreeMap;

use approx::assert_abs_diff_eq;
use scaletot_eval::{Metric, auc_of_positive, decile_table, lift, mid_ranks, top_share};
use serde::Deserialize;

const TOLERANCE: f64 = 1e-12;

#[derive(Deserialize)]
struct Fixtures {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    outcomes: Vec<f64>,
    scores: Vec<f64>,
    mid_ranks: Vec<f64>,
    spearman: f64,
    auc: f64,
    normalised_gini: f64,
    top_share: BTreeMap<String, f64>,
    decile_outcomes: Vec<f64>,
    decile_predictions: Vec<f64>,
}

fn cases() -> Vec<Case> {
    let fixtures: Fixtures = serde_json::from_str(include_str!("../fixtures/metrics.json")).unwrap();
    assert_eq!(fixtures.cases.len(), 8);
    fixtures.cases
}

#[test]
fn ranks_equal_scipy() {
    for case in cases() {
        assert_eq!(mid_ranks(&case.scores), case.mid_ranks, "{}", case.name);
    }
}

#[test]
fn spearman_equals_scipy() {
    for case in cases() {
        let found = Metric::Spearman.compute(&case.outcomes, &case.scores).unwrap();
        assert_abs_diff_eq!(found, case.spearman, epsilon = TOLERANCE);
    }
}

#[test]
fn auc_equals_scikit_learn() {
    for case in cases() {
        let found = auc_of_positive(&case.outcomes, &case.scores).unwrap();
        assert_abs_diff_eq!(found, case.auc, epsilon = TOLERANCE);
    }
}

#[test]
fn gini_equals_areas_under_the_gains_curve() {
    for case in cases() {
        let found = Metric::NormalisedGini.compute(&case.outcomes, &case.scores).unwrap();
        assert_abs_diff_eq!(found, case.normalised_gini, epsilon = TOLERANCE);
    }
}

#[test]
fn top_share_and_lift_equal_the_gains_curve() {
    for case in cases() {
        for (fraction, expected) in &case.top_share {
            let fraction: f64 = fraction.parse().unwrap();
            let found = top_share(&case.outcomes, &case.scores, fraction).unwrap();
            assert_abs_diff_eq!(found, *expected, epsilon = TOLERANCE);
            let found = lift(&case.outcomes, &case.scores, fraction).unwrap();
            assert_abs_diff_eq!(found, expected / fraction, epsilon = TOLERANCE / fraction);
        }
        let found = Metric::TopDecileShare.compute(&case.outcomes, &case.scores).unwrap();
        assert_abs_diff_eq!(found, case.top_share["0.1"], epsilon = TOLERANCE);
        let found = Metric::TopDecileLift.compute(&case.outcomes, &case.scores).unwrap();
        assert_abs_diff_eq!(found, case.top_share["0.1"] * 10.0, epsilon = 10.0 * TOLERANCE);
    }
}

#[test]
fn deciles_equal_numpy() {
    for case in cases() {
        let table = decile_table(&case.outcomes, &case.scores).unwrap();
        let mut errors = 0.0;
        for (row, (outcome, prediction)) in
            table.iter().zip(case.decile_outcomes.iter().zip(&case.decile_predictions))
        {
            assert_abs_diff_eq!(row.mean_outcome, *outcome, epsilon = 1e-10);
            assert_abs_diff_eq!(row.mean_prediction, *prediction, epsilon = 1e-10);
            errors += (prediction - outcome).abs() / 10.0;
        }
        let mean = case.outcomes.iter().sum::<f64>() / case.outcomes.len() as f64;
        let found = Metric::CalibrationError.compute(&case.outcomes, &case.scores).unwrap();
        assert_abs_diff_eq!(found, errors / mean, epsilon = 1e-10);
    }
}

//! Invariances of the metrics, and what is undefined.

use proptest::prelude::*;
use scaletot_eval::{
    Error, Metric, auc, auc_of_positive, calibration_error, decile_table, lift, mid_ranks, normalised_gini,
    quantile_table, spearman, top_share,
};

const RANK_METRICS: [Metric; 5] = [
    Metric::Spearman,
    Metric::NormalisedGini,
    Metric::AucOfPositive,
    Metric::TopDecileShare,
    Metric::TopDecileLift,
];

/// Outcomes with zeros and positives, and scores with many ties, of the same users.
fn samples() -> impl Strategy<Value = (Vec<f64>, Vec<f64>)> {
    let outcome = prop_oneof![3 => Just(0.0), 2 => (1_i32..6).prop_map(f64::from), 2 => 0.01..1e4_f64];
    let score = prop_oneof![2 => (-3_i32..4).prop_map(f64::from), 1 => -5.0..5.0_f64];
    prop::collection::vec((outcome, score), 2..60).prop_map(|rows| {
        let (mut outcomes, scores): (Vec<f64>, Vec<f64>) = rows.into_iter().unzip();
        (outcomes[0], outcomes[1]) = (0.0, 7.0);
        (outcomes, scores)
    })
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-9 * b.abs().max(1.0)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A strictly increasing transform of the scores changes no rank metric.
    #[test]
    fn monotone_transforms_do_not_matter((outcomes, scores) in samples(), scale in 0.5..20.0_f64) {
        // Distances are kept well above rounding, so the transforms stay strict.
        let scores: Vec<f64> = scores.iter().map(|s| (s * 1e6).round() / 1e6).collect();
        let cubed: Vec<f64> = scores.iter().map(|s| scale * s.powi(3) + s - 11.0).collect();
        let grown: Vec<f64> = scores.iter().map(|s| (s / 2.0).exp()).collect();
        for metric in RANK_METRICS {
            let before = metric.compute(&outcomes, &scores).unwrap();
            prop_assert!(close(metric.compute(&outcomes, &cubed).unwrap(), before), "{metric}");
            prop_assert!(close(metric.compute(&outcomes, &grown).unwrap(), before), "{metric}");
        }
    }

    /// The order of rows changes nothing, ties or not; neither does the currency of the outcomes.
    #[test]
    fn the_order_of_rows_does_not_matter(
        ((outcomes, scores), order) in samples().prop_flat_map(|sample| {
            let order = Just((0..sample.0.len()).collect::<Vec<_>>()).prop_shuffle();
            (Just(sample), order)
        }),
    ) {
        let pick = |values: &[f64]| order.iter().map(|&row| values[row]).collect::<Vec<_>>();
        for metric in Metric::ALL {
            let before = metric.compute(&outcomes, &scores).unwrap();
            let after = metric.compute(&pick(&outcomes), &pick(&scores)).unwrap();
            prop_assert!(close(after, before), "{metric}: {after} {before}");
        }
        let (before, after) =
            (decile_table(&outcomes, &scores).unwrap(), decile_table(&pick(&outcomes), &pick(&scores)).unwrap());
        for (a, b) in after.iter().zip(&before) {
            prop_assert!(close(a.mean_outcome, b.mean_outcome) && close(a.mean_prediction, b.mean_prediction));
        }
        let cents: Vec<f64> = outcomes.iter().map(|o| o * 100.0).collect();
        for metric in RANK_METRICS {
            let before = metric.compute(&outcomes, &scores).unwrap();
            prop_assert!(close(metric.compute(&cents, &scores).unwrap(), before), "{metric}");
        }
    }

    /// A constant score is worth what knowing nothing is worth.
    #[test]
    fn constant_scores_know_nothing((outcomes, _) in samples(), score in -5.0..5.0_f64, fraction in 0.01..1.0_f64) {
        let scores = vec![score; outcomes.len()];
        prop_assert_eq!(spearman(&outcomes, &scores).unwrap(), 0.0);
        prop_assert!(normalised_gini(&outcomes, &scores).unwrap().abs() < 1e-12);
        prop_assert!(close(auc_of_positive(&outcomes, &scores).unwrap(), 0.5));
        prop_assert!(close(top_share(&outcomes, &scores, fraction).unwrap(), fraction));
        prop_assert!(close(lift(&outcomes, &scores, fraction).unwrap(), 1.0));
        let mean = outcomes.iter().sum::<f64>() / outcomes.len() as f64;
        for row in decile_table(&outcomes, &scores).unwrap() {
            prop_assert!(close(row.mean_outcome, mean) && close(row.mean_prediction, score));
        }
    }

    /// Scores equal to the outcomes are perfect; no score does better, and reversing it is the mirror image.
    #[test]
    fn bounds_hold((outcomes, scores) in samples(), fraction in 0.01..1.0_f64) {
        prop_assert!(close(spearman(&outcomes, &outcomes).unwrap(), 1.0));
        prop_assert!(close(normalised_gini(&outcomes, &outcomes).unwrap(), 1.0));
        prop_assert_eq!(auc_of_positive(&outcomes, &outcomes).unwrap(), 1.0);
        prop_assert!(calibration_error(&outcomes, &outcomes).unwrap() <= 1e-9);
        let best = top_share(&outcomes, &outcomes, fraction).unwrap();
        let found = top_share(&outcomes, &scores, fraction).unwrap();
        prop_assert!((0.0..=1.0).contains(&found) && found <= best + 1e-12);
        prop_assert!(close(top_share(&outcomes, &scores, 1.0).unwrap(), 1.0));

        let reversed: Vec<f64> = scores.iter().map(|s| -s).collect();
        let (rho, mirror) = (spearman(&outcomes, &scores).unwrap(), spearman(&outcomes, &reversed).unwrap());
        prop_assert!((-1.0..=1.0).contains(&rho) && close(rho, -mirror));
        let (gini, mirror) =
            (normalised_gini(&outcomes, &scores).unwrap(), normalised_gini(&outcomes, &reversed).unwrap());
        prop_assert!((-1.0..=1.0).contains(&gini) && close(gini, -mirror));
        let (area, mirror) =
            (auc_of_positive(&outcomes, &scores).unwrap(), auc_of_positive(&outcomes, &reversed).unwrap());
        prop_assert!((0.0..=1.0).contains(&area) && close(area, 1.0 - mirror));
    }

    /// On 0/1 outcomes the normalised Gini is 2 AUC − 1.
    #[test]
    fn gini_of_binary_outcomes_is_auc((outcomes, scores) in samples()) {
        let positive: Vec<bool> = outcomes.iter().map(|&o| o > 0.0).collect();
        let binary: Vec<f64> = positive.iter().map(|&p| f64::from(u8::from(p))).collect();
        let gini = normalised_gini(&binary, &scores).unwrap();
        prop_assert!(close(gini, 2.0 * auc(&positive, &scores).unwrap() - 1.0));
    }

    /// Deciles hold the same number of users, add up to everything, descend in prediction, and the first is the
    /// top share.
    #[test]
    fn deciles_add_up((outcomes, scores) in samples(), bins in 1_usize..15) {
        let table = quantile_table(&outcomes, &scores, bins).unwrap();
        prop_assert_eq!(table.len(), bins);
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        let over = |of: fn(&scaletot_eval::Decile) -> f64| table.iter().map(of).sum::<f64>() / bins as f64;
        prop_assert!(close(over(|row| row.mean_outcome), mean(&outcomes)));
        prop_assert!((over(|row| row.mean_prediction) - mean(&scores)).abs() < 1e-9);
        prop_assert!(close(table.iter().map(|row| row.value_share).sum::<f64>(), 1.0));
        prop_assert!(close(table.iter().map(|row| row.users).sum::<f64>(), outcomes.len() as f64));
        prop_assert!(table.windows(2).all(|two| two[0].mean_prediction >= two[1].mean_prediction - 1e-9));
        prop_assert!(close(table[0].value_share, top_share(&outcomes, &scores, 1.0 / bins as f64).unwrap()));
        for row in &table {
            prop_assert!(close(row.error, row.mean_prediction - row.mean_outcome));
        }
    }

    /// Mid-ranks sum to n (n + 1) / 2 and keep the order.
    #[test]
    fn ranks_keep_the_order((_, scores) in samples()) {
        let ranks = mid_ranks(&scores);
        let n = scores.len() as f64;
        prop_assert!(close(ranks.iter().sum::<f64>(), n * (n + 1.0) / 2.0));
        for i in 0..scores.len() {
            for j in 0..scores.len() {
                prop_assert_eq!(scores[i].partial_cmp(&scores[j]), ranks[i].partial_cmp(&ranks[j]));
            }
        }
    }
}

#[test]
fn what_does_not_fit_is_a_typed_error() {
    for metric in Metric::ALL {
        assert_eq!(
            metric.compute(&[0.0, 1.0], &[1.0]).unwrap_err(),
            Error::LengthMismatch { what: "scores", expected: 2, found: 1 },
            "{metric}"
        );
        assert!(matches!(metric.compute(&[], &[]), Err(Error::Empty { .. })), "{metric}");
        for bad in [f64::NAN, f64::INFINITY] {
            let error = metric.compute(&[0.0, 1.0], &[0.0, bad]).unwrap_err();
            assert!(matches!(error, Error::NotFinite { what: "score", row: 1, .. }), "{metric}: {error}");
            let error = metric.compute(&[bad, 1.0], &[0.0, 1.0]).unwrap_err();
            assert!(matches!(error, Error::NotFinite { what: "outcome", row: 0, .. }), "{metric}: {error}");
        }
    }
}

#[test]
fn undefined_metrics_are_typed_errors() {
    let scores = [1.0, 2.0, 3.0];
    for metric in [Metric::NormalisedGini, Metric::TopDecileShare, Metric::CalibrationError] {
        let error = metric.compute(&[0.0; 3], &scores).unwrap_err();
        assert!(matches!(error, Error::AllZeroOutcomes { rows: 3, .. }), "{metric}: {error}");
        let error = metric.compute(&[2.0, -1.0, 0.0], &scores).unwrap_err();
        assert_eq!(error, Error::NegativeOutcome { row: 1, value: -1.0 }, "{metric}");
    }
    for metric in [Metric::Spearman, Metric::NormalisedGini] {
        let error = metric.compute(&[4.0; 3], &scores).unwrap_err();
        assert!(matches!(error, Error::ConstantOutcomes { .. }), "{metric}: {error}");
    }
    assert_eq!(auc(&[true; 3], &scores).unwrap_err(), Error::OneClass { positives: 3, rows: 3 });
    assert_eq!(auc_of_positive(&[0.0; 3], &scores).unwrap_err(), Error::OneClass { positives: 0, rows: 3 });
    for fraction in [0.0, -0.1, 1.1, f64::NAN] {
        let error = top_share(&[1.0, 2.0, 3.0], &scores, fraction).unwrap_err();
        assert!(matches!(&error, Error::Config(error) if error.field == "fraction"), "{error}");
    }
    assert!(matches!(quantile_table(&[1.0; 3], &scores, 0), Err(Error::Config(_))));
}

#[test]
fn both_zeros_are_one_value() {
    assert_eq!(mid_ranks(&[0.0, -0.0, 1.0]), [1.5, 1.5, 3.0]);
    assert_eq!(top_share(&[9.0, 1.0], &[0.0, -0.0], 0.5).unwrap(), 0.5);
}

#[test]
fn one_user_is_enough_where_the_metric_is_defined() {
    assert!(close(top_share(&[3.0], &[1.0], 0.1).unwrap(), 0.1));
    assert!(decile_table(&[3.0], &[1.0]).unwrap().iter().all(|row| row.mean_outcome == 3.0));
}

#[test]
fn huge_outcomes_do_not_overflow() {
    let outcomes = [0.0, 1e305, 2e305];
    assert_eq!(normalised_gini(&outcomes, &[1.0, 2.0, 3.0]).unwrap(), 1.0);
}

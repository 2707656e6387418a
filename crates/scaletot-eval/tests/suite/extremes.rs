//! Finite in, finite out or an error: the largest, smallest and most alike numbers that there are.

use proptest::prelude::*;
use scaletot_eval::uplift::{Estimator, Experiment, Propensity, Targeting};
use scaletot_eval::{Arms, Bootstrap, Error, Interval, Metric, decile_table, quantile_table};

/// Finite numbers of every size.
fn number() -> impl Strategy<Value = f64> {
    prop_oneof![
        3 => Just(0.0),
        3 => prop::sample::select(vec![
            f64::MAX, f64::MAX / 2.0, 4e307, 1e300, f64::MIN_POSITIVE, 5e-324, 1e-310, 1.0, 1.0 + f64::EPSILON, 7.0, 1e-3,
        ]),
        1 => any::<f64>().prop_filter("finite", |value| value.is_finite()).prop_map(f64::abs),
    ]
}

fn signed() -> impl Strategy<Value = f64> {
    (number(), any::<bool>()).prop_map(|(value, negative)| if negative { -value } else { value })
}

fn ends_are_finite(interval: &Interval) -> bool {
    [interval.estimate, interval.low, interval.high].iter().all(|end| end.is_finite())
        && interval.low <= interval.high
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn metrics_of_finite_numbers_are_finite_or_errors(
        users in prop::collection::vec((number(), signed(), signed()), 0..25), bins in 1_usize..15, seed in any::<u64>(),
    ) {
        let outcomes: Vec<f64> = users.iter().map(|user| user.0).collect();
        let (a, b): (Vec<f64>, Vec<f64>) = users.iter().map(|user| (user.1, user.2)).unzip();
        for metric in Metric::ALL {
            let Ok(value) = metric.compute(&outcomes, &a) else { continue };
            prop_assert!(value.is_finite(), "{metric}: {value} of {outcomes:?}, {a:?}");
            let range = match metric {
                Metric::Spearman | Metric::NormalisedGini => -1.0..=1.0,
                Metric::AucOfPositive | Metric::TopDecileShare => 0.0..=1.0,
                Metric::TopDecileLift => 0.0..=10.0,
                _ => 0.0..=f64::MAX,
            };
            prop_assert!(range.contains(&value), "{metric}: {value}");
            let bootstrap = Bootstrap::default().with_replicates(20);
            if let Ok(interval) = metric.interval(&outcomes, &a, &bootstrap, seed) {
                prop_assert!(ends_are_finite(&interval), "{metric}: {interval:?}");
            }
            if let Ok(difference) = metric.compare(&outcomes, &a, &b, &bootstrap, seed) {
                prop_assert!(ends_are_finite(&difference.interval), "{metric}: {difference:?}");
            }
        }
        if let Ok(table) = quantile_table(&outcomes, &a, bins) {
            for row in table {
                let values = [row.users, row.mean_prediction, row.mean_outcome, row.error, row.value_share];
                prop_assert!(values.iter().all(|value| value.is_finite()), "{row:?}");
                prop_assert!((-1e-9..=1.0 + 1e-9).contains(&row.value_share), "{row:?}");
            }
        }
    }

    #[test]
    fn policies_of_finite_numbers_are_finite_or_errors(
        users in prop::collection::vec((any::<bool>(), signed(), signed(), 1e-12..1.0_f64), 0..25),
        share in 1e-9..1.0_f64, seed in any::<u64>(),
    ) {
        let treated: Vec<bool> = users.iter().map(|user| user.0).collect();
        let outcomes: Vec<f64> = users.iter().map(|user| user.1).collect();
        let scores: Vec<f64> = users.iter().map(|user| user.2).collect();
        let propensities: Vec<f64> = users.iter().map(|user| user.3).collect();
        let Ok(experiment) = Experiment::new(&treated, &outcomes, Propensity::PerUser(&propensities)) else { return Ok(()) };
        let bootstrap = Bootstrap::default().with_replicates(20);
        for estimator in [Estimator::HorvitzThompson, Estimator::Hajek] {
            let targeting = Targeting::top(share).with_estimator(estimator);
            if let Ok(policy) = experiment.policy(&scores, &targeting) {
                prop_assert!([policy.value, policy.nobody, policy.incremental].iter().all(|v| v.is_finite()), "{policy:?}");
            }
            if let Ok(found) = experiment.policy_interval(&scores, &targeting, &bootstrap, seed) {
                prop_assert!(ends_are_finite(&found.value) && ends_are_finite(&found.incremental), "{found:?}");
            }
            if let Ok(found) = experiment.compare(&scores, &outcomes, &targeting, &bootstrap, seed) {
                prop_assert!(ends_are_finite(&found.interval), "{found:?}");
            }
        }
        let qini = experiment.qini(&scores, &[0.0, share, 1.0]).unwrap();
        prop_assert!(qini.coefficient.is_finite() && qini.points.iter().all(|point| point.incremental.is_finite()), "{qini:?}");
        if let Ok(interval) = experiment.qini_interval(&scores, &bootstrap, seed) {
            prop_assert!(ends_are_finite(&interval), "{interval:?}");
        }
    }

    /// A unit that is a power of two changes no digit, however large the numbers become.
    #[test]
    fn huge_amounts_give_what_small_ones_give(users in prop::collection::vec((0_u32..1_000, 0_u32..50), 12..40)) {
        let outcomes: Vec<f64> = users.iter().map(|user| f64::from(user.0)).collect();
        let scores: Vec<f64> = users.iter().map(|user| f64::from(user.1)).collect();
        let huge = |values: &[f64]| values.iter().map(|value| value * 2_f64.powi(1014)).collect::<Vec<_>>();
        for metric in Metric::ALL {
            prop_assert_eq!(
                metric.compute(&huge(&outcomes), &huge(&scores)).ok(),
                metric.compute(&outcomes, &scores).ok(),
                "{}", metric
            );
        }
        if let Ok(small) = decile_table(&outcomes, &scores) {
            for (huge, small) in decile_table(&huge(&outcomes), &huge(&scores)).unwrap().iter().zip(&small) {
                prop_assert_eq!(huge.value_share, small.value_share);
                prop_assert_eq!(huge.mean_outcome, small.mean_outcome * 2_f64.powi(1014));
            }
        }
    }
}

#[test]
fn outcomes_whose_sum_overflows_have_shares() {
    let outcomes: Vec<f64> = (0..200).map(|user| f64::from(user) * 2e305).collect();
    assert!(outcomes.iter().sum::<f64>().is_infinite());
    // The top twenty of 0 … 199: 3790 of 19900.
    let share = Metric::TopDecileShare.compute(&outcomes, &outcomes).unwrap();
    assert!((share - 3_790.0 / 19_900.0).abs() < 1e-12, "{share}");
    let error = Metric::CalibrationError.compute(&outcomes, &vec![0.0; 200]).unwrap();
    assert!((error - 1.0).abs() < 1e-12, "{error}");
}

#[test]
fn what_no_number_can_hold_is_a_typed_error() {
    let error = decile_table(&[f64::MAX, 0.0], &[-f64::MAX, 0.0]).unwrap_err();
    assert!(matches!(error, Error::NotRepresentable { what: "decile table", .. }), "{error}");
    let error = Metric::CalibrationError.compute(&[1e-10, 0.0], &[f64::MAX, 0.0]).unwrap_err();
    assert!(matches!(error, Error::NotRepresentable { what: "calibration error", .. }), "{error}");
    assert!(matches!(quantile_table(&[1.0], &[1.0], usize::MAX), Err(Error::Config(_))));
    let arms = Arms::new(&[1.0, 2.0]).unwrap().with_scores(&[1.0, 2.0]).unwrap();
    assert!(matches!(
        Bootstrap::default().with_replicates(usize::MAX).measure(&arms, &Metric::ALL, 1),
        Err(Error::Config(_))
    ));
}

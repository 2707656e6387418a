//! Policy values and Qini curves: against NumPy (`fixtures/make_uplift_fixtures.py`), against theory, and what never
//! matters.

use approx::assert_abs_diff_eq;
use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use scaletot_eval::uplift::{Estimator, Experiment, PolicyDifference, Propensity, Targeting};
use scaletot_eval::{Bootstrap, Direction, Error, Verdict};
use serde::Deserialize;

const BOTH: [Estimator; 2] = [Estimator::HorvitzThompson, Estimator::Hajek];

fn top(share: f64, estimator: Estimator) -> Targeting {
    Targeting::top(share).with_estimator(estimator)
}

#[derive(Deserialize)]
struct Fixtures {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    treated: Vec<bool>,
    outcomes: Vec<f64>,
    propensities: Vec<f64>,
    scores: Vec<f64>,
    policies: Vec<Policy>,
    qini: Curve,
}

#[derive(Deserialize)]
struct Policy {
    share: f64,
    horvitz_thompson: Parts,
    hajek: Parts,
}

#[derive(Deserialize)]
struct Parts {
    value: f64,
    nobody: f64,
    incremental: f64,
}

#[derive(Deserialize)]
struct Curve {
    total: f64,
    coefficient: f64,
    curve: Vec<(f64, f64)>,
}

#[test]
fn policies_and_curves_equal_numpy() {
    let fixtures: Fixtures = serde_json::from_str(include_str!("../fixtures/uplift.json")).unwrap();
    assert_eq!(fixtures.cases.len(), 7);
    for case in fixtures.cases {
        println!("{}", case.name);
        let propensity = Propensity::PerUser(&case.propensities);
        let experiment = Experiment::new(&case.treated, &case.outcomes, propensity).unwrap();
        assert!(case.policies.len() >= 2);
        for policy in &case.policies {
            for (estimator, expected) in BOTH.into_iter().zip([&policy.horvitz_thompson, &policy.hajek]) {
                let found = experiment.policy(&case.scores, &top(policy.share, estimator)).unwrap();
                assert_abs_diff_eq!(found.value, expected.value, epsilon = 1e-10);
                assert_abs_diff_eq!(found.nobody, expected.nobody, epsilon = 1e-10);
                assert_abs_diff_eq!(found.incremental, expected.incremental, epsilon = 1e-10);
            }
        }
        let shares: Vec<f64> = case.qini.curve.iter().map(|(share, _)| *share).collect();
        let found = experiment.qini(&case.scores, &shares).unwrap();
        assert_abs_diff_eq!(found.total, case.qini.total, epsilon = 1e-10);
        assert_abs_diff_eq!(found.coefficient, case.qini.coefficient, epsilon = 1e-10);
        for (point, (share, expected)) in found.points.iter().zip(&case.qini.curve) {
            assert_eq!(point.share, *share);
            assert_abs_diff_eq!(point.incremental, *expected, epsilon = 1e-10);
        }
    }
}

/// An experiment whose effect is a covariate, uniform in [0, 1], on top of a base of 2 ± 1/2. Returns the experiment,
/// the effects and a score that knows nothing.
fn known_effect(users: usize, seed: u64) -> (Experiment, Vec<f64>, Vec<f64>) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut uniform = || (0..users).map(|_| rng.random::<f64>()).collect::<Vec<_>>();
    let (effects, blind, noise, luck, by_user) = (uniform(), uniform(), uniform(), uniform(), uniform());
    let propensities: Vec<f64> = by_user.iter().map(|u| 0.3 + 0.4 * u).collect();
    let treated: Vec<bool> = luck.iter().zip(&propensities).map(|(luck, e)| luck < e).collect();
    let outcome = |user: usize| 1.5 + noise[user] + if treated[user] { effects[user] } else { 0.0 };
    let outcomes: Vec<f64> = (0..users).map(outcome).collect();
    (Experiment::new(&treated, &outcomes, Propensity::PerUser(&propensities)).unwrap(), effects, blind)
}

#[test]
fn a_policy_by_the_true_effect_gets_what_theory_says() {
    let (experiment, effects, blind) = known_effect(40_000, 1);
    for share in [0.1, 0.3, 0.7, 1.0] {
        // The mean effect among the top share of a uniform effect is 1 − share / 2.
        for (estimator, tolerance) in BOTH.into_iter().zip([0.06, 0.012]) {
            let informed = experiment.policy(&effects, &top(share, estimator)).unwrap();
            assert_abs_diff_eq!(informed.incremental, share * (1.0 - share / 2.0), epsilon = tolerance);
            assert_abs_diff_eq!(informed.nobody, 2.0, epsilon = tolerance);
            assert_eq!(informed.value, informed.nobody + informed.incremental);
            let random = experiment.policy(&blind, &top(share, estimator)).unwrap();
            assert_abs_diff_eq!(random.incremental, share / 2.0, epsilon = tolerance);
        }
    }
    // Area under x − x² / 2, minus that under x / 2: 1/3 − 1/4.
    let qini = experiment.qini(&effects, &[0.0, 0.5]).unwrap();
    assert_abs_diff_eq!(qini.coefficient, 1.0 / 12.0, epsilon = 0.02);
    assert_abs_diff_eq!(qini.total, 0.5, epsilon = 0.05);
    assert_eq!(qini.points[0].incremental, 0.0);
    assert_abs_diff_eq!(qini.points[1].incremental, 0.375, epsilon = 0.05);
    assert_abs_diff_eq!(experiment.qini(&blind, &[]).unwrap().coefficient, 0.0, epsilon = 0.02);
}

#[test]
fn self_normalising_is_less_noisy_and_ignores_the_base() {
    let error = |estimator| -> f64 {
        (0..30)
            .map(|seed| {
                let (experiment, effects, _) = known_effect(500, 100 + seed);
                (experiment.policy(&effects, &top(0.4, estimator)).unwrap().incremental - 0.32).powi(2)
            })
            .sum()
    };
    assert!(error(Estimator::Hajek) < 0.3 * error(Estimator::HorvitzThompson));

    let treated = [true, false, true, false, true, false];
    let scores = [3.0, 3.0, 2.0, 2.0, 1.0, 1.0];
    let increment = |base: f64| {
        let outcomes = [5.0, 1.0, 2.0, 4.0, 3.0, 3.0].map(|outcome| outcome + base);
        let experiment = Experiment::new(&treated, &outcomes, Propensity::Constant(0.25)).unwrap();
        experiment.policy(&scores, &Targeting::top(0.5)).unwrap().incremental
    };
    assert_abs_diff_eq!(increment(0.0), increment(1_000.0), epsilon = 1e-10);
}

#[test]
fn intervals_hold_the_estimate_and_comparisons_are_paired() {
    let (experiment, effects, blind) = known_effect(2_000, 2);
    let bootstrap = Bootstrap::default().with_replicates(300);
    for estimator in BOTH {
        let found = experiment.policy_interval(&effects, &top(0.3, estimator), &bootstrap, 3).unwrap();
        assert_eq!(found.estimate, experiment.policy(&effects, &top(0.3, estimator)).unwrap());
        for (interval, estimate) in
            [(found.value, found.estimate.value), (found.incremental, found.estimate.incremental)]
        {
            assert_eq!((interval.estimate, interval.undefined), (estimate, 0));
            assert!(interval.contains(estimate) && interval.low < interval.high);
        }
    }
    let run = |a: &[f64], b: &[f64]| experiment.compare(a, b, &Targeting::top(0.3), &bootstrap, 3).unwrap();
    let difference = run(&effects, &blind);
    assert_eq!(difference.verdict(), Verdict::Shown(Direction::Better));
    assert!(difference.in_words("effect", "chance").contains("top 30.0 %: effect brings more than chance"));
    assert_eq!(difference.interval.estimate, difference.first.incremental - difference.second.incremental);
    let back = run(&blind, &effects);
    assert_eq!(back.verdict(), Verdict::Shown(Direction::Worse));
    assert_abs_diff_eq!(back.interval.low, -difference.interval.high, epsilon = 1e-12);
    let same = run(&effects, &effects);
    assert_eq!((same.interval.low, same.interval.high), (0.0, 0.0));
    assert!(same.in_words("a", "b").contains("no difference shown between a and b"));
    let json = serde_json::to_string(&difference).unwrap();
    assert_eq!(serde_json::from_str::<PolicyDifference>(&json).unwrap(), difference);

    let interval = experiment.qini_interval(&effects, &bootstrap, 3).unwrap();
    assert_eq!(interval.estimate, experiment.qini(&effects, &[]).unwrap().coefficient);
    assert!(interval.contains(1.0 / 12.0) && !interval.contains(0.0), "{interval:?}");
    let flat = experiment.qini_interval(&vec![1.0; 2_000], &bootstrap, 3).unwrap();
    assert_eq!((flat.low, flat.high), (0.0, 0.0));
}

#[test]
fn a_bootstrap_by_counts_is_a_bootstrap_by_rows() {
    let (users, treated) = (40, (0..40).map(|u| u % 3 == 0).collect::<Vec<_>>());
    let outcomes: Vec<f64> = (0..users).map(|u| f64::from(u * 7 % 11)).collect();
    let scores: Vec<f64> = (0..users).map(|u| f64::from(u * 5 % 8)).collect();
    let all = Experiment::new(&treated, &outcomes, Propensity::Constant(0.3)).unwrap();
    let bootstrap = Bootstrap::default().with_replicates(200);
    let by_rows = bootstrap
        .interval(40, 5, |rows| {
            let pick = |values: &[f64]| rows.iter().map(|&row| values[row]).collect::<Vec<_>>();
            let arms: Vec<bool> = rows.iter().map(|&row| treated[row]).collect();
            Experiment::new(&arms, &pick(&outcomes), Propensity::Constant(0.3))
                .and_then(|drawn| drawn.policy(&pick(&scores), &Targeting::top(0.35)))
                .map_or(f64::NAN, |policy| policy.value)
        })
        .unwrap();
    let found = all.policy_interval(&scores, &Targeting::top(0.35), &bootstrap, 5).unwrap().value;
    assert_eq!(found.undefined, by_rows.undefined);
    assert_abs_diff_eq!(found.low, by_rows.low, epsilon = 1e-9);
    assert_abs_diff_eq!(found.high, by_rows.high, epsilon = 1e-9);
}

/// Arms, outcomes, propensities and tied scores of the same users, both arms present.
fn experiments() -> impl Strategy<Value = Vec<(bool, f64, f64, f64)>> {
    let outcome = prop_oneof![2 => Just(0.0), 1 => (1_i32..6).prop_map(f64::from), 1 => -10.0..100.0_f64];
    let score = prop_oneof![2 => (-2_i32..3).prop_map(f64::from), 1 => -5.0..5.0_f64];
    prop::collection::vec((any::<bool>(), outcome, 0.05..0.95_f64, score), 2..50).prop_map(|mut rows| {
        (rows[0].0, rows[1].0) = (true, false);
        rows
    })
}

fn build(rows: &[(bool, f64, f64, f64)]) -> (Experiment, Vec<f64>) {
    let treated: Vec<bool> = rows.iter().map(|row| row.0).collect();
    let column = |of: fn(&(bool, f64, f64, f64)) -> f64| rows.iter().map(of).collect::<Vec<_>>();
    let propensities = column(|row| row.2);
    let experiment = Experiment::new(&treated, &column(|row| row.1), Propensity::PerUser(&propensities));
    (experiment.unwrap(), column(|row| row.3))
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-9 * b.abs().max(1_000.0)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The order of rows changes nothing, ties or not.
    #[test]
    fn the_order_of_rows_does_not_matter(
        (rows, shuffled) in experiments().prop_flat_map(|rows| (Just(rows.clone()), Just(rows).prop_shuffle())),
        share in 0.01..1.0_f64,
    ) {
        let ((before, scores), (after, moved)) = (build(&rows), build(&shuffled));
        for estimator in BOTH {
            match (before.policy(&scores, &top(share, estimator)), after.policy(&moved, &top(share, estimator))) {
                (Ok(a), Ok(b)) => prop_assert!(close(a.value, b.value) && close(a.incremental, b.incremental)),
                (a, b) => prop_assert_eq!(a, b),
            }
        }
        let (a, b) = (before.qini(&scores, &[share]).unwrap(), after.qini(&moved, &[share]).unwrap());
        prop_assert!(close(a.coefficient, b.coefficient) && close(a.points[0].incremental, b.points[0].incremental));
    }

    /// A constant score has a straight line; so has, within its own group, any tied group.
    #[test]
    fn a_constant_score_is_a_straight_line(rows in experiments(), score in -3.0..3.0_f64, share in 0.01..1.0_f64) {
        let (experiment, _) = build(&rows);
        let scores = vec![score; rows.len()];
        let qini = experiment.qini(&scores, &[share, 1.0]).unwrap();
        prop_assert_eq!(qini.coefficient, 0.0);
        prop_assert!(close(qini.points[0].incremental, share * qini.total));
        prop_assert_eq!(qini.points[1].incremental, qini.total);
        for estimator in BOTH {
            let part = experiment.policy(&scores, &top(share, estimator)).unwrap();
            let all = experiment.policy(&scores, &top(1.0, estimator)).unwrap();
            prop_assert!(close(part.incremental, share * all.incremental));
        }
    }

    /// The curve is the policy's increment, the area is that under the curve, and reversing the score mirrors it.
    #[test]
    fn the_curve_is_made_of_policies(rows in experiments(), share in 0.01..1.0_f64) {
        let (experiment, scores) = build(&rows);
        let n = rows.len();
        let grid: Vec<f64> = (0..=n).map(|k| k as f64 / n as f64).collect();
        let qini = experiment.qini(&scores, &grid).unwrap();
        let area: f64 =
            qini.points.windows(2).map(|two| (two[0].incremental + two[1].incremental) / 2.0 / n as f64).sum();
        prop_assert!(close(qini.coefficient, area - qini.total / 2.0));
        let reversed: Vec<f64> = scores.iter().map(|score| -score).collect();
        prop_assert!(close(experiment.qini(&reversed, &[]).unwrap().coefficient, -qini.coefficient));
        let point = experiment.qini(&scores, &[share]).unwrap().points[0].incremental;
        if let Ok(policy) = experiment.policy(&scores, &top(share, Estimator::HorvitzThompson)) {
            prop_assert!(close(policy.incremental, point));
        }
        let grown: Vec<f64> = scores.iter().map(|score| 3.0 * score + 7.0).collect();
        if let Ok(policy) = experiment.policy(&grown, &Targeting::top(share)) {
            let before = experiment.policy(&scores, &Targeting::top(share)).unwrap();
            prop_assert!(close(policy.incremental, before.incremental));
        }
    }
}

#[test]
fn what_does_not_fit_is_a_typed_error() {
    let (treated, outcomes) = ([true, false, true], [1.0, 2.0, 3.0]);
    let half = Propensity::Constant(0.5);
    let new = |treated: &[bool], outcomes: &[f64], propensity: Propensity<'_>| {
        Experiment::new(treated, outcomes, propensity).unwrap_err()
    };
    assert_eq!(
        new(&treated[1..], &outcomes, half),
        Error::LengthMismatch { what: "arms", expected: 3, found: 2 }
    );
    let error = new(&treated, &outcomes, Propensity::PerUser(&[0.5; 4]));
    assert_eq!(error, Error::LengthMismatch { what: "propensities", expected: 3, found: 4 });
    assert_eq!(new(&[], &[], half), Error::Empty { what: "uplift" });
    assert!(matches!(new(&treated, &[1.0, f64::NAN, 2.0], half), Error::NotFinite { row: 1, .. }));
    assert!(matches!(new(&treated, &[1e308, 0.0, 1e308], half), Error::NotFinite { row: 0, .. }));
    assert_eq!(new(&[true; 3], &outcomes, half), Error::OneArm { treated: 3, rows: 3 });
    assert_eq!(new(&[false; 3], &outcomes, half), Error::OneArm { treated: 0, rows: 3 });
    for propensity in [0.0, 1.0, -0.1, f64::NAN] {
        let error = new(&treated, &outcomes, Propensity::Constant(propensity));
        assert!(matches!(&error, Error::Config(error) if error.field == "propensity"), "{error}");
        let error = new(&treated, &outcomes, Propensity::PerUser(&[0.5, 0.5, propensity]));
        assert!(matches!(&error, Error::Config(error) if error.field == "propensity"), "{error}");
    }

    let experiment = Experiment::new(&treated, &outcomes, half).unwrap();
    let scores = [3.0, 2.0, 1.0];
    for share in [0.0, -0.1, 1.1, f64::NAN] {
        let error = experiment.policy(&scores, &Targeting::top(share)).unwrap_err();
        assert!(matches!(&error, Error::Config(error) if error.field == "share"), "{error}");
        if share != 0.0 {
            let error = experiment.qini(&scores, &[0.5, share]).unwrap_err();
            assert!(matches!(&error, Error::Config(error) if error.field == "share"), "{error}");
        }
    }
    for estimator in BOTH {
        let error = experiment.policy(&scores, &top(1.0 / 3.0, estimator)).unwrap_err();
        assert_eq!(error, Error::NoneInTop { arm: "untreated", share: 1.0 / 3.0 });
        let error = experiment.policy(&[2.0, 3.0, 1.0], &top(0.3, estimator)).unwrap_err();
        assert_eq!(error, Error::NoneInTop { arm: "treated", share: 0.3 });
        assert!(matches!(experiment.policy(&[1.0], &top(0.5, estimator)), Err(Error::LengthMismatch { .. })));
        let error = experiment.policy(&[1.0, 2.0, f64::INFINITY], &top(0.5, estimator)).unwrap_err();
        assert!(matches!(error, Error::NotFinite { what: "score", row: 2, .. }), "{error}");
    }
    let error =
        experiment.compare(&scores, &[1.0], &Targeting::top(1.0), &Bootstrap::default(), 0).unwrap_err();
    assert_eq!(error, Error::LengthMismatch { what: "scores of the second policy", expected: 3, found: 1 });
}

#[test]
fn a_border_between_users_is_not_moved_by_rounding() {
    // 0.1 · 30 is 3 and a hair; the fourth user is the only untreated one near the top.
    let treated: Vec<bool> = (0..30).map(|user| user != 3).collect();
    let scores: Vec<f64> = (0..30).map(|user| -f64::from(user)).collect();
    let experiment = Experiment::new(&treated, &[1.0; 30], Propensity::Constant(0.9)).unwrap();
    let error = experiment.policy(&scores, &Targeting::top(0.1)).unwrap_err();
    assert!(matches!(error, Error::NoneInTop { arm: "untreated", .. }), "{error}");
}

//! Intervals: reproducible, ordered, of the right width, and honest about what is undefined.

use std::cell::RefCell;

use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use scaletot_eval::{Bootstrap, Direction, Error, Interval, Metric, Verdict, bootstrap, paired_bootstrap};

/// Standard normal numbers, by sums of uniforms (close enough for a width).
fn normal(n: usize, seed: u64) -> Vec<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..n).map(|_| (0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.0).collect()
}

fn mean(values: &[f64], rows: &[usize]) -> f64 {
    rows.iter().map(|&row| values[row]).sum::<f64>() / rows.len() as f64
}

#[test]
fn the_interval_of_a_mean_has_its_textbook_width() {
    let values = normal(400, 1);
    let interval = bootstrap(400, 4_000, 2, |rows| mean(&values, rows)).unwrap();
    let all: Vec<usize> = (0..400).collect();
    let centre = mean(&values, &all);
    let deviation = (values.iter().map(|v| (v - centre).powi(2)).sum::<f64>() / 400.0).sqrt();
    let half = 1.96 * deviation / 20.0;
    assert_eq!(interval.estimate, centre);
    assert!((interval.low - (centre - half)).abs() < 0.1 * half, "{interval:?}");
    assert!((interval.high - (centre + half)).abs() < 0.1 * half, "{interval:?}");
    let narrow =
        Bootstrap::new(2).replicates(4_000).level(0.5).interval(400, |rows| mean(&values, rows)).unwrap();
    assert!(interval.low < narrow.low && narrow.high < interval.high);
}

#[test]
fn intervals_cover_the_truth_about_as_often_as_they_say() {
    // 200 samples of 60; a 90 % percentile interval of the mean covers a little under 90 %.
    let covered = (0..200)
        .filter(|&sample| {
            let values = normal(60, 1_000 + sample);
            let settings = Bootstrap::new(sample).replicates(300).level(0.9);
            settings.interval(60, |rows| mean(&values, rows)).unwrap().contains(0.0)
        })
        .count();
    assert!((168..=194).contains(&covered), "{covered} of 200");
}

#[test]
fn pairing_narrows_the_interval_of_a_difference() {
    let base = normal(300, 3);
    let shifted: Vec<f64> = base.iter().zip(normal(300, 4)).map(|(b, noise)| b + 0.1 + 0.1 * noise).collect();
    let paired =
        paired_bootstrap(300, 1_000, 5, |rows| mean(&shifted, rows), |rows| mean(&base, rows)).unwrap();
    let alone = bootstrap(300, 1_000, 5, |rows| mean(&shifted, rows)).unwrap();
    assert!(paired.high - paired.low < 0.3 * (alone.high - alone.low));
    assert_eq!(paired.verdict(true), Verdict::Shown(Direction::Better));
    assert_eq!(paired.verdict(false), Verdict::Shown(Direction::Worse));
}

#[test]
fn every_replicate_draws_as_many_users_with_replacement() {
    let seen = RefCell::new(Vec::new());
    bootstrap(50, 20, 6, |rows| {
        seen.borrow_mut().push(rows.to_vec());
        1.0
    })
    .unwrap();
    let seen = seen.into_inner();
    assert_eq!(seen.len(), 21, "the whole sample, then the replicates");
    assert_eq!(seen[0], (0..50).collect::<Vec<_>>());
    for rows in &seen[1..] {
        assert_eq!(rows.len(), 50);
        assert!(rows.iter().all(|&row| row < 50));
        let mut distinct = rows.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert!(distinct.len() < 50, "50 draws without a repetition have probability 1e-21");
    }
    assert!(seen[1..].windows(2).all(|two| two[0] != two[1]));
}

#[test]
fn a_seed_fixes_the_draws_for_good() {
    // Recorded once: a change of generator or scheme would silently change everybody's intervals.
    let draws = RefCell::new(Vec::new());
    bootstrap(1_000, 2, 42, |rows| {
        draws.borrow_mut().push(rows[..4].to_vec());
        0.0
    })
    .unwrap();
    assert_eq!(draws.into_inner()[1..], [vec![681, 950, 427, 627], vec![716, 166, 482, 846]]);
}

#[test]
fn undefined_replicates_are_counted_or_too_many() {
    // One positive among six: about a third of the resamples have none.
    let outcomes = [0.0, 0.0, 0.0, 0.0, 0.0, 5.0];
    let scores = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
    let settings = Bootstrap::new(8).replicates(600);
    let interval = Metric::AucOfPositive.interval(&outcomes, &scores, &settings).unwrap();
    assert!((150..260).contains(&interval.undefined), "{}", interval.undefined);
    assert_eq!((interval.estimate, interval.replicates), (1.0, 600));

    let mostly = |rows: &[usize]| if rows.contains(&0) && rows.contains(&1) { 1.0 } else { f64::NAN };
    let error = settings.interval(6, mostly).unwrap_err();
    assert!(matches!(error, Error::UndefinedReplicates { replicates: 600, .. }), "{error}");
    let error = settings.interval(6, |_| f64::NAN).unwrap_err();
    assert!(matches!(error, Error::UndefinedEstimate { users: 6, .. }), "{error}");
}

#[test]
fn models_are_compared_in_words() {
    let latent = normal(500, 9);
    let outcomes: Vec<f64> = latent.iter().map(|l| if *l > 0.3 { l.exp() } else { 0.0 }).collect();
    let noise = normal(500, 10);
    let good: Vec<f64> = latent.iter().zip(&noise).map(|(l, e)| l + 0.5 * e).collect();
    let poor: Vec<f64> = latent.iter().zip(&noise).map(|(l, e)| l + 3.0 * e).collect();
    let settings = Bootstrap::new(11).replicates(300);
    for metric in [Metric::Spearman, Metric::NormalisedGini, Metric::AucOfPositive, Metric::TopDecileLift] {
        let difference = metric.compare(&outcomes, &good, &poor, &settings).unwrap();
        assert_eq!(difference.verdict(), Verdict::Shown(Direction::Better), "{metric}");
        assert!((difference.first - difference.second - difference.interval.estimate).abs() < 1e-12);
        let back = metric.compare(&outcomes, &poor, &good, &settings).unwrap();
        assert_eq!(back.verdict(), Verdict::Shown(Direction::Worse), "{metric}");
        assert!(back.in_words("poor", "good").contains("poor is worse than good"));
        let same = metric.compare(&outcomes, &good, &good, &settings).unwrap();
        assert_eq!(same.verdict(), Verdict::NoDifferenceShown);
        assert_eq!((same.interval.low, same.interval.high), (0.0, 0.0));
    }
    let error = Metric::Spearman.compare(&outcomes, &good, &poor[1..], &settings).unwrap_err();
    assert_eq!(
        error,
        Error::LengthMismatch { what: "scores of the second model", expected: 500, found: 499 }
    );
}

#[test]
fn public_types_are_send_and_sync_and_survive_json() {
    fn check<T: Send + Sync>() {}
    check::<Error>();
    check::<Metric>();
    check::<Bootstrap>();
    check::<scaletot_eval::Difference>();
    let values = normal(30, 12);
    let interval = bootstrap(30, 50, 1, |rows| mean(&values, rows)).unwrap();
    let json = serde_json::to_string(&interval).unwrap();
    assert_eq!(serde_json::from_str::<Interval>(&json).unwrap(), interval);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Ends are ordered, the same seed gives the same interval, and swapping the models mirrors it.
    #[test]
    fn intervals_are_ordered_reproducible_and_antisymmetric(
        values in prop::collection::vec((-5.0..5.0_f64, -5.0..5.0_f64), 1..30),
        seed in any::<u64>(), level in 0.5..0.99_f64,
    ) {
        let (a, b): (Vec<f64>, Vec<f64>) = values.into_iter().unzip();
        let settings = Bootstrap::new(seed).replicates(60).level(level);
        let run = |a: &[f64], b: &[f64]| {
            settings.paired(a.len(), |rows| mean(a, rows), |rows| mean(b, rows)).unwrap()
        };
        let interval = run(&a, &b);
        prop_assert!(interval.low <= interval.high);
        prop_assert_eq!(run(&a, &b), interval);
        let mirror = run(&b, &a);
        prop_assert!((mirror.low + interval.high).abs() < 1e-9 && (mirror.high + interval.low).abs() < 1e-9);
        prop_assert_eq!(mirror.estimate, -interval.estimate);
    }
}

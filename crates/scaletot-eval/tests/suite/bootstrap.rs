//! Intervals: reproducible, ordered, of the right width, and honest about what is undefined.

use std::cell::RefCell;

use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use scaletot_eval::{Arms, Bootstrap, Direction, Error, Interval, Metric, Verdict};

/// Standard normal numbers, by sums of uniforms (close enough for a width).
fn normal(n: usize, seed: u64) -> Vec<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..n).map(|_| (0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.0).collect()
}

fn replicates(replicates: usize) -> Bootstrap {
    Bootstrap::default().with_replicates(replicates)
}

fn mean(values: &[f64], rows: &[usize]) -> f64 {
    rows.iter().map(|&row| values[row]).sum::<f64>() / rows.len() as f64
}

#[test]
fn the_interval_of_a_mean_has_its_textbook_width() {
    let values = normal(400, 1);
    let interval = replicates(4_000).interval(400, 2, |rows| mean(&values, rows)).unwrap();
    let all: Vec<usize> = (0..400).collect();
    let centre = mean(&values, &all);
    let deviation = (values.iter().map(|v| (v - centre).powi(2)).sum::<f64>() / 400.0).sqrt();
    let half = 1.96 * deviation / 20.0;
    assert_eq!(interval.estimate, centre);
    assert!((interval.low - (centre - half)).abs() < 0.1 * half, "{interval:?}");
    assert!((interval.high - (centre + half)).abs() < 0.1 * half, "{interval:?}");
    let narrow = replicates(4_000).with_level(0.5).interval(400, 2, |rows| mean(&values, rows)).unwrap();
    assert!(interval.low < narrow.low && narrow.high < interval.high);
}

#[test]
fn intervals_cover_the_truth_about_as_often_as_they_say() {
    // 200 samples of 60; a 90 % percentile interval of the mean covers a little under 90 %.
    let covered = (0..200)
        .filter(|&sample| {
            let values = normal(60, 1_000 + sample);
            let bootstrap = replicates(300).with_level(0.9);
            bootstrap.interval(60, sample, |rows| mean(&values, rows)).unwrap().contains(0.0)
        })
        .count();
    assert!((168..=194).contains(&covered), "{covered} of 200");
}

#[test]
fn pairing_narrows_the_interval_of_a_difference() {
    let base = normal(300, 3);
    let shifted: Vec<f64> = base.iter().zip(normal(300, 4)).map(|(b, noise)| b + 0.1 + 0.1 * noise).collect();
    let paired =
        replicates(1_000).paired(300, 5, |rows| mean(&shifted, rows), |rows| mean(&base, rows)).unwrap();
    let alone = replicates(1_000).interval(300, 5, |rows| mean(&shifted, rows)).unwrap();
    assert!(paired.high - paired.low < 0.3 * (alone.high - alone.low));
    assert_eq!(paired.verdict(true), Verdict::Shown(Direction::Better));
    assert_eq!(paired.verdict(false), Verdict::Shown(Direction::Worse));
}

#[test]
fn every_replicate_draws_as_many_users_with_replacement() {
    let seen = RefCell::new(Vec::new());
    let record = |rows: &[usize]| {
        seen.borrow_mut().push(rows.to_vec());
        1.0
    };
    replicates(20).interval(50, 6, record).unwrap();
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
    let record = |rows: &[usize]| {
        draws.borrow_mut().push(rows[..4].to_vec());
        0.0
    };
    replicates(2).interval(1_000, 42, record).unwrap();
    assert_eq!(draws.into_inner()[1..], [vec![681, 950, 427, 627], vec![716, 166, 482, 846]]);
}

#[test]
fn undefined_replicates_are_counted_or_too_many() {
    // One positive among six: about a third of the resamples have none.
    let outcomes = [0.0, 0.0, 0.0, 0.0, 0.0, 5.0];
    let scores = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
    let bootstrap = replicates(600);
    let interval = Metric::AucOfPositive.interval(&outcomes, &scores, &bootstrap, 8).unwrap();
    assert!((150..260).contains(&interval.undefined), "{}", interval.undefined);
    assert_eq!((interval.estimate, interval.replicates), (1.0, 600));

    let mostly = |rows: &[usize]| if rows.contains(&0) && rows.contains(&1) { 1.0 } else { f64::NAN };
    let error = bootstrap.interval(6, 8, mostly).unwrap_err();
    assert!(matches!(error, Error::UndefinedReplicates { replicates: 600, .. }), "{error}");
    let error = bootstrap.interval(6, 8, |_| f64::NAN).unwrap_err();
    assert!(matches!(error, Error::UndefinedEstimate { users: 6, .. }), "{error}");
}

#[test]
fn models_are_compared_in_words() {
    let latent = normal(500, 9);
    let outcomes: Vec<f64> = latent.iter().map(|l| if *l > 0.3 { l.exp() } else { 0.0 }).collect();
    let noise = normal(500, 10);
    let good: Vec<f64> = latent.iter().zip(&noise).map(|(l, e)| l + 0.5 * e).collect();
    let poor: Vec<f64> = latent.iter().zip(&noise).map(|(l, e)| l + 3.0 * e).collect();
    let bootstrap = replicates(300);
    for metric in [Metric::Spearman, Metric::NormalisedGini, Metric::AucOfPositive, Metric::TopDecileLift] {
        let difference = metric.compare(&outcomes, &good, &poor, &bootstrap, 11).unwrap();
        assert_eq!(difference.verdict(), Verdict::Shown(Direction::Better), "{metric}");
        assert!((difference.first - difference.second - difference.interval.estimate).abs() < 1e-12);
        let back = metric.compare(&outcomes, &poor, &good, &bootstrap, 11).unwrap();
        assert_eq!(back.verdict(), Verdict::Shown(Direction::Worse), "{metric}");
        assert!(back.in_words("poor", "good").contains("poor is worse than good"));
        let same = metric.compare(&outcomes, &good, &good, &bootstrap, 11).unwrap();
        assert_eq!(same.verdict(), Verdict::NoDifferenceShown);
        assert_eq!((same.interval.low, same.interval.high), (0.0, 0.0));
    }
    let error = Metric::Spearman.compare(&outcomes, &good, &poor[1..], &bootstrap, 11).unwrap_err();
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
    let interval = replicates(50).interval(30, 1, |rows| mean(&values, rows)).unwrap();
    let json = serde_json::to_string(&interval).unwrap();
    assert_eq!(serde_json::from_str::<Interval>(&json).unwrap(), interval);
}

/// The middle of the replicates, from metrics computed on the rows that were drawn.
fn by_rows(metric: Metric, outcomes: &[f64], scores: &[f64], bootstrap: &Bootstrap, seed: u64) -> Interval {
    let on = |rows: &[usize]| {
        let pick = |values: &[f64]| rows.iter().map(|&row| values[row]).collect::<Vec<_>>();
        metric.compute(&pick(outcomes), &pick(scores)).unwrap_or(f64::NAN)
    };
    bootstrap.interval(outcomes.len(), seed, on).unwrap()
}

#[test]
fn only_what_was_measured_can_be_asked_for() {
    let (outcomes, scores) = ([0.0, 0.0, 1.0, 2.0, 5.0, 0.0], [1.0, 2.0, 2.0, 3.0, 1.0, 0.0]);
    let arms = Arms::new(&outcomes).unwrap().with_scores(&scores).unwrap();
    let found = replicates(50).measure(&arms, &[Metric::Spearman], 1).unwrap();
    assert!(found.interval(0, Metric::Spearman).is_ok());
    let error = found.interval(0, Metric::NormalisedGini).unwrap_err();
    assert_eq!(error, Error::NotMeasured { arm: 0, arms: 1, metric: "normalised Gini" });
    assert!(matches!(found.difference(0, 1, Metric::Spearman), Err(Error::NotMeasured { arm: 1, .. })));
    let nothing = replicates(50).measure(&Arms::new(&outcomes).unwrap(), &Metric::ALL, 1).unwrap();
    assert!(nothing.interval(0, Metric::Spearman).is_err());
    assert!(matches!(arms.with_scores(&[1.0]), Err(Error::LengthMismatch { expected: 6, found: 1, .. })));
}

#[test]
fn a_metric_that_is_undefined_on_all_users_is_an_error_only_of_its_own() {
    let outcomes = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
    let arms = Arms::new(&outcomes).unwrap().with_scores(&outcomes).unwrap();
    let found = replicates(50).measure(&arms, &Metric::ALL, 1).unwrap();
    assert_eq!(
        found.interval(0, Metric::AucOfPositive).unwrap_err(),
        Error::OneClass { positives: 6, rows: 6 }
    );
    assert_eq!(found.interval(0, Metric::Spearman).unwrap().estimate, 1.0);
}

#[test]
fn huge_outcomes_do_not_overflow_in_resamples() {
    let outcomes = [0.0, 1e305, 2e305, 1.5e308, 1e308];
    let arms = Arms::new(&outcomes).unwrap().with_scores(&[0.0, 1.0, 2.0, 4.0, 3.0]).unwrap();
    let found = replicates(100).measure(&arms, &[Metric::NormalisedGini], 1).unwrap();
    let interval = found.interval(0, Metric::NormalisedGini).unwrap();
    assert!((interval.low - 1.0).abs() < 1e-12 && (interval.high - 1.0).abs() < 1e-12, "{interval:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// From counts over orders sorted once, or from the drawn rows: the same intervals, ties and undefined replicates
    /// included, alone or beside others, on any number of threads.
    #[test]
    fn resampling_by_counts_is_resampling_by_rows(
        users in prop::collection::vec(
            (
                prop_oneof![2 => Just(0.0), 1 => (1_i32..4).prop_map(f64::from), 1 => 0.01..1e4_f64],
                prop_oneof![2 => (-2_i32..3).prop_map(f64::from), 1 => -5.0..5.0_f64, 1 => Just(-0.0)],
                prop_oneof![Just(1.0), 0.0..5.0_f64],
            ),
            8..60,
        ),
        seed in any::<u64>(),
        threads in 1_usize..5,
    ) {
        let mut outcomes: Vec<f64> = users.iter().map(|user| user.0).collect();
        outcomes[..8].copy_from_slice(&[0.0, 3.0, 0.0, 1.0, 0.0, 2.0, 0.0, 9.0]);
        let a: Vec<f64> = users.iter().map(|user| user.1).collect();
        let b: Vec<f64> = users.iter().map(|user| user.2).collect();
        let bootstrap = replicates(40).with_threads(std::num::NonZeroUsize::new(threads).unwrap());
        let arms = Arms::new(&outcomes).unwrap().with_scores(&a).unwrap().with_scores(&b).unwrap();
        let found = bootstrap.measure(&arms, &Metric::ALL, seed).unwrap();
        for metric in Metric::ALL {
            for (arm, scores) in [(0, &a), (1, &b)] {
                let expected = by_rows(metric, &outcomes, scores, &bootstrap, seed);
                let interval = found.interval(arm, metric).unwrap();
                prop_assert_eq!((interval.estimate, interval.undefined), (expected.estimate, expected.undefined));
                for (found, expected) in [(interval.low, expected.low), (interval.high, expected.high)] {
                    let bound = 1e-12 * expected.abs().max(1.0);
                    prop_assert!((found - expected).abs() <= bound, "{metric}: {found} {expected}");
                }
                prop_assert_eq!(metric.interval(&outcomes, scores, &bootstrap, seed).unwrap(), interval);
            }
            let difference = metric.compare(&outcomes, &a, &b, &bootstrap, seed).unwrap();
            prop_assert_eq!(found.difference(0, 1, metric).unwrap(), difference);
        }
    }

    /// Ends are ordered, the same seed gives the same interval, and swapping the models mirrors it.
    #[test]
    fn intervals_are_ordered_reproducible_and_antisymmetric(
        values in prop::collection::vec((-5.0..5.0_f64, -5.0..5.0_f64), 1..30),
        seed in any::<u64>(), level in 0.5..0.99_f64,
    ) {
        let (a, b): (Vec<f64>, Vec<f64>) = values.into_iter().unzip();
        let bootstrap = replicates(60).with_level(level);
        let run = |a: &[f64], b: &[f64]| {
            bootstrap.paired(a.len(), seed, |rows| mean(a, rows), |rows| mean(b, rows)).unwrap()
        };
        let interval = run(&a, &b);
        prop_assert!(interval.low <= interval.high);
        prop_assert_eq!(run(&a, &b), interval);
        let mirror = run(&b, &a);
        prop_assert!((mirror.low + interval.high).abs() < 1e-9 && (mirror.high + interval.low).abs() < 1e-9);
        prop_assert_eq!(mirror.estimate, -interval.estimate);
    }
}

#[test]
fn resamplers_say_what_they_cannot_measure() {
    let arms = Arms::new(&[-1.0, 2.0, 3.0]).unwrap().with_scores(&[0.1, 0.2, 0.3]).unwrap();
    let mut resampler = arms.resampler();
    assert_eq!(resampler.measure(&[1, 2, 0], &[0, 0], &[Metric::Spearman]).unwrap(), [1.0, 1.0]);
    assert!(resampler.measure(&[0, 0, 0], &[0], &[Metric::Spearman]).unwrap()[0].is_nan());
    let mut refused =
        |counts: &[u32], arm: usize, metric| resampler.measure(counts, &[arm], &[metric]).unwrap_err();
    assert!(matches!(refused(&[1, 2], 0, Metric::Spearman), Error::LengthMismatch { .. }));
    assert!(matches!(refused(&[1, 2, 0], 1, Metric::Spearman), Error::NotMeasured { arm: 1, .. }));
    assert!(matches!(refused(&[1, 2, 0], 0, Metric::NormalisedGini), Error::NegativeOutcome { row: 0, .. }));
}

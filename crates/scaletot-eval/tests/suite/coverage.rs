//! Chance is called a difference about as often as the level says, however few users tell something.

use rand::seq::SliceRandom;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use scaletot_eval::uplift::{Experiment, Propensity, Targeting};
use scaletot_eval::{Arms, Bootstrap, Interval, Metric, Shortage, Verdict};

const RANKING: [Metric; 4] =
    [Metric::Spearman, Metric::NormalisedGini, Metric::AucOfPositive, Metric::TopDecileShare];

fn replicates(replicates: usize) -> Bootstrap {
    Bootstrap::default().with_replicates(replicates)
}

/// Standard normal, by a sum of uniforms.
fn normal(rng: &mut impl Rng) -> f64 {
    (0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.0
}

/// Scores that know nothing.
fn random_scores(users: usize, rng: &mut impl Rng) -> Vec<f64> {
    let mut scores: Vec<f64> = (0..users).map(|user| user as f64).collect();
    scores.shuffle(rng);
    scores
}

/// So many first users with amounts of that spread (0: all alike), all others with 0.
fn payers(users: usize, payers: usize, spread: f64, rng: &mut impl Rng) -> Vec<f64> {
    (0..users).map(|user| if user < payers { (spread * normal(rng)).exp() } else { 0.0 }).collect()
}

/// In how many of `sets` data sets two random scores are called different, by metric.
fn called_different(sets: u64, users: usize, count: usize, spread: f64) -> [usize; 4] {
    let mut shown = [0; 4];
    for set in 0..sets {
        let mut rng = ChaCha8Rng::seed_from_u64(1_000 * count as u64 + set);
        let outcomes = payers(users, count, spread, &mut rng);
        let arms = Arms::new(&outcomes).unwrap().with_scores(&random_scores(users, &mut rng)).unwrap();
        let arms = arms.with_scores(&random_scores(users, &mut rng)).unwrap();
        let found = replicates(100).measure(&arms, &RANKING, set).unwrap();
        for (shown, metric) in shown.iter_mut().zip(RANKING) {
            *shown += usize::from(found.difference(0, 1, metric).unwrap().verdict().is_shown());
        }
    }
    shown
}

/// Data sets of a simulation.
const SETS: u64 = 50;
/// 5 % of them, and three standard deviations of what so many can tell.
const MOST: usize = 7;

#[test]
fn random_scores_are_called_different_about_as_often_as_the_level_says() {
    for count in [1, 2, 3, 5, 8] {
        assert_eq!(called_different(10, 100, count, 0.0), [0; 4], "{count} payers of 100");
    }
    for (count, spread) in [(10, 0.0), (50, 0.0)] {
        let shown = called_different(SETS, 100, count, spread);
        assert!(shown.iter().all(|&shown| shown <= MOST), "{count} payers of 100: {shown:?} of {SETS}");
    }
}

#[test]
fn few_who_have_all_the_value_are_few() {
    // Amounts so different that of 15 payers two or three matter.
    let shown = called_different(SETS, 100, 15, 2.0);
    assert!(shown.iter().all(|&shown| shown <= MOST), "{shown:?} of {SETS}");

    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let mut outcomes = payers(200, 60, 0.0, &mut rng);
    outcomes[0] = 1e6;
    let perfect = outcomes.clone();
    let blind = random_scores(200, &mut rng);
    let compare = |metric: Metric| metric.compare(&outcomes, &perfect, &blind, &replicates(200), 1).unwrap();
    assert_eq!(compare(Metric::NormalisedGini).verdict(), Verdict::TooLittleData);
    assert_eq!(compare(Metric::TopDecileShare).verdict(), Verdict::TooLittleData);
    // Who pays at all is known of 60.
    assert!(compare(Metric::AucOfPositive).verdict().is_shown());
    assert!(compare(Metric::Spearman).verdict().is_shown());
}

#[test]
fn few_of_the_rarer_class_are_few() {
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    let outcomes = payers(200, 195, 1.0, &mut rng);
    let blind = random_scores(200, &mut rng);
    let compare = |metric: Metric| metric.compare(&outcomes, &outcomes, &blind, &replicates(200), 1).unwrap();
    let auc = compare(Metric::AucOfPositive);
    assert_eq!(auc.interval.shortage(), Some(Shortage::Informative { found: 5 }));
    assert!(auc.in_words("a", "b").contains("with 5 informative users"), "{}", auc.in_words("a", "b"));
    assert!(compare(Metric::Spearman).verdict().is_shown());
}

#[test]
fn one_payer_shows_no_difference_and_the_sentence_tells_why() {
    let mut outcomes = vec![0.0; 200];
    outcomes[0] = 50.0;
    let score =
        |rank: f64| (0..200).map(|user| if user == 0 { rank + 0.5 } else { f64::from(user) }).collect();
    let (a, b): (Vec<f64>, Vec<f64>) = (score(139.0), score(99.0));
    for metric in RANKING {
        let found = metric.compare(&outcomes, &a, &b, &replicates(2_000), 0).unwrap();
        assert_eq!(found.verdict(), Verdict::TooLittleData, "{metric}");
        assert_eq!((found.positives, found.interval.informative), (1, Some(1)), "{metric}");
        let words = found.in_words("A", "B");
        let why =
            "no difference can be shown between A and B with 1 positive outcome (at least 10 are needed)";
        let undefined = found.interval.undefined;
        let share = format!("on {undefined} of which ({:.1} %) it is undefined", undefined as f64 / 20.0);
        assert!(words.contains(why) && words.contains(&share), "{words}");
    }
}

#[test]
fn what_many_payers_show_is_still_shown() {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    for count in [12, 50, 150] {
        let outcomes = payers(200, count, 0.5, &mut rng);
        let good: Vec<f64> = outcomes.iter().map(|outcome| outcome + 0.3 * normal(&mut rng)).collect();
        let blind = random_scores(200, &mut rng);
        for metric in [Metric::Spearman, Metric::NormalisedGini, Metric::AucOfPositive] {
            let found = metric.compare(&outcomes, &good, &blind, &replicates(300), 1).unwrap();
            assert!(found.verdict().is_shown(), "{}", found.in_words("good", "blind"));
            assert_eq!((found.positives, found.interval.undefined), (count, 0));
        }
    }
}

#[test]
fn a_metric_of_the_callers_that_is_undefined_on_many_resamples_shows_nothing() {
    // The mean outcome of the two who were treated, of 60: undefined where neither is drawn.
    let of = |rows: &[usize], value: f64| {
        let treated = rows.iter().filter(|&&row| row < 2).count();
        if treated == 0 { f64::NAN } else { value }
    };
    let interval = replicates(500).paired(60, 1, |rows| of(rows, 3.0), |_| 1.0).unwrap();
    assert_eq!((interval.low, interval.high), (2.0, 2.0));
    assert!(matches!(interval.shortage(), Some(Shortage::Undefined { replicates: 500, .. })));
    assert_eq!(interval.verdict(true), Verdict::TooLittleData);
    // A mean over three users.
    let interval = replicates(500).interval(3, 1, |rows| rows.len() as f64).unwrap();
    assert_eq!(interval.verdict(true), Verdict::TooLittleData);
    // What a caller counted.
    let counted = Interval { informative: Some(4), ..replicates(500).interval(60, 1, |_| 1.0).unwrap() };
    assert_eq!(counted.shortage(), Some(Shortage::Informative { found: 4 }));
    assert_eq!(counted.shortage().unwrap().to_string(), "with 4 informative users (at least 10 are needed)");
}

/// In how many of `sets` experiments without any effect a policy, a comparison of two and a Qini curve show something.
fn effects_shown(
    sets: u64,
    users: usize,
    share: f64,
    outcome: impl Fn(&mut ChaCha8Rng) -> f64,
) -> [usize; 3] {
    let mut shown = [0; 3];
    for set in 0..sets {
        let mut rng = ChaCha8Rng::seed_from_u64(set);
        let treated: Vec<bool> = (0..users).map(|user| user % 2 == 0).collect();
        let outcomes: Vec<f64> = (0..users).map(|_| outcome(&mut rng)).collect();
        let experiment = Experiment::new(&treated, &outcomes, Propensity::Constant(0.5)).unwrap();
        let (a, b) = (random_scores(users, &mut rng), random_scores(users, &mut rng));
        let (targeting, bootstrap) = (Targeting::top(share), replicates(100));
        // A top share without users of either arm has no value at all.
        let policy =
            experiment.policy_interval(&a, &targeting, &bootstrap, set).map(|found| found.incremental);
        let compared = experiment.compare(&a, &b, &targeting, &bootstrap, set).map(|found| found.interval);
        let qini = experiment.qini_interval(&a, &bootstrap, set);
        for (shown, interval) in shown.iter_mut().zip([policy, compared, qini]) {
            *shown += usize::from(interval.is_ok_and(|interval| interval.verdict(true).is_shown()));
        }
    }
    shown
}

#[test]
fn an_experiment_with_few_users_per_arm_or_few_events_shows_no_effect() {
    let few_per_arm = effects_shown(10, 18, 0.5, normal);
    assert_eq!(few_per_arm, [0; 3]);
    let few_in_the_top = effects_shown(10, 100, 0.1, normal);
    assert_eq!(few_in_the_top[..2], [0; 2]);
    let rare =
        |probability: f64| move |rng: &mut ChaCha8Rng| f64::from(u8::from(rng.random::<f64>() < probability));
    assert_eq!(effects_shown(10, 200, 0.5, rare(0.01)), [0; 3]);
    for shown in [effects_shown(SETS, 60, 0.5, normal), effects_shown(SETS, 100, 0.5, rare(0.3))] {
        assert!(shown.iter().all(|&shown| shown <= MOST), "{shown:?} of {SETS}");
    }
}

#[test]
fn a_policy_that_few_users_decide_says_so() {
    let treated: Vec<bool> = (0..200).map(|user| user % 2 == 0).collect();
    // Three treated users bought something.
    let outcomes: Vec<f64> =
        (0..200).map(|user| if [0, 2, 4].contains(&user) { 30.0 } else { 0.0 }).collect();
    let experiment = Experiment::new(&treated, &outcomes, Propensity::Constant(0.5)).unwrap();
    let (first, last): (Vec<f64>, Vec<f64>) =
        (0..200).map(|user| (-f64::from(user), f64::from(user))).unzip();
    let found = experiment.compare(&first, &last, &Targeting::top(0.3), &replicates(300), 1).unwrap();
    let words = found.in_words("first", "last");
    assert_eq!(found.verdict(), Verdict::TooLittleData);
    assert!(
        words.contains("no difference can be shown between first and last with 3 informative users"),
        "{words}"
    );
    let policy = experiment.policy_interval(&first, &Targeting::top(0.3), &replicates(300), 1).unwrap();
    assert_eq!((policy.incremental.informative, policy.value.informative), (Some(3), Some(3)));
    assert_eq!(experiment.qini_interval(&first, &replicates(300), 1).unwrap().informative, Some(3));
}

//! The outcome model over all states: what its fit maximises, users left out, segments, amounts, cost.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use scaletot_osipo::Error;
use scaletot_osipo::evidence::{ChainRow, ChainSet, Label, PolicyTable};
use scaletot_osipo::reward::{OutcomeFit, OutcomeKind, OutcomeModel, OutcomeModelConfig};

/// An outcome, a segment, and the posterior of the chains.
type User = (f64, usize, Vec<f64>);

fn table(users: &[User]) -> PolicyTable {
    let mut table = PolicyTable::default();
    for (outcome, segment, q) in users {
        let row: Vec<f32> = q.iter().map(|q| q.ln() as f32).collect();
        table
            .push(Label { outcome: *outcome, segment: *segment }, ChainRow { chains: None, log_probs: &row });
    }
    table
}

fn fit(chains: &ChainSet, users: &[User], config: &OutcomeModelConfig) -> OutcomeFit {
    OutcomeModel::fit(chains, &table(users), config).unwrap()
}

fn tiers(count: usize) -> OutcomeModelConfig {
    OutcomeModelConfig::default().with_kind(OutcomeKind::Tiers { count }).with_ridge(3.0)
}

fn amounts() -> OutcomeModelConfig {
    OutcomeModelConfig::default().with_kind(OutcomeKind::ZeroInflatedLogNormal).with_ridge(3.0)
}

fn users() -> impl Strategy<Value = (ChainSet, Vec<User>)> {
    prop::collection::vec(2_usize..4, 1..4).prop_flat_map(|sizes| {
        let chains = ChainSet::all(sizes).unwrap();
        let outcome = prop_oneof![2 => Just(0.0), 3 => (1_i32..40).prop_map(f64::from)];
        let q = prop::collection::vec(0.01_f64..1.0, chains.len()).prop_map(|q| {
            let sum: f64 = q.iter().sum();
            q.into_iter().map(|q| q / sum).collect::<Vec<f64>>()
        });
        let user = (outcome, 0_usize..4, q);
        prop::collection::vec(user, 2..30).prop_map(move |mut users| {
            users[0].0 = 5.0;
            (chains.clone(), users)
        })
    })
}

/// `ln p̂(t|g)` by its formula.
fn level(users: &[User], model: &OutcomeModel, segment: usize) -> Vec<f64> {
    let (count, s) = (model.tiers().count(), model.config().segment_strength);
    let n = |g: Option<usize>, t: usize| {
        let fits = |user: &&User| g.is_none_or(|g| g == user.1) && model.tiers().tier(user.0) == t;
        users.iter().filter(fits).count() as f64
    };
    let all = users.len() as f64;
    let own = users.iter().filter(|user| user.1 == segment).count() as f64;
    let everybody = |t| (n(None, t) + s / count as f64) / (all + s);
    (0..count).map(|t| ((n(Some(segment), t) + s * everybody(t)) / (own + s)).ln()).collect()
}

/// `ln p(t | c, g)` by its formula, from effects.
fn log_probs(chains: &ChainSet, effects: &[f64], level: &[f64], chain: usize) -> Vec<f64> {
    let mut logits = level.to_vec();
    let mut first = 0;
    for (&value, &size) in chains.chain(chain).iter().zip(chains.sizes()) {
        for (t, logit) in logits.iter_mut().enumerate() {
            *logit += effects[(first + value) * level.len() + t];
        }
        first += size;
    }
    let sum: f64 = logits.iter().map(|x| x.exp()).sum();
    logits.iter().map(|x| x - sum.ln()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Rewards are what the formula says, and the effects are the maximum of the penalised log-likelihood: its slope is 0.
    #[test]
    fn the_fit_is_the_maximum_of_its_formula((chains, users) in users(), count in 2_usize..5) {
        let fit = fit(&chains, &users, &tiers(count));
        let model = fit.model();
        let t_count = model.tiers().count();
        let mut slope: Vec<f64> = model.effects().iter().map(|b| -3.0 * b).collect();
        for (outcome, segment, q) in &users {
            let level = level(&users, model, *segment);
            let tier = model.tiers().tier(*outcome);
            let rewards = model.rewards(&chains, Label { outcome: *outcome, segment: *segment }).unwrap();
            for (chain, q) in q.iter().enumerate() {
                let p = log_probs(&chains, model.effects(), &level, chain);
                prop_assert!((rewards[chain] - (p[tier] - level[tier])).abs() < 1e-9);
                let mut first = 0;
                for (&value, &size) in chains.chain(chain).iter().zip(chains.sizes()) {
                    for t in 0..t_count {
                        slope[(first + value) * t_count + t] += q * (f64::from(u8::from(t == tier)) - p[t].exp());
                    }
                    first += size;
                }
            }
        }
        // Rows are kept in f32.
        prop_assert!(slope.iter().all(|s| s.abs() < 1e-4), "{:?}", slope);
    }

    /// Probabilities of all tiers sum to 1 whatever the chain, so that rewards are log-ratios of distributions.
    #[test]
    fn outcomes_of_all_tiers_have_probability_one((chains, users) in users()) {
        let fit = fit(&chains, &users, &tiers(4));
        let model = fit.model();
        let outcomes: Vec<f64> =
            std::iter::once(0.0).chain([0.5]).chain(model.tiers().cuts().iter().copied()).collect();
        prop_assert_eq!(outcomes.len(), model.tiers().count());
        for segment in [0, 1, 99] {
            let level = level(&users, model, segment);
            for chain in 0..chains.len() {
                let sum: f64 = outcomes.iter().enumerate().map(|(tier, &outcome)| {
                    let rewards = model.rewards(&chains, Label { outcome, segment }).unwrap();
                    (rewards[chain] + level[tier]).exp()
                }).sum();
                prop_assert!((sum - 1.0).abs() < 1e-9, "{}", sum);
            }
        }
    }

    /// The order of users and the names of segments do not matter; nor does a row that names its chains.
    #[test]
    fn order_and_names_do_not_matter(
        (chains, users, order) in users().prop_flat_map(|(chains, users)| {
            let order = Just((0..users.len()).collect::<Vec<_>>()).prop_shuffle();
            (Just(chains), Just(users), order)
        }),
        positive in any::<bool>(),
    ) {
        let config = if positive { amounts() } else { tiers(4) };
        let moved: Vec<User> =
            order.iter().map(|&at| (users[at].0, 500 - users[at].1, users[at].2.clone())).collect();
        let (a, b) = (fit(&chains, &users, &config), fit(&chains, &moved, &config));
        let backwards: Vec<usize> = (0..chains.len()).rev().collect();
        let mut named = PolicyTable::default();
        for (outcome, segment, q) in &users {
            let row: Vec<f32> = backwards.iter().map(|&chain| q[chain].ln() as f32).collect();
            let label = Label { outcome: *outcome, segment: *segment };
            named.push(label, ChainRow { chains: Some(&backwards), log_probs: &row });
        }
        let c = OutcomeModel::fit(&chains, &named, &config).unwrap();
        for (outcome, segment, _) in &users {
            let of = |fit: &OutcomeFit, segment| {
                fit.model().rewards(&chains, Label { outcome: *outcome, segment }).unwrap()
            };
            let expected = of(&a, *segment);
            for found in [of(&b, 500 - segment), of(&c, *segment)] {
                prop_assert!(found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-6));
            }
        }
    }

    #[test]
    fn a_stored_model_gives_the_same_and_a_spoilt_one_is_refused((chains, users) in users()) {
        for config in [tiers(3), amounts()] {
            let model = fit(&chains, &users, &config).into_model();
            let json = serde_json::to_value(&model).unwrap();
            prop_assert_eq!(&serde_json::from_value::<OutcomeModel>(json.clone()).unwrap(), &model);
            for (place, value) in [
                ("/sizes/0", 1_000_000_000_u64.into()),
                ("/sizes", serde_json::json!([u64::MAX, 2])),
                ("/effects", serde_json::json!([])),
                ("/means", serde_json::json!([-1.0])),
                ("/levels/kinds", serde_json::json!([])),
                ("/levels/segments", serde_json::json!({"0": 99})),
                ("/levels/all/0", (-1.0).into()),
                ("/levels/strength", 0.0.into()),
                ("/config/ridge", 0.0.into()),
                ("/amount", if model.config().kind == OutcomeKind::ZeroInflatedLogNormal {
                    serde_json::Value::Null
                } else {
                    serde_json::json!({"means": {"strength": 1.0, "all": [0.0, 0.0], "segments": {}}, "effects": [],
                        "users": 0.0, "residuals": 0.0, "squares": 0.0})
                }),
            ] {
                let mut json = json.clone();
                *json.pointer_mut(place).unwrap() = value;
                prop_assert!(serde_json::from_value::<OutcomeModel>(json).is_err(), "{}", place);
            }
        }
    }

    /// Nothing is NaN or infinite, in sample, left out, or for outcomes that nobody had.
    #[test]
    fn rewards_and_values_are_finite((chains, users) in users(), positive in any::<bool>()) {
        let config = if positive { amounts() } else { tiers(4) }.with_ridge(1e-6).with_segment_strength(1e-9);
        let fit = fit(&chains, &users, &config);
        for (outcome, segment, q) in &users {
            let row: Vec<f32> = q.iter().map(|q| q.ln() as f32).collect();
            let label = Label { outcome: *outcome, segment: *segment };
            let row = ChainRow { chains: None, log_probs: &row };
            prop_assert!(fit.rewards_without(&chains, label, row).unwrap().iter().all(|r| r.is_finite()));
        }
        for outcome in [0.0, f64::MIN_POSITIVE, 1e300, f64::MAX] {
            let rewards = fit.model().rewards(&chains, Label { outcome, segment: 77 }).unwrap();
            prop_assert!(rewards.iter().all(|r| r.is_finite()), "{:?}", rewards);
        }
        let values = fit.model().expected(&chains, 0).unwrap();
        prop_assert!(values.iter().all(|value| value.is_finite() && *value >= 0.0), "{:?}", values);
    }
}

/// Synthetic users whose chains are known but for some doubt, and decide the outcome; two segments of unlike levels.
fn informed(n: usize) -> (ChainSet, Vec<User>) {
    let chains = ChainSet::all(vec![2, 3]).unwrap();
    let users = (0..n)
        .map(|user| {
            let chain = (user * 5 + user / 7) % 6;
            let q = (0..6).map(|c| if c == chain { 0.8 } else { 0.04 }).collect();
            let luck = (user * 2_654_435_761 % 1_000) as f64 / 1_000.0;
            let (first, second) = (chain / 3, chain % 3);
            let level = 0.3 * first as f64 + 0.25 * second as f64 + if user % 2 == 0 { 0.1 } else { -0.1 };
            let outcome = if luck < level { 1.0 + 40.0 * luck * (1 + second) as f64 } else { 0.0 };
            (outcome, user % 2, q)
        })
        .collect();
    (chains, users)
}

/// The approximation against a fit that never saw the user, whose tiers are the same.
#[test]
fn a_user_left_out_is_judged_as_by_a_fit_without_it() {
    let (chains, users) = informed(60);
    for config in [tiers(2), tiers(2).with_ridge(0.5), amounts()] {
        let all = fit(&chains, &users, &config);
        let (mut worst, mut moved) = (0.0_f64, 0.0_f64);
        for (user, (outcome, segment, q)) in users.iter().enumerate() {
            let label = Label { outcome: *outcome, segment: *segment };
            let row: Vec<f32> = q.iter().map(|q| q.ln() as f32).collect();
            let row = ChainRow { chains: None, log_probs: &row };
            let found = all.rewards_without(&chains, label, row).unwrap();
            let mut others = users.clone();
            others.remove(user);
            let expected = fit(&chains, &others, &config).into_model().rewards(&chains, label).unwrap();
            let with = all.model().rewards(&chains, label).unwrap();
            for ((found, expected), with) in found.iter().zip(&expected).zip(&with) {
                worst = worst.max((found - expected).abs());
                moved = moved.max((with - expected).abs());
            }
        }
        assert!(moved > 0.05, "leaving out matters: {moved}");
        assert!(worst < 0.15 * moved, "{worst} of {moved}, {config:?}");
    }
}

/// A user alone with a value learns nothing from itself.
#[test]
fn ones_own_outcome_is_no_evidence_for_oneself() {
    let chains = ChainSet::all(vec![2]).unwrap();
    let mut users: Vec<User> = (0..30).map(|user| (f64::from(user % 3), 0, vec![1.0, 0.0])).collect();
    users.push((50.0, 0, vec![0.0, 1.0]));
    for config in [tiers(2).with_ridge(0.1), amounts().with_ridge(0.1)] {
        let fit = fit(&chains, &users, &config);
        let label = Label { outcome: 50.0, segment: 0 };
        let row = ChainRow { chains: Some(&[1]), log_probs: &[0.0] };
        let with = fit.model().rewards(&chains, label).unwrap()[1];
        let without = fit.rewards_without(&chains, label, row).unwrap()[0];
        assert!(without.abs() < 0.25 * with.abs() + 0.05, "{without} {with} {config:?}");
    }
}

#[test]
fn every_state_counts_and_not_the_last_alone() {
    let (chains, users) = informed(3_000);
    for config in [tiers(4), amounts()] {
        let model = fit(&chains, &users, &config).into_model();
        let value = model.expected(&chains, 0).unwrap();
        for second in 0..3 {
            assert!(value[3 + second] > 1.2 * value[second], "the first state: {value:?}");
        }
        for first in 0..2 {
            assert!(value[3 * first + 2] > 1.2 * value[3 * first], "the second: {value:?}");
        }
        let other = model.expected(&chains, 1).unwrap();
        assert!(value.iter().zip(&other).all(|(a, b)| a > b), "the segment: {value:?} {other:?}");
    }
}

/// With a strong ridge, or chains that tell nothing, the reward is 0: the segment's level alone is left.
#[test]
fn chains_that_say_nothing_have_no_reward() {
    let (chains, mut users) = informed(200);
    users.iter_mut().for_each(|user| user.2 = vec![1.0 / 6.0; 6]);
    for config in [tiers(4), amounts()] {
        let model = fit(&chains, &users, &config).into_model();
        for (outcome, segment, _) in &users {
            let label = Label { outcome: *outcome, segment: *segment };
            let rewards = model.rewards(&chains, label).unwrap();
            let spread = rewards.iter().fold(0.0_f64, |most, r| most.max((r - rewards[0]).abs()));
            assert!(spread < 1e-6 && rewards[0].abs() < 0.1, "{rewards:?}");
        }
    }
    let (chains, users) = informed(200);
    for config in [tiers(4).with_ridge(1e12), amounts().with_ridge(1e12)] {
        let model = fit(&chains, &users, &config).into_model();
        let rewards = model.rewards(&chains, Label { outcome: 12.0, segment: 0 }).unwrap();
        assert!(rewards.iter().all(|r| r.abs() < 1e-6), "{rewards:?}");
    }
}

/// A small segment is near everybody, a large one has its own level.
#[test]
fn levels_of_segments_are_shrunken_to_everybodys() {
    let chains = ChainSet::all(vec![2]).unwrap();
    let user = |outcome, segment| (outcome, segment, vec![0.5, 0.5]);
    let mut users: Vec<User> = (0..400).map(|at| user(if at % 4 == 0 { 10.0 } else { 0.0 }, 0)).collect();
    users.extend((0..400).map(|_| user(10.0, 1)));
    users.push(user(10.0, 2));
    for config in [tiers(2), amounts()] {
        let model = fit(&chains, &users, &config).into_model();
        let of = |segment| model.expected(&chains, segment).unwrap()[0];
        let (low, high, small, none) = (of(0), of(1), of(2), of(99));
        assert!(low < none && none < small && small < high, "{low} {none} {small} {high}");
        assert!(small - none < high - small, "{none} {small} {high}");
    }
}

#[test]
fn users_in_as_many_segments_take_no_more_time_than_in_one() {
    let chains = ChainSet::all(vec![4, 4]).unwrap();
    let time = |segments: usize| {
        let users: Vec<User> = (0..20_000)
            .map(|user| {
                let q = (0..16).map(|c| if c == user % 16 { 0.7 } else { 0.02 }).collect();
                ((user % 5) as f64, user % segments, q)
            })
            .collect();
        let table = table(&users);
        let begun = Instant::now();
        let fit = OutcomeModel::fit(&chains, &table, &tiers(4)).unwrap();
        let label = Label { outcome: 3.0, segment: 7 };
        assert!(fit.model().rewards(&chains, label).unwrap()[0].is_finite());
        begun.elapsed()
    };
    let one = time(1).min(time(1));
    // A table of segments and chains, or a sum over segments for each user, would take thousands of times as long.
    for segments in [100, 20_000] {
        let many = time(segments).min(time(segments));
        assert!(many < 10 * one + Duration::from_millis(50), "{segments} segments: {many:?}, one: {one:?}");
    }
}

#[test]
fn what_cannot_be_fitted_is_an_error() {
    let chains = ChainSet::all(vec![2]).unwrap();
    let user = |outcome| (outcome, 0, vec![0.5, 0.5]);
    let fit = |users: &[User], config: &OutcomeModelConfig| OutcomeModel::fit(&chains, &table(users), config);
    assert!(matches!(fit(&[], &tiers(3)), Err(Error::NoLabelled { .. })));
    assert!(matches!(fit(&[user(0.0)], &tiers(3)), Err(Error::Empty { .. })));
    for outcome in [-1.0, f64::NAN, f64::INFINITY] {
        assert!(matches!(
            fit(&[user(1.0), user(outcome)], &amounts()),
            Err(Error::InvalidValue { row: 1, .. })
        ));
    }
    let segment = (1.0, usize::MAX, vec![0.5, 0.5]);
    assert!(matches!(fit(&[segment], &tiers(3)), Err(Error::OutOfRange { .. })));
    for config in [
        tiers(1),
        tiers(2_000),
        tiers(3).with_ridge(0.0),
        tiers(3).with_ridge(f64::NAN),
        tiers(3).with_segment_strength(0.0),
    ] {
        assert!(matches!(fit(&[user(1.0)], &config), Err(Error::Config(_))), "{config:?}");
    }
    let wide = ChainSet::new(vec![2_000], vec![vec![0]]).unwrap();
    let users = table(&[(1.0, 0, vec![1.0])]);
    assert!(matches!(OutcomeModel::fit(&wide, &users, &tiers(2)), Err(Error::Config(_))));
    let model = fit(&[user(1.0), user(0.0)], &tiers(2)).unwrap();
    assert!(matches!(model.model().expected(&wide, 0), Err(Error::Shape { .. })));
    assert!(model.model().rewards(&chains, Label { outcome: -1.0, segment: 0 }).is_err());
    let row = ChainRow { chains: None, log_probs: &[0.0] };
    assert!(model.rewards_without(&chains, Label { outcome: 1.0, segment: 0 }, row).is_err());
    let json = r#"{"ridge": 1.0, "epoch": 5}"#;
    assert!(serde_json::from_str::<OutcomeModelConfig>(json).unwrap_err().to_string().contains("`epoch`"));
}

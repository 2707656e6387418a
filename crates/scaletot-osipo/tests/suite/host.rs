//! Advantages and rewards: invariants of the host side.

use approx::assert_relative_eq;
use proptest::prelude::*;
use scaletot_osipo::Error;
use scaletot_osipo::advantage::{SegmentMoments, SegmentReward, standardise};
use scaletot_osipo::reward::{OutcomeReward, OutcomeRewardConfig, TierAgreement, Tiers, UserOutcome};

fn outcomes(len: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Option<f64>>> {
    let outcome = prop_oneof![3 => Just(0.0), 2 => (1_i32..20).prop_map(f64::from), 2 => 0.01..1e4_f64];
    prop::collection::vec(prop::option::weighted(0.85, outcome), len).prop_map(|mut outcomes| {
        outcomes[0] = Some(3.0);
        outcomes
    })
}

fn of(rewards: &[Option<f64>], segments: &[usize]) -> Vec<SegmentReward> {
    let pairs = rewards.iter().zip(segments);
    pairs.map(|(&reward, &segment)| SegmentReward { segment, reward }).collect()
}

fn users<'a, S: AsRef<[f64]>>(
    outcomes: &[Option<f64>],
    segments: &[usize],
    states: &'a [S],
) -> Vec<UserOutcome<'a>> {
    let user = |((&outcome, &segment), state): ((_, _), &'a S)| UserOutcome {
        outcome,
        segment,
        state: state.as_ref(),
    };
    outcomes.iter().zip(segments).zip(states).map(user).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Without shrinkage every segment with some spread has mean 0 and variance 1; without spread, all zeros.
    #[test]
    fn segments_are_standardised(
        rows in prop::collection::vec((0_usize..4, -50.0..50.0_f64), 1..40),
    ) {
        let segments: Vec<usize> = rows.iter().map(|row| row.0).collect();
        let rewards: Vec<Option<f64>> = rows.iter().map(|row| Some(row.1)).collect();
        let advantages = standardise(&of(&rewards, &segments), 0.0).unwrap();
        for segment in 0..4 {
            let own: Vec<f64> =
                (0..rows.len()).filter(|&i| segments[i] == segment).map(|i| advantages[i].unwrap()).collect();
            if own.is_empty() {
                continue;
            }
            let n = own.len() as f64;
            let mean = own.iter().sum::<f64>() / n;
            let variance = own.iter().map(|a| a * a).sum::<f64>() / n;
            prop_assert!(mean.abs() < 1e-9);
            let expected = if own.len() == 1 { 0.0 } else { 1.0 };
            prop_assert!((variance - expected).abs() < 1e-9 || own.iter().all(|&a| a == 0.0));
        }
    }

    /// The more shrinkage, the closer a segment's moments are to the global ones; in the limit they are those.
    #[test]
    fn shrinkage_moves_towards_the_population(
        rows in prop::collection::vec((0_usize..3, -5.0..5.0_f64), 2..30),
    ) {
        let segments: Vec<usize> = rows.iter().map(|row| row.0).collect();
        let rewards: Vec<Option<f64>> = rows.iter().map(|row| Some(row.1)).collect();
        let mut last = [f64::INFINITY; 3];
        for kappa in [0.0, 1.0, 10.0, 1e3, 1e12] {
            let moments = SegmentMoments::fit(&of(&rewards, &segments), kappa).unwrap();
            for (segment, last) in last.iter_mut().enumerate() {
                let away = (moments.of(segment).mean - moments.global().mean).abs();
                prop_assert!(away <= *last + 1e-12);
                *last = away;
            }
            if kappa == 1e12 {
                prop_assert!(last.iter().all(|&away| away < 1e-9));
                for segment in 0..3 {
                    prop_assert!((moments.of(segment).std - moments.global().std).abs() < 1e-9);
                }
            }
        }
    }

    /// Rescaling and shifting all rewards does not change advantages; neither does the order of rows. Nothing is
    /// NaN, and unlabelled rows stay unlabelled.
    #[test]
    fn advantages_are_invariant(
        rows in prop::collection::vec((0_usize..4, prop::option::weighted(0.8, -3_i32..4)), 1..30),
        scale in 0.1..10.0_f64, offset in -10.0..10.0_f64, kappa in 0.0..20.0_f64,
    ) {
        prop_assume!(rows.iter().any(|row| row.1.is_some()));
        let segments: Vec<usize> = rows.iter().map(|row| row.0).collect();
        let rewards: Vec<Option<f64>> = rows.iter().map(|row| row.1.map(f64::from)).collect();
        let before = standardise(&of(&rewards, &segments), kappa).unwrap();
        let moved: Vec<_> = rewards.iter().map(|r| r.map(|r| r * scale + offset)).collect();
        let after = standardise(&of(&moved, &segments), kappa).unwrap();
        let flip = |values: &[Option<f64>]| values.iter().rev().copied().collect::<Vec<_>>();
        let back: Vec<usize> = segments.iter().rev().copied().collect();
        let reversed = flip(&standardise(&of(&flip(&rewards), &back), kappa).unwrap());
        for (i, (a, b)) in before.iter().zip(&after).enumerate() {
            prop_assert_eq!(a.is_some(), rewards[i].is_some());
            if let (Some(a), Some(b), Some(c)) = (a, b, reversed[i]) {
                prop_assert!(a.is_finite());
                prop_assert!((a - b).abs() < 1e-6 && (a - c).abs() < 1e-9, "{} {} {}", a, b, c);
            }
        }
    }

    /// Equal rewards in one segment get bitwise equal advantages, so they tie; larger rewards get larger ones.
    #[test]
    fn advantages_keep_the_order_within_a_segment(
        rows in prop::collection::vec((0_usize..3, -4_i32..5), 2..40), kappa in 0.0..5.0_f64,
    ) {
        let segments: Vec<usize> = rows.iter().map(|row| row.0).collect();
        let rewards: Vec<Option<f64>> = rows.iter().map(|row| Some(f64::from(row.1) / 3.0)).collect();
        let advantages = standardise(&of(&rewards, &segments), kappa).unwrap();
        for i in 0..rows.len() {
            for j in 0..rows.len() {
                if segments[i] == segments[j] {
                    let (a, b) = (advantages[i].unwrap(), advantages[j].unwrap());
                    prop_assert_eq!(rewards[i].unwrap().total_cmp(&rewards[j].unwrap()), a.total_cmp(&b));
                }
            }
        }
    }

    /// Tiers are monotone in the outcome, zero is tier 0 alone, and every tier is inhabited by what it was fitted to.
    #[test]
    fn tiers_are_ordered_and_inhabited(outcomes in outcomes(1..60), count in 2_usize..7) {
        let tiers = Tiers::fit(&outcomes, count).unwrap();
        prop_assert!((2..=count).contains(&tiers.count()));
        let mut seen: Vec<f64> = outcomes.iter().copied().flatten().collect();
        seen.sort_by(f64::total_cmp);
        let of: Vec<usize> = seen.iter().map(|&o| tiers.tier(o)).collect();
        prop_assert!(of.is_sorted());
        prop_assert!(seen.iter().zip(&of).all(|(&o, &tier)| (o == 0.0) == (tier == 0)));
        prop_assert!((1..tiers.count()).all(|tier| of.contains(&tier)), "{:?} {:?}", tiers, of);
    }

    /// Rewards are finite, absent exactly for unlabelled users, and do not depend on the order of users.
    #[test]
    fn outcome_rewards_are_defined(
        outcomes in outcomes(2..25),
        seed in prop::collection::vec((0_usize..3, 0.0..1.0_f64), 25),
    ) {
        let n = outcomes.len();
        let segments: Vec<usize> = (0..n).map(|u| seed[u].0).collect();
        let states: Vec<[f64; 3]> =
            (0..n).map(|u| [seed[u].1, (1.0 - seed[u].1) / 2.0, f64::from(u as u32 % 2)]).collect();
        let tiers = Tiers::fit(&outcomes, 4).unwrap();
        let config = OutcomeRewardConfig::default();
        let fit = |o: &[Option<f64>], g: &[usize], s: &[[f64; 3]]| {
            OutcomeReward::fit(tiers.clone(), &users(o, g, s), &config).unwrap()
        };
        let reward = fit(&outcomes, &segments, &states);
        let rev = |u: usize| n - 1 - u;
        let turned = fit(
            &(0..n).map(|u| outcomes[rev(u)]).collect::<Vec<_>>(),
            &(0..n).map(|u| segments[rev(u)]).collect::<Vec<_>>(),
            &(0..n).map(|u| states[rev(u)]).collect::<Vec<_>>(),
        );
        for (u, outcome) in outcomes.iter().enumerate() {
            for v in 0..3 {
                let r = reward.reward(u, v).unwrap();
                prop_assert_eq!(r.is_some(), outcome.is_some());
                let Some(r) = r else { continue };
                prop_assert!(r.is_finite());
                prop_assert!((r - turned.reward(rev(u), v).unwrap().unwrap()).abs() < 1e-9);
            }
        }
    }

    /// Leave-one-out is literal: the reward of a user equals that of a stranger under a fit without the user.
    #[test]
    fn leave_one_out_equals_a_fit_without_the_user(
        outcomes in outcomes(3..20),
        seed in prop::collection::vec((0_usize..2, 0.0..1.0_f64), 20),
        pick in any::<prop::sample::Index>(),
    ) {
        let n = outcomes.len();
        let user = pick.index(n);
        prop_assume!(outcomes[user].is_some());
        prop_assume!(outcomes.iter().flatten().count() > 1);
        let segments: Vec<usize> = (0..n).map(|u| seed[u].0).collect();
        let states: Vec<[f64; 2]> = (0..n).map(|u| [seed[u].1, 1.0 - seed[u].1]).collect();
        let tiers = Tiers::fit(&outcomes, 3).unwrap();
        let config = OutcomeRewardConfig::default().with_segment_strength(2.0).with_state_strength(3.0);
        let full = OutcomeReward::fit(tiers.clone(), &users(&outcomes, &segments, &states), &config).unwrap();
        let mut without = outcomes.clone();
        without[user] = None;
        let without = OutcomeReward::fit(tiers, &users(&without, &segments, &states), &config).unwrap();
        for value in 0..2 {
            let left_out = full.reward(user, value).unwrap().unwrap();
            let stranger = without.reward_unseen(segments[user], outcomes[user].unwrap(), value).unwrap();
            prop_assert!((left_out - stranger).abs() < 1e-9, "{left_out} {stranger}");
        }
    }

    /// For a given stranger, averaging the likelihood ratio over all tiers under the segment's own histogram gives 1:
    /// both sides are distributions.
    #[test]
    fn both_sides_are_distributions(
        outcomes in outcomes(2..20), seed in prop::collection::vec(0.0..1.0_f64, 20),
    ) {
        let n = outcomes.len();
        let states: Vec<[f64; 2]> = (0..n).map(|u| [seed[u], 1.0 - seed[u]]).collect();
        let tiers = Tiers::fit(&outcomes, 3).unwrap();
        let a = 4.0;
        let config = OutcomeRewardConfig::default().with_segment_strength(a);
        let reward = OutcomeReward::fit(tiers.clone(), &users(&outcomes, &vec![0; n], &states), &config).unwrap();
        let labelled: Vec<f64> = outcomes.iter().copied().flatten().collect();
        let t = tiers.count();
        // p̂(t | g) by hand: one segment, so its prior is itself shrunken to uniform.
        let m = labelled.len() as f64;
        let counts = |tier| labelled.iter().filter(|&&o| tiers.tier(o) == tier).count() as f64;
        let p = |tier| (counts(tier) + a / t as f64) / (m + a);
        let p_segment = |tier| (counts(tier) + a * p(tier)) / (m + a);
        let representative = |tier: usize| match tier {
            0 => 0.0,
            1 => f64::MIN_POSITIVE,
            tier => tiers.cuts()[tier - 2],
        };
        for value in 0..2 {
            let total: f64 = (0..t)
                .map(|tier| {
                    let r = reward.reward_unseen(0, representative(tier), value).unwrap();
                    p_segment(tier) * r.exp()
                })
                .sum();
            prop_assert!((total - 1.0).abs() < 1e-9, "{total}");
        }
    }
}

#[test]
fn moments_are_shrunken_as_documented() {
    let rewards = [Some(0.0), Some(2.0), Some(10.0)];
    let moments = SegmentMoments::fit(&of(&rewards, &[0, 0, 1]), 2.0).unwrap();
    let (mean, variance) = (4.0, (16.0 + 4.0 + 36.0) / 3.0);
    assert_relative_eq!(moments.global().mean, mean);
    assert_relative_eq!(moments.global().std, f64::sqrt(variance), epsilon = 1e-12);
    assert_relative_eq!(moments.of(0).mean, (2.0 * 1.0 + 2.0 * mean) / 4.0);
    assert_relative_eq!(moments.of(0).std.powi(2), (2.0 * 1.0 + 2.0 * variance) / 4.0, epsilon = 1e-12);
    assert_relative_eq!(moments.of(1).mean, (10.0 + 2.0 * mean) / 3.0);
    assert_relative_eq!(moments.of(1).std.powi(2), 2.0 * variance / 3.0, epsilon = 1e-12);
    assert_eq!(moments.of(99), moments.global(), "an unknown segment has the population's");
}

#[test]
fn degenerate_rewards_are_defined_or_typed_errors() {
    // a segment of one, all equal, no labelled user
    assert_eq!(standardise(&of(&[Some(5.0)], &[0]), 0.0).unwrap(), [Some(0.0)]);
    assert_eq!(standardise(&of(&[Some(0.1); 3], &[0, 1, 1]), 3.0).unwrap(), [Some(0.0); 3]);
    assert!(matches!(
        standardise(&of(&[None, None], &[0, 1]), 1.0).unwrap_err(),
        Error::NoLabelled { what: "advantages", rows: 2 }
    ));
    assert!(standardise(&of(&[], &[]), 1.0).is_err());
    assert!(matches!(
        standardise(&of(&[Some(f64::NAN)], &[0]), 1.0),
        Err(Error::InvalidValue { row: 0, .. })
    ));
    assert!(matches!(standardise(&of(&[Some(1.0)], &[0]), -1.0), Err(Error::Config(_))));
    // A segment that has only unlabelled users has the population's moments.
    let moments = SegmentMoments::fit(&of(&[Some(1.0), Some(3.0), None], &[0, 0, 1]), 0.0).unwrap();
    assert_eq!(moments.of(1).mean, 2.0);
}

#[test]
fn tiers_reject_what_is_no_outcome() {
    assert!(matches!(Tiers::fit(&[Some(1.0)], 1), Err(Error::Config(_))));
    assert!(matches!(Tiers::fit(&[Some(-1.0)], 3), Err(Error::InvalidValue { row: 0, .. })));
    assert!(matches!(Tiers::fit(&[Some(1.0), Some(f64::NAN)], 3), Err(Error::InvalidValue { row: 1, .. })));
    assert!(matches!(Tiers::fit(&[None], 3), Err(Error::NoLabelled { .. })));
    assert!(matches!(Tiers::fit(&[Some(0.0)], 3), Err(Error::Empty { .. })));
    // all positive outcomes equal: zero and positive remain
    assert_eq!(Tiers::fit(&[Some(0.0), Some(7.0), Some(7.0)], 5).unwrap().count(), 2);
}

#[test]
fn tier_agreement_is_one_minus_the_distance() {
    let outcomes: Vec<Option<f64>> = (0..9).map(|o| Some(f64::from(o))).collect();
    let tiers = Tiers::fit(&outcomes, 5).unwrap();
    let same = TierAgreement::new(tiers.clone(), 5).unwrap();
    assert_eq!(same.reward(0.0, 0).unwrap(), 1.0);
    assert_eq!(same.reward(0.0, 4).unwrap(), 0.0);
    assert_eq!(same.reward(8.0, 3).unwrap(), 0.75);
    // three values on five tiers: the middle one is tier 2
    let coarse = TierAgreement::new(tiers.clone(), 3).unwrap();
    assert_eq!(tiers.tier(3.0), 2);
    assert_eq!(coarse.reward(3.0, 1).unwrap(), 1.0);
    assert!(coarse.reward(3.0, 3).is_err());
    assert!(coarse.reward(-3.0, 1).is_err());
    assert!(TierAgreement::new(tiers, 1).is_err());
}

#[test]
fn outcome_rewards_reject_what_does_not_fit() {
    let outcomes = [Some(1.0), None];
    let tiers = Tiers::fit(&outcomes, 2).unwrap();
    let config = OutcomeRewardConfig::default();
    let fit = |o: &[Option<f64>], g: &[usize], s: &[Vec<f64>]| {
        OutcomeReward::fit(tiers.clone(), &users(o, g, s), &config)
    };
    let states = [vec![1.0, 0.0], vec![0.5, 0.5]];
    let reward = fit(&outcomes, &[0, 0], &states).unwrap();
    assert_eq!(reward.reward(1, 0).unwrap(), None);
    // Nobody else is labelled, so there is nothing to learn about the first user.
    assert_eq!(reward.reward(0, 0).unwrap(), Some(0.0));
    assert!(matches!(reward.reward(2, 0), Err(Error::OutOfRange { .. })));
    assert!(matches!(reward.reward(0, 2), Err(Error::OutOfRange { .. })));
    assert!(reward.reward_unseen(0, f64::NAN, 0).is_err());
    assert!(reward.reward_unseen(7, 1.0, 0).unwrap().is_finite());
    assert!(matches!(fit(&outcomes, &[0, 0], &[vec![1.0, 0.0], vec![1.0]]), Err(Error::Shape { .. })));
    assert!(matches!(
        fit(&outcomes, &[0, 0], &[vec![0.0, 0.0], vec![1.0, 0.0]]),
        Err(Error::InvalidValue { row: 0, .. })
    ));
    assert!(matches!(fit(&[None, None], &[0, 0], &states), Err(Error::NoLabelled { .. })));
    let config = OutcomeRewardConfig::default().with_state_strength(0.0);
    assert!(OutcomeReward::fit(tiers.clone(), &users(&outcomes, &[0, 0], &states), &config).is_err());
}

#[test]
fn outcome_rewards_recover_a_planted_effect() {
    // Two segments; in each, state 2 means the top tier four times out of five, state 0 means zero.
    let (mut outcomes, mut segments, mut states) = (Vec::new(), Vec::new(), Vec::new());
    for u in 0..200_u32 {
        let state = (u % 3) as usize;
        let outcome = match (state, u % 5) {
            (0, 0) | (2, 0) => 5.0,
            (0, _) => 0.0,
            (2, _) => 100.0,
            _ => f64::from(u % 4) * 5.0,
        };
        outcomes.push(Some(outcome));
        segments.push((u / 100) as usize);
        let mut weights = [0.0; 3];
        weights[state] = 1.0;
        states.push(weights);
    }
    let tiers = Tiers::fit(&outcomes, 4).unwrap();
    let reward =
        OutcomeReward::fit(tiers, &users(&outcomes, &segments, &states), &OutcomeRewardConfig::default())
            .unwrap();
    let top = reward.reward_unseen(0, 100.0, 2).unwrap();
    assert!(top > 0.5, "{top}");
    assert!(reward.reward_unseen(0, 100.0, 0).unwrap() < -1.0);
    assert!(reward.reward_unseen(1, 0.0, 0).unwrap() > 0.3);
    let json = serde_json::to_string(&reward).unwrap();
    let back: OutcomeReward = serde_json::from_str(&json).unwrap();
    assert_eq!(back, reward);
}

//! The outcome-driven reward against its plain definition, and its cost.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use scaletot_osipo::reward::{OutcomeReward, OutcomeRewardConfig, Tiers, UserOutcome};
use scaletot_osipo::{OsipoLossConfig, PolicyConfig};

/// A user's outcome, segment and weights over state values.
type Row = (Option<f64>, usize, Vec<f64>);

fn users(rows: &[Row]) -> Vec<UserOutcome<'_>> {
    rows.iter().map(|row| UserOutcome { outcome: row.0, segment: row.1, state: &row.2 }).collect()
}

/// `ln p̂(t | v, g) − ln p̂(t | g)` by its formula, from all users but one.
fn plain(rows: &[Row], tiers: &Tiers, own: Option<usize>, segment: usize, tier: usize, value: usize) -> f64 {
    let (a, b, count) = (5.0, 10.0, tiers.count());
    let n = |g: Option<usize>, v: Option<usize>, t: usize| -> f64 {
        let others = rows.iter().enumerate().filter(|(row, _)| Some(*row) != own);
        let counted = others.filter_map(|(_, (outcome, segment, state))| {
            let fits =
                g.is_none_or(|g| g == *segment) && outcome.is_some_and(|outcome| tiers.tier(outcome) == t);
            let sum: f64 = state.iter().sum();
            fits.then(|| v.map_or(1.0, |v| state[v] / sum))
        });
        counted.sum()
    };
    let shrunken = |g: Option<usize>, v: Option<usize>, strength: f64, prior: &[f64]| -> Vec<f64> {
        let total: f64 = (0..count).map(|t| n(g, v, t)).sum::<f64>() + strength;
        (0..count).map(|t| (n(g, v, t) + strength * prior[t]) / total).collect()
    };
    let p = shrunken(None, None, a, &vec![1.0 / count as f64; count]);
    let in_segment = shrunken(Some(segment), None, a, &p);
    let with_value = shrunken(None, Some(value), b, &p);
    let carried: Vec<f64> = (0..count).map(|t| in_segment[t] * with_value[t] / p[t]).collect();
    let sum: f64 = carried.iter().sum();
    let carried: Vec<f64> = carried.iter().map(|m| m / sum).collect();
    let both = shrunken(Some(segment), Some(value), b, &carried);
    both[tier].ln() - in_segment[tier].ln()
}

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let outcome = prop_oneof![2 => Just(0.0), 2 => (1_i32..20).prop_map(f64::from)];
    (1_usize..5).prop_flat_map(move |values| {
        let state = prop::collection::vec(0.01_f64..1.0, values);
        let row = (prop::option::weighted(0.8, outcome.clone()), 0_usize..7, state);
        prop::collection::vec(row, 1..25).prop_map(|mut rows| {
            rows[0].0 = Some(3.0);
            rows
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_reward_is_what_its_formula_says(rows in rows(), count in 2_usize..5) {
        let outcomes: Vec<Option<f64>> = rows.iter().map(|row| row.0).collect();
        let tiers = Tiers::fit(&outcomes, count).unwrap();
        let reward = OutcomeReward::fit(tiers.clone(), &users(&rows), &OutcomeRewardConfig::default()).unwrap();
        for (user, (outcome, segment, state)) in rows.iter().enumerate() {
            for value in 0..state.len() {
                let found = reward.reward(user, value).unwrap();
                prop_assert_eq!(found.is_some(), outcome.is_some());
                if let Some((found, outcome)) = found.zip(*outcome) {
                    let expected = plain(&rows, &tiers, Some(user), *segment, tiers.tier(outcome), value);
                    prop_assert!((found - expected).abs() < 1e-9, "{} {}", found, expected);
                }
                for segment in [*segment, 99] {
                    let found = reward.reward_unseen(segment, 7.0, value).unwrap();
                    let expected = plain(&rows, &tiers, None, segment, tiers.tier(7.0), value);
                    prop_assert!((found - expected).abs() < 1e-9, "{} {}", found, expected);
                }
            }
        }
    }

    #[test]
    fn a_stored_reward_gives_the_same_and_a_spoilt_one_is_refused(rows in rows()) {
        let outcomes: Vec<Option<f64>> = rows.iter().map(|row| row.0).collect();
        let tiers = Tiers::fit(&outcomes, 3).unwrap();
        let reward = OutcomeReward::fit(tiers, &users(&rows), &OutcomeRewardConfig::default()).unwrap();
        let json = serde_json::to_value(&reward).unwrap();
        prop_assert_eq!(&serde_json::from_value::<OutcomeReward>(json.clone()).unwrap(), &reward);
        for (place, value) in [
            ("/segments", 1_000_000_000_u64.into()),
            ("/values", 0.into()),
            ("/counts/0", (-1.0).into()),
            ("/users/0/segment", 99.into()),
            ("/users/0/tier", 99.into()),
            ("/users/0/weights", serde_json::json!([])),
            ("/config/state_strength", 0.0.into()),
            ("/tiers/cuts", serde_json::json!([2.0, 1.0])),
        ] {
            let mut json = json.clone();
            *json.pointer_mut(place).unwrap() = value;
            prop_assert!(serde_json::from_value::<OutcomeReward>(json).is_err(), "{}", place);
        }
    }
}

#[test]
fn rewards_of_users_in_as_many_segments_take_time_in_proportion() {
    let rows: Vec<Row> =
        (0..20_000).map(|user| (Some(f64::from(user % 5)), user as usize, vec![0.5, 0.3, 0.2])).collect();
    let outcomes: Vec<Option<f64>> = rows.iter().map(|row| row.0).collect();
    let tiers = Tiers::fit(&outcomes, 4).unwrap();
    let reward = OutcomeReward::fit(tiers, &users(&rows), &OutcomeRewardConfig::default()).unwrap();
    let begun = Instant::now();
    let sum: f64 = (0..rows.len()).map(|user| reward.reward(user, user % 3).unwrap().unwrap()).sum();
    assert!(sum.is_finite());
    // Some 0.1 s; a sum over all segments for every reward would take a hundred times as long.
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

#[test]
fn unknown_keys_of_every_config_are_refused() {
    fn refused<T: serde::de::DeserializeOwned + serde::Serialize + Default>(name: &str) {
        let mut json = serde_json::to_value(T::default()).unwrap();
        assert!(serde_json::from_value::<T>(json.clone()).is_ok(), "{name}");
        json["epoch"] = 5.into();
        let error = serde_json::from_value::<T>(json).err().map(|error| error.to_string());
        assert!(error.is_some_and(|error| error.contains("`epoch`")), "{name}");
    }
    refused::<OsipoLossConfig>("loss");
    refused::<PolicyConfig>("policy");
    refused::<OutcomeRewardConfig>("reward");
}

#[test]
fn strengths_that_leave_no_probability_and_absurd_numbers_of_tiers_are_refused() {
    for strength in [0.0, 1e-300, f64::NAN, f64::INFINITY, -1.0] {
        let config = OutcomeRewardConfig::default();
        assert!(config.clone().with_segment_strength(strength).validate().is_err());
        assert!(config.with_state_strength(strength).validate().is_err());
    }
    for count in [0, 1, 1_025, usize::MAX] {
        assert!(Tiers::fit(&[Some(1.0)], count).unwrap_err().to_string().contains("1024"));
    }
    // The smallest strengths leave every reward finite.
    let config = OutcomeRewardConfig::default().with_segment_strength(1e-9).with_state_strength(1e-9);
    let rows: Vec<Row> = (0..6).map(|user| (Some(f64::from(user)), 0, vec![1.0, 0.0])).collect();
    let outcomes: Vec<Option<f64>> = rows.iter().map(|row| row.0).collect();
    let reward = OutcomeReward::fit(Tiers::fit(&outcomes, 4).unwrap(), &users(&rows), &config).unwrap();
    for user in 0..6 {
        for value in 0..2 {
            assert!(reward.reward(user, value).unwrap().unwrap().is_finite());
        }
    }
}

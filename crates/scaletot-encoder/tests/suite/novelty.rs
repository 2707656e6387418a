//! Abstention by distance from the training profiles.

use std::num::NonZeroUsize;

use crate::common::{config, encoder, schema, sign, world};
use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use scaletot_encoder::{Abstention, ArtifactInfo, FrozenEncoder, Heads, Precision};
use scaletot_profile::{FieldSpec, ProfileSchema, ProfileTable, TableBuilder};

fn all(table: &ProfileTable) -> Vec<usize> {
    (0..table.len()).collect()
}

/// Ten fields of four values, a third of the cells missing; each is the value `from`, or more rarely `step` further.
fn table(users: usize, from: usize, step: usize) -> ProfileTable {
    let mut schema = ProfileSchema::builder("survey");
    for field in 0..10 {
        schema = schema.with_field(FieldSpec::categorical(format!("q{field}"), ["a", "b", "c", "d"]));
    }
    let mut table = TableBuilder::new(schema.build().unwrap());
    let mut rng = ChaCha8Rng::seed_from_u64(users as u64);
    for id in 0..users {
        let mut cell = || match rng.random_range(0..9) {
            0..3 => "",
            3..7 => ["a", "b", "c", "d"][from],
            _ => ["a", "b", "c", "d"][from + step],
        };
        let cells: [&str; 10] = std::array::from_fn(|_| cell());
        table.push_text(id as i64, &cells).unwrap();
    }
    table.finish()
}

#[test]
fn profiles_of_values_that_training_never_saw_are_far() {
    let training = table(600, 0, 1);
    let chain = crate::common::chain();
    let heads = Heads::new(true, vec![2, 3], 4);
    let encoder =
        FrozenEncoder::with_random_weights(&config(3, vec![6], 0), &training, &chain, heads, 1).unwrap();
    let rows = all(&training);
    let distances = encoder.distances(&training, &rows).unwrap();
    let mean = distances.iter().sum::<f32>() / 600.0;
    assert!(mean.abs() < 0.1 && distances.iter().all(|d| d.abs() < 5.0), "{mean}");
    // Training has the first two values alone; what comes later has the first and the third, or the last two.
    let held_out = table(1000, 0, 1);
    let encoder = encoder.calibrate_abstention(&held_out, &all(&held_out), 0.02).unwrap();
    let limit = *encoder.distance_limit().unwrap();
    assert!(limit.users == 1000 && limit.rate() <= 0.02 && limit.abstained > 0, "{limit:?}");
    let share = |table: &ProfileTable| {
        encoder.score(table).unwrap().too_far.iter().filter(|far| **far).count() as f64 / table.len() as f64
    };
    assert_eq!(share(&held_out), limit.rate());
    assert!(share(&training) < 0.05, "{}", share(&training));
    let (some, new) = (table(300, 0, 2), table(301, 2, 1));
    assert!(share(&some) > 0.8 && share(&new) > 0.99, "{} {}", share(&some), share(&new));
}

#[test]
fn a_limit_goes_with_the_artifact() {
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().join("encoder");
    let world = world(200, 8);
    let rows = all(&world.table);
    let saved = encoder(8).calibrate_abstention(&world.table, &rows, 0.1).unwrap();
    saved.save(&directory, ArtifactInfo::new()).unwrap();
    let loaded = FrozenEncoder::load(&directory, &schema()).unwrap();
    assert_eq!(loaded.distance_limit(), saved.distance_limit());
    let scores = loaded.score(&world.table).unwrap();
    assert_eq!(scores, saved.score(&world.table).unwrap());
    assert!(scores.too_far.contains(&true));
    // Without it, everyone who has enough fields is scored.
    let scores = loaded.without_distance_limit().score(&world.table).unwrap();
    assert!(scores.abstention_of(0) == Some(Abstention::TooFewFields) && !scores.too_far.contains(&true));
    assert_eq!(scores.abstention_of(200), None);
    // One that cannot have been found is refused.
    let path = directory.join("manifest.json");
    let mut manifest: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    manifest["distance_limit"]["abstained"] = 200.into();
    std::fs::write(&path, serde_json::to_vec(&manifest).unwrap()).unwrap();
    sign(&directory);
    let error = FrozenEncoder::load(&directory, &schema()).unwrap_err().to_string();
    assert!(error.contains("manifest.json: distance limit"), "{error}");
    // So is what cannot be calibrated.
    let refused = |rows: &[usize], share: f64| {
        saved.clone().calibrate_abstention(&world.table, rows, share).unwrap_err().to_string()
    };
    assert!(refused(&rows, -0.1).contains("share") && refused(&rows, f64::NAN).contains("share"));
    assert!(refused(&[0], 0.1).contains("at least 1, found 0"), "the first user is blank");
    assert!(refused(&[200], 0.1).contains("less than 200"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn every_way_to_score_withdraws_the_same(
        seed in 0u64..100, share in 0.0f64..0.9, fields in 0usize..4, threads in 1usize..4, rows in 1usize..3000,
    ) {
        let world = world(60, seed);
        let heads = Heads::new(true, vec![2, 3], 4);
        let encoder =
            FrozenEncoder::with_random_weights(&config(4, vec![6], 0), &world.table, &world.chain, heads, seed).unwrap();
        let rows: Vec<usize> = (0..rows).map(|row| row * 7 % 60).collect();
        let plain = encoder.with_min_populated(fields);
        let encoder = plain.clone().calibrate_abstention(&world.table, &all(&world.table), share).unwrap();
        let limit = encoder.distance_limit().unwrap().limit;
        let (free, scores) =
            (plain.score_rows(&world.table, &rows).unwrap(), encoder.score_rows(&world.table, &rows).unwrap());
        let distances = encoder.distances(&world.table, &rows).unwrap();
        for (i, distance) in distances.into_iter().enumerate() {
            prop_assert!(distance.is_finite());
            let far = f64::from(distance) > limit;
            let expected = match (free.abstained[i], far) {
                (true, _) => Some(Abstention::TooFewFields),
                (false, true) => Some(Abstention::TooFar),
                (false, false) => None,
            };
            prop_assert_eq!(scores.abstention_of(i), expected);
            prop_assert_eq!(scores.abstained[i], expected.is_some());
            match expected {
                Some(_) => {
                    prop_assert!([&scores.value, &scores.p_positive, &scores.mu, &scores.sigma].iter().all(|c| c[i].is_nan()));
                    prop_assert!(scores.posteriors[1].row(i).iter().all(|&p| p == 1.0 / 3.0));
                    prop_assert!(scores.representation.row(i).iter().all(|&v| v == 0.0));
                }
                None => {
                    prop_assert_eq!(scores.value[i], free.value[i]);
                    prop_assert_eq!(scores.posteriors[1].row(i), free.posteriors[1].row(i));
                    prop_assert_eq!(scores.representation.row(i), free.representation.row(i));
                }
            }
        }
        let features = encoder.featuriser().transform(&world.table, &rows).unwrap();
        let threaded = encoder.with_threads(NonZeroUsize::new(threads).unwrap()).unwrap();
        prop_assert!(threaded.score_features(&features).unwrap() == scores);
        let small = threaded.with_precision(Precision::Int8).unwrap();
        prop_assert_eq!(small.score_rows(&world.table, &rows).unwrap().too_far, scores.too_far);
    }
}

//! The planted world: distributed as it says, inferred exactly, and the same for ever.

use approx::assert_abs_diff_eq;
use proptest::prelude::*;
use scaletot_eval::planted::{Blur, FieldErrors, PlantedConfig, PlantedWorld};
use scaletot_eval::{Error, spearman};

fn config(users: usize) -> PlantedConfig {
    PlantedConfig::default().with_users(users)
}

fn world(users: usize, seed: u64) -> PlantedWorld {
    PlantedWorld::new(&config(users), seed).unwrap()
}

fn argmax(values: &[f64]) -> u16 {
    let best = (0..values.len()).rev().max_by(|&a, &b| values[a].total_cmp(&values[b]));
    best.unwrap() as u16
}

/// Share of states that are right on the teacher's greedy paths.
fn greedy_accuracy(world: &PlantedWorld, blur: &Blur, seed: u64) -> f64 {
    let mut right = 0;
    for user in 0..world.users() {
        let mut path = Vec::new();
        while path.len() < world.config().states {
            path.push(argmax(&world.blurred(user, &path, blur, seed).unwrap()));
        }
        right += path.iter().zip(world.states(user).unwrap()).filter(|(a, b)| a == b).count();
    }
    right as f64 / (world.users() * world.config().states) as f64
}

#[test]
fn shares_are_those_of_the_standard_world() {
    for seed in 0..5 {
        let world = world(20_000, seed);
        assert_abs_diff_eq!(world.zero_share(), 0.72, epsilon = 0.04);
        let missing = |user| world.profile(user).unwrap().iter().filter(|code| code.is_none()).count();
        let missing = (0..world.users()).map(missing).sum::<usize>() as f64 / 200_000.0;
        assert_abs_diff_eq!(missing, 0.4, epsilon = 0.01);
        assert!(world.outcomes().iter().all(|outcome| *outcome >= 0.0 && outcome.is_finite()));
        let scores: Vec<f64> = (0..world.users()).map(|user| world.score(user).unwrap()).collect();
        let mean = scores.iter().sum::<f64>() / 20_000.0;
        assert_abs_diff_eq!(mean, 0.0, epsilon = 0.04);
        let variance = scores.iter().map(|score| (score - mean).powi(2)).sum::<f64>() / 20_000.0;
        assert_abs_diff_eq!(variance, 1.0, epsilon = 0.08);
    }
}

#[test]
fn outcomes_follow_the_score() {
    let world = world(40_000, 6);
    let (mut chance, mut positive, mut residuals) = (0.0, 0.0, Vec::new());
    for (user, &outcome) in world.outcomes().iter().enumerate() {
        let score = world.score(user).unwrap();
        chance += 1.0 / (1.0 + (1.2 - 1.2 * score).exp());
        if outcome > 0.0 {
            positive += 1.0;
            residuals.push(outcome.ln() - 1.0 - 0.6 * score);
        }
    }
    assert_abs_diff_eq!(positive / 40_000.0, chance / 40_000.0, epsilon = 0.01);
    let mean = residuals.iter().sum::<f64>() / positive;
    assert_abs_diff_eq!(mean, 0.0, epsilon = 0.04);
    let variance = residuals.iter().map(|r| (r - mean).powi(2)).sum::<f64>() / positive;
    assert_abs_diff_eq!(variance, 1.0, epsilon = 0.05);
}

#[test]
fn the_best_accuracy_is_in_its_range_and_what_the_posterior_promises() {
    for seed in [0, 1, 2] {
        let world = world(5_000, seed);
        let found = world.bayes_accuracy();
        assert!((0.65..0.80).contains(&found), "{found}");
        // Exact inference is calibrated: the largest marginals are as often right as they say.
        let promised = |user| {
            let marginals = world.marginals(user).unwrap();
            marginals.iter().map(|row| row.iter().copied().fold(0.0, f64::max)).sum::<f64>() / 5.0
        };
        let promised = (0..world.users()).map(promised).sum::<f64>() / 5_000.0;
        assert_abs_diff_eq!(found, promised, epsilon = 0.015);
    }
}

#[test]
fn noise_makes_a_teacher_worse_and_none_makes_it_exact() {
    for seed in [0, 1] {
        let world = world(1_000, seed);
        let [exact, good, poor, blind] =
            [0.0, 0.7, 1.5, 20.0].map(|noise| greedy_accuracy(&world, &Blur::new(noise), 8));
        assert!(exact > good && good > poor && poor > blind, "{exact} {good} {poor} {blind}");
        assert!(exact <= world.bayes_accuracy() + 0.01);
    }
}

#[test]
fn the_expected_score_knows_more_than_any_field() {
    let world = world(5_000, 3);
    let outcomes = world.outcomes();
    let all = |of: &dyn Fn(usize) -> f64| (0..5_000).map(of).collect::<Vec<_>>();
    let expected = spearman(outcomes, &all(&|user| world.expected_score(user).unwrap())).unwrap();
    let oracle = spearman(outcomes, &all(&|user| world.score(user).unwrap())).unwrap();
    assert!(oracle > expected, "{oracle} {expected}");
    for field in 0..10 {
        // The best use of one field in this very sample: the mean outcome of its code.
        let code = |user: usize| world.profile(user).unwrap()[field].map_or(8, usize::from);
        let (mut sums, mut counts) = ([0.0; 9], [0.0; 9]);
        for (user, outcome) in outcomes.iter().enumerate() {
            sums[code(user)] += outcome;
            counts[code(user)] += 1.0;
        }
        let alone = spearman(outcomes, &all(&|user| sums[code(user)] / counts[code(user)])).unwrap();
        assert!(expected > alone, "field {field}: {alone} against {expected}");
    }
}

#[test]
fn a_seed_fixes_the_world_for_good() {
    // Recorded once: a change of generator or scheme would silently change everybody's world.
    let world = world(3, 42);
    let states: Vec<&[u16]> = (0..3).map(|user| world.states(user).unwrap()).collect();
    let profile: Vec<i32> = world.profile(0).unwrap().iter().map(|c| c.map_or(-1, i32::from)).collect();
    let answer = world.blurred(1, &[2, 0], &Blur::new(0.7), 5).unwrap();
    assert_eq!(states, [[2, 1, 3, 0, 2], [1, 1, 0, 3, 2], [2, 3, 2, 3, 3]]);
    assert_eq!(profile, [-1, -1, 1, 1, 2, 4, 0, 6, -1, 2]);
    let recorded = [0.0294962817751, 0.2174807004687, 0.1941378698651, 0.5588851478912];
    for (found, recorded) in answer.iter().zip(recorded) {
        assert_abs_diff_eq!(*found, recorded, epsilon = 1e-9);
    }
    for (found, recorded) in world.outcomes().iter().zip([0.0, 1.0504621858320, 12.7589811793958]) {
        assert_abs_diff_eq!(*found, recorded, epsilon = 1e-9);
    }
}

#[test]
fn users_do_not_depend_on_how_many_there_are() {
    let (few, many) = (world(50, 7), world(400, 7));
    for user in 0..50 {
        assert_eq!(few.states(user), many.states(user));
        assert_eq!(few.profile(user), many.profile(user));
        assert_eq!(few.posterior(user), many.posterior(user));
        assert_eq!(few.outcomes()[user], many.outcomes()[user]);
    }
    let again = world(50, 7);
    assert_eq!((again.outcomes(), again.field_states()), (few.outcomes(), few.field_states()));
    assert_ne!(world(50, 8).outcomes(), few.outcomes());

    let wider = PlantedWorld::new(&config(50).with_fields(14), 7).unwrap();
    assert_eq!((wider.states(3), wider.outcomes()), (few.states(3), few.outcomes()));
    assert_eq!(wider.profile(3).unwrap()[..10], *few.profile(3).unwrap());
}

#[test]
fn a_profile_without_cells_leaves_the_prior() {
    let world = PlantedWorld::new(&config(40).with_missing(1.0), 5).unwrap();
    assert!(world.profile(7).unwrap().iter().all(Option::is_none));
    assert_eq!(world.posterior(7), world.posterior(8));
    assert_abs_diff_eq!(world.expected_score(7).unwrap(), 0.0, epsilon = 1e-12);
    // A chain: given the state before, the ones before that say nothing.
    let (a, b) = (world.conditional(7, &[0, 2]).unwrap(), world.conditional(7, &[3, 2]).unwrap());
    for (a, b) in a.iter().zip(&b) {
        assert_abs_diff_eq!(*a, *b, epsilon = 1e-12);
    }
    let world = PlantedWorld::new(&config(40).with_missing(0.0), 5).unwrap();
    assert!((0..40).all(|user| world.profile(user).unwrap().iter().all(Option::is_some)));
}

/// A small world of any shape.
fn shapes() -> impl Strategy<Value = PlantedWorld> {
    (2_usize..5, 2_usize..4, 1_usize..7, 2_usize..6, any::<u64>()).prop_map(
        |(states, values, fields, codes, seed)| {
            let mut config = config(5);
            (config.states, config.values, config.fields, config.codes) = (states, values, fields, codes);
            PlantedWorld::new(&config, seed).unwrap()
        },
    )
}

fn sums_to_one(probabilities: &[f64]) -> bool {
    probabilities.iter().all(|p| (0.0..=1.0).contains(p))
        && (probabilities.iter().sum::<f64>() - 1.0).abs() < 1e-9
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// The product of the conditionals along any path is the joint, and sums of the joint are the marginals.
    #[test]
    fn the_chain_rule_holds(world in shapes(), user in 0_usize..5, index in any::<prop::sample::Index>()) {
        let (states, values) = (world.config().states, world.config().values);
        let joint = world.posterior(user).unwrap();
        prop_assert_eq!(Some(joint.len()), world.config().combinations());
        prop_assert!(sums_to_one(&joint));
        let digit = |number: usize, state: usize| number / values.pow((states - 1 - state) as u32) % values;
        let number = index.index(joint.len());
        let path: Vec<u16> = (0..states).map(|state| digit(number, state) as u16).collect();
        let mut product = 1.0;
        for state in 0..states {
            let conditional = world.conditional(user, &path[..state]).unwrap();
            prop_assert!(sums_to_one(&conditional));
            product *= conditional[usize::from(path[state])];
        }
        prop_assert!((product - joint[number]).abs() < 1e-12);

        let marginals = world.marginals(user).unwrap();
        prop_assert_eq!(marginals.len(), states);
        for (state, row) in marginals.iter().enumerate() {
            for (value, found) in row.iter().enumerate() {
                let with_it = joint.iter().enumerate().filter(|(number, _)| digit(*number, state) == value);
                prop_assert!((with_it.map(|(_, p)| p).sum::<f64>() - found).abs() < 1e-12);
            }
        }
    }

    /// A blurred answer is a distribution, always the same, moved by noise, and without it the exact one.
    #[test]
    fn blurred_answers_are_distributions(
        world in shapes(), user in 0_usize..5, noise in 0.01..5.0_f64, seed in any::<u64>(), depth in 0_usize..2,
    ) {
        let path = &[1][..depth];
        let answer = world.blurred(user, path, &Blur::new(noise), seed).unwrap();
        prop_assert!(sums_to_one(&answer));
        prop_assert_eq!(&answer, &world.clone().blurred(user, path, &Blur::new(noise), seed).unwrap());
        prop_assert_ne!(&answer, &world.blurred(user, path, &Blur::new(noise), !seed).unwrap());
        let exact = world.conditional(user, path).unwrap();
        let still = world.blurred(user, path, &Blur::new(0.0), seed).unwrap();
        let floor = 1.0 + 1e-4 * exact.len() as f64;
        for (still, exact) in still.iter().zip(&exact) {
            prop_assert!((still - (exact + 1e-4) / floor).abs() < 1e-12);
        }
    }
}

#[test]
fn noise_is_standard_normal_with_a_bias_that_users_share() {
    // The blank world has the same exact answer for everybody, so differences of logits are noise.
    let world = PlantedWorld::new(&config(4_000).with_missing(1.0), 1).unwrap();
    let sigma = 0.8;
    let exact = world.conditional(0, &[1]).unwrap();
    let noise_of = |user, seed| {
        let answer = world.blurred(user, &[1], &Blur::new(sigma), seed).unwrap();
        let noise = |value: usize| answer[value].ln() - (exact[value] + 1e-4).ln();
        (noise(0) - noise(1)) / sigma
    };
    let moments = |values: Vec<f64>| {
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        (mean, values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / values.len() as f64)
    };
    // Over users: two of variance 1, around one teacher's bias. Over teachers: two biases of variance 1/4 more.
    let (_, variance) = moments((0..4_000).map(|user| noise_of(user, 3)).collect());
    assert_abs_diff_eq!(variance, 2.0, epsilon = 0.15);
    let (mean, variance) = moments((0..4_000).map(|seed| noise_of(0, seed)).collect());
    assert_abs_diff_eq!(mean, 0.0, epsilon = 0.08);
    assert_abs_diff_eq!(variance, 2.5, epsilon = 0.2);
    let biases = (0..40).map(|seed| moments((0..200).map(|user| noise_of(user, seed)).collect()).0);
    let (_, variance) = moments(biases.collect());
    assert!((0.25..1.0).contains(&variance), "{variance}");
}

#[test]
fn sizes_out_of_range_are_typed_errors() {
    let refused = |change: fn(&mut PlantedConfig), name| {
        let mut config = config(10);
        change(&mut config);
        let error = PlantedWorld::new(&config, 0).unwrap_err();
        assert!(matches!(&error, Error::Config(error) if error.field == name), "{error}");
    };
    refused(|c| c.users = 0, "users");
    refused(|c| c.states = 1, "states");
    refused(|c| c.values = 1, "values");
    refused(|c| (c.values, c.states) = (2, 17), "values");
    refused(|c| (c.values, c.states) = (usize::MAX, usize::MAX), "values");
    refused(|c| c.fields = 0, "fields");
    refused(|c| c.users = usize::MAX, "fields");
    refused(|c| c.codes = 1, "codes");
    refused(|c| c.codes = 65_537, "codes");
    refused(|c| (c.codes, c.fields) = (65_536, 1_000), "codes");
    for missing in [-0.1, 1.1, f64::NAN] {
        assert!(matches!(
            config(10).with_missing(missing).validate(),
            Err(Error::Config(error)) if error.field == "missing"
        ));
    }
    let largest = config(2).with_values(2).with_states(16);
    assert_eq!(PlantedWorld::new(&largest, 0).unwrap().posterior(1).unwrap().len(), 65_536);
}

#[test]
fn questions_out_of_range_are_typed_errors() {
    let world = world(10, 0);
    let nobody = Error::NoSuchUser { user: 10, users: 10 };
    let blur = Blur::new(0.7);
    assert_eq!(world.states(10).unwrap_err(), nobody);
    assert_eq!(world.profile(10).unwrap_err(), nobody);
    assert_eq!(world.score(10).unwrap_err(), nobody);
    assert_eq!(world.posterior(10).unwrap_err(), nobody);
    assert_eq!(world.marginals(10).unwrap_err(), nobody);
    assert_eq!(world.expected_score(10).unwrap_err(), nobody);
    assert_eq!(world.conditional(10, &[]).unwrap_err(), nobody);
    assert_eq!(world.blurred(10, &[], &blur, 0).unwrap_err(), nobody);
    let error = world.conditional(0, &[0; 5]).unwrap_err();
    assert_eq!(error, Error::PathTooLong { states: 5, found: 5 });
    let error = world.blurred(0, &[0, 4], &blur, 0).unwrap_err();
    assert_eq!(error, Error::NoSuchValue { state: 1, values: 4, found: 4 });
    for noise in [-0.1, f64::NAN, f64::INFINITY] {
        let error = world.blurred(0, &[], &Blur::new(noise), 0).unwrap_err();
        assert!(matches!(&error, Error::Config(error) if error.field == "noise"), "{error}");
    }
}

#[test]
fn settings_survive_json_and_worlds_are_shared_between_threads() {
    fn check<T: Send + Sync>() {}
    check::<PlantedWorld>();
    let config = config(7);
    let json = serde_json::to_string(&config).unwrap();
    assert_eq!(serde_json::from_str::<PlantedConfig>(&json).unwrap(), config);
    assert_eq!(serde_json::from_str::<PlantedConfig>("{}").unwrap(), PlantedConfig::default());
    assert!(serde_json::from_str::<PlantedConfig>(r#"{"user": 3}"#).is_err());
    let blur = Blur::new(0.7);
    assert_eq!(serde_json::from_str::<Blur>(&serde_json::to_string(&blur).unwrap()).unwrap(), blur);
    let world = world(2, 0);
    assert_eq!((world.state_names()[4].as_str(), world.field_names()[9].as_str()), ("state_4", "field_9"));
}

#[test]
fn unknown_keys_are_refused_with_their_name() {
    let key = |error: serde_json::Error| {
        let error = error.to_string();
        assert!(error.contains("unknown field `user`"), "{error}");
    };
    let json = r#"{"user": 5}"#;
    key(serde_json::from_str::<PlantedConfig>(json).unwrap_err());
    key(serde_json::from_str::<scaletot_eval::planted::Blur>(json).unwrap_err());
    key(serde_json::from_str::<scaletot_eval::Bootstrap>(json).unwrap_err());
    key(serde_json::from_str::<scaletot_eval::uplift::Targeting>(json).unwrap_err());
}

#[test]
fn a_teacher_that_errs_by_field_is_worse_and_a_hard_one_worse_still() {
    let mut sums = [0.0; 3];
    for seed in 0..5 {
        let world = world(200, seed);
        for (sum, errors) in sums.iter_mut().zip(FieldErrors::ALL) {
            *sum += greedy_accuracy(&world, &Blur::new(0.0).with_fields(errors), seed) / 5.0;
        }
    }
    let [exact, mixed, hard] = sums;
    assert!(exact > mixed + 0.02 && mixed > hard + 0.02, "{exact} {mixed} {hard}");
    // Still better than a guess among four values.
    assert!(hard > 0.3, "{hard}");
}

#[test]
fn errors_by_field_are_everybodys_and_noise_stays_what_it_was() {
    let world = world(300, 4);
    let readings = world.field_readings(FieldErrors::Mixed, 9);
    assert_eq!(readings, world.field_readings(FieldErrors::Mixed, 9));
    assert_ne!(readings, world.field_readings(FieldErrors::Mixed, 10));
    // What noise and bias add to a logit does not depend on what is misread: differences of the log-odds of two noises.
    for user in 0..20 {
        let logits = |noise, errors| -> Vec<f64> {
            let blur = Blur::new(noise).with_fields(errors);
            world.blurred(user, &[1], &blur, 9).unwrap().into_iter().map(f64::ln).collect()
        };
        let added = |errors| {
            let (with, without) = (logits(0.7, errors), logits(0.0, errors));
            let moved: Vec<f64> = with.iter().zip(&without).map(|(a, b)| a - b).collect();
            moved.iter().map(|m| m - moved[0]).collect::<Vec<f64>>()
        };
        for (one, other) in added(FieldErrors::None).into_iter().zip(added(FieldErrors::Hard)) {
            assert_abs_diff_eq!(one, other, epsilon = 1e-9);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn as_many_fields_are_misjudged_as_is_said(fields in 1_usize..40, codes in 2_usize..9, seed: u64) {
        let config = config(1).with_fields(fields).with_codes(codes);
        let world = PlantedWorld::new(&config, 0).unwrap();
        let rounded = |share: f64| (share * fields as f64 + 1e-9).round() as usize;
        for errors in FieldErrors::ALL {
            let readings = world.field_readings(errors, seed);
            prop_assert_eq!(readings.len(), fields);
            let misread = readings.iter().filter(|field| field.is_misread()).count();
            let ignored = readings.iter().filter(|field| field.weight() == 0.0).count();
            match errors {
                FieldErrors::None => {
                    prop_assert_eq!(misread, 0);
                    prop_assert!(readings.iter().all(|field| field.weight() == 1.0));
                }
                FieldErrors::Mixed => prop_assert_eq!(misread, rounded(0.2)),
                _ => prop_assert_eq!((misread, misread + ignored), (rounded(1.0 / 3.0), rounded(2.0 / 3.0))),
            }
            for field in &readings {
                prop_assert!([0.0, 0.3, 1.0, 1.5, 2.0].contains(&field.weight()));
                let mut sorted = field.read_as().to_vec();
                sorted.sort_unstable();
                prop_assert!(sorted.iter().enumerate().all(|(at, &code)| at == usize::from(code)) && sorted.len() == codes);
                if field.is_misread() {
                    prop_assert!(field.weight() >= 1.0);
                    prop_assert!(field.read_as().iter().enumerate().all(|(at, &code)| at != usize::from(code)));
                }
            }
        }
    }

    #[test]
    fn answers_of_a_teacher_that_errs_are_distributions(
        seed: u64, user in 0_usize..10, path in prop::collection::vec(0_u16..4, 0..5), hard: bool, noise in 0.0..3.0,
    ) {
        let errors = if hard { FieldErrors::Hard } else { FieldErrors::Mixed };
        let answer = world(10, 1).blurred(user, &path, &Blur::new(noise).with_fields(errors), seed).unwrap();
        prop_assert!((answer.iter().sum::<f64>() - 1.0).abs() < 1e-9 && answer.iter().all(|p| *p > 0.0));
    }
}

#[test]
fn a_setting_of_the_fields_is_written_and_read_as_one_word() {
    for errors in FieldErrors::ALL {
        assert_eq!(errors.to_string().parse(), Ok(errors));
        assert_eq!(serde_json::to_string(&errors).unwrap(), format!("\"{errors}\""));
    }
    assert_eq!("Hard".parse::<FieldErrors>().unwrap_err(), "expected none, mixed or hard, found `Hard`");
    let old: Blur = serde_json::from_str(r#"{"noise":0.7}"#).unwrap();
    assert_eq!(old, Blur::new(0.7));
}

//! Predictions are those of the functions from which this crate was made, which returned the predictions of a fixed list of users: recorded
//! before they were removed, with `{arm: {out_of_fold, log, values}}` per way of cutting users into parts.

use std::collections::BTreeMap;

use scaletot_ltv::{BaseFit, Component, ValueModel, ValueModelConfig, ValueTrainer};
use serde::Deserialize;

use crate::learner::ByAge;
use crate::world::{World, world};

#[derive(Deserialize)]
struct Recorded {
    out_of_fold: Vec<f64>,
    log: Vec<f64>,
    values: Vec<f64>,
}

fn recorded() -> BTreeMap<String, serde_json::Value> {
    serde_json::from_str(include_str!("../fixtures/reference.json")).unwrap()
}

const ARMS: [(&str, &[Component]); 7] = [
    ("ridge", &[Component::Ridge]),
    ("informed", &[Component::Informed]),
    ("signals", &[Component::Signals]),
    ("network", &[Component::Learners]),
    ("level", &[Component::Level]),
    ("scaletot", &[Component::Level, Component::Informed, Component::Ridge, Component::Learners]),
    ("stack", &[Component::Ridge, Component::Learners]),
];

/// Relative to the platform's `exp` and `ln`, which are not the same to the last digit everywhere.
fn near(what: &str, found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert!((found - expected).abs() <= 1e-11 * expected.abs(), "{what}, {i}: {found} is not {expected}");
    }
}

fn check(world: &World, base: &BaseFit, cut: &str) {
    let recorded = recorded();
    let (known, new) = (world.signals(&world.train), world.signals(&world.test));
    let parts: Vec<Vec<usize>> = serde_json::from_value(recorded[&format!("{cut}/parts")].clone()).unwrap();
    for (arm, components) in ARMS {
        let name = format!("{cut}/{arm}");
        let expected: Recorded = serde_json::from_value(recorded[&name].clone()).unwrap();
        let model: ValueModel = base.value_model(components, &known, &()).unwrap();
        let out_of_fold = model.out_of_fold().unwrap();
        let rows: Vec<usize> = out_of_fold.rows().iter().map(|&row| world.train[row]).collect();
        assert_eq!(rows, parts.concat());
        near(&name, out_of_fold.log_values(), &expected.out_of_fold);
        near(&name, &model.log_values(&world.new_users(), &new).unwrap(), &expected.log);
        near(&name, &model.predict(&world.new_users(), &new).unwrap(), &expected.values);
    }
    let committee = base.committee_log_values("by-age", &world.table, &world.test).unwrap().unwrap();
    let expected: Recorded = serde_json::from_value(recorded[&format!("{cut}/network")].clone()).unwrap();
    near("committee", &committee, &expected.log);
    assert!(base.committee_log_values("another", &world.table, &world.test).unwrap().is_none());
}

#[test]
fn predictions_are_those_recorded() {
    let world = world();
    let trainer = ValueTrainer::new(ValueModelConfig::default()).unwrap().with_learner(&ByAge);
    check(&world, &trainer.fit_base(&world.dataset(false), 5, &()).unwrap(), "alone");
    check(&world, &trainer.fit_base(&world.dataset(true), 6, &()).unwrap(), "groups");
}

#[test]
fn fitting_at_once_is_fitting_in_two_steps() {
    let world = world();
    let trainer = ValueTrainer::new(ValueModelConfig::default()).unwrap().with_learner(&ByAge);
    let (dataset, known, new) =
        (world.dataset(true), world.signals(&world.train), world.signals(&world.test));
    let once = trainer.fit(&dataset, &known, 6, &()).unwrap().predict(&world.new_users(), &new).unwrap();
    let components = &ValueModelConfig::default().components;
    let base = trainer.fit_base(&dataset, 6, &()).unwrap();
    let twice = base.value_model(components, &known, &()).unwrap();
    assert_eq!(once, twice.predict(&world.new_users(), &new).unwrap());
    // Rows of a table are what they are in the table of those rows.
    let some = twice.predict_rows(&world.new_users(), &[7, 3], &new).unwrap();
    assert_eq!(some, [once[7], once[3]]);
}

#[test]
fn without_outcomes_the_level_ranks() {
    let world = world();
    let trainer = ValueTrainer::new(ValueModelConfig::default()).unwrap().with_learner(&ByAge);
    let unlabelled = world.dataset(false).with_outcomes_of(&[]).unwrap();
    let (known, new) = (world.signals(&world.train), world.signals(&world.test));
    let model = trainer.fit(&unlabelled, &known, 5, &()).unwrap();
    let levels: Vec<f64> = (0..new.len()).map(|i| new.expected_level(i, 1)).collect();
    assert_eq!(model.predict(&world.new_users(), &new).unwrap(), levels);
    assert!(model.out_of_fold().is_none() && model.link() == scaletot_ltv::Link::Level);
}

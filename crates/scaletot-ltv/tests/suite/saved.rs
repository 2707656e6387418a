//! A model that was loaded predicts what the saved one does, and nothing else is taken for one.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use proptest::prelude::*;
use scaletot_core::files::Checksums;
use scaletot_ltv::{BaseLoader, Component, Error, ValueModel, ValueModelConfig, ValueTrainer};
use scaletot_profile::{FieldSpec, ProfileSchema};

use tempfile::TempDir;

use crate::learner::ByAge;
use crate::world::{World, schema, world};

fn fitted(world: &World, components: &[Component]) -> ValueModel {
    let trainer = ValueTrainer::new(ValueModelConfig::default()).unwrap().with_learner(&ByAge);
    let base = trainer.fit_base(&world.dataset(false), 3, &()).unwrap();
    base.value_model(components, &world.signals(&world.train), &()).unwrap()
}

const LOADERS: [&dyn BaseLoader; 1] = [&ByAge];

#[test]
fn a_saved_model_is_the_same_model() {
    let world = world();
    let temporary = tempfile::tempdir().unwrap();
    let place = temporary.path().join("model");
    let all = [Component::Informed, Component::Ridge, Component::Learners, Component::Level];
    for components in [&all[..], &[Component::Ridge], &[Component::Level], &[Component::Signals]] {
        let model = fitted(&world, components);
        // The second takes the place of the first.
        model.save(&place).unwrap();
        let loaded = ValueModel::load(&place, &schema(), &LOADERS).unwrap();
        let (table, signals) = (world.new_users(), world.signals(&world.test));
        assert_eq!(loaded.predict(&table, &signals).unwrap(), model.predict(&table, &signals).unwrap());
        assert_eq!(loaded.explain(&table, 1, &signals).unwrap(), model.explain(&table, 1, &signals).unwrap());
        assert_eq!(loaded.linear_terms(), model.linear_terms());
        assert_eq!(loaded.largest_outcome(), model.largest_outcome());
        assert!(loaded.out_of_fold().is_none());
    }
    assert_eq!(fs::read_dir(temporary.path()).unwrap().count(), 1, "nothing is left beside it");
}

#[test]
fn a_directory_of_something_else_is_not_replaced() {
    let model = fitted(&world(), &[Component::Ridge]);
    let temporary = tempfile::tempdir().unwrap();
    model.save(temporary.path().join("model")).unwrap();
    let error = model.save(temporary.path()).unwrap_err();
    assert!(scaletot_core::causes(&error).contains("found \"model\" in it"), "{error}");
    fs::write(temporary.path().join("file"), "x").unwrap();
    assert!(matches!(model.save(temporary.path().join("file")), Err(Error::Files { .. })));
    fs::write(temporary.path().join("model/notes.txt"), "x").unwrap();
    assert!(matches!(model.save(temporary.path().join("model")), Err(Error::Files { .. })));
    fs::create_dir(temporary.path().join("empty")).unwrap();
    model.save(temporary.path().join("empty")).unwrap();
}

#[test]
fn models_without_outcomes_are_saved_too() {
    let world = world();
    let temporary = tempfile::tempdir().unwrap();
    let place = temporary.path().join("model");
    let unlabelled = world.dataset(false).with_outcomes_of(&[]).unwrap();
    let trainer = ValueTrainer::new(ValueModelConfig::default()).unwrap();
    let model = trainer.fit(&unlabelled, &world.signals(&world.train), 1, &()).unwrap();
    model.save(&place).unwrap();
    let loaded = ValueModel::load(&place, &schema(), &[]).unwrap();
    let (table, signals) = (world.new_users(), world.signals(&world.test));
    assert_eq!(loaded.predict(&table, &signals).unwrap(), model.predict(&table, &signals).unwrap());
}

/// Writes the checksums anew, as someone would who edits on purpose.
fn sum(place: &Path) {
    fs::remove_file(place.join(Checksums::NAME)).unwrap();
    fs::write(place.join(Checksums::NAME), Checksums::of(place).unwrap().to_text()).unwrap();
}

/// The files of a saved model with all components, by their paths in it.
static SAVED: LazyLock<Vec<(PathBuf, Vec<u8>)>> = LazyLock::new(|| {
    let temporary = tempfile::tempdir().unwrap();
    let place = temporary.path().join("model");
    let all = [Component::Informed, Component::Ridge, Component::Learners, Component::Level];
    fitted(&world(), &all).save(&place).unwrap();
    let mut names: Vec<PathBuf> = vec!["value-model.json".into(), Checksums::NAME.into()];
    names.extend((1..=5).map(|member| PathBuf::from(format!("learners/by-age/{member}/means.json"))));
    names.into_iter().map(|name| (name.clone(), fs::read(place.join(name)).unwrap())).collect()
});

/// The saved model again, not forced to disk.
fn copy() -> TempDir {
    let temporary = tempfile::tempdir().unwrap();
    for (name, bytes) in &*SAVED {
        fs::create_dir_all(temporary.path().join(name).parent().unwrap()).unwrap();
        fs::write(temporary.path().join(name), bytes).unwrap();
    }
    temporary
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_changed_byte_of_a_saved_model_is_noticed(file in 0usize..7, at in 0.0f64..1.0, flip in 1u8..=255) {
        let place = copy();
        let (name, bytes) = &SAVED[file];
        let mut bytes = bytes.clone();
        let at = (at * bytes.len() as f64) as usize;
        bytes[at] ^= flip;
        fs::write(place.path().join(name), bytes).unwrap();
        let error = load(place.path());
        // Checksums that are no text any more cannot be read.
        prop_assert!(matches!(error, Error::Checksum(_) | Error::Files(_)), "{}", error);
    }
}

#[test]
fn missing_and_superfluous_files_of_a_saved_model_are_named() {
    let place = copy();
    ValueModel::load(place.path(), &schema(), &LOADERS).unwrap();
    fs::write(place.path().join("learners/by-age/6"), "x").unwrap();
    fs::remove_file(place.path().join("learners/by-age/2/means.json")).unwrap();
    let error = load(place.path()).to_string();
    assert!(
        error.contains("missing: `learners/by-age/2/means.json`; superfluous: `learners/by-age/6`"),
        "{error}"
    );
    fs::remove_file(place.path().join(Checksums::NAME)).unwrap();
    assert!(load(place.path()).to_string().contains(Checksums::NAME));
}

#[test]
fn weights_that_overflow_give_an_error_with_the_row() {
    let place = copy();
    let manifest = place.path().join("value-model.json");
    let mut json: serde_json::Value = serde_json::from_slice(&fs::read(&manifest).unwrap()).unwrap();
    for term in json["models"][0]["model"]["ridge"]["columns"].as_array_mut().unwrap() {
        term["weight"] = 1e308.into();
        term["divisor"] = 1e-3.into();
    }
    fs::write(&manifest, json.to_string()).unwrap();
    sum(place.path());
    let model = ValueModel::load(place.path(), &schema(), &LOADERS).unwrap();
    let world = world();
    let error = model.predict(&world.new_users(), &world.signals(&world.test)).unwrap_err();
    assert!(matches!(error, Error::NotFinite { row: 0, .. }), "{error}");
}

fn load(place: &Path) -> Error {
    ValueModel::load(place, &schema(), &LOADERS).unwrap_err()
}

#[test]
fn what_is_no_model_of_these_profiles_is_refused() {
    let world = world();
    let temporary = tempfile::tempdir().unwrap();
    let place = temporary.path().join("model");
    assert!(matches!(load(&place), Error::Files(_)));
    let model =
        fitted(&world, &[Component::Informed, Component::Ridge, Component::Learners, Component::Level]);
    model.save(&place).unwrap();
    assert!(
        matches!(ValueModel::load(&place, &schema(), &[]), Err(Error::NoLoader { name }) if name == "by-age")
    );
    let other = ProfileSchema::builder("other").with_field(FieldSpec::boolean("b")).build().unwrap();
    assert!(matches!(ValueModel::load(&place, &other, &LOADERS), Err(Error::Schema { .. })));

    let manifest = place.join("value-model.json");
    let written = fs::read_to_string(&manifest).unwrap();
    let json: serde_json::Value = serde_json::from_str(&written).unwrap();
    let refused = |change: &dyn Fn(&mut serde_json::Value)| {
        let mut json = json.clone();
        change(&mut json);
        fs::write(&manifest, json.to_string()).unwrap();
        sum(&place);
        load(&place)
    };
    assert!(matches!(
        refused(&|json| json["format"] = 2.into()),
        Error::Format { expected: 1, found: 2, .. }
    ));
    assert!(matches!(refused(&|json| json["kind"] = "corpus".into()), Error::Manifest { .. }));
    assert!(matches!(refused(&|json| json["more"] = 1.into()), Error::Json { .. }));
    assert!(matches!(refused(&|json| json["link"]["exponential"]["b"] = 0.into()), Error::Manifest { .. }));
    assert!(matches!(refused(&|json| json["signals"] = serde_json::Value::Null), Error::Manifest { .. }));
    assert!(matches!(refused(&|json| json["profile"] = serde_json::json!([])), Error::Manifest { .. }));
    let huge = serde_json::json!([usize::MAX, 3]);
    assert!(matches!(
        refused(&|json| json["signals"]["domain_sizes"] = huge.clone()),
        Error::Manifest { .. }
    ));
    let columns = |json: &mut serde_json::Value, column: usize| {
        json["models"][0]["model"]["ridge"]["columns"][0]["column"] = column.into();
    };
    assert!(matches!(refused(&|json| columns(json, 1_000_000)), Error::Manifest { .. }));

    fs::write(&manifest, written.replace("\"members\": 5", "\"members\": 6")).unwrap();
    sum(&place);
    assert!(matches!(load(&place), Error::Learner { action: "load", .. }));
    fs::write(&manifest, "{").unwrap();
    sum(&place);
    let error = load(&place);
    assert!(std::error::Error::source(&error).is_some());
    assert_eq!(error.to_string(), format!("{}: not the manifest of a value model", manifest.display()));
}

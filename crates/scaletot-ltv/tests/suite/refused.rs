//! What cannot be fitted or predicted is named.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use scaletot_chain::{ChainSchema, Signals, StateDef};
use scaletot_core::Progress;
use scaletot_ltv::{
    BaseLearner, BaseModel, Component, Error, LearnerError, Sample, ValueModelConfig, ValueTrainer,
};
use scaletot_profile::{Dataset, FieldSpec, ProfileSchema, ProfileTable, TableBuilder};

use crate::learner::ByAge;
use crate::world::world;

fn trainer() -> ValueTrainer<'static> {
    ValueTrainer::new(ValueModelConfig::default()).unwrap()
}

#[test]
fn too_few_labels_and_too_few_groups() {
    let world = world();
    let (dataset, signals) = (world.dataset(false), world.signals(&world.train));
    let labelled: Vec<usize> = dataset.labelled().take(9).collect();
    let few = dataset.with_outcomes_of(&labelled).unwrap();
    let error = trainer().fit(&few, &signals, 1, &()).unwrap_err();
    assert_eq!(error.to_string(), "expected at least 10 users with a known outcome, found 9");
    let grouped = Dataset::builder(dataset.table().clone())
        .with_outcomes(dataset.outcomes().to_vec())
        .with_groups((0..dataset.len()).map(|row| row % 3).collect())
        .build()
        .unwrap();
    let error = trainer().fit(&grouped, &signals, 1, &()).unwrap_err();
    assert!(matches!(error, Error::TooFewGroups { expected: 5, found: 3 }), "{error}");
}

#[test]
fn more_values_than_a_regression_can_hold_are_refused_at_once() {
    let names = (0..1_000_000).map(|value| format!("v{value}"));
    let schema =
        ProfileSchema::builder("wide").with_field(FieldSpec::categorical("code", names)).build().unwrap();
    let mut table = TableBuilder::new(schema);
    (0..30i64).for_each(|id| table.push_text(id, &[&format!("v{id}")]).unwrap());
    let outcomes = (0..30).map(|row| Some(f64::from(row % 3))).collect();
    let dataset = Dataset::builder(table.finish()).with_outcomes(outcomes).build().unwrap();
    let trainer = ValueTrainer::new(ValueModelConfig::default().with_components([Component::Ridge])).unwrap();
    let error = trainer.fit_base(&dataset, 1, &()).unwrap_err().to_string();
    assert!(
        error.contains("at most 131072") && error.contains("1000001") && error.contains("bucket"),
        "{error}"
    );
}

#[test]
fn a_regression_that_would_take_hours_is_refused_with_what_to_do() {
    let names: Vec<String> = (0..2500).map(|value| format!("v{value}")).collect();
    let schema =
        ProfileSchema::builder("wide").with_field(FieldSpec::categorical("city", &names)).build().unwrap();
    let mut table = TableBuilder::new(schema);
    (0..5000i64).for_each(|id| table.push_text(id, &[&names[id as usize % 2500]]).unwrap());
    let outcomes = (0..5000).map(|row| Some(f64::from(row % 3))).collect();
    let dataset = Dataset::builder(table.finish()).with_outcomes(outcomes).build().unwrap();
    let trainer = ValueTrainer::new(ValueModelConfig::default().with_components([Component::Ridge])).unwrap();
    let error = trainer.fit_base(&dataset, 1, &()).unwrap_err().to_string();
    assert!(error.contains("at most 2048") && error.contains("2500") && error.contains("bucket"), "{error}");

    // The same is known before, with the signals that are still to come.
    let check = |users: usize, signals: usize| {
        let rows: Vec<usize> = (0..users).collect();
        trainer.config().check_columns(dataset.table(), &rows, signals)
    };
    assert_eq!(check(5000, 0).unwrap_err().to_string(), error);
    check(2000, 48).unwrap();
    assert!(check(2000, 49).unwrap_err().to_string().contains("2049"));
    assert!(matches!(check(5001, 0), Err(Error::Row { row: 5000, rows: 5000 })));
}

/// Asks to stop from its `left`th answer on.
struct StopsAfter {
    left: usize,
    asked: AtomicUsize,
}

impl StopsAfter {
    fn new(left: usize) -> Self {
        Self { left, asked: AtomicUsize::new(0) }
    }
}

impl Progress for StopsAfter {
    fn stopped(&self) -> bool {
        self.asked.fetch_add(1, Ordering::Relaxed) >= self.left
    }
}

#[test]
fn a_wish_to_stop_ends_a_regression_wherever_it_comes() {
    let world = world();
    let (dataset, signals) = (world.dataset(false), world.signals(&world.train));
    let fit = |progress: &StopsAfter| trainer().fit(&dataset, &signals, 1, progress);
    let never = StopsAfter::new(usize::MAX);
    fit(&never).unwrap();
    let asked = never.asked.into_inner();
    // Every user, every column and every solution of both regressions, parts and penalties.
    assert!(asked > 2 * world.train.len() + 5 * 9 * 5, "{asked}");
    for left in (0..asked).step_by(asked / 40) {
        let stops = StopsAfter::new(left);
        assert!(matches!(fit(&stops), Err(Error::Stopped)), "{left}");
        assert_eq!(stops.asked.into_inner(), left + 1, "nothing goes on");
    }
}

#[test]
fn settings_out_of_range() {
    for (config, field) in [
        (ValueModelConfig::default().with_components([]), "`components`"),
        (ValueModelConfig::default().with_bins(0), "`bins`"),
        (ValueModelConfig::default().with_parts(1), "`parts`"),
        (ValueModelConfig::default().with_prior_users(f64::NAN), "`prior_users`"),
    ] {
        let error = ValueTrainer::new(config).unwrap_err().to_string();
        assert!(error.contains(field), "{error}");
    }
    let world = world();
    let twice = trainer().with_learner(&ByAge).with_learner(&ByAge);
    let error = twice.fit_base(&world.dataset(false), 1, &()).unwrap_err();
    assert!(error.to_string().contains("each name once"), "{error}");
}

#[test]
fn signals_that_are_not_there_or_of_another_shape() {
    let world = world();
    let (dataset, signals) = (world.dataset(false), world.signals(&world.train));
    let error = trainer().fit(&dataset, None, 1, &()).unwrap_err();
    assert!(matches!(error, Error::NoSignals { component: Component::Informed }), "{error}");
    let unlabelled = dataset.with_outcomes_of(&[]).unwrap();
    assert!(matches!(trainer().fit(&unlabelled, None, 1, &()), Err(Error::NothingToRankBy)));

    let labelled: Vec<usize> = dataset.labelled().collect();
    let without_last = signals.select(&labelled[..labelled.len() - 1]).unwrap();
    let error = trainer().fit(&dataset, &without_last, 1, &()).unwrap_err();
    assert!(matches!(error, Error::MissingSignals { row } if row == labelled[labelled.len() - 1]), "{error}");

    // Signals of the labelled users are enough to fit on.
    let model = trainer().fit(&dataset, &signals.select(&labelled).unwrap(), 1, &()).unwrap();
    let (table, new) = (world.new_users(), world.signals(&world.test));
    assert!(matches!(model.predict(&table, None), Err(Error::MissingSignals { row: 0 })));
    assert!(matches!(model.predict_rows(&table, &[60], &new), Err(Error::Row { row: 60, rows: 60 })));
    let other = Signals::new(vec![0], vec![2], vec![0.5, 0.5], [0, 0], vec![]).unwrap();
    assert!(matches!(model.predict_rows(&table, &[0], &other), Err(Error::SignalShape { .. })));

    let schema = ProfileSchema::builder("other").with_field(FieldSpec::boolean("b")).build().unwrap();
    let mut rows = TableBuilder::new(schema);
    rows.push_text(1, &["yes"]).unwrap();
    assert!(matches!(model.predict(&rows.finish(), &new), Err(Error::Schema { .. })));
}

#[test]
fn components_that_were_not_fitted() {
    let world = world();
    let config = ValueModelConfig::default().with_components([Component::Learners]);
    let base = ValueTrainer::new(config).unwrap().fit_base(&world.dataset(false), 1, &()).unwrap();
    // No learner was given, so there is no model at all.
    assert!(matches!(base.value_model(&[Component::Learners], None, &()), Err(Error::Config(_))));
    assert!(matches!(base.value_model(&[Component::Ridge], None, &()), Err(Error::Config(_))));
    let model = base.value_model(&[Component::Level], &world.signals(&world.train), &()).unwrap();
    assert!(model.reads_signals());
}

#[test]
fn the_chain_schema_of_the_signals() {
    let world = world();
    let chain = |last: &str| {
        let first = StateDef::ordinal("need", ["low", "middle", "high"]);
        let builder = ChainSchema::builder("c").with_state(first);
        builder.with_state(StateDef::ordinal("spend", ["none", "low", "middle", last])).build().unwrap()
    };
    let (high, top) = (chain("high"), chain("top"));
    let (dataset, signals) = (world.dataset(false), world.signals(&world.train));
    let model = trainer().with_chain(&high).fit(&dataset, &signals, 1, &()).unwrap();
    assert!(model.check_chain(&high).is_ok());
    assert!(matches!(model.check_chain(&top), Err(Error::ChainSchema { .. })));
    let one = ChainSchema::builder("c").with_state(StateDef::ordinal("a", ["x", "y"])).build().unwrap();
    assert!(matches!(trainer().with_chain(&one).fit(&dataset, &signals, 1, &()), Err(Error::Chain(_))));
}

/// A learner whose predictions are given beforehand.
#[derive(Debug, Clone)]
struct FixedPredictions(Vec<f64>);

impl BaseLearner for FixedPredictions {
    fn name(&self) -> &str {
        "fixed"
    }

    fn fit(&self, _: &Sample<'_>, _: u64) -> Result<Box<dyn BaseModel>, LearnerError> {
        if self.0.is_empty() { Err("no predictions".into()) } else { Ok(Box::new(self.clone())) }
    }
}

impl BaseModel for FixedPredictions {
    fn predict(&self, _: &ProfileTable, _: &[usize]) -> Result<Vec<f64>, LearnerError> {
        Ok(self.0.clone())
    }

    fn save(&self, _: &Path) -> Result<(), LearnerError> {
        Err("cannot be saved".into())
    }
}

#[test]
fn learners_that_fail_or_predict_what_no_outcome_is() {
    let world = world();
    let error = |predictions: Vec<f64>| {
        trainer()
            .with_learner(&FixedPredictions(predictions))
            .fit_base(&world.dataset(false), 1, &())
            .unwrap_err()
    };
    let failed = error(vec![]);
    assert_eq!(failed.to_string(), "learner `fixed`: cannot fit");
    assert_eq!(std::error::Error::source(&failed).unwrap().to_string(), "no predictions");
    assert!(error(vec![1.0]).to_string().contains("predictions, found 1"));
    let part = world.dataset(false).labelled().count().div_ceil(5);
    assert!(error([vec![1.0; part - 1], vec![f64::NAN]].concat()).to_string().contains("found NaN for row"));
}

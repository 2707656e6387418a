//! Explanations and linear terms are the prediction, taken apart.

use scaletot_ltv::{BaseFit, Component, Representation, ValueModel, ValueModelConfig, ValueTrainer};
use scaletot_profile::ProfileTable;

use crate::learner::ByAge;
use crate::world::{World, world};

const SETS: [&[Component]; 5] = [
    &[Component::Informed, Component::Ridge, Component::Learners, Component::Level],
    &[Component::Ridge, Component::Learners],
    &[Component::Signals, Component::Level],
    &[Component::Informed],
    &[Component::Level],
];

fn base(world: &World, representation: Representation) -> BaseFit {
    let config = ValueModelConfig::default().with_representation(representation);
    let trainer = ValueTrainer::new(config).unwrap().with_learner(&ByAge);
    trainer.fit_base(&world.dataset(false), 3, &()).unwrap()
}

fn models(world: &World) -> Vec<ValueModel> {
    let known = world.signals(&world.train);
    let with = |representation| {
        let base = base(world, representation);
        SETS.map(|components| base.value_model(components, &known, &()).unwrap())
    };
    [Representation::Whole, Representation::Last, Representation::Ignored]
        .into_iter()
        .flat_map(with)
        .collect()
}

fn near(found: f64, expected: f64) {
    assert!((found - expected).abs() < 1e-10 * (1.0 + expected.abs()), "{found} is not {expected}");
}

#[test]
fn an_explanation_adds_up() {
    let world = world();
    let (table, signals) = (world.new_users(), world.signals(&world.test));
    for model in models(&world) {
        let predicted = model.log_values(&table, &signals).unwrap();
        for (row, &log_value) in predicted.iter().enumerate() {
            let explanation = model.explain(&table, row, &signals).unwrap();
            assert_eq!(explanation.log_value, log_value);
            assert_eq!(explanation.value, model.link().value(log_value));
            near(explanation.base() + explanation.signals(), log_value);
            assert_eq!(explanation.fields.len(), 6);
            assert_eq!(explanation.fields[5], ("never_known".to_owned(), 0.0));
            assert_eq!(explanation.states.len(), model.domain_sizes().len());
        }
    }
}

#[test]
fn contributions_are_counted_from_the_mean_training_user() {
    let world = world();
    let (dataset, known) = (world.dataset(false), world.signals(&world.train));
    let model = base(&world, Representation::Whole).value_model(&[Component::Informed], &known, &()).unwrap();
    let labelled: Vec<usize> = dataset.labelled().collect();
    let explanations: Vec<_> =
        labelled.iter().map(|&row| model.explain(dataset.table(), row, &known).unwrap()).collect();
    let mean = |of: &dyn Fn(usize) -> f64| (0..labelled.len()).map(of).sum::<f64>() / labelled.len() as f64;
    near(mean(&|i| explanations[i].fields[0].1), 0.0);
    near(mean(&|i| explanations[i].signals()), 0.0);
    near(explanations[0].mean, mean(&|i| dataset.outcome(labelled[i]).unwrap().ln_1p()));
}

/// What an encoder computes that has the terms folded in.
fn folded(model: &ValueModel, base: &BaseFit, table: &ProfileTable, row: usize, world: &World) -> f64 {
    let (terms, signals) = (model.linear_terms(), world.signals(&world.test));
    let entry = signals.index_of(row).unwrap();
    let dot = |weights: &[f64], x: &[f32]| -> f64 {
        assert!(weights.is_empty() || weights.len() == x.len());
        weights.iter().zip(x).map(|(w, &x)| w * f64::from(x)).sum()
    };
    let fields: f64 = terms.fields.iter().enumerate().map(|(f, field)| field.of(table.value(row, f))).sum();
    let marginals: f64 =
        terms.marginals.iter().enumerate().map(|(k, w)| dot(w, signals.marginal(entry, k))).sum();
    let learners: f64 = terms
        .learners
        .iter()
        .map(|(name, w)| w * base.committee_log_values(name, table, &[row]).unwrap().unwrap()[0])
        .sum();
    terms.intercept
        + fields
        + marginals
        + dot(&terms.representation, signals.representation(entry))
        + learners
}

#[test]
fn linear_terms_are_the_model() {
    let world = world();
    let (table, known) = (world.new_users(), world.signals(&world.train));
    for representation in [Representation::Whole, Representation::Last, Representation::Ignored] {
        let base = base(&world, representation);
        for components in SETS {
            let model = base.value_model(components, &known, &()).unwrap();
            assert_eq!(model.linear_terms().link, model.link());
            let predicted = model.log_values(&table, &world.signals(&world.test)).unwrap();
            for (row, &log_value) in predicted.iter().enumerate() {
                near(folded(&model, &base, &table, row, &world), log_value);
            }
        }
    }
    let unlabelled = world.dataset(false).with_outcomes_of(&[]).unwrap();
    let base = ValueTrainer::new(ValueModelConfig::default()).unwrap().fit_base(&unlabelled, 3, &()).unwrap();
    let level = base.value_model(&[], &known, &()).unwrap();
    let signals = world.signals(&world.test);
    near(folded(&level, &base, &table, 4, &world), signals.expected_level(4, 1));
    let explanation = level.explain(&table, 4, &signals).unwrap();
    near(explanation.base() + explanation.signals(), explanation.log_value);
}

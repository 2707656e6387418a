//! What holds for any outcomes and signals.

use proptest::prelude::*;
use scaletot_chain::Signals;
use scaletot_ltv::{BaseFit, Error, Explanation, LinearTerms, ValueModel, ValueModelConfig, ValueTrainer};
use scaletot_profile::{Dataset, FieldSpec, ProfileSchema, ProfileTable, TableBuilder};

/// A user: category, number, outcome, probability of the second of two values, representation.
type User = (Option<u8>, Option<f64>, Option<f64>, f32, f32);

fn user() -> impl Strategy<Value = User> {
    let outcome = prop_oneof![Just(0.0), 0.0..1e9_f64];
    (
        prop::option::of(0..3_u8),
        prop::option::of(-1e6..1e6_f64),
        prop::option::weighted(0.8, outcome),
        0.0..=1.0_f32,
        prop_oneof![-10.0..10.0_f32, Just(1e30_f32)],
    )
}

fn population(users: &[User]) -> (Dataset, Signals) {
    let schema = ProfileSchema::builder("p")
        .with_field(FieldSpec::categorical("c", ["a", "b", "d"]))
        .with_field(FieldSpec::numeric("n"));
    let mut rows = TableBuilder::new(schema.build().unwrap());
    for (id, (category, number, ..)) in users.iter().enumerate() {
        let category = category.map_or("", |c| ["a", "b", "d"][usize::from(c)]);
        let number = number.map_or(String::new(), |n| n.to_string());
        rows.push_text(id as i64, &[category, &number]).unwrap();
    }
    let table: ProfileTable = rows.finish();
    let outcomes = users.iter().map(|user| user.2).collect();
    let marginals = users.iter().flat_map(|user| [1.0 - user.3, user.3]).collect();
    let representations = users.iter().map(|user| user.4).collect();
    let rows = (0..users.len()).collect();
    let signals = Signals::new(rows, vec![2], marginals, [1, 1], representations).unwrap();
    (Dataset::builder(table).with_outcomes(outcomes).build().unwrap(), signals)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn values_are_finite_keep_the_mean_and_are_explained(users in prop::collection::vec(user(), 1..60)) {
        let (dataset, signals) = population(&users);
        let labelled: Vec<usize> = dataset.labelled().collect();
        let trainer = ValueTrainer::new(ValueModelConfig::default()).unwrap();
        let model = match trainer.fit(&dataset, &signals, 1, &()) {
            Ok(model) => model,
            // The only thing that may go wrong here.
            Err(Error::TooFewLabels { found, .. }) => {
                prop_assert!(found < 10 && found == labelled.len());
                return Ok(());
            }
            Err(error) => return Err(TestCaseError::fail(error.to_string())),
        };
        let values = model.predict(dataset.table(), &signals).unwrap();
        prop_assert!(values.iter().all(|value| value.is_finite() && *value >= 0.0));
        for (row, &value) in values.iter().enumerate() {
            let why = model.explain(dataset.table(), row, &signals).unwrap();
            let size = 1.0 + why.log_value.abs() + why.mean.abs() + why.representation.abs();
            prop_assert!((why.base() + why.signals() - why.log_value).abs() < 1e-9 * size);
            prop_assert_eq!(why.value, value);
        }
        if let Some(out_of_fold) = model.out_of_fold() {
            let fitted: f64 = out_of_fold.log_values().iter().map(|&y| model.link().value(y)).sum();
            let known: f64 = labelled.iter().filter_map(|&row| dataset.outcome(row)).sum();
            prop_assert!((fitted - known).abs() <= 1e-6 * known + 1e-6, "{} {}", fitted, known);
        }
        // Equal arguments give an equal model.
        let again = trainer.fit(&dataset, &signals, 1, &()).unwrap().predict(dataset.table(), &signals).unwrap();
        prop_assert_eq!(again, values);
    }
}

#[test]
fn types_can_be_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<ValueModel>();
    shared::<BaseFit>();
    shared::<ValueTrainer<'_>>();
    shared::<ValueModelConfig>();
    shared::<LinearTerms>();
    shared::<Explanation>();
    shared::<Error>();
}

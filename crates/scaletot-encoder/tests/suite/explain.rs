//! Explanations: they add up, and say what there is to say.

use crate::common::{config, encoder, world};
use proptest::prelude::*;
use scaletot_encoder::{Abstention, Error, Explanation, FrozenEncoder, Heads};

/// What has to hold of every explanation.
fn sound(explanation: &Explanation) {
    let Explanation { value, baseline, contributions, gap, steps, .. } = explanation;
    let amounts = || contributions.iter().map(|contribution| contribution.amount);
    assert!((value - baseline - amounts().sum::<f64>() - gap).abs() < 1e-9 * (1.0 + value.abs()));
    let absolute: f64 = amounts().map(f64::abs).sum();
    assert!(gap.abs() <= 1e-3 * absolute || *steps == 8192, "{explanation:?}");
    assert!(gap.abs() <= 1e-2 * absolute, "{explanation:?}");
    assert!(contributions.iter().all(|c| c.value.is_some() || c.amount == 0.0), "{explanation:?}");
    assert!(contributions.is_sorted_by(|a, b| a.amount.abs() >= b.amount.abs()));
    for posterior in &explanation.posteriors {
        assert!((posterior.values.iter().map(|(_, p)| p).sum::<f64>() - 1.0).abs() < 1e-9);
        assert!(posterior.values.is_sorted_by(|a, b| a.1 >= b.1));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn contributions_sum_to_the_value(
        seed in 0u64..1000, embed_dim in 1usize..6, hidden in prop::collection::vec(1usize..20, 0..3),
        cross_layers in 0usize..3, signals: bool, row in 0usize..12,
    ) {
        let world = world(12, seed);
        let heads = Heads::new(true, if signals { vec![2, 3] } else { vec![] }, if signals { 4 } else { 0 });
        let config = config(embed_dim, hidden, cross_layers);
        let encoder = FrozenEncoder::with_random_weights(&config, &world.table, &world.chain, heads, seed).unwrap();
        let encoder = encoder.with_min_populated(0);
        let explanation = encoder.explain(&world.table, row).unwrap();
        sound(&explanation);
        let scores = encoder.score(&world.table).unwrap();
        let close = |a: f64, b: f64| (a - b).abs() <= 1e-4 * (1.0 + b.abs());
        prop_assert!(close(explanation.value, scores.value_of(row).unwrap()));
        // The first user is blank.
        prop_assert!(close(explanation.baseline, scores.value_of(0).unwrap()));
        prop_assert_eq!(explanation.posteriors.len(), if signals { 2 } else { 0 });
        for (posterior, found) in explanation.posteriors.iter().zip(&scores.posteriors) {
            let most = found.row(row).iter().copied().fold(0.0, f32::max);
            prop_assert!(close(posterior.values[0].1, most.into()));
        }
        // What one field alone says is all its own.
        let populated = world.table.populated(row);
        let said = explanation.contributions.iter().filter(|c| c.value.is_some()).count();
        prop_assert_eq!(said, populated);
        if populated == 1 {
            let rise = explanation.value - explanation.baseline;
            prop_assert!((explanation.contributions[0].amount - rise).abs() <= 1e-3 * rise.abs());
        }
    }
}

#[test]
fn a_profile_that_is_abstained_on_is_explained_and_says_so() {
    let world = world(40, 2);
    let encoder = encoder(2);
    let blank = encoder.explain(&world.table, 0).unwrap();
    sound(&blank);
    assert_eq!((blank.abstention, blank.value), (Some(Abstention::TooFewFields), blank.baseline));
    assert!(blank.contributions.iter().all(|c| c.amount == 0.0));
    assert!(blank.to_string().starts_with("not served: too few fields"), "{blank}");
    let rows: Vec<usize> = (0..40).collect();
    let encoder = encoder.calibrate_abstention(&world.table, &rows, 0.5).unwrap();
    let scores = encoder.score(&world.table).unwrap();
    let row = scores.too_far.iter().position(|far| *far).unwrap();
    let far = encoder.explain(&world.table, row).unwrap();
    sound(&far);
    assert!(far.to_string().starts_with("not served: too far") && far.value > 0.0, "{far}");
    let json = serde_json::to_string(&far).unwrap();
    assert_eq!(serde_json::from_str::<Explanation>(&json).unwrap(), far);
}

#[test]
fn values_are_said_in_the_schemas_words() {
    let world = world(40, 4);
    let row = (0..40).find(|&row| world.table.populated(row) == 5).unwrap();
    let explanation = encoder(4).explain(&world.table, row).unwrap();
    let said = explanation.to_string();
    assert_eq!(said.lines().count(), 1 + 5 + 2, "{said}");
    let value = |field: &str| {
        explanation.contributions.iter().find(|c| c.field == field).and_then(|c| c.value.clone()).unwrap()
    };
    assert!(
        ["rent", "own"].contains(&value("home").as_str())
            && ["yes", "no"].contains(&value("member").as_str())
    );
    assert!(value("income").parse::<f64>().is_ok());
    assert!(said.contains("need: ") && said.contains("spend: ") && said.contains(", then "), "{said}");
}

#[test]
fn what_cannot_be_explained_is_refused() {
    let world = world(20, 5);
    let heads = Heads::new(false, vec![2, 3], 4);
    let encoder = encoder(5);
    let error = encoder.explain(&world.table, 20).unwrap_err();
    assert!(error.to_string().contains("less than 20"), "{error}");
    let encoder =
        FrozenEncoder::with_random_weights(encoder.config(), &world.table, &world.chain, heads, 5).unwrap();
    let error = encoder.explain(&world.table, 1).unwrap_err();
    assert!(
        matches!(error, Error::Shape { .. }) && error.to_string().contains("outcome or value head"),
        "{error}"
    );
}

//! The value head of an encoder: what it serves is what its formula says of the encoder's own parts.

use std::fs;

use crate::common::{config, edit_manifest, encoder, schema, sign, value_head, world};
use proptest::prelude::*;
use scaletot_encoder::{
    Activations, ArtifactInfo, Deduplication, Error, FieldTerms, FrozenEncoder, Heads, HiddenUnit, Precision,
    Selection, ValueHead,
};
use scaletot_profile::{ProfileTable, TableBuilder, Value};

/// The value of a user from the parts, in 64 bits.
fn reference(head: &ValueHead, table: &ProfileTable, row: usize, parts: &Activations, place: usize) -> f64 {
    let fields =
        head.fields().iter().enumerate().map(|(field, terms)| match (terms, table.value(row, field)) {
            (FieldTerms::Codes { missing, .. } | FieldTerms::Numeric { missing, .. }, None) => *missing,
            (FieldTerms::Codes { codes, .. }, Some(Value::Code(code))) => codes[code as usize],
            (FieldTerms::Codes { codes, .. }, Some(Value::Flag(flag))) => codes[usize::from(flag)],
            (FieldTerms::Codes { codes, .. }, Some(Value::Codes(set))) => {
                set.iter().map(|&code| codes[code as usize]).sum()
            }
            (FieldTerms::Numeric { quantiles, bins, slope, .. }, Some(Value::Number(x))) => {
                bins[quantiles.bin(x)] + slope * quantiles.bin(x) as f64
            }
            _ => 0.0,
        });
    let hidden = head.hidden().iter().map(|unit| {
        let own = unit.tables().iter().enumerate().filter(|(_, table)| !table.is_empty());
        let sum: f64 = own
            .map(|(field, own)| match table.value(row, field) {
                None => own[own.len() - 1],
                Some(Value::Code(code)) => own[code as usize],
                Some(Value::Flag(flag)) => own[usize::from(flag)],
                Some(Value::Codes(set)) => set.iter().map(|&code| own[code as usize]).sum(),
                Some(Value::Number(x)) => match &head.fields()[field] {
                    FieldTerms::Numeric { quantiles, .. } => own[quantiles.bin(x)],
                    _ => f64::NAN,
                },
            })
            .sum();
        unit.weight() * (unit.bias() + sum).max(0.0)
    });
    let dot = |weights: &mut dyn Iterator<Item = f64>, values: ndarray::ArrayView1<'_, f32>| {
        weights.zip(values).map(|(weight, value)| weight * f64::from(*value)).sum::<f64>()
    };
    let y = head.intercept()
        + fields.sum::<f64>()
        + hidden.sum::<f64>()
        + dot(&mut head.marginals().iter().flatten().copied(), parts.marginals.row(place))
        + dot(&mut head.representation().iter().copied(), parts.representation.row(place))
        + dot(&mut head.trunk().iter().copied(), parts.trunk.row(place));
    let (a, b) = head.link();
    (a + b * y).exp().min(head.cap())
}

/// Users with numbers on the edges of bins, of the value head's and of the encoder's own, and beyond all of them.
fn edges(encoder: &FrozenEncoder, head: &ValueHead) -> ProfileTable {
    let mut numbers = vec![0.0, 1e300, 1e9, 0.5];
    for terms in head.fields() {
        if let FieldTerms::Numeric { quantiles, .. } = terms {
            let near = |x: f64| [x, x.next_up(), x.next_down().max(0.0)];
            numbers.extend(
                quantiles.cuts().iter().copied().chain([quantiles.min(), quantiles.max()]).flat_map(near),
            );
        }
    }
    let mut table = TableBuilder::new(encoder.profile_schema().clone());
    for (id, number) in numbers.into_iter().enumerate() {
        let set: Vec<u32> = (0..3).filter(|code| id >> code & 1 == 1).collect();
        let known = |bit: usize, value| (id % bit != 0).then_some(value);
        let cells = [
            known(3, Value::Code(id as u32 % 4)),
            Some(Value::Number(number)),
            known(4, Value::Flag(id.is_multiple_of(2))),
            known(5, Value::Codes(&set)),
            known(2, Value::Code(id as u32 % 2)),
        ];
        table.push_values(id as i64, &cells).unwrap();
    }
    table.finish()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn what_is_served_is_what_was_fitted(
        seed in 0u64..1000, hidden in prop::collection::vec(1usize..40, 0..3), cross_layers in 0usize..3, outcome: bool,
        states: bool, representation: bool,
    ) {
        let world = world(40, seed);
        let heads = Heads::new(outcome, vec![2, 3], 4);
        let config = config(4, hidden.clone(), cross_layers);
        let encoder = FrozenEncoder::with_random_weights(&config, &world.table, &world.chain, heads, seed).unwrap();
        let trunk = hidden.last().copied().unwrap_or(20);
        let head = value_head(trunk, seed);
        let before = encoder.clone().with_min_populated(0);
        let served = before.clone().with_value_head(head.clone()).unwrap();
        let selection = Selection::VALUE.with_states(states).with_representation(representation);
        let some = served.clone().with_selection(selection).unwrap();
        for table in [&world.table, &edges(&encoder, &head)] {
            let rows: Vec<usize> = (0..table.len()).rev().collect();
            let parts = served.activations(table, &rows).unwrap();
            prop_assert_eq!(parts.trunk.dim(), (rows.len(), trunk));
            prop_assert_eq!(&parts, &before.activations(table, &rows).unwrap());
            let scores = served.score_rows(table, &rows).unwrap();
            for (place, &row) in rows.iter().enumerate() {
                let expected = reference(&head, table, row, &parts, place);
                let found = scores.value_of(place).unwrap();
                prop_assert!((found - expected).abs() <= 1e-5 * expected, "{} {}", found, expected);
            }
            // Everything else is as without the head.
            let others = before.score_rows(table, &rows).unwrap();
            prop_assert_eq!((&scores.p_positive, &scores.mu), (&others.p_positive, &others.mu));
            prop_assert_eq!((&scores.posteriors, &scores.representation), (&others.posteriors, &others.representation));
            prop_assert_eq!(others.value.is_empty(), !outcome);
            let few = some.score_rows(table, &rows).unwrap();
            for (few, all) in few.value.iter().zip(&scores.value) {
                prop_assert!((few - all).abs() <= 1e-5 * all, "{} {}", few, all);
            }
            prop_assert_eq!(few.posteriors.len(), if states { 2 } else { 0 });
            // By features, and each kind of profile once.
            let features = served.featuriser().transform(table, &rows).unwrap();
            prop_assert_eq!(&served.score_features(&features).unwrap(), &scores);
            let often: Vec<usize> = rows.iter().chain(&rows).copied().collect();
            let once = served.clone().with_deduplication(Deduplication::Always).score_rows(table, &often).unwrap();
            let each = served.clone().with_deduplication(Deduplication::Never).score_rows(table, &often).unwrap();
            prop_assert_eq!(&once, &each);
            prop_assert_eq!(&once.value[..rows.len()], &scores.value[..]);
        }
        prop_assert_eq!(served.without_value_head().unwrap(), before);
    }

    #[test]
    fn other_precisions_serve_it_nearly(seed in 0u64..1000, hidden in prop::collection::vec(8usize..40, 1..3)) {
        let world = world(60, seed);
        let heads = Heads::new(true, vec![2, 3], 4);
        let config = config(4, hidden.clone(), 0);
        let head = value_head(hidden[hidden.len() - 1], seed);
        let encoder = FrozenEncoder::with_random_weights(&config, &world.table, &world.chain, heads, seed).unwrap();
        let encoder = encoder.with_value_head(head).unwrap();
        let exact = encoder.score(&world.table).unwrap();
        for precision in [Precision::Bf16, Precision::Int8] {
            // The order in which they are set does not matter.
            let close = encoder.clone().with_precision(precision).unwrap();
            let again = encoder.clone().without_value_head().unwrap().with_precision(precision).unwrap();
            let again = again.with_value_head(encoder.value_head().unwrap().clone()).unwrap();
            prop_assert_eq!(&close, &again);
            let found = close.score(&world.table).unwrap();
            for (row, value) in exact.values().enumerate().filter_map(|(row, value)| Some((row, value?))) {
                let found = found.value_of(row).unwrap();
                prop_assert!((found - value).abs() < 0.1 * value, "{:?} {} {}", precision, found, value);
            }
        }
    }

    #[test]
    fn explanations_go_through_the_head(seed in 0u64..1000, cross_layers in 0usize..2, row in 1usize..12) {
        let world = world(12, seed);
        let heads = Heads::new(seed % 2 == 0, vec![2, 3], 4);
        let encoder =
            FrozenEncoder::with_random_weights(&config(4, vec![6], cross_layers), &world.table, &world.chain, heads, seed);
        let encoder = encoder.unwrap().with_min_populated(0).with_value_head(value_head(6, seed)).unwrap();
        let explanation = encoder.explain(&world.table, row).unwrap();
        let scores = encoder.score(&world.table).unwrap();
        let close = |a: f64, b: f64| (a - b).abs() <= 1e-5 * (1.0 + b.abs());
        prop_assert!(close(explanation.value, scores.value_of(row).unwrap()));
        // The first user is blank.
        prop_assert!(close(explanation.baseline, scores.value_of(0).unwrap()));
        let amounts = || explanation.contributions.iter().map(|contribution| contribution.amount);
        let absolute: f64 = amounts().map(f64::abs).sum();
        let gap = explanation.value - explanation.baseline - amounts().sum::<f64>();
        prop_assert!(gap.abs() <= 1e-2 * absolute + 1e-9, "{:?}", explanation);
        prop_assert!(explanation.contributions.iter().all(|c| c.value.is_some() || c.amount == 0.0));
    }
}

#[test]
fn a_head_travels_with_the_artifact_and_its_canaries() {
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().join("encoder");
    let saved = encoder(3).with_value_head(value_head(6, 3)).unwrap();
    saved.save(&directory, ArtifactInfo::new()).unwrap();
    let loaded = FrozenEncoder::load(&directory, &schema()).unwrap();
    assert_eq!(loaded.value_head(), saved.value_head());
    let table = world(30, 9).table;
    assert_eq!(loaded.score(&table).unwrap(), saved.score(&table).unwrap());

    // Another intercept is another value of every canary.
    edit_manifest(&directory, "\"intercept\": 0.4", "\"intercept\": 0.401");
    let error = FrozenEncoder::load(&directory, &schema()).unwrap_err();
    assert!(matches!(&error, Error::Canary { output, .. } if output == "value[0]"), "{error}");
    // As is none at all.
    let path = directory.join("manifest.json");
    let mut manifest: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    manifest["encoder"].as_object_mut().unwrap().remove("value_head").unwrap();
    fs::write(&path, serde_json::to_vec(&manifest).unwrap()).unwrap();
    sign(&directory);
    assert!(
        FrozenEncoder::load(&directory, &schema()).unwrap_err().to_string().contains("value of canary 0")
    );
}

#[test]
fn heads_of_other_encoders_are_refused() {
    let head = || value_head(6, 1).into_builder();
    let numeric = value_head(6, 1).fields()[1].clone();
    let unused = || vec![FieldTerms::Unused; 5];
    let mut other_kind = unused();
    other_kind[0] = numeric;
    let mut codes = unused();
    codes[3] = FieldTerms::Codes { codes: vec![0.0; 2], missing: 0.0 };
    let mut short = vec![vec![]; 5];
    short[3] = vec![1.0; 3];
    for (what, builder) in [
        ("trunk", head().with_trunk(vec![1.0; 7])),
        ("representation", head().with_representation(vec![1.0; 2])),
        ("states", head().with_marginals(vec![vec![1.0; 2]])),
        ("state 1", head().with_marginals(vec![vec![1.0; 2]; 2])),
        ("profile fields", head().with_fields(vec![FieldTerms::Unused; 4])),
        ("`age`", head().with_fields(other_kind)),
        ("`likes`", head().with_fields(codes)),
        ("hidden unit 0", head().with_hidden(vec![HiddenUnit::new(0.0, 1.0, vec![vec![]; 4])])),
        (
            "field 3 in the value head's hidden unit 0",
            head().with_hidden(vec![HiddenUnit::new(0.0, 1.0, short)]),
        ),
    ] {
        let error = encoder(1).with_value_head(builder.build().unwrap()).unwrap_err().to_string();
        assert!(error.contains(what), "{what}: {error}");
    }
    let nothing = ValueHead::builder(0.5).build().unwrap();
    let scores = encoder(1).with_value_head(nothing).unwrap().score(&world(5, 1).table).unwrap();
    assert!(scores.values().flatten().all(|value| (value - 0.5f64.exp()).abs() < 1e-5));
}

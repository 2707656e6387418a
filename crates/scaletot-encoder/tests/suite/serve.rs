//! Ways to score that must not change scores.

use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use scaletot_chain::{ChainSchema, Signals, StateDef};
use scaletot_encoder::{Deduplication, EncoderConfig, FrozenEncoder, Heads, Precision, Scores, Selection};
use scaletot_profile::{Dataset, FieldSpec, ProfileSchema, ProfileTable, TableBuilder};

use crate::common::spearman;

type Row = (Option<usize>, Option<u8>, Option<bool>, Vec<usize>);

fn table(rows: &[Row]) -> ProfileTable {
    let schema = ProfileSchema::builder("serve")
        .with_field(FieldSpec::ordinal("age", ["18-34", "35-54", "55+"]))
        .with_field(FieldSpec::numeric("income"))
        .with_field(FieldSpec::boolean("member"))
        .with_field(FieldSpec::multi("likes", ["a", "b", "c"]))
        .build()
        .unwrap();
    let mut table = TableBuilder::new(schema);
    for (id, (age, income, member, likes)) in rows.iter().enumerate() {
        let age = age.map_or("", |age| ["18-34", "35-54", "55+"][age]);
        let income = income.map_or(String::new(), |income| income.to_string());
        let member = member.map_or("", |member| if member { "yes" } else { "no" });
        let likes: Vec<&str> = likes.iter().map(|&like| ["a", "b", "c"][like]).collect();
        table.push_text(id as i64, &[age, &income, member, &likes.join("|")]).unwrap();
    }
    table.finish()
}

fn rows(most: usize) -> impl Strategy<Value = Vec<Row>> {
    let row = (
        prop::option::of(0usize..3),
        prop::option::of(0u8..5),
        prop::option::of(any::<bool>()),
        prop::collection::vec(0usize..3, 0..2),
    );
    prop::collection::vec(row, 1..most)
}

fn encoder(table: &ProfileTable, seed: u64) -> FrozenEncoder {
    let state = |name: &str| StateDef::ordinal(name, ["low", "mid", "high"]);
    let chain =
        ChainSchema::builder("serve").with_state(state("need")).with_state(state("spend")).build().unwrap();
    let heads = Heads::new(true, vec![3, 3], 4);
    FrozenEncoder::with_random_weights(&EncoderConfig::default(), table, &chain, heads, seed).unwrap()
}

fn close(a: &[f32], b: &[f32]) -> bool {
    a.len() == b.len()
        && a.iter().zip(b).all(|(a, b)| a.is_nan() && b.is_nan() || (a - b).abs() <= 1e-5 * (1.0 + a.abs()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn scoring_each_kind_of_profile_once_gives_the_same_to_the_bit(
        rows in rows(900), repeats in 1usize..6, seed in 0u64..99, int8 in any::<bool>(),
    ) {
        // From 1,024 profiles on it is looked whether they repeat.
        let table = table(&vec![rows; repeats].concat());
        let precision = if int8 { Precision::Int8 } else { Precision::Full };
        let encoder = encoder(&table, seed).with_precision(precision).unwrap();
        let score = |how| encoder.clone().with_deduplication(how).score(&table).unwrap();
        let plain = score(Deduplication::Never);
        prop_assert_eq!(&plain, &score(Deduplication::Always));
        prop_assert_eq!(&plain, &score(Deduplication::Auto));
    }

    #[test]
    fn what_is_selected_is_what_all_outputs_say(
        rows in rows(60), seed in 0u64..99, [value, distribution, states, representation] in any::<[bool; 4]>(),
    ) {
        let table = table(&rows);
        let encoder = encoder(&table, seed);
        let all = encoder.score(&table).unwrap();
        let selection = Selection::NONE.with_value(value).with_distribution(distribution);
        let selection = selection.with_states(states).with_representation(representation);
        let some = encoder.with_selection(selection).unwrap().score(&table).unwrap();
        prop_assert_eq!(&some.abstained, &all.abstained);
        let columns = |scores: &Scores| [scores.value.clone(), scores.p_positive.clone(), scores.mu.clone(), scores.sigma.clone()];
        let selected = [value, distribution, distribution, distribution];
        for ((some, all), selected) in columns(&some).iter().zip(columns(&all)).zip(selected) {
            let expected: &[f32] = if selected { &all } else { &[] };
            prop_assert!(close(some, expected));
        }
        prop_assert_eq!(some.distribution_of(0).is_some(), distribution && !some.abstained[0]);
        prop_assert_eq!(some.posteriors.len(), if states { 2 } else { 0 });
        for (some, all) in some.posteriors.iter().zip(&all.posteriors) {
            prop_assert!(close(&some.iter().copied().collect::<Vec<_>>(), &all.iter().copied().collect::<Vec<_>>()));
        }
        prop_assert_eq!(some.representation.ncols(), if representation { all.representation.ncols() } else { 0 });
        if representation {
            let flat = |scores: &Scores| scores.representation.iter().copied().collect::<Vec<_>>();
            prop_assert!(close(&flat(&some), &flat(&all)));
        }
    }
}

#[test]
fn tables_in_half_the_bits_take_half_the_room_and_score_nearly_the_same() {
    let row = |i: usize| {
        (Some(i % 3), Some((i % 5) as u8), (!i.is_multiple_of(7)).then_some(i.is_multiple_of(2)), vec![i % 3])
    };
    let table = table(&(0..200).map(row).collect::<Vec<_>>());
    let encoder = encoder(&table, 5);
    let half = encoder.clone().with_precision(Precision::Bf16).unwrap();
    assert!(half.footprint().bytes < encoder.footprint().bytes);
    for precision in [Precision::Full, Precision::Int8] {
        let all = encoder.clone().with_precision(precision).unwrap();
        let one = all.clone().with_selection(Selection::OUTCOME).unwrap();
        assert!(one.footprint().flops < all.footprint().flops, "{precision:?}");
    }
    let (full, half) = (encoder.score(&table).unwrap(), half.score(&table).unwrap());
    let worst = full.value.iter().zip(&half.value).map(|(a, b)| ((a - b) / a).abs()).fold(0.0, f32::max);
    assert!(worst > 0.0 && worst < 0.02, "{worst}");
    for (full, half) in full.posteriors.iter().zip(&half.posteriors) {
        assert!(full.iter().zip(half).all(|(a, b)| (a - b).abs() < 0.005));
    }
}

#[test]
fn scores_are_signals_of_their_rows() {
    let row = |i: usize| (Some(i % 3), Some(i as u8), Some(i.is_multiple_of(2)), vec![i % 3]);
    let table = table(&[row(0), row(1), (None, None, None, vec![]), row(4)]);
    let encoder = encoder(&table, 5).with_min_populated(2);
    let rows = [3, 2, 0];
    let scores = encoder.score_rows(&table, &rows).unwrap();
    let signals = scores.signals(&rows).unwrap();
    assert_eq!((signals.rows(), signals.domain_sizes()), (&rows[..], &[3, 3][..]));
    assert_eq!(signals.representation_shape(), [1, encoder.config().rep_dim]);
    for (place, &row) in rows.iter().enumerate() {
        assert_eq!(signals.index_of(row), Some(place));
        for (state, marginal) in scores.posteriors.iter().enumerate() {
            assert_eq!(signals.marginal(place, state), marginal.row(place).to_vec());
        }
        assert_eq!(signals.representation(place), scores.representation.row(place).to_vec());
    }
    assert!(signals.marginal(1, 0).iter().all(|p| *p == 1.0 / 3.0), "nothing is known of a blank profile");
    assert!(scores.signals(&[0, 1]).is_err() && scores.signals(&[0, 1, 1]).is_err());
    let few = encoder.with_selection(Selection::OUTCOME).unwrap().score_rows(&table, &rows).unwrap();
    assert_eq!(few.signals(&rows).unwrap().representation_shape(), [0, 0]);
}

#[cfg(feature = "arrow")]
#[test]
fn scores_are_columns_without_what_is_not_known() {
    use arrow_array::Array;

    let table = table(&[(Some(1), Some(2), None, vec![]), (None, None, None, vec![])]);
    let encoder = encoder(&table, 5).with_min_populated(2);
    let (chain, ids) = (encoder.chain_schema().clone(), table.ids());
    let scores = encoder.score(&table).unwrap();
    let batch = scores.to_record_batch("id", ids, &chain).unwrap();
    assert_eq!((batch.num_rows(), batch.num_columns()), (2, 9));
    for (field, column) in batch.schema_ref().fields().iter().zip(batch.columns()) {
        let whole = ["id", "abstained"].contains(&field.name().as_str());
        assert_eq!(column.null_count(), usize::from(!whole), "{}", field.name());
    }
    let few = encoder.with_selection(Selection::OUTCOME).unwrap().score(&table).unwrap();
    assert_eq!(few.to_record_batch("id", ids, &chain).unwrap().num_columns(), 6);
    assert!(scores.to_record_batch("value", ids, &chain).unwrap_err().to_string().contains("`id_column`"));
    let one =
        ChainSchema::builder("one").with_state(StateDef::ordinal("spend", ["low", "high"])).build().unwrap();
    assert!(scores.to_record_batch("id", ids, &one).unwrap_err().to_string().contains("expected [3, 3]"));
    let nobody = scaletot_profile::UserIds::default();
    assert!(scores.to_record_batch("id", &nobody, &chain).unwrap_err().to_string().contains("ids"));
}

#[test]
fn a_report_needs_the_signals_it_compares() {
    let table = table(&vec![(Some(1), Some(2), None, vec![]); 4]);
    let encoder = encoder(&table, 1).with_selection(Selection::OUTCOME).unwrap();
    let rows = (0..4).collect();
    let signals = Signals::new(rows, vec![3, 3], vec![1.0 / 3.0; 24], [2, 4], vec![0.0; 32]).unwrap();
    let message = encoder.transfer_report(&Dataset::from(table), &signals).unwrap_err().to_string();
    assert!(message.contains("selection"), "{message}");
}

/// The range of a first layer's unit grows with the fields, what it does with their root: steps grow coarse.
#[test]
fn small_integers_rank_as_floats_also_with_many_fields() {
    for (fields, least) in [(5usize, 0.9998), (20, 0.9996), (60, 0.999)] {
        let values: Vec<String> = (0..8).map(|value| format!("v{value}")).collect();
        let mut schema = ProfileSchema::builder("wide");
        for field in 0..fields {
            schema = schema.with_field(FieldSpec::categorical(format!("f{field}"), values.clone()));
        }
        let mut builder = TableBuilder::new(schema.build().unwrap());
        let mut rng = ChaCha8Rng::seed_from_u64(fields as u64);
        for id in 0..2_000i64 {
            let cells: Vec<&str> = (0..fields)
                .map(|_| if rng.random_bool(0.3) { "" } else { values[rng.random_range(0..8)].as_str() })
                .collect();
            builder.push_text(id, &cells).unwrap();
        }
        let table = builder.finish();
        let chain = ChainSchema::builder("wide")
            .with_state(StateDef::ordinal("spend", ["low", "high"]))
            .build()
            .unwrap();
        let heads = Heads::new(true, vec![2], 4);
        let floats =
            FrozenEncoder::with_random_weights(&EncoderConfig::default(), &table, &chain, heads, 1).unwrap();
        let values = |encoder: &FrozenEncoder| -> Vec<f64> {
            encoder.score(&table).unwrap().values().map(|value| value.unwrap_or(-1.0)).collect()
        };
        let exact = values(&floats);
        let found = spearman(&exact, &values(&floats.with_precision(Precision::Int8).unwrap()));
        assert!(found > least, "{fields} fields: {found}");
    }
}

//! Decoding: legality, posteriors, batches, seeds.

use crate::common::{self, batches_of, chain_schema, quick, records, sft, student, table};
use proptest::prelude::*;
use scaletot_chain::{ChainSchema, Constraint, Signals, StateDef};
use scaletot_profile::{FieldSpec, ProfileSchema, TableBuilder};
use scaletot_student::{Error, Inference, Sampling, Student};

/// A schema of four states with a random set of constraints, if they leave a legal chain.
fn schemas() -> impl Strategy<Value = ChainSchema> {
    let names = ["p", "q", "r", "s"];
    let values = ["0", "1", "2"];
    let constraint =
        (0usize..3, 1usize..4, 0usize..3, 0usize..3).prop_map(move |(from, to, value, forbid)| {
            let (from, to) = (from.min(to - 1), to);
            Constraint::new([(names[from], values[value])], names[to], [values[forbid]])
        });
    prop::collection::vec(constraint, 0..7).prop_filter_map("a dead end", move |constraints| {
        let builder = names.iter().fold(ChainSchema::builder("random"), |builder, name| {
            builder.with_state(StateDef::ordinal(*name, values))
        });
        constraints
            .into_iter()
            .fold(builder, |builder, constraint| builder.with_constraint(constraint))
            .build()
            .ok()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever the weights and the constraints, only legal chains come out.
    #[test]
    fn an_illegal_chain_cannot_come_about(schema in schemas(), seed in 0u64..1_000) {
        let all = table(12, seed);
        let rows: Vec<usize> = (0..12).collect();
        let student = Student::new(&common::tiny(), &all, &schema, seed, &Default::default()).unwrap();
        let inference = student.infer(&all, &rows, &batches_of(5)).unwrap();
        let samples = student.sample(&all, &rows, 5, Sampling::at(3.0), seed).unwrap();
        for chain in inference.chains().chain(samples.iter().map(Vec::as_slice)) {
            prop_assert!(schema.is_legal(chain), "{}", schema.describe(chain));
        }
        for k in 0..schema.len() {
            let possible = |value: usize| schema.legal_chains().any(|chain| usize::from(chain[k]) == value);
            for row in 0..inference.chains().len() {
                let p = inference.signals().marginal(row, k);
                prop_assert!((p.iter().sum::<f32>() - 1.0).abs() < 1e-5);
                prop_assert!((0..p.len()).all(|value| possible(value) == (p[value] > 0.0)));
            }
        }
    }

    /// A marginal is the sum over every legal chain; where not all prefixes are followed it errs by about what is said.
    #[test]
    fn marginals_are_sums_over_legal_chains(schema in schemas(), seed in 0u64..1_000) {
        let all = table(6, seed);
        let rows: Vec<usize> = (0..6).collect();
        let student = Student::new(&common::tiny(), &all, &schema, seed, &Default::default()).unwrap();
        let chains = student.beam(&all, &rows, 6, schema.legal_chains().count()).unwrap();
        let exact = |row: usize, k: usize, value: usize| {
            let of_value = chains[row].iter().filter(|chain| usize::from(chain.values[k]) == value);
            of_value.map(|chain| chain.log_prob.exp()).sum::<f64>()
        };
        let most = |prefixes| student.infer(&all, &rows, &batches_of(4).with_prefixes(prefixes)).unwrap();
        let (whole, few, one) = (most(27), most(5), most(1));
        prop_assert_eq!(&whole, &student.infer(&all, &rows, &batches_of(4)).unwrap());
        for row in 0..6 {
            prop_assert!(whole.standard_error(row) == 0.0);
            for k in 0..schema.len() {
                let off = |inference: &Inference, value| {
                    (f64::from(inference.signals().marginal(row, k)[value]) - exact(row, k, value)).abs()
                };
                for value in 0..3 {
                    prop_assert!(off(&whole, value) < 1e-5);
                    prop_assert!(off(&few, value) < 1e-5 + 6.0 * few.standard_error(row));
                    prop_assert!(off(&one, value) < 1e-5 + 6.0 * one.standard_error(row));
                }
            }
        }
    }
}

#[test]
fn batches_do_not_change_what_is_inferred() {
    let all = table(30, 1);
    let rows: Vec<usize> = (0..30).rev().collect();
    let student = student(&all, 2);
    let whole = student.infer(&all, &rows, &batches_of(30)).unwrap();
    for batch in [1, 7] {
        let parts = student.infer(&all, &rows, &batches_of(batch)).unwrap();
        assert!(parts.chains().eq(whole.chains()));
        let near = |of: fn(&Signals) -> &[f32], within: f32| {
            of(parts.signals()).iter().zip(of(whole.signals())).all(|(a, b)| (a - b).abs() < within)
        };
        assert!(near(Signals::marginal_values, 1e-5) && near(Signals::representation_values, 1e-4));
        assert_eq!(
            student.sample(&all, &rows, batch, Sampling::default(), 3).unwrap(),
            student.sample(&all, &rows, 30, Sampling::default(), 3).unwrap()
        );
    }
    // Row i of the answer is the i-th row asked for.
    let first = student.infer(&all, &rows[..1], &batches_of(1)).unwrap();
    assert_eq!((first.chain(0), first.signals().rows()), (whole.chain(0), &rows[..1]));
    let none = student.infer(&all, &[], &batches_of(4)).unwrap();
    assert_eq!((none.chains().len(), none.signals().len()), (0, 0));
}

#[test]
fn representations_depend_on_the_profile_and_the_state() {
    let all = table(4, 1);
    let student = student(&all, 2);
    let [first, second] =
        [[0, 1], [3, 0]].map(|rows| student.infer(&all, &rows, &batches_of(8)).unwrap().into_signals());
    let [states, d] = first.representation_shape();
    assert_eq!(states, 3);
    let of = |signals: &Signals, i: usize, k: usize| signals.representation(i)[k * d..(k + 1) * d].to_vec();
    let far = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(far(&of(&first, 0, 0), &of(&second, 1, 0)) < 1e-5);
    assert!(far(&of(&first, 0, 0), &of(&first, 1, 0)) > 1e-3);
    assert!(far(&of(&first, 0, 0), &of(&first, 0, 1)) > 1e-3);
}

#[test]
fn samples_follow_the_posterior() {
    let all = table(3, 1);
    let student = student(&all, 4);
    let inference = student.infer(&all, &[1], &batches_of(1)).unwrap();
    let p = inference.signals().marginal(0, 0);
    let rows = vec![1; 1_500];
    let draws = student.sample(&all, &rows, 500, Sampling::default(), 9).unwrap();
    let share = draws.iter().filter(|chain| chain[0] == 0).count() as f32 / 1_500.0;
    assert!((share - p[0]).abs() < 0.05, "{share} {p:?}");
    assert_eq!(student.sample(&all, &rows, 700, Sampling::default(), 9).unwrap(), draws);
    assert_ne!(student.sample(&all, &rows, 500, Sampling::default(), 10).unwrap(), draws);
    // Cold samples are the greedy chain.
    let greedy = [inference.chain(0)];
    let cold = student.sample(&all, &[1], 1, Sampling::at(1e-6), 9).unwrap();
    assert_eq!(cold, greedy);
    // And so are those of the smallest nucleus.
    let narrow = Sampling::default().with_top_p(1e-6);
    assert_eq!(student.sample(&all, &[1], 1, narrow, 9).unwrap(), greedy);
}

/// Against every legal chain, scored by the posteriors of the decoder that is made to walk along it.
#[test]
fn a_beam_finds_the_most_probable_chains() {
    let all = table(6, 1);
    let student = student(&all, 4);
    let schema = chain_schema();
    let legal: Vec<Vec<u16>> = schema.legal_chains().collect();
    let rows = [0, 3, 5, 3];
    let whole = student.beam(&all, &rows, 3, legal.len()).unwrap();
    for (at, chains) in whole.iter().enumerate() {
        assert_eq!(chains.len(), legal.len(), "every legal chain, once");
        assert!(legal.iter().all(|chain| chains.iter().any(|found| found.values == *chain)));
        assert!(chains.windows(2).all(|pair| pair[0].log_prob >= pair[1].log_prob));
        let mass: f64 = chains.iter().map(|chain| chain.log_prob.exp()).sum();
        assert!((mass - 1.0).abs() < 1e-4, "row {at}: {mass}");
    }
    let alone = student.beam(&all, &[3], 1, legal.len()).unwrap();
    for (a, b) in whole[1].iter().zip(&alone[0]) {
        assert!(
            a.values == b.values && (a.log_prob - b.log_prob).abs() < 1e-4,
            "batches change nothing: {a:?} {b:?}"
        );
    }
    let greedy = student.infer(&all, &rows[..3], &batches_of(4)).unwrap();
    for (at, chains) in student.beam(&all, &rows, 4, 1).unwrap().iter().enumerate() {
        let at = greedy.signals().index_of(rows[at]).unwrap();
        assert_eq!(chains[0].values, greedy.chain(at));
        let first = f64::from(greedy.signals().marginal(at, 0)[usize::from(chains[0].values[0])]);
        assert!(chains[0].log_prob <= first.ln() + 1e-6);
    }
    let draws = student.sample(&all, &[3; 3_000], 500, Sampling::default(), 2).unwrap();
    let best = &whole[1][0];
    let share = draws.iter().filter(|chain| **chain == best.values).count() as f64 / 3_000.0;
    assert!((share - best.log_prob.exp()).abs() < 0.03, "{share} {best:?}");
    // A narrow beam gives chains of the whole ranking, with their probabilities.
    for (narrow, whole) in student.beam(&all, &rows, 2, 3).unwrap().iter().zip(&whole) {
        assert_eq!(narrow.len(), 3);
        for found in narrow {
            let same = whole.iter().find(|chain| chain.values == found.values).unwrap();
            assert!((same.log_prob - found.log_prob).abs() < 1e-4);
        }
    }
    assert!(matches!(student.beam(&all, &[0], 1, 0), Err(Error::Config(error)) if error.field == "width"));
}

#[test]
fn a_profile_without_any_field_gets_the_prior() {
    let all = table(120, 1);
    let mut config = quick();
    (config.epochs, config.field_dropout) = (4, 0.3);
    let (trained, _) = sft(&student(&all, 1), &all, &records(&all), &config, 1, &()).unwrap();
    let mut builder = TableBuilder::new(all.schema().clone());
    builder.push_values(1, &[None, None, None, None, None]).unwrap();
    let empty = builder.finish();
    let inference = trained.infer(&empty, &[0], &batches_of(1)).unwrap();
    let p = inference.signals().marginal(0, 0);
    assert!(p.iter().all(|p| (0.15..0.85).contains(p)), "{p:?}");
}

#[test]
fn what_does_not_fit_is_an_error() {
    let all = table(3, 1);
    let student = student(&all, 1);
    let schema = ProfileSchema::builder("other").with_field(FieldSpec::boolean("x")).build().unwrap();
    let other = TableBuilder::new(schema).finish();
    assert!(matches!(student.infer(&other, &[], &batches_of(1)).unwrap_err(), Error::SchemaMismatch { .. }));
    assert!(matches!(student.infer(&all, &[3], &batches_of(1)).unwrap_err(), Error::Row { row: 3, rows: 3 }));
    assert!(
        matches!(student.infer(&all, &[0], &batches_of(0)).unwrap_err(), Error::Config(error) if error.field == "max_batch")
    );
    let config = batches_of(1).with_prefixes(0);
    assert!(
        matches!(student.infer(&all, &[0], &config).unwrap_err(), Error::Config(error) if error.field == "prefixes")
    );
    assert!(matches!(
        student.infer(&all, &[2, 0, 2], &batches_of(4)).unwrap_err(),
        Error::RepeatedRow { row: 2 }
    ));
    for top_p in [0.0, 1.1, f64::NAN] {
        assert!(student.sample(&all, &[0], 1, Sampling::default().with_top_p(top_p), 1).is_err());
    }
    for temperature in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(student.sample(&all, &[0], 1, Sampling::at(temperature), 1).is_err());
    }
}

#[test]
fn public_types_are_send_and_sync() {
    fn check<T: Send + Sync>() {}
    check::<Student>();
    check::<scaletot_student::Inference>();
    check::<scaletot_student::ProfileTokenizer>();
    check::<scaletot_student::decoder::CausalLm>();
    check::<Error>();
    assert_eq!(chain_schema().len(), 3);
}

//! How fast an encoder scores, on the CPU: 8 categorical fields of 64 values, embeddings of 16, layers of 128 and 64, an outcome head.
//!
//! ```text
//! cargo run --release -p scaletot-encoder --no-default-features --example encoder_speed -- target/encoder_speed
//! python benches/peers/encoder.py target/encoder_speed
//! ```
//!
//! A second argument is the artifact of a trained encoder, to be measured instead of that network; all of its fields must be categorical,
//! ordinal or boolean. The first prints lines of JSON and writes the weights (once more with a value head), the users and their scores; the second gives these weights to ONNX Runtime, checks
//! that it finds the same values, and prints the same lines for it and for LightGBM.

#![allow(clippy::print_stdout, reason = "a program that prints its results")]

mod synthetic;

use std::error::Error;
use std::num::NonZeroUsize;
use std::path::Path;
use std::time::Instant;

use scaletot_encoder::{
    ArtifactInfo, Deduplication, Features, FieldEncoding, FieldTerms, FrozenEncoder, Heads, HiddenUnit,
    Precision, Selection, ValueHead,
};
use scaletot_profile::ProfileTable;
use serde_json::json;

/// Of the hidden layers.
const WIDTHS: [usize; 2] = [128, 64];
/// Further layers there and back, whose rate tells that of one.
const FURTHER: usize = 7;
const BATCH: usize = 8_192;
const REPEATS: usize = 201;
const SINGLES: usize = 20_001;
const PRECISIONS: [(Precision, &str); 3] =
    [(Precision::Full, "f32"), (Precision::Bf16, "bf16"), (Precision::Int8, "int8")];

/// A network with random weights and hidden layers of these widths.
fn random(hidden: &[usize]) -> Result<FrozenEncoder, Box<dyn Error>> {
    let users = synthetic::users(&synthetic::fields()?, BATCH)?;
    let heads = Heads::new(true, vec![], 0);
    let (sizes, chain) = (synthetic::sizes(hidden), synthetic::chain(1)?);
    Ok(FrozenEncoder::with_random_weights(&sizes, &users, &chain, heads, 1)?)
}

/// The sorted times of so many calls, in seconds, after a tenth as many that do not count.
fn times(calls: usize, mut call: impl FnMut()) -> Vec<f64> {
    (0..calls / 10).for_each(|_| call());
    let mut times: Vec<f64> = (0..calls)
        .map(|_| {
            let start = Instant::now();
            call();
            start.elapsed().as_secs_f64()
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times
}

/// Spearman's rank correlation.
fn spearman(a: &[f32], b: &[f32]) -> Result<f64, scaletot_eval::Error> {
    let wide = |values: &[f32]| values.iter().map(|&value| f64::from(value)).collect::<Vec<_>>();
    scaletot_eval::spearman(&wide(a), &wide(b))
}

fn report(encoder: &FrozenEncoder, features: &Features, what: &str) -> Result<(), Box<dyn Error>> {
    let one = features.select(&[17])?;
    for threads in [1, 2] {
        let encoder = encoder.clone().with_threads(NonZeroUsize::new(threads).ok_or("no thread")?)?;
        let seconds = times(REPEATS, || drop(std::hint::black_box(encoder.score_features(features))));
        let rate = |share: f64| features.len() as f64 / seconds[(share * (REPEATS - 1) as f64) as usize];
        println!(
            "{}",
            json!({ "library": "scaletot", "what": what, "threads": threads, "batch": features.len(), "users_per_second": rate(0.5),
                    "slower_decile": rate(0.9), "faster_decile": rate(0.1) })
        );
    }
    let seconds = times(SINGLES, || drop(std::hint::black_box(encoder.score_features(&one))));
    println!(
        "{}",
        json!({ "library": "scaletot", "what": what, "single_user_median_us": seconds[SINGLES / 2] * 1e6,
                "single_user_p99_us": seconds[SINGLES * 99 / 100] * 1e6 })
    );
    Ok(())
}

/// What it brings to encode each profile once, where one in so many is another one.
fn repeated(encoder: &FrozenEncoder, features: &Features) -> Result<(), Box<dyn Error>> {
    for times_each in [1, 2, 4, 16] {
        let distinct = features.len() / times_each;
        let rows: Vec<usize> = (0..features.len()).map(|row| row * 7 % distinct).collect();
        let features = features.select(&rows)?;
        for rule in [Deduplication::Never, Deduplication::Always, Deduplication::Auto] {
            let encoder = encoder.clone().with_deduplication(rule);
            let seconds = times(REPEATS, || drop(std::hint::black_box(encoder.score_features(&features))));
            let rate = features.len() as f64 / seconds[REPEATS / 2];
            let what = format!("f32, each profile {times_each} times, deduplication {rule:?}");
            println!(
                "{}",
                json!({ "library": "scaletot", "what": what, "distinct": distinct, "rate": rate })
            );
        }
    }
    Ok(())
}

/// The encoder with a value head that has all parts there can be, its weights small and drawn by a fixed rule.
fn with_value_head(encoder: &FrozenEncoder) -> Result<FrozenEncoder, Box<dyn Error>> {
    let mut state = 1_u64;
    let mut weights = |count: usize| -> Vec<f64> {
        let mut draw = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as f64 / f64::from(1_u32 << 31) - 0.5
        };
        (0..count).map(|_| 0.2 * draw()).collect()
    };
    let fields = encoder.featuriser().fields().iter().map(|field| match field.encoding {
        FieldEncoding::Index { cardinality } | FieldEncoding::Bag { cardinality } => {
            FieldTerms::Codes { codes: weights(cardinality), missing: 0.1 }
        }
        _ => FieldTerms::Unused,
    });
    let fields: Vec<FieldTerms> = fields.collect();
    // As many as there are at most when a value model is folded in.
    let units = (0..15).map(|_| {
        let tables = fields.iter().map(|terms| match terms {
            FieldTerms::Codes { codes, .. } => weights(codes.len() + 1),
            _ => vec![],
        });
        let tables = tables.collect();
        HiddenUnit::new(0.05, weights(1)[0], tables)
    });
    let units = units.collect();
    let states = &encoder.heads().states;
    let marginals = states.iter().map(|&size| weights(size)).collect();
    let representation = if states.is_empty() { vec![] } else { weights(encoder.config().rep_dim) };
    let trunk = weights(encoder.config().hidden.last().copied().unwrap_or_default());
    let head = ValueHead::builder(1.0)
        .with_fields(fields)
        .with_marginals(marginals)
        .with_representation(representation)
        .with_trunk(trunk)
        .with_hidden(units)
        .with_cap(1e6);
    Ok(encoder.clone().with_value_head(head.build()?)?)
}

/// What values take with a value head, in turn with the encoder without one, from features that are there: shares of the rate of value and
/// distribution without a value head.
fn value_head(encoder: &FrozenEncoder, table: &ProfileTable) -> Result<(), Box<dyn Error>> {
    let encoder = &encoder.clone().without_value_head()?;
    let with = with_value_head(encoder)?;
    let head = with.value_head().ok_or("a value head")?.clone().into_builder();
    let linear = encoder.clone().with_value_head(head.clone().with_marginals(vec![]).build()?)?;
    let sum = encoder.clone().with_value_head(head.with_hidden(vec![]).build()?)?;
    let rows: Vec<usize> = (0..table.len()).collect();
    for (precision, name) in PRECISIONS {
        let variants = [
            ("value and distribution", encoder, Selection::OUTCOME),
            ("value", encoder, Selection::VALUE),
            ("value, value head without states", &linear, Selection::VALUE),
            ("value, value head without hidden units", &sum, Selection::VALUE),
            ("value, value head", &with, Selection::VALUE),
            ("value and distribution, value head", &with, Selection::OUTCOME),
        ];
        let mut encoders = vec![];
        for (what, encoder, selection) in variants {
            let encoder =
                encoder.clone().with_deduplication(Deduplication::Never).with_precision(precision)?;
            let encoder = encoder.with_selection(selection)?;
            let features = encoder.featuriser().transform(table, &rows)?;
            encoders.push((what, encoder, features, vec![]));
        }
        for _ in 0..REPEATS {
            for (_, encoder, features, seconds) in &mut encoders {
                let start = Instant::now();
                drop(std::hint::black_box(encoder.score_features(features)));
                seconds.push(start.elapsed().as_secs_f64());
            }
        }
        let mut first = None;
        for (what, _, _, mut seconds) in encoders {
            seconds.sort_by(f64::total_cmp);
            let rate = rows.len() as f64 / seconds[REPEATS / 2];
            let share = rate / *first.get_or_insert(rate);
            let what = format!("{name}, {what}");
            println!(
                "{}",
                json!({ "library": "scaletot", "what": what, "threads": 1, "users_per_second": rate, "share": share })
            );
        }
    }
    Ok(())
}

/// What it takes to look whether a batch is like the training profiles, and whether this machine computes what was trained.
fn checks(encoder: &FrozenEncoder, table: &ProfileTable) -> Result<(), Box<dyn Error>> {
    let rows: Vec<usize> = (0..table.len()).collect();
    encoder.drift(table, &rows)?;
    let drift = times(REPEATS, || drop(std::hint::black_box(encoder.drift(table, &rows))));
    encoder.check_canaries()?;
    let canaries = times(REPEATS, || drop(std::hint::black_box(encoder.check_canaries())));
    for (what, seconds) in [("drift of a batch", drift), ("canaries", canaries)] {
        let microseconds = seconds[REPEATS / 2] * 1e6;
        println!(
            "{}",
            json!({ "library": "scaletot", "what": what, "threads": 1, "median_us": microseconds })
        );
    }
    Ok(())
}

/// What dense layers of the network's widths reach, in the midst of others, on one thread: from the time that so many more of them take.
fn dense_layers() -> Result<(), Box<dyn Error>> {
    let seconds = |hidden: &[usize]| -> Result<f64, Box<dyn Error>> {
        let encoder =
            random(hidden)?.with_selection(Selection::OUTCOME)?.with_deduplication(Deduplication::Never);
        let users = synthetic::users(encoder.profile_schema(), BATCH)?;
        let rows: Vec<usize> = (0..BATCH).collect();
        let features = encoder.featuriser().transform(&users, &rows)?;
        let times = times(REPEATS, || drop(std::hint::black_box(encoder.score_features(&features))));
        Ok(times[REPEATS / 2])
    };
    let more: Vec<usize> = WIDTHS.into_iter().cycle().take(2 * (1 + FURTHER)).collect();
    let flops = (FURTHER * 2 * 2 * WIDTHS[0] * WIDTHS[1] * BATCH) as f64;
    let gflops = flops / (seconds(&more)? - seconds(&WIDTHS)?) / 1e9;
    println!(
        "{}",
        json!({ "library": "scaletot", "what": "f32 dense layers", "threads": 1, "gflops": gflops })
    );
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (directory, encoder) = match arguments.as_slice() {
        [directory] => (directory, random(&WIDTHS)?),
        [directory, artifact] => (directory, FrozenEncoder::load_with_own_schema(artifact)?),
        _ => return Err("expected DIRECTORY [ARTIFACT]".into()),
    };
    let directory = Path::new(directory);
    let encoder = encoder.with_min_populated(0).with_selection(Selection::OUTCOME)?;
    let table = synthetic::users(encoder.profile_schema(), BATCH)?;
    let rows: Vec<usize> = (0..table.len()).collect();
    let features = encoder.featuriser().transform(&table, &rows)?;

    let info = ArtifactInfo::new().with_note("for a measurement of speed");
    encoder.save(directory.join("artifact"), info.clone())?;
    with_value_head(&encoder)?.save(directory.join("artifact-value-head"), info)?;
    let codes: Vec<&Vec<u32>> = features
        .columns()
        .iter()
        .filter_map(|column| match column {
            scaletot_encoder::Column::Index(codes) => Some(codes),
            _ => None,
        })
        .collect();
    let outputs = encoder.forward(&features)?;
    let written = json!({ "codes": codes, "rows_per_field": features.widths(), "outcome": outputs.outcome.rows().into_iter()
        .map(|row| row.to_vec()).collect::<Vec<_>>(), "batch": BATCH, "repeats": REPEATS, "singles": SINGLES });
    std::fs::write(directory.join("users.json"), written.to_string())?;

    let exact = encoder.score_features(&features)?.value;
    for (precision, name) in PRECISIONS {
        let encoder = encoder.clone().with_precision(precision)?.with_deduplication(Deduplication::Never);
        let found = encoder.score_features(&features)?.value;
        let worst = exact.iter().zip(&found).map(|(a, b)| ((a - b) / a).abs()).fold(0.0, f32::max);
        let footprint = encoder.footprint();
        println!(
            "{}",
            json!({ "library": "scaletot", "what": name, "bytes": footprint.bytes, "flops": footprint.flops,
                    "spearman_with_f32": spearman(&exact, &found)?, "largest_relative_difference": worst })
        );
        report(&encoder, &features, name)?;
    }
    repeated(&encoder, &features)?;
    value_head(&encoder, &table)?;
    checks(&encoder, &table)?;
    dense_layers()
}

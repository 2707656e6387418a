//! How fast a student trains and thinks, on the CPU: useful tokens (padding not counted) per second of supervised fine-tuning, and
//! users per second of greedy chains, and of exact marginals of all states with the representations.
//!
//! ```text
//! RAYON_NUM_THREADS=1 cargo run --release -p scaletot-student --example student_speed -- 128 4 target/student_speed.json
//! python benches/torch/student_speed.py target/student_speed.json --threads 1
//! ```
//!
//! The first prints three lines of JSON and writes the very sequences, sizes and settings for the second, which trains and decodes chains with
//! the same architecture in PyTorch and prints the lines of both.

#![allow(clippy::print_stdout, reason = "a program that prints its results")]

use std::error::Error;
use std::sync::Mutex;
use std::time::Instant;

use scaletot_chain::{Chain, ChainRecord, ChainSchema, Corpus, CorpusHeader, StateDef, Verdict};
use scaletot_core::Progress;
use scaletot_profile::{Dataset, FieldSpec, ProfileSchema, ProfileTable, TableBuilder};
use scaletot_student::{InferConfig, Sft, SftConfig, Student, StudentConfig};
use serde_json::json;

const USERS: usize = 1_024;
const FIELDS: usize = 12;
const STATES: usize = 5;
/// Of which the first is a warm-up.
const EPOCHS: usize = 6;
const INFER_BATCH: usize = 128;
const INFER_TIMES: usize = 5;

/// When each epoch ended.
#[derive(Default)]
struct Epochs(Mutex<Vec<Instant>>);

impl Progress for Epochs {
    fn message(&self, _text: &str) {
        if let Ok(mut ends) = self.0.lock() {
            ends.push(Instant::now());
        }
    }
}

/// Twelve fields of six values, a quarter of the cells missing, by a fixed rule.
fn users() -> Result<ProfileTable, Box<dyn Error>> {
    let values: Vec<String> = (0..6).map(|value| format!("v{value}")).collect();
    let mut schema = ProfileSchema::builder("speed");
    for field in 0..FIELDS {
        schema = schema.with_field(FieldSpec::categorical(format!("f{field}"), values.clone()));
    }
    let mut builder = TableBuilder::new(schema.build()?);
    let mut state = 1_u64;
    for user in 0..USERS {
        let cells: Vec<&str> = (0..FIELDS)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let draw = (state >> 33) as usize;
                if draw.is_multiple_of(4) { "" } else { values[draw / 4 % 6].as_str() }
            })
            .collect();
        builder.push_text(user as i64, &cells)?;
    }
    Ok(builder.finish())
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [width, layers, data] = arguments.as_slice() else {
        return Err("expected WIDTH LAYERS FILE".into());
    };
    let mut sizes = StudentConfig::default();
    (sizes.d_model, sizes.n_layers) = (width.parse()?, layers.parse()?);
    (sizes.n_heads, sizes.n_kv_heads, sizes.d_ff) =
        (sizes.d_model / 32, sizes.d_model / 64, 2 * sizes.d_model);

    let table = users()?;
    let mut chain = ChainSchema::builder("speed");
    for state in 0..STATES {
        chain = chain.with_state(StateDef::ordinal(format!("s{state}"), ["low", "moderate", "high"]));
    }
    let chain = chain.build()?;
    let student = Student::new(&sizes, &table, &chain, 1, &burn::tensor::Device::default())?;

    let values = |user: usize| -> Vec<u16> { (0..STATES).map(|state| ((user + state) % 3) as u16).collect() };
    let mut records = Vec::with_capacity(USERS);
    let mut sequences = Vec::with_capacity(USERS);
    for row in 0..USERS {
        let best = Chain::certain(&chain, &values(row))?;
        records.push(ChainRecord::new(table.id(row), Verdict::Accepted).with_best(Some(best)));
        sequences.push(student.tokenizer().encode(&table, row, &values(row))?.ids);
    }
    let tokens: usize = sequences.iter().map(Vec::len).sum();

    let mut config = SftConfig::default();
    (config.epochs, config.validation_share) = (EPOCHS, 0.0);
    (config.field_dropout, config.dropout, config.label_mix) = (0.0, 0.0, 0.0);
    let written = json!({
        "vocab": student.tokenizer().vocab_size(), "width": sizes.d_model, "layers": sizes.n_layers, "heads": sizes.n_heads,
        "kv_heads": sizes.n_kv_heads, "ff": sizes.d_ff, "theta": sizes.rope_theta, "eps": sizes.rms_norm_eps,
        "chain": 2 * STATES + 1, "batch": config.batch_size, "learning_rate": config.learning_rate,
        "weight_decay": config.weight_decay, "clip_norm": config.clip_norm, "epochs": EPOCHS, "sequences": sequences,
        "infer_batch": INFER_BATCH, "infer_times": INFER_TIMES,
        "states": (0..STATES).map(|state| json!([student.tokenizer().state_token(state), student.tokenizer().value_tokens(state)]))
            .collect::<Vec<_>>(),
    });
    std::fs::write(data, written.to_string())?;

    let rows: Vec<usize> = (0..USERS).collect();
    let epochs = Epochs::default();
    let header = CorpusHeader::new(table.schema().hash(), &chain, "planted", 1);
    let (corpus, dataset) = (Corpus::new(header, records, &chain)?, Dataset::from(table));
    let table = dataset.table();
    let (trained, log) = Sft::new(config)?.fit(&student, &corpus.join(&dataset)?, 1, &epochs)?;
    let ends = epochs.0.into_inner().map_err(|error| error.to_string())?;
    let mut seconds: Vec<f64> = ends.windows(2).map(|pair| (pair[1] - pair[0]).as_secs_f64()).collect();
    seconds.sort_by(f64::total_cmp);
    let median = seconds[seconds.len() / 2];
    let loss = log.epochs.last().map(|epoch| epoch.loss);
    println!(
        "{}",
        json!({
            "library": "scaletot", "what": "train", "width": sizes.d_model, "layers": sizes.n_layers, "parameters": student.num_params(),
            "tokens": tokens, "seconds": median, "fastest": seconds[0], "slowest": seconds[seconds.len() - 1],
            "tokens_per_second": tokens as f64 / median, "loss": loss,
        })
    );

    let mut certain = 0;
    let chains = timed(|| {
        let chains = trained.beam(table, &rows, INFER_BATCH, 1)?;
        certain = rows.iter().filter(|&&user| chains[user][0].values == values(user)).count();
        Ok(())
    })?;
    let config = InferConfig::default().with_max_batch(INFER_BATCH);
    let marginals = timed(|| trained.infer(table, &rows, &config).map(|_| ()))?;
    for (what, [fastest, median, slowest]) in [("infer", chains), ("marginals", marginals)] {
        println!(
            "{}",
            json!({
                "library": "scaletot", "what": what, "width": sizes.d_model, "layers": sizes.n_layers, "users": USERS, "seconds": median,
                "fastest": fastest, "slowest": slowest, "users_per_second": USERS as f64 / median,
                "right": certain as f64 / USERS as f64,
            })
        );
    }
    Ok(())
}

/// The shortest, the median and the longest time of some passes over all users, in seconds, after a warm-up.
fn timed(mut pass: impl FnMut() -> scaletot_student::Result<()>) -> scaletot_student::Result<[f64; 3]> {
    pass()?;
    let mut seconds = Vec::with_capacity(INFER_TIMES);
    for _ in 0..INFER_TIMES {
        let began = Instant::now();
        pass()?;
        seconds.push(began.elapsed().as_secs_f64());
    }
    seconds.sort_by(f64::total_cmp);
    Ok([seconds[0], seconds[INFER_TIMES / 2], seconds[INFER_TIMES - 1]])
}

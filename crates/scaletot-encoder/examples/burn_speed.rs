//! The network on Burn's backends beside the compiled plan: when does a GPU pay, and how near do the plan's dense layers come to what a
//! matrix product reaches on this machine?
//!
//! ```text
//! BURN_DEVICE=flex cargo run --release -p scaletot-encoder --example burn_speed
//! BURN_DEVICE=wgpu cargo run --release -p scaletot-encoder --features ndarray,wgpu --example burn_speed
//! ```
//!
//! Prints lines of JSON: users per second of the trained network's own forward pass on `BURN_DEVICE`, by batch size, features made before,
//! outputs on the host after; the same of the plan on one thread; and the rates of dense layers and of Burn's matrix products.

#![allow(clippy::print_stdout, reason = "a program that prints its results")]

use std::error::Error;
use std::time::Instant;

use burn::tensor::{Device, Distribution, Tensor};
use scaletot_chain::{ChainSchema, StateDef};
use scaletot_encoder::{
    Deduplication, DistillConfig, EncoderConfig, Features, FrozenEncoder, Heads, Selection, distill,
};
use scaletot_profile::{FieldSpec, ProfileSchema, ProfileTable, TableBuilder};
use serde_json::json;

const FIELDS: usize = 8;
const VALUES: usize = 64;
const USERS: usize = 65_536;
/// Trained on, for one epoch: the speed of a network does not depend on what it has learned.
const TRAINED: usize = 256;
const BATCHES: [usize; 4] = [1, 512, 8_192, 65_536];
const ROUNDS: usize = 15;
/// Seconds that a measurement may take.
const PATIENCE: f64 = 20.0;

/// Users whose cells are drawn evenly, by a fixed rule; an eighth is missing.
fn users() -> Result<ProfileTable, Box<dyn Error>> {
    let values: Vec<String> = (0..VALUES).map(|value| format!("v{value}")).collect();
    let mut schema = ProfileSchema::builder("speed");
    for field in 0..FIELDS {
        schema = schema.field(FieldSpec::categorical(format!("f{field}"), values.clone()));
    }
    let mut builder = TableBuilder::new(schema.build()?);
    let mut state = 1_u64;
    for user in 0..USERS {
        let cells: Vec<&str> = (0..FIELDS)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let draw = (state >> 33) as usize;
                if draw.is_multiple_of(8) { "" } else { values[draw / 8 % VALUES].as_str() }
            })
            .collect();
        builder.push_text(user as i64, &cells)?;
    }
    Ok(builder.finish())
}

/// The median seconds of a call, after two that do not count.
fn median(mut call: impl FnMut() -> Result<(), Box<dyn Error>>) -> Result<f64, Box<dyn Error>> {
    let began = Instant::now();
    let mut times = vec![];
    while times.len() < ROUNDS + 2 && (times.len() < 5 || began.elapsed().as_secs_f64() < PATIENCE) {
        let start = Instant::now();
        call()?;
        times.push(start.elapsed().as_secs_f64());
    }
    let mut times = times.split_off(2);
    times.sort_by(f64::total_cmp);
    Ok(times[times.len() / 2])
}

/// Seconds that the plan takes for all features, with hidden layers of these widths.
fn plan(
    table: &ProfileTable,
    chain: &ChainSchema,
    features: &Features,
    hidden: &[usize],
) -> Result<f64, Box<dyn Error>> {
    let mut config = EncoderConfig::default();
    (config.embed_dim, config.hidden, config.min_populated) = (16, hidden.to_vec(), 0);
    let encoder = FrozenEncoder::with_random_weights(&config, table, chain, Heads::new(true, vec![], 0), 1)?;
    let encoder = encoder.with_deduplication(Deduplication::Never);
    median(|| {
        std::hint::black_box(encoder.score_features(features)?);
        Ok(())
    })
}

fn main() -> Result<(), Box<dyn Error>> {
    let (table, device) = (users()?, Device::default());
    let name = std::env::var("BURN_DEVICE").unwrap_or_else(|_| "default".to_owned());
    let chain = ChainSchema::builder("speed").state(StateDef::ordinal("spend", ["low", "high"])).build()?;
    let (mut config, mut course) = (EncoderConfig::default(), DistillConfig::default());
    (config.embed_dim, config.hidden, config.min_populated) = (16, vec![128, 64], 0);
    (course.epochs, course.batch_size, course.validation_share) = (1, TRAINED, 0.0);
    let outcomes: Vec<Option<f64>> = (0..USERS).map(|user| Some((user % 7) as f64)).collect();
    let rows: Vec<usize> = (0..TRAINED).collect();
    let (trained, _) = distill(&config, &course, &table, &chain, &[], None, &outcomes, &rows, &device, &())?;
    let encoder = trained
        .frozen()
        .clone()
        .with_deduplication(Deduplication::Never)
        .with_selection(Selection::OUTCOME)?;
    for batch in BATCHES {
        let rows: Vec<usize> = (0..batch).collect();
        let features = encoder.featuriser().transform(&table, &rows)?;
        let burn = median(|| {
            std::hint::black_box(trained.forward(&features)?);
            Ok(())
        })?;
        let plan = median(|| {
            std::hint::black_box(encoder.score_features(&features)?);
            Ok(())
        })?;
        println!(
            "{}",
            json!({ "device": name, "batch": batch, "network_users_per_second": batch as f64 / burn,
                    "plan_users_per_second": batch as f64 / plan })
        );
    }

    // What a layer adds to the time, in the midst of others, tells its rate.
    let rows: Vec<usize> = (0..8_192).collect();
    let features = encoder.featuriser().transform(&table, &rows)?;
    for (inputs, outputs) in [(128, 64), (128, 128), (256, 128)] {
        let (without, with) = (
            plan(&table, &chain, &features, &[inputs, outputs])?,
            plan(&table, &chain, &features, &[inputs, outputs, outputs])?,
        );
        let flops = 2.0 * (outputs * outputs) as f64 * rows.len() as f64;
        let product = |m: usize, k: usize, n: usize| -> Result<f64, Box<dyn Error>> {
            let random = |shape| Tensor::<2>::random(shape, Distribution::Default, &device);
            let (a, b) = (random([m, k]), random([k, n]));
            let seconds = median(|| {
                let c = a.clone().matmul(b.clone());
                std::hint::black_box(c.slice([0..1, 0..1]).try_into_data()?);
                Ok(())
            })?;
            Ok(2.0 * (m * k * n) as f64 / seconds / 1e9)
        };
        println!(
            "{}",
            json!({ "layer": [outputs, outputs], "plan_gflops": flops / (with - without) / 1e9, "device": name,
                    "product_of_its_size_gflops": product(rows.len(), outputs, outputs)?,
                    "product_of_1024_gflops": product(1_024, 1_024, 1_024)? })
        );
    }
    Ok(())
}

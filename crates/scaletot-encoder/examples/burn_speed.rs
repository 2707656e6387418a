//! The same network on Burn's backends and as the compiled plan: when does a GPU pay?
//!
//! ```text
//! cargo build --release -p scaletot-encoder --features ndarray,wgpu --example burn_speed
//! for device in flex ndarray wgpu; do BURN_DEVICE=$device target/release/examples/burn_speed; done
//! ```
//!
//! Prints lines of JSON, by batch size: users per second of the trained network's own forward pass on the device that `BURN_DEVICE` names, from
//! features in memory to outputs in memory, and of the plan on one thread and on all that there are. Then what the device reaches in products
//! of 32-bit floats, brought to memory; with `RAYON_NUM_THREADS=1` and flex this is the `gemm` crate's rate on one thread.

#![allow(clippy::print_stdout, reason = "a program that prints its results")]

mod synthetic;

use std::error::Error;
use std::sync::Arc;
use std::time::Instant;

use burn::tensor::{Device, Distribution, Tensor};
use scaletot_encoder::{Deduplication, DistillConfig, DistillData, Distiller, Selection};
use scaletot_profile::Dataset;
use serde_json::json;

const USERS: usize = 65_536;
/// Trained on, for one epoch: the speed of a network does not depend on what it has learned.
const TRAINED: usize = 256;
const BATCHES: [usize; 4] = [1, 512, 8_192, USERS];
/// Measurements of each, unless they take too long.
const ROUNDS: usize = 51;
/// Calls that do not count: a GPU compiles its kernels in the first.
const WARM: usize = 3;
/// Seconds that the measurements of one figure may take.
const PATIENCE: f64 = 20.0;

/// The median seconds of a call, and of how many.
fn median(mut call: impl FnMut() -> Result<(), Box<dyn Error>>) -> Result<(f64, usize), Box<dyn Error>> {
    for _ in 0..WARM {
        call()?;
    }
    let began = Instant::now();
    let mut times = vec![];
    while times.len() < ROUNDS && (times.len() < 5 || began.elapsed().as_secs_f64() < PATIENCE) {
        let start = Instant::now();
        call()?;
        times.push(start.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    Ok((times[times.len() / 2], times.len()))
}

fn main() -> Result<(), Box<dyn Error>> {
    let (table, device) = (Arc::new(synthetic::users(&synthetic::fields()?, USERS)?), Device::default());
    let name = std::env::var("BURN_DEVICE").unwrap_or_else(|_| "default".to_owned());
    let mut config = DistillConfig::default();
    (config.epochs, config.batch_size, config.validation_share) = (1, TRAINED, 0.0);
    let outcomes = (0..USERS).map(|user| Some((user % 7) as f64)).collect();
    let dataset = Dataset::builder(Arc::clone(&table)).with_outcomes(outcomes).build()?;
    let rows: Vec<usize> = (0..TRAINED).collect();
    let (sizes, chain) = (synthetic::sizes(&[128, 64]), synthetic::chain(1)?);
    let data = DistillData::new(&dataset, &chain).with_rows(&rows)?;
    let (trained, _) = Distiller::new(sizes, config)?.fit(&data, 0, &device, &())?;
    let one = trained
        .frozen()
        .clone()
        .with_deduplication(Deduplication::Never)
        .with_selection(Selection::OUTCOME)?;
    let all = std::thread::available_parallelism()?;
    let plans = [(1, one.clone()), (all.get(), one.clone().with_threads(all)?)];
    for batch in BATCHES {
        let rows: Vec<usize> = (0..batch).collect();
        let features = one.featuriser().transform(&table, &rows)?;
        let say = |what: &str, seconds: (f64, usize)| {
            let (rate, calls) = (batch as f64 / seconds.0, seconds.1);
            println!(
                "{}",
                json!({ "what": what, "batch": batch, "users_per_second": rate, "median_of_calls": calls })
            );
        };
        say(
            &format!("network, {name}"),
            median(|| {
                std::hint::black_box(trained.forward(&features)?);
                Ok(())
            })?,
        );
        for (threads, plan) in &plans {
            say(
                &format!("plan, {threads} threads"),
                median(|| {
                    std::hint::black_box(plan.score_features(&features)?);
                    Ok(())
                })?,
            );
        }
    }
    for [m, k, n] in [[1_024, 1_024, 1_024], [8_192, 128, 128], [8_192, 128, 64]] {
        let random = |shape| Tensor::<2>::random(shape, Distribution::Default, &device);
        let (a, b) = (random([m, k]), random([k, n]));
        let (seconds, calls) = median(|| {
            let product = a.clone().matmul(b.clone()).try_into_data()?;
            // Some devices compute when the numbers are looked at.
            std::hint::black_box(product.as_slice::<f32>().map_err(|error| format!("{error:?}"))?.last());
            Ok(())
        })?;
        let gflops = 2.0 * (m * k * n) as f64 / seconds / 1e9;
        let what = format!("product, {name}");
        println!(
            "{}",
            json!({ "what": what, "sizes": [m, k, n], "gflops": gflops, "median_of_calls": calls })
        );
    }
    Ok(())
}

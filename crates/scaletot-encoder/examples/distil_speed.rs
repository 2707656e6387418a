//! Seconds of a distillation by the number of users: it must not grow faster than they do.
//!
//! ```text
//! cargo run --release -p scaletot-encoder --example distil_speed -- 30000 120000
//! ```
//!
//! Default settings, eight fields, four states of two values with representations of 32, an outcome for every user. Prints a line per size.

#![allow(clippy::print_stdout, reason = "a program that prints its results")]

mod synthetic;

use std::error::Error;
use std::time::Instant;

use burn::tensor::Device;
use scaletot_chain::Signals;
use scaletot_encoder::{DistillConfig, DistillData, Distiller};
use scaletot_profile::Dataset;

const STATES: usize = 4;
const VALUES: usize = 2;
const WIDTH: usize = 32;

fn main() -> Result<(), Box<dyn Error>> {
    let chain = synthetic::chain(STATES)?;
    let distiller = Distiller::new(synthetic::sizes(&[128, 64]), DistillConfig::default())?;
    for users in std::env::args().skip(1) {
        let users: usize = users.parse()?;
        let table = synthetic::users(&synthetic::fields()?, users)?;
        let outcomes = (0..users).map(|user| Some((user % 7) as f64)).collect();
        let dataset = Dataset::builder(table).with_outcomes(outcomes).build()?;
        // What is learned does not matter for the time.
        let wave = |at: usize| (1.0 + (at as f32 * 0.7).sin()) / 2.0 + 0.1;
        let marginals = (0..users * STATES).flat_map(|at| {
            let sum: f32 = (0..VALUES).map(|value| wave(at + value)).sum();
            (0..VALUES).map(move |value| wave(at + value) / sum)
        });
        let signals = Signals::new(
            (0..users).collect(),
            vec![VALUES; STATES],
            marginals.collect(),
            [STATES, WIDTH],
            (0..users * STATES * WIDTH).map(wave).collect(),
        )?;
        let data = DistillData::new(&dataset, &chain).with_signals(&signals)?;
        let began = Instant::now();
        let (_, log) = distiller.fit(&data, 1, &Device::default(), &())?;
        println!("{users} users: {:.1} s, {} epochs", began.elapsed().as_secs_f64(), log.epochs.len());
    }
    Ok(())
}

//! A run that is stopped and resumed: what was done is loaded, what was half done goes on, nothing is asked twice.
//!
//! A [`Progress`] hears what a pipeline does and can stop it between two units of work. Whatever finished stays in the output directory;
//! the next run with the same inputs finds it. A kill has the same effect as a stop, and a changed setting runs what depends on it again.
//!
//! `cargo run --example resume` prints the notes of three runs: one that is stopped, one that resumes it, one with another setting.

#![allow(clippy::print_stdout, reason = "a program's output")]

use std::sync::atomic::{AtomicBool, Ordering};

use scaletot::chain::{ChainSchema, StateDef};
use scaletot::pipeline::{Pipeline, PipelineConfig, causes};
use scaletot::prelude::*;
use scaletot::profile::{FieldSpec, TableBuilder};

/// Prints what is noted, and stops the run when a stage of this name begins.
struct StopAt(&'static str, AtomicBool);

impl Progress for StopAt {
    fn note(&self, line: &str) {
        println!("  {line}");
        if line == self.0 {
            self.1.store(true, Ordering::Relaxed);
        }
    }

    fn stopped(&self) -> bool {
        self.1.load(Ordering::Relaxed)
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let profiles = ProfileSchema::builder("shop")
        .with_field(FieldSpec::ordinal("age", ["18-34", "35-54", "55+"]))
        .with_field(FieldSpec::ordinal("income", ["low", "high"]))
        .build()?;
    let mut rows = TableBuilder::new(profiles.clone());
    for user in 0..100 {
        rows.push_text(
            user,
            &[["18-34", "35-54", "55+"][user as usize % 3], ["low", "high"][user as usize % 2]],
        )?;
    }
    let outcomes = (0..100).map(|user| Some(f64::from(user % 2 * 20 + user % 5))).collect();
    let dataset = Dataset::builder(rows.finish()).with_outcomes(outcomes).build()?;
    let chain =
        ChainSchema::builder("shopper").with_state(StateDef::ordinal("spend", ["low", "high"])).build()?;
    let expert =
        "name = 'expert'\n[[rule]]\nstate = 'spend'\nwhen = { income = 'high' }\nadd = { high = 1.5 }";

    let mut config = PipelineConfig::default();
    (config.coverage, config.min_populated) = (0.4, 1);
    (config.student.d_model, config.student.n_layers, config.student.d_ff) = (16, 1, 32);
    (config.sft.epochs, config.osipo.epochs, config.distil.epochs) = (3, 1, 3);
    config.gate.min_agreement = None; // so few epochs promise nothing

    let out = tempfile::tempdir()?;
    let pipeline = |config: &PipelineConfig| {
        let teacher = Rules::from_toml(expert, &profiles, &chain)?;
        let builder =
            Pipeline::builder(dataset.clone(), chain.clone()).with_teacher(teacher).with_out(out.path());
        builder.with_config(config.clone()).with_seed(1).build()
    };

    println!("first run");
    if let Err(error) = pipeline(&config)?.run(&StopAt("encoder: distil", AtomicBool::new(false))) {
        println!("  {}", causes(&error));
    }

    println!("second run, the same inputs");
    let go_on = StopAt("", AtomicBool::new(false));
    let summary = pipeline(&config)?.run(&go_on)?;
    println!("  {}", summary.users_line());

    println!("third run, fewer epochs for the encoder");
    config.distil.epochs = 2;
    pipeline(&config)?.run(&go_on)?;
    Ok(())
}

//! Whether reasoning pays: every arm on the same folds at every number of labels.
//!
//! `cargo run --release --example evaluate -- --help` lists the options.

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use scaletot::eval::Metric;
use scaletot_pipeline::evaluation::options::EvaluateOptions;
use scaletot_pipeline::evaluation::{self, REPORT, RESULTS};
use scaletot_pipeline::progress::Bars;
use scaletot_pipeline::terminal::{self, say};

/// Compare reasoning, its transfer and strong baselines at every number of labels
#[derive(Debug, Parser)]
#[command(name = "evaluate", version)]
struct Arguments {
    #[command(flatten)]
    evaluation: EvaluateOptions,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    terminal::main(|bars| run(&arguments.evaluation, bars))
}

fn run(options: &EvaluateOptions, bars: &Bars) -> Result<()> {
    let results = evaluation::run(options, bars, &say)?;
    for metric in [Metric::Spearman, Metric::NormalisedGini] {
        say(&format!("\n{}", evaluation::table(&results, metric)));
    }
    say(&format!("\nWritten under {}: {RESULTS}, {REPORT}", options.out().display()));
    Ok(())
}

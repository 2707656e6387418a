//! The whole pipeline in one command: profiles in, lifetime-value scores out.
//!
//! `cargo run --release --example quickstart -- --help` lists the options; without any, the embedded table is used.

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use scaletot_pipeline::options::PipelineOptions;
use scaletot_pipeline::pipeline;
use scaletot_studies::progress::Bars;
use scaletot_studies::terminal::{self, say};

/// Reason about a few users, distil to everybody, predict lifetime value
#[derive(Debug, Parser)]
#[command(name = "quickstart", version)]
struct Arguments {
    #[command(flatten)]
    pipeline: PipelineOptions,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    terminal::main(|bars| run(&arguments.pipeline, bars))
}

fn run(options: &PipelineOptions, bars: &Bars) -> Result<()> {
    let summary = pipeline::run(options, bars, &say)?;
    say(&format!("\n{}", summary.stages_table()));
    say(&format!(
        "\nHeld-out users: {}, with 95 % intervals\n{}",
        summary.users.held_out,
        summary.metrics_table()
    ));
    let files = "corpus.jsonl, student/, artifact/, scores.parquet, summary.json";
    say(&format!("\nWritten under {}: {files}", options.out.display()));
    Ok(())
}

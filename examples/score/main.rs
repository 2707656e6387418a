//! Scores users with an artifact, from Parquet to Parquet, however many there are.
//!
//! `cargo run --release --example score -- --artifact DIR --input 'users/*.parquet' --output DIR` writes a file of the same name for every
//! input file, at the same place below the directory that the pattern begins with: ids, in the same order, with the columns that were asked
//! for. Killed, it goes on where it was when it is run again.

use std::process::ExitCode;

use clap::Parser;
use scaletot_pipeline::scoring::{self, ScoreOptions};
use scaletot_pipeline::terminal::{self, say};

/// Score users with an artifact, from Parquet to Parquet
#[derive(Debug, Parser)]
#[command(name = "score", version)]
struct Arguments {
    #[command(flatten)]
    options: ScoreOptions,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    terminal::main(|bars| {
        scoring::run(&arguments.options, bars, &say).map(|summary| say(&summary.to_string()))
    })
}

//! The whole pipeline in one command: profiles in, lifetime-value scores out.
//!
//! `cargo run --release --example quickstart -- --help` lists the options; without any, the embedded table is used.

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result};
use clap::Parser;
use scaletot_examples::options::PipelineOptions;
use scaletot_examples::pipeline;
use scaletot_examples::progress::Bars;

/// Reason about a few users, distil to everybody, predict lifetime value
#[derive(Debug, Parser)]
#[command(name = "quickstart", version)]
struct Arguments {
    #[command(flatten)]
    pipeline: PipelineOptions,
}

#[allow(clippy::print_stderr, reason = "a program's output")]
fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", causes(&error));
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    let bars = Arc::new(Bars::new());
    let on_interrupt = Arc::clone(&bars);
    ctrlc::set_handler(move || on_interrupt.stop()).context("cannot listen for Ctrl-C")?;
    let options = &arguments.pipeline;
    let summary = pipeline::run(options, bars.as_ref(), &say)?;
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

/// An error and its causes, but for those that the message before them tells already.
fn causes(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |said, cause| match said.as_str() {
        "" => cause,
        _ if said.contains(&cause) => said,
        _ => format!("{said}: {cause}"),
    })
}

/// Prints a line. A reader that has gone away, such as `| head`, must not end the run.
fn say(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}

//! What each part of OSIPO brings on planted worlds, whose truth is known.
//!
//! `cargo run --release -p scaletot-studies --bin osipo_study -- --help` lists the options; `docs/osipo.md` says what is asked.

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use scaletot_core::progress::Bars;
use scaletot_studies::osipo::options::OsipoStudyOptions;
use scaletot_studies::osipo::results::FILE;
use scaletot_studies::osipo::{self, page};
use scaletot_studies::terminal::{self, say};

/// Compare OSIPO, its parts and longer SFT on planted worlds
#[derive(Debug, Parser)]
#[command(name = "osipo_study", version)]
struct Arguments {
    #[command(flatten)]
    study: OsipoStudyOptions,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    terminal::main(|bars| run(&arguments.study, bars))
}

fn run(options: &OsipoStudyOptions, bars: &Bars) -> Result<()> {
    if let Some(file) = &options.page {
        page::check(file)?;
    }
    let results = osipo::run(options, bars, &say)?;
    say(&format!("\n{}", page::render(&results)));
    say(&format!("Every figure is in {}", options.out.join(FILE).display()));
    if let Some(file) = &options.page {
        page::insert(file, &results)?;
        say(&format!("The results are in {}", file.display()));
    }
    Ok(())
}

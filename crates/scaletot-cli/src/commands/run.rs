//! `scaletot run`.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use scaletot_pipeline::options::{PipelineOptions, TeacherChoice};
use scaletot_pipeline::pipeline;
use scaletot_pipeline::report::Summary;

use crate::args::{MethodArgs, OutArgs};
use crate::exit::Exit;
use crate::terminal::Terminal;

/// Run the whole method on your table: reason, train, distil, score everybody, evaluate
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// Table of users: .parquet or .csv
    #[arg(long, value_name = "FILE")]
    data: PathBuf,
    /// Profile schema: .toml or .json
    #[arg(long, value_name = "FILE")]
    profile_schema: PathBuf,
    /// Chain schema: .toml or .json
    #[arg(long, value_name = "FILE")]
    chain_schema: PathBuf,
    /// Column with the realised value, >= 0; empty where it is not known
    #[arg(long, value_name = "COL")]
    outcome: String,
    /// Column with the user segment; a number is cut into three by quantile
    #[arg(long, value_name = "COL")]
    segment: String,
    /// Who answers: replay:FILE, gguf:FILE, rules:FILE or openai:URL#MODEL
    #[arg(long, value_name = "TEACHER")]
    teacher: TeacherChoice,
    /// Ask the teacher every question that a search over this table may ask, and write the answers here for replay
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    #[command(flatten)]
    method: MethodArgs,
    #[command(flatten)]
    out: OutArgs,
}

impl RunArgs {
    fn options(&self) -> PipelineOptions {
        let method = &self.method;
        PipelineOptions {
            data: self.data.clone(),
            profile_schema: self.profile_schema.clone(),
            chain_schema: self.chain_schema.clone(),
            outcome: self.outcome.clone(),
            segment: self.segment.clone(),
            teacher: self.teacher.clone(),
            record: self.record.clone(),
            coverage: method.coverage,
            held_out: method.held_out,
            min_populated: method.min_populated,
            min_agreement: method.min_agreement,
            min_retention: method.min_retention,
            seed: method.seed,
            device: method.device.into(),
            workers: method.workers,
            out: self.out.out.clone(),
            fresh: self.out.fresh,
        }
    }
}

/// Runs every stage that is not done yet.
pub(crate) fn run(args: &RunArgs, terminal: &Terminal) -> Result<Exit> {
    pipeline_of(&args.options(), terminal)
}

/// Runs the pipeline and prints what came out.
pub(super) fn pipeline_of(options: &PipelineOptions, terminal: &Terminal) -> Result<Exit> {
    let say = |line: &str| terminal.say(line);
    let summary = pipeline::run(options, terminal.bars(), &say)?;
    say(&format!("\n{}", summary.stages_table()));
    say(&format!(
        "\nHeld-out users: {}, with 95 % intervals\n{}",
        summary.users.held_out,
        summary.metrics_table()
    ));
    let files = "corpus.jsonl, student/, artifact/, scores.parquet, summary.json";
    say(&format!("\nWritten under {}: {files}", options.out.display()));
    Ok(left_out(&summary))
}

/// Users about whom the teacher failed are not in the corpus's chains.
fn left_out(summary: &Summary) -> Exit {
    let failed = summary.stages.iter().filter_map(|stage| stage.report.figures.get("failed")).sum::<f64>();
    if failed > 0.0 {
        return Exit::LeftOut(format!(
            "{failed} users about whom the teacher failed; corpus.jsonl names each with the reason"
        ));
    }
    Exit::Done
}

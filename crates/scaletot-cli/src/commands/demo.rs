//! `scaletot demo`.

use anyhow::Result;
use clap::{Args, Parser};
use scaletot_pipeline::options::PipelineOptions;

use super::run::pipeline_of;
use crate::args::{MethodArgs, OutArgs};
use crate::exit::Exit;
use crate::terminal::Terminal;

/// Run the whole method on the table that comes with the program
///
/// The table is The Complete Journey: 2,469 households of a grocery chain, with recorded answers of a small language model. It takes a few
/// seconds and needs no network.
#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    #[command(flatten)]
    method: MethodArgs,
    #[command(flatten)]
    out: OutArgs,
}

/// The pipeline's own defaults are the embedded table.
#[derive(Parser)]
struct Defaults {
    #[command(flatten)]
    pipeline: PipelineOptions,
}

/// Runs every stage that is not done yet.
pub(crate) fn run(args: &DemoArgs, terminal: &Terminal) -> Result<Exit> {
    let mut options = Defaults::try_parse_from(["demo"])?.pipeline;
    let method = &args.method;
    options.coverage = method.coverage;
    options.held_out = method.held_out;
    options.min_populated = method.min_populated;
    options.min_agreement = method.min_agreement;
    options.min_retention = method.min_retention;
    options.seed = method.seed;
    options.device = method.device.into();
    options.workers = method.workers;
    options.out.clone_from(&args.out.out);
    options.fresh = args.out.fresh;
    pipeline_of(&options, terminal)
}

//! `scaletot demo`.

use anyhow::Result;
use clap::Args;
use scaletot_pipeline::tasks::Task;

use super::run::{open, run_on};
use crate::args::{MethodArgs, OutArgs};
use crate::exit::Exit;
use crate::terminal::Terminal;

/// The shipped task that the program brings the table of.
const TASK: &str = "complete-journey";

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

/// Runs every stage that is not done yet.
pub(crate) fn run(args: &DemoArgs, terminal: &Terminal) -> Result<Exit> {
    let task = Task::find(TASK)?;
    let population = task.load(None)?;
    let opened = open(None, &population)?;
    run_on(&task, &population, opened, (&args.method, &args.out), terminal)
}

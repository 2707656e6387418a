//! `scaletot record`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use scaletot_pipeline::options::TeacherChoice;
use scaletot_pipeline::{AnswerRecording, PipelineConfig, teachers};
use scaletot_teacher::Recorder;

use crate::args::source::{SourceArgs, min_populated};
use crate::exit::Exit;
use crate::terminal::Terminal;

/// Write down a teacher's answers, so that runs need no model
///
/// Asks every question that any search about the table's users may ask, once; `scaletot plan` says how many there are. What the file holds
/// already is not asked again, so a recording that was stopped is resumed by the same command. Use it with --teacher replay:FILE.
#[derive(Debug, Args)]
pub(crate) struct RecordArgs {
    #[command(flatten)]
    source: SourceArgs,
    /// Who answers: gguf:FILE or openai:URL#MODEL
    #[arg(long, value_name = "TEACHER")]
    teacher: TeacherChoice,
    /// The recording: .jsonl or .jsonl.gz
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    /// Profiles with fewer populated fields are not asked about  [default: 3, or all where there are fewer]
    #[arg(long, value_name = "N")]
    min_populated: Option<usize>,
    /// Questions that are under way at a time: requests to a server; threads of a model in this process share its processors
    #[arg(long, value_name = "N", default_value = "1")]
    workers: NonZeroUsize,
}

/// Asks what is not recorded yet.
pub(crate) fn run(args: &RecordArgs, terminal: &Terminal) -> Result<Exit> {
    let (task, population) = args.source.load()?;
    let teacher = teachers::open(&args.teacher, &population.schema, &population.chain)?.teacher;
    let recorder = Recorder::open(teacher, &args.to)?;
    let dataset = population.dataset()?;
    let mut config = PipelineConfig::default();
    config.levels = task.levels;
    config.min_populated = min_populated(args.min_populated, population.schema.fields().len());
    let recording =
        AnswerRecording::new(&dataset, &population.chain).with_config(config).with_workers(args.workers);
    let summary = recording.run(&recorder, terminal.bars())?;
    recorder.finish()?;
    terminal.say(&format!(
        "{}: {} of {} prompts asked about {} users, the others were recorded already; use it with --teacher replay:{0}",
        args.to.display(),
        summary.asked,
        summary.prompts,
        summary.users
    ));
    Ok(Exit::Done)
}

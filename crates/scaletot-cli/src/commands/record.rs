//! `scaletot record`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use scaletot_pipeline::options::TeacherChoice;
use scaletot_pipeline::{AnswerRecording, PipelineConfig, teachers};
use scaletot_teacher::{Recorder, Teacher};
use serde::Serialize;

use crate::args::source::{SourceArgs, min_populated, shell_word};
use crate::args::{MAX_FAILED, workers};
use crate::exit::Exit;
use crate::format::count;
use crate::terminal::Terminal;

/// Write down a teacher's answers, so that runs need no model
///
/// Asks every question that any search about the table's users may ask, once; `scaletot plan` says how many there are. What the file holds
/// already is not asked again, so a recording that was stopped or killed, or about some of whose users the teacher failed, is resumed by the same command. Use it with --teacher replay:FILE, whatever
/// the run's strategy, seed and coverage.
#[derive(Debug, Args)]
pub(crate) struct RecordArgs {
    #[command(flatten)]
    source: SourceArgs,
    /// Teacher: gguf:FILE or openai:URL#MODEL (after the model any of ,chat ,timeout=SECONDS ,n=COUNT ,key=VARIABLE ,unencrypted-key)
    #[arg(long, value_name = "TEACHER")]
    teacher: TeacherChoice,
    /// The recording: .jsonl or .jsonl.gz
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    /// Profiles with fewer populated fields are not asked about  [default: 3, or all where there are fewer]
    #[arg(long, value_name = "N")]
    min_populated: Option<usize>,
    /// Questions that are under way at a time: requests to a server; threads of a model in this process share its processors
    #[arg(long, value_name = "N", default_value = "1", value_parser = workers)]
    workers: NonZeroUsize,
    /// Share of the users about whom the teacher may fail before it is an error; they are asked about again by the same command
    #[arg(long, value_name = "F", default_value_t = MAX_FAILED)]
    max_failed: f64,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Printed {
    file: String,
    model: String,
    users: usize,
    skipped: usize,
    /// Users about whom the teacher failed.
    failed: usize,
    prompts: usize,
    asked: usize,
    /// Mean probability that the teacher gave to the labels.
    covered_mass: Option<f64>,
    seconds_per_answer: Option<f64>,
}

/// Asks what is not recorded yet.
pub(crate) fn run(args: &RecordArgs, terminal: &Terminal) -> Result<Exit> {
    if let TeacherChoice::Rules(_) = args.teacher {
        bail!(
            "--teacher: rules read the profile and not the prompt, and cost nothing to ask: expected gguf:FILE or openai:URL#MODEL"
        );
    }
    let (task, population) = args.source.load()?;
    let teacher =
        teachers::open(&args.teacher, population.dataset.table().schema(), &population.chain)?.teacher;
    let recorder = Recorder::open(teacher, &args.to)?;
    let dataset = population.dataset.clone();
    let mut config = PipelineConfig::default();
    (config.levels, config.level_rule) = (task.levels, task.level_rule);
    config.max_failed_share = args.max_failed;
    config.min_populated =
        min_populated(args.min_populated, population.dataset.table().schema().fields().len());
    let recording =
        AnswerRecording::new(&dataset, &population.chain).with_config(config).with_workers(args.workers);
    let summary = recording.run(&recorder, terminal.bars()).with_context(|| {
        format!("{} keeps the {} answers that there are", args.to.display(), count(recorder.len() as u64))
    })?;
    let printed = Printed {
        file: args.to.display().to_string(),
        model: recorder.inner().model().to_owned(),
        users: summary.users,
        skipped: population.dataset.table().len() - summary.users - summary.failed,
        failed: summary.failed,
        prompts: summary.prompts,
        asked: summary.asked,
        covered_mass: summary.covered_mass,
        seconds_per_answer: recorder.seconds_per_answer(),
    };
    recorder.finish()?;
    let exit = match summary.failure {
        None => Exit::Done,
        Some(failure) => Exit::LeftOut(format!(
            "{} of {} users about whom the teacher failed, most often: {}; the same command asks about them again",
            count(printed.failed as u64),
            count((printed.users + printed.failed) as u64),
            failure.reason
        )),
    };
    if args.json {
        terminal.json(&printed)?;
        return Ok(exit);
    }
    let mass = printed
        .covered_mass
        .map_or_else(String::new, |mass| format!("\nMean probability on the labels: {mass:.3}"));
    terminal.say(&format!(
        "{}: {} of {} prompts asked about {} users, the others were recorded already{mass}\nTo use it:\n  scaletot run {} --teacher replay:{}",
        printed.file,
        count(printed.asked as u64),
        count(printed.prompts as u64),
        count(printed.users as u64),
        args.source.as_given(),
        shell_word(&printed.file)
    ));
    Ok(exit)
}

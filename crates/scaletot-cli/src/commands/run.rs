//! `scaletot run`.

use anyhow::Result;
use clap::Args;
use scaletot_pipeline::options::TeacherChoice;
use scaletot_pipeline::tasks::{Population, Task};
use scaletot_pipeline::teachers::{self, Opened};
use scaletot_pipeline::{Pipeline, PipelineConfig, Stage, Summary};

use crate::args::source::{SourceArgs, shell_word};
use crate::args::{MethodArgs, OutArgs};
use crate::exit::Exit;
use crate::terminal::{Terminal, note};

/// Run the whole method on your table: reason, train, distil, score everybody, evaluate
///
/// A stage that was done with the same inputs is not run again; one whose inputs changed is, and everything after it. But for the teacher's
/// answers, which have cost time or money: with other inputs than theirs the run stops, and --out or --fresh says what becomes of them.
/// Each answer of a model or a server is kept in answers.jsonl as it comes, so that a run that was stopped or killed asks for none again.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    source: SourceArgs,
    /// Teacher: replay:FILE, gguf:FILE, rules:FILE or openai:URL#MODEL (after the model any of ,chat ,timeout=SECONDS ,n=COUNT ,key=VARIABLE ,unencrypted-key); by default the task's recorded answers, or else its rules
    #[arg(long, value_name = "TEACHER")]
    teacher: Option<TeacherChoice>,
    #[command(flatten)]
    method: MethodArgs,
    #[command(flatten)]
    out: OutArgs,
}

/// Runs every stage that is not done yet.
pub(crate) fn run(args: &RunArgs, terminal: &Terminal) -> Result<Exit> {
    let (task, population) = args.source.load()?;
    let opened = open(args.teacher.as_ref(), &population)?;
    run_on(&task, &population, opened, (&args.method, &args.out), terminal)
}

/// The teacher that was named, or the task's own.
pub(super) fn open(choice: Option<&TeacherChoice>, population: &Population) -> Result<Opened> {
    Ok(match choice {
        Some(choice) => teachers::open(choice, population.dataset.table().schema(), &population.chain)?,
        None => population.teacher()?,
    })
}

/// The settings of a run on a task.
pub(super) fn config(task: &Task, population: &Population, method: &MethodArgs) -> PipelineConfig {
    let mut config = PipelineConfig::default();
    (config.coverage, config.max_failed_share) = (method.coverage, method.max_failed);
    config.held_out = method.held_out;
    config.min_populated = method.min_populated(population.dataset.table().schema().fields().len());
    (config.levels, config.level_rule) = (task.levels, task.level_rule);
    config.gate.min_agreement = Some(method.min_agreement);
    config.gate.min_retention = method.min_retention;
    config
}

/// Runs the method on a task's users, and prints what came out.
pub(super) fn run_on(
    task: &Task,
    population: &Population,
    opened: Opened,
    (method, out): (&MethodArgs, &OutArgs),
    terminal: &Terminal,
) -> Result<Exit> {
    let mut builder = Pipeline::builder(population.dataset.clone(), population.chain.clone())
        .with_teacher(opened.teacher)
        .with_config(config(task, population, method))
        .with_seed(method.seed)
        .with_device(method.device()?)
        .with_workers(method.workers)
        .with_out(out.out(&task.name));
    if let Some(version) = opened.version {
        builder = builder.with_teacher_version(version);
    }
    let pipeline = builder.build()?;
    if out.fresh {
        pipeline.start_over()?;
    }
    let say = |line: &str| terminal.say(line);
    note(&format!("{}: outcome `{}`", task.name, task.outcome));
    let summary = pipeline.run(terminal.bars())?;
    let exit = left_out(&summary);
    if out.json {
        summary.warnings.iter().for_each(|warning| note(&format!("warning: {warning}")));
        terminal.json(&summary)?;
        return Ok(exit);
    }
    say(&summary.users_line());
    say(&summary.stages_table());
    say(&format!("\nHeld-out users, with 95 % intervals:\n{}", summary.metrics_table()));
    say(&format!("\nAgainst the strongest model of the profile alone:\n{}", summary.headline()));
    for warning in &summary.warnings {
        say(&format!("\nwarning: {warning}"));
    }
    let files = "corpus.jsonl, student/, value-model/, artifact/, scores.parquet, summary.json";
    let artifact = shell_word(&pipeline.out().join("artifact").to_string_lossy());
    say(&format!("\nWritten under {}: {files}", pipeline.out().display()));
    if summary.not_ready.is_empty() {
        say(&format!(
            "To score other users:\n  scaletot score --artifact {artifact} --input 'users/*.parquet' --output scores"
        ));
    }
    Ok(exit)
}

/// Users about whom the teacher failed are in no chain, and an artifact that did not pass its gate serves nobody.
fn left_out(summary: &Summary) -> Exit {
    let mut left_out = Vec::new();
    let calibrate = summary.stages.iter().find(|stage| stage.name == Stage::Calibrate.name());
    if let Some(report) = calibrate.map(|stage| &stage.report).filter(|report| report.failed() > 0) {
        left_out.push(format!(
            "{} of {} users of the calibration about whom the teacher failed, and the same command asks about them again",
            report.failed(),
            report.users
        ));
    }
    let reason = summary.stages.iter().find(|stage| stage.name == Stage::Reason.name());
    if let Some(report) = reason.map(|stage| &stage.report).filter(|report| report.failed() > 0) {
        left_out.push(format!(
            "{} of {} users about whom the teacher failed; corpus.jsonl names each with the reason, and the same command asks about them again",
            report.failed(),
            report.users
        ));
    }
    if !summary.not_ready.is_empty() {
        left_out.push(format!(
            "the artifact, which is not ready to serve: {}; --min-agreement and --min-retention say what it has to show",
            summary.not_ready.join("; ")
        ));
    }
    if left_out.is_empty() { Exit::Done } else { Exit::LeftOut(left_out.join("; and ")) }
}

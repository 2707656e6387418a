//! `scaletot evaluate`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use scaletot_eval::planted::FieldErrors;
use scaletot_pipeline::evaluation::options::{Ablations, EvaluateOptions, SourceOptions};
use scaletot_pipeline::evaluation::{self, REPORT, RESULTS};
use scaletot_pipeline::options::TeacherChoice;
use scaletot_pipeline::tasks::Task;

use crate::args::{DeviceArg, MAX_FAILED, workers};
use crate::exit::Exit;
use crate::terminal::Terminal;

/// The synthetic world, which is no task.
const PLANTED: &str = "planted";

/// Compare reasoning, its transfer and strong baselines at every number of labels
///
/// Every arm is fitted on the same folds and draws. The figures go to results.json, a page to read to report.html; an interrupted evaluation
/// is resumed. The teacher's answers, which have cost time or money, are not replaced by those to other questions: with another task, table,
/// teacher, seed, coverage or folds than theirs the evaluation stops, and --out or --fresh says what becomes of them.
#[derive(Debug, Args)]
pub(crate) struct EvaluateArgs {
    /// Shipped task by name, or a task file; `planted` is a synthetic world whose truth is known
    #[arg(long, value_name = "TASK", default_value = "complete-journey")]
    task: String,
    /// The task's table, or a directory with its publisher's raw files; not needed for embedded tables
    #[arg(long, value_name = "FILE")]
    data: Option<PathBuf>,
    /// Teacher: replay:FILE, gguf:FILE, rules:FILE or openai:URL#MODEL (after the model any of ,chat ,timeout=SECONDS ,n=COUNT ,key=VARIABLE ,unencrypted-key); by default the task's recorded answers, or else its rules
    #[arg(long, value_name = "TEACHER")]
    teacher: Option<TeacherChoice>,
    /// Profiles with fewer populated fields are abstained on and take no part  [default: 3, or all where there are fewer]
    #[arg(long, value_name = "N")]
    min_populated: Option<usize>,
    /// Noise of the planted world's teacher
    #[arg(long, value_name = "S", default_value_t = 0.7)]
    noise: f64,
    /// What the planted world's teacher gets wrong about profile fields, alike for all users: none, mixed (wrong weights, a fifth of the fields misread)
    /// or hard (two thirds ignored or misread)
    #[arg(long, value_name = "ERRORS", default_value_t = FieldErrors::None)]
    field_errors: FieldErrors,
    /// Seed of every draw
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Share of all users whom the teacher reasons about, chosen from the training folds
    #[arg(long, value_name = "F", default_value_t = 0.0732)]
    coverage: f64,
    /// Further shares, for the coverage curve: the arm `scaletot` alone, on the folds of the first repeat
    #[arg(long, value_name = "F,F,...", value_delimiter = ',')]
    coverage_curve: Vec<f64>,
    /// Share of a fold's covered users about whom the teacher may fail before the evaluation ends; they are asked about again when it is run again
    #[arg(long, value_name = "F", default_value_t = MAX_FAILED)]
    max_failed: f64,
    /// Numbers of labelled training users; all of them is always added  [default: 0,50,200,500,1000,2000,5000; with --quick: 0,200,1000]
    #[arg(long, value_name = "N,N,...", value_delimiter = ',')]
    labels: Option<Vec<usize>>,
    /// Folds of the cross-validation over users
    #[arg(long, value_name = "K", default_value_t = 5)]
    folds: usize,
    /// Repeats of the cross-validation with other folds
    #[arg(long, value_name = "R", default_value_t = 1)]
    repeats: usize,
    /// Draws of labelled users for up to 1,000 of them; larger numbers are drawn once per fold
    #[arg(long, value_name = "N", default_value_t = 10)]
    draws: usize,
    /// Bootstrap replicates of every interval
    #[arg(long, value_name = "N", default_value_t = 400)]
    replicates: usize,
    /// Backend that trains
    #[arg(long, value_enum, default_value_t = DeviceArg::Flex)]
    device: DeviceArg,
    /// Threads
    #[arg(long, value_name = "N", default_value = "2", value_parser = workers)]
    workers: NonZeroUsize,
    /// Output directory; an interrupted evaluation there is resumed  [default: scaletot-evaluate/TASK]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Throw away what --out holds, the answers that the teacher was paid for (answers.jsonl) among it, and start over
    #[arg(long)]
    fresh: bool,
    /// At most 3 folds, 2 draws, 200 replicates and 10,000 users of a table, one repeat, and few label sizes unless --labels is given, for
    /// a first look
    #[arg(long)]
    quick: bool,
    #[command(flatten)]
    ablations: AblationArgs,
}

/// What can be taken out of the method, one flag each.
#[derive(Debug, Clone, Copy, Args)]
#[command(next_help_heading = "Ablations")]
struct AblationArgs {
    /// Greedy chains instead of refined ones
    #[arg(long)]
    greedy: bool,
    /// No OSIPO after SFT
    #[arg(long)]
    sft_only: bool,
    /// No state KL in the distillation
    #[arg(long)]
    no_state_kl: bool,
    /// No representation loss in the distillation
    #[arg(long)]
    no_representation: bool,
    /// All users one segment in OSIPO, and all chain segments of equal weight
    #[arg(long)]
    uniform: bool,
}

impl EvaluateArgs {
    fn options(&self) -> EvaluateOptions {
        let mut options = EvaluateOptions::default();
        options.source = self.source();
        options.coverage = self.coverage;
        options.max_failed_share = self.max_failed;
        options.coverage_curve.clone_from(&self.coverage_curve);
        options.labels.clone_from(&self.labels);
        (options.folds, options.repeats) = (self.folds, self.repeats);
        (options.draws, options.replicates) = (self.draws, self.replicates);
        (options.device, options.workers) = (self.device.into(), self.workers);
        options.out.clone_from(&self.out);
        (options.fresh, options.quick) = (self.fresh, self.quick);
        options.ablations = self.ablations.into();
        options
    }

    fn source(&self) -> SourceOptions {
        let mut source = SourceOptions::default();
        source.task.clone_from(&self.task);
        source.data.clone_from(&self.data);
        source.teacher.clone_from(&self.teacher);
        source.min_populated = self.min_populated;
        (source.noise, source.field_errors) = (self.noise, self.field_errors);
        source.seed = self.seed;
        source
    }
}

impl From<AblationArgs> for Ablations {
    fn from(args: AblationArgs) -> Self {
        let AblationArgs { greedy, sft_only, no_state_kl, no_representation, uniform } = args;
        let mut ablations = Self::default();
        (ablations.greedy, ablations.sft_only) = (greedy, sft_only);
        (ablations.no_state_kl, ablations.no_representation) = (no_state_kl, no_representation);
        ablations.uniform = uniform;
        ablations
    }
}

/// Runs every fold that is not done yet, and prints what the method brings.
pub(crate) fn run(args: &EvaluateArgs, terminal: &Terminal) -> Result<Exit> {
    if args.task != PLANTED {
        Task::find(&args.task).with_context(|| {
            format!("--task, which may also be `{PLANTED}`, a synthetic world whose truth is known")
        })?;
    }
    let options = args.options();
    let say = |line: &str| terminal.say(line);
    let results = evaluation::run(&options, terminal.bars())?;
    say(&format!("\nAgainst the strongest arm on the profile alone:\n{}", evaluation::headline(&results)));
    say(&format!("\nWritten under {}: {RESULTS}, {REPORT}", options.out().display()));
    Ok(match results.ledger.failed {
        0 => Exit::Done,
        failed => Exit::LeftOut(format!(
            "{failed} of {} users about whom the teacher failed, counted in every fold; the same command asks about them again",
            results.ledger.reasoned
        )),
    })
}

//! What a teacher's questions buy with each search strategy.
//!
//! `cargo run --release -p scaletot-studies --bin strategies -- --task planted`
//!
//! Every strategy reasons about the same users with the same teacher, at several bounds on its questions. The full breadth-first
//! search asks about every chain there is, and finds the one with the best score; what the others reach is measured against it.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, ensure};
use clap::Parser;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use scaletot_chain::ChainRecord;
use scaletot_core::Progress;
use scaletot_core::progress::Bars;
use scaletot_eval::planted::FieldErrors;
use scaletot_pipeline::evaluation::PLANTED;
use scaletot_pipeline::evaluation::options::SourceOptions;
use scaletot_pipeline::evaluation::study::Study;
use scaletot_pipeline::options::TeacherChoice;
use scaletot_pipeline::tasks::Task;
use scaletot_search::{
    BeamConfig, BestOfNConfig, BfsConfig, Budget, Generation, RefineConfig, SelfConsistencyConfig, Strategy,
};
use scaletot_studies::terminal::{self, say};
use serde::Serialize;

/// Bounds on the questions about one user.
const BOUNDS: [u64; 7] = [5, 8, 12, 20, 40, 80, 160];
/// The weight of a chain's entropy against its probability, as in the default score.
const LAMBDA: f64 = 0.1;

/// Compare search strategies at equal numbers of questions
#[derive(Debug, Parser)]
#[command(name = "strategies", version)]
struct Arguments {
    /// Shipped task by name, or a task file; `planted` is a synthetic world whose truth is known
    #[arg(long, value_name = "TASK", default_value = "complete-journey")]
    task: String,
    /// The task's table; not needed for embedded tables
    #[arg(long, value_name = "FILE")]
    data: Option<PathBuf>,
    /// Teacher: replay:FILE, gguf:FILE, rules:FILE or openai:URL#MODEL; by default the task's recorded answers, or else its rules
    #[arg(long, value_name = "TEACHER")]
    teacher: Option<TeacherChoice>,
    /// Profiles with fewer populated fields are left out
    #[arg(long, value_name = "N", default_value_t = 3)]
    min_populated: usize,
    /// Noise of the planted world's teacher
    #[arg(long, value_name = "S", default_value_t = 0.7)]
    noise: f64,
    /// What the planted world's teacher gets wrong about profile fields, alike for all users: none, mixed or hard
    #[arg(long, value_name = "ERRORS", default_value_t = FieldErrors::None)]
    field_errors: FieldErrors,
    /// Seed of every draw
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Users to reason about, drawn at random
    #[arg(long, value_name = "N", default_value = "1000")]
    users: NonZeroUsize,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    terminal::main(|bars| run(&arguments, bars))
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Printed {
    command: String,
    task: String,
    teacher: String,
    users: usize,
    rows: Vec<Row>,
}

/// One strategy with one bound, over all users.
#[derive(Debug, Serialize)]
struct Row {
    strategy: &'static str,
    /// Most questions about one user.
    bound: Option<u64>,
    /// Mean questions asked about a user.
    queries: f64,
    /// Mean score of the best chains: the mean log-probability of their states less a tenth of their mean entropy.
    score: f64,
    /// Of what the full search gains over the greedy chain, the share that is gained.
    gain: f64,
    /// Users whose best chain is as good as the full search's.
    optimal: f64,
    /// Users for whom no chain was completed; they count with the greedy chain's score.
    unfinished: usize,
    /// Share of the states that are right, where the truth is known.
    accuracy: Option<f64>,
    /// By how much refinement's mean score at the same bound is better, users paired, with the ends of a 95 % interval (normal
    /// approximation).
    refine_better: Option<[f64; 3]>,
}

/// What became of one user.
struct Found {
    queries: u64,
    score: Option<f64>,
    right: Option<f64>,
}

fn run(arguments: &Arguments, bars: &Bars) -> Result<()> {
    let mut source = SourceOptions::default();
    source.task.clone_from(&arguments.task);
    source.data.clone_from(&arguments.data);
    source.teacher.clone_from(&arguments.teacher);
    source.min_populated = Some(arguments.min_populated);
    (source.noise, source.field_errors) = (arguments.noise, arguments.field_errors);
    source.seed = arguments.seed;
    let source = &source;
    let study = if source.task == PLANTED {
        Study::planted(source, arguments.users.get() * 2)?
    } else {
        Study::of_task(&Task::find(&source.task)?, source, false)?
    };
    let mut rows = study.eligible.clone();
    rows.shuffle(&mut ChaCha8Rng::seed_from_u64(source.seed));
    rows.truncate(arguments.users.get());
    ensure!(
        !rows.is_empty(),
        "expected users with at least {} populated fields, found none",
        arguments.min_populated
    );
    let all = Generation::Propose { max: None };
    let full = Strategy::Bfs(BfsConfig::default().with_breadth(usize::MAX).with_generation(all));
    let comparison = Comparison { study: &study, rows: &rows, source, bars };
    let reason = |strategy, bound| comparison.found(strategy, bound);
    let greedy = reason(Strategy::Greedy, None)?;
    let best = reason(full, None)?;
    let mut table = vec![
        Row::of("greedy", None, &greedy, &greedy, &best),
        Row::of("full breadth-first", None, &best, &greedy, &best),
        Row::of("refine", None, &reason(Strategy::Refine(RefineConfig::default()), None)?, &greedy, &best),
    ];
    // With a bound every strategy is as large as the questions carry; refinement goes on where by itself it would be done.
    let on = RefineConfig::default().with_rounds(u32::MAX).with_incumbents(u32::MAX);
    let on = on.with_tau(0.0).with_rho(1.0).with_delta(0.0);
    for bound in BOUNDS {
        let wide = bound as usize;
        let strategies = [
            (
                "self-consistency",
                Strategy::SelfConsistency(SelfConsistencyConfig::default().with_samples(bound)),
            ),
            ("best-of-n", Strategy::BestOfN(BestOfNConfig::default().with_samples(bound))),
            // One question on the first level, and as many as the width on the others.
            ("beam", Strategy::Beam(BeamConfig::default().with_width((wide / study.chain.len()).max(1)))),
            ("refine", Strategy::Refine(on)),
        ];
        let begin = table.len();
        let mut refined = Vec::new();
        let mut others = Vec::new();
        for (name, strategy) in strategies {
            let found = reason(strategy, Some(bound))?;
            table.push(Row::of(name, Some(bound), &found, &greedy, &best));
            if name == "refine" { refined = found } else { others.push(found) }
        }
        for (row, other) in table[begin..].iter_mut().zip(&others) {
            row.refine_better = paired(&refined, other, &greedy);
        }
    }
    if arguments.json {
        let arguments = std::env::args().skip(1).collect::<Vec<_>>().join(" ");
        let printed = Printed {
            command: format!("strategies {arguments}"),
            task: source.task.clone(),
            teacher: study.teacher.model().to_owned(),
            users: rows.len(),
            rows: table,
        };
        say(&serde_json::to_string_pretty(&printed)?);
        return Ok(());
    }
    say(&format!("{} users, teacher {}\n", rows.len(), study.teacher.model()));
    say(
        "| Strategy | Most questions | Questions | Mean score | Gain | Optimal | States right | Without a chain | Refine better by |",
    );
    say("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
    for row in &table {
        say(&format!(
            "| {} | {} | {:.1} | {:.4} | {:.1} % | {:.1} % | {} | {} | {} |",
            row.strategy,
            row.bound.map_or_else(|| "–".to_owned(), |bound| bound.to_string()),
            row.queries,
            row.score,
            100.0 * row.gain,
            100.0 * row.optimal,
            row.accuracy.map_or_else(|| "–".to_owned(), |share| format!("{share:.3}")),
            row.unfinished,
            row.refine_better.map_or_else(
                || "–".to_owned(),
                |[mean, low, high]| format!("{mean:+.4} ({low:+.4} to {high:+.4})")
            ),
        ));
    }
    Ok(())
}

/// The users whom every strategy reasons about.
struct Comparison<'a> {
    study: &'a Study,
    rows: &'a [usize],
    source: &'a SourceOptions,
    bars: &'a Bars,
}

impl Comparison<'_> {
    /// Reasons about each user.
    fn found(&self, strategy: Strategy, bound: Option<u64>) -> Result<Vec<Found>> {
        let Self { study, rows, source, bars } = *self;
        let mut budget = Budget::default();
        budget.queries = bound;
        let reasoner = study.reasoner(
            strategy,
            budget,
            source.min_populated(study.dataset.table().schema().fields().len()),
            0.0,
        )?;
        rows.iter()
            .map(|&row| {
                ensure!(!bars.stopped(), "stopped on request");
                let record = reasoner.reason(study.dataset.table(), row, source.seed)?;
                let right = study.planted.as_ref().and_then(|planted| right(&record, planted.truth(row)));
                Ok(Found { queries: record.cost.queries, score: score(&record), right })
            })
            .collect()
    }
}

/// The score of the best chain, the same for every strategy.
fn score(record: &ChainRecord) -> Option<f64> {
    let steps = record.best.as_ref()?.steps();
    let of = |probability: f64, entropy: f64| probability.max(1e-12).ln() - LAMBDA * entropy;
    let sum: f64 =
        steps.iter().map(|step| of(step.distribution[usize::from(step.value)], step.entropy)).sum();
    Some(sum / steps.len() as f64)
}

/// Mean difference of the scores, with a 95 % interval; users without a chain count with the greedy one's score.
fn paired(a: &[Found], b: &[Found], greedy: &[Found]) -> Option<[f64; 3]> {
    let score = |it: &Found, greedy: &Found| it.score.or(greedy.score);
    let differences: Vec<f64> = a
        .iter()
        .zip(b)
        .zip(greedy)
        .filter_map(|((a, b), greedy)| Some(score(a, greedy)? - score(b, greedy)?))
        .collect();
    let n = differences.len() as f64;
    let mean = differences.iter().sum::<f64>() / n;
    let variance = differences.iter().map(|d| (d - mean).powi(2)).sum::<f64>() / (n - 1.0);
    let half = 1.96 * (variance / n).sqrt();
    half.is_finite().then_some([mean, mean - half, mean + half])
}

/// Share of the states that are right.
fn right(record: &ChainRecord, truth: Vec<u16>) -> Option<f64> {
    let steps = record.best.as_ref()?.steps();
    let same = steps.iter().zip(truth).filter(|(step, truth)| step.value == *truth).count();
    Some(same as f64 / steps.len() as f64)
}

impl Row {
    fn of(
        strategy: &'static str,
        bound: Option<u64>,
        found: &[Found],
        greedy: &[Found],
        best: &[Found],
    ) -> Self {
        let users = found.len() as f64;
        let mean = |of: &[Found]| {
            let scores = of.iter().zip(greedy).filter_map(|(it, greedy)| it.score.or(greedy.score));
            scores.sum::<f64>() / users
        };
        let (score, least, most) = (mean(found), mean(greedy), mean(best));
        let optimal = found
            .iter()
            .zip(best)
            .filter(|(it, best)| it.score.zip(best.score).is_some_and(|(it, best)| it >= best - 1e-9));
        let right: Vec<f64> = found.iter().filter_map(|it| it.right).collect();
        Row {
            strategy,
            bound,
            queries: found.iter().map(|it| it.queries as f64).sum::<f64>() / users,
            score,
            gain: if most > least { (score - least) / (most - least) } else { 1.0 },
            optimal: optimal.count() as f64 / users,
            unfinished: found.iter().filter(|it| it.score.is_none()).count(),
            refine_better: None,
            accuracy: (!right.is_empty()).then(|| right.iter().sum::<f64>() / right.len() as f64),
        }
    }
}

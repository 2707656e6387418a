//! The Game of 24 with every strategy, at the same numbers of queries.
//!
//! `cargo run --release --example game24 -- --strategy all --evaluator noisy:0.15`
//!
//! A search asks its teacher which moves to make and how promising a position is. The teacher here is no language model but a
//! stand-in whose errors are known: `exact` proposes every move and evaluates rightly, `noisy:P` judges wrongly with
//! probability P. So what is measured is the strategies alone, and what their queries buy.

#![allow(clippy::print_stdout, reason = "a program that prints its results")]

mod puzzle;
mod teacher;

use std::error::Error;
use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use puzzle::Puzzle;
use scaletot_search::{
    BeamConfig, BestOfNConfig, BfsConfig, Budget, DfsConfig, Generation, RefineConfig, ScoreConfig, Search,
    SelfConsistencyConfig, Strategy, drive,
};
use serde::Serialize;
use teacher::{Evaluator, Teacher};

/// Solves puzzles and counts what it took.
#[derive(Debug, Parser)]
struct Options {
    /// Puzzles, four whole numbers a line; by default all 1,820 multisets of numbers from 1 to 13
    #[arg(long, value_name = "FILE")]
    puzzles: Option<PathBuf>,
    /// How to search
    #[arg(long, value_enum, default_value = "all")]
    strategy: Name,
    /// Teacher: exact, or noisy:P
    #[arg(long, value_name = "TEACHER", default_value = "exact")]
    evaluator: Evaluator,
    /// Most queries per puzzle, one run for each number; by default no bound with the exact evaluator, or else several
    #[arg(long, value_name = "N,N,...", value_delimiter = ',')]
    queries: Vec<u64>,
    /// Seed of the teacher's errors and of the samples
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Name {
    Greedy,
    SelfConsistency,
    BestOfN,
    Beam,
    Bfs,
    Dfs,
    Refine,
    All,
}

impl Name {
    const EACH: [Name; 7] =
        [Name::Greedy, Name::SelfConsistency, Name::BestOfN, Name::Beam, Name::Bfs, Name::Dfs, Name::Refine];

    /// The strategy, as large as that many queries carry.
    fn strategy(self, queries: Option<u64>) -> Strategy {
        let score = ScoreConfig::default().with_alpha(0.3).with_lambda(0.0);
        let samples = queries.unwrap_or(1_000);
        match self {
            Name::Greedy | Name::All => Strategy::Greedy,
            Name::SelfConsistency => {
                Strategy::SelfConsistency(SelfConsistencyConfig::default().with_samples(samples))
            }
            Name::BestOfN => {
                Strategy::BestOfN(BestOfNConfig::default().with_samples(samples).with_score(score))
            }
            // One proposal on the first level, as many as the width on the other two.
            Name::Beam => {
                let width = queries.map_or(usize::MAX, |q| (q.saturating_sub(1) / 2).max(1) as usize);
                Strategy::Beam(BeamConfig::default().with_width(width).with_score(score))
            }
            Name::Bfs => {
                let (breadth, most) = queries.map_or((usize::MAX, None), |q| {
                    let (breadth, thoughts) = breadth_for(q);
                    (breadth, Some(thoughts))
                });
                let generation = Generation::Propose { max: most };
                let config = BfsConfig::default().with_breadth(breadth).with_generation(generation);
                Strategy::Bfs(config.with_accept(Some(0.5)).with_score(score))
            }
            Name::Dfs => {
                let config = DfsConfig::default().with_generation(Generation::Propose { max: None });
                Strategy::Dfs(config.with_accept(Some(0.5)).with_threshold(0.1).with_score(score))
            }
            Name::Refine => {
                // As many values a step as a breadth-first search of that many queries tries after a path.
                let branches = queries.map_or(usize::MAX, |queries| breadth_for(queries).1);
                let config = RefineConfig::default().with_rounds(u32::MAX).with_branches(branches);
                let config = config.with_tau(0.0).with_rho(1.0).with_delta(0.0).with_incumbents(u32::MAX);
                Strategy::Refine(config.with_score(score))
            }
        }
    }
}

/// The widest breadth-first search, with twice as many thoughts a path as paths a level, that so many queries carry:
/// `1 + k` on the first level and `b·(1 + k)` on the other two.
fn breadth_for(queries: u64) -> (usize, usize) {
    let cost = |b: u64| (1 + 2 * b) * (1 + 2 * b);
    let breadth = (1..1_000).take_while(|b| cost(*b) <= queries).last().unwrap_or(1);
    (breadth as usize, 2 * breadth as usize)
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Printed {
    command: String,
    rows: Vec<Row>,
}

/// What one strategy did with one bound.
#[derive(Debug, Serialize)]
struct Row {
    strategy: String,
    /// Most queries per puzzle.
    bound: Option<u64>,
    puzzles: usize,
    solvable: usize,
    /// Puzzles whose best path gives 24.
    solved: usize,
    /// Puzzles without a solution that were shown to have none.
    proved: usize,
    solved_share: f64,
    mean_queries: f64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    let puzzles = match &options.puzzles {
        Some(file) => read(file)?,
        None => puzzle::all(),
    };
    let bounds: Vec<Option<u64>> = match (&options.queries[..], options.evaluator) {
        ([], Evaluator::Exact) => vec![None],
        ([], Evaluator::Noisy(_)) => [12, 25, 50, 100, 200, 400].map(Some).to_vec(),
        (given, _) => given.iter().copied().map(Some).collect(),
    };
    let names: Vec<Name> = match options.strategy {
        Name::All => Name::EACH.to_vec(),
        one => vec![one],
    };
    let mut rows = Vec::new();
    for bound in bounds {
        for name in &names {
            rows.push(run(*name, bound, &puzzles, &options)?);
        }
    }
    if options.json {
        let arguments = std::env::args().skip(1).collect::<Vec<_>>().join(" ");
        let printed = Printed { command: format!("game24 {arguments}"), rows };
        println!("{}", serde_json::to_string_pretty(&printed)?);
        return Ok(());
    }
    println!("| Strategy | Most queries | Queries | Solved | Share | Proved unsolvable |");
    println!("| --- | ---: | ---: | ---: | ---: | ---: |");
    for row in &rows {
        println!(
            "| {} | {} | {:.1} | {} of {} | {:.1} % | {} of {} |",
            row.strategy,
            row.bound.map_or_else(|| "–".to_owned(), |bound| bound.to_string()),
            row.mean_queries,
            row.solved,
            row.solvable,
            100.0 * row.solved_share,
            row.proved,
            row.puzzles - row.solvable,
        );
    }
    Ok(())
}

fn run(
    name: Name,
    bound: Option<u64>,
    puzzles: &[[i64; 4]],
    options: &Options,
) -> Result<Row, Box<dyn Error>> {
    let mut teacher = Teacher::new(options.evaluator, options.seed);
    let (mut solvable, mut solved, mut proved, mut queries) = (0, 0, 0, 0);
    for numbers in puzzles {
        let puzzle = Puzzle::new(*numbers, true);
        let mut budget = Budget::default();
        budget.queries = bound;
        let mut search = Search::new(&puzzle, name.strategy(bound), budget, options.seed)?;
        let outcome = drive(&mut search, |query| teacher.answer(&puzzle, query))?;
        let won = |path: &[puzzle::Move]| puzzle.left(path).is_some_and(|left| left.is_won());
        let best = outcome.best.as_ref().is_some_and(|best| won(&best.path));
        let possible = teacher.solvable(&puzzle.start);
        solvable += usize::from(possible);
        solved += usize::from(best);
        // Nothing was left out, and nothing that was found wins.
        proved += usize::from(!possible && !best && outcome.exhaustive);
        queries += outcome.usage.queries;
    }
    Ok(Row {
        strategy: name.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned()),
        bound,
        puzzles: puzzles.len(),
        solvable,
        solved,
        proved,
        solved_share: solved as f64 / f64::max(solvable as f64, 1.0),
        mean_queries: queries as f64 / f64::max(puzzles.len() as f64, 1.0),
    })
}

/// Four whole numbers from 1 to 1,000 a line; empty lines are skipped.
fn read(file: &PathBuf) -> Result<Vec<[i64; 4]>, Box<dyn Error>> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let mut puzzles = Vec::new();
    for (line, text) in text.lines().enumerate().filter(|(_, text)| !text.trim().is_empty()) {
        let numbers: Option<Vec<i64>> = text
            .split(|c: char| c.is_whitespace() || c == ',')
            .filter(|word| !word.is_empty())
            .map(|word| word.parse().ok().filter(|number| (1..=1_000).contains(number)))
            .collect();
        let four = numbers.and_then(|numbers| <[i64; 4]>::try_from(numbers).ok());
        puzzles.push(four.ok_or_else(|| {
            format!(
                "{}:{}: expected four whole numbers from 1 to 1000, found `{text}`",
                file.display(),
                line + 1
            )
        })?);
    }
    Ok(puzzles)
}

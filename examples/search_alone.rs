//! The search engine alone, on a puzzle, without a language model: eight queens on a board, none of which attacks another.
//!
//! A [`Problem`] defines what a step is and which steps are allowed; the caller answers how promising each step is. Here it answers by a
//! rule of thumb: rather where many squares of the next row stay free. Every strategy gets the same answers and the same bound on queries.
//!
//! `cargo run --example search_alone` prints how many boards each strategy finds, one of them, and that three queens are proved impossible.

#![allow(clippy::print_stdout, reason = "a program's output")]

use std::error::Error;

use scaletot_search::{
    Answer, BeamConfig, Budget, DfsConfig, Problem, RefineConfig, Search, SelfConsistencyConfig, Strategy,
    drive,
};

/// One queen a row; a thought is the column of the next one.
struct Queens(usize);

impl Problem for Queens {
    type Thought = usize;

    fn depth(&self) -> usize {
        self.0
    }

    fn is_complete(&self, columns: &[usize]) -> bool {
        columns.len() == self.0
    }

    fn admissible(&self, columns: &[usize], next: &usize) -> bool {
        let attacks = |(row, &column): (usize, &usize)| {
            column == *next || column.abs_diff(*next) == columns.len() - row
        };
        !columns.iter().enumerate().any(attacks)
    }
}

impl Queens {
    /// How probable each column is: by the squares of the row after it that would stay free.
    fn promise(&self, columns: &[usize]) -> Vec<(usize, f64)> {
        let free = |column: usize| {
            let path = [columns, &[column]].concat();
            1.0 + (0..self.0).filter(|next| self.admissible(&path, next)).count() as f64
        };
        let total: f64 = (0..self.0).map(free).sum();
        (0..self.0).map(|column| (column, free(column) / total)).collect()
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let strategies = [
        ("greedy", Strategy::Greedy),
        ("self-consistency", Strategy::SelfConsistency(SelfConsistencyConfig::default())),
        ("beam", Strategy::Beam(BeamConfig::default())),
        ("refine", Strategy::Refine(RefineConfig::default().with_rounds(50))),
        ("dfs", Strategy::Dfs(DfsConfig::default())),
    ];
    let (queens, budget) = (Queens(8), Budget::default().with_queries(200));
    let mut board = None;
    for (name, strategy) in strategies {
        let mut search = Search::new(&queens, strategy, budget, 1)?;
        let outcome = drive(&mut search, |query| Answer::exact(queens.promise(query.path())))?;
        let (boards, queries) = (outcome.scored, outcome.usage.queries);
        println!("{name:>16}: {boards:2} boards by {queries:3} queries, stopped: {}", outcome.stop);
        board = outcome.best.as_ref().map(|best| best.path.clone()).or(board);
    }
    for column in board.unwrap_or_default() {
        println!("{}", (0..8).map(|square| if square == column { " Q" } else { " ." }).collect::<String>());
    }

    let small = Queens(3);
    let mut search = Search::new(&small, Strategy::Dfs(DfsConfig::default()), Budget::default(), 1)?;
    let outcome = drive(&mut search, |query| Answer::exact(small.promise(query.path())))?;
    println!("three queens: {} boards, the whole tree was searched: {}", outcome.scored, outcome.exhaustive);
    Ok(())
}

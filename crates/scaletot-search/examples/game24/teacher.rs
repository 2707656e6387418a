//! Stand-ins for a language model: one that knows everything, and one that errs with a set probability.

use std::collections::HashMap;

use scaletot_search::{Answer, Query};

use crate::puzzle::{Move, Numbers, Puzzle, fnv};

/// Weights of moves, and evaluations, that are believed to lead to 24, and that are not.
const BELIEF: [f64; 2] = [0.05, 0.95];

/// How answers come about.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Evaluator {
    /// Proposes every move alike, and evaluates 1 where 24 can be reached and 0 where not.
    Exact,
    /// Judges every state that a move leads to, and every state that it evaluates, wrongly with this probability; twice
    /// asked, twice the same.
    Noisy(f64),
}

impl std::str::FromStr for Evaluator {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("expected `exact` or `noisy:P` with P from 0 to 0.5, found `{text}`");
        if text == "exact" {
            return Ok(Evaluator::Exact);
        }
        let p: f64 = text.strip_prefix("noisy:").and_then(|p| p.parse().ok()).ok_or_else(wrong)?;
        if (0.0..=0.5).contains(&p) { Ok(Evaluator::Noisy(p)) } else { Err(wrong()) }
    }
}

/// Answers the queries about puzzles.
pub(crate) struct Teacher {
    evaluator: Evaluator,
    seed: u64,
    /// Whether 24 can be reached.
    known: HashMap<Numbers, bool>,
}

impl Teacher {
    pub(crate) fn new(evaluator: Evaluator, seed: u64) -> Self {
        Teacher { evaluator, seed, known: HashMap::new() }
    }

    /// Whether 24 can be reached from these numbers, by trying everything.
    pub(crate) fn solvable(&mut self, numbers: &Numbers) -> bool {
        if let Some(known) = self.known.get(numbers) {
            return *known;
        }
        let moves = numbers.moves();
        let solvable = numbers.is_won()
            || moves.iter().any(|step| numbers.after(step).is_some_and(|next| self.solvable(&next)));
        self.known.insert(numbers.clone(), solvable);
        solvable
    }

    pub(crate) fn answer(&mut self, puzzle: &Puzzle, query: &Query<Move>) -> Answer<Move> {
        let Some(numbers) = puzzle.left(query.path()) else {
            return Answer::failed("no such path");
        };
        match query {
            Query::Propose { .. } => {
                let moves = numbers.moves().into_iter();
                let weigh = |step: Move| {
                    let mass = match self.evaluator {
                        Evaluator::Exact => 1.0,
                        Evaluator::Noisy(_) => {
                            numbers.after(&step).map_or(0.0, |next| self.believe(puzzle, &next, "propose"))
                        }
                    };
                    (step, mass)
                };
                Answer::exact(moves.map(weigh).collect())
            }
            Query::Evaluate { .. } => {
                let value = match self.evaluator {
                    Evaluator::Exact => f64::from(u8::from(self.solvable(&numbers))),
                    Evaluator::Noisy(_) => self.believe(puzzle, &numbers, "evaluate"),
                };
                Answer::value(value)
            }
            Query::Vote { paths, .. } => {
                let states: Vec<Numbers> = paths.iter().filter_map(|path| puzzle.left(path)).collect();
                let share = |next: &Numbers| self.believe(puzzle, next, "vote");
                Answer::votes(states.iter().map(share).collect())
            }
            other => Answer::failed(format!("an unknown query: {other:?}")),
        }
    }

    /// The belief that 24 can be reached, in this puzzle.
    fn believe(&mut self, puzzle: &Puzzle, numbers: &Numbers, what: &str) -> f64 {
        let share = match self.evaluator {
            Evaluator::Exact => 0.0,
            Evaluator::Noisy(share) => share,
        };
        let bytes = [self.seed.to_le_bytes().to_vec(), what.as_bytes().to_vec()].concat();
        let hashes = [puzzle.start.hash(), numbers.hash()].into_iter().flat_map(u128::to_le_bytes);
        // The upper half is mixed by a final multiplication; 53 bits of it are a number in [0, 1).
        let hash = fnv(bytes.into_iter().chain(hashes));
        let mixed = ((hash ^ (hash >> 64)) as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let wrong = ((mixed ^ (mixed >> 32)) >> 11) as f64 / ((1_u64 << 53) as f64) < share;
        BELIEF[usize::from(self.solvable(numbers) != wrong)]
    }
}

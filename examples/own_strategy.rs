//! A strategy of one's own: a beam that widens for as long as that pays.
//!
//! Built-in strategies are values that a [`Search`] takes, so a strategy of one's own is a program that runs searches: which one, after what,
//! on what is left of a budget. Here a beam of width 1 is followed by 2, 4 and so on, until a wider one finds nothing better. Answers are
//! kept, so that a wider beam asks only what the narrower ones did not; it works for any [`Problem`].
//!
//! `cargo run --example own_strategy` prints what each width finds, what its search uses, and how many questions were really asked.

#![allow(clippy::print_stdout, reason = "a program's output")]

use std::collections::HashMap;
use std::error::Error;

use scaletot_search::{Answer, BeamConfig, Budget, Problem, Query, ScoredPath, Search, Strategy, drive};

/// Widens a beam until its best path stays the same or `limit` questions were asked.
fn widening<P: Problem>(
    problem: &P,
    limit: usize,
    ask: impl Fn(&Query<P::Thought>) -> Answer<P::Thought>,
) -> scaletot_search::Result<Option<ScoredPath<P::Thought>>> {
    let mut known = HashMap::new();
    let mut best: Option<ScoredPath<P::Thought>> = None;
    for width in (0..16).map(|doubled| 1 << doubled) {
        let strategy = Strategy::Beam(BeamConfig::default().with_width(width));
        let mut search = Search::new(problem, strategy, Budget::default(), 0)?;
        let outcome = drive(&mut search, |query| {
            // A beam asks for proposals alone, so that the path names the question. One too many fails, which ends the search.
            if !known.contains_key(query.path()) && known.len() == limit {
                return Answer::failed("no query is left");
            }
            known.entry(query.path().to_vec()).or_insert_with(|| ask(query)).clone()
        })?;
        let Some(found) = outcome.best.clone() else { break };
        let (score, queries) = (found.score.total, outcome.usage.queries);
        println!(
            "width {width}: score {score:.3}, {queries} queries, {} asked so far; {}",
            known.len(),
            outcome.stop
        );
        if best.as_ref().is_some_and(|best| found.score.total <= best.score.total) {
            break;
        }
        best = Some(found);
    }
    Ok(best)
}

/// Six steps of four thoughts each.
struct Steps;

impl Problem for Steps {
    type Thought = u8;

    fn depth(&self) -> usize {
        6
    }

    fn is_complete(&self, path: &[u8]) -> bool {
        path.len() == 6
    }
}

/// The first step that looks best leaves the later ones unsure; after a 2 all is clear.
fn answer(query: &Query<u8>) -> Answer<u8> {
    let masses = match query.path() {
        [] => [0.4, 0.2, 0.3, 0.1],
        [2, ..] => [0.05, 0.85, 0.05, 0.05],
        path => [0.3, 0.25, 0.25 + 0.01 * path.len() as f64, 0.2],
    };
    Answer::exact((0..).zip(masses).collect())
}

fn main() -> Result<(), Box<dyn Error>> {
    let found = widening(&Steps, 100, answer)?.ok_or("no complete path")?;
    println!("found {:?}", found.path);
    Ok(())
}

//! A search's trace as a tree to browse.

use crate::error::Result;
use scaletot_profile::ProfileTable;
use scaletot_search::{Event, Trace};
use scaletot_teacher::Reasoner;

use super::results::{SearchTree, TreeChain, TreeQuestion, TreeRound};
use super::study::Study;

/// The searches about these users.
///
/// # Errors
/// If a row is not in the table.
pub(super) fn searches(
    reasoner: &Reasoner<'_>,
    study: &Study,
    rows: &[usize],
    seed: u64,
) -> Result<Vec<SearchTree>> {
    let trees = rows.iter().map(|&row| SearchTree::of(reasoner, study.dataset.table(), row, seed));
    trees.filter_map(Result::transpose).collect()
}

impl SearchTree {
    /// Reasons about the user in one row and keeps everything that the search did; `None` of a user who is abstained on before any
    /// search.
    ///
    /// # Errors
    /// If the row is not in the table.
    pub fn of(reasoner: &Reasoner<'_>, table: &ProfileTable, row: usize, seed: u64) -> Result<Option<Self>> {
        let (record, trace) = reasoner.reason_traced(table, row, seed)?;
        let Some(trace) = trace else { return Ok(None) };
        let prompter = reasoner.prompter();
        let states = prompter.chain().states();
        let mut tree = Self {
            user: record.user.to_string(),
            profile: prompter.profile(table, row),
            states: states.iter().map(|state| (state.name().to_owned(), state.values().to_vec())).collect(),
            questions: Vec::new(),
            chains: Vec::new(),
            rounds: Vec::new(),
            chosen: None,
            stop: record.cost.stop.to_string(),
            verdict: match record.verdict.reason() {
                None => "accepted".to_owned(),
                Some(reason) => reason.to_string(),
            },
        };
        follow(&mut tree, &trace, |state, path| prompter.prompt(table, row, state, path));
        let best = record.best.as_ref().map(|best| indices(&best.values()));
        tree.chosen = tree.chains.iter().position(|chain| Some(&chain.values) == best.as_ref());
        Ok(Some(tree))
    }
}

/// Reads the events in their order.
fn follow(tree: &mut SearchTree, trace: &Trace<u16>, prompt: impl Fn(usize, &[u16]) -> String) {
    let mut pruned: Vec<usize> = Vec::new();
    for event in trace.events() {
        match event {
            Event::Pruned { removed, .. } => pruned = indices(removed),
            Event::Expanded { path, distribution, entropy, .. } => {
                let state = path.len();
                let size = tree.states.get(state).map_or(0, |(_, values)| values.len());
                let mut dense = vec![0.0; size];
                for (value, probability) in distribution {
                    if let Some(slot) = dense.get_mut(usize::from(*value)) {
                        *slot = *probability;
                    }
                }
                tree.questions.push(TreeQuestion {
                    state,
                    path: indices(path),
                    prompt: prompt(state, path),
                    distribution: dense,
                    entropy: *entropy,
                    pruned: std::mem::take(&mut pruned),
                });
            }
            Event::Scored { path, score } => {
                tree.chains.push(TreeChain {
                    values: indices(path),
                    score: score.total,
                    round: tree.rounds.len(),
                });
            }
            Event::Branched { step, entropy, values, .. } => {
                tree.rounds.push(TreeRound {
                    state: *step,
                    entropy: *entropy,
                    tried: values.iter().map(|(value, _)| usize::from(*value)).collect(),
                    gain: None,
                    replaced: false,
                });
            }
            Event::Replaced { gain, .. } => {
                if let Some(round) = tree.rounds.last_mut() {
                    (round.gain, round.replaced) = (*gain, true);
                }
            }
            Event::Settled { step, gain } => {
                if let Some(round) =
                    tree.rounds.last_mut().filter(|round| round.state == *step && !round.replaced)
                {
                    round.gain = *gain;
                }
            }
            _ => {}
        }
    }
}

fn indices(values: &[u16]) -> Vec<usize> {
    values.iter().map(|&value| usize::from(value)).collect()
}

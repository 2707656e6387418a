//! What `Bfs`, `Dfs` and `Beam` share: which thoughts become candidates, and how candidates are weighed.

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};

use scaletot_core::seed::numbered;
use serde::{Deserialize, Serialize};

use super::draw::draw_distinct;
use super::sampling::temperature_ok;
use crate::engine::Core;
use crate::settings::within;
use crate::tree::NodeId;
use crate::{DeadReason, Event, Problem, Result, StopReason};

/// Which of the thoughts that may follow a path are tried (the thought generator of Yao et al., `NeurIPS` 2023).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Generation {
    /// The most probable ones.
    Propose {
        /// How many at most, at least 1; all of them if there is no number.
        most: Option<usize>,
    },
    /// Independent draws; a thought drawn twice is tried once.
    Sample {
        /// How many draws, at least 1.
        draws: usize,
        /// Temperature of the draws, from 1e-3 to 1e3: thoughts are drawn with weights `q^(1/T)`.
        temperature: f64,
    },
}

impl Default for Generation {
    /// The five most probable.
    fn default() -> Self {
        Generation::Propose { most: Some(5) }
    }
}

impl Generation {
    pub(super) fn validate(&self) -> Result<()> {
        match *self {
            Generation::Propose { most } => within("most", most.unwrap_or(1), most != Some(0), "at least 1"),
            Generation::Sample { draws, temperature } => {
                within("draws", draws, draws >= 1, "at least 1")?;
                within("temperature", temperature, temperature_ok(temperature), "a number in [1e-3, 1e3]")
            }
        }
    }

    /// The most thoughts that follow one path.
    pub(super) fn most(&self) -> u64 {
        match *self {
            Generation::Propose { most } => most.map_or(u64::MAX, |most| most as u64),
            Generation::Sample { draws, .. } => draws as u64,
        }
    }
}

/// How candidates are judged (the state evaluator of Yao et al., `NeurIPS` 2023). Where the problem does not
/// [evaluate](Problem::evaluates), or `α` is 1, by probability alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Evaluation {
    /// Each path by itself: one query per path.
    #[default]
    Value,
    /// All that stand to be chosen from against each other: one query for all. The shares are the evaluations.
    Vote,
}

/// Steps from an expanded `node` onto its candidates. Those that cannot grow to completion are dead. When a bound comes in
/// between, the candidates so far are in `into`.
pub(super) fn generate<P: Problem>(
    core: &mut Core<P>,
    node: NodeId,
    generation: Generation,
    seed: u64,
    into: &mut Vec<NodeId>,
) -> std::result::Result<(), StopReason> {
    let live = core.tree().live(node);
    let choices: Vec<usize> = match generation {
        Generation::Propose { most } => {
            live.iter().map(|(c, _)| *c).take(most.unwrap_or(usize::MAX)).collect()
        }
        Generation::Sample { draws, temperature } => {
            draw_distinct(&mut numbered(seed, node.number()), &live, temperature, draws)
        }
    };
    let mut path = core.tree().path(node);
    let depth = path.len();
    for choice in choices {
        path.truncate(depth);
        let child = core.step(node, choice, &mut path)?;
        if !core.tree().get(child).is_complete() && path.len() >= core.max_depth() {
            core.mark_dead(child, &path, DeadReason::Depth);
        } else {
            into.push(child);
        }
    }
    Ok(())
}

/// Asks for the evaluations of candidates that have none. Returns whether anything is open.
pub(super) fn ask<P: Problem>(
    core: &mut Core<P>,
    candidates: &[NodeId],
    evaluation: Evaluation,
) -> std::result::Result<bool, StopReason> {
    let unknown = |node: &&NodeId| core.tree().get(**node).evaluation().is_none();
    let wanted: Vec<NodeId> = candidates.iter().filter(unknown).copied().collect();
    if !core.scoring().evaluates() || wanted.is_empty() {
        return Ok(false);
    }
    match evaluation {
        Evaluation::Value => {
            let mut open = false;
            for node in wanted {
                match core.ask_evaluate(node) {
                    Ok(known) => open |= !known,
                    // Answers may cost fewer tokens than they might, and leave room.
                    Err(_) if open => break,
                    Err(bound) => return Err(bound),
                }
            }
            Ok(open)
        }
        // One candidate has nobody to be voted against.
        Evaluation::Vote if wanted.len() < 2 => Ok(false),
        Evaluation::Vote => core.ask_vote(&wanted).map(|()| true),
    }
}

/// Candidates that were weighed: those that are complete, and those that could be followed, the best first. Those of which
/// nothing can come are dead, and of those of one state the best is followed, unless an earlier path of that state was.
pub(super) fn weighed<P: Problem>(
    core: &mut Core<P>,
    candidates: &[NodeId],
    evaluation: Evaluation,
) -> (Vec<NodeId>, Vec<NodeId>) {
    let (mut complete, mut open) = (Vec::new(), Vec::new());
    for &node in candidates {
        let known = core.tree().get(node);
        if evaluation == Evaluation::Value && known.evaluation() == Some(0.0) {
            let path = core.tree().path(node);
            core.mark_dead(node, &path, DeadReason::Worthless);
        } else if known.is_complete() {
            complete.push(node);
        } else {
            open.push((node, core.weigh(node).total));
        }
    }
    // Stable: of equal scores the one found first goes first.
    open.sort_by(|a, b| b.1.partial_cmp(&a.1).unwrap_or(Ordering::Equal));
    let here: HashSet<NodeId> = open.iter().map(|(node, _)| *node).collect();
    let mut followed: HashMap<NodeId, NodeId> = HashMap::new();
    let mut kept = Vec::with_capacity(open.len());
    for (node, _) in open {
        let first = core.tree().get(node).twin().unwrap_or(node);
        let before = core.tree().get(first).followed && !here.contains(&first);
        let earlier = if before { Some(first) } else { followed.get(&first).copied() };
        match earlier {
            Some(earlier) => core.merge(node, earlier),
            None => {
                followed.insert(first, node);
                kept.push(node);
            }
        }
    }
    (complete, kept)
}

/// Scores a complete path. Returns whether it is good enough to stop at.
pub(super) fn finish<P: Problem>(core: &mut Core<P>, node: NodeId, accept: Option<f64>) -> bool {
    core.score(node);
    let evaluation = core.tree().get(node).evaluation();
    accept.is_some_and(|bar| evaluation.is_some_and(|value| value >= bar))
}

/// The search is ending: scores the candidates that are complete and were evaluated; all that are complete if there is no other
/// complete path, for any is better than none.
pub(super) fn close<P: Problem>(core: &mut Core<P>, candidates: &[NodeId]) {
    let evaluates = core.scoring().evaluates();
    let complete: Vec<NodeId> =
        candidates.iter().copied().filter(|node| core.tree().get(*node).is_complete()).collect();
    let (known, unknown): (Vec<NodeId>, Vec<NodeId>) =
        complete.into_iter().partition(|node| !evaluates || core.tree().get(*node).evaluation().is_some());
    known.into_iter().for_each(|node| core.score(node));
    if core.scored().is_empty() {
        unknown.into_iter().for_each(|node| core.score(node));
    }
}

/// Notes and records which candidates are followed.
pub(super) fn select<P: Problem>(core: &mut Core<P>, kept: &[NodeId], dropped: &[NodeId]) {
    for &node in kept {
        core.follow(node);
    }
    if !kept.is_empty() || !dropped.is_empty() {
        let paths = |nodes: &[NodeId]| nodes.iter().map(|node| core.tree().path(*node)).collect();
        let event = Event::Selected { kept: paths(kept), dropped: paths(dropped) };
        core.record(event);
    }
}

/// Checks a bar on evaluations.
pub(super) fn check_bar(name: &'static str, bar: Option<f64>) -> Result<()> {
    let bar = bar.unwrap_or(0.0);
    within(name, bar, (0.0..=1.0).contains(&bar), "a number in [0, 1]")
}

//! What `Bfs`, `Dfs` and `Beam` share: which thoughts become candidates, and how candidates are weighed.

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};

use super::draw::draw_distinct;
use crate::engine::Core;
use crate::tree::NodeId;
use crate::{DeadReason, Evaluation, Event, Generation, Problem, StopReason};
use scaletot_core::seed::numbered;

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
        Generation::Propose { max } => live.iter().map(|(c, _)| *c).take(max.unwrap_or(usize::MAX)).collect(),
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
        // One candidate has no other to be voted against.
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

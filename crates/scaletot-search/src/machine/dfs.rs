//! `Dfs`: the most promising candidate first, and back where nothing is left below it (Yao et al., `NeurIPS` 2023).

use super::candidates;
use super::flow::Flow;
use crate::engine::Core;
use crate::tree::NodeId;
use crate::{DeadReason, DfsConfig, Event, Problem, StopReason};

/// The state of a depth-first search.
#[derive(Debug)]
pub(crate) struct Dfs {
    config: DfsConfig,
    seed: u64,
    phase: Phase,
    /// Per node on the way down: the node, and what is left to follow below it, the best last.
    stack: Vec<(NodeId, Vec<NodeId>)>,
}

#[derive(Debug)]
enum Phase {
    /// Goes on from a node.
    Visit(NodeId),
    /// Weighs what follows a node.
    Weigh(NodeId, Vec<NodeId>),
    /// Takes the next candidate.
    Next,
}

impl Dfs {
    pub(crate) fn new(config: DfsConfig, seed: u64) -> Self {
        Dfs { config, seed, phase: Phase::Visit(NodeId::ROOT), stack: Vec::new() }
    }

    pub(crate) fn advance<P: Problem>(&mut self, core: &mut Core<P>) -> Flow {
        loop {
            match self.step(core) {
                Ok(None) => {}
                Ok(Some(flow)) => return flow,
                Err(bound) => return Flow::Stop(bound),
            }
        }
    }

    /// Scores what is complete and was evaluated before the search was stopped.
    pub(crate) fn close<P: Problem>(&mut self, core: &mut Core<P>) {
        if let Phase::Weigh(_, found) = &self.phase {
            candidates::close(core, found);
        }
        if core.scored().is_empty()
            && let Some((node, _)) = self.stack.last()
        {
            core.note_draft(*node);
        }
    }

    fn step<P: Problem>(&mut self, core: &mut Core<P>) -> std::result::Result<Option<Flow>, StopReason> {
        match &self.phase {
            Phase::Visit(node) => {
                let node = *node;
                let depth = core.tree().depth(node);
                let known = core.tree().get(node);
                if known.is_complete() {
                    self.phase = Phase::Next;
                    if candidates::finish(core, node, self.config.accept) {
                        return Ok(Some(Flow::Stop(StopReason::Accepted)));
                    }
                } else if known.is_dead() {
                    self.phase = Phase::Next;
                } else if depth >= core.max_depth() {
                    // Only the empty path: candidates as long as that are dead already.
                    core.mark_dead(node, &[], DeadReason::Depth);
                } else if !known.is_expanded() {
                    if !core.ask_propose(node)? {
                        return Ok(Some(Flow::Wait));
                    }
                } else {
                    let mut found = Vec::new();
                    let generated =
                        candidates::generate(core, node, self.config.generation, self.seed, &mut found);
                    self.phase = Phase::Weigh(node, found);
                    generated?;
                }
            }
            Phase::Weigh(node, found) => {
                if candidates::ask(core, found, self.config.evaluation)? {
                    return Ok(Some(Flow::Wait));
                }
                let (mut kept, open) = candidates::weighed(core, found, self.config.evaluation);
                let below = |node: &NodeId| {
                    core.tree().get(*node).evaluation().is_some_and(|value| value < self.config.threshold)
                };
                let (dropped, open): (Vec<NodeId>, Vec<NodeId>) = open.into_iter().partition(below);
                candidates::select(core, &open, &dropped);
                // Complete paths need no further query, so they come first.
                kept.extend(open);
                kept.reverse();
                self.stack.push((*node, kept));
                self.phase = Phase::Next;
            }
            Phase::Next => {
                let Some((node, left)) = self.stack.last_mut() else {
                    return Err(match core.scored().is_empty() {
                        true => core.dead_end(),
                        false => StopReason::Complete,
                    });
                };
                match left.pop() {
                    Some(next) => self.phase = Phase::Visit(next),
                    None => {
                        let path = core.tree().path(*node);
                        self.stack.pop();
                        core.record(Event::Backtracked { path });
                    }
                }
            }
        }
        Ok(None)
    }
}

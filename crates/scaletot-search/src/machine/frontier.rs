//! `Bfs` and `Beam`: level by level, with the best few paths followed.
//!
//! Every path of the level is asked what may follow, the candidates are weighed, complete ones are scored and set aside, and
//! of the others the best are the next level. `Bfs` (Yao et al., `NeurIPS` 2023) weighs by the score `J` with evaluations,
//! `Beam` by probability alone.

use super::candidates;
use super::flow::Flow;
use crate::engine::Core;
use crate::tree::NodeId;
use crate::{BfsConfig, DeadReason, Problem, StopReason};

/// The state of a search by levels.
#[derive(Debug)]
pub(crate) struct Frontier {
    config: BfsConfig,
    seed: u64,
    level: Vec<NodeId>,
    /// The next level's candidates, once every path of the level has its proposals.
    candidates: Option<Vec<NodeId>>,
}

impl Frontier {
    pub(crate) fn new(config: BfsConfig, seed: u64) -> Self {
        Frontier { config, seed, level: vec![NodeId::ROOT], candidates: None }
    }

    pub(crate) fn advance<P: Problem>(&mut self, core: &mut Core<P>) -> Flow {
        let result = loop {
            match self.level(core) {
                Ok(None) => {}
                Ok(Some(flow)) => return flow,
                Err(bound) => break bound,
            }
        };
        Flow::Stop(result)
    }

    /// Scores what is complete and was evaluated before the search was stopped.
    pub(crate) fn close<P: Problem>(&mut self, core: &mut Core<P>) {
        if let Some(found) = &self.candidates {
            candidates::close(core, found);
        }
        if core.scored().is_empty()
            && let Some(node) = self.level.first()
        {
            core.note_draft(*node);
        }
    }

    /// One step: asks, or weighs what was answered.
    fn level<P: Problem>(&mut self, core: &mut Core<P>) -> std::result::Result<Option<Flow>, StopReason> {
        if self.candidates.is_none() {
            if core.tree().get(NodeId::ROOT).is_complete() {
                core.score(NodeId::ROOT);
                return Ok(Some(Flow::Stop(StopReason::Complete)));
            }
            if core.max_depth() == 0 {
                core.mark_dead(NodeId::ROOT, &[], DeadReason::Depth);
                return Err(core.dead_end());
            }
            let (mut open, mut cut) = (false, None);
            let unknown = |node: &&NodeId| !core.tree().get(**node).is_expanded();
            let wanted: Vec<NodeId> = self.level.iter().filter(unknown).copied().collect();
            for node in wanted {
                match core.ask_propose(node) {
                    Ok(known) => open |= !known,
                    // Answers may cost fewer tokens than they might, and leave room.
                    Err(_) if open => break,
                    Err(bound) => {
                        cut = Some(bound);
                        break;
                    }
                }
            }
            if open {
                return Ok(Some(Flow::Wait));
            }
            // At a bound, too: what was proposed may hold complete paths.
            let mut candidates = Vec::new();
            let expanded = |node: &&NodeId| core.tree().get(**node).is_expanded();
            let expanded: Vec<NodeId> = self.level.iter().filter(expanded).copied().collect();
            let generated = expanded.into_iter().try_for_each(|node| {
                candidates::generate(core, node, self.config.generation, self.seed, &mut candidates)
            });
            self.candidates = Some(candidates);
            generated?;
            if let Some(bound) = cut {
                return Err(bound);
            }
        }
        let Some(found) = &self.candidates else { return Ok(None) };
        if candidates::ask(core, found, self.config.evaluation)? {
            return Ok(Some(Flow::Wait));
        }
        let found = self.candidates.take().unwrap_or_default();
        let (complete, mut open) = candidates::weighed(core, &found, self.config.evaluation);
        let mut accepted = false;
        for node in complete {
            accepted |= candidates::finish(core, node, self.config.accept);
        }
        if accepted {
            return Ok(Some(Flow::Stop(StopReason::Accepted)));
        }
        let dropped = open.split_off(open.len().min(self.config.breadth));
        candidates::select(core, &open, &dropped);
        self.level = open;
        match (self.level.is_empty(), core.scored().is_empty()) {
            (false, _) => Ok(None),
            (true, true) => Err(core.dead_end()),
            (true, false) => Ok(Some(Flow::Stop(StopReason::Complete))),
        }
    }
}

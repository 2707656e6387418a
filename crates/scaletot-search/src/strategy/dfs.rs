//! `Dfs`: the most promising candidate first, and back where nothing is left below it (Yao et al., `NeurIPS` 2023).

use serde::{Deserialize, Serialize};

use super::Flow;
use super::candidates::{self, Evaluation, Generation};
use crate::engine::Core;
use crate::score::ScoreConfig;
use crate::settings::setters;
use crate::tree::NodeId;
use crate::{DeadReason, Event, Problem, Result, StopReason};

/// Settings of [`Strategy::Dfs`](super::Strategy::Dfs).
///
/// ```
/// use scaletot_search::DfsConfig;
///
/// // Stops at the first complete path that is evaluated as certain, and does not follow paths below 0.2.
/// let config = DfsConfig::default().with_threshold(0.2).with_accept(Some(1.0));
/// assert!(config.validate().is_ok());
/// assert!(config.with_threshold(2.0).validate().is_err());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct DfsConfig {
    /// Which thoughts are tried after each path.
    pub generation: Generation,
    /// How the candidates after a path are judged.
    pub evaluation: Evaluation,
    /// `v_th` in `[0, 1]`: candidates that are evaluated lower are not followed.
    pub threshold: f64,
    /// Stops at a complete path whose evaluation reaches this, in `[0, 1]`; without it everything above the threshold is
    /// searched.
    pub accept: Option<f64>,
    /// How paths are scored and listed.
    pub score: ScoreConfig,
}

impl Default for DfsConfig {
    /// The five most probable thoughts, judged by value, no threshold, no acceptance, the default score.
    fn default() -> Self {
        DfsConfig {
            generation: Generation::default(),
            evaluation: Evaluation::default(),
            threshold: 0.0,
            accept: None,
            score: ScoreConfig::default(),
        }
    }
}

impl DfsConfig {
    setters! {
        with_generation generation: Generation;
        with_evaluation evaluation: Evaluation;
        with_threshold threshold: f64;
        with_accept accept: Option<f64>;
        with_score score: ScoreConfig;
    }

    /// Checks the ranges given at the fields.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for the first setting out of its range.
    pub fn validate(&self) -> Result<()> {
        self.generation.validate()?;
        candidates::check_bar("threshold", Some(self.threshold))?;
        candidates::check_bar("accept", self.accept)?;
        self.score.validate()
    }
}

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

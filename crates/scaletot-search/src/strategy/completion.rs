//! Greedy completion of a path, the step that `Greedy` and `Refine` share.

use crate::budget::Cost;
use crate::engine::Core;
use crate::tree::NodeId;
use crate::{DeadReason, Event, Problem, StopReason};

/// Where a completion stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum State {
    /// It waits for an answer, or has not begun.
    Running,
    /// Complete and scored.
    Scored,
    /// Nothing can follow.
    Dead,
    /// A bound does not let it go on.
    Cut(StopReason),
}

/// A path that grows by its most probable live thought until it is complete.
#[derive(Debug)]
pub(crate) struct Completion<T> {
    node: NodeId,
    path: Vec<T>,
    state: State,
}

impl<T: Clone> Completion<T> {
    /// Starts at `node`, which `path` leads to.
    pub(crate) fn new(node: NodeId, path: Vec<T>) -> Self {
        Completion { node, path, state: State::Running }
    }

    pub(crate) fn node(&self) -> NodeId {
        self.node
    }

    pub(crate) fn state(&self) -> &State {
        &self.state
    }

    /// Steps onto the `choice`-th thought.
    pub(crate) fn step<P: Problem<Thought = T>>(&mut self, core: &mut Core<P>, choice: usize) {
        match core.step(self.node, choice, &mut self.path) {
            Ok(child) => self.node = child,
            Err(bound) => self.cut(core, bound),
        }
    }

    /// Goes on as far as the answers reach.
    pub(crate) fn advance<P: Problem<Thought = T>>(&mut self, core: &mut Core<P>) {
        while self.state == State::Running {
            let node = core.tree().get(self.node);
            if node.is_complete() {
                if core.scoring().evaluates() && node.evaluation().is_none() {
                    match core.ask_evaluate(self.node, &self.path) {
                        Ok(()) => return,
                        Err(bound) => self.cut(core, bound),
                    }
                } else {
                    core.score(self.node, &self.path);
                    self.state = State::Scored;
                }
            } else if node.is_dead() {
                self.state = State::Dead;
            } else if self.path.len() >= core.max_depth() {
                core.mark_dead(self.node, &self.path, DeadReason::Depth);
                self.state = State::Dead;
            } else if node.is_expanded() {
                match core.tree().best_live(self.node) {
                    Some(choice) => self.step(core, choice),
                    None => {
                        core.mark_dead(self.node, &self.path, DeadReason::Exhausted);
                        self.state = State::Dead;
                    }
                }
            } else {
                match core.ask_propose(self.node, &self.path) {
                    Ok(()) => return,
                    Err(bound) => self.cut(core, bound),
                }
            }
        }
    }

    /// The search is ending. A complete path that is still unscored because its evaluation never came is scored if the
    /// evaluation is there by now, or, when nothing else was completed, with a neutral one.
    pub(crate) fn close<P: Problem<Thought = T>>(&mut self, core: &mut Core<P>) {
        let node = core.tree().get(self.node);
        if node.is_complete()
            && node.scored().is_none()
            && (!core.scoring().evaluates() || node.evaluation().is_some() || core.scored().is_empty())
        {
            core.score(self.node, &self.path);
            self.state = State::Scored;
        }
    }

    fn cut<P: Problem<Thought = T>>(&mut self, core: &mut Core<P>, bound: StopReason) {
        core.record(Event::Cut { path: self.path.clone(), bound: bound.clone() });
        self.state = State::Cut(bound);
    }
}

/// The most that completing the `choice`-th thought after `node` can cost; nothing for what the tree already holds.
/// `depth` is the length of the path to `node`.
pub(crate) fn worst_case<P: Problem>(core: &Core<P>, node: NodeId, choice: usize, depth: usize) -> Cost {
    let tree = core.tree();
    let evaluation = u64::from(core.scoring().evaluates());
    let (mut node, mut choice, mut depth) = (node, choice, depth);
    loop {
        depth = depth.saturating_add(1);
        let left = core.max_depth().saturating_sub(depth) as u64;
        let Some(child) = tree.child(node, choice) else {
            return Cost { queries: left.saturating_add(evaluation), nodes: left.saturating_add(1) };
        };
        let at = tree.get(child);
        if at.is_complete() {
            return Cost { queries: if at.evaluation().is_none() { evaluation } else { 0 }, nodes: 0 };
        }
        if at.is_dead() || (!at.is_expanded() && left == 0) {
            return Cost::default();
        }
        if !at.is_expanded() {
            return Cost { queries: left.saturating_add(evaluation), nodes: left };
        }
        match tree.best_live(child) {
            Some(next) => (node, choice) = (child, next),
            None => return Cost::default(),
        }
    }
}

//! Completion of a path by its most probable thoughts, or by thoughts drawn at random: what `Greedy`, `Refine` and the sampling
//! strategies share.

use rand_chacha::ChaCha8Rng;

use super::draw::draw;
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

/// How the next thought is picked.
#[derive(Debug)]
enum Pick {
    Best,
    Draw { rng: Box<ChaCha8Rng>, temperature: f64 },
}

/// A path that grows by live thoughts until it is complete.
#[derive(Debug)]
pub(crate) struct Completion<T> {
    node: NodeId,
    path: Vec<T>,
    state: State,
    pick: Pick,
}

impl<T: Clone> Completion<T> {
    /// Starts at `node`, which `path` leads to, and takes the most probable thoughts.
    pub(crate) fn new(node: NodeId, path: Vec<T>) -> Self {
        Completion { node, path, state: State::Running, pick: Pick::Best }
    }

    /// Starts at the empty path and draws thoughts from their distributions at a temperature.
    pub(crate) fn sample(rng: ChaCha8Rng, temperature: f64) -> Self {
        let pick = Pick::Draw { rng: Box::new(rng), temperature };
        Completion { node: NodeId::ROOT, path: Vec::new(), state: State::Running, pick }
    }

    pub(crate) fn path(&self) -> &[T] {
        &self.path
    }

    /// What it can still cost at most, if nothing of it is known yet.
    pub(crate) fn remaining<P: Problem<Thought = T>>(&self, core: &Core<P>) -> Cost {
        let left = core.max_depth().saturating_sub(self.path.len()) as u64;
        let evaluation = u64::from(core.scoring().evaluates());
        match self.state {
            State::Running => Cost { queries: left.saturating_add(evaluation), nodes: left },
            _ => Cost::default(),
        }
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
                    match core.ask_evaluate(self.node) {
                        Ok(true) => {}
                        Ok(false) => return,
                        Err(bound) => self.cut(core, bound),
                    }
                } else {
                    core.score(self.node);
                    self.state = State::Scored;
                }
            } else if node.is_dead() {
                self.state = State::Dead;
            } else if self.path.len() >= core.max_depth() {
                core.mark_dead(self.node, &self.path, DeadReason::Depth);
                self.state = State::Dead;
            } else if node.is_expanded() {
                let choice = match &mut self.pick {
                    Pick::Best => core.tree().best_live(self.node),
                    Pick::Draw { rng, temperature } => {
                        let live = core.tree().live(self.node);
                        draw(rng, &live, *temperature)
                    }
                };
                match choice {
                    Some(choice) => self.step(core, choice),
                    None => {
                        core.mark_dead(self.node, &self.path, DeadReason::Exhausted);
                        self.state = State::Dead;
                    }
                }
            } else {
                match core.ask_propose(self.node) {
                    Ok(true) => {}
                    Ok(false) => return,
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
            core.score(self.node);
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

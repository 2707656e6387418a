//! `Greedy`: the most probable thought at each step, once through.

use super::completion::{Completion, State};
use super::flow::Flow;
use crate::engine::Core;
use crate::tree::NodeId;
use crate::{Problem, StopReason};

/// The state of a greedy search: one path under way.
#[derive(Debug)]
pub(crate) struct Greedy<T> {
    chain: Completion<T>,
}

impl<T: Clone> Greedy<T> {
    pub(crate) fn new() -> Self {
        Greedy { chain: Completion::new(NodeId::ROOT, Vec::new()) }
    }

    pub(crate) fn advance<P: Problem<Thought = T>>(&mut self, core: &mut Core<P>) -> Flow {
        self.chain.advance(core);
        match self.chain.state() {
            State::Running => Flow::Wait,
            State::Scored => Flow::Stop(StopReason::Complete),
            State::Dead => Flow::Stop(core.dead_end()),
            State::Cut(bound) => Flow::Stop(bound.clone()),
        }
    }

    pub(crate) fn close<P: Problem<Thought = T>>(&mut self, core: &mut Core<P>) {
        self.chain.close(core);
        core.note_draft(self.chain.node());
    }
}

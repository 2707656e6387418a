//! `Marginal`: the distribution of every step over all paths, as far as it has been asked for.
//!
//! A posterior over the paths that a search happened to score hardens noise: it knows a dozen paths near one draft. What decides a
//! step's distribution is where the probability of all paths goes. Here answered paths pass theirs on to what follows, and unanswered ones
//! hold it; so the probability of a thought at a step lies, at any time, between what has come to it and that plus all that is held before or
//! at that step. This project's own formulation:
//!
//! 1. *Draft*: the greedy path, so that a path is known however early a bound comes. Values known to be dead are walked around.
//! 2. *Ask* about the context with the largest product of its reach (the probability that a path comes there) and the entropy that can
//!    hang on it, until all are asked or a bound ends the search. Paths of one state ([`Problem::state`]) are one place, followed once;
//!    places of one context ([`Problem::context`]) share an answer, and their reaches add up.
//! 3. *Close*: the marginals with their intervals, and the most probable paths among the answered.
//!
//! A dead path is no path: as in `Refine`, whose posterior has complete paths only, its probability is taken away and the rest
//! renormalised. So with everything asked the marginal of `v` at step `k` is `Σ_{c: c_k = v} Π_j q_j(c_j) / Σ_c Π_j q_j(c_j)` over the complete
//! paths `c` (that have a step `k`), `q` constrained and renormalised. Nothing is evaluated.

mod close;
mod lattice;
mod questions;

use std::collections::{HashMap, VecDeque};

use super::flow::Flow;
use crate::engine::Core;
use crate::tree::NodeId;
use crate::{DeadReason, Event, MarginalConfig, Problem, Score, StopReason};

use lattice::{Edge, Lattice, PlaceId, To};
use questions::{Questions, Status};

/// The state of a search for marginals.
#[derive(Debug)]
pub(crate) struct Marginal {
    config: MarginalConfig,
    lattice: Lattice,
    questions: Questions,
    /// The place of each state and length of path.
    states: HashMap<(u128, usize), PlaceId>,
    /// Questions that are being asked.
    open: Vec<usize>,
    /// Places whose answers are known, and that were not entered yet.
    waiting: VecDeque<PlaceId>,
    draft: Option<Draft>,
    /// The bound that kept the search from a place whose answer is known.
    bound: Option<StopReason>,
    begun: bool,
}

/// The first complete path.
#[derive(Debug)]
struct Draft {
    steps: Vec<(PlaceId, usize)>,
    score: Score,
}

impl Marginal {
    pub(crate) fn new(config: MarginalConfig) -> Self {
        Marginal {
            config,
            lattice: Lattice::default(),
            questions: Questions::default(),
            states: HashMap::new(),
            open: Vec::new(),
            waiting: VecDeque::new(),
            draft: None,
            bound: None,
            begun: false,
        }
    }

    pub(crate) fn advance<P: Problem>(&mut self, core: &mut Core<P>) -> Flow {
        if !self.begun {
            self.begin(core);
        }
        self.settle(core);
        match self.ask(core) {
            Ok(()) if self.open.is_empty() => Flow::Stop(match self.bound.take() {
                Some(bound) => bound,
                None if self.draft.is_none() => core.dead_end(),
                None => StopReason::Complete,
            }),
            // What is open may cost fewer tokens than it might, and leave room.
            Err(bound) if self.open.is_empty() => Flow::Stop(bound),
            _ => Flow::Wait,
        }
    }

    fn begin<P: Problem>(&mut self, core: &mut Core<P>) {
        self.begun = true;
        if core.tree().get(NodeId::ROOT).is_complete() {
            self.note_draft(core, Vec::new());
        } else if core.max_depth() == 0 {
            core.mark_dead(NodeId::ROOT, &[], DeadReason::Depth);
        } else {
            let start = self.place(core, None, &[]);
            self.lattice.set_node(start, NodeId::ROOT);
            let arrived = self.lattice.flow(start, 1.0);
            self.arrive(arrived);
        }
    }

    /// Opens questions: those of the draft one after the other, then as many as may be open at a time.
    fn ask<P: Problem>(&mut self, core: &mut Core<P>) -> std::result::Result<(), StopReason> {
        if let Some(place) = self.draft(core)? {
            return self.open_question(core, place);
        }
        if self.draft.is_none() {
            return Ok(());
        }
        // Other places that share the draft's answers come after it, so that a bound on nodes leaves it room.
        self.enter_waiting(core);
        while self.open.len() < self.config.parallel
            && let Some(question) = self.questions.next(core.max_depth())
        {
            let place = self.questions.get(question).places[0];
            self.open_question(core, place)?;
        }
        Ok(())
    }

    /// Follows the draft as far as it is answered. Returns the place to ask about if it goes on from there.
    fn draft<P: Problem>(&mut self, core: &mut Core<P>) -> std::result::Result<Option<PlaceId>, StopReason> {
        while self.draft.is_none() && !self.lattice.is_empty() {
            let (steps, to) = self.lattice.greedy();
            match to {
                To::End => self.note_draft(core, steps),
                To::Place(place) if !self.lattice.get(place).dead => {
                    let question = self.lattice.get(place).question;
                    if self.questions.get(question).status == Status::Unasked {
                        return Ok(Some(place));
                    }
                    // The search ends before its answer came.
                    if self.open.contains(&question) {
                        break;
                    }
                    self.enter(core, place)?;
                }
                // Everything is dead.
                To::Place(_) | To::TooLong => break,
            }
        }
        Ok(None)
    }

    /// Enters all places whose answers are known, as far as the bound on nodes allows.
    fn enter_waiting<P: Problem>(&mut self, core: &mut Core<P>) {
        while let Some(place) = self.waiting.pop_front() {
            if let Err(bound) = self.enter(core, place) {
                self.bound.get_or_insert(bound);
            }
        }
    }

    /// Asks the question of a place.
    fn open_question<P: Problem>(
        &mut self,
        core: &mut Core<P>,
        place: PlaceId,
    ) -> std::result::Result<(), StopReason> {
        let node = self.step(core, place)?;
        core.ask_propose(node)?;
        let question = self.lattice.get(place).question;
        self.questions.get_mut(question).status = Status::Asked(node);
        self.open.push(question);
        Ok(())
    }

    /// Steps onto the first path that leads to a place.
    fn step<P: Problem>(
        &mut self,
        core: &mut Core<P>,
        place: PlaceId,
    ) -> std::result::Result<NodeId, StopReason> {
        let at = self.lattice.get(place);
        if let Some(node) = at.node {
            return Ok(node);
        }
        let Some((parent, choice)) = at.from else { return Ok(NodeId::ROOT) };
        // A place is found when the one before it is answered, which has a node then.
        let parent = self.lattice.get(parent).node.unwrap_or(NodeId::ROOT);
        let node = core.step(parent, choice, &mut core.tree().path(parent))?;
        self.lattice.set_node(place, node);
        Ok(node)
    }

    /// Takes the answers that came.
    fn settle<P: Problem>(&mut self, core: &Core<P>) {
        let (questions, waiting) = (&self.questions, &mut self.waiting);
        self.open.retain(|&at| {
            let question = questions.get(at);
            let answered =
                matches!(question.status, Status::Asked(node) if core.tree().get(node).is_expanded());
            if answered {
                waiting.extend(&question.places);
            }
            !answered
        });
    }

    /// Gives a place whose question is answered what follows it.
    fn enter<P: Problem>(
        &mut self,
        core: &mut Core<P>,
        place: PlaceId,
    ) -> std::result::Result<(), StopReason> {
        let question = self.questions.get(self.lattice.get(place).question);
        let (Status::Asked(first), None) = (question.status, &self.lattice.get(place).edges) else {
            return Ok(());
        };
        let node = self.step(core, place)?;
        if !core.tree().get(node).is_expanded() {
            core.expand_like(node, first);
        }
        let mut path = core.tree().path(node);
        let depth = path.len();
        let choices = core.tree().live(node);
        self.questions.note_size(depth, choices.len());
        let mut edges = Vec::with_capacity(choices.len());
        for (choice, probability) in choices {
            path.truncate(depth);
            if let Some((_, taken)) = core.tree().taken((node, choice)) {
                path.push(taken.thought.clone());
            }
            edges.push(Edge { probability, to: self.lead(core, place, choice, &path) });
        }
        for dead in self.lattice.answer(place, edges) {
            if let Some(node) = self.lattice.get(dead).node
                && !core.tree().get(node).is_dead()
            {
                let path = core.tree().path(node);
                core.mark_dead(node, &path, DeadReason::Exhausted);
            }
        }
        let arrived = self.lattice.release(place);
        self.arrive(arrived);
        Ok(())
    }

    /// Where `choice` at `place` leads, to `path`.
    fn lead<P: Problem>(
        &mut self,
        core: &mut Core<P>,
        place: PlaceId,
        choice: usize,
        path: &[P::Thought],
    ) -> To {
        if core.problem().is_complete(path) {
            return To::End;
        }
        if path.len() >= core.max_depth() {
            core.note_dead(path, DeadReason::Depth);
            return To::TooLong;
        }
        let state = core.problem().state(path).map(|state| (state, path.len()));
        if let Some(known) = state.and_then(|state| self.states.get(&state)) {
            let into = self.first_path(core, *known);
            core.record(Event::Merged { path: path.to_vec(), into });
            return To::Place(*known);
        }
        let new = self.place(core, Some((place, choice)), path);
        if let Some(state) = state {
            self.states.insert(state, new);
        }
        let question = self.lattice.get(new).question;
        if self.questions.get(question).status != Status::Unasked && !self.open.contains(&question) {
            self.waiting.push_back(new);
        }
        To::Place(new)
    }

    /// A new place at the end of `path`.
    fn place<P: Problem>(
        &mut self,
        core: &Core<P>,
        from: Option<(PlaceId, usize)>,
        path: &[P::Thought],
    ) -> PlaceId {
        let question = self.questions.of(core.problem().context(path), path.len());
        let place = self.lattice.add(from, path.len(), question);
        self.questions.get_mut(question).places.push(place);
        self.questions.note_size(path.len(), core.problem().domain_size(path).unwrap_or(1));
        place
    }

    fn arrive(&mut self, arrived: Vec<(PlaceId, f64)>) {
        for (place, mass) in arrived {
            self.questions.add_reach(self.lattice.get(place).question, mass);
        }
    }

    /// The first path that led to a place.
    fn first_path<P: Problem>(&self, core: &Core<P>, place: PlaceId) -> Vec<P::Thought> {
        let mut steps = Vec::new();
        let mut at = place;
        while let Some((parent, choice)) = self.lattice.get(at).from {
            steps.push((parent, choice));
            at = parent;
        }
        steps.reverse();
        self.thoughts(core, &steps)
    }

    fn thoughts<P: Problem>(&self, core: &Core<P>, steps: &[(PlaceId, usize)]) -> Vec<P::Thought> {
        let taken = steps.iter().filter_map(|(place, choice)| {
            let node = self.lattice.get(*place).node?;
            core.tree().taken((node, *choice)).map(|(_, taken)| taken.thought.clone())
        });
        taken.collect()
    }
}

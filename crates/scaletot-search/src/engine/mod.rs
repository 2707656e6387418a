//! What every strategy works on: the tree, the open queries, the account and the trace.

mod finish;
mod take;

use std::collections::HashMap;

use crate::budget::Meter;
use crate::score::Scoring;
use crate::tree::{Node, NodeId, Tree};
use crate::{
    Answer, Budget, DeadReason, Event, Problem, Proposals, Query, QueryId, Result, Score, StopReason,
    Strategy, Trace,
};
pub(crate) use finish::{Findings, path_step};

/// A query of the current wave. A wave is everything a strategy opened when it was last advanced; it is advanced again
/// when the whole wave is answered, and the answers take effect in the order of their ids.
#[derive(Debug)]
struct Open<T> {
    id: QueryId,
    /// The nodes of the query's paths; boxed, for a wave may be large.
    nodes: Box<[NodeId]>,
    query: Query<T>,
    answer: Option<Answer<T>>,
}

/// A complete path that was scored.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scored {
    pub(crate) node: NodeId,
    pub(crate) score: Score,
    /// Samples that ended there.
    pub(crate) samples: u64,
}

#[derive(Debug)]
pub(crate) struct Core<P: Problem> {
    problem: P,
    strategy: Strategy,
    tree: Tree<P::Thought>,
    meter: Meter,
    scoring: Scoring,
    max_depth: usize,
    trace: Trace<P::Thought>,
    wave: Vec<Open<P::Thought>>,
    unanswered: usize,
    next_id: u64,
    /// The first node of each state and length of path.
    states: HashMap<(u128, usize), NodeId>,
    /// Nodes that wait for what is being asked about their twins.
    waiting: Vec<NodeId>,
    /// Distinct complete paths in the order in which they were scored; the first is the draft.
    scored: Vec<Scored>,
    /// Entropies of a draft that was not completed.
    partial_draft: Vec<f64>,
    /// Whether a path ended at the budget's bound on depth, short of the problem's own.
    depth_hit: bool,
    /// Answers that later paths may share, by the node that was asked about.
    shared: HashMap<NodeId, Proposals<P::Thought>>,
    /// What a strategy that weighs all paths found out, in the place of the scored paths.
    findings: Option<Findings<P::Thought>>,
}

impl<P: Problem> Core<P> {
    pub(crate) fn new(problem: P, strategy: Strategy, budget: Budget, seed: u64) -> Result<Self> {
        strategy.validate()?;
        budget.validate()?;
        let max_depth = budget.depth.map_or(problem.depth(), |d| d.min(problem.depth()));
        let scoring = strategy.scoring(&problem);
        let tree = Tree::new(problem.is_complete(&[]));
        let states = problem.state(&[]).map(|state| ((state, 0), NodeId::ROOT)).into_iter().collect();
        let mut trace = Trace::new();
        let (boxed, bounds) = (Box::new(strategy), Box::new(budget));
        trace.push(Event::Started { format: crate::TRACE_FORMAT, strategy: boxed, budget: bounds, seed });
        Ok(Core {
            problem,
            strategy,
            tree,
            meter: Meter::new(budget),
            scoring,
            max_depth,
            trace,
            wave: Vec::new(),
            unanswered: 0,
            next_id: 0,
            states,
            waiting: Vec::new(),
            scored: Vec::new(),
            partial_draft: Vec::new(),
            depth_hit: false,
            shared: HashMap::new(),
            findings: None,
        })
    }

    pub(crate) fn problem(&self) -> &P {
        &self.problem
    }

    pub(crate) fn strategy(&self) -> &Strategy {
        &self.strategy
    }

    pub(crate) fn tree(&self) -> &Tree<P::Thought> {
        &self.tree
    }

    pub(crate) fn meter(&self) -> &Meter {
        &self.meter
    }

    pub(crate) fn scoring(&self) -> Scoring {
        self.scoring
    }

    pub(crate) fn max_depth(&self) -> usize {
        self.max_depth
    }

    pub(crate) fn trace(&self) -> &Trace<P::Thought> {
        &self.trace
    }

    /// Entropies on the way to `node`.
    pub(crate) fn entropies(&self, node: NodeId) -> Vec<f64> {
        let steps = self.tree.steps(node);
        steps.into_iter().filter_map(|s| self.tree.taken(s).map(|(e, _)| e.entropy)).collect()
    }

    /// Entropies of a draft that was not completed.
    pub(crate) fn partial_draft(&self) -> &[f64] {
        &self.partial_draft
    }

    pub(crate) fn into_trace(self) -> Trace<P::Thought> {
        self.trace
    }

    pub(crate) fn record(&mut self, event: Event<P::Thought>) {
        self.trace.push(event);
    }

    /// Sees to it that the path to `node` gets its proposals: from its twin, which is asked about where it was not yet.
    /// Returns whether the node has them now.
    pub(crate) fn ask_propose(&mut self, node: NodeId) -> std::result::Result<bool, StopReason> {
        self.ask_once(node, Node::is_expanded, |node| &mut node.proposing, |path| Query::Propose { path })
    }

    /// Sees to it that the path to `node` gets its evaluation, in the same way.
    pub(crate) fn ask_evaluate(&mut self, node: NodeId) -> std::result::Result<bool, StopReason> {
        let known = |node: &Node<P::Thought>| node.evaluation().is_some();
        self.ask_once(node, known, |node| &mut node.evaluating, |path| Query::Evaluate { path })
    }

    fn ask_once(
        &mut self,
        node: NodeId,
        known: impl Fn(&Node<P::Thought>) -> bool,
        asked: impl Fn(&mut Node<P::Thought>) -> &mut bool,
        query: impl Fn(Vec<P::Thought>) -> Query<P::Thought>,
    ) -> std::result::Result<bool, StopReason> {
        let first = self.tree.get(node).twin().unwrap_or(node);
        if known(self.tree.get(first)) {
            self.adopt(node);
            return Ok(true);
        }
        if !*asked(self.tree.get_mut(first)) {
            self.ask(&[first], query(self.tree.path(first)))?;
            *asked(self.tree.get_mut(first)) = true;
        }
        if self.tree.get(node).twin().is_some() {
            self.waiting.push(node);
        }
        Ok(false)
    }

    /// Opens a vote on the paths to `nodes`.
    pub(crate) fn ask_vote(&mut self, nodes: &[NodeId]) -> std::result::Result<(), StopReason> {
        let paths = nodes.iter().map(|node| self.tree.path(*node)).collect();
        self.ask(nodes, Query::Vote { paths })
    }

    fn ask(&mut self, nodes: &[NodeId], query: Query<P::Thought>) -> std::result::Result<(), StopReason> {
        self.meter.open_query()?;
        let id = QueryId(self.next_id);
        self.next_id += 1;
        self.unanswered += 1;
        self.record(Event::Opened { id, query: query.clone() });
        self.wave.push(Open { id, nodes: nodes.into(), query, answer: None });
        Ok(())
    }

    /// Gives a node what is known of its twin.
    fn adopt(&mut self, node: NodeId) {
        if self.tree.copy_twin(node) && !self.tree.get(node).is_dead() {
            let path = self.tree.path(node);
            self.mark_dead(node, &path, DeadReason::NoProposals);
        }
    }

    /// Steps from `node` onto its `choice`-th thought and appends the thought to `path`.
    pub(crate) fn step(
        &mut self,
        node: NodeId,
        choice: usize,
        path: &mut Vec<P::Thought>,
    ) -> std::result::Result<NodeId, StopReason> {
        let child = self.tree.child(node, choice);
        if child.is_none() {
            if self.tree.is_full() {
                return Err(StopReason::Nodes);
            }
            self.meter.add_node()?;
        }
        if let Some((_, taken)) = self.tree.taken((node, choice)) {
            path.push(taken.thought.clone());
        }
        Ok(match child {
            Some(child) => child,
            None => {
                let complete = self.problem.is_complete(path);
                let next = self.tree.next_id();
                let first = self.problem.state(path).map(|state| {
                    // Of another length, other steps would be left.
                    *self.states.entry((state, path.len())).or_insert(next)
                });
                self.tree.add_child(node, choice, complete, first.filter(|first| *first != next))
            }
        })
    }

    /// Notes that nothing can follow `path`, which need not be a node.
    pub(crate) fn note_dead(&mut self, path: &[P::Thought], reason: DeadReason) {
        self.depth_hit |= reason == DeadReason::Depth && self.max_depth < self.problem.depth();
        self.record(Event::Died { path: path.to_vec(), reason });
    }

    pub(crate) fn mark_dead(&mut self, node: NodeId, path: &[P::Thought], reason: DeadReason) {
        self.note_dead(path, reason);
        for ancestor in self.tree.mark_dead(node) {
            let path = self.tree.path(ancestor);
            self.record(Event::Died { path, reason: DeadReason::Exhausted });
        }
    }

    /// Notes that the state of `node` is followed.
    pub(crate) fn follow(&mut self, node: NodeId) {
        let first = self.tree.get(node).twin().unwrap_or(node);
        self.tree.get_mut(first).followed = true;
    }

    /// Leaves what follows `node` to another node of the same state.
    pub(crate) fn merge(&mut self, node: NodeId, into: NodeId) {
        self.tree.get_mut(node).merged = true;
        self.record(Event::Merged { path: self.tree.path(node), into: self.tree.path(into) });
    }

    /// The score that the path to `node` has by what is known of it.
    pub(crate) fn weigh(&self, node: NodeId) -> Score {
        let taken = self.tree.steps(node);
        let parts = taken.iter().filter_map(|s| self.tree.taken(*s)).map(|(e, c)| (c.probability, e.entropy));
        self.scoring.score(parts, self.tree.get(node).evaluation())
    }

    /// Scores the complete path to `node`, once; later calls count further samples of it.
    pub(crate) fn score(&mut self, node: NodeId) {
        if let Some(position) = self.tree.get(node).scored() {
            self.scored[position].samples += 1;
            return;
        }
        let score = self.weigh(node);
        self.tree.set_scored(node, self.scored.len());
        self.scored.push(Scored { node, score, samples: 1 });
        self.record(Event::Scored { path: self.tree.path(node), score });
    }

    pub(crate) fn scored(&self) -> &[Scored] {
        &self.scored
    }

    /// The score `J` of a scored path; the worst there is for any other.
    pub(crate) fn score_of(&self, node: NodeId) -> f64 {
        let position = self.tree.get(node).scored();
        position.and_then(|p| self.scored.get(p)).map_or(f64::NEG_INFINITY, |s| s.score.total)
    }

    pub(crate) fn begin_round(&mut self) -> u32 {
        self.meter.begin_round()
    }

    /// Remembers the entropies on the way to `node` as those of the draft, unless an earlier call did.
    pub(crate) fn note_draft(&mut self, node: NodeId) {
        if self.partial_draft.is_empty() {
            self.partial_draft = self.entropies(node);
            let here = self.tree.get(node).expansion().filter(|e| !e.choices.is_empty());
            self.partial_draft.extend(here.map(|e| e.entropy));
        }
    }

    /// Whether the budget's bound on depth has ended a path.
    pub(crate) fn depth_hit(&self) -> bool {
        self.depth_hit
    }

    /// The reason to stop when there is nothing left to try and no complete path.
    pub(crate) fn dead_end(&self) -> StopReason {
        if self.depth_hit { StopReason::Depth } else { StopReason::DeadEnd }
    }
}

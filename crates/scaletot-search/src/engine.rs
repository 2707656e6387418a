//! What every strategy works on: the tree, the open queries, the account and the trace.

use crate::budget::Meter;
use crate::check::check;
use crate::entropy::normalised_entropy;
use crate::outcome::posterior;
use crate::score::Scoring;
use crate::tree::{NodeId, Tree};
use crate::{
    Answer, Budget, DeadReason, EntropyInput, Error, Event, Outcome, PathStep, Problem, Query, QueryId,
    Result, Score, ScoredPath, StopReason, Strategy, Trace,
};

/// A query of the current wave. A wave is everything a strategy opened when it was last advanced; it is advanced again
/// when the whole wave is answered, and the answers take effect in the order of their ids.
#[derive(Debug)]
struct Open<T> {
    id: QueryId,
    node: NodeId,
    query: Query<T>,
    answer: Option<Answer<T>>,
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
    /// Distinct complete paths in the order in which they were scored; the first is the draft.
    scored: Vec<(NodeId, Score)>,
    /// Entropies of a draft that was not completed.
    partial_draft: Vec<f64>,
    /// Whether a path ended at the budget's bound on depth, short of the problem's own.
    depth_hit: bool,
}

impl<P: Problem> Core<P> {
    pub(crate) fn new(problem: P, strategy: Strategy, budget: Budget, seed: u64) -> Result<Self> {
        strategy.validate()?;
        budget.validate()?;
        let max_depth = budget.depth.map_or(problem.depth(), |d| d.min(problem.depth()));
        let scoring = strategy.scoring(&problem);
        let tree = Tree::new(problem.is_complete(&[]));
        let mut trace = Trace::new();
        trace.push(Event::Started { format: crate::TRACE_FORMAT, strategy, budget, seed });
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
            scored: Vec::new(),
            partial_draft: Vec::new(),
            depth_hit: false,
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

    pub(crate) fn into_trace(self) -> Trace<P::Thought> {
        self.trace
    }

    pub(crate) fn record(&mut self, event: Event<P::Thought>) {
        self.trace.push(event);
    }

    // ---- what a strategy does ------------------------------------------------------------------------------------

    /// Opens a propose query for the path to `node`.
    pub(crate) fn ask_propose(
        &mut self,
        node: NodeId,
        path: &[P::Thought],
    ) -> std::result::Result<(), StopReason> {
        self.ask(node, Query::Propose { path: path.to_vec() })
    }

    /// Opens an evaluate query for the complete path to `node`.
    pub(crate) fn ask_evaluate(
        &mut self,
        node: NodeId,
        path: &[P::Thought],
    ) -> std::result::Result<(), StopReason> {
        self.ask(node, Query::Evaluate { path: path.to_vec() })
    }

    fn ask(&mut self, node: NodeId, query: Query<P::Thought>) -> std::result::Result<(), StopReason> {
        self.meter.open_query()?;
        let id = QueryId(self.next_id);
        self.next_id += 1;
        self.unanswered += 1;
        self.record(Event::Opened { id, query: query.clone() });
        self.wave.push(Open { id, node, query, answer: None });
        Ok(())
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
                self.tree.add_child(node, choice, complete)
            }
        })
    }

    pub(crate) fn mark_dead(&mut self, node: NodeId, path: &[P::Thought], reason: DeadReason) {
        self.depth_hit |= reason == DeadReason::Depth && self.max_depth < self.problem.depth();
        self.record(Event::Died { path: path.to_vec(), reason });
        for ancestor in self.tree.mark_dead(node) {
            let path = self.tree.path(ancestor);
            self.record(Event::Died { path, reason: DeadReason::Exhausted });
        }
    }

    /// Scores the complete path to `node`, once.
    pub(crate) fn score(&mut self, node: NodeId, path: &[P::Thought]) {
        if self.tree.get(node).scored().is_some() {
            return;
        }
        let taken = self.tree.steps(node);
        let parts = taken.iter().filter_map(|s| self.tree.taken(*s)).map(|(e, c)| (c.probability, e.entropy));
        let score = self.scoring.score(parts, self.tree.get(node).evaluation());
        self.tree.set_scored(node, self.scored.len());
        self.scored.push((node, score));
        self.record(Event::Scored { path: path.to_vec(), score });
    }

    pub(crate) fn scored(&self) -> &[(NodeId, Score)] {
        &self.scored
    }

    /// The score `J` of a scored path; the worst there is for any other.
    pub(crate) fn score_of(&self, node: NodeId) -> f64 {
        let position = self.tree.get(node).scored();
        position.and_then(|p| self.scored.get(p)).map_or(f64::NEG_INFINITY, |(_, s)| s.total)
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

    // ---- what the driver does ------------------------------------------------------------------------------------

    /// The queries without an answer, in the order of their ids.
    pub(crate) fn open(&self) -> impl Iterator<Item = (QueryId, &Query<P::Thought>)> {
        self.wave.iter().filter(|o| o.answer.is_none()).map(|o| (o.id, &o.query))
    }

    /// Checks an answer and keeps it. Returns whether the wave is complete by it.
    pub(crate) fn take(&mut self, id: QueryId, answer: Answer<P::Thought>) -> Result<bool> {
        let first = self.next_id - self.wave.len() as u64;
        if id.0 >= self.next_id {
            return Err(Error::UnknownQuery { id });
        }
        let at = id.0.checked_sub(first).and_then(|i| usize::try_from(i).ok());
        let Some(open) = at.and_then(|i| self.wave.get_mut(i)).filter(|o| o.answer.is_none()) else {
            return Err(Error::AlreadyAnswered { id });
        };
        check(id, &open.query, &answer, self.meter.budget())?;
        self.meter.close_query(answer.tokens());
        self.trace.push(Event::Answered { id, answer: answer.clone() });
        open.answer = Some(answer);
        self.unanswered -= 1;
        Ok(self.unanswered == 0)
    }

    /// Lets time pass. Returns whether it is up.
    pub(crate) fn tick(&mut self, ticks: u64) -> bool {
        self.record(Event::Ticked { ticks });
        self.meter.tick(ticks);
        self.meter.out_of_time()
    }

    /// Applies the answers of the wave in the order of their ids and clears it. The first failure comes back as an
    /// error, after all the others have taken effect.
    pub(crate) fn apply(&mut self) -> std::result::Result<(), StopReason> {
        let mut failure = Ok(());
        self.unanswered = 0;
        for open in std::mem::take(&mut self.wave) {
            match open.answer {
                Some(Answer::Proposals { items, covered, entropy, .. }) => {
                    self.expand(open.node, open.query.path(), items, covered, entropy);
                }
                Some(Answer::Value { value, .. }) => self.tree.set_evaluation(open.node, value),
                Some(Answer::Failed { reason }) if failure.is_ok() => {
                    failure = Err(StopReason::QueryFailed(reason));
                }
                Some(Answer::Failed { .. }) | None => {}
            }
        }
        failure
    }

    fn expand(
        &mut self,
        node: NodeId,
        path: &[P::Thought],
        items: Vec<(P::Thought, f64)>,
        covered: f64,
        given: EntropyInput,
    ) {
        let listed = items.len();
        let domain = self.problem.domain_size(path).unwrap_or(listed).max(listed);
        let mut removed = Vec::new();
        let mut choices = Vec::with_capacity(listed);
        for (thought, mass) in items {
            if mass <= 0.0 {
                continue;
            }
            if self.problem.admissible(path, &thought) {
                choices.push((thought, mass));
            } else {
                removed.push(thought);
            }
        }
        // Dividing by the largest first keeps subnormal masses from overflowing or vanishing together.
        let largest = choices.iter().map(|(_, m)| *m).fold(0.0, f64::max);
        let total: f64 = choices.iter().map(|(_, m)| m / largest).sum();
        for (_, mass) in &mut choices {
            *mass = *mass / largest / total;
        }
        choices.retain(|(_, q)| *q > 0.0);
        // Stable: of equal probabilities the one named first in the answer goes first.
        choices.sort_by(|a, b| b.1.total_cmp(&a.1));
        let entropy = match given {
            EntropyInput::Given(entropy) if removed.is_empty() => entropy,
            _ => {
                let masses: Vec<f64> = choices.iter().map(|(_, q)| *q).collect();
                normalised_entropy(&masses, domain)
            }
        };
        let empty = choices.is_empty();
        let reason = if removed.is_empty() { DeadReason::NoProposals } else { DeadReason::Constraints };
        if !removed.is_empty() {
            self.record(Event::Pruned { path: path.to_vec(), removed });
        }
        self.record(Event::Expanded { path: path.to_vec(), distribution: choices.clone(), entropy });
        self.tree.expand(node, choices, entropy, covered.min(1.0));
        if empty {
            self.mark_dead(node, path, reason);
        }
    }

    // ---- the end -------------------------------------------------------------------------------------------------

    /// Builds the outcome and records the end.
    pub(crate) fn finish(&mut self, stop: StopReason) -> Outcome<P::Thought> {
        self.record(Event::Stopped { reason: stop.clone() });
        let mut order: Vec<usize> = (0..self.scored.len()).collect();
        // Stable: of equal scores the one found first goes first.
        order.sort_by(|a, b| self.scored[*b].1.total.total_cmp(&self.scored[*a].1.total));
        let mut listed: Vec<_> = order
            .iter()
            .take(self.strategy.keep())
            .map(|at| self.scored_path(self.scored[*at].0, self.scored[*at].1))
            .collect();
        let best = if listed.is_empty() { None } else { Some(listed.remove(0)) };
        let paths: Vec<_> = self.scored.iter().map(|(node, s)| (self.tree.path(*node), s.total)).collect();
        let draft = self.scored.first();
        Outcome {
            final_entropy: best.iter().flat_map(|b| b.steps.iter().map(|s| s.entropy)).collect(),
            best,
            runners_up: listed,
            posterior: posterior(&paths, self.strategy.temperature()),
            scored: self.scored.len(),
            stop,
            usage: self.meter.usage(),
            draft_entropy: draft
                .map_or_else(|| self.partial_draft.clone(), |(node, _)| self.entropies(*node)),
            draft_score: draft.map(|(_, s)| *s),
        }
    }

    fn entropies(&self, node: NodeId) -> Vec<f64> {
        let steps = self.tree.steps(node);
        steps.into_iter().filter_map(|s| self.tree.taken(s).map(|(e, _)| e.entropy)).collect()
    }

    fn scored_path(&self, node: NodeId, score: Score) -> ScoredPath<P::Thought> {
        let taken = self.tree.steps(node).into_iter().filter_map(|s| self.tree.taken(s));
        let steps: Vec<_> = taken
            .map(|(expansion, choice)| PathStep {
                thought: choice.thought.clone(),
                probability: choice.probability,
                distribution: expansion.choices.iter().map(|c| (c.thought.clone(), c.probability)).collect(),
                entropy: expansion.entropy,
                covered: expansion.covered,
            })
            .collect();
        ScoredPath { path: steps.iter().map(|s| s.thought.clone()).collect(), score, steps }
    }
}

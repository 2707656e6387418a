//! From the state of a search to its outcome.

use std::cmp::Ordering;
use std::collections::HashMap;

use super::{Core, Scored};
use crate::outcome::posterior;
use crate::tree::{Choice, Expansion, NodeId};
use crate::{Event, Outcome, PathStep, Problem, Score, ScoredPath, StepMarginal, StopReason};

/// What a strategy that weighs all paths hands over: the parts of an [`Outcome`] that others take from the scored paths.
#[derive(Debug)]
pub(crate) struct Findings<T> {
    /// Best first.
    pub(crate) paths: Vec<ScoredPath<T>>,
    pub(crate) posterior: Vec<Vec<(T, f64)>>,
    pub(crate) marginals: Vec<StepMarginal<T>>,
    pub(crate) scored: usize,
    /// Whether nothing is left to be asked.
    pub(crate) exhaustive: bool,
    pub(crate) draft_entropy: Vec<f64>,
    pub(crate) draft_score: Option<Score>,
}

impl<P: Problem> Core<P> {
    /// Builds the outcome and records the end.
    pub(crate) fn finish(&mut self, stop: StopReason) -> Outcome<P::Thought> {
        self.record(Event::Stopped { reason: stop.clone() });
        let found = self.findings.take().unwrap_or_else(|| self.scored_findings());
        let mut listed = found.paths;
        let best = if listed.is_empty() { None } else { Some(listed.remove(0)) };
        Outcome {
            final_entropy: best.iter().flat_map(|b| b.steps.iter().map(|s| s.entropy)).collect(),
            best,
            runners_up: listed,
            posterior: found.posterior,
            marginals: found.marginals,
            scored: found.scored,
            exhaustive: !self.depth_hit() && found.exhaustive,
            stop,
            usage: self.meter().usage(),
            draft_entropy: found.draft_entropy,
            draft_score: found.draft_score,
        }
    }

    /// Takes over what the strategy found out about all paths.
    pub(crate) fn set_findings(&mut self, findings: Findings<P::Thought>) {
        self.findings = Some(findings);
    }

    /// What the scored paths tell.
    fn scored_findings(&self) -> Findings<P::Thought> {
        let score = self.strategy().score();
        let order = self.ranking();
        let votes = self.strategy().counts_samples();
        // The shares of samples are the softmax of the logarithms of their counts.
        let weight = |s: &Scored| if votes { (s.samples as f64).ln() } else { s.score.total };
        let paths: Vec<_> = self.scored().iter().map(|s| (self.tree().path(s.node), weight(s))).collect();
        let draft = self.scored().first();
        Findings {
            paths: order.iter().take(score.keep).map(|at| self.scored_path(&self.scored()[*at])).collect(),
            posterior: posterior(&paths, if votes { 1.0 } else { score.temperature }),
            marginals: Vec::new(),
            scored: self.scored().len(),
            exhaustive: self.tree().is_resolved(),
            draft_entropy: draft.map_or_else(|| self.partial_draft().to_vec(), |s| self.entropies(s.node)),
            draft_score: draft.map(|s| s.score),
        }
    }

    /// Positions of the scored paths, the best first.
    fn ranking(&self) -> Vec<usize> {
        let scored = self.scored();
        let by_score = |a: usize, b: usize| scored[b].score.total.total_cmp(&scored[a].score.total);
        let mut order: Vec<usize> = (0..scored.len()).collect();
        // Both sorts are stable: of equals the one found first goes first.
        if self.strategy().counts_samples() {
            let answer = |at: usize| self.tree().get(scored[at].node).twin().unwrap_or(scored[at].node);
            let mut votes: HashMap<NodeId, u64> = HashMap::new();
            for (at, path) in scored.iter().enumerate() {
                *votes.entry(answer(at)).or_default() += path.samples;
            }
            let samples = |at: usize| votes.get(&answer(at)).copied().unwrap_or(0);
            order.sort_by(|a, b| match samples(*b).cmp(&samples(*a)) {
                Ordering::Equal => by_score(*a, *b),
                more => more,
            });
        } else {
            order.sort_by(|a, b| by_score(*a, *b));
        }
        order
    }

    fn scored_path(&self, scored: &Scored) -> ScoredPath<P::Thought> {
        let taken = self.tree().steps(scored.node).into_iter().filter_map(|s| self.tree().taken(s));
        let steps: Vec<_> = taken.map(|(expansion, choice)| path_step(expansion, choice)).collect();
        let path = steps.iter().map(|s| s.thought.clone()).collect();
        ScoredPath { path, score: scored.score, steps, samples: scored.samples }
    }
}

/// A step that takes `choice` from `expansion`.
pub(crate) fn path_step<T: Clone>(expansion: &Expansion<T>, choice: &Choice<T>) -> PathStep<T> {
    PathStep {
        thought: choice.thought.clone(),
        probability: choice.probability,
        distribution: expansion.choices.iter().map(|c| (c.thought.clone(), c.probability)).collect(),
        entropy: expansion.entropy,
        interval: expansion.interval,
        covered: expansion.covered,
    }
}

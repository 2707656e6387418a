//! What the driver does: takes answers and lets time pass.

use scaletot_core::numeric::normalised_entropy;

use super::Core;
use crate::check::check;
use crate::entropy::entropy_interval;
use crate::tree::{Expansion, NodeId};
use crate::{
    Answer, DeadReason, EntropyInput, Error, Event, Problem, Proposals, Query, QueryId, Result, StopReason,
    Strategy,
};

impl<P: Problem> Core<P> {
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
                Some(Answer::Proposals(proposals)) => {
                    let named = self.problem.context(open.query.path()).is_some();
                    if named && matches!(self.strategy(), Strategy::Marginal(_)) {
                        self.shared.insert(open.nodes[0], proposals.clone());
                    }
                    self.expand(open.nodes[0], open.query.path(), proposals);
                }
                Some(Answer::Value { value, .. }) => self.tree.set_evaluation(open.nodes[0], value),
                Some(Answer::Votes { shares, .. }) => {
                    let total: f64 = shares.iter().sum();
                    for (node, share) in open.nodes.iter().zip(shares) {
                        self.tree.set_evaluation(*node, share / total);
                    }
                }
                Some(Answer::Failed { reason }) if failure.is_ok() => {
                    failure = Err(StopReason::QueryFailed(reason));
                }
                Some(Answer::Failed { .. }) | None => {}
            }
        }
        for node in std::mem::take(&mut self.waiting) {
            self.adopt(node);
        }
        failure
    }

    /// Gives `node` the answer that came for `first`.
    pub(crate) fn expand_like(&mut self, node: NodeId, first: NodeId) {
        if let Some(proposals) = self.shared.get(&first).cloned() {
            let path = self.tree.path(node);
            self.expand(node, &path, proposals);
        }
    }

    fn expand(&mut self, node: NodeId, path: &[P::Thought], proposals: Proposals<P::Thought>) {
        let (covered, given) = (proposals.covered(), proposals.entropy());
        let items = proposals.into_items();
        let listed = items.len();
        let domain = self.problem.domain_size(path).unwrap_or(listed).max(listed);
        let before: f64 = items.iter().map(|(_, mass)| mass).sum();
        let mut removed = Vec::new();
        let mut choices = Vec::with_capacity(listed);
        // Thoughts that may follow: what the answer does not list may.
        let mut possible = domain;
        for (thought, mass) in items {
            let admissible = self.problem.admissible(path, &thought);
            possible -= usize::from(!admissible);
            match admissible {
                _ if mass <= 0.0 => {}
                true => choices.push((thought, mass)),
                false => removed.push(thought),
            }
        }
        let kept_share: f64 = choices.iter().map(|(_, m)| m / before.max(f64::MIN_POSITIVE)).sum();
        // Dividing by the largest first keeps subnormal masses from overflowing or vanishing together.
        let largest = choices.iter().map(|(_, m)| *m).fold(0.0, f64::max);
        let total: f64 = choices.iter().map(|(_, m)| m / largest).sum();
        for (_, mass) in &mut choices {
            *mass = *mass / largest / total;
        }
        choices.retain(|(_, q)| *q > 0.0);
        // Stable: of equal probabilities the one named first in the answer goes first.
        choices.sort_by(|a, b| b.1.total_cmp(&a.1));
        let masses: Vec<f64> = choices.iter().map(|(_, q)| *q).collect();
        let interval = match given {
            EntropyInput::Partial { missing, mass } if missing > 0 && mass > 0.0 => {
                let unseen = if masses.is_empty() { mass } else { mass / largest / total };
                Some(entropy_interval(
                    &masses,
                    missing,
                    unseen,
                    domain.max(masses.len().saturating_add(missing)),
                ))
            }
            _ => None,
        };
        let entropy = match (given, interval) {
            (_, Some((_, high))) => high,
            (EntropyInput::Given(entropy), _) if removed.is_empty() => entropy,
            (EntropyInput::Sampled { samples, estimator }, _) if !masses.is_empty() => {
                // Samples of what constraints removed tell nothing about the rest.
                let kept = (f64::from(samples) * kept_share).round().max(1.0);
                estimator.estimate(&masses, kept as u32, possible, domain)
            }
            _ => normalised_entropy(&masses, domain),
        };
        let empty = choices.is_empty();
        let reason = if removed.is_empty() { DeadReason::NoProposals } else { DeadReason::Constraints };
        if !removed.is_empty() {
            self.record(Event::Pruned { path: path.to_vec(), removed });
        }
        let distribution = choices.clone();
        self.record(Event::Expanded { path: path.to_vec(), distribution, entropy, interval });
        self.tree.expand(node, Expansion::new(choices, entropy, interval, covered.min(1.0)));
        if empty {
            self.mark_dead(node, path, reason);
        }
    }
}

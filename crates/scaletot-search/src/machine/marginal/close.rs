//! What a search for marginals ends with.

use std::collections::HashMap;

use super::lattice::{PlaceId, share};
use super::{Draft, Marginal};
use crate::engine::{Core, Findings, path_step};
use crate::{Event, PathStep, Problem, Score, ScoredPath, StepMarginal};

/// What has come to one thought of a step.
#[derive(Debug, Clone, Copy, Default)]
struct Mass {
    /// Of complete paths.
    done: f64,
    /// Held by unanswered places further on.
    open: f64,
}

impl Marginal {
    /// Remembers the first complete path.
    pub(super) fn note_draft<P: Problem>(&mut self, core: &mut Core<P>, steps: Vec<(PlaceId, usize)>) {
        let score = self.score(core, &steps);
        core.record(Event::Scored { path: self.thoughts(core, &steps), score });
        self.draft = Some(Draft { steps, score });
    }

    pub(crate) fn close<P: Problem>(&mut self, core: &mut Core<P>) {
        if !self.begun {
            self.begin(core);
        }
        self.settle(core);
        // A bound that keeps the draft from going on has ended the search, or does not matter any more.
        let _ = self.draft(core);
        self.enter_waiting(core);
        let partial_draft = if self.lattice.is_empty() { Vec::new() } else { self.lattice.greedy().0 };
        let draft = self.draft.as_ref();
        let listed = match draft {
            // The empty path is complete.
            Some(draft) if draft.steps.is_empty() => vec![Vec::new()],
            _ => self.lattice.most_probable(self.config.keep),
        };
        let mut paths = Vec::with_capacity(listed.len());
        for steps in &listed {
            let score = self.score(core, steps);
            let steps_taken = self.steps_of(core, steps);
            let path: Vec<P::Thought> = steps_taken.iter().map(|step| step.thought.clone()).collect();
            if draft.is_none_or(|draft| draft.steps != *steps) {
                core.record(Event::Scored { path: path.clone(), score });
            }
            paths.push(ScoredPath { path, score, steps: steps_taken, samples: 1 });
        }
        let unlisted = draft.is_some_and(|draft| !listed.contains(&draft.steps));
        let (posterior, marginals) = self.marginals(core);
        let entropies = |steps: &[(PlaceId, usize)]| {
            self.steps_of(core, steps).iter().map(|step| step.entropy).collect::<Vec<_>>()
        };
        let findings = Findings {
            scored: paths.len() + usize::from(unlisted),
            paths,
            posterior,
            marginals,
            exhaustive: self.is_exhausted(core),
            draft_entropy: entropies(draft.map_or(&partial_draft, |draft| &draft.steps)),
            draft_score: draft.map(|draft| draft.score),
        };
        core.set_findings(findings);
    }

    /// Whether nothing is left to be asked, and no answer left anything out.
    fn is_exhausted<P: Problem>(&self, core: &Core<P>) -> bool {
        let mut nodes = self.lattice.levels().iter().flatten().filter_map(|at| self.lattice.get(*at).node);
        let partial =
            nodes.any(|node| core.tree().get(node).expansion().is_some_and(|e| e.interval.is_some()));
        self.lattice.is_answered() && !partial
    }

    fn score<P: Problem>(&self, core: &Core<P>, steps: &[(PlaceId, usize)]) -> Score {
        let taken = self.steps_of(core, steps);
        core.scoring().score(taken.iter().map(|step| (step.probability, step.entropy)), None)
    }

    fn steps_of<P: Problem>(&self, core: &Core<P>, steps: &[(PlaceId, usize)]) -> Vec<PathStep<P::Thought>> {
        let taken = steps.iter().filter_map(|(place, choice)| {
            let node = self.lattice.get(*place).node?;
            core.tree().taken((node, *choice)).map(|(expansion, choice)| path_step(expansion, choice))
        });
        taken.collect()
    }

    /// The posterior and the intervals of every step of which anything is known.
    ///
    /// With `K_v` the mass that came to `v` at step `k` and is not dead, and `u` the mass held by unanswered places before or at that step,
    /// the marginal lies in `[K_v, K_v + u] / (Σ K + u)`, and the posterior is the middle of all the distributions that this leaves possible:
    /// `u` in equal shares. Where unanswered places may be dead, the part of `K` that they hold may be lost, too.
    #[expect(clippy::type_complexity, reason = "the two fields of an outcome")]
    fn marginals<P: Problem>(
        &self,
        core: &Core<P>,
    ) -> (Vec<Vec<(P::Thought, f64)>>, Vec<StepMarginal<P::Thought>>) {
        let may_die = core.problem().may_dead_end() || core.max_depth() < core.problem().depth();
        let (ends, reaches) = (self.lattice.ends(), self.lattice.reaches());
        let (mut posterior, mut marginals) = (Vec::new(), Vec::new());
        let mut held = 0.0;
        for level in self.lattice.levels() {
            let mut found: Vec<(P::Thought, Mass)> = Vec::new();
            let mut slots = HashMap::new();
            for &at in level {
                let place = self.lattice.get(at);
                let expansion = place.node.and_then(|node| core.tree().get(node).expansion());
                let (Some(edges), Some(expansion)) = (&place.edges, expansion) else {
                    held += reaches[at];
                    continue;
                };
                for (edge, choice) in edges.iter().zip(&expansion.choices) {
                    if !self.lattice.is_live(edge.to) {
                        continue;
                    }
                    let mass = reaches[at] * edge.probability;
                    let (done, open) = share(edge.to, &ends);
                    let slot = *slots.entry(&choice.thought).or_insert_with(|| {
                        found.push((choice.thought.clone(), Mass::default()));
                        found.len() - 1
                    });
                    found[slot].1.done += mass * done;
                    found[slot].1.open += mass * open;
                }
            }
            if found.is_empty() {
                break;
            }
            let (step, marginal) = step(found, held, may_die);
            posterior.push(step);
            marginals.push(marginal);
        }
        (posterior, marginals)
    }
}

/// The posterior and the intervals of one step, from what came to each thought and what is `held` before.
fn step<T: Clone>(found: Vec<(T, Mass)>, held: f64, may_die: bool) -> (Vec<(T, f64)>, StepMarginal<T>) {
    let live = |mass: &Mass| mass.done + mass.open;
    let total = held + found.iter().map(|(_, mass)| live(mass)).sum::<f64>();
    let done: f64 = found.iter().map(|(_, mass)| mass.done).sum();
    // Paths so long that all probabilities underflow tell nothing.
    let ratio = |part: f64, whole: f64, none: f64| if whole > 0.0 { (part / whole).min(1.0) } else { none };
    let even = 1.0 / found.len() as f64;
    // Sums without one's own, and without the rounding of a difference: nothing else must be 0.
    let others = |part: &dyn Fn(&Mass) -> f64| {
        let mut sums = vec![0.0; found.len()];
        let mut before = 0.0;
        for (sum, (_, mass)) in sums.iter_mut().zip(&found) {
            *sum += before;
            before += part(mass);
        }
        let mut after = 0.0;
        for (sum, (_, mass)) in sums.iter_mut().zip(&found).rev() {
            *sum += after;
            after += part(mass);
        }
        sums
    };
    let (others_live, others_done) = (others(&live), others(&|mass: &Mass| mass.done));
    let bounds = |at: usize, mass: &Mass| match may_die {
        false => (ratio(live(mass), total, 0.0), ratio(live(mass) + held, total, 1.0)),
        // At the least all that is open for others lives and one's own does not; at the greatest the other way round.
        true => (
            ratio(mass.done, mass.done + held + others_live[at], if total > 0.0 { 1.0 } else { 0.0 }),
            ratio(live(mass) + held, live(mass) + held + others_done[at], 1.0),
        ),
    };
    let intervals = found.iter().enumerate().map(|(at, (thought, mass))| {
        let (low, high) = bounds(at, mass);
        (thought.clone(), low, high)
    });
    let unlisted = ratio(held, if may_die { held + done } else { total }, 1.0);
    let marginal =
        StepMarginal { intervals: intervals.collect(), unlisted: if held > 0.0 { unlisted } else { 0.0 } };
    let posterior =
        found.iter().map(|(thought, mass)| (thought.clone(), ratio(live(mass) + held * even, total, even)));
    (posterior.collect(), marginal)
}

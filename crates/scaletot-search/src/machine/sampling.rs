//! `SelfConsistency` and `BestOfN`: independent chains, drawn at random.
//!
//! Samples run side by side, so that one wave holds the queries of all of them; where two stand at the same path, or at paths
//! of the same state, the question is asked once. A sample begins only if the budget carries it and all that are under way
//! to their ends in the worst case, so that a bound costs samples and not their last steps. Every sample has a random stream
//! of its own: more samples leave the first ones as they are.

use super::completion::{Completion, State};
use super::flow::Flow;
use crate::budget::Cost;
use crate::engine::Core;
use crate::{Event, Problem, StopReason};
use scaletot_core::seed::numbered;

/// The state of a sampling strategy.
#[derive(Debug)]
pub(crate) struct Sampling<T> {
    samples: u64,
    temperature: f64,
    seed: u64,
    next: u64,
    running: Vec<(u64, Completion<T>)>,
    /// The bound that ended a sample, or kept one from beginning.
    bound: Option<StopReason>,
}

impl<T: Clone> Sampling<T> {
    pub(crate) fn new(samples: u64, temperature: f64, seed: u64) -> Self {
        Sampling { samples, temperature, seed, next: 0, running: Vec::new(), bound: None }
    }

    pub(crate) fn advance<P: Problem<Thought = T>>(&mut self, core: &mut Core<P>) -> Flow {
        loop {
            for (_, sample) in &mut self.running {
                sample.advance(core);
            }
            self.retire(core);
            if !self.admit(core) {
                return match (self.running.is_empty(), self.bound.take()) {
                    (false, bound) => {
                        self.bound = bound;
                        Flow::Wait
                    }
                    (true, Some(bound)) => Flow::Stop(bound),
                    (true, None) if core.scored().is_empty() => Flow::Stop(core.dead_end()),
                    (true, None) => Flow::Stop(StopReason::Complete),
                };
            }
        }
    }

    pub(crate) fn close<P: Problem<Thought = T>>(&mut self, core: &mut Core<P>) {
        for (number, sample) in &mut self.running {
            sample.close(core);
            record(core, *number, sample);
        }
        if core.scored().is_empty()
            && let Some((_, sample)) = self.running.first()
        {
            core.note_draft(sample.node());
        }
    }

    /// Takes out the samples that have ended.
    fn retire<P: Problem<Thought = T>>(&mut self, core: &mut Core<P>) {
        for (number, sample) in self.running.iter().filter(|(_, s)| *s.state() != State::Running) {
            record(core, *number, sample);
            if let State::Cut(bound) = sample.state() {
                self.bound.get_or_insert(bound.clone());
            }
            if core.scored().is_empty() {
                core.note_draft(sample.node());
            }
        }
        self.running.retain(|(_, sample)| *sample.state() == State::Running);
    }

    /// Begins as many samples as the budget carries. Returns whether there is a new one.
    fn admit<P: Problem<Thought = T>>(&mut self, core: &Core<P>) -> bool {
        let begun = self.next;
        let mut owed = self.running.iter().fold(Cost::default(), |sum, (_, s)| sum.plus(s.remaining(core)));
        while self.next < self.samples && self.bound.is_none() {
            // More samples leave those before them as they are.
            let sample = Completion::sample(numbered(self.seed, self.next), self.temperature);
            owed = owed.plus(sample.remaining(core));
            // The first may end sooner than the worst case, and any complete path is better than none.
            if self.next > 0
                && let Some(bound) = core.meter().breaks(owed)
            {
                // What is under way may cost less than it might, and leave room.
                if self.running.is_empty() {
                    self.bound = Some(bound);
                }
                break;
            }
            self.running.push((self.next, sample));
            self.next += 1;
        }
        self.next > begun
    }
}

fn record<P: Problem>(core: &mut Core<P>, sample: u64, chain: &Completion<P::Thought>) {
    let complete = *chain.state() == State::Scored;
    core.record(Event::Sampled { sample, path: chain.path().to_vec(), complete });
}

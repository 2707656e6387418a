//! `SelfConsistency` and `BestOfN`: independent chains, drawn at random.
//!
//! Samples run side by side, so that one wave holds the queries of all of them; where two stand at the same path, or at paths
//! of the same state, the question is asked once. A sample begins only if the budget carries it and all that are under way
//! to their ends in the worst case, so that a bound costs samples and not their last steps. Every sample has a random stream
//! of its own: more samples leave the first ones as they are.

use scaletot_core::seed::numbered;
use serde::{Deserialize, Serialize};

use super::Flow;
use super::completion::{Completion, State};
use crate::budget::Cost;
use crate::engine::Core;
use crate::score::ScoreConfig;
use crate::settings::{setters, within};
use crate::{Event, Problem, Result, StopReason};

/// Settings of [`Strategy::SelfConsistency`](super::Strategy::SelfConsistency).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct SelfConsistencyConfig {
    /// Samples, at least 1.
    pub samples: u64,
    /// Temperature of the draws, from 1e-3 to 1e3: thoughts are drawn with weights `q^(1/T)`.
    pub temperature: f64,
    /// How many paths the outcome lists, at least 1.
    pub keep: usize,
}

impl Default for SelfConsistencyConfig {
    /// 20 samples at temperature 1, 4 paths listed.
    fn default() -> Self {
        SelfConsistencyConfig { samples: 20, temperature: 1.0, keep: 4 }
    }
}

impl SelfConsistencyConfig {
    setters! {
        with_samples samples: u64;
        with_temperature temperature: f64;
        with_keep keep: usize;
    }

    /// Checks the ranges given at the fields.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for the first setting out of its range.
    pub fn validate(&self) -> Result<()> {
        draws(self.samples, self.temperature)?;
        within("keep", self.keep, self.keep >= 1, "at least 1")
    }
}

/// Settings of [`Strategy::BestOfN`](super::Strategy::BestOfN).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct BestOfNConfig {
    /// Samples, at least 1.
    pub samples: u64,
    /// Temperature of the draws, from 1e-3 to 1e3: thoughts are drawn with weights `q^(1/T)`.
    pub temperature: f64,
    /// How complete paths are scored and listed.
    pub score: ScoreConfig,
}

impl Default for BestOfNConfig {
    /// 20 samples at temperature 1, with the default score.
    fn default() -> Self {
        BestOfNConfig { samples: 20, temperature: 1.0, score: ScoreConfig::default() }
    }
}

impl BestOfNConfig {
    setters! {
        with_samples samples: u64;
        with_temperature temperature: f64;
        with_score score: ScoreConfig;
    }

    /// Checks the ranges given at the fields.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for the first setting out of its range.
    pub fn validate(&self) -> Result<()> {
        draws(self.samples, self.temperature)?;
        self.score.validate()
    }
}

fn draws(samples: u64, temperature: f64) -> Result<()> {
    within("samples", samples, samples >= 1, "at least 1")?;
    within("temperature", temperature, temperature_ok(temperature), "a number in [1e-3, 1e3]")
}

/// Whether draws may have this temperature.
pub(super) fn temperature_ok(temperature: f64) -> bool {
    (1e-3..=1e3).contains(&temperature)
}

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
        let mut owed = self.running.iter().fold(Cost::default(), |sum, (_, s)| sum.plus(s.most(core)));
        while self.next < self.samples && self.bound.is_none() {
            // More samples leave those before them as they are.
            let sample = Completion::sample(numbered(self.seed, self.next), self.temperature);
            owed = owed.plus(sample.most(core));
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

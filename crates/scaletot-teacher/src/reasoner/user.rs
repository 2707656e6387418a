//! Reasons about one user.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use scaletot_chain::{Chain, ChainRecord, EntropySource, Reason, SearchCost, SearchStop, Step, Verdict};
use scaletot_core::causes;
use scaletot_core::text::printable;
use scaletot_profile::ProfileTable;
use scaletot_search::{
    Answer, Clock, EntropyEstimator, EntropyInput, Outcome, Proposals, Query, ScoredPath, Search,
    StepMarginal, StopReason, Trace,
};

use super::guard::RunGuard;
use super::{Reasoner, rationale};
use crate::answer::LabelAnswer;
use crate::error::{Error, Result};
use crate::question::Question;
use crate::teacher::Teacher;

/// What is remembered of each answer besides what the search keeps, by the state and the values that it depends on: a search may
/// use an answer at other paths than the one it asked about.
type AnswerNotes = HashMap<(usize, Vec<u16>), AnswerNote>;

struct AnswerNote {
    /// The fields that it rests on, if the teacher named any.
    evidence: Option<Vec<String>>,
    /// How many samples it counts, if it does.
    samples: Option<u32>,
}

impl Reasoner<'_> {
    /// Reasons about the user in one row.
    ///
    /// A teacher that fails, or answers what cannot be used, makes a record with the verdict
    /// [`Failed`](Verdict::Failed) and its message. The seed is that of the search; greedy and refining searches draw
    /// nothing, so their chains do not depend on it.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if the table has another schema than the prompter or no such row.
    pub fn reason(&self, table: &ProfileTable, row: usize, seed: u64) -> Result<ChainRecord> {
        Ok(self.reason_traced(table, row, seed)?.0)
    }

    /// As [`reason`](Self::reason), with everything that the search did: for looking at it, or replaying it. There is no trace of a
    /// user who was abstained on before any search.
    ///
    /// # Errors
    ///
    /// As [`reason`](Self::reason).
    pub fn reason_traced(
        &self,
        table: &ProfileTable,
        row: usize,
        seed: u64,
    ) -> Result<(ChainRecord, Option<Trace<u16>>)> {
        self.check(table, &[row])?;
        self.reason_checked(table, row, seed, &RunGuard::of_one_user())
    }

    /// As [`reason`](Self::reason), for a table that was checked; a teacher that panics makes a failed record, too. A user in hand when the
    /// run is to stop has no record: [`Error::Stopped`].
    pub(super) fn reason_caught(
        &self,
        table: &ProfileTable,
        row: usize,
        seed: u64,
        guard: &RunGuard<'_>,
    ) -> Result<ChainRecord> {
        // Nothing half-changed can be seen afterwards: the search is the call's own, and the cache frees its claims.
        let reasoned =
            AssertUnwindSafe(|| self.reason_checked(table, row, seed, guard).map(|(record, _)| record));
        catch_unwind(reasoned).unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
            let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
            let reason = Reason::TeacherFailed { message: format!("it panicked: {}", printable(&text, 400)) };
            Ok(ChainRecord::new(table.id(row), Verdict::Failed { reason }))
        })
    }

    fn reason_checked(
        &self,
        table: &ProfileTable,
        row: usize,
        seed: u64,
        guard: &RunGuard<'_>,
    ) -> Result<(ChainRecord, Option<Trace<u16>>)> {
        let populated = table.populated(row);
        if populated < self.min_populated {
            let reason = Reason::TooFewFields { populated, required: self.min_populated };
            return Ok((ChainRecord::new(table.id(row), Verdict::Abstained { reason }), None));
        }
        let mut notes = AnswerNotes::new();
        let (outcome, trace) = self.search(table, row, seed, guard, &mut notes)?;
        Ok((self.curate(table, row, &outcome, &notes)?, Some(trace)))
    }

    /// Runs the search, answering its queries from the teacher.
    fn search(
        &self,
        table: &ProfileTable,
        row: usize,
        seed: u64,
        guard: &RunGuard<'_>,
        notes: &mut AnswerNotes,
    ) -> Result<(Outcome<u16>, Trace<u16>)> {
        let profile = self.prompter.profile(table, row);
        let mut search = Search::new(self.problem.clone(), self.strategy, self.budget, seed)?;
        let mut clock = Clock::for_search(&search);
        let deadline = self.user_deadline.and_then(|limit| Some((limit, Instant::now().checked_add(limit)?)));
        let stopped = || guard.stopped();
        loop {
            clock.tick(&mut search);
            let open = search.open();
            if search.is_done() || open.is_empty() {
                break;
            }
            let questions: Vec<Question<'_>> = open
                .iter()
                .map(|(_, query)| {
                    let path = query.path();
                    let question = self.prompter.question_of(&profile, table, row, path.len(), path);
                    question.with_deadline(deadline.map(|(_, at)| at)).with_stop(&stopped)
                })
                .collect();
            let answers = match deadline {
                Some((limit, at)) if Instant::now() >= at => vec![Err(Error::Late { limit })],
                _ => guard.ask(&self.teacher, &questions)?,
            };
            let mut replies = Vec::with_capacity(open.len());
            let answers = answers.into_iter().map(Some).chain(std::iter::repeat_with(|| None));
            for ((id, query), answer) in open.iter().zip(answers) {
                let reply = match (query, answer) {
                    (Query::Propose { path, .. }, Some(answer)) => {
                        answer.and_then(|answer| self.proposals(path, answer, notes)).unwrap_or_else(failed)
                    }
                    // A search ends with the first failure of a wave.
                    (_, None) => Answer::failed("not asked, as a question before it failed"),
                    // The problem wants none, so these are never opened.
                    _ => Answer::failed("self-evaluation is not offered"),
                };
                replies.push((*id, reply));
            }
            drop(questions);
            for (id, reply) in replies {
                if search.is_done() {
                    break;
                }
                if let Err(error) = search.answer(id, reply) {
                    // Such as more tokens than the budget lets an answer have: the user fails, the run goes on.
                    search.answer(id, Answer::failed(causes(&error)))?;
                }
            }
        }
        let (outcome, trace) = search.into_parts();
        let neither = || Error::Incomplete {
            what: "search",
            expected: "an open query or an outcome".to_owned(),
            found: "neither".to_owned(),
        };
        Ok((outcome.ok_or_else(neither)?, trace))
    }

    /// A teacher's answer as the search takes it: calibrated, with notes of what the step will name.
    fn proposals(&self, path: &[u16], answer: LabelAnswer, notes: &mut AnswerNotes) -> Result<Answer<u16>> {
        let state = path.len();
        let mut masses = answer.distribution().ok_or_else(|| Error::Answer {
            model: self.teacher.model().to_owned(),
            state: self.chain().states().get(state).map_or("?", |state| state.name()).to_owned(),
            message: "expected a log-probability for at least one label, found none".to_owned(),
        })?;
        self.calibration.apply(state, path, &mut masses)?;
        let entropy = match (answer.samples, answer.missing.is_empty()) {
            (Some(samples), _) => EntropyInput::Sampled { samples, estimator: EntropyEstimator::MillerMadow },
            (None, true) => EntropyInput::Exact,
            (None, false) => self.partial(path, &answer),
        };
        let (covered, tokens) = (answer.covered_mass(), answer.tokens);
        let items = (0..).zip(masses).filter(|(value, _)| !answer.missing.contains(&usize::from(*value)));
        let items = items.collect();
        let note = AnswerNote { evidence: answer.evidence, samples: answer.samples };
        notes.insert((state, self.chain().parent_values(state, path)), note);
        Ok(Proposals::new(items).with_covered(covered).with_entropy(entropy).with_tokens(tokens).into())
    }

    /// What may be missing from an answer without some of the labels, on the scale of calibrated masses that sum to 1.
    fn partial(&self, path: &[u16], answer: &LabelAnswer) -> EntropyInput {
        let state = path.len();
        let allowed = self.chain().allowed(state, path);
        let factor = |value: usize| self.calibration.factor(state, path, value);
        let answered = (0..answer.log_probs.len()).filter(|value| !answer.missing.contains(value));
        let known: f64 = answered.map(|value| answer.log_probs[value].exp() * factor(value)).sum();
        // Other paths that share the answer may allow what this one does not.
        let admissible =
            |value: &&usize| self.problem.is_joined() || allowed.get(**value).copied().unwrap_or(false);
        let missing: Vec<usize> = answer.missing.iter().filter(admissible).copied().collect();
        // All the teacher's remaining probability, on the label that the calibration raises most.
        let most =
            (1.0 - answer.covered_mass()) * missing.iter().map(|&value| factor(value)).fold(0.0, f64::max);
        // Labels far down a large vocabulary may underflow together: then nearly all is unseen.
        let mass = if known > 0.0 { (most / known).min(1e12) } else { 1e12 };
        EntropyInput::Partial { missing: missing.len(), mass }
    }

    /// Turns the search's outcome into a record with a verdict.
    fn curate(
        &self,
        table: &ProfileTable,
        row: usize,
        outcome: &Outcome<u16>,
        notes: &AnswerNotes,
    ) -> Result<ChainRecord> {
        let rendered = self.prompter.rendered(table, row);
        let chain = |path: &ScoredPath<u16>| self.chain_of(path, &rendered, notes);
        let best = outcome.best.as_ref().map(chain).transpose()?;
        let runners_up: Vec<Chain> = outcome.runners_up.iter().map(chain).collect::<Result<_>>()?;
        let usage = &outcome.usage;
        let mut cost = SearchCost::default();
        (cost.queries, cost.nodes) = (usage.queries, usage.nodes);
        (cost.rounds, cost.tokens) = (usage.rounds, usage.tokens);
        cost.stop = search_stop(&outcome.stop);
        let verdict = self.verdict(outcome, best.as_ref());
        let record = ChainRecord::new(table.id(row), verdict).with_cost(cost);
        if matches!(record.verdict, Verdict::Abstained { .. }) {
            return Ok(record);
        }
        // A draft that broke off has entropies for some states only.
        let whole = outcome.draft_entropy.len() == self.chain().len();
        Ok(record
            .with_best(best)
            .with_runners_up(runners_up)
            .with_posterior(self.posterior(outcome))
            .with_posterior_width(self.posterior_width(outcome))
            .with_entropy_before(if whole { outcome.draft_entropy.clone() } else { Vec::new() }))
    }

    fn verdict(&self, outcome: &Outcome<u16>, best: Option<&Chain>) -> Verdict {
        if let StopReason::QueryFailed(message) = &outcome.stop {
            return Verdict::Failed { reason: Reason::TeacherFailed { message: message.clone() } };
        }
        let Some(best) = best else {
            let reason = match &outcome.stop {
                StopReason::DeadEnd => Reason::DeadEnd,
                bound => Reason::OutOfBudget { bound: search_stop(bound) },
            };
            return Verdict::Rejected { reason };
        };
        if best.steps().iter().all(|step| step.evidence.is_empty()) {
            return Verdict::Abstained { reason: Reason::NoEvidence };
        }
        match self.score_bar {
            Some(bar) if best.score() < bar => {
                Verdict::Rejected { reason: Reason::LowScore { score: best.score(), bar } }
            }
            _ => Verdict::Accepted,
        }
    }

    fn chain_of(&self, path: &ScoredPath<u16>, rendered: &[String], notes: &AnswerNotes) -> Result<Chain> {
        let mut steps = Vec::with_capacity(path.steps.len());
        for (k, found) in path.steps.iter().enumerate() {
            let mut distribution = vec![0.0; self.chain().domain_size(k)];
            for (value, probability) in &found.distribution {
                if let Some(slot) = distribution.get_mut(usize::from(*value)) {
                    *slot = *probability;
                }
            }
            let before = &path.path[..k];
            let note = notes.get(&(k, self.chain().parent_values(k, before)));
            let evidence = note.and_then(|note| note.evidence.clone()).unwrap_or_else(|| rendered.to_vec());
            let mut step = Step::exact(found.thought, distribution);
            if let Some(samples) = note.and_then(|note| note.samples) {
                step.entropy = found.entropy;
                step.entropy_source = EntropySource::MillerMadow { samples };
            } else if let Some((low, high)) = found.interval {
                step.entropy = found.entropy;
                step.entropy_source = EntropySource::Interval { low, high };
            }
            let rationale = rationale::sentence(self.chain(), k, before, &step, &evidence);
            steps.push(
                step.with_covered_mass(found.covered).with_evidence(evidence).with_rationale(rationale),
            );
        }
        Ok(Chain::new(self.chain(), steps, path.score.total)?)
    }

    /// The posterior per state over the state's whole domain; empty if no chain was scored.
    fn posterior(&self, outcome: &Outcome<u16>) -> Vec<Vec<f64>> {
        if outcome.posterior.len() != self.chain().len() {
            return Vec::new();
        }
        let dense = |(k, found): (usize, &Vec<(u16, f64)>)| {
            let mut posterior = vec![0.0; self.chain().domain_size(k)];
            for (value, probability) in found {
                if let Some(slot) = posterior.get_mut(usize::from(*value)) {
                    *slot += probability;
                }
            }
            posterior
        };
        outcome.posterior.iter().enumerate().map(dense).collect()
    }

    /// How far the posterior of each state is from known, where it is one over all chains.
    fn posterior_width(&self, outcome: &Outcome<u16>) -> Vec<f64> {
        if outcome.marginals.len() != self.chain().len() {
            return Vec::new();
        }
        outcome.marginals.iter().map(StepMarginal::width).collect()
    }
}

/// What ended a search, as a record has it.
fn search_stop(stop: &StopReason) -> SearchStop {
    match stop {
        StopReason::Complete => SearchStop::Complete,
        StopReason::Accepted => SearchStop::Accepted,
        StopReason::Settled => SearchStop::Settled,
        StopReason::Rounds => SearchStop::Rounds,
        StopReason::Depth => SearchStop::Depth,
        StopReason::Nodes => SearchStop::Nodes,
        StopReason::Queries => SearchStop::Queries,
        StopReason::Tokens => SearchStop::Tokens,
        StopReason::Time => SearchStop::Time,
        StopReason::DeadEnd => SearchStop::DeadEnd,
        StopReason::QueryFailed(reason) => SearchStop::QueryFailed(reason.clone()),
        other => SearchStop::from(other.to_string()),
    }
}

fn failed(error: Error) -> Answer<u16> {
    Answer::failed(causes(&error))
}

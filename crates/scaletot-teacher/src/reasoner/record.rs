//! Every question that any search about a user may ask, and recording the answers to them.

use std::collections::HashSet;
use std::num::NonZeroUsize;

use scaletot_core::{Pool, Progress, causes};
use scaletot_profile::ProfileTable;

use super::Reasoner;
use super::asks::{Ask, legal_asks};
use super::guard::RunGuard;
use super::mass::{Mean, warn_of_low_mass};
use super::tally::Tally;
use crate::error::{Error, Result};
use crate::question::Question;
use crate::replay::{RecordSummary, Recorder};
use crate::teacher::Teacher;

impl Reasoner<'_> {
    /// One question for every prompt that a search about this user may ask, whatever its strategy, calibration and
    /// bounds: each state with each combination of values of the states it depends on that a legal chain can have.
    ///
    /// # Errors
    ///
    /// [`Error::Config`](crate::Error::Config) if the table has another schema or no such row, or the states are so entangled that there are
    /// more than 100,000 situations to tell apart.
    pub fn all_questions<'a>(&'a self, table: &'a ProfileTable, row: usize) -> Result<Vec<Question<'a>>> {
        self.check(table, &[row])?;
        Ok(self.questions(self.asks()?, table, row))
    }

    pub(super) fn questions<'a>(
        &'a self,
        asks: &'a [Ask],
        table: &'a ProfileTable,
        row: usize,
    ) -> Vec<Question<'a>> {
        let profile = self.prompter.profile(table, row);
        asks.iter().map(|ask| self.prompter.question_of(&profile, table, row, ask.state, &ask.path)).collect()
    }

    pub(super) fn asks(&self) -> Result<&[Ask]> {
        if let Some(asks) = self.asks.get() {
            return Ok(asks);
        }
        let asks = legal_asks(self.chain())?.asks;
        Ok(self.asks.get_or_init(|| asks))
    }

    /// Records the answer to every question that a search about any of these users may ask, and writes the file.
    ///
    /// Answers that are recorded already are not asked again, so an interrupted recording goes on where it was. Users
    /// with too few populated fields are left out. One about whom the teacher fails is not asked about further, and counted. When `progress` asks to stop, no
    /// further question is asked, and one that waits for a server is given up.
    ///
    /// The recorder's teacher is asked, not this reasoner's (which may be the same: `Reasoner::builder(&recorder, …)`).
    ///
    /// # Errors
    ///
    /// [`Error::Config`](crate::Error::Config) as for [`all_questions`](Self::all_questions); [`Error::NoAnswers`] if the teacher answers
    /// nobody, as for [`run`](Self::run), or its first answers are all such as [nobody can reason with](crate::LabelAnswer::check_covered_mass);
    /// [`Error::TooManyFailed`] if it failed about more users than [may](crate::ReasonerBuilder::with_max_failed_share);
    /// [`Error::Io`](crate::Error::Io) if the file cannot be written. What was recorded before an error is written first.
    pub fn record_all<T: Teacher>(
        &self,
        table: &ProfileTable,
        rows: &[usize],
        recorder: &Recorder<T>,
        workers: usize,
        progress: &dyn Progress,
    ) -> Result<RecordSummary> {
        self.check(table, rows)?;
        let asks = self.asks()?;
        let users: Vec<usize> =
            rows.iter().copied().filter(|&row| table.populated(row) >= self.min_populated).collect();
        let mut summary = RecordSummary { skipped: rows.len() - users.len(), ..RecordSummary::default() };
        let before = recorder.len();
        let mut prompts = HashSet::new();
        let (mut failures, mut covered) = (Tally::default(), Mean::default());
        progress.start("record", users.len() as u64);
        let asked_to_stop = || progress.stopped();
        let guard = RunGuard::of_recording(&asked_to_stop, before > 0);
        let stopped = || guard.stopped();
        let workers = NonZeroUsize::new(workers.min(users.len())).unwrap_or(NonZeroUsize::MIN);
        let taken: Result<u64> = Pool::new(workers).with_stop(&stopped).map(
            users.iter(),
            |_, &row| {
                let questions = self.questions(asks, table, row);
                let keys: Vec<_> = questions.iter().map(|question| question.key(recorder.model())).collect();
                let questions: Vec<Question<'_>> =
                    questions.into_iter().map(|question| question.with_stop(&stopped)).collect();
                let answers = guard.ask(recorder, &questions)?.into_iter();
                let masses: Result<Vec<f64>> = answers.map(|answer| Ok(answer?.covered_mass())).collect();
                Ok(masses.map(|masses| (keys, masses)))
            },
            |_, answered: Result<Result<(Vec<_>, Vec<f64>)>>| {
                match answered {
                    Ok(Ok((keys, masses))) => {
                        prompts.extend(keys);
                        masses.into_iter().for_each(|mass| covered.add(mass));
                        summary.users += 1;
                    }
                    Ok(Err(error)) => {
                        failures.count_reason(causes(&error));
                        summary.failed += 1;
                    }
                    // What the others in hand gave is counted.
                    Err(Error::Stopped) => {
                        summary.stopped = true;
                        return Ok(());
                    }
                    Err(error) => return Err(error),
                }
                progress.advance(1);
                Ok(())
            },
        );
        progress.finish();
        let ended = guard.finish();
        // A teacher that left nothing to keep leaves no file either.
        if (ended.is_ok() && summary.failed == 0) || !recorder.is_empty() {
            recorder.checkpoint()?;
        }
        let taken = taken?;
        ended?;
        summary.stopped |= taken < users.len() as u64;
        summary.covered_mass = covered.mean();
        warn_of_low_mass(summary.covered_mass, progress);
        summary.prompts = prompts.len();
        summary.asked = recorder.len() - before;
        summary.failure = failures.most_frequent();
        if !summary.stopped {
            self.check_failed(summary.failed, users.len(), summary.failure.as_ref())?;
        }
        Ok(summary)
    }
}

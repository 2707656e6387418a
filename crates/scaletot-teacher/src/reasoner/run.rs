//! Reasons about many users and writes the corpus.

use std::collections::{BTreeMap, HashSet};
use std::num::NonZeroUsize;
use std::time::Instant;

use scaletot_chain::{CorpusWriter, Verdict};
use scaletot_core::config::ConfigError;
use scaletot_core::{Pool, Progress};
use scaletot_profile::ProfileTable;
use serde::{Deserialize, Serialize};

use super::Reasoner;
use super::guard::RunGuard;
use super::mass::{Mean, warn_of_low_mass};
use super::tally::{FailureCount, Tally};
use crate::error::{Error, Result};
use crate::ledger::LedgerSnapshot;
use crate::teacher::Teacher;

impl Reasoner<'_> {
    /// Reasons about the users in `rows` with that many worker threads and appends their records to a corpus.
    ///
    /// Records are appended in the order of `rows`, so that the corpus has the same bytes whatever the number of
    /// workers. The seed of the searches is the one in the corpus's [header](Self::header). Users who have a record
    /// already are skipped: a corpus that was resumed goes on where it stopped. When
    /// `progress` asks to stop, no further question is asked, one that waits for a server is given up, and users in hand have no
    /// record, nor has anybody after them in `rows`: a run that is resumed writes what it would have written without the
    /// stop. A teacher that fails, answers what cannot be used, or panics makes a failed record for the user it was asked about.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if the table has another schema, or a row does not exist or comes twice; [`Error::Chain`] if a
    /// record cannot be written, for instance to a full disk; [`Error::NoAnswers`] if the teacher answers nobody: the first
    /// attempts, at two users and more, all fail, or many at a state in a row later on, or one with a fault that every question will meet, such as a wrong key;
    /// [`Error::TooManyFailed`] if more users failed than [may](crate::ReasonerBuilder::with_max_failed_share). What was appended
    /// before stays, forced to disk; a corpus that [resumes without the failed](CorpusWriter::resume_without_failed) goes on with them.
    pub fn run(
        &self,
        table: &ProfileTable,
        rows: &[usize],
        corpus: &mut CorpusWriter,
        workers: usize,
        progress: &dyn Progress,
    ) -> Result<RunSummary> {
        self.check(table, rows)?;
        let mut once = HashSet::with_capacity(rows.len());
        if let Some(row) = rows.iter().find(|row| !once.insert(**row)) {
            return Err(ConfigError::new("rows", "each row once", format!("row {row} again")).into());
        }
        let seed = corpus.header().seed;
        let started = Instant::now();
        let before = self.ledger().snapshot();
        let before_by_model = self.teacher.spent_by_model();
        let todo: Vec<usize> = rows.iter().copied().filter(|&row| !corpus.contains(&table.id(row))).collect();
        let (mut failures, mut covered) = (Tally::default(), Mean::default());
        let mut summary = RunSummary { skipped: (rows.len() - todo.len()) as u64, ..RunSummary::default() };
        progress.start("reason", rows.len() as u64);
        progress.advance(summary.skipped);
        let asked_to_stop = || progress.stopped();
        let guard = match summary.skipped {
            0 => RunGuard::new(&asked_to_stop),
            _ => RunGuard::resumed(&asked_to_stop),
        };
        let stopped = || guard.stopped();
        let workers = NonZeroUsize::new(workers.min(todo.len())).unwrap_or(NonZeroUsize::MIN);
        let taken: Result<u64> = Pool::new(workers).with_stop(&stopped).map(
            todo.iter(),
            |_, &row| self.reason_caught(table, row, seed, &guard),
            |_, record| {
                let record = match record {
                    Err(Error::Stopped) => {
                        summary.stopped = true;
                        return Ok(());
                    }
                    // Written now, it would stand before the user who was in hand.
                    _ if summary.stopped => return Ok(()),
                    record => record?,
                };
                corpus.append(&record)?;
                summary.count(&record.verdict);
                failures.count(&record.verdict);
                record
                    .best
                    .iter()
                    .flat_map(|chain| chain.steps())
                    .for_each(|step| covered.add(step.covered_mass));
                progress.advance(1);
                Ok(())
            },
        );
        progress.finish();
        let synced = corpus.sync();
        let taken = taken?;
        synced?;
        guard.finish()?;
        summary.stopped |= taken < todo.len() as u64;
        summary.covered_mass = covered.mean();
        warn_of_low_mass(summary.covered_mass, progress);
        summary.failure = failures.most_frequent();
        summary.ledger = self.ledger().snapshot().since(&before);
        summary.models = self.models_since(&before_by_model, &summary.ledger);
        summary.seconds = started.elapsed().as_secs_f64();
        tracing::info!(?summary, "reasoned about users");
        if !summary.stopped {
            self.check_failed(summary.failed as usize, rows.len(), summary.failure.as_ref())?;
        }
        Ok(summary)
    }

    /// What each model was asked since `before`; `ledger` is what the teacher was asked, if it is one model.
    fn models_since(
        &self,
        before: &BTreeMap<String, LedgerSnapshot>,
        ledger: &LedgerSnapshot,
    ) -> BTreeMap<String, LedgerSnapshot> {
        let several = self.teacher.spent_by_model();
        if several.is_empty() {
            return BTreeMap::from([(self.teacher.model().to_owned(), *ledger)]);
        }
        let since = |(model, now): (String, LedgerSnapshot)| {
            let earlier = before.get(&model).copied().unwrap_or_default();
            (model, now.since(&earlier))
        };
        several.into_iter().map(since).collect()
    }
}

/// What became of the users of one run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct RunSummary {
    /// Users with an accepted chain.
    pub accepted: u64,
    /// Users whose chain was not good enough, or who have none.
    pub rejected: u64,
    /// Users who were not reasoned about, on purpose.
    pub abstained: u64,
    /// Users about whom the teacher failed.
    pub failed: u64,
    /// The most frequent reason of these; `None` without any.
    #[serde(default)]
    pub failure: Option<FailureCount>,
    /// Mean share of the teacher's probability on the labels, in `[0, 1]`, over the steps of all chains of this run; `None` without
    /// a chain. A mean of hundredths or less is a teacher that would rather say something else than any label.
    #[serde(default)]
    pub covered_mass: Option<f64>,
    /// Users who had a record before this run.
    pub skipped: u64,
    /// Whether it was asked to stop before the last user.
    pub stopped: bool,
    /// What the teacher's work cost in this run.
    pub ledger: LedgerSnapshot,
    /// The same by model: one entry, or one for each model that the teacher is made of. What was answered from the reasoner's own
    /// cache reached none of several models.
    #[serde(default)]
    pub models: BTreeMap<String, LedgerSnapshot>,
    /// Wall time, in seconds.
    pub seconds: f64,
}

impl RunSummary {
    /// Users whose record was written in this run.
    #[must_use]
    pub fn users(&self) -> u64 {
        self.accepted + self.rejected + self.abstained + self.failed
    }

    fn count(&mut self, verdict: &Verdict) {
        match verdict {
            Verdict::Accepted => self.accepted += 1,
            Verdict::Rejected { .. } => self.rejected += 1,
            Verdict::Abstained { .. } => self.abstained += 1,
            Verdict::Failed { .. } => self.failed += 1,
        }
    }
}

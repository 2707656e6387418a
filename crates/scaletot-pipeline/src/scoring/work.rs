//! Row groups to score, on several threads.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::error::{Context, Error, Result, bail, causes};
use scaletot_core::{Order, Pool, Progress};
use scaletot_encoder::{Drift, FieldHistogram};
use scaletot_profile::{Error as ProfileError, ParquetProfiles};

use super::Scorer;
use super::files::{Origin, PartWriter, Quarantined, assemble, origin_of};
use super::inputs::Input;
use super::job::{FileJob, OnError, is_damage};
use super::summary::ScoreSummary;

/// Where parts are until they are put together.
const PARTS: &str = ".parts";

/// Of so many batches one is counted for the drift: a group's beginning alone would not tell where its rows are sorted.
const DRIFT_EVERY: usize = 16;

/// Everything that a run needs to know.
pub(super) struct Work<'a> {
    scorer: &'a Scorer,
    inputs: &'a [Input],
    job: &'a FileJob,
    settings: String,
    /// The file that was opened last: its directory is read once for all of its row groups.
    open: Mutex<Option<(usize, Arc<ParquetProfiles>)>>,
}

/// What became of a row group.
enum Group {
    /// Its part is in place.
    Scored { users: usize, abstained: usize, too_far: usize, histograms: Vec<FieldHistogram> },
    /// Its part is there from an earlier run.
    Kept,
    /// It cannot be read.
    Bad(Quarantined),
}

/// What becomes of the file that a row group belongs to.
#[derive(Default)]
struct Pending {
    groups: usize,
    quarantined: Vec<Quarantined>,
}

/// What was found so far.
struct Found<'a> {
    work: &'a Work<'a>,
    pending: BTreeMap<usize, Pending>,
    summary: ScoreSummary,
    histograms: Option<Vec<FieldHistogram>>,
}

impl Found<'_> {
    /// Takes what became of a row group, and puts its file together if it is the last one.
    fn take(&mut self, file: usize, group: Group, progress: &dyn Progress) -> Result<()> {
        let state = self.pending.entry(file).or_default();
        state.groups += 1;
        match group {
            Group::Scored { users, abstained, too_far, histograms } => {
                self.summary.scored += users;
                self.summary.abstained += abstained;
                self.summary.too_far += too_far;
                match &mut self.histograms {
                    Some(all) => FieldHistogram::merge(all, &histograms)?,
                    none => *none = Some(histograms),
                }
            }
            Group::Kept => {}
            Group::Bad(bad) if self.work.job.on_error == OnError::Quarantine => {
                progress.note(&format!("left out: {}", bad.error));
                state.quarantined.push(bad);
            }
            Group::Bad(bad) => {
                let advice =
                    "stopped; what is scored is kept, and --on-error quarantine leaves such row groups out";
                return Err(Error::Input(bad.error)).context(advice);
            }
        }
        if state.groups == self.work.inputs[file].groups.len() {
            let quarantined = std::mem::take(&mut state.quarantined);
            self.pending.remove(&file);
            self.work.place(file, quarantined, &mut self.summary)?;
        }
        Ok(())
    }
}

impl<'a> Work<'a> {
    pub(super) fn new(scorer: &'a Scorer, inputs: &'a [Input], job: &'a FileJob, settings: String) -> Self {
        Self { scorer, inputs, job, settings, open: Mutex::new(None) }
    }

    /// Scores what is not scored yet.
    pub(super) fn run(&self, progress: &dyn Progress) -> Result<ScoreSummary> {
        let threads = self.job.threads;
        let mut summary = ScoreSummary {
            files: 0,
            users: 0,
            scored: 0,
            abstained: 0,
            too_far: 0,
            elapsed: Duration::ZERO,
            threads: threads.get(),
            quarantined: vec![],
            drift: None,
            left_over: vec![],
        };
        let mut items = vec![];
        for (file, input) in self.inputs.iter().enumerate() {
            match origin_of(&self.output(file)).filter(|(origin, rows)| self.holds(file, origin, *rows)) {
                Some((origin, rows)) => {
                    summary.files += 1;
                    summary.users += rows;
                    summary.quarantined.extend(origin.quarantined);
                }
                None if input.groups.is_empty() => self.place(file, vec![], &mut summary)?,
                None => items.extend((0..input.groups.len()).map(|group| (file, group))),
            }
        }
        // Parts of an earlier run are there; they would tell nothing about the rate of this one.
        let (kept, items): (Vec<_>, Vec<_>) =
            items.into_iter().partition(|&(file, group)| self.kept(file, group));
        let total: usize = items.iter().map(|&(file, group)| self.inputs[file].groups[group]).sum();
        let failed = AtomicBool::new(false);
        let stopped = || failed.load(Ordering::Relaxed) || progress.stopped();
        let began = Instant::now();
        progress.start("users scored", total as u64);
        let mut found = Found { work: self, pending: BTreeMap::new(), summary, histograms: None };
        let result = kept
            .into_iter()
            .try_for_each(|(file, _)| found.take(file, Group::Kept, progress))
            .and_then(|()| {
                Pool::new(threads).with_order(Order::Done).with_stop(&stopped).map(
                    items.into_iter(),
                    |_, (file, group)| (file, self.score(file, group, &stopped, progress)),
                    |_, (file, group)| {
                        // Nothing is found when the run is stopped on the way.
                        let taken = group.and_then(|group| {
                            group.map_or(Ok(()), |group| found.take(file, group, progress))
                        });
                        // The others need not finish their row groups after an error.
                        failed.fetch_or(taken.is_err(), Ordering::Relaxed);
                        taken
                    },
                )
            });
        progress.finish();
        result?;
        if progress.stopped() {
            return Err(Error::Stopped);
        }
        let Found { mut summary, histograms, .. } = found;
        summary.elapsed = began.elapsed();
        if let Some(incoming) = histograms.filter(|_| summary.scored > 0) {
            summary.drift = Some(Drift::between(self.scorer.encoder.histograms(), &incoming)?);
        }
        // Empty by now.
        let _ = fs::remove_dir_all(self.job.output.join(PARTS));
        Ok(summary)
    }

    fn output(&self, file: usize) -> PathBuf {
        self.job.output.join(&self.inputs[file].relative)
    }

    fn part(&self, file: usize, group: usize) -> PathBuf {
        let parts = self.job.output.join(PARTS).join(&self.inputs[file].relative);
        parts.join(format!("{group}.parquet"))
    }

    fn origin(&self, file: usize, quarantined: Vec<Quarantined>) -> Origin {
        Origin { settings: self.settings.clone(), input: self.inputs[file].fingerprint.clone(), quarantined }
    }

    /// Whether scores of such an origin and so many rows are those of an input file.
    fn holds(&self, file: usize, origin: &Origin, rows: usize) -> bool {
        let left_out: usize = origin.quarantined.iter().map(|group| group.rows).sum();
        // What was left out once is tried again, unless it may be left out again.
        let whole = origin.quarantined.is_empty() || self.job.on_error == OnError::Quarantine;
        whole
            && *origin == self.origin(file, origin.quarantined.clone())
            && rows + left_out == self.inputs[file].groups.iter().sum::<usize>()
    }

    /// Whether an earlier run has scored a row group, or there is nobody in it.
    fn kept(&self, file: usize, group: usize) -> bool {
        let users = self.inputs[file].groups[group];
        users == 0 || origin_of(&self.part(file, group)) == Some((self.origin(file, vec![]), users))
    }

    /// Scores a row group into its part; nothing if the run is stopped on the way.
    fn score(
        &self,
        file: usize,
        group: usize,
        stopped: &(dyn Fn() -> bool + Sync),
        progress: &dyn Progress,
    ) -> Result<Option<Group>> {
        // Which file it is stands in the error.
        let named = || format!("row group {group}");
        match self.write_part(file, group, stopped, progress) {
            Err(error) if is_damage(&error) => Ok(Some(Group::Bad(Quarantined {
                file: self.inputs[file].source.clone(),
                row_group: Some(group),
                rows: self.inputs[file].groups[group],
                error: format!("{}: {}", named(), causes(&error)),
            }))),
            found => found.with_context(named),
        }
    }

    /// Reads, scores and writes a row group; nothing if the run is stopped on the way.
    fn write_part(
        &self,
        file: usize,
        group: usize,
        stopped: &(dyn Fn() -> bool + Sync),
        progress: &dyn Progress,
    ) -> Result<Option<Group>> {
        let profiles = self.profiles(file)?;
        let (mut writer, mut histograms, mut seen) = (None, vec![], 0);
        let (mut abstained, mut too_far) = (0, 0);
        for (number, batch) in profiles.row_group(group)?.enumerate() {
            if stopped() {
                return Ok(None);
            }
            let batch = batch?.profiles;
            let scores = self.scorer.encoder.score(&batch)?;
            if number % DRIFT_EVERY == 0 {
                // An encoder is trained on profiles with enough populated fields, so only such are compared with the training profiles.
                let enough = |row: &usize| !scores.abstained[*row] || scores.too_far[*row];
                let rows: Vec<usize> = (0..batch.len()).filter(enough).collect();
                let own = FieldHistogram::of(self.scorer.encoder.featuriser(), &batch, &rows)?;
                match number {
                    0 => histograms = own,
                    _ => FieldHistogram::merge(&mut histograms, &own)?,
                }
            }
            abstained += scores.abstentions();
            too_far += scores.too_far.iter().filter(|far| **far).count();
            let columns = self.scorer.columns.batch(batch.ids(), &scores)?;
            let writer = match &mut writer {
                Some(writer) => writer,
                empty => {
                    let (part, origin) = (self.part(file, group), self.origin(file, vec![]));
                    empty.insert(PartWriter::create(&part, &columns, &origin)?)
                }
            };
            writer.write(&columns)?;
            seen += batch.len();
            progress.advance(batch.len() as u64);
        }
        // The reader has compared the number of rows with the file's directory.
        writer.map_or(Ok(()), PartWriter::finish)?;
        Ok(Some(Group::Scored { users: seen, abstained, too_far, histograms }))
    }

    fn profiles(&self, file: usize) -> Result<Arc<ParquetProfiles>, ProfileError> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        match &*open {
            Some((other, profiles)) if *other == file => Ok(Arc::clone(profiles)),
            _ => {
                let (schema, options) = (&self.scorer.schema, self.scorer.read_options());
                let profiles = Arc::new(ParquetProfiles::open(&self.inputs[file].path, schema, &options)?);
                *open = Some((file, Arc::clone(&profiles)));
                Ok(profiles)
            }
        }
    }

    /// Puts a file's parts together, compares the number of users, and removes the parts.
    fn place(
        &self,
        file: usize,
        mut quarantined: Vec<Quarantined>,
        summary: &mut ScoreSummary,
    ) -> Result<()> {
        quarantined.sort_by_key(|group| group.row_group);
        let input = &self.inputs[file];
        input.check_unchanged()?;
        let left_out = |group: usize| quarantined.iter().any(|bad| bad.row_group == Some(group));
        let groups = || (0..input.groups.len()).filter(|&group| input.groups[group] > 0 && !left_out(group));
        let mut parts: Vec<PathBuf> = groups().map(|group| self.part(file, group)).collect();
        if parts.is_empty() {
            // A file without users has scores without users.
            let (part, empty) = (self.part(file, 0), self.scorer.columns.empty(input.text_ids));
            PartWriter::create(&part, &empty, &self.origin(file, vec![]))?.finish()?;
            parts.push(part);
        }
        let (output, expected) =
            (self.output(file), groups().map(|group| input.groups[group]).sum::<usize>());
        let origin = self.origin(file, quarantined);
        let rows = assemble(&parts, &output, &origin)?;
        if rows != expected {
            let _ = fs::remove_file(&output);
            bail!("{}: expected {expected} users in its parts, found {rows}", output.display());
        }
        if let Some(directory) = parts.first().and_then(|part| part.parent()) {
            fs::remove_dir_all(directory)
                .with_context(|| format!("cannot remove {}", directory.display()))?;
        }
        summary.files += 1;
        summary.users += rows;
        summary.quarantined.extend(origin.quarantined);
        Ok(())
    }
}

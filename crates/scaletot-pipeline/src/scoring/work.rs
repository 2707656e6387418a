//! Row groups to score, on several threads.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
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
use super::job::{FileJob, OnError, TOLD, is_damage, rows_left_out};
use super::place::{self, PARTS};
use super::summary::ScoreSummary;
use super::sums::Sums;

/// Of so many batches one is counted for the drift: a group's beginning alone would not tell where its rows are sorted.
const DRIFT_EVERY: usize = 16;

/// Everything that a run needs to know.
pub(super) struct Work<'a> {
    scorer: &'a Scorer,
    inputs: &'a [Input],
    job: &'a FileJob,
    settings: String,
    sums: &'a Sums,
    /// The file that was opened last: its directory is read once for all of its row groups.
    open: Mutex<Option<(usize, Arc<ParquetProfiles>)>>,
}

/// What became of a row group.
enum Group {
    /// Its part is in place.
    Scored {
        users: usize,
        abstained: usize,
        too_far: usize,
        histograms: Vec<FieldHistogram>,
        left_out: Option<Quarantined>,
    },
    /// Its part is there from an earlier run, without the rows that were left out.
    Kept(Vec<Quarantined>),
    /// It cannot be read.
    Bad(Quarantined),
}

/// What earlier runs have left of a file's scores.
enum Earlier {
    /// All of them.
    Whole { rows: usize, quarantined: Vec<Quarantined> },
    /// For each row group, if its part is there, what was left out of it.
    Parts(Vec<Option<Vec<Quarantined>>>),
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
            Group::Scored { users, abstained, too_far, histograms, left_out } => {
                if let Some(left_out) = left_out {
                    progress.note(&format!("left out: {}", left_out.error));
                    state.quarantined.push(left_out);
                }
                self.summary.scored += users;
                self.summary.abstained += abstained;
                self.summary.too_far += too_far;
                match &mut self.histograms {
                    // Of batches in which no row fits nothing is counted.
                    _ if histograms.is_empty() => {}
                    Some(all) => FieldHistogram::merge(all, &histograms)?,
                    none => *none = Some(histograms),
                }
            }
            Group::Kept(left_out) => state.quarantined.extend(left_out),
            Group::Bad(bad) if self.work.job.on_error == OnError::Quarantine => {
                progress.note(&format!("left out: {}", bad.error));
                state.quarantined.push(bad);
            }
            Group::Bad(bad) => {
                let advice = "stopped; what is scored is kept, and --on-error quarantine leaves out what does not fit or cannot be read";
                return Err(Error::Input(bad.error)).context(advice);
            }
        }
        if state.groups == self.work.inputs[file].groups.len() {
            let quarantined = std::mem::take(&mut state.quarantined);
            self.pending.remove(&file);
            self.work.place(file, quarantined, &mut self.summary, &|| progress.stopped())?;
        }
        Ok(())
    }
}

impl<'a> Work<'a> {
    pub(super) fn new(
        scorer: &'a Scorer,
        inputs: &'a [Input],
        job: &'a FileJob,
        settings: String,
        sums: &'a Sums,
    ) -> Self {
        Self { scorer, inputs, job, settings, sums, open: Mutex::new(None) }
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
        let stop = || progress.stopped();
        let earlier = self.earlier(&stop)?;
        let (mut kept, mut items) = (vec![], vec![]);
        for (file, earlier) in earlier.into_iter().enumerate() {
            match earlier {
                Earlier::Whole { rows, quarantined } => {
                    summary.files += 1;
                    summary.users += rows;
                    summary.quarantined.extend(quarantined);
                }
                Earlier::Parts(groups) if groups.is_empty() => {
                    self.place(file, vec![], &mut summary, &stop)?;
                }
                // Parts of an earlier run are there; they would tell nothing about the rate of this one.
                Earlier::Parts(groups) => {
                    for (group, there) in groups.into_iter().enumerate() {
                        match there {
                            Some(left_out) => kept.push((file, left_out)),
                            None => items.push((file, group)),
                        }
                    }
                }
            }
        }
        let total: usize = items.iter().map(|&(file, group)| self.inputs[file].groups[group]).sum();
        let failed = AtomicBool::new(false);
        let stopped = || failed.load(Ordering::Relaxed) || progress.stopped();
        let began = Instant::now();
        progress.start("users scored", total as u64);
        let mut found = Found { work: self, pending: BTreeMap::new(), summary, histograms: None };
        let result = kept
            .into_iter()
            .try_for_each(|(file, left_out)| found.take(file, Group::Kept(left_out), progress))
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
        let Found { mut summary, histograms, .. } = found;
        // Asked to stop after the last file, there is nothing to resume.
        if summary.files < self.inputs.len() {
            return Err(Error::Stopped);
        }
        summary.elapsed = began.elapsed();
        if let Some(incoming) = histograms.filter(|_| summary.scored > 0) {
            summary.drift = Some(Drift::between(self.scorer.encoder.histograms(), &incoming)?);
        }
        place::clear(&self.job.output.join(PARTS))?;
        Ok(summary)
    }

    fn output(&self, file: usize) -> PathBuf {
        self.job.output.join(&self.inputs[file].relative)
    }

    /// A part, by its path in the output directory.
    fn part(&self, file: usize, group: usize) -> PathBuf {
        Path::new(PARTS).join(&self.inputs[file].relative).join(format!("{group}.parquet"))
    }

    fn origin(&self, file: usize, quarantined: Vec<Quarantined>) -> Origin {
        Origin { settings: self.settings.clone(), input: self.inputs[file].hash.to_string(), quarantined }
    }

    /// What earlier runs have left of every file; its bytes are looked at, several files at a time.
    fn earlier(&self, stopped: &(dyn Fn() -> bool + Sync)) -> Result<Vec<Earlier>> {
        let mut found = Vec::with_capacity(self.inputs.len());
        Pool::new(self.job.threads).with_stop(stopped).map(
            0..self.inputs.len(),
            |_, file| self.earlier_of(file, stopped),
            |_, earlier| {
                found.push(earlier?);
                Ok::<(), Error>(())
            },
        )?;
        if found.len() < self.inputs.len() { Err(Error::Stopped) } else { Ok(found) }
    }

    fn earlier_of(&self, file: usize, stopped: &dyn Fn() -> bool) -> Result<Earlier> {
        let input = &self.inputs[file];
        let users = input.groups.iter().sum();
        if let Some((origin, rows)) =
            origin_of(&self.output(file)).filter(|(origin, rows)| self.is_of(file, origin, *rows, users))
            && self.sums.holds(&input.relative, stopped)?
        {
            return Ok(Earlier::Whole { rows, quarantined: origin.quarantined });
        }
        let groups = (0..input.groups.len()).map(|group| self.kept(file, group, stopped));
        Ok(Earlier::Parts(groups.collect::<Result<_>>()?))
    }

    /// Whether scores of such an origin and so many rows are those of so many users of an input file.
    fn is_of(&self, file: usize, origin: &Origin, rows: usize, users: usize) -> bool {
        let left_out: usize = origin.quarantined.iter().map(|group| group.rows).sum();
        // What was left out once is tried again, unless it may be left out again.
        let whole = origin.quarantined.is_empty() || self.job.on_error == OnError::Quarantine;
        whole && *origin == self.origin(file, origin.quarantined.clone()) && rows + left_out == users
    }

    /// Whether an earlier run has scored a row group, or there is nobody in it.
    /// What was left out of it.
    fn kept(
        &self,
        file: usize,
        group: usize,
        stopped: &dyn Fn() -> bool,
    ) -> Result<Option<Vec<Quarantined>>> {
        let (users, part) = (self.inputs[file].groups[group], self.part(file, group));
        if users == 0 {
            return Ok(Some(vec![]));
        }
        let found = origin_of(&self.job.output.join(&part))
            .filter(|(origin, rows)| self.is_of(file, origin, *rows, users));
        match found {
            Some((origin, _)) if self.sums.holds(&part, stopped)? => Ok(Some(origin.quarantined)),
            _ => Ok(None),
        }
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
        let (mut abstained, mut too_far, mut bad, mut left_out) = (0, 0, 0, vec![]);
        for (number, batch) in profiles.row_group(group)?.enumerate() {
            if stopped() {
                return Ok(None);
            }
            let loaded = batch?;
            bad += loaded.left_out.len();
            // A row group of a few bytes may have milliards of them.
            let room = TOLD.saturating_sub(left_out.len());
            left_out.extend(loaded.left_out.into_iter().take(room));
            let batch = loaded.profiles;
            if batch.is_empty() {
                continue;
            }
            let scores = self.scorer.encoder.score(&batch)?;
            if number % DRIFT_EVERY == 0 {
                // An encoder is trained on profiles with enough populated fields, so only such are compared with the training profiles.
                let enough = |row: &usize| !scores.abstained[*row] || scores.too_far[*row];
                let rows: Vec<usize> = (0..batch.len()).filter(enough).collect();
                let own = FieldHistogram::of(self.scorer.encoder.featuriser(), &batch, &rows)?;
                match histograms.is_empty() {
                    true => histograms = own,
                    false => FieldHistogram::merge(&mut histograms, &own)?,
                }
            }
            abstained += scores.abstentions();
            too_far += scores.too_far.iter().filter(|far| **far).count();
            let columns = self.scorer.columns.batch(batch.ids(), &scores)?;
            let writer = match &mut writer {
                Some(writer) => writer,
                empty => {
                    let part = self.job.output.join(self.part(file, group));
                    empty.insert(PartWriter::create(&part, &columns)?)
                }
            };
            writer.write(&columns)?;
            seen += batch.len();
            progress.advance(batch.len() as u64);
        }
        // The reader has compared the number of rows with the file's directory.
        let left_out = rows_left_out(&self.inputs[file].source, Some(group), bad, &left_out);
        match (writer, left_out) {
            // Of a row group in which no row fits there is no part.
            (None, Some(all)) => Ok(Some(Group::Bad(all))),
            (writer, left_out) => {
                if let Some(writer) = writer {
                    let origin = self.origin(file, left_out.iter().cloned().collect());
                    self.sums.add(&self.part(file, group), writer.finish(&origin)?)?;
                }
                Ok(Some(Group::Scored { users: seen, abstained, too_far, histograms, left_out }))
            }
        }
    }

    fn profiles(&self, file: usize) -> Result<Arc<ParquetProfiles>, ProfileError> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        match &*open {
            Some((other, profiles)) if *other == file => Ok(Arc::clone(profiles)),
            _ => {
                let (schema, options) = (&self.scorer.schema, self.scorer.file_options(self.job.on_error));
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
        stopped: &dyn Fn() -> bool,
    ) -> Result<()> {
        quarantined.sort_by_key(|group| group.row_group);
        let input = &self.inputs[file];
        input.check_unchanged(stopped)?;
        // Users of a row group who are scored; none where all of it is left out.
        let users = |group: usize| {
            let of_group = quarantined.iter().filter(|bad| bad.row_group == Some(group));
            input.groups[group].saturating_sub(of_group.map(|bad| bad.rows).sum())
        };
        let groups = || (0..input.groups.len()).filter(|&group| users(group) > 0);
        let place = |group: usize| self.job.output.join(self.part(file, group));
        let mut parts: Vec<PathBuf> = groups().map(place).collect();
        if parts.is_empty() {
            // A file without users has scores without users.
            let (part, empty) = (place(0), self.scorer.columns.empty(input.text_ids));
            PartWriter::create(&part, &empty)?.finish(&self.origin(file, vec![]))?;
            parts.push(part);
        }
        let (output, expected) = (self.output(file), groups().map(users).sum::<usize>());
        let origin = self.origin(file, quarantined);
        let (rows, hash) = assemble(&parts, &output, &origin)?;
        if rows != expected {
            let _ = fs::remove_file(&output);
            bail!("{}: expected {expected} users in its parts, found {rows}", output.display());
        }
        self.sums.add(&input.relative, hash)?;
        if let Some(directory) = parts.first().and_then(|part| part.parent()) {
            place::clear(directory)?;
        }
        summary.files += 1;
        summary.users += rows;
        summary.quarantined.extend(origin.quarantined);
        Ok(())
    }
}

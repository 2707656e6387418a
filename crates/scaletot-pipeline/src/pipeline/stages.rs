//! One stage, run or loaded.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use scaletot_core::{ContentHash, Progress};

use super::record::{Inputs, Record, STAGES, StageReport, Standing};
use crate::error::{Context, Error, Result, bail};

/// What a stage gave: its value, and what the record of stages says of it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Done<T> {
    /// The stage's result.
    pub value: T,
    /// What it did and cost, in this run or an earlier one.
    pub report: StageReport,
    /// Whether an earlier run had done it.
    pub resumed: bool,
    /// Hash of its files, which is an input of the stages after it.
    pub(crate) hash: ContentHash,
}

/// A stage's name, and its files by their names in the output directory.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StageFiles<'a> {
    pub(crate) name: &'a str,
    /// Files and directories by which it counts as done.
    pub(crate) outputs: &'a [&'a str],
    /// What it leaves half done when it is stopped, beside its outputs.
    pub(crate) checkpoint: Option<&'a str>,
}

/// The stages of one output directory.
#[derive(Debug)]
pub(crate) struct Stages {
    directory: PathBuf,
    record: Mutex<Record>,
}

impl Stages {
    /// Opens the directory's record, or begins one; nothing is written yet.
    pub(crate) fn open(directory: &Path) -> Result<Self> {
        Ok(Self { directory: directory.to_owned(), record: Mutex::new(Record::open(directory)?) })
    }

    /// Runs a stage unless it is done with these inputs; what it left half done with other inputs is removed.
    pub(crate) fn run<T>(
        &self,
        stage: &StageFiles<'_>,
        inputs: Inputs,
        progress: &dyn Progress,
        load: impl FnOnce() -> Result<T>,
        work: impl FnOnce() -> Result<(T, StageReport)>,
    ) -> Result<Done<T>> {
        let StageFiles { name, outputs, .. } = *stage;
        let standing = self.record().standing(name, &inputs, outputs)?;
        match standing {
            Standing::Done(hash, report) => {
                progress.note(&format!("{name}: done by an earlier run, not run again"));
                let value = load().with_context(|| format!("stage `{name}`"))?;
                return Ok(Done { value, report, resumed: true, hash });
            }
            Standing::Stale(why) => {
                progress.note(&format!("{name}: runs again ({})", why.join("; ")));
                self.forget(stage)?;
            }
            // Nothing is removed: the stage uses what it can of its files, such as the answers of a corpus that are undamaged and have cost
            // time or money, and replaces the rest.
            Standing::Damaged(why) => progress.note(&format!("{name}: runs again ({})", why.join("; "))),
            Standing::Started => progress.note(&format!("{name}: resumed")),
            Standing::New => {
                let there = outputs.iter().map(|output| self.directory.join(output));
                if let Some(output) = there.into_iter().find(|output| output.exists()) {
                    bail!(
                        "{} is there, and {STAGES} does not say what it was made of; use another output directory",
                        output.display()
                    );
                }
                progress.note(name);
            }
        }
        self.record().begin(name, inputs)?;
        let began = Instant::now();
        let (value, mut report) = work().with_context(|| format!("stage `{name}`"))?;
        if progress.stopped() {
            return Err(Error::Stopped);
        }
        report.seconds = began.elapsed().as_secs_f64();
        let hash = self.record().finish(name, outputs, report.clone())?;
        Ok(Done { value, report, resumed: false, hash })
    }

    /// As [`Record::differences_but_for`].
    pub(crate) fn differences_but_for(&self, stage: &str, inputs: &Inputs, left_out: &str) -> Vec<String> {
        self.record().differences_but_for(stage, inputs, left_out)
    }

    /// Removes the record: no stage counts as started any more.
    pub(crate) fn clear(&self) -> Result<()> {
        self.remove(STAGES)?;
        *self.record() = Record::open(&self.directory)?;
        Ok(())
    }

    /// Removes a stage's files.
    pub(crate) fn forget(&self, stage: &StageFiles<'_>) -> Result<()> {
        stage.outputs.iter().copied().chain(stage.checkpoint).try_for_each(|name| self.remove(name))
    }

    /// Removes a file or a directory, if it is there.
    pub(crate) fn remove(&self, name: &str) -> Result<()> {
        let path = self.directory.join(name);
        let removed = match fs::symlink_metadata(&path) {
            Err(_) => return Ok(()),
            Ok(found) if found.is_dir() => fs::remove_dir_all(&path),
            Ok(_) => fs::remove_file(&path),
        };
        removed.with_context(|| format!("cannot remove {}", path.display()))
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

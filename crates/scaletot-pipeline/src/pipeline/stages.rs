//! One stage, run or loaded.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use scaletot_core::files::remove_leftovers;
use scaletot_core::{ContentHash, Progress};

use super::owned::Found;
use super::record::{Inputs, Record, STAGES, StageReport, Standing, Whole, is_there};
use crate::error::{Context, Error, Result, bail, ensure};

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
    /// What it leaves half done when it is stopped, and resumes from: one of its outputs, or a file beside them.
    pub(crate) checkpoint: Option<&'a str>,
    /// Whether its outputs have cost time or money, so that they are thrown away on request alone.
    pub(crate) paid: bool,
}

impl StageFiles<'_> {
    /// All that it may leave.
    fn all(&self) -> impl Iterator<Item = &str> {
        self.outputs.iter().copied().chain(self.checkpoint)
    }
}

/// The stages of one output directory.
#[derive(Debug)]
pub(crate) struct Stages {
    directory: PathBuf,
    of: Whole,
    record: Mutex<Record>,
}

impl Stages {
    /// Opens the directory's record, or begins one; nothing is written yet. One that cannot be read is an error of what is asked next, unless
    /// it is [cleared](Self::clear) before.
    pub(crate) fn open(directory: &Path, of: Whole) -> Result<Self> {
        let record = Mutex::new(Record::open_or_remains(directory, of)?);
        Ok(Self { directory: directory.to_owned(), of, record })
    }

    /// Runs a stage unless it is done with these inputs; what it left half done with other inputs is removed, unless it was paid for.
    pub(crate) fn run<T>(
        &self,
        stage: &StageFiles<'_>,
        inputs: Inputs,
        progress: &dyn Progress,
        load: impl FnOnce() -> Result<T>,
        work: impl FnOnce() -> Result<(T, StageReport)>,
    ) -> Result<Done<T>> {
        let StageFiles { name, outputs, .. } = *stage;
        self.check_readable()?;
        let standing = self.record().standing(name, &inputs, outputs)?;
        if let Standing::Done(hash, report) = standing {
            progress.note(&format!("{name}: done by an earlier run, not run again"));
            let value = load().with_context(|| format!("stage `{name}`"))?;
            return Ok(Done { value, report, resumed: true, hash });
        }
        // What is done is recorded as done, however late the wish to stop comes; what is not begun stays so.
        if progress.stopped() {
            return Err(Error::Stopped);
        }
        self.check_paid(stage, &inputs, None)?;
        self.check_foreign(stage)?;
        match standing {
            Standing::Stale(why) => {
                progress.note(&format!("{name}: runs again ({})", why.join("; ")));
                self.forget(stage)?;
            }
            // Nothing is removed: the stage uses what it can of its files, such as the answers of a corpus that are undamaged and have cost
            // time or money, and replaces the rest.
            Standing::Damaged(why) => progress.note(&format!("{name}: runs again ({why})")),
            Standing::Incomplete(failed) => {
                progress.note(&format!("{name}: resumed, for {failed} users about whom the teacher failed"));
            }
            Standing::Started if self.there(stage.checkpoint.into_iter()).is_some() => {
                progress.note(&format!("{name}: resumed"));
            }
            _ => progress.note(name),
        }
        self.record().begin(name, inputs)?;
        let began = Instant::now();
        let (value, mut report) = work().with_context(|| format!("stage `{name}`"))?;
        report.seconds = began.elapsed().as_secs_f64();
        let hash = self.record().finish(name, outputs, report.clone())?;
        Ok(Done { value, report, resumed: false, hash })
    }

    /// Refuses to write over what was paid for and was made with other inputs. `left_out` is an input that is not known yet.
    pub(crate) fn check_paid(
        &self,
        stage: &StageFiles<'_>,
        inputs: &Inputs,
        left_out: Option<&str>,
    ) -> Result<()> {
        let Some(there) = self.there(stage.outputs.iter().copied()).filter(|_| stage.paid) else {
            return Ok(());
        };
        let differing = self.record().differences_but_for(stage.name, inputs, left_out);
        ensure!(
            differing.is_empty(),
            "{} was reasoned with other inputs ({}), and its answers have cost time or money: --out names another directory, --fresh throws \
             away what this one holds",
            there.display(),
            differing.join("; ")
        );
        Ok(())
    }

    /// Refuses to write over what is there, was paid for and is not what the stage wrote, where nothing can be made of what is left.
    pub(crate) fn check_intact(&self, stage: &StageFiles<'_>) -> Result<()> {
        let Some(there) = self.there(stage.outputs.iter().copied()) else { return Ok(()) };
        match self.record().damage(stage.name, stage.outputs)? {
            None => Ok(()),
            Some(why) => bail!(
                "{why}, and its answers have cost time or money: put back a copy of {0}, or remove it to ask again, or --fresh throws away all \
                 that this directory holds",
                there.display()
            ),
        }
    }

    /// Refuses to go on where nothing is known of the stages.
    pub(crate) fn check_readable(&self) -> Result<()> {
        match self.record().unreadable() {
            None => Ok(()),
            Some(why) => {
                bail!("{why}; --out names another directory, --fresh throws away what this one holds")
            }
        }
    }

    /// Refuses to write over files of a stage that was never started here, and to replace directories in which somebody else has put something.
    pub(crate) fn check_foreign(&self, stage: &StageFiles<'_>) -> Result<()> {
        if !self.is_started(stage.name) {
            return match self.there(stage.all()) {
                None => Ok(()),
                Some(path) => bail!(
                    "{} is there, and {STAGES} does not say what it was made of, so it is not written over: --out names another directory",
                    path.display()
                ),
            };
        }
        for output in stage.outputs.iter().filter(|output| is_there(&self.directory.join(output))) {
            if let Some(path) = Found::at(&self.directory, output)?.foreign.first() {
                bail!(
                    "{} is none of the files that stage `{}` writes, and the stage runs again, so it is not written over: move it away",
                    path.display(),
                    stage.name
                );
            }
        }
        Ok(())
    }

    /// The first of some names at which there is something.
    fn there<'n>(&self, mut names: impl Iterator<Item = &'n str>) -> Option<PathBuf> {
        names.find_map(|name| Some(self.directory.join(name)).filter(|path| is_there(path)))
    }

    /// Whether no stage was ever started here.
    pub(crate) fn is_new(&self) -> bool {
        self.record().started().next().is_none()
    }

    /// The stages that were started.
    pub(crate) fn started(&self) -> Vec<String> {
        self.record().started().map(str::to_owned).collect()
    }

    /// Whether a stage was started.
    pub(crate) fn is_started(&self, name: &str) -> bool {
        self.record().started().any(|started| started == name)
    }

    /// Whether a stage has come to its end, with whatever inputs.
    pub(crate) fn is_done(&self, name: &str) -> bool {
        self.record().is_done(name)
    }

    /// Whether there is a record that cannot be read.
    pub(crate) fn is_unreadable(&self) -> bool {
        self.record().unreadable().is_some()
    }

    /// Removes the record: no stage counts as started any more. For the end of starting over: as long as there is a record, what is left of
    /// the stages' files is known to be ours.
    pub(crate) fn clear(&self) -> Result<()> {
        self.remove(STAGES)?;
        *self.record() = Record::empty(&self.directory, self.of);
        Ok(())
    }

    /// Removes a stage's files, and what a killed writer left beside them.
    pub(crate) fn forget(&self, stage: &StageFiles<'_>) -> Result<()> {
        stage.all().try_for_each(|name| self.remove(name))
    }

    /// Removes a file, or of a directory what a stage writes into it, if it is there, and what a killed writer left beside it; of a link the link.
    /// Files of somebody else stay, and the directories that hold them.
    pub(crate) fn remove(&self, name: &str) -> Result<()> {
        let path = self.directory.join(name);
        let beside = path.parent().filter(|directory| directory.is_dir());
        if let Some(directory) = beside {
            remove_leftovers(directory, |target| target == path)?;
        }
        if !is_there(&path) {
            return Ok(());
        }
        let found = Found::at(&self.directory, name)?;
        let failed = |path: &Path| format!("cannot remove {}", path.display());
        for file in found.own.iter().map(|(file, _)| file).chain(&found.beside) {
            fs::remove_file(file).with_context(|| failed(file))?;
        }
        for directory in found.directories.iter().rev() {
            match fs::remove_dir(directory) {
                Err(error) if error.kind() == ErrorKind::DirectoryNotEmpty => {}
                removed => removed.with_context(|| failed(directory))?,
            }
        }
        Ok(())
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

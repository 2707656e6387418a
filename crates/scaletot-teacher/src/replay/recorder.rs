//! Records a teacher's answers.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use scaletot_core::causes;
use scaletot_core::files::FileLock;
use serde::Serialize;

use super::file::{self, Damage, Entry, Recording, ShortKey, Timing};
use super::journal::Journal;
use crate::answer::LabelAnswer;
use crate::busy::BusyClock;
use crate::error::{Error, Result};
use crate::key::PromptKey;
use crate::ledger::LedgerSnapshot;
use crate::once::OnceMap;
use crate::question::Question;
use crate::reasoner::FailureCount;
use crate::teacher::{Teacher, only};

/// Wraps a teacher and writes every answer to a file that [`Replay`](crate::Replay) reads.
///
/// Each prompt is asked and recorded once, from any number of threads. Answers come back rounded as the file holds
/// them. The file is written whole and atomically, by [`finish`](Self::finish) and [`checkpoint`](Self::checkpoint). Until then every answer is
/// written as it comes to a file `NAME.part.jsonl` beside it, which is forced to disk every second: a recording that was killed loses no answer that it was given, and
/// opened again it goes on from there.
///
/// A file has one recorder at a time: a second one is told who the first is.
pub struct Recorder<T> {
    inner: T,
    path: PathBuf,
    answers: OnceMap<ShortKey, Recorded>,
    /// Of earlier recordings to this file.
    timing: Timing,
    /// Answers of this recording that the teacher computed, and how long that took.
    computed: AtomicU64,
    busy: BusyClock,
    /// What the file does not hold yet; locked while either is written, so that an older state never replaces a newer one.
    journal: Mutex<Journal>,
    _lock: FileLock,
}

#[derive(Clone)]
struct Recorded {
    entry: Entry,
    /// The whole key, unless the answer came from the file, which keeps the short one.
    key: Option<PromptKey>,
}

impl<T: Teacher> Recorder<T> {
    /// Extends an existing recording, or starts one if there is no file. Lines that are damaged or cut are skipped with a warning that names them, and
    /// their answers asked for again; the file is as it was until the first write, and what a killed recording has left beside it is in it before that.
    ///
    /// # Errors
    ///
    /// As [`Replay::open`](crate::Replay::open), but for damage, [`Error::Format`] if the file holds another model's answers or nothing that was
    /// recorded, and [`Error::InUse`] if another recorder has it.
    pub fn open(inner: T, path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        file::compressed(path)?;
        let lock = FileLock::acquire(path)?;
        let mut recording = Recording::default();
        if path.symlink_metadata().is_ok() {
            let mut damaged = Vec::new();
            recording = file::read(path, Damage::Skip(&mut damaged))?;
            check_own(&recording, &damaged, inner.model(), path)?;
        }
        let journal = Journal::of(path, inner.model());
        let left = journal.left()?;
        let has_left = left.is_some();
        if let Some((left, damaged)) = left {
            check_own(&left, &damaged, inner.model(), journal.path())?;
            recording.entries.extend(left.entries);
        }
        let known: HashMap<_, _> =
            recording.entries.into_iter().map(|(key, entry)| (key, Recorded { entry, key: None })).collect();
        let recorder = Self {
            inner,
            path: path.to_owned(),
            answers: OnceMap::new(known, usize::MAX),
            timing: recording.timing,
            computed: AtomicU64::new(0),
            busy: BusyClock::default(),
            journal: Mutex::new(journal),
            _lock: lock,
        };
        if has_left {
            recorder.checkpoint()?;
        }
        Ok(recorder)
    }

    /// The wrapped teacher.
    pub fn inner(&self) -> &T {
        &self.inner
    }

    /// The file that is written.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The number of answers recorded so far.
    pub fn len(&self) -> usize {
        self.answers.len()
    }

    /// Whether nothing is recorded yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the answer to a question is recorded.
    pub fn contains(&self, question: &Question<'_>) -> bool {
        self.answers.contains(&file::short(&question.key(self.inner.model())))
    }

    /// Writes everything recorded so far.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the file cannot be written.
    pub fn checkpoint(&self) -> Result<()> {
        let mut journal = self.journal();
        let recording = Recording {
            model: self.inner.model().to_owned(),
            timing: self.timing(),
            entries: self.answers.snapshot().into_iter().map(|(key, known)| (key, known.entry)).collect(),
        };
        file::write(&self.path, &recording)?;
        journal.remove()?;
        let answers = recording.entries.len();
        tracing::debug!(path = %self.path.display(), answers, "wrote recorded answers");
        Ok(())
    }

    /// Gives the teacher back; what the last checkpoint did not write is beside the file.
    pub fn into_inner(self) -> T {
        self.inner
    }

    /// Writes the file and gives the teacher back.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the file cannot be written; what the last checkpoint wrote is still there.
    pub fn finish(self) -> Result<T> {
        self.checkpoint()?;
        Ok(self.inner)
    }

    fn journal(&self) -> MutexGuard<'_, Journal> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many answers the model computed for this file, and in what time.
    fn timing(&self) -> Timing {
        let answers = self.timing.answers + self.computed.load(Ordering::Relaxed);
        Timing { answers, seconds: self.timing.seconds + self.busy.total().as_secs_f64() }
    }

    /// Mean seconds that the model is busy for one answer, of this recording and of earlier ones to its file; `None` before the first answer. See
    /// [`Replay::seconds_per_answer`](crate::Replay::seconds_per_answer).
    pub fn seconds_per_answer(&self) -> Option<f64> {
        self.timing().per_answer()
    }

    /// The short and whole keys of questions. A replay knows model, prompt and labels only, so no other key could be found again.
    fn keys(&self, questions: &[Question<'_>]) -> Vec<(ShortKey, PromptKey)> {
        let keys = questions.iter().map(|question| question.key(self.inner.model()));
        keys.map(|key| (file::short(&key), key)).collect()
    }

    /// Refuses answers that depend on more than the prompt and the way they are obtained, which is known once there is one.
    fn check_recordable(&self, question: &Question<'_>, key: &PromptKey) -> Result<()> {
        let message = "its answers depend on more than the prompt, so they cannot be recorded by prompt";
        match self.inner.cache_key(question).is_some_and(|own| own.has_question_of(key)) {
            true => Ok(()),
            false => Err(Error::Model {
                model: self.model().to_owned(),
                message: message.to_owned(),
                source: None,
            }),
        }
    }

    fn compute(
        &self,
        questions: &[Question<'_>],
        keys: &[(ShortKey, PromptKey)],
        at: &[usize],
    ) -> Vec<Result<Recorded>> {
        let asked: Vec<Question<'_>> = at.iter().map(|&i| questions[i].clone()).collect();
        let call = self.busy.call();
        let answers = self.inner.answer_batch(&asked);
        drop(call);
        // What another recording answered took no model, and next to no time.
        let computed = answers.iter().flatten().filter(|answer| !answer.cached).count() as u64;
        self.computed.fetch_add(computed, Ordering::Relaxed);
        let model = self.inner.model();
        answers
            .into_iter()
            .zip(asked.iter().zip(at))
            .map(|(answer, (question, &i))| {
                let answer = answer?;
                answer.check(model, question)?;
                self.check_recordable(question, &keys[i].1)?;
                Ok(Recorded { entry: Entry::rounded(&answer), key: Some(keys[i].1) })
            })
            .collect()
    }
}

impl<T: Teacher> Teacher for Recorder<T> {
    fn model(&self) -> &str {
        self.inner.model()
    }

    fn answer(&self, question: &Question<'_>) -> Result<LabelAnswer> {
        only(self.answer_batch(std::slice::from_ref(question)))
    }

    fn answer_batch(&self, questions: &[Question<'_>]) -> Vec<Result<LabelAnswer>> {
        let keys = self.keys(questions);
        let short: Vec<ShortKey> = keys.iter().map(|key| key.0).collect();
        let mut fresh = Vec::new();
        let mut answers: Vec<Result<LabelAnswer>> = Vec::with_capacity(questions.len());
        for (result, (question, (_, key))) in self
            .answers
            .get_or_compute(
                &short,
                || questions.iter().any(Question::stopped),
                |at| self.compute(questions, &keys, at),
            )
            .into_iter()
            .zip(questions.iter().zip(&keys))
        {
            answers.push(result.and_then(|(recorded, known)| {
                if recorded.key.is_some_and(|other| other != *key) {
                    let message = format!("two prompts have the key {}", key.short());
                    return Err(Error::Model { model: self.model().to_owned(), message, source: None });
                }
                if !known {
                    fresh.push((file::short(key), recorded.entry.clone()));
                }
                let answer = recorded.entry.answer(known);
                // A short recorded answer (another domain under the same key) would be a clash, too.
                answer.check(self.model(), question)?;
                Ok(answer)
            }));
        }
        // The answers are good even if the disk is full; `finish` reports it.
        if let Err(error) = self.journal().add(fresh.iter().map(|(key, entry)| (key, entry))) {
            tracing::warn!(error = causes(&error), "could not write down an answer of a recording under way");
        }
        answers
    }

    fn batch_size(&self) -> usize {
        self.inner.batch_size()
    }

    fn cache_key(&self, question: &Question<'_>) -> Option<PromptKey> {
        self.inner.cache_key(question)
    }

    fn holds(&self, question: &Question<'_>) -> bool {
        self.contains(question) || self.inner.holds(question)
    }

    fn spent_by_model(&self) -> BTreeMap<String, LedgerSnapshot> {
        self.inner.spent_by_model()
    }
}

/// Refuses what holds another model's answers, or none that was recorded.
fn check_own(recording: &Recording, damaged: &[usize], model: &str, path: &Path) -> Result<()> {
    let found = &recording.model;
    match damaged.first() == Some(&1) {
        // Whosever answers are behind a damaged header, those of another model have other keys.
        true if !recording.entries.is_empty() => Ok(()),
        true => {
            let message = "expected recorded answers, found a header that is damaged or of something else and no answer behind it: the file is not \
                           written over; name another, or move it away";
            Err(Error::format(path, 1, message))
        }
        false if found == model => Ok(()),
        false => {
            let message = format!("expected answers of model `{model}`, found answers of `{found}`");
            Err(Error::format(path, 1, message))
        }
    }
}

impl<T: Teacher> fmt::Debug for Recorder<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder")
            .field("path", &self.path)
            .field("model", &self.inner.model())
            .field("answers", &self.len())
            .finish_non_exhaustive()
    }
}

/// What recording a set of users did.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RecordSummary {
    /// Users whose questions are all recorded now.
    pub users: usize,
    /// Users about whom the teacher failed: some of their questions are not recorded, and are asked again by the next recording to the file.
    pub failed: usize,
    /// The most frequent reason of these; `None` without any.
    pub failure: Option<FailureCount>,
    /// Users with too few populated fields to be asked about.
    pub skipped: usize,
    /// Distinct prompts that those users' searches may ask.
    pub prompts: usize,
    /// Prompts asked now; the others were recorded before.
    pub asked: usize,
    /// Mean share of the teacher's probability on the labels, in `[0, 1]`, over these users' questions; `None` without any. A mean of
    /// hundredths or less is a teacher that would rather say something else than any label.
    pub covered_mass: Option<f64>,
    /// Whether it was asked to stop before the end.
    pub stopped: bool,
}

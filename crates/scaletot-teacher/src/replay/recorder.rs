//! Records a teacher's answers.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use scaletot_core::causes;
use serde::Serialize;

use super::file::{self, Damage, Entry, Recording, ShortKey, Timing};
use crate::answer::LabelAnswer;
use crate::busy::BusyClock;
use crate::error::{Error, Result};
use crate::key::PromptKey;
use crate::ledger::LedgerSnapshot;
use crate::once::OnceMap;
use crate::question::Question;
use crate::teacher::{Teacher, only};

/// Wraps a teacher and writes every answer to a file that [`Replay`](crate::Replay) reads.
///
/// Each prompt is asked and recorded once, from any number of threads. Answers come back rounded as the file holds
/// them. The file is written whole and atomically: by [`finish`](Self::finish), by [`checkpoint`](Self::checkpoint),
/// and by itself after every [`with_checkpoint_every`](Self::with_checkpoint_every) new answers, so that a killed recording
/// loses at most those; opened again, it goes on from there.
pub struct Recorder<T> {
    inner: T,
    path: PathBuf,
    answers: OnceMap<ShortKey, Recorded>,
    every: usize,
    unsaved: AtomicUsize,
    /// Of earlier recordings to this file.
    timing: Timing,
    /// Answers of this recording that the teacher computed, and how long that took.
    computed: AtomicU64,
    busy: BusyClock,
    /// Held while writing, so that an older state never replaces a newer one.
    writing: Mutex<()>,
}

#[derive(Clone)]
struct Recorded {
    entry: Entry,
    /// The whole key, unless the answer came from the file, which keeps the short one.
    key: Option<PromptKey>,
}

impl<T: Teacher> Recorder<T> {
    /// New answers between two automatic checkpoints, unless set otherwise.
    pub const CHECKPOINT_EVERY: usize = 500;

    /// Starts an empty recording; an existing file is replaced at the first write.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if the path does not end in `.jsonl` or `.jsonl.gz`.
    pub fn create(inner: T, path: impl AsRef<Path>) -> Result<Self> {
        file::compressed(path.as_ref())?;
        Ok(Self::with(inner, path.as_ref(), Recording::default()))
    }

    /// Extends an existing recording, or starts one if there is no file. Lines that are damaged or cut are skipped with a warning that names them, and
    /// their answers asked for again; the file is as it was until the first write.
    ///
    /// # Errors
    ///
    /// As [`Replay::open`](crate::Replay::open), but for damage, and [`Error::Format`] if the file holds another model's answers.
    pub fn open(inner: T, path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        if !path.exists() {
            return Self::create(inner, path);
        }
        let mut damaged = Vec::new();
        let recording = file::read(path, Damage::Skip(&mut damaged))?;
        let model = &recording.model;
        // Whosever answers are behind a damaged header, those of another model have other keys.
        if damaged.first() != Some(&1) && model != inner.model() {
            let message =
                format!("expected answers of model `{}`, found answers of `{model}`", inner.model());
            return Err(Error::format(path, 1, message));
        }
        Ok(Self::with(inner, path, recording))
    }

    fn with(inner: T, path: &Path, recording: Recording) -> Self {
        let known: HashMap<_, _> =
            recording.entries.into_iter().map(|(key, entry)| (key, Recorded { entry, key: None })).collect();
        Self {
            inner,
            path: path.to_owned(),
            answers: OnceMap::new(known, usize::MAX),
            every: Self::CHECKPOINT_EVERY,
            unsaved: AtomicUsize::new(0),
            timing: recording.timing,
            computed: AtomicU64::new(0),
            busy: BusyClock::default(),
            writing: Mutex::new(()),
        }
    }

    /// Sets after how many new answers the file is written; 0 means only when asked to.
    #[must_use]
    pub fn with_checkpoint_every(mut self, answers: usize) -> Self {
        self.every = answers;
        self
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
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        self.unsaved.store(0, Ordering::Relaxed);
        let recording = Recording {
            model: self.inner.model().to_owned(),
            timing: self.timing(),
            entries: self.answers.snapshot().into_iter().map(|(key, known)| (key, known.entry)).collect(),
        };
        file::write(&self.path, &recording)?;
        let answers = recording.entries.len();
        tracing::debug!(path = %self.path.display(), answers, "wrote recorded answers");
        Ok(())
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
        let mut fresh = 0;
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
                fresh += usize::from(!known);
                let answer = recorded.entry.answer(known);
                // A short recorded answer (another domain under the same key) would be a clash, too.
                answer.check(self.model(), question)?;
                Ok(answer)
            }));
        }
        let unsaved = self.unsaved.fetch_add(fresh, Ordering::Relaxed) + fresh;
        if self.every > 0 && fresh > 0 && unsaved >= self.every {
            // The answers are good even if the disk is full; `finish` reports it.
            if let Err(error) = self.checkpoint() {
                tracing::warn!(error = causes(&error), "could not write a checkpoint of recorded answers");
            }
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
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RecordSummary {
    /// Users whose questions are all recorded now.
    pub users: usize,
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

//! Answers kept on disk, for later runs and for other processes.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::fs::{File, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use scaletot_core::ContentHash;
use scaletot_core::checksum::{seal, unseal};
use scaletot_core::files::{append_or_create, create_dir_all};
use scaletot_core::text::printable;
use serde::{Deserialize, Serialize};

use crate::answer::{LabelAnswer, missing_of};
use crate::error::{Error, Result};
use crate::key::PromptKey;
use crate::ledger::LedgerSnapshot;
use crate::question::Question;
use crate::teacher::{Teacher, ask_checked, only};

const FORMAT: &str = "scaletot-answers";
/// The version of the file format. A reader refuses a version that it does not know.
const VERSION: u32 = 2;

/// How often a file is forced to disk while it grows, and tried again while it cannot be written.
const INTERVAL: Duration = Duration::from_secs(1);
/// How long another process may hold the file: none needs a second.
const MAX_LOCKED: Duration = Duration::from_secs(2);

/// Keeps a teacher's answers in a file that any number of processes may use at once.
///
/// An answer is found again by the hash of model, prompt and labels ([`PromptKey`]), so the model's name must contain whatever its
/// answers depend on. The file grows by one line an answer, written under a lock; processes read what the others added before
/// they ask. For an archive to be shared, use a [`Recorder`](crate::Recorder), whose file is compressed and sorted.
///
/// Every line has a checksum. One that was cut by a kill or is damaged is skipped with a warning that names it, and its question asked
/// again; so is a question whose kept answer could not have come from the teacher ([`LabelAnswer::check`]).
///
/// The file is begun with the first answer worth keeping: one that the teacher computed, and not one that it had at hand in memory or in a
/// file, nor one that [nobody can reason with](LabelAnswer::check_covered_mass), which is asked for again. Of a teacher that tells no
/// [key](Teacher::cache_key), nothing is kept.
///
/// A file that cannot be written, on a full disk for instance, costs no answer: they are given and kept in memory, with a warning,
/// and written as soon as it can be again. [`checkpoint`](Self::checkpoint) and [`unsaved`](Self::unsaved) tell what is left, and so does a
/// warning when this is dropped. The file is forced to disk every second while it grows, by `checkpoint`, and when this is
/// dropped: a power loss takes the answers of the last second at most.
///
/// ```
/// use scaletot_teacher::{DiskCached, Result, Teacher};
///
/// fn remember(model: impl Teacher) -> Result<impl Teacher> {
///     DiskCached::open(model, "target/answers.jsonl")
/// }
/// ```
pub struct DiskCached<T> {
    inner: T,
    state: Mutex<State>,
}

struct State {
    path: PathBuf,
    /// None as long as there is none.
    file: Option<Arc<File>>,
    /// Bytes and lines that were read.
    offset: u64,
    lines: u64,
    answers: HashMap<[u8; 32], Kept>,
    /// Keys of answers that are not in the file.
    unsaved: Vec<PromptKey>,
    /// Whether the file could not be used at the last attempt, and when that was.
    trouble: Option<Instant>,
    /// When the file was forced to disk, and whether it has grown since.
    synced: Instant,
    grown: bool,
}

struct Kept {
    answer: LabelAnswer,
    saved: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    format: String,
    version: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    key: String,
    log_probs: Vec<Option<f64>>,
    tokens: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    evidence: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    samples: Option<u32>,
}

impl<T: Teacher> DiskCached<T> {
    /// Wraps `inner` and reads the file if there is one. A header that was cut when the power failed is written again.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the file cannot be read or locked, or is no regular file, or its directory cannot be created; [`Error::Format`] if
    /// it is of another kind or version.
    pub fn open(inner: T, path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref().to_owned();
        create_dir_all(path.parent().unwrap_or(Path::new("")))?;
        let mut state = State {
            path,
            file: None,
            offset: 0,
            lines: 0,
            answers: HashMap::new(),
            unsaved: Vec::new(),
            trouble: None,
            synced: Instant::now(),
            grown: false,
        };
        if state.is_there() {
            state.attach()?;
        }
        Ok(Self { inner, state: Mutex::new(state) })
    }

    /// The number of answers known.
    pub fn len(&self) -> usize {
        self.lock().answers.len()
    }

    /// Whether no answer is known.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number of answers that are in memory alone, as the file could not be written.
    pub fn unsaved(&self) -> usize {
        self.lock().unsaved.len()
    }

    /// The file.
    pub fn path(&self) -> PathBuf {
        self.lock().path.clone()
    }

    /// The wrapped teacher.
    pub fn inner(&self) -> &T {
        &self.inner
    }

    /// Writes what could not be written before, and forces the file to disk.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if it still cannot; the answers stay in memory.
    pub fn checkpoint(&self) -> Result<()> {
        let mut state = self.lock();
        state.save().and_then(|()| state.sync()).map_err(|error| state.error("write", error))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The answer, if this process or another one has it and it is one to this question.
    fn find(&self, key: &PromptKey, question: &Question<'_>) -> Option<LabelAnswer> {
        let mut state = self.lock();
        if !state.answers.contains_key(key.bytes()) {
            state.look();
        }
        let answer = state.answers.get(key.bytes())?.answer.clone();
        if let Err(error) = answer.check(self.inner.model(), question) {
            let path = state.path.display();
            tracing::warn!(%path, %key, %error, "a kept answer cannot be one to its question, which is asked again");
            return None;
        }
        Some(answer)
    }
}

impl State {
    fn error(&self, action: &'static str, source: io::Error) -> Error {
        Error::io(action, &self.path, source)
    }

    /// Whether there is anything by the file's name.
    fn is_there(&self) -> bool {
        self.path.symlink_metadata().is_ok()
    }

    /// Opens the file, or creates it, and reads it.
    fn attach(&mut self) -> Result<()> {
        self.file = Some(Arc::new(append_or_create(&self.path)?));
        (self.offset, self.lines) = (0, 0);
        let begun = self.lock(true).map_err(|error| self.error("lock", error)).and_then(|file| {
            let begun = self.begin();
            begun.and(file.unlock().map_err(|error| self.error("unlock", error)))
        });
        // One that is none of ours is not written to.
        begun.inspect_err(|_| self.file = None)
    }

    fn file(&self) -> io::Result<Arc<File>> {
        self.file.clone().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn lock(&self, exclusive: bool) -> io::Result<Arc<File>> {
        let (file, began) = (self.file()?, Instant::now());
        loop {
            let locked = if exclusive { file.try_lock() } else { file.try_lock_shared() };
            match locked {
                Ok(()) => return Ok(file),
                Err(TryLockError::Error(error)) => return Err(error),
                Err(TryLockError::WouldBlock) if began.elapsed() >= MAX_LOCKED => {
                    let message =
                        format!("expected another process to give it free, found it held for {MAX_LOCKED:?}");
                    return Err(io::Error::new(io::ErrorKind::TimedOut, message));
                }
                Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(2)),
            }
        }
    }

    /// Does something with the file while no other process does.
    fn locked(&mut self, exclusive: bool, act: impl FnOnce(&mut Self) -> io::Result<()>) -> io::Result<()> {
        let file = self.lock(exclusive)?;
        let done = act(self);
        done.and(file.unlock())
    }

    /// Checks the header, and reads the rest.
    fn begin(&mut self) -> Result<()> {
        let mut bytes = Vec::new();
        let mut file = &*self.file().map_err(|error| self.error("read", error))?;
        file.read_to_end(&mut bytes).map_err(|error| self.error("read", error))?;
        let header = header().map_err(|error| self.error("write", error))?;
        let begun = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
        let begun = &begun[..begun.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)];
        if bytes.len() != header.len() && header.starts_with(begun) {
            // Nothing yet, or what a power loss left of a header. Where it cannot be written now, it is with the first answer.
            let begun = file.set_len(0).and_then(|()| self.save());
            self.note("write", begun);
            return Ok(());
        }
        let (first, rest) = match bytes.iter().position(|byte| *byte == b'\n') {
            Some(end) => bytes.split_at(end + 1),
            None => (&bytes[..], &[][..]),
        };
        if first != header {
            let other = serde_json::from_slice::<Header>(first).is_ok();
            if other || !rest.split(|byte| *byte == b'\n').any(|line| unseal(line).is_some()) {
                let found = printable(&String::from_utf8_lossy(&first[..first.len().min(400)]), 80);
                let message = format!(
                    "expected the header of {FORMAT} version {VERSION}, found `{found}`; move the file away"
                );
                return Err(Error::format(&self.path, 1, message));
            }
        }
        self.take(&bytes);
        Ok(())
    }

    /// Reads what others added, unless that failed a moment ago.
    fn look(&mut self) {
        if !self.may_try() || (self.file.is_none() && !self.is_there()) {
            return;
        }
        let read = match &self.file {
            Some(_) => self.locked(false, Self::catch_up),
            None => self.attach().map_err(io::Error::other),
        };
        self.note("read", read);
    }

    fn catch_up(&mut self) -> io::Result<()> {
        let mut bytes = Vec::new();
        let mut file = &*self.file()?;
        file.seek(SeekFrom::Start(self.offset))?;
        file.read_to_end(&mut bytes)?;
        self.take(&bytes);
        Ok(())
    }

    /// Takes whole lines; what cannot be read was cut by a kill, or is damaged.
    fn take(&mut self, added: &[u8]) {
        for line in added.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\n")) {
            self.offset += line.len() as u64;
            self.lines += 1;
            if line == b"\n" || (self.lines == 1 && header().is_ok_and(|header| line == header)) {
                continue;
            }
            match read_line(line) {
                Some((key, answer)) => {
                    self.answers.insert(key, Kept { answer, saved: true });
                }
                None => {
                    let (path, line) = (self.path.display(), self.lines);
                    tracing::warn!(%path, line, "a cut or damaged line among kept answers is skipped");
                }
            }
        }
    }

    /// Keeps an answer, in place of one under the same key; what another process kept meanwhile is as good.
    fn keep(&mut self, key: &PromptKey, answer: &LabelAnswer) {
        let kept = Kept { answer: answer.clone().into_cached(), saved: false };
        self.answers.insert(*key.bytes(), kept);
        self.unsaved.push(*key);
        if self.may_try() {
            let saved = self.save();
            self.note("write", saved);
        }
        if self.grown && self.synced.elapsed() >= INTERVAL {
            let synced = self.sync();
            self.note("sync", synced);
        }
    }

    /// Writes what is not in the file yet, as far as there is room for it.
    fn save(&mut self) -> io::Result<()> {
        if self.file.is_none() {
            return match self.unsaved.is_empty() {
                true => Ok(()),
                // Which saves.
                false => self.attach().map_err(io::Error::other).and_then(|()| self.save()),
            };
        }
        self.locked(true, |state| {
            state.catch_up()?;
            let mut end = (&*state.file()?).seek(SeekFrom::End(0))?;
            if end == 0 {
                let header = header()?;
                state.write(&header, end)?;
                end = header.len() as u64;
                (state.offset, state.lines) = (end, 1);
            }
            while let Some(key) = state.unsaved.last().copied() {
                if let Some(kept) = state.answers.get(key.bytes()).filter(|kept| !kept.saved) {
                    let mut line = write_line(&key, &kept.answer)?;
                    // A line that was cut is ended first, so that this one is not glued to it.
                    let lines = 1 + u64::from(end > state.offset);
                    if end > state.offset {
                        line.insert(0, b'\n');
                    }
                    state.write(&line, end)?;
                    end += line.len() as u64;
                    (state.offset, state.lines) = (end, state.lines + lines);
                    if let Some(kept) = state.answers.get_mut(key.bytes()) {
                        kept.saved = true;
                    }
                }
                state.unsaved.pop();
            }
            Ok(())
        })
    }

    /// Appends at `end`, whole or not at all.
    fn write(&mut self, bytes: &[u8], end: u64) -> io::Result<()> {
        let file = self.file()?;
        (&*file).write_all(bytes).inspect_err(|_| {
            // If this fails too, what was written is a cut line.
            let _ = file.set_len(end);
        })?;
        self.grown = true;
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.synced = Instant::now();
        if self.grown {
            self.file()?.sync_data()?;
            self.grown = false;
        }
        Ok(())
    }

    /// Whether to use the file: every time, or every second while it cannot be.
    fn may_try(&self) -> bool {
        self.trouble.is_none_or(|at| at.elapsed() >= INTERVAL)
    }

    /// Takes note of whether the file could be used, and warns of the first of several failures.
    fn note(&mut self, action: &'static str, done: io::Result<()>) {
        let Err(error) = done else {
            self.trouble = None;
            return;
        };
        if self.trouble.replace(Instant::now()).is_none() {
            let path = self.path.display();
            tracing::warn!(%path, %error, action, "the file of kept answers cannot be used; answers are kept in memory until it can");
        }
    }
}

impl Drop for State {
    fn drop(&mut self) {
        let saved = match self.unsaved.is_empty() {
            true => Ok(()),
            false => self.save(),
        };
        if let Err(error) = saved.and_then(|()| self.sync()) {
            let (path, unsaved) = (self.path.display(), self.unsaved.len());
            tracing::warn!(%path, %error, unsaved, "kept answers could not be written, or not be forced to disk");
        }
    }
}

fn header() -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(&Header { format: FORMAT.to_owned(), version: VERSION })?;
    line.push(b'\n');
    Ok(line)
}

fn write_line(key: &PromptKey, answer: &LabelAnswer) -> io::Result<Vec<u8>> {
    let line = Line {
        key: key.to_string(),
        log_probs: answer.log_probs.iter().map(|lp| lp.is_finite().then_some(*lp)).collect(),
        tokens: answer.tokens,
        evidence: answer.evidence.clone(),
        samples: answer.samples,
    };
    let mut bytes = serde_json::to_vec(&line)?;
    seal(&mut bytes);
    bytes.push(b'\n');
    Ok(bytes)
}

fn read_line(line: &[u8]) -> Option<([u8; 32], LabelAnswer)> {
    // A file that grew before the power failed may hold zeros where nothing was written.
    let line = line[line.iter().position(|byte| *byte != 0)?..].strip_suffix(b"\n")?;
    let line: Line = serde_json::from_slice(&unseal(line)?).ok()?;
    let key: ContentHash = line.key.parse().ok()?;
    let log_probs: Vec<f64> = line.log_probs.into_iter().map(|lp| lp.unwrap_or(f64::NEG_INFINITY)).collect();
    let missing = missing_of(&log_probs);
    let (tokens, evidence, samples) = (line.tokens, line.evidence, line.samples);
    Some((*key.as_bytes(), LabelAnswer { log_probs, missing, tokens, cached: true, evidence, samples }))
}

impl<T: Teacher> Teacher for DiskCached<T> {
    fn model(&self) -> &str {
        self.inner.model()
    }

    fn answer(&self, question: &Question<'_>) -> Result<LabelAnswer> {
        only(self.answer_batch(std::slice::from_ref(question)))
    }

    fn answer_batch(&self, questions: &[Question<'_>]) -> Vec<Result<LabelAnswer>> {
        let keys: Vec<Option<PromptKey>> = questions.iter().map(|q| self.inner.cache_key(q)).collect();
        let found =
            keys.iter().zip(questions).map(|(key, question)| self.find(key.as_ref()?, question).map(Ok));
        let mut answers: Vec<Option<Result<LabelAnswer>>> = found.collect();
        let missing: Vec<usize> = (0..questions.len()).filter(|&i| answers[i].is_none()).collect();
        let asked: Vec<Question<'_>> = missing.iter().map(|&i| questions[i].clone()).collect();
        for (i, answer) in missing.into_iter().zip(ask_checked(&self.inner, &asked)) {
            if let Ok(answer) = &answer {
                // Some teachers know no key before their first answer.
                let key = keys[i].or_else(|| self.inner.cache_key(&questions[i]));
                let worth = !answer.cached && answer.check_covered_mass(self.model(), &questions[i]).is_ok();
                if let Some(key) = key.filter(|_| worth) {
                    self.lock().keep(&key, answer);
                }
            }
            answers[i] = Some(answer);
        }
        let none = || Err(Error::too_few_answers(questions.len()));
        answers.into_iter().map(|answer| answer.unwrap_or_else(none)).collect()
    }

    fn batch_size(&self) -> usize {
        self.inner.batch_size()
    }

    fn cache_key(&self, question: &Question<'_>) -> Option<PromptKey> {
        self.inner.cache_key(question)
    }

    fn holds(&self, question: &Question<'_>) -> bool {
        let key = self.inner.cache_key(question);
        key.is_some_and(|key| self.find(&key, question).is_some()) || self.inner.holds(question)
    }

    fn spent_by_model(&self) -> BTreeMap<String, LedgerSnapshot> {
        self.inner.spent_by_model()
    }
}

impl<T: Teacher> fmt::Debug for DiskCached<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DiskCached")
            .field("model", &self.model())
            .field("path", &self.path())
            .field("answers", &self.len())
            .finish_non_exhaustive()
    }
}

//! Answers kept on disk, for later runs and for other processes.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use crate::answer::{LabelAnswer, missing_of};
use crate::error::{Error, Result};
use crate::key::PromptKey;
use crate::ledger::LedgerSnapshot;
use crate::question::Question;
use crate::teacher::{Teacher, ask_checked, only};

const FORMAT: &str = "scaletot-answers";
/// The version of the file format. A reader refuses a version that it does not know.
const VERSION: u32 = 1;

/// Keeps a teacher's answers in a file that any number of processes may use at once.
///
/// An answer is found again by the hash of model, prompt and labels ([`PromptKey`]), so the model's name must contain whatever its
/// answers depend on. The file grows by one line an answer, written under a lock; processes read what the others added before
/// they ask. A line that was cut by a kill is skipped, and its question asked again. For an archive to be shared, use a
/// [`Recorder`](crate::Recorder), whose file is compressed and sorted.
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
    path: PathBuf,
    state: Mutex<State>,
}

struct State {
    file: File,
    /// Bytes that were read.
    offset: u64,
    answers: HashMap<[u8; 32], LabelAnswer>,
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
    /// Wraps `inner` and reads the file, which is begun if there is none.
    ///
    /// # Errors
    ///
    /// [`Error::Io`]; [`Error::Format`] if the file is of another kind or version.
    pub fn open(inner: T, path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref().to_owned();
        let io = |source| Error::io("open", &path, source);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(io)?;
        }
        let file = OpenOptions::new().read(true).append(true).create(true).open(&path).map_err(io)?;
        let mut state = State { file, offset: 0, answers: HashMap::new() };
        state.file.lock().map_err(io)?;
        let read = state.begin(&path);
        let unlocked = state.file.unlock().map_err(io);
        read.and(unlocked)?;
        Ok(Self { inner, path, state: Mutex::new(state) })
    }

    /// The number of answers known.
    pub fn len(&self) -> usize {
        self.lock().answers.len()
    }

    /// Whether no answer is known.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The answer, if this process or another one has it.
    fn find(&self, key: &PromptKey) -> Result<Option<LabelAnswer>> {
        let mut state = self.lock();
        if let Some(answer) = state.answers.get(key.bytes()) {
            return Ok(Some(answer.clone()));
        }
        let io = |source| Error::io("use", &self.path, source);
        state.file.lock_shared().map_err(io)?;
        let read = state.catch_up(&self.path);
        let unlocked = state.file.unlock().map_err(io);
        read.and(unlocked)?;
        Ok(state.answers.get(key.bytes()).cloned())
    }

    fn keep(&self, key: &PromptKey, answer: &LabelAnswer) -> Result<()> {
        let mut state = self.lock();
        let io = |source| Error::io("use", &self.path, source);
        state.file.lock().map_err(io)?;
        let kept = state.catch_up(&self.path).and_then(|()| state.append(&self.path, key, answer));
        let unlocked = state.file.unlock().map_err(io);
        kept.and(unlocked)
    }
}

impl State {
    /// Writes the header of an empty file, checks that of another, and reads the rest.
    fn begin(&mut self, path: &Path) -> Result<()> {
        let io = |source| Error::io("use", path, source);
        if self.file.metadata().map_err(io)?.len() == 0 {
            let mut line = serde_json::to_vec(&Header { format: FORMAT.to_owned(), version: VERSION })
                .map_err(|error| io(error.into()))?;
            line.push(b'\n');
            self.file.write_all(&line).map_err(io)?;
        }
        let mut bytes = Vec::new();
        self.file.seek(SeekFrom::Start(0)).and_then(|_| self.file.read_to_end(&mut bytes)).map_err(io)?;
        let first = bytes.split_inclusive(|byte| *byte == b'\n').next().unwrap_or_default();
        let header = serde_json::from_slice::<Header>(first).ok();
        if header.as_ref().is_none_or(|header| header.format != FORMAT || header.version != VERSION) {
            let found: String = String::from_utf8_lossy(first).trim().chars().take(80).collect();
            let message = format!("expected the header of {FORMAT} version {VERSION}, found `{found}`");
            return Err(Error::format(path, 1, message));
        }
        self.offset = first.len() as u64;
        self.take(&bytes[first.len()..]);
        Ok(())
    }

    /// Reads what was added.
    fn catch_up(&mut self, path: &Path) -> Result<()> {
        let io = |source| Error::io("use", path, source);
        let mut bytes = Vec::new();
        self.file
            .seek(SeekFrom::Start(self.offset))
            .and_then(|_| self.file.read_to_end(&mut bytes))
            .map_err(io)?;
        self.take(&bytes);
        Ok(())
    }

    /// Takes whole lines; what cannot be read was cut by a kill.
    fn take(&mut self, added: &[u8]) {
        for line in added.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\n")) {
            self.offset += line.len() as u64;
            let parsed = serde_json::from_slice::<Line>(line).ok();
            let parsed = parsed.and_then(|line| Some((key_bytes(&line.key)?, line)));
            match parsed {
                Some((key, line)) => {
                    let log_probs: Vec<f64> =
                        line.log_probs.into_iter().map(|lp| lp.unwrap_or(f64::NEG_INFINITY)).collect();
                    let missing = missing_of(&log_probs);
                    let (tokens, evidence, samples) = (line.tokens, line.evidence, line.samples);
                    let answer = LabelAnswer { log_probs, missing, tokens, cached: true, evidence, samples };
                    self.answers.insert(key, answer);
                }
                None => tracing::warn!("a cut line among kept answers is skipped"),
            }
        }
    }

    fn append(&mut self, path: &Path, key: &PromptKey, answer: &LabelAnswer) -> Result<()> {
        if self.answers.contains_key(key.bytes()) {
            return Ok(());
        }
        let io = |source| Error::io("use", path, source);
        let line = Line {
            key: key.to_string(),
            log_probs: answer.log_probs.iter().map(|lp| lp.is_finite().then_some(*lp)).collect(),
            tokens: answer.tokens,
            evidence: answer.evidence.clone(),
            samples: answer.samples,
        };
        let mut bytes = serde_json::to_vec(&line).map_err(|error| io(error.into()))?;
        bytes.push(b'\n');
        // A line that was cut is ended first, so that this one is not glued to it.
        let end = self.file.seek(SeekFrom::End(0)).map_err(io)?;
        if end > self.offset {
            bytes.insert(0, b'\n');
        }
        self.file.write_all(&bytes).map_err(io)?;
        self.offset = end + bytes.len() as u64;
        self.answers.insert(*key.bytes(), answer.clone().into_cached());
        Ok(())
    }
}

/// 64 hexadecimal digits.
fn key_bytes(text: &str) -> Option<[u8; 32]> {
    let digits: Vec<u32> = text.chars().map(|c| c.to_digit(16)).collect::<Option<_>>()?;
    let pairs: Vec<u8> =
        digits.chunks(2).map(|pair| (pair[0] * 16 + pair.get(1).unwrap_or(&0)) as u8).collect();
    pairs.try_into().ok().filter(|_| digits.len() == 64)
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
        let found = keys.iter().map(|key| key.as_ref().map_or(Ok(None), |key| self.find(key)).transpose());
        let mut answers: Vec<Option<Result<LabelAnswer>>> = found.collect();
        let missing: Vec<usize> = (0..questions.len()).filter(|&i| answers[i].is_none()).collect();
        let asked: Vec<Question<'_>> = missing.iter().map(|&i| questions[i].clone()).collect();
        for (i, answer) in missing.into_iter().zip(ask_checked(&self.inner, &asked)) {
            let kept = answer.and_then(|answer| {
                if let Some(key) = &keys[i] {
                    self.keep(key, &answer)?;
                }
                Ok(answer)
            });
            answers[i] = Some(kept);
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
        key.is_some_and(|key| matches!(self.find(&key), Ok(Some(_)))) || self.inner.holds(question)
    }

    fn spent_by_model(&self) -> BTreeMap<String, LedgerSnapshot> {
        self.inner.spent_by_model()
    }
}

impl<T: Teacher> fmt::Debug for DiskCached<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DiskCached")
            .field("model", &self.model())
            .field("path", &self.path)
            .field("answers", &self.len())
            .finish_non_exhaustive()
    }
}

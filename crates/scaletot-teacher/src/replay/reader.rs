//! Gives recorded answers.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use super::file::{self, Entry, ShortKey};
use crate::error::{Error, Result};
use crate::teacher::{LabelAnswer, Question, Teacher};

/// A teacher that answers from a file of recorded answers, under the recorded model's name.
///
/// A question that was not recorded is an [`Error::Miss`], never a guess; it names the prompt, the labels, the
/// model and the file, and says how to record it.
pub struct Replay {
    path: PathBuf,
    model: String,
    entries: BTreeMap<ShortKey, Entry>,
}

impl Replay {
    /// Reads a `.jsonl` or `.jsonl.gz` file that a [`Recorder`](crate::Recorder) wrote.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the file cannot be read or is cut within its compressed data; [`Error::Format`], with the
    /// line, if its header is of another format or version, its prompts are of another format, a line is not an
    /// answer, a key comes twice, or lines are missing; [`Error::Config`] if its name has another ending.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref().to_owned();
        let (model, entries) = file::read(&path)?;
        tracing::debug!(path = %path.display(), model, answers = entries.len(), "opened recorded answers");
        Ok(Self { path, model, entries })
    }

    /// The number of recorded answers.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing is recorded.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the answer to a question is recorded.
    #[must_use]
    pub fn contains(&self, question: &Question<'_>) -> bool {
        self.entries.contains_key(&file::short(&question.key(&self.model)))
    }
}

impl Teacher for Replay {
    fn model(&self) -> &str {
        &self.model
    }

    fn answer(&self, question: &Question<'_>) -> Result<LabelAnswer> {
        let key = question.key(&self.model);
        let entry = self.entries.get(&file::short(&key)).ok_or_else(|| Error::Miss {
            path: self.path.clone(),
            model: self.model.clone(),
            prompt: question.prompt.clone(),
            labels: question.labels.to_vec(),
            key: key.short(),
        })?;
        let answer = entry.answer(true);
        answer.check(&self.model, question)?;
        Ok(answer)
    }
}

impl fmt::Debug for Replay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replay")
            .field("path", &self.path)
            .field("model", &self.model)
            .field("answers", &self.len())
            .finish_non_exhaustive()
    }
}

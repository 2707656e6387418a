//! Gives recorded answers.

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::file::{self, Damage, Recording};
use crate::answer::LabelAnswer;
use crate::error::{Error, Result};
use crate::question::Question;
use crate::teacher::Teacher;

/// A teacher that answers from a file of recorded answers, under the recorded model's name.
///
/// A question that was not recorded is an [`Error::Miss`], never a guess; it names the prompt, the labels, the
/// model and the file, and how to record it.
pub struct Replay {
    path: PathBuf,
    recording: Recording,
}

impl Replay {
    /// Reads a `.jsonl` or `.jsonl.gz` file that a [`Recorder`](crate::Recorder) wrote.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the file cannot be read or is cut within its compressed data; [`Error::Format`], with the
    /// line, if its header is of another format or version, its prompts are of another format, a line is not an
    /// answer or not as it was written, a key comes twice, or lines are missing; [`Error::Config`] if its name has another ending.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        Self::of(file::read(path, Damage::Refuse)?, path)
    }

    /// Reads what is as it was written of a file that [`open`](Self::open) refuses as damaged or cut, with the numbers of the lines that are
    /// not, from 1; where compressed data break off, the last number stands for all lines from there on. A
    /// [`Recorder`](crate::Recorder) that [opens](crate::Recorder::open) the file asks for their answers again.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open), but for damaged or missing answers; [`Error::Format`] if the header is damaged, which tells whose answers
    /// they are.
    pub fn open_undamaged(path: impl AsRef<Path>) -> Result<(Self, Vec<usize>)> {
        let path = path.as_ref();
        let mut damaged = Vec::new();
        let recording = file::read(path, Damage::Skip(&mut damaged))?;
        if damaged.first() == Some(&1) {
            let message = "expected a header as it was written, found a damaged one: a recording that goes on with this file (the program: \
                           `scaletot record … --to FILE`) keeps its answers";
            return Err(Error::format(path, 1, message));
        }
        Ok((Self::of(recording, path)?, damaged))
    }

    /// Reads recorded answers from anything that holds the bytes of such a file, such as one that is compiled in. `name` is what errors
    /// call it, and by its ending it is compressed or not.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn from_reader(source: impl Read, name: impl AsRef<Path>) -> Result<Self> {
        let name = name.as_ref();
        Self::of(file::read_from(source, name, Damage::Refuse)?, name)
    }

    fn of(recording: Recording, path: &Path) -> Result<Self> {
        let path = path.to_owned();
        let (model, answers) = (&recording.model, recording.entries.len());
        tracing::debug!(path = %path.display(), model, answers, "opened recorded answers");
        Ok(Self { path, recording })
    }

    /// The number of recorded answers.
    #[must_use]
    pub fn len(&self) -> usize {
        self.recording.entries.len()
    }

    /// Whether nothing is recorded.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.recording.entries.is_empty()
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Mean seconds that the model was busy for one answer: wall time in which at least one answer was computed, by answer. Workers that
    /// share a model do not change it; a server that computes several answers at once has less of it for each. `None` if the recording
    /// does not tell.
    #[must_use]
    pub fn seconds_per_answer(&self) -> Option<f64> {
        self.recording.timing.per_answer()
    }

    /// Whether the answer to a question is recorded.
    #[must_use]
    pub fn contains(&self, question: &Question<'_>) -> bool {
        self.recording.entries.contains_key(&file::short(&question.key(&self.recording.model)))
    }
}

impl Teacher for Replay {
    fn model(&self) -> &str {
        &self.recording.model
    }

    fn answer(&self, question: &Question<'_>) -> Result<LabelAnswer> {
        let key = question.key(&self.recording.model);
        let entry = self.recording.entries.get(&file::short(&key)).ok_or_else(|| Error::Miss {
            path: self.path.clone(),
            model: self.recording.model.clone(),
            prompt: question.prompt.clone(),
            labels: question.labels.to_vec(),
            key: key.short(),
        })?;
        let answer = entry.answer(true);
        answer.check(&self.recording.model, question)?;
        Ok(answer)
    }

    fn holds(&self, question: &Question<'_>) -> bool {
        self.contains(question)
    }
}

impl fmt::Debug for Replay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replay")
            .field("path", &self.path)
            .field("model", &self.recording.model)
            .field("answers", &self.len())
            .finish_non_exhaustive()
    }
}

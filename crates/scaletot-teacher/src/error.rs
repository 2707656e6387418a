//! The crate's one error type.

use std::path::{Path, PathBuf};

use crate::fault::Fault;

/// What can go wrong in this crate. Messages say what was expected, what came and where.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A replay file holds no answer for a prompt.
    #[error(
        "no recorded answer in {path} for model `{model}`, prompt \"{prompt}\", labels [{}] (key {key}): \
         record it by running the same job once with the model itself wrapped in a `Recorder` that extends this \
         file (the quickstart example: `--teacher gguf:PATH --record {path}`)",
        labels.join(", ")
    )]
    Miss {
        /// The replay file.
        path: PathBuf,
        /// The model whose answers the file holds.
        model: String,
        /// The prompt that was asked.
        prompt: String,
        /// The labels that were asked.
        labels: Vec<String>,
        /// The key that was looked up, as written in the file.
        key: String,
    },

    /// A file could not be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },

    /// A file is not what it should be.
    #[error("{path}, line {line}: {message}")]
    Format {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What was expected and what came.
        message: String,
    },

    /// A model could not be loaded or could not answer.
    #[error("model `{model}`: {message}")]
    Model {
        /// The model's name or file.
        model: String,
        /// What happened.
        message: String,
    },

    /// A model's server gave no usable answer.
    #[error("model `{model}`: {fault}")]
    Server {
        /// The model's name.
        model: String,
        /// Why.
        fault: Fault,
    },

    /// A server gave no usable answer, however often it was asked.
    #[error("gave up after {attempts} attempts in {seconds:.1} s: {source}")]
    GaveUp {
        /// Attempts made.
        attempts: u32,
        /// Seconds spent, waits included.
        seconds: f64,
        /// What the last attempt met.
        source: Box<Error>,
    },

    /// A teacher's answer cannot be used: wrong length, not a number, above zero, or nothing answered.
    #[error("model `{model}`, state `{state}`: {message}")]
    Answer {
        /// The model that answered.
        model: String,
        /// The state that was asked.
        state: String,
        /// What was expected and what came.
        message: String,
    },

    /// A rules file is wrong, or does not fit the schemas.
    #[error("rules {location}: {message}")]
    Rules {
        /// The file, rule and key.
        location: String,
        /// What was expected and what came.
        message: String,
    },

    /// A setting is out of its range, or settings do not fit each other.
    #[error("{what}: {message}")]
    Config {
        /// The setting.
        what: String,
        /// What was expected and what came.
        message: String,
    },

    /// From the profile crate.
    #[error(transparent)]
    Profile(#[from] scaletot_profile::Error),

    /// From the chain crate.
    #[error(transparent)]
    Chain(#[from] scaletot_chain::Error),

    /// From the search crate.
    #[error(transparent)]
    Search(#[from] scaletot_search::Error),
}

impl Error {
    /// An [`Error::Io`] at `path`.
    pub(crate) fn io(path: &Path, source: std::io::Error) -> Self {
        Self::Io { path: path.to_owned(), source }
    }

    /// A teacher gave fewer answers than it was asked.
    pub(crate) fn too_few_answers(expected: usize) -> Self {
        Self::config("answer_batch", format!("expected {expected} answers, one per question, got fewer"))
    }

    /// An [`Error::Config`].
    pub(crate) fn config(what: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Config { what: what.into(), message: message.into() }
    }
}

/// A result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

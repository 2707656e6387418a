//! The crate's one error type.

use std::error::Error as StdError;
use std::path::{Path, PathBuf};

use scaletot_core::config::ConfigError;
use scaletot_core::files::{FileError, LockError};

use crate::fault::Fault;

/// An error of a library that this crate calls; several questions may fail for the same.
pub type Cause = std::sync::Arc<dyn StdError + Send + Sync>;

/// What can go wrong in this crate. A message has what was expected, what was found and where; its cause, if it has one, is in
/// `source()`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A replay file holds no answer for a prompt.
    #[error(
        "no recorded answer in {path} for model `{model}`, prompt \"{prompt}\", labels [{}] (key {key}): \
         record it by running the same job once with the model itself wrapped in a `Recorder` that extends this \
         file (the program: `scaletot record … --teacher gguf:PATH --to {path}`)",
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
    #[error(transparent)]
    Io(#[from] FileError),

    /// Another process, or another part of this one, writes the file.
    #[error(transparent)]
    InUse(LockError),

    /// A file is not what it should be.
    #[error("{path}, line {line}: {message}")]
    Format {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What was expected and what was found.
        message: String,
        /// What the parser found, if it failed.
        source: Option<serde_json::Error>,
    },

    /// A text is no TOML of the expected form.
    #[error("{what}: expected TOML of another form")]
    Syntax {
        /// What it should be, and its file.
        what: String,
        /// The parser's error, with line and column.
        source: Box<dyn StdError + Send + Sync>,
    },

    /// A model could not be loaded or could not answer.
    #[error("model `{model}`: {message}")]
    Model {
        /// The model's name or file.
        model: String,
        /// What happened.
        message: String,
        /// What a library found, if one did.
        source: Option<Cause>,
    },

    /// A model's server gave no usable answer.
    #[error("model `{model}`: its server gave no usable answer")]
    Server {
        /// The model's name.
        model: String,
        /// Why.
        #[source]
        fault: Fault,
    },

    /// A server gave no usable answer, however often it was asked.
    #[error(
        "gave up after {attempts} attempts in {seconds:.1} s{}",
        wait.map_or_else(String::new, |wait| format!(
            ": the server asks for a wait of {} s, which goes beyond the time for the question", wait.as_secs()
        ))
    )]
    GaveUp {
        /// Attempts made.
        attempts: u32,
        /// Seconds spent, waits included.
        seconds: f64,
        /// The wait that the server asked for, if it goes beyond the time for the question.
        wait: Option<std::time::Duration>,
        /// What the last attempt met.
        source: Box<Error>,
    },

    /// The teacher answers nobody, so the run has ended before its last user.
    #[error(
        "expected answers, found {failures} failure{} in a row: the run has ended; see to the teacher, and run again to go on from what \
         was kept",
        if *failures == 1 { "" } else { "s" }
    )]
    NoAnswers {
        /// Failed attempts at a state since the last answer about it.
        failures: u32,
        /// What the last of them met.
        source: Box<Error>,
    },

    /// More users failed than may.
    #[error(
        "expected at most {:.1} % of the users to fail, found {failed} of {users}, most often: {reason}; what was done is kept, and \
         a run that resumes asks about them again",
        100.0 * max_share
    )]
    TooManyFailed {
        /// Users who failed.
        failed: u64,
        /// Users of the run, the calibration or the recording, those who were done before among them.
        users: u64,
        /// The largest share of them that may fail.
        max_share: f64,
        /// The most frequent reason.
        reason: String,
    },

    /// A teacher's answer cannot be used: wrong length, not a number, above zero, or nothing answered.
    #[error("model `{model}`, state `{state}`: {message}")]
    Answer {
        /// The model that answered.
        model: String,
        /// The state that was asked.
        state: String,
        /// What was expected and what was found.
        message: String,
    },

    /// A rules file is wrong, or does not fit the schemas.
    #[error("rules {location}: {message}")]
    Rules {
        /// The file, rule and key.
        location: String,
        /// What was expected and what was found.
        message: String,
    },

    /// A field of a config or an argument is out of its range, or does not fit the others.
    #[error(transparent)]
    Config(#[from] ConfigError),

    /// A search under way ended without an outcome, or a teacher gave fewer answers than it was asked.
    #[error("{what}: expected {expected}, found {found}")]
    Incomplete {
        /// What is incomplete.
        what: &'static str,
        /// What was expected.
        expected: String,
        /// What was found.
        found: String,
    },

    /// The time for a user is over.
    #[error("expected a chain of the user within {limit:?}, found none")]
    Late {
        /// The time that a user may take.
        limit: std::time::Duration,
    },

    /// The run was asked to stop, or has ended, before the answer came; it tells nothing about the user or the teacher.
    #[error("expected an answer, found that the run is to stop")]
    Stopped,

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
    pub(crate) fn io(action: &'static str, path: &Path, source: std::io::Error) -> Self {
        Self::Io(FileError::new(action, path, source))
    }

    /// An [`Error::Format`] that no parser found.
    pub(crate) fn format(path: &Path, line: usize, message: impl Into<String>) -> Self {
        Self::Format { path: path.to_owned(), line, message: message.into(), source: None }
    }

    /// What became of a question that a server gave no answer to.
    pub(crate) fn server(model: &str, fault: Fault) -> Self {
        match fault {
            Fault::Stopped => Self::Stopped,
            fault => Self::Server { model: model.to_owned(), fault },
        }
    }

    /// What a server did, if it is that what went wrong.
    pub(crate) fn fault(&self) -> Option<&Fault> {
        match self {
            Self::Server { fault, .. } => Some(fault),
            Self::GaveUp { source, .. } => source.fault(),
            _ => None,
        }
    }

    /// A teacher gave fewer answers than it was asked.
    pub(crate) fn too_few_answers(expected: usize) -> Self {
        let expected = format!("{expected} answers, one per question");
        Self::Incomplete { what: "answer_batch", expected, found: "fewer".to_owned() }
    }
}

impl From<LockError> for Error {
    fn from(error: LockError) -> Self {
        match error {
            LockError::File(error) => Self::Io(error),
            held => Self::InUse(held),
        }
    }
}

/// A result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

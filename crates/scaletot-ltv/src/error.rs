//! The one error type of the crate.

use std::path::PathBuf;

use scaletot_core::config::ConfigError;
use scaletot_core::files::ChecksumError;

use crate::component::Component;

/// Result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of a [`BaseLearner`](crate::BaseLearner) or its models.
pub type LearnerError = Box<dyn std::error::Error + Send + Sync>;

/// What can go wrong when value models are fitted, used, saved and loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A setting is out of range.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Some users are labelled, but too few to learn from.
    #[error("expected at least {expected} users with a known outcome, found {found}")]
    TooFewLabels {
        /// The least number.
        expected: usize,
        /// Users with an outcome.
        found: usize,
    },
    /// Users that belong together leave some parts without a user.
    #[error("expected at least {expected} groups of users with a known outcome, found {found}")]
    TooFewGroups {
        /// The number of parts.
        expected: usize,
        /// Groups with a labelled user.
        found: usize,
    },
    /// No outcome is known and there are no signals that could rank users.
    #[error(
        "no outcome is known: expected signals with at least one state, which rank users without outcomes"
    )]
    NothingToRankBy,
    /// A component reads signals, and there are none.
    #[error("the component \"{component}\" reads signals: expected signals, found none")]
    NoSignals {
        /// The component.
        component: Component,
    },
    /// A user has no signals.
    #[error("row {row}: expected signals of this user, found none")]
    MissingSignals {
        /// Row of the table, from 0.
        row: usize,
    },
    /// Signals are of another shape than those the model was fitted on.
    #[error("signals: expected {expected}, found {found}")]
    SignalShape {
        /// The shape that the model reads.
        expected: String,
        /// The shape that came.
        found: String,
    },
    /// There is no such row.
    #[error("expected a row under {rows}, found {row}")]
    Row {
        /// The row.
        row: usize,
        /// Rows of the table.
        rows: usize,
    },
    /// Profiles have another schema than those the model was fitted on.
    #[error("profiles: expected schema {expected}, found schema {found}")]
    Schema {
        /// Hash of the model's schema.
        expected: String,
        /// Hash of the profiles' schema.
        found: String,
    },
    /// The normal equations of a ridge regression could not be solved.
    #[error(
        "ridge regression on {inputs}: the normal equations cannot be solved; are the signals extremely large?"
    )]
    Singular {
        /// What the regression is on.
        inputs: &'static str,
    },
    /// A chain schema is another one than that of the model's signals.
    #[error("signals: expected those of chain schema {expected}, found chain schema {found}")]
    ChainSchema {
        /// Hash of the model's chain schema.
        expected: String,
        /// Hash of the other one.
        found: String,
    },
    /// The progress asked to stop.
    #[error("stopped before the value model was fitted")]
    Stopped,
    /// A learner, or one of its models, failed.
    #[error("learner `{name}`: cannot {action}")]
    Learner {
        /// The learner's name.
        name: String,
        /// "fit", "predict", "save", "load".
        action: &'static str,
        /// The learner's error.
        source: LearnerError,
    },
    /// A learner's model predicts what an outcome cannot be.
    #[error("learner `{name}`: expected {expected}, found {found}")]
    Prediction {
        /// The learner's name.
        name: String,
        /// What was expected of it.
        expected: String,
        /// What came.
        found: String,
    },
    /// A file operation failed.
    #[error(transparent)]
    Files(#[from] scaletot_core::files::FileError),
    /// A file of a saved model is not the one that was written with it, is missing or superfluous.
    #[error(transparent)]
    Checksum(ChecksumError),
    /// A prediction is no finite number.
    #[error(
        "row {row}: expected a finite prediction, found {found}; are the signals, or the weights of a model that was loaded, extremely large?"
    )]
    NotFinite {
        /// Row of the table, from 0.
        row: usize,
        /// The prediction.
        found: f64,
    },
    /// A manifest is not JSON of the expected shape.
    #[error("{}: not the manifest of a value model", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// What the parser found, with line and column.
        source: serde_json::Error,
    },
    /// A manifest contradicts itself or the schema.
    #[error("{}: expected {expected}, found {found}", path.display())]
    Manifest {
        /// The file.
        path: PathBuf,
        /// What was expected.
        expected: String,
        /// What is there.
        found: String,
    },
    /// A model was written in a format that this version does not read.
    #[error("{}: expected format {expected}, found {found}; read it with the version that wrote it", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// The format that this version reads and writes.
        expected: u32,
        /// The format of the file.
        found: u32,
    },
    /// A saved model has models of a learner that no loader is given for.
    #[error("the value model has models of learner `{name}`: expected a loader of that name, found none")]
    NoLoader {
        /// The learner's name.
        name: String,
    },
    /// Quantiles, tables or datasets.
    #[error(transparent)]
    Profile(#[from] scaletot_profile::Error),
    /// Signals that do not fit the chain schema.
    #[error(transparent)]
    Chain(#[from] scaletot_chain::Error),
}

impl From<ChecksumError> for Error {
    fn from(error: ChecksumError) -> Self {
        match error {
            ChecksumError::File(error) => error.into(),
            other => Self::Checksum(other),
        }
    }
}

impl Error {
    pub(crate) fn learner(name: &str, action: &'static str) -> impl FnOnce(LearnerError) -> Self {
        let name = name.to_owned();
        move |source| Self::Learner { name, action, source }
    }
}

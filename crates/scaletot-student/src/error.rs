//! The crate's error.

use std::path::PathBuf;

use scaletot_core::ContentHash;
use scaletot_core::config::ConfigError;
use scaletot_core::files::FileError;

/// Result with the crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of a library that this crate calls.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// What can go wrong with a student. A message has what was expected, what was found and where; its cause, if it has one, is in `source()`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An option is out of range.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A token id the model has no embedding for.
    #[error("token id {id} is outside the vocabulary of {vocab} tokens")]
    Token {
        /// The id.
        id: u32,
        /// Size of the vocabulary.
        vocab: usize,
    },
    /// A size that does not match.
    #[error("{what}: expected {expected}, found {found}")]
    Shape {
        /// What was measured.
        what: &'static str,
        /// The size it must have.
        expected: usize,
        /// The size it has.
        found: usize,
    },
    /// A row that the table does not have.
    #[error("row {row} of a table of {rows} rows")]
    Row {
        /// The row.
        row: usize,
        /// Rows of the table.
        rows: usize,
    },
    /// A profile's text that leaves no room for the chain.
    #[error(
        "row {row}: expected a text of at most {most} tokens, so that the chain fits behind it into the model's context, found {found}"
    )]
    TooLong {
        /// The row.
        row: usize,
        /// The most tokens that it may have.
        most: usize,
        /// The tokens that it has.
        found: usize,
    },
    /// A row is named twice.
    #[error("row {row}: expected each row once, found it twice")]
    RepeatedRow {
        /// The row.
        row: usize,
    },
    /// Data of another schema than the student's.
    #[error("{what}: expected schema {expected}, found {found}")]
    SchemaMismatch {
        /// What has the other schema.
        what: &'static str,
        /// Hash of the student's schema.
        expected: ContentHash,
        /// Hash of the schema that came.
        found: ContentHash,
    },
    /// No user is left to train on.
    #[error("no user to train {stage} on: {why} (records: {records}, accepted: {accepted})")]
    NoUsers {
        /// Which trainer.
        stage: &'static str,
        /// What was missing.
        why: &'static str,
        /// Records of the corpus.
        records: usize,
        /// Records that are accepted.
        accepted: usize,
    },
    /// Training left the numbers, or its loss exploded.
    #[error(
        "{stage}, epoch {epoch}, step {step}: expected a {what} of at most {bound}, found {value}; a lower learning rate or clip_norm may help{}",
        left(", from the beginning; the last checkpoint before, which goes on with the same settings only, is", checkpoint.as_ref())
    )]
    Diverged {
        /// Which trainer.
        stage: &'static str,
        /// Epoch, from 1.
        epoch: usize,
        /// Optimiser step, from 1.
        step: usize,
        /// Loss, gradient norm or held-out value.
        what: &'static str,
        /// Its value.
        value: f64,
        /// The largest size it may have.
        bound: f64,
        /// The checkpoint that is left.
        checkpoint: Option<PathBuf>,
    },
    /// The progress listener asked to stop.
    #[error("{stage} was stopped in epoch {epoch}{}", left("; it goes on from", checkpoint.as_ref()))]
    Stopped {
        /// Which trainer.
        stage: &'static str,
        /// Epoch, from 1.
        epoch: usize,
        /// The checkpoint from which the run goes on; without one, nothing is kept of a half-trained student.
        checkpoint: Option<PathBuf>,
    },
    /// A training checkpoint of another run.
    #[error(
        "{path}: expected a checkpoint of this run, found one of a run with other {what}; name another file, or remove it to begin anew",
        path = path.display()
    )]
    OtherRun {
        /// The file.
        path: PathBuf,
        /// What differs: `settings`, `seed`, `users` or `student`.
        what: String,
    },
    /// A checkpoint of a kind that this crate does not compute.
    #[error("{path}, `{field}`: expected {expected}, found {found}", path = path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// The key.
        field: String,
        /// What it may be.
        expected: String,
        /// What it is.
        found: String,
    },
    /// A saved student of a format this version does not read.
    #[error("{path}: expected format {expected}, found {found}", path = path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// The format this version reads and writes.
        expected: u32,
        /// The format of the file.
        found: u32,
    },
    /// A file of a saved student that does not hold what it should.
    #[error("{path}: {message}", path = path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: String,
        /// What the reader of the format, or the check of the content, found.
        source: Option<Cause>,
    },
    /// A tokenizer does not do what it must, or the `tokenizers` library refused something.
    #[error("tokenizer: {message}")]
    Tokenizer {
        /// What was expected.
        message: String,
        /// The library's error.
        source: Option<Cause>,
    },
    /// The device could not be read.
    #[error("cannot read {what} from the device")]
    Device {
        /// What was read.
        what: &'static str,
        /// Why it failed.
        source: Cause,
    },
    /// From the profiles.
    #[error(transparent)]
    Profile(#[from] scaletot_profile::Error),
    /// From the chains.
    #[error(transparent)]
    Chain(#[from] scaletot_chain::Error),
    /// From the OSIPO loss.
    #[error(transparent)]
    Osipo(#[from] scaletot_osipo::Error),
    /// Reading or writing a file failed.
    #[error(transparent)]
    File(#[from] FileError),
}

/// Says where a checkpoint is, if there is one.
fn left(what: &str, checkpoint: Option<&PathBuf>) -> String {
    checkpoint.map_or_else(String::new, |path| format!("{what} {}", path.display()))
}

impl Error {
    /// Whether there was nobody, or nobody with an outcome above 0, to train on: what was to be trained is as it was before.
    #[must_use]
    pub fn is_without_users(&self) -> bool {
        matches!(self, Self::NoUsers { .. } | Self::Osipo(scaletot_osipo::Error::Empty { .. }))
    }

    /// A file with content that is not what it should be.
    pub(crate) fn corrupt(path: &std::path::Path, message: impl Into<String>) -> Self {
        Self::Corrupt { path: path.to_path_buf(), message: message.into(), source: None }
    }

    /// A file that a parser, or the check of what it holds, refused; for `map_err`.
    pub(crate) fn unusable<E: Into<Cause>>(path: &std::path::Path) -> impl FnOnce(E) -> Self {
        let (path, message) = (path.to_path_buf(), "its content cannot be used".to_owned());
        move |source| Self::Corrupt { path, message, source: Some(source.into()) }
    }

    /// A tokenizer that does not do what it must.
    pub(crate) fn tokenizer(message: impl Into<String>) -> Self {
        Self::Tokenizer { message: message.into(), source: None }
    }

    /// The `tokenizers` library refused to `action`; for `map_err`.
    pub(crate) fn tokenizers(action: &str) -> impl FnOnce(Cause) -> Self {
        let message = format!("cannot {action}");
        move |source| Self::Tokenizer { message, source: Some(source) }
    }

    pub(crate) fn device(what: &'static str, source: impl Into<Cause>) -> Self {
        Self::Device { what, source: source.into() }
    }
}

//! The one error type of the crate.

mod schema;

use std::io;
use std::path::PathBuf;

use scaletot_core::ContentHash;
use scaletot_core::files::FileError;

use crate::corpus::{DamagedLine, listed};

pub use schema::SchemaError;

/// Result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong with chain schemas, chains and corpus files.
///
/// A message has what was expected, what was found, and where; its cause, if it has one, is in `source()`. Positions of states and
/// constraints count from 1, as in the file; line numbers count from 1, the header being line 1.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused a file operation.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried: "open", "write" …
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// Another error, with the file it was found in.
    #[error("cannot use {}", path.display())]
    InFile {
        /// The file.
        path: PathBuf,
        /// What is wrong in it.
        source: Box<Error>,
    },
    /// A schema file's extension names no known format.
    #[error("{}: expected a chain schema file ending in .toml or .json", path.display())]
    UnknownExtension {
        /// The file.
        path: PathBuf,
    },
    /// The text is not TOML or JSON of the expected shape.
    #[error("not a chain schema in {format}")]
    Syntax {
        /// "TOML" or "JSON".
        format: &'static str,
        /// The parser's error, with line and column.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A chain schema contradicts itself.
    #[error(transparent)]
    Schema(#[from] SchemaError),

    /// A text is not a value of a state.
    #[error("`{value}` is not a value of state `{state}`; values: {known}")]
    UnknownValue {
        /// The state.
        state: String,
        /// The text.
        value: String,
        /// Values it could have been.
        known: String,
    },
    /// A chain does not have one value for each state.
    #[error("expected a chain of {expected} states, found {found}")]
    ChainLength {
        /// Number of states of the schema.
        expected: usize,
        /// Number that came.
        found: usize,
    },
    /// A value code lies outside the state's domain.
    #[error("state `{state}`: value code {value} is outside its domain of {size} values")]
    ValueOutOfRange {
        /// The state.
        state: String,
        /// The code.
        value: u16,
        /// Size of the domain.
        size: usize,
    },
    /// A value that the constraints forbid after the values before it.
    #[error("state `{state}`: `{value}` is forbidden by constraint {constraint} ({text})")]
    ForbiddenValue {
        /// The state.
        state: String,
        /// The forbidden value.
        value: String,
        /// Position of the constraint, from 1.
        constraint: usize,
        /// The constraint in words.
        text: String,
    },
    /// A list of probabilities has the wrong length.
    #[error("{what}: expected {expected} numbers, found {found}")]
    WrongLength {
        /// What the list is and where.
        what: String,
        /// The length it must have.
        expected: usize,
        /// The length it has.
        found: usize,
    },
    /// A number outside its range.
    #[error("{what}: expected {expected}, found {found}")]
    BadNumber {
        /// What the number is and where.
        what: String,
        /// The range in words.
        expected: String,
        /// The number.
        found: f64,
    },
    /// Signals name a row of the profile table twice.
    #[error("row {row} has signals twice")]
    DuplicateRow {
        /// The row, from 0.
        row: usize,
    },
    /// Signals were asked for a row that has none.
    #[error("row {row} has no signals")]
    NoSignals {
        /// The row, from 0.
        row: usize,
    },
    /// A verdict has a reason exactly if it is not accepted.
    #[error("reason of the verdict: expected {expected}, found {found}")]
    VerdictReason {
        /// What it must have.
        expected: &'static str,
        /// What it has.
        found: &'static str,
    },
    /// A row that the profile table does not have.
    #[error("row {row} of a table of {rows} rows")]
    RowNotInTable {
        /// The row, from 0.
        row: usize,
        /// Rows of the table.
        rows: usize,
    },
    /// A column of a record batch is missing or not what it should be.
    #[cfg(feature = "arrow")]
    #[cfg_attr(docsrs, doc(cfg(feature = "arrow")))]
    #[error("column `{column}`: expected {expected}, found {found}")]
    Column {
        /// The column.
        column: String,
        /// What it must hold.
        expected: String,
        /// What it holds.
        found: String,
    },
    /// Arrow refused a record batch.
    #[cfg(feature = "arrow")]
    #[cfg_attr(docsrs, doc(cfg(feature = "arrow")))]
    #[error("the record batch cannot be made")]
    Arrow {
        /// Why.
        source: arrow_schema::ArrowError,
    },
    /// A record whose verdict is accepted holds no chain.
    #[error("the verdict is accepted, but there is no best chain")]
    AcceptedWithoutChain,
    /// Another error, with the user whose record it is in.
    #[error("the record of user {user} is not valid")]
    InRecord {
        /// The user.
        user: String,
        /// What is wrong with the record.
        source: Box<Error>,
    },

    /// A corpus of another chain schema than the one it is to be used with.
    #[error("the corpus has chain schema {found}, expected `{schema}`, which is {expected}")]
    OtherChainSchema {
        /// Name of the schema it must have.
        schema: String,
        /// Hash of that schema.
        expected: ContentHash,
        /// Hash of the corpus' schema.
        found: ContentHash,
    },
    /// Two records are of one user.
    #[error("user {user} has more than one record")]
    RepeatedUser {
        /// The user.
        user: String,
    },
    /// A user of a corpus or of signals is not among those of the dataset.
    #[error("user {user} is not among the {users} users of the dataset")]
    UserNotInDataset {
        /// The user.
        user: String,
        /// Users of the dataset.
        users: usize,
    },

    /// A corpus was to be created where a file already is.
    #[error("{}: a file is already there; resume it, or remove it first", path.display())]
    CorpusExists {
        /// The file.
        path: PathBuf,
    },
    /// Another writer holds the corpus.
    #[error("{}: another writer has this corpus open", path.display())]
    CorpusLocked {
        /// The file.
        path: PathBuf,
    },
    /// The first line is no corpus header.
    #[error("{}: line 1: expected a corpus header, found {found}", path.display())]
    NotACorpus {
        /// The file.
        path: PathBuf,
        /// What is there instead.
        found: String,
        /// What the parser found, if the line has a header's kind and format, but not its keys.
        source: Option<serde_json::Error>,
    },
    /// The corpus was written in a format that this version does not read.
    #[error("{}: line 1: expected corpus format {supported}, found {found}; read it with the version that wrote it", path.display())]
    UnknownFormat {
        /// The file.
        path: PathBuf,
        /// Format of the file.
        found: u64,
        /// Format this version reads and writes.
        supported: u32,
    },
    /// The corpus was made under another header than this run's.
    #[error("{}: this corpus was made by another run: {}", path.display(), differences.join("; "))]
    HeaderDiffers {
        /// The file.
        path: PathBuf,
        /// One line for each difference: "seed: corpus has 1, this run has 2".
        differences: Vec<String>,
    },
    /// A corpus line holds a record that is not valid.
    #[error("{}: line {line} is not valid", path.display())]
    InLine {
        /// The file.
        path: PathBuf,
        /// Line number, from 1.
        line: u64,
        /// What is wrong with the record.
        source: Box<Error>,
    },
    /// A corpus line is not a record.
    #[error("{}: line {line}: {message}", path.display())]
    CorruptLine {
        /// The file.
        path: PathBuf,
        /// Line number, from 1.
        line: u64,
        /// What was expected of it.
        message: String,
        /// What the parser found, with its column.
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// Lines of a corpus are not what was written.
    #[error(
        "{}: {} not what was written: {}; resume the corpus to ask about the users of these lines again, or read the others with `Corpus::read_undamaged`",
        path.display(),
        if lines.len() == 1 { "1 line is".to_owned() } else { format!("{} lines are", lines.len()) },
        listed(lines)
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// All of these lines.
        lines: Vec<DamagedLine>,
    },
    /// The header of a corpus is damaged, and was not the one of this run.
    #[error("{}: line 1: the corpus header is damaged, and was not this run's; read the records with `Corpus::read_undamaged`", path.display())]
    OtherHeaderDamaged {
        /// The file.
        path: PathBuf,
    },
    /// The last corpus line was cut.
    #[error("{}: line {line} was cut after {bytes} bytes; resume the corpus to repair it", path.display())]
    CutLine {
        /// The file.
        path: PathBuf,
        /// Line number, from 1.
        line: u64,
        /// Bytes of the line that are there.
        bytes: u64,
    },
    /// A user has two records that differ, or is to get a second one.
    #[error("{}: user {user} has a record on line {first} and again on line {second}", path.display())]
    DuplicateUser {
        /// The file.
        path: PathBuf,
        /// The user.
        user: String,
        /// Line of the first record, from 1.
        first: u64,
        /// Line of the second record, from 1.
        second: u64,
    },
    /// An earlier write failed and could not be undone.
    #[error("{}: an earlier write failed half-way; resume the corpus to repair it", path.display())]
    CorpusBroken {
        /// The file.
        path: PathBuf,
    },
}

impl From<FileError> for Error {
    fn from(FileError { action, path, source, .. }: FileError) -> Self {
        Self::Io { action, path, source }
    }
}

impl Error {
    /// The same error, with the file it was found in.
    pub(crate) fn in_file(self, path: &std::path::Path) -> Self {
        Self::InFile { path: path.to_path_buf(), source: Box::new(self) }
    }

    /// An input/output error on `path`.
    pub(crate) fn io(action: &'static str, path: &std::path::Path, source: io::Error) -> Self {
        Self::Io { action, path: path.to_path_buf(), source }
    }
}

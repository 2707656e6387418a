use std::borrow::Cow;
use std::path::{Path, PathBuf};

use scaletot_core::ContentHash;
use scaletot_core::config::ConfigError;
use scaletot_core::files::FileError;

use crate::id::UserId;
use crate::place::Place;

/// The result of this crate's fallible operations.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong with schemas, tables and their files.
///
/// Messages name what was expected, what came, and where: the file, the data row (from 1) and the column.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A schema contradicts itself.
    #[error("profile schema {schema:?}{}: {message}", in_field(.field))]
    Schema {
        /// Name of the schema.
        schema: String,
        /// The field that is at fault, if it is one.
        field: Option<String>,
        /// What is wrong, and what would be right.
        message: String,
    },
    /// A text is not TOML or JSON, or not of a profile schema's shape.
    #[error("{}expected a profile schema in {format}", in_file(path.as_deref()))]
    Syntax {
        /// The file, where the text came from one.
        path: Option<PathBuf>,
        /// "TOML" or "JSON".
        format: &'static str,
        /// The parser's error, with its position.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The file system refused.
    #[error("{}: cannot {action}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What was tried: "read", "write", "open" …
        action: &'static str,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The file's extension names no format that is known here.
    #[error("{}: expected a file name that ends in {expected}", path.display())]
    Extension {
        /// The file.
        path: PathBuf,
        /// The endings that are known.
        expected: &'static str,
    },
    /// The format is known, but was not compiled in.
    #[error("{}: this file needs the feature `{feature}` of scaletot-profile, which is not enabled", path.display())]
    Feature {
        /// The file.
        path: PathBuf,
        /// The Cargo feature to enable.
        feature: &'static str,
    },
    /// A cell holds what its column does not take: a wrong type, an unknown category, a number out of range.
    #[error("{place}, column {column:?}: expected {expected}, found {found}")]
    Cell {
        /// Row, and file if there is one.
        place: Place,
        /// Column name.
        column: String,
        /// What the column takes.
        expected: String,
        /// What the cell holds.
        found: String,
    },
    /// Two rows have the same user id.
    #[error("{place}, column {column:?}: the id {id:?} is already in row {first}; ids must be unique", id = shortened(&id.to_string()))]
    DuplicateId {
        /// The second row.
        place: Place,
        /// The id column.
        column: String,
        /// The id.
        id: UserId,
        /// The first row with that id, from 1.
        first: usize,
    },
    /// A row has no user id.
    #[error("{place}, column {column:?}: expected a user id, found an empty cell")]
    EmptyId {
        /// The row.
        place: Place,
        /// The id column.
        column: String,
    },
    /// A column that is needed is not in the file.
    #[error("{}no column {column:?}, which is wanted as {wanted_as}; the columns are {}{}{}", in_file(path.as_deref()), quoted(.there), alike(.there, .column), partition(path.as_deref(), .column))]
    MissingColumn {
        /// The file.
        path: Option<PathBuf>,
        /// The column that was looked for.
        column: String,
        /// What it was wanted as.
        wanted_as: &'static str,
        /// The columns that are there.
        there: Vec<String>,
    },
    /// Two columns have the same name.
    #[error("{}column {column:?} occurs twice, as columns {first} and {second}", in_file(path.as_deref()))]
    DuplicateColumn {
        /// The file that was read or was to be written.
        path: Option<PathBuf>,
        /// The name.
        column: String,
        /// Position of the first one, from 1.
        first: usize,
        /// Position of the second one, from 1.
        second: usize,
    },
    /// A typed file's column has a type that cannot be read as what is wanted.
    #[error("{}column {column:?} has type {found}, expected {expected}: {remedy}", in_file(path.as_deref()))]
    ColumnType {
        /// The file.
        path: Option<PathBuf>,
        /// Column name.
        column: String,
        /// The types that would do.
        expected: &'static str,
        /// The type that is there.
        found: String,
        /// How the table can be written so that the column is read.
        remedy: &'static str,
    },
    /// The file is cut off or damaged.
    #[error("{}{}: the file is cut off or damaged: {message}", path.display(), at(.place))]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where reading stopped, if it had come to a row.
        place: Option<Place>,
        /// What is wrong.
        message: String,
    },
    /// The file may be sound, but holds what is not read here.
    #[error("{}: found {found}, expected {expected}", path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// What it holds.
        found: String,
        /// What would be read, and how to come by it.
        expected: &'static str,
    },
    /// Decoding would take more memory than [`ReadOptions::with_max_decoded_bytes`](crate::ReadOptions::with_max_decoded_bytes) allows.
    #[error(
        "{place}, column {column:?}: expected cells and pages that decode into at most {} MiB at once, found {} MiB; write the table with shorter cells or smaller pages, or raise the limit (ReadOptions::with_max_decoded_bytes)",
        limit >> 20, needed.div_ceil(1 << 20)
    )]
    TooLarge {
        /// The first row of what would be decoded.
        place: Place,
        /// Column name.
        column: String,
        /// Bytes that it would take, at least.
        needed: u64,
        /// Bytes that are allowed.
        limit: u64,
    },
    /// A file unpacks to a table out of proportion to its size, see
    /// [`ReadOptions::with_max_decoded_bytes`](crate::ReadOptions::with_max_decoded_bytes).
    #[error(
        "{}: expected a table of at most {} MiB in a file of {length} bytes, found more in {rows} rows; if it is to be trusted, raise the limit (ReadOptions::with_max_decoded_bytes)",
        path.display(), limit >> 20
    )]
    OutOfProportion {
        /// The file.
        path: PathBuf,
        /// Bytes of the file.
        length: u64,
        /// Rows that the file says it has.
        rows: usize,
        /// Bytes that its table may take.
        limit: u64,
    },
    /// Arrow arrays cannot be read or made, or the source of batches failed.
    #[cfg(feature = "arrow")]
    #[error("{}expected Arrow arrays that can be converted", place.as_ref().map(|place| format!("{place}: ")).unwrap_or_default())]
    Arrow {
        /// The first row of the batch, if a batch is at fault.
        place: Option<Place>,
        /// What is wrong.
        source: arrow_schema::ArrowError,
    },
    /// Two things that belong together have different lengths.
    #[error("{what}: expected {expected}, found {found}")]
    Length {
        /// What was counted.
        what: String,
        /// The length it should have.
        expected: usize,
        /// The length it has.
        found: usize,
    },
    /// A row index that the table does not have.
    #[error("row index {index} is outside of a table of {rows} rows (indices count from 0)")]
    Row {
        /// The index, from 0.
        index: usize,
        /// Rows of the table.
        rows: usize,
    },
    /// An argument or a setting is outside of what is taken.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Something fitted on profiles of one schema was given profiles of another.
    #[error("expected profiles of the schema with hash {expected}, found {found}")]
    OtherSchema {
        /// Hash of the schema it was fitted on.
        expected: ContentHash,
        /// Hash of the schema that came.
        found: ContentHash,
    },
}

impl From<FileError> for Error {
    fn from(FileError { action, path, source, .. }: FileError) -> Self {
        Self::Io { path, action, source }
    }
}

fn in_field(field: &Option<String>) -> String {
    field.as_ref().map(|name| format!(", field {name:?}")).unwrap_or_default()
}

/// `path: `, or nothing if there is none.
pub(crate) fn in_file(path: Option<&Path>) -> String {
    path.map(|path| format!("{}: ", path.display())).unwrap_or_default()
}

/// A column that is there under nearly that name.
fn alike(there: &[String], column: &str) -> String {
    let plain = |name: &str| name.trim().to_lowercase();
    match there.iter().find(|name| plain(name) == plain(column)) {
        Some(name) => {
            format!("; {:?} is another name, since capitals and blanks count: rename it", shortened(name))
        }
        None => String::new(),
    }
}

/// Where a column is that a partitioned table has in the names of its directories, `COLUMN=VALUE`, and not in its files.
fn partition(path: Option<&Path>, column: &str) -> String {
    let names = path.into_iter().flat_map(Path::components);
    let names = names.filter_map(|part| part.as_os_str().to_str()?.split_once('='));
    match names.rev().find(|(name, _)| *name == column) {
        Some((_, value)) => {
            format!(
                "; its value for this file is in the directory's name, {:?}: write it into the file as a column",
                shortened(value)
            )
        }
        None => String::new(),
    }
}

fn at(place: &Option<Place>) -> String {
    place.as_ref().map(|place| format!(", {}", Place { file: None, ..place.clone() })).unwrap_or_default()
}

/// The text, cut after 60 characters.
pub(crate) fn shortened(text: &str) -> Cow<'_, str> {
    const SHOWN: usize = 60;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => Cow::Owned(format!("{}…", &text[..end])),
        None => Cow::Borrowed(text),
    }
}

/// `"a", "b", "c"`, cut after a dozen.
pub(crate) fn quoted<S: AsRef<str>>(items: &[S]) -> String {
    const SHOWN: usize = 12;
    let mut text = items
        .iter()
        .take(SHOWN)
        .map(|item| format!("{:?}", shortened(item.as_ref())))
        .collect::<Vec<_>>()
        .join(", ");
    if items.len() > SHOWN {
        text.push_str(&format!(" … ({} in all)", items.len()));
    }
    if items.is_empty() { "none".to_owned() } else { text }
}

//! Tables in files.

#[cfg(any(feature = "csv", feature = "arrow"))]
mod collect;
#[cfg(any(feature = "csv", feature = "parquet"))]
mod kind;
mod options;
#[cfg(any(feature = "csv", feature = "arrow"))]
mod output;

#[cfg(feature = "arrow")]
mod arrow;
#[cfg(feature = "csv")]
mod csv;
#[cfg(feature = "parquet")]
mod parquet;

use std::fmt;
use std::path::Path;

pub use options::{MISSING_NUMBERS, ReadOptions};

#[cfg(feature = "arrow")]
pub(crate) use self::arrow::to_record_batch;
#[cfg(feature = "csv")]
pub use self::csv::{CsvPreview, read_csv, read_csv_from, write_csv};
#[cfg(feature = "parquet")]
pub use self::parquet::{
    ParquetPreview, ParquetProfiles, PreviewColumn, RowGroup, read_parquet, write_parquet,
};

use crate::attributes::Attributes;
use crate::error::{Error, Result, shortened};
use crate::id::UserIds;
use crate::place::Place;
use crate::schema::ProfileSchema;
use crate::table::ProfileTable;

/// What was read from a file.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Loaded {
    /// The profiles, in the file's order.
    pub profiles: ProfileTable,
    /// The further columns that [`ReadOptions`] asked for, row by row beside the profiles.
    pub attributes: Attributes,
    /// The rows that do not fit, in the file's order: none, unless [`ReadOptions::with_bad_rows_left_out`] asks to go on without them.
    pub left_out: Vec<LeftOut>,
}

/// A row that was left out, and why. It is displayed as the error that it would have been.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LeftOut {
    /// The row.
    pub place: Place,
    /// The column of the first cell that does not fit; `None` for a row of another number of cells.
    pub column: Option<String>,
    /// What that column, or the table, takes.
    pub expected: String,
    /// What the cell or row holds.
    pub found: String,
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, column, expected, found } = self;
        match column {
            Some(column) => {
                write!(f, "{place}, column {:?}: expected {expected}, found {found}", shortened(column))
            }
            None => write!(f, "{place}: expected {expected}, found {found}"),
        }
    }
}

impl LeftOut {
    /// The row of an error, if it is that of one row alone.
    #[cfg(any(feature = "csv", feature = "arrow"))]
    pub(crate) fn of(error: Error) -> Result<Self> {
        let (place, column, expected, found) = match error {
            Error::Cell { place, column, expected, found } => (place, column, expected, found),
            Error::EmptyId { place, column } => {
                (place, column, "a user id".to_owned(), "an empty cell".to_owned())
            }
            Error::DuplicateId { place, column, id, first } => {
                let found = format!("{:?} of row {first}", shortened(&id.to_string()));
                (place, column, "an id that no row before has".to_owned(), found)
            }
            other => return Err(other),
        };
        Ok(Self { place, column: Some(column), expected, found })
    }
}

/// Rows of a file that may be left out, whatever the others are.
#[cfg(any(feature = "csv", feature = "arrow"))]
const MAX_LEFT_OUT: usize = 100_000;

/// Refuses a file of which most rows do not fit: a list of them would take many times as much memory as the file.
#[cfg(any(feature = "csv", feature = "arrow"))]
fn check_left_out(path: &Path, left_out: &[LeftOut], kept: usize) -> Result<()> {
    let count = left_out.len();
    match left_out.first() {
        Some(first) if count > MAX_LEFT_OUT && count > kept => {
            let place = Place { file: None, ..first.place.clone() };
            let first = LeftOut { place, ..first.clone() };
            Err(Error::Unsupported {
                path: path.to_owned(),
                found: format!(
                    "{count} rows that do not fit, and only {kept} that do, so far; the first: {first}"
                ),
                expected: "a table of the profile schema",
            })
        }
        _ => Ok(()),
    }
}

/// Reads profiles from a `.csv` or `.parquet` file, by its extension; see `read_csv` and `read_parquet`.
///
/// ```
/// # #[cfg(feature = "csv")] {
/// use scaletot_profile::{Attributes, FieldSpec, ProfileSchema, ReadOptions, UserId, read, write};
///
/// let schema = ProfileSchema::builder("shop")
///     .with_id_column("customer")
///     .with_field(FieldSpec::ordinal("age", ["18-34", "35-54", "55+"]))
///     .build()?;
/// # let dir = tempfile::tempdir().unwrap();
/// let path = dir.path().join("customers.csv");
/// # std::fs::write(&path, "customer,age,spend_30d\n007,55+,12.5\n008,,0\n").unwrap();
///
/// // customer,age,spend_30d
/// // 007,55+,12.5
/// // 008,,0
/// let loaded = read(&path, &schema, &ReadOptions::new().with_number("spend_30d"))?;
/// assert_eq!(loaded.profiles.id(0), UserId::from("007"));
/// assert_eq!(loaded.attributes.number("spend_30d"), Some(&[Some(12.5), Some(0.0)][..]));
///
/// // Scores go out under the ids that came in.
/// let mut scores = Attributes::new();
/// scores.insert_number("score", vec![Some(0.9), None])?;
/// let out = dir.path().join("scores.csv");
/// write(&out, "customer", loaded.profiles.ids(), None, &scores)?;
/// # assert_eq!(std::fs::read_to_string(&out).unwrap(), "customer,score\n007,0.9\n008,\n");
/// # }
/// # Ok::<(), scaletot_profile::Error>(())
/// ```
///
/// # Errors
/// [`Error::Extension`] for another kind of file, [`Error::Feature`] if the format was not compiled in, and the reader's
/// own errors.
pub fn read(path: impl AsRef<Path>, schema: &ProfileSchema, options: &ReadOptions) -> Result<Loaded> {
    let path = path.as_ref();
    match Format::of(path)? {
        #[cfg(feature = "csv")]
        Format::Csv => read_csv(path, schema, options),
        #[cfg(feature = "parquet")]
        Format::Parquet => read_parquet(path, schema, options),
        #[allow(unreachable_patterns, reason = "with every format built there is none left")]
        format => {
            let _ = (schema, options);
            Err(format.not_built(path))
        }
    }
}

/// Writes ids, profiles if given, and attributes to a `.csv` or `.parquet` file, by its extension; see `write_csv` and
/// `write_parquet`.
///
/// # Errors
/// [`Error::Extension`] for another kind of file, [`Error::Feature`] if the format was not compiled in, and the writer's
/// own errors.
pub fn write(
    path: impl AsRef<Path>,
    id_column: &str,
    ids: &UserIds,
    profiles: Option<&ProfileTable>,
    attributes: &Attributes,
) -> Result<()> {
    let path = path.as_ref();
    match Format::of(path)? {
        #[cfg(feature = "csv")]
        Format::Csv => write_csv(path, id_column, ids, profiles, attributes),
        #[cfg(feature = "parquet")]
        Format::Parquet => write_parquet(path, id_column, ids, profiles, attributes),
        #[allow(unreachable_patterns, reason = "with every format built there is none left")]
        format => {
            let _ = (id_column, ids, profiles, attributes);
            Err(format.not_built(path))
        }
    }
}

enum Format {
    Csv,
    Parquet,
}

impl Format {
    fn of(path: &Path) -> Result<Self> {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some(extension) if extension.eq_ignore_ascii_case("csv") => Ok(Self::Csv),
            Some(extension) if extension.eq_ignore_ascii_case("parquet") => Ok(Self::Parquet),
            _ => Err(Error::Extension { path: path.to_owned(), expected: ".csv or .parquet" }),
        }
    }

    #[allow(dead_code, reason = "with every format built nobody calls it")]
    fn not_built(&self, path: &Path) -> Error {
        let feature = match self {
            Self::Csv => "csv",
            Self::Parquet => "parquet",
        };
        Error::Feature { path: path.to_owned(), feature }
    }
}

//! A table as it comes: columns of texts, before anything is known of them.

use std::collections::HashMap;
use std::io::{BufReader, Read};
use std::path::Path;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, UInt64Type};
use arrow_array::{Array, ArrayRef};
use arrow_cast::cast;
use arrow_schema::DataType;
use flate2::read::MultiGzDecoder;
use scaletot_core::files;
use scaletot_profile::{CsvPreview, ParquetPreview, ReadOptions};

use crate::error::{Context, Result, bail, ensure};

/// Rows that are looked at, at most. A value that comes up later only is one that the drafted schema does not list.
pub const MAX_ROWS: usize = 200_000;

/// Bytes of cells that are held, at most: of a table with long cells fewer rows are looked at.
const MAX_BYTES: usize = 256 << 20;

/// What a file says of a column's type. A CSV file says nothing: all of its columns are texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Declared {
    /// Texts, of which nothing is known.
    Text,
    /// Numbers.
    Number,
    /// Yes and no.
    Flag,
    /// Dates or times.
    Date,
    /// Lists of texts.
    List,
    /// Something that no profile field is read from, such as bytes.
    Other,
    /// Not to be told: another column has the same name, so that neither can be asked for.
    Ambiguous,
}

/// A column of a table.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct RawColumn {
    /// Its name.
    pub name: String,
    /// What the file says of its type.
    pub declared: Declared,
    /// The cells as texts, blanks at their ends removed; whole numbers have no fraction, `None` is an empty cell or a null. The items
    /// of a list stand between [`LIST_SEPARATOR`].
    pub cells: Vec<Option<String>>,
}

/// What stands between the items of a list that a file has as such.
pub const LIST_SEPARATOR: char = '\u{1f}';

/// The first rows of a table, by column.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct RawTable {
    /// The columns, in the file's order.
    pub columns: Vec<RawColumn>,
    /// How many rows there are in `columns`.
    pub rows: usize,
    /// Whether the file has more.
    pub is_cut: bool,
}

impl RawTable {
    /// Reads the first [`MAX_ROWS`] rows of a `.csv`, `.csv.gz` or `.parquet` file.
    ///
    /// # Errors
    /// If it cannot be read, has another ending, or has no column or no row.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let name =
            path.file_name().map(|name| name.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
        let table = if name.ends_with(".csv") {
            Self::csv(files::open(path)?, path)?
        } else if name.ends_with(".csv.gz") {
            Self::csv(MultiGzDecoder::new(BufReader::new(files::open(path)?)), path)?
        } else if name.ends_with(".parquet") {
            Self::parquet(path)?
        } else {
            bail!("{}: expected a table in a .parquet, .csv or .csv.gz file", path.display())
        };
        table.checked().with_context(|| path.display().to_string())
    }

    /// Reads the first [`MAX_ROWS`] rows of a table with a header line, whose cells stand between commas, semicolons, tabs or bars.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn from_csv(source: impl Read) -> Result<Self> {
        Self::csv(source, Path::new("the table"))?.checked()
    }

    fn csv(source: impl Read, name: &Path) -> Result<Self> {
        let mut preview = CsvPreview::new(source, name)?;
        let mut columns: Vec<RawColumn> =
            preview.columns().map(|name| RawColumn::new(name, Declared::Text)).collect();
        let (mut rows, mut bytes) = (0, 0);
        while let Some(cells) = preview.next_row()? {
            if rows == MAX_ROWS || bytes > MAX_BYTES {
                return Ok(Self { columns, rows, is_cut: true });
            }
            rows += 1;
            for (column, cell) in columns.iter_mut().zip(cells) {
                bytes += cell.len();
                column.push(cell);
            }
        }
        Ok(Self { columns, rows, is_cut: false })
    }

    fn parquet(path: &Path) -> Result<Self> {
        let preview = ParquetPreview::open(path, &ReadOptions::new())?;
        let mut columns: Vec<RawColumn> = preview
            .columns()
            .map(|column| RawColumn::new(column.name(), column.data_type().map_or(Declared::Other, declared)))
            .collect();
        let is_read: Vec<bool> = preview.columns().map(|column| column.is_read()).collect();
        let (mut rows, mut bytes) = (0, 0);
        for batch in preview.batches() {
            let batch = batch?;
            let batch = batch.slice(0, batch.num_rows().min(MAX_ROWS - rows));
            let mut arrays = batch.columns().iter();
            for (column, is_read) in columns.iter_mut().zip(&is_read) {
                match if *is_read { arrays.next() } else { None } {
                    Some(array) => texts(array, &mut column.cells)?,
                    None => column.cells.resize(rows + batch.num_rows(), None),
                }
                bytes += column.cells[rows..].iter().flatten().map(String::len).sum::<usize>();
            }
            rows += batch.num_rows();
            if rows == MAX_ROWS || bytes > MAX_BYTES {
                break;
            }
        }
        Ok(Self { columns, rows, is_cut: preview.rows() > rows })
    }

    fn checked(mut self) -> Result<Self> {
        ensure!(!self.columns.is_empty(), "expected a table with columns, found none");
        ensure!(self.rows > 0, "expected a table with rows, found none");
        let mut counts: HashMap<String, usize> = HashMap::new();
        self.columns.iter().for_each(|column| *counts.entry(column.name.clone()).or_insert(0) += 1);
        for column in self.columns.iter_mut().filter(|column| counts.get(&column.name) > Some(&1)) {
            column.declared = Declared::Ambiguous;
            column.cells = vec![None; self.rows];
        }
        Ok(self)
    }

    /// The column of that name.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<&RawColumn> {
        self.columns.iter().find(|column| column.name == name)
    }
}

impl RawColumn {
    fn new(name: &str, declared: Declared) -> Self {
        Self { name: name.to_owned(), declared, cells: Vec::new() }
    }

    fn push(&mut self, cell: &str) {
        let cell = cell.trim();
        self.cells.push((!cell.is_empty()).then(|| cell.to_owned()));
    }
}

fn declared(data_type: &DataType) -> Declared {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null => Declared::Text,
        DataType::Boolean => Declared::Flag,
        DataType::Date32
        | DataType::Date64
        | DataType::Timestamp(..)
        | DataType::Time32(_)
        | DataType::Time64(_) => Declared::Date,
        DataType::Dictionary(_, values) => declared(values),
        DataType::RunEndEncoded(_, values) => declared(values.data_type()),
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            match declared(item.data_type()) {
                Declared::Text | Declared::Number | Declared::Flag => Declared::List,
                _ => Declared::Other,
            }
        }
        other if other.is_numeric() => Declared::Number,
        _ => Declared::Other,
    }
}

/// Appends an array's cells as texts.
fn texts(array: &ArrayRef, into: &mut Vec<Option<String>>) -> Result<()> {
    let whole = match array.data_type() {
        DataType::Dictionary(_, values) => values.as_ref().clone(),
        DataType::RunEndEncoded(_, values) => values.data_type().clone(),
        other => other.clone(),
    };
    let cast = |to: &DataType| cast(array, to);
    let valid = |array: &dyn Array, row: usize| array.is_valid(row);
    let rows = 0..array.len();
    match whole {
        DataType::Boolean => {
            let flags = cast(&DataType::Boolean)?;
            let flags = flags.as_boolean();
            into.extend(rows.map(|row| valid(flags, row).then(|| flags.value(row).to_string())));
        }
        DataType::UInt64 => {
            let numbers = cast(&DataType::UInt64)?;
            let numbers = numbers.as_primitive::<UInt64Type>();
            into.extend(rows.map(|row| valid(numbers, row).then(|| numbers.value(row).to_string())));
        }
        // Whole numbers of any width, as they are.
        DataType::Decimal32(_, 0) | DataType::Decimal64(_, 0) | DataType::Decimal128(_, 0) => {
            let texts = cast(&DataType::Utf8)?;
            let texts = texts.as_string::<i32>();
            into.extend(rows.map(|row| valid(texts, row).then(|| texts.value(row).to_owned())));
        }
        ref number if number.is_integer() => {
            let numbers = cast(&DataType::Int64)?;
            let numbers = numbers.as_primitive::<Int64Type>();
            into.extend(rows.map(|row| valid(numbers, row).then(|| numbers.value(row).to_string())));
        }
        ref number if number.is_numeric() => {
            let numbers = cast(&DataType::Float64)?;
            let numbers = numbers.as_primitive::<Float64Type>();
            into.extend(rows.map(|row| valid(numbers, row).then(|| (numbers.value(row) + 0.0).to_string())));
        }
        DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..) => {
            let lists = cast(&DataType::new_large_list(DataType::Utf8, true));
            match lists {
                Ok(lists) => {
                    let lists = lists.as_list::<i64>();
                    into.extend(rows.map(|row| {
                        let items = valid(lists, row).then(|| lists.value(row))?;
                        let items = items.as_string::<i32>();
                        let items: Vec<&str> = items.iter().flatten().collect();
                        Some(items.join(&LIST_SEPARATOR.to_string()))
                    }));
                }
                Err(_) => into.extend(rows.map(|_| None)),
            }
        }
        _ => match cast(&DataType::Utf8) {
            Ok(texts) => {
                let texts = texts.as_string::<i32>();
                into.extend(rows.map(|row| {
                    let text = valid(texts, row).then(|| texts.value(row).trim())?;
                    (!text.is_empty()).then(|| text.to_owned())
                }));
            }
            // Such a column is left out by its type.
            Err(_) => into.extend(rows.map(|_| None)),
        },
    }
    Ok(())
}

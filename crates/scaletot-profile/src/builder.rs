//! Row by row into a table.

use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::{Entry, RandomState};
use std::hash::BuildHasher;
use std::num::NonZeroU64;
use std::path::Path;
use std::sync::Arc;

use crate::cell::Value;
use crate::cell::{self, Cell, Mismatch, Raw};
use crate::column::Column;
use crate::error::{Error, Result};
use crate::field::{Domain, Field, FieldKind};
use crate::id::{UserId, UserIds};
use crate::place::Place;
use crate::schema::ProfileSchema;
use crate::table::ProfileTable;

/// Collects checked rows. A row that is refused leaves the builder as it was.
///
/// ```
/// use scaletot_profile::{FieldSpec, ProfileSchema, TableBuilder, Value};
///
/// let schema = ProfileSchema::builder("shop").with_field(FieldSpec::numeric("income").with_min(0.0)).build()?;
/// let mut builder = TableBuilder::new(schema);
/// builder.push_values("anna", &[Some(Value::Number(10.0))])?;
/// let error = builder.push_text("anna", &["12"]).unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     r#"row 2, column "id": the id "anna" is already in row 1; ids must be unique"#
/// );
/// let error = builder.push_text("berta", &["-3"]).unwrap_err();
/// assert_eq!(error.to_string(), r#"row 2, column "income": expected a finite number of at least 0, found -3"#);
/// assert_eq!(builder.finish().len(), 1);
/// # Ok::<(), scaletot_profile::Error>(())
/// ```
#[derive(Debug)]
pub struct TableBuilder {
    schema: Arc<ProfileSchema>,
    ids: UserIds,
    seen: Seen,
    columns: Vec<Column>,
    /// The cells of the row in hand.
    row: Vec<Cell>,
    file: Option<Arc<Path>>,
    line: Option<NonZeroU64>,
    /// The rows of the file that were left out, from 1, ascending.
    left_out: Vec<usize>,
}

impl TableBuilder {
    /// An empty table of that schema.
    pub fn new(schema: impl Into<Arc<ProfileSchema>>) -> Self {
        let schema = schema.into();
        let columns = schema.fields().iter().map(|field| Column::new(field.kind())).collect();
        Self {
            schema,
            ids: UserIds::default(),
            seen: Seen::default(),
            columns,
            row: Vec::new(),
            file: None,
            line: None,
            left_out: Vec::new(),
        }
    }

    /// The schema that rows must fit.
    #[must_use]
    pub fn schema(&self) -> &Arc<ProfileSchema> {
        &self.schema
    }

    /// How many rows there are so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there is no row yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Appends a user whose cells are texts, one per field in the schema's order, read as a CSV file's cells are: an
    /// empty cell or one of the field's tokens is missing, and blanks at a cell's ends play no part.
    ///
    /// # Errors
    /// [`Error::Length`] for a wrong number of cells, [`Error::EmptyId`], [`Error::DuplicateId`], and [`Error::Cell`] for a
    /// cell that the field does not take.
    pub fn push_text<S: AsRef<str>>(&mut self, id: impl Into<UserId>, cells: &[S]) -> Result<()> {
        self.check_width(cells.len())?;
        self.push_with(id.into(), |index, field| cell::read(field, Raw::Text(cells[index].as_ref())))
    }

    /// Appends a user whose values are typed, one per field in the schema's order.
    ///
    /// # Errors
    /// As [`Self::push_text`]; codes outside of the domain and numbers outside of the range are refused.
    pub fn push_values(&mut self, id: impl Into<UserId>, values: &[Option<Value<'_>>]) -> Result<()> {
        self.check_width(values.len())?;
        self.push_with(id.into(), |index, field| checked(field, values[index]))
    }

    /// The table.
    #[must_use]
    pub fn finish(self) -> ProfileTable {
        ProfileTable { schema: self.schema, ids: self.ids, columns: self.columns }
    }

    fn check_width(&self, cells: usize) -> Result<()> {
        let fields = self.schema.fields().len();
        if cells == fields {
            return Ok(());
        }
        Err(Error::Length {
            what: format!("{}: cells of the row", self.place()),
            expected: fields,
            found: cells,
        })
    }

    /// Rows are from that file.
    #[cfg(any(feature = "csv", feature = "arrow"))]
    pub(crate) fn set_file(&mut self, file: Arc<Path>) {
        self.file = Some(file);
    }

    /// The next row begins on that line.
    #[cfg(feature = "csv")]
    pub(crate) fn set_line(&mut self, line: Option<NonZeroU64>) {
        self.line = line;
    }

    /// Appends the users of a table of the same schema whose ids are new; `repeated` takes the error of each other one, or gives it back. Returns
    /// the rows of the table that were appended.
    #[cfg(feature = "arrow")]
    pub(crate) fn append(
        &mut self,
        table: ProfileTable,
        mut repeated: impl FnMut(Error) -> Result<()>,
    ) -> Result<Vec<usize>> {
        let mut kept = Vec::with_capacity(table.len());
        for (row, id) in table.ids.iter().enumerate() {
            match self.push_id(id) {
                Ok(()) => kept.push(row),
                Err(error) => {
                    repeated(error)?;
                    // Before those of the same batch that are behind it.
                    let place = self.file_row(self.len());
                    let at = self.left_out.partition_point(|&other| other < place);
                    self.left_out.insert(at, place);
                }
            }
        }
        for (column, more) in self.columns.iter_mut().zip(table.columns) {
            column.append(if kept.len() < table.ids.len() { more.select(&kept) } else { more });
        }
        Ok(kept)
    }

    /// Rows of the file, counted from 1, are not in the table. They follow those that were left out before.
    #[cfg(any(feature = "csv", feature = "arrow"))]
    pub(crate) fn leave_out(&mut self, rows: impl IntoIterator<Item = usize>) {
        self.left_out.extend(rows);
    }

    /// How many rows of the file there were so far.
    #[cfg(feature = "arrow")]
    pub(crate) fn rows_seen(&self) -> usize {
        self.len() + self.left_out.len()
    }

    /// The row of the file, from 1, that is or will be the table's with that index.
    fn file_row(&self, index: usize) -> usize {
        // How many were left out before it: each moves the rows behind it on by one.
        let (mut low, mut high) = (0, self.left_out.len());
        while low < high {
            let middle = low.midpoint(high);
            if self.left_out[middle] - middle <= index + 1 {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        index + 1 + low
    }

    /// Where the next row stands.
    pub(crate) fn place(&self) -> Place {
        Place { file: self.file.clone(), row: self.file_row(self.len()), line: self.line }
    }

    /// The error for a cell of the next row.
    pub(crate) fn mismatch(&self, column: &str, Mismatch { expected, found }: Mismatch) -> Error {
        Error::Cell { place: self.place(), column: column.to_owned(), expected, found }
    }

    /// Appends a row, asking `read` for the cell of every field.
    pub(crate) fn push_with<F>(&mut self, id: UserId, mut read: F) -> Result<()>
    where
        F: FnMut(usize, &Field) -> Result<Cell, Mismatch>,
    {
        self.row.clear();
        for (index, field) in self.schema.fields().iter().enumerate() {
            match read(index, field) {
                Ok(cell) => self.row.push(cell),
                Err(mismatch) => return Err(self.mismatch(field.name(), mismatch)),
            }
        }
        self.push_id(id)?;
        for (column, cell) in self.columns.iter_mut().zip(self.row.drain(..)) {
            column.push(cell);
        }
        Ok(())
    }

    fn push_id(&mut self, id: UserId) -> Result<()> {
        let column = || self.schema.id_column().to_owned();
        if matches!(&id, UserId::Text(text) if text.trim().is_empty()) {
            return Err(Error::EmptyId { place: self.place(), column: column() });
        }
        if let Some(first) = self.seen.insert(&id, &self.ids) {
            return Err(Error::DuplicateId {
                place: self.place(),
                column: column(),
                id,
                first: self.file_row(first),
            });
        }
        self.ids.push(id);
        Ok(())
    }
}

/// The rows of the ids so far, by hash, so that no text id is held twice. Ids are compared by their text, which tells
/// integers apart too and stays the same when a text among integers turns them all into text.
#[derive(Debug, Default)]
struct Seen {
    hasher: RandomState,
    rows: HashMap<u64, usize>,
    /// Rows whose hash another id had before.
    collided: Vec<(u64, usize)>,
}

impl Seen {
    /// Notes that the next row has `id`; the row of an equal id if there is one.
    fn insert(&mut self, id: &UserId, ids: &UserIds) -> Option<usize> {
        let text = match id {
            UserId::Int(id) => Cow::Owned(id.to_string()),
            UserId::Text(id) => Cow::Borrowed(id.as_str()),
        };
        let equal = |row: usize| match ids {
            UserIds::Int(ids) => ids[row].to_string() == *text,
            UserIds::Text(ids) => ids[row] == *text,
        };
        let hash = self.hasher.hash_one(&*text);
        match self.rows.entry(hash) {
            Entry::Vacant(entry) => {
                entry.insert(ids.len());
                None
            }
            Entry::Occupied(entry) if equal(*entry.get()) => Some(*entry.get()),
            Entry::Occupied(_) => {
                let mut others = self.collided.iter().filter(|(other, _)| *other == hash);
                let found = others.find(|(_, row)| equal(*row)).map(|(_, row)| *row);
                if found.is_none() {
                    self.collided.push((hash, ids.len()));
                }
                found
            }
        }
    }
}

fn checked(field: &Field, value: Option<Value<'_>>) -> Result<Cell, Mismatch> {
    let Some(value) = value else { return Ok(Cell::Missing) };
    let check_code = |domain: &Domain, code: u32| match domain.label(code) {
        Some(_) => Ok(code),
        None => Err(Mismatch::new(format!("a code under {}", domain.cardinality()), format!("code {code}"))),
    };
    match (field.kind(), value) {
        (FieldKind::Categorical(domain) | FieldKind::Ordinal(domain), Value::Code(code)) => {
            check_code(domain, code).map(Cell::Code)
        }
        (FieldKind::Numeric(range), Value::Number(number)) => cell::in_range(*range, number),
        (FieldKind::Boolean, Value::Flag(flag)) => Ok(Cell::Flag(flag)),
        (FieldKind::Multi(multi), Value::Codes(codes)) => {
            let mut codes =
                codes.iter().map(|&code| check_code(multi.domain(), code)).collect::<Result<Vec<_>, _>>()?;
            codes.sort_unstable();
            codes.dedup();
            Ok(Cell::Codes(codes))
        }
        (kind, value) => {
            Err(Mismatch::new(format!("a value of a {} field", kind.name()), format!("{value:?}")))
        }
    }
}

use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::Schema;
use scaletot_core::text::printable;

use super::super::arrow::Columns;
use super::super::collect::Layout;
use super::super::{Loaded, ReadOptions};
use super::file::{Batches, ParquetFile, Selection, damaged};
use super::guard::{Failure, guarded};
use crate::error::{Error, Result};
use crate::place::Place;
use crate::schema::ProfileSchema;

/// A Parquet file of profiles that is read row group by row group and batch by batch, for files that do not fit into memory.
///
/// Columns and types are those of [`read_parquet`](crate::read_parquet). Unlike there, ids are not checked to be unique: that would take
/// memory for every user.
///
/// ```
/// use scaletot_profile::{FieldSpec, ParquetProfiles, ProfileSchema, ReadOptions};
/// # use scaletot_profile::{Attributes, TableBuilder, write_parquet};
///
/// let schema = ProfileSchema::builder("shop").with_field(FieldSpec::ordinal("age", ["18-34", "35-54", "55+"])).build()?;
/// # let dir = tempfile::tempdir().unwrap();
/// # let path = dir.path().join("users.parquet");
/// # let mut table = TableBuilder::new(schema.clone());
/// # (0..3).try_for_each(|id| table.push_text(id, &["55+"]))?;
/// # let table = table.finish();
/// # write_parquet(&path, "id", table.ids(), Some(&table), &Attributes::new())?;
/// let file = ParquetProfiles::open(&path, &schema, &ReadOptions::new())?;
/// let mut users = 0;
/// for group in 0..file.row_groups() {
///     for batch in file.row_group(group)? {
///         users += batch?.profiles.len();
///     }
/// }
/// assert_eq!(users, file.rows());
/// # Ok::<(), scaletot_profile::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct ParquetProfiles {
    file: ParquetFile,
    selection: Selection,
    columns: Columns,
    limit: u64,
}

impl ParquetProfiles {
    /// Opens a file: reads its directory and finds the wanted columns.
    ///
    /// # Errors
    /// All name the file: [`Error::Io`], [`Error::Damaged`], [`Error::Unsupported`], [`Error::MissingColumn`],
    /// [`Error::DuplicateColumn`], [`Error::ColumnType`].
    pub fn open(path: impl AsRef<Path>, schema: &ProfileSchema, options: &ReadOptions) -> Result<Self> {
        let file = ParquetFile::open(path.as_ref())?;
        let layout = Layout::find(Some(&file.path), &file.names(), schema, options)?;
        let positions = layout.positions();
        let types = positions.iter().map(|&position| {
            file.type_of(position).unwrap_or_else(|| Columns::unreadable(file.names()[position]))
        });
        let there = Schema::new(types.collect::<Vec<_>>());
        let path = Some(Arc::clone(&file.path));
        let columns = Columns::find(path, &there, &Arc::new(schema.clone()), options)?;
        let selection = file.select(&positions, |position| layout.fields.contains(&position))?;
        Ok(Self { file, selection, columns, limit: options.max_decoded_bytes })
    }

    /// Whether user ids are texts, by the type of their column; else they are integers.
    #[must_use]
    pub fn text_ids(&self) -> bool {
        self.columns.text_ids()
    }

    /// Number of row groups.
    #[must_use]
    pub fn row_groups(&self) -> usize {
        self.file.row_groups()
    }

    /// Number of users, as the file's directory says.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.file.rows()
    }

    /// Number of users in a row group, as the file's directory says; `None` if there is no such group.
    #[must_use]
    pub fn rows_of(&self, group: usize) -> Option<usize> {
        self.file.rows_of(group)
    }

    /// Bytes of the file.
    pub(super) fn length(&self) -> u64 {
        self.file.length
    }

    /// The users of a row group in batches of at most 8,192, in their order. Rows are counted from the beginning of the file in errors and
    /// by [`ReadOptions::with_numbered_ids`].
    ///
    /// Memory does not go with the number of rows: pages and batches together take at most what
    /// [`ReadOptions::with_max_decoded_bytes`] allows, and batches are smaller where cells are long.
    ///
    /// # Errors
    /// [`Error::Row`] if there is no such row group, [`Error::Io`], [`Error::Damaged`].
    pub fn row_group(&self, group: usize) -> Result<RowGroup<'_>> {
        if group >= self.row_groups() {
            return Err(Error::Row { index: group, rows: self.row_groups() });
        }
        let batches = self.file.batches(group, &self.selection, self.limit)?;
        let end = batches.row() + self.rows_of(group).unwrap_or(0);
        Ok(RowGroup { file: self, row: batches.row(), batches, end, ended: false })
    }

    /// A batch whose first row has that index. A batch that Arrow cannot convert, or over which it panics, is a damaged file's.
    fn load(&self, batch: &RecordBatch, first: usize) -> Result<Loaded> {
        let damaged = |message| damaged(&self.file.path, Some(self.columns.place(first)), message);
        match guarded(|| Ok::<_, Infallible>(self.columns.load(batch, first))) {
            Err(Failure::Damaged(message) | Failure::Unsupported(message)) => Err(damaged(message)),
            Ok(Err(Error::Arrow { source, .. })) => Err(damaged(printable(&source.to_string(), 400))),
            Ok(loaded) => loaded,
        }
    }
}

/// The batches of a row group, see [`ParquetProfiles::row_group`].
///
/// After an error there is nothing more. As many users come as the file's directory says, or an error.
#[derive(Debug)]
pub struct RowGroup<'a> {
    file: &'a ParquetProfiles,
    batches: Batches,
    /// Index of the next row in the file.
    row: usize,
    /// Index behind its last row, by the file's directory.
    end: usize,
    ended: bool,
}

impl Iterator for RowGroup<'_> {
    type Item = Result<Loaded>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let next = self.batches.next().and_then(|batch| batch.map(|batch| self.load(&batch)).transpose());
        match &next {
            Ok(Some(_)) => self.row = self.batches.row(),
            _ => self.ended = true,
        }
        if matches!(next, Ok(None)) && self.row != self.end {
            let message = format!("expected {} rows up to here, found {}", self.end, self.row);
            return Some(Err(damaged(&self.file.file.path, Some(self.place()), message)));
        }
        next.transpose()
    }
}

impl RowGroup<'_> {
    fn place(&self) -> Place {
        self.file.columns.place(self.row)
    }

    /// Pages may hold more rows than the directory says, and go on for long: no more are read than that shows it.
    fn load(&self, batch: &RecordBatch) -> Result<Loaded> {
        if batch.num_rows() > self.end - self.row {
            let message = format!("expected {} rows up to here, found more", self.end);
            return Err(damaged(&self.file.file.path, Some(self.place()), message));
        }
        self.file.load(batch, self.row)
    }
}

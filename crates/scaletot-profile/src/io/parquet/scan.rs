use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::Schema;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use parquet::file::metadata::ParquetMetaData;

use super::super::collect::{Layout, empty, push_value, user_id};
use super::super::{Loaded, ReadOptions};
use super::BATCH_ROWS;
use super::chunks::{Chunks, Trouble};
use super::decode;
use super::directory;
use super::guard::guarded;
use super::source::{Shape, Source, Use};
use crate::attributes::Attributes;
use crate::cell::Mismatch;
use crate::error::{Error, Result};
use crate::id::UserIds;
use crate::place::Place;
use crate::schema::ProfileSchema;
use crate::table::ProfileTable;

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
    path: Arc<Path>,
    schema: Arc<ProfileSchema>,
    options: ReadOptions,
    metadata: ArrowReaderMetadata,
    /// Positions of the wanted columns in the file, in its order.
    wanted: Vec<usize>,
    id: Option<Column>,
    fields: Vec<Column>,
    attributes: Vec<Column>,
}

impl ParquetProfiles {
    /// Opens a file: reads its directory and finds the wanted columns.
    ///
    /// # Errors
    /// All name the file: [`Error::Io`], [`Error::Damaged`], [`Error::MissingColumn`], [`Error::DuplicateColumn`],
    /// [`Error::ColumnType`].
    pub fn open(path: impl AsRef<Path>, schema: &ProfileSchema, options: &ReadOptions) -> Result<Self> {
        let path = path.as_ref();
        let file = open(path)?;
        directory::check(&file)
            .map_err(|source| Error::Io { path: path.to_owned(), action: "read", source })?
            .map_err(|message| damaged(path, None, message))?;
        let file = Chunks::new(file);
        let plain = guarded(|| ArrowReaderMetadata::load(&file, ArrowReaderOptions::new()))
            .and_then(|metadata| check_rows(metadata.metadata()).map(|()| metadata))
            .map_err(|message| unreadable(path, &file.trouble(), None, message))?;
        let there = plain.schema().clone();
        let names: Vec<&str> = there.fields().iter().map(|field| field.name().as_str()).collect();
        let layout = Layout::find(path, &names, schema, options)?;

        let mut wanted: Vec<usize> = layout.fields.iter().chain(&layout.attributes).copied().collect();
        wanted.extend(layout.id);
        wanted.sort_unstable();
        wanted.dedup();
        // A projected batch holds the wanted columns in the file's order.
        let column = |index: usize, use_as: Use<'_>| -> Result<Column> {
            let field = there.field(index);
            let shape = Shape::of(field.data_type()).filter(|shape| use_as.accepts(shape));
            Ok(Column {
                position: wanted.partition_point(|&other| other < index),
                shape: shape.ok_or_else(|| Error::ColumnType {
                    path: path.to_owned(),
                    column: field.name().clone(),
                    expected: use_as.expected(),
                    found: field.data_type().to_string(),
                })?,
            })
        };
        let id = layout.id.map(|index| column(index, Use::Id)).transpose()?;
        let fields = layout.fields.iter().zip(schema.fields());
        let fields = fields
            .map(|(&index, field)| column(index, Use::Field(field.kind())))
            .collect::<Result<Vec<_>>>()?;
        let attributes = layout.attributes.iter().zip(&options.wanted);
        let attributes = attributes
            .map(|(&index, (_, wanted))| column(index, Use::Attribute(*wanted)))
            .collect::<Result<Vec<_>>>()?;

        let read_as = there.fields().iter().enumerate().map(|(index, field)| {
            match decode::read_as(field.data_type()).filter(|_| layout.fields.contains(&index)) {
                Some(data_type) => Arc::new(field.as_ref().clone().with_data_type(data_type)),
                None => field.clone(),
            }
        });
        let read_as = Schema::new_with_metadata(read_as.collect::<Vec<_>>(), there.metadata().clone());
        let hint = ArrowReaderOptions::new().with_schema(Arc::new(read_as));
        // Where the reader does not take the hint it is slower, and no less right.
        let metadata = guarded(|| ArrowReaderMetadata::try_new(Arc::clone(plain.metadata()), hint));
        Ok(Self {
            path: path.into(),
            schema: Arc::new(schema.clone()),
            options: options.clone(),
            metadata: metadata.unwrap_or(plain),
            wanted,
            id,
            fields,
            attributes,
        })
    }

    /// Whether user ids are texts, by the type of their column; else they are integers.
    #[must_use]
    pub fn text_ids(&self) -> bool {
        self.id.as_ref().is_some_and(|column| column.shape == Shape::Text)
    }

    /// Number of row groups.
    #[must_use]
    pub fn row_groups(&self) -> usize {
        self.metadata.metadata().num_row_groups()
    }

    /// Number of users, as the file's directory says.
    #[must_use]
    pub fn rows(&self) -> usize {
        (0..self.row_groups()).filter_map(|group| self.rows_of(group)).sum()
    }

    /// Number of users in a row group, as the file's directory says; `None` if there is no such group.
    #[must_use]
    pub fn rows_of(&self, group: usize) -> Option<usize> {
        let group = self.metadata.metadata().row_groups().get(group)?;
        usize::try_from(group.num_rows()).ok()
    }

    /// The users of a row group in batches of at most 8,192, in their order. Rows are counted from the beginning of the file in errors and
    /// by [`ReadOptions::with_numbered_ids`].
    ///
    /// One kind of damage is beyond this reader: a page in one of the DELTA encodings may say that it holds more numbers than there is memory
    /// for. The decoder (59.3) asks for that memory, and where it is refused the process ends. Files from untrusted hands are best read in a
    /// process of their own.
    ///
    /// # Errors
    /// [`Error::Row`] if there is no such row group, [`Error::Io`], [`Error::Damaged`].
    pub fn row_group(&self, group: usize) -> Result<RowGroup<'_>> {
        if group >= self.row_groups() {
            return Err(Error::Row { index: group, rows: self.row_groups() });
        }
        let file = Chunks::new(open(&self.path)?);
        let trouble = file.trouble();
        let before = (0..group).filter_map(|group| self.rows_of(group)).sum();
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, self.metadata.clone());
        let mask = ProjectionMask::roots(builder.parquet_schema(), self.wanted.iter().copied());
        let builder = builder.with_projection(mask).with_batch_size(BATCH_ROWS).with_row_groups(vec![group]);
        let reader = guarded(|| builder.build())
            .map_err(|message| unreadable(&self.path, &trouble, Some(self.place(before)), message))?;
        let end = before + self.rows_of(group).unwrap_or(0);
        Ok(RowGroup { file: self, reader, trouble, row: before, end, ended: false })
    }

    /// Row of that index.
    fn place(&self, row: usize) -> Place {
        Place { file: Some(Arc::clone(&self.path)), row: row + 1, line: None }
    }

    /// A batch whose first row has that index. Of several cells that do not fit the first in the file's order is reported.
    fn load(&self, batch: &RecordBatch, first: usize) -> Result<Loaded> {
        let damaged = |message: String| damaged(&self.path, Some(self.place(first)), message);
        let mut misfit: Option<(usize, Error)> = None;
        let mut keep = |row: usize, error: Error| {
            if misfit.as_ref().is_none_or(|(other, _)| row < *other) {
                misfit = Some((row, error));
            }
        };
        let cell = |row: usize, column: &str, Mismatch { expected, found }: Mismatch| Error::Cell {
            place: self.place(first + row),
            column: column.to_owned(),
            expected,
            found,
        };
        let ids = match &self.id {
            None => Ok((first as i64 + 1..).take(batch.num_rows()).collect::<Vec<_>>().into()),
            Some(column) => {
                guarded(|| self.ids(column.array(batch), &column.shape, first)).map_err(damaged)?
            }
        };
        let ids = ids.unwrap_or_else(|(row, error)| {
            keep(row, error);
            UserIds::default()
        });
        let mut attributes = Attributes::new();
        for (column, (name, wanted)) in self.attributes.iter().zip(&self.options.wanted) {
            let source = guarded(|| Source::new(column.array(batch), &column.shape)).map_err(damaged)?;
            let mut values = empty(*wanted);
            for row in 0..batch.num_rows() {
                if let Err(mismatch) = push_value(&mut values, source.raw(row), &self.options.missing) {
                    keep(row, cell(row, name, mismatch));
                    break;
                }
            }
            if values.len() == batch.num_rows() {
                attributes.insert(name.clone(), values)?;
            }
        }
        let mut columns = Vec::with_capacity(self.fields.len());
        for (column, field) in self.fields.iter().zip(self.schema.fields()) {
            match guarded(|| decode::field(field, column.array(batch), &column.shape)).map_err(damaged)? {
                Ok(column) => columns.push(column),
                Err((row, mismatch)) => keep(row, cell(row, field.name(), mismatch)),
            }
        }
        match misfit {
            Some((_, error)) => Err(error),
            None => {
                let profiles = ProfileTable { schema: Arc::clone(&self.schema), ids, columns };
                Ok(Loaded { profiles, attributes })
            }
        }
    }

    fn ids(
        &self,
        array: &ArrayRef,
        shape: &Shape,
        first: usize,
    ) -> Result<Result<UserIds, (usize, Error)>, arrow_schema::ArrowError> {
        if let Some(ints) = array.as_primitive_opt::<Int64Type>().filter(|ints| ints.null_count() == 0) {
            return Ok(Ok(ints.values().to_vec().into()));
        }
        let source = Source::new(array, shape)?;
        let id = |row: usize| -> Result<_, (usize, Error)> {
            user_id(source.raw(row), false, self.schema.id_column(), || self.place(first + row))
                .map_err(|error| (row, error))
        };
        Ok((0..array.len()).map(id).collect())
    }
}

/// The batches of a row group, see [`ParquetProfiles::row_group`].
///
/// After an error there is nothing more. As many users come as the file's directory says, or an error.
#[derive(Debug)]
pub struct RowGroup<'a> {
    file: &'a ParquetProfiles,
    reader: ParquetRecordBatchReader,
    trouble: Trouble,
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
        let file = self.file;
        let next = guarded(|| self.reader.next().transpose())
            .map_err(|message| unreadable(&file.path, &self.trouble, Some(file.place(self.row)), message))
            .and_then(|batch| batch.map(|batch| self.load(&batch)).transpose());
        match &next {
            Ok(Some(loaded)) => self.row += loaded.profiles.len(),
            _ => self.ended = true,
        }
        if matches!(next, Ok(None)) && self.row != self.end {
            let message = format!("expected {} rows up to here, got {}", self.end, self.row);
            return Some(Err(damaged(&file.path, Some(file.place(self.row)), message)));
        }
        next.transpose()
    }
}

impl RowGroup<'_> {
    /// Pages may hold more rows than the directory says, and go on for long: no more are read than that shows it.
    fn load(&self, batch: &RecordBatch) -> Result<Loaded> {
        if batch.num_rows() > self.end - self.row {
            let message = format!("expected {} rows up to here, got more", self.end);
            return Err(damaged(&self.file.path, Some(self.file.place(self.row)), message));
        }
        self.file.load(batch, self.row)
    }
}

/// A wanted column.
#[derive(Debug, Clone)]
struct Column {
    /// In the projected batches.
    position: usize,
    shape: Shape,
}

impl Column {
    fn array<'a>(&self, batch: &'a RecordBatch) -> &'a ArrayRef {
        batch.column(self.position)
    }
}

fn open(path: &Path) -> Result<File> {
    File::open(path).map_err(|source| Error::Io { path: path.to_owned(), action: "open", source })
}

/// Whether rows can be counted, so that every sum of some groups' rows is a number of rows.
fn check_rows(metadata: &ParquetMetaData) -> Result<(), String> {
    let mut rows = 0i64;
    for (index, group) in metadata.row_groups().iter().enumerate() {
        let own = Some(group.num_rows()).filter(|own| *own >= 0);
        rows = own
            .and_then(|own| rows.checked_add(own))
            .filter(|rows| usize::try_from(*rows).is_ok())
            .ok_or_else(|| format!("row group {index} has {} rows, after {rows}", group.num_rows()))?;
    }
    Ok(())
}

/// What is wrong when the decoder fails: the system, if that could not read, else the file.
fn unreadable(path: &Path, trouble: &Trouble, place: Option<Place>, message: String) -> Error {
    match trouble.take() {
        Some(source) => Error::Io { path: path.to_owned(), action: "read", source },
        None => damaged(path, place, message),
    }
}

fn damaged(path: &Path, place: Option<Place>, message: String) -> Error {
    Error::Damaged { path: path.to_owned(), place, message }
}

#[cfg(test)]
mod tests {
    use parquet::file::metadata::{FileMetaData, RowGroupMetaData};
    use parquet::schema::types::{SchemaDescriptor, Type};

    use super::*;

    #[test]
    fn rows_are_counted_or_refused() {
        let root = Type::group_type_builder("root").build().unwrap();
        let columns = Arc::new(SchemaDescriptor::new(Arc::new(root)));
        let check = |rows: &[i64]| {
            let group = |&rows| RowGroupMetaData::builder(Arc::clone(&columns)).set_num_rows(rows).build();
            let file = FileMetaData::new(2, 0, None, None, Arc::clone(&columns), None);
            let groups = rows.iter().map(group).collect::<std::result::Result<_, _>>().unwrap();
            check_rows(&ParquetMetaData::new(file, groups))
        };
        assert_eq!(check(&[0, i64::MAX, 0]), Ok(()));
        assert!(check(&[i64::MAX, 0, 1]).unwrap_err().contains("row group 2 has 1 rows"));
        assert!(check(&[3, -1]).unwrap_err().contains("row group 1 has -1 rows, after 3"));
    }
}

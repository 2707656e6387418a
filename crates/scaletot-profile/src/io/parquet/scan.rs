use std::convert::Infallible;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{DataType, Schema};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use parquet::file::metadata::ParquetMetaData;

use super::super::arrow::Columns;
use super::super::{Loaded, ReadOptions};
use super::BATCH_ROWS;
use super::chunks::{Chunks, IoErrorSlot};
use super::directory;
use super::guard::guarded;
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
    path: Arc<Path>,
    metadata: ArrowReaderMetadata,
    /// Positions of the wanted columns in the file, in its order.
    wanted: Vec<usize>,
    columns: Columns,
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
            .map_err(|message| unreadable(path, &file.io_error(), None, message))?;
        let there = plain.schema().clone();
        let path: Arc<Path> = path.into();
        let mut columns = Columns::find(Some(Arc::clone(&path)), &there, &Arc::new(schema.clone()), options)?;
        let fields: Vec<usize> = columns.field_positions().collect();
        let wanted = columns.project();
        let hinted = there.fields().iter().enumerate().map(|(index, field)| {
            match read_as(field.data_type()).filter(|_| fields.contains(&index)) {
                Some(data_type) => Arc::new(field.as_ref().clone().with_data_type(data_type)),
                None => field.clone(),
            }
        });
        let hinted = Schema::new_with_metadata(hinted.collect::<Vec<_>>(), there.metadata().clone());
        let hint = ArrowReaderOptions::new().with_schema(Arc::new(hinted));
        // Where the reader does not take the hint it is slower, and no less right.
        let metadata = guarded(|| ArrowReaderMetadata::try_new(Arc::clone(plain.metadata()), hint));
        Ok(Self { path, metadata: metadata.unwrap_or(plain), wanted, columns })
    }

    /// Whether user ids are texts, by the type of their column; else they are integers.
    #[must_use]
    pub fn text_ids(&self) -> bool {
        self.columns.text_ids()
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
        let io_error = file.io_error();
        let before = (0..group).filter_map(|group| self.rows_of(group)).sum();
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, self.metadata.clone());
        let mask = ProjectionMask::roots(builder.parquet_schema(), self.wanted.iter().copied());
        let builder = builder.with_projection(mask).with_batch_size(BATCH_ROWS).with_row_groups(vec![group]);
        let reader = guarded(|| builder.build()).map_err(|message| {
            unreadable(&self.path, &io_error, Some(self.columns.place(before)), message)
        })?;
        let end = before + self.rows_of(group).unwrap_or(0);
        Ok(RowGroup { file: self, reader, io_error, row: before, end, ended: false })
    }

    /// A batch whose first row has that index. A batch that Arrow cannot convert, or over which it panics, is a damaged file's.
    fn load(&self, batch: &RecordBatch, first: usize) -> Result<Loaded> {
        let damaged = |message| damaged(&self.path, Some(self.columns.place(first)), message);
        match guarded(|| Ok::<_, Infallible>(self.columns.load(batch, first))).map_err(damaged)? {
            Err(Error::Arrow { source, .. }) => Err(damaged(source.to_string())),
            loaded => loaded,
        }
    }
}

/// The batches of a row group, see [`ParquetProfiles::row_group`].
///
/// After an error there is nothing more. As many users come as the file's directory says, or an error.
#[derive(Debug)]
pub struct RowGroup<'a> {
    file: &'a ParquetProfiles,
    reader: ParquetRecordBatchReader,
    io_error: IoErrorSlot,
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
            .map_err(|message| {
                unreadable(&file.path, &self.io_error, Some(file.columns.place(self.row)), message)
            })
            .and_then(|batch| batch.map(|batch| self.load(&batch)).transpose());
        match &next {
            Ok(Some(loaded)) => self.row += loaded.profiles.len(),
            _ => self.ended = true,
        }
        if matches!(next, Ok(None)) && self.row != self.end {
            let message = format!("expected {} rows up to here, found {}", self.end, self.row);
            return Some(Err(damaged(&file.path, Some(file.columns.place(self.row)), message)));
        }
        next.transpose()
    }
}

impl RowGroup<'_> {
    /// Pages may hold more rows than the directory says, and go on for long: no more are read than that shows it.
    fn load(&self, batch: &RecordBatch) -> Result<Loaded> {
        if batch.num_rows() > self.end - self.row {
            let message = format!("expected {} rows up to here, found more", self.end);
            return Err(damaged(&self.file.path, Some(self.file.columns.place(self.row)), message));
        }
        self.file.load(batch, self.row)
    }
}

/// The type in which a text column is best read as a profile field: values repeat, and a dictionary has each once.
fn read_as(found: &DataType) -> Option<DataType> {
    match found {
        DataType::Utf8 | DataType::Utf8View => {
            Some(DataType::Dictionary(DataType::Int32.into(), DataType::Utf8.into()))
        }
        DataType::LargeUtf8 => Some(DataType::Dictionary(DataType::Int32.into(), DataType::LargeUtf8.into())),
        _ => None,
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
fn unreadable(path: &Path, io_error: &IoErrorSlot, place: Option<Place>, message: String) -> Error {
    match io_error.take() {
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

//! An open Parquet file, and the batches of some of its columns.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{DataType, FieldRef, Schema};
use parquet::arrow::arrow_reader::ParquetRecordBatchReader;
use parquet::arrow::{FieldLevels, ProjectionMask, parquet_to_arrow_field_levels, parquet_to_arrow_schema};
use parquet::basic::{Compression, LogicalType};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};
use parquet::file::reader::Length;
use parquet::schema::types::{SchemaDescriptor, Type};
use scaletot_core::files;

use super::super::arrow::as_uuid;
use super::super::kind;
use super::budget::{Budget, Refused};
use super::chunks::Chunks;
use super::cost::Column;
use super::guard::{Failure, guarded};
use super::pages::Group;
use super::{BATCH_ROWS, directory};
use crate::error::{Error, Result};
use crate::place::Place;

/// A file whose directory was read.
#[derive(Debug, Clone)]
pub(super) struct ParquetFile {
    pub(super) path: Arc<Path>,
    metadata: Arc<ParquetMetaData>,
    /// Bytes of the file.
    pub(super) length: u64,
}

/// Some of a file's columns, and how they are read.
#[derive(Debug, Clone)]
pub(super) struct Selection {
    levels: FieldLevels,
    leaves: Arc<[(usize, Column)]>,
}

impl ParquetFile {
    pub(super) fn open(path: &Path) -> Result<Self> {
        let io = |action, source| Error::Io { path: path.to_owned(), action, source };
        let file = files::open(path)?;
        if let Some(found) = other(&file).map_err(|source| io("read", source))? {
            return Err(Error::Unsupported {
                path: path.to_owned(),
                found: found.to_owned(),
                expected: "a Parquet file, or the ending of a name that tells what it is (.csv for a table in text)",
            });
        }
        directory::check(&file)
            .map_err(|source| io("read", source))?
            .map_err(|message| damaged(path, None, message))?;
        let chunks = Chunks::new(file);
        let read = || ParquetMetaDataReader::new().parse_and_finish(&chunks);
        let metadata = guarded(read)
            .and_then(|metadata| check_rows(&metadata).map(|()| metadata).map_err(Failure::Damaged))
            .map_err(|failure| match chunks.io_error().take() {
                Some(source) => io("read", source),
                None => failed(path, None, failure),
            })?;
        Ok(Self { path: path.into(), metadata: Arc::new(metadata), length: chunks.len() })
    }

    /// The names of its columns.
    pub(super) fn names(&self) -> Vec<&str> {
        self.root().get_fields().iter().map(|field| field.name()).collect()
    }

    pub(super) fn row_groups(&self) -> usize {
        self.metadata.num_row_groups()
    }

    pub(super) fn rows_of(&self, group: usize) -> Option<usize> {
        usize::try_from(self.metadata.row_groups().get(group)?.num_rows()).ok()
    }

    pub(super) fn rows(&self) -> usize {
        (0..self.row_groups()).filter_map(|group| self.rows_of(group)).sum()
    }

    /// The Arrow type of the column at that position, by the Parquet schema alone: the Arrow schema that some writers put beside it is a
    /// hint, and may name types that Arrow here does not know. `None` if there is no such type.
    pub(super) fn type_of(&self, position: usize) -> Option<FieldRef> {
        let schema = guarded(|| parquet_to_arrow_schema(&self.part(&[position])?, None)).ok()?;
        let field = schema.fields().first()?;
        let info = self.root().get_fields().get(position)?.get_basic_info();
        Some(match info.logical_type_ref() {
            Some(LogicalType::Uuid) => as_uuid(field),
            _ => Arc::clone(field),
        })
    }

    /// The columns at these positions, ascending, all of which have types; those for which `as_dictionary` is true come as dictionaries
    /// if they are texts.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if one is compressed in a way that cannot be read here.
    pub(super) fn select(
        &self,
        positions: &[usize],
        as_dictionary: impl Fn(usize) -> bool,
    ) -> Result<Selection> {
        let read = || {
            let part = self.part(positions)?;
            let plain = parquet_to_arrow_schema(&part, None)?;
            let fields = plain.fields().iter().zip(positions).map(|(field, &position)| {
                match dictionary(field.data_type()).filter(|_| as_dictionary(position)) {
                    Some(data_type) => Arc::new(field.as_ref().clone().with_data_type(data_type)),
                    None => Arc::clone(field),
                }
            });
            let schema = Schema::new(fields.collect::<Vec<_>>());
            let levels = parquet_to_arrow_field_levels(&part, ProjectionMask::all(), Some(schema.fields()))?;
            Ok::<_, ParquetError>((schema, levels))
        };
        let (schema, levels) = guarded(read).map_err(|failure| failed(&self.path, None, failure))?;
        let descriptor = self.metadata.file_metadata().schema_descr();
        let mut leaves = vec![];
        for leaf in 0..descriptor.num_columns() {
            if let Ok(at) = positions.binary_search(&descriptor.get_column_root_idx(leaf)) {
                let keeps = matches!(schema.field(at).data_type(), DataType::Dictionary(..));
                leaves.push((leaf, Column::new(&descriptor.column(leaf), keeps)));
                self.check_compression(leaf)?;
            }
        }
        Ok(Selection { levels, leaves: leaves.into() })
    }

    /// The batches of a row group, which decode into at most `limit` bytes at once.
    pub(super) fn batches(&self, group: usize, selection: &Selection, limit: u64) -> Result<Batches> {
        let mut batches = Batches {
            chunks: Arc::new(Chunks::new(files::open(&self.path)?)),
            file: self.clone(),
            group,
            budget: Budget::new(limit, selection.leaves.len()),
            selection: selection.clone(),
            reader: None,
            rows: BATCH_ROWS.min(self.rows_of(group).unwrap_or(0)).max(1),
            first: (0..group).filter_map(|group| self.rows_of(group)).sum(),
            done: 0,
            skip: 0,
        };
        batches.start()?;
        Ok(batches)
    }

    fn root(&self) -> &Type {
        self.metadata.file_metadata().schema_descr().root_schema()
    }

    /// The file's schema with the columns at these positions alone.
    fn part(&self, positions: &[usize]) -> Result<SchemaDescriptor, ParquetError> {
        let all = self.root().get_fields();
        let fields = positions.iter().filter_map(|&position| all.get(position)).map(Arc::clone);
        let root = Type::group_type_builder("schema").with_fields(fields.collect()).build()?;
        Ok(SchemaDescriptor::new(Arc::new(root)))
    }

    fn check_compression(&self, leaf: usize) -> Result<()> {
        let chunks = self.metadata.row_groups().iter().filter_map(|group| group.columns().get(leaf));
        let codec = chunks.map(|chunk| chunk.compression()).find_map(|compression| match compression {
            Compression::BROTLI(_) => Some("brotli"),
            Compression::LZO => Some("lzo"),
            _ => None,
        });
        match codec {
            None => Ok(()),
            Some(codec) => Err(Error::Unsupported {
                path: self.path.to_path_buf(),
                found: format!(
                    "column {:?} compressed with {codec}",
                    self.metadata.file_metadata().schema_descr().column(leaf).path().string()
                ),
                expected: "zstd, snappy, gzip, lz4 or no compression: write the file anew with one of them",
            }),
        }
    }
}

/// The batches of some columns of a row group.
#[derive(Debug)]
pub(super) struct Batches {
    chunks: Arc<Chunks>,
    file: ParquetFile,
    group: usize,
    selection: Selection,
    budget: Budget,
    reader: Option<ParquetRecordBatchReader>,
    /// Rows of a batch: fewer where so many do not fit into the budget.
    rows: usize,
    /// Index in the file of the group's first row.
    first: usize,
    /// Rows of the group that were handed out.
    done: usize,
    /// Rows to be read and dropped, since they were handed out before.
    skip: usize,
}

impl Batches {
    /// Index in the file of the next row.
    pub(super) fn row(&self) -> usize {
        self.first + self.done
    }

    /// The next batch; `None` at the end. After an error there is nothing more.
    pub(super) fn next(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            self.budget.start_batch();
            let Some(reader) = &mut self.reader else { return Ok(None) };
            let found = guarded(|| reader.next().transpose());
            match found {
                Ok(Some(batch)) => {
                    let dropped = self.skip.min(batch.num_rows());
                    self.skip -= dropped;
                    if dropped < batch.num_rows() || batch.num_rows() == 0 {
                        self.done += batch.num_rows() - dropped;
                        return Ok(Some(batch.slice(dropped, batch.num_rows() - dropped)));
                    }
                }
                Ok(None) => return Ok(None),
                Err(failure) => {
                    self.reader = None;
                    self.again(failure)?;
                }
            }
        }
    }

    /// Begins anew with smaller batches, if it was their size that failed.
    fn again(&mut self, failure: Failure) -> Result<()> {
        match self.budget.refused() {
            Some(refused) if refused.by_cells && self.rows > 1 => {
                self.rows = (self.rows / 16).max(1);
                self.skip = self.done;
                self.start()
            }
            Some(refused) => Err(self.too_large(refused)),
            None => Err(self.failed(failure)),
        }
    }

    fn start(&mut self) -> Result<()> {
        self.budget = Budget::new(self.budget.limit(), self.selection.leaves.len());
        let group = Group {
            file: Arc::clone(&self.chunks),
            metadata: Arc::clone(&self.file.metadata),
            group: self.group,
            leaves: Arc::clone(&self.selection.leaves),
            rows: self.rows as u64,
            budget: self.budget.clone(),
        };
        let levels = &self.selection.levels;
        let reader =
            guarded(|| ParquetRecordBatchReader::try_new_with_row_groups(levels, &group, self.rows, None));
        self.reader = Some(reader.map_err(|failure| self.failed(failure))?);
        Ok(())
    }

    fn place(&self) -> Place {
        Place { file: Some(Arc::clone(&self.file.path)), row: self.row() + 1, line: None }
    }

    /// What is wrong when the decoder fails: the system, if that could not read, else the file.
    fn failed(&self, failure: Failure) -> Error {
        match self.chunks.io_error().take() {
            Some(source) => Error::Io { path: self.file.path.to_path_buf(), action: "read", source },
            None => failed(&self.file.path, Some(self.place()), failure),
        }
    }

    fn too_large(&self, refused: Refused) -> Error {
        let descriptor = self.file.metadata.file_metadata().schema_descr();
        let leaf = self.selection.leaves.get(refused.column).map_or(0, |(leaf, _)| *leaf);
        Error::TooLarge {
            place: self.place(),
            column: descriptor.column(leaf).path().string(),
            needed: refused.needed,
            limit: self.budget.limit(),
        }
    }
}

/// The type in which a text column is best read as a profile field: values repeat, and a dictionary has each once.
fn dictionary(found: &DataType) -> Option<DataType> {
    matches!(found, DataType::Utf8)
        .then(|| DataType::Dictionary(DataType::Int32.into(), DataType::Utf8.into()))
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

/// What a file is that neither begins nor ends as a Parquet file does, if that is known.
fn other(mut file: &File) -> io::Result<Option<&'static str>> {
    const MAGIC: [&[u8]; 2] = [b"PAR1", b"PARE"];
    let mut first = vec![];
    file.take(kind::LOOK).read_to_end(&mut first)?;
    let mut last = [0; 4];
    if first.len() < last.len() {
        return Ok(None);
    }
    file.seek(SeekFrom::End(-4))?;
    file.read_exact(&mut last)?;
    let is_parquet = MAGIC.iter().any(|magic| first.starts_with(magic) || last == **magic);
    Ok(kind::beside_parquet(&first).filter(|_| !is_parquet))
}

fn failed(path: &Path, place: Option<Place>, failure: Failure) -> Error {
    match failure {
        Failure::Damaged(message) => damaged(path, place, message),
        Failure::Unsupported(found) => Error::Unsupported {
            path: path.to_owned(),
            found,
            expected: "what the Parquet decoder knows: write the file anew with another encoding",
        },
    }
}

pub(super) fn damaged(path: &Path, place: Option<Place>, message: String) -> Error {
    Error::Damaged { path: path.to_owned(), place, message }
}

#[cfg(test)]
mod tests {
    use parquet::file::metadata::{FileMetaData, RowGroupMetaData};

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

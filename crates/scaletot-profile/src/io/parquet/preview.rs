use std::path::Path;
use std::sync::Arc;

use arrow_array::{Array, RecordBatch, RecordBatchOptions};
use arrow_schema::{ArrowError, DataType, Field, Schema};

use super::super::ReadOptions;
use super::super::arrow::{is_readable, uuid_texts};
use super::file::{Batches, ParquetFile, Selection};
use crate::error::{Error, Result};

/// All columns of a Parquet file as Arrow batches, for a look at a table of which no schema is known yet.
///
/// Columns of types that no profile is read from are named and not decoded. The rest is as [`ParquetProfiles`](crate::ParquetProfiles) has
/// it: what pages claim and unpack to is counted before they are decoded, damage is an error that names the file.
///
/// ```
/// use scaletot_profile::{ParquetPreview, ReadOptions};
/// # use scaletot_profile::{Attributes, FieldSpec, ProfileSchema, TableBuilder, write_parquet};
/// # let schema = ProfileSchema::builder("shop").with_field(FieldSpec::ordinal("age", ["18-34", "55+"])).build()?;
/// # let dir = tempfile::tempdir().unwrap();
/// # let path = dir.path().join("users.parquet");
/// # let mut table = TableBuilder::new(schema);
/// # (0..3).try_for_each(|id| table.push_text(id, &["55+"]))?;
/// # let table = table.finish();
/// # write_parquet(&path, "id", table.ids(), Some(&table), &Attributes::new())?;
///
/// let preview = ParquetPreview::open(&path, &ReadOptions::new())?;
/// assert_eq!(preview.columns().map(|column| column.name()).collect::<Vec<_>>(), ["id", "age"]);
/// assert_eq!(preview.rows(), 3);
/// for batch in preview.batches() {
///     assert_eq!(batch?.num_columns(), 2);
/// }
/// # Ok::<(), scaletot_profile::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct ParquetPreview {
    file: ParquetFile,
    columns: Vec<PreviewColumn>,
    selection: Selection,
    limit: u64,
}

/// A column of a [`ParquetPreview`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreviewColumn {
    name: String,
    data_type: Option<DataType>,
    is_read: bool,
}

impl PreviewColumn {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its type in the batches; `None` if Arrow has none for it.
    #[must_use]
    pub fn data_type(&self) -> Option<&DataType> {
        self.data_type.as_ref()
    }

    /// Whether it is in the batches.
    #[must_use]
    pub fn is_read(&self) -> bool {
        self.is_read
    }
}

/// Those of a file's columns that are read.
fn selection(file: &ParquetFile, columns: &[PreviewColumn]) -> Result<Selection> {
    let read = columns.iter().enumerate().filter(|(_, column)| column.is_read);
    file.select(&read.map(|(position, _)| position).collect::<Vec<_>>(), |_| false)
}

/// The batch with UUIDs as texts.
fn texts(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let schema = batch.schema();
    let columns: Vec<_> = batch.columns().iter().map(uuid_texts).collect();
    let fields = schema.fields().iter().zip(&columns);
    let fields = fields.map(|(field, column)| Field::new(field.name(), column.data_type().clone(), true));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(schema, columns, &options)
}

impl ParquetPreview {
    /// Opens a file and reads its directory; of the options, [`ReadOptions::with_max_decoded_bytes`] alone plays a part.
    ///
    /// # Errors
    /// All name the file: [`Error::Io`](crate::Error::Io), [`Error::Damaged`](crate::Error::Damaged),
    /// [`Error::Unsupported`](crate::Error::Unsupported).
    pub fn open(path: impl AsRef<Path>, options: &ReadOptions) -> Result<Self> {
        let file = ParquetFile::open(path.as_ref())?;
        let names: Vec<String> = file.names().iter().map(ToString::to_string).collect();
        let columns: Vec<PreviewColumn> = names
            .into_iter()
            .enumerate()
            .map(|(position, name)| {
                let field = file.type_of(position);
                let is_read = field.as_ref().is_some_and(|field| is_readable(field));
                let data_type = field.map(|field| match field.data_type() {
                    DataType::FixedSizeBinary(_) if is_read => DataType::LargeUtf8,
                    other => other.clone(),
                });
                PreviewColumn { name, data_type, is_read }
            })
            .collect();
        let selection = selection(&file, &columns)?;
        Ok(Self { file, columns, selection, limit: options.max_decoded_bytes })
    }

    /// All columns, in the file's order.
    pub fn columns(&self) -> impl ExactSizeIterator<Item = &PreviewColumn> {
        self.columns.iter()
    }

    /// Without the columns that `keep` does not take, by their names: they are not decoded.
    ///
    /// # Errors
    /// [`Error::Damaged`](crate::Error::Damaged), as where it was opened.
    pub fn with_columns(mut self, keep: impl Fn(&str) -> bool) -> Result<Self> {
        self.columns.iter_mut().for_each(|column| column.is_read &= keep(&column.name));
        self.selection = selection(&self.file, &self.columns)?;
        Ok(self)
    }

    /// Number of row groups.
    #[must_use]
    pub fn row_groups(&self) -> usize {
        self.file.row_groups()
    }

    /// Number of rows, as the file's directory says.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.file.rows()
    }

    /// The rows of the columns that are read, in batches of at most 8,192; UUIDs are texts. After an error there is nothing more.
    ///
    /// # Errors
    /// As [`RowGroup`](crate::RowGroup)'s.
    pub fn batches(&self) -> impl Iterator<Item = Result<RecordBatch>> + '_ {
        let mut groups = 0..self.file.row_groups();
        let mut current: Option<Batches> = None;
        let mut next = move || -> Result<Option<RecordBatch>> {
            loop {
                if let Some(batch) = current.as_mut().map(Batches::next).transpose()?.flatten() {
                    return texts(&batch).map(Some).map_err(|source| Error::Arrow { place: None, source });
                }
                let Some(group) = groups.next() else { return Ok(None) };
                current = Some(self.file.batches(group, &self.selection, self.limit)?);
            }
        };
        let mut ended = false;
        std::iter::from_fn(move || {
            if ended {
                return None;
            }
            let batch = next().transpose();
            ended = !matches!(batch, Some(Ok(_)));
            batch
        })
    }
}

use std::fs::File;
use std::path::Path;

use arrow_array::RecordBatch;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::super::collect::{Collector, Layout};
use super::super::{Loaded, ReadOptions};
use super::BATCH_ROWS;
use super::guard::guarded;
use super::source::{Shape, Source, Use};
use crate::error::{Error, Result};
use crate::place::Place;
use crate::schema::ProfileSchema;

/// Reads profiles from a Parquet file.
///
/// Only the wanted columns are read, batch by batch. Their Arrow types may be dictionaries, views or large variants, and
/// nulls are missing:
///
/// | wanted as | columns that will do |
/// | --- | --- |
/// | user id | integers (they stay integers) or texts (they stay texts) |
/// | categorical, ordinal | texts; integers, floats and booleans by their text form: `2` and `2.0` are `"2"` |
/// | numeric, number | integers, floats, decimals; texts that hold numbers |
/// | boolean, flag | booleans; 0 and 1; texts as in CSV |
/// | multi | lists of texts or integers; texts with separators |
/// | text | texts; integers, floats and booleans by their text form |
///
/// NaN is an error, unless `"NaN"` is one of the missing tokens: such tokens are compared with the text form of cells of
/// any type.
///
/// A file that is cut off is always refused, since its directory comes last. Damage within is refused where it shows; a
/// changed byte that leaves another readable value does not.
///
/// # Errors
/// All name the file, and where there is one the row and the column: [`Error::Io`], [`Error::MissingColumn`],
/// [`Error::DuplicateColumn`], [`Error::ColumnType`], [`Error::Cell`], [`Error::EmptyId`], [`Error::DuplicateId`],
/// [`Error::Damaged`].
pub fn read_parquet(path: impl AsRef<Path>, schema: &ProfileSchema, options: &ReadOptions) -> Result<Loaded> {
    let path = path.as_ref();
    let damaged =
        |place: Option<Place>, message: String| Error::Damaged { path: path.to_owned(), place, message };
    let file =
        File::open(path).map_err(|source| Error::Io { path: path.to_owned(), action: "open", source })?;
    let builder = guarded(|| ParquetRecordBatchReaderBuilder::try_new(file))
        .map_err(|message| damaged(None, message))?;
    let there = builder.schema().clone();
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
    let fields =
        fields.map(|(&index, field)| column(index, Use::Field(field.kind()))).collect::<Result<Vec<_>>>()?;
    let attributes = layout.attributes.iter().zip(&options.wanted);
    let attributes = attributes
        .map(|(&index, (_, wanted))| column(index, Use::Attribute(*wanted)))
        .collect::<Result<Vec<_>>>()?;

    let mask = ProjectionMask::roots(builder.parquet_schema(), wanted.iter().copied());
    let mut rows = Collector::new(path, schema, options, false);
    let mut reader = guarded(|| builder.with_projection(mask).with_batch_size(BATCH_ROWS).build())
        .map_err(|message| damaged(None, message))?;
    loop {
        let next = guarded(|| reader.next().transpose());
        let Some(batch) = next.map_err(|message| damaged(Some(rows.place()), message))? else {
            return rows.finish();
        };
        let read = |column: &Column| {
            guarded(|| column.of(&batch)).map_err(|message| damaged(Some(rows.place()), message))
        };
        let id = id.as_ref().map(read).transpose()?;
        let fields = fields.iter().map(read).collect::<Result<Vec<_>>>()?;
        let attributes = attributes.iter().map(read).collect::<Result<Vec<_>>>()?;
        for row in 0..batch.num_rows() {
            let id = id.as_ref().map(|id| id.raw(row));
            rows.push(id, |index| fields[index].raw(row), |index| attributes[index].raw(row))?;
        }
    }
}

/// A wanted column.
struct Column {
    /// In the projected batches.
    position: usize,
    shape: Shape,
}

impl Column {
    fn of(&self, batch: &RecordBatch) -> Result<Source, arrow_schema::ArrowError> {
        Source::new(batch.column(self.position), &self.shape)
    }
}

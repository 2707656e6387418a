use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use arrow_array::builder::{ListBuilder, StringBuilder};
use arrow_array::{ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field as ArrowField, Schema};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;

use super::super::output::Output;
use super::BATCH_ROWS;
use super::source::text_list;
use crate::atomic::try_write_atomically;
use crate::attributes::{Attributes, Values};
use crate::error::{Error, Result};
use crate::field::FieldKind;
use crate::id::UserIds;
use crate::table::{ProfileTable, Value};

/// Writes ids, profiles if given, and attributes to a Parquet file (zstd), replacing it at once or not at all.
///
/// Columns are the id (`Int64` or `Utf8`, as the ids are), the profile fields (categorical and ordinal `Utf8`, numeric
/// `Float64`, boolean `Boolean`, multi-valued `List<Utf8>`) and the attributes (`Float64`, `Utf8`, `Boolean`), in that
/// order; what is missing is null. The bucket of unknown categories is [`UNKNOWN`](crate::UNKNOWN). Everything reads back
/// as it was, except that text attributes equal to one of the reader's missing tokens, or empty, read back as missing.
///
/// # Errors
/// [`Error::Length`] if ids, profiles and attributes differ in their number of rows, [`Error::DuplicateColumn`] if two
/// columns would have one name, [`Error::Io`] if the file cannot be written.
pub fn write_parquet(
    path: impl AsRef<Path>,
    id_column: &str,
    ids: &UserIds,
    profiles: Option<&ProfileTable>,
    attributes: &Attributes,
) -> Result<()> {
    let path = path.as_ref();
    let output = Output::check(path, id_column, ids, profiles, attributes)?;
    let schema = Arc::new(arrow_schema(&output, ids));
    try_write_atomically(path, |file| {
        let written = || -> Result<(), ParquetError> {
            let properties =
                WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::default())).build();
            let mut writer = ArrowWriter::try_new(file, Arc::clone(&schema), Some(properties))?;
            for start in (0..ids.len()).step_by(BATCH_ROWS) {
                let rows = start..ids.len().min(start + BATCH_ROWS);
                writer.write(&RecordBatch::try_new(Arc::clone(&schema), arrays(&output, ids, rows))?)?;
            }
            writer.close()?;
            Ok(())
        };
        written().map_err(|error| Error::Io {
            path: path.to_owned(),
            action: "write",
            source: std::io::Error::other(error),
        })
    })
}

fn arrow_schema(output: &Output<'_>, ids: &UserIds) -> Schema {
    let id_type = match ids {
        UserIds::Int(_) => DataType::Int64,
        UserIds::Text(_) => DataType::Utf8,
    };
    let mut columns = vec![ArrowField::new(output.id_column, id_type, false)];
    columns.extend(output.fields().iter().map(|field| {
        let data_type = match field.kind() {
            FieldKind::Categorical(_) | FieldKind::Ordinal(_) => DataType::Utf8,
            FieldKind::Numeric(_) => DataType::Float64,
            FieldKind::Boolean => DataType::Boolean,
            FieldKind::Multi(_) => text_list(),
        };
        ArrowField::new(field.name(), data_type, true)
    }));
    columns.extend(output.attributes.columns().map(|(name, values)| {
        let data_type = match values {
            Values::Number(_) => DataType::Float64,
            Values::Text(_) => DataType::Utf8,
            Values::Flag(_) => DataType::Boolean,
        };
        ArrowField::new(name, data_type, true)
    }));
    Schema::new(columns)
}

fn arrays(output: &Output<'_>, ids: &UserIds, rows: Range<usize>) -> Vec<ArrayRef> {
    let mut arrays: Vec<ArrayRef> = vec![match ids {
        UserIds::Int(ids) => Arc::new(Int64Array::from_iter_values(ids[rows.clone()].iter().copied())),
        UserIds::Text(ids) => Arc::new(StringArray::from_iter_values(&ids[rows.clone()])),
    }];
    if let Some(table) = output.profiles {
        arrays.extend((0..output.fields().len()).map(|field| field_array(table, field, rows.clone())));
    }
    arrays.extend(output.attributes.columns().map(|(_, values)| -> ArrayRef {
        match values {
            Values::Number(values) => Arc::new(Float64Array::from_iter(values[rows.clone()].iter().copied())),
            Values::Text(values) => Arc::new(StringArray::from_iter(&values[rows.clone()])),
            Values::Flag(values) => Arc::new(BooleanArray::from_iter(values[rows.clone()].iter().copied())),
        }
    }));
    arrays
}

fn field_array(table: &ProfileTable, field: usize, rows: Range<usize>) -> ArrayRef {
    let kind = table.schema().fields()[field].kind();
    let label = |code: u32| kind.domain().and_then(|domain| domain.label(code));
    let mut values = rows.map(|row| table.value(row, field));
    match kind {
        FieldKind::Categorical(_) | FieldKind::Ordinal(_) => Arc::new(StringArray::from_iter(
            values.map(|value| if let Some(Value::Code(code)) = value { label(code) } else { None }),
        )),
        FieldKind::Numeric(_) => Arc::new(Float64Array::from_iter(
            values.map(|value| if let Some(Value::Number(number)) = value { Some(number) } else { None }),
        )),
        FieldKind::Boolean => Arc::new(BooleanArray::from_iter(
            values.map(|value| if let Some(Value::Flag(flag)) = value { Some(flag) } else { None }),
        )),
        FieldKind::Multi(_) => {
            let mut lists = ListBuilder::new(StringBuilder::new());
            values.by_ref().for_each(|value| match value {
                Some(Value::Codes(codes)) => lists.append_value(codes.iter().map(|&code| label(code))),
                _ => lists.append_null(),
            });
            Arc::new(lists.finish())
        }
    }
}

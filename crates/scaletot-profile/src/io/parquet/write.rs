use std::path::Path;
use std::sync::Arc;

use arrow_array::RecordBatch;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use scaletot_core::files::{AtomicFile, FileError};

use super::super::arrow::{arrays, arrow_schema};
use super::super::output::Output;
use super::BATCH_ROWS;
use crate::attributes::Attributes;
use crate::error::Result;
use crate::id::UserIds;
use crate::table::ProfileTable;

/// Writes ids, profiles if given, and attributes to a Parquet file (zstd), replacing it at once or not at all.
///
/// Columns are the id, the profile fields and the attributes, in that order, in the types of
/// [`Loaded::to_record_batch`](crate::Loaded::to_record_batch). Everything reads back as it was, except that text attributes equal to
/// one of the reader's missing tokens, or empty, read back as missing.
///
/// # Errors
/// [`Error::Length`](crate::Error::Length) if ids, profiles and attributes differ in their number of rows, [`Error::DuplicateColumn`](crate::Error::DuplicateColumn) if two
/// columns would have one name, [`Error::Io`](crate::Error::Io) if the file cannot be written.
pub fn write_parquet(
    path: impl AsRef<Path>,
    id_column: &str,
    ids: &UserIds,
    profiles: Option<&ProfileTable>,
    attributes: &Attributes,
) -> Result<()> {
    let path = path.as_ref();
    let output = Output::check(Some(path), id_column, ids, profiles, attributes)?;
    let schema = Arc::new(arrow_schema(&output, ids));
    let file = AtomicFile::create(path)?;
    let write = || -> Result<AtomicFile, ParquetError> {
        let properties =
            WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::default())).build();
        let mut writer = ArrowWriter::try_new(file, Arc::clone(&schema), Some(properties))?;
        for start in (0..ids.len()).step_by(BATCH_ROWS) {
            let rows = start..ids.len().min(start + BATCH_ROWS);
            writer.write(&RecordBatch::try_new(Arc::clone(&schema), arrays(&output, ids, rows)?)?)?;
        }
        writer.into_inner()
    };
    let file = write().map_err(|error| FileError::new("write", path, std::io::Error::other(error)))?;
    Ok(file.commit()?)
}

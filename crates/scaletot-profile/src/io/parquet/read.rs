use std::path::Path;
use std::sync::Arc;

use super::super::arrow::Gather;
use super::super::{Loaded, ReadOptions};
use super::scan::ParquetProfiles;
use crate::error::Result;
use crate::schema::ProfileSchema;

/// Reads profiles from a Parquet file.
///
/// Only the wanted columns are read, batch by batch. Their types, and what is missing, are as
/// [`Loaded::from_record_batch`](crate::Loaded::from_record_batch) has it.
///
/// A file that is cut off is always refused, since its directory comes last. Damage within is refused where it shows; a
/// changed byte that leaves another readable value does not.
///
/// # Errors
/// All name the file, and where there is one the row and the column: [`Error::Io`](crate::Error::Io),
/// [`Error::MissingColumn`](crate::Error::MissingColumn), [`Error::DuplicateColumn`](crate::Error::DuplicateColumn),
/// [`Error::ColumnType`](crate::Error::ColumnType), [`Error::Cell`](crate::Error::Cell), [`Error::EmptyId`](crate::Error::EmptyId),
/// [`Error::DuplicateId`](crate::Error::DuplicateId), [`Error::Damaged`](crate::Error::Damaged).
pub fn read_parquet(path: impl AsRef<Path>, schema: &ProfileSchema, options: &ReadOptions) -> Result<Loaded> {
    let path = path.as_ref();
    let file = ParquetProfiles::open(path, schema, options)?;
    let mut all = Gather::new(Some(Arc::from(path)), Arc::new(schema.clone()), options)?;
    for group in 0..file.row_groups() {
        for batch in file.row_group(group)? {
            all.push(batch?)?;
        }
    }
    Ok(all.finish())
}

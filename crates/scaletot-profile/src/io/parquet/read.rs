use std::path::Path;
use std::sync::Arc;

use super::super::arrow::Gather;
use super::super::{Loaded, ReadOptions};
use super::scan::ParquetProfiles;
use crate::error::{Error, Result};
use crate::schema::ProfileSchema;

/// Bytes of a table for each byte of its file, at most.
const PROPORTION: u64 = 100;

/// Reads profiles from a Parquet file.
///
/// Only the wanted columns are read, batch by batch. Their types, and what is missing, are as
/// [`Loaded::from_record_batch`](crate::Loaded::from_record_batch) has it.
///
/// A file that is cut off is always refused, since its directory comes last. Damage within is refused where it shows; a
/// changed byte that leaves another readable value does not.
///
/// # Errors
/// All name the file, and where there is one the row and the column: [`Error::Io`],
/// [`Error::MissingColumn`](crate::Error::MissingColumn), [`Error::DuplicateColumn`](crate::Error::DuplicateColumn),
/// [`Error::ColumnType`](crate::Error::ColumnType), [`Error::Cell`](crate::Error::Cell), [`Error::EmptyId`](crate::Error::EmptyId),
/// [`Error::DuplicateId`](crate::Error::DuplicateId), [`Error::Damaged`](crate::Error::Damaged),
/// [`Error::Unsupported`](crate::Error::Unsupported); [`Error::TooLarge`](crate::Error::TooLarge) and
/// [`Error::OutOfProportion`](crate::Error::OutOfProportion) for a file that unpacks to more than `options` allows.
pub fn read_parquet(path: impl AsRef<Path>, schema: &ProfileSchema, options: &ReadOptions) -> Result<Loaded> {
    let path = path.as_ref();
    let file = ParquetProfiles::open(path, schema, options)?;
    let mut all = Gather::new(Some(Arc::from(path)), Arc::new(schema.clone()), options)?;
    let limit = options.max_decoded_bytes.saturating_add(file.length().saturating_mul(PROPORTION));
    let check = |bytes: u64| match bytes > limit {
        true => Err(Error::OutOfProportion {
            path: path.to_owned(),
            length: file.length(),
            rows: file.rows(),
            limit,
        }),
        false => Ok(()),
    };
    // Each field takes a byte or more of every row, and an id eight.
    check((file.rows() as u64).saturating_mul(8 + schema.fields().len() as u64))?;
    for group in 0..file.row_groups() {
        for batch in file.row_group(group)? {
            all.push(batch?)?;
            check(all.bytes())?;
        }
    }
    Ok(all.finish())
}

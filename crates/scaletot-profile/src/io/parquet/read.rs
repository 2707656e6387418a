use std::path::Path;
use std::sync::Arc;

use super::super::collect::empty;
use super::super::{Loaded, ReadOptions};
use super::scan::ParquetProfiles;
use crate::attributes::Attributes;
use crate::builder::TableBuilder;
use crate::error::Result;
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
/// All name the file, and where there is one the row and the column: [`Error::Io`](crate::Error::Io),
/// [`Error::MissingColumn`](crate::Error::MissingColumn), [`Error::DuplicateColumn`](crate::Error::DuplicateColumn),
/// [`Error::ColumnType`](crate::Error::ColumnType), [`Error::Cell`](crate::Error::Cell), [`Error::EmptyId`](crate::Error::EmptyId),
/// [`Error::DuplicateId`](crate::Error::DuplicateId), [`Error::Damaged`](crate::Error::Damaged).
pub fn read_parquet(path: impl AsRef<Path>, schema: &ProfileSchema, options: &ReadOptions) -> Result<Loaded> {
    let path = path.as_ref();
    let file = ParquetProfiles::open(path, schema, options)?;
    let mut profiles = TableBuilder::new(schema.clone());
    profiles.set_file(Arc::from(path));
    let mut attributes = Attributes::new();
    for (name, wanted) in &options.wanted {
        attributes.insert(name.clone(), empty(*wanted))?;
    }
    for group in 0..file.row_groups() {
        for batch in file.row_group(group)? {
            let batch = batch?;
            profiles.append(batch.profiles)?;
            attributes.append(batch.attributes);
        }
    }
    Ok(Loaded { profiles: profiles.finish(), attributes })
}

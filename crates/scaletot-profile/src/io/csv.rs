//! CSV files.

mod collector;
mod lines;
mod preview;
mod records;
mod start;

use std::borrow::Cow;
use std::io::Read;
use std::path::Path;

use ::csv::{StringRecord, WriterBuilder};
use scaletot_core::files::{self, AtomicFile, FileError};

use self::collector::Collector;
pub use self::preview::CsvPreview;
use self::records::{Records, Refused};
use super::collect::Layout;
use super::output::Output;
use super::{Loaded, ReadOptions};
use crate::attributes::{Attributes, Values};
use crate::cell::{self, Raw};
use crate::error::Result;
use crate::id::UserIds;
use crate::schema::ProfileSchema;
use crate::table::ProfileTable;

/// Reads profiles from a comma-separated file in UTF-8 with a header line.
///
/// Where the header has no comma outside of quotes, cells stand between semicolons, tabs or bars, whichever it has most of; numbers have
/// a decimal point in any case. A byte-order mark is skipped. Text behind a closing quote is refused: a quote within quotes is written
/// twice, not with a backslash. A row takes at most 4 MiB.
///
/// The columns may stand in any order, and columns that neither the schema nor `options` names are skipped. An empty
/// cell, or one of the field's missing tokens, is missing. Blanks at the ends of a profile cell play no part; ids and text
/// attributes are kept as they are. If every id is the plain form of a 64-bit integer they are integers; otherwise, as with
/// "007", all of them stay texts ([`ReadOptions::with_text_ids`] keeps them texts in any case). Rows are read one after the
/// other, so the file never is in memory as a whole.
///
/// In numeric fields `NA`, `NaN` and alike ([`MISSING_NUMBERS`](crate::MISSING_NUMBERS)) are missing, too.
///
/// A file that ends within quotes or in a row with too few cells is refused as cut off. A cut that falls exactly between
/// two rows, or inside the last cell of the last row, cannot be told from a shorter file.
///
/// # Errors
/// All name the file, and where there is one the row, its line and the column: [`Error::Io`](crate::Error::Io), [`Error::MissingColumn`](crate::Error::MissingColumn),
/// [`Error::DuplicateColumn`](crate::Error::DuplicateColumn), [`Error::Cell`](crate::Error::Cell), [`Error::EmptyId`](crate::Error::EmptyId), [`Error::DuplicateId`](crate::Error::DuplicateId), [`Error::Damaged`](crate::Error::Damaged), and
/// [`Error::Unsupported`](crate::Error::Unsupported) for what is no text in UTF-8.
pub fn read_csv(path: impl AsRef<Path>, schema: &ProfileSchema, options: &ReadOptions) -> Result<Loaded> {
    let path = path.as_ref();
    read_csv_from(files::open(path)?, path, schema, options)
}

/// As [`read_csv`], from any source of bytes: a file that is unpacked on the way, or a table in memory. `name` is what errors
/// call it.
///
/// ```
/// use scaletot_profile::{FieldSpec, ProfileSchema, ReadOptions, UserId, read_csv_from};
///
/// let schema = ProfileSchema::builder("shop").with_field(FieldSpec::numeric("income").with_min(0.0)).build()?;
/// let table = "income,segment\n1200,a\n,b\n";
/// let options = ReadOptions::new().with_text("segment").with_numbered_ids();
/// let loaded = read_csv_from(table.as_bytes(), "in memory", &schema, &options)?;
/// assert_eq!(loaded.profiles.id(1), UserId::Int(2));
/// # Ok::<(), scaletot_profile::Error>(())
/// ```
///
/// # Errors
/// As [`read_csv`].
pub fn read_csv_from(
    source: impl Read,
    name: impl AsRef<Path>,
    schema: &ProfileSchema,
    options: &ReadOptions,
) -> Result<Loaded> {
    let path = name.as_ref();
    let mut records = Records::new(source, path)?;
    let layout = Layout::find(Some(path), &records.header().iter().collect::<Vec<_>>(), schema, options)?;
    let mut into = Collector::new(path, schema, options, !options.text_ids);
    let mut record = StringRecord::new();
    loop {
        match records.next(&mut record) {
            Ok(true) => into.set_line(records.line()),
            Ok(false) => break,
            Err(Refused { row: Some(row), .. }) if options.leave_out => {
                into.leave_out(*row)?;
                continue;
            }
            Err(Refused { error, .. }) => return Err(error),
        }
        // Every record has as many cells as the header, so that all positions are there.
        let cell = |column: usize| Raw::Text(record.get(column).unwrap_or_default());
        into.push(
            layout.id.map(cell),
            |index| cell(layout.fields[index]),
            |index| cell(layout.attributes[index]),
        )?;
    }
    into.finish()
}

/// Writes ids, profiles if given, and attributes to a comma-separated file, replacing it at once or not at all.
///
/// Columns are the id, the profile fields and the attributes, in that order. What is missing is an empty cell; the values
/// of a multi-valued field stand between its separator, and the empty list is the separator alone; the bucket of unknown
/// categories is [`UNKNOWN`](crate::UNKNOWN); numbers are written so that they read back exactly. What CSV cannot tell: an
/// empty text attribute reads back as missing, and text ids that all look like integers read back as integers unless
/// [`ReadOptions::with_text_ids`] is set.
///
/// # Errors
/// [`Error::Length`](crate::Error::Length) if ids, profiles and attributes differ in their number of rows, [`Error::DuplicateColumn`](crate::Error::DuplicateColumn) if two
/// columns would have one name, [`Error::Io`](crate::Error::Io) if the file cannot be written.
pub fn write_csv(
    path: impl AsRef<Path>,
    id_column: &str,
    ids: &UserIds,
    profiles: Option<&ProfileTable>,
    attributes: &Attributes,
) -> Result<()> {
    let path = path.as_ref();
    let output = Output::check(Some(path), id_column, ids, profiles, attributes)?;
    let mut file = AtomicFile::create(path)?;
    let mut write = || -> ::csv::Result<()> {
        let mut writer = WriterBuilder::new().from_writer(&mut file);
        writer.write_record(output.names())?;
        for row in 0..ids.len() {
            writer.write_field(ids.get(row).to_string())?;
            for text in texts(&output, row) {
                writer.write_field(text.as_deref().unwrap_or_default())?;
            }
            writer.write_record(None::<&[u8]>)?;
        }
        Ok(writer.flush()?)
    };
    write().map_err(|error| FileError::new("write", path, error.into()))?;
    Ok(file.commit()?)
}

/// The cells of a row without its id, as text; `None` where missing.
fn texts<'a>(output: &Output<'a>, row: usize) -> impl Iterator<Item = Option<Cow<'a, str>>> {
    let profiles = output.profiles;
    let fields = output.fields().iter().enumerate();
    let fields = fields.map(move |(index, field)| cell::text(field, profiles?.value(row, index)));
    fields.chain(output.attributes.columns().map(move |(_, values)| match values {
        Values::Number(values) => values[row].map(|number| Cow::Owned(number.to_string())),
        Values::Text(values) => values[row].as_deref().map(Cow::Borrowed),
        Values::Flag(values) => values[row].map(|flag| Cow::Borrowed(cell::flag_text(flag))),
    }))
}

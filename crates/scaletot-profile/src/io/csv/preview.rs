use std::io::Read;
use std::path::Path;

use ::csv::StringRecord;

use super::records::Records;
use crate::error::Result;

/// The cells of a CSV file row by row, for a look at a table of which no schema is known yet. What stands between cells, quotes, encodings
/// and bounds are those of [`read_csv`](crate::read_csv).
///
/// ```
/// use scaletot_profile::CsvPreview;
///
/// let mut preview = CsvPreview::new("id;income\n1;1200\n2;\n".as_bytes(), "in memory")?;
/// assert_eq!(preview.columns().collect::<Vec<_>>(), ["id", "income"]);
/// let first: Vec<String> = preview.next_row()?.into_iter().flatten().map(str::to_owned).collect();
/// assert_eq!(first, ["1", "1200"]);
/// # Ok::<(), scaletot_profile::Error>(())
/// ```
pub struct CsvPreview<R> {
    records: Records<R>,
    record: StringRecord,
}

impl<R: Read> CsvPreview<R> {
    /// Reads the header. `name` is what errors call the table.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io), [`Error::Damaged`](crate::Error::Damaged), [`Error::Unsupported`](crate::Error::Unsupported).
    pub fn new(source: R, name: impl AsRef<Path>) -> Result<Self> {
        Ok(Self { records: Records::new(source, name.as_ref())?, record: StringRecord::new() })
    }

    /// The names of the columns.
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        self.records.header().iter()
    }

    /// The cells of the next row, one for each column; `None` at the end.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io), and [`Error::Damaged`](crate::Error::Damaged) with row and line.
    pub fn next_row(&mut self) -> Result<Option<impl Iterator<Item = &str>>> {
        let found = self.records.next(&mut self.record).map_err(|refused| refused.error)?;
        Ok(found.then(|| self.record.iter()))
    }
}

impl<R> std::fmt::Debug for CsvPreview<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CsvPreview").field("record", &self.record).finish_non_exhaustive()
    }
}

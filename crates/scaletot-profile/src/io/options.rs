/// Which columns to read besides the id and the profile fields, and how.
///
/// ```
/// use scaletot_profile::ReadOptions;
///
/// let options = ReadOptions::new().with_number("spend_30d").with_text("tier").with_flag("subscribed").with_missing(["NA"]);
/// assert_eq!(options.columns().count(), 3);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReadOptions {
    pub(crate) wanted: Vec<(String, Wanted)>,
    pub(crate) missing: Vec<String>,
    pub(crate) text_ids: bool,
    pub(crate) numbered_ids: bool,
    pub(crate) max_decoded_bytes: u64,
    pub(crate) leave_out: bool,
}

/// Bytes that a batch of a Parquet file decodes into at most, unless set: 512 MiB.
const MAX_DECODED_BYTES: u64 = 512 << 20;

impl Default for ReadOptions {
    fn default() -> Self {
        Self {
            wanted: Vec::new(),
            missing: Vec::new(),
            text_ids: false,
            numbered_ids: false,
            max_decoded_bytes: MAX_DECODED_BYTES,
            leave_out: false,
        }
    }
}

/// What R, Python, SQL, Hive, SAS and Excel write in the place of a number that is not known. In numeric fields and in
/// columns of numbers beside the profile these texts are missing.
pub const MISSING_NUMBERS: [&str; 11] =
    ["NA", "N/A", "NaN", "nan", "<NA>", "NULL", "null", "None", "\\N", ".", "#N/A"];

/// The type of an attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    Number,
    Text,
    Flag,
}

impl ReadOptions {
    /// No further columns.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads the column as numbers. What programs write for a number that is not known is missing: NaN, and the texts of
    /// [`MISSING_NUMBERS`].
    #[must_use]
    pub fn with_number(self, column: impl Into<String>) -> Self {
        self.want(column.into(), Wanted::Number)
    }

    /// Reads the column as texts.
    #[must_use]
    pub fn with_text(self, column: impl Into<String>) -> Self {
        self.want(column.into(), Wanted::Text)
    }

    /// Reads the column as flags.
    #[must_use]
    pub fn with_flag(self, column: impl Into<String>) -> Self {
        self.want(column.into(), Wanted::Flag)
    }

    /// Cell texts that are missing in the further columns, besides the empty one, NaN and those of numbers. (Profile fields have their own.)
    #[must_use]
    pub fn with_missing<T: Into<String>>(mut self, tokens: impl IntoIterator<Item = T>) -> Self {
        self.missing.extend(tokens.into_iter().map(Into::into));
        self
    }

    /// Takes all ids of a CSV file as texts. Without it a column in which every id is the plain form of a 64-bit integer
    /// is read as integers: CSV has no types, so this is the only way to tell. Parquet ids always keep their type.
    #[must_use]
    pub fn with_text_ids(mut self) -> Self {
        self.text_ids = true;
        self
    }

    /// Takes the rows' numbers, from 1, as ids: for a table that has no id column. The schema's id column is not looked for,
    /// and skipped if it is there.
    #[must_use]
    pub fn with_numbered_ids(mut self) -> Self {
        self.numbered_ids = true;
        self
    }

    /// Bytes that decoding a Parquet file may take at once: 512 MiB unless set. Pages in hand, dictionaries and the cells of a batch are
    /// counted before they are decoded, and a batch has fewer rows where they would be more. The file is refused if a single row, or the
    /// page that it is in, takes more.
    ///
    /// A table that is read as a whole may take as much, and a hundred bytes more for every byte of the file: honest tables stay under
    /// that by far, and a small file that unpacks to gigabytes does not. CSV files do not unpack.
    #[must_use]
    pub fn with_max_decoded_bytes(mut self, bytes: u64) -> Self {
        self.max_decoded_bytes = bytes;
        self
    }

    /// Leaves out rows of which the id or a cell does not fit, rows whose id an earlier row has, and rows of a CSV file that have another number
    /// of cells than the header or are not in UTF-8, and lists them in [`Loaded::left_out`](crate::Loaded::left_out); without
    /// it the first of them is an error, and so is a file of which more than 100,000 rows, and more than half of those
    /// up to some row, do not fit. A file or page that cannot be read, and text behind a closing quote, are errors in any case: there
    /// it is not known which rows are right.
    #[must_use]
    pub fn with_bad_rows_left_out(mut self) -> Self {
        self.leave_out = true;
        self
    }

    /// The names of the further columns.
    pub fn columns(&self) -> impl ExactSizeIterator<Item = &str> {
        self.wanted.iter().map(|(column, _)| column.as_str())
    }

    /// The last request for a column counts.
    fn want(mut self, column: String, wanted: Wanted) -> Self {
        self.wanted.retain(|(other, _)| *other != column);
        self.wanted.push((column, wanted));
        self
    }
}

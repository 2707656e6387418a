use std::fmt;
use std::num::NonZeroU64;
use std::path::Path;
use std::sync::Arc;

/// Where in the input something was found.
///
/// Rows are counted from 1 and count data rows only, so the first row below a CSV header is row 1; `line` is the
/// line of the text file on which that row begins (header, blank lines and line breaks inside quotes count).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Place {
    /// The file, where the input came from one.
    pub file: Option<Arc<Path>>,
    /// Data row, from 1.
    pub row: usize,
    /// Line in a text file, from 1.
    pub line: Option<NonZeroU64>,
}

impl Place {
    pub(crate) fn row(row: usize) -> Self {
        Self { file: None, row, line: None }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{}, ", file.display())?;
        }
        write!(f, "row {}", self.row)?;
        if let Some(line) = self.line {
            write!(f, " (line {line})")?;
        }
        Ok(())
    }
}

//! The rows of a CSV file, before anything is known of their cells.

use std::io::{self, Cursor, Read};
use std::num::NonZeroU64;
use std::path::Path;
use std::sync::Arc;

use ::csv::{ErrorKind, Reader, ReaderBuilder, StringRecord};

use super::super::LeftOut;
use super::lines::{Fault, Lines, MAX_ROW};
use super::start::look;
use crate::error::{Error, Result, shortened};
use crate::place::Place;

const NOT_UTF8: &str = "save the table as UTF-8; it may be in Latin-1 or Windows-1252";

/// A CSV file from its first row on.
pub(super) struct Records<R> {
    path: Arc<Path>,
    reader: Reader<Lines<io::Chain<Cursor<Vec<u8>>, R>>>,
    header: StringRecord,
    delimiter: u8,
    /// The row that was read last, from 1, and its line.
    row: usize,
    line: Option<NonZeroU64>,
}

impl<R: Read> Records<R> {
    /// Reads the header. `path` is what errors call the file.
    pub(super) fn new(source: R, path: &Path) -> Result<Self> {
        let path: Arc<Path> = Arc::from(path);
        let damaged = |message: String| Error::Damaged { path: path.to_path_buf(), place: None, message };
        let start = look(source)
            .map_err(|source| Error::Io { path: path.to_path_buf(), action: "read", source })?
            .map_err(|(found, expected)| Error::Unsupported {
                path: path.to_path_buf(),
                found: found.to_owned(),
                expected,
            })?;
        let delimiter = start.delimiter;
        let mut reader = ReaderBuilder::new()
            .buffer_capacity(1 << 16)
            .delimiter(delimiter)
            .from_reader(Lines::new(start.bytes, delimiter));
        let header = reader.headers().cloned();
        let line = reader.get_mut().next_start();
        if let Some(fault) = reader.get_ref().fault(line) {
            return Err(damaged(format!("the header: {}", told(fault, delimiter))));
        }
        let header = header.map_err(|error| refused(&path, None, &StringRecord::new(), error))?;
        if reader.get_ref().is_cut() {
            return Err(damaged(CUT.to_owned()));
        }
        if header.is_empty() {
            return Err(damaged("expected a header line, found an empty file".to_owned()));
        }
        Ok(Self { path, reader, header, delimiter, row: 0, line: None })
    }

    /// The names of the columns.
    pub(super) fn header(&self) -> &StringRecord {
        &self.header
    }

    /// The line on which the row begins that was read last.
    pub(super) fn line(&self) -> Option<NonZeroU64> {
        self.line
    }

    /// Reads the next row, which has as many cells as the header; `false` at the end of the file. After a row that does not fit there may be
    /// others.
    pub(super) fn next(&mut self, record: &mut StringRecord) -> Result<bool, Refused> {
        let found = self.reader.read_record(record);
        let start = self.reader.get_mut().next_start();
        self.row += 1;
        if let Some(line) = start {
            self.line = NonZeroU64::new(line);
        }
        let place = || Place { file: Some(Arc::clone(&self.path)), row: self.row, line: self.line };
        let damaged = |message| {
            let error = Error::Damaged { path: self.path.to_path_buf(), place: Some(place()), message };
            Err(Refused { error, row: None })
        };
        // Before anything else that is wrong with a row: one that swallowed the rest of the file fits nothing.
        if self.reader.get_ref().is_cut() {
            return damaged(CUT.to_owned());
        }
        if let Some(fault) = self.reader.get_ref().fault(start) {
            return damaged(told(fault, self.delimiter));
        }
        found.map_err(|error| {
            let row = misfit(place(), &self.header, &error);
            Refused { error: refused(&self.path, Some(place()), &self.header, error), row }
        })
    }
}

/// Why there is no row.
pub(super) struct Refused {
    pub(super) error: Error,
    /// The row, if nothing else is wrong than that it does not fit.
    pub(super) row: Option<Box<LeftOut>>,
}

/// The row that the parser refused, if it has found its end.
fn misfit(place: Place, header: &StringRecord, error: &::csv::Error) -> Option<Box<LeftOut>> {
    let (column, expected, found) = match error.kind() {
        ErrorKind::UnequalLengths { expected_len, len, .. } => {
            (None, format!("{expected_len} cells as in the header"), len.to_string())
        }
        ErrorKind::Utf8 { err, .. } => {
            (header.get(err.field()), "UTF-8".to_owned(), format!("other bytes: {NOT_UTF8}"))
        }
        _ => return None,
    };
    Some(Box::new(LeftOut { place, column: column.map(str::to_owned), expected, found }))
}

const CUT: &str = "the file ends within quotes";

fn told(fault: Fault, delimiter: u8) -> String {
    match fault {
        Fault::BehindQuote(line) => format!(
            "line {line}: expected {:?} or the end of the line after a closing quote; a quote within quotes is written twice, not as \\\"",
            char::from(delimiter)
        ),
        Fault::TooLong => {
            format!("expected a row of at most {} MiB, found more; is a quote not closed?", MAX_ROW >> 20)
        }
    }
}

/// This crate's error for one of the parser.
fn refused(path: &Path, place: Option<Place>, header: &StringRecord, error: ::csv::Error) -> Error {
    let message = match error.kind() {
        ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("expected {expected_len} cells as in the header, found {len}")
        }
        ErrorKind::Utf8 { err, .. } => match header.get(err.field()) {
            Some(column) => format!("column {:?} is not valid UTF-8: {NOT_UTF8}", shortened(column)),
            None => format!("the header is not valid UTF-8: {NOT_UTF8}"),
        },
        _ => error.to_string(),
    };
    match error.into_kind() {
        ErrorKind::Io(source) => Error::Io { path: path.to_owned(), action: "read", source },
        _ => Error::Damaged { path: path.to_owned(), place, message },
    }
}

//! Arrow columns of a batch as columns of a table. Every distinct value of a dictionary is read once, not once per row.

use std::collections::HashMap;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef};
use arrow_schema::ArrowError;

use super::source::{Shape, Source};
use crate::cell::{self, Cell, Mismatch, Raw};
use crate::column::{Column, NO_CODE};
use crate::field::Field;

/// A cell that does not fit, in the row of that index in the batch.
pub(super) type Misfit = (usize, Mismatch);

/// Cells of a column that do not fit, in row order; in their places nothing is known.
#[derive(Debug)]
pub(super) struct Misfits {
    pub(super) found: Vec<Misfit>,
    /// Whether all are looked for, or the first alone.
    all: bool,
}

impl Misfits {
    pub(super) fn new(all: bool) -> Self {
        Self { found: Vec::new(), all }
    }

    /// Notes a cell; whether there is more to look for.
    pub(super) fn push(&mut self, row: usize, mismatch: Mismatch) -> bool {
        self.found.push((row, mismatch));
        self.all
    }
}

/// The values of a field, and what does not fit. The error is a damaged file's.
pub(super) fn field(
    field: &Field,
    array: &ArrayRef,
    shape: &Shape,
    misfits: &mut Misfits,
) -> Result<Column, ArrowError> {
    let Some(dictionary) = array.as_any_dictionary_opt() else {
        return Ok(rows(field, &Source::new(array, shape)?, array.len(), misfits));
    };
    let mut column = Column::new(field.kind());
    let values = dictionary.values();
    if values.is_empty() {
        (0..array.len()).for_each(|_| column.push(Cell::Missing));
        return Ok(column);
    }
    let source = Source::new(values, shape)?;
    let cells: Vec<_> = (0..values.len()).map(|value| cell::read(field, source.raw(value))).collect();
    let keys = dictionary.normalized_keys();
    let used = |row: usize| dictionary.keys().is_valid(row);
    if cells.iter().any(Result::is_err) {
        // A value that no row has does no harm.
        for (row, &key) in keys.iter().enumerate().filter(|(row, _)| used(*row)) {
            if let Err(mismatch) = &cells[key]
                && !misfits.push(row, mismatch.clone())
            {
                break;
            }
        }
    }
    match &mut column {
        Column::Codes(codes) => {
            let of = |cell: &Result<Cell, _>| if let Ok(Cell::Code(code)) = cell { *code } else { NO_CODE };
            let table: Vec<u32> = cells.iter().map(of).collect();
            match dictionary.keys().nulls() {
                None => codes.extend(keys.iter().map(|&key| table[key])),
                Some(nulls) => {
                    let code = |(&key, valid): (&usize, bool)| if valid { table[key] } else { NO_CODE };
                    codes.extend(keys.iter().zip(nulls).map(code));
                }
            }
        }
        column => {
            for (row, &key) in keys.iter().enumerate() {
                column.push(match &cells[key] {
                    Ok(cell) if used(row) => cell.clone(),
                    _ => Cell::Missing,
                });
            }
        }
    }
    Ok(column)
}

/// As [`field`], row by row; whole numbers, whose text is looked up for a category, once each.
fn rows(field: &Field, source: &Source, rows: usize, misfits: &mut Misfits) -> Column {
    let mut column = Column::new(field.kind());
    let mut known: HashMap<i64, Cell> = HashMap::new();
    let by_text = field.kind().domain().is_some();
    for row in 0..rows {
        let raw = source.raw(row);
        let number = match raw {
            Raw::Int(int) if by_text => i64::try_from(int).ok(),
            _ => None,
        };
        let cell = match number.and_then(|number| known.get(&number)) {
            Some(cell) => cell.clone(),
            None => match cell::read(field, raw) {
                Ok(cell) => {
                    if let Some(number) = number {
                        known.insert(number, cell.clone());
                    }
                    cell
                }
                Err(mismatch) => {
                    if !misfits.push(row, mismatch) {
                        break;
                    }
                    Cell::Missing
                }
            },
        };
        column.push(cell);
    }
    column
}

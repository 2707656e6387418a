//! Which column holds the user ids.

use std::collections::{HashMap, HashSet};

use scaletot_core::text::printable;

use super::names;
use super::table::{Declared, RawColumn, RawTable};
use super::{DraftOptions, MAX_SHOWN};

/// Where the user ids are from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum UserId {
    /// The column of that name.
    Column(String),
    /// The rows' numbers.
    Rows {
        /// Why no column holds ids.
        why: String,
    },
}

impl UserId {
    /// The column that was named, or the first with a value of its own in every row whose name says so, or that is the table's first
    /// column and no measured number.
    pub(super) fn of(table: &RawTable, options: &DraftOptions, outcome: &str) -> Self {
        if let Some(column) = &options.id {
            return Self::Column(column.clone());
        }
        let candidates = || table.columns.iter().filter(|column| may_be_id(column, outcome));
        let of_own = |column: &&RawColumn| repeated(column).is_none();
        let first = table.columns.first().filter(|column| may_be_id(column, outcome)).filter(of_own);
        if let Some(column) = candidates().filter(is_named_id).find(of_own).or(first) {
            return Self::Column(column.name.clone());
        }
        // Of a flag or a plan, which may be called "member" too, most rows share a value.
        let almost =
            candidates().filter(is_named_id).filter(|column| is_mostly_unique(column)).find_map(|column| {
                Some(format!("column `{}` is an id by its name, but {}", column.name, repeated(column)?))
            });
        let none = || "no column has a value of its own in every row".to_owned();
        Self::Rows { why: almost.unwrap_or_else(none) }
    }

    pub(super) fn column(&self) -> Option<&str> {
        match self {
            Self::Column(column) => Some(column),
            Self::Rows { .. } => None,
        }
    }
}

/// Whether a column's name and values may be those of ids, but for that each must be there once.
fn may_be_id(column: &RawColumn, outcome: &str) -> bool {
    let name = column.name.as_str();
    let is_whole = |cell: &String| cell.parse::<f64>().is_err() || cell.parse::<i64>().is_ok();
    !name.trim().is_empty()
        && name.trim() == name
        && name != outcome
        && matches!(column.declared, Declared::Text | Declared::Number)
        && column.cells.iter().flatten().all(is_whole)
}

fn is_named_id(column: &&RawColumn) -> bool {
    let words = names::words(&column.name);
    let whole = ["user", "customer", "client", "member", "subscriber", "household", "account", "row"];
    names::has(&words, &["id", "uuid", "guid", "key", "userid", "customerid"])
        || (words.len() == 1 && names::has(&words, &whole))
}

/// Whether the distinct values are more than half of the rows.
fn is_mostly_unique(column: &RawColumn) -> bool {
    let distinct: HashSet<&String> = column.cells.iter().flatten().collect();
    2 * distinct.len() > column.cells.len()
}

/// Which value is not in one row alone, or which row has none; rows count from 1.
fn repeated(column: &RawColumn) -> Option<String> {
    let mut rows: HashMap<&str, usize> = HashMap::new();
    (1..).zip(&column.cells).find_map(|(row, cell)| match cell {
        None => Some(format!("row {row} has none")),
        Some(cell) => rows
            .insert(cell, row)
            .map(|first| format!("`{}` is in rows {first} and {row}", printable(cell, MAX_SHOWN))),
    })
}

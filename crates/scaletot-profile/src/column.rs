//! Columnar storage of one field's values.

use crate::cell::{Cell, Value};
use crate::field::FieldKind;

/// Stands for a missing code; domains are too small to use it.
pub(crate) const NO_CODE: u32 = u32::MAX;

/// The values of one field for all rows.
#[derive(Debug, Clone)]
pub(crate) enum Column {
    /// [`NO_CODE`] where missing.
    Codes(Vec<u32>),
    /// NaN where missing; present numbers are finite.
    Numbers(Vec<f64>),
    Flags(Vec<Option<bool>>),
    /// Row `i` is `codes[ends[i - 1] .. ends[i]]`, and absent unless `present[i]`.
    Lists {
        codes: Vec<u32>,
        ends: Vec<usize>,
        present: Vec<bool>,
    },
}

impl Column {
    pub(crate) fn new(kind: &FieldKind) -> Self {
        match kind {
            FieldKind::Categorical(_) | FieldKind::Ordinal(_) => Self::Codes(Vec::new()),
            FieldKind::Numeric(_) => Self::Numbers(Vec::new()),
            FieldKind::Boolean => Self::Flags(Vec::new()),
            FieldKind::Multi(_) => Self::Lists { codes: Vec::new(), ends: Vec::new(), present: Vec::new() },
        }
    }

    /// Appends a cell that was checked against the field; a cell of another kind would be a bug of this crate and is
    /// stored as missing.
    pub(crate) fn push(&mut self, cell: Cell) {
        match self {
            Self::Codes(column) => column.push(if let Cell::Code(code) = cell { code } else { NO_CODE }),
            Self::Numbers(column) => {
                column.push(if let Cell::Number(number) = cell { number } else { f64::NAN });
            }
            Self::Flags(column) => column.push(if let Cell::Flag(flag) = cell { Some(flag) } else { None }),
            Self::Lists { codes, ends, present } => {
                let list = if let Cell::Codes(list) = cell { Some(list) } else { None };
                present.push(list.is_some());
                codes.extend(list.unwrap_or_default());
                ends.push(codes.len());
            }
        }
    }

    /// Appends the values of another column of the same field; of another kind they would be a bug of this crate and are left out.
    #[cfg(feature = "arrow")]
    pub(crate) fn append(&mut self, other: Self) {
        match (self, other) {
            (Self::Codes(column), Self::Codes(more)) => column.extend(more),
            (Self::Numbers(column), Self::Numbers(more)) => column.extend(more),
            (Self::Flags(column), Self::Flags(more)) => column.extend(more),
            (Self::Lists { codes, ends, present }, Self::Lists { codes: more, ends: to, present: known }) => {
                ends.extend(to.iter().map(|end| codes.len() + end));
                codes.extend(more);
                present.extend(known);
            }
            _ => {}
        }
    }

    /// Bytes that it takes in memory, about.
    #[cfg(feature = "arrow")]
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Codes(column) => size_of_val(&**column),
            Self::Numbers(column) => size_of_val(&**column),
            Self::Flags(column) => size_of_val(&**column),
            Self::Lists { codes, ends, present } => {
                size_of_val(&**codes) + size_of_val(&**ends) + size_of_val(&**present)
            }
        }
    }

    pub(crate) fn value(&self, row: usize) -> Option<Value<'_>> {
        match self {
            Self::Codes(column) => (column[row] != NO_CODE).then(|| Value::Code(column[row])),
            Self::Numbers(column) => (!column[row].is_nan()).then(|| Value::Number(column[row])),
            Self::Flags(column) => column[row].map(Value::Flag),
            Self::Lists { codes, ends, present } => {
                let start = if row == 0 { 0 } else { ends[row - 1] };
                present[row].then(|| Value::Codes(&codes[start..ends[row]]))
            }
        }
    }

    /// The values of `rows`, in that order. Rows must exist.
    pub(crate) fn select(&self, rows: &[usize]) -> Self {
        match self {
            Self::Codes(column) => Self::Codes(rows.iter().map(|&row| column[row]).collect()),
            Self::Numbers(column) => Self::Numbers(rows.iter().map(|&row| column[row]).collect()),
            Self::Flags(column) => Self::Flags(rows.iter().map(|&row| column[row]).collect()),
            Self::Lists { present, .. } => {
                let mut out = (Vec::new(), Vec::with_capacity(rows.len()), Vec::with_capacity(rows.len()));
                for &row in rows {
                    if let Some(Value::Codes(list)) = self.value(row) {
                        out.0.extend_from_slice(list);
                    }
                    out.1.push(out.0.len());
                    out.2.push(present[row]);
                }
                Self::Lists { codes: out.0, ends: out.1, present: out.2 }
            }
        }
    }
}

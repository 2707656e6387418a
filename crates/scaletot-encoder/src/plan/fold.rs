//! Every field's embedding table multiplied with its part of a layer's weights.
//!
//! A few rows at a time: all products together in 64 bits would take twice the memory of the tables that are made of them.

use std::ops::Range;

use ndarray::{Array2, Axis, Slice};

/// Products that are held at once, a mebibyte of them.
const MAX_HELD: usize = 1 << 17;

/// The tables `T_f = E_f W_f`, row by row.
pub(super) struct Fold<'a> {
    /// Embedding rows of every field.
    pub(super) widths: &'a [usize],
    /// Which fields are numbers in bins.
    pub(super) numeric: &'a [bool],
    /// `[Σ widths, e]`, one field after the other.
    pub(super) embedding: &'a Array2<f32>,
    /// The weights that meet some of the embedded numbers, `[these, outputs]`.
    pub(super) weight: &'a dyn Fn(Range<usize>) -> Array2<f64>,
    pub(super) outputs: usize,
}

impl Fold<'_> {
    /// Rows of every field's table.
    pub(super) fn rows(&self) -> impl Iterator<Item = usize> + '_ {
        self.widths.iter().zip(self.numeric).map(|(&rows, &numeric)| table_rows(rows, numeric))
    }

    /// Gives all rows to `put`, in their order: one at a time, of a number in bins two at a time; and after every field its extent to `done`, with
    /// whether it is a number.
    pub(super) fn each(
        &self,
        mut put: impl FnMut(&[f64], Option<&[f64]>),
        mut done: impl FnMut(&Extent, bool),
    ) {
        let e = self.embedding.ncols();
        let step = (MAX_HELD / self.outputs.max(1)).max(1);
        let zeros = vec![0.0; self.outputs];
        let mut row = vec![0.0; self.outputs];
        let mut first = 0;
        for (field, (&rows, &numeric)) in self.widths.iter().zip(self.numeric).enumerate() {
            let mut extent = Extent::new(self.outputs);
            let mut give = |row: &[f64], own: Option<&[f64]>| {
                extent.add(row, own);
                put(row, own);
            };
            let part = (self.weight)(field * e..(field + 1) * e);
            let mut before = zeros.clone();
            for start in (0..rows).step_by(step) {
                let end = (start + step).min(rows);
                let embedded = self.embedding.slice_axis(Axis(0), Slice::from(first + start..first + end));
                for (at, own) in (start..end).zip(embedded.mapv(f64::from).dot(&part).outer_iter()) {
                    row.iter_mut().zip(own).for_each(|(to, from)| *to = *from);
                    match (numeric, at + 1 == rows) {
                        (false, _) => give(&row, None),
                        (true, false) => {
                            give(&before, Some(&row));
                            before.iter_mut().zip(&row).for_each(|(before, own)| *before += own);
                        }
                        (true, true) => {
                            // A field that had no number in training has one bin that adds nothing, for numbers that are there now.
                            if rows == 1 {
                                give(&zeros, Some(&zeros));
                            }
                            give(&row, Some(&zeros));
                        }
                    }
                }
            }
            done(&extent, numeric);
            first += rows;
        }
    }
}

/// Rows of a field's table: one for each of its embedding's or, of a number, two for each bin: the sum of the rows before it, and its own;
/// missing is the last bin.
pub(super) fn table_rows(rows: usize, numeric: bool) -> usize {
    if numeric { 2 * rows.max(2) } else { rows }
}

/// The extremes of a table's columns.
pub(super) struct Extent {
    /// The largest number that a profile can have of the field.
    pub(super) high: Vec<f64>,
    /// The largest size of an entry.
    pub(super) size: Vec<f64>,
    /// The largest size of what a profile can have of a number in bins; 0 for other fields.
    pub(super) ends: Vec<f64>,
}

impl Extent {
    fn new(outputs: usize) -> Self {
        let same = |number: f64| vec![number; outputs];
        Self { high: same(f64::NEG_INFINITY), size: same(0.0), ends: same(0.0) }
    }

    fn add(&mut self, row: &[f64], own: Option<&[f64]>) {
        let columns = self.high.iter_mut().zip(&mut self.size).zip(&mut self.ends).zip(row).enumerate();
        for (at, (((high, size), ends), &value)) in columns {
            match own {
                // An empty set adds nothing.
                None => {
                    *high = high.max(value).max(0.0);
                    *size = size.max(value.abs());
                }
                Some(own) => {
                    let end = value + own[at];
                    *high = high.max(value).max(end);
                    *size = size.max(value.abs()).max(own[at].abs());
                    *ends = ends.max(value.abs()).max(end.abs());
                }
            }
        }
    }
}

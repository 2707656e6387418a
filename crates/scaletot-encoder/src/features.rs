//! Profiles as numbers: one column of embedding indices or weights per field.
//!
//! Features are what both the network in training and the frozen one take. They hold no tensor type, so that
//! serving needs none, and they keep sparse things sparse: a categorical value is one index, never a one-hot row.

use crate::error::{Error, Result};

/// The features of one field, for every row.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Column {
    /// One row of the field's embedding table per user. The last row of the table means *missing*.
    Index(Vec<u32>),
    /// How far along its bins each user's number is: `t + s` for the share `s` of bin `t`, from 0 to the number of bins. It weighs the
    /// rows of the field's embedding table before `t` with 1 and row `t` with `s`, see [`piecewise_weights`]. Negative means
    /// *missing*, which weighs the last row of the table with 1.
    Piecewise(Vec<f32>),
    /// A set of embedding rows per user, of which the mean is taken. Missing is the set with just the last row of
    /// the table; an empty set is known to be empty and embeds to zero.
    Bag {
        /// `rows + 1` offsets into `indices`.
        offsets: Vec<usize>,
        /// The sets, one after the other.
        indices: Vec<u32>,
    },
}

/// The position of a number that is missing.
pub(crate) const MISSING: f32 = -1.0;

/// The weights that a position of [`Column::Piecewise`] means, over the `width` rows of the field's embedding table.
///
/// ```
/// use scaletot_encoder::piecewise_weights;
/// assert_eq!(piecewise_weights(1.25, 4).collect::<Vec<_>>(), [1.0, 0.25, 0.0, 0.0]);
/// assert_eq!(piecewise_weights(-1.0, 4).collect::<Vec<_>>(), [0.0, 0.0, 0.0, 1.0]);
/// ```
pub fn piecewise_weights(position: f32, width: usize) -> impl Iterator<Item = f32> {
    let last = width.saturating_sub(1);
    (0..width).map(move |row| {
        let missing = if position < 0.0 { 1.0 } else { 0.0 };
        if row == last { missing } else { (position - row as f32).clamp(0.0, 1.0) }
    })
}

/// The bin that each user's number is in, for a value head whose bins are not those of the encoding.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct HardBins {
    /// Bins, missing included, which is the last.
    pub(crate) width: usize,
    pub(crate) bins: Vec<u32>,
}

/// The features of a batch of profiles.
#[derive(Debug, Clone, PartialEq)]
pub struct Features {
    rows: usize,
    columns: Vec<Column>,
    widths: Vec<usize>,
    populated: Vec<u32>,
    /// Of the numeric fields that a value head looks up; one per field, or none at all.
    hard_bins: Vec<Option<HardBins>>,
}

impl Features {
    pub(crate) fn new(rows: usize, columns: Vec<Column>, widths: Vec<usize>, populated: Vec<u32>) -> Self {
        debug_assert_eq!(columns.len(), widths.len());
        debug_assert_eq!(populated.len(), rows);
        Self { rows, columns, widths, populated, hard_bins: vec![] }
    }

    /// With the bins of numeric fields, one per field.
    pub(crate) fn with_hard_bins(mut self, hard_bins: Vec<Option<HardBins>>) -> Self {
        debug_assert_eq!(self.columns.len(), hard_bins.len());
        self.hard_bins = hard_bins;
        self
    }

    /// The bins of a numeric field that a value head looks up.
    pub(crate) fn hard_bins(&self, field: usize) -> Option<&HardBins> {
        self.hard_bins.get(field)?.as_ref()
    }

    /// All of them.
    pub(crate) fn all_hard_bins(&self) -> impl Iterator<Item = &HardBins> {
        self.hard_bins.iter().flatten()
    }

    /// Number of profiles.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether there is no profile.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// One column per field of the schema, in its order.
    #[must_use]
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// Rows of each field's embedding table.
    #[must_use]
    pub fn widths(&self) -> &[usize] {
        &self.widths
    }

    /// Fields that are not missing, per profile.
    #[must_use]
    pub fn populated(&self) -> &[u32] {
        &self.populated
    }

    /// Whether a field is missing in a row; `None` where there is no such row or field.
    #[must_use]
    pub fn is_missing(&self, row: usize, field: usize) -> Option<bool> {
        if row >= self.rows {
            return None;
        }
        let missing = u32::try_from(self.widths.get(field)?.checked_sub(1)?).ok()?;
        match self.columns.get(field)? {
            Column::Index(index) => index.get(row).map(|&i| i == missing),
            Column::Piecewise(positions) => positions.get(row).map(|&position| position < 0.0),
            Column::Bag { offsets, indices } => {
                indices.get(*offsets.get(row)?..*offsets.get(row + 1)?).map(|set| set.contains(&missing))
            }
        }
    }

    /// The named rows, in the named order; a row may be taken many times.
    ///
    /// # Errors
    /// [`Error::Shape`] when there is no such row.
    pub fn select(&self, rows: &[usize]) -> Result<Self> {
        self.gather(rows, &[])
    }

    /// The named rows with further fields made missing: field-dropout copies.
    ///
    /// `dropped` holds one flag per taken row and field, row by row, or nothing at all.
    ///
    /// # Errors
    /// [`Error::Shape`] when there is no such row or `dropped` is of another length.
    pub fn gather(&self, rows: &[usize], dropped: &[bool]) -> Result<Self> {
        let fields = self.columns.len();
        if let Some(&row) = rows.iter().find(|&&row| row >= self.rows) {
            return Err(Error::shape("row of the features", format!("less than {}", self.rows), row));
        }
        if !dropped.is_empty() && dropped.len() != rows.len() * fields {
            return Err(Error::shape("field dropout flags", rows.len() * fields, dropped.len()));
        }
        let is_dropped = |i: usize, field: usize| dropped.get(i * fields + field).is_some_and(|&d| d);
        let mut populated = match dropped {
            [] => rows.iter().map(|&row| self.populated[row]).collect(),
            _ => vec![0; rows.len()],
        };
        let mut columns = Vec::with_capacity(fields);
        for (field, (column, &width)) in self.columns.iter().zip(&self.widths).enumerate() {
            let missing = (width - 1) as u32;
            columns.push(match column {
                Column::Index(index) => {
                    let take = |(i, &row): (usize, &usize)| {
                        if is_dropped(i, field) { missing } else { index[row] }
                    };
                    Column::Index(rows.iter().enumerate().map(take).collect())
                }
                Column::Piecewise(positions) => {
                    let take = |(i, &row): (usize, &usize)| {
                        if is_dropped(i, field) { MISSING } else { positions[row] }
                    };
                    Column::Piecewise(rows.iter().enumerate().map(take).collect())
                }
                Column::Bag { offsets, indices } => {
                    let (mut starts, mut taken) = (vec![0], Vec::new());
                    for (i, &row) in rows.iter().enumerate() {
                        if is_dropped(i, field) {
                            taken.push(missing);
                        } else {
                            taken.extend_from_slice(&indices[offsets[row]..offsets[row + 1]]);
                        }
                        starts.push(taken.len());
                    }
                    Column::Bag { offsets: starts, indices: taken }
                }
            });
            if dropped.is_empty() {
                continue;
            }
            for (i, &row) in rows.iter().enumerate() {
                let missing = is_dropped(i, field) || self.is_missing(row, field).unwrap_or(true);
                populated[i] += u32::from(!missing);
            }
        }
        let hard_bins = self.hard_bins.iter().enumerate().map(|(field, own)| {
            own.as_ref().map(|HardBins { width, bins }| {
                let take = |(i, &row): (usize, &usize)| {
                    if is_dropped(i, field) { (width - 1) as u32 } else { bins[row] }
                };
                HardBins { width: *width, bins: rows.iter().enumerate().map(take).collect() }
            })
        });
        let hard_bins = hard_bins.collect();
        Ok(Self { rows: rows.len(), columns, widths: self.widths.clone(), populated, hard_bins })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn features() -> Features {
        let columns = vec![
            Column::Index(vec![0, 2, 1]),
            Column::Piecewise(vec![1.5, -1.0, 0.0]),
            Column::Bag { offsets: vec![0, 2, 3, 3], indices: vec![0, 1, 4] },
        ];
        Features::new(3, columns, vec![3, 3, 5], vec![3, 0, 3])
    }

    #[test]
    fn missing_is_seen_in_every_kind_of_column() {
        let features = features();
        for field in 0..3 {
            assert_eq!(features.is_missing(0, field), Some(false));
            assert_eq!(features.is_missing(1, field), Some(true));
            assert_eq!(
                features.is_missing(2, field),
                Some(false),
                "known zeros and empty sets are not missing"
            );
        }
        assert_eq!(features.is_missing(3, 0), None);
        assert_eq!(features.is_missing(0, 3), None);
    }

    #[test]
    fn gather_repeats_reorders_and_drops() {
        let taken =
            features().gather(&[2, 0, 0], &[false, true, false, false, false, false, true, true, true]);
        let taken = taken.unwrap();
        assert_eq!(taken.populated(), [2, 3, 0]);
        assert_eq!(taken.columns()[0], Column::Index(vec![1, 0, 2]));
        assert_eq!(taken.columns()[2], Column::Bag { offsets: vec![0, 0, 2, 3], indices: vec![0, 1, 4] });
        assert_eq!(taken.is_missing(0, 1), Some(true));
        assert_eq!(taken.is_missing(1, 1), Some(false));
    }

    #[test]
    fn selecting_all_rows_changes_nothing() {
        let features = features().with_hard_bins(vec![None, hard_bins(), None]);
        assert_eq!(features.select(&[0, 1, 2]).unwrap(), features);
    }

    fn hard_bins() -> Option<HardBins> {
        Some(HardBins { width: 4, bins: vec![2, 3, 0] })
    }

    #[test]
    fn a_dropped_number_is_in_no_bin() {
        let features = features().with_hard_bins(vec![None, hard_bins(), None]);
        let taken = features.gather(&[2, 0], &[true, true, false, true, false, false]).unwrap();
        assert_eq!(taken.hard_bins(1), Some(&HardBins { width: 4, bins: vec![3, 2] }));
        assert_eq!(taken.hard_bins(0), None);
    }

    #[test]
    fn wrong_rows_and_flags_are_refused() {
        assert!(features().select(&[3]).unwrap_err().to_string().contains("less than 3"));
        assert!(features().gather(&[0], &[true]).unwrap_err().to_string().contains("expected 3, found 1"));
    }
}

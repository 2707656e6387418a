//! How one field's values become features.

use scaletot_profile::{FieldValues, Quantiles};
use serde::{Deserialize, Serialize};

use crate::features::{Column, HardBins, MISSING};

/// How the values of one field become features.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum FieldEncoding {
    /// Categorical, ordinal (codes) and boolean (0, 1): an embedding row per code and one for missing.
    Index {
        /// Number of codes.
        cardinality: usize,
    },
    /// Numeric: a piecewise-linear encoding over quantile bins and a missing indicator. `None` when the field had no
    /// value in training; then only whether it is missing is seen.
    Piecewise {
        /// The bins.
        quantiles: Option<Quantiles>,
    },
    /// Multi-valued: the mean of the values' embedding rows; one more row for missing.
    Bag {
        /// Number of codes.
        cardinality: usize,
    },
}

impl FieldEncoding {
    /// The features of the named rows, which must exist; counts those that are not missing. On a value that does not fit gives its row.
    pub(crate) fn column(
        &self,
        values: Option<FieldValues<'_>>,
        rows: &[usize],
        populated: &mut [u32],
    ) -> Result<Column, usize> {
        match (self, values) {
            (Self::Index { cardinality }, Some(FieldValues::Codes(codes))) => {
                let missing = *cardinality as u32;
                count(rows, populated, |row| codes[row] != u32::MAX);
                let index: Vec<u32> = rows
                    .iter()
                    .map(|&row| if codes[row] == u32::MAX { missing } else { codes[row] })
                    .collect();
                match index.iter().position(|&code| code > missing) {
                    Some(i) => Err(rows[i]),
                    None => Ok(Column::Index(index)),
                }
            }
            (Self::Index { cardinality: 2 }, Some(FieldValues::Flags(flags))) => {
                count(rows, populated, |row| flags[row].is_some());
                Ok(Column::Index(rows.iter().map(|&row| flags[row].map_or(2, u32::from)).collect()))
            }
            (Self::Piecewise { quantiles }, Some(FieldValues::Numbers(numbers))) => {
                let edges = quantiles.as_ref().map(edges).unwrap_or_default();
                count(rows, populated, |row| !numbers[row].is_nan());
                let along = |x: f64| if x.is_nan() { MISSING } else { position(x, &edges) };
                Ok(Column::Piecewise(rows.iter().map(|&row| along(numbers[row])).collect()))
            }
            (Self::Bag { cardinality }, Some(FieldValues::Sets { codes, ends, present })) => {
                let missing = *cardinality as u32;
                count(rows, populated, |row| present[row]);
                let (mut offsets, mut indices) = (vec![0], Vec::new());
                for &row in rows {
                    let set = &codes[row.checked_sub(1).map_or(0, |before| ends[before])..ends[row]];
                    match present[row] {
                        false => indices.push(missing),
                        true if set.iter().all(|&code| code < missing) => indices.extend_from_slice(set),
                        true => return Err(row),
                    }
                    offsets.push(indices.len());
                }
                Ok(Column::Bag { offsets, indices })
            }
            // A column of another kind, which no row fits.
            _ => rows.first().map_or_else(|| Ok(Column::Index(vec![])), |&row| Err(row)),
        }
    }

    /// Rows of the field's embedding table.
    #[must_use]
    pub fn width(&self) -> usize {
        match self {
            Self::Index { cardinality } | Self::Bag { cardinality } => cardinality + 1,
            Self::Piecewise { quantiles } => quantiles.as_ref().map_or(0, pieces) + 1,
        }
    }
}

fn count(rows: &[usize], populated: &mut [u32], there: impl Fn(usize) -> bool) {
    populated.iter_mut().zip(rows).for_each(|(count, &row)| *count += u32::from(there(row)));
}

/// The bins of the named rows' numbers, as [`Quantiles::bin`].
pub(crate) fn hard_bins_of(quantiles: &Quantiles, numbers: &[f64], rows: &[usize]) -> HardBins {
    let (cuts, missing) = (quantiles.cuts(), quantiles.bins() as u32);
    // Few cuts are counted sooner than searched.
    let bin = |x: f64| match cuts.len() {
        0..=32 => cuts.iter().map(|&cut| u32::from(cut < x)).sum(),
        _ => quantiles.bin(x) as u32,
    };
    let bins = rows.iter().map(|&row| if numbers[row].is_nan() { missing } else { bin(numbers[row]) });
    HardBins { width: quantiles.bins() + 1, bins: bins.collect() }
}

/// Smallest value, cuts and largest value, each once.
fn edges(quantiles: &Quantiles) -> Vec<f64> {
    let mut edges = vec![quantiles.min()];
    edges.extend_from_slice(quantiles.cuts());
    edges.push(quantiles.max());
    edges.dedup();
    edges
}

/// Components of the piecewise-linear encoding: one per bin, one for a constant field.
fn pieces(quantiles: &Quantiles) -> usize {
    (edges(quantiles).len() - 1).max(1)
}

/// Piecewise-linear encoding (Gorishniy, Rubachev and Babenko, *On Embeddings for Numerical Features in Tabular Deep
/// Learning*, 2022, equation 1), as a position along the bins: component `t` is 0 below its bin, 1 above it, and rises linearly
/// within. Unlike there, values outside of the fitted range are clamped to it, so that an outlier at serving cannot take the
/// network where it was never trained.
fn position(x: f64, edges: &[f64]) -> f32 {
    match edges {
        [] => 0.0,
        [only] => f32::from(u8::from(x >= *only)),
        [first, .., last] if x <= *first || x >= *last => {
            if x >= *last {
                (edges.len() - 1) as f32
            } else {
                0.0
            }
        }
        _ => {
            let bin = edges.partition_point(|edge| *edge <= x) - 1;
            // The share is below 1, but its sum with the bin may round up to the next bin's beginning, which is the same.
            // Halved, since the difference of the two largest numbers is none.
            let (low, high) = (edges[bin] / 2.0, edges[bin + 1] / 2.0);
            bin as f32 + ((x / 2.0 - low) / (high - low)) as f32
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::piecewise_weights;
    use proptest::prelude::*;

    fn encode(x: f64, quantiles: &Quantiles) -> Vec<f32> {
        let weights = piecewise_weights(position(x, &edges(quantiles)), pieces(quantiles) + 1);
        weights.take(pieces(quantiles)).collect()
    }

    proptest! {
        #[test]
        fn piecewise_is_monotone_and_bounded(
            values in prop::collection::vec(-1e6f64..1e6, 1..50), bins in 1usize..20,
            a in -2e6f64..2e6, b in -2e6f64..2e6,
        ) {
            let quantiles = Quantiles::fit(values, bins).unwrap();
            let (low, high) = (encode(a.min(b), &quantiles), encode(a.max(b), &quantiles));
            prop_assert_eq!(low.len(), pieces(&quantiles));
            prop_assert!(low.iter().zip(&high).all(|(l, h)| (0.0..=1.0).contains(l) && l <= h));
            // A bin only begins to fill when the one before it is full.
            prop_assert!(low.windows(2).all(|w| w[1] == 0.0 || w[0] == 1.0));
        }
    }

    proptest! {
        #[test]
        fn hard_bins_are_those_of_the_quantiles(
            values in prop::collection::vec(-9i8..9, 1..120), bins in 1usize..60, x in prop::collection::vec(-10i8..10, 1..20),
        ) {
            let quantiles = Quantiles::fit(values.into_iter().map(f64::from), bins).unwrap();
            let numbers: Vec<f64> = x.into_iter().map(f64::from).chain([f64::NAN]).collect();
            let rows: Vec<usize> = (0..numbers.len()).rev().collect();
            let found = hard_bins_of(&quantiles, &numbers, &rows);
            prop_assert_eq!(found.width, quantiles.bins() + 1);
            prop_assert_eq!(found.bins[0] as usize, quantiles.bins());
            for (&bin, &row) in found.bins.iter().zip(&rows).skip(1) {
                prop_assert_eq!(bin as usize, quantiles.bin(numbers[row]));
            }
        }
    }

    #[test]
    fn pieces_are_as_in_the_paper() {
        let quantiles = Quantiles::fit([0.0, 10.0, 20.0, 40.0], 2).unwrap();
        assert_eq!(quantiles.cuts(), [10.0]);
        assert_eq!(encode(5.0, &quantiles), [0.5, 0.0]);
        assert_eq!(encode(25.0, &quantiles), [1.0, 0.5]);
        assert_eq!(encode(1e9, &quantiles), [1.0, 1.0]);
        assert_eq!(encode(-3.0, &quantiles), [0.0, 0.0]);
    }

    #[test]
    fn the_largest_numbers_have_a_position() {
        let edges = [-1.5e308, 1.5e308];
        assert!((position(1e308, &edges) - 2.5 / 3.0).abs() < 1e-6);
        assert_eq!((position(-1.7e308, &edges), position(1.7e308, &edges)), (0.0, 1.0));
    }
}

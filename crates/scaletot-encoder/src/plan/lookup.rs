//! The first layer as lookups: every field's embedding table multiplied with its part of the layer's weights in advance.
//!
//! With embeddings `E_f` and the rows `W_f` of the first weight matrix that meet them, `x₀ W + b = b + Σ_f E_f[code_f] W_f`, so a
//! user's first layer is a sum of rows of the tables `T_f = E_f W_f`. A number at position `t + s` along its bins weighs the rows below
//! `t` with 1 and row `t` with `s`: two lookups, in the sums of the rows below, and in the rows themselves. Products are
//! taken in 64 bits.

use std::ops::Range;

use ndarray::{Array1, Array2, ArrayView2, Axis, Slice};
use pulp::Simd;

use crate::features::Column;

/// Vectors of a row that are summed at a time.
const AT_ONCE: usize = 8;

/// `b + Σ_f T_f[code_f]`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Lookup {
    /// Outputs, a multiple of [`LANES`].
    width: usize,
    bias: Vec<f32>,
    tables: Vec<Vec<f32>>,
}

/// The table of a field with its column.
enum Source<'a> {
    Index {
        rows: &'a [f32],
        codes: &'a [u32],
    },
    /// Sums of the rows before, and the row, side by side.
    Piecewise {
        rows: &'a [f32],
        positions: &'a [f32],
    },
    Bag {
        rows: &'a [f32],
        offsets: &'a [usize],
        codes: &'a [u32],
    },
}

impl Lookup {
    /// Of the fields' tables, see [`fold`].
    pub(super) fn new(tables: &[Array2<f64>], bias: &Array1<f32>) -> Self {
        let width = super::padded(bias.len());
        let mut padded_bias = bias.to_vec();
        padded_bias.resize(width, 0.0);
        let tables = tables.iter().map(|table| {
            let mut padded = Vec::with_capacity(table.nrows() * width);
            for (row, values) in table.outer_iter().enumerate() {
                padded.extend(values.iter().map(|value| *value as f32));
                padded.resize((row + 1) * width, 0.0);
            }
            padded
        });
        Self { width, bias: padded_bias, tables: tables.collect() }
    }

    /// Outputs, padding included.
    pub(super) fn width(&self) -> usize {
        self.width
    }

    /// Bytes of the tables.
    pub(super) fn bytes(&self) -> usize {
        self.tables.iter().map(|table| size_of_val(table.as_slice())).sum()
    }

    /// The outputs of some rows, `[rows, width]`, negative ones as 0 if `relu`.
    #[inline(always)]
    pub(super) fn run<S: Simd>(
        &self,
        simd: S,
        columns: &[Column],
        rows: Range<usize>,
        relu: bool,
        out: &mut [f32],
    ) {
        let sources = self.tables.iter().zip(columns).map(|(table, column)| match column {
            Column::Index(codes) => Source::Index { rows: table, codes: &codes[rows.clone()] },
            Column::Piecewise(positions) => {
                Source::Piecewise { rows: table, positions: &positions[rows.clone()] }
            }
            Column::Bag { offsets, indices } => {
                Source::Bag { rows: table, offsets: &offsets[rows.start..=rows.end], codes: indices }
            }
        });
        let sources: Vec<Source<'_>> = sources.collect();
        let vectors = self.width / S::F32_LANES;
        for (row, out) in out.chunks_exact_mut(self.width).take(rows.len()).enumerate() {
            let out = S::as_mut_simd_f32s(out).0;
            let mut at = 0;
            while at + AT_ONCE <= vectors {
                self.sum::<S, AT_ONCE>(simd, &sources, row, at, relu, out);
                at += AT_ONCE;
            }
            while at < vectors {
                self.sum::<S, 1>(simd, &sources, row, at, relu, out);
                at += 1;
            }
        }
    }

    /// `C` vectors of a row's outputs, from vector `at`.
    #[inline(always)]
    fn sum<S: Simd, const C: usize>(
        &self,
        simd: S,
        sources: &[Source<'_>],
        row: usize,
        at: usize,
        relu: bool,
        out: &mut [S::f32s],
    ) {
        let (start, width) = (at * S::F32_LANES, C * S::F32_LANES);
        let mut sum = [simd.splat_f32s(0.0); C];
        for (sum, bias) in sum.iter_mut().zip(vectors::<S>(&self.bias, start, width)) {
            *sum = *bias;
        }
        for source in sources {
            match source {
                Source::Index { rows, codes } => {
                    let found = vectors::<S>(rows, codes[row] as usize * self.width + start, width);
                    for (sum, found) in sum.iter_mut().zip(found) {
                        *sum = simd.add_f32s(*sum, *found);
                    }
                }
                Source::Piecewise { rows, positions } => {
                    let (bin, share) = bin(positions[row], rows.len() / (2 * self.width));
                    let place = 2 * bin * self.width + start;
                    let before = vectors::<S>(rows, place, width);
                    let own = vectors::<S>(rows, place + self.width, width);
                    let share = simd.splat_f32s(share);
                    for ((sum, before), own) in sum.iter_mut().zip(before).zip(own) {
                        *sum = simd.add_f32s(*sum, simd.mul_add_f32s(share, *own, *before));
                    }
                }
                Source::Bag { rows, offsets, codes } => {
                    let set = &codes[offsets[row]..offsets[row + 1]];
                    let weight = simd.splat_f32s(1.0 / set.len().max(1) as f32);
                    for &code in set {
                        let found = vectors::<S>(rows, code as usize * self.width + start, width);
                        for (sum, found) in sum.iter_mut().zip(found) {
                            *sum = simd.mul_add_f32s(weight, *found, *sum);
                        }
                    }
                }
            }
        }
        let zero = simd.splat_f32s(0.0);
        for (out, sum) in out[at..at + C].iter_mut().zip(sum) {
            *out = if relu { simd.max_f32s(sum, zero) } else { sum };
        }
    }
}

/// Some values as vectors.
#[inline(always)]
fn vectors<S: Simd>(values: &[f32], start: usize, width: usize) -> &[S::f32s] {
    S::as_simd_f32s(&values[start..start + width]).0
}

/// The bin of a position and how far it is in it; a missing number is in the last of the `bins`.
#[inline(always)]
pub(super) fn bin(position: f32, bins: usize) -> (usize, f32) {
    if position < 0.0 {
        return (bins - 1, 0.0);
    }
    let bin = (position as usize).min(bins.saturating_sub(2));
    (bin, position - bin as f32)
}

/// Every field's table: its embedding rows, `[Σ widths, e]` one field after the other, times its part of `weight`, `[F·e, n]`. That of a
/// number, as `numeric` says, has two rows for each bin: the sum of the rows before it, and its own; missing is the last bin.
pub(super) fn fold(
    widths: &[usize],
    numeric: &[bool],
    embedding: &Array2<f32>,
    weight: ArrayView2<'_, f64>,
) -> Vec<Array2<f64>> {
    let e = embedding.ncols();
    let mut first = 0;
    let tables = widths.iter().zip(numeric).enumerate().map(|(field, (&rows, &numeric))| {
        let part = weight.slice_axis(Axis(0), Slice::from(field * e..(field + 1) * e));
        let own = embedding.slice_axis(Axis(0), Slice::from(first..first + rows)).mapv(f64::from).dot(&part);
        first += rows;
        if numeric { bins(&own) } else { own }
    });
    tables.collect()
}

fn bins(own: &Array2<f64>) -> Array2<f64> {
    let pieces = own.nrows() - 1;
    // A field that had no number in training has one bin that adds nothing, for numbers that are there now.
    let mut table = Array2::zeros((2 * (pieces.max(1) + 1), own.ncols()));
    let mut before = Array1::<f64>::zeros(own.ncols());
    for (bin, row) in own.outer_iter().take(pieces).enumerate() {
        table.row_mut(2 * bin).assign(&before);
        table.row_mut(2 * bin + 1).assign(&row);
        before += &row;
    }
    table.row_mut(2 * pieces.max(1)).assign(&own.row(pieces));
    table
}

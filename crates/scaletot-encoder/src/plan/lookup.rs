//! The first layer as lookups: every field's embedding table multiplied with its part of the layer's weights in advance.
//!
//! With embeddings `E_f` and the rows `W_f` of the first weight matrix that meet them, `x₀ W + b = b + Σ_f E_f[code_f] W_f`, so a
//! user's first layer is a sum of rows of the tables `T_f = E_f W_f`. A number at position `t + s` along its bins weighs the rows below
//! `t` with 1 and row `t` with `s`: two lookups, in the sums of the rows below, and in the rows themselves. Products are
//! taken in 64 bits.

use std::ops::Range;

use aligned_vec::AVec;
use ndarray::{Array1, Array2, ArrayView2, Axis, Slice};
use pulp::Simd;
use pulp::bytemuck::cast_slice_mut;

use super::aligned;
use super::terms::{Layout, Terms};

/// `b + Σ_f T_f[code_f]`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Lookup {
    /// Outputs, a multiple of [`LANES`](super::LANES).
    width: usize,
    bias: AVec<f32>,
    /// The fields' tables behind one another, `[rows, width]`.
    table: Table,
    layout: Layout,
}

/// Numbers as they are stored.
#[derive(Debug, Clone, PartialEq)]
enum Table {
    Full(AVec<f32>),
    /// The upper halves of 32-bit floats: their sign, exponent and 7 bits of fraction.
    Bf16(AVec<u16>),
}

/// How numbers are stored.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Stored {
    /// In 32 bits.
    Full,
    /// In 16 bits. What the rounding of the first of these columns takes away is put into the second, and so on.
    Bf16(Range<usize>),
}

/// The nearest number of 16 bits, the even one of two that are as near.
fn bf16(x: f64) -> u16 {
    let bits = (x as f32).to_bits();
    ((u64::from(bits) + 0x7fff + u64::from(bits >> 16 & 1)) >> 16) as u16
}

impl Lookup {
    /// Of the fields' tables, see [`fold`].
    pub(super) fn new(tables: &[Array2<f64>], numeric: &[bool], bias: &Array1<f32>, stored: &Stored) -> Self {
        let width = super::padded(bias.len());
        let mut padded_bias = bias.to_vec();
        padded_bias.resize(width, 0.0);
        let mut table: Vec<f64> = vec![];
        for (row, values) in tables.iter().flat_map(|table| table.outer_iter()).enumerate() {
            table.extend(values);
            table.resize((row + 1) * width, 0.0);
        }
        let table = match stored {
            Stored::Full => {
                Table::Full(aligned(&table.into_iter().map(|value| value as f32).collect::<Vec<_>>()))
            }
            Stored::Bf16(columns) => {
                for row in table.chunks_exact_mut(width) {
                    for column in columns.clone().skip(1) {
                        let before = f64::from(f32::from_bits(u32::from(bf16(row[column - 1])) << 16));
                        row[column] = row[column - 1] - before;
                    }
                }
                Table::Bf16(aligned(&table.into_iter().map(bf16).collect::<Vec<_>>()))
            }
        };
        let layout = Layout::new(tables.iter().map(|table| table.nrows()), numeric);
        Self { width, bias: aligned(&padded_bias), table, layout }
    }

    /// Outputs, padding included.
    pub(super) fn width(&self) -> usize {
        self.width
    }

    pub(super) fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Bytes of the tables.
    pub(super) fn bytes(&self) -> usize {
        match &self.table {
            Table::Full(table) => size_of_val(table.as_slice()),
            Table::Bf16(table) => size_of_val(table.as_slice()),
        }
    }

    /// The outputs of a block of users, `[users, width]`, negative ones as 0 if `relu`.
    #[inline(always)]
    pub(super) fn run<S: Simd>(&self, simd: S, terms: &Terms, relu: bool, out: &mut [f32]) {
        match &self.table {
            Table::Full(table) => self.sums(simd, Rows(table), terms, relu, out),
            Table::Bf16(table) => self.sums(simd, HalfRows(table), terms, relu, out),
        }
    }

    #[inline(always)]
    fn sums<S: Simd, T: Numbers>(&self, simd: S, table: T, terms: &Terms, relu: bool, out: &mut [f32]) {
        let vectors = self.width / S::F32_LANES;
        let rows = Sums { table, bias: S::as_simd_f32s(&self.bias).0, vectors, relu };
        for (user, out) in out.chunks_exact_mut(self.width).enumerate() {
            let out = S::as_mut_simd_f32s(out).0;
            let mut at = 0;
            while at + 8 <= vectors {
                rows.sum::<8>(simd, terms, user, at, out);
                at += 8;
            }
            if at + 4 <= vectors {
                rows.sum::<4>(simd, terms, user, at, out);
                at += 4;
            }
            if at + 2 <= vectors {
                rows.sum::<2>(simd, terms, user, at, out);
                at += 2;
            }
            if at < vectors {
                rows.sum::<1>(simd, terms, user, at, out);
            }
        }
    }
}

/// Numbers that are read as vectors of 32-bit floats.
trait Numbers: Copy {
    /// `C` vectors from the vector `start` on.
    fn read<S: Simd, const C: usize>(self, simd: S, start: usize) -> [S::f32s; C];
}

#[derive(Clone, Copy)]
struct Rows<'a>(&'a [f32]);

impl Numbers for Rows<'_> {
    #[inline(always)]
    fn read<S: Simd, const C: usize>(self, simd: S, start: usize) -> [S::f32s; C] {
        let mut found = [simd.splat_f32s(0.0); C];
        found.copy_from_slice(&S::as_simd_f32s(self.0).0[start..][..C]);
        found
    }
}

#[derive(Clone, Copy)]
struct HalfRows<'a>(&'a [u16]);

impl Numbers for HalfRows<'_> {
    #[inline(always)]
    fn read<S: Simd, const C: usize>(self, simd: S, start: usize) -> [S::f32s; C] {
        let mut found = [simd.splat_f32s(0.0); C];
        let numbers: &mut [f32] = cast_slice_mut(&mut found);
        let stored = &self.0[start * S::F32_LANES..][..C * S::F32_LANES];
        for (number, stored) in numbers.iter_mut().zip(stored) {
            *number = f32::from_bits(u32::from(*stored) << 16);
        }
        found
    }
}

/// What a user's outputs are sums of.
struct Sums<'a, S: Simd, T> {
    table: T,
    bias: &'a [S::f32s],
    /// Vectors of a row.
    vectors: usize,
    relu: bool,
}

impl<S: Simd, T: Numbers> Sums<'_, S, T> {
    /// `C` vectors of a user's outputs, from vector `at`.
    #[inline(always)]
    fn sum<const C: usize>(&self, simd: S, terms: &Terms, user: usize, at: usize, out: &mut [S::f32s]) {
        let mut sum = [simd.splat_f32s(0.0); C];
        sum.copy_from_slice(&self.bias[at..at + C]);
        for &row in terms.plain(user) {
            let row: [S::f32s; C] = self.table.read(simd, row as usize * self.vectors + at);
            for (sum, value) in sum.iter_mut().zip(row) {
                *sum = simd.add_f32s(*sum, value);
            }
        }
        for &(row, weight) in terms.weighted(user) {
            let row: [S::f32s; C] = self.table.read(simd, row as usize * self.vectors + at);
            let weight = simd.splat_f32s(weight);
            for (sum, value) in sum.iter_mut().zip(row) {
                *sum = simd.mul_add_f32s(weight, value, *sum);
            }
        }
        let zero = simd.splat_f32s(0.0);
        for (out, sum) in out[at..at + C].iter_mut().zip(sum) {
            *out = if self.relu { simd.max_f32s(sum, zero) } else { sum };
        }
    }
}

/// Every field's table: its embedding rows, `[Σ widths, e]` one field after the other, times its part of `weight`, `[F·e, n]`. That of a
/// number, as by `numeric`, has two rows for each bin: the sum of the rows before it, and its own; missing is the last bin.
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

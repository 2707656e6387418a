//! The first layer as lookups: every field's embedding table multiplied with its part of the layer's weights in advance.
//!
//! With embeddings `E_f` and the rows `W_f` of the first weight matrix that meet them, `x₀ W + b = b + Σ_f E_f[code_f] W_f`, so a
//! user's first layer is a sum of rows of the tables `T_f = E_f W_f`. A number at position `t + s` along its bins weighs the rows below
//! `t` with 1 and row `t` with `s`: two lookups, in the sums of the rows below, and in the rows themselves. Products are
//! taken in 64 bits.

use std::ops::Range;

use aligned_vec::{AVec, CACHELINE_ALIGN};
use ndarray::Array1;
use pulp::Simd;
use pulp::bytemuck::cast_slice_mut;

use super::aligned;
use super::fold::Fold;
use super::reach::Reach;
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

impl Table {
    fn new(stored: &Stored, count: usize) -> Self {
        match stored {
            Stored::Full => Self::Full(AVec::with_capacity(CACHELINE_ALIGN, count)),
            Stored::Bf16(_) => Self::Bf16(AVec::with_capacity(CACHELINE_ALIGN, count)),
        }
    }

    /// Adds a row, which is changed where rounding takes away what a later column is to have.
    fn push(&mut self, row: &mut [f64], stored: &Stored) {
        match self {
            Self::Full(table) => row.iter().for_each(|value| table.push(*value as f32)),
            Self::Bf16(table) => {
                if let Stored::Bf16(columns) = stored {
                    for column in columns.clone().skip(1) {
                        let before = f64::from(f32::from_bits(u32::from(bf16(row[column - 1])) << 16));
                        row[column] = row[column - 1] - before;
                    }
                }
                row.iter().for_each(|value| table.push(bf16(*value)));
            }
        }
    }
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
    /// Of the fields' tables; with the bounds of its outputs.
    pub(super) fn new(fold: &Fold<'_>, bias: &Array1<f32>, stored: &Stored) -> (Self, Reach) {
        let width = super::padded(bias.len());
        let mut padded_bias = bias.to_vec();
        padded_bias.resize(width, 0.0);
        let mut table = Table::new(stored, fold.rows().sum::<usize>() * width);
        let mut reach: Vec<f64> = bias.iter().map(|bias| f64::from(*bias).abs()).collect();
        let mut padded = vec![0.0; width];
        fold.each(
            |row, own| {
                for row in std::iter::once(row).chain(own) {
                    padded[..row.len()].copy_from_slice(row);
                    table.push(&mut padded, stored);
                }
            },
            |extent, numeric| {
                // Of a number in bins two rows are added.
                let rows = if numeric { 2.0 } else { 1.0 };
                reach.iter_mut().zip(&extent.size).for_each(|(reach, size)| *reach += rows * size);
            },
        );
        let layout = Layout::new(fold.rows(), fold.numeric);
        (Self { width, bias: aligned(&padded_bias), table, layout }, Reach(reach))
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

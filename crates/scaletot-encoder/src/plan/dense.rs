//! Dense layers over blocks of users, with bias and activation in the same pass.
//!
//! Weights are laid out in panels of sixteen outputs, `[panel][input][16]`. A tile of a few users by a few panels is kept in registers
//! while the inputs are gone through once; it starts from the bias and is rectified on its way out. The tile's size
//! follows from the number of registers.

use aligned_vec::AVec;
use ndarray::{Array1, ArrayView2};
use pulp::Simd;

use super::{LANES, aligned, zeros};

/// Outputs of which each is a scalar product of its own rather than a place in a panel.
const FEW: usize = 4;

/// `x W + b`, rectified or not.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Dense {
    /// Inputs and outputs, multiples of [`LANES`].
    inputs: usize,
    outputs: usize,
    /// `[panel][input][16]`, where there are more than [`FEW`].
    panels: AVec<f32>,
    /// The weights of each output, where there are at most as many.
    few: Vec<AVec<f32>>,
    bias: AVec<f32>,
    relu: bool,
}

impl Dense {
    /// Of a matrix `[inputs, outputs]`.
    pub(super) fn new(weight: ArrayView2<'_, f32>, bias: &Array1<f32>, relu: bool) -> Self {
        let (inputs, outputs) = (super::padded(weight.nrows()), super::padded(weight.ncols()));
        let (mut panels, mut few) = (zeros(0), vec![]);
        if bias.len() <= FEW {
            for column in weight.columns() {
                let mut weights = column.to_vec();
                weights.resize(inputs, 0.0);
                few.push(aligned(&weights));
            }
        } else {
            panels.resize(inputs * outputs, 0.0);
            for ((input, output), value) in weight.indexed_iter() {
                panels[(output / LANES * inputs + input) * LANES + output % LANES] = *value;
            }
        }
        let mut padded_bias = bias.to_vec();
        padded_bias.resize(outputs, 0.0);
        Self { inputs, outputs, panels, few, bias: aligned(&padded_bias), relu }
    }

    /// Outputs, padding included.
    pub(super) fn outputs(&self) -> usize {
        self.outputs
    }

    /// Multiplications and additions for a user, padding included.
    pub(super) fn flops(&self) -> usize {
        2 * self.inputs * if self.few.is_empty() { self.outputs } else { self.few.len() }
    }

    /// Bytes of the weights.
    pub(super) fn bytes(&self) -> usize {
        size_of_val(self.panels.as_slice()) + size_of::<f32>() * self.inputs * self.few.len()
    }

    /// `[n, inputs]` to `[n, outputs]`; padding outputs are 0.
    #[inline(always)]
    pub(super) fn run<S: Simd>(&self, simd: S, x: &[f32], out: &mut [f32]) {
        match self.few.len() {
            1 => return self.products::<S, 1>(simd, x, out),
            2 => return self.products::<S, 2>(simd, x, out),
            3 => return self.products::<S, 3>(simd, x, out),
            4 => return self.products::<S, 4>(simd, x, out),
            // Many, or none at all.
            _ => {}
        }
        let x = Inputs { values: x, width: self.inputs };
        let panels = self.panels.len() / (self.inputs * LANES);
        match (S::F32_LANES, S::REGISTER_COUNT >= 32) {
            // Vectors of sixteen: four panels are four vectors.
            (16, _) => {
                let mut panel = 0;
                while panel + 4 <= panels {
                    self.panels_of::<S, 6, 4, 1>(simd, &x, panel, out);
                    panel += 4;
                }
                while panel + 2 <= panels {
                    self.panels_of::<S, 8, 2, 1>(simd, &x, panel, out);
                    panel += 2;
                }
                if panel < panels {
                    self.panels_of::<S, 12, 1, 1>(simd, &x, panel, out);
                }
            }
            (8, _) => self.each_panel::<S, 6, 2>(simd, &x, panels, out),
            (4, true) => self.each_panel::<S, 6, 4>(simd, &x, panels, out),
            (4, false) => self.each_panel::<S, 2, 4>(simd, &x, panels, out),
            _ => self.each_panel::<S, 1, LANES>(simd, &x, panels, out),
        }
    }

    /// `O` outputs as scalar products, for all users.
    #[inline(always)]
    fn products<S: Simd, const O: usize>(&self, simd: S, x: &[f32], out: &mut [f32]) {
        let vectors = self.inputs / S::F32_LANES;
        let mut weights: [&[S::f32s]; O] = [&[]; O];
        for (weights, few) in weights.iter_mut().zip(&self.few) {
            *weights = &S::as_simd_f32s(few).0[..vectors];
        }
        for (x, out) in x.chunks_exact(self.inputs).zip(out.chunks_exact_mut(self.outputs)) {
            let x = &S::as_simd_f32s(x).0[..vectors];
            let mut sums = [simd.splat_f32s(0.0); O];
            for (at, x) in x.iter().enumerate() {
                for (sum, weights) in sums.iter_mut().zip(&weights) {
                    *sum = simd.mul_add_f32s(*x, weights[at], *sum);
                }
            }
            // What a layer after this one multiplies by 0 must be a number.
            out.fill(0.0);
            for ((out, sum), bias) in out.iter_mut().zip(sums).zip(self.bias.iter()) {
                let value = simd.reduce_sum_f32s(sum) + bias;
                *out = if self.relu { value.max(0.0) } else { value };
            }
        }
    }

    /// All panels, one after the other. A loop and not `for_each`: what a closure holds is compiled for the least processor, where every
    /// vector instruction is a call.
    #[inline(always)]
    fn each_panel<S: Simd, const R: usize, const V: usize>(
        &self,
        simd: S,
        x: &Inputs<'_>,
        panels: usize,
        out: &mut [f32],
    ) {
        for panel in 0..panels {
            self.panels_of::<S, R, 1, V>(simd, x, panel, out);
        }
    }

    /// `G` panels from `first`, of `V` vectors each, for all users, `R` at a time.
    #[inline(always)]
    fn panels_of<S: Simd, const R: usize, const G: usize, const V: usize>(
        &self,
        simd: S,
        x: &Inputs<'_>,
        first: usize,
        out: &mut [f32],
    ) {
        let mut weights: [&[[S::f32s; V]]; G] = [&[]; G];
        let mut bias = [[simd.splat_f32s(0.0); V]; G];
        for (g, (weights, bias)) in weights.iter_mut().zip(&mut bias).enumerate() {
            let panel = &self.panels[(first + g) * self.inputs * LANES..][..self.inputs * LANES];
            *weights = S::as_simd_f32s(panel).0.as_chunks::<V>().0;
            let values = S::as_simd_f32s(&self.bias[(first + g) * LANES..][..LANES]).0;
            bias.iter_mut().zip(values).for_each(|(bias, value)| *bias = *value);
        }
        let rows = x.values.len() / self.inputs;
        let mut row = 0;
        while row + R <= rows {
            let tile = self.tile::<S, R, G, V>(simd, x, row, weights, bias);
            self.put::<S, R, G, V>(simd, tile, row, first, out);
            row += R;
        }
        while row < rows {
            let tile = self.tile::<S, 1, G, V>(simd, x, row, weights, bias);
            self.put::<S, 1, G, V>(simd, tile, row, first, out);
            row += 1;
        }
    }

    #[inline(always)]
    fn tile<S: Simd, const R: usize, const G: usize, const V: usize>(
        &self,
        simd: S,
        x: &Inputs<'_>,
        row: usize,
        weights: [&[[S::f32s; V]]; G],
        bias: [[S::f32s; V]; G],
    ) -> [[[S::f32s; V]; G]; R] {
        let inputs = weights[0].len();
        let mut rows: [&[f32]; R] = [&[]; R];
        for (r, values) in rows.iter_mut().enumerate() {
            *values = &x.values[(row + r) * x.width..][..inputs];
        }
        let weights = weights.map(|weights| &weights[..inputs]);
        let mut tile = [bias; R];
        for input in 0..inputs {
            for (tile, row) in tile.iter_mut().zip(&rows) {
                let x = simd.splat_f32s(row[input]);
                for (tile, weights) in tile.iter_mut().zip(&weights) {
                    for (tile, weight) in tile.iter_mut().zip(&weights[input]) {
                        *tile = simd.mul_add_f32s(x, *weight, *tile);
                    }
                }
            }
        }
        tile
    }

    #[inline(always)]
    fn put<S: Simd, const R: usize, const G: usize, const V: usize>(
        &self,
        simd: S,
        tile: [[[S::f32s; V]; G]; R],
        row: usize,
        first: usize,
        out: &mut [f32],
    ) {
        let zero = simd.splat_f32s(0.0);
        for (r, tile) in tile.iter().enumerate() {
            let out = &mut out[(row + r) * self.outputs + first * LANES..][..G * LANES];
            for (out, value) in S::as_mut_simd_f32s(out).0.iter_mut().zip(tile.iter().flatten()) {
                *out = if self.relu { simd.max_f32s(*value, zero) } else { *value };
            }
        }
    }
}

struct Inputs<'a> {
    values: &'a [f32],
    width: usize,
}
